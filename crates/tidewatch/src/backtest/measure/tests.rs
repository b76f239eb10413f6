//! Measures of cases that are small enough to be counted by hand.

use serde_json::json;

use super::super::labels::Label;
use super::*;

const MINUTE_MS: i64 = 60_000;
const MINUTE: i64 = MINUTE_MS * MICROS_PER_MILLI;

fn label(key: u32, from: i64, to: i64) -> Label {
    let (from, to) = (from * MINUTE_MS, to * MINUTE_MS - 1);
    Label { key: json!(key), kind: "drop".to_owned(), from, to, cohort: None }
}

fn incidents(labels: Vec<Label>) -> Incidents {
    Incidents::new(&Labels { labels }, |key| key.as_u64().unwrap() as u32)
}

/// An alert over a window of minutes.
fn alert(start: i64, end: i64) -> Bout {
    Bout { start: start * MINUTE, known: end * MINUTE, end: end * MINUTE, opens: true }
}

/// An episode that opens with a window and whose last bad one ends later.
fn lasting(start: i64, known: i64, end: i64) -> Bout {
    Bout { end: end * MINUTE, ..alert(start, known) }
}

fn episode(key: u32, bouts: &[Bout]) -> Episode {
    Episode { rule: 0, key, bouts: bouts.to_vec() }
}

fn measured(incidents: &Incidents, episodes: &[Episode]) -> Measures {
    tally(incidents, episodes.iter()).measures(500.0)
}

#[test]
fn precision_counts_episodes_and_recall_counts_incidents() {
    let incidents = incidents(vec![label(0, 10, 20), label(1, 10, 20), label(1, 100, 110)]);
    let episodes = [
        // Two rules find the same one; one episode finds two; two find nothing, of which one has the wrong key.
        episode(0, &[alert(5, 15)]),
        Episode { rule: 1, ..episode(0, &[alert(8, 18)]) },
        episode(1, &[alert(12, 22), alert(13, 23), alert(95, 105)]),
        episode(0, &[alert(30, 40)]),
        episode(2, &[alert(10, 20)]),
    ];
    let measures = measured(&incidents, &episodes);
    assert_eq!((measures.precision, measures.recall), (Some(3.0 / 5.0), Some(1.0)));
    assert!((measures.f1.unwrap() - 0.75).abs() < 1e-12);
    assert_eq!((measures.incidents, measures.found, measures.episodes, measures.alerts), (3, 3, 5, 7));
    // Five alerts of those that find something, for three incidents; seven, two of them false, in 500 key-hours.
    assert_eq!(measures.alerts_per_incident, Some(5.0 / 3.0));
    assert_eq!(measures.alerts_per_1000_key_hours, Some(14.0));
    assert_eq!(measures.false_alerts_per_1000_key_hours, Some(4.0));
}

#[test]
fn a_window_overlaps_an_incident_up_to_its_last_millisecond_and_not_beyond() {
    // To 19:59.999.
    let incidents = incidents(vec![label(0, 10, 20)]);
    let is_found = |bout| measured(&incidents, &[episode(0, &[bout])]).found == 1;
    assert!(is_found(Bout { start: 20 * MINUTE - 1, ..alert(20, 25) }));
    assert!(!is_found(alert(20, 25)), "it starts when the incident is over");
    assert!(!is_found(alert(5, 10)), "it ends before the incident begins: an end is no part of a window");
    assert!(is_found(Bout { end: 10 * MINUTE + 1, ..alert(5, 10) }));
    assert!(is_found(alert(12, 13)) && is_found(alert(0, 60)));
}

#[test]
fn the_delay_is_from_the_start_of_an_incident_to_the_end_of_the_first_window_that_finds_it() {
    let incidents = incidents(vec![label(0, 10, 30), label(1, 10, 30), label(2, 10, 30)]);
    let episodes = [
        // The first window that overlaps counts, in whatever order; the one before the incident does not find it.
        episode(0, &[alert(15, 25), alert(0, 9), alert(5, 14)]),
        // It was open already when the incident began.
        episode(1, &[lasting(0, 5, 12)]),
        episode(2, &[lasting(12, 22, 40), alert(25, 35)]),
    ];
    let delay = measured(&incidents, &episodes).delay_s;
    assert_eq!((delay.p50, delay.p95), (Some(240.0), Some(720.0)));
    let first = measured(&incidents, &episodes[..1]).delay_s;
    assert_eq!((first.p50, first.p95), (Some(240.0), Some(240.0)));
}

#[test]
fn percentiles_are_of_the_values_that_there_are() {
    let seconds: Vec<i64> = (1..=20).map(|second| second * MICROS_PER_SECOND).collect();
    assert_eq!((percentile(&seconds, 0.5), percentile(&seconds, 0.95)), (Some(10.0), Some(19.0)));
    assert_eq!(percentile(&seconds[..1], 0.95), Some(1.0));
    assert_eq!(percentile(&[], 0.5), None);
}

#[test]
fn an_episode_that_is_over_and_reopened_does_not_cover_the_time_between() {
    let incidents = incidents(vec![label(0, 30, 40)]);
    let reopened = episode(0, &[lasting(0, 10, 20), lasting(50, 60, 70)]);
    let measures = measured(&incidents, &[reopened]);
    assert_eq!((measures.precision, measures.recall), (Some(0.0), Some(0.0)));
    assert_eq!((measures.f1, measures.alerts_per_incident), (Some(0.0), None));
}

#[test]
fn what_nothing_can_be_said_of_is_null() {
    let none = measured(&incidents(Vec::new()), &[episode(0, &[alert(0, 1)])]);
    assert_eq!((none.precision, none.recall, none.f1), (Some(0.0), None, None));
    let silent = measured(&incidents(vec![label(0, 0, 1)]), &[]);
    assert_eq!((silent.precision, silent.recall), (None, Some(0.0)));
    assert_eq!((silent.alerts_per_1000_key_hours, silent.delay_s.p50), (Some(0.0), None));
}

#[test]
fn labels_of_one_cohort_are_one_incident_which_any_of_their_keys_finds() {
    let of = |key, cohort: &str| Label { cohort: Some(cohort.to_owned()), ..label(key, 10, 20) };
    let incidents =
        incidents(vec![of(0, "show"), of(1, "show"), of(2, "show"), of(0, "other"), label(1, 50, 60)]);
    assert_eq!(incidents.count, 3);
    let episodes = [episode(1, &[alert(10, 15)]), episode(2, &[alert(10, 12)])];
    let measures = measured(&incidents, &episodes);
    assert_eq!((measures.found, measures.precision), (1, Some(1.0)));
    assert_eq!(measures.delay_s.p50, Some(120.0), "that of the key that is found first");
    assert_eq!(measures.alerts_per_incident, Some(2.0));
}

#[test]
fn incidents_of_some_keys_are_counted_by_themselves() {
    let of = |key| Label { cohort: Some("show".to_owned()), ..label(key, 10, 20) };
    let all = incidents(vec![of(0), of(1), label(1, 50, 60), label(2, 50, 60)]);
    let some = all.of_keys(|key| key == 1);
    assert_eq!((some.count, some.keys().collect::<Vec<_>>()), (2, vec![1]));
    let measures = measured(&some, &[episode(1, &[alert(50, 60)]), episode(2, &[alert(50, 60)])]);
    assert_eq!((measures.found, measures.precision), (1, Some(0.5)));
}

#[test]
fn what_is_found_of_each_kind_is_counted_by_itself() {
    let of = |kind: &str, label: Label| Label { kind: kind.to_owned(), ..label };
    let incidents = incidents(vec![
        of("storm", label(0, 10, 20)),
        of("silence", label(1, 10, 20)),
        of("storm", label(2, 10, 20)),
    ]);
    let episodes = [episode(0, &[alert(10, 13)]), episode(1, &[alert(30, 40)])];
    let kinds = tally(&incidents, episodes.iter()).by_kind();
    let (storm, silence) = (&kinds["storm"], &kinds["silence"]);
    assert_eq!((storm.incidents, storm.found, storm.recall), (2, 1, Some(0.5)));
    assert_eq!((storm.delay_s.p50, silence.delay_s.p50), (Some(180.0), None));
    assert_eq!((silence.incidents, silence.found), (1, 0));
    let some = incidents.of_keys(|key| key > 0);
    assert_eq!(tally(&some, episodes.iter()).by_kind()["storm"].incidents, 1);
}
