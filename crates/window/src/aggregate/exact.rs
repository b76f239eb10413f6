//! Sums without rounding: fixed-point numbers, and an accumulator wide enough for any double.
//!
//! Exact sums do not depend on the order of their terms and can be taken apart again, which is what lets
//! windows share slices. Idea: Kulisch's long accumulator; the limbs with delayed carries are Neal's
//! (2015), "Fast exact summation using small and large superaccumulators".

use serde::{Deserialize, Serialize};

/// Bits of a limb that carry weight; the rest of its `i64` delays carries.
const LIMB_BITS: i32 = 32;
/// The lowest bit of the accumulator stands for 2^LOWEST.
const LOWEST: i32 = -1088;
/// The least double is 2^LEAST.
const LEAST: i32 = -1074;
/// Limbs: from 2^-1088 to 2^1152, so that 2^100 of the largest doubles fit.
const LIMBS: usize = 70;
/// Whole numbers up to this are doubles.
const WHOLE_MAX: u64 = 1 << 53;
/// Additions that a limb takes before carries must be passed on.
const ADDITIONS_MAX: u32 = 1 << 29;

/// A double that is `mantissa * 2^exponent`, taken apart; `None` for infinities and NaN.
#[inline]
pub(crate) fn parts(value: f64) -> Option<(i64, i32)> {
    let bits = value.to_bits();
    let exponent = ((bits >> 52) & 0x7FF) as i32;
    let fraction = (bits & ((1 << 52) - 1)) as i64;
    let (mantissa, exponent) = match exponent {
        0x7FF => return None,
        0 => (fraction, -1074),
        _ => (fraction | (1 << 52), exponent - 1075),
    };
    Some((if value.is_sign_negative() { -mantissa } else { mantissa }, exponent))
}

/// `value * 2^scale` as an integer of at most 96 bits, if it is one.
#[inline]
pub(crate) fn fixed(value: f64, scale: i32) -> Option<i128> {
    let (mantissa, exponent) = parts(value)?;
    let shift = exponent + scale;
    if mantissa == 0 {
        return Some(0);
    }
    if shift >= 0 {
        // A mantissa has 53 bits.
        (shift <= 43).then(|| i128::from(mantissa) << shift)
    } else {
        (-shift <= 52 && mantissa.trailing_zeros() as i32 >= -shift).then(|| i128::from(mantissa >> -shift))
    }
}

/// `value * 2^-scale`, correctly rounded. `scale` is at most 160.
pub(crate) fn unfixed(value: i128, scale: i32) -> f64 {
    value as f64 * 2f64.powi(-scale)
}

/// `number * 2^-scale / divisor`, correctly rounded. `divisor` is not 0, `scale` at most 160.
pub(crate) fn quotient(number: i128, divisor: u64, scale: i32) -> f64 {
    let magnitude = number.unsigned_abs();
    // Where both are doubles the processor rounds once, and a power of two does not round.
    if magnitude == 0 || (magnitude <= u128::from(WHOLE_MAX) && divisor <= WHOLE_MAX) {
        return number as i64 as f64 / divisor as f64 * 2f64.powi(-scale);
    }
    // As far up as it goes, so that the quotient has 64 bits at least: a one in its last says that there is
    // more behind it.
    let shift = magnitude.leading_zeros();
    let (dividend, divisor) = (magnitude << shift, u128::from(divisor));
    let digits = (dividend / divisor) | u128::from(dividend % divisor != 0);
    let quotient = digits as f64 * 2f64.powi(-scale - shift as i32);
    if number < 0 { -quotient } else { quotient }
}

/// The exact sum of any doubles and integers, with terms that can be taken away again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exact {
    limbs: Vec<i64>,
    additions: u32,
    infinities: i64,
    negative_infinities: i64,
    nans: i64,
}

impl Exact {
    pub(crate) fn new() -> Self {
        Exact { limbs: vec![0; LIMBS], additions: 0, infinities: 0, negative_infinities: 0, nans: 0 }
    }

    pub(crate) fn add(&mut self, value: f64) {
        match parts(value) {
            Some((mantissa, exponent)) => self.add_scaled(i128::from(mantissa), exponent),
            None if value.is_nan() => self.nans += 1,
            None if value > 0.0 => self.infinities += 1,
            None => self.negative_infinities += 1,
        }
    }

    /// Adds `value * 2^exponent`; the exponent is at least that of the least double.
    pub(crate) fn add_scaled(&mut self, value: i128, exponent: i32) {
        let place = (exponent - LOWEST).max(0);
        let (limb, shift) = ((place / LIMB_BITS) as usize, place % LIMB_BITS);
        let mut rest = value.unsigned_abs();
        let sign = if value < 0 { -1 } else { 1 };
        // The lowest piece is shifted into its limb; the others then lie on limb edges.
        let low = (rest as u64 & (u64::from(u32::MAX) >> shift)) << shift;
        self.limbs[limb] += sign * low as i64;
        rest >>= LIMB_BITS - shift;
        let mut limb = limb + 1;
        while rest != 0 {
            self.limbs[limb] += sign * i64::from(rest as u32);
            rest >>= LIMB_BITS;
            limb += 1;
        }
        self.note_addition(1);
    }

    /// Adds (`sign` 1) or takes away (-1) another sum.
    pub(crate) fn merge(&mut self, other: &Exact, sign: i64) {
        let mut other = other.clone();
        other.carry();
        for (mine, theirs) in self.limbs.iter_mut().zip(&other.limbs) {
            *mine += sign * theirs;
        }
        self.infinities += sign * other.infinities;
        self.negative_infinities += sign * other.negative_infinities;
        self.nans += sign * other.nans;
        self.note_addition(1);
    }

    fn note_addition(&mut self, additions: u32) {
        self.additions += additions;
        if self.additions >= ADDITIONS_MAX {
            self.carry();
        }
    }

    /// Passes carries on: all limbs but the last end in `[0, 2^32)`, the last has the sign.
    fn carry(&mut self) {
        let mut carry = 0i64;
        let (last, others) = self.limbs.split_last_mut().expect("has limbs");
        for limb in others {
            let sum = *limb + carry;
            *limb = sum & i64::from(u32::MAX);
            carry = sum >> LIMB_BITS;
        }
        *last += carry;
        self.additions = 0;
    }

    /// Whether nothing is in it.
    pub(crate) fn is_zero(&mut self) -> bool {
        self.carry();
        self.limbs.iter().all(|limb| *limb == 0)
            && (self.infinities, self.negative_infinities, self.nans) == (0, 0, 0)
    }

    /// The double nearest to the sum, ties to even. NaN if a NaN or both infinities are in it.
    pub(crate) fn round(&self) -> f64 {
        self.quotient(&[], 0)
    }

    /// The double nearest to the sum times 2^-scale over all `divisors`, ties to even. What is not finite in
    /// it counts as for [`Exact::round`].
    pub(crate) fn quotient(&self, divisors: &[u64], scale: i32) -> f64 {
        if let Some(special) = self.special() {
            return special;
        }
        let mut sum = self.clone();
        sum.carry();
        let negative = sum.limbs.last().is_some_and(|last| *last < 0);
        if negative {
            sum.limbs.iter_mut().for_each(|limb| *limb = -*limb);
            sum.carry();
        }
        let has_rest = divisors.iter().fold(false, |has_rest, divisor| sum.divide(*divisor) | has_rest);
        let magnitude = sum.round_magnitude(has_rest, scale);
        if negative { -magnitude } else { magnitude }
    }

    /// What the sum is if not all of its terms are finite.
    fn special(&self) -> Option<f64> {
        match (self.infinities > 0, self.negative_infinities > 0) {
            _ if self.nans > 0 => Some(f64::NAN),
            (true, true) => Some(f64::NAN),
            (true, false) => Some(f64::INFINITY),
            (false, true) => Some(f64::NEG_INFINITY),
            (false, false) => None,
        }
    }

    /// Divides a sum that is not negative and whose carries are passed on, rounding down to the lowest bit,
    /// which is far below the least double. Returns whether there is a rest.
    fn divide(&mut self, divisor: u64) -> bool {
        let divisor = u128::from(divisor);
        let mut rest = 0u128;
        for limb in self.limbs.iter_mut().rev() {
            let part = rest << LIMB_BITS | *limb as u128;
            *limb = (part / divisor) as i64;
            rest = part % divisor;
        }
        rest != 0
    }

    /// The sum as a whole number; `None` where it is not one of 128 bits.
    pub(crate) fn whole(&self) -> Option<i128> {
        let mut sum = self.clone();
        sum.carry();
        let ones = (-LOWEST / LIMB_BITS) as usize;
        let fits = sum.limbs[..ones].iter().all(|limb| *limb == 0);
        // From the top: beyond 128 bits the number leaves the checked range at once.
        let value = sum.limbs[ones..]
            .iter()
            .rev()
            .try_fold(0i128, |value, limb| value.checked_mul(1 << LIMB_BITS)?.checked_add(i128::from(*limb)));
        value.filter(|_| fits)
    }

    /// The double nearest to the limbs times 2^-scale. `has_rest`: there is more below the lowest limb.
    fn round_magnitude(&self, has_rest: bool, scale: i32) -> f64 {
        let Some(top) = self.limbs.iter().rposition(|limb| *limb != 0) else {
            return 0.0;
        };
        let bottom = top.saturating_sub(2);
        let mut digits =
            self.limbs[bottom..=top].iter().rev().fold(0u128, |d, limb| d << LIMB_BITS | *limb as u128);
        // A one far below the point of rounding says that there is more.
        if has_rest || self.limbs[..bottom].iter().any(|limb| *limb != 0) {
            digits |= 1;
        }
        let exponent = LOWEST + bottom as i32 * LIMB_BITS - scale;
        if exponent + (128 - digits.leading_zeros() as i32) < f64::MIN_EXP {
            return round_below_normal(digits, LEAST - exponent);
        }
        // Two exact steps: one alone may leave the range of doubles.
        let half = exponent / 2;
        digits as f64 * 2f64.powi(half) * 2f64.powi(exponent - half)
    }
}

/// `digits * 2^-shift` of the least double, rounded to a multiple of it, ties to even. Such a number has fewer
/// bits than other doubles, and is what its bits count.
fn round_below_normal(digits: u128, shift: i32) -> f64 {
    let kept = digits.checked_shr(shift as u32).unwrap_or(0);
    let rest = digits - kept.checked_shl(shift as u32).unwrap_or(0);
    let half = 1u128.checked_shl(shift as u32 - 1).unwrap_or(u128::MAX);
    let up = rest > half || (rest == half && kept & 1 == 1);
    f64::from_bits(kept as u64 + u64::from(up))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(values: &[f64]) -> f64 {
        let mut exact = Exact::new();
        values.iter().for_each(|v| exact.add(*v));
        exact.round()
    }

    #[test]
    fn a_quotient_is_rounded_once() {
        let exact = |values: &[f64], divisors: &[u64]| {
            let mut exact = Exact::new();
            values.iter().for_each(|v| exact.add(*v));
            exact.quotient(divisors, 0)
        };
        assert_eq!(exact(&[f64::MAX, f64::MAX], &[2]), f64::MAX);
        // 2^53 + 1 over 3 is whole; rounded before the division it would be a third less.
        assert_eq!(quotient((1 << 53) + 1, 3, 0), 3_002_399_751_580_331.0);
        // Below the normal range: three halves of the least double are two of it, a half and a third are none.
        assert_eq!(exact(&[1.5e-323], &[2]), 1e-323);
        assert_eq!(exact(&[5e-324], &[2]), 0.0);
        assert_eq!(exact(&[5e-324], &[3]), 0.0);
        assert_eq!(exact(&[1e-323], &[3]), 5e-324);
        assert_eq!(exact(&[f64::MIN_POSITIVE, -5e-324], &[1]), f64::MIN_POSITIVE - 5e-324);
        assert_eq!(exact(&[f64::INFINITY, 1.0], &[2]), f64::INFINITY);
        assert_eq!(exact(&[-1.0], &[10, 10]), -0.01);
    }

    #[test]
    fn a_sum_is_the_nearest_double_to_the_true_sum() {
        assert_eq!(sum(&[0.1; 10]), 1.0);
        assert_eq!(sum(&[1e308, 1e308, -1e308, -1e308, 1e-300]), 1e-300);
        assert_eq!(sum(&[1.0, 2f64.powi(-53)]), 1.0);
        assert_eq!(sum(&[1.0, 2f64.powi(-53), 5e-324]), 1.0 + f64::EPSILON);
        assert_eq!(sum(&[5e-324, 5e-324]), 1e-323);
        assert_eq!(sum(&[f64::MAX, f64::MAX]), f64::INFINITY);
        assert_eq!(sum(&[-0.0]), 0.0);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    }

    proptest! {
        #[test]
        fn integers_add_as_integers(values in prop::collection::vec(-(1i64 << 53)..(1 << 53), 0..50)) {
            let exact = sum(&values.iter().map(|v| *v as f64).collect::<Vec<_>>());
            let expected: i128 = values.iter().map(|v| i128::from(*v)).sum();
            prop_assert_eq!(exact, expected as f64);
        }

        #[test]
        fn both_ways_to_divide_agree(
            number in any::<i128>(), down in 0u32..127, divisor in 1u64.., lost in 0u32..64, scale in 0i32..134
        ) {
            let (number, divisor) = (number >> down, (divisor >> lost).max(1));
            let mut exact = Exact::new();
            exact.add_scaled(number, -scale);
            prop_assert_eq!(exact.quotient(&[divisor], 0), quotient(number, divisor, scale));
        }

        #[test]
        fn what_is_taken_away_leaves_no_trace(values in prop::collection::vec(any::<f64>(), 1..20)) {
            let (mut all, mut some) = (Exact::new(), Exact::new());
            values.iter().for_each(|v| all.add(*v));
            values.iter().for_each(|v| some.add(*v));
            all.merge(&some, -1);
            prop_assert!(all.is_zero());
        }

        #[test]
        fn a_fixed_number_reads_back(value in any::<f64>(), scale in 0i32..134) {
            if let Some(number) = fixed(value, scale) {
                prop_assert_eq!(unfixed(number, scale), value);
            }
        }
    }
}
