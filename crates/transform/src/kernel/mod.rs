//! Kernels: the loops over columns that steps are made of, and helpers to make them from plain functions.
//!
//! A kernel made here handles constants, NULL and failures; the function it is made from sees one value.

pub(crate) mod arithmetic;
pub(crate) mod cast;
pub(crate) mod comparison;
pub(crate) mod interval;
pub(crate) mod like;
pub(crate) mod logic;
pub(crate) mod number_text;
pub(crate) mod pattern;
pub(crate) mod text;
pub(crate) mod time_format;
pub(crate) mod time_text;
pub(crate) mod zone;

use std::sync::Arc;

use arrow_arith::arity;
use arrow_array::builder::PrimitiveBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{Array, ArrayRef, BooleanArray, PrimitiveArray, new_null_array};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use event::DataType;

use crate::node::Kernel;
use crate::value::{Failures, Value};

/// A number or time argument: a column or one constant.
#[derive(Clone, Copy)]
pub(crate) enum Numbers<'a, T: ArrowPrimitiveType> {
    Column(&'a PrimitiveArray<T>),
    Constant(Option<T::Native>),
}

impl<'a, T: ArrowPrimitiveType> Numbers<'a, T> {
    pub(crate) fn of(value: &'a Value) -> Self {
        match value {
            Value::Column(array) => Numbers::Column(array.as_primitive()),
            Value::Constant(one) => {
                Numbers::Constant(one.is_valid(0).then(|| one.as_primitive::<T>().value(0)))
            }
        }
    }

    pub(crate) fn get(&self, row: usize) -> Option<T::Native> {
        match self {
            Numbers::Column(array) => array.is_valid(row).then(|| array.value(row)),
            Numbers::Constant(one) => *one,
        }
    }

    fn nulls(&self) -> Option<&NullBuffer> {
        match self {
            Numbers::Column(array) => array.nulls(),
            Numbers::Constant(_) => None,
        }
    }
}

/// A kernel from a function that has a value for every value.
pub(crate) fn unary<I, O, F>(output: DataType, f: F) -> Kernel
where
    I: ArrowPrimitiveType,
    O: ArrowPrimitiveType,
    F: Fn(I::Native) -> O::Native + Copy + Send + Sync + 'static,
{
    let output = output.arrow();
    Arc::new(move |arguments, _, _| {
        let column = arity::unary::<I, F, O>(arguments[0].array().as_primitive(), f);
        Arc::new(column.with_data_type(output.clone()))
    })
}

/// A kernel from a function of two values that has a value for all of them.
pub(crate) fn binary<A, B, O, F>(output: DataType, f: F) -> Kernel
where
    A: ArrowPrimitiveType,
    B: ArrowPrimitiveType,
    O: ArrowPrimitiveType,
    F: Fn(A::Native, B::Native) -> O::Native + Copy + Send + Sync + 'static,
{
    let output = output.arrow();
    Arc::new(move |arguments, rows, _| {
        let column: PrimitiveArray<O> =
            match (Numbers::<A>::of(&arguments[0]), Numbers::<B>::of(&arguments[1])) {
                (Numbers::Column(a), Numbers::Column(b)) => arity::binary(a, b, f).expect("equal lengths"),
                (Numbers::Column(a), Numbers::Constant(Some(b))) => arity::unary(a, move |a| f(a, b)),
                (Numbers::Constant(Some(a)), Numbers::Column(b)) => arity::unary(b, move |b| f(a, b)),
                _ => return new_null_array(&output, rows),
            };
        Arc::new(column.with_data_type(output.clone()))
    })
}

/// A kernel from a function of two values that says whether it failed: `(value, failed)`.
///
/// The fast path is one loop without branches; only a batch in which something failed is looked at again.
pub(crate) fn checked_binary<T, F, D>(output: DataType, f: F, detail: D) -> Kernel
where
    T: ArrowPrimitiveType,
    F: Fn(T::Native, T::Native) -> (T::Native, bool) + Copy + Send + Sync + 'static,
    D: Fn(T::Native, T::Native) -> String + Send + Sync + 'static,
{
    let output = output.arrow();
    Arc::new(move |arguments, rows, failures| {
        let (a, b) = (Numbers::<T>::of(&arguments[0]), Numbers::<T>::of(&arguments[1]));
        let mut failed = false;
        let mut step = |a, b| {
            let (value, bad) = f(a, b);
            failed |= bad;
            value
        };
        let values: Vec<T::Native> = match (&a, &b) {
            (Numbers::Column(a), Numbers::Column(b)) => {
                a.values().iter().zip(b.values().iter()).map(|(a, b)| step(*a, *b)).collect()
            }
            (Numbers::Column(a), Numbers::Constant(Some(b))) => {
                a.values().iter().map(|a| step(*a, *b)).collect()
            }
            (Numbers::Constant(Some(a)), Numbers::Column(b)) => {
                b.values().iter().map(|b| step(*a, *b)).collect()
            }
            _ => return new_null_array(&output, rows),
        };
        let mut nulls = NullBuffer::union(a.nulls(), b.nulls());
        if failed {
            let valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
            let bits = BooleanBuffer::collect_bool(rows, |row| match (a.get(row), b.get(row)) {
                (Some(a), Some(b)) if valid(row) => {
                    let bad = f(a, b).1;
                    if bad {
                        failures.push(row, detail(a, b));
                    }
                    !bad
                }
                _ => false,
            });
            nulls = Some(NullBuffer::new(bits)).filter(|nulls| nulls.null_count() > 0);
        }
        Arc::new(PrimitiveArray::<T>::new(values.into(), nulls).with_data_type(output.clone()))
    })
}

/// A kernel from a function that may give NULL or fail. For what is not worth a loop of its own.
pub(crate) fn try_unary<I, O, F>(output: DataType, f: F) -> Kernel
where
    I: ArrowPrimitiveType,
    O: ArrowPrimitiveType,
    F: Fn(I::Native) -> Result<Option<O::Native>, String> + Send + Sync + 'static,
{
    kernel(move |arguments, rows, failures| {
        let a = Numbers::<I>::of(&arguments[0]);
        collect_numbers::<O>(output, rows, failures, |row| a.get(row).map_or(Ok(None), &f))
    })
}

/// The same of two arguments.
pub(crate) fn try_binary<A, B, O, F>(output: DataType, f: F) -> Kernel
where
    A: ArrowPrimitiveType,
    B: ArrowPrimitiveType,
    O: ArrowPrimitiveType,
    F: Fn(A::Native, B::Native) -> Result<Option<O::Native>, String> + Send + Sync + 'static,
{
    kernel(move |arguments, rows, failures| {
        let (a, b) = (Numbers::<A>::of(&arguments[0]), Numbers::<B>::of(&arguments[1]));
        collect_numbers::<O>(output, rows, failures, |row| match (a.get(row), b.get(row)) {
            (Some(a), Some(b)) => f(a, b),
            _ => Ok(None),
        })
    })
}

/// What a row gives: a value, NULL, or why it failed.
pub(crate) type Outcome<T> = Result<Option<T>, String>;

/// A column of numbers, row by row.
pub(crate) fn collect_numbers<O: ArrowPrimitiveType>(
    output: DataType,
    rows: usize,
    failures: &mut Failures,
    outcome: impl Fn(usize) -> Outcome<O::Native>,
) -> ArrayRef {
    let mut column = PrimitiveBuilder::<O>::with_capacity(rows).with_data_type(output.arrow());
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

/// A kernel from the function that is one.
pub(crate) fn kernel(
    f: impl Fn(&[Value], usize, &mut Failures) -> ArrayRef + Send + Sync + 'static,
) -> Kernel {
    Arc::new(f)
}

/// A kernel from a yes-or-no question about a value.
pub(crate) fn predicate<I, F>(f: F) -> Kernel
where
    I: ArrowPrimitiveType,
    F: Fn(I::Native) -> bool + Copy + Send + Sync + 'static,
{
    Arc::new(move |arguments, _, _| {
        Arc::new(BooleanArray::from_unary(arguments[0].array().as_primitive::<I>(), f)) as ArrayRef
    })
}
