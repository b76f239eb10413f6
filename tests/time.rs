//! Event time, as whole jobs: how far a partition has come, by whatever rule, against a naive reading of it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};
use testkit::job::{Job, json_lines};
use testkit::lanes;
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
        let late = expected.quarantine.iter().filter(|(reason, _)| reason == "late").count() as u64;
        assert_eq!(job.report()["late"], late, "{name}");
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
fn a_watermark_that_records_say_moves_by_nothing_else() {
    let settings = [("time.watermark", "{ field = 'wm', unit = 'ms' }")];
    for lanes in [1, 3] {
        let expected = check(&settings, lanes, punctuated);
        let late = number_of("late", &expected);
        assert!(expected.rows.len() > 2_000 && late > 200, "{} rows, {late} late", expected.rows.len());
        assert!(number_of("type", &expected) > 100 && number_of("time_range", &expected) > 100);
    }
}
