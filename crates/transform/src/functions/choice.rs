//! Functions that choose among their arguments.

use arrow_select::nullif::nullif;
use event::DataType;

use super::{Function, Invocation, MANY, Result, function};
use crate::bind::{Bound, comparable, one_type};
use crate::kernel::comparison::{Comparison, compare, extreme};
use crate::value::Value;

pub(super) const TABLE: &[Function] = &[
    function("coalesce", 1..=MANY, coalesce),
    function("ifnull", 2..=2, coalesce),
    function("nullif", 2..=2, null_if),
    function("greatest", 1..=MANY, |call| extreme_of(call, true)),
    function("least", 1..=MANY, |call| extreme_of(call, false)),
    function("if", 3..=3, choose),
    function("typeof", 1..=1, type_of),
];

/// `if(condition, then, otherwise)`
fn choose(mut call: Invocation) -> Result<Bound> {
    call.take(0, DataType::Boolean)?;
    let condition = call.arguments.remove(0);
    let (mut results, data_type) = one_type(call.arguments, "the results of if")?;
    let otherwise = results.remove(1);
    Bound::case(vec![(condition, results.remove(0))], otherwise, data_type, call.span)
}

/// The type's name as DuckDB writes it.
fn type_of(call: Invocation) -> Result<Bound> {
    let name = match call.arguments[0].data_type {
        None => "\"NULL\"".to_owned(),
        Some(DataType::TimestampTz) => "TIMESTAMP WITH TIME ZONE".to_owned(),
        Some(data_type) => data_type.to_string().to_ascii_uppercase(),
    };
    Ok(Bound::text(&name, call.span))
}

fn coalesce(call: Invocation) -> Result<Bound> {
    let (mut operands, data_type) = one_type(call.arguments, "the arguments of coalesce")?;
    operands.retain(|operand| !operand.is_null());
    // Behind a constant nothing is ever needed.
    let constant = |operand: &Bound| matches!(operand.node, crate::node::Node::Constant(_));
    if let Some(place) = operands.iter().position(constant) {
        operands.truncate(place + 1);
    }
    match operands.len() {
        0 => Bound::null(call.span).widened(data_type),
        1 => Ok(operands.remove(0).at(call.span)),
        _ => Bound::coalesce(operands, data_type, call.span),
    }
}

/// NULL where both are equal, else the first; its type is that of the first.
fn null_if(mut call: Invocation) -> Result<Bound> {
    let first = call.arguments[0].clone();
    let data_type = first.data_type.unwrap_or(DataType::Boolean);
    let (operands, common) = comparable(std::mem::take(&mut call.arguments))?;
    call.arguments = std::iter::once(first.widened(data_type)?).chain(operands).collect();
    call.total(
        data_type,
        std::sync::Arc::new(move |arguments, rows, _| {
            let column = arguments[0].clone().into_column(rows);
            let left = Value::Column(arguments[1].clone().into_column(rows));
            let equal = compare(Comparison::Equal, common, &left, &arguments[2], rows);
            nullif(column.as_ref(), &equal).expect("a mask of the same length")
        }),
    )
}

fn extreme_of(mut call: Invocation, greatest: bool) -> Result<Bound> {
    let (operands, data_type) = comparable(std::mem::take(&mut call.arguments))?;
    call.arguments = operands;
    call.total(data_type, extreme(greatest, data_type))
}
