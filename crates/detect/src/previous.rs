//! What features were in the previous row of each key: looked up before they are computed, and noted after.

use std::collections::HashSet;
use std::ops::Range;

use arrow_array::{Array, ArrayRef};
use arrow_select::concat::concat;
use event::{Memory, Rows, Spans};

use crate::Detection;

impl Detection {
    /// Adds what features were in the previous row of each key, for those that ask for it, and remembers what they
    /// are in these. The rows of a key come in the order in which they are due.
    ///
    /// # Panics
    /// If the memory does not hold values of [`Detection::remembered`].
    #[must_use]
    pub fn remember(&self, rows: Rows, memory: &mut dyn Memory) -> Rows {
        if self.remembers_nothing() {
            return rows;
        }
        let mut parts = Vec::new();
        for range in runs_of_different_keys(&rows) {
            let part = part_of(&rows, range.clone());
            let dues: Vec<i64> = range.map(|row| rows.spans.of(row).due).collect();
            let part = Rows { previous: memory.recall(&part.keys, &dues), ..part };
            let values = self.lagged(&part);
            memory.note(&part.keys, &dues, &values);
            parts.push(part.previous);
        }
        let column = |place: usize| {
            let columns: Vec<&dyn Array> = parts.iter().map(|part| part[place].as_ref()).collect();
            concat(&columns).expect("columns of one type")
        };
        let columns = parts.first().map_or(0, Vec::len);
        let previous: Vec<ArrayRef> = (0..columns).map(column).collect();
        Rows { previous, ..rows }
    }
}

/// Ranges of rows in which no key stands twice: a row must know what the one before it was.
fn runs_of_different_keys(rows: &Rows) -> Vec<Range<usize>> {
    let all = rows.keys.len();
    if matches!(rows.spans, Spans::Shared(_)) {
        return (all > 0).then_some(0..all).into_iter().collect();
    }
    let (mut runs, mut start, mut keys) = (Vec::new(), 0, HashSet::new());
    for row in 0..all {
        if !keys.insert(rows.keys.value(row)) {
            runs.push(start..row);
            start = row;
            keys.clear();
            keys.insert(rows.keys.value(row));
        }
    }
    if start < all {
        runs.push(start..all);
    }
    runs
}

fn part_of(rows: &Rows, range: Range<usize>) -> Rows {
    let (start, len) = (range.start, range.len());
    let spans = match &rows.spans {
        Spans::Shared(window) => Spans::Shared(*window),
        Spans::Own(spans) => Spans::Own(spans[range.clone()].to_vec()),
    };
    Rows {
        spans,
        keys: rows.keys.slice(start, len),
        records: rows.records[range].to_vec(),
        aggregates: rows.aggregates.slice(start, len),
        previous: Vec::new(),
        failures: Vec::new(),
    }
}
