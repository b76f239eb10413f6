//! Keys that have gone quiet: for a while each window still has a row of them, though it holds no record.
//!
//! Slices stay as long as that, and how many records a key has in them is counted beside the running totals.
//! Whether a key has such a row follows from its records and the window alone: one of the last windows, or this
//! one, holds a record of it.

use event::Watermark;

use crate::Windows;
use crate::slice::Slice;

/// How long keys that have gone quiet have rows, and which have.
#[derive(Debug)]
pub(crate) struct Quiet {
    /// Windows without a record in which a key still has a row.
    windows: i64,
    /// By slot: its records in those slices.
    records: Vec<u64>,
    /// Slices from this number on and below `to` are counted.
    left: i64,
    to: i64,
    /// How far the partitions have come: when the input ends time goes on for ever, but nobody has gone quiet by that.
    reached: Watermark,
}

impl Quiet {
    pub(crate) fn new(windows: i64) -> Self {
        Quiet { windows, records: Vec::new(), left: i64::MIN, to: i64::MIN, reached: Watermark::NONE }
    }

    /// How far the partitions have come.
    pub(crate) fn reached(&self) -> Watermark {
        self.reached
    }

    pub(crate) fn counts(&self, slice: i64) -> bool {
        (self.left..self.to).contains(&slice)
    }

    /// Whether the key of a slot has a row of a window without a record that is due then.
    pub(crate) fn has(&self, slot: usize, due: i64) -> bool {
        due <= self.reached.0 && self.records.get(slot).is_some_and(|records| *records > 0)
    }

    /// Counts rows of a slice in (`sign` 1) or out (-1).
    pub(crate) fn change(
        &mut self,
        slice: &Slice,
        rows: impl Iterator<Item = usize>,
        stride: usize,
        sign: i64,
    ) {
        for row in rows {
            let (slot, records) = (slice.slots[row] as usize, slice.row(row, stride)[0]);
            if self.records.len() <= slot {
                self.records.resize(slot + slot / 4 + 1, 0);
            }
            let counted = &mut self.records[slot];
            *counted = counted.wrapping_add_signed(sign * records as i64);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.records.capacity() * 8
    }
}

impl Windows {
    /// Says how far the partitions have come, the furthest of them: rows of quiet keys are put out up to there.
    pub fn set_reached(&mut self, reached: Watermark) {
        if let Some(quiet) = &mut self.quiet {
            quiet.reached = quiet.reached.max(reached);
        }
    }

    /// The first slice that says of a key that it has not gone quiet for too long, by the next window to close.
    pub(crate) fn first_quiet(&self, quiet: &Quiet) -> i64 {
        let next = self.floor.max(self.slicing.first_window_due_after(self.closed.0));
        self.slicing.slices_of(next.saturating_sub(quiet.windows)).start
    }

    /// Does not count the slices before one any more.
    pub(crate) fn leave_quiet(&mut self, first: i64) {
        let Some(quiet) = &mut self.quiet else { return };
        let stride = self.layout.stride();
        if quiet.left < first {
            for (_, slice) in self.slices.range(quiet.left..first.min(quiet.to).max(quiet.left)) {
                quiet.change(slice, 0..slice.rows(), stride, -1);
            }
            quiet.left = first;
            quiet.to = quiet.to.max(first);
        }
    }

    /// Counts the slices up to the end of a window.
    pub(crate) fn enter_quiet(&mut self, end: i64) {
        let Some(quiet) = &mut self.quiet else { return };
        let stride = self.layout.stride();
        if quiet.to < end {
            for (_, slice) in self.slices.range(quiet.to..end) {
                quiet.change(slice, 0..slice.rows(), stride, 1);
            }
            quiet.to = end;
        }
    }
}
