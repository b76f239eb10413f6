//! Jobs whose scores ask models, as whole processes: what a model answers is what arithmetic on the row says; where it does not
//! answer, the named score takes its place; and what was answered once stays, however often the job is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::arrival::{delayed, workload_time};
use testkit::job::{Job, json_lines};
use testkit::onnxruntime::onnxruntime;
use testkit::process::{Invocation, eventually};
use testkit::random::{Random, seed};
use testkit::receiver::{Receiver, Reply, Request};
use testkit::workload::{generate, repository};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");
const COLUMNS: &str = r#"["user_id", "window_end", "events", "pauses", "exits", "usual", "risk", "risk_output", "risk_fallback"]"#;

fn input(folder: &Path, events: u64) -> PathBuf {
    let file = folder.join("events.ndjson");
    generate(events, 200, 12, &["--low-frac", "0.1"], &file);
    let lines = std::fs::read(&file).expect("events");
    let events = delayed(lines.split_inclusive(|&b| b == b'\n'), workload_time, 4_000, 0.05, 4).concat();
    std::fs::write(&file, events).expect("write");
    file
}

/// Every row, with what the model `churn` says of it, which the caller describes.
fn job(folder: &Path, input: &Path) -> Job {
    Job::reference(PROGRAM, folder, input)
        .set("source.events.lanes", 3)
        .set("state.checkpoint_every", "\"100ms\"")
        .set("window.size", "\"3m\"")
        .set("score.usual", "\"baseline(events, warmup => 4, decay_in_gaps => false)\"")
        .set("score.risk", "\"model(events / 10.0, pauses, exits, of => 'churn', otherwise => 'usual')\"")
        .set("rules.low-engagement.when", "true")
        .set("rules.low-engagement.min_events", 0)
        .set("sink.alerts.columns", COLUMNS)
}

fn onnx(job: Job, library: &Path) -> Job {
    job.set("models.churn.type", "onnx")
        .set("models.churn.path", repository().join("tests/models/logistic.onnx").display())
        .set("models.churn.library", library.display())
}

fn http(job: Job, receiver: &Receiver) -> Job {
    job.set("models.churn.type", "http")
        .set("models.churn.url", receiver.url("/invocations"))
        .set("models.churn.batch", 64)
        .set("models.churn.timeout", "\"5s\"")
}

/// What the model in `tests/models/make.py` says of a row.
fn logistic(row: &[f64]) -> f64 {
    1.0 / (1.0 + (-(row[0] - 2.0 * row[1] + 0.5 * row[2] - 0.25)).exp())
}

fn number(row: &Value, name: &str) -> f64 {
    row[name].as_f64().unwrap_or_else(|| panic!("no {name} in {row}"))
}

fn inputs(row: &Value) -> [f64; 3] {
    [number(row, "events") / 10.0, number(row, "pauses"), number(row, "exits")]
}

/// The rows of a request.
fn asked(request: &Request) -> Vec<Vec<f64>> {
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    serde_json::from_value(body["instances"].clone()).expect("rows of numbers")
}

fn answer(answers: impl Iterator<Item = f64>) -> Reply {
    Reply::Answer(json!({ "predictions": answers.collect::<Vec<f64>>() }).to_string())
}

/// Checks what the model and the scale make of each row; gives how many there are.
fn check_answered(bytes: &[u8], tolerance: f64) -> usize {
    let rows = json_lines(bytes);
    for row in &rows {
        let expected = logistic(&inputs(row));
        assert!((number(row, "risk_output") - expected).abs() <= tolerance, "{expected} in {row}");
        assert!((number(row, "risk") - number(row, "risk_output") / 0.5).abs() < 1e-12, "{row}");
        assert_eq!(number(row, "risk_fallback"), 0.0, "{row}");
    }
    rows.len()
}

/// Kills a job again and again while it runs slowly, with another number of workers each time, then lets it end.
fn kill_often(job: &Job, kills: usize, rate: u64) {
    let mut random = Random::new(seed(91));
    for _ in 0..kills {
        let slow = job.clone().set("source.events.rate", rate).workers(1 + random.below(3) as usize);
        let running = slow.invocation().start();
        std::thread::sleep(Duration::from_millis(400 + random.below(900)));
        running.kill();
    }
    job.clone().workers(2).run();
}

#[test]
fn a_model_in_a_file_says_the_same_with_any_workers_and_kills() {
    let Some(library) = onnxruntime() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 30_000);
    let job = |name: &str| onnx(job(&folder.path().join(name), &input), &library);
    let once = job("1");
    once.run();
    let bytes = once.alerts();
    assert!(check_answered(&bytes, 1e-6) > 1_000);
    for (processes, workers) in [(1, 3), (2, 2)] {
        let other = job(&format!("{processes}x{workers}")).processes(processes).workers(workers);
        other.run();
        assert!(other.alerts() == bytes, "{processes} processes of {workers} workers: other bytes");
    }
    let killed = job("killed");
    kill_often(&killed, 5, 4_000);
    assert!(killed.alerts() == bytes, "other bytes after kills");
}

/// A job whose alerts say why they are, by a model that is asked about expressions too.
fn explained(folder: &Path, name: &str, input: &Path) -> Job {
    Job::reference_alerts(PROGRAM, folder, name, input)
        .set("score.usual", "\"baseline(events, warmup => 4, decay_in_gaps => false)\"")
        .set("score.halves", "\"pauses / 2.0\"")
        .set("score.risk", "\"model(events, halves, exits, of => 'churn', otherwise => 'usual')\"")
        .set("rules.low-engagement.when", "\"risk > 1 AND listen_s >= 0\"")
}

/// Checks that alerts name the smallest change after which the model finds nothing.
fn check_explained(bytes: &[u8]) {
    let alerts = json_lines(bytes);
    assert!(alerts.len() > 100, "{} alerts", alerts.len());
    let mut by_feature: BTreeMap<String, usize> = BTreeMap::new();
    for alert in &alerts {
        let features = &alert["data"]["features"];
        let fires = |feature: &str, value: f64| {
            let of = |name: &str| if name == feature { value } else { number(features, name) };
            logistic(&[of("events"), of("pauses") / 2.0, of("exits")]) > 0.5 + 1e-9
        };
        let nearest = alert["data"]["explanation"]["nearest"].as_array().expect("a change");
        let [change] = nearest.as_slice() else { panic!("one feature would do: {alert}") };
        let feature = change["feature"].as_str().expect("a name");
        let (value, to) = (number(change, "value"), number(change, "to"));
        assert_eq!(value, number(features, feature), "{alert}");
        let less = to + if to < value { 1.0 } else { -1.0 };
        assert!(!fires(feature, to) && fires(feature, less), "{change} of {alert}");
        *by_feature.entry(feature.to_owned()).or_default() += 1;
    }
    assert!(by_feature["events"] > 10, "{by_feature:?}");
}

#[test]
fn a_model_in_a_file_is_asked_what_would_have_been_no_alert() {
    let Some(library) = onnxruntime() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 20_000);
    let job = |name: &str| onnx(explained(folder.path(), name, &input), &library);
    let once = job("once");
    once.run();
    check_explained(&once.alerts());
    let other = job("other").workers(3);
    other.run();
    assert!(other.alerts() == once.alerts(), "3 workers explain it otherwise");
}

#[test]
fn an_endpoint_is_asked_once_about_each_row_in_batches() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 20_000);
    let receiver = Receiver::start(|request| answer(asked(request).iter().map(|row| logistic(row))));
    let job = http(job(&folder.path().join("out"), &input), &receiver).workers(2);
    job.run();
    let rows = check_answered(&job.alerts(), 0.0);
    let sizes: Vec<usize> = receiver.requests().iter().map(|request| asked(request).len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), rows);
    assert!(sizes.iter().all(|size| (1..=64).contains(size)) && sizes.contains(&64), "{sizes:?}");
    assert!(sizes.len() < rows / 10, "{} requests for {rows} rows", sizes.len());
}

#[test]
fn an_endpoint_is_asked_what_would_have_been_no_alert_unless_that_is_not_wanted() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 20_000);
    let receiver = Receiver::start(|request| answer(asked(request).iter().map(|row| logistic(row))));
    let job = |name: &str| http(explained(folder.path(), name, &input), &receiver);
    let patient = |job: Job| job.set("models.churn.explain_within", "\"60s\"");
    let once = patient(job("once"));
    once.run();
    check_explained(&once.alerts());
    let other = patient(job("other")).workers(3);
    other.run();
    assert!(other.alerts() == once.alerts(), "3 workers explain it otherwise");
    let before = receiver.requests().len();
    let without = job("without").set("models.churn.explain_within", "\"0s\"");
    without.run();
    let alerts = json_lines(&without.alerts());
    assert_eq!(alerts.len(), json_lines(&once.alerts()).len());
    assert!(alerts.iter().all(|alert| alert["data"]["explanation"]["nearest"].is_null()));
    let requests = receiver.requests();
    let all: Vec<Vec<f64>> = requests[before..].iter().flat_map(asked).collect();
    let rows: BTreeSet<String> = all.iter().map(|row| format!("{row:?}")).collect();
    let of_alert = |alert: &Value| {
        let feature = |name: &str| number(&alert["data"]["features"], name);
        format!("{:?}", vec![feature("events"), feature("pauses") / 2.0, feature("exits")])
    };
    assert!(alerts.iter().all(|alert| rows.contains(&of_alert(alert))), "asked about nothing else");
    assert!(requests[..before].iter().map(|request| asked(request).len()).sum::<usize>() > 4 * all.len());
}

/// An endpoint that says what the model does, and a little more or less each time, and does not answer now and then.
fn wavering() -> Receiver {
    let count = AtomicU64::new(0);
    Receiver::start(move |request| {
        let rows = asked(request);
        let first = count.fetch_add(rows.len() as u64, Ordering::SeqCst);
        if first % 199 == 3 {
            return Reply::status(503);
        }
        let noise = |number: u64| (number % 7) as f64 / 50.0;
        answer(rows.iter().zip(first..).map(|(row, number)| logistic(row) + noise(number)))
    })
}

#[test]
fn why_an_alert_was_put_out_is_what_is_put_out_again_however_often_the_job_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 30_000);
    for mode in ["at_once", "exactly_once"] {
        let receiver = wavering();
        let killed = http(explained(folder.path(), mode, &input), &receiver)
            .set("models.churn.circuit_failures", 1000)
            .set("models.churn.explain_within", "\"20s\"")
            .set("rules.low-engagement.when", "\"risk > 1 AND user_id < 'user-000009'\"")
            .set("source.events.lanes", 3)
            .set("state.checkpoint_every", "\"700ms\"")
            .set("sink.alerts.mode", mode);
        kill_often(&killed, 6, 4_000);
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        let (mut again, mut named) = (0, 0);
        for alert in json_lines(&killed.alerts()) {
            let nearest = &alert["data"]["explanation"]["nearest"];
            named += usize::from(nearest.as_array().is_some_and(|changes| !changes.is_empty()));
            if let Some(before) = seen.insert(alert["id"].to_string(), alert.to_string()) {
                again += 1;
                assert_eq!(before, alert.to_string(), "put out twice, and not the same");
            }
        }
        assert!(seen.len() > 100 && named * 2 > seen.len(), "{named} of {}", seen.len());
        match mode {
            // Otherwise nothing was tested: no alert came a second time.
            "at_once" => assert!(again > 0, "killed at the wrong moments"),
            _ => assert_eq!(again, 0, "exactly once"),
        }
    }
}

/// An endpoint that never says the same twice, and does not answer now and then.
fn fickle() -> (Receiver, Arc<Mutex<BTreeSet<u64>>>) {
    let (count, given) = (AtomicU64::new(0), Arc::new(Mutex::new(BTreeSet::new())));
    let kept = Arc::clone(&given);
    let receiver = Receiver::start(move |request| {
        let rows = asked(request).len() as u64;
        let first = count.fetch_add(rows, Ordering::SeqCst);
        if first % 11 == 3 {
            return Reply::status(503);
        }
        kept.lock().expect("no panic").extend(first..first + rows);
        answer((first..first + rows).map(|number| number as f64))
    });
    (receiver, given)
}

#[test]
fn what_was_answered_once_is_what_is_put_out_however_often_the_job_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 30_000);
    for mode in ["at_once", "exactly_once"] {
        let (receiver, given) = fickle();
        let killed = http(job(&folder.path().join(mode), &input), &receiver)
            .set("models.churn.circuit_failures", 1000)
            .set("state.checkpoint_every", "\"700ms\"")
            .set("sink.alerts.mode", mode);
        kill_often(&killed, 6, 4_000);
        let mut seen: BTreeMap<(String, u64), String> = BTreeMap::new();
        let (mut again, mut fallbacks) = (0, 0);
        for row in json_lines(&killed.alerts()) {
            match number(&row, "risk_fallback") {
                1.0 => {
                    fallbacks += 1;
                    assert_eq!(row["risk"], row["usual"], "{row}");
                }
                _ => {
                    let output = number(&row, "risk_output") as u64;
                    assert!(given.lock().expect("no panic").contains(&output), "nobody said that: {row}");
                }
            }
            let key = (row["user_id"].to_string(), row["window_end"].as_u64().expect("a time"));
            if let Some(before) = seen.insert(key, row.to_string()) {
                again += 1;
                assert_eq!(before, row.to_string(), "put out twice, and not the same");
            }
        }
        assert!(seen.len() > 1_000 && fallbacks > 10, "{} rows, {fallbacks} without an answer", seen.len());
        match mode {
            // Otherwise nothing was tested: no line came a second time.
            "at_once" => assert!(again > 0, "killed at the wrong moments"),
            _ => assert_eq!(again, 0, "exactly once"),
        }
        let left = std::fs::read_dir(killed.state_path().join("answers")).expect("a folder").count();
        assert!(left < 200, "{left} files of answers that nobody needs any more");
    }
}

#[test]
fn a_job_that_begins_from_scratch_takes_nothing_from_what_was_answered_in_its_life_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 20_000);
    let (receiver, given) = fickle();
    let job = http(job(&folder.path().join("out"), &input), &receiver)
        .set("models.churn.circuit_failures", 1000)
        .set("state.checkpoint_every", "\"700ms\"");
    let slow = job.clone().set("source.events.rate", 6_000);
    let answers = job.state_path().join("answers");
    // Lives until it has been given so many answers, some of which are recorded.
    let live = |invocation: Invocation, count: usize| {
        let before = given.lock().expect("no panic").len();
        let running = invocation.start();
        eventually("answers", Duration::from_secs(90), || {
            let is_told = given.lock().expect("no panic").len() >= before + count;
            let is_kept = std::fs::read_dir(&answers).is_ok_and(|files| files.count() > 0);
            (is_told && is_kept && !job.alerts().is_empty()).then_some(())
        });
        running.kill();
    };
    live(slow.invocation(), 4_000);
    std::fs::remove_file(job.alerts_path()).expect("alerts");
    let limit = given.lock().expect("no panic").last().map_or(0, |last| last + 1);
    // The second life dies before the first one did, and goes on to where that had asked.
    live(slow.invocation().arg("--from-scratch"), 1_500);
    job.run();
    let rows = json_lines(&job.alerts());
    let outputs = rows.iter().filter(|row| number(row, "risk_fallback") == 0.0);
    let outputs: Vec<u64> = outputs.map(|row| number(row, "risk_output") as u64).collect();
    assert!(outputs.len() > 1_000, "{}", outputs.len());
    let old = outputs.iter().filter(|output| **output < limit).count();
    assert_eq!(old, 0, "of {} answers, {limit} were given before", outputs.len());
}

#[test]
fn an_endpoint_that_is_away_is_spared_and_the_named_score_takes_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 20_000);
    let receiver = Receiver::start(|_| Reply::Break);
    let job = http(job(&folder.path().join("out"), &input), &receiver)
        .set("models.churn.circuit_failures", 3)
        .set("models.churn.circuit_pause", "\"1h\"");
    let finished = job.run();
    let rows = json_lines(&job.alerts());
    assert!(rows.len() > 1_000 && rows.iter().any(|row| row["risk"].is_number()));
    for row in &rows {
        assert_eq!((&row["risk"], number(row, "risk_fallback")), (&row["usual"], 1.0), "{row}");
        assert!(row["risk_output"].is_null());
    }
    assert_eq!(receiver.requests().len(), 3);
    assert_eq!(finished.stderr.matches("model `churn` does not answer").count(), 1, "{}", finished.stderr);
}

#[test]
fn where_nobody_answers_an_alert_says_what_would_have_kept_the_named_score_from_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 20_000);
    let receiver = Receiver::start(|_| Reply::Break);
    let job = http(explained(folder.path(), "out", &input), &receiver)
        .set("models.churn.circuit_failures", 3)
        .set("models.churn.circuit_pause", "\"1h\"")
        .set("score.halves", "\"(30.0 - events) / 10.0\"")
        .set("score.risk", "\"model(events, pauses, exits, of => 'churn', otherwise => 'halves')\"")
        .set("rules.low-engagement.when", "\"risk > 1\"");
    job.run();
    let alerts = json_lines(&job.alerts());
    assert!(alerts.len() > 100, "{} alerts", alerts.len());
    for alert in &alerts {
        let nearest = &alert["data"]["explanation"]["nearest"];
        assert_eq!(nearest.as_array().map(Vec::len), Some(1), "{alert}");
        assert_eq!((&nearest[0]["feature"], number(&nearest[0], "to")), (&"events".into(), 20.0), "{alert}");
    }
}

/// The seed is none of those that the model was trained with.
#[test]
fn the_model_of_the_podcast_job_finds_what_it_was_trained_to_find() {
    let Some(library) = onnxruntime() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let job = Job::new(PROGRAM, "configs/podcast-model.toml", folder.path())
        .set("source.events.seed", 31)
        .set("source.events.events", 1_500_000)
        .set("models.podcast.path", repository().join("configs/models/podcast.onnx").display())
        .set("models.podcast.library", library.display());
    let report = job.ask(&["backtest", "--train-seed", "1"]);
    let of = |what: &Value, name: &str| what[name].as_f64().unwrap_or_else(|| panic!("no {name} in {what}"));
    assert!(of(&report["total"], "precision") >= 0.9, "{report}");
    assert!(of(&report["total"], "alerts_per_incident") <= 1.2, "{report}");
    // Silence leaves no row to ask about, and an outage is no listener's.
    let kinds = report["kinds"].as_object().expect("kinds");
    let (mut found, mut incidents) = (0.0, 0.0);
    for (_, kind) in kinds.iter().filter(|(name, _)| !["silence", "outage"].contains(&name.as_str())) {
        found += of(kind, "found");
        incidents += of(kind, "incidents");
    }
    assert!(incidents > 50.0 && found / incidents >= 0.7, "{found} of {incidents}: {report}");
}

#[test]
fn a_backtest_gives_the_alerts_of_the_live_job() {
    let Some(library) = onnxruntime() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 20_000);
    let labels = folder.path().join("labels.jsonl");
    std::fs::write(&labels, "{\"key\":\"user-000001\",\"kind\":\"x\",\"from\":0,\"to\":1,\"size\":1}\n")
        .expect("write");
    let live = folder.path().join("live.ndjson");
    let job = onnx(job(&folder.path().join("live"), &input), &library)
        .set("rules.low-engagement.when", "\"risk > 1.9\"")
        .set("sink.full.path", live.display());
    job.run();
    let out = folder.path().join("backtest");
    let said = job.about(&["backtest"]).arg("--labels").arg(&labels).arg("--out").arg(&out);
    said.run().expect_code(0);
    let live = std::fs::read(&live).expect("alerts");
    assert!(!live.is_empty());
    assert!(std::fs::read(out.join("alerts.ndjson")).expect("alerts") == live, "other bytes");
}

#[test]
fn a_model_that_cannot_be_asked_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(folder.path(), 200);
    let refused = |name: &str, job: &dyn Fn(Job) -> Job, words: &[&str]| {
        let finished = job(self::job(&folder.path().join(name), &input)).invocation().run().expect_code(3);
        for words in words {
            assert!(finished.stderr.contains(words), "{words}: {}", finished.stderr);
        }
    };
    let nowhere = |job: Job| onnx(job, Path::new("/nowhere/libonnxruntime.so"));
    refused("library", &nowhere, &["model `churn`", "/nowhere/libonnxruntime.so", "ORT_DYLIB_PATH"]);
    refused("none", &|job| job, &["there is no model `churn`", "[models.NAME]"]);
    let open = |job: Job| job.set("models.churn.type", "http").set("models.churn.url", "http://example.com/");
    refused("open", &open, &["model `churn`", "`example.com` would be asked without TLS"]);
    if let Some(library) = onnxruntime() {
        let two = |job: Job| {
            onnx(job, &library)
                .set("score.risk", "\"model(pauses, exits, of => 'churn', otherwise => 'usual')\"")
        };
        refused("two", &two, &["takes 3 inputs, and the score gives it 2"]);
        let online = onnx(self::job(&folder.path().join("online"), &input), &library);
        let said = online.about(&["check"]).arg("--online").run().expect_code(0);
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.contains("ok      model `churn`: ask about a row of zeros"), "{said}");
    }
}
