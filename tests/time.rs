//! Event time, as whole jobs: how far a partition has come, by whatever rule, against a naive reading of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::job::{Job, json_lines};
use testkit::lanes;
use testkit::process::{bytes_read, eventually};
use testkit::random::{Random, seed};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");

const SETUP: &str = r#"
name = "time"
[source.events]
type = "file"
path = "set by the test"
lanes = 3
[event]
key = "user"
time = { field = "ts", unit = "ms" }
[window]
type = "tumbling"
size = "10s"
[features]
events = "count(*)"
[sink.alerts]
type = "file"
path = "set by the test"
format = "plain"
columns = ["user", "window_start", "window_end", "events"]
"#;

const EVENTS: i64 = 12_000;
const SIZE: i64 = 10_000;

/// Times go up by and large; now and then a record says how far its lane has come, or says it badly.
fn write_events(file: &Path) -> String {
    let mut random = Random::new(seed(61));
    let padding = "x".repeat(240);
    let mut text = String::new();
    for i in 0..EVENTS {
        let now = 1_700_000_000_000 + i * 100;
        let behind = if random.chance(0.1) { random.below(60_000) } else { random.below(3_000) } as i64;
        let mut line =
            json!({ "user": format!("u{}", random.below(40)), "ts": now - behind, "padding": padding });
        match random.below(60) {
            0..=2 => line["wm"] = json!(now - random.below(20_000) as i64),
            3 => line["wm"] = Value::Null,
            4 => line["wm"] = json!("soon"),
            5 => line["wm"] = json!(99_999_999_999_999_i64),
            _ => {}
        }
        writeln!(text, "{line}").expect("a string");
    }
    std::fs::write(file, &text).expect("write the events");
    text
}

/// What must come of the events: rows, late ones and quarantined ones as (reason, offset), in their order.
#[derive(Default)]
struct Expected {
    rows: Vec<Value>,
    quarantine: Vec<(String, u64)>,
}

/// How far a lane has come behind an event, in microseconds. `None` where the event does not fit.
type Rule = fn(&Value) -> Option<i64>;

fn monotonic(event: &Value) -> Option<i64> {
    Some(event["ts"].as_i64().expect("a time") * 1_000 - 1)
}

fn punctuated(event: &Value) -> Option<i64> {
    match &event["wm"] {
        Value::Null => Some(i64::MIN),
        Value::Number(said) => {
            said.as_i64().filter(|said| *said < 4_102_444_800_000).map(|said| said * 1_000)
        }
        _ => None,
    }
}

fn expect(text: &str, lanes: usize, rule: Rule) -> Expected {
    let mut windows: BTreeMap<(i64, String), u64> = BTreeMap::new();
    let mut quarantine = Vec::new();
    for lines in lanes::cut(text.as_bytes(), lanes, lanes::CHUNK) {
        let mut seen = i64::MIN;
        for line in lines {
            let event: Value = serde_json::from_str(&text[line.bytes]).expect("a line of ours");
            let Some(brings) = rule(&event) else {
                let reason = if event["wm"].is_number() { "time_range" } else { "type" };
                quarantine.push((seen, line.offset, reason));
                continue;
            };
            let time = event["ts"].as_i64().expect("a time");
            let end = time.div_euclid(SIZE) * SIZE + SIZE;
            if end * 1_000 - 1 > seen {
                let user = event["user"].as_str().expect("a user").to_owned();
                *windows.entry((end, user)).or_default() += 1;
            } else {
                quarantine.push((seen, line.offset, "late"));
            }
            seen = seen.max(brings);
        }
    }
    quarantine.sort();
    let row = |((end, user), events): ((i64, String), u64)| json!({ "user": user, "window_start": end - SIZE, "window_end": end, "events": events });
    Expected {
        rows: windows.into_iter().map(row).collect(),
        quarantine: quarantine.into_iter().map(|(_, offset, reason)| (reason.to_owned(), offset)).collect(),
    }
}

/// Runs the job with those settings in several shapes; all must put out what the rule says.
fn check(settings: &[(&str, &str)], lanes: usize, rule: Rule) -> Expected {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, config) = (folder.path().join("events.ndjson"), folder.path().join("job.toml"));
    std::fs::write(&config, SETUP).expect("write the config");
    let text = write_events(&input);
    let expected = expect(&text, lanes, rule);
    for (name, workers) in [("one", 1), ("three", 3)] {
        let plan = Job::new(PROGRAM, &config, folder.path().join(name)).on(&input).with_alerts();
        let plan = plan.with_quarantine().with_state().workers(workers).set("source.events.lanes", lanes);
        let job = settings.iter().fold(plan, |job, (name, value)| job.set(name, value));
        job.run();
        let rows = json_lines(&job.alerts());
        let same = rows.iter().zip(&expected.rows).position(|(found, expected)| found != expected);
        assert_eq!((same, rows.len()), (None, expected.rows.len()), "{name}: the first row that differs");
        let found: Vec<(String, u64)> = job
            .quarantine()
            .iter()
            .map(|row| {
                let reason = row["reason"].as_str().expect("a reason").to_owned();
                (reason, row["offset"].as_u64().expect("an offset"))
            })
            .collect();
        assert!(found == expected.quarantine, "{name}: another quarantine");
        let report = job.report();
        for reason in ["late", "type", "time_range", "malformed"] {
            assert_eq!(report["by_reason"][reason], number_of(reason, &expected), "{name}: {reason}");
        }
        assert_eq!(report["late"], number_of("late", &expected), "{name}");
    }
    expected
}

fn number_of(reason: &str, expected: &Expected) -> usize {
    expected.quarantine.iter().filter(|(found, _)| found == reason).count()
}

#[test]
fn where_times_never_fall_each_says_that_all_before_it_have_come() {
    let expected = check(&[("time.watermark", "monotonic")], 3, monotonic);
    assert!(expected.rows.len() > 2_000 && number_of("late", &expected) > 500);
}

#[test]
fn late_records_may_have_a_sink_of_their_own_in_the_same_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, config) = (folder.path().join("events.ndjson"), folder.path().join("job.toml"));
    std::fs::write(&config, SETUP).expect("write the config");
    let expected = expect(&write_events(&input), 3, punctuated);
    let job =
        Job::new(PROGRAM, &config, folder.path().join("out")).on(&input).with_alerts().with_quarantine();
    let late = folder.path().join("late.ndjson");
    job.clone()
        .with_state()
        .workers(3)
        .set("time.watermark", "{ field = 'wm', unit = 'ms' }")
        .set("sink.late.path", late.display())
        .run();
    let offsets = |rows: Vec<Value>, is_late: bool| {
        let all = |row: &Value| (row["reason"] == "late") == is_late;
        assert!(rows.iter().all(all), "the others are in the other sink");
        rows.iter().map(|row| row["offset"].as_u64().expect("an offset")).collect::<Vec<_>>()
    };
    let wanted = |is_late: bool| {
        let of = expected.quarantine.iter().filter(|(reason, _)| (reason == "late") == is_late);
        of.map(|(_, offset)| *offset).collect::<Vec<_>>()
    };
    assert_eq!(offsets(json_lines(&std::fs::read(&late).expect("rows")), true), wanted(true));
    assert_eq!(offsets(job.quarantine(), false), wanted(false));
    assert!(wanted(true).len() > 200 && wanted(false).len() > 200);
}

#[test]
fn a_watermark_that_records_say_moves_by_nothing_else() {
    let settings = [("time.watermark", "{ field = 'wm', unit = 'ms' }")];
    for lanes in [1, 3] {
        let expected = check(&settings, lanes, punctuated);
        let late = number_of("late", &expected);
        assert!(expected.rows.len() > 2_000 && late > 200, "{} rows, {late} late", expected.rows.len());
        assert!(number_of("type", &expected) > 100 && number_of("time_range", &expected) > 100);
    }
}

/// Two sources, of which the second is standard input.
const TWO: &str = r#"
name = "two"
[source.events]
type = "file"
path = "set by the test"
[source.typed]
type = "stdin"
[event]
key = "user"
time = { field = "ts", unit = "ms" }
[time]
out_of_order = "5s"
[window]
type = "tumbling"
size = "10s"
[features]
events = "count(*)"
[sink.alerts]
type = "file"
path = "set by the test"
format = "plain"
columns = ["user", "window_start", "window_end", "events"]
"#;

const SOON: Duration = Duration::from_secs(30);

#[test]
fn windows_close_while_standard_input_is_silent_and_what_it_says_later_is_judged_by_what_was_reached() {
    for (processes, workers) in [(1, 1), (1, 3), (2, 2)] {
        let folder = tempfile::tempdir().expect("a folder");
        let (input, config) = (folder.path().join("events.ndjson"), folder.path().join("job.toml"));
        std::fs::write(&config, TWO).expect("write the config");
        let line = |user: &str, second: i64| format!("{{\"user\":\"{user}\",\"ts\":{}}}\n", second * 1_000);
        let text: String = (0..1_000).map(|i| line("file", 1_700_000_000 + i)).collect();
        std::fs::write(&input, text).expect("write the events");
        let plan = Job::new(PROGRAM, &config, folder.path().join("out")).on(&input).with_alerts();
        let job = plan
            .with_quarantine()
            .processes(processes)
            .workers(workers)
            .set("time.idle_partition_after", "200ms");
        let mut running = job.invocation().pipe_stdin().start();
        let mut stdin = running.stdin.take().expect("a pipe");

        // The file comes to 1_700_000_999: all that has ended 5 s before is put out, though nothing was said.
        let rows = |expected: usize| {
            eventually("rows", SOON, || (json_lines(&job.alerts()).len() == expected).then_some(()));
        };
        rows(99);
        // In the window that is open, and in the last one that is not.
        stdin
            .write_all((line("typed", 1_700_000_995) + &line("typed", 1_700_000_985)).as_bytes())
            .expect("write");
        stdin.write_all(line("typed", 1_700_001_020).as_bytes()).expect("write");
        rows(101);
        drop(stdin);
        running.wait(SOON).expect_code(0);

        let found: Vec<(String, i64, i64)> = json_lines(&job.alerts())
            .iter()
            .skip(98)
            .map(|row| {
                let number = |name: &str| row[name].as_i64().expect("a number");
                (
                    row["user"].as_str().expect("a user").to_owned(),
                    number("window_end") / 1_000,
                    number("events"),
                )
            })
            .collect();
        let row = |user: &str, end, events| (user.to_owned(), end, events);
        let last =
            [row("file", 1_700_000_990, 10), row("file", 1_700_001_000, 10), row("typed", 1_700_001_000, 1)];
        assert_eq!(
            found,
            [&last[..], &[row("typed", 1_700_001_030, 1)]].concat(),
            "{processes} x {workers} workers"
        );
        let late = job.quarantine();
        // The watermark of the file was a microsecond before 1_700_000_994.
        assert_eq!(late.len(), 1, "{late:?}");
        assert_eq!((&late[0]["reason"], &late[0]["partition"]), (&json!("late"), &json!("stdin")));
        assert_eq!(late[0]["detail"], "8999999 us behind the watermark of its partition");
    }
}

#[test]
fn without_a_time_out_a_silent_source_holds_all_windows_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, config) = (folder.path().join("events.ndjson"), folder.path().join("job.toml"));
    std::fs::write(&config, TWO).expect("write the config");
    let text: String = (0..1_000)
        .map(|i| format!("{{\"user\":\"u\",\"ts\":{}}}\n", 1_700_000_000_000_i64 + i * 1_000))
        .collect();
    std::fs::write(&input, text).expect("write the events");
    let job = Job::new(PROGRAM, &config, folder.path().join("out")).on(&input).with_alerts();
    let mut running = job.invocation().pipe_stdin().start();
    let stdin = running.stdin.take();
    std::thread::sleep(Duration::from_millis(600));
    assert!(job.alerts().is_empty());
    drop(stdin);
    running.wait(SOON).expect_code(0);
    assert_eq!(json_lines(&job.alerts()).len(), 100);
}

/// Of two files of one span of event time one is dense, and the other is read slowly.
fn write_two_files(folder: &Path) -> (PathBuf, PathBuf) {
    let padding = "x".repeat(200);
    let write = |name: &str, events: i64, step: i64| {
        let line = |i: i64| {
            let (user, ts) = (format!("{name}{}", i % 20), 1_700_000_000_000 + i * step);
            json!({ "user": user, "ts": ts, "padding": padding }).to_string() + "\n"
        };
        let path = folder.join(name);
        std::fs::write(&path, (0..events).map(line).collect::<String>()).expect("write the events");
        path
    };
    (write("dense", 40_000, 100), write("sparse", 400, 10_000))
}

#[test]
fn a_partition_that_is_far_ahead_waits_for_the_others_and_the_answer_is_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("job.toml");
    std::fs::write(
        &config,
        TWO.replace("[source.typed]\ntype = \"stdin\"", "[source.slow]\ntype = \"file\"\npath = \"\""),
    )
    .expect("write the config");
    let (dense, sparse) = write_two_files(folder.path());
    let length = dense.metadata().expect("a file").len();
    let job = |name: &str| {
        let job = Job::new(PROGRAM, &config, folder.path().join(name)).on(&dense).with_alerts();
        job.set("source.events.lanes", 1)
            .set("source.slow.lanes", 1)
            .set("source.slow.path", sparse.display())
    };
    let free = job("free");
    free.run();
    let rows = free.alerts();
    assert!(json_lines(&rows).len() > 8_000);

    for workers in [1, 2] {
        // 4000 s of event time at 1000 s in a second; a read of a MiB is about 450 s.
        let job = job(&format!("held-{workers}")).workers(workers).set("time.max_drift", "60s");
        let mut running = job.clone().set("source.slow.rate", 100).invocation().start();
        let (start, id) = (std::time::Instant::now(), running.id());
        let mut all_read = None;
        while running.is_running() {
            let read = bytes_read(id).unwrap_or_default();
            if read >= length {
                all_read.get_or_insert(start.elapsed());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        running.wait(SOON).expect_code(0);
        assert!(
            all_read.is_none_or(|after| after > Duration::from_millis(2_500)),
            "read ahead: {all_read:?}"
        );
        assert!(job.alerts() == rows, "other rows with {workers} workers");
    }
    let two = job("two-by-two").processes(2).workers(2).set("time.max_drift", "60s");
    two.run();
    assert!(two.alerts() == rows, "other rows with two processes");
}
