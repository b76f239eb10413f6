//! A forest that watches one stream: shingles its rows, scores, learns, and says what is too odd.

use serde::{Deserialize, Serialize};

use super::shingle::{Missing, Shingle};
use super::{Attribution, ForestSpec, RandomCutForest};
use crate::DetectError;
use crate::scale::{Calibration, CalibrationSpec, grade};

/// How a stream is watched. The names are those of the SQL function of Kinesis Data Analytics where it has one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamSpec {
    /// Values of a row.
    pub dimensions: usize,
    /// Rows that are judged together. Default: 1. Range: 1 to 512 / dimensions.
    pub shingle: usize,
    /// As in [`ForestSpec`].
    pub trees: usize,
    /// As in [`ForestSpec`].
    pub sample: usize,
    /// As in [`ForestSpec`], in rows.
    pub decay: u64,
    /// As in [`ForestSpec`].
    pub seed: u64,
    /// What a missing value is taken for. Default: the previous one.
    pub missing: Missing,
    /// Rows that are learned before the first is scored. Default: the sample.
    pub warmup: u64,
    /// How the threshold follows the scores.
    pub calibration: CalibrationSpec,
}

impl StreamSpec {
    /// The defaults for rows of so many values.
    pub fn new(dimensions: usize) -> Self {
        let ForestSpec { trees, sample, decay, seed, .. } = ForestSpec::new(dimensions);
        StreamSpec {
            dimensions,
            shingle: 1,
            trees,
            sample,
            decay,
            seed,
            missing: Missing::default(),
            warmup: sample as u64,
            calibration: CalibrationSpec::default(),
        }
    }
}

/// What is thought of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// The forest's score: 0 to the logarithm of the sample with base 2.
    pub score: f64,
    /// The score on the common scale: above 1 is an anomaly. 0 while the threshold is not known.
    pub calibrated: f64,
    /// 0 for no anomaly, towards 1 for a great one.
    pub grade: f64,
}

/// A forest with the last rows of its stream and a threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamForest {
    spec: StreamSpec,
    shingle: Shingle,
    forest: RandomCutForest,
    calibration: Calibration,
}

impl StreamForest {
    /// A forest that has seen no row.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn new(spec: StreamSpec) -> Result<Self, DetectError> {
        for (setting, found) in [("dimensions", spec.dimensions), ("shingle", spec.shingle)] {
            if found == 0 {
                return Err(DetectError::Setting { setting, found: 0.0, wanted: "1 or more" });
            }
        }
        let forest = RandomCutForest::new(ForestSpec {
            dimensions: spec.dimensions.saturating_mul(spec.shingle),
            trees: spec.trees,
            sample: spec.sample,
            decay: spec.decay,
            seed: spec.seed,
        })?;
        Ok(StreamForest {
            shingle: Shingle::new(spec.dimensions, spec.shingle, spec.missing),
            calibration: Calibration::new(spec.calibration)?,
            forest,
            spec,
        })
    }

    /// Judges a row by those before it and learns it. `None` during warm-up, and for a row that is passed over.
    /// What its values contributed to the score goes into `attribution`, if it is asked for.
    ///
    /// # Panics
    /// If the row has another number of values.
    pub fn observe(&mut self, row: &[f64], attribution: Option<&mut Attribution>) -> Option<Verdict> {
        let verdict = self.judge(row)?;
        if let (Some(_), Some(attribution)) = (verdict, attribution) {
            self.attribute(attribution);
        }
        self.learn(verdict);
        verdict
    }

    /// Takes a row in, and judges it by those before it; `Some(None)` during warm-up, `None` for a row that is passed over. What
    /// was taken in is to be [learned](StreamForest::learn) then.
    pub(crate) fn judge(&mut self, row: &[f64]) -> Option<Option<Verdict>> {
        let point = self.shingle.push(row)?;
        Some((self.forest.learned() >= self.spec.warmup).then(|| {
            let score = self.forest.score(point);
            let calibrated = self.calibration.calibrate(score);
            Verdict { score, calibrated, grade: grade(calibrated) }
        }))
    }

    /// Says what the values of the row that was taken in contributed to its score.
    pub(crate) fn attribute(&self, attribution: &mut Attribution) {
        self.forest.attribute(self.shingle.point(), attribution);
        attribution.fold(self.spec.dimensions);
    }

    /// Learns the row that was taken in.
    pub(crate) fn learn(&mut self, verdict: Option<Verdict>) {
        if let Some(verdict) = verdict {
            self.calibration.learn(verdict.score);
        }
        self.forest.learn(self.shingle.point());
    }

    /// What the values at some places of the row that was taken in mostly are beside the others.
    pub(crate) fn usual(&self, places: &[usize]) -> Vec<f64> {
        let point = self.shingle.point();
        let start = point.len() - self.spec.dimensions;
        let mut missing = vec![false; point.len()];
        places.iter().for_each(|place| missing[start + place] = true);
        self.forest.usual(point, &missing).split_off(start)
    }

    /// The scores, on the common scale and as the forest gives it, that another row in the place of the one that was taken in would have
    /// had.
    pub(crate) fn scores(&self, row: &[f64]) -> (f64, f64) {
        let mut point = self.shingle.point().to_vec();
        let start = point.len() - self.spec.dimensions;
        point[start..].copy_from_slice(row);
        let score = self.forest.score(&point);
        (self.calibration.calibrate(score), score)
    }

    /// The row that was taken in, with what stands for missing values.
    pub(crate) fn row(&self) -> &[f64] {
        let point = self.shingle.point();
        &point[point.len() - self.spec.dimensions..]
    }

    /// The score at which an anomaly begins: infinity while it is not known.
    pub fn threshold(&self) -> f64 {
        self.calibration.threshold()
    }

    /// The forest.
    pub fn forest(&self) -> &RandomCutForest {
        &self.forest
    }
}

impl Attribution {
    /// Adds up what the rows of a shingle contributed, so that each of their values is named once.
    fn fold(&mut self, dimensions: usize) {
        for side in [&mut self.low, &mut self.high] {
            for i in dimensions..side.len() {
                side[i % dimensions] += side[i];
            }
            side.truncate(dimensions);
        }
    }
}
