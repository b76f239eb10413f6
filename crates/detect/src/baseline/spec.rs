//! The settings of baselines, and the hours that may have one of their own.

use serde::{Deserialize, Serialize};

use super::judge::counted;
use crate::{DetectError, Direction};

/// How baselines learn and judge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaselineSpec {
    /// Which side is bad. Default: both.
    pub direction: Direction,
    /// Rows of a key before the first that is judged. Default: 10. Range: 2 to 120.
    pub warmup: u8,
    /// Rows after which one counts 1/e of the newest. Default: 30. Range: `warmup` to 120.
    pub memory: u8,
    /// Deviations from the mean beyond which the latch is set and a row is an anomaly. Default: 3. Range: above 0.
    pub limit: f32,
    /// Deviations below which the latch is released. Default: 1.5. Range: above 0, up to `limit`.
    pub release: f32,
    /// Values further from the mean than so many deviations are learned as if they lay there. Default: 3.
    pub clip: f32,
    /// Rows in a row for which a latch may hold; then what goes on is the new usual and is learned from the start.
    /// Counts the row that set it. Default: 120. Range: 1 to 120.
    pub latched_max: u8,
    /// A deviation is never taken for less than this, in the unit of the value. Default: 0.
    pub deviation_min: f32,
    /// Nor for less than this share of the mean. Default: 0.01.
    pub ratio_min: f32,
    /// Time between the rows of a key, in the unit of `due`; a row that comes later finds a past that counts less.
    /// `None`: gaps do not matter.
    pub period: Option<i64>,
    /// What is usual may depend on the hour. Each hour has a baseline of its own, of the same size. Gaps do not
    /// matter then.
    pub season: Season,
}

/// Which hours have a baseline of their own. Times count microseconds from 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Season {
    /// None: one for all.
    #[default]
    None,
    /// The 24 of the day.
    HourOfDay,
    /// The 168 of the week.
    HourOfWeek,
}

impl Season {
    /// Number of baselines of a key.
    pub fn hours(self) -> usize {
        match self {
            Season::None => 1,
            Season::HourOfDay => 24,
            Season::HourOfWeek => 168,
        }
    }

    /// Which of them a time belongs to.
    pub fn hour(self, time: i64) -> usize {
        const HOUR_US: i64 = 3_600_000_000;
        time.div_euclid(HOUR_US).rem_euclid(self.hours() as i64) as usize
    }
}

impl Default for BaselineSpec {
    fn default() -> Self {
        BaselineSpec {
            direction: Direction::Both,
            warmup: 10,
            memory: 30,
            limit: 3.0,
            release: 1.5,
            clip: 3.0,
            latched_max: 120,
            deviation_min: 0.0,
            ratio_min: 0.01,
            period: None,
            season: Season::None,
        }
    }
}

impl BaselineSpec {
    pub(super) fn check(&self) -> Result<(), DetectError> {
        let (warmup, memory) = (f64::from(self.warmup), f64::from(self.memory));
        let (limit, release) = (f64::from(self.limit), f64::from(self.release));
        let period = self.period.unwrap_or(1);
        let latched_max = f64::from(self.latched_max);
        let settings = [
            ("warmup", warmup, (2.0..=120.0).contains(&warmup), "2 to 120"),
            ("memory", memory, (warmup..=120.0).contains(&memory), "between `warmup` and 120"),
            ("limit", limit, limit > 0.0, "above 0"),
            ("release", release, release > 0.0 && release <= limit, "above 0, up to `limit`"),
            ("clip", self.clip.into(), self.clip > 0.0, "above 0"),
            ("latched_max", latched_max, (1.0..=120.0).contains(&latched_max), "1 to 120"),
            ("deviation_min", self.deviation_min.into(), self.deviation_min >= 0.0, "0 or more"),
            ("ratio_min", self.ratio_min.into(), self.ratio_min >= 0.0, "0 or more"),
            ("period", period as f64, period > 0, "above 0"),
        ];
        match settings.into_iter().find(|(_, _, fits, _)| !fits) {
            None => Ok(()),
            Some((setting, found, _, wanted)) => Err(DetectError::Setting { setting, found, wanted }),
        }
    }

    /// A deviation on the common scale: above 1 is an anomaly. NaN, not known, stays NaN.
    pub fn calibrate(&self, deviation: f32) -> f32 {
        let towards = self.direction.towards(counted(deviation));
        if towards < 0.0 { 0.0 } else { towards / self.limit }
    }
}
