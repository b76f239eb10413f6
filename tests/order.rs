//! Windows in which the order of records matters, as whole jobs: sessions, count windows and every event as a row, for
//! any number of workers and through kills, against a naive reading of the rules.

#[path = "order/lag.rs"]
mod lag;
#[path = "order/quiet.rs"]
mod quiet;
#[path = "order/shared.rs"]
mod shared;
#[path = "order/triggers.rs"]
mod triggers;
#[path = "order/union.rs"]
mod union;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testkit::job::{Job, json_lines};
use testkit::lanes;
use testkit::process::eventually;
use testkit::random::{Random, seed};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");

/// How far an event may lie behind the latest of its lane, in milliseconds.
const BOUND: i64 = 5_000;

const LIMIT: Duration = Duration::from_secs(60);

const SETUP: &str = r#"
name = "order"
[source.events]
type = "file"
path = "set by the test"
lanes = 3
[event]
key = "user"
time = { field = "ts", unit = "ms" }
[event.fields]
v = "double"
n = "bigint"
idle_s = "double"
[time]
out_of_order = "5s"
[features]
events = "count(*)"
v = "sum(v)"
first = "first(n)"
last = "last(n)"
most = "max(n)"
kinds = "count(DISTINCT v)"
different = "sum(DISTINCT v)"
[sink.alerts]
type = "file"
path = "set by the test"
format = "plain"
columns = ["user", "window_start", "window_end", "events", "v", "first", "last", "most", "kinds", "different", "revision", "early"]
"#;

#[derive(Debug, Clone)]
struct Event {
    user: String,
    time: i64,
    v: f64,
    n: i64,
    lane: usize,
    seen: i64,
    offset: u64,
}

/// Some users are busy and some are seldom there; a tenth of the events comes too late for most windows.
fn write_events(random: &mut Random, file: &Path) -> Vec<Event> {
    let padding = "x".repeat(220);
    let mut text = String::new();
    for i in 0..14_000_i64 {
        let behind = if random.chance(0.1) { random.below(90_000) } else { random.below(5_000) } as i64;
        let user = if random.chance(0.5) { random.below(4) } else { random.below(300) };
        let line = json!({
            "user": format!("u{user}"),
            "ts": 1_700_000_000_000 + i * 100 - behind,
            "v": random.below(100) as f64 * 0.5,
            "n": i,
            "idle_s": idle(i) as f64 / 1000.0,
            "padding": padding,
        });
        writeln!(text, "{line}").expect("a string");
    }
    std::fs::write(file, &text).expect("write the events");
    let mut events = Vec::new();
    for (lane, lines) in lanes::cut(text.as_bytes(), 3, lanes::CHUNK).into_iter().enumerate() {
        let mut seen = i64::MIN;
        for line in lines {
            let event: Value = serde_json::from_str(&text[line.bytes]).expect("a line of ours");
            let (time, n) = (event["ts"].as_i64().expect("a time"), event["n"].as_i64().expect("a number"));
            let (user, v) = (event["user"].as_str().expect("a user"), event["v"].as_f64().expect("a value"));
            events.push(Event { user: user.to_owned(), time, v, n, lane, seen, offset: line.offset });
            // Ticks are microseconds: what lies between two milliseconds has no event.
            seen = seen.max(time - BOUND - 1);
        }
    }
    events.sort_by_key(|event| (event.seen, event.offset));
    events
}

/// How long, in milliseconds, a session lasts behind the event of that number, where each says so.
fn idle(n: i64) -> i64 {
    2_000 + n % 7 * 1_500
}

/// A row, and where it stands.
type Place = (i64, u8, i64, i64, String, u64);

fn row(user: &str, window: (i64, i64), events: &[&Event]) -> Value {
    let by_time = |event: &&&Event| (event.time, event.lane, event.offset);
    let (first, last) = (events.iter().min_by_key(by_time), events.iter().max_by_key(by_time));
    // Halves, as whole numbers.
    let different: BTreeSet<i64> = events.iter().map(|event| (event.v * 2.0) as i64).collect();
    json!({
        "user": user,
        "window_start": window.0,
        "window_end": window.1,
        "events": events.len(),
        "v": events.iter().map(|event| event.v).sum::<f64>(),
        "first": first.map(|event| event.n),
        "last": last.map(|event| event.n),
        "most": events.iter().map(|event| event.n).max(),
        "revision": 0,
        "early": false,
        "kinds": different.len(),
        "different": different.iter().sum::<i64>() as f64 / 2.0,
    })
}

fn by_user(events: &[Event]) -> BTreeMap<&str, Vec<&Event>> {
    let mut users: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    events.iter().for_each(|event| users.entry(&event.user).or_default().push(event));
    users
}

fn in_order(mut rows: Vec<(Place, Value)>) -> Vec<Value> {
    rows.sort_by(|(a, _), (b, _)| a.cmp(b));
    rows.into_iter().map(|(_, row)| row).collect()
}

/// The sessions of events in their order, and how many events are late.
fn sessions(events: &[Event], gap: i64) -> (Vec<Value>, u64) {
    let (sessions, late) = held_sessions(events, gap);
    let rows = sessions.into_iter().map(|(user, window, held)| {
        let place = (window.1, 0, window.1, window.0, user.to_owned(), 0);
        (place, row(user, window, &held))
    });
    (in_order(rows.collect()), late.len() as u64)
}

/// Whose, from when to when, and of which events.
type Session<'e> = (&'e str, (i64, i64), Vec<&'e Event>);

/// The sessions of events in their order, user by user, and the events that are late.
fn held_sessions(events: &[Event], gap: i64) -> (Vec<Session<'_>>, Vec<&Event>) {
    let (mut sessions, mut late) = (Vec::new(), Vec::new());
    for (user, events) in by_user(events) {
        let mut open: Vec<(i64, i64, Vec<&Event>)> = Vec::new();
        let mut closed = Vec::new();
        for event in events {
            // A session ends at a whole millisecond: it is due one tick, not one millisecond, before.
            closed.extend(open.extract_if(.., |(_, end, _)| *end - 1 <= event.seen));
            let (from, to) = (event.time, event.time + gap);
            let (mut start, mut end, mut held) = (from, to, vec![event]);
            for (other_start, other_end, others) in open.extract_if(.., |(s, e, _)| *s <= to && from <= *e) {
                (start, end) = (start.min(other_start), end.max(other_end));
                held.extend(others);
            }
            if end - 1 <= event.seen {
                late.push(event);
            } else {
                open.push((start, end, held));
            }
        }
        sessions.extend(closed.into_iter().chain(open).map(|(start, end, held)| (user, (start, end), held)));
    }
    (sessions, late)
}

/// A row after every `slide` events of a user, over the last `size`.
fn counts(events: &[Event], size: usize, slide: usize) -> Vec<Value> {
    in_order(counts_by_user(events, size, slide))
}

/// The same, user by user, as they come.
fn counts_by_user(events: &[Event], size: usize, slide: usize) -> Vec<(Place, Value)> {
    let mut rows = Vec::new();
    for (user, events) in by_user(events) {
        for count in (slide..=events.len()).step_by(slide) {
            let held = &events[count.saturating_sub(size)..count];
            let start = held.iter().map(|event| event.time).min().expect("an event");
            let end = held.iter().map(|event| event.time).max().expect("an event");
            let place = (held[held.len() - 1].seen, 1, end, start, user.to_owned(), count as u64);
            rows.push((place, row(user, (start, end), held)));
        }
    }
    rows
}

struct Setup {
    /// Settings beside the windows.
    more: Vec<(&'static str, &'static str)>,
    folder: tempfile::TempDir,
    input: PathBuf,
    config: PathBuf,
    events: Vec<Event>,
}

fn setup(window: &str, random: u64) -> Setup {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, config) = (folder.path().join("events.ndjson"), folder.path().join("job.toml"));
    std::fs::write(&config, format!("{SETUP}[window]\n{window}\n")).expect("write the config");
    let events = write_events(&mut Random::new(seed(random)), &input);
    Setup { more: Vec::new(), folder, input, config, events }
}

impl Setup {
    fn job(&self, name: &str) -> Job {
        let job =
            Job::new(PROGRAM, &self.config, self.folder.path().join(name)).on(&self.input).with_alerts();
        self.more.iter().fold(job, |job, (key, value)| job.set(key, value))
    }

    /// Runs the job in several shapes, and through kills; all must put out these rows.
    fn check(&self, expected: &[Value], late: u64) {
        let one = self.job("one");
        one.run();
        let alerts = one.alerts();
        let found = json_lines(&alerts);
        for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
            // A window of events ends a tick behind the last, which is less than a millisecond.
            assert_eq!(found, expected, "row {number}");
        }
        assert_eq!(found.len(), expected.len());
        let report = one.report();
        assert_eq!((&report["late"], &report["windowed"]), (&json!(late), &json!(14_000 - late)));
        for (name, processes, workers) in [("three", 1, 3), ("two-by-two", 2, 2)] {
            let job = self.job(name).processes(processes).workers(workers);
            job.run();
            assert!(job.alerts() == alerts, "{name}: other bytes than one worker");
        }
        self.check_kills(&alerts);
        self.check_drained();
    }

    /// A job that is told to stop accounts for every record that it has read, also for those that wait.
    fn check_drained(&self) {
        let job = self.job("drained").set("source.events.rate", 7_000);
        let running = job.invocation().start();
        eventually("some rows are put out", LIMIT, || (job.alerts().len() > 1_000).then_some(()));
        running.signal(Signal::SIGTERM);
        running.wait(LIMIT).expect_code(0);
        let report = job.report();
        let (read, late) = (report["read"].as_u64().unwrap_or(0), report["late"].as_u64().unwrap_or(0));
        assert!((1..14_000).contains(&read) && report["finished"] == json!(false), "{report}");
        assert!(report["windowed"].as_u64().is_some_and(|windowed| windowed + late <= read), "{report}");
    }

    /// The job is killed several times, and goes on with another number of workers.
    fn check_kills(&self, alerts: &[u8]) {
        let mut random = Random::new(seed(5));
        let job = self.job("killed").with_state().set("state.checkpoint_every", "\"100ms\"");
        for kill in 0..6 {
            let slow = job.clone().set("source.events.rate", 7_000);
            let running = slow.workers(1 + kill % 3).invocation().start();
            std::thread::sleep(Duration::from_millis(200 + random.below(500)));
            running.kill();
            assert!(alerts.starts_with(&job.alerts()), "kill {kill}: not a prefix of the answer");
        }
        assert!(!job.alerts().is_empty() && job.alerts().len() < alerts.len(), "killed half way");
        job.clone().workers(2).run();
        assert!(job.alerts() == alerts, "other bytes after kills");
        assert_eq!(job.report()["read"], 14_000);
    }
}

#[test]
fn sessions_are_those_of_the_rules_for_any_workers_and_kills() {
    let setup = setup("type = 'session'\ngap = '8s'", 31);
    let (rows, late) = sessions(&setup.events, 8_000);
    assert!(rows.len() > 2_000 && late > 100, "{} sessions, {late} late", rows.len());
    setup.check(&rows, late);
}

#[test]
fn count_windows_are_those_of_the_rules_for_any_workers_and_kills() {
    let setup = setup("type = 'count'\nsize = 12", 32);
    setup.check(&counts(&setup.events, 12, 12), 0);
}

#[test]
fn count_windows_that_overlap_are_those_of_the_rules_for_any_workers_and_kills() {
    let setup = setup("type = 'count'\nsize = 10\nslide = 4", 33);
    setup.check(&counts(&setup.events, 10, 4), 0);
}

#[test]
fn every_event_can_be_a_row_for_any_workers_and_kills() {
    let setup = setup("type = 'each'", 34);
    setup.check(&counts(&setup.events, 1, 1), 0);
}
