//! Casts between any two types for which DuckDB has one; instants are read and written in UTC.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, new_null_array};
use event::DataType;

use crate::calendar::DAY_US;
use crate::kernel::number_text::{
    parse_boolean, parse_decimal, parse_double, parse_integer, write_decimal, write_double,
};
use crate::kernel::text::{Texts, collect_masks, collect_texts, number_to_text};
use crate::kernel::time_text::{parse_date, parse_instant, write_date, write_instant};
use crate::kernel::{collect_numbers, kernel, predicate, try_unary, unary};
use crate::node::Kernel;
use crate::value::{Failures, Value};

type Micros = TimestampMicrosecondType;

/// The cast from one type to another, and whether it can fail; `None` if there is no such cast.
pub(crate) fn cast(from: DataType, to: DataType) -> Option<(Kernel, bool)> {
    let kernel = match from {
        DataType::Varchar => from_text(to),
        DataType::Bigint => from_integer(to)?,
        DataType::Double => from_double(to)?,
        DataType::Boolean => from_boolean(to)?,
        DataType::Decimal { scale, .. } => from_decimal(scale, to)?,
        DataType::Date | DataType::Timestamp | DataType::TimestampTz => from_time(from, to)?,
    };
    Some((kernel, fails(from, to)))
}

fn fails(from: DataType, to: DataType) -> bool {
    match (from, to) {
        (DataType::Varchar, to) => to != DataType::Varchar,
        (DataType::Double, DataType::Bigint) => true,
        (DataType::Decimal { precision, scale }, DataType::Bigint) => precision - scale > 18,
        (DataType::Bigint, DataType::Decimal { precision, scale }) => precision - scale < 19,
        (DataType::Decimal { precision: p, scale: s }, DataType::Decimal { precision, scale }) => {
            // Rounding may carry into one more digit.
            precision - scale < p - s + u8::from(s > scale)
        }
        (_, DataType::Decimal { .. }) => true,
        (DataType::Date, DataType::Timestamp | DataType::TimestampTz) => true,
        _ => false,
    }
}

/// The same cast with NULL where it would fail.
pub(crate) fn try_cast(kernel: Kernel) -> Kernel {
    Arc::new(move |arguments, rows, _| kernel(arguments, rows, &mut Failures::default()))
}

fn quoted(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("'{}..'", &text[..end]),
        None => format!("'{text}'"),
    }
}

fn from_text(to: DataType) -> Kernel {
    let refused = move |text: &str| format!("{} is not a {to}", quoted(text));
    macro_rules! parsed {
        ($type:ty, $parse:expr) => {
            kernel(move |arguments, rows, failures| {
                let texts = Texts::of(&arguments[0]);
                collect_numbers::<$type>(to, rows, failures, |row| match texts.get(row) {
                    None => Ok(None),
                    Some(text) => $parse(text).map(Some).ok_or_else(|| refused(text)),
                })
            })
        };
    }
    match to {
        DataType::Varchar => Arc::new(|arguments, rows, _| arguments[0].clone().into_column(rows)),
        DataType::Bigint => parsed!(Int64Type, parse_integer),
        DataType::Double => parsed!(Float64Type, parse_double),
        DataType::Decimal { precision, scale } => {
            let bound = 10i128.pow(u32::from(precision));
            let parse = move |text: &str| parse_decimal(text, scale).filter(|value| value.abs() < bound);
            parsed!(Decimal128Type, parse)
        }
        DataType::Date => {
            parsed!(Date32Type, |text| parse_date(text).and_then(|days| i32::try_from(days).ok()))
        }
        DataType::Timestamp => parsed!(Micros, |text| parse_instant(text, false)),
        DataType::TimestampTz => parsed!(Micros, |text| parse_instant(text, true)),
        DataType::Boolean => kernel(move |arguments, rows, failures| {
            let texts = Texts::of(&arguments[0]);
            collect_masks(rows, failures, |row| match texts.get(row) {
                None => Ok(None),
                Some(text) => parse_boolean(text).map(Some).ok_or_else(|| refused(text)),
            })
        }),
    }
}

fn from_integer(to: DataType) -> Option<Kernel> {
    Some(match to {
        DataType::Varchar => number_to_text::<Int64Type>(|value, out| out.push_str(&value.to_string())),
        DataType::Bigint => unary::<Int64Type, Int64Type, _>(to, |value| value),
        DataType::Double => unary::<Int64Type, Float64Type, _>(to, |value| value as f64),
        DataType::Boolean => predicate::<Int64Type, _>(|value| value != 0),
        DataType::Decimal { precision, scale } => {
            let (unit, bound) = (10i128.pow(u32::from(scale)), 10i128.pow(u32::from(precision)));
            try_unary::<Int64Type, Decimal128Type, _>(to, move |value| {
                let scaled = i128::from(value).checked_mul(unit).filter(|scaled| scaled.abs() < bound);
                scaled.map(Some).ok_or_else(|| format!("{value} does not fit a {to}"))
            })
        }
        _ => return None,
    })
}

fn from_double(to: DataType) -> Option<Kernel> {
    Some(match to {
        DataType::Varchar => number_to_text::<Float64Type>(write_double),
        DataType::Double => unary::<Float64Type, Float64Type, _>(to, |value| value),
        DataType::Boolean => predicate::<Float64Type, _>(|value| value != 0.0),
        DataType::Bigint => try_unary::<Float64Type, Int64Type, _>(to, |value| {
            let whole = value.round_ties_even();
            // Exactly the doubles from -2^63 to the one before 2^63.
            let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&whole);
            if fits { Ok(Some(whole as i64)) } else { Err(format!("{value:?} does not fit a bigint")) }
        }),
        DataType::Decimal { precision, scale } => {
            let (unit, bound) = (10f64.powi(i32::from(scale)), 10i128.pow(u32::from(precision)));
            try_unary::<Float64Type, Decimal128Type, _>(to, move |value| {
                let scaled = (value * unit).round();
                let fits =
                    scaled.is_finite() && (scaled as i128).checked_abs().is_some_and(|size| size < bound);
                if fits { Ok(Some(scaled as i128)) } else { Err(format!("{value:?} does not fit a {to}")) }
            })
        }
        _ => return None,
    })
}

fn from_boolean(to: DataType) -> Option<Kernel> {
    fn bit(arguments: &[Value], row: usize) -> Option<bool> {
        let mask = arguments[0].array().as_boolean();
        mask.is_valid(row).then(|| mask.value(row))
    }
    Some(match to {
        DataType::Boolean => Arc::new(|arguments, _, _| Arc::clone(arguments[0].array())),
        DataType::Varchar => kernel(move |arguments, rows, _| {
            collect_texts(rows, |row, out| {
                bit(arguments, row).map(|bit| out.push_str(if bit { "true" } else { "false" }))
            })
        }),
        DataType::Bigint => kernel(move |arguments, rows, failures| {
            collect_numbers::<Int64Type>(to, rows, failures, |row| Ok(bit(arguments, row).map(i64::from)))
        }),
        DataType::Double => kernel(move |arguments, rows, failures| {
            collect_numbers::<Float64Type>(to, rows, failures, |row| {
                Ok(bit(arguments, row).map(|bit| f64::from(u8::from(bit))))
            })
        }),
        DataType::Decimal { precision, scale } => {
            let unit = 10i128.pow(u32::from(scale));
            kernel(move |arguments, rows, failures| {
                collect_numbers::<Decimal128Type>(to, rows, failures, |row| match bit(arguments, row) {
                    Some(true) if precision == scale => Err(format!("true does not fit a {to}")),
                    bit => Ok(bit.map(|bit| if bit { unit } else { 0 })),
                })
            })
        }
        _ => return None,
    })
}

/// `value / unit`, rounded half away from zero.
pub(crate) fn divide_rounded(value: i128, unit: i128) -> i128 {
    let (quotient, rest) = (value / unit, (value % unit).abs());
    if rest >= unit - rest { quotient + value.signum() } else { quotient }
}

fn from_decimal(from: u8, to: DataType) -> Option<Kernel> {
    let unit = 10i128.pow(u32::from(from));
    Some(match to {
        DataType::Varchar => {
            number_to_text::<Decimal128Type>(move |value, out| write_decimal(value, from, out))
        }
        DataType::Boolean => predicate::<Decimal128Type, _>(|value| value != 0),
        DataType::Double => {
            unary::<Decimal128Type, Float64Type, _>(to, move |value| decimal_to_double(value, unit))
        }
        DataType::Bigint => try_unary::<Decimal128Type, Int64Type, _>(to, move |value| {
            let whole = i64::try_from(divide_rounded(value, unit));
            whole.map(Some).map_err(|_| "the decimal does not fit a bigint".to_owned())
        }),
        DataType::Decimal { precision, scale } => {
            let bound = 10i128.pow(u32::from(precision));
            let up = 10i128.pow(u32::from(scale.saturating_sub(from)));
            let down = 10i128.pow(u32::from(from.saturating_sub(scale)));
            try_unary::<Decimal128Type, Decimal128Type, _>(to, move |value| {
                let scaled = value.checked_mul(up).map(|value| divide_rounded(value, down));
                let scaled = scaled.filter(|value| value.abs() < bound);
                scaled.map(Some).ok_or_else(|| format!("the decimal does not fit a {to}"))
            })
        }
        _ => return None,
    })
}

/// The nearest double of `value / unit`; exact where both are exact doubles, else of two roundings.
fn decimal_to_double(value: i128, unit: i128) -> f64 {
    const EXACT: i128 = 1 << 53;
    if value.abs() <= EXACT || unit == 1 {
        return value as f64 / unit as f64;
    }
    // The whole part and the rest apart keep more digits than one large quotient.
    (value / unit) as f64 + (value % unit) as f64 / unit as f64
}

fn from_time(from: DataType, to: DataType) -> Option<Kernel> {
    let zoned = from == DataType::TimestampTz;
    Some(match (from, to) {
        (DataType::Date, DataType::Varchar) => {
            number_to_text::<Date32Type>(|days, out| write_date(i64::from(days), out))
        }
        (_, DataType::Varchar) => {
            number_to_text::<Micros>(move |micros, out| write_instant(micros, zoned, out))
        }
        (DataType::Date, DataType::Date) => unary::<Date32Type, Date32Type, _>(to, |days| days),
        (DataType::Date, DataType::Timestamp | DataType::TimestampTz) => {
            try_unary::<Date32Type, Micros, _>(to, move |days| {
                let micros = i64::from(days).checked_mul(DAY_US);
                micros.map(Some).ok_or_else(|| format!("the date does not fit a {to}"))
            })
        }
        (_, DataType::Date) => unary::<Micros, Date32Type, _>(to, |micros| micros.div_euclid(DAY_US) as i32),
        (_, DataType::Timestamp | DataType::TimestampTz) => unary::<Micros, Micros, _>(to, |micros| micros),
        _ => return None,
    })
}

/// A NULL of that type, of length one.
pub(crate) fn null_of(data_type: DataType) -> ArrayRef {
    new_null_array(&data_type.arrow(), 1)
}

/// A constant boolean, of length one.
pub(crate) fn boolean_of(value: bool) -> ArrayRef {
    Arc::new(BooleanArray::from(vec![value]))
}
