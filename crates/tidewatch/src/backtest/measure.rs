//! How good alerts are: incidents on one side, episodes on the other, and what of the one is found by the other.
//!
//! Plain arithmetic over numbers of keys and times in microseconds; knows no config and does no IO. The definitions stand in
//! `docs/reference.md` as well.

use std::collections::{BTreeMap, HashMap};

use event::{MICROS_PER_MILLI, MICROS_PER_SECOND};
use serde::Serialize;

use super::labels::Labels;

/// Microseconds of an hour.
const HOUR: f64 = 3600.0 * MICROS_PER_SECOND as f64;

/// A time for which something was wrong with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wrong {
    /// Which incident it is of.
    incident: u32,
    from: i64,
    /// Behind its last microsecond.
    end: i64,
}

/// What should be found, by the number of its key.
#[derive(Debug, Clone, Default)]
pub(super) struct Incidents {
    by_key: Vec<Vec<Wrong>>,
    count: usize,
    /// What each is, a number among the names.
    kinds: Vec<u16>,
    names: Vec<String>,
}

impl Incidents {
    /// The incidents of these labels; `number` gives the number of the key of a label.
    pub(super) fn new(labels: &Labels, mut number: impl FnMut(&serde_json::Value) -> u32) -> Self {
        let mut incidents = Incidents::default();
        let mut cohorts: HashMap<&str, u32> = HashMap::new();
        for label in &labels.labels {
            let next = incidents.count as u32;
            let incident = match &label.cohort {
                Some(cohort) => *cohorts.entry(cohort).or_insert(next),
                None => next,
            };
            if incident == next {
                incidents.count += 1;
                let kind = incidents.kind(&label.kind);
                incidents.kinds.push(kind);
            }
            let key = number(&label.key) as usize;
            if incidents.by_key.len() <= key {
                incidents.by_key.resize(key + 1, Vec::new());
            }
            let from = label.from.saturating_mul(MICROS_PER_MILLI);
            let end = label.to.saturating_add(1).saturating_mul(MICROS_PER_MILLI);
            incidents.by_key[key].push(Wrong { incident, from, end });
        }
        incidents
    }

    /// The number of that kind, a new one if there was none of it.
    fn kind(&mut self, name: &str) -> u16 {
        let found = self.names.iter().position(|other| other == name);
        let number = found.unwrap_or(self.names.len());
        if found.is_none() {
            self.names.push(name.to_owned());
        }
        number as u16
    }

    /// Numbers of the keys that have one.
    pub(super) fn keys(&self) -> impl Iterator<Item = u32> {
        let with_some = self.by_key.iter().enumerate().filter(|(_, wrong)| !wrong.is_empty());
        with_some.map(|(key, _)| key as u32)
    }

    /// Those of some keys only.
    pub(super) fn of_keys(&self, is_kept: impl Fn(u32) -> bool) -> Incidents {
        let by_key = vec![Vec::new(); self.by_key.len()];
        let mut kept = Incidents { by_key, names: self.names.clone(), ..Incidents::default() };
        let mut renumbered: HashMap<u32, u32> = HashMap::new();
        for key in self.keys().filter(|key| is_kept(*key)) {
            for wrong in &self.by_key[key as usize] {
                let next = renumbered.len() as u32;
                let incident = *renumbered.entry(wrong.incident).or_insert(next);
                if incident == next {
                    kept.kinds.push(self.kinds[wrong.incident as usize]);
                }
                kept.by_key[key as usize].push(Wrong { incident, ..*wrong });
            }
        }
        kept.count = renumbered.len();
        kept
    }

    fn of(&self, key: u32) -> &[Wrong] {
        self.by_key.get(key as usize).map_or(&[], Vec::as_slice)
    }
}

/// One alert, and the bad windows that it stands for: those from its own up to the last that it is known to go on to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bout {
    /// Start of the alert's window.
    pub(super) start: i64,
    /// End of the alert's window: before that nobody could know.
    pub(super) known: i64,
    /// End of the last window.
    pub(super) end: i64,
    /// Whether it opens or reopens something, rather than goes on with it after a while: only that counts as an alert.
    pub(super) opens: bool,
}

/// Alerts of one rule and key that are about the same thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Episode {
    /// Number of the rule.
    pub(super) rule: u16,
    /// Number of the key.
    pub(super) key: u32,
    /// Its alerts; one at least.
    pub(super) bouts: Vec<Bout>,
}

/// How good alerts are. What cannot be said of nothing is null.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measures {
    /// Share of the episodes that find an incident.
    pub precision: Option<f64>,
    /// Share of the incidents that an episode finds.
    pub recall: Option<f64>,
    /// Harmonic mean of the two.
    pub f1: Option<f64>,
    /// Alerts of episodes that find an incident, for each incident found.
    pub alerts_per_incident: Option<f64>,
    /// Alerts for each key that is watched for 1,000 hours of event time.
    pub alerts_per_1000_key_hours: Option<f64>,
    /// Those of episodes that find no incident.
    pub false_alerts_per_1000_key_hours: Option<f64>,
    /// Seconds of event time from the start of an incident to the end of the first window that finds it.
    pub delay_s: Delay,
    /// Incidents that there are.
    pub incidents: u64,
    /// Those that an episode finds.
    pub found: u64,
    /// Episodes.
    pub episodes: u64,
    /// Alerts: words that an episode is resolved or has changed are none.
    pub alerts: u64,
}

/// Seconds until an incident is found, of those that are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Delay {
    /// Half are found within.
    pub p50: Option<f64>,
    /// 95 of 100 are found within.
    pub p95: Option<f64>,
}

impl Delay {
    /// Of ascending microseconds.
    fn of(sorted: &[i64]) -> Delay {
        Delay { p50: percentile(sorted, 0.5), p95: percentile(sorted, 0.95) }
    }
}

/// What is found of the incidents of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OfKind {
    /// Share of them that an episode finds.
    pub recall: Option<f64>,
    /// As of all.
    pub delay_s: Delay,
    /// How many there are.
    pub incidents: u64,
    /// Those that an episode finds.
    pub found: u64,
}

/// Counts what episodes find, one after the other.
#[derive(Debug)]
pub(super) struct Tally<'a> {
    incidents: &'a Incidents,
    /// For each incident that is found, after how many microseconds.
    found: Vec<Option<i64>>,
    episodes: u64,
    true_episodes: u64,
    alerts: u64,
    true_alerts: u64,
}

impl<'a> Tally<'a> {
    pub(super) fn new(incidents: &'a Incidents) -> Self {
        let found = vec![None; incidents.count];
        Tally { incidents, found, episodes: 0, true_episodes: 0, alerts: 0, true_alerts: 0 }
    }

    /// Adds an episode of that key.
    pub(super) fn add(&mut self, key: u32, bouts: &[Bout]) {
        let mut is_true = false;
        for wrong in self.incidents.of(key) {
            let finding = bouts.iter().filter(|bout| bout.start < wrong.end && bout.end > wrong.from);
            // An episode that is open already has nothing left to say.
            let delay = finding.map(|bout| bout.known.saturating_sub(wrong.from).max(0)).min();
            if let Some(delay) = delay {
                is_true = true;
                let found = &mut self.found[wrong.incident as usize];
                *found = Some(found.map_or(delay, |other| other.min(delay)));
            }
        }
        self.episodes += 1;
        let alerts = bouts.iter().filter(|bout| bout.opens).count() as u64;
        self.alerts += alerts;
        if is_true {
            self.true_episodes += 1;
            self.true_alerts += alerts;
        }
    }

    /// What came of it, of keys that were watched for so many hours together.
    pub(super) fn measures(mut self, key_hours: f64) -> Measures {
        let mut delays: Vec<i64> = self.found.drain(..).flatten().collect();
        delays.sort_unstable();
        let found = delays.len() as u64;
        let incidents = self.incidents.count as u64;
        let precision = ratio(self.true_episodes, self.episodes);
        let recall = ratio(found, incidents);
        let per_1000 = |alerts: u64| (key_hours > 0.0).then(|| alerts as f64 * 1000.0 / key_hours);
        Measures {
            precision,
            recall,
            f1: f1(precision, recall),
            alerts_per_incident: ratio(self.true_alerts, found),
            alerts_per_1000_key_hours: per_1000(self.alerts),
            false_alerts_per_1000_key_hours: per_1000(self.alerts - self.true_alerts),
            delay_s: Delay::of(&delays),
            incidents,
            found,
            episodes: self.episodes,
            alerts: self.alerts,
        }
    }

    /// What is found of each kind.
    pub(super) fn by_kind(&self) -> BTreeMap<String, OfKind> {
        let of = |(kind, name): (u16, &String)| {
            let all = self.found.iter().zip(&self.incidents.kinds).filter(|(_, of)| **of == kind);
            let mut delays: Vec<i64> = all.clone().filter_map(|(delay, _)| *delay).collect();
            delays.sort_unstable();
            let (incidents, found) = (all.count() as u64, delays.len() as u64);
            let of_kind =
                OfKind { recall: ratio(found, incidents), delay_s: Delay::of(&delays), incidents, found };
            (name.clone(), of_kind)
        };
        (0..).zip(&self.incidents.names).map(of).collect()
    }

    /// Harmonic mean of precision and recall so far; 0 where there is none.
    pub(super) fn f1(&self) -> f64 {
        let found = self.found.iter().flatten().count() as u64;
        let (precision, recall) =
            (ratio(self.true_episodes, self.episodes), ratio(found, self.incidents.count as u64));
        f1(precision, recall).unwrap_or(0.0)
    }
}

/// Counts what these episodes find.
pub(super) fn tally<'a, 'e>(
    incidents: &'a Incidents,
    episodes: impl Iterator<Item = &'e Episode>,
) -> Tally<'a> {
    let mut tally = Tally::new(incidents);
    episodes.for_each(|episode| tally.add(episode.key, &episode.bouts));
    tally
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn f1(precision: Option<f64>, recall: Option<f64>) -> Option<f64> {
    let (precision, recall) = (precision?, recall?);
    let sum = precision + recall;
    Some(if sum > 0.0 { 2.0 * precision * recall / sum } else { 0.0 })
}

/// The least of ascending microseconds that so large a share of them does not exceed, in seconds.
fn percentile(sorted: &[i64], share: f64) -> Option<f64> {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    let micros = sorted.get(rank.max(1) - 1)?;
    Some(*micros as f64 / MICROS_PER_SECOND as f64)
}

/// Hours of a span of microseconds.
pub(super) fn hours(micros: i64) -> f64 {
    micros as f64 / HOUR
}

#[cfg(test)]
mod tests;
