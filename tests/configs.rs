//! Every file in `configs/` is a complete job: it checks, and it runs.

use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::job::Job;
use testkit::process::Invocation;
use testkit::workload::{generate, repository};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");

fn configs() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository().join("configs")).expect("configs/");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml" || extension == "sql"))
        .collect();
    files.sort();
    assert!(files.len() >= 3, "{files:?}");
    files
}

#[test]
fn every_config_passes_its_check_without_a_word_of_warning() {
    for config in configs() {
        if let Some(feature) =
            feature_of(&config).filter(|(_, is_built)| !is_built).map(|(feature, _)| feature)
        {
            let refused = Invocation::new(PROGRAM).arg("check").arg(&config).run().expect_code(3);
            assert!(refused.stderr.contains(&format!("built without `{feature}`")), "{}", refused.stderr);
            assert!(refused.stderr.contains(&format!("--features {feature}")), "{}", refused.stderr);
            continue;
        }
        let finished = Invocation::new(PROGRAM).arg("check").arg(&config).run().expect_code(0);
        assert!(!finished.stderr.contains("warning"), "{}:\n{}", config.display(), finished.stderr);
    }
}

/// The feature that a config needs, and whether this program was built with it.
fn feature_of(config: &Path) -> Option<(&'static str, bool)> {
    match config.file_name()?.to_str()? {
        "podcast-http.toml" => Some(("http", cfg!(feature = "http"))),
        "podcast-kafka.toml" => Some(("kafka", cfg!(feature = "kafka"))),
        "podcast-model.toml" => Some(("onnx", cfg!(feature = "onnx"))),
        "podcast-kinesis.toml" => Some(("kinesis", cfg!(feature = "kinesis"))),
        _ => None,
    }
}

/// Those that need a server of their own run in a test of their own, such as `tests/kafka.rs`.
#[test]
fn every_config_runs_to_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    for config in configs().into_iter().filter(|config| feature_of(config).is_none()) {
        let name = config.file_name().expect("a name").to_string_lossy().into_owned();
        let job = Job::new(PROGRAM, &config, folder.path().join(&name)).workers(2);
        // What a job needs to be short, or to find its input. A new config says here how it is run.
        let job = match name.as_str() {
            // Three hours of event time, in which something goes wrong.
            "podcast.toml" | "iot.toml" | "payments.toml" | "games.toml" | "ads.toml" => job
                .set("source.events.events", 60_000)
                .set("source.events.density", 5)
                .set("source.events.rate", 1_000_000),
            "podcast-reference.toml" | "podcast.sql" | "podcast-visits.sql" => {
                let input = folder.path().join("events.ndjson");
                generate(10_000, 200, 1, &[], &input);
                job.on(&input).with_alerts().with_state()
            }
            // One series of the benchmark.
            "nab.toml" => {
                let series = repository().join("tests/nab/data/realTraffic/speed_7578.csv");
                job.set("source.events.path", series.display())
                    .set("sink.scores.path", folder.path().join("scores").display())
            }
            "moved.sql" => {
                let vitals = folder.path().join("vitals.ndjson");
                let line = |at: u64| {
                    format!(
                        "{{\"at\":{},\"heart\":{}.5,\"pressure\":118.0}}\n",
                        1_700_000_000_000 + at,
                        70 + at % 7
                    )
                };
                std::fs::write(&vitals, (0..400).map(line).collect::<String>()).expect("write");
                job.set("source.vitals.path", vitals.display())
            }
            other => panic!("tests/configs.rs does not know how to run configs/{other}"),
        };
        job.run();
        let report = job.report();
        assert!(report["read"].as_u64() > Some(0) && report["quarantined"] == 0, "{name}: {report}");
    }
}

#[test]
fn the_main_job_finds_anomalies_that_its_generator_has_planted_and_calls_them_alerts() {
    let folder = tempfile::tempdir().expect("a folder");
    let job = Job::new(PROGRAM, "configs/podcast.toml", folder.path());
    let job = job.set("source.events.events", 400_000).set("source.events.rate", 1_000_000);
    let alerts = testkit::job::json_lines(&job.run().stdout);
    let roll_ups = alerts.iter().filter(|alert| alert["type"] == "tidewatch.rollup").count() as u64;
    let (said, capped) = (job.report()["alerts"].as_u64(), job.report()["capped"].as_u64());
    assert_eq!(said.zip(capped).map(|(said, capped)| said - capped), Some(alerts.len() as u64 - roll_ups));
    let mut opened = 0;
    for alert in &alerts {
        let present = |pointer: &str| alert.pointer(pointer).is_some_and(|value| !value.is_null());
        let is = |kind: &str| alert["type"] == kind;
        assert!(is("tidewatch.alert") || is("tidewatch.rollup"), "{alert}");
        assert_eq!(alert["specversion"], "1.0", "{alert}");
        for pointer in
            ["/id", "/source", "/type", "/data/rule", "/data/severity", "/data/key", "/data/window"]
        {
            assert!(present(pointer), "{pointer} of {alert}");
        }
        // That it is over is said without what it was about, and a roll-up is about several keys.
        let is_about_a_row = is("tidewatch.alert") && alert["data"]["state"] != "resolved";
        assert!(present("/data/features") && present("/data/score") || !is_about_a_row, "{alert}");
        opened += usize::from(alert["data"]["state"] == "opened");
    }
    assert!(opened > 3, "{opened} alerts of {}", alerts.len());
    let mut ids: Vec<&Value> = alerts.iter().map(|alert| &alert["id"]).collect();
    ids.sort_by_key(|id| id.to_string());
    ids.dedup();
    assert_eq!(ids.len(), alerts.len(), "every alert has an id of its own");
}
