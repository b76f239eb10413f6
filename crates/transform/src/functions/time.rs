//! Functions of dates and times, in UTC.

use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use event::DataType;

use super::{Function, Invocation, Result, function};
use crate::ExpressionError;
use crate::bind::Bound;
use crate::calendar::{PARTS, Part};
use crate::kernel::{try_unary, unary};
use crate::nearest::suggestion;

type Micros = TimestampMicrosecondType;

pub(super) const TABLE: &[Function] = &[
    function("epoch", 1..=1, |call| epoch_seconds(call, 0)),
    function("epoch_ms", 1..=1, |call| epoch(call, milliseconds)),
    function("epoch_us", 1..=1, |call| epoch(call, |micros| micros)),
    function("to_timestamp", 1..=1, to_timestamp),
    function("date_trunc", 2..=2, date_trunc),
    function("date_part", 2..=2, date_part),
    function("year", 1..=1, |call| part_of(call, 0, Part::Year)),
    function("month", 1..=1, |call| part_of(call, 0, Part::Month)),
    function("day", 1..=1, |call| part_of(call, 0, Part::Day)),
    function("hour", 1..=1, |call| part_of(call, 0, Part::Hour)),
    function("minute", 1..=1, |call| part_of(call, 0, Part::Minute)),
    function("second", 1..=1, |call| part_of(call, 0, Part::Second)),
];

/// Takes an argument as an instant or a local time, a date as its midnight.
fn take_time(call: &mut Invocation, place: usize) -> Result<DataType> {
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

fn to_timestamp(mut call: Invocation) -> Result<Bound> {
    call.take(0, DataType::Double)?;
    let kernel = try_unary::<Float64Type, Micros, _>(DataType::TimestampTz, |seconds| {
        let micros = (seconds * 1e6).round();
        let fits = micros.abs() < 9.2e18;
        if fits {
            Ok(Some(micros as i64))
        } else {
            Err(format!("{seconds:?} seconds do not fit a timestamptz"))
        }
    });
    call.partial(DataType::TimestampTz, kernel)
}

/// The part that the first argument names, which is constant.
fn named_part(call: &Invocation) -> Result<Part> {
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
