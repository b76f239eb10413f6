//! A bag: how often each of several things is in it. What was put in can be taken out again, and bags can be added
//! up in any order, which is what lets windows share slices.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Up to so many things are a list: a tree of one thing takes as much memory as one of eleven.
const FEW: usize = 32;

/// Things, each with how often it is there. Ordered, and no larger than what it holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Vec<(T, u64)>", into = "Vec<(T, u64)>")]
pub(crate) enum Bag<T: Ord + Copy> {
    /// Ascending.
    Few(Vec<(T, u64)>),
    Many(BTreeMap<T, u64>),
}

impl<T: Ord + Copy> Bag<T> {
    pub(crate) fn new() -> Self {
        Bag::Few(Vec::new())
    }

    /// Puts a thing in.
    pub(crate) fn add(&mut self, thing: T) {
        self.put(thing, 1);
    }

    fn put(&mut self, thing: T, times: u64) {
        if let Bag::Few(few) = self {
            match few.binary_search_by_key(&thing, |(thing, _)| *thing) {
                Ok(place) => few[place].1 += times,
                Err(place) if few.len() < FEW => few.insert(place, (thing, times)),
                Err(_) => *self = Bag::Many(few.iter().copied().collect()),
            }
        }
        if let Bag::Many(many) = self {
            *many.entry(thing).or_insert(0) += times;
        }
    }

    /// Takes a thing out so many times; it is in it at least as often.
    fn take(&mut self, thing: T, times: u64) {
        match self {
            Bag::Few(few) => {
                if let Ok(place) = few.binary_search_by_key(&thing, |(thing, _)| *thing) {
                    few[place].1 = few[place].1.saturating_sub(times);
                    if few[place].1 == 0 {
                        few.remove(place);
                    }
                }
            }
            Bag::Many(many) => {
                if let Some(count) = many.get_mut(&thing) {
                    *count = count.saturating_sub(times);
                    if *count == 0 {
                        many.remove(&thing);
                    }
                }
                // Well below what made it a tree, so that it does not change to and fro.
                if many.len() < FEW / 2 {
                    *self = Bag::Few(many.iter().map(|(thing, times)| (*thing, *times)).collect());
                }
            }
        }
    }

    /// Adds (`sign` 1) or takes away (-1) what is in another.
    pub(crate) fn merge(&mut self, other: &Bag<T>, sign: i64) {
        if sign < 0 {
            other.iter().for_each(|(thing, times)| self.take(thing, times));
        } else if self.is_empty() {
            self.clone_from(other);
        } else {
            other.iter().for_each(|(thing, times)| self.put(thing, times));
        }
    }

    /// How many different things there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Bag::Few(few) => few.len(),
            Bag::Many(many) => many.len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The things in their order, each with how often it is there.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (T, u64)> {
        let (few, many) = match self {
            Bag::Few(few) => (Some(few), None),
            Bag::Many(many) => (None, Some(many)),
        };
        let few = few.into_iter().flatten().copied();
        few.chain(many.into_iter().flatten().map(|(thing, times)| (*thing, *times)))
    }
}

impl<T: Ord + Copy> PartialEq for Bag<T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<T: Ord + Copy> From<Vec<(T, u64)>> for Bag<T> {
    fn from(things: Vec<(T, u64)>) -> Self {
        let mut bag = Bag::new();
        things.into_iter().filter(|(_, times)| *times > 0).for_each(|(thing, times)| bag.put(thing, times));
        bag
    }
}

impl<T: Ord + Copy> From<Bag<T>> for Vec<(T, u64)> {
    fn from(bag: Bag<T>) -> Self {
        bag.iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bag(things: &[u8]) -> Bag<u8> {
        let mut bag = Bag::new();
        things.iter().for_each(|thing| bag.add(*thing));
        bag
    }

    fn counts(things: &[u8]) -> Vec<(u8, u64)> {
        let count = |thing| things.iter().filter(|other| **other == thing).count() as u64;
        (0..=u8::MAX).map(|thing| (thing, count(thing))).filter(|(_, times)| *times > 0).collect()
    }

    proptest! {
        #[test]
        fn bags_that_are_added_and_taken_away_leave_what_is_left(
            kept in prop::collection::vec(0u8..100, 0..200), gone in prop::collection::vec(0u8..100, 0..200)
        ) {
            let (kept_bag, gone_bag) = (bag(&kept), bag(&gone));
            let mut sum = gone_bag.clone();
            sum.merge(&kept_bag, 1);
            prop_assert_eq!(sum.iter().collect::<Vec<_>>(), counts(&[&kept[..], &gone[..]].concat()));
            sum.merge(&gone_bag, -1);
            prop_assert_eq!(sum.iter().collect::<Vec<_>>(), counts(&kept));
            prop_assert_eq!(&sum, &kept_bag);
            prop_assert_eq!(Bag::from(Vec::from(sum)), kept_bag);
        }
    }
}
