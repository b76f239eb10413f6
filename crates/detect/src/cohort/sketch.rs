//! A DDSketch of a cohort: how many of its members are in each bin.

use crate::unit::whole;
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
        let (below, upto) = self.around(bin_of(value));
        50.0 * (below as f64 + upto as f64) / self.members() as f64
    }

    /// How many members are in the bins before one, and in these and itself.
    fn around(&self, bin: i32) -> (u64, u64) {
        match self.bins.binary_search(&bin) {
            Ok(place) => (self.below[place], self.below[place + 1]),
            Err(place) => (self.below[place], self.below[place]),
        }
    }

    /// The percentile that a member of one bin would have in another, all others being where they are.
    fn moved(&self, from: i32, to: i32) -> f64 {
        let (below, upto) = self.around(to);
        let without = |count: u64, is_in: bool| count.saturating_sub(u64::from(is_in));
        let (below, upto) = (without(below, from < to), without(upto, from <= to) + 1);
        50.0 * (below as f64 + upto as f64) / self.members() as f64
    }

    /// The nearest value, upwards or downwards, with which a member would have a percentile that fits, and that percentile. `unit` is
    /// what values are multiples of, if of anything. Within 1 %, as bins are.
    pub(crate) fn nearest(
        &self,
        value: f64,
        is_up: bool,
        unit: Option<f64>,
        fits: impl Fn(f64) -> bool,
    ) -> Option<(f64, f64)> {
        let own = bin_of(value);
        let step = if is_up { 1 } else { -1 };
        // The percentile changes from one bin that somebody is in to the next, and between them.
        let is_ahead = |bin: &i32| if is_up { *bin > own } else { *bin < own };
        let ahead = self.bins.iter().copied().chain([own]).flat_map(|bin| [bin, bin + step]);
        let mut bins: Vec<i32> = ahead.filter(is_ahead).collect();
        bins.sort_unstable_by_key(|bin| bin.saturating_mul(step));
        bins.dedup();
        bins.into_iter().find_map(|bin| {
            let to = whole(value_of_bin(bin), is_up, unit);
            let percentile = self.moved(own, bin_of(to));
            (to.is_finite() && fits(percentile)).then_some((to, percentile))
        })
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
        for value in [-9.0, -3.0, 4.0, 30.0] {
            for (is_up, wanted) in [(true, 10.0), (true, 60.0), (false, 35.0), (false, 3.0)] {
                let fits = |percentile: f64| if is_up { percentile >= wanted } else { percentile <= wanted };
                // Reckoned plainly: one of these values goes, and another one comes.
                let with = |to: f64| {
                    let mut others = values.clone();
                    others.remove(others.iter().position(|other| *other == value).expect("a value"));
                    let below = others.iter().filter(|other| **other < to).count() as f64;
                    let same = others.iter().filter(|other| **other == to).count() as f64 + 1.0;
                    100.0 * (below + same / 2.0) / 999.0
                };
                let steps = (1..60).map(|n| value + f64::from(if is_up { n } else { -n }));
                let expected = steps.clone().find(|to| fits(with(*to)));
                let found = pool.nearest(value, is_up, Some(1.0), fits);
                assert_eq!(found.map(|(to, _)| to), expected, "{value} {is_up} {wanted}");
                if let Some((to, percentile)) = found {
                    assert!((percentile - with(to)).abs() < 1e-9, "{value} to {to}");
                }
            }
        }
        let mut sorted = values;
        sorted.sort_by(f64::total_cmp);
        assert!((pool.median() - sorted[499]).abs() <= 0.01 * sorted[499].abs());
        assert!(Pool::of([].into_iter()).median().is_nan());
    }
}
