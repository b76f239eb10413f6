//! Sinks that are databases: what the config says of them, what it must not say, and what is never shown.

use std::path::PathBuf;
use std::time::Duration;

use alert::{Mode, Shape, SinkKind, Table};

use super::{SMALL, changed, check, compile, read};
use crate::config::{print, print_json};

/// The small job with a sink of these lines, and a state.
fn with_sink(lines: &str) -> String {
    changed(
        "[sink.alerts]\ntype = \"stdout\"\n",
        &format!("[sink.alerts]\n{lines}\n[state]\ndir = \"state\"\n"),
    )
}

#[test]
fn late_records_have_a_sink_of_their_own_or_that_of_the_quarantine() {
    let numbers = |sets: &[&str]| {
        let job = compile(SMALL, sets, &[]).unwrap();
        (job.sinks.len(), job.quarantine.map(|sink| sink.0), job.late.map(|sink| sink.0))
    };
    assert_eq!(numbers(&[]), (1, None, None));
    assert_eq!(numbers(&["sink.quarantine.path=q"]), (2, Some(1), Some(1)));
    assert_eq!(numbers(&["sink.late.path=l"]), (2, None, Some(1)));
    assert_eq!(numbers(&["sink.late.path=l", "sink.quarantine.path=q"]), (3, Some(1), Some(2)));
    let error = compile(SMALL, &["sink.late.path=same", "sink.quarantine.path=same"], &[]).unwrap_err();
    assert!(error.contains("sink `late` has the file of sink `quarantine`"), "{error}");
    let error = compile(SMALL, &["sink.late.path=l", "sink.late.format=plain"], &[]).unwrap_err();
    assert!(error.contains("unknown key `format` in sink `late`"), "{error}");
}

#[test]
fn a_table_of_sqlite_has_the_name_of_its_sink_and_gets_each_row_once() {
    let job = compile(&with_sink("type = \"sqlite\"\npath = \"alerts.db\""), &[], &[]).unwrap();
    let table = Table { name: "alerts".into(), shape: Shape::Alerts, retry_for: Duration::from_secs(60) };
    assert_eq!(job.sinks[0].kind, SinkKind::Sqlite { path: PathBuf::from("alerts.db"), table });
    assert_eq!(job.sinks[0].mode, Mode::ExactlyOnce);
    assert_eq!(job.sinks[0].kind.target(), "alerts.db table alerts of alerts");
    let sets = ["sink.quarantine.type=sqlite", "sink.quarantine.path=alerts.db", "sink.alerts.mode=at_once"];
    let job = compile(&with_sink("type = \"sqlite\"\npath = \"alerts.db\""), &sets, &[]).unwrap();
    assert_eq!(job.sinks[0].mode, Mode::AtOnce);
    assert_eq!(job.sinks[1].kind.target(), "alerts.db table quarantine of quarantine rows");
}

#[test]
fn the_name_of_a_table_and_its_options_are_checked_at_their_words() {
    check(
        &with_sink("type = \"sqlite\"\npath = \"a.db\"\ntable = \"a; b\"\nretry_for = \"2d\"\nurl = 1"),
        r#"
error[E0105]: a table's name has letters, digits and `_`, and begins with no digit
  --> job.toml:32:9
   |
32 | table = "a; b"
   |         ^^^^^^
error[E0105]: `2d` is out of range; the range is 0s to 1d
  --> job.toml:33:13
   |
33 | retry_for = "2d"
   |             ^^^^
error[E0102]: unknown key `url` in sink `alerts`
  --> job.toml:34:1
   |
34 | url = 1
   | ^^^ help: known here: mode, format, columns, explain, muted"#,
    );
    check(
        &changed("[sink.alerts]\ntype = \"stdout\"", "[sink.on-call]\ntype = \"sqlite\"\npath = \"a.db\""),
        r#"
error[E0105]: `on-call` cannot be the name of a table: a table's name has letters, digits and `_`, and begins with no digit
  --> job.toml:29:7
   |
29 | [sink.on-call]
   |       ^^^^^^^ help: add `table = "NAME"`"#,
    );
}

#[test]
fn plain_rows_of_a_table_need_what_tells_them_apart() {
    let rows = |columns: &str| {
        with_sink(&format!("type = \"sqlite\"\npath = \"a.db\"\nformat = \"plain\"\ncolumns = [{columns}]"))
    };
    check(
        &rows(r#""upper(user_id) AS user_id", "window_start", "window_end", "rule""#),
        r#"
error[E0301]: the rows of a table need the column `user_id` as it is
  --> job.toml:29:7
   |
29 | [sink.alerts]
   |       ^^^^^^ help: add `"user_id"` to `columns`; it tells the rows apart"#,
    );
    let job =
        compile(&rows(r#""user_id", "window_start", "window_end", "events", "rule""#), &[], &[]).unwrap();
    let SinkKind::Sqlite { table, .. } = &job.sinks[0].kind else { panic!("{:?}", job.sinks) };
    assert_eq!(table.shape, Shape::Rows { key: vec!["user_id".into()], rule: true });
    let error = compile(&rows(r#""user_id", "window_start""#), &[], &[]).unwrap_err();
    assert!(error.contains("`window_end`") && error.contains("`rule`"), "{error}");
    let error =
        compile(&rows(r#""user_id", "window_start", "window_end", "rule""#), &["window.size=1500us"], &[])
            .unwrap_err();
    assert!(error.contains("whole milliseconds"), "{error}");
}

#[test]
fn two_sinks_cannot_have_one_table_nor_a_table_the_file_of_another() {
    let text = with_sink("type = \"sqlite\"\npath = \"a.db\"");
    let second = |lines: &[&str]| compile(&text, lines, &[]).map(|_| ());
    let table = ["sink.more.type=sqlite", "sink.more.path=a.db", "sink.more.table=ALERTS"];
    assert!(second(&table).unwrap_err().contains("sink `more` has the table of sink `alerts`"));
    assert_eq!(second(&table[..2]), Ok(()));
    assert!(
        second(&["sink.more.path=a.db"]).unwrap_err().contains("sink `more` has the file of sink `alerts`")
    );
}

#[cfg(not(feature = "postgres"))]
#[test]
fn a_connector_that_is_not_built_in_is_named_with_the_feature_that_brings_it() {
    check(
        &with_sink("type = \"postgres\"\nurl = \"postgres://u:hunter2@h/d\""),
        r#"
error[E0105]: this program was built without `postgres`
  --> job.toml:30:8
   |
30 | type = "postgres"
   |        ^^^^^^^^^^ help: build it with `--features postgres`, or with `--features full` for all that there is"#,
    );
}

#[test]
fn a_secret_comes_from_the_environment_or_a_file_and_one_of_them() {
    let postgres = |url: &str| with_sink(&format!("type = \"postgres\"\nurl = {url}"));
    let error = compile(&postgres(r#"{ env = "DATABASE_URL" }"#), &[], &[]).unwrap_err();
    let words = r#"
error[E0107]: the environment variable `DATABASE_URL` is not set
  --> job.toml:31:15
   |
31 | url = { env = "DATABASE_URL" }
   |               ^^^^^^^^^^^^^^"#;
    assert!(error.contains(words.trim_start()), "{error}");
    let error =
        compile(&postgres(r#"{ env = "A", file = "b" }"#), &[], &[("A", "postgres://h/d")]).unwrap_err();
    assert!(error.contains("`url` needs one of `env` and `file`"), "{error}");
    let error = compile(&postgres("{}"), &[], &[]).unwrap_err();
    assert!(error.contains("`url` needs one of `env` and `file`"), "{error}");
    let error = compile(&with_sink("type = \"postgres\""), &[], &[]).unwrap_err();
    assert!(error.contains("sink `alerts` has no `url`"), "{error}");
}

#[cfg(feature = "postgres")]
#[test]
fn a_secret_that_is_good_makes_a_sink() {
    use alert::Secret;
    let url = "postgres://u:hunter2@h/d";
    let kind = |lines: &str, environment: &[(&str, &str)]| {
        let text =
            with_sink(&format!("type = \"postgres\"\ntable = \"found\"\nca = \"ca.pem\"\nurl = {lines}"));
        compile(&text, &[], environment).unwrap().sinks[0].kind.clone()
    };
    let table = Table { name: "found".into(), shape: Shape::Alerts, retry_for: Duration::from_secs(60) };
    let wanted = |url| SinkKind::Postgres { url, ca: Some("ca.pem".into()), table: table.clone() };
    assert_eq!(kind(r#"{ env = "DB" }"#, &[("DB", url)]), wanted(Secret::Text(url.into())));
    assert_eq!(kind(&format!("{url:?}"), &[]), wanted(Secret::Text(url.into())));
    assert_eq!(kind(r#"{ file = "url" }"#, &[]), wanted(Secret::File("url".into())));
    assert_eq!(kind(r#"{ file = "url" }"#, &[]).target(), "postgres table found of alerts");
}

#[test]
fn a_password_is_never_shown() {
    let in_file = "type = \"postgres\"\nurl = \"postgres://u:hunter2@h/d\"\nmode = \"hunted\"";
    let on_one_line = changed(
        "[sink.alerts]\ntype = \"stdout\"",
        "[sink]\nalerts = { type = \"postgres\", url = \"postgres://u:hunter2@h:port/d\", colour = 1 }",
    );
    let set = "sink.alerts.url=postgres://u:hunter2@h:port/d";
    let variable = ("DB", "hunter2");
    type Case<'a> = (String, &'a [&'a str], &'a [(&'a str, &'a str)]);
    let cases: [Case; 5] = [
        (with_sink(in_file), &[], &[]),
        (on_one_line, &[], &[]),
        (with_sink("type = \"postgres\""), &[set], &[]),
        (
            with_sink("type = \"postgres\""),
            &[],
            &[("TIDEWATCH__SINK__ALERTS__URL", "postgres://u:hunter2@h:port/d")],
        ),
        (with_sink("type = \"postgres\"\nurl = { env = \"DB\" }"), &[], &[variable]),
    ];
    for (text, sets, environment) in cases {
        let reading = read(&text, sets, environment);
        let found = crate::job::compile(&reading);
        let mut shown = format!("{:?} {:?}", found.as_ref().map(|job| &job.sinks), reading.config);
        for diagnostic in found.err().unwrap_or_default() {
            shown += &diagnostic.render(&reading.sources, false);
            shown += &diagnostic.to_json(&reading.sources).to_string();
        }
        shown += &print(&reading.findings.settings, &reading.sources);
        shown += &print_json(&reading.findings.settings, &reading.sources).to_string();
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

/// That the small job with other lines for its source and its sink is refused, with these words.
fn feeds_on_itself(source: &str, sink: &str, words: &str) {
    let text = changed("type = \"file\"\npath = \"events.ndjson\"\n", &format!("{source}\n"));
    let sink = format!("[sink.alerts]\n{sink}\n[state]\ndir = \"state\"\n");
    let text = text.replace("[sink.alerts]\ntype = \"stdout\"\n", &sink);
    let error = compile(&text, &[], &[]).unwrap_err();
    assert!(error.contains(words), "no {words:?} in:\n{error}");
}

#[test]
fn nothing_is_written_among_the_files_that_are_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("in.ndjson"), "").unwrap();
    let dir = folder.path().display();
    let words = "sink `alerts` has a file of the source `events`";
    let out = format!("path = \"{dir}/out.ndjson\"");
    feeds_on_itself(&format!("path = \"{dir}\""), &out, words);
    feeds_on_itself(&format!("path = \"{dir}/*.ndjson\""), &out, words);
    feeds_on_itself(&format!("path = [\"elsewhere\", \"{dir}/.\"]"), &out, words);
    let table = format!("type = \"sqlite\"\npath = \"{dir}/out.db\"");
    feeds_on_itself(&format!("path = \"{dir}\""), &table, words);
    let same = "sink `alerts` has the file of the source `events`";
    feeds_on_itself(&format!("path = \"{dir}/in.ndjson\""), &format!("path = \"{dir}/./in.ndjson\""), same);
}

#[cfg(feature = "kinesis")]
#[test]
fn a_stream_that_is_read_is_not_written() {
    let lines = |stream: &str| {
        format!(
            "type = \"kinesis\"\nstream = \"{stream}\"\nregion = \"us-east-1\"\nendpoint = \"http://127.0.0.1:4567\""
        )
    };
    let words = "sink `alerts` has the stream of the source `events`";
    feeds_on_itself(&lines("s"), &lines("s"), words);
    feeds_on_itself(&lines("s"), &lines("arn:aws:kinesis:us-east-1:000000000000:stream/s"), words);
}

#[cfg(feature = "archive")]
#[test]
fn an_archive_that_is_read_is_not_written() {
    let archive = "type = \"archive\"\ndir = \"kept\"";
    feeds_on_itself(
        archive,
        "type = \"archive\"\ndir = \"./kept/\"",
        "sink `alerts` has the archive of the source",
    );
    feeds_on_itself(
        archive,
        "type = \"stdout\"\n[archive]\ndir = \"kept\"",
        "`[archive]` has the archive of the source `events`",
    );
}

#[test]
fn only_alerts_say_why_they_are_put_out() {
    let plain =
        ["sink.alerts.format=plain", "sink.alerts.columns=[\"window_end\"]", "sink.alerts.explain=false"];
    let error = compile(SMALL, &plain, &[]).unwrap_err();
    assert!(error.contains("only `format = \"alert\"` has `explain`"), "{error}");
    assert!(compile(SMALL, &["sink.alerts.explain=false"], &[]).is_ok());
}
