//! Bits of whole numbers: the operators `&`, `|`, `~`, `<<`, `>>`, and `xor`, `bit_count`.

use std::ops::Range;

use arrow_array::types::Int64Type;
use event::DataType;
use sqlparser::ast::BinaryOperator;

use super::{Function, Invocation, Result, function};
use crate::bind::Bound;
use crate::kernel::{binary, try_binary, unary};
use crate::node::Kernel;

type I = Int64Type;

pub(super) const TABLE: &[Function] = &[
    function("xor", 2..=2, |mut call| {
        call.take_all(DataType::Bigint)?;
        call.total(DataType::Bigint, binary::<I, I, I, _>(DataType::Bigint, |a, b| a ^ b))
    }),
    function("bit_count", 1..=1, |mut call| {
        call.take_all(DataType::Bigint)?;
        call.total(
            DataType::Bigint,
            unary::<I, I, _>(DataType::Bigint, |value| i64::from(value.count_ones())),
        )
    }),
];

/// `left operator right`, if the operator is one of bits.
pub(crate) fn bit_operator(
    operator: &BinaryOperator,
    operands: Vec<Bound>,
    span: Range<usize>,
) -> Option<Result<Bound>> {
    let output = DataType::Bigint;
    let (name, kernel, fallible): (_, Kernel, _) = match operator {
        BinaryOperator::BitwiseAnd => ("&", binary::<I, I, I, _>(output, |a, b| a & b), false),
        BinaryOperator::BitwiseOr => ("|", binary::<I, I, I, _>(output, |a, b| a | b), false),
        BinaryOperator::PGBitwiseShiftLeft => ("<<", try_binary::<I, I, I, _>(output, shift_left), true),
        BinaryOperator::PGBitwiseShiftRight => {
            let shifted = |a: i64, b: i64| if (0..64).contains(&b) { a >> b } else { 0 };
            (">>", binary::<I, I, I, _>(output, shifted), false)
        }
        _ => return None,
    };
    let mut call = Invocation::new(name, span, operands);
    Some(call.take_all(output).and_then(|()| match fallible {
        true => call.partial(output, kernel),
        false => call.total(output, kernel),
    }))
}

/// `~operand`
pub(crate) fn bit_not(operand: Bound, span: Range<usize>) -> Result<Bound> {
    let mut call = Invocation::new("~", span, vec![operand]);
    call.take_all(DataType::Bigint)?;
    call.total(DataType::Bigint, unary::<I, I, _>(DataType::Bigint, |value| !value))
}

/// As DuckDB: of a negative number it fails, and where a bit is lost.
fn shift_left(value: i64, places: i64) -> std::result::Result<Option<i64>, String> {
    let refused = || format!("{value} << {places} does not fit a bigint");
    if value < 0 || places < 0 {
        return Err(format!("{value} << {places}: a negative number cannot be shifted"));
    }
    if value == 0 {
        return Ok(Some(0));
    }
    if places >= i64::from(value.leading_zeros()) {
        return Err(refused());
    }
    Ok(Some(value << places))
}
