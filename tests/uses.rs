//! The uses in `configs/`, each on seeds that nothing was chosen with: what its alerts are worth beside the best single threshold,
//! counted by `tidewatch backtest`, and for one use counted here again from the alerts and the truth.

#[path = "uses/numbers.rs"]
mod numbers;
#[path = "uses/recount.rs"]
mod recount;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use testkit::process::Invocation;
use testkit::workload::repository;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");
/// What the naive threshold is fitted to; detectors and limits of the configs were chosen with the seeds 1 to 12.
const TRAINING_SEED: u64 = 1;
/// What all is measured on. Whoever changes a config because of a figure here takes others.
const SEEDS: [u64; 5] = [41, 42, 43, 44, 45];
/// Millions of events, three times, while the other uses are measured.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a use asks for, and never more than that is asked: these are no measurements.
struct Asked {
    precision: f64,
    recall: f64,
    alerts_per_incident: f64,
    /// Half of what is found is found within so many seconds of event time.
    delay_s: f64,
    /// Kinds of incidents, and the least share of each that is found: of keys, and of whole cohorts, which roll-ups find.
    kinds: &'static [(&'static str, f64)],
}

/// Counts of several backtests together.
#[derive(Debug, Default)]
struct Counts {
    incidents: f64,
    found: f64,
    episodes: f64,
    good: f64,
    /// Alerts of episodes that find something.
    alerts: f64,
}

impl Counts {
    fn add(&mut self, measures: &Value) {
        let number = |name: &str| measures[name].as_f64().unwrap_or(0.0);
        self.incidents += number("incidents");
        self.found += number("found");
        self.episodes += number("episodes");
        self.good += (number("precision") * number("episodes")).round();
        self.alerts += (number("alerts_per_incident") * number("found")).round();
    }

    fn precision(&self) -> f64 {
        self.good / self.episodes
    }

    fn recall(&self) -> f64 {
        self.found / self.incidents
    }

    fn f1(&self) -> f64 {
        2.0 * self.precision() * self.recall() / (self.precision() + self.recall())
    }
}

fn config(name: &str) -> PathBuf {
    repository().join("configs").join(name)
}

fn backtest(name: &str, seed: u64) -> Invocation {
    let start = Invocation::new(PROGRAM).arg("backtest").arg(config(name)).args(["-w", "2"]);
    start.set("source.events.seed", seed.to_string())
}

fn report(invocation: Invocation) -> Value {
    let said = invocation.args(["--format", "json"]).start().wait(PATIENCE).expect_code(0).stdout;
    serde_json::from_slice(&said).expect("a report in JSON")
}

/// Measures a config on seeds that nothing was chosen with, and holds it against what is asked and the best naive threshold.
fn check(name: &str, asked: &Asked) {
    let train = ["--train-seed", &TRAINING_SEED.to_string()];
    let reports: Vec<Value> = SEEDS.iter().map(|seed| report(backtest(name, *seed).args(train))).collect();
    let (mut own, mut naive) = (Counts::default(), Counts::default());
    for report in &reports {
        assert_eq!(report["naive"]["fitted_on"], "training_data", "{report}");
        own.add(&report["total"]);
        naive.add(&report["naive"]);
        let delay = report["total"]["delay_s"]["p50"].as_f64().expect("something is found");
        assert!(delay <= asked.delay_s, "{name}: found after {delay} s");
    }
    let alerts = own.alerts / own.found;
    assert!(own.incidents > 100.0, "{name}: {own:?}");
    assert!(own.precision() >= asked.precision, "{name}: precision {}, {own:?}", own.precision());
    assert!(own.recall() >= asked.recall, "{name}: recall {}, {own:?}", own.recall());
    assert!(alerts <= asked.alerts_per_incident, "{name}: {alerts} alerts an incident, {own:?}");
    assert!(own.f1() > naive.f1(), "{name}: {own:?}, a single threshold: {naive:?}");
    for (kind, least) in asked.kinds {
        let number = |report: &Value, of: &str| report["kinds"][kind][of].as_f64().expect("a number");
        let sum = |of: &str| reports.iter().map(|report| number(report, of)).sum::<f64>();
        let share = sum("found") / sum("incidents");
        assert!(share >= *least, "{name}: finds {share} of {kind}");
    }
}

#[test]
fn listeners_who_leave_slowly_or_at_once_fall_silent_or_grow_restless_are_found() {
    check(
        "podcast.toml",
        &Asked {
            precision: 0.9,
            recall: 0.7,
            alerts_per_incident: 1.2,
            delay_s: 1800.0,
            kinds: &[
                ("drop", 0.5),
                ("decline", 0.5),
                ("silence", 0.5),
                ("pause_storm", 0.5),
                ("seek_storm", 0.5),
                ("early_exits", 0.5),
                ("outage", 0.9),
            ],
        },
    );
}

#[test]
fn sensors_that_drift_jump_or_stand_still_are_found() {
    check(
        "iot.toml",
        &Asked {
            precision: 0.9,
            recall: 0.7,
            alerts_per_incident: 1.2,
            delay_s: 1800.0,
            kinds: &[("drift", 0.5), ("spike", 0.5), ("stuck", 0.5), ("outage", 0.9)],
        },
    );
}

#[test]
fn payments_that_come_too_fast_are_too_large_or_try_out_numbers_are_found() {
    check(
        "payments.toml",
        &Asked {
            precision: 0.9,
            recall: 0.7,
            alerts_per_incident: 1.2,
            delay_s: 900.0,
            kinds: &[("velocity", 0.5), ("amount", 0.5), ("testing", 0.5), ("outage", 0.9)],
        },
    );
}

#[test]
fn players_who_act_aim_or_gain_as_no_person_can_are_found() {
    check(
        "games.toml",
        &Asked {
            precision: 0.9,
            recall: 0.7,
            alerts_per_incident: 1.2,
            delay_s: 1200.0,
            kinds: &[("speed", 0.5), ("aim", 0.5), ("farm", 0.5), ("outage", 0.9)],
        },
    );
}

#[test]
fn clicks_without_people_and_clicks_without_purchases_are_found() {
    check(
        "ads.toml",
        &Asked {
            precision: 0.9,
            recall: 0.7,
            alerts_per_incident: 1.2,
            delay_s: 2400.0,
            kinds: &[("flood", 0.5), ("low_conversion", 0.5), ("outage", 0.9)],
        },
    );
}

#[test]
fn what_a_backtest_of_a_use_says_is_what_its_alerts_and_the_truth_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let said = report(backtest("payments.toml", SEEDS[0]).arg("--out").arg(&out));
    let counted = recount::of(&out.join("alerts.ndjson"), &recount::truth("payments.toml", SEEDS[0]));
    for (name, found) in [
        ("incidents", counted.incidents),
        ("found", counted.found),
        ("episodes", counted.episodes),
        ("alerts", counted.alerts),
    ] {
        assert_eq!(said["total"][name], found, "{name} of {}, counted {counted:?}", said["total"]);
    }
    let precision = counted.good as f64 / counted.episodes as f64;
    assert!((said["total"]["precision"].as_f64().expect("a number") - precision).abs() < 1e-9, "{counted:?}");
    assert!(counted.found > 20, "{counted:?}");
}

#[test]
fn no_limit_of_a_config_is_a_number_of_its_generator() {
    for (name, scene) in [
        ("podcast.toml", "podcast"),
        ("iot.toml", "iot"),
        ("payments.toml", "payments"),
        ("games.toml", "games"),
        ("ads.toml", "ads"),
    ] {
        let judging = numbers::of(&numbers::judging(&config(name)));
        let made = numbers::of(&numbers::scene(scene));
        assert!(judging.len() > 3 && made.len() > 20, "{name}: {judging:?}, {made:?}");
        let shared: Vec<&String> = judging.intersection(&made).collect();
        assert!(shared.is_empty(), "{name} and its generator share {shared:?}");
    }
}
