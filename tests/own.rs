//! Aggregates that a program brings along, in whole jobs: against values computed of the whole file at once, for any
//! number of workers, through a stop and a start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use testkit::arrival::{delayed, workload_time};
use testkit::job::json_lines;
use testkit::process::eventually;
use testkit::workload::generate;
use tidewatch::prelude::*;
use tidewatch::stream::{Events, Window, Windowed};

/// The lower median.
struct Median {
    version: u32,
}

impl Aggregate for Median {
    type Argument = f64;
    type State = Vec<f64>;
    type Output = f64;

    fn name(&self) -> &str {
        "median"
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn add(&self, values: &mut Vec<f64>, value: f64) {
        values.push(value);
    }

    fn merge(&self, values: &mut Vec<f64>, other: &Vec<f64>) {
        values.extend(other);
    }

    fn result(&self, values: &Vec<f64>) -> Option<f64> {
        let mut values = values.clone();
        values.sort_by(f64::total_cmp);
        values.get(values.len().saturating_sub(1) / 2).copied()
    }
}

const MEDIAN: Median = Median { version: 0 };

/// The kinds of events, as a list of their first letters.
struct Kinds;

impl Aggregate for Kinds {
    type Argument = str;
    type State = [u32; 26];
    type Output = String;

    fn name(&self) -> &str {
        "kinds"
    }

    fn add(&self, counts: &mut [u32; 26], kind: &str) {
        if let Some(letter) = kind.bytes().next().filter(u8::is_ascii_lowercase) {
            counts[usize::from(letter - b'a')] += 1;
        }
    }

    fn merge(&self, counts: &mut [u32; 26], other: &[u32; 26]) {
        counts.iter_mut().zip(other).for_each(|(count, other)| *count += other);
    }

    fn result(&self, counts: &[u32; 26]) -> Option<String> {
        let letters = (b'a'..=b'z').zip(counts).filter(|(_, count)| **count > 0);
        Some(letters.map(|(letter, count)| format!("{}{count}", char::from(letter))).collect())
    }
}

#[derive(Debug, Clone)]
struct Event {
    user: String,
    time: i64,
    kind: String,
    duration: f64,
}

fn workload(folder: &Path, events: u64) -> PathBuf {
    let input = folder.join("events.ndjson");
    generate(events, 50, 3, &[], &input);
    let lines = std::fs::read(&input).expect("events");
    // Out of order, and nothing late.
    let moved = delayed(lines.split_inclusive(|&b| b == b'\n'), workload_time, 5_000, 0.5, 4);
    std::fs::write(&input, moved.concat()).expect("write");
    input
}

/// The events by user, in the order of the file.
fn by_user(input: &Path) -> BTreeMap<String, Vec<Event>> {
    let mut users: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for line in json_lines(&std::fs::read(input).expect("events")) {
        let text = |name: &str| line[name].as_str().expect("a text").to_owned();
        let event = Event {
            user: text("user_id"),
            time: line["ts"].as_i64().expect("a time"),
            kind: text("event_type"),
            duration: line["duration_s"].as_f64().expect("a number"),
        };
        users.entry(event.user.clone()).or_default().push(event);
    }
    users
}

/// What a row says: median of the durations of what was listened to, kinds, and how many events there were.
type Row = (Option<f64>, String, u64);

fn naive(events: &[Event]) -> Row {
    let listened: Vec<f64> = events.iter().filter(|e| e.kind == "listen").map(|e| e.duration).collect();
    let at_most = |value: f64| listened.iter().filter(|other| **other <= value).count();
    let half = listened.len().div_ceil(2);
    let median = listened.iter().copied().filter(|value| at_most(*value) >= half).min_by(f64::total_cmp);
    let mut letters: Vec<char> = events.iter().filter_map(|event| event.kind.chars().next()).collect();
    letters.sort_unstable();
    let runs = letters.chunk_by(|a, b| a == b);
    (median, runs.map(|run| format!("{}{}", run[0], run.len())).collect(), events.len() as u64)
}

/// Rows by user, start and end.
type Rows = BTreeMap<(String, i64, i64), Row>;

fn rows_of(out: &Path) -> Rows {
    let rows = json_lines(&std::fs::read(out).expect("rows")).into_iter().map(|row| {
        let number = |name: &str| row[name].as_i64().expect("a number");
        let place = (
            row["user_id"].as_str().expect("a user").to_owned(),
            number("window_start"),
            number("window_end"),
        );
        let kinds = row["kinds"].as_str().expect("kinds").to_owned();
        let median = match &row["median_s"] {
            Value::Null => None,
            median => Some(median.as_f64().expect("a number")),
        };
        (place, (median, kinds, number("events") as u64))
    });
    rows.collect()
}

fn source(input: &Path) -> Events {
    // In one part, so that the order of the file is that of its events.
    events(file(input).lanes(1))
        .named("own")
        .time("ts", Millis)
        .field("event_type", Varchar)
        .field("duration_s", Double)
        .out_of_order(seconds(5))
}

fn job(input: &Path, window: Window, out: &Path) -> Windowed {
    source(input)
        .with_aggregate(MEDIAN)
        .key_by("user_id")
        .window(window)
        .with_aggregate(Kinds)
        .aggregate("events", "count(*)")
        .aggregate("median_s", "median(duration_s) FILTER (WHERE event_type = 'listen')")
        .aggregate("kinds", "kinds(event_type)")
        .alert_to(file(out).plain(["user_id", "window_start", "window_end", "events", "median_s", "kinds"]))
}

/// Every window of some size that starts at a multiple of the slide.
fn sliding_rows(users: &BTreeMap<String, Vec<Event>>, size: i64, slide: i64) -> Rows {
    let mut held: BTreeMap<(String, i64, i64), Vec<Event>> = BTreeMap::new();
    for event in users.values().flatten() {
        let mut start = event.time - event.time.rem_euclid(slide);
        while start > event.time - size {
            held.entry((event.user.clone(), start, start + size)).or_default().push(event.clone());
            start -= slide;
        }
    }
    held.into_iter().map(|(place, events)| (place, naive(&events))).collect()
}

fn session_rows(users: &BTreeMap<String, Vec<Event>>, gap: i64) -> Rows {
    let mut rows = Rows::new();
    for (user, events) in users {
        let mut events = events.clone();
        events.sort_by_key(|event| event.time);
        for session in events.chunk_by(|a, b| b.time - a.time <= gap) {
            let (start, end) = (session[0].time, session[session.len() - 1].time + gap);
            rows.insert((user.clone(), start, end), naive(session));
        }
    }
    rows
}

fn count_rows(users: &BTreeMap<String, Vec<Event>>, size: usize, slide: usize) -> Rows {
    let mut rows = Rows::new();
    for (user, events) in users {
        for end in (slide..=events.len()).step_by(slide) {
            let held = &events[end.saturating_sub(size)..end];
            let times = || held.iter().map(|event| event.time);
            let (start, end) = (times().min().expect("an event"), times().max().expect("an event") + 1);
            rows.insert((user.clone(), start, end), naive(held));
        }
    }
    rows
}

#[test]
fn own_aggregates_are_those_of_the_events_of_a_window_whatever_the_windows_and_workers_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = workload(folder.path(), 20_000);
    let users = by_user(&input);
    let minute = 60_000;
    let cases = [
        ("sliding", sliding(minutes(10), minutes(3)), sliding_rows(&users, 10 * minute, 3 * minute)),
        ("tumbling", tumbling(minutes(5)), sliding_rows(&users, 5 * minute, 5 * minute)),
        ("session", session(seconds(40)), session_rows(&users, 40_000)),
        ("count", count(30).slide(7), count_rows(&users, 30, 7)),
    ];
    for (name, window, expected) in cases {
        assert!(expected.len() > 200, "{name}: {}", expected.len());
        for workers_of_run in [1, 3] {
            let out = folder.path().join(format!("{name}-{workers_of_run}.ndjson"));
            let job = job(&input, window.clone(), &out).build().expect("a job");
            job.run(workers(workers_of_run)).expect("a run");
            let rows = rows_of(&out);
            for (place, row) in &expected {
                // The end of a count window is a microsecond behind its last event.
                let found = rows.get(place).or_else(|| rows.get(&(place.0.clone(), place.1, place.2 - 1)));
                assert_eq!((place, found), (place, Some(row)), "{name}, {workers_of_run} workers");
            }
            assert_eq!(rows.len(), expected.len(), "{name}, {workers_of_run} workers");
        }
    }
}

#[test]
fn a_job_with_own_aggregates_goes_on_where_it_stopped_and_refuses_the_state_of_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = workload(folder.path(), 20_000);
    let (whole, parts) = (folder.path().join("whole.ndjson"), folder.path().join("parts.ndjson"));
    let window = || sliding(minutes(10), minutes(3));
    job(&input, window(), &whole).build().expect("a job").run(workers(2)).expect("a run");
    let state = folder.path().join("state").display().to_string();
    let build = |rate: &str| {
        job(&input, window(), &parts).state(&state, every(millis(50))).set(rate).build().expect("a job")
    };
    for count in [2, 3] {
        let slow = build("source.events.rate=8000");
        let handle = slow.handle();
        let run = std::thread::spawn(move || slow.run(workers(count)));
        eventually("progress", Duration::from_secs(60), || (handle.progress().read > 4_000).then_some(()));
        handle.drain();
        let summary = run.join().expect("no panic").expect("a run");
        assert!(!summary.finished && summary.counts.read < 20_000, "{summary:?}");
    }
    let other = source(&input)
        .with_aggregate(Median { version: 1 })
        .with_aggregate(Kinds)
        .key_by("user_id")
        .window(window())
        .aggregate("events", "count(*)")
        .aggregate("median_s", "median(duration_s) FILTER (WHERE event_type = 'listen')")
        .aggregate("kinds", "kinds(event_type)")
        .alert_to(file(&parts).plain([
            "user_id",
            "window_start",
            "window_end",
            "events",
            "median_s",
            "kinds",
        ]))
        .state(&state, every(millis(50)));
    let refused = other.build().expect("a job").run(workers(1)).expect_err("another version").to_string();
    let words = [
        "aggregates = kinds(varchar) varchar, version 0; median(double) double, version 0",
        "the job now has kinds(varchar) varchar, version 0; median(double) double, version 1",
    ];
    assert!(words.iter().all(|words| refused.contains(words)), "{refused}");

    let summary = build("flow.tick=1ms").run(workers(1)).expect("a run");
    assert!(summary.finished && summary.counts.read == 20_000, "{summary:?}");
    assert!(std::fs::read(&whole).expect("rows") == std::fs::read(&parts).expect("rows"), "other bytes");
}

#[test]
fn what_an_own_aggregate_does_not_take_is_said_at_its_word() {
    let feature = |expression: &str| {
        let job = source(Path::new("events.ndjson")).with_aggregate(MEDIAN).key_by("user_id").window(each());
        let job = job.aggregate("x", expression).alert_to(stdout().plain(["user_id", "x"]));
        let found = job.build().map(|_| Vec::new()).unwrap_or_else(|mistakes| mistakes.diagnostics);
        found
            .iter()
            .map(|found| found.message.clone() + found.help.as_deref().map_or("", |_| " ?"))
            .collect::<Vec<_>>()
    };
    let none: [&str; 0] = [];
    for good in
        ["median(duration_s) + 1", "MEDIAN(length(event_type))", "median(NULL)", "median(1) / count(*)"]
    {
        assert_eq!(feature(good), none, "{good}");
    }
    for (bad, message) in [
        ("median(event_type)", "`median` takes a double, found a varchar ?"),
        ("median()", "`median` takes one argument"),
        ("median(*)", "`median` takes one argument"),
        ("median(duration_s, 2)", "`median` takes one argument"),
        ("median(DISTINCT duration_s)", "`median` does not take DISTINCT ?"),
        ("medain(duration_s)", "unknown function `medain` ?"),
        ("median(sum(duration_s))", "the aggregate `sum` stands inside another aggregate"),
    ] {
        assert_eq!(feature(bad), [message], "{bad}");
    }
}

#[test]
fn a_config_in_toml_may_use_the_aggregates_of_the_program_that_runs_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = workload(folder.path(), 5_000);
    let (config, out) = (folder.path().join("job.toml"), folder.path().join("rows.ndjson"));
    let text = r#"
        [source.events]
        path = "set by the test"
        lanes = 1
        [event]
        key = "user_id"
        time = { field = "ts", unit = "ms" }
        fields = { event_type = "varchar", duration_s = "double" }
        [window]
        type = "tumbling"
        size = "5m"
        [features]
        events = "count(*)"
        median_s = "median(duration_s) FILTER (WHERE event_type = 'listen')"
        kinds = "kinds(event_type)"
        [sink.rows]
        path = "set by the test"
        format = "plain"
        columns = ["user_id", "window_start", "window_end", "events", "median_s", "kinds"]
    "#;
    std::fs::write(&config, text).expect("write");
    let file = || {
        let file = from_file(&config).set(&format!("source.events.path={}", input.display()));
        file.set(&format!("sink.rows.path={}", out.display()))
    };
    let job = file().with_aggregate(MEDIAN).with_aggregate(Kinds).build().expect("a job");
    job.run(workers(2)).expect("a run");
    assert_eq!(rows_of(&out), sliding_rows(&by_user(&input), 300_000, 300_000));

    let mistakes = file().with_aggregate(Kinds).build().expect_err("a mistake").to_string();
    assert!(
        mistakes.contains("unknown function `median`") && mistakes.contains("job.toml:14:"),
        "{mistakes}"
    );
    let mistakes = file().with_aggregate(Kinds).with_aggregate(Named("sum")).with_aggregate(MEDIAN).build();
    assert_eq!(mistakes.expect_err("a mistake").to_string(), "error[E0302]: `sum` is built in");
    let missing = from_file(folder.path().join("none.toml")).build().expect_err("no such file");
    assert!(missing.to_string().starts_with("error[E0108]: cannot read the config"), "{missing}");
}

/// An aggregate that one value is too much for.
struct Fragile;

impl Aggregate for Fragile {
    type Argument = f64;
    type State = ();
    type Output = bool;

    fn name(&self) -> &str {
        "fragile"
    }

    fn add(&self, (): &mut (), value: f64) {
        assert!(value < 600.0, "so long an event");
    }

    fn merge(&self, (): &mut (), (): &()) {}

    fn result(&self, (): &()) -> Option<bool> {
        None
    }
}

#[test]
fn an_aggregate_that_panics_ends_its_run_with_its_words_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = workload(folder.path(), 5_000);
    let job = |name: &str, out: &str| {
        let job = source(&input).with_aggregate(Fragile).key_by("user_id").window(tumbling(minutes(5)));
        let rows = file(folder.path().join(out)).plain(["user_id", "x"]);
        job.aggregate("x", name).alert_to(rows).build().expect("a job")
    };
    let other = job("fragile(duration_s) FILTER (WHERE duration_s < 600)", "whole.ndjson");
    let other = std::thread::spawn(|| other.run(workers(1)));
    let failure = job("fragile(duration_s + 600)", "broken.ndjson").run(workers(2)).expect_err("a panic");
    assert!(failure.to_string().contains("so long an event"), "{failure}");
    other.join().expect("no panic of the test's own").expect("the other run ends well");
}

/// An aggregate of that name.
struct Named(&'static str);

impl Aggregate for Named {
    type Argument = i64;
    type State = i64;
    type Output = i64;

    fn name(&self) -> &str {
        self.0
    }

    fn add(&self, sum: &mut i64, value: i64) {
        *sum = sum.wrapping_add(value);
    }

    fn merge(&self, sum: &mut i64, other: &i64) {
        *sum = sum.wrapping_add(*other);
    }

    fn result(&self, sum: &i64) -> Option<i64> {
        Some(*sum)
    }
}

#[test]
fn a_name_that_is_built_in_or_cannot_be_called_is_refused() {
    for (name, message) in [
        ("sum", "`sum` is built in"),
        ("round", "`round` is built in"),
        ("Total", "`Total` is no name of an aggregate: it has small letters, digits and `_`"),
        ("", "`` is no name of an aggregate: it has small letters, digits and `_`"),
        ("median", "there are two aggregates `median`"),
    ] {
        let job = source(Path::new("events.ndjson")).with_aggregate(MEDIAN).with_aggregate(Named(name));
        let job = job.key_by("user_id").window(each()).aggregate("n", "count(*)");
        let mistakes = job.alert_to(stdout().plain("n")).build().expect_err("a mistake");
        assert_eq!(mistakes.diagnostics.len(), 1, "{mistakes}");
        assert_eq!(mistakes.diagnostics[0].message, message);
        assert!(mistakes.to_string().contains(&format!(".with_aggregate({name})")), "{mistakes}");
    }
}
