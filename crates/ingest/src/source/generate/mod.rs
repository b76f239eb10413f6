//! Events that are made up: the source that works on a fresh machine.
//!
//! Every event is a function of the settings and its number, so any lane can go on anywhere. Most keys do as they
//! always do; some have *incidents*, which a detector should find and [`truth`] lists. What comes out is JSON that
//! goes through the same decoder as any other.
//!
//! [`Scenario`] says whose events they are: of users who are [`alike`], or of keys that have a character, on a
//! [`stage`].

mod alike;
mod incident;
mod partition;
mod random;
mod scenario;
mod stage;
mod text;

use std::io::Write;

use serde::{Deserialize, Serialize};

pub use incident::{Incident, IncidentKind};
pub(super) use partition::{GeneratePartition, partitions};
pub use scenario::Scenario;
use stage::Stage;

use crate::IngestError;

/// Which events are made up.
///
/// All but `events` make the events what they are: a job that goes on needs the same ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenerateSpec {
    /// Whose events they are. Default: those of podcast listeners who are alike.
    pub scenario: Scenario,
    /// Number of users, or of what else has a key. Of those who are alike the first are the most active; of others
    /// there are at most 100,000. Default: 1000.
    pub users: u64,
    /// Another seed gives other events. Default: 7.
    pub seed: u64,
    /// Number of events in all lanes; without it they never end. Default: none.
    pub events: Option<u64>,
    /// Events in a second of a clock by which event time runs at `speed`. Default: 20000.
    pub rate: f64,
    /// Seconds of event time in a second of that clock. Default: 60.
    pub speed: f64,
    /// Partitions: events are dealt to them in turn. Default: 4.
    pub lanes: u32,
    /// Event time of the first event, in milliseconds since the Unix epoch. Default: 1700000000000.
    pub start: i64,
    /// How late an event is at most, in milliseconds; three in ten are late at all. Default: 4000.
    pub out_of_order_ms: u64,
    /// Share of the users who have an incident in each 45 minutes of event time, from 0 to 1. Unless it is
    /// 0, the first three users have one in the first minutes. On a stage it is the share in each 150 minutes, the
    /// first 75 are quiet, and as many do something that only looks odd. Default: 0.03.
    pub anomaly_fraction: f64,
}

impl Default for GenerateSpec {
    fn default() -> Self {
        GenerateSpec {
            scenario: Scenario::Alike,
            users: 1000,
            seed: 7,
            events: None,
            rate: 20_000.0,
            speed: 60.0,
            lanes: 4,
            start: 1_700_000_000_000,
            out_of_order_ms: 4000,
            anomaly_fraction: 0.03,
        }
    }
}

impl GenerateSpec {
    /// Event time of an event that is not late, in milliseconds.
    fn time_on_time(&self, index: u64) -> i64 {
        self.start.saturating_add((index as f64 * (self.speed * 1000.0 / self.rate)) as i64)
    }

    /// The latest event time; `None` without an end.
    fn time_last(&self) -> Option<i64> {
        self.events.map(|events| self.time_on_time(events.saturating_sub(1)))
    }

    /// Refuses settings that make no sense.
    fn check(&self) -> Result<(), IngestError> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let checks = [
            ("users", self.users > 0, "at least 1"),
            ("users", self.scenario == Scenario::Alike || self.users <= stage::KEYS_MAX, "100000 at most"),
            ("lanes", self.lanes > 0, "at least 1"),
            ("rate", positive(self.rate), "greater than 0"),
            ("speed", positive(self.speed), "greater than 0"),
            ("anomaly_fraction", (0.0..=1.0).contains(&self.anomaly_fraction), "between 0 and 1"),
        ];
        match checks.into_iter().find(|(_, holds, _)| !holds) {
            Some((setting, _, must)) => {
                Err(IngestError::Invalid { setting, name: "the generator".to_owned(), must })
            }
            None => Ok(()),
        }
    }

    /// The number of events, or the error that there is no end.
    fn events_in_all(&self) -> Result<u64, IngestError> {
        self.check()?;
        let (setting, name) = ("events", "the generator".to_owned());
        self.events.ok_or(IngestError::Invalid { setting, name, must: "a number, or there is no end" })
    }
}

/// Makes events, those of near numbers the faster.
enum Maker {
    Alike(GenerateSpec),
    Stage(Box<Stage>),
}

impl Maker {
    fn new(spec: &GenerateSpec) -> Self {
        match spec.scenario.scene() {
            None => Maker::Alike(spec.clone()),
            Some(scene) => Maker::Stage(Box::new(Stage::new(spec.clone(), scene))),
        }
    }

    /// Appends the event of that number among those of all lanes, with its newline.
    fn append(&mut self, index: u64, out: &mut Vec<u8>) {
        match self {
            Maker::Alike(spec) => alike::append(spec, index, out),
            Maker::Stage(stage) => stage.append(index, out),
        }
    }
}

/// All incidents that are planted: what a detector should find. Without an end of the events there is none of the
/// incidents either.
pub fn truth(spec: &GenerateSpec) -> Box<dyn Iterator<Item = Incident> + Send> {
    match spec.scenario.scene() {
        None => Box::new(alike::truth(spec)),
        Some(scene) => Box::new(stage::truth(spec, scene)),
    }
}

/// Writes all events as newline-delimited JSON, in the order of their numbers.
///
/// # Errors
/// If there is no end, a setting makes no sense, or `out` fails.
pub fn write_events(spec: &GenerateSpec, out: &mut dyn Write) -> Result<(), IngestError> {
    const BYTES: usize = 64 * 1024;
    let events = spec.events_in_all()?;
    let mut maker = Maker::new(spec);
    let mut bytes = Vec::with_capacity(BYTES + 1024);
    for index in 0..events {
        maker.append(index, &mut bytes);
        if bytes.len() >= BYTES {
            out.write_all(&bytes).map_err(IngestError::Write)?;
            bytes.clear();
        }
    }
    out.write_all(&bytes).map_err(IngestError::Write)
}

/// Writes all incidents as newline-delimited JSON: `{"key", "kind", "from", "to", "size"}`.
///
/// # Errors
/// As [`write_events`].
pub fn write_truth(spec: &GenerateSpec, out: &mut dyn Write) -> Result<(), IngestError> {
    spec.events_in_all()?;
    for incident in truth(spec) {
        let line = serde_json::to_string(&incident).map_err(|error| IngestError::Write(error.into()))?;
        writeln!(out, "{line}").map_err(IngestError::Write)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
