//! Rows put into requests, so that those of one key come in their order.
//!
//! A request may succeed for some of its records and fail for others, and promises no order among them. So it holds at
//! most one row of a key, and the next one of that key waits until it is there.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

/// Records of a request at most,
const RECORDS_MAX: usize = 500;
/// bytes of all of them, partition keys included,
const BYTES_MAX: usize = 5 << 20;
/// and of one.
pub(super) const ROW_BYTES_MAX: usize = 1 << 20;

/// Rows of one key that are not there yet, as places in the lines.
struct Line {
    key: String,
    rows: VecDeque<Range<usize>>,
}

/// All rows of a delivery that are not there yet.
pub(super) struct Rounds {
    lines: Vec<Line>,
    /// Which of them wait for their turn; those in a request do not.
    turns: VecDeque<usize>,
}

/// A row in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    line: usize,
    pub(super) row: Range<usize>,
}

impl Rounds {
    /// The rows with their keys, in their order.
    pub(super) fn new(rows: impl IntoIterator<Item = (String, Range<usize>)>) -> Self {
        let (mut lines, mut known): (Vec<Line>, BTreeMap<String, usize>) = (Vec::new(), BTreeMap::new());
        for (key, row) in rows {
            let line = *known.entry(key.clone()).or_insert(lines.len());
            if line == lines.len() {
                lines.push(Line { key, rows: VecDeque::new() });
            }
            lines[line].rows.push_back(row);
        }
        let turns = (0..lines.len()).collect();
        Rounds { lines, turns }
    }

    pub(super) fn key(&self, entry: &Entry) -> &str {
        &self.lines[entry.line].key
    }

    /// What the next request holds; nothing once all rows are there. Before the one after it, each entry is handed to
    /// [`Rounds::settle`].
    pub(super) fn request(&mut self) -> Vec<Entry> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while entries.len() < RECORDS_MAX
            && let Some(&line) = self.turns.front()
        {
            let Line { key, rows } = &self.lines[line];
            let Some(row) = rows.front().cloned() else {
                self.turns.pop_front();
                continue;
            };
            bytes += row.len() + key.len();
            if bytes > BYTES_MAX && !entries.is_empty() {
                break;
            }
            self.turns.pop_front();
            entries.push(Entry { line, row });
        }
        entries
    }

    /// Hears whether a row is there now. One that is not is tried again with the next request.
    pub(super) fn settle(&mut self, entry: &Entry, is_there: bool) {
        if is_there {
            self.lines[entry.line].rows.pop_front();
        }
        self.turns.push_back(entry.line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has every `n`-th record of all fail, and gives the rows in the order in which they came to be there.
    fn delivered(rows: &[(&str, usize)], n: usize) -> (Vec<(String, usize)>, Vec<usize>) {
        let mut at = 0;
        let rows = rows.iter().map(|(key, length)| {
            at += length;
            ((*key).to_owned(), at - length..at)
        });
        let mut rounds = Rounds::new(rows.collect::<Vec<_>>());
        let (mut there, mut sizes, mut tried) = (Vec::new(), Vec::new(), 0);
        loop {
            let entries = rounds.request();
            if entries.is_empty() {
                return (there, sizes);
            }
            sizes.push(entries.len());
            // The service promises no order within a request.
            for entry in entries.iter().rev() {
                tried += 1;
                let is_there = tried % n != 0;
                if is_there {
                    there.push((rounds.key(entry).to_owned(), entry.row.start));
                }
                rounds.settle(entry, is_there);
            }
        }
    }

    #[test]
    fn rows_of_a_key_come_in_their_order_whatever_fails_and_each_comes_once() {
        let keys = ["a", "b", "a", "c", "a", "b", "d", "a"];
        let rows: Vec<(&str, usize)> = keys.iter().map(|key| (*key, 10)).collect();
        for n in [2, 3, usize::MAX] {
            let (there, _) = delivered(&rows, n);
            assert_eq!(there.len(), keys.len());
            for key in ["a", "b", "c", "d"] {
                let came: Vec<usize> = there.iter().filter(|(of, _)| of == key).map(|(_, at)| *at).collect();
                let wanted: Vec<usize> =
                    (0..keys.len()).filter(|at| keys[*at] == key).map(|at| at * 10).collect();
                assert_eq!(came, wanted, "{key}, every {n}-th fails");
            }
        }
    }

    #[test]
    fn a_request_is_within_the_bounds_of_the_service() {
        let keys: Vec<String> = (0..1_200).map(|key| format!("{key:04}")).collect();
        let small: Vec<(&str, usize)> = keys.iter().map(|key| (key.as_str(), 10)).collect();
        assert_eq!(delivered(&small, usize::MAX).1, [500, 500, 200]);
        let large: Vec<(&str, usize)> =
            keys[..11].iter().map(|key| (key.as_str(), ROW_BYTES_MAX - 4)).collect();
        assert_eq!(delivered(&large, usize::MAX).1, [5, 5, 1]);
    }
}
