//! Episodes as whole jobs: what the rows of the reference job say window by window, told in a few words, for any number of
//! workers and through kills.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use event::{ChangeKind, Severity};
use serde_json::Value;
use testkit::arrival::{delayed, workload_time};
use testkit::job::{Job, json_lines};
use testkit::oracle::episodes::{Life, Word, episodes};
use testkit::random::{Random, seed};
use testkit::workload::{generate, reference};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");

const MINUTE: i64 = 60_000;

/// In minutes, as the job below has them.
const LIFE: Life = Life { bad_windows: 2, within: 3, resolve_after: 2, longest: 15, cooldown: 5 };

fn input(folder: &Path) -> PathBuf {
    let file = folder.join("events.ndjson");
    generate(60_000, 800, 12, &["--low-frac", "0.1"], &file);
    let lines = std::fs::read(&file).expect("events");
    let events = delayed(lines.split_inclusive(|&b| b == b'\n'), workload_time, 4_000, 0.05, 4).concat();
    std::fs::write(&file, events).expect("write");
    file
}

fn job(folder: &Path, input: &Path) -> Job {
    let columns = r#"["user_id", "window_end", "severity", "state", "events"]"#;
    of_episodes(Job::reference(PROGRAM, folder, input)).set("sink.alerts.columns", columns)
}

fn of_episodes(job: Job) -> Job {
    job.set("source.events.lanes", 3)
        .set("state.checkpoint_every", "\"100ms\"")
        .set("rules.low-engagement.escalate", r#"{ when = "exits >= 2", severity = "critical" }"#)
        .set("alerts.open_after", "\"2 of 3\"")
        .set("alerts.resolve_after", "\"2m\"")
        .set("alerts.longest", "\"15m\"")
        .set("alerts.cooldown", "\"5m\"")
}

/// What is put out of a word: user, end of the window, severity, state.
type Line = (String, i64, &'static str, &'static str);

/// The lines that the rows of the reference must give, in their order.
fn expected(input: &Path) -> Vec<Line> {
    let mut bad: BTreeMap<String, Vec<(i64, Severity)>> = BTreeMap::new();
    let rows = input.with_extension("rows");
    reference(input, &rows);
    for row in json_lines(&std::fs::read(&rows).expect("rows")) {
        let number = |name: &str| row[name].as_i64().expect("a number");
        let severity = if number("exits") >= 2 { Severity::Critical } else { Severity::Warning };
        let end = number("window_end");
        assert_eq!(end % MINUTE, 0);
        bad.entry(row["user_id"].as_str().expect("a text").to_owned())
            .or_default()
            .push((end / MINUTE, severity));
    }
    let mut words: Vec<(i64, bool, i64, String, Word)> = Vec::new();
    for (user, mut bad) in bad {
        bad.sort_unstable();
        let until = bad.last().map_or(0, |(end, _)| end + 100);
        for word in episodes(LIFE, &bad, until) {
            // What is over comes behind what windows say at the same time.
            words.push((word.due, word.kind == ChangeKind::Resolved, word.about, user.clone(), word));
        }
    }
    words.sort_by(|a, b| (a.0, a.1, a.2, &a.3).cmp(&(b.0, b.1, b.2, &b.3)));
    words
        .into_iter()
        .map(|(.., user, word)| (user, word.about * MINUTE, word.severity.name(), word.kind.name()))
        .collect()
}

fn lines(bytes: &[u8]) -> Vec<(String, i64, String, String)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let line = |row: &Value| {
        let end = row["window_end"].as_i64().expect("a number");
        assert_eq!(row["events"].is_null(), row["state"] == "resolved", "{row}");
        (text(&row["user_id"]), end, text(&row["severity"]), text(&row["state"]))
    };
    json_lines(bytes).iter().map(line).collect()
}

fn owned(lines: Vec<Line>) -> Vec<(String, i64, String, String)> {
    let owned = |(user, end, severity, state): Line| (user, end, severity.to_owned(), state.to_owned());
    lines.into_iter().map(owned).collect()
}

#[test]
fn windows_of_a_user_that_are_bad_one_after_the_other_are_one_episode() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let expected = owned(expected(&input));
    for state in ["opened", "updated", "resolved", "reopened"] {
        assert!(expected.iter().filter(|(.., found)| found == state).count() > 20, "{state}");
    }
    let job = job(&folder.path().join("1"), &input);
    job.run();
    let (found, bytes) = (lines(&job.alerts()), job.alerts());
    assert_eq!(found.len(), expected.len());
    for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(found, expected, "line {place}");
    }
    assert_eq!(job.report()["alerts"], expected.len());
    for (processes, workers) in [(1, 3), (2, 2)] {
        let other = self::job(&folder.path().join(format!("{processes}x{workers}")), &input);
        let other = other.processes(processes).workers(workers);
        other.run();
        assert!(other.alerts() == bytes, "{processes} processes of {workers} workers: other bytes");
    }
}

#[test]
fn episodes_go_on_after_any_kill_with_any_number_of_workers() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let expected = owned(expected(&input));
    let mut random = Random::new(seed(31));
    let job = job(&folder.path().join("out"), &input);
    let mut committed = 0;
    for _ in 0..8 {
        let slow = job.clone().set("source.events.rate", 6_000).workers(1 + random.below(3) as usize);
        let running = slow.invocation().start();
        std::thread::sleep(Duration::from_millis(300 + random.below(900)));
        running.kill();
        let now = lines(&job.alerts());
        assert!(now.len() >= committed && expected.starts_with(&now), "no prefix of the answer");
        committed = now.len();
    }
    assert!(committed > 0 && committed < expected.len(), "{committed} lines: killed too early or too late");
    job.workers(2).run();
    assert_eq!(lines(&self::job(&folder.path().join("out"), &input).alerts()), expected);
}

#[test]
fn alerts_of_an_episode_share_its_name_and_say_what_became_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let job = of_episodes(Job::reference_alerts(PROGRAM, folder.path(), "out", &input));
    job.run();
    let alerts = json_lines(&job.alerts());
    let mut ids: Vec<&str> = alerts.iter().map(|alert| alert["id"].as_str().expect("an id")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), alerts.len(), "each has an id of its own");
    let mut told: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for alert in &alerts {
        let data = &alert["data"];
        let episode = data["episode"].as_str().expect("an episode");
        told.entry(episode).or_default().push(data["state"].as_str().expect("a state"));
        assert!(data["windows"].as_u64().is_some_and(|windows| windows >= 2), "{alert}");
    }
    for states in told.values() {
        let (first, last) = (states.first(), states.last());
        assert_eq!((first, last), (Some(&"opened"), Some(&"resolved")), "{states:?}");
    }
}

/// Windows of a minute, and late events that may correct them for three more.
const CORRECTED: &str = r#"
name = "corrected"
[source.events]
type = "file"
lanes = 1
[event]
key = "user"
time = { field = "ts", unit = "ms" }
[event.fields]
kind = "varchar"
[time]
out_of_order = "0s"
[window]
type = "tumbling"
size = "1m"
allowed_lateness = "3m"
[features]
plays = "count(*) FILTER (WHERE kind = 'play')"
exits = "count(*) FILTER (WHERE kind = 'exit')"
[rules.leaving]
when = "exits > plays"
escalate = { when = "exits > 9", severity = "critical" }
[alerts]
open_after = 1
resolve_after = "10m"
[sink.alerts]
type = "file"
"#;

fn event(user: &str, second: i64, kind: &str) -> String {
    format!("{{\"user\":\"{user}\",\"ts\":{},\"kind\":\"{kind}\"}}\n", 1_700_000_040_000 + second * 1000)
}

#[test]
fn late_events_withdraw_what_never_was_and_open_what_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let many = |user: &str, second: i64, kind: &str, times: usize| event(user, second, kind).repeat(times);
    let events = [
        many("cleared", 10, "exit", 2),
        many("caught", 11, "play", 1),
        many("worse", 12, "exit", 3),
        many("same", 13, "exit", 3),
        // The first window is closed by then.
        many("clock", 70, "play", 1),
        many("cleared", 14, "play", 5),
        many("caught", 15, "exit", 4),
        many("worse", 16, "exit", 9),
        many("same", 17, "exit", 1),
        many("unseen", 18, "exit", 1),
    ]
    .concat();
    let clock: String = (2..20).map(|minute| event("clock", minute * 60 + 10, "play")).collect();
    let (input, config) = (folder.path().join("events.ndjson"), folder.path().join("corrected.toml"));
    std::fs::write(&input, events + &clock).expect("write");
    std::fs::write(&config, CORRECTED).expect("write");
    let job = |name: &str| {
        Job::new(PROGRAM, &config, folder.path().join(name)).on(&input).with_alerts().with_state()
    };
    let once = job("once");
    once.run();
    let mut told: BTreeMap<String, Vec<(String, String, String, bool)>> = BTreeMap::new();
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for alert in json_lines(&once.alerts()) {
        let data = &alert["data"];
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let start = text(&data["window"]["start"]);
        assert_eq!(start, "2023-11-14T22:14:00Z", "all is about the first minute: {alert}");
        let word = (text(&data["state"]), text(&data["severity"]), text(&data["key"]), data["revision"] == 1);
        names.entry(word.2.clone()).or_default().push(text(&data["episode"]));
        told.entry(word.2.clone()).or_default().push(word);
    }
    let states = |user: &str| -> Vec<(&str, &str, bool)> {
        let words = told.get(user).map(Vec::as_slice).unwrap_or_default();
        words
            .iter()
            .map(|(state, severity, _, revised)| (state.as_str(), severity.as_str(), *revised))
            .collect()
    };
    assert_eq!(states("cleared"), [("opened", "warning", false), ("withdrawn", "warning", false)]);
    assert_eq!(states("caught"), [("opened", "warning", true), ("resolved", "warning", false)]);
    let worse =
        [("opened", "warning", false), ("updated", "critical", true), ("resolved", "critical", false)];
    assert_eq!(states("worse"), worse);
    assert_eq!(states("same"), [("opened", "warning", false), ("resolved", "warning", false)]);
    // Its window had no row in time.
    assert_eq!(states("unseen"), [("opened", "warning", false), ("resolved", "warning", false)]);
    assert_eq!(states("clock"), []);
    for (user, names) in names {
        assert!(names.iter().all(|name| *name == names[0]), "{user}: {names:?}");
    }
    let other = job("other").workers(3);
    other.run();
    assert!(other.alerts() == once.alerts(), "other bytes with three workers");
}

#[test]
fn what_is_corrected_is_the_same_with_any_workers_and_kills() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events.ndjson");
    generate(60_000, 800, 12, &["--low-frac", "0.1"], &file);
    let lines = std::fs::read(&file).expect("events");
    // Some are late by more than the windows wait.
    let late = delayed(lines.split_inclusive(|&b| b == b'\n'), workload_time, 150_000, 0.3, 5).concat();
    std::fs::write(&file, late).expect("write");
    let job = |name: &str| {
        let columns = r#"["user_id", "window_end", "severity", "state", "events"]"#;
        of_episodes(Job::reference(PROGRAM, folder.path().join(name), &file))
            .set("sink.alerts.columns", columns)
            .set("window.size", "\"1m\"")
            .set("window.allowed_lateness", "\"4m\"")
            .set("rules.low-engagement.min_events", 2)
            .set("alerts.open_after", 1)
            .set("alerts.resolve_after", "\"6m\"")
    };
    let once = job("once");
    once.run();
    let bytes = once.alerts();
    let states: Vec<String> =
        json_lines(&bytes).iter().map(|row| row["state"].as_str().expect("a state").to_owned()).collect();
    let withdrawn = states.iter().filter(|state| *state == "withdrawn").count();
    assert!(states.len() > 200 && withdrawn > 2, "{} words, {withdrawn} withdrawn", states.len());
    for (processes, workers) in [(1, 3), (2, 2)] {
        let other = job(&format!("{processes}x{workers}")).processes(processes).workers(workers);
        other.run();
        assert!(other.alerts() == bytes, "{processes} processes of {workers} workers: other bytes");
    }
    let (killed, mut random) = (job("killed"), Random::new(seed(32)));
    for _ in 0..6 {
        let slow = killed.clone().set("source.events.rate", 6_000).workers(1 + random.below(3) as usize);
        let running = slow.invocation().start();
        std::thread::sleep(Duration::from_millis(300 + random.below(900)));
        running.kill();
        assert!(bytes.starts_with(&killed.alerts()), "no prefix of the answer");
    }
    killed.workers(2).run();
    assert!(job("killed").alerts() == bytes, "other bytes after kills");
}
