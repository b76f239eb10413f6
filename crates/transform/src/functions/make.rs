//! Dates and times made of numbers.

use arrow_array::types::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use event::DataType;

use super::zone::constant_zone;
use super::{Function, Invocation, Result, function};
use crate::ExpressionError;
use crate::bind::Bound;
use crate::calendar::{Civil, DAY_US};
use crate::kernel::zone::Zone;
use crate::kernel::{Numbers, collect_numbers, kernel, try_unary};

type I = Int64Type;
type Micros = TimestampMicrosecondType;

pub(super) const TABLE: &[Function] = &[
    function("make_date", 1..=3, make_date),
    function("make_timestamp", 1..=6, |call| make_time(call, DataType::Timestamp)),
    function("make_timestamptz", 1..=7, |call| make_time(call, DataType::TimestampTz)),
    function("make_timestamp_ms", 1..=1, |call| from_number(call, DataType::Timestamp, 1_000)),
    function("to_timestamp", 1..=1, to_timestamp),
];

/// The day, if there is such a date.
fn day(year: i64, month: i64, day: i64) -> std::result::Result<i64, String> {
    let civil = Civil { year, month, day };
    let real = year.abs() < 1_000_000 && (1..=12).contains(&month) && (1..=civil.month_days()).contains(&day);
    if real { Ok(civil.days()) } else { Err(format!("{year}-{month}-{day} is no date")) }
}

/// `make_date(year, month, day)`, `make_date(days since 1970)`.
fn make_date(mut call: Invocation) -> Result<Bound> {
    call.take_all(DataType::Bigint)?;
    let output = DataType::Date;
    if call.arguments.len() == 1 {
        let kernel = try_unary::<I, Date32Type, _>(output, |days| {
            i32::try_from(days).map(Some).map_err(|_| format!("{days} days do not fit a date"))
        });
        return call.partial(output, kernel);
    }
    exactly(&call, 3)?;
    let kernel = kernel(move |arguments, rows, failures| {
        let parts = [0, 1, 2].map(|place| Numbers::<I>::of(&arguments[place]));
        collect_numbers::<Date32Type>(output, rows, failures, |row| {
            let [Some(year), Some(month), Some(of_month)] =
                [0, 1, 2].map(|place: usize| parts[place].get(row))
            else {
                return Ok(None);
            };
            let days = day(year, month, of_month)?;
            i32::try_from(days).map(Some).map_err(|_| format!("the year {year} does not fit a date"))
        })
    });
    call.partial(output, kernel)
}

fn exactly(call: &Invocation, wanted: usize) -> Result<()> {
    let found = call.arguments.len();
    if found == wanted {
        return Ok(());
    }
    let message = format!("`{}` takes 1 or {wanted} arguments, not {found}", call.name);
    Err(ExpressionError::new(message, call.span.clone()))
}

/// Microseconds since 1970, or year, month, day, hour, minute, second; of an instant also a zone.
fn make_time(mut call: Invocation, output: DataType) -> Result<Bound> {
    if call.arguments.len() == 1 {
        return from_number(call, output, 1);
    }
    let zone = match call.arguments.len() {
        7 => {
            call.take(6, DataType::Varchar)?;
            let name = call.arguments.remove(6);
            let zone = constant_zone(&name)?;
            Some(zone.ok_or_else(|| ExpressionError::new("the zone must be a constant text", name.span))?)
        }
        _ => None,
    };
    exactly(&call, 6)?;
    (0..5).try_for_each(|place| call.take(place, DataType::Bigint))?;
    call.take(5, DataType::Double)?;
    let kernel = kernel(move |arguments, rows, failures| {
        let parts = [0, 1, 2, 3, 4].map(|place| Numbers::<I>::of(&arguments[place]));
        let seconds = Numbers::<Float64Type>::of(&arguments[5]);
        collect_numbers::<Micros>(output, rows, failures, |row| {
            let [Some(year), Some(month), Some(of_month), Some(hour), Some(minute)] =
                [0, 1, 2, 3, 4].map(|place: usize| parts[place].get(row))
            else {
                return Ok(None);
            };
            let Some(second) = seconds.get(row) else { return Ok(None) };
            let local = local_micros((year, month, of_month), (hour, minute, second))?;
            zone.as_ref().map_or(Ok(local), |zone: &Zone| zone.instant(local)).map(Some)
        })
    });
    call.partial(output, kernel)
}

fn local_micros(
    (year, month, of_month): (i64, i64, i64),
    (hour, minute, second): (i64, i64, f64),
) -> std::result::Result<i64, String> {
    let refused = || format!("{hour}:{minute}:{second:?} is no time of a day");
    let micros = (second * 1e6).round();
    let valid = (0..=24).contains(&hour) && (0..60).contains(&minute) && (0.0..=60e6).contains(&micros);
    let time = (hour * 60 + minute) * 60_000_000 + if valid { micros as i64 } else { 0 };
    if !valid || time > DAY_US {
        return Err(refused());
    }
    let days = day(year, month, of_month)?.checked_mul(DAY_US);
    days.and_then(|micros| micros.checked_add(time))
        .ok_or_else(|| format!("the year {year} does not fit a timestamp"))
}

fn from_number(mut call: Invocation, output: DataType, unit: i64) -> Result<Bound> {
    call.take(0, DataType::Bigint)?;
    let kernel = try_unary::<I, Micros, _>(output, move |value| {
        value.checked_mul(unit).map(Some).ok_or_else(|| format!("{value} does not fit a {output}"))
    });
    call.partial(output, kernel)
}

/// `epoch_ms(bigint)`: milliseconds since 1970 as a timestamp.
pub(super) fn of_milliseconds(call: Invocation) -> Result<Bound> {
    from_number(call, DataType::Timestamp, 1_000)
}

/// Seconds since 1970 as an instant.
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
