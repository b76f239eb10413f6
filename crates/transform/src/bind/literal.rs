//! Literals: numbers, texts, dates, times and intervals.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Date32Array, Float64Array, TimestampMicrosecondArray};
use event::DataType;
use sqlparser::ast::{self, Expr, TimezoneInfo, TypedString, Value};

use super::{Bound, Result, short};
use crate::ExpressionError;
use crate::calendar::{Interval, PARTS, Part};
use crate::kernel::cast::boolean_of;
use crate::kernel::time_text::{parse_date, parse_instant};
use crate::nearest::suggestion;
use crate::source::Source;

pub(super) fn value(value: &Value, span: Range<usize>) -> Result<Bound> {
    match value {
        Value::Number(digits, false) => number(digits, span),
        Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Ok(Bound::text(text, span)),
        Value::Boolean(value) => Ok(Bound::constant(boolean_of(*value), DataType::Boolean, span)),
        Value::Null => Ok(Bound::null(span)),
        other => Err(ExpressionError::new(format!("`{}` is not supported", short(&other.to_string())), span)),
    }
}

/// Digits alone are a bigint; with a point or an exponent they are a double.
fn number(digits: &str, span: Range<usize>) -> Result<Bound> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return match digits.parse::<i64>() {
            Ok(value) => Ok(Bound::integer(value, span)),
            Err(_) => Err(ExpressionError::new(format!("{digits} does not fit a bigint"), span)
                .help(format!("write {digits}.0 for a double"))),
        };
    }
    match digits.parse::<f64>().ok().filter(|value| value.is_finite()) {
        Some(value) => Ok(Bound::constant(Arc::new(Float64Array::from(vec![value])), DataType::Double, span)),
        None => Err(ExpressionError::new(format!("{digits} does not fit a double"), span)),
    }
}

/// The operand of a minus sign that is one more than the largest bigint: together the least one.
pub(super) fn least_integer(operand: &Expr) -> Option<Bound> {
    match operand {
        Expr::Value(value) if matches!(&value.value, Value::Number(digits, _) if digits == "9223372036854775808") => {
            Some(Bound::integer(i64::MIN, 0..0))
        }
        _ => None,
    }
}

/// `DATE '..'`, `TIMESTAMP '..'`, `TIMESTAMPTZ '..'`.
pub(super) fn typed(typed: &TypedString, span: Range<usize>) -> Result<Bound> {
    let data_type = match &typed.data_type {
        ast::DataType::Date => DataType::Date,
        ast::DataType::Timestamp(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            DataType::Timestamp
        }
        ast::DataType::Timestamp(None, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => {
            DataType::TimestampTz
        }
        other => {
            let message = format!("a literal of type {other} is not supported");
            return Err(ExpressionError::new(message, span).help("DATE, TIMESTAMP and TIMESTAMPTZ are"));
        }
    };
    let text = typed.value.clone().into_string().unwrap_or_default();
    let refused = || {
        ExpressionError::new(format!("'{}' is not a {data_type}", short(&text)), span.clone())
            .help("dates are written YYYY-MM-DD, times YYYY-MM-DD HH:MM:SS[.f]")
    };
    let one: arrow_array::ArrayRef = match data_type {
        DataType::Date => {
            let days = parse_date(&text).and_then(|days| i32::try_from(days).ok()).ok_or_else(refused)?;
            Arc::new(Date32Array::from(vec![days]))
        }
        _ => {
            let micros = parse_instant(&text, data_type == DataType::TimestampTz).ok_or_else(refused)?;
            Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_data_type(data_type.arrow()))
        }
    };
    Ok(Bound::constant(one, data_type, span))
}

/// `INTERVAL '10 minutes'`, `INTERVAL 10 MINUTES`, `INTERVAL '1 day 2 hours'`.
pub(super) fn interval(interval: &ast::Interval, source: &Source) -> Result<Interval> {
    let span = source.span(interval.value.as_ref());
    let refused = || {
        ExpressionError::new("this interval is not understood", span.clone())
            .help("write for instance INTERVAL '1 day 2 hours' or INTERVAL 10 MINUTE")
    };
    let Expr::Value(value) = interval.value.as_ref() else { return Err(refused()) };
    let part = |name: &str| {
        Part::from_name(name).ok_or_else(|| {
            ExpressionError::new(format!("unknown unit `{name}`"), span.clone())
                .maybe_help(suggestion(name, PARTS.iter().copied()))
        })
    };
    let text = match &value.value {
        Value::Number(text, _) | Value::SingleQuotedString(text) => text,
        _ => return Err(refused()),
    };
    if interval.last_field.is_some() {
        return Err(refused());
    }
    if let Some(unit) = &interval.leading_field {
        let number: f64 = text.trim().parse().map_err(|_| refused())?;
        return Interval::of(number, part(&unit.to_string())?).ok_or_else(refused);
    }
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    if words.is_empty() || !words.len().is_multiple_of(2) {
        return Err(refused());
    }
    words.chunks(2).try_fold(Interval::default(), |sum, pair| {
        let number: f64 = pair[0].parse().map_err(|_| refused())?;
        Interval::of(number, part(pair[1])?).and_then(|next| sum.plus(next)).ok_or_else(refused)
    })
}
