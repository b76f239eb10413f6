//! `tidewatch check --online`: what is there and lets the job in is said to be so, what is not is named, and nothing
//! is left behind.

use std::path::Path;

use serde_json::Value;
use testkit::job::Job;
use testkit::process::Finished;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");

/// The reference job on a file with a line, its outputs in a folder.
fn job(folder: &Path) -> Job {
    let input = folder.join("events.ndjson");
    std::fs::write(&input, "{}\n").expect("write");
    Job::reference(PROGRAM, folder.join("out"), &input)
}

fn check(job: &Job) -> Finished {
    job.about(&["check", "--online"]).run()
}

/// What is said of a part of the job: whether it is well, and in which words.
fn said(finished: &Finished, of: &str) -> Vec<(bool, String)> {
    let lines = finished.text().lines().map(str::to_owned).collect::<Vec<_>>();
    let found = lines.iter().filter_map(|line| {
        let (verdict, rest) = line.split_once(' ')?;
        let words = rest.trim_start().strip_prefix(of)?;
        Some((verdict == "ok", words.to_owned()))
    });
    found.collect()
}

/// All names below a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_job_that_could_run_has_a_good_line_for_each_part_and_finds_nothing_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let job = job(folder.path())
        .set("sink.table.type", "sqlite")
        .set("sink.table.path", folder.path().join("out/table.db").display());
    let checked = check(&job).expect_code(0);
    for of in ["source `events`", "sink `alerts`", "sink `table`", "state"] {
        let lines = said(&checked, of);
        assert!(!lines.is_empty() && lines.iter().all(|(ok, _)| *ok), "{of}: {}", checked.text());
    }
    assert_eq!(names(folder.path()), ["events.ndjson", "out"]);
    assert!(names(&folder.path().join("out")).is_empty(), "something was left behind");
    // Once it has run there is more to see.
    std::fs::write(folder.path().join("events.ndjson"), "").expect("write");
    job.run();
    let checked = check(&job).expect_code(0);
    assert!(checked.text().contains("the table `table` is there"), "{}", checked.text());
    let json = job.ask(&["check", "--online"]);
    let tried = json["online"].as_array().expect("what was tried");
    assert!(tried.len() >= 5 && tried.iter().all(|tried| tried["ok"] == Value::Bool(true)), "{json}");
}

#[test]
fn each_thing_that_is_missing_or_closed_is_named_and_the_exit_code_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let no_database = folder.path().join("text.db");
    std::fs::write(&no_database, "this is no database, but long enough to be taken for one".repeat(20))
        .expect("write");
    let job = job(folder.path())
        .set("source.events.path", folder.path().join("missing.ndjson").display())
        .set("sink.alerts.path", folder.path().join("nowhere/alerts.ndjson").display())
        .set("sink.table.type", "sqlite")
        .set("sink.table.path", no_database.display())
        .set("state.dir", folder.path().join("events.ndjson/state").display());
    let checked = check(&job).expect_code(3);
    for (of, words) in [
        ("source `events`", "does not exist"),
        ("sink `alerts`", "there is no folder for it"),
        ("sink `table`", "not a database"),
        ("state", ""),
    ] {
        let lines = said(&checked, of);
        assert!(lines.iter().any(|(ok, said)| !ok && said.contains(words)), "{of}: {}", checked.text());
    }
}

#[cfg(feature = "webhook")]
#[test]
fn a_webhook_is_asked_for_nothing_and_its_clock_is_compared() {
    use testkit::receiver::{Receiver, Reply};
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::start(|_| Reply::Take);
    let job = job(folder.path())
        .set("sink.hook.type", "webhook")
        .set("sink.hook.url", format!("\"{}\"", receiver.url("/hunter2")))
        .set("sink.hook.token", "t0ken")
        .set("sink.hook.allow_hosts", "127.0.0.1");
    let checked = check(&job).expect_code(0);
    assert!(checked.text().contains("it answers, with HTTP 204"), "{}", checked.text());
    let requests = receiver.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].line, "HEAD /");
    assert!(!requests[0].has("authorization") && !requests[0].has("webhook-id"));
    assert!(!checked.text().contains("hunter2"), "{}", checked.text());

    receiver.answer(|_| Reply::Say(404, vec![("date", "Sun, 06 Nov 1994 08:49:37 GMT".into())], ""));
    let checked = check(&job).expect_code(3);
    let lines = said(&checked, "sink `hook`");
    assert!(lines[0].0 && !lines[1].0 && lines[1].1.contains("the clock here is"), "{lines:?}");

    receiver.answer(|_| Reply::Break);
    let checked = check(&job).expect_code(3);
    assert!(said(&checked, "sink `hook`").iter().any(|(ok, _)| !ok), "{}", checked.text());
}

#[cfg(feature = "postgres")]
#[test]
fn the_rights_on_a_table_of_a_server_are_seen_without_a_row() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(database) = testkit::postgres::database() else { return };
    let with = |url: &str| {
        job(folder.path()).set("sink.table.type", "postgres").set("sink.table.url", format!("\"{url}\""))
    };
    let checked = check(&with(&database.url())).expect_code(0);
    assert!(checked.text().contains("it is not there yet, and can be made"), "{}", checked.text());
    assert!(database.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").is_empty());

    let name = database.url().rsplit('/').next().expect("a name").to_owned();
    database.query(&format!("CREATE ROLE reader_{name} LOGIN"));
    database.query("CREATE TABLE \"table\" (id text PRIMARY KEY)");
    database.query("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    database.query(&format!("GRANT SELECT ON \"table\" TO reader_{name}"));
    let (before, host) =
        database.url().split_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a user");
    let scheme = before.split("://").next().expect("a scheme").to_owned();
    let checked = check(&with(&format!("{scheme}://reader_{name}@{host}"))).expect_code(3);
    assert!(checked.text().contains("lacks the rights SELECT,INSERT"), "{}", checked.text());
    assert!(checked.text().contains("this user cannot make it"), "{}", checked.text());

    let gone = check(&with("postgres://u@127.0.0.1:1/d?connect_timeout=1")).expect_code(3);
    assert!(gone.text().contains("failed  sink `table`: connect"), "{}", gone.text());
}

#[cfg(feature = "s3")]
#[test]
fn a_bucket_is_tried_with_an_object_that_is_taken_away_again() {
    use testkit::s3::{BUCKET, server};
    let folder = tempfile::tempdir().expect("a folder");
    let Some(server) = server() else { return };
    let with = |bucket: &str| job(folder.path()).set("state.dir", format!("s3://{bucket}/online"));
    let checked = server.known_to(with(BUCKET).about(&["check", "--online"])).run().expect_code(0);
    assert!(said(&checked, "state").iter().all(|(ok, _)| *ok), "{}", checked.text());
    // Nothing is there that the first start would have to clear away.
    let listed = server.known_to(with(BUCKET).about(&["checkpoints", "list"])).run().expect_code(3);
    assert!(listed.stderr.contains("there is no state"), "{}", listed.stderr);
    let checked = server.known_to(with("no-such-bucket").about(&["check", "--online"])).run().expect_code(3);
    assert!(said(&checked, "state").iter().any(|(ok, _)| !ok), "{}", checked.text());
}

#[cfg(all(feature = "s3", feature = "webhook"))]
#[test]
fn the_clock_of_a_bucket_is_compared_whatever_its_server_answers() {
    use testkit::receiver::{Receiver, Reply};
    const EMPTY: &str = "<ListBucketResult><Name>bucket</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated>\
                         </ListBucketResult>";
    let folder = tempfile::tempdir().expect("a folder");
    let old = || vec![("date", "Sun, 06 Nov 1994 08:49:37 GMT".to_owned())];
    let server = Receiver::start(move |_| Reply::Say(200, old(), EMPTY));
    let job =
        job(folder.path()).set("source.events.path", "s3://bucket/events/").set("source.events.end", "never");
    let job = job.set("source.events.s3_endpoint", format!("\"{}\"", server.url("")));
    let check = || {
        let keys = [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret")];
        let check = job.about(&["check", "--online"]);
        keys.iter().fold(check, |check, (name, value)| check.env(name, value)).run().expect_code(3)
    };
    let lines = said(&check(), "source `events`");
    assert!(lines[0].0 && lines[0].1.contains("0 objects"), "{lines:?}");
    assert!(!lines[1].0 && lines[1].1.contains("the clock here is"), "{lines:?}");
    // As of one that does not believe a signature of such a time.
    server.answer(move |_| Reply::Say(403, old(), ""));
    let lines = said(&check(), "source `events`");
    assert!(!lines[0].0 && !lines[1].0 && lines[1].1.contains("the clock here is"), "{lines:?}");
}
