//! The generator under test: always the same events, and incidents that can be found.

use std::collections::{BTreeMap, BTreeSet};

use event::DataType;

use super::*;
use crate::source::Partition;
use crate::source::Poll;
use crate::{DecodeSpec, Decoder, FieldSpec, TimeSpec, TimeUnit};

fn spec() -> GenerateSpec {
    // As active as the default's users, but fewer of them.
    GenerateSpec { users: 100, rate: 2000.0, events: Some(150_000), ..GenerateSpec::default() }
}

fn text(spec: &GenerateSpec) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_events(spec, &mut bytes).unwrap();
    bytes
}

fn decoder() -> Decoder {
    let fields = vec![FieldSpec::new("event_id", DataType::Varchar)];
    Decoder::new(DecodeSpec::new(fields, TimeSpec::new(&["ts"], TimeUnit::Millis)))
}

/// Bytes of the lane's records from a position on, and the positions of all polls.
fn drain(
    spec: &GenerateSpec,
    lane: u32,
    resume: Option<&crate::Position>,
    records_max: usize,
) -> (Vec<u8>, Vec<crate::Position>) {
    let mut partition = GeneratePartition::open(spec, lane, resume, decoder()).unwrap();
    let (mut bytes, mut positions) = (Vec::new(), vec![partition.position()]);
    while let Poll::Decoded(decoded) = partition.poll(records_max).unwrap() {
        assert!(decoded.rejected.is_empty());
        bytes.extend(decoded.records.bytes);
        positions.push(partition.position());
    }
    (bytes, positions)
}

#[test]
fn the_same_settings_give_the_same_events_and_another_seed_others() {
    for scenario in Scenario::ALL {
        let few = GenerateSpec { scenario, events: Some(500), ..spec() };
        assert_eq!(text(&few), text(&few));
        assert_ne!(text(&few), text(&GenerateSpec { seed: 8, ..few.clone() }));
        let more = GenerateSpec { events: Some(600), ..few.clone() };
        assert!(text(&more).starts_with(&text(&few)), "more events do not change those before");
    }
}

#[test]
fn the_lanes_hold_the_events_in_turn_and_go_on_anywhere() {
    Scenario::ALL.into_iter().for_each(lanes_hold_the_events_in_turn);
}

fn lanes_hold_the_events_in_turn(scenario: Scenario) {
    // Of keys with a character some three hours, in which something happens.
    let rate = if scenario == Scenario::Alike { 2000.0 } else { 0.1 };
    let spec = GenerateSpec { scenario, rate, speed: 1.0, events: Some(1003), lanes: 4, ..spec() };
    let text = text(&spec);
    let lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
    for lane in 0..4 {
        let (bytes, positions) = drain(&spec, lane, None, 37);
        let expected: Vec<u8> =
            lines.iter().skip(lane as usize).step_by(4).flat_map(|line| line.to_vec()).collect();
        assert_eq!(bytes, expected);
        for position in positions {
            let (rest, _) = drain(&spec, lane, Some(&position), usize::MAX);
            assert_eq!(rest, bytes[position.offset as usize..]);
        }
    }
}

#[test]
fn other_events_are_refused_when_a_job_goes_on() {
    let (_, positions) = drain(&GenerateSpec { events: Some(50), ..spec() }, 0, None, 5);
    let open = |spec: &GenerateSpec| GeneratePartition::open(spec, 0, Some(&positions[1]), decoder());
    assert!(open(&GenerateSpec { events: None, ..spec() }).is_ok());
    assert!(open(&GenerateSpec { seed: 8, ..spec() }).err().unwrap().is_refusal());
    assert!(open(&GenerateSpec { scenario: Scenario::Podcast, ..spec() }).err().unwrap().is_refusal());
}

#[test]
fn settings_without_sense_are_refused() {
    for bad in [
        GenerateSpec { users: 0, ..spec() },
        GenerateSpec { rate: 0.0, ..spec() },
        GenerateSpec { speed: f64::NAN, ..spec() },
        GenerateSpec { anomaly_fraction: 1.5, ..spec() },
        GenerateSpec { events: None, ..spec() },
        GenerateSpec { scenario: Scenario::Iot, users: 100_001, ..spec() },
    ] {
        assert!(write_events(&bad, &mut Vec::new()).is_err());
        assert!(write_truth(&bad, &mut Vec::new()).is_err());
    }
}

#[test]
fn the_truth_is_written_as_the_interface_has_it() {
    let mut lines = Vec::new();
    write_truth(&spec(), &mut lines).unwrap();
    let first = String::from_utf8(lines).unwrap().lines().next().unwrap().to_owned();
    let fields: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!(fields["key"], "user-000000");
    assert_eq!(fields["kind"], "exit_storm");
    assert_eq!(fields["from"], 1_700_000_020_000i64);
    assert_eq!(fields.as_object().unwrap().len(), 5);
    assert_eq!(truth(&GenerateSpec { anomaly_fraction: 0.0, ..spec() }).count(), 0);
}

#[derive(Default, Clone, Copy)]
struct Cell {
    events: f64,
    listen: f64,
    pauses: f64,
    exits: f64,
}

/// Window ends in minutes, by user, where the podcast job would alert.
fn alerts(bytes: &[u8]) -> BTreeMap<String, Vec<i64>> {
    let mut minutes: BTreeMap<(String, i64), Cell> = BTreeMap::new();
    for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let event: serde_json::Value = serde_json::from_slice(line).unwrap();
        let minute = event["ts"].as_i64().unwrap().div_euclid(60_000);
        for end in minute + 1..=minute + 10 {
            let cell = minutes.entry((event["user_id"].as_str().unwrap().to_owned(), end)).or_default();
            cell.events += 1.0;
            match event["event_type"].as_str().unwrap() {
                "listen" => cell.listen += event["duration_s"].as_f64().unwrap(),
                "pause" => cell.pauses += 1.0,
                "exit" => cell.exits += 1.0,
                _ => {}
            }
        }
    }
    let mut alerts: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for ((user, end), cell) in minutes {
        let engaged = cell.listen + 30.0;
        let score = engaged / (engaged + 20.0 * cell.pauses + 60.0 * cell.exits);
        if score < 0.3 && cell.events >= 5.0 {
            alerts.entry(user).or_default().push(end);
        }
    }
    alerts
}

#[test]
fn the_podcast_job_finds_the_incidents_and_little_else() {
    // 75 minutes of event time.
    let spec = GenerateSpec { anomaly_fraction: 0.1, ..spec() };
    let alerts = alerts(&text(&spec));
    let incidents: Vec<Incident> = truth(&spec).collect();
    assert!(incidents.len() > 10);
    let overlaps =
        |incident: &Incident, end: i64| end * 60_000 > incident.from && (end - 10) * 60_000 <= incident.to;
    let is_true = |user: &str, end: i64| incidents.iter().any(|i| i.key == user && overlaps(i, end));
    let all: Vec<(&String, i64)> =
        alerts.iter().flat_map(|(user, ends)| ends.iter().map(move |&end| (user, end))).collect();
    let wrong = all.iter().filter(|(user, end)| !is_true(user, *end)).count();
    assert_eq!(wrong, 0, "alerts of users without an incident");

    let last = spec.time_last().unwrap();
    let whole: Vec<&Incident> = incidents.iter().filter(|i| i.to + 60_000 < last).collect();
    let found = whole
        .iter()
        .filter(|i| alerts.get(&i.key).is_some_and(|ends| ends.iter().any(|&end| overlaps(i, end))))
        .count();
    assert!(found * 10 >= whole.len() * 8, "{found} of {} incidents", whole.len());

    let kinds: BTreeSet<String> = incidents.iter().map(|i| format!("{:?}", i.kind)).collect();
    assert_eq!(kinds.len(), 3);
    let first = all.iter().map(|&(_, end)| end * 60_000).min().unwrap();
    assert!(first <= spec.start + 5 * 60_000, "within five seconds at sixty times the clock");
}
