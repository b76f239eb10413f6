//! `tidewatch backtest` as whole processes: the alerts of a live run byte for byte, measures that are counted here again from
//! those alerts and the truth, and what is refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use testkit::job::{Job, json_lines};
use testkit::process::{Finished, Invocation};
use testkit::workload::repository;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");
const EVENTS: &str = "source.events.events=150000";
/// So that there are incidents enough.
const MADE_UP: [(&str, &str); 4] = [
    ("source.events.events", "150000"),
    ("source.events.rate", "0"),
    ("source.events.density", "50"),
    ("source.events.anomalies", "0.2"),
];
/// Two rules, of which one is too eager.
const EAGER: (&str, &str) = ("rules.eager", r#"{ when = "exits >= 4" }"#);
const OF_EPISODES: (&str, &str) = ("alerts", r#"{ open_after = "2 of 3" }"#);

/// A job with a fixed limit on made-up events, with these settings more.
fn settings(more: &[(&str, &str)]) -> Vec<(String, String)> {
    let all = MADE_UP.iter().chain([&EAGER]).chain(more);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn config() -> PathBuf {
    repository().join("tests/jobs/engagement.toml")
}

fn backtest(settings: &[(String, String)]) -> Invocation {
    let start = Invocation::new(PROGRAM).arg("backtest").arg(config());
    settings.iter().fold(start, |invocation, (name, value)| invocation.set(name, value))
}

fn report(invocation: Invocation) -> Value {
    let said = invocation.args(["--format", "json"]).run().expect_code(0).stdout;
    serde_json::from_slice(&said).expect("a report in JSON")
}

/// The alerts that a live run writes to a file, with a state and so many workers.
fn live(folder: &Path, settings: &[(String, String)], workers: usize) -> Vec<u8> {
    let job = Job::new(PROGRAM, config(), folder).workers(workers).set("sink.alerts.type", "file");
    let job = job.with_alerts().with_state();
    let job = settings.iter().fold(job, |job, (name, value)| job.set(name, value));
    job.run();
    job.alerts()
}

fn truth(folder: &Path, settings: &[(String, String)]) -> Vec<Value> {
    // What a config's generator has planted is what `gen` writes of the same events.
    let path = folder.join("truth.jsonl");
    let value = |name: &str| {
        let found = settings.iter().rev().find(|(of, _)| of == &format!("source.events.{name}"));
        found.map(|(_, value)| value.parse::<f64>().expect("a number"))
    };
    let spec = ingest::GenerateSpec {
        events: value("events").map(|events| events as u64),
        seed: value("seed").map_or(7, |seed| seed as u64),
        rate: value("density").expect("a density"),
        speed: 1.0,
        anomaly_fraction: value("anomalies").expect("a share"),
        ..ingest::GenerateSpec::default()
    };
    let mut lines = Vec::new();
    ingest::write_truth(&spec, &mut lines).expect("a truth");
    std::fs::write(&path, &lines).expect("write");
    json_lines(&lines)
}

#[test]
fn a_backtest_gives_the_alerts_of_a_live_run_byte_for_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, more) in [("rows", &[][..]), ("episodes", &[OF_EPISODES][..])] {
        let settings = settings(more);
        let expected = live(&folder.path().join(name), &settings, 2);
        assert!(json_lines(&expected).len() > 100, "{} alerts", json_lines(&expected).len());
        assert!(
            live(&folder.path().join(format!("{name}-one")), &settings, 1) == expected,
            "live: other bytes"
        );
        for workers in ["1", "2", "4"] {
            let out = folder.path().join(format!("{name}-{workers}"));
            backtest(&settings).args(["-w", workers, "--out"]).arg(&out).run().expect_code(0);
            let found = std::fs::read(out.join("alerts.ndjson")).expect("alerts");
            assert!(found == expected, "{name}, {workers} workers: other bytes");
        }
    }
}

#[test]
fn recorded_events_give_the_alerts_of_a_live_run_over_their_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (events, labels) = (folder.path().join("events.ndjson"), folder.path().join("truth.jsonl"));
    let generate = Invocation::new(PROGRAM).args(["gen", "--events", "120000", "--seed", "3"]);
    generate.arg("--out").arg(&events).arg("--truth").arg(&labels).run().expect_code(0);
    // The config as it is makes its events up.
    let settings = settings(&[OF_EPISODES]);
    let file = format!("{{ events = {{ path = '{}' }} }}", events.display());
    let expected =
        live(&folder.path().join("live"), &[settings.clone(), vec![("source".to_owned(), file)]].concat(), 2);
    let out = folder.path().join("out");
    let recorded = backtest(&settings).arg("--data").arg(&events).arg("--labels").arg(&labels);
    let report = report(recorded.arg("--out").arg(&out));
    assert!(std::fs::read(out.join("alerts.ndjson")).expect("alerts") == expected, "other bytes");
    assert!(!expected.is_empty() && report["data"]["events"] == 120_000, "{report}");
    let kept: Value =
        serde_json::from_slice(&std::fs::read(out.join("report.json")).expect("a report")).expect("JSON");
    assert_eq!(kept, report);
}

/// What is known of an episode: its key, its alerts' windows, and the windows that it covers.
#[derive(Default)]
struct Episode {
    key: String,
    alerts: Vec<(i64, i64)>,
    covers: Vec<(i64, i64)>,
}

fn millis(value: &Value) -> i64 {
    value.as_str().expect("a text").parse::<jiff::Timestamp>().expect("an instant").as_millisecond()
}

/// The episodes of a rule, or of all, gathered in the simplest way.
fn episodes(alerts: &[Value], rule: Option<&str>) -> Vec<Episode> {
    let mut named: BTreeMap<String, Episode> = BTreeMap::new();
    let mut alone: Vec<(String, Episode)> = Vec::new();
    for data in alerts.iter().map(|alert| &alert["data"]) {
        let of = data["rule"].as_str().expect("a rule");
        if rule.is_some_and(|rule| rule != of) {
            continue;
        }
        let key = data["key"].as_str().expect("a key").to_owned();
        let window = (millis(&data["window"]["start"]), millis(&data["window"]["end"]));
        let Some(state) = data["state"].as_str() else {
            let mut merged = Episode { key: key.clone(), alerts: vec![window], covers: vec![window] };
            // All that it touches become one with it.
            let touches = |(by, other): &(String, Episode)| {
                by == of
                    && other.key == key
                    && other.covers.iter().any(|o| o.0 <= window.1 && window.0 <= o.1)
            };
            for (_, other) in alone.extract_if(.., |other| touches(other)) {
                merged.alerts.extend(other.alerts);
                merged.covers.extend(other.covers);
            }
            alone.push((of.to_owned(), merged));
            continue;
        };
        let episode = named.entry(data["episode"].as_str().expect("a name").to_owned()).or_default();
        episode.key = key;
        match state {
            "opened" | "reopened" => {
                episode.alerts.push(window);
                episode.covers.push(window);
            }
            _ => episode.covers.last_mut().expect("it was opened").1 = window.1,
        }
    }
    named.into_values().chain(alone.into_iter().map(|(_, episode)| episode)).collect()
}

/// Precision, recall, alerts per incident and delays, counted pair by pair.
fn expected(truth: &[Value], episodes: &[Episode]) -> Value {
    let number = |value: &Value| value.as_i64().expect("a number");
    let overlaps = |window: &(i64, i64), incident: &Value| {
        window.0 <= number(&incident["to"]) && window.1 > number(&incident["from"])
    };
    let finds = |episode: &Episode, incident: &Value| {
        incident["key"] == episode.key.as_str()
            && episode.covers.iter().any(|window| overlaps(window, incident))
    };
    let good: Vec<&Episode> =
        episodes.iter().filter(|episode| truth.iter().any(|incident| finds(episode, incident))).collect();
    let mut delays = Vec::new();
    for incident in truth {
        let of_it = episodes.iter().filter(|episode| finds(episode, incident));
        let delay = of_it.flat_map(|episode| {
            let whole = episode.alerts.iter().zip(&episode.covers);
            let finding = whole.filter(|(_, covers)| overlaps(covers, incident));
            finding.map(|(alert, _)| (alert.1 - number(&incident["from"])).max(0)).collect::<Vec<_>>()
        });
        delays.extend(delay.min());
    }
    delays.sort_unstable();
    let rank = |percent: usize| delays[(delays.len() * percent).div_ceil(100) - 1] as f64 / 1000.0;
    let alerts: usize = good.iter().map(|episode| episode.alerts.len()).sum();
    json!({
        "precision": good.len() as f64 / episodes.len() as f64,
        "recall": delays.len() as f64 / truth.len() as f64,
        "alerts_per_incident": alerts as f64 / delays.len() as f64,
        "delay_s": { "p50": rank(50), "p95": rank(95) },
        "incidents": truth.len(),
        "found": delays.len(),
        "episodes": episodes.len(),
        "alerts": episodes.iter().map(|episode| episode.alerts.len()).sum::<usize>(),
    })
}

fn check_against(expected: &Value, measures: &Value) {
    for (name, value) in expected.as_object().expect("an object") {
        let same = match (value.as_f64(), measures[name].as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-9,
            _ => value == &measures[name],
        };
        assert!(same, "{name}: expected {value}, in {measures}");
    }
}

#[test]
fn the_measures_are_those_that_are_counted_from_alerts_and_truth() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, more) in [("rows", &[][..]), ("episodes", &[OF_EPISODES][..])] {
        let settings = settings(more);
        let out = folder.path().join(name);
        let report = report(backtest(&settings).args(["-w", "2", "--out"]).arg(&out));
        let alerts = json_lines(&std::fs::read(out.join("alerts.ndjson")).expect("alerts"));
        let truth = truth(folder.path(), &settings);
        assert!(truth.len() > 100, "{} incidents", truth.len());
        let total = &report["total"];
        check_against(&expected(&truth, &episodes(&alerts, None)), total);
        for rule in ["eager", "low-engagement"] {
            check_against(&expected(&truth, &episodes(&alerts, Some(rule))), &report["rules"][rule]);
        }
        assert_eq!(report["rules"].as_object().map(serde_json::Map::len), Some(2));
        assert_eq!(report["kinds"].as_object().map(serde_json::Map::len), Some(3));
        for kind in ["exit_storm", "pause_storm", "decline"] {
            let of_kind: Vec<Value> =
                truth.iter().filter(|incident| incident["kind"] == kind).cloned().collect();
            let mut expected = expected(&of_kind, &episodes(&alerts, None));
            expected
                .as_object_mut()
                .expect("an object")
                .retain(|name, _| ["recall", "delay_s", "incidents", "found"].contains(&name.as_str()));
            check_against(&expected, &report["kinds"][kind]);
        }
        // 1000 users over 50 minutes.
        let per_1000 = total["alerts"].as_f64().expect("a number") / (1000.0 * 50.0 / 60.0) * 1000.0;
        let found = total["alerts_per_1000_key_hours"].as_f64().expect("a number");
        assert!((found / per_1000 - 1.0).abs() < 0.05, "{found}, expected about {per_1000}");
        assert!(total["recall"].as_f64() > Some(0.5), "{total}");
    }
}

#[test]
fn labels_in_a_file_count_as_what_the_generator_says_of_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings(&[OF_EPISODES]);
    let of_itself = report(backtest(&settings));
    truth(folder.path(), &settings);
    let labels = folder.path().join("truth.jsonl");
    assert_eq!(report(backtest(&settings).arg("--labels").arg(labels)), of_itself);
}

#[test]
fn a_naive_threshold_stands_beside_and_says_where_it_was_found() {
    let settings = settings(&[OF_EPISODES]);
    let same = report(backtest(&settings));
    let naive = &same["naive"];
    assert_eq!(naive["fitted_on"], "same_data");
    let columns = ["events", "listen_s", "pauses", "exits", "engagement"];
    assert!(columns.iter().any(|column| naive["threshold"]["column"] == *column), "{naive}");
    assert!(naive["f1"].as_f64() > Some(0.3) && naive["share_of_keys"] == 1.0, "{naive}");
    assert_eq!(naive["incidents"], same["total"]["incidents"]);

    let other = report(backtest(&settings).args(["--train-seed", "12"]));
    let trained = &other["naive"];
    assert_eq!(trained["fitted_on"], "training_data");
    assert_eq!(other["total"], same["total"]);
    // What is fitted to the data is about the best there.
    let f1 = |naive: &Value| naive["f1"].as_f64().expect("a number");
    assert!(f1(trained) <= f1(naive) + 0.03, "{other}, and {naive}");
    let itself = report(backtest(&settings).args(["--train-seed", "7"]));
    assert_eq!(itself["naive"]["threshold"], naive["threshold"]);
    assert_eq!(itself["naive"]["f1"], naive["f1"]);
}

#[test]
fn settings_are_tried_and_the_best_recall_with_a_precision_is_chosen() {
    let settings = settings(&[OF_EPISODES]);
    let sweep = |more: &[&str]| {
        let sweep = "rules.low-engagement.when=engagement < {0.1..0.5/0.2}";
        backtest(&settings).args(["--sweep", sweep, "--sweep", "rules.eager.min_events=5,100000"]).args(more)
    };
    let report = report(sweep(&["--min-precision", "0.9"]));
    let tried = report["sweep"].as_array().expect("a list");
    assert_eq!(tried.len(), 6);
    assert_eq!(
        tried[1]["set"],
        json!({ "rules.low-engagement.when": "engagement < 0.1", "rules.eager.min_events": "100000" })
    );
    let best = &report["best"];
    let of = |tried: &Value, name: &str| tried["total"][name].as_f64().unwrap_or(0.0);
    assert!(of(best, "precision") >= 0.9, "{best}");
    for other in tried.iter().filter(|other| of(other, "precision") >= 0.9) {
        assert!(of(other, "recall") <= of(best, "recall"), "{other} is better than {best}");
    }
    // A setting is worth what a job is worth that has it.
    let again = backtest(&settings).set("rules.low-engagement.when", "engagement < 0.3");
    let again = self::report(again.set("rules.eager.min_events", "100000"));
    assert_eq!(tried[3]["total"], again["total"]);

    let table = sweep(&[]).run().expect_code(0).text();
    let marked: Vec<&str> = table.lines().filter(|line| line.contains("<- best F1")).collect();
    assert_eq!(marked.len(), 1, "{table}");
    assert!(table.contains("rules.eager.min_events") && table.contains("naive: "), "{table}");
}

#[test]
fn a_precision_that_nothing_reaches_ends_with_3() {
    let settings = settings(&[("rules.low-engagement.when", "events > 0")]);
    let finished =
        backtest(&settings).args(["--min-precision", "0.99", "--format", "json"]).run().expect_code(3);
    let report: Value = serde_json::from_slice(&finished.stdout).expect("the report is there all the same");
    assert!(report["best"].is_null() && report["total"]["precision"].as_f64() < Some(0.99), "{report}");
    assert!(finished.stderr.contains("nothing has a precision of 0.99"), "{}", finished.stderr);
    let finished = backtest(&settings).args(["--min-precision", "0.01"]).run();
    finished.expect_code(0);
}

#[test]
fn neither_state_nor_sinks_of_the_job_are_touched() {
    let folder = tempfile::tempdir().expect("a folder");
    let inside = |name: &str| folder.path().join(name);
    let of_job = backtest(&settings(&[("sink.alerts.type", "file")]))
        .set("sink.alerts.path", inside("alerts.ndjson"))
        .set("sink.quarantine.path", inside("quarantine.ndjson"))
        .set("state.dir", inside("state"));
    of_job.run().expect_code(0);
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Events of four pairs of user and device, one of which is bad for a while.
fn pairs(folder: &Path) -> PathBuf {
    let mut lines = String::new();
    for second in 0..1200 {
        for user in ["a", "b"] {
            for device in [1, 2] {
                let bad = user == "b" && device == 2 && (600..900).contains(&second);
                let value = if bad { 9.5 } else { 1.0 };
                let event = json!({ "user": user, "device": device, "ts": second * 1000, "value": value });
                lines.push_str(&format!("{event}\n"));
            }
        }
    }
    let path = folder.join("events.ndjson");
    std::fs::write(&path, lines).expect("write");
    path
}

/// The config of a job over those, with two kinds of windows.
fn of_pairs(folder: &Path) -> PathBuf {
    let config = r#"
        [source.events]
        type = "stdin"
        [event]
        key = ["user", "device"]
        time = { field = "ts", unit = "ms" }
        fields = { device = "bigint", value = "double" }
        [time]
        range = ["1960-01-01", "2100-01-01"]
        [branch.short]
        window = { type = "tumbling", size = "1m" }
        features = { mean = "avg(value)", some = "count(*) > 0" }
        rules.high = { when = "mean > 5" }
        [branch.long]
        window = { type = "tumbling", size = "10m" }
        features = { most = "max(value)", least = "min(value)" }
        rules.high = { when = "most > 5" }
        rules.low = { when = "least < 0" }
        [sink.alerts]
        type = "stdout"
    "#;
    let path = folder.join("pairs.toml");
    std::fs::write(&path, config).expect("write");
    path
}

#[test]
fn composite_keys_and_branches_are_measured_each_by_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let (events, config) = (pairs(folder.path()), of_pairs(folder.path()));
    let labels = folder.path().join("labels.jsonl");
    let label = json!({ "key": ["b", 2], "kind": "drift", "from": 600_000, "to": 899_999, "size": 1.0 });
    let other = json!({ "key": ["a", 7], "kind": "drift", "from": 600_000, "to": 899_999, "size": 1.0 });
    std::fs::write(&labels, format!("{label}\n{other}\n")).expect("write");
    let run = |more: &[&str]| {
        let run = Invocation::new(PROGRAM).arg("backtest").arg(&config).arg("--data").arg(&events);
        run.arg("--labels").arg(&labels).args(more).run().expect_code(0)
    };
    let Finished { stdout, stderr, .. } = run(&["--format", "json"]);
    let report: Value = serde_json::from_slice(&stdout).expect("a report");
    let rules = report["rules"].as_object().expect("rules");
    assert_eq!(rules.keys().collect::<Vec<_>>(), ["long/high", "long/low", "short/high"]);
    let short = &rules["short/high"];
    assert_eq!(
        (&short["precision"], &short["recall"], &short["alerts"]),
        (&json!(1.0), &json!(0.5), &json!(5))
    );
    assert_eq!(short["delay_s"]["p50"], 60.0);
    assert_eq!(rules["long/high"]["delay_s"]["p50"], 600.0);
    assert_eq!((&rules["long/low"]["precision"], &rules["long/low"]["episodes"]), (&json!(null), &json!(0)));
    assert_eq!((&report["total"]["episodes"], &report["total"]["delay_s"]["p50"]), (&json!(2), &json!(60.0)));
    assert_eq!(report["data"]["labelled_keys_without_rows"], 1);
    assert!(stderr.contains("1 keys of labels have no row"), "{stderr}");
    // Four pairs over twenty minutes.
    assert_eq!((&report["data"]["keys"], report["data"]["hours"].as_f64()), (&json!(4), Some(1.0 / 3.0)));
    let naive = &report["naive"];
    assert_eq!((&naive["precision"], &naive["recall"]), (&json!(1.0), &json!(0.5)), "{naive}");
    assert_eq!(
        naive["threshold"],
        json!({ "branch": "short", "column": "mean", "side": ">=", "value": 9.5 })
    );
    assert!(run(&[]).text().contains("naive: short.mean >= 9.5"));
}

#[test]
fn what_cannot_be_measured_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |invocation: Invocation, code: i32, words: &[&str]| {
        let finished = invocation.run().expect_code(code);
        assert!(finished.stdout.is_empty());
        for words in words {
            assert!(finished.stderr.contains(words), "no `{words}` in {}", finished.stderr);
        }
    };
    let small = || Invocation::new(PROGRAM).arg("backtest").arg(config()).args(["--set", EVENTS]);
    let missing = folder.path().join("none");
    refused(small().arg("--labels").arg(&missing), 3, &["none", "labels"]);
    let bad = folder.path().join("bad.jsonl");
    std::fs::write(&bad, "{\"key\": \"a\", \"from\": 1, \"to\": 2}\n{}\n").expect("write");
    refused(small().arg("--labels").arg(&bad), 3, &["line 2", "missing field"]);
    refused(small().arg("--data").arg(&bad), 2, &["--labels"]);
    refused(small().args(["--sweep", "rules.low-engagement.min_events"]), 2, &["--sweep", "PATH=VALUES"]);
    refused(small().args(["--sweep", "rules.low-engagement.min_event=1,2"]), 3, &["min_events"]);
    refused(small().args(["--min-precision", "2"]), 2, &["0 to 1"]);
    let endless = Invocation::new(PROGRAM).arg("backtest").arg(folder.path().join("endless.toml"));
    let text = std::fs::read_to_string(config()).expect("the config");
    std::fs::write(folder.path().join("endless.toml"), text.replace("events = 1_200_000 ", ""))
        .expect("write");
    refused(endless, 3, &["never ends", "source.events.events="]);
    refused(
        Invocation::new(PROGRAM).arg("backtest").arg(of_pairs(folder.path())),
        3,
        &["standard input", "--data FILE"],
    );
    let file = pairs(folder.path());
    let unlabelled =
        small().args(["--set", &format!("source={{ events = {{ path = '{}' }} }}", file.display())]);
    refused(unlabelled, 3, &["not known what went wrong", "--labels FILE"]);
    let plain = small().args([
        "--set",
        "rules={}",
        "--set",
        "sink.alerts={ type = 'stdout', format = 'plain', columns = ['user_id'] }",
    ]);
    refused(plain, 3, &["has no rules"]);
    let out = folder.path().join("out");
    std::fs::create_dir(&out).expect("a folder");
    std::fs::write(out.join("alerts.ndjson"), "{}\n").expect("write");
    refused(small().arg("--out").arg(&out), 3, &["not empty", "new folder"]);
    assert_eq!(std::fs::read(out.join("alerts.ndjson")).expect("alerts"), b"{}\n");
}

#[test]
fn a_program_measures_a_job_as_the_command_does() {
    use tidewatch::backtest::Labels;
    use tidewatch::prelude::*;

    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings(&[OF_EPISODES]);
    let expected = report(backtest(&settings));
    truth(folder.path(), &settings);
    let labels = Labels::read(folder.path().join("truth.jsonl")).expect("labels");
    let job =
        settings.iter().fold(from_file(config()), |job, (name, value)| job.set(&format!("{name}={value}")));
    let found = job.build().expect("a job").backtest(&labels, workers(2)).expect("a report");
    assert_eq!(serde_json::to_value(&found).expect("JSON"), expected);
    assert!(found.total.recall > Some(0.5));
}
