//! Comparisons: Arrow's kernels, except for doubles.
//!
//! Doubles follow DuckDB's total order: NaN equals NaN and is greater than everything else, and
//! `-0.0` equals `0.0` (Arrow's total order has it less).

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, new_null_array};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_ord::cmp;
use arrow_schema::{ArrowError, DataType as ArrowType};
use arrow_select::zip::zip;
use event::DataType;

use crate::kernel::{Numbers, logic};
use crate::node::Kernel;
use crate::value::Value;

/// An operator that compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// `IS DISTINCT FROM`: NULL is a value like others.
    Distinct,
    /// `IS NOT DISTINCT FROM`.
    NotDistinct,
}

/// Compares two operands of that type.
pub(crate) fn comparison(operator: Comparison, operands: DataType) -> Kernel {
    Arc::new(move |arguments, rows, _| {
        Arc::new(compare(operator, operands, &arguments[0], &arguments[1], rows)) as ArrayRef
    })
}

/// The mask of one comparison; at least one operand is a column of `rows` rows.
pub(crate) fn compare(
    operator: Comparison,
    operands: DataType,
    left: &Value,
    right: &Value,
    rows: usize,
) -> BooleanArray {
    if operands == DataType::Double {
        return compare_doubles(operator, left, right, rows);
    }
    type Kernel = fn(&dyn arrow_array::Datum, &dyn arrow_array::Datum) -> Result<BooleanArray, ArrowError>;
    let kernel: Kernel = match operator {
        Comparison::Equal => cmp::eq,
        Comparison::NotEqual => cmp::neq,
        Comparison::Less => cmp::lt,
        Comparison::LessOrEqual => cmp::lt_eq,
        Comparison::Greater => cmp::gt,
        Comparison::GreaterOrEqual => cmp::gt_eq,
        Comparison::Distinct => cmp::distinct,
        Comparison::NotDistinct => cmp::not_distinct,
    };
    kernel(left, right).expect("operands of one type")
}

fn compare_doubles(operator: Comparison, left: &Value, right: &Value, rows: usize) -> BooleanArray {
    match operator {
        Comparison::Equal => doubles(left, right, rows, same),
        Comparison::NotEqual => doubles(left, right, rows, |a, b| !same(a, b)),
        Comparison::Less => doubles(left, right, rows, less),
        Comparison::LessOrEqual => doubles(left, right, rows, |a, b| !less(b, a)),
        Comparison::Greater => doubles(left, right, rows, |a, b| less(b, a)),
        Comparison::GreaterOrEqual => doubles(left, right, rows, |a, b| !less(a, b)),
        Comparison::Distinct => distinct_doubles(left, right, rows, true),
        Comparison::NotDistinct => distinct_doubles(left, right, rows, false),
    }
}

#[inline]
fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() & b.is_nan())
}

#[inline]
fn less(a: f64, b: f64) -> bool {
    a < b || (b.is_nan() & !a.is_nan())
}

fn doubles(left: &Value, right: &Value, rows: usize, f: impl Fn(f64, f64) -> bool) -> BooleanArray {
    match (Numbers::<Float64Type>::of(left), Numbers::<Float64Type>::of(right)) {
        (Numbers::Column(a), Numbers::Column(b)) => {
            let (x, y) = (&a.values()[..rows], &b.values()[..rows]);
            let bits = BooleanBuffer::collect_bool(rows, |row| f(x[row], y[row]));
            BooleanArray::new(bits, NullBuffer::union(a.nulls(), b.nulls()))
        }
        (Numbers::Column(a), Numbers::Constant(Some(b))) => BooleanArray::from_unary(a, |a| f(a, b)),
        (Numbers::Constant(Some(a)), Numbers::Column(b)) => BooleanArray::from_unary(b, |b| f(a, b)),
        _ => BooleanArray::new_null(rows),
    }
}

fn distinct_doubles(left: &Value, right: &Value, rows: usize, wanted: bool) -> BooleanArray {
    let (a, b) = (Numbers::<Float64Type>::of(left), Numbers::<Float64Type>::of(right));
    let bits = BooleanBuffer::collect_bool(rows, |row| {
        let distinct = match (a.get(row), b.get(row)) {
            (Some(a), Some(b)) => !same(a, b),
            (None, None) => false,
            _ => true,
        };
        distinct == wanted
    });
    BooleanArray::new(bits, None)
}

/// `x BETWEEN low AND high`.
pub(crate) fn between(operands: DataType) -> Kernel {
    Arc::new(move |arguments, rows, _| {
        let [value, low, high] = arguments else { unreachable!("three operands") };
        let column = |mask: BooleanArray| Value::Column(Arc::new(mask)).into_column(rows);
        let above = compare_any(Comparison::GreaterOrEqual, operands, value, low, rows);
        let below = compare_any(Comparison::LessOrEqual, operands, value, high, rows);
        column(logic::join(&above, &below, true))
    })
}

/// `x IN (a, b, ..)` over any operands.
pub(crate) fn in_list(operands: DataType) -> Kernel {
    Arc::new(move |arguments, rows, _| {
        let (value, list) = arguments.split_first().expect("a value and a list");
        let masks = list.iter().map(|item| compare_any(Comparison::Equal, operands, value, item, rows));
        Arc::new(masks.reduce(|left, right| logic::join(&left, &right, false)).expect("a list is not empty"))
    })
}

/// `x IN (..)` over a list of constant texts, by binary search.
pub(crate) fn in_texts(mut list: Vec<String>, with_null: bool) -> Kernel {
    list.sort_unstable();
    Arc::new(move |arguments, rows, _| {
        let texts = arguments[0].array().as_string::<i32>();
        let found = |row: usize| list.binary_search_by(|item| item.as_str().cmp(texts.value(row))).is_ok();
        Arc::new(membership(rows, texts.nulls(), with_null, found))
    })
}

/// `x IN (..)` over a list of constant integers, by binary search.
pub(crate) fn in_integers(mut list: Vec<i64>, with_null: bool) -> Kernel {
    list.sort_unstable();
    Arc::new(move |arguments, rows, _| {
        let numbers = arguments[0].array().as_primitive::<Int64Type>();
        let found = |row: usize| list.binary_search(&numbers.value(row)).is_ok();
        Arc::new(membership(rows, numbers.nulls(), with_null, found))
    })
}

/// A list with NULL never says that a value is not in it.
fn membership(
    rows: usize,
    nulls: Option<&NullBuffer>,
    with_null: bool,
    found: impl Fn(usize) -> bool,
) -> BooleanArray {
    let bits = BooleanBuffer::collect_bool(rows, found);
    let unknown = with_null.then(|| NullBuffer::new(bits.clone()));
    BooleanArray::new(bits, NullBuffer::union(nulls, unknown.as_ref()))
}

/// As `compare`, where both operands may be constants.
fn compare_any(
    operator: Comparison,
    operands: DataType,
    left: &Value,
    right: &Value,
    rows: usize,
) -> BooleanArray {
    let both_constant = matches!((left, right), (Value::Constant(_), Value::Constant(_)));
    if !both_constant {
        return compare(operator, operands, left, right, rows);
    }
    let left = Value::Column(left.clone().into_column(rows));
    compare(operator, operands, &left, right, rows)
}

/// `GREATEST` or `LEAST`: NULL only where all are.
pub(crate) fn extreme(greatest: bool, operands: DataType) -> Kernel {
    let operator = if greatest { Comparison::Greater } else { Comparison::Less };
    Arc::new(move |arguments, rows, _| {
        let columns = arguments.iter().map(|value| value.clone().into_column(rows));
        let best = columns.reduce(|best, next| {
            let (old, new) = (Value::Column(best), Value::Column(next));
            let better = logic::truths(&compare(operator, operands, &new, &old, rows));
            let first = BooleanBuffer::collect_bool(rows, |row| old.array().is_null(row));
            zip(&BooleanArray::new(&better | &first, None), &new, &old).expect("operands of one type")
        });
        best.unwrap_or_else(|| new_null_array(&ArrowType::Null, rows))
    })
}
