//! A DDSketch of a cohort: how many of its members are in each bin.

use event::{bin_of, value_of_bin};
use serde::{Deserialize, Serialize};

/// How many members are in each bin, ascending.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Sketch(Vec<(i32, u64)>);

impl Sketch {
    /// Of bins that ascend.
    pub(crate) fn of(bins: Vec<(i32, u64)>) -> Sketch {
        Sketch(bins)
    }
}

/// Sketches that are looked at together.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    bins: Vec<i32>,
    /// How many members are in the bins before each, and at last in all.
    below: Vec<u64>,
}

impl Pool {
    /// All of these together.
    pub(crate) fn of<'a>(sketches: impl Iterator<Item = &'a Sketch>) -> Pool {
        let mut all: Vec<(i32, u64)> = sketches.flat_map(|sketch| sketch.0.iter().copied()).collect();
        all.sort_unstable();
        let mut pool = Pool { bins: Vec::new(), below: vec![0] };
        let mut sum = 0u64;
        for (bin, count) in all {
            sum = sum.saturating_add(count);
            match pool.bins.last() == Some(&bin) {
                true => *pool.below.last_mut().unwrap_or(&mut sum) = sum,
                false => {
                    pool.bins.push(bin);
                    pool.below.push(sum);
                }
            }
        }
        pool
    }

    /// How many members there are.
    pub(crate) fn members(&self) -> u64 {
        self.below.last().copied().unwrap_or(0)
    }

    /// How many percent of the members lie below a value; of those in its own bin, half.
    pub(crate) fn percentile(&self, value: f64) -> f64 {
        let (below, upto) = match self.bins.binary_search(&bin_of(value)) {
            Ok(place) => (self.below[place], self.below[place + 1]),
            Err(place) => (self.below[place], self.below[place]),
        };
        50.0 * (below as f64 + upto as f64) / self.members() as f64
    }

    /// The member in the middle, within 1 %; of two the lower one.
    pub(crate) fn median(&self) -> f64 {
        let rank = self.members().saturating_sub(1) / 2;
        let place = self.below.partition_point(|below| *below <= rank);
        self.bins.get(place.saturating_sub(1)).map_or(f64::NAN, |bin| value_of_bin(*bin))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::random::Random;

    fn sketch(values: &[f64]) -> Sketch {
        let mut bins = BTreeMap::new();
        values.iter().for_each(|value| *bins.entry(bin_of(*value)).or_default() += 1);
        Sketch::of(bins.into_iter().collect())
    }

    #[test]
    fn percentiles_of_parts_are_those_of_all_values_sorted() {
        let mut random = Random::new(5, 0);
        // Small whole numbers have bins of their own, so there is no error.
        let values: Vec<f64> = (0..999).map(|_| (random.unit() * 40.0).floor() - 9.0).collect();
        let parts: Vec<Sketch> = values.chunks(100).map(sketch).collect();
        let pool = Pool::of(parts.iter());
        assert_eq!(pool.members(), 999);
        for value in -12..40 {
            let value = f64::from(value);
            let below = values.iter().filter(|other| **other < value).count() as f64;
            let same = values.iter().filter(|other| **other == value).count() as f64;
            let exact = 100.0 * (below + same / 2.0) / 999.0;
            assert!((pool.percentile(value) - exact).abs() < 1e-9, "{value}");
        }
        let mut sorted = values;
        sorted.sort_by(f64::total_cmp);
        assert!((pool.median() - sorted[499]).abs() <= 0.01 * sorted[499].abs());
        assert!(Pool::of([].into_iter()).median().is_nan());
    }
}
