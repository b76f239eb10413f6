//! Exact arithmetic on doubles: every finite double is a whole multiple of 2^-1074, so sums, means and
//! variances are fractions of big integers, rounded once, to nearest, ties to even.

use num_bigint::{BigInt, BigUint, Sign};

/// Power of two that makes every finite double whole.
const SCALE: u64 = 1074;

/// The finite `value` times 2^1074.
fn scaled(value: f64) -> BigInt {
    let bits = value.to_bits();
    let exponent = (bits >> 52) & 0x7FF;
    let fraction = bits & ((1 << 52) - 1);
    // The value is mantissa x 2^(shift - 1074).
    let (mantissa, shift) = if exponent == 0 { (fraction, 0) } else { (fraction | 1 << 52, exponent - 1) };
    let whole = BigInt::from(mantissa) << shift;
    if value.is_sign_negative() { -whole } else { whole }
}

/// The exactly accumulated, correctly rounded sum; as IEEE 754 has it where values are not finite.
pub fn sum(values: &[f64]) -> f64 {
    match not_finite(values) {
        Some(special) => special,
        None => divide(&values.iter().map(|v| scaled(*v)).sum(), &(BigInt::from(1) << SCALE)),
    }
}

/// The exact sum over the count, correctly rounded; NaN without values.
pub fn mean(values: &[f64]) -> f64 {
    match not_finite(values) {
        Some(special) => special,
        None if values.is_empty() => f64::NAN,
        None => divide(&values.iter().map(|v| scaled(*v)).sum(), &(BigInt::from(values.len()) << SCALE)),
    }
}

/// The mean of numbers that are whole multiples of 10^-digits, correctly rounded.
pub fn mean_of_digits(values: &[i128], digits: u32) -> f64 {
    let sum: BigInt = values.iter().map(|value| BigInt::from(*value)).sum();
    divide(&sum, &(BigInt::from(values.len()) * BigInt::from(10).pow(digits)))
}

/// The sample variance, correctly rounded; NaN with fewer than two values.
pub fn variance(values: &[f64]) -> f64 {
    if values.len() < 2 || values.iter().any(|v| !v.is_finite()) {
        return f64::NAN;
    }
    let count = BigInt::from(values.len());
    let sum: BigInt = values.iter().map(|v| scaled(*v)).sum();
    let squares: BigInt = values.iter().map(|v| scaled(*v) * scaled(*v)).sum();
    let numerator = &count * squares - &sum * &sum;
    divide(&numerator, &((&count * (&count - 1)) << (2 * SCALE)))
}

fn not_finite(values: &[f64]) -> Option<f64> {
    values.iter().any(|v| !v.is_finite()).then(|| values.iter().filter(|v| !v.is_finite()).sum())
}

/// The double nearest to a fraction with a positive denominator.
fn divide(numerator: &BigInt, denominator: &BigInt) -> f64 {
    let (sign, magnitude) = (numerator.sign(), numerator.magnitude());
    if sign == Sign::NoSign {
        return 0.0;
    }
    let value = divide_positive(magnitude, denominator.magnitude());
    if sign == Sign::Minus { -value } else { value }
}

fn divide_positive(numerator: &BigUint, denominator: &BigUint) -> f64 {
    // A quotient of 60 or 61 bits, of which the last one also stands for everything behind it.
    let shift = 60 - (numerator.bits() as i64 - denominator.bits() as i64);
    let (n, d) = if shift >= 0 {
        (numerator << shift as u64, denominator.clone())
    } else {
        (numerator.clone(), denominator << (-shift) as u64)
    };
    let mut quotient = u64::try_from(&n / &d).expect("at most 61 bits");
    if &n % &d != BigUint::ZERO {
        quotient |= 1;
    }
    let exponent = -shift;
    let drop = (64 - i64::from(quotient.leading_zeros()) - 53).max(-1074 - exponent);
    if drop >= 64 {
        return 0.0;
    }
    let rest = quotient & ((1 << drop) - 1);
    let half = 1 << (drop - 1);
    let mut kept = quotient >> drop;
    if rest > half || (rest == half && kept & 1 == 1) {
        kept += 1;
    }
    kept as f64 * power_of_two(exponent + drop)
}

fn power_of_two(exponent: i64) -> f64 {
    match exponent {
        1024.. => f64::INFINITY,
        -1022..1024 => f64::from_bits(((exponent + 1023) as u64) << 52),
        _ => f64::from_bits(1 << (exponent + 1074)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, seed};

    #[test]
    fn a_sum_loses_nothing_to_cancellation() {
        assert_eq!(sum(&[1e308, 1.0, -1e308]), 1.0);
        assert_eq!(sum(&[0.1; 10]), 1.0);
        assert_eq!(sum(&[1e16, 1.0, 1.0]), 10_000_000_000_000_002.0);
        assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]), f64::MAX);
        assert_eq!(sum(&[f64::MAX, f64::MAX]), f64::INFINITY);
        assert_eq!(sum(&[5e-324, 5e-324]), 1e-323);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert_eq!(sum(&[]), 0.0);
    }

    #[test]
    fn ties_go_to_even() {
        let ulp = 2f64.powi(-52);
        assert_eq!(sum(&[1.0, ulp / 2.0]), 1.0);
        assert_eq!(sum(&[1.0 + ulp, ulp / 2.0]), 1.0 + 2.0 * ulp);
        assert_eq!(sum(&[1.0, ulp / 2.0, 5e-324]), 1.0 + ulp);
    }

    #[test]
    fn a_sum_of_two_and_a_quotient_by_a_count_are_those_of_the_processor() {
        let mut random = Random::new(seed(11));
        for _ in 0..20_000 {
            let mut draw = || loop {
                let value = f64::from_bits(random.bits());
                if value.is_finite() {
                    return value;
                }
            };
            let (a, b) = (draw(), draw());
            assert_eq!(sum(&[a, b]), a + b, "{a:e} {b:e}");
            assert_eq!(mean(&[a, a, a]), a, "{a:e}");
            assert_eq!(mean(&[a, 0.0]), a / 2.0, "{a:e}");
        }
    }

    #[test]
    fn a_mean_of_digits_is_rounded_once() {
        assert_eq!(mean_of_digits(&[1, 2], 1), 0.15);
        assert_eq!(mean_of_digits(&[(1 << 53) + 1, 0, 0], 0), 3_002_399_751_580_331.0);
        assert_eq!(mean_of_digits(&[i128::from(i64::MAX); 3], 0), 9_223_372_036_854_775_807.0);
    }

    #[test]
    fn the_variance_of_large_neighbours_is_exact() {
        assert_eq!(variance(&[1e15 + 1.0, 1e15 + 2.0, 1e15 + 3.0]), 1.0);
        assert_eq!(variance(&[0.5, 0.5, 0.5]), 0.0);
        assert!(variance(&[1.0]).is_nan());
    }
}
