//! What a cap on alerts knows: of an alert to whom it speaks, and of a minute what went out and what did not.
//!
//! Alerts carry the first to the one writer, which decides; checkpoints hold the second.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Severity, SinkId};

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
