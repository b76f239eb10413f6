//! Finds the row of a slot within a slice: a table of all slots where many have a row, else one of those that do.

/// No row.
const NONE: u32 = 0;
/// Where fewer slots than one in so many have a row, those alone are held: the table of all slots would be larger.
const SPARSE: usize = 8;
/// A table of all of no more slots than these is small enough.
const SMALL: usize = 1024;

/// By slot: row + 1. Empty when it is dropped.
#[derive(Debug)]
pub(crate) enum Index {
    /// Of every slot.
    Dense(Vec<u32>),
    /// Of slots that have a row: open addressing, (slot, row + 1) in a power of two of places, of which no more
    /// than half are taken.
    Sparse(Vec<(u32, u32)>),
}

impl Default for Index {
    fn default() -> Self {
        Index::Sparse(Vec::new())
    }
}

impl Index {
    /// Whether it holds nothing.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Index::Dense(rows) => rows.is_empty(),
            Index::Sparse(places) => places.is_empty(),
        }
    }

    /// Makes room for the rows of `known`, which it holds unless it is empty, and for `more`, all of which are below
    /// `slots`.
    pub(crate) fn reserve(&mut self, known: &[u32], more: usize, slots: usize) {
        let rows = (known.len() + more).min(slots);
        match self {
            Index::Dense(of_slots) if of_slots.len() >= slots => {}
            // Ahead of the table's growth, so that it is not done for every batch.
            Index::Dense(of_slots) => of_slots.resize(slots + slots / 4 + 64, NONE),
            Index::Sparse(_) if slots <= SMALL || rows >= slots / SPARSE => {
                *self = Index::Dense(vec![NONE; slots + slots / 4 + 64]);
                self.fill(known);
            }
            Index::Sparse(places) if places.len() >= 2 * rows => {}
            Index::Sparse(_) => {
                *self = Index::Sparse(vec![(0, NONE); (2 * rows).next_power_of_two()]);
                self.fill(known);
            }
        }
    }

    fn fill(&mut self, known: &[u32]) {
        for (row, slot) in (1..).zip(known) {
            *self.row(*slot) = row;
        }
    }

    /// Row + 1 of a slot, or zero, which the caller replaces. There must be room.
    #[inline]
    pub(crate) fn row(&mut self, slot: u32) -> &mut u32 {
        match self {
            Index::Dense(rows) => &mut rows[slot as usize],
            Index::Sparse(places) => {
                let mask = places.len() - 1;
                // Slots that come together are often neighbours: the multiplication sends them apart.
                let mut at = (slot.wrapping_mul(0x9E37_79B1) >> 7) as usize & mask;
                while places[at].1 != NONE && places[at].0 != slot {
                    at = (at + 1) & mask;
                }
                let place = &mut places[at];
                place.0 = slot;
                &mut place.1
            }
        }
    }

    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Index::Dense(rows) => rows.capacity() * size_of::<u32>(),
            Index::Sparse(places) => places.capacity() * size_of::<(u32, u32)>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_slot_has_the_row_that_it_was_given(
            batches in prop::collection::vec((prop::collection::vec(any::<u32>(), 1..200), 1u32..3000, any::<bool>()), 1..20),
        ) {
            let (mut index, mut known, mut rows, mut slots) = (Index::default(), Vec::new(), HashMap::new(), 1);
            for (batch, more_slots, is_dropped) in batches {
                slots += more_slots;
                if is_dropped {
                    index = Index::default();
                }
                index.reserve(&known, batch.len(), slots as usize);
                for slot in batch.iter().map(|slot| slot % slots) {
                    let row = index.row(slot);
                    prop_assert_eq!(*row, rows.get(&slot).copied().unwrap_or(NONE));
                    if *row == NONE {
                        known.push(slot);
                        *row = known.len() as u32;
                        rows.insert(slot, *row);
                    }
                }
            }
        }
    }

    #[test]
    fn few_rows_of_many_slots_take_little() {
        let mut index = Index::default();
        index.reserve(&[], 100, 1_000_000);
        assert!(index.bytes() < 4_000);
        index.reserve(&[], 500_000, 1_000_000);
        assert!(index.bytes() >= 4_000_000);
    }
}
