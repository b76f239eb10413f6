//! SQL's logic of three values over boolean columns.

use std::sync::Arc;

use arrow_arith::boolean;
use arrow_array::cast::AsArray;
use arrow_array::{Array, BooleanArray};
use arrow_buffer::BooleanBuffer;

use crate::node::Kernel;
use crate::value::Value;

/// Where a mask is true: neither false nor NULL.
pub(crate) fn truths(mask: &BooleanArray) -> BooleanBuffer {
    match mask.nulls() {
        Some(nulls) => mask.values() & nulls.inner(),
        None => mask.values().clone(),
    }
}

/// Where a mask is false.
pub(crate) fn falsehoods(mask: &BooleanArray) -> BooleanBuffer {
    match mask.nulls() {
        Some(nulls) => &!mask.values() & nulls.inner(),
        None => !mask.values(),
    }
}

/// Where the result of `AND` (or `OR`) is not yet settled by what it was so far.
pub(crate) fn open(so_far: &BooleanArray, conjunction: bool) -> BooleanBuffer {
    let settled = if conjunction { falsehoods(so_far) } else { truths(so_far) };
    !&settled
}

/// `AND` (or `OR`) of two masks.
pub(crate) fn join(left: &BooleanArray, right: &BooleanArray, conjunction: bool) -> BooleanArray {
    let kernel = if conjunction { boolean::and_kleene } else { boolean::or_kleene };
    kernel(left, right).expect("equal lengths")
}

/// `NOT`.
pub(crate) fn not() -> Kernel {
    Arc::new(|arguments, _, _| {
        Arc::new(boolean::not(arguments[0].array().as_boolean()).expect("not of a boolean"))
    })
}

/// `IS NULL`, or `IS NOT NULL`.
pub(crate) fn is_null(negated: bool) -> Kernel {
    Arc::new(move |arguments: &[Value], _, _| {
        let kernel = if negated { boolean::is_not_null } else { boolean::is_null };
        Arc::new(kernel(arguments[0].array().as_ref()).expect("null test of any column"))
    })
}

/// `IS TRUE`, `IS FALSE` and, negated, `IS NOT TRUE`, `IS NOT FALSE`: never NULL.
pub(crate) fn is(wanted: bool, negated: bool) -> Kernel {
    Arc::new(move |arguments, _, _| {
        let mask = arguments[0].array().as_boolean();
        let hits = if wanted { truths(mask) } else { falsehoods(mask) };
        Arc::new(BooleanArray::new(if negated { !&hits } else { hits }, None))
    })
}
