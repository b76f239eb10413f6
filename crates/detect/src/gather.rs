//! Collects chosen rows of many chunks into columns of their own.
//!
//! Used by [`Detection`](crate::Detection) for hits and for failed rows; both are rare, so a chunk
//! without any costs nothing here, and neither does a window that all rows share.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, UInt32Array, new_empty_array};
use arrow_select::concat::concat;
use arrow_select::take::take;
use event::{Field, Span};

/// Chosen rows: their own windows if they have such, their keys, and their computed columns.
#[derive(Default)]
pub(crate) struct Gather {
    /// For each chunk its keys and then its columns.
    parts: Vec<Vec<ArrayRef>>,
    /// Of each row; empty where all share a window.
    spans: Vec<Span>,
    rows: usize,
}

impl Gather {
    /// Rows gathered so far.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Adds the rows at `indices`, ascending, of a chunk. If that is all of them no column is copied.
    ///
    /// `own` are the windows of the chunk's rows if each has its own, in all chunks or in none.
    pub(crate) fn push(
        &mut self,
        own: Option<&[Span]>,
        keys: &BinaryArray,
        columns: &[ArrayRef],
        indices: &[u32],
    ) {
        self.rows += indices.len();
        if let Some(own) = own {
            self.spans.extend(indices.iter().map(|row| own[*row as usize]));
        }
        let all = indices.len() == keys.len();
        let places = UInt32Array::from_iter_values(if all { &[] } else { indices }.iter().copied());
        let chosen = |column: &dyn Array| {
            if all {
                return column.slice(0, column.len());
            }
            take(column, &places, None).expect("chosen rows are no more bytes than all of them")
        };
        let mut part = Vec::with_capacity(columns.len() + 1);
        part.push(chosen(keys));
        part.extend(columns.iter().map(|column| chosen(column)));
        self.parts.push(part);
    }

    /// The windows, the keys and the columns, which have the types of `fields`.
    pub(crate) fn finish(self, fields: &[Field]) -> (Vec<Span>, BinaryArray, Vec<ArrayRef>) {
        let mut columns: Vec<ArrayRef> = match self.parts.len() {
            0 => {
                let empty = fields.iter().map(|field| new_empty_array(&field.data_type.arrow())).collect();
                return (Vec::new(), BinaryArray::new_null(0), empty);
            }
            1 => self.parts.into_iter().next().unwrap_or_default(),
            _ => (0..=fields.len())
                .map(|column| {
                    let parts: Vec<&dyn Array> =
                        self.parts.iter().map(|part| part[column].as_ref()).collect();
                    concat(&parts).expect("chunks of one type, whose rows fit in one column")
                })
                .collect(),
        };
        let keys = columns.remove(0).as_binary::<i32>().clone();
        (self.spans, keys, columns)
    }
}
