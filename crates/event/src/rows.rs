//! Rows of features: what a closed window gives.

use arrow_array::BinaryArray;

use crate::{Batch, RowFailure, Window};

/// The rows of one closed window, or a part of them: one a key.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The window that closed.
    pub window: Window,
    /// Encoded key of each row; decoded with the job's `KeyShape`.
    pub keys: BinaryArray,
    /// Number of records of each row.
    pub records: Vec<u64>,
    /// Results of the aggregates, in the job's order.
    pub aggregates: Batch,
    /// Rows that an aggregate has no value for (a sum that does not fit its type), ascending. They go to
    /// quarantine.
    pub failures: Vec<RowFailure>,
}
