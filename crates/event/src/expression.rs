//! What a compiled expression is to those who evaluate it.
//!
//! `transform` compiles them; `dataflow`, `detect` and `alert` hold them without knowing SQL.

use std::fmt;

use arrow_array::ArrayRef;

use crate::{Batch, DataType};

/// An expression compiled against one schema: a pure function from the columns of a batch to a column.
pub trait Expression: fmt::Debug + Send + Sync {
    /// Type of its values.
    fn data_type(&self) -> DataType;

    /// Places of the columns of its schema that it reads, ascending.
    fn columns(&self) -> Vec<usize>;

    /// Its value for each row of `batch`, which must have the schema that it was compiled against.
    fn evaluate(&self, batch: &Batch) -> Evaluation;
}

/// The values of an expression, and the rows for which it has none.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// One value a row. A row that failed holds NULL here.
    pub column: ArrayRef,
    /// Rows that failed, ascending; almost always empty.
    pub failures: Vec<RowFailure>,
}

/// Why an expression has no value for a row, for instance because a sum overflowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFailure {
    /// Row of the batch.
    pub row: usize,
    /// What went wrong, in words.
    pub detail: String,
}
