//! Three forests that watch one series of numbers: for values that stand out, for those that stand out at their
//! hour of the day, and for shapes.
//!
//! A forest over single values knows at once of one that never was; another over what they differ by from the mean
//! of their hour knows of one that never was at this time of the day. They decide, and only where an anomaly begins. A
//! forest over shingles sees a course that is odd though each value is usual, and says so for as long as it lasts: it
//! ranks the rest.

use serde::{Deserialize, Serialize};

use super::shingle::Missing;
use super::stream::{StreamForest, StreamSpec};
use crate::DetectError;
use crate::baseline::Season;
use crate::onset::Onset;
use crate::scale::CalibrationSpec;

/// How a series is watched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesSpec {
    /// Points that a tree of values keeps. Default: 2016, the five-minute rows of a week. Range: 2 to 4096.
    pub sample: usize,
    /// Trees of a forest of values. Default: 100. Range: 1 to 1000.
    pub trees: usize,
    /// The score of a value, 0 to the logarithm of `sample` with base 2, above which it stands out. Default: 2.
    pub limit: f64,
    /// Rows for which a value that stands out quiets those that do so less. Default: 100.
    pub quiet: u64,
    /// Rows of a shape. Default: 48. Range: 1 to 512.
    pub shape: usize,
    /// Rows before the first that is judged. Default: 100.
    pub warmup: u64,
    /// Of the random cuts and samples.
    pub seed: u64,
}

impl Default for SeriesSpec {
    fn default() -> Self {
        SeriesSpec { sample: 2016, trees: 100, limit: 2.0, quiet: 100, shape: 48, warmup: 100, seed: 0 }
    }
}

/// A series, and what is known of its values and shapes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesForest {
    limit: f64,
    values: StreamForest,
    hours: Hours,
    hourly: StreamForest,
    onset: Onset,
    shapes: StreamForest,
    /// The greatest score of a shape.
    shape_max: f64,
}

impl SeriesForest {
    /// A series of which nothing is known.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn new(spec: SeriesSpec) -> Result<Self, DetectError> {
        if spec.limit.is_nan() || spec.limit <= 0.0 {
            return Err(DetectError::Setting { setting: "limit", found: spec.limit, wanted: "above 0" });
        }
        let stream = StreamSpec {
            seed: spec.seed,
            warmup: spec.warmup,
            missing: Missing::Previous,
            calibration: CalibrationSpec::default(),
            ..StreamSpec::new(1)
        };
        let shapes = StreamSpec { shingle: spec.shape, seed: spec.seed.wrapping_add(2), ..stream.clone() };
        let shape_max = libm::log2(shapes.sample as f64);
        let values = StreamSpec { trees: spec.trees, sample: spec.sample, ..stream };
        let hourly = StreamSpec { seed: spec.seed.wrapping_add(1), ..values.clone() };
        Ok(SeriesForest {
            limit: spec.limit,
            values: StreamForest::new(values)?,
            hours: Hours::default(),
            hourly: StreamForest::new(hourly)?,
            onset: Onset::new(spec.quiet),
            shapes: StreamForest::new(shapes)?,
            shape_max,
        })
    }

    /// Bytes that it holds in memory, but for its last rows.
    pub fn bytes(&self) -> usize {
        [&self.values, &self.hourly, &self.shapes].iter().map(|stream| stream.forest().bytes()).sum()
    }

    /// Judges a value by those before it and learns it; `time` is in microseconds. The score is on the common scale:
    /// above 1 where a value stands out and none did so more shortly before; otherwise up to 1, the odder the last
    /// values are together. `None` during warm-up. A missing value, NaN, is taken for the one before.
    pub fn observe(&mut self, time: i64, value: f64) -> Option<f64> {
        self.observe_with(time, value, |_| ())
    }

    /// The same; `odd` is given what is known of a value that stands out.
    pub(crate) fn observe_with(&mut self, time: i64, value: f64, odd: impl FnOnce(Odd<'_>)) -> Option<f64> {
        let shape = self.shapes.observe(&[value], None).map_or(0.0, |shape| shape.score / self.shape_max);
        let expected = self.hours.expected(time, value);
        let hourly = self.hourly.judge(&[value - expected]);
        self.hours.learn(time, value);
        let own = self.values.judge(&[value]);
        let verdict = own.flatten().map(|own| {
            let score = hourly.flatten().map_or(0.0, |hourly| hourly.score).max(own.score) / self.limit;
            let begins = self.onset.observe(score) && score > 1.0;
            if begins {
                odd(Odd { series: self, is_hourly: hourly.flatten().is_some(), expected });
            }
            if begins { score } else { shape.min(1.0) }
        });
        if let Some(hourly) = hourly {
            self.hourly.learn(hourly);
        }
        if let Some(own) = own {
            self.values.learn(own);
        }
        verdict
    }
}

/// What is known of a value that stands out.
pub(crate) struct Odd<'a> {
    series: &'a SeriesForest,
    is_hourly: bool,
    /// The mean of its hour.
    expected: f64,
}

impl Odd<'_> {
    /// What was expected: the mean of the hour, or what values mostly are where that stands out too.
    pub(crate) fn expected(&self) -> f64 {
        let usual = self.series.values.usual(&[0])[0];
        if self.score(self.expected) <= 1.0 { self.expected } else { usual }
    }

    /// The score of another value in its place.
    pub(crate) fn score(&self, value: f64) -> f64 {
        let hourly = match self.is_hourly {
            true => self.series.hourly.forest().score(&[value - self.expected]),
            false => 0.0,
        };
        hourly.max(self.series.values.forest().score(&[value])) / self.series.limit
    }
}

/// Values in a mean of an hour after which one counts 1/e of the newest.
const HOUR_MEMORY: f64 = 120.0;
/// And in the mean of all.
const ALL_MEMORY: f64 = 1000.0;

/// The means of the hours of the day, and that of all.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Hours {
    means: [Mean; 24],
    all: Mean,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Mean {
    values: f64,
    mean: f64,
}

impl Hours {
    /// The mean of the hour of a value, or of all while there is none; at first the value itself. Of what is no finite number 0.
    fn expected(&self, time: i64, value: f64) -> f64 {
        if !value.is_finite() {
            return 0.0;
        }
        let hour = &self.means[Season::HourOfDay.hour(time)];
        match (hour.values > 0.0, self.all.values > 0.0) {
            (true, _) => hour.mean,
            (false, true) => self.all.mean,
            (false, false) => value,
        }
    }

    fn learn(&mut self, time: i64, value: f64) {
        if value.is_finite() {
            self.means[Season::HourOfDay.hour(time)].learn(value, HOUR_MEMORY);
            self.all.learn(value, ALL_MEMORY);
        }
    }
}

impl Mean {
    fn learn(&mut self, value: f64, memory: f64) {
        self.values = (self.values + 1.0).min(memory);
        self.mean += (value - self.mean) / self.values;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn scores(values: &[f64]) -> Vec<Option<f64>> {
        let spec = SeriesSpec { sample: 256, ..SeriesSpec::default() };
        let mut series = SeriesForest::new(spec).expect("a series");
        let times = (0..).map(|row| row * 1_800_000_000);
        times.zip(values).map(|(time, value)| series.observe(time, *value)).collect()
    }

    /// A day of 48 rows, with noise.
    fn days(random: &mut Random, rows: usize) -> Vec<f64> {
        let hour = |row: usize| 10.0 * (row as f64 / 48.0 * std::f64::consts::TAU).sin();
        (0..rows).map(|row| hour(row) + random.unit()).collect()
    }

    #[test]
    fn a_level_that_never_was_is_told_once_where_it_begins() {
        let mut values = days(&mut Random::new(97, 0), 2000);
        values[1500..1600].iter_mut().for_each(|value| *value = 40.0);
        let scores = scores(&values);
        assert!(scores[..100].iter().all(Option::is_none) && scores[100].is_some());
        let told = |rows: &[Option<f64>]| rows.iter().filter(|score| score.is_some_and(|s| s > 1.0)).count();
        assert!(scores[1500].expect("a score") > 1.5, "{:?}", scores[1500]);
        assert_eq!(told(&scores[1501..1600]), 0);
        assert!(told(&scores[600..1500]) < 5, "{}", told(&scores[600..1500]));
    }

    #[test]
    fn a_value_of_noon_at_midnight_is_told() {
        let mut values = days(&mut Random::new(99, 0), 2400);
        // The least of the day where the greatest belongs.
        let noon = 42 * 48 + 12;
        values[noon] = -9.5;
        let scores = scores(&values);
        assert!(scores[noon].expect("a score") > 1.0, "{:?}", scores[noon]);
    }

    #[test]
    fn a_day_that_lies_flat_at_a_usual_value_is_odder_than_others() {
        let mut values = days(&mut Random::new(101, 0), 2400);
        values[2000..2048].iter_mut().for_each(|value| *value = 5.0);
        let scores: Vec<f64> =
            scores(&values).into_iter().map(|score| score.unwrap_or(0.0).min(1.0)).collect();
        let usual = scores[1000..2000].iter().copied().fold(0.0, f64::max);
        let flat = scores[2000..2048].iter().copied().fold(0.0, f64::max);
        assert!(flat > 1.5 * usual && flat <= 1.0, "{flat} {usual}");
    }
}
