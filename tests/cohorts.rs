//! Keys beside their cohorts, in whole processes: percentiles and ranks are those of the plain rows, sorted, corrected rows
//! included; and any number of workers, and any kills, give the same bytes.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use testkit::arrival::{delayed, workload_time};
use testkit::job::{Job, json_lines};
use testkit::process::eventually;
use testkit::random::{Random, seed};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");
const USERS: u64 = 160;
const MINUTES: i64 = 12;
const DEVICES: [&str; 3] = ["car", "tv", "web"];
/// Users of a device that are few enough to say nothing of.
const MEMBERS: u64 = 30;
const K: usize = 4;
/// Event time for which rows are corrected, no whole number of windows.
const LATENESS_MS: i64 = 150_000;

/// Events of users with a device each, which they leave now and then. Few enough in a minute that each count has a bin of its own.
fn input(folder: &Path) -> PathBuf {
    let mut random = Random::new(seed(51));
    let mut lines = Vec::new();
    for minute in 0..MINUTES {
        for user in 0..USERS {
            for _ in 0..random.below(2 + user % 13) {
                let at = 1_700_000_040_000 + minute * 60_000 + random.below(60_000) as i64;
                // A third of the users have the first device, and few the last one.
                let own = if user % 3 == 0 { 0 } else { 1 + usize::from(user % 9 == 1) };
                let device = DEVICES[if random.chance(0.02) { random.below(3) as usize } else { own }];
                lines.push((
                    at,
                    format!("{{\"user_id\":\"user-{user:03}\",\"ts\":{at},\"device\":\"{device}\"}}\n"),
                ));
            }
        }
    }
    lines.sort();
    let lines: Vec<&[u8]> = lines.iter().map(|(_, line)| line.as_bytes()).collect();
    // Some are up to a minute and a half behind, where 5 s are waited for.
    let events = delayed(lines, workload_time, 90_000, 0.08, 6).concat();
    let file = folder.join("events.ndjson");
    std::fs::write(&file, events).expect("write");
    file
}

/// Every row, with what is said of it.
fn job(folder: &Path, input: &Path, lateness_ms: i64) -> Job {
    let columns = r#"["user_id", "window_end", "device", "events", "low", "low_percentile", "low_members", "wide", "wide_percentile", "wide_members", "worst"]"#;
    let low = format!("cohort(events, by => 'device', open => 10, close => 25, members => {MEMBERS})");
    let wide = "cohort(events, direction => 'both', over => 3, members => 1)";
    let worst = format!("top_k(nullif(events, 3), by => 'device', k => {K}, direction => 'high')");
    let text = |text: &str| format!("{text:?}");
    Job::new(PROGRAM, "configs/podcast-reference.toml", folder)
        .on(input)
        .with_alerts()
        .with_state()
        .set("event.fields", "{ device = 'varchar' }")
        .set("source.events.lanes", 3)
        .set("state.checkpoint_every", "\"100ms\"")
        .set("window", format!("{{ type = 'tumbling', size = '1m', allowed_lateness = '{lateness_ms}ms' }}"))
        .set("features", "{ events = 'count(*)', device = 'max(device)' }")
        .set("score", format!("{{ low = {}, wide = {}, worst = {} }}", text(&low), text(wide), text(&worst)))
        .set("rules.low-engagement.when", "true")
        .set("rules.low-engagement.min_events", 0)
        .set("sink.alerts.columns", columns)
}

struct Row {
    user: String,
    /// Milliseconds.
    end: i64,
    due: i64,
    device: String,
    events: u64,
    said: Value,
}

/// The rows in the order in which they were put out, with when they are due: with their window, or later if that is over.
fn rows(bytes: &[u8]) -> Vec<Row> {
    let mut reached = i64::MIN;
    let row = |said: Value| {
        let end = said["window_end"].as_i64().expect("an end");
        let due = if end >= reached { end } else { end + LATENESS_MS };
        assert!(due >= reached, "out of order");
        reached = due;
        let text = |name: &str| said[name].as_str().expect("a text").to_owned();
        let events = said["events"].as_u64().expect("a count");
        Row { user: text("user_id"), end, due, device: text("device"), events, said }
    };
    json_lines(bytes).into_iter().map(row).collect()
}

/// The last row of each user in a window.
type Known = BTreeMap<i64, BTreeMap<String, (String, u64)>>;

/// How many percent of the values lie below one, of equal ones half.
fn percentile(values: &[u64], value: u64) -> f64 {
    let below = values.iter().filter(|other| **other < value).count() as f64;
    let same = values.iter().filter(|other| **other == value).count() as f64;
    100.0 * (below + same / 2.0) / values.len() as f64
}

fn near(found: &Value, expected: f64) -> bool {
    found.as_f64().is_some_and(|found| (found - expected).abs() < 1e-9 * (1.0 + expected))
}

/// What was seen of the kinds of rows.
#[derive(Debug, Default)]
struct Seen {
    scored: usize,
    small: usize,
    odd: usize,
    between: usize,
    ranked: usize,
    corrected: usize,
}

/// Compares what is said of each row with the plain rows of its time, sorted.
fn check(rows: &[Row]) -> Seen {
    let (mut known, mut latched, mut seen) = (Known::new(), BTreeMap::<&str, bool>::new(), Seen::default());
    for together in rows.chunk_by(|a, b| a.due == b.due) {
        let is_corrected = |row: &Row| known.get(&row.end).is_some_and(|users| users.contains_key(&row.user));
        let corrected: Vec<bool> = together.iter().map(is_corrected).collect();
        for row in together {
            known.entry(row.end).or_default().insert(row.user.clone(), (row.device.clone(), row.events));
        }
        for (row, corrected) in together.iter().zip(corrected) {
            seen.corrected += usize::from(corrected);
            let alike = known[&row.end].iter().filter(|(_, (device, _))| *device == row.device);
            let values: Vec<u64> = alike.clone().map(|(_, (_, events))| *events).collect();
            let said = |name: &str| &row.said[name];
            assert_eq!(said("low_members").as_f64(), Some(values.len() as f64), "{}", row.said);
            let latch = latched.entry(&row.user).or_default();
            if (values.len() as u64) < MEMBERS {
                seen.small += 1;
                assert!(said("low").is_null() && said("low_percentile").is_null(), "{}", row.said);
            } else {
                seen.scored += 1;
                let percentile = percentile(&values, row.events);
                assert!(near(said("low_percentile"), percentile), "{percentile}: {}", row.said);
                let is = percentile < 10.0 || (*latch && percentile < 25.0);
                if !corrected {
                    let score = 10.0 / percentile + if is { 1.0 - 10.0 / 25.0 } else { 0.0 };
                    assert!(near(said("low"), score), "{score}: {}", row.said);
                    seen.odd += usize::from(is);
                    seen.between += usize::from(is && percentile >= 10.0);
                    *latch = is;
                }
            }
            let windows = known.range(row.end - 2 * 60_000..=row.end).flat_map(|(_, users)| users.values());
            let values: Vec<u64> = windows.map(|(_, events)| *events).collect();
            assert_eq!(said("wide_members").as_f64(), Some(values.len() as f64), "{}", row.said);
            assert!(near(said("wide_percentile"), percentile(&values, row.events)), "{}", row.said);
            let mut ordered: Vec<(std::cmp::Reverse<u64>, &str)> = alike
                .filter(|(_, (_, events))| *events != 3)
                .map(|(user, (_, events))| (std::cmp::Reverse(*events), user.as_str()))
                .collect();
            ordered.sort_unstable();
            let rank = ordered.iter().take(K).position(|(_, user)| *user == row.user);
            assert_eq!(said("worst").as_f64(), rank.map(|rank| rank as f64 + 1.0), "{}", row.said);
            seen.ranked += usize::from(rank.is_some());
        }
    }
    seen
}

#[test]
fn percentiles_and_ranks_are_those_of_the_plain_rows_sorted() {
    let folder = tempfile::tempdir().expect("a folder");
    let job = job(&folder.path().join("out"), &input(folder.path()), 0);
    job.workers(2).run();
    let job = self::job(&folder.path().join("out"), &folder.path().join("events.ndjson"), 0);
    let seen = check(&rows(&job.alerts()));
    assert!(seen.scored > 1_000 && seen.small > 50 && seen.odd > 20 && seen.between > 5, "{seen:?}");
    assert!(seen.ranked > 100 && seen.corrected == 0, "{seen:?}");
}

#[test]
fn a_corrected_row_takes_back_what_it_was_and_is_judged_among_the_corrected() {
    let folder = tempfile::tempdir().expect("a folder");
    let job = job(&folder.path().join("out"), &input(folder.path()), LATENESS_MS);
    job.run();
    let seen = check(&rows(&job.alerts()));
    assert!(seen.scored > 1_000 && seen.odd > 20 && seen.ranked > 100 && seen.corrected > 200, "{seen:?}");
}

fn same_bytes_through_kills(lateness_ms: i64) {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path());
    let once = job(&folder.path().join("1"), &input, lateness_ms);
    once.run();
    let bytes = once.alerts();
    for (processes, workers) in [(1, 3), (2, 2)] {
        let other = job(&folder.path().join(format!("{processes}x{workers}")), &input, lateness_ms);
        let other = other.processes(processes).workers(workers);
        other.run();
        assert!(other.alerts() == bytes, "{processes} processes of {workers} workers: other bytes");
    }
    let mut random = Random::new(seed(38));
    let killed = job(&folder.path().join("killed"), &input, lateness_ms);
    let mut committed = Vec::new();
    for _ in 0..5 {
        let slow = killed.clone().set("source.events.rate", 700).workers(1 + random.below(3) as usize);
        let running = slow.invocation().start();
        // At some moment between what is put out next and what comes behind it.
        eventually("more rows", Duration::from_secs(60), || {
            (killed.alerts().len() > committed.len()).then_some(())
        });
        std::thread::sleep(Duration::from_millis(random.below(300)));
        running.kill();
        let now = killed.alerts();
        assert!(now.starts_with(&committed), "less than before");
        assert!(bytes.starts_with(&now), "{}", difference(&now, &bytes));
        committed = now;
    }
    assert!(
        !committed.is_empty() && committed.len() < bytes.len(),
        "{}: killed too early or too late",
        committed.len()
    );
    killed.clone().workers(2).run();
    assert!(killed.alerts() == bytes, "{}", difference(&killed.alerts(), &bytes));
}

fn difference(found: &[u8], expected: &[u8]) -> String {
    let (found, expected) = (String::from_utf8_lossy(found), String::from_utf8_lossy(expected));
    let mut text = String::new();
    for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        if found != expected {
            let _ = write!(text, "line {number}: {found}\ninstead of {expected}");
            break;
        }
    }
    text
}

#[test]
fn any_number_of_workers_and_any_kills_give_the_same_bytes() {
    same_bytes_through_kills(0);
}

#[test]
fn any_number_of_workers_and_any_kills_give_the_same_corrections() {
    same_bytes_through_kills(LATENESS_MS);
}

#[test]
fn what_cannot_be_is_refused_at_its_word() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |name: &str, value: &str| {
        let job = job(&folder.path().join("out"), Path::new("events.ndjson"), 0).set(name, value);
        let said = job.about(&["check"]).run();
        assert_ne!(said.code(), Some(0), "{value}");
        said.stderr
    };
    let by = |by: &str| refused("score.low", &format!("\"cohort(events, by => '{by}')\""));
    assert!(by("devise").contains("unknown column `devise`"));
    assert!(by("device, events / 2.0").contains("no doubles and no decimals"));
    let options = |call: &str| refused("score.low", &format!("\"{call}\""));
    assert!(options("cohort(events, device)").contains("looks at numbers"));
    assert!(options("cohort(events, events + 1)").contains("`inputs` is 2"));
    assert!(options("cohort(events, open => 5, close => 4)").contains("`close` is 4"));
    assert!(options("top_k(events, direction => 'both')").contains("one of 'low', 'high'"));
    assert!(options("top_k(events, ignore_within => 1)").contains("no option"));
    assert!(refused("window", "{ type = 'session', gap = '1m' }").contains("windows that all keys share"));
}
