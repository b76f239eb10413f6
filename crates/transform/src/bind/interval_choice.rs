//! Choices among intervals: `CASE`, `coalesce`, `nullif`, `greatest`, `IN`. Each of the three numbers of an interval is chosen by
//! itself, and all by the same conditions.

use std::ops::Range;

use super::interval::{BoundInterval, as_interval, null_test};
use super::{Binder, Bound, Operand, Result};
use crate::kernel::comparison::Comparison;
use event::DataType;

/// Whether one of the operands is an interval, and so all are.
pub(super) fn any_interval(operands: &[Operand]) -> bool {
    operands.iter().any(|operand| matches!(operand, Operand::Interval(_)))
}

/// `CASE` whose results are intervals: the first of which the condition holds, or the last.
pub(super) fn case(
    conditions: &[Bound],
    results: Vec<Operand>,
    otherwise: Operand,
    span: Range<usize>,
) -> Result<BoundInterval> {
    let results = results.into_iter().map(as_interval).collect::<Result<Vec<_>>>()?;
    let otherwise = as_interval(otherwise)?;
    BoundInterval::piecewise(span.clone(), |piece| {
        let results = results.iter().map(|result| result.piece(piece));
        let branches = conditions.iter().cloned().zip(results).collect();
        Bound::case(branches, otherwise.piece(piece), DataType::Bigint, span.clone())
    })
}

/// A function that chooses among intervals; `Err` with the arguments if it is none, or none is an interval.
#[allow(clippy::result_large_err)]
pub(super) fn function(
    binder: &mut Binder<'_>,
    name: &str,
    mut arguments: Vec<Operand>,
    span: Range<usize>,
) -> std::result::Result<Result<BoundInterval>, Vec<Operand>> {
    match (name, arguments.len()) {
        _ if !any_interval(&arguments) => Err(arguments),
        ("coalesce", 1..) | ("ifnull", 2) => Ok(coalesce(arguments, span)),
        ("greatest", 1..) => Ok(extreme(binder, Comparison::Greater, arguments, span)),
        ("least", 1..) => Ok(extreme(binder, Comparison::Less, arguments, span)),
        ("nullif", 2) => {
            let (right, left) = (arguments.pop(), arguments.pop());
            match (left, right) {
                (Some(left), Some(right)) => Ok(null_if(binder, left, right, span)),
                _ => Err(arguments),
            }
        }
        ("if", 3) if matches!(arguments[0], Operand::Value(_)) => {
            let condition = arguments.remove(0);
            let otherwise = arguments.remove(1);
            Ok(binder
                .boolean_operand(condition)
                .and_then(|condition| case(&[condition], arguments, otherwise, span)))
        }
        _ => Err(arguments),
    }
}

fn coalesce(arguments: Vec<Operand>, span: Range<usize>) -> Result<BoundInterval> {
    let arguments = arguments.into_iter().map(as_interval).collect::<Result<Vec<_>>>()?;
    // The numbers of an interval are NULL together.
    BoundInterval::piecewise(span.clone(), |piece| {
        let pieces = arguments.iter().map(|argument| argument.piece(piece)).collect();
        Bound::coalesce(pieces, DataType::Bigint, span.clone())
    })
}

/// The first of the greatest, or least, that is not NULL.
fn extreme(
    binder: &mut Binder<'_>,
    further: Comparison,
    arguments: Vec<Operand>,
    span: Range<usize>,
) -> Result<BoundInterval> {
    let mut arguments = arguments.into_iter().map(as_interval).collect::<Result<Vec<_>>>()?.into_iter();
    let Some(mut best) = arguments.next() else { return as_interval(Operand::Value(Bound::null(span))) };
    for next in arguments {
        let (mine, theirs) = (Operand::Interval(best.clone()), Operand::Interval(next));
        let none = null_test(best, false, span.clone())?;
        let beyond = binder.compare_intervals(further, theirs.clone(), mine.clone(), span.clone())?;
        best = case(&[none, beyond], vec![theirs.clone(), theirs], mine, span.clone())?;
    }
    Ok(best)
}

/// NULL where both are equal, else the first.
fn null_if(
    binder: &mut Binder<'_>,
    left: Operand,
    right: Operand,
    span: Range<usize>,
) -> Result<BoundInterval> {
    let equal = binder.compare_intervals(Comparison::Equal, left.clone(), right, span.clone())?;
    let null = Operand::Value(Bound::null(span.clone()));
    case(&[equal], vec![null], left, span)
}

impl Binder<'_> {
    /// `IN` over intervals: one comparison for each of the list.
    pub(super) fn in_intervals(
        &mut self,
        value: Operand,
        list: Vec<Operand>,
        span: Range<usize>,
    ) -> Result<Bound> {
        let mut terms = Vec::with_capacity(list.len());
        for item in list {
            terms.push(self.compare_intervals(Comparison::Equal, value.clone(), item, span.clone())?);
        }
        Bound::junction(false, terms, span)
    }
}
