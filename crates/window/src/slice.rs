//! A slice's rows of state: one for each key that has a record in it, in order of arrival.

use crate::aggregate::{Layout, Spills};
use crate::keys::Keys;

/// No row.
const NONE: u32 = 0;

/// The accumulators of one slice. Sparse: a key without a record in it costs nothing once the slice is
/// sealed; until then an index of 4 bytes per slot finds the rows.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    /// Slot of the key of each row.
    pub(crate) slots: Vec<u32>,
    /// The rows, `Layout::stride` words each.
    pub(crate) words: Vec<u64>,
    /// Sums that fit no cell, by row.
    pub(crate) spills: Spills,
    /// For a slice that is in the front of the running window: what remains of each row's key in the
    /// front once this slice is gone; `Layout::ordered` words each.
    pub(crate) suffix: Vec<u64>,
    /// Whether a snapshot holds it as it is.
    pub(crate) saved: bool,
    /// By slot: row + 1.
    index: Vec<u32>,
}

impl Slice {
    /// Finds the rows of `slots`, making new ones, and appends them to `rows`.
    pub(crate) fn find_or_insert(
        &mut self,
        layout: &Layout,
        keys: &mut Keys,
        slots: &[u32],
        rows: &mut Vec<u32>,
    ) {
        self.saved = false;
        self.index_slots(keys.slots());
        for slot in slots {
            let row = &mut self.index[*slot as usize];
            if *row == NONE {
                self.slots.push(*slot);
                *row = self.slots.len() as u32;
                keys.refer(*slot);
            }
            rows.push(*row - 1);
        }
        self.words.resize(self.slots.len() * layout.stride(), 0);
    }

    /// Makes the index cover `slots`, rebuilding it if it was dropped.
    fn index_slots(&mut self, slots: usize) {
        let dropped = self.index.is_empty();
        if self.index.len() < slots {
            // Ahead of the table's growth, so that it is not done for every batch.
            self.index.resize(slots + slots / 4 + 64, NONE);
        }
        if dropped {
            for (row, slot) in self.slots.iter().enumerate() {
                self.index[*slot as usize] = row as u32 + 1;
            }
        }
    }

    /// Drops the index: no more records are expected, though they still may come.
    pub(crate) fn seal(&mut self) {
        self.index = Vec::new();
    }

    /// Whether it is sealed: it changes only by a record behind the watermark.
    pub(crate) fn is_sealed(&self) -> bool {
        self.index.is_empty()
    }

    /// A row's words.
    pub(crate) fn row(&self, row: usize, stride: usize) -> &[u64] {
        &self.words[row * stride..(row + 1) * stride]
    }

    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> usize {
        (self.words.capacity() + self.suffix.capacity()) * 8
            + (self.slots.capacity() + self.index.capacity()) * 4
    }
}
