//! What flows between the steps of an expression: columns or constants, the batch that is read, and failures.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ArrayRef, Datum, UInt32Array, new_null_array};
use arrow_select::take::take;
use event::RowFailure;

/// The value of a step over a batch.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// One value a row. Text is a plain `StringArray`.
    Column(ArrayRef),
    /// The same value in every row: an array of length one.
    Constant(ArrayRef),
}

impl Value {
    /// The array, of length one for a constant.
    pub(crate) fn array(&self) -> &ArrayRef {
        match self {
            Value::Column(array) | Value::Constant(array) => array,
        }
    }

    /// A column of `rows` rows.
    pub(crate) fn into_column(self, rows: usize) -> ArrayRef {
        match self {
            Value::Column(array) => array,
            Value::Constant(one) if one.is_null(0) => new_null_array(one.data_type(), rows),
            Value::Constant(one) => take_rows(&one, &UInt32Array::from(vec![0; rows])),
        }
    }
}

impl Datum for Value {
    fn get(&self) -> (&dyn Array, bool) {
        (self.array().as_ref(), matches!(self, Value::Constant(_)))
    }
}

/// The columns that an expression reads, all of `rows` rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) columns: &'a [ArrayRef],
    pub(crate) rows: usize,
}

/// Those rows of the columns in `used`, which are all that will be read. The others stay as they are.
pub(crate) fn select_columns(columns: &[ArrayRef], used: &[usize], rows: &UInt32Array) -> Vec<ArrayRef> {
    let mut selected = columns.to_vec();
    for &index in used {
        selected[index] = take_rows(&columns[index], rows);
    }
    selected
}

/// Those rows of a column; a NULL index gives NULL.
pub(crate) fn take_rows(column: &ArrayRef, rows: &UInt32Array) -> ArrayRef {
    take(column.as_ref(), rows, None).expect("rows within the column")
}

/// A text column as plain text, any other as it is.
pub(crate) fn plain(column: &ArrayRef) -> ArrayRef {
    match column.as_dictionary_opt::<UInt32Type>() {
        Some(codes) => take_rows(codes.values(), codes.keys()),
        None => Arc::clone(column),
    }
}

/// Rows for which an expression has no value, in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    rows: Vec<RowFailure>,
}

impl Failures {
    pub(crate) fn push(&mut self, row: usize, detail: String) {
        self.rows.push(RowFailure { row, detail });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn first(&self) -> Option<&RowFailure> {
        self.rows.first()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &RowFailure> {
        self.rows.iter()
    }

    /// Adds what failed on a selection of our rows.
    pub(crate) fn extend_selected(&mut self, selected: Failures, rows: &[u32]) {
        let mapped = selected.rows.into_iter();
        self.rows.extend(mapped.map(|failure| RowFailure { row: rows[failure.row] as usize, ..failure }));
    }

    /// Ascending, the first failure of each row: the same whatever else stands in the batch.
    pub(crate) fn finish(mut self) -> Vec<RowFailure> {
        self.rows.sort_by_key(|failure| failure.row);
        self.rows.dedup_by_key(|failure| failure.row);
        self.rows
    }
}
