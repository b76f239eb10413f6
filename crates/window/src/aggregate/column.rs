//! The values of a column, in the form in which cells take them.

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use event::DataType;

use super::layout::{Value, write_pair};
use super::ordered::sort_key;
use crate::text::Texts;

/// The values of a numeric column as doubles.
pub(super) fn as_doubles(column: &ArrayRef) -> Box<dyn Fn(usize) -> f64 + '_> {
    if let Some(doubles) = column.as_primitive_opt::<Float64Type>() {
        return Box::new(|row| doubles.value(row));
    }
    if let Some(integers) = column.as_primitive_opt::<Int64Type>() {
        return Box::new(|row| integers.value(row) as f64);
    }
    let decimals = column.as_primitive::<Decimal128Type>();
    let scale = 10f64.powi(i32::from(decimals.scale()));
    Box::new(move |row| decimals.value(row) as f64 / scale)
}

pub(super) type Words<'a> = Box<dyn Fn(usize, &mut Texts, &mut [u64]) + 'a>;

/// How the value of a row is written into the words of an ordered cell.
pub(super) fn argument_words(column: &ArrayRef, value: Value) -> Words<'_> {
    match value {
        Value::Text => {
            let texts = column.as_string::<i32>();
            Box::new(|row, known, to| to[0] = known.number(texts.value(row)))
        }
        Value::Pair(_) => {
            let decimals = column.as_primitive::<Decimal128Type>();
            Box::new(|row, _, to| write_pair(to, 0, decimals.value(row)))
        }
        Value::Word(data_type) => {
            let number = word_values(column, data_type);
            Box::new(move |row, _, to| to[0] = number(row) as u64)
        }
    }
}

pub(super) fn word_values(column: &ArrayRef, data_type: DataType) -> Box<dyn Fn(usize) -> i64 + '_> {
    match data_type {
        DataType::Double => {
            let doubles = column.as_primitive::<Float64Type>();
            Box::new(|row| sort_key(doubles.value(row)))
        }
        DataType::Bigint => {
            let integers = column.as_primitive::<Int64Type>();
            Box::new(|row| integers.value(row))
        }
        DataType::Boolean => {
            let truths = column.as_boolean();
            Box::new(|row| i64::from(truths.value(row)))
        }
        DataType::Date => {
            let dates = column.as_primitive::<Date32Type>();
            Box::new(|row| i64::from(dates.value(row)))
        }
        _ => {
            let instants = column.as_primitive::<TimestampMicrosecondType>();
            Box::new(|row| instants.value(row))
        }
    }
}
