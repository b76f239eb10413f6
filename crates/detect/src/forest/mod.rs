//! A random cut forest: how odd a point is among those of the recent past, in any number of dimensions.
//!
//! [`RandomCutForest`] is the model that many keys may share: scores do not change it, what it learns and when is
//! the caller's decision. [`StreamForest`] watches one stream with it: shingles, missing values, a threshold that
//! follows the scores. [`SeriesForest`] watches one number, [`SharedForest`] the deviations of all keys of a job. All are their whole state, random numbers included, and give the same on every machine.
//!
//! Source: Guha, Mishra, Roy, Schrijvers (2016), Robust random cut forest based anomaly detection on streams.

mod recourse;
mod sample;
mod score;
mod series;
mod shared;
mod shingle;
mod stream;
#[cfg(test)]
mod tests;
mod tree;

pub use recourse::Recourse;
pub(crate) use recourse::{by_share, recourse};
pub use series::{SeriesForest, SeriesSpec};
pub use shared::{Candidate, SharedForest, SharedSpec};
pub use shingle::Missing;
pub use stream::{StreamForest, StreamSpec, Verdict};

use serde::{Deserialize, Serialize, Serializer};

use crate::DetectError;
use crate::random::Random;
use sample::Sample;
use score::{ScoreTable, Shares};
use tree::{LANES, Tree};

/// Most coordinates that a point of a forest may have.
pub const WIDTH_MAX: usize = 512;

/// What is further from the first point than this counts as that far: sums of distances stay finite.
const FAR: f64 = 1e30;

/// Ranks are rescaled before the weight of the newest point leaves the precision of a double.
const SHRINK_MIN: f64 = 1e-100;

/// The shape of a forest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForestSpec {
    /// Coordinates of a point. Range: 1 to 512.
    pub dimensions: usize,
    /// Trees. More make scores smoother and cost as much more. Default: 50. Range: 1 to 1000.
    pub trees: usize,
    /// Points that each tree holds. Scores reach from 0 to its logarithm with base 2. Default: 256. Range: 2 to 4096.
    pub sample: usize,
    /// Points after which one counts 1/e of the newest. Default: 100,000. Range: 1 or more.
    pub decay: u64,
    /// Of the random cuts and samples.
    pub seed: u64,
}

impl ForestSpec {
    /// The defaults for points of so many dimensions.
    pub fn new(dimensions: usize) -> Self {
        ForestSpec { dimensions, trees: 50, sample: 256, decay: 100_000, seed: 0 }
    }

    fn check(&self) -> Result<(), DetectError> {
        let ranges = [
            ("dimensions", self.dimensions as u64, 1..=WIDTH_MAX as u64, "1 to 512"),
            ("trees", self.trees as u64, 1..=1000, "1 to 1000"),
            ("sample", self.sample as u64, 2..=4096, "2 to 4096"),
            ("decay", self.decay, 1..=u64::MAX, "at least 1"),
        ];
        for (setting, found, range, wanted) in ranges {
            if !range.contains(&found) {
                return Err(DetectError::Setting { setting, found: found as f64, wanted });
            }
        }
        Ok(())
    }
}

/// A forest of random cut trees.
///
/// A score is 0 to `log2(sample)`, the scale of Kinesis Data Analytics: about 1 for a point among others, more the
/// less it takes to cut it off. Points are kept in single precision, relative to the first one learned. Scales
/// matter: a dimension counts as much as its extent, so bring them to one scale before, as residuals are.
///
/// A coordinate that is NaN counts as that of the first point; [`StreamForest`] has better ways with missing values.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "Stored")]
pub struct RandomCutForest {
    state: Stored,
    table: ScoreTable,
    /// Scratch space of removals.
    path: Vec<u16>,
}

/// What a checkpoint holds of a forest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Stored {
    spec: ForestSpec,
    /// The first point.
    origin: Vec<f64>,
    learned: u64,
    /// One over the weight of the newest point.
    shrink: f64,
    trees: Vec<SampledTree>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SampledTree {
    tree: Tree,
    sample: Sample,
    random: Random,
}

/// What each coordinate contributed to a score. All of them add up to it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attribution {
    /// By being lower than others, by dimension.
    pub low: Vec<f64>,
    /// By being higher.
    pub high: Vec<f64>,
}

impl Attribution {
    /// The score.
    pub fn total(&self) -> f64 {
        self.low.iter().chain(&self.high).sum()
    }

    pub(crate) fn reset(&mut self, dimensions: usize) {
        for side in [&mut self.low, &mut self.high] {
            side.clear();
            side.resize(dimensions, 0.0);
        }
    }
}

impl RandomCutForest {
    /// A forest that has learned nothing.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn new(spec: ForestSpec) -> Result<Self, DetectError> {
        spec.check()?;
        let width = spec.dimensions.next_multiple_of(LANES);
        let tree = |number| SampledTree {
            tree: Tree::new(spec.sample, width),
            sample: Sample::new(spec.sample),
            random: Random::new(spec.seed, number),
        };
        let trees = (0..spec.trees as u64).map(tree).collect();
        Ok(Stored { spec, origin: Vec::new(), learned: 0, shrink: 1.0, trees }.into())
    }

    /// Its shape.
    pub fn spec(&self) -> &ForestSpec {
        &self.state.spec
    }

    /// Points that it has learned, whether or not a tree still holds them.
    pub fn learned(&self) -> u64 {
        self.state.learned
    }

    /// Scores a point of `dimensions` coordinates against what was learned before; 0 while nothing was. Changes
    /// nothing. Time: trees x depth, about 15 for a sample of 256.
    ///
    /// # Panics
    /// If the point has another number of coordinates.
    pub fn score(&self, point: &[f64]) -> f64 {
        let mut near = [0.0; WIDTH_MAX];
        let near = self.state.near(point, &mut near);
        let scores = self.state.trees.iter().map(|tree| f64::from(self.table.score(&tree.tree, near)));
        scores.sum::<f64>() / self.state.trees.len() as f64
    }

    /// Says what each coordinate contributes to the score of a point, which [`Attribution::total`] then is, up to the
    /// rounding of single precision.
    ///
    /// # Panics
    /// If the point has another number of coordinates.
    pub fn attribute(&self, point: &[f64], attribution: &mut Attribution) {
        attribution.reset(self.state.spec.dimensions);
        let mut near = [0.0; WIDTH_MAX];
        let near = self.state.near(point, &mut near);
        let weight = 1.0 / self.state.trees.len() as f64;
        let mut shares = Shares { low: &mut attribution.low, high: &mut attribution.high };
        for tree in &self.state.trees {
            self.table.attribute(&tree.tree, near, weight, &mut shares);
        }
    }

    /// What some coordinates of a point mostly are where the others are as they are here: the median, over all trees, of the
    /// point to which it comes if cuts of the `missing` coordinates lead to the side with more points. Of a forest that has
    /// learned nothing the point itself.
    ///
    /// # Panics
    /// If the point, or `missing`, has another number of coordinates.
    pub fn usual(&self, point: &[f64], missing: &[bool]) -> Vec<f64> {
        assert_eq!(point.len(), missing.len(), "coordinates of a point");
        let mut near = [0.0; WIDTH_MAX];
        let near = self.state.near(point, &mut near);
        let found = self.state.trees.iter().filter_map(|tree| tree.tree.usual(near, missing));
        let found: Vec<&[f32]> = found.collect();
        let usual = |(i, x): (usize, &f64)| {
            if !missing[i] || found.is_empty() {
                return *x;
            }
            let mut values: Vec<f32> = found.iter().map(|point| point[i]).collect();
            let middle = values.len() / 2;
            let (_, median, _) = values.select_nth_unstable_by(middle, f32::total_cmp);
            self.state.origin[i] + f64::from(*median)
        };
        point.iter().enumerate().map(usual).collect()
    }

    /// Learns a point. Each tree takes it in with a probability of its own.
    ///
    /// # Panics
    /// If the point has another number of coordinates.
    pub fn learn(&mut self, point: &[f64]) {
        self.state.learn(point, &mut self.path);
    }

    /// Bytes that it holds in memory.
    pub fn bytes(&self) -> usize {
        let tree = |tree: &SampledTree| size_of::<SampledTree>() + tree.tree.bytes() + tree.sample.bytes();
        self.state.trees.iter().map(tree).sum()
    }
}

impl Stored {
    /// The point relative to the origin, padded.
    fn near<'a>(&self, point: &[f64], near: &'a mut [f32; WIDTH_MAX]) -> &'a [f32] {
        assert_eq!(point.len(), self.spec.dimensions, "coordinates of a point");
        let origin = if self.origin.is_empty() { point } else { &self.origin };
        for ((near, x), origin) in near.iter_mut().zip(point).zip(origin) {
            let distance = x - origin;
            *near = if distance.is_nan() { 0.0 } else { distance.clamp(-FAR, FAR) as f32 };
        }
        &near[..point.len().next_multiple_of(LANES)]
    }

    fn learn(&mut self, point: &[f64], path: &mut Vec<u16>) {
        if self.origin.is_empty() {
            self.origin = point.iter().map(|x| if x.is_finite() { *x } else { 0.0 }).collect();
        }
        let mut near = [0.0; WIDTH_MAX];
        let near = self.near(point, &mut near);
        for SampledTree { tree, sample, random } in &mut self.trees {
            let Some(rank) = sample.admit(self.shrink, random) else { continue };
            if sample.is_full()
                && let Some(leaf) = sample.pop()
            {
                tree.remove(leaf, path);
            }
            sample.push(rank, tree.insert(near, random));
        }
        self.learned += 1;
        self.shrink *= libm::exp(-1.0 / self.spec.decay as f64);
        if self.shrink < SHRINK_MIN {
            let factor = 1.0 / self.shrink;
            self.trees.iter_mut().for_each(|tree| tree.sample.rescale(factor));
            self.shrink = 1.0;
        }
    }
}

impl From<Stored> for RandomCutForest {
    fn from(state: Stored) -> Self {
        let table = ScoreTable::new(state.spec.sample);
        RandomCutForest { state, table, path: Vec::new() }
    }
}

impl Serialize for RandomCutForest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.state.serialize(serializer)
    }
}
