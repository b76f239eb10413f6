//! How many parts lie between two times: boundaries that are crossed (`date_diff`), or whole parts (`date_sub`).

use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use event::DataType;

use super::time::{named_part, take_time};
use super::{Function, Invocation, Result, function};
use crate::ExpressionError;
use crate::bind::Bound;
use crate::calendar::{Civil, DAY_US, Interval, Part};
use crate::kernel::try_binary;

type Micros = TimestampMicrosecondType;

pub(super) const TABLE: &[Function] = &[
    function("date_diff", 3..=3, |call| of_two(call, crossed)),
    function("datediff", 3..=3, |call| of_two(call, crossed)),
    function("date_sub", 3..=3, |call| of_two(call, whole)),
    function("datesub", 3..=3, |call| of_two(call, whole)),
];

/// The parts whose length is a number of microseconds.
fn unit(part: Part) -> Option<i64> {
    Some(match part {
        Part::Microsecond => 1,
        Part::Millisecond => 1_000,
        Part::Second | Part::Epoch => 1_000_000,
        Part::Minute => 60_000_000,
        Part::Hour => 3_600_000_000,
        _ => return None,
    })
}

/// The months of a part.
fn months(part: Part) -> Option<i64> {
    Some(match part {
        Part::Month => 1,
        Part::Quarter => 3,
        Part::Year => 12,
        Part::Decade => 120,
        Part::Century => 1_200,
        Part::Millennium => 12_000,
        _ => return None,
    })
}

fn of_two(mut call: Invocation, f: fn(Part, i64, i64) -> Option<i64>) -> Result<Bound> {
    let part = named_part(&call)?;
    if f(part, 0, 0).is_none() {
        let message = format!("`{}` cannot count this part", call.name);
        return Err(ExpressionError::new(message, call.arguments[0].span.clone()));
    }
    // A text beside a time is a time as well.
    let zoned = call.arguments[1..].iter().any(|bound| bound.data_type == Some(DataType::TimestampTz));
    let common = if zoned { DataType::TimestampTz } else { DataType::Timestamp };
    for place in 1..=2 {
        let argument = call.arguments[place].clone();
        match argument.constant_text() {
            Some(_) => call.arguments[place] = argument.cast(common, false)?,
            None => {
                take_time(&mut call, place)?;
                call.arguments[place] = call.arguments[place].clone().widened(common)?;
            }
        }
    }
    call.arguments.remove(0);
    let kernel = try_binary::<Micros, Micros, Int64Type, _>(DataType::Bigint, move |from, to| {
        f(part, from, to).map(Some).ok_or_else(|| "the difference does not fit a bigint".to_owned())
    });
    call.partial(DataType::Bigint, kernel)
}

/// Boundaries of the part between both times.
fn crossed(part: Part, from: i64, to: i64) -> Option<i64> {
    if let Some(unit) = unit(part) {
        return to.div_euclid(unit).checked_sub(from.div_euclid(unit));
    }
    // As in DuckDB a week has no boundaries here: it is seven days from wherever it begins.
    if matches!(part, Part::Week | Part::YearWeek) {
        return Some((to.div_euclid(DAY_US) - from.div_euclid(DAY_US)) / 7);
    }
    let place = |micros: i64| {
        let days = micros.div_euclid(DAY_US);
        let civil = Civil::of_days(days);
        Some(match part {
            Part::Day | Part::DayOfWeek | Part::IsoDayOfWeek | Part::DayOfYear | Part::Julian => days,
            Part::IsoYear => Part::IsoYear.of(micros),
            part => (civil.year * 12 + civil.month - 1) / months(part)?,
        })
    };
    place(to)?.checked_sub(place(from)?)
}

/// Whole parts that fit between both times.
fn whole(part: Part, from: i64, to: i64) -> Option<i64> {
    let micros = to.checked_sub(from)?;
    if let Some(unit) = unit(part) {
        return Some(micros / unit);
    }
    match part {
        Part::Day | Part::DayOfWeek | Part::IsoDayOfWeek | Part::DayOfYear | Part::Julian => {
            Some(micros / DAY_US)
        }
        Part::Week | Part::YearWeek => Some(micros / (7 * DAY_US)),
        Part::IsoYear => Some(whole_months(from, to) / 12),
        part => Some(whole_months(from, to) / months(part)?),
    }
}

/// As many months as can be added to the earlier time without passing the later one.
fn whole_months(from: i64, to: i64) -> i64 {
    let (early, late, sign) = if from <= to { (from, to, 1) } else { (to, from, -1) };
    let civil = |micros: i64| Civil::of_days(micros.div_euclid(DAY_US));
    let (first, last) = (civil(early), civil(late));
    let months = (last.year - first.year) * 12 + last.month - first.month;
    let after = Interval { months, ..Interval::default() }.after(early);
    sign * if after.is_some_and(|after| after <= late) { months } else { months - 1 }
}
