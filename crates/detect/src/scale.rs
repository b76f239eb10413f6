//! One scale for all detectors: a calibrated score above 1 is an anomaly, whatever found it.
//!
//! Detectors whose statistic has a limit of its own (z, CUSUM) divide by that. Scores without one, those of a
//! forest or a model, go through [`Calibration`], whose threshold follows what scores usually are.

use serde::{Deserialize, Serialize};

use crate::DetectError;

/// How a threshold follows scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CalibrationSpec {
    /// Standard deviations above the mean score at which an anomaly begins. Default: 4. Range: above 0.
    pub deviations: f64,
    /// The threshold is never lower, in the unit of the score. Default: 0.
    pub floor: f64,
    /// Scores after which one counts 1/e of the newest. Default: 1000. Range: 1 or more.
    pub decay: f64,
    /// Scores before the first that can be an anomaly. Default: 100.
    pub warmup: u64,
}

impl Default for CalibrationSpec {
    fn default() -> Self {
        CalibrationSpec { deviations: 4.0, floor: 0.0, decay: 1000.0, warmup: 100 }
    }
}

/// A threshold that follows the mean and the deviation of scores.
///
/// A score above the threshold counts as the threshold, so that anomalies raise it slowly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    spec: CalibrationSpec,
    scores: u64,
    mean: f64,
    variance: f64,
}

impl Calibration {
    /// A calibration that has seen no score.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn new(spec: CalibrationSpec) -> Result<Self, DetectError> {
        let settings = [
            ("deviations", spec.deviations, spec.deviations > 0.0, "above 0"),
            ("floor", spec.floor, spec.floor >= 0.0, "0 or more"),
            ("decay", spec.decay, spec.decay >= 1.0, "1 or more"),
        ];
        for (setting, found, fits, wanted) in settings {
            if !fits {
                return Err(DetectError::Setting { setting, found, wanted });
            }
        }
        Ok(Calibration { spec, scores: 0, mean: 0.0, variance: 0.0 })
    }

    /// The score at which an anomaly begins: infinity during warm-up.
    pub fn threshold(&self) -> f64 {
        if self.scores < self.spec.warmup {
            return f64::INFINITY;
        }
        (self.mean + self.spec.deviations * self.variance.sqrt()).max(self.spec.floor)
    }

    /// A score on the common scale: its share of the threshold. 0 during warm-up.
    pub fn calibrate(&self, score: f64) -> f64 {
        let threshold = self.threshold();
        if score <= 0.0 { 0.0 } else { score / threshold }
    }

    /// Takes in a score. One that is no number is passed over.
    pub fn learn(&mut self, score: f64) {
        if !score.is_finite() {
            return;
        }
        let score = score.min(self.threshold());
        self.scores += 1;
        let share = (1.0 / self.scores as f64).max(1.0 / self.spec.decay);
        let off = score - self.mean;
        self.mean += share * off;
        self.variance = (1.0 - share) * (self.variance + share * off * off);
    }
}

/// How far above 1 a calibrated score is, from 0 for no anomaly towards 1.
pub fn grade(calibrated: f64) -> f64 {
    if calibrated > 1.0 { 1.0 - 1.0 / calibrated } else { 0.0 }
}
