//! How the values of a few features of a key are judged and learned at once.
//!
//! The state of a group of features is the bits of its means, and of its variances with a mark in their last bits.
//! Lanes go together: all is computed, and then chosen from, so that each step is one instruction for the group, or two of a
//! processor without AVX2.

use std::array::from_fn;

use super::spec::BaselineSpec;
use crate::Direction;

/// Deviations count up to here, so that a value beside a constant past has a finite score.
pub const DEVIATION_MAX: f32 = 1000.0;

/// A deviation as far as it counts.
#[inline(always)]
pub(crate) fn counted(deviation: f32) -> f32 {
    deviation.clamp(-DEVIATION_MAX, DEVIATION_MAX)
}

/// A mark: whether the latch is set, and below it rows learned or, if it is, rows since. It takes the place of the
/// last bits of a variance, which has four significant digits left.
pub(super) const MARK: u32 = 0xFF;
pub(super) const LATCHED: u32 = 0x80;
pub(super) const ROWS_MAX: u32 = 0x7F;

/// The settings as the lanes need them.
pub(super) struct Judge {
    /// 1 for each side that is bad, 0 for one that is not.
    low: f32,
    high: f32,
    warmup: u32,
    memory: u32,
    latched_max: u32,
    limit: f32,
    release: f32,
    clip: f32,
    deviation_min: f32,
    ratio_min: f32,
}

impl Judge {
    pub(super) fn new(spec: &BaselineSpec) -> Self {
        let side = |other: Direction| if spec.direction == other { 0.0 } else { 1.0 };
        Judge {
            low: side(Direction::High),
            high: side(Direction::Low),
            warmup: spec.warmup.into(),
            memory: spec.memory.into(),
            latched_max: spec.latched_max.into(),
            limit: spec.limit,
            release: spec.release,
            clip: spec.clip,
            deviation_min: spec.deviation_min,
            ratio_min: spec.ratio_min,
        }
    }

    /// Judges the values of a group and learns them: how many deviations each lies off, not cut off, and what was expected. `left`
    /// is the share of the past that the gap before the row leaves.
    #[inline(always)]
    pub(super) fn step<const LANES: usize>(
        &self,
        means: &mut [u32; LANES],
        variances: &mut [u32; LANES],
        left: f32,
        values: &[f32; LANES],
    ) -> ([f32; LANES], [f32; LANES]) {
        // Whole groups are read and written: else a lane goes by itself, and all take half as long again.
        let (was, marked) = (*means, *variances);
        let mean: [f32; LANES] = from_fn(|i| f32::from_bits(was[i]));
        let variance: [f32; LANES] = from_fn(|i| f32::from_bits(marked[i] & !MARK));
        let mark: [u32; LANES] = from_fn(|i| marked[i] & MARK);
        let rows: [u32; LANES] = from_fn(|i| mark[i] & ROWS_MAX);
        let known: [u32; LANES] = from_fn(|i| mask(!values[i].is_nan()));
        let latched: [u32; LANES] = from_fn(|i| mask(mark[i] > ROWS_MAX));
        let warm: [u32; LANES] = from_fn(|i| latched[i] | mask(rows[i] >= self.warmup));

        let least: [f32; LANES] = from_fn(|i| larger(self.deviation_min, self.ratio_min * mean[i].abs()));
        let deviation: [f32; LANES] =
            from_fn(|i| larger(larger(variance[i].sqrt(), least[i]), f32::MIN_POSITIVE));
        let off: [f32; LANES] = from_fn(|i| values[i] - mean[i]);
        let z: [f32; LANES] = from_fn(|i| off[i] / deviation[i]);
        let counts: [f32; LANES] = from_fn(|i| within(z[i], DEVIATION_MAX));
        let towards: [f32; LANES] = from_fn(|i| larger(counts[i] * self.high, -counts[i] * self.low));
        let holds: [u32; LANES] = from_fn(|i| latched[i] & mask(towards[i] >= self.release));
        let sets: [u32; LANES] = from_fn(|i| !latched[i] & warm[i] & mask(towards[i] > self.limit));
        let learns: [u32; LANES] = from_fn(|i| known[i] & !holds[i] & !sets[i]);

        let learned: [u32; LANES] = from_fn(|i| choose(latched[i], self.memory, rows[i]));
        // Below 2^7: as a signed number it is converted in one instruction.
        let weight: [f32; LANES] = from_fn(|i| (learned[i] as i32 + 1) as f32);
        let past: [f32; LANES] =
            from_fn(|i| (1.0 - 1.0 / smaller(weight[i], self.memory as i32 as f32)) * left);
        // A past without any deviation has no width to clip at.
        let clips: [u32; LANES] = from_fn(|i| warm[i] & mask(variance[i] > 0.0));
        let reach: [f32; LANES] = from_fn(|i| choose_f32(clips[i], self.clip * deviation[i], f32::INFINITY));
        let moved: [f32; LANES] = from_fn(|i| within(off[i], reach[i]));
        let new_mean: [f32; LANES] = from_fn(|i| mean[i] + (1.0 - past[i]) * moved[i]);
        let new_variance: [f32; LANES] =
            from_fn(|i| past[i] * (variance[i] + (1.0 - past[i]) * moved[i] * moved[i]));

        // Without any row learned the next one starts anew, whatever the moments are.
        let held: [u32; LANES] =
            from_fn(|i| choose(mask(rows[i] >= self.latched_max), 0, LATCHED | (rows[i] + 1)));
        let free: [u32; LANES] = from_fn(|i| choose(mask(learned[i] < ROWS_MAX), learned[i] + 1, ROWS_MAX));
        let judged: [u32; LANES] =
            from_fn(|i| choose(holds[i], held[i], choose(sets[i], LATCHED | 1, free[i])));
        let marks: [u32; LANES] = from_fn(|i| choose(known[i], judged[i], mark[i]));
        // To the nearest of what is left of its digits.
        let rounded: [u32; LANES] = from_fn(|i| new_variance[i].to_bits().wrapping_add(MARK / 2) & !MARK);
        let next: [u32; LANES] = from_fn(|i| choose(learns[i], new_mean[i].to_bits(), was[i]));
        let next_marked: [u32; LANES] =
            from_fn(|i| choose(learns[i], rounded[i], variance[i].to_bits()) | marks[i]);
        (*means, *variances) = (next, next_marked);
        (
            from_fn(|i| choose_f32(known[i] & warm[i], z[i], f32::NAN)),
            from_fn(|i| choose_f32(mask(mark[i] == 0), f32::NAN, mean[i])),
        )
    }
}

/// All bits if it holds, none if not.
#[inline(always)]
fn mask(holds: bool) -> u32 {
    if holds { u32::MAX } else { 0 }
}

#[inline(always)]
fn choose(mask: u32, then: u32, otherwise: u32) -> u32 {
    (mask & then) | (!mask & otherwise)
}

#[inline(always)]
fn choose_f32(mask: u32, then: f32, otherwise: f32) -> f32 {
    f32::from_bits(choose(mask, then.to_bits(), otherwise.to_bits()))
}

/// A number, cut off at a bound on either side.
#[inline(always)]
fn within(number: f32, bound: f32) -> f32 {
    smaller(larger(number, -bound), bound)
}

/// The larger of two numbers, as one instruction: neither is NaN.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}
