//! Robust z: a value beside the median of the last few of its key, in units that outliers do not stretch.
//!
//! Keeps the values themselves, four bytes each: for few keys, or few values. Where memory matters, the
//! [`baseline`](crate::baseline) keeps eight bytes in all.
//!
//! Source: Iglewicz & Hoaglin (1993), How to detect and handle outliers: the modified z-score.

use serde::{Deserialize, Serialize};

use crate::baseline::{Deviations, FAR, counted};
use crate::slots::{self, SlotState};
use crate::{DetectError, Direction};

/// A standard deviation over the median absolute deviation of a normal distribution.
const MEDIAN_RATIO: f32 = 1.4826;
/// A standard deviation over the mean absolute deviation of a normal distribution.
const MEAN_RATIO: f32 = 1.2533;

/// How robust z is computed and judged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RobustSpec {
    /// Which side is bad. Default: both.
    pub direction: Direction,
    /// Values that are kept of a key and feature. Default: 48. Range: `warmup` to 255.
    pub capacity: u8,
    /// Values before the first that is judged. Default: 8. Range: 2 or more.
    pub warmup: u8,
    /// Deviations beyond which a value is an anomaly. Default: 3.5. Range: above 0.
    pub limit: f32,
    /// A deviation is never taken for less than this, in the unit of the value. Default: 0.
    pub deviation_min: f32,
}

impl Default for RobustSpec {
    fn default() -> Self {
        RobustSpec { direction: Direction::Both, capacity: 48, warmup: 8, limit: 3.5, deviation_min: 0.0 }
    }
}

impl RobustSpec {
    /// A deviation on the common scale: above 1 is an anomaly. NaN, not known, stays NaN.
    pub fn calibrate(&self, deviation: f32) -> f32 {
        let towards = self.direction.towards(counted(deviation));
        if towards < 0.0 { 0.0 } else { towards / self.limit }
    }
}

/// The last values of many keys, by slot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RobustColumns {
    spec: RobustSpec,
    features: usize,
    /// Those of a slot and feature side by side; the oldest is overwritten.
    values: Vec<f32>,
    /// How many values there are, up to the capacity, and where the next goes.
    filled: Vec<(u8, u8)>,
}

impl RobustColumns {
    /// Values of so many features, for no key yet.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn new(spec: RobustSpec, features: usize) -> Result<Self, DetectError> {
        let (capacity, warmup) = (f64::from(spec.capacity), f64::from(spec.warmup));
        let settings = [
            ("warmup", warmup, warmup >= 2.0, "2 or more"),
            ("capacity", capacity, capacity >= warmup, "between `warmup` and 255"),
            ("limit", spec.limit.into(), spec.limit > 0.0, "above 0"),
            ("deviation_min", spec.deviation_min.into(), spec.deviation_min >= 0.0, "0 or more"),
        ];
        match settings.into_iter().find(|(_, _, fits, _)| !fits) {
            None => Ok(RobustColumns { spec, features, values: Vec::new(), filled: Vec::new() }),
            Some((setting, found, _, wanted)) => Err(DetectError::Setting { setting, found, wanted }),
        }
    }

    /// How they are judged.
    pub fn spec(&self) -> &RobustSpec {
        &self.spec
    }

    /// Judges rows by those before and keeps their values. `columns` has a slice for each feature, NaN where a value
    /// is missing. Deviations are signed, and what was expected is the median; NaN where the value is missing, or too few are
    /// kept. Time: linear in the capacity for each value.
    ///
    /// # Panics
    /// If a slot has no room, or the columns are not of one length.
    pub fn observe(&mut self, slots: &[u32], columns: &[&[f64]], out: &mut Deviations) {
        assert_eq!(columns.len(), self.features, "a column for each feature");
        out.resize(self.features, slots.len());
        let mut scratch = Vec::with_capacity(self.spec.capacity.into());
        for (feature, column) in columns.iter().enumerate() {
            assert_eq!(column.len(), slots.len(), "columns of one length");
            for (row, (slot, value)) in slots.iter().zip(*column).enumerate() {
                let cell = *slot as usize * self.features + feature;
                let (deviation, middle) = self.step(cell, (*value as f32).clamp(-FAR, FAR), &mut scratch);
                (out.z[feature][row], out.expected[feature][row]) = (deviation, middle);
            }
        }
    }

    fn step(&mut self, cell: usize, value: f32, scratch: &mut Vec<f32>) -> (f32, f32) {
        if value.is_nan() {
            return (f32::NAN, f32::NAN);
        }
        let capacity = self.spec.capacity;
        let (filled, next) = &mut self.filled[cell];
        let kept = &mut self.values[cell * usize::from(capacity)..][..usize::from(capacity)];
        let deviation = match *filled < self.spec.warmup {
            true => (f32::NAN, f32::NAN),
            false => self.spec.deviation(&kept[..usize::from(*filled)], value, scratch),
        };
        kept[usize::from(*next)] = value;
        *filled = filled.saturating_add(1).min(capacity);
        *next = if *next + 1 < capacity { *next + 1 } else { 0 };
        deviation
    }
}

impl SlotState for RobustColumns {
    type Saved = (Vec<f32>, Vec<(u8, u8)>);

    fn grow(&mut self, slots: usize) {
        let cells = (slots * self.features).max(self.filled.len());
        self.filled.resize(cells, (0, 0));
        self.values.resize(cells * usize::from(self.spec.capacity), 0.0);
    }

    fn clear(&mut self, slot: u32) {
        let start = slot as usize * self.features;
        self.filled[start..start + self.features].fill((0, 0));
    }

    fn save(&self, slots: &[u32]) -> Self::Saved {
        let each = self.features * usize::from(self.spec.capacity);
        (slots::save(&self.values, each, slots), slots::save(&self.filled, self.features, slots))
    }

    fn load(&mut self, slots: &[u32], (values, filled): &Self::Saved) {
        let each = self.features * usize::from(self.spec.capacity);
        slots::load(&mut self.values, each, slots, values);
        slots::load(&mut self.filled, self.features, slots, filled);
    }
}

impl RobustSpec {
    /// How many deviations a value lies from the median of others. The deviation is that of a normal distribution
    /// with their median absolute deviation; if more than half of them are equal, with their mean absolute one. And the median.
    fn deviation(&self, others: &[f32], value: f32, scratch: &mut Vec<f32>) -> (f32, f32) {
        scratch.clear();
        scratch.extend_from_slice(others);
        let middle = median(scratch);
        scratch.iter_mut().for_each(|other| *other = (*other - middle).abs());
        let mean = scratch.iter().sum::<f32>() / scratch.len() as f32;
        let deviation = match median(scratch) {
            0.0 => MEAN_RATIO * mean,
            absolute => MEDIAN_RATIO * absolute,
        };
        let deviation = deviation.max(self.deviation_min).max(f32::MIN_POSITIVE);
        ((value - middle) / deviation, middle)
    }
}

/// The middle value; of an even number, the mean of the two.
fn median(values: &mut [f32]) -> f32 {
    let (half, even) = (values.len() / 2, values.len().is_multiple_of(2));
    let (below, upper, _) = values.select_nth_unstable_by(half, f32::total_cmp);
    match below.iter().copied().max_by(f32::total_cmp) {
        Some(lower) if even => lower + (*upper - lower) / 2.0,
        _ => *upper,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deviations(spec: RobustSpec, values: &[f64]) -> Vec<f32> {
        let mut columns = RobustColumns::new(spec, 1).expect("values");
        columns.grow(1);
        let mut out = Deviations::default();
        columns.observe(&vec![0; values.len()], &[values], &mut out);
        out.z.concat()
    }

    fn sorted_median(values: impl Iterator<Item = f64>) -> f64 {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
    }

    #[test]
    fn deviations_are_those_of_sorted_values() {
        let mut random = crate::random::Random::new(83, 0);
        let values: Vec<f64> = (0..600).map(|_| (random.unit().powi(3) * 50.0).floor()).collect();
        for capacity in [8, 9, 48, 255] {
            let spec = RobustSpec { capacity, ..RobustSpec::default() };
            for (row, found) in deviations(spec, &values).into_iter().enumerate() {
                let others = &values[row.saturating_sub(capacity.into())..row];
                if others.len() < 8 {
                    assert!(found.is_nan());
                    continue;
                }
                let middle = sorted_median(others.iter().copied());
                let absolute = sorted_median(others.iter().map(|other| (other - middle).abs()));
                let mean =
                    others.iter().map(|other| (other - middle).abs()).sum::<f64>() / others.len() as f64;
                let deviation = if absolute > 0.0 { 1.4826 * absolute } else { 1.2533 * mean };
                let off = values[row] - middle;
                let expected = if off == 0.0 { 0.0 } else { (off / deviation).clamp(-1000.0, 1000.0) };
                assert!(
                    (f64::from(found) - expected).abs() < 1e-3 * (1.0 + expected.abs()),
                    "{found} {expected}"
                );
            }
        }
    }

    #[test]
    fn a_third_of_outliers_does_not_hide_one_more() {
        let values: Vec<f64> =
            (0..60).map(|row| if row % 3 == 0 { 1000.0 } else { f64::from(row % 5) }).collect();
        let z = deviations(RobustSpec::default(), &values);
        assert!(z[48] > 100.0, "{}", z[48]);
        assert!(RobustSpec::default().calibrate(z[48]) > 1.0 && RobustSpec::default().calibrate(z[49]) < 1.0);
    }

    #[test]
    fn beside_equal_values_any_other_deviates_as_far_as_can_be() {
        let values = [&[5.0; 20][..], &[f64::NAN, 5.0, 6.0]].concat();
        let z = deviations(RobustSpec::default(), &values);
        assert!(z[20].is_nan());
        assert_eq!([z[21], counted(z[22])], [0.0, crate::baseline::DEVIATION_MAX]);
        let least = RobustSpec { deviation_min: 2.0, ..RobustSpec::default() };
        assert_eq!(deviations(least, &values)[22], 0.5);
    }
}
