//! Helpers that make kernels over text from plain functions.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{Array, ArrayRef, StringArray};

use crate::kernel::{Numbers, Outcome, collect_numbers, kernel};
use crate::node::Kernel;
use crate::value::{Failures, Value};

/// A text argument: a column or one constant.
#[derive(Clone, Copy)]
pub(crate) enum Texts<'a> {
    Column(&'a StringArray),
    Constant(Option<&'a str>),
}

impl<'a> Texts<'a> {
    pub(crate) fn of(value: &'a Value) -> Self {
        match value {
            Value::Column(array) => Texts::Column(array.as_string()),
            Value::Constant(one) => Texts::Constant(one.is_valid(0).then(|| one.as_string::<i32>().value(0))),
        }
    }

    pub(crate) fn get(&self, row: usize) -> Option<&'a str> {
        match self {
            Texts::Column(array) => array.is_valid(row).then(|| array.value(row)),
            Texts::Constant(text) => *text,
        }
    }
}

/// A text column, row by row: `write` appends the text of a row, or says that it is NULL.
pub(crate) fn collect_texts(rows: usize, write: impl Fn(usize, &mut String) -> Option<()>) -> ArrayRef {
    let mut column = StringBuilder::with_capacity(rows, rows * 8);
    let mut text = String::new();
    for row in 0..rows {
        text.clear();
        column.append_option(write(row, &mut text).map(|()| text.as_str()));
    }
    Arc::new(column.finish())
}

/// A text from each text.
pub(crate) fn text_to_text(f: impl Fn(&str, &mut String) + Send + Sync + 'static) -> Kernel {
    kernel(move |arguments, rows, _| {
        let texts = Texts::of(&arguments[0]);
        collect_texts(rows, |row, out| texts.get(row).map(|text| f(text, out)))
    })
}

/// A text from each number or time.
pub(crate) fn number_to_text<T>(f: impl Fn(T::Native, &mut String) + Send + Sync + 'static) -> Kernel
where
    T: ArrowPrimitiveType,
{
    kernel(move |arguments, rows, _| {
        let numbers = Numbers::<T>::of(&arguments[0]);
        collect_texts(rows, |row, out| numbers.get(row).map(|value| f(value, out)))
    })
}

/// A question about each text.
pub(crate) fn text_predicate(f: impl Fn(&str) -> bool + Send + Sync + 'static) -> Kernel {
    kernel(move |arguments, rows, failures| {
        let texts = Texts::of(&arguments[0]);
        collect_masks(rows, failures, |row| Ok(texts.get(row).map(&f)))
    })
}

/// A question about two texts.
pub(crate) fn text_pair_predicate(f: impl Fn(&str, &str) -> bool + Send + Sync + 'static) -> Kernel {
    kernel(move |arguments, rows, failures| {
        let (left, right) = (Texts::of(&arguments[0]), Texts::of(&arguments[1]));
        collect_masks(rows, failures, |row| {
            Ok(left.get(row).zip(right.get(row)).map(|(left, right)| f(left, right)))
        })
    })
}

/// A mask, row by row.
pub(crate) fn collect_masks(
    rows: usize,
    failures: &mut Failures,
    mut outcome: impl FnMut(usize) -> Outcome<bool>,
) -> ArrayRef {
    let mut column = BooleanBuilder::with_capacity(rows);
    for row in 0..rows {
        match outcome(row) {
            Ok(value) => column.append_option(value),
            Err(detail) => {
                failures.push(row, detail);
                column.append_null();
            }
        }
    }
    Arc::new(column.finish())
}

/// A text column, row by row, where a row may fail.
pub(crate) fn try_collect_texts(
    rows: usize,
    failures: &mut Failures,
    mut write: impl FnMut(usize, &mut String) -> Result<Option<()>, String>,
) -> ArrayRef {
    let mut column = StringBuilder::with_capacity(rows, rows * 8);
    let mut text = String::new();
    for row in 0..rows {
        text.clear();
        match write(row, &mut text) {
            Ok(written) => column.append_option(written.map(|()| text.as_str())),
            Err(detail) => {
                failures.push(row, detail);
                column.append_null();
            }
        }
    }
    Arc::new(column.finish())
}

/// A number from each text.
pub(crate) fn text_to_number<O>(
    output: event::DataType,
    f: impl Fn(&str) -> Outcome<O::Native> + Send + Sync + 'static,
) -> Kernel
where
    O: ArrowPrimitiveType,
{
    kernel(move |arguments, rows, failures| {
        let texts = Texts::of(&arguments[0]);
        collect_numbers::<O>(output, rows, failures, |row| texts.get(row).map_or(Ok(None), &f))
    })
}

/// A number from two texts.
pub(crate) fn text_pair_to_number<O>(
    output: event::DataType,
    f: impl Fn(&str, &str) -> Outcome<O::Native> + Send + Sync + 'static,
) -> Kernel
where
    O: ArrowPrimitiveType,
{
    kernel(move |arguments, rows, failures| {
        let (left, right) = (Texts::of(&arguments[0]), Texts::of(&arguments[1]));
        collect_numbers::<O>(output, rows, failures, |row| match (left.get(row), right.get(row)) {
            (Some(left), Some(right)) => f(left, right),
            _ => Ok(None),
        })
    })
}
