//! `time_bucket`: the start of the period in which a time lies, where periods follow each other from an origin.

use std::ops::Range;

use arrow_array::types::TimestampMicrosecondType;
use event::DataType;

use super::time::take_time;
use super::zone::constant_zone;
use super::{Function, Invocation, Result, function};
use crate::ExpressionError;
use crate::bind::{Bound, BoundInterval, Operand};
use crate::calendar::{Civil, DAY_US, Interval};
use crate::kernel::zone::Zone;
use crate::kernel::{Numbers, collect_numbers, kernel};

type Micros = TimestampMicrosecondType;

/// Periods of months are counted from 2000-01-01.
const MONTHS_ORIGIN: i64 = 10_957 * DAY_US;
/// All others from 2000-01-03, a Monday.
const ORIGIN: i64 = 10_959 * DAY_US;

/// Called with an interval; what is called without is told so.
pub(super) const TABLE: &[Function] = &[function("time_bucket", 2..=3, |call| {
    let message = format!("`time_bucket` needs an interval, found a {}", call.arguments[0].type_name());
    Err(ExpressionError::new(message, call.arguments[0].span.clone())
        .help("write time_bucket(INTERVAL '15 minutes', time)"))
})];

/// Where periods begin.
#[derive(Debug, Clone)]
enum Origin {
    Usual,
    Moved(Interval),
    At(i64),
    /// At the usual one of the clock of a zone.
    Zone(Zone),
}

/// `time_bucket(width, time[, origin | offset | zone])`.
pub(crate) fn time_bucket(
    width: BoundInterval,
    time: Bound,
    third: Option<Operand>,
    span: Range<usize>,
) -> Result<Bound> {
    let width_span = width.span.clone();
    let width = constant(width)?;
    if let Err(message) = length(width) {
        return Err(ExpressionError::new(message, width_span));
    }
    let given = time.data_type;
    let mut call = Invocation::new("time_bucket", span, vec![time]);
    let output = take_time(&mut call, 0)?;
    let origin = third.map_or(Ok(Origin::Usual), |third| origin(third, output))?;
    let kernel = kernel(move |arguments, rows, failures| {
        let times = Numbers::<Micros>::of(&arguments[0]);
        collect_numbers::<Micros>(output, rows, failures, |row| {
            let Some(time) = times.get(row) else { return Ok(None) };
            bucket(width, time, &origin).map(Some)
        })
    });
    let bucketed = call.partial(output, kernel)?;
    if given == Some(DataType::Date) { bucketed.cast(DataType::Date, false) } else { Ok(bucketed) }
}

fn constant(interval: BoundInterval) -> Result<Interval> {
    let span = interval.span.clone();
    let pieces: Option<Vec<i64>> = interval.into_pieces().iter().map(Bound::constant_integer).collect();
    match pieces.as_deref() {
        Some([months, days, micros]) => Ok(Interval { months: *months, days: *days, micros: *micros }),
        _ => Err(ExpressionError::new("the interval of `time_bucket` is a constant", span)),
    }
}

fn origin(third: Operand, output: DataType) -> Result<Origin> {
    let bound = match third {
        Operand::Interval(offset) => return constant(offset).map(Origin::Moved),
        Operand::Value(bound) => bound,
    };
    if output == DataType::TimestampTz
        && let Some(zone) = constant_zone(&bound).ok().flatten()
    {
        return Ok(Origin::Zone(zone));
    }
    let span = bound.span.clone();
    let refused = || {
        ExpressionError::new("this is neither an origin, nor an offset, nor a zone", span.clone())
            .help("all three are constants: a time, an interval, a name as 'Asia/Seoul' for a timestamptz")
    };
    if !bound.is_time() && bound.constant_text().is_none() {
        return Err(refused());
    }
    let origin = bound.cast(output, false).map_err(|_| refused())?;
    origin.constant_micros().map(Origin::At).ok_or_else(refused)
}

fn bucket(width: Interval, time: i64, origin: &Origin) -> std::result::Result<i64, String> {
    let refused = || "the start of the period is out of range".to_owned();
    let usual = |time: i64| start(width, time, if width.months != 0 { MONTHS_ORIGIN } else { ORIGIN });
    match origin {
        Origin::Usual => usual(time),
        Origin::At(origin) => start(width, time, *origin),
        Origin::Moved(offset) => {
            offset.after(usual(offset.before(time).ok_or_else(refused)?)?).ok_or_else(refused)
        }
        Origin::Zone(zone) => zone.instant(usual(zone.local(time)?)?),
    }
}

/// The length of a period in months or in microseconds, of which one is 0.
fn length(width: Interval) -> std::result::Result<(i64, i64), String> {
    let micros = width.days.checked_mul(DAY_US).and_then(|days| days.checked_add(width.micros));
    match (width.months, micros) {
        (0, Some(micros)) if micros > 0 => Ok((0, micros)),
        (months, Some(0)) if months > 0 => Ok((months, 0)),
        (months, _) if months != 0 => Err("a period of months has neither days nor hours".to_owned()),
        _ => Err("a period must be longer than nothing".to_owned()),
    }
}

fn start(width: Interval, time: i64, origin: i64) -> std::result::Result<i64, String> {
    let refused = || "the start of the period is out of range".to_owned();
    let (months, micros) = length(width)?;
    if months == 0 {
        let since = i128::from(time) - i128::from(origin);
        let start = i128::from(origin) + since.div_euclid(i128::from(micros)) * i128::from(micros);
        return i64::try_from(start).map_err(|_| refused());
    }
    let month_of = |micros: i64| {
        let civil = Civil::of_days(micros.div_euclid(DAY_US));
        civil.year * 12 + civil.month - 1
    };
    let first = month_of(origin);
    let month = first + (month_of(time) - first).div_euclid(months) * months;
    let civil = Civil { year: month.div_euclid(12), month: month.rem_euclid(12) + 1, day: 1 };
    civil.days().checked_mul(DAY_US).ok_or_else(refused)
}
