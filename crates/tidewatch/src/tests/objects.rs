//! Objects and Parquet as sources, as the config says them.

use super::{SMALL, changed, check};

#[cfg(not(feature = "s3"))]
#[test]
fn a_program_without_the_feature_says_which_one_brings_objects() {
    check(
        &changed("\"events.ndjson\"", "\"s3://bucket/events/\""),
        r#"
error[E0105]: this program was built without `s3`
 --> job.toml:5:8
  |
5 | path = "s3://bucket/events/"
  |        ^^^^^^^^^^^^^^^^^^^^^ help: build it with `--features s3`, or with `--features full` for all that there is
"#,
    );
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_program_without_the_feature_says_which_one_brings_parquet() {
    check(
        &changed("events.ndjson", "events.parquet"),
        r#"
error[E0105]: this program was built without `parquet`
 --> job.toml:5:8
  |
5 | path = "events.parquet"
  |        ^^^^^^^^^^^^^^^^ help: build it with `--features parquet`, or with `--features full` for all that there is
"#,
    );
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_is_known_by_its_name_and_not_packed_again() {
    use super::compile;

    let format = |sets: &[&str]| compile(SMALL, sets, &[]).map(|job| job.sources[0].format);
    assert_eq!(format(&["source.events.path=['a.parquet', 'b.parquet']"]), Ok(ingest::Format::Parquet));
    assert_eq!(format(&["source.events.path=['a.parquet', 'b.csv']"]), Ok(ingest::Format::Json));
    let packed = format(&["source.events.path=a.parquet", "source.events.compression=gzip"]).unwrap_err();
    assert!(packed.contains("Parquet packs its columns itself"), "{packed}");
    let archived =
        format(&["source.events.path=a.parquet", "state.dir=state", "archive.dir=archive"]).unwrap_err();
    let words = if cfg!(feature = "archive") { "holds Parquet" } else { "without `archive`" };
    assert!(archived.contains(words), "{archived}");
    check(
        &changed("type = \"file\"\npath = \"events.ndjson\"", "type = \"stdin\"\nformat = \"parquet\""),
        r#"
error[E0105]: standard input is no file of Parquet
 --> job.toml:5:10
  |
5 | format = "parquet"
  |          ^^^^^^^^^ help: write a file, and read that
"#,
    );
}

#[cfg(feature = "s3")]
mod in_a_bucket {
    use ingest::{End, SourceKind};

    use super::super::compile;
    use super::*;

    #[test]
    fn objects_are_of_one_bucket_whose_server_may_be_said() {
        let sets = [
            "source.events.path=['s3://bucket/a/', 's3://bucket/b/*.gz']",
            "source.events.s3_endpoint=http://127.0.0.1:9000",
            "source.events.end=never",
        ];
        let job = compile(SMALL, &sets, &[]).unwrap();
        let SourceKind::Objects { bucket, keys, .. } = &job.sources[0].kind else { panic!("no objects") };
        assert_eq!(
            (bucket.name.as_str(), bucket.endpoint.as_deref()),
            ("bucket", Some("http://127.0.0.1:9000"))
        );
        assert_eq!(
            (keys.as_slice(), job.sources[0].end),
            (&["a/".to_owned(), "b/*.gz".to_owned()][..], End::Never)
        );
    }

    #[test]
    fn what_one_source_cannot_read_together_is_refused() {
        let refused = |paths: &str| {
            compile(SMALL, &[&format!("source.events.path={paths}")], &[]).map(drop).unwrap_err()
        };
        for (paths, words) in [
            ("['s3://bucket/a', 'b']", "files and objects are read by sources of their own"),
            ("['s3://bucket/a', 's3://other/a']", "objects of several buckets"),
            ("s3://bucket/*/a.json", "has a pattern before its last part"),
            ("s3://b", "is no name of a bucket"),
        ] {
            assert!(refused(paths).contains(words), "{}", refused(paths));
        }
    }

    #[test]
    fn a_job_does_not_read_the_state_that_it_keeps_in_the_same_bucket() {
        let sets = ["source.events.path=s3://bucket/x/", "source.events.end=never"];
        let with = |more: &[&str]| compile(SMALL, &[&sets[..], more].concat(), &[]).map(drop);
        let refused = with(&["state.dir=s3://bucket/x/state"]).unwrap_err();
        assert!(refused.contains("`[state]` has objects of the source `events`"), "{refused}");
        assert_eq!(with(&["state.dir=s3://bucket/state"]), Ok(()));
        let elsewhere = ["state.dir=s3://bucket/x/state", "state.s3_endpoint=http://127.0.0.1:9000"];
        let said = [&elsewhere[..], &["source.events.s3_endpoint=http://127.0.0.1:9001"]].concat();
        assert!(with(&elsewhere).is_err() && with(&said) == Ok(()));
    }

    #[cfg(feature = "archive")]
    #[test]
    fn a_job_does_not_read_what_it_archives_in_the_same_bucket() {
        let sets = ["source.events.path=s3://bucket/x/", "source.events.end=never", "state.dir=state"];
        let with = |more: &[&str]| compile(SMALL, &[&sets[..], more].concat(), &[]).map(drop);
        let refused = with(&["archive.dir=s3://bucket/x/archive"]).unwrap_err();
        assert!(refused.contains("`[archive]` has objects of the source `events`"), "{refused}");
        let refused = with(&["sink.alerts.type=archive", "sink.alerts.dir=s3://bucket/x/rows"]).unwrap_err();
        assert!(refused.contains("sink `alerts` has objects of the source `events`"), "{refused}");
        assert_eq!(with(&["archive.dir=s3://bucket/archive"]), Ok(()));
    }
}
