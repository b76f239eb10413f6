//! Functions of dates and times, in UTC.

use arrow_array::types::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use event::DataType;

use super::{Function, Invocation, Result, function};
use crate::ExpressionError;
use crate::bind::{Bound, arithmetic_bound};
use crate::calendar::{Civil, DAY_US, JULIAN_EPOCH_DAYS, PARTS, Part, iso_weekday};
use crate::kernel::arithmetic::Arithmetic;
use crate::kernel::text::number_to_text;
use crate::kernel::time_format::{DAYS, MONTHS};
use crate::kernel::{try_unary, unary};
use crate::nearest::suggestion;

type Micros = TimestampMicrosecondType;

pub(super) const TABLE: &[Function] = &[
    function("epoch", 1..=1, |call| epoch_seconds(call, 0)),
    function("epoch_ms", 1..=1, epoch_milliseconds),
    function("epoch_us", 1..=1, |call| epoch(call, |micros| micros)),
    function("epoch_ns", 1..=1, epoch_nanoseconds),
    function("date_trunc", 2..=2, date_trunc),
    function("datetrunc", 2..=2, date_trunc),
    function("date_part", 2..=2, date_part),
    function("datepart", 2..=2, date_part),
    function("date_add", 2..=2, date_add),
    function("last_day", 1..=1, last_day),
    function("dayname", 1..=1, |call| named(call, |days| DAYS[iso_weekday(days) as usize - 1])),
    function("monthname", 1..=1, |call| named(call, |days| MONTHS[Civil::of_days(days).month as usize - 1])),
    function("year", 1..=1, |call| part_of(call, 0, Part::Year)),
    function("quarter", 1..=1, |call| part_of(call, 0, Part::Quarter)),
    function("month", 1..=1, |call| part_of(call, 0, Part::Month)),
    function("week", 1..=1, |call| part_of(call, 0, Part::Week)),
    function("weekofyear", 1..=1, |call| part_of(call, 0, Part::Week)),
    function("yearweek", 1..=1, |call| part_of(call, 0, Part::YearWeek)),
    function("day", 1..=1, |call| part_of(call, 0, Part::Day)),
    function("dayofmonth", 1..=1, |call| part_of(call, 0, Part::Day)),
    function("dayofweek", 1..=1, |call| part_of(call, 0, Part::DayOfWeek)),
    function("weekday", 1..=1, |call| part_of(call, 0, Part::DayOfWeek)),
    function("isodow", 1..=1, |call| part_of(call, 0, Part::IsoDayOfWeek)),
    function("isoyear", 1..=1, |call| part_of(call, 0, Part::IsoYear)),
    function("dayofyear", 1..=1, |call| part_of(call, 0, Part::DayOfYear)),
    function("hour", 1..=1, |call| part_of(call, 0, Part::Hour)),
    function("minute", 1..=1, |call| part_of(call, 0, Part::Minute)),
    function("second", 1..=1, |call| part_of(call, 0, Part::Second)),
    function("millisecond", 1..=1, |call| part_of(call, 0, Part::Millisecond)),
    function("microsecond", 1..=1, |call| part_of(call, 0, Part::Microsecond)),
    function("decade", 1..=1, |call| part_of(call, 0, Part::Decade)),
    function("century", 1..=1, |call| part_of(call, 0, Part::Century)),
    function("millennium", 1..=1, |call| part_of(call, 0, Part::Millennium)),
    function("era", 1..=1, |call| part_of(call, 0, Part::Era)),
    function("julian", 1..=1, |call| part_of(call, 0, Part::Julian)),
];

/// Takes an argument as an instant or a local time, a date as its midnight.
pub(super) fn take_time(call: &mut Invocation, place: usize) -> Result<DataType> {
    let argument = call.arguments[place].clone();
    let data_type = match argument.data_type {
        Some(DataType::TimestampTz) => DataType::TimestampTz,
        None | Some(DataType::Date | DataType::Timestamp) => DataType::Timestamp,
        Some(_) => return Err(call.mismatch(&argument, "a date or time", DataType::TimestampTz)),
    };
    call.arguments[place] = argument.widened(data_type)?;
    Ok(data_type)
}

/// As DuckDB: rounded half away from zero.
fn milliseconds(micros: i64) -> i64 {
    (micros / 1_000) + (micros % 1_000) / 500
}

fn epoch(mut call: Invocation, f: impl Fn(i64) -> i64 + Copy + Send + Sync + 'static) -> Result<Bound> {
    take_time(&mut call, 0)?;
    call.total(DataType::Bigint, unary::<Micros, Int64Type, _>(DataType::Bigint, f))
}

fn epoch_seconds(mut call: Invocation, place: usize) -> Result<Bound> {
    take_time(&mut call, place)?;
    call.arguments.drain(..place);
    let kernel = unary::<Micros, Float64Type, _>(DataType::Double, |micros| micros as f64 / 1e6);
    call.total(DataType::Double, kernel)
}

/// Of a time its milliseconds, of a number of milliseconds the timestamp.
fn epoch_milliseconds(call: Invocation) -> Result<Bound> {
    match call.arguments[0].data_type {
        Some(DataType::Bigint) => super::make::of_milliseconds(call),
        _ => epoch(call, milliseconds),
    }
}

fn epoch_nanoseconds(mut call: Invocation) -> Result<Bound> {
    take_time(&mut call, 0)?;
    let kernel = try_unary::<Micros, Int64Type, _>(DataType::Bigint, |micros| {
        let nanos = micros.checked_mul(1_000).map(Some);
        nanos.ok_or_else(|| "the nanoseconds do not fit a bigint".to_owned())
    });
    call.partial(DataType::Bigint, kernel)
}

/// `date_add(date, days)`; with an interval it is an addition of that.
fn date_add(mut call: Invocation) -> Result<Bound> {
    let days = call.arguments.remove(1);
    arithmetic_bound(Arithmetic::Add, call.arguments.remove(0), days, call.span)
}

/// The last day of the month of a time.
fn last_day(mut call: Invocation) -> Result<Bound> {
    take_time(&mut call, 0)?;
    let kernel = try_unary::<Micros, Date32Type, _>(DataType::Date, |micros| {
        let civil = Civil::of_days(micros.div_euclid(DAY_US));
        let last = Civil { day: civil.month_days(), ..civil }.days();
        i32::try_from(last).map(Some).map_err(|_| "the last day of the month does not fit a date".to_owned())
    });
    call.partial(DataType::Date, kernel)
}

fn named(mut call: Invocation, name: fn(i64) -> &'static str) -> Result<Bound> {
    take_time(&mut call, 0)?;
    let kernel = number_to_text::<Micros>(move |micros, out| out.push_str(name(micros.div_euclid(DAY_US))));
    call.total(DataType::Varchar, kernel)
}

/// The part that the first argument names, which is constant.
pub(super) fn named_part(call: &Invocation) -> Result<Part> {
    let name = &call.arguments[0];
    let Some(text) = name.constant_text() else {
        let message = format!("`{}` needs the name of a part as its first argument, as in 'hour'", call.name);
        return Err(ExpressionError::new(message, name.span.clone()));
    };
    Part::from_name(text).ok_or_else(|| {
        ExpressionError::new(format!("unknown part `{text}`"), name.span.clone())
            .maybe_help(suggestion(text, PARTS.iter().copied()))
    })
}

fn date_part(call: Invocation) -> Result<Bound> {
    let part = named_part(&call)?;
    part_of(call, 1, part)
}

fn part_of(mut call: Invocation, place: usize, part: Part) -> Result<Bound> {
    if part == Part::Epoch {
        return epoch_seconds(call, place);
    }
    take_time(&mut call, place)?;
    call.arguments.drain(..place);
    if part == Part::Julian {
        let days = |micros: i64| micros as f64 / DAY_US as f64 + JULIAN_EPOCH_DAYS as f64;
        return call.total(DataType::Double, unary::<Micros, Float64Type, _>(DataType::Double, days));
    }
    let kernel = unary::<Micros, Int64Type, _>(DataType::Bigint, move |micros| part.of(micros));
    call.total(DataType::Bigint, kernel)
}

/// Of a date it is a timestamp.
fn date_trunc(mut call: Invocation) -> Result<Bound> {
    let part = named_part(&call)?;
    if part.truncate(0).is_none() {
        let message = "a time cannot be cut down to this part";
        return Err(ExpressionError::new(message, call.arguments[0].span.clone()));
    }
    let output = take_time(&mut call, 1)?;
    call.arguments.remove(0);
    let kernel = try_unary::<Micros, Micros, _>(output, move |micros| {
        part.truncate(micros).map(Some).ok_or_else(|| "the start of the period is out of range".to_owned())
    });
    call.partial(output, kernel)
}
