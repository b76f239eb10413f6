//! Rows of features: what closed windows give.

use arrow_array::{ArrayRef, BinaryArray};

use crate::{Batch, RowFailure, Window};

/// Rows that came out together, one for a key and a window.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The window of each row, and where the row stands in the order of outputs.
    pub spans: Spans,
    /// Encoded key of each row; decoded with the job's `KeyShape`.
    pub keys: BinaryArray,
    /// Number of records of each row.
    pub records: Vec<u64>,
    /// Results of the aggregates, in the job's order.
    pub aggregates: Batch,
    /// What features were in the previous row of each key, for those that ask for it; empty where none does.
    pub previous: Vec<ArrayRef>,
    /// Rows that an aggregate has no value for (a sum that does not fit its type), ascending. They go to
    /// quarantine.
    pub failures: Vec<RowFailure>,
}

/// The windows of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spans {
    /// All rows are of one window, which all keys share, and due with it.
    Shared(Window),
    /// Each row has its own, as sessions have.
    Own(Vec<Span>),
}

/// The window of one row, with what of the row's place in the order of outputs does not follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The interval.
    pub window: Window,
    /// Event time at which the row is due.
    pub due: i64,
    /// Whether a record caused it, rather than the watermark: class 1 of the order of outputs.
    pub by_record: bool,
    /// Sequence or revision within the key.
    pub sequence: u64,
    /// What it is to its window.
    pub outcome: Outcome,
    /// End of the first window that was put out of what the row is about, which names its episode: where sessions
    /// that were put out become one, that of the earliest.
    pub first_end: i64,
}

/// What a row is to its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Outcome {
    /// Its result.
    #[default]
    Result,
    /// What is known before its end.
    Early,
    /// Its result once more, with records that came late; the sequence is the number of the revision, from 1.
    Revised,
}

impl From<Window> for Span {
    /// The only result of a window that the watermark closes.
    fn from(window: Window) -> Span {
        Span {
            window,
            due: window.due(),
            by_record: false,
            sequence: 0,
            outcome: Outcome::Result,
            first_end: window.end,
        }
    }
}

impl Spans {
    /// That of a row.
    ///
    /// # Panics
    /// If each row has its own and there is no such row.
    pub fn of(&self, row: usize) -> Span {
        match self {
            Spans::Shared(window) => Span::from(*window),
            Spans::Own(spans) => spans[row],
        }
    }

    /// Those of some rows, in their order.
    ///
    /// # Panics
    /// As [`Spans::of`].
    #[must_use]
    pub fn take(&self, rows: &[u32]) -> Spans {
        match self {
            Spans::Shared(window) => Spans::Shared(*window),
            Spans::Own(spans) => Spans::Own(rows.iter().map(|row| spans[*row as usize]).collect()),
        }
    }

    /// Those of all rows, by row, if each has its own.
    pub fn own(&self) -> Option<&[Span]> {
        match self {
            Spans::Shared(_) => None,
            Spans::Own(spans) => Some(spans),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { start: 0, end: 10 };

    #[test]
    fn a_shared_window_is_that_of_every_row_and_due_with_its_end() {
        let spans = Spans::Shared(WINDOW);
        let span = spans.of(7);
        assert_eq!((span.window, span.due, span.by_record, span.sequence), (WINDOW, 9, false, 0));
        assert_eq!((span.outcome, span.first_end), (Outcome::Result, 10));
        assert_eq!((spans.take(&[3, 1]), spans.own()), (Spans::Shared(WINDOW), None));
    }

    #[test]
    fn rows_that_are_taken_keep_their_own_windows() {
        let spans = [4, 5, 6].map(|sequence| Span { sequence, ..Span::from(WINDOW) });
        let own = Spans::Own(spans.to_vec());
        assert_eq!((own.of(1), own.own()), (spans[1], Some(&spans[..])));
        assert_eq!(own.take(&[2, 0]), Spans::Own(vec![spans[2], spans[0]]));
    }
}
