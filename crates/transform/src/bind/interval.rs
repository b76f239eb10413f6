//! Intervals: `INTERVAL '10 minutes'`, the difference of two times, and what can be done with one.
//!
//! An interval is no type of a column. Inside an expression it is three whole numbers, so that whatever is done
//! with it is done by kernels over columns like anything else.

use std::ops::Range;

use event::DataType;
use sqlparser::ast::{self, BinaryOperator, Expr, UnaryOperator};

use super::{Binder, Bound, Operand, Result, arithmetic_bound, comparison_of, interval_choice, literal};
use crate::ExpressionError;
use crate::calendar::{Interval, Part};
use crate::kernel::arithmetic::Arithmetic;
use crate::kernel::comparison::Comparison;
use crate::kernel::interval::{self, Piece};

/// Functions that make an interval of a number.
const MAKERS: [(&str, Part); 13] = [
    ("to_microseconds", Part::Microsecond),
    ("to_milliseconds", Part::Millisecond),
    ("to_seconds", Part::Second),
    ("to_minutes", Part::Minute),
    ("to_hours", Part::Hour),
    ("to_days", Part::Day),
    ("to_weeks", Part::Week),
    ("to_months", Part::Month),
    ("to_quarters", Part::Quarter),
    ("to_years", Part::Year),
    ("to_decades", Part::Decade),
    ("to_centuries", Part::Century),
    ("to_millennia", Part::Millennium),
];

/// The names of functions that only make or take intervals.
pub(super) fn names() -> impl Iterator<Item = &'static str> + Clone {
    MAKERS.iter().map(|(name, _)| *name).chain(["age"])
}

/// An interval whose pieces are typed.
#[derive(Debug, Clone)]
pub(crate) struct BoundInterval {
    pieces: [Bound; 3],
    pub(crate) span: Range<usize>,
}

impl BoundInterval {
    pub(super) fn constant(interval: Interval, span: Range<usize>) -> Self {
        let Interval { months, days, micros } = interval;
        let pieces = [months, days, micros].map(|piece| Bound::integer(piece, span.clone()));
        BoundInterval { pieces, span }
    }

    /// An interval of which each piece is a kernel over the operands.
    fn of(
        name: &'static str,
        operands: &[Bound],
        kernel: impl Fn(Piece) -> crate::node::Kernel,
        span: Range<usize>,
    ) -> Result<Self> {
        let piece =
            |piece| Bound::call(name, span.clone(), operands.to_vec(), DataType::Bigint, true, kernel(piece));
        Ok(BoundInterval {
            pieces: [piece(Piece::Months)?, piece(Piece::Days)?, piece(Piece::Micros)?],
            span,
        })
    }

    /// That many of a part, which is constant only where the number is.
    fn many(number: Bound, part: Part, span: Range<usize>) -> Result<Self> {
        if number.data_type.is_some_and(|data_type| !data_type.is_numeric()) {
            let message = format!("an interval needs a number, found a {}", number.type_name());
            return Err(ExpressionError::new(message, number.span));
        }
        let fractions = matches!(part, Part::Second | Part::Millisecond);
        if !fractions && number.data_type.is_some_and(|data_type| data_type != DataType::Bigint) {
            let message = format!("this many parts are a whole number, found a {}", number.type_name());
            return Err(ExpressionError::new(message, number.span).help(
                "only seconds and milliseconds have fractions; round(..)::bigint makes a whole number",
            ));
        }
        let number = number.widened(DataType::Double)?;
        BoundInterval::of("interval", &[number], |piece| interval::many(part, piece), span)
    }

    /// An interval of which each piece is made by itself: 0 its months, 1 its days, 2 its microseconds.
    pub(super) fn piecewise(span: Range<usize>, piece: impl Fn(usize) -> Result<Bound>) -> Result<Self> {
        Ok(BoundInterval { pieces: [piece(0)?, piece(1)?, piece(2)?], span })
    }

    pub(super) fn piece(&self, piece: usize) -> Bound {
        self.pieces[piece].clone()
    }

    pub(crate) fn into_pieces(self) -> Vec<Bound> {
        self.pieces.into()
    }

    fn combined(self, operator: Arithmetic, other: BoundInterval, span: Range<usize>) -> Result<Self> {
        let mut pieces = Vec::with_capacity(3);
        for (left, right) in self.pieces.into_iter().zip(other.pieces) {
            pieces.push(arithmetic_bound(operator, left, right, span.clone())?);
        }
        let pieces = pieces.try_into().unwrap_or_else(|_| unreachable!("three pieces"));
        Ok(BoundInterval { pieces, span })
    }

    /// A call over the pieces, which cannot fail.
    pub(super) fn call(
        self,
        name: &'static str,
        output: DataType,
        kernel: crate::node::Kernel,
        span: Range<usize>,
    ) -> Result<Bound> {
        Bound::call(name, span, self.into_pieces(), output, true, kernel)
    }
}

/// A time plus an interval, or minus it. Of a date it is a timestamp.
pub(super) fn shifted(time: Bound, by: BoundInterval, backwards: bool, span: Range<usize>) -> Result<Bound> {
    let output = match time.data_type {
        None | Some(DataType::Date | DataType::Timestamp) => DataType::Timestamp,
        Some(DataType::TimestampTz) => DataType::TimestampTz,
        Some(other) => {
            let message = format!("an interval cannot be added to a {other}");
            return Err(ExpressionError::new(message, time.span));
        }
    };
    let operands = std::iter::once(time.widened(output)?).chain(by.pieces).collect();
    Bound::call("interval", span, operands, output, true, interval::shift(output, backwards))
}

/// The difference of two times, unless both are dates, whose difference is a number of days.
pub(super) fn difference(left: &Bound, right: &Bound, span: &Range<usize>) -> Option<Result<BoundInterval>> {
    let is_time = |bound: &Bound| {
        matches!(bound.data_type, Some(DataType::Date | DataType::Timestamp | DataType::TimestampTz))
    };
    let dates = [left, right].iter().all(|bound| bound.data_type == Some(DataType::Date));
    if !is_time(left) || !is_time(right) || dates {
        return None;
    }
    Some(
        in_one_time(left.clone(), right.clone()).and_then(|operands| {
            BoundInterval::of("difference", &operands, interval::difference, span.clone())
        }),
    )
}

/// The length of an interval.
pub(super) fn seconds(of: BoundInterval, span: Range<usize>) -> Result<Bound> {
    of.call("epoch", DataType::Double, interval::epoch(), span)
}

/// Two times as instants where one is, else as local times.
fn in_one_time(left: Bound, right: Bound) -> Result<Vec<Bound>> {
    let zoned = [&left, &right].iter().any(|bound| bound.data_type == Some(DataType::TimestampTz));
    let common = if zoned { DataType::TimestampTz } else { DataType::Timestamp };
    Ok(vec![left.widened(common)?, right.widened(common)?])
}

impl Binder<'_> {
    /// `INTERVAL '10 minutes'`, `INTERVAL (n + 1) MINUTE`.
    pub(super) fn interval(&mut self, written: &ast::Interval) -> Result<BoundInterval> {
        let span = self.source.span(written.value.as_ref());
        if let Some(constant) = literal::interval(written, self.source)? {
            return Ok(BoundInterval::constant(constant, span));
        }
        let Some(unit) = &written.leading_field else {
            return Err(ExpressionError::new("the interval needs a unit", span)
                .help("write for instance INTERVAL (n) MINUTE"));
        };
        let part = literal::interval_part(&unit.to_string(), &span)?;
        let number = self.bind(&written.value)?;
        BoundInterval::many(number, part, span)
    }

    /// An operator of which an operand is an interval, or whose result is one; `Err` with the operands if neither.
    #[allow(clippy::result_large_err)]
    pub(super) fn interval_operator(
        &mut self,
        operator: &BinaryOperator,
        left: Operand,
        right: Operand,
        expression: &Expr,
    ) -> std::result::Result<Result<Operand>, (Bound, Bound)> {
        let span = self.source.span(expression);
        let value = |bound: Result<Bound>| Ok(bound.map(Operand::Value));
        let whole = |interval: Result<BoundInterval>| Ok(interval.map(Operand::Interval));
        if let Some(comparison) = comparison_of(operator)
            && !matches!((&left, &right), (Operand::Value(_), Operand::Value(_)))
        {
            return value(self.compare_intervals(comparison, left, right, span));
        }
        match (left, operator, right) {
            (Operand::Value(left), BinaryOperator::Minus, Operand::Value(right)) => {
                match difference(&left, &right, &span) {
                    Some(interval) => whole(interval),
                    None => Err((left, right)),
                }
            }
            (Operand::Value(left), _, Operand::Value(right)) => Err((left, right)),
            (Operand::Interval(left), BinaryOperator::Plus, Operand::Interval(right)) => {
                whole(left.combined(Arithmetic::Add, right, span))
            }
            (Operand::Interval(left), BinaryOperator::Minus, Operand::Interval(right)) => {
                whole(left.combined(Arithmetic::Subtract, right, span))
            }
            (Operand::Value(time), BinaryOperator::Plus, Operand::Interval(by))
            | (Operand::Interval(by), BinaryOperator::Plus, Operand::Value(time)) => {
                value(shifted(time, by, false, span))
            }
            (Operand::Value(time), BinaryOperator::Minus, Operand::Interval(by)) => {
                value(shifted(time, by, true, span))
            }
            (Operand::Interval(interval), BinaryOperator::Multiply, Operand::Value(factor))
            | (Operand::Value(factor), BinaryOperator::Multiply, Operand::Interval(interval)) => {
                whole(scaled(interval, factor, false, span))
            }
            (Operand::Interval(interval), BinaryOperator::Divide, Operand::Value(factor)) => {
                whole(scaled(interval, factor, true, span))
            }
            _ => Ok(Err(self.error(expression, format!("`{operator}` is not there for intervals")))),
        }
    }

    /// A comparison in which at least one side is an interval; a text on the other side is one as well.
    pub(super) fn compare_intervals(
        &mut self,
        operator: Comparison,
        left: Operand,
        right: Operand,
        span: Range<usize>,
    ) -> Result<Bound> {
        let operands = [as_interval(left)?, as_interval(right)?].map(BoundInterval::into_pieces).concat();
        Bound::call("compare", span, operands, DataType::Boolean, false, interval::compare(operator))
    }

    /// `-interval`.
    pub(super) fn signed_interval(
        &mut self,
        operator: &UnaryOperator,
        operand: BoundInterval,
        expression: &Expr,
    ) -> Result<Operand> {
        let span = self.source.span(expression);
        match operator {
            UnaryOperator::Plus => Ok(Operand::Interval(operand)),
            UnaryOperator::Minus => {
                let zero = BoundInterval::constant(Interval::default(), span.clone());
                zero.combined(Arithmetic::Subtract, operand, span).map(Operand::Interval)
            }
            other => Err(self.error(expression, format!("`{other}` is not there for intervals"))),
        }
    }

    /// A function that makes an interval, or takes one; `Err` with the arguments if it is neither.
    #[allow(clippy::type_complexity)]
    pub(super) fn interval_function(
        &mut self,
        name: &str,
        arguments: Vec<Operand>,
        span: Range<usize>,
    ) -> std::result::Result<Result<Operand>, Vec<Bound>> {
        if let Some((_, part)) = MAKERS.iter().find(|(maker, _)| *maker == name) {
            return Ok(one_value(name, arguments, &span)
                .and_then(|number| BoundInterval::many(number, *part, span))
                .map(Operand::Interval));
        }
        if name == "age" {
            return Ok(age(arguments, span).map(Operand::Interval));
        }
        let arguments = match interval_choice::function(self, name, arguments, span.clone()) {
            Ok(chosen) => return Ok(chosen.map(Operand::Interval)),
            Err(arguments) => arguments,
        };
        if !interval_choice::any_interval(&arguments) {
            return Err(arguments.into_iter().filter_map(Operand::value).collect());
        }
        Ok(of_interval(name, arguments, span).map(Operand::Value))
    }
}

/// An operand as an interval: a constant text is read as one.
pub(super) fn as_interval(operand: Operand) -> Result<BoundInterval> {
    match operand {
        Operand::Interval(interval) => Ok(interval),
        Operand::Value(bound) => match (bound.constant_text(), bound.data_type) {
            (Some(text), _) => match literal::interval_text(text) {
                Some(interval) => Ok(BoundInterval::constant(interval, bound.span)),
                None => Err(ExpressionError::new("this is no interval", bound.span)),
            },
            (None, None) => {
                let span = bound.span.clone();
                let null = bound.widened(DataType::Bigint)?;
                Ok(BoundInterval { pieces: [null.clone(), null.clone(), null], span })
            }
            _ => {
                let message = format!("an interval cannot be compared with a {}", bound.type_name());
                Err(ExpressionError::new(message, bound.span.clone()))
            }
        },
    }
}

fn scaled(interval: BoundInterval, factor: Bound, divide: bool, span: Range<usize>) -> Result<BoundInterval> {
    if factor.data_type.is_some_and(|data_type| !data_type.is_numeric()) {
        let message = format!("an interval is multiplied by a number, found a {}", factor.type_name());
        return Err(ExpressionError::new(message, factor.span));
    }
    let mut operands = interval.into_pieces();
    operands.push(factor.widened(DataType::Double)?);
    BoundInterval::of("scale", &operands, |piece| interval::scale(piece, divide), span)
}

fn one_value(name: &str, mut arguments: Vec<Operand>, span: &Range<usize>) -> Result<Bound> {
    let found = arguments.len();
    match arguments.pop() {
        Some(Operand::Value(value)) if found == 1 => Ok(value),
        Some(Operand::Interval(interval)) if found == 1 => {
            Err(ExpressionError::new(format!("`{name}` needs a number, found an interval"), interval.span))
        }
        _ => Err(ExpressionError::new(format!("`{name}` takes 1 argument, not {found}"), span.clone())),
    }
}

fn age(arguments: Vec<Operand>, span: Range<usize>) -> Result<BoundInterval> {
    let values: Vec<Bound> = arguments.into_iter().filter_map(Operand::value).collect();
    let [left, right] = <[Bound; 2]>::try_from(values)
        .map_err(|_| ExpressionError::new("`age` takes 2 times", span.clone()).help("age(later, earlier)"))?;
    for operand in [&left, &right] {
        if operand.data_type.is_some_and(|data_type| {
            !matches!(data_type, DataType::Date | DataType::Timestamp | DataType::TimestampTz)
        }) {
            let message = format!("`age` needs a time, found a {}", operand.type_name());
            return Err(ExpressionError::new(message, operand.span.clone()));
        }
    }
    BoundInterval::of("age", &in_one_time(left, right)?, interval::age, span)
}

/// A function of which some argument is an interval, and whose result is none.
fn of_interval(name: &str, arguments: Vec<Operand>, span: Range<usize>) -> Result<Bound> {
    let refused = |span: &Range<usize>| {
        ExpressionError::new(format!("`{name}` does not take an interval"), span.clone())
            .help("epoch(interval) is its length in seconds")
    };
    let whole = |of: fn(Interval) -> Option<i64>| {
        interval::of_interval(move |interval| {
            of(interval).map(Some).ok_or_else(|| "the interval is too long for a bigint".to_owned())
        })
    };
    let mut arguments = arguments.into_iter();
    match (name, arguments.next(), arguments.next(), arguments.next(), arguments.next()) {
        ("epoch", Some(Operand::Interval(of)), None, None, None) => seconds(of, span),
        ("epoch_us", Some(Operand::Interval(of)), None, None, None) => {
            of.call("epoch_us", DataType::Bigint, whole(interval::epoch_micros), span)
        }
        ("epoch_ms", Some(Operand::Interval(of)), None, None, None) => {
            let millis = whole(|interval| Some(interval::epoch_micros(interval)? / 1_000));
            of.call("epoch_ms", DataType::Bigint, millis, span)
        }
        ("date_part" | "datepart", Some(Operand::Value(part)), Some(Operand::Interval(of)), None, None) => {
            let text = part.constant_text().unwrap_or_default().to_owned();
            part_of(&text, of, part.span, span)
        }
        ("date_add", Some(Operand::Value(time)), Some(Operand::Interval(by)), None, None) => {
            shifted(time, by, false, span)
        }
        ("time_bucket", Some(Operand::Interval(width)), Some(Operand::Value(time)), third, None) => {
            crate::functions::time_bucket(width, time, third, span)
        }
        (part, Some(Operand::Interval(of)), None, None, None) if Part::from_name(part).is_some() => {
            part_of(part, of, span.clone(), span)
        }
        (_, first, second, third, _) => {
            let at = [first, second, third].into_iter().flatten().find_map(|operand| match operand {
                Operand::Interval(interval) => Some(interval.span),
                Operand::Value(_) => None,
            });
            Err(refused(&at.unwrap_or(span)))
        }
    }
}

fn part_of(name: &str, of: BoundInterval, named: Range<usize>, span: Range<usize>) -> Result<Bound> {
    let part = Part::from_name(name);
    if part == Some(Part::Epoch) {
        return seconds(of, span);
    }
    let Some(f) = part.and_then(interval::part) else {
        return Err(ExpressionError::new(format!("an interval has no part `{name}`"), named));
    };
    of.call("date_part", DataType::Bigint, interval::of_interval(move |interval| Ok(Some(f(interval)))), span)
}

/// `IS NULL`, `IS NOT NULL`.
pub(super) fn null_test(operand: BoundInterval, negated: bool, span: Range<usize>) -> Result<Bound> {
    let kernel = interval::is_null(negated);
    Bound::call("is_null", span, operand.into_pieces(), DataType::Boolean, false, kernel)
}

/// `CAST(interval AS varchar)`.
pub(super) fn as_text(of: BoundInterval, to: DataType) -> Result<Bound> {
    let span = of.span.clone();
    if to != DataType::Varchar {
        return Err(ExpressionError::new(format!("an interval cannot be cast to {to}"), span)
            .help("epoch(interval) is its length in seconds"));
    }
    of.call("cast", DataType::Varchar, interval::to_text(), span)
}
