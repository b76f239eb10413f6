//! The running totals of the window that closes next: what its slices add up to, by slot.
//!
//! Additive words are added when a slice comes in and taken away when it goes. Ordered words cannot be
//! taken away: they use two stacks, a *front* of older slices, each of which knows what remains without
//! it, and a *back* that newer slices are combined into. So a slice's row is touched a constant number
//! of times, however many windows overlap.
//!
//! The state of a program's own aggregate can be combined, but nothing is known of its size or of what a combination
//! costs: those of a window are gathered from its slices when it closes, at the cost of as many merges as a key has
//! slices.
//!
//! Source: Tangwongsan, Hirzel, Schneider (2017), "Low-latency sliding-window aggregation in worst-case
//! constant time" (the two-stacks algorithm).

use crate::aggregate::{Layout, Spills, combine, merge_spill, spills_of, subtractable};
use crate::slice::Slice;
use crate::text::Texts;

#[derive(Debug)]
pub(crate) struct Running {
    /// Additive words, a row a slot.
    pub(crate) additive: Vec<u64>,
    /// Ordered words of the front, a row a slot.
    pub(crate) front: Vec<u64>,
    /// Ordered words of the back, a row a slot.
    pub(crate) back: Vec<u64>,
    pub(crate) spills: Spills,
    /// States of a program's own aggregates in the window that closes, by slot and word.
    pub(crate) own: Spills,
    /// Slices below this number are in the front.
    front_to: i64,
    /// The front and the back do not say what the slices do: build them again before they are read.
    stale: bool,
}

impl Running {
    pub(crate) fn new() -> Self {
        Running {
            additive: Vec::new(),
            front: Vec::new(),
            back: Vec::new(),
            spills: Spills::new(),
            own: Spills::new(),
            front_to: i64::MIN,
            stale: false,
        }
    }

    /// Makes room for `slots` slots.
    pub(crate) fn reserve(&mut self, layout: &Layout, slots: usize) {
        if self.additive.len() < slots * layout.additive() {
            self.additive.resize(slots * layout.additive(), 0);
            self.front.resize(slots * layout.ordered(), 0);
            self.back.resize(slots * layout.ordered(), 0);
        }
    }

    /// Takes a slice in.
    pub(crate) fn merge(&mut self, layout: &Layout, texts: &Texts, slice: &Slice) {
        let (width, stride, ordered) = (layout.additive(), layout.stride(), layout.ordered());
        for (slot, row) in slice.slots.iter().zip(slice.words.chunks_exact(stride)) {
            let slot = *slot as usize;
            layout.add(&mut self.additive[slot * width..(slot + 1) * width], row);
            if ordered > 0 {
                combine(layout, texts, &mut self.back[slot * ordered..(slot + 1) * ordered], &row[width..]);
            }
        }
        self.merge_spills(slice, 1);
    }

    /// Lets the oldest slice go.
    pub(crate) fn expire(&mut self, layout: &Layout, number: i64, slice: &Slice) {
        let (width, stride, ordered) = (layout.additive(), layout.stride(), layout.ordered());
        for (slot, row) in slice.slots.iter().zip(slice.words.chunks_exact(stride)) {
            let slot = *slot as usize;
            layout.subtract(&mut self.additive[slot * width..(slot + 1) * width], row);
        }
        self.merge_spills(slice, -1);
        if ordered == 0 {
            return;
        }
        if number >= self.front_to || self.stale {
            self.stale = true;
            return;
        }
        for (slot, rest) in slice.slots.iter().zip(slice.suffix.chunks_exact(ordered)) {
            let slot = *slot as usize;
            self.front[slot * ordered..(slot + 1) * ordered].copy_from_slice(rest);
        }
    }

    /// Takes rows of a slice that is in (`sign` 1) or out (-1) again: around a change of those rows.
    pub(crate) fn change(&mut self, layout: &Layout, slice: &Slice, rows: &[u32], sign: i64) {
        let width = layout.additive();
        for row in rows {
            let slot = slice.slots[*row as usize] as usize;
            let total = &mut self.additive[slot * width..(slot + 1) * width];
            match sign {
                1 => layout.add(total, slice.row(*row as usize, layout.stride())),
                _ => layout.subtract(total, slice.row(*row as usize, layout.stride())),
            }
            let slot = slice.slots[*row as usize];
            for (word, spill) in spills_of(&slice.spills, *row).filter(|(_, spill)| spill.is_subtractable()) {
                merge_spill(&mut self.spills, (slot, word), spill, sign);
            }
        }
        self.stale |= layout.ordered() > 0;
    }

    fn merge_spills(&mut self, slice: &Slice, sign: i64) {
        for ((row, word), spill) in subtractable(&slice.spills) {
            merge_spill(&mut self.spills, (slice.slots[*row as usize], *word), spill, sign);
        }
    }

    /// Takes the states of a program's own aggregates in that a slice of the window has.
    pub(crate) fn merge_own(&mut self, slice: &Slice) {
        for ((row, word), spill) in slice.spills.iter().filter(|(_, spill)| !spill.is_subtractable()) {
            merge_spill(&mut self.own, (slice.slots[*row as usize], *word), spill, 1);
        }
    }

    /// Builds front and back again if they are stale. `slices` are those that are in, up to `merged_to`, oldest
    /// first.
    pub(crate) fn refresh<'a>(
        &mut self,
        layout: &Layout,
        texts: &Texts,
        slices: impl DoubleEndedIterator<Item = (&'a i64, &'a mut Slice)>,
        merged_to: i64,
    ) {
        let ordered = layout.ordered();
        if !self.stale {
            return;
        }
        self.front.fill(0);
        self.back.fill(0);
        for (_, slice) in slices.rev() {
            slice.suffix.resize(slice.slots.len() * ordered, 0);
            let rows = slice.words.chunks_exact(layout.stride()).zip(slice.suffix.chunks_exact_mut(ordered));
            for (slot, (row, rest)) in slice.slots.iter().zip(rows) {
                let slot = *slot as usize;
                let front = &mut self.front[slot * ordered..(slot + 1) * ordered];
                rest.copy_from_slice(front);
                combine(layout, texts, front, &row[layout.additive()..]);
            }
        }
        self.front_to = merged_to;
        self.stale = false;
    }

    /// Writes the ordered words of front and back together into `out`, for `slots`.
    pub(crate) fn combine_ordered(&self, layout: &Layout, texts: &Texts, slots: &[u32], out: &mut Vec<u64>) {
        let ordered = layout.ordered();
        out.resize(self.front.len(), 0);
        for slot in slots {
            let row = *slot as usize * ordered..(*slot as usize + 1) * ordered;
            out[row.clone()].copy_from_slice(&self.front[row.clone()]);
            combine(layout, texts, &mut out[row.clone()], &self.back[row]);
        }
    }

    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> usize {
        (self.additive.capacity() + self.front.capacity() + self.back.capacity()) * 8
    }
}
