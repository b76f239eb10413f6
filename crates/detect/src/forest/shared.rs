//! One forest for all keys of a job: over their deviations, which are on one scale whatever is usual for a key.
//!
//! Rows of a window end are scored by what the forest was before it; then it learns a few of them. Which ones
//! follows from key and window end alone: each worker names the candidates among its rows, all workers get those of
//! all, and learn the same in the same order. So every worker holds the same replica, whatever their number.
//!
//! A forest costs a thousand times what a baseline does: only rows that stand out for themselves are worth it.

use serde::{Deserialize, Serialize};

use super::{Attribution, ForestSpec, RandomCutForest, Verdict};
use crate::DetectError;
use crate::baseline::Deviations;
use crate::scale::{Calibration, CalibrationSpec, grade};

/// How a shared forest learns and judges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SharedSpec {
    /// The forest; its dimensions are the features.
    pub forest: ForestSpec,
    /// Rows that are learned of each window end. Default: 64. Range: 1 or more.
    pub learned: usize,
    /// A row is scored if one of its deviations is at least this, either way. Default: 2.
    pub deviation_min: f32,
    /// Deviations count up to here, so that one feature does not hide all others. Default: 10. Range: above 0.
    pub deviation_max: f32,
    /// How the threshold follows the scores of what is learned.
    pub calibration: CalibrationSpec,
}

impl SharedSpec {
    /// The defaults for so many features.
    pub fn new(features: usize) -> Self {
        SharedSpec {
            forest: ForestSpec::new(features),
            learned: 64,
            deviation_min: 2.0,
            deviation_max: 10.0,
            calibration: CalibrationSpec::default(),
        }
    }
}

impl SharedSpec {
    /// The candidates among a worker's rows of one window end, by rank: at most those that are learned. `hashes` are
    /// those of the rows' keys. A row without any deviation yet is none.
    pub fn candidates(&self, deviations: &Deviations, hashes: &[u64], window_end: i64) -> Vec<Candidate> {
        let known = |row: &usize| deviations.z.iter().any(|column| !column[*row].is_nan());
        let rank = |row: usize| (rank(hashes[row], window_end), row as u32);
        let mut ranked: Vec<(u64, u32)> = (0..hashes.len()).filter(known).map(rank).collect();
        if ranked.len() > self.learned {
            ranked.select_nth_unstable(self.learned);
            ranked.truncate(self.learned);
        }
        ranked.sort_unstable();
        let candidate = |(rank, row): (u64, u32)| {
            let mut point = Vec::with_capacity(deviations.z.len());
            self.point(deviations, row, &mut point);
            Candidate { rank, point }
        };
        ranked.into_iter().map(candidate).collect()
    }

    /// A row as the forest sees it: a deviation that is not known counts as none.
    fn point(&self, deviations: &Deviations, row: u32, point: &mut Vec<f64>) {
        point.clear();
        point.extend(deviations.z.iter().map(|column| self.coordinate(column[row as usize])));
    }

    fn coordinate(&self, z: f32) -> f64 {
        let bound = self.deviation_max;
        if z.is_nan() { 0.0 } else { f64::from(z.clamp(-bound, bound)) }
    }
}

/// A row that a worker proposes to learn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// A hash of key and window end. The least ranks are learned, in their order.
    pub rank: u64,
    /// Its deviations.
    pub point: Vec<f64>,
}

/// A forest that all keys share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SharedForest {
    spec: SharedSpec,
    forest: RandomCutForest,
    calibration: Calibration,
}

impl SharedForest {
    /// A forest that has learned nothing.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn new(spec: SharedSpec) -> Result<Self, DetectError> {
        let bound = f64::from(spec.deviation_max);
        let settings = [
            ("learned", spec.learned as f64, spec.learned > 0, "1 or more"),
            ("deviation_max", bound, bound > 0.0, "above 0"),
        ];
        if let Some((setting, found, _, wanted)) = settings.into_iter().find(|(_, _, fits, _)| !fits) {
            return Err(DetectError::Setting { setting, found, wanted });
        }
        let forest = RandomCutForest::new(spec.forest.clone())?;
        Ok(SharedForest { calibration: Calibration::new(spec.calibration)?, forest, spec })
    }

    /// The rows that are worth a score, ascending.
    pub fn worth(&self, deviations: &Deviations) -> Vec<u32> {
        let rows = deviations.z.first().map_or(0, Vec::len);
        let mut worth = vec![false; rows];
        for column in &deviations.z {
            for (worth, z) in worth.iter_mut().zip(column) {
                *worth |= z.abs() >= self.spec.deviation_min;
            }
        }
        (0..rows as u32).filter(|row| worth[*row as usize]).collect()
    }

    /// Scores rows on the common scale: above 1 is an anomaly. 0 during warm-up.
    pub fn score(&self, deviations: &Deviations, rows: &[u32]) -> Vec<f64> {
        let mut point = Vec::with_capacity(deviations.z.len());
        let scores = rows.iter().map(|row| {
            self.spec.point(deviations, *row, &mut point);
            self.calibration.calibrate(self.forest.score(&point))
        });
        scores.collect()
    }

    /// What is thought of rows.
    pub fn verdicts(&self, deviations: &Deviations, rows: &[u32]) -> Vec<Verdict> {
        let mut point = Vec::with_capacity(deviations.z.len());
        let verdicts = rows.iter().map(|row| {
            self.spec.point(deviations, *row, &mut point);
            let score = self.forest.score(&point);
            let calibrated = self.calibration.calibrate(score);
            Verdict { score, calibrated, grade: grade(calibrated) }
        });
        verdicts.collect()
    }

    /// The scores of a row with these deviations, on the common scale and as the forest gives it.
    pub(crate) fn scores(&self, deviations: &[f32]) -> (f64, f64) {
        let is_worth = deviations.iter().any(|z| z.abs() >= self.spec.deviation_min);
        let point: Vec<f64> = deviations.iter().map(|z| self.spec.coordinate(*z)).collect();
        // What does not stand out for itself is not scored.
        if !is_worth {
            return (0.0, f64::NAN);
        }
        let score = self.forest.score(&point);
        (self.calibration.calibrate(score), score)
    }

    /// The score of the forest at which an anomaly begins: infinity while it is not known.
    pub fn threshold(&self) -> f64 {
        self.calibration.threshold()
    }

    /// Says what each feature contributes to the score of a row, as the forest gives it.
    pub fn attribute_raw(&self, deviations: &Deviations, row: u32, attribution: &mut Attribution) {
        let mut point = Vec::with_capacity(deviations.z.len());
        self.spec.point(deviations, row, &mut point);
        self.forest.attribute(&point, attribution);
    }

    /// Says what each feature contributes to the score of a row, on the common scale.
    pub fn attribute(&self, deviations: &Deviations, row: u32, attribution: &mut Attribution) {
        self.attribute_raw(deviations, row, attribution);
        let threshold = self.calibration.threshold();
        for side in [&mut attribution.low, &mut attribution.high] {
            side.iter_mut().for_each(|share| *share /= threshold);
        }
    }

    /// Learns a window end, given the candidates of all workers, in any order.
    pub fn learn(&mut self, mut candidates: Vec<Candidate>) {
        // Two keys with one rank are next to impossible; their points tell them apart.
        candidates.sort_by(|a, b| {
            let points = || a.point.iter().zip(&b.point).map(|(a, b)| a.total_cmp(b));
            a.rank
                .cmp(&b.rank)
                .then_with(|| points().find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal))
        });
        candidates.truncate(self.spec.learned);
        for candidate in candidates {
            if self.forest.learned() >= self.spec.forest.sample as u64 {
                self.calibration.learn(self.forest.score(&candidate.point));
            }
            self.forest.learn(&candidate.point);
        }
    }
}

/// Spreads a key's hash anew for each window end, so that every key has its turn.
fn rank(hash: u64, window_end: i64) -> u64 {
    let z = hash ^ (window_end as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    const FEATURES: usize = 3;

    /// Rows of a window end: hashes of their keys, and deviations of which some are not known.
    fn window(random: &mut Random, rows: usize) -> (Vec<u64>, Deviations) {
        let mut normal = || (0..12).map(|_| random.unit()).sum::<f64>() as f32 - 6.0;
        let mut z: Vec<Vec<f32>> = (0..FEATURES).map(|_| (0..rows).map(|_| normal()).collect()).collect();
        for row in 0..rows {
            match random.next() % 10 {
                0 => z[row % FEATURES][row] = f32::NAN,
                1 => z.iter_mut().for_each(|column| column[row] = f32::NAN),
                _ => {}
            }
        }
        ((0..rows).map(|_| random.next()).collect(), Deviations { z, expected: Vec::new() })
    }

    /// The rows of one of several workers.
    fn part(window: &(Vec<u64>, Deviations), worker: u64, workers: u64) -> (Vec<u64>, Deviations) {
        let mine: Vec<usize> = (0..window.0.len()).filter(|row| window.0[*row] % workers == worker).collect();
        let of = |column: &Vec<f32>| mine.iter().map(|row| column[*row]).collect();
        let z = window.1.z.iter().map(of).collect();
        (mine.iter().map(|row| window.0[*row]).collect(), Deviations { z, expected: Vec::new() })
    }

    /// A forest that learned 40 windows, with so many workers.
    fn learned(workers: u64) -> SharedForest {
        let mut random = Random::new(103, 0);
        let mut forest = SharedForest::new(SharedSpec::new(FEATURES)).expect("a forest");
        for end in 0..40 {
            let rows = 20 + (random.next() % 300) as usize;
            let window = window(&mut random, rows);
            // Workers answer in any order.
            let mut candidates: Vec<Candidate> = (0..workers)
                .rev()
                .flat_map(|worker| {
                    let (hashes, deviations) = part(&window, worker, workers);
                    forest.spec.candidates(&deviations, &hashes, end)
                })
                .collect();
            let middle = (end as usize) % 7 % candidates.len();
            candidates.rotate_left(middle);
            forest.learn(candidates);
        }
        forest
    }

    #[test]
    fn any_number_of_workers_learns_the_same() {
        let alone = bincode::serialize(&learned(1)).expect("bytes");
        for workers in [2, 3, 8] {
            let together = bincode::serialize(&learned(workers)).expect("bytes");
            assert!(together == alone, "{workers} workers");
        }
    }

    #[test]
    fn those_with_the_least_ranks_are_learned_and_every_key_has_its_turn() {
        let forest = SharedForest::new(SharedSpec { learned: 5, ..SharedSpec::new(1) }).expect("a forest");
        let hashes: Vec<u64> = (0..50).collect();
        let deviations =
            Deviations { z: vec![(0..50).map(|row| row as f32 / 10.0).collect()], expected: vec![] };
        let mut turns = [0; 50];
        for end in 0..400 {
            let chosen = forest.spec.candidates(&deviations, &hashes, end * 60_000_000);
            let mut ranks: Vec<u64> = hashes.iter().map(|hash| rank(*hash, end * 60_000_000)).collect();
            ranks.sort_unstable();
            assert_eq!(chosen.iter().map(|candidate| candidate.rank).collect::<Vec<_>>(), ranks[..5]);
            chosen.iter().for_each(|candidate| turns[(candidate.point[0] * 10.0).round() as usize] += 1);
        }
        // 40 turns each are expected, with a standard deviation of 6.
        assert!(turns.iter().all(|turns| (15..70).contains(turns)), "{turns:?}");
    }

    #[test]
    fn what_stands_out_is_scored_and_explained() {
        let forest = learned(1);
        let nan = f32::NAN;
        let z = vec![
            vec![0.1, 1.9, 0.5, nan, 0.0],
            vec![0.1, 0.0, -7.0, nan, 2.0],
            vec![0.0, nan, 0.5, nan, 1e9],
        ];
        let deviations = Deviations { z, expected: vec![] };
        let rows = forest.worth(&deviations);
        assert_eq!(rows, [2, 4]);
        let scores = forest.score(&deviations, &rows);
        assert!(scores.iter().all(|score| *score > 1.0), "{scores:?}");
        assert!(forest.score(&deviations, &[0])[0] < 1.0);
        let expected = Deviations { z: vec![vec![1.9], vec![0.0], vec![0.0]], expected: vec![] };
        assert_eq!(forest.score(&deviations, &[1]), forest.score(&expected, &[0]));
        let mut attribution = Attribution::default();
        forest.attribute(&deviations, 2, &mut attribution);
        assert!((attribution.total() - scores[0]).abs() < 1e-4 * scores[0]);
        assert!(attribution.low[1] > 0.6 * attribution.total(), "{attribution:?}");
    }
}
