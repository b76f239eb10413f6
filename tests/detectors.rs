//! Jobs whose scores are detectors, as whole processes: with any number of workers, and killed again and again, they put out the
//! same bytes; and what the baseline says is what a plain reckoning of its rows says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::arrival::{delayed, workload_time};
use testkit::job::{Job, json_lines};
use testkit::process::Invocation;
use testkit::random::{Random, seed};
use testkit::workload::{generate, repository};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");

/// Events, some of which come so much later.
fn input(folder: &Path, delay_ms: i64) -> PathBuf {
    let file = folder.join("events.ndjson");
    generate(60_000, 300, 12, &["--low-frac", "0.1"], &file);
    let lines = std::fs::read(&file).expect("events");
    let events = delayed(lines.split_inclusive(|&b| b == b'\n'), workload_time, delay_ms, 0.05, 4).concat();
    std::fs::write(&file, events).expect("write");
    file
}

/// Every row, with what the detectors say of it.
fn job(folder: &Path, input: &Path) -> Job {
    let columns = r#"["user_id", "window_end", "events", "exits", "odd", "loud", "shift", "change", "crowd", "crowd_score"]"#;
    Job::reference(PROGRAM, folder, input)
        .set("source.events.lanes", 3)
        .set("state.checkpoint_every", "\"100ms\"")
        .set("window.size", "\"3m\"")
        .set("score.odd", "\"baseline(events, warmup => 4, decay_in_gaps => false, latched_max => 5)\"")
        .set("score.loud", "\"robust(events, exits, direction => 'high', warmup => 4)\"")
        .set("score.shift", "\"cusum(exits, warmup => 4, limit => 2)\"")
        .set("score.change", "\"page_hinkley(events, warmup => 4, changes_warmup => 4, limit => 2)\"")
        .set(
            "score.crowd",
            "\"random_cut_forest(events, exits, warmup => 3, trees => 10, sample => 32, learned => 20, rate => 0.05)\"",
        )
        .set("rules.low-engagement.when", "true")
        .set("rules.low-engagement.min_events", 0)
        .set("sink.alerts.columns", columns)
}

/// How late events are that come late, and how late they may be.
const LATE_MS: i64 = 90_000;

/// With late events, without what takes each window once.
fn late(job: Job) -> Job {
    job.set("window.allowed_lateness", "\"150s\"")
        .set("score.shift", "\"baseline(exits, warmup => 4, season => 'hour_of_day', limit => 2)\"")
        .set("score.change", "\"baseline(events, exits, warmup => 4, direction => 'low', limit => 2)\"")
}

/// A row as it was put out.
struct Row {
    /// Whether its window was over when it came.
    corrects: bool,
    events: f64,
    odd: Option<f64>,
}

/// The rows of each user, in the order in which they were put out.
fn rows(bytes: &[u8]) -> BTreeMap<String, Vec<Row>> {
    let mut rows: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    let mut reached = i64::MIN;
    for row in json_lines(bytes) {
        let user = row["user_id"].as_str().expect("a user").to_owned();
        let events = row["events"].as_f64().expect("a count");
        let end = row["window_end"].as_i64().expect("an end");
        let corrects = end < reached;
        reached = reached.max(end);
        rows.entry(user).or_default().push(Row { corrects, events, odd: row["odd"].as_f64() });
    }
    rows
}

/// What a baseline knows of a key, as the docs describe it.
#[derive(Default, Clone)]
struct Plain {
    rows: f64,
    mean: f64,
    variance: f64,
    latched: Option<u32>,
}

impl Plain {
    /// The score of a value, with warm-up 4, memory 30, limit 3, release 1.5, clip 3, and a latch that holds 5 rows.
    fn score(&mut self, x: f64) -> Option<f64> {
        let deviation = self.variance.sqrt().max(0.01 * self.mean.abs()).max(f64::from(f32::MIN_POSITIVE));
        let z = ((x - self.mean) / deviation).clamp(-1000.0, 1000.0);
        let warm = self.latched.is_some() || self.rows >= 4.0;
        let score = warm.then_some(z.abs() / 3.0);
        match self.latched {
            Some(held) if z.abs() >= 1.5 => {
                // What has held for long is the new usual.
                self.latched = (held < 5).then_some(held + 1);
                if self.latched.is_none() {
                    self.rows = 0.0;
                }
                return score;
            }
            None if warm && z.abs() > 3.0 => {
                self.latched = Some(1);
                return score;
            }
            Some(_) => {
                self.latched = None;
                self.rows = 30.0;
            }
            None => {}
        }
        let past = 1.0 - 1.0 / (self.rows + 1.0).min(30.0);
        let clip = if warm && self.variance > 0.0 { 3.0 * deviation } else { f64::INFINITY };
        let moved = (x - self.mean).clamp(-clip, clip);
        self.mean += (1.0 - past) * moved;
        self.variance = past * (self.variance + (1.0 - past) * moved * moved);
        self.rows += 1.0;
        score
    }
}

#[test]
fn a_baseline_says_what_a_plain_reckoning_of_its_rows_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let job = job(&folder.path().join("out"), &input(folder.path(), 4_000));
    job.run();
    assert_eq!(check_baseline(&job.alerts()), 0, "rows that correct others");
}

#[test]
fn a_row_that_corrects_another_is_judged_by_what_is_known_by_then_and_not_learned() {
    let folder = tempfile::tempdir().expect("a folder");
    let job = late(job(&folder.path().join("out"), &input(folder.path(), LATE_MS)));
    job.run();
    let corrected = check_baseline(&job.alerts());
    assert!(corrected > 200, "{corrected}");
}

/// Reckons what the baseline says of each row; gives how many correct others.
fn check_baseline(bytes: &[u8]) -> usize {
    let (mut known, mut off, mut corrected) = (0, 0, 0);
    for rows in rows(bytes).into_values() {
        let mut plain = Plain::default();
        for Row { corrects, events, odd: found } in rows {
            corrected += usize::from(corrects);
            let expected = if corrects { plain.clone().score(events) } else { plain.score(events) };
            known += u32::from(expected.is_some());
            // Single precision decides otherwise now and then, and a latch keeps what it decided for some rows.
            off += match (found, expected) {
                (Some(found), Some(expected)) => {
                    u32::from((found - expected).abs() > 0.02 * (1.0 + expected))
                }
                (None, None) => 0,
                _ => 1,
            };
        }
    }
    assert!(known > 3_000 && off * 100 < known, "{off} of {known}");
    corrected
}

/// What is there is the beginning of the answer.
fn same_prefix(found: &[u8], expected: &[u8]) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for (line, (found, expected)) in text(found).lines().zip(text(expected).lines()).enumerate() {
        assert_eq!(found, expected, "line {line}");
    }
    assert!(expected.starts_with(found), "a torn line");
}

#[test]
fn any_number_of_workers_and_any_kills_give_the_same_scores() {
    same_bytes_through_kills(4_000, |job| job);
}

#[test]
fn any_number_of_workers_and_any_kills_give_the_same_scores_of_corrected_rows() {
    same_bytes_through_kills(LATE_MS, late);
}

fn same_bytes_through_kills(delay_ms: i64, like: impl Fn(Job) -> Job) {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), delay_ms);
    let job = |name: &str| like(job(&folder.path().join(name), &input));
    let once = job("1");
    once.run();
    let bytes = once.alerts();
    for name in ["odd", "loud", "shift", "change", "crowd", "crowd_score"] {
        let scores: Vec<f64> = json_lines(&bytes).iter().filter_map(|row| row[name].as_f64()).collect();
        let found = scores.iter().filter(|score| **score > 1.0).count();
        assert!(scores.len() > 1_000 && found > 5, "{name}: {} scores, {found} above 1", scores.len());
    }
    for (processes, workers) in [(1, 3), (2, 2)] {
        let other = job(&format!("{processes}x{workers}"));
        let other = other.processes(processes).workers(workers);
        other.run();
        assert!(other.alerts() == bytes, "{processes} processes of {workers} workers: other bytes");
    }
    let mut random = Random::new(seed(37));
    let killed = job("killed");
    let mut committed = 0;
    for _ in 0..8 {
        let slow = killed.clone().set("source.events.rate", 6_000).workers(1 + random.below(3) as usize);
        let running = slow.invocation().start();
        std::thread::sleep(Duration::from_millis(300 + random.below(900)));
        running.kill();
        let now = killed.alerts();
        assert!(now.len() >= committed, "less than before");
        same_prefix(&now, &bytes);
        committed = now.len();
    }
    assert!(committed > 0 && committed < bytes.len(), "{committed} bytes: killed too early or too late");
    killed.clone().workers(2).run();
    assert!(killed.alerts() == bytes, "other bytes after kills");
}

#[test]
fn an_application_that_moves_from_kinesis_data_analytics_finds_its_function_with_its_explanation() {
    let folder = tempfile::tempdir().expect("a folder");
    let (vitals, scores) = (folder.path().join("vitals.ndjson"), folder.path().join("scores.ndjson"));
    let mut random = Random::new(seed(41));
    let mut noise = || random.below(1000) as f64 / 100.0;
    let rows: Vec<(f64, f64)> = (0..2_000)
        .map(|row| match row {
            1_500 => (70.0, 190.0),
            1_700 => (20.0, 115.0),
            _ => (70.0 + noise(), 115.0 + noise()),
        })
        .collect();
    let line = |(row, (heart, pressure)): (usize, &(f64, f64))| {
        format!(
            "{{\"at\":{},\"heart\":{heart:?},\"pressure\":{pressure:?}}}\n",
            1_700_000_000_000_usize + row * 1000
        )
    };
    std::fs::write(&vitals, rows.iter().enumerate().map(line).collect::<String>()).expect("write");
    Invocation::new(PROGRAM)
        .arg("run")
        .arg(repository().join("configs/moved.sql"))
        .set("source.vitals.path", &vitals)
        .set("sink.scores", format!("{{ type = \"file\", path = {scores:?} }}"))
        .run()
        .expect_code(0);
    let found = json_lines(&std::fs::read(&scores).expect("scores"));
    assert_eq!(found.len(), rows.len());
    assert!(found[..256].iter().all(|row| row["odd_score"].is_null()) && found[300]["odd_score"].is_number());
    let explained = |row: usize| {
        let explanation: serde_json::Value =
            serde_json::from_str(found[row]["odd_explanation"].as_str().expect("a text")).expect("an object");
        let number = |name: &str, what: &str| -> f64 {
            explanation[name][what].as_str().expect("a text").parse().expect("a number")
        };
        let shares = ["heart_rate", "blood_pressure"].map(|name| number(name, "ATTRIBUTION_SCORE"));
        let score = found[row]["odd_score"].as_f64().expect("a score");
        assert!((shares[0] + shares[1] - score).abs() < 0.001 * score + 0.001, "{explanation} {score}");
        (score, shares, explanation)
    };
    let usual: f64 = (1_400..1_500).map(|row| explained(row).0).sum::<f64>() / 100.0;
    let (high, shares, explanation) = explained(1_500);
    assert!(high > 3.0 * usual && shares[1] > 3.0 * shares[0], "{explanation} {usual}");
    assert_eq!(explanation["blood_pressure"]["DIRECTION"], "HIGH");
    let (low, shares, explanation) = explained(1_700);
    assert!(low > 3.0 * usual && shares[0] > 3.0 * shares[1], "{explanation} {usual}");
    assert_eq!(explanation["heart_rate"]["DIRECTION"], "LOW");
}
