//! Sketches whose parts are things in a bag, so that they can be added up in any order and taken apart again.
//!
//! *Different values*: HyperLogLog. A value's hash chooses a register and has a rank; the bag holds pairs of both, and
//! a register stands at the greatest rank that is left in it.
//!
//! *Percentiles*: DDSketch. The bag holds bins, each 2 % wide, in the order of the values in them: [`event::bin_of`].
//!
//! Sources: Flajolet, Fusy, Gandouet, Meunier (2007), "HyperLogLog: the analysis of a near-optimal cardinality
//! estimation algorithm"; Ertl (2017), "New cardinality estimation algorithms for HyperLogLog sketches" (the improved
//! raw estimator); Masson, Rim, Lee (2019), "DDSketch: a fast and fully-mergeable quantile sketch with
//! relative-error guarantees".

use event::{Fraction, key_hash, value_of_bin};

use super::bag::Bag;

/// There are 2^REGISTER_BITS registers: a standard error of 1.04 / 64.
const REGISTER_BITS: u32 = 12;
const REGISTERS: f64 = (1u32 << REGISTER_BITS) as f64;
/// Bits of a hash behind its register.
const RANK_BITS: usize = 64 - REGISTER_BITS as usize;
/// Bits of a rank in a code.
const RANK_SHIFT: u32 = 8;

/// Register and rank of a value with these bytes: public and the same for ever.
pub(super) fn register(bytes: &[u8]) -> i32 {
    let hash = key_hash(bytes);
    let rest = hash << REGISTER_BITS;
    let rank = (rest.leading_zeros() + 1).min(RANK_BITS as u32 + 1);
    (((hash >> RANK_BITS) << RANK_SHIFT) | u64::from(rank)) as i32
}

/// About how many different values the pairs of registers and ranks come from.
pub(super) fn count_different(pairs: &Bag<i32>) -> i64 {
    let mut registers_at = [0u32; RANK_BITS + 2];
    let mut last: Option<(i32, usize)> = None;
    let mut used = 0;
    for (pair, _) in pairs.iter() {
        let (register, rank) = (pair >> RANK_SHIFT, (pair & ((1 << RANK_SHIFT) - 1)) as usize);
        match &mut last {
            // Ranks ascend within a register.
            Some((same, greatest)) if *same == register => *greatest = rank,
            _ => {
                let before = last.replace((register, rank));
                note(&mut registers_at, before);
                used += 1;
            }
        }
    }
    note(&mut registers_at, last);
    registers_at[0] = (1u32 << REGISTER_BITS).saturating_sub(used);
    estimate(&registers_at).round() as i64
}

fn note(registers_at: &mut [u32], register: Option<(i32, usize)>) {
    if let Some(count) = register.and_then(|(_, rank)| registers_at.get_mut(rank)) {
        *count += 1;
    }
}

/// Ertl's estimate from how many registers stand at each rank; no more than sums, products and roots, which are the
/// same on every machine.
fn estimate(registers_at: &[u32; RANK_BITS + 2]) -> f64 {
    let share = |count: u32| f64::from(count) / REGISTERS;
    if registers_at[0] == 1 << REGISTER_BITS {
        return 0.0;
    }
    let full = REGISTERS * tau(1.0 - share(registers_at[RANK_BITS + 1]));
    let ranks = registers_at[1..=RANK_BITS].iter().rev();
    let sum = ranks.fold(full, |sum, count| 0.5 * (sum + f64::from(*count)));
    let sum = sum + REGISTERS * sigma(share(registers_at[0]));
    REGISTERS * REGISTERS / (2.0 * std::f64::consts::LN_2 * sum)
}

/// `x + sum of x^(2^k) * 2^(k-1)`; `x` below 1.
fn sigma(mut x: f64) -> f64 {
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// `(1 - x - sum of (1 - x^(2^-k))^2 * 2^-k) / 3`.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// The number that this part of the `count` numbers in the bins lies below, give or take 1 %: it stands for that of
/// rank `floor(fraction * (count - 1))`, counted from 0. `None` where there is no number.
pub(super) fn percentile(bins: &Bag<i32>, fraction: Fraction, count: u64) -> Option<f64> {
    let rank = (fraction.value() * count.checked_sub(1)? as f64).floor() as u64;
    let mut below = 0u64;
    for (bin, times) in bins.iter() {
        below = below.saturating_add(times);
        if below > rank {
            return Some(value_of_bin(bin));
        }
    }
    // The product may have been rounded up beyond the last of more than 2^53 numbers.
    bins.iter().last().map(|(bin, _)| value_of_bin(bin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_number_of_different_values_is_right_within_four_standard_errors() {
        let mut pairs = Bag::new();
        let mut next = 0u64;
        for count in [0u64, 1, 2, 10, 100, 1000, 4096, 10_000, 20_000, 100_000, 400_000] {
            while next < count {
                // Twice, which is no other value.
                (0..2).for_each(|_| pairs.add(register(&next.to_le_bytes())));
                next += 1;
            }
            let error = (count_different(&pairs) as f64 - count as f64).abs();
            assert!(error <= (4.0 * 1.04 / 64.0 * count as f64).floor(), "{count}: off by {error}");
        }
    }

    #[test]
    fn the_hash_behind_a_register_is_the_published_one() {
        // XXH3-64 of no bytes is 2d06800538d394c2: register 2d0, then 0110.
        assert_eq!(register(b""), 0x2d0 << 8 | 2);
    }

    fn percentile_of(values: &[f64], fraction: f64) -> Option<f64> {
        let mut bins = Bag::new();
        values.iter().for_each(|value| bins.add(event::bin_of(*value)));
        percentile(&bins, Fraction::new(fraction).expect("a fraction"), values.len() as u64)
    }

    #[test]
    fn what_is_not_finite_or_not_positive_has_its_place_in_the_order() {
        let values = [f64::NAN, f64::INFINITY, 1.0, 5e-324, -0.0, -1.0, f64::NEG_INFINITY];
        let at = |rank: f64| percentile_of(&values, rank / 6.0).expect("there are values");
        assert_eq!([at(0.0), at(2.0), at(3.0), at(5.0)], [f64::NEG_INFINITY, 0.0, 0.0, f64::INFINITY]);
        assert!(at(6.0).is_nan());
        assert_eq!(at(1.0), -at(4.0));
        assert_eq!(percentile_of(&[], 0.5), None);
        assert!(percentile_of(&[f64::MAX], 0.5).is_some_and(f64::is_finite));
    }

    proptest! {
        #[test]
        fn a_percentile_is_within_one_percent_of_a_value_of_that_rank(
            mut values in prop::collection::vec(prop::num::f64::NORMAL | prop::num::f64::ZERO, 1..60),
            fraction in 0.0..=1.0f64
        ) {
            let found = percentile_of(&values, fraction).expect("there are values");
            values.sort_by(f64::total_cmp);
            let exact = values[(fraction * (values.len() - 1) as f64).floor() as usize];
            prop_assert!((found - exact).abs() <= 0.01 * exact.abs(), "{} for {}", found, exact);
        }
    }
}
