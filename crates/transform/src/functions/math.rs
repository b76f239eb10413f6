//! Functions of mathematics over doubles, and of whole numbers among themselves.
//!
//! Those of doubles are IEEE: outside of its domain a function is NaN, never a failure.

use std::sync::Arc;

use arrow_array::Float64Array;
use arrow_array::types::{Float64Type, Int64Type};
use event::DataType;

use super::number::{of_double, of_two_doubles};
use super::{Function, Invocation, Result, function};
use crate::bind::Bound;
use crate::kernel::{predicate, try_binary, try_unary};

type F = Float64Type;
type I = Int64Type;

pub(super) const TABLE: &[Function] = &[
    function("sin", 1..=1, |call| of_double(call, f64::sin)),
    function("cos", 1..=1, |call| of_double(call, f64::cos)),
    function("tan", 1..=1, |call| of_double(call, f64::tan)),
    function("cot", 1..=1, |call| of_double(call, |value| 1.0 / value.tan())),
    function("asin", 1..=1, |call| of_double(call, f64::asin)),
    function("acos", 1..=1, |call| of_double(call, f64::acos)),
    function("atan", 1..=1, |call| of_double(call, f64::atan)),
    function("atan2", 2..=2, |call| of_two_doubles(call, f64::atan2)),
    function("sinh", 1..=1, |call| of_double(call, f64::sinh)),
    function("cosh", 1..=1, |call| of_double(call, f64::cosh)),
    function("tanh", 1..=1, |call| of_double(call, f64::tanh)),
    function("asinh", 1..=1, |call| of_double(call, libm::asinh)),
    function("acosh", 1..=1, |call| of_double(call, libm::acosh)),
    function("atanh", 1..=1, |call| of_double(call, libm::atanh)),
    function("cbrt", 1..=1, |call| of_double(call, libm::cbrt)),
    function("degrees", 1..=1, |call| of_double(call, |value| value * (180.0 / std::f64::consts::PI))),
    function("radians", 1..=1, |call| of_double(call, |value| value * (std::f64::consts::PI / 180.0))),
    function("even", 1..=1, |call| of_double(call, even)),
    function("signbit", 1..=1, signbit),
    function("nextafter", 2..=2, |call| of_two_doubles(call, next_after)),
    function("fmod", 2..=2, |call| of_two_doubles(call, floored_remainder)),
    function("pi", 0..=0, pi),
    function("gcd", 2..=2, |call| of_two_integers(call, "gcd", gcd)),
    function("greatest_common_divisor", 2..=2, |call| of_two_integers(call, "gcd", gcd)),
    function("lcm", 2..=2, |call| of_two_integers(call, "lcm", lcm)),
    function("least_common_multiple", 2..=2, |call| of_two_integers(call, "lcm", lcm)),
    function("factorial", 1..=1, factorial),
];

fn pi(call: Invocation) -> Result<Bound> {
    let one = Arc::new(Float64Array::from(vec![std::f64::consts::PI]));
    Ok(Bound::constant(one, DataType::Double, call.span))
}

/// The next even number away from zero.
fn even(value: f64) -> f64 {
    let away = if value >= 0.0 { value.ceil() } else { -(-value).ceil() };
    if away.rem_euclid(2.0) == 1.0 { away + if value >= 0.0 { 1.0 } else { -1.0 } } else { away }
}

fn signbit(mut call: Invocation) -> Result<Bound> {
    call.take(0, DataType::Double)?;
    call.total(DataType::Boolean, predicate::<F, _>(f64::is_sign_negative))
}

/// The remainder with the sign of the divisor, and no negative zero.
fn floored_remainder(a: f64, b: f64) -> f64 {
    let remainder = a % b;
    if remainder != 0.0 && (remainder < 0.0) != (b < 0.0) { remainder + b } else { remainder + 0.0 }
}

fn next_after(from: f64, to: f64) -> f64 {
    if from.is_nan() || to.is_nan() {
        f64::NAN
    } else if from == to {
        to
    } else if from < to {
        from.next_up()
    } else {
        from.next_down()
    }
}

/// A function of two whole numbers whose result may be too large.
fn of_two_integers(mut call: Invocation, name: &'static str, f: fn(u128, u128) -> u128) -> Result<Bound> {
    call.take_all(DataType::Bigint)?;
    let kernel = try_binary::<I, I, I, _>(DataType::Bigint, move |a, b| {
        let value = f(u128::from(a.unsigned_abs()), u128::from(b.unsigned_abs()));
        i64::try_from(value).map(Some).map_err(|_| format!("{name}({a}, {b}) does not fit a bigint"))
    });
    call.partial(DataType::Bigint, kernel)
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn lcm(a: u128, b: u128) -> u128 {
    if a == 0 || b == 0 { 0 } else { a / gcd(a, b) * b }
}

fn factorial(mut call: Invocation) -> Result<Bound> {
    call.take_all(DataType::Bigint)?;
    let kernel = try_unary::<I, I, _>(DataType::Bigint, |value| {
        if value < 0 {
            return Err(format!("factorial({value}): a negative number has none"));
        }
        let product = (2..=value).take(21).try_fold(1i64, |product, factor| product.checked_mul(factor));
        product.map(Some).ok_or_else(|| format!("factorial({value}) does not fit a bigint"))
    });
    call.partial(DataType::Bigint, kernel)
}
