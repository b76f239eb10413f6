//! What a cap on alerts knows: of an alert to whom it speaks, and of a minute what went out and what did not.
//!
//! Alerts carry the first to the one writer, which decides; checkpoints hold the second.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Driver, Severity, Side, SinkId};

/// What a cap needs to know of an alert. Only alerts of jobs with a cap have it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Capped {
    /// Whose alerts are counted together.
    pub group: CapGroup,
    /// Its key, as JSON.
    pub key: Vec<u8>,
    /// How bad it is.
    pub severity: Severity,
    /// The episode that it is about.
    pub episode: u128,
    /// Whether something is wrong, rather than over.
    pub is_alarm: bool,
    /// Whether the episode has just opened or reopened.
    pub is_first: bool,
    /// What drove it, if a sink says that.
    pub causes: Vec<(String, Cause)>,
}

/// What a feature had to do with alerts, added up over all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Cause {
    /// How many of them it drove.
    pub alerts: u64,
    /// In how many it was below what was expected.
    pub low: u64,
    /// In how many it was above.
    pub high: u64,
    /// How much of each was its doing, in ten thousandths.
    pub share: u64,
    /// In how many it had a value.
    pub valued: u64,
    /// What it was in these.
    pub value: Amount,
    /// In how many it is known what was expected.
    pub known: u64,
    /// What was expected in these.
    pub expected: Amount,
}

/// A number that can be told from every other, NaN included.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Amount(pub f64);

impl PartialEq for Amount {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Amount {}

impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Amount {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Cause {
    /// That of one alert.
    pub fn of(driver: &Driver) -> Cause {
        let is = |side| u64::from(driver.direction == Some(side));
        let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
        let (value, expected) = (finite(Some(driver.value)), finite(driver.expected));
        Cause {
            alerts: 1,
            low: is(Side::Low),
            high: is(Side::High),
            share: (driver.share * 1e4).round() as u64,
            valued: u64::from(value.is_some()),
            value: Amount(value.unwrap_or_default()),
            known: u64::from(expected.is_some()),
            expected: Amount(expected.unwrap_or_default()),
        }
    }

    /// Adds that of other alerts.
    pub fn add(&mut self, other: &Cause) {
        self.alerts += other.alerts;
        self.low += other.low;
        self.high += other.high;
        self.share += other.share;
        self.valued += other.valued;
        self.value.0 += other.value.0;
        self.known += other.known;
        self.expected.0 += other.expected.0;
    }

    /// What drove so many alerts together: what the feature was in those that it drove, on average, and how much of all was its doing.
    pub fn driver(&self, feature: &str, alerts: u64) -> Driver {
        // Six digits, as many as somebody reads.
        let mean = |sum: f64, count: u64| {
            let mean = sum / count as f64;
            format!("{mean:.5e}").parse().unwrap_or(mean)
        };
        let direction = match self.low.cmp(&self.high) {
            Ordering::Greater => Some(Side::Low),
            Ordering::Less => Some(Side::High),
            Ordering::Equal => None,
        };
        Driver {
            feature: feature.to_owned(),
            whole: false,
            value: if self.valued > 0 { mean(self.value.0, self.valued) } else { f64::NAN },
            expected: (self.known > 0).then(|| mean(self.expected.0, self.known)),
            direction,
            share: (self.share as f64 / alerts.max(1) as f64).round() / 1e4,
        }
    }
}

/// Alerts that are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CapGroup {
    /// Which branch of the job.
    pub branch: u16,
    /// Name of the rule.
    pub rule: String,
    /// The values of the columns that make a group, each as JSON.
    pub values: Vec<Vec<u8>>,
}

/// Alerts of a group that are due in one minute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CappedMinute {
    /// Those that went out.
    pub sent: u64,
    /// Those that did not.
    pub kept_back: u64,
    /// Hashes of the keys of all of them.
    pub keys: BTreeSet<u64>,
    /// The first few keys of those that did not go out.
    pub examples: Vec<Vec<u8>>,
    /// How bad the worst is.
    pub worst: Option<Severity>,
    /// What drove them, by feature.
    pub causes: BTreeMap<String, Cause>,
}

/// What a cap knows of a sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapState {
    /// Which sink.
    pub sink: SinkId,
    /// The minute since 1970 that is counted.
    pub minute: i64,
    /// By group, what is counted.
    pub groups: BTreeMap<CapGroup, CappedMinute>,
    /// Episodes that are open and of which nobody has heard.
    pub unheard: BTreeSet<u128>,
    /// By group, its last roll-ups, as long as another one would be about the same.
    pub courses: BTreeMap<CapGroup, CapCourse>,
}

/// Roll-ups of a group that follow one another. Times are in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapCourse {
    /// The first instant of the minute of the first.
    pub first: i64,
    /// The end of the minute of the last.
    pub last: i64,
}

impl CapState {
    /// Nothing counted yet.
    pub fn of(sink: SinkId) -> Self {
        CapState {
            sink,
            minute: i64::MIN,
            groups: BTreeMap::new(),
            unheard: BTreeSet::new(),
            courses: BTreeMap::new(),
        }
    }
}
