//! Kernels over intervals, each of which is three columns: months, days and microseconds do not mix.

use std::fmt::Write;

use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use event::DataType;

use crate::calendar::{Civil, DAY_US, Interval, Part, normalized};
use crate::kernel::comparison::Comparison;
use crate::kernel::text::{collect_masks, collect_texts};
use crate::kernel::{Numbers, Outcome, collect_numbers, kernel};
use crate::node::Kernel;
use crate::value::Value;

type I = Int64Type;
type Micros = TimestampMicrosecondType;

/// One of the three columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    Months,
    Days,
    Micros,
}

impl Piece {
    fn of(self, interval: Interval) -> i64 {
        match self {
            Piece::Months => interval.months,
            Piece::Days => interval.days,
            Piece::Micros => interval.micros,
        }
    }
}

/// An interval argument: three arguments in a row.
struct Intervals<'a>([Numbers<'a, I>; 3]);

impl<'a> Intervals<'a> {
    fn of(arguments: &'a [Value]) -> Self {
        Intervals([0, 1, 2].map(|place| Numbers::of(&arguments[place])))
    }

    /// NULL where any of the three is.
    fn get(&self, row: usize) -> Option<Interval> {
        let [months, days, micros] = &self.0;
        Some(Interval { months: months.get(row)?, days: days.get(row)?, micros: micros.get(row)? })
    }
}

/// A time, then an interval that is added to it.
pub(crate) fn shift(output: DataType, backwards: bool) -> Kernel {
    kernel(move |arguments, rows, failures| {
        let (times, intervals) = (Numbers::<Micros>::of(&arguments[0]), Intervals::of(&arguments[1..]));
        collect_numbers::<Micros>(output, rows, failures, |row| {
            let (Some(time), Some(interval)) = (times.get(row), intervals.get(row)) else { return Ok(None) };
            let sum = if backwards { interval.before(time) } else { interval.after(time) };
            sum.map(Some).ok_or_else(|| format!("the sum does not fit a {output}"))
        })
    })
}

/// Two times, the second of which is taken from the first.
pub(crate) fn difference(piece: Piece) -> Kernel {
    between(piece, |left, right| {
        let micros = left.checked_sub(right)?;
        Some(Interval { months: 0, days: micros / DAY_US, micros: micros % DAY_US })
    })
}

/// The same as a person counts: months, then days, then time.
pub(crate) fn age(piece: Piece) -> Kernel {
    between(piece, |left, right| {
        let (late, early, sign) = if left >= right { (left, right, 1) } else { (right, left, -1) };
        let (days, early_days) = (late.div_euclid(DAY_US), early.div_euclid(DAY_US));
        let (civil, from) = (Civil::of_days(days), Civil::of_days(early_days));
        let mut micros = late.rem_euclid(DAY_US) - early.rem_euclid(DAY_US);
        let mut day = civil.day - from.day;
        let mut months = (civil.year - from.year) * 12 + civil.month - from.month;
        if micros < 0 {
            micros += DAY_US;
            day -= 1;
        }
        if day < 0 {
            day += from.month_days();
            months -= 1;
        }
        Some(Interval { months: months * sign, days: day * sign, micros: micros * sign })
    })
}

fn between(piece: Piece, f: fn(i64, i64) -> Option<Interval>) -> Kernel {
    kernel(move |arguments, rows, failures| {
        let [left, right] = [0, 1].map(|place| Numbers::<Micros>::of(&arguments[place]));
        collect_numbers::<I>(DataType::Bigint, rows, failures, |row| match (left.get(row), right.get(row)) {
            (Some(left), Some(right)) => match f(left, right) {
                Some(interval) => Ok(Some(piece.of(interval))),
                None => Err("the difference does not fit an interval".to_owned()),
            },
            _ => Ok(None),
        })
    })
}

/// A number, and a piece of that many of a part.
pub(crate) fn many(part: Part, piece: Piece) -> Kernel {
    kernel(move |arguments, rows, failures| {
        let numbers = Numbers::<Float64Type>::of(&arguments[0]);
        collect_numbers::<I>(DataType::Bigint, rows, failures, |row| {
            let Some(number) = numbers.get(row) else { return Ok(None) };
            let interval = Interval::of(number, part).filter(|_| number.is_finite());
            let interval = interval.ok_or_else(|| format!("an interval of {number:?} parts is too long"))?;
            Ok(Some(piece.of(interval)))
        })
    })
}

/// An interval, then a number by which it is multiplied, or divided.
pub(crate) fn scale(piece: Piece, divide: bool) -> Kernel {
    kernel(move |arguments, rows, failures| {
        let (intervals, factors) = (Intervals::of(arguments), Numbers::<Float64Type>::of(&arguments[3]));
        collect_numbers::<I>(DataType::Bigint, rows, failures, |row| {
            let (Some(interval), Some(factor)) = (intervals.get(row), factors.get(row)) else {
                return Ok(None);
            };
            if divide && factor == 0.0 {
                return Err("an interval cannot be divided by zero".to_owned());
            }
            let scaled = interval.times(if divide { 1.0 / factor } else { factor });
            scaled.map(|scaled| Some(piece.of(scaled))).ok_or_else(|| "the interval is too long".to_owned())
        })
    })
}

/// Two intervals; six arguments.
pub(crate) fn compare(operator: Comparison) -> Kernel {
    kernel(move |arguments, rows, failures| {
        let (left, right) = (Intervals::of(arguments), Intervals::of(&arguments[3..]));
        collect_masks(rows, failures, |row| {
            let (left, right) = (left.get(row).map(normalized), right.get(row).map(normalized));
            Ok(match operator {
                Comparison::Distinct => Some(left != right),
                Comparison::NotDistinct => Some(left == right),
                _ => left.zip(right).map(|(left, right)| match operator {
                    Comparison::Equal => left == right,
                    Comparison::NotEqual => left != right,
                    Comparison::Less => left < right,
                    Comparison::LessOrEqual => left <= right,
                    Comparison::Greater => left > right,
                    _ => left >= right,
                }),
            })
        })
    })
}

/// Whether an interval is NULL, or is not.
pub(crate) fn is_null(negated: bool) -> Kernel {
    kernel(move |arguments, rows, failures| {
        let intervals = Intervals::of(arguments);
        collect_masks(rows, failures, |row| Ok(Some(intervals.get(row).is_none() != negated)))
    })
}

/// Whole numbers of an interval, as [`part`] or [`epoch_micros`] give them.
pub(crate) fn of_interval(f: impl Fn(Interval) -> Outcome<i64> + Send + Sync + 'static) -> Kernel {
    kernel(move |arguments, rows, failures| {
        let intervals = Intervals::of(arguments);
        collect_numbers::<I>(DataType::Bigint, rows, failures, |row| intervals.get(row).map_or(Ok(None), &f))
    })
}

/// Its length in seconds: a year has 365.25 days, other months thirty.
pub(crate) fn epoch() -> Kernel {
    kernel(move |arguments, rows, failures| {
        let intervals = Intervals::of(arguments);
        collect_numbers::<Float64Type>(DataType::Double, rows, failures, |row| {
            let Some(Interval { months, days, micros }) = intervals.get(row) else { return Ok(None) };
            let (years, months) = (i128::from(months / 12), i128::from(months % 12));
            let quarter_days = years * 1461 + (months * 30 + i128::from(days)) * 4;
            Ok(Some((quarter_days * 21_600) as f64 + micros as f64 / 1e6))
        })
    })
}

/// Its length in microseconds, where a month has thirty days.
pub(crate) fn epoch_micros(Interval { months, days, micros }: Interval) -> Option<i64> {
    let days = months.checked_mul(30)?.checked_add(days)?;
    days.checked_mul(DAY_US)?.checked_add(micros)
}

/// A part of an interval; `None` for parts that it does not have.
pub(crate) fn part(part: Part) -> Option<fn(Interval) -> i64> {
    Some(match part {
        Part::Microsecond => |interval| interval.micros % 60_000_000,
        Part::Millisecond => |interval| interval.micros % 60_000_000 / 1_000,
        Part::Second => |interval| interval.micros % 60_000_000 / 1_000_000,
        Part::Minute => |interval| interval.micros % 3_600_000_000 / 60_000_000,
        Part::Hour => |interval| interval.micros / 3_600_000_000,
        Part::Day => |interval| interval.days,
        Part::Month => |interval| interval.months % 12,
        Part::Quarter => |interval| interval.months % 12 / 3 + 1,
        Part::Year => |interval| interval.months / 12,
        Part::Decade => |interval| interval.months / 120,
        Part::Century => |interval| interval.months / 1_200,
        Part::Millennium => |interval| interval.months / 12_000,
        _ => return None,
    })
}

/// `1 year 2 months 3 days 04:05:06.5`.
pub(crate) fn to_text() -> Kernel {
    kernel(move |arguments, rows, _| {
        let intervals = Intervals::of(arguments);
        collect_texts(rows, |row, out| {
            write(intervals.get(row)?, out);
            Some(())
        })
    })
}

fn write(Interval { months, days, micros }: Interval, out: &mut String) {
    for (count, name) in [(months / 12, "year"), (months % 12, "month"), (days, "day")] {
        if count != 0 {
            let plural = if count.abs() == 1 { "" } else { "s" };
            let _ = write!(out, "{}{count} {name}{plural}", if out.is_empty() { "" } else { " " });
        }
    }
    if micros == 0 && !out.is_empty() {
        return;
    }
    let size = micros.unsigned_abs();
    let (seconds, fraction) = (size / 1_000_000, size % 1_000_000);
    let (space, sign) = (if out.is_empty() { "" } else { " " }, if micros < 0 { "-" } else { "" });
    let _ = write!(out, "{space}{sign}{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if fraction != 0 {
        let digits = format!("{fraction:06}");
        let _ = write!(out, ".{}", digits.trim_end_matches('0'));
    }
}
