//! The bins of a DDSketch: which of them a number is in, and what number stands for it.
//!
//! Bins are 2 % wide and in the order of the numbers in them, so counts of bins can be added up in any order and taken
//! apart again. The logarithm is computed here, not by a machine's own library: a number is in the same bin everywhere.
//!
//! Source: Masson, Rim, Lee (2019), "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees".

/// How much wider a bin is than the one before it: its middle is within 0.02 / 2.02 of all that is in it.
const GROWTH: f64 = 1.02;
/// Its natural logarithm.
const LN_GROWTH: f64 = 0.01980262729617973;
/// Added to the number of a bin, so that those of small numbers stay above 0, which is for zero.
const FIRST_BIN: i32 = 1 << 16;
/// Behind all bins of finite numbers.
const INFINITE: i32 = i32::MAX - 1;
/// Behind all else.
const NAN: i32 = i32::MAX;

/// The bin of a number: bins are in the order of the numbers in them, NaN behind infinity.
pub fn bin_of(value: f64) -> i32 {
    let size = value.abs();
    let bin = if value.is_nan() {
        return NAN;
    } else if size < f64::MIN_POSITIVE {
        // Numbers of fewer bits than others are not told from zero.
        return 0;
    } else if size == f64::INFINITY {
        INFINITE
    } else {
        // Within 36,000 on either side.
        (libm::log(size) / LN_GROWTH).ceil() as i32 + FIRST_BIN
    };
    if value < 0.0 { -bin } else { bin }
}

/// A number that stands for all in a bin, within 1 % of each of them.
pub fn value_of_bin(bin: i32) -> f64 {
    let size = match bin.saturating_abs() {
        NAN => return f64::NAN,
        0 => return 0.0,
        INFINITE => f64::INFINITY,
        number => {
            let lower = libm::pow(GROWTH, f64::from(number.saturating_sub(FIRST_BIN + 1)));
            (lower * (2.0 * GROWTH / (1.0 + GROWTH))).clamp(f64::MIN_POSITIVE, f64::MAX)
        }
    };
    if bin < 0 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_in_the_order_of_numbers_and_stand_for_them_within_one_percent() {
        let numbers =
            [f64::NEG_INFINITY, -7e200, -1.0, -1e-200, 0.0, 1e-300, 0.3, 1.0, 1.03, 5e300, f64::INFINITY];
        let bins: Vec<i32> = numbers.iter().map(|number| bin_of(*number)).collect();
        assert!(bins.is_sorted_by(|a, b| a < b), "{bins:?}");
        for (number, bin) in numbers.iter().zip(&bins).filter(|(number, _)| number.is_finite()) {
            assert!((value_of_bin(*bin) - number).abs() <= 0.01 * number.abs(), "{number}");
        }
        assert_eq!((bin_of(-0.0), bin_of(f64::NAN)), (0, NAN));
        assert!(value_of_bin(NAN).is_nan());
        assert_eq!([INFINITE, -INFINITE].map(value_of_bin), [f64::INFINITY, f64::NEG_INFINITY]);
    }
}
