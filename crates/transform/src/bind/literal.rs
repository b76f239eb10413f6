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
        Value::DollarQuotedString(quoted) => Ok(Bound::text(&quoted.value, span)),
        Value::Boolean(value) => Ok(Bound::constant(boolean_of(*value), DataType::Boolean, span)),
        Value::Null => Ok(Bound::null(span)),
        other => Err(ExpressionError::new(format!("`{}` is not supported", short(&other.to_string())), span)),
    }
}

/// Digits alone are a bigint; with a point or an exponent they are a double.
fn number(written: &str, span: Range<usize>) -> Result<Bound> {
    let digits = &written.replace('_', "");
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

/// `INTERVAL '10 minutes'`, `INTERVAL 10 MINUTES`, `INTERVAL '1 day 02:00:00'`; `None` if it is no literal.
pub(super) fn interval(interval: &ast::Interval, source: &Source) -> Result<Option<Interval>> {
    let span = source.span(interval.value.as_ref());
    let refused = || {
        ExpressionError::new("this interval is not understood", span.clone())
            .help("write for instance INTERVAL '1 day 2 hours' or INTERVAL 10 MINUTE")
    };
    if interval.last_field.is_some() {
        return Err(refused());
    }
    let Expr::Value(value) = interval.value.as_ref() else { return Ok(None) };
    let text = match &value.value {
        Value::Number(text, _) | Value::SingleQuotedString(text) => text,
        _ => return Err(refused()),
    };
    let Some(unit) = &interval.leading_field else {
        return interval_text(text).map(Some).ok_or_else(refused);
    };
    let part = interval_part(&unit.to_string(), &span)?;
    let number: f64 = text.trim().parse().map_err(|_| refused())?;
    if number.fract() != 0.0 && !matches!(part, Part::Second | Part::Millisecond) {
        return Err(refused().help(format!("a fraction goes into the text: INTERVAL '{number} {unit}'")));
    }
    Interval::of(number, part).map(Some).ok_or_else(refused)
}

/// The part that a unit names.
pub(super) fn interval_part(name: &str, span: &Range<usize>) -> Result<Part> {
    Part::from_name(name).ok_or_else(|| {
        ExpressionError::new(format!("unknown unit `{name}`"), span.clone())
            .maybe_help(suggestion(name, PARTS.iter().copied()))
    })
}

/// Reads `1 day 2 hours`, `1d 2h`, `1 day -04:05:06.5`, `10` (seconds); with `ago` behind it backwards.
pub(super) fn interval_text(text: &str) -> Option<Interval> {
    let (mut rest, mut sum) = (text.trim(), Interval::default());
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        if rest.eq_ignore_ascii_case("ago") {
            return sum.times(-1.0);
        }
        let end = rest.find(|c: char| !c.is_ascii_digit() && !"+-.:".contains(c)).unwrap_or(rest.len());
        let (number, behind) = (&rest[..end], rest[end..].trim_start());
        if number.contains(':') {
            sum = sum.plus(clock(number)?)?;
            rest = behind;
            continue;
        }
        let number: f64 = number.parse().ok()?;
        let end = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let part = if end == 0 { Part::Second } else { Part::from_name(&behind[..end])? };
        sum = sum.plus(Interval::of(number, part)?)?;
        rest = behind[end..].trim_start();
    }
    Some(sum)
}

/// `[-]HH:MM[:SS[.f]]`, with any number of hours.
fn clock(text: &str) -> Option<Interval> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut fields = digits.split(':');
    let hours: f64 = fields.next()?.parse().ok()?;
    let minutes: f64 = fields.next()?.parse().ok().filter(|minutes| *minutes < 60.0)?;
    let seconds: f64 = fields.next().map_or(Some(0.0), |field| field.parse().ok()).filter(|s| *s < 60.0)?;
    if fields.next().is_some() {
        return None;
    }
    Interval::of(sign * (hours * 3_600.0 + minutes * 60.0 + seconds), Part::Second)
}
