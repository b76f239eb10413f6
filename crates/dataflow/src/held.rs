//! Rows that wait for their turn, for the one writer to put out in canonical order.
//!
//! Those of a window come together and in no order, and mostly become due together: they are put in order then, at
//! once. What is compared and moved meanwhile is not the rows but their places, in short.

use std::collections::VecDeque;

use event::{Due, OutputRow};

/// The rows that are not due yet.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// In canonical order.
    ordered: VecDeque<OutputRow>,
    /// As they came, since the last of them was due.
    fresh: Vec<OutputRow>,
    /// Which of the fresh ones is due first.
    least: usize,
}

impl Held {
    pub(crate) fn push(&mut self, row: OutputRow) {
        if self.fresh.get(self.least).is_some_and(|least| row.due < least.due) {
            self.least = self.fresh.len();
        }
        self.fresh.push(row);
    }

    /// Takes out the first row if it stands before a place in the canonical order.
    pub(crate) fn next_before(&mut self, place: &Due) -> Option<OutputRow> {
        if self.fresh.get(self.least).is_some_and(|least| least.due < *place) {
            self.arrange();
        }
        self.ordered.pop_front_if(|row| row.due < *place)
    }

    /// Takes out the first row.
    pub(crate) fn next(&mut self) -> Option<OutputRow> {
        self.arrange();
        self.ordered.pop_front()
    }

    /// All rows in canonical order.
    pub(crate) fn rows(&mut self) -> Vec<OutputRow> {
        self.arrange();
        self.ordered.iter().cloned().collect()
    }

    fn arrange(&mut self) {
        if self.fresh.is_empty() {
            return;
        }
        let mut order: Vec<(Short, u32)> = self.fresh.iter().map(Short::of).zip(0..).collect();
        let rows = &self.fresh;
        order.sort_unstable_by(|(a, i), (b, j)| {
            a.cmp(b).then_with(|| rows[*i as usize].cmp(&rows[*j as usize]))
        });
        let mut rows: Vec<Option<OutputRow>> = self.fresh.drain(..).map(Some).collect();
        self.least = 0;
        let waiting = self.ordered.len();
        self.ordered.extend(order.into_iter().filter_map(|(_, row)| rows[row as usize].take()));
        // Two runs, which the stable sort merges.
        if waiting > 0 {
            self.ordered.make_contiguous().sort();
        }
    }
}

/// A row's place up to the first bytes of its key. Rows of different ones are in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Short {
    due: i64,
    class: u8,
    operator: u16,
    window_end: i64,
    window_start: i64,
    key: u64,
}

impl Short {
    fn of(row: &OutputRow) -> Self {
        let Due { due, class, operator, window_end, window_start, ref key, .. } = row.due;
        let mut first = [0; 8];
        let known = key.len().min(first.len());
        first[..known].copy_from_slice(&key[..known]);
        Short { due, class, operator, window_end, window_start, key: u64::from_be_bytes(first) }
    }
}

impl FromIterator<OutputRow> for Held {
    fn from_iter<I: IntoIterator<Item = OutputRow>>(rows: I) -> Self {
        let mut held = Held::default();
        rows.into_iter().for_each(|row| held.push(row));
        held
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use event::{Place, SinkId, Watermark};
    use proptest::prelude::*;

    use super::*;

    fn due(seen: i64) -> Due {
        Due::from(Place { seen: Watermark(seen), series: 0, offset: 0 })
    }

    fn row(seen: i64, line: u8) -> OutputRow {
        // Keys that begin alike, and one that ends where another goes on.
        let key = [b"same first bytes".as_slice(), b"same first", b"same", b"other"][usize::from(line % 4)];
        OutputRow {
            due: Due { key: key.to_vec(), ..due(seen) },
            sink: SinkId(0),
            line: vec![line],
            capped: None,
        }
    }

    proptest! {
        #[test]
        fn rows_come_out_as_a_heap_gives_them(
            steps in prop::collection::vec((prop::collection::vec((0i64..40, 0u8..9), 0..12), 0i64..50), 0..12),
        ) {
            let mut held = Held::default();
            let mut heap = BinaryHeap::new();
            for (came, reached) in steps {
                for (seen, line) in came {
                    held.push(row(seen, line));
                    heap.push(Reverse(row(seen, line)));
                }
                while heap.peek().is_some_and(|Reverse(row)| row.due < due(reached)) {
                    prop_assert_eq!(held.next_before(&due(reached)), heap.pop().map(|Reverse(row)| row));
                }
                prop_assert_eq!(held.next_before(&due(reached)), None);
            }
            let mut rest: Vec<OutputRow> = heap.into_iter().map(|Reverse(row)| row).collect();
            rest.sort();
            prop_assert_eq!(held.rows(), rest.clone());
            prop_assert_eq!(std::iter::from_fn(|| held.next()).collect::<Vec<_>>(), rest);
        }
    }
}
