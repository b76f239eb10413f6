//! The ids of the last lines, in the order in which they came.

use std::collections::{HashSet, VecDeque};
use std::ops::Range;

/// The last so many ids. Ids are numbered as they come, from 0 at the start of the process.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    max: usize,
    order: VecDeque<u128>,
    known: HashSet<u128>,
    /// The number of the first of `order`.
    first: u64,
}

impl Recent {
    pub(crate) fn new(max: usize) -> Self {
        Recent { max, ..Recent::default() }
    }

    /// Whether it remembers any ids at all.
    pub(crate) fn remembers(&self) -> bool {
        self.max > 0
    }

    /// Adds an id, unless it is known: then it is that of a duplicate. More than `max` may be there until
    /// [`Recent::settle`].
    pub(crate) fn add(&mut self, id: u128) -> bool {
        let is_new = self.max > 0 && self.known.insert(id);
        if is_new {
            self.order.push_back(id);
        }
        is_new || self.max == 0
    }

    /// Number of the next id.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.order.len() as u64
    }

    /// Number of the first id that is still known.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Takes back the ids from that number on: their lines are not there.
    pub(crate) fn take_back(&mut self, from: u64) {
        while self.next() > from.max(self.first) {
            if let Some(id) = self.order.pop_back() {
                self.known.remove(&id);
            }
        }
    }

    /// Forgets the oldest ids that are too many.
    pub(crate) fn settle(&mut self) {
        while self.order.len() > self.max {
            if let Some(id) = self.order.pop_front() {
                self.known.remove(&id);
                self.first += 1;
            }
        }
    }

    /// Those of the numbers that are still known.
    pub(crate) fn numbered(&self, numbers: &Range<u64>) -> impl Iterator<Item = u128> + use<'_> {
        let place = |number: u64| (number.max(self.first) - self.first).min(self.order.len() as u64) as usize;
        self.order.range(place(numbers.start)..place(numbers.end).max(place(numbers.start))).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_until_so_many_others_have_come() {
        let mut recent = Recent::new(2);
        assert_eq!([1, 1, 2, 1].map(|id| recent.add(id)), [true, false, true, false]);
        recent.settle();
        assert!(recent.add(3));
        recent.settle();
        assert_eq!([2, 3].map(|id| recent.add(id)), [false, false], "1 is forgotten");
        assert!(recent.add(1), "and new again");
        assert_eq!(recent.numbered(&(0..10)).collect::<Vec<_>>(), [2, 3, 1]);
    }

    #[test]
    fn ids_that_are_taken_back_are_not_known() {
        let mut recent = Recent::new(2);
        recent.add(1);
        let before = recent.next();
        [2, 3, 4].iter().for_each(|id| assert!(recent.add(*id)));
        recent.take_back(before);
        recent.settle();
        assert_eq!([1, 2].map(|id| recent.add(id)), [false, true]);
    }

    #[test]
    fn a_memory_of_none_knows_nothing() {
        let mut recent = Recent::new(0);
        assert_eq!([7, 7].map(|id| recent.add(id)), [true, true]);
    }
}
