//! Keys with a character under test: what is planted is there, as large as the truth says, and nowhere else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::{Incident, IncidentKind, Scenario, truth, write_events};
use super::*;

const STAGED: [Scenario; 5] =
    [Scenario::Podcast, Scenario::Iot, Scenario::Payments, Scenario::Games, Scenario::Ads];
const MINUTE_MS: i64 = 60_000;

/// Two periods of event time, and what comes before.
fn spec(scenario: Scenario) -> GenerateSpec {
    let rate = 14.0;
    let events = Some((rate * 60.0 * 375.0) as u64);
    GenerateSpec {
        scenario,
        users: 90,
        rate,
        speed: 1.0,
        events,
        anomaly_fraction: 0.2,
        ..GenerateSpec::default()
    }
}

/// An event as anybody would read it.
struct Read {
    key: String,
    cohort: String,
    time: i64,
    fields: Value,
}

fn read(scenario: Scenario, spec: &GenerateSpec) -> Vec<Read> {
    let (key, cohort) = match scenario {
        Scenario::Podcast => ("user_id", "show"),
        Scenario::Iot => ("sensor_id", "site"),
        Scenario::Payments => ("account_id", "bank"),
        Scenario::Games => ("player_id", "region"),
        _ => ("publisher_id", "network"),
    };
    let mut bytes = Vec::new();
    write_events(spec, &mut bytes).unwrap();
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let event = |line: &[u8]| {
        let fields: Value = serde_json::from_slice(line).unwrap();
        let text = |name: &str| fields[name].as_str().unwrap().to_owned();
        Read { key: text(key), cohort: text(cohort), time: fields["ts"].as_i64().unwrap(), fields }
    };
    lines.map(event).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / f64::max(count, 1.0)
}

#[test]
fn time_begins_with_a_lead_and_incidents_of_a_key_are_never_near_one_another() {
    for scenario in STAGED {
        let spec = GenerateSpec { anomaly_fraction: 1.0, ..spec(scenario) };
        let mut last: BTreeMap<String, i64> = BTreeMap::new();
        let incidents: Vec<Incident> = truth(&spec).collect();
        assert!(incidents.len() >= 2 * 90);
        for incident in incidents {
            assert!(incident.from >= spec.start + 75 * MINUTE_MS && incident.to > incident.from);
            assert!(incident.to <= spec.time_last().unwrap());
            if let Some(before) = last.insert(incident.key.clone(), incident.to) {
                assert!(incident.from - before >= 39 * MINUTE_MS, "{incident:?}");
            }
        }
    }
}

#[test]
fn every_kind_of_a_scene_occurs_in_all_sizes_down_to_hard_ones() {
    for scenario in STAGED {
        let spec = GenerateSpec { users: 2000, ..spec(scenario) };
        let mut sizes: BTreeMap<IncidentKind, Vec<f64>> = BTreeMap::new();
        truth(&spec).for_each(|incident| sizes.entry(incident.kind).or_default().push(incident.size));
        let scene = scenario.scene().unwrap();
        assert_eq!(sizes.remove(&IncidentKind::Outage).unwrap().len(), 2);
        assert_eq!(sizes.len(), scene.incidents().len(), "{scenario:?}");
        let all: Vec<f64> = sizes.values().flatten().copied().collect();
        assert!(all.iter().all(|size| (0.0..=1.0).contains(size)));
        for (least, most) in [(0.15, 0.45), (0.45, 0.7), (0.7, 1.0)] {
            let share =
                all.iter().filter(|size| (least..most).contains(*size)).count() as f64 / all.len() as f64;
            assert!(share > 0.15, "{scenario:?}: {share} of the sizes from {least} to {most}");
        }
        assert!(sizes.values().all(|sizes| sizes.iter().any(|size| *size > 0.95)));
    }
}

/// A number of a key's events in a stretch that an incident of a kind raises or lowers.
fn sign(kind: IncidentKind, events: &[&Read], minutes: f64) -> f64 {
    let share = |is: &dyn Fn(&Value) -> bool| mean(events.iter().map(|e| f64::from(is(&e.fields))));
    let of = |name: &str, word: &str| share(&|fields| fields[name] == word);
    let number = |name: &'static str| events.iter().filter_map(move |event| event.fields[name].as_f64());
    match kind {
        IncidentKind::Drop => mean(number("duration_s")),
        IncidentKind::Decline => events.len() as f64 / minutes,
        IncidentKind::PauseStorm => of("event_type", "pause"),
        IncidentKind::SeekStorm => of("event_type", "seek"),
        IncidentKind::EarlyExits => of("event_type", "exit"),
        IncidentKind::Drift => mean(number("value")),
        IncidentKind::Spike => {
            let middle = mean(number("value"));
            mean(number("value").map(|value| (value - middle).powi(2))).sqrt()
        }
        IncidentKind::Stuck => {
            let values: BTreeSet<String> = events.iter().map(|e| e.fields["value"].to_string()).collect();
            values.len() as f64 / events.len().max(1) as f64
        }
        IncidentKind::Amount => mean(number("amount")),
        IncidentKind::Testing => of("status", "declined"),
        IncidentKind::Aim => mean(number("reaction_ms")),
        IncidentKind::Farm => of("action", "loot"),
        IncidentKind::Flood => of("event_type", "click"),
        IncidentKind::LowConversion => of("event_type", "conversion"),
        _ => events.len() as f64 / minutes,
    }
}

#[test]
fn the_larger_an_incident_the_further_its_key_leaves_what_is_usual_for_it() {
    for scenario in STAGED {
        let spec = GenerateSpec { anomaly_fraction: 0.45, ..spec(scenario) };
        let mut events: BTreeMap<String, Vec<Read>> = BTreeMap::new();
        for event in read(scenario, &spec) {
            events.entry(event.key.clone()).or_default().push(event);
        }
        let mut far: BTreeMap<IncidentKind, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
        for incident in truth(&spec).filter(|incident| incident.kind != IncidentKind::Outage) {
            let own = &events[&incident.key];
            let stretch = |from: i64, to: i64| {
                let events: Vec<&Read> = own.iter().filter(|e| from <= e.time && e.time <= to).collect();
                sign(incident.kind, &events, (to - from) as f64 / MINUTE_MS as f64)
            };
            // What comes slowly is all there at the end.
            let middle = incident.from + (incident.to - incident.from) / 2;
            let (within, before) =
                (stretch(middle, incident.to), stretch(incident.from - 70 * MINUTE_MS, incident.from - 1));
            let (small, large) = far.entry(incident.kind).or_default();
            let off = match incident.kind {
                // Sensors have units of their own.
                IncidentKind::Drift => within - before,
                _ => (within / before.max(1e-3)).clamp(1e-3, 1e3).ln().abs(),
            };
            if incident.size < 0.5 {
                small.push(off)
            } else if incident.size > 0.8 {
                large.push(off)
            }
        }
        assert!(far.len() >= 2);
        for (kind, (small, large)) in far {
            let (few, much) = (mean(small.iter().copied()), mean(large.iter().copied()));
            assert!(!large.is_empty(), "{scenario:?} {kind:?}");
            assert!(
                much > 0.25 && (small.is_empty() || much > 1.5 * few),
                "{scenario:?} {kind:?}: {few} {much}"
            );
        }
    }
}

#[test]
fn keys_are_as_much_heard_of_one_hour_as_another_and_not_all_alike() {
    for scenario in STAGED {
        let spec = GenerateSpec { anomaly_fraction: 0.0, ..spec(scenario) };
        assert_eq!(truth(&spec).count(), 0);
        let middle = spec.start + 187 * MINUTE_MS;
        let mut counts: BTreeMap<String, [f64; 2]> = BTreeMap::new();
        for event in read(scenario, &spec) {
            counts.entry(event.key).or_default()[usize::from(event.time > middle)] += 1.0;
        }
        assert_eq!(counts.len(), 90);
        let kept = counts.values().filter(|[a, b]| (0.5..2.0).contains(&(a / b.max(1.0)))).count();
        assert!(kept > 85, "{scenario:?}: {kept} of 90 keys");
        let mut levels: Vec<f64> = counts.values().map(|[a, b]| a + b).collect();
        levels.sort_by(f64::total_cmp);
        assert!(levels[80] > 2.0 * levels[9], "{scenario:?}: {} to {}", levels[9], levels[80]);
    }
}

#[test]
fn an_outage_silences_a_whole_cohort_and_nobody_else() {
    for scenario in STAGED {
        let spec = spec(scenario);
        let events = read(scenario, &spec);
        for outage in truth(&spec).filter(|incident| incident.kind == IncidentKind::Outage) {
            let count = |is_cohort: bool, from: i64, to: i64| {
                let found = events.iter().filter(|event| {
                    (event.cohort == outage.key) == is_cohort && from <= event.time && event.time <= to
                });
                found.count() as f64
            };
            let before = outage.from - (outage.to - outage.from);
            let kept = |is_cohort| {
                count(is_cohort, outage.from, outage.to) / count(is_cohort, before, outage.from).max(1.0)
            };
            assert!(count(true, before, outage.from) > 50.0);
            assert!(kept(true) < 0.1 && kept(false) > 0.8, "{scenario:?} {outage:?}");
        }
    }
}

#[test]
fn what_only_looks_odd_is_as_frequent_as_what_is_and_in_no_truth() {
    for scenario in STAGED {
        let spec = GenerateSpec { users: 2000, ..spec(scenario) };
        let scene = scenario.scene().unwrap();
        let period = Period::of(&spec, scene, 1);
        let harmless: Vec<&(u64, Happening)> = period
            .happenings
            .iter()
            .filter(|(_, happening)| matches!(happening.what, What::Harmless(_)))
            .collect();
        let share = harmless.len() as f64 / spec.users as f64;
        assert!((0.15..0.25).contains(&share), "{scenario:?}: {share}");
        let incidents: Vec<Incident> = truth(&spec).collect();
        for (key, happening) in harmless {
            let (key, from) = (key_name(scene, *key), happening.from);
            let within = |i: &&Incident| i.key == key && i.from <= happening.to && from <= i.to;
            assert_eq!(incidents.iter().find(within), None);
        }
    }
}
