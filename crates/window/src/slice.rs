//! A slice's rows of state: one for each key that has a record in it, in order of arrival.

use std::sync::Arc;

use keys::Keys;

use crate::aggregate::{Layout, Spills, spills_of};
use crate::index::Index;

/// The accumulators of one slice. Sparse: a key without a record in it costs nothing; where many keys have one, an
/// index of 4 bytes per slot finds the rows until the slice is sealed.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    /// Slot of the key of each row. Shared with snapshots that are still being written.
    pub(crate) slots: Arc<Vec<u32>>,
    /// The rows, `Layout::stride` words each. Shared likewise.
    pub(crate) words: Arc<Vec<u64>>,
    /// What fits no cell, by row.
    pub(crate) spills: Spills,
    /// For a slice that is in the front of the running window: what remains of each row's key in the
    /// front once this slice is gone; `Layout::ordered` words each.
    pub(crate) suffix: Vec<u64>,
    /// What snapshots hold of it.
    pub(crate) saved: Saved,
    index: Index,
}

/// What snapshots hold of a slice, and what has changed since.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    /// Rows that they hold; those behind are new.
    rows: usize,
    /// A bit for each of those: whether it has changed since.
    changed: Vec<u64>,
    /// How many have.
    changes: usize,
    /// Rows that they hold altogether, since one held the whole slice.
    written: usize,
}

impl Saved {
    /// Notes that rows change.
    fn touch(&mut self, rows: &[u32]) {
        // A slice that no snapshot holds costs nothing here.
        for row in rows.iter().map(|row| *row as usize).filter(|row| *row < self.rows) {
            let (word, bit) = (&mut self.changed[row / 64], 1 << (row % 64));
            self.changes += usize::from(*word & bit == 0);
            *word |= bit;
        }
    }
}

impl Slice {
    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.slots.len()
    }

    /// Whether snapshots hold it as it is.
    pub(crate) fn is_saved(&self) -> bool {
        self.saved.rows == self.slots.len() && self.saved.changes == 0
    }

    /// The rows that the next snapshot must hold, or `None` if that had better be all of them: then older
    /// snapshots of the slice are not needed any more.
    pub(crate) fn unsaved(&self) -> Option<Vec<u32>> {
        let Saved { rows, changed, changes, written } = &self.saved;
        let more = changes + self.slots.len() - rows;
        if *rows == 0 || written + more > 2 * self.slots.len() {
            return None;
        }
        let mut unsaved = Vec::with_capacity(more);
        for (word, bits) in changed.iter().enumerate() {
            let mut bits = *bits;
            while bits != 0 {
                unsaved.push(word as u32 * 64 + bits.trailing_zeros());
                bits &= bits - 1;
            }
        }
        unsaved.extend(*rows as u32..self.slots.len() as u32);
        Some(unsaved)
    }

    /// Notes that a snapshot holds so many more rows of it, or all of them.
    pub(crate) fn note_saved(&mut self, more: Option<usize>) {
        let rows = self.slots.len();
        let written = more.map_or(rows, |more| self.saved.written + more);
        let mut changed = std::mem::take(&mut self.saved.changed);
        changed.clear();
        changed.resize(rows.div_ceil(64), 0);
        self.saved = Saved { rows, changed, changes: 0, written };
    }

    /// Notes that the next snapshot must hold all of it.
    pub(crate) fn forget_saved(&mut self) {
        self.saved = Saved::default();
    }

    /// Finds the rows of `slots`, making new ones, and appends them to `rows`.
    pub(crate) fn find_or_insert(
        &mut self,
        layout: &Layout,
        keys: &mut Keys,
        slots: &[u32],
        rows: &mut Vec<u32>,
    ) {
        let known = Arc::make_mut(&mut self.slots);
        self.index.reserve(known, slots.len(), keys.slots());
        for slot in slots {
            let row = self.index.row(*slot);
            if *row == 0 {
                known.push(*slot);
                *row = known.len() as u32;
                keys.refer(*slot);
            }
            rows.push(*row - 1);
        }
        Arc::make_mut(&mut self.words).resize(known.len() * layout.stride(), 0);
        self.saved.touch(rows);
    }

    /// Whether a key has a row.
    pub(crate) fn has(&self, slot: u32) -> bool {
        // In blocks without a way out of the middle, which the processor does several at a time.
        self.slots.chunks(256).any(|block| block.iter().fold(false, |found, other| found | (*other == slot)))
    }

    /// Drops the index: no more records are expected, though they still may come.
    pub(crate) fn seal(&mut self) {
        self.index = Index::default();
    }

    /// Whether it is sealed: it changes only by a record behind the watermark.
    pub(crate) fn is_sealed(&self) -> bool {
        self.index.is_empty()
    }

    /// The rows of some slots, which ascend, as a slice whose slots are their numbers.
    pub(crate) fn chosen(&self, layout: &Layout, slots: &[u32]) -> Slice {
        let stride = layout.stride();
        let (mut numbers, mut words, mut spills) = (Vec::new(), Vec::new(), Spills::new());
        if let [slot] = slots
            && !self.has(*slot)
        {
            return Slice::default();
        }
        for (row, slot) in (0..).zip(self.slots.iter()) {
            let Ok(number) = slots.binary_search(slot) else { continue };
            let place = numbers.len() as u32;
            let of_row = spills_of(&self.spills, row);
            spills.extend(of_row.map(|(word, spill)| ((place, word), spill.clone())));
            numbers.push(number as u32);
            words.extend_from_slice(self.row(row as usize, stride));
        }
        Slice { slots: Arc::new(numbers), words: Arc::new(words), spills, ..Slice::default() }
    }

    /// A row's words.
    pub(crate) fn row(&self, row: usize, stride: usize) -> &[u64] {
        &self.words[row * stride..(row + 1) * stride]
    }

    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> usize {
        (self.words.capacity() + self.suffix.capacity()) * 8 + self.slots.capacity() * 4 + self.index.bytes()
    }
}
