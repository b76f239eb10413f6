//! The rows of accumulators of open windows: each belongs to a key, and is used again once its window is gone.

use crate::aggregate::{Layout, Spill, Spills, combine, merge_spill, spills_of, text_words};
use crate::text::Texts;

/// No row, no slot.
pub(crate) const NONE: u32 = u32::MAX;

/// Rows of accumulators, and what snapshots hold of them.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Slot of the key of each row; `NONE` where the row is free.
    slots: Vec<u32>,
    /// The rows, `Layout::stride` words each.
    pub(crate) words: Vec<u64>,
    /// What fits no cell, by row.
    pub(crate) spills: Spills,
    free: Vec<u32>,
    /// Rows that are free once the records that are being folded are.
    freed: Vec<u32>,
    changed: Bits,
    /// Rows that snapshots hold.
    saved: Bits,
    /// How many snapshots hold altogether, since one held all.
    written: usize,
}

/// Rows that a snapshot must hold.
#[derive(Debug, Default)]
pub(crate) struct Unsaved {
    /// Whether these are all: older snapshots are not needed any more.
    pub(crate) whole: bool,
    pub(crate) rows: Vec<u32>,
    /// Rows that older snapshots hold and that are gone.
    pub(crate) freed: Vec<u32>,
}

/// A bit for each row.
#[derive(Debug, Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn set(&mut self, row: u32) {
        let word = row as usize / 64;
        if word >= self.0.len() {
            // Ahead of the rows, so that it is not done for each.
            self.0.resize(word + word / 4 + 1, 0);
        }
        self.0[word] |= 1 << (row % 64);
    }

    fn clear(&mut self, row: u32) {
        if let Some(word) = self.0.get_mut(row as usize / 64) {
            *word &= !(1 << (row % 64));
        }
    }

    fn has(&self, row: u32) -> bool {
        self.0.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    fn rows(&self) -> Vec<u32> {
        let mut rows = Vec::new();
        for (word, bits) in self.0.iter().enumerate() {
            let mut bits = *bits;
            while bits != 0 {
                rows.push(word as u32 * 64 + bits.trailing_zeros());
                bits &= bits - 1;
            }
        }
        rows
    }
}

impl Table {
    /// A row of a key with nothing in it.
    pub(crate) fn take(&mut self, slot: u32, stride: usize) -> u32 {
        let row = match self.free.pop() {
            Some(row) => {
                self.slots[row as usize] = slot;
                self.words[row as usize * stride..][..stride].fill(0);
                row
            }
            None => {
                self.slots.push(slot);
                self.words.resize(self.slots.len() * stride, 0);
                (self.slots.len() - 1) as u32
            }
        };
        self.changed.set(row);
        row
    }

    /// Empties a row.
    pub(crate) fn clear(&mut self, row: u32, stride: usize) {
        self.drop_spills(row);
        self.words[row as usize * stride..][..stride].fill(0);
        self.changed.set(row);
    }

    /// Gives a row up, once [`Table::recycle`] is called. Returns its key's slot.
    pub(crate) fn release(&mut self, row: u32) -> u32 {
        self.drop_spills(row);
        self.freed.push(row);
        self.changed.set(row);
        std::mem::replace(&mut self.slots[row as usize], NONE)
    }

    /// Lets rows that were given up be used again: no record is on its way to them.
    pub(crate) fn recycle(&mut self) {
        self.free.append(&mut self.freed);
    }

    /// The slot of a row's key, `NONE` if it is free.
    pub(crate) fn slot(&self, row: u32) -> u32 {
        self.slots[row as usize]
    }

    /// Number of rows in use.
    pub(crate) fn live(&self) -> usize {
        self.slots.len() - self.free.len() - self.freed.len()
    }

    /// Notes that a row changes.
    pub(crate) fn touch(&mut self, row: u32) {
        self.changed.set(row);
    }

    pub(crate) fn words(&self, row: u32, stride: usize) -> &[u64] {
        &self.words[row as usize * stride..][..stride]
    }

    pub(crate) fn spills_of(&self, row: u32) -> impl Iterator<Item = (u16, &Spill)> {
        spills_of(&self.spills, row)
    }

    pub(crate) fn drop_spills(&mut self, row: u32) {
        if self.spills.is_empty() {
            return;
        }
        let words: Vec<u16> = self.spills_of(row).map(|(word, _)| word).collect();
        for word in words {
            self.spills.remove(&(row, word));
        }
    }

    /// Adds what a row holds to another.
    pub(crate) fn merge(&mut self, layout: &Layout, texts: &Texts, into: u32, from: u32) {
        let (stride, additive) = (layout.stride(), layout.additive());
        let (into_at, from_at) = (into as usize * stride, from as usize * stride);
        let middle = into_at.max(from_at);
        let (low, high) = self.words.split_at_mut(middle);
        let (to, from_words) = if into_at < from_at {
            (&mut low[into_at..into_at + stride], &high[..stride])
        } else {
            (&mut high[..stride], &low[from_at..from_at + stride])
        };
        layout.add(to, from_words);
        if layout.ordered() > 0 {
            combine(layout, texts, &mut to[additive..], &from_words[additive..]);
        }
        let spills: Vec<(u16, Spill)> =
            self.spills_of(from).map(|(word, spill)| (word, spill.clone())).collect();
        for (word, spill) in spills {
            merge_spill(&mut self.spills, (into, word), &spill, 1);
        }
        self.changed.set(into);
    }

    /// Gives rows the cells of a wider layout.
    pub(crate) fn widen(&mut self, narrow: &Layout, wide: &Layout) {
        self.words = wide.convert(narrow, &self.words);
        move_spills(&mut self.spills, narrow, wide);
    }

    /// Renumbers the texts that rows refer to.
    pub(crate) fn renumber(&mut self, layout: &Layout, keep: &mut dyn FnMut(u64) -> u64) {
        let places = text_words(layout);
        let rows = self.words.chunks_exact_mut(layout.stride()).zip(&self.slots);
        for (row, _) in rows.filter(|(_, slot)| **slot != NONE) {
            let ordered = &mut row[layout.additive()..];
            for (has, word) in &places {
                if ordered[*has] == 1 {
                    ordered[*word] = keep(ordered[*word]);
                }
            }
        }
    }

    /// What the next snapshot must hold, which is noted as saved. `None` if nothing has changed.
    pub(crate) fn save(&mut self, whole: bool) -> Option<Unsaved> {
        let (mut rows, mut freed) = (Vec::new(), Vec::new());
        for row in self.changed.rows() {
            match self.slots[row as usize] {
                NONE if self.saved.has(row) => freed.push(row),
                NONE => {}
                _ => rows.push(row),
            }
        }
        let more = rows.len() + freed.len();
        let is_whole = whole || self.written + more > 2 * self.live();
        if (more == 0 && !whole) || (is_whole && self.written == 0 && self.live() == 0) {
            return None;
        }
        if is_whole {
            rows = (0..self.slots.len() as u32).filter(|row| self.slots[*row as usize] != NONE).collect();
            freed.clear();
            self.saved = Bits::default();
        }
        rows.iter().for_each(|row| self.saved.set(*row));
        freed.iter().for_each(|row| self.saved.clear(*row));
        self.changed = Bits::default();
        self.written = if is_whole { rows.len() } else { self.written + more };
        Some(Unsaved { whole: is_whole, rows, freed })
    }

    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> usize {
        (self.slots.capacity() + self.free.capacity() + self.freed.capacity()) * 4
            + (self.words.capacity() + self.changed.0.capacity() + self.saved.0.capacity()) * 8
    }
}

/// Spills are named by word: a cell that widens moves those behind it.
pub(crate) fn move_spills(spills: &mut Spills, narrow: &Layout, wide: &Layout) {
    let old = std::mem::take(spills);
    spills.extend(
        old.into_iter().filter_map(|((row, word), spill)| {
            wide.moved_word(narrow, word).map(|word| ((row, word), spill))
        }),
    );
}
