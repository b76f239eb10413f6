//! Reads on ahead of whoever reads small parts of large objects one after the other.
//!
//! A job that starts reads its state chunk by chunk, and a request takes as long for a small chunk as for a
//! large one. So a stretch is asked for, twice as long each time that reading goes on where it ended, and
//! the chunks are cut out of it. Objects never change, so what was read once stays true.

use std::io;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// The first stretch of an object, and the longest.
const STRETCH: u64 = 1 << 20;
const STRETCH_MAX: u64 = 8 << 20;
/// Stretches that are kept: as many threads may read at once without disturbing one another.
const KEPT: usize = 16;

/// The stretches that were read last.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    kept: Mutex<Vec<Stretch>>,
}

#[derive(Debug, Clone)]
struct Stretch {
    name: String,
    start: u64,
    bytes: Bytes,
    /// Whether the object ends with it.
    is_last: bool,
}

impl Stretch {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// The bytes from `start` on, if they are in it.
    fn cut(&self, start: u64, length: u64) -> Option<Bytes> {
        let from = start.checked_sub(self.start)?;
        let to = from.checked_add(length).filter(|to| *to <= self.bytes.len() as u64)?;
        Some(self.bytes.slice(from as usize..to as usize))
    }
}

impl Ahead {
    /// Reads `length` bytes of an object from `start` on. `fetch(start, length)` asks the server; it gives
    /// fewer bytes where the object ends.
    ///
    /// # Errors
    /// As `fetch`; `UnexpectedEof` if the object is too short.
    pub(super) fn read(
        &self,
        name: &str,
        start: u64,
        length: u64,
        fetch: impl FnOnce(u64, u64) -> io::Result<Bytes>,
    ) -> io::Result<Bytes> {
        let before = match self.find(name, start, length) {
            Ok(bytes) => return Ok(bytes),
            Err(before) => before,
        };
        if before.as_ref().is_some_and(|stretch| stretch.is_last && stretch.end() < start + length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let last = before.map_or(0, |stretch| stretch.bytes.len() as u64);
        let asked = (last * 2).clamp(STRETCH, STRETCH_MAX).max(length);
        let bytes = fetch(start, asked)?;
        let is_last = (bytes.len() as u64) < asked;
        let stretch = Stretch { name: name.to_owned(), start, bytes, is_last };
        let found = stretch.cut(start, length);
        self.keep(stretch);
        found.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// The bytes, if they are there; else the stretch that ends at or in them, on which reading goes on.
    fn find(&self, name: &str, start: u64, length: u64) -> Result<Bytes, Option<Stretch>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = None;
        for stretch in kept.iter().filter(|stretch| stretch.name == name) {
            if let Some(bytes) = stretch.cut(start, length) {
                return Ok(bytes);
            }
            if (stretch.start..=stretch.end()).contains(&start) {
                before = Some(stretch.clone());
            }
        }
        Err(before)
    }

    fn keep(&self, stretch: Stretch) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // What it goes on from is behind the reader.
        kept.retain(|other| {
            other.name != stretch.name || other.end() < stretch.start || other.start > stretch.start
        });
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push(stretch);
    }

    /// Lets everything go: a job that writes has read what it needs.
    pub(super) fn clear(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// Reads of an object of `length` bytes, with what the server was asked for.
    fn check(length: u64, reads: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let object: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let asked = RefCell::new(Vec::new());
        let ahead = Ahead::default();
        for (start, count) in reads {
            let read = ahead.read("x", *start, *count, |start, count| {
                asked.borrow_mut().push((start, count));
                let end = (start + count).min(length);
                Ok(Bytes::copy_from_slice(&object[start as usize..end as usize]))
            });
            match read {
                Ok(bytes) => assert!(bytes == object[*start as usize..(start + count) as usize]),
                Err(error) => assert!(start + count > length, "{error}"),
            }
        }
        asked.into_inner()
    }

    const M: u64 = 1 << 20;

    #[test]
    fn reading_on_asks_for_more_and_more() {
        let reads: Vec<(u64, u64)> = (0..100).map(|chunk| (chunk * M / 4, M / 4)).collect();
        assert_eq!(
            check(40 * M, &reads),
            [(0, M), (M, 2 * M), (3 * M, 4 * M), (7 * M, 8 * M), (15 * M, 8 * M), (23 * M, 8 * M)]
        );
    }

    #[test]
    fn chunks_that_lie_across_a_border_or_are_large_or_far_away_are_whole() {
        assert_eq!(check(40 * M, &[(0, 10), (M - 5, 10)]), [(0, M), (M - 5, 2 * M)]);
        assert_eq!(check(40 * M, &[(3, 20 * M), (30 * M, 5)]), [(3, 20 * M), (30 * M, M)]);
    }

    #[test]
    fn an_object_that_ends_early_is_an_error_and_not_asked_again() {
        assert_eq!(check(100, &[(0, 60), (60, 40), (60, 41)]), [(0, M)]);
        assert_eq!(check(100, &[(60, 41)]), [(60, M)]);
    }
}
