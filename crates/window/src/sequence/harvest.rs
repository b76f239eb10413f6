//! Rows on their way out, until there are enough of them to be handed on.

use std::sync::Arc;

use arrow_array::BinaryArray;
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use event::{Batch, Rows, Schema, Span, Spans};

use super::state::Emit;
use super::table::{Table, move_spills};
use keys::Keys;

use crate::aggregate::{Layout, Spills, Totals, combine, merge_spill, results};
use crate::text::Texts;

/// Rows that are handed on in one go.
const ROWS: usize = 4096;
/// Bytes of keys that are handed on in one go.
const KEY_BYTES: usize = 16 << 20;

#[derive(Debug)]
pub(crate) struct Harvest {
    spans: Vec<Span>,
    key_bytes: Vec<u8>,
    /// Where each key ends.
    key_ends: Vec<i32>,
    additive: Vec<u64>,
    ordered: Vec<u64>,
    spills: Spills,
    schema: Arc<Schema>,
    /// Rows so far.
    rows: u64,
}

impl Harvest {
    pub(crate) fn new(schema: Arc<Schema>) -> Self {
        Harvest {
            spans: Vec::new(),
            key_bytes: Vec::new(),
            key_ends: Vec::new(),
            additive: Vec::new(),
            ordered: Vec::new(),
            spills: Spills::new(),
            schema,
            rows: 0,
        }
    }

    /// One with the same columns and without a row.
    pub(crate) fn empty(&self) -> Self {
        Harvest::new(Arc::clone(&self.schema))
    }

    /// Number of rows so far, those that were handed on included.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn is_full(&self) -> bool {
        self.spans.len() >= ROWS || self.key_bytes.len() >= KEY_BYTES
    }

    pub(crate) fn push(&mut self, layout: &Layout, keys: &Keys, table: &Table, row: u32, span: Span) {
        let words = table.words(row, layout.stride());
        let place = self.spans.len() as u32;
        self.spans.push(span);
        keys.append_key(table.slot(row), &mut self.key_bytes);
        self.key_ends.push(self.key_bytes.len() as i32);
        self.additive.extend_from_slice(&words[..layout.additive()]);
        self.ordered.extend_from_slice(&words[layout.additive()..]);
        self.spills.extend(table.spills_of(row).map(|(word, spill)| ((place, word), spill.clone())));
        self.rows += 1;
    }

    /// Adds what a row holds to the last one.
    pub(crate) fn add(&mut self, layout: &Layout, texts: &Texts, table: &Table, row: u32) {
        let Some(place) = self.spans.len().checked_sub(1) else { return };
        let words = table.words(row, layout.stride());
        layout.add(&mut self.additive[place * layout.additive()..], words);
        if layout.ordered() > 0 {
            let last = &mut self.ordered[place * layout.ordered()..];
            combine(layout, texts, last, &words[layout.additive()..]);
        }
        for (word, spill) in table.spills_of(row) {
            merge_spill(&mut self.spills, (place as u32, word), spill, 1);
        }
    }

    pub(crate) fn widen(&mut self, narrow: &Layout, wide: &Layout) {
        self.additive = wide.convert_additive(narrow, &self.additive);
        move_spills(&mut self.spills, narrow, wide);
    }

    pub(crate) fn flush(&mut self, layout: &Layout, texts: &Texts, emit: &mut Emit<'_>) {
        if self.spans.is_empty() {
            return;
        }
        let (additive, ordered) = (&self.additive, &self.ordered);
        let totals = Totals { layout, texts, additive, ordered, spills: &self.spills, own: &self.spills };
        let places: Vec<u32> = (0..self.spans.len() as u32).collect();
        let (columns, failures) = results(&totals, &places);
        let records = self.additive.chunks_exact(layout.additive()).map(|row| row[0]).collect();
        self.additive.clear();
        self.ordered.clear();
        self.spills.clear();
        emit(Rows {
            spans: Spans::Own(std::mem::take(&mut self.spans)),
            keys: self.take_keys(),
            records,
            aggregates: Batch::new(Arc::clone(&self.schema), columns, places.len()),
            previous: Vec::new(),
            failures,
        });
    }

    fn take_keys(&mut self) -> BinaryArray {
        let offsets: Vec<i32> = [0].into_iter().chain(self.key_ends.drain(..)).collect();
        let bytes = Buffer::from_vec(std::mem::take(&mut self.key_bytes));
        BinaryArray::new(OffsetBuffer::new(ScalarBuffer::from(offsets)), bytes, None)
    }
}
