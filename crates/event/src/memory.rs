//! What is remembered of a key from one of its rows to the next.

use arrow_array::{ArrayRef, BinaryArray};

/// Remembers some values of each key's last row. `window` keeps it, `detect` says what the values are.
pub trait Memory {
    /// The values of the last row of each of these keys, a column for each value. NULL for a key without one, or
    /// whose last row was due too long before.
    fn recall(&self, keys: &BinaryArray, dues: &[i64]) -> Vec<ArrayRef>;

    /// Notes the rows of keys that differ: when each is due, and its values.
    fn note(&mut self, keys: &BinaryArray, dues: &[i64], values: &[ArrayRef]);
}
