//! CUSUM: small shifts of the mean that add up until they cannot be chance.
//!
//! Takes the deviations of a baseline, and keeps two sums per key and feature: of what they exceed a slack by, up
//! and down. A sum above its limit is a change; both start again from zero after it.
//!
//! Source: Page (1954), Continuous inspection schemes; Montgomery, Introduction to statistical quality control.

use serde::{Deserialize, Serialize};

use crate::slots::{self, SlotState};
use crate::{DetectError, Direction};

/// What counts as a change.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CusumSpec {
    /// Which shifts are bad. Default: both.
    pub direction: Direction,
    /// Deviations that do not count, half of the shift that is to be found. Default: 0.5. Range: 0 or more.
    pub slack: f32,
    /// The sum, in deviations, above which there is a change. Default: 5. Range: above 0.
    pub limit: f32,
}

impl Default for CusumSpec {
    fn default() -> Self {
        CusumSpec { direction: Direction::Both, slack: 0.5, limit: 5.0 }
    }
}

/// The sums of many keys, by slot, for one feature each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CusumColumns {
    spec: CusumSpec,
    features: usize,
    /// Up and down, those of a slot side by side.
    sums: Vec<[f32; 2]>,
}

impl CusumColumns {
    /// Sums of so many features, for no key yet.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn new(spec: CusumSpec, features: usize) -> Result<Self, DetectError> {
        let settings = [
            ("slack", spec.slack, spec.slack >= 0.0, "0 or more"),
            ("limit", spec.limit, spec.limit > 0.0, "above 0"),
        ];
        match settings.into_iter().find(|(_, _, fits, _)| !fits) {
            None => Ok(CusumColumns { spec, features, sums: Vec::new() }),
            Some((setting, found, _, wanted)) => {
                Err(DetectError::Setting { setting, found: found.into(), wanted })
            }
        }
    }

    /// Takes in deviations, a column for each feature, NaN where there is none. The scores are on the common scale,
    /// above 1 for a change, and negative where the value shifts down; NaN where there is no deviation.
    ///
    /// # Panics
    /// If a slot has no room, or the columns are not of one length.
    pub fn observe(&mut self, slots: &[u32], deviations: &[Vec<f32>], scores: &mut Vec<Vec<f32>>) {
        self.observe_from(slots, deviations, scores, |_, _| ());
    }

    /// The same; `from` is given the sums before each row, with the number of its feature.
    pub(crate) fn observe_from(
        &mut self,
        slots: &[u32],
        deviations: &[Vec<f32>],
        scores: &mut Vec<Vec<f32>>,
        mut from: impl FnMut(usize, [f32; 2]),
    ) {
        assert_eq!(deviations.len(), self.features, "a column for each feature");
        scores.resize(self.features, Vec::new());
        for (feature, (column, scores)) in deviations.iter().zip(scores).enumerate() {
            assert_eq!(column.len(), slots.len(), "columns of one length");
            scores.clear();
            scores.extend(slots.iter().zip(column).map(|(slot, deviation)| {
                let sums = &mut self.sums[*slot as usize * self.features + feature];
                from(feature, *sums);
                self.spec.step(sums, *deviation)
            }));
        }
    }
}

impl SlotState for CusumColumns {
    type Saved = Vec<[f32; 2]>;

    fn grow(&mut self, slots: usize) {
        self.sums.resize((slots * self.features).max(self.sums.len()), [0.0; 2]);
    }

    fn clear(&mut self, slot: u32) {
        let start = slot as usize * self.features;
        self.sums[start..start + self.features].fill([0.0; 2]);
    }

    fn save(&self, slots: &[u32]) -> Self::Saved {
        slots::save(&self.sums, self.features, slots)
    }

    fn load(&mut self, slots: &[u32], saved: &Self::Saved) {
        slots::load(&mut self.sums, self.features, slots, saved);
    }
}

impl CusumSpec {
    /// The score of a deviation after these sums.
    pub(crate) fn score(&self, mut sums: [f32; 2], deviation: f32) -> f32 {
        self.step(&mut sums, deviation)
    }

    fn step(&self, sums: &mut [f32; 2], deviation: f32) -> f32 {
        if deviation.is_nan() {
            return f32::NAN;
        }
        let [up, down] = *sums;
        let grown = |sum: f32, by: f32, other: Direction| {
            if self.direction == other { 0.0 } else { (sum + by - self.slack).max(0.0) }
        };
        *sums = [grown(up, deviation, Direction::Low), grown(down, -deviation, Direction::High)];
        let [up, down] = *sums;
        if up.max(down) > self.limit {
            *sums = [0.0; 2];
        }
        if up >= down { up / self.limit } else { -down / self.limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(spec: CusumSpec, deviations: &[f32]) -> Vec<f32> {
        let mut columns = CusumColumns::new(spec, 1).expect("sums");
        columns.grow(1);
        let mut scores = Vec::new();
        columns.observe(&vec![0; deviations.len()], &[deviations.to_vec()], &mut scores);
        scores.concat()
    }

    /// The definition without recursion: the greatest sum over all stretches that end here, since the last change.
    fn by_definition(spec: CusumSpec, deviations: &[f32]) -> Vec<f32> {
        let (mut start, mut out) = (0, Vec::new());
        for end in 0..deviations.len() {
            let greatest = |sign: f32| {
                let stretch = |from: usize| {
                    let known = deviations[from..=end].iter().filter(|z| !z.is_nan());
                    known.map(|z| f64::from(sign * z - spec.slack)).sum::<f64>()
                };
                (start..=end).map(stretch).fold(0.0, f64::max) as f32
            };
            let up = if spec.direction == Direction::Low { 0.0 } else { greatest(1.0) };
            let down = if spec.direction == Direction::High { 0.0 } else { greatest(-1.0) };
            if deviations[end].is_nan() {
                out.push(f32::NAN);
                continue;
            }
            out.push(if up >= down { up } else { -down } / spec.limit);
            if up.max(down) > spec.limit {
                start = end + 1;
            }
        }
        out
    }

    #[test]
    fn the_score_is_the_greatest_sum_of_any_stretch_since_the_last_change() {
        let mut random = crate::random::Random::new(71, 0);
        for direction in [Direction::Low, Direction::High, Direction::Both] {
            let deviations: Vec<f32> = (0..400)
                .map(|row| match random.next() % 10 {
                    0 => f32::NAN,
                    _ => (random.unit() * 4.0 - 2.0) as f32 + [0.0, 0.8, -0.8][row / 60 % 3],
                })
                .collect();
            let spec = CusumSpec { direction, ..CusumSpec::default() };
            let (found, expected) = (scores(spec, &deviations), by_definition(spec, &deviations));
            for (row, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let same = (found - expected).abs() < 1e-4 || (found.is_nan() && expected.is_nan());
                assert!(same, "{direction:?} row {row}: {found} {expected}");
            }
            assert!(expected.iter().any(|score| score.abs() > 1.0));
        }
    }

    #[test]
    fn a_shift_of_one_deviation_is_found_after_about_ten_rows_and_noise_after_hundreds() {
        // The published mean run lengths for slack 0.5 and limit 5: 10.4 rows for a shift of 1, 465 without one.
        let mut random = crate::random::Random::new(73, 0);
        let mut normal = || (0..12).map(|_| random.unit()).sum::<f64>() as f32 - 6.0;
        let mut run_length = |shift: f32| {
            let deviations: Vec<f32> = (0..200_000).map(|_| normal() + shift).collect();
            let scores = scores(CusumSpec::default(), &deviations);
            200_000.0 / scores.iter().filter(|score| score.abs() > 1.0).count() as f64
        };
        let (shifted, noise) = (run_length(1.0), run_length(0.0));
        assert!((9.5..11.5).contains(&shifted), "{shifted}");
        assert!((380.0..560.0).contains(&noise), "{noise}");
    }
}
