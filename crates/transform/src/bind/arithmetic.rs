//! Arithmetic: which operands go together, in which type.

use std::ops::Range;

use arrow_array::types::{Date32Type, Int64Type};
use event::DataType;
use sqlparser::ast::BinaryOperator;

use super::{Bound, Result, common_type, conversion_help};
use crate::ExpressionError;
use crate::kernel::arithmetic::{self, Arithmetic, decimal_type};
use crate::kernel::try_binary;
use crate::node::Shape;

/// The arithmetic that an operator is.
pub(super) fn arithmetic_of(operator: &BinaryOperator) -> Option<Arithmetic> {
    Some(match operator {
        BinaryOperator::Plus => Arithmetic::Add,
        BinaryOperator::Minus => Arithmetic::Subtract,
        BinaryOperator::Multiply => Arithmetic::Multiply,
        BinaryOperator::Divide => Arithmetic::Divide,
        BinaryOperator::DuckIntegerDivide => Arithmetic::DivideWhole,
        BinaryOperator::Modulo => Arithmetic::Remainder,
        _ => return None,
    })
}

/// Arithmetic of two operands.
pub(crate) fn arithmetic_bound(
    operator: Arithmetic,
    left: Bound,
    right: Bound,
    span: Range<usize>,
) -> Result<Bound> {
    let name = operator.symbol();
    if let Some(bound) = date_arithmetic(operator, &left, &right, &span) {
        return bound;
    }
    for operand in [&left, &right] {
        if operand.data_type.is_some_and(|data_type| !data_type.is_numeric()) {
            let message = format!("`{name}` needs numbers, found a {}", operand.type_name());
            return Err(ExpressionError::new(message, operand.span.clone())
                .maybe_help(arithmetic_help(operator, operand)));
        }
    }
    let common = common_type([&left, &right]).unwrap_or(None).unwrap_or(DataType::Bigint);
    let data_type = if operator == Arithmetic::Divide { DataType::Double } else { common };
    match data_type {
        DataType::Bigint => {
            let operands = vec![left.widened(data_type)?, right.widened(data_type)?];
            Bound::call(name, span, operands, data_type, true, arithmetic::integers(operator))
        }
        // As DuckDB: of other numbers it is `/`, but not by zero.
        _ if operator == Arithmetic::DivideWhole => {
            let operands = vec![left.widened(DataType::Double)?, right.widened(DataType::Double)?];
            Bound::call(name, span, operands, DataType::Double, true, arithmetic::double_quotient())
        }
        DataType::Decimal { .. } => decimal_arithmetic(operator, left, right, span),
        _ => {
            let operands = vec![left.widened(DataType::Double)?, right.widened(DataType::Double)?];
            let bound =
                Bound::call(name, span, operands, DataType::Double, false, arithmetic::doubles(operator))?;
            Ok(bound.shaped(Shape::Double(operator)))
        }
    }
}

fn arithmetic_help(operator: Arithmetic, operand: &Bound) -> Option<String> {
    match operand.data_type {
        Some(DataType::Varchar) if operator == Arithmetic::Add && operand.constant_text().is_none() => {
            Some("`||` joins texts; CAST(.. AS double) reads a number out of a text".to_owned())
        }
        Some(DataType::Timestamp | DataType::TimestampTz) if operator == Arithmetic::Subtract => {
            Some("epoch_ms(a) - epoch_ms(b) is a difference in milliseconds".to_owned())
        }
        Some(DataType::Timestamp | DataType::TimestampTz | DataType::Date) => {
            Some("an interval can be added to a time, as in `ts + INTERVAL '10 minutes'`".to_owned())
        }
        _ => conversion_help(operand, DataType::Double),
    }
}

fn decimal_arithmetic(operator: Arithmetic, left: Bound, right: Bound, span: Range<usize>) -> Result<Bound> {
    let shape = |bound: &Bound| bound.decimal_shape().unwrap_or((1, 0));
    let (left_shape, right_shape) = (shape(&left), shape(&right));
    let output = decimal_type(operator, left_shape, right_shape)
        .map_err(|detail| ExpressionError::new(detail, span.clone()).help("cast an operand to double"))?;
    let DataType::Decimal { precision: result_precision, scale: result_scale } = output else {
        unreachable!("decimals give a decimal")
    };
    let widen = |bound: Bound, (precision, scale): (u8, u8)| {
        let to = match operator {
            Arithmetic::Multiply => DataType::Decimal { precision, scale },
            _ => DataType::Decimal { precision: result_precision, scale: result_scale },
        };
        bound.widened(to)
    };
    let operands = vec![widen(left, left_shape)?, widen(right, right_shape)?];
    Bound::call(operator.symbol(), span, operands, output, true, arithmetic::decimals(operator, output))
}

/// Dates count in days: `date + n`, `date - n`, `date - date`.
fn date_arithmetic(
    operator: Arithmetic,
    left: &Bound,
    right: &Bound,
    span: &Range<usize>,
) -> Option<Result<Bound>> {
    let days = |a: i64| i32::try_from(a).map(Some).map_err(|_| "the sum does not fit a date".to_owned());
    let call = |output, fallible, kernel| {
        Some(Bound::call("date", span.clone(), vec![left.clone(), right.clone()], output, fallible, kernel))
    };
    type D = Date32Type;
    type I = Int64Type;
    match (left.data_type?, operator, right.data_type?) {
        (DataType::Date, Arithmetic::Add, DataType::Bigint) => {
            let sum = move |a: i32, b: i64| days(i64::from(a).saturating_add(b));
            call(DataType::Date, true, try_binary::<D, I, D, _>(DataType::Date, sum))
        }
        (DataType::Bigint, Arithmetic::Add, DataType::Date) => {
            let sum = move |a: i64, b: i32| days(a.saturating_add(i64::from(b)));
            call(DataType::Date, true, try_binary::<I, D, D, _>(DataType::Date, sum))
        }
        (DataType::Date, Arithmetic::Subtract, DataType::Bigint) => {
            let sum = move |a: i32, b: i64| days(i64::from(a).saturating_sub(b));
            call(DataType::Date, true, try_binary::<D, I, D, _>(DataType::Date, sum))
        }
        (DataType::Date, Arithmetic::Subtract, DataType::Date) => {
            let difference = |a: i32, b: i32| Ok(Some(i64::from(a) - i64::from(b)));
            call(DataType::Bigint, false, try_binary::<D, D, I, _>(DataType::Bigint, difference))
        }
        _ => None,
    }
}
