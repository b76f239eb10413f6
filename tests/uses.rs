//! The uses in `configs/`, each on seeds that its thresholds were not made with: what it finds of what goes wrong, what it
//! calls wrong that is not, how late, how often, and how much better that is than a threshold on one number.

#[path = "uses/measure.rs"]
mod measure;
#[path = "uses/naive.rs"]
mod naive;
#[path = "uses/plan.rs"]
mod plan;

use measure::{Alert, Figures, alerts, figures};
use plan::{Plan, SEEDS, TRAINING_SEED};

/// Runs a config on seeds that nothing was made with, and holds it against its figures and the best naive threshold.
fn check(config: &str, asked: Figures) {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = Plan::read(config);
    let naive =
        naive::best(&plan, &naive::rows(&plan, TRAINING_SEED, folder.path()), &plan.truth(TRAINING_SEED));
    let (mut all, mut all_naive) = (Vec::new(), Vec::new());
    for seed in SEEDS {
        let truth = plan.truth(seed);
        let found: Vec<Alert> = alerts(&plan, seed, folder.path());
        all.push(figures(&found, &truth));
        let simple = naive.alerts(&plan, &naive::rows(&plan, seed, folder.path()));
        all_naive.push(figures(&simple, &truth));
    }
    let (mean, simple) = (Figures::mean(&all), Figures::mean(&all_naive));
    println!("{config}: {mean}\n  one by one {all:?}\n  {naive}: {simple}");
    assert!(mean.precision >= asked.precision, "{config}: {mean}");
    assert!(mean.recall >= asked.recall, "{config}: {mean}");
    assert!(mean.alerts_per_incident <= asked.alerts_per_incident, "{config}: {mean}");
    assert!(mean.delay_s <= asked.delay_s, "{config}: {mean}");
    assert!(mean.f1() > simple.f1(), "{config}: {mean}; naive: {simple}");
}

#[test]
fn sensors_that_drift_jump_or_stand_still_are_found() {
    check("iot.toml", Figures { precision: 0.9, recall: 0.7, alerts_per_incident: 1.2, delay_s: 3600.0 });
}

#[test]
fn payments_that_come_too_fast_are_too_large_or_try_out_numbers_are_found() {
    check("payments.toml", Figures { precision: 0.9, recall: 0.7, alerts_per_incident: 1.2, delay_s: 900.0 });
}

#[test]
fn players_who_act_aim_or_gain_as_no_person_can_are_found() {
    check("games.toml", Figures { precision: 0.9, recall: 0.7, alerts_per_incident: 1.2, delay_s: 1800.0 });
}

#[test]
fn clicks_without_people_and_clicks_without_purchases_are_found() {
    check("ads.toml", Figures { precision: 0.9, recall: 0.7, alerts_per_incident: 1.2, delay_s: 2400.0 });
}

#[test]
fn no_threshold_of_a_config_is_a_number_of_its_generator() {
    for config in ["iot.toml", "payments.toml", "games.toml", "ads.toml"] {
        let plan = Plan::read(config);
        let made = plan::numbers(&plan.scene());
        let judged = plan.judging();
        assert!(!plan::numbers(&judged).is_empty(), "{config}");
        let shared: Vec<String> =
            plan::numbers(&judged).into_iter().filter(|number| made.contains(number)).collect();
        assert!(shared.is_empty(), "{config} and its generator share {shared:?}");
    }
}
