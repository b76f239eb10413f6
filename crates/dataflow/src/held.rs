//! Rows that wait for their turn, for the one writer to put out in canonical order.
//!
//! Rows come in runs: each worker makes those of a window in order. Sorting finds the runs and merges them,
//! which costs a few comparisons a row where a heap costs the logarithm of all that wait.

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
        self.ordered.extend(self.fresh.drain(..));
        self.least = 0;
        // Rows that are equal are the same; it is the stable sort that makes use of runs.
        self.ordered.make_contiguous().sort();
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
        OutputRow { due: due(seen), sink: SinkId(0), line: vec![line] }
    }

    proptest! {
        #[test]
        fn rows_come_out_as_a_heap_gives_them(
            steps in prop::collection::vec((prop::collection::vec((0i64..40, 0u8..3), 0..12), 0i64..50), 0..12),
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
