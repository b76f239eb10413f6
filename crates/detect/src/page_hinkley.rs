//! Page-Hinkley: a change of the mean of a series beside all of it since the last change.
//!
//! Needs no baseline: it keeps the mean itself. Best given deviations or values of about that size, since its slack
//! and limit are in the unit of the values.
//!
//! Source: Page (1954); Mouss et al. (2004), Test of Page-Hinkley, an approach for fault detection.

use serde::{Deserialize, Serialize};

use crate::slots::{self, SlotState};
use crate::{DetectError, Direction};

/// What counts as a change.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PageHinkleySpec {
    /// Which changes are bad. Default: both.
    pub direction: Direction,
    /// What a value may differ from the mean without counting. Default: 0.05. Range: 0 or more.
    pub slack: f64,
    /// The sum of differences above which there is a change. Default: 10. Range: above 0.
    pub limit: f64,
    /// Values since the last change before the first that is judged. Default: 30.
    pub warmup: u32,
}

impl Default for PageHinkleySpec {
    fn default() -> Self {
        PageHinkleySpec { direction: Direction::Both, slack: 0.05, limit: 10.0, warmup: 30 }
    }
}

/// What is known of a series since its last change; in a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Series {
    values: u32,
    mean: f64,
    /// Sums of differences above their least so far, upwards and downwards.
    up: f64,
    down: f64,
}

/// The series of many keys, by slot, for one feature each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageHinkleyColumns {
    spec: PageHinkleySpec,
    features: usize,
    series: Vec<Series>,
}

impl PageHinkleyColumns {
    /// Series of so many features, for no key yet.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn new(spec: PageHinkleySpec, features: usize) -> Result<Self, DetectError> {
        let settings = [
            ("slack", spec.slack, spec.slack >= 0.0, "0 or more"),
            ("limit", spec.limit, spec.limit > 0.0, "above 0"),
        ];
        match settings.into_iter().find(|(_, _, fits, _)| !fits) {
            None => Ok(PageHinkleyColumns { spec, features, series: Vec::new() }),
            Some((setting, found, _, wanted)) => Err(DetectError::Setting { setting, found, wanted }),
        }
    }

    /// Takes in values, a column for each feature, NaN where there is none. The scores are on the common scale,
    /// above 1 for a change, and negative where the mean falls; NaN where there is no value, and during warm-up.
    ///
    /// # Panics
    /// If a slot has no room, or the columns are not of one length.
    pub fn observe(&mut self, slots: &[u32], columns: &[&[f64]], scores: &mut Vec<Vec<f32>>) {
        self.observe_from(slots, columns, scores, |_, _| ());
    }

    /// The same; `from` is given what was known before each row, with the number of its feature.
    pub(crate) fn observe_from(
        &mut self,
        slots: &[u32],
        columns: &[&[f64]],
        scores: &mut Vec<Vec<f32>>,
        mut from: impl FnMut(usize, [f64; 4]),
    ) {
        assert_eq!(columns.len(), self.features, "a column for each feature");
        scores.resize(self.features, Vec::new());
        for (feature, (column, scores)) in columns.iter().zip(scores).enumerate() {
            assert_eq!(column.len(), slots.len(), "columns of one length");
            scores.clear();
            scores.extend(slots.iter().zip(*column).map(|(slot, value)| {
                let series = &mut self.series[*slot as usize * self.features + feature];
                from(feature, [series.values.into(), series.mean, series.up, series.down]);
                self.spec.step(series, *value)
            }));
        }
    }
}

impl SlotState for PageHinkleyColumns {
    type Saved = Vec<Series>;

    fn grow(&mut self, slots: usize) {
        self.series.resize((slots * self.features).max(self.series.len()), Series::default());
    }

    fn clear(&mut self, slot: u32) {
        let start = slot as usize * self.features;
        self.series[start..start + self.features].fill(Series::default());
    }

    fn save(&self, slots: &[u32]) -> Self::Saved {
        slots::save(&self.series, self.features, slots)
    }

    fn load(&mut self, slots: &[u32], saved: &Self::Saved) {
        slots::load(&mut self.series, self.features, slots, saved);
    }
}

impl PageHinkleySpec {
    /// The score of a value after what was known.
    pub(crate) fn score(&self, [values, mean, up, down]: [f64; 4], value: f64) -> f32 {
        self.step(&mut Series { values: values as u32, mean, up, down }, value)
    }

    fn step(&self, series: &mut Series, value: f64) -> f32 {
        if !value.is_finite() {
            return f32::NAN;
        }
        series.values = series.values.saturating_add(1);
        series.mean += (value - series.mean) / f64::from(series.values);
        let off = value - series.mean;
        let grown = |sum: f64, by: f64, other: Direction| {
            if self.direction == other { 0.0 } else { (sum + by - self.slack).max(0.0) }
        };
        series.up = grown(series.up, off, Direction::Low);
        series.down = grown(series.down, -off, Direction::High);
        if series.values <= self.warmup {
            return f32::NAN;
        }
        let Series { up, down, .. } = *series;
        if up.max(down) > self.limit {
            *series = Series::default();
        }
        (if up >= down { up / self.limit } else { -down / self.limit }) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(spec: PageHinkleySpec, values: &[f64]) -> Vec<f32> {
        let mut columns = PageHinkleyColumns::new(spec, 1).expect("series");
        columns.grow(1);
        let mut scores = Vec::new();
        columns.observe(&vec![0; values.len()], &[values], &mut scores);
        scores.concat()
    }

    /// As published: the cumulative sum of differences from the running mean, less its minimum (or its maximum, less
    /// the sum), from the last change on.
    fn as_published(spec: PageHinkleySpec, values: &[f64]) -> Vec<f64> {
        let (mut start, mut out) = (0, Vec::new());
        for end in 0..values.len() {
            let sums = |slack: f64| {
                let mut sum = 0.0;
                let differences = (start..=end).map(|row| {
                    let mean = values[start..=row].iter().sum::<f64>() / (row - start + 1) as f64;
                    values[row] - mean - slack
                });
                [0.0]
                    .into_iter()
                    .chain(differences)
                    .map(|d| {
                        sum += d;
                        sum
                    })
                    .collect::<Vec<f64>>()
            };
            let (rising, falling) = (sums(spec.slack), sums(-spec.slack));
            let up = rising[rising.len() - 1] - rising.iter().copied().fold(f64::INFINITY, f64::min);
            let down = falling.iter().copied().fold(f64::NEG_INFINITY, f64::max) - falling[falling.len() - 1];
            let (up, down) = match spec.direction {
                Direction::Low => (0.0, down),
                Direction::High => (up, 0.0),
                Direction::Both => (up, down),
            };
            let judged = end - start + 1 > spec.warmup as usize;
            out.push(
                if !judged {
                    f64::NAN
                } else if up >= down {
                    up
                } else {
                    -down
                } / spec.limit,
            );
            if judged && up.max(down) > spec.limit {
                start = end + 1;
            }
        }
        out
    }

    #[test]
    fn scores_are_those_of_the_published_test() {
        let mut random = crate::random::Random::new(79, 0);
        for direction in [Direction::Low, Direction::High, Direction::Both] {
            let values: Vec<f64> =
                (0..500).map(|row| random.unit() * 3.0 + [10.0, 11.0, 9.5][row / 120 % 3]).collect();
            let spec = PageHinkleySpec { direction, ..PageHinkleySpec::default() };
            let (found, expected) = (scores(spec, &values), as_published(spec, &values));
            for (row, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let found = f64::from(*found);
                let same = (found - expected).abs() < 1e-4 || (found.is_nan() && expected.is_nan());
                assert!(same, "{direction:?} row {row}: {found} {expected}");
            }
            assert!(expected.iter().any(|score| score.abs() > 1.0), "{direction:?}");
        }
    }

    #[test]
    fn a_missing_value_changes_nothing() {
        let spec = PageHinkleySpec { warmup: 2, ..PageHinkleySpec::default() };
        let with = scores(spec, &[1.0, 2.0, f64::NAN, 3.0, f64::INFINITY, 5.0]);
        let without = scores(spec, &[1.0, 2.0, 3.0, 5.0]);
        assert_eq!([with[3], with[5]], [without[2], without[3]]);
        assert!(with[2].is_nan() && with[4].is_nan());
    }
}
