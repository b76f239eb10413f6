//! Functions of numbers. Those of doubles are IEEE: `ln(0)` is minus infinity, `sqrt(-1)` is NaN.

use arrow_array::types::{Decimal128Type, Float64Type, Int64Type};
use event::DataType;

use super::{Function, Invocation, Result, function};
use crate::ExpressionError;
use crate::bind::{Bound, arithmetic_bound};
use crate::kernel::arithmetic::Arithmetic;
use crate::kernel::cast::divide_rounded;
use crate::kernel::{binary, predicate, try_unary, unary};

type D = Decimal128Type;
type F = Float64Type;
type I = Int64Type;

pub(super) const TABLE: &[Function] = &[
    function("abs", 1..=1, abs),
    function("round", 1..=2, round),
    function("floor", 1..=1, |call| whole(call, f64::floor, |value, unit| value.div_euclid(unit))),
    function("ceil", 1..=1, |call| whole(call, f64::ceil, ceil_decimal)),
    function("ceiling", 1..=1, |call| whole(call, f64::ceil, ceil_decimal)),
    function("trunc", 1..=2, truncate),
    function("round_even", 2..=2, round_even),
    function("roundbankers", 2..=2, round_even),
    function("sign", 1..=1, sign),
    function("sqrt", 1..=1, |call| of_double(call, f64::sqrt)),
    function("ln", 1..=1, |call| of_double(call, f64::ln)),
    function("log", 1..=2, logarithm),
    function("log10", 1..=1, |call| of_double(call, f64::log10)),
    function("log2", 1..=1, |call| of_double(call, f64::log2)),
    function("exp", 1..=1, |call| of_double(call, f64::exp)),
    function("pow", 2..=2, |call| of_two_doubles(call, f64::powf)),
    function("power", 2..=2, |call| of_two_doubles(call, f64::powf)),
    function("mod", 2..=2, remainder),
    function("isnan", 1..=1, |call| test(call, f64::is_nan)),
    function("isinf", 1..=1, |call| test(call, f64::is_infinite)),
    function("isfinite", 1..=1, |call| test(call, f64::is_finite)),
];

pub(super) fn of_double(
    mut call: Invocation,
    f: impl Fn(f64) -> f64 + Copy + Send + Sync + 'static,
) -> Result<Bound> {
    call.take(0, DataType::Double)?;
    call.total(DataType::Double, unary::<F, F, _>(DataType::Double, f))
}

fn test(mut call: Invocation, f: impl Fn(f64) -> bool + Copy + Send + Sync + 'static) -> Result<Bound> {
    call.take(0, DataType::Double)?;
    call.total(DataType::Boolean, predicate::<F, _>(f))
}

pub(crate) fn of_two_doubles(
    mut call: Invocation,
    f: impl Fn(f64, f64) -> f64 + Copy + Send + Sync + 'static,
) -> Result<Bound> {
    call.take_all(DataType::Double)?;
    call.total(DataType::Double, binary::<F, F, F, _>(DataType::Double, f))
}

/// `log(x)` is to base 10, `log(base, x)` to another.
fn logarithm(call: Invocation) -> Result<Bound> {
    match call.arguments.len() {
        1 => of_double(call, f64::log10),
        _ => of_two_doubles(call, |base, value| value.log10() / base.log10()),
    }
}

fn remainder(mut call: Invocation) -> Result<Bound> {
    call.take_number(0)?;
    call.take_number(1)?;
    let right = call.arguments.remove(1);
    arithmetic_bound(Arithmetic::Remainder, call.arguments.remove(0), right, call.span)
}

fn abs(mut call: Invocation) -> Result<Bound> {
    let data_type = call.take_number(0)?;
    match data_type {
        DataType::Bigint => {
            let kernel = try_unary::<I, I, _>(data_type, |value| {
                value.checked_abs().map(Some).ok_or_else(|| format!("abs({value}) does not fit a bigint"))
            });
            call.partial(data_type, kernel)
        }
        DataType::Decimal { .. } => call.total(data_type, unary::<D, D, _>(data_type, i128::abs)),
        _ => call.total(data_type, unary::<F, F, _>(data_type, f64::abs)),
    }
}

fn sign(mut call: Invocation) -> Result<Bound> {
    let output = DataType::Bigint;
    match call.take_number(0)? {
        DataType::Bigint => call.total(output, unary::<I, I, _>(output, i64::signum)),
        DataType::Decimal { .. } => {
            call.total(output, unary::<D, I, _>(output, |value| value.signum() as i64))
        }
        // Of NaN and of both zeros it is 0.
        _ => call
            .total(output, unary::<F, I, _>(output, |value| i64::from(value > 0.0) - i64::from(value < 0.0))),
    }
}

/// `floor`, `ceil`, `trunc`: of a bigint a double, of a decimal one without digits behind the point.
fn whole(
    mut call: Invocation,
    double: impl Fn(f64) -> f64 + Copy + Send + Sync + 'static,
    decimal: impl Fn(i128, i128) -> i128 + Copy + Send + Sync + 'static,
) -> Result<Bound> {
    match call.take_number(0)? {
        DataType::Decimal { precision, scale } => {
            // One more digit where rounding up may carry.
            let precision = (precision - scale + 1).min(38);
            let (output, unit) = (DataType::Decimal { precision, scale: 0 }, 10i128.pow(u32::from(scale)));
            call.total(output, unary::<D, D, _>(output, move |value| decimal(value, unit)))
        }
        _ => of_double(call, double),
    }
}

fn ceil_decimal(value: i128, unit: i128) -> i128 {
    -((-value).div_euclid(unit))
}

/// The second argument of `round` and its like: a constant whole number, 0 without one.
fn constant_digits(call: &mut Invocation) -> Result<i32> {
    let digits = match call.arguments.get(1) {
        None => 0,
        Some(digits) => match digits.constant_integer() {
            Some(value) => value.clamp(-400, 400) as i32,
            None => {
                let message = format!("the digits of `{}` are a constant whole number", call.name);
                return Err(ExpressionError::new(message, digits.span.clone()));
            }
        },
    };
    call.arguments.truncate(1);
    Ok(digits)
}

/// `trunc(x)`, `trunc(x, digits)`: towards zero.
fn truncate(mut call: Invocation) -> Result<Bound> {
    let digits = constant_digits(&mut call)?;
    let data_type = call.take_number(0)?;
    match data_type {
        DataType::Bigint => {
            let unit = 10i64.checked_pow(digits.min(0).unsigned_abs());
            let cut = move |value: i64| unit.map_or(0, |unit| value / unit * unit);
            call.total(data_type, unary::<I, I, _>(data_type, cut))
        }
        DataType::Decimal { .. } if digits == 0 => whole(call, f64::trunc, |value, unit| value / unit),
        DataType::Decimal { precision, scale } => {
            let kept = digits.clamp(0, i32::from(scale));
            let output = DataType::Decimal { precision: precision - scale + kept as u8, scale: kept as u8 };
            let unit = 10i128.pow((i32::from(scale) - kept) as u32);
            let below = 10i128.checked_pow(digits.min(0).unsigned_abs());
            let cut = move |value: i128| below.map_or(0, |below| value / unit / below * below);
            call.total(output, unary::<D, D, _>(output, cut))
        }
        _ => {
            call.total(data_type, unary::<F, F, _>(data_type, move |value| scaled(value, digits, f64::trunc)))
        }
    }
}

/// `round_even(x, digits)`: a half goes to the even neighbour.
fn round_even(mut call: Invocation) -> Result<Bound> {
    let digits = constant_digits(&mut call)?;
    call.take(0, DataType::Double)?;
    let output = DataType::Double;
    call.total(output, unary::<F, F, _>(output, move |value| scaled(value, digits, f64::round_ties_even)))
}

/// `round(x)`, `round(x, digits)`: half away from zero.
fn round(mut call: Invocation) -> Result<Bound> {
    let digits = constant_digits(&mut call)?;
    let data_type = call.take_number(0)?;
    match data_type {
        DataType::Bigint => round_integer(call, digits),
        DataType::Decimal { precision, scale } => round_decimal(call, (precision, scale), digits),
        _ => {
            call.total(data_type, unary::<F, F, _>(data_type, move |value| scaled(value, digits, f64::round)))
        }
    }
}

/// As DuckDB: scaled, made whole, scaled back; unchanged where that leaves the range.
fn scaled(value: f64, digits: i32, whole: fn(f64) -> f64) -> f64 {
    let unit = 10f64.powi(digits.abs());
    let rounded = if digits < 0 { whole(value / unit) * unit } else { whole(value * unit) / unit };
    if rounded.is_finite() {
        rounded
    } else if digits < 0 && value.is_finite() {
        0.0
    } else {
        value
    }
}

fn round_integer(call: Invocation, digits: i32) -> Result<Bound> {
    let output = DataType::Bigint;
    if digits >= 0 {
        return call.total(output, unary::<I, I, _>(output, |value| value));
    }
    let unit = 10i128.checked_pow(digits.unsigned_abs()).unwrap_or(10i128.pow(38));
    let kernel = try_unary::<I, I, _>(output, move |value| {
        let rounded = divide_rounded(i128::from(value), unit) * unit;
        i64::try_from(rounded)
            .map(Some)
            .map_err(|_| format!("round({value}, {digits}) does not fit a bigint"))
    });
    call.partial(output, kernel)
}

fn round_decimal(call: Invocation, (precision, scale): (u8, u8), digits: i32) -> Result<Bound> {
    if digits >= i32::from(scale) {
        let output = DataType::Decimal { precision, scale };
        return call.total(output, unary::<D, D, _>(output, |value| value));
    }
    let kept = digits.max(0) as u8;
    // One more digit where rounding up may carry.
    let output = DataType::Decimal { precision: (precision - scale + kept + 1).min(38), scale: kept };
    let dropped = 10i128.checked_pow((i32::from(scale) - digits) as u32);
    let restored = 10i128.checked_pow(digits.min(0).unsigned_abs());
    let round = move |value: i128| match (dropped, restored) {
        (Some(dropped), Some(restored)) => divide_rounded(value, dropped) * restored,
        _ => 0,
    };
    call.total(output, unary::<D, D, _>(output, round))
}
