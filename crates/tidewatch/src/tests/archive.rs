//! Archives, as the config says them.

use super::{changed, check};

#[cfg(not(feature = "archive"))]
#[test]
fn a_program_without_the_feature_says_which_one_brings_it() {
    check(
        &format!("{}\n[state]\ndir = \"state\"\n\n[archive]\ndir = \"archive\"\n", super::SMALL),
        r#"
error[E0105]: this program was built without `archive`
  --> job.toml:36:7
   |
36 | dir = "archive"
   |       ^^^^^^^^^ help: build it with `--features archive`, or with `--features full` for all that there is
"#,
    );
    let source = "type = \"archive\"\ndir = \"archive\"";
    check(
        &changed("type = \"file\"\npath = \"events.ndjson\"", source),
        r#"
error[E0105]: this program was built without `archive`
 --> job.toml:5:7
  |
5 | dir = "archive"
  |       ^^^^^^^^^ help: build it with `--features archive`, or with `--features full` for all that there is
"#,
    );
}

#[cfg(feature = "archive")]
mod with_archives {
    use alert::{Mode, SinkKind};
    use ingest::SourceKind;

    use super::super::{SMALL, compile};
    use super::*;

    #[test]
    fn an_archive_needs_a_state_wherever_it_is() {
        check(
            &format!(
                "{}\n[archive]\ndir = \"archive\"\nevery = 1\n",
                changed("\"stdout\"", "\"archive\"\ndir = \"rows\"")
            ),
            r#"
error[E0301]: an archive takes rows with checkpoints only
  --> job.toml:29:7
   |
29 | [sink.alerts]
   |       ^^^^^^ help: add `[state]` with `dir = "DIR"`
error[E0301]: an archive needs a state: its files become visible with checkpoints
  --> job.toml:33:2
   |
33 | [archive]
   |  ^^^^^^^ help: add `[state]` with `dir = "DIR"`
error[E0102]: unknown key `every` in `[archive]`
  --> job.toml:35:1
   |
35 | every = 1
   | ^^^^^
"#,
        );
    }

    #[test]
    fn sources_sinks_and_jobs_have_their_archives() {
        let text = changed(
            "type = \"file\"\npath = \"events.ndjson\"",
            "type = \"archive\"\ndir = \"a\"\nof = \"clicks\"",
        );
        let job = compile(&text, &[], &[]).unwrap();
        let wanted = SourceKind::Archive { address: "a".to_owned(), of: Some("clicks".to_owned()) };
        assert_eq!((&job.sources[0].kind, job.archive), (&wanted, None));

        let sets = ["state.dir=state", "archive.dir=b", "sink.alerts.type=archive", "sink.alerts.dir=b"];
        let job = compile(SMALL, &sets, &[]).unwrap();
        assert_eq!(job.archive.as_deref(), Some("b"));
        let sink = &job.sinks[0];
        assert_eq!(
            (&sink.kind, sink.mode),
            (&SinkKind::Archive { address: "b".to_owned() }, Mode::ExactlyOnce)
        );
        let twice = [&sets[..], &["sink.alerts.mode=at_once"]].concat();
        assert!(compile(SMALL, &twice, &[]).unwrap_err().contains("take `mode` out"));
    }

    #[cfg(feature = "s3")]
    #[test]
    fn a_bucket_without_a_prefix_is_refused() {
        let refused = compile(SMALL, &["state.dir=state", "archive.dir=s3://bucket"], &[]).unwrap_err();
        assert!(refused.contains("NAME-OF-THE-ARCHIVE"), "{refused}");
    }
}
