//! What is told of rows, as a collection whose changes are counted elsewhere, and what comes of it.

use serde::{Deserialize, Serialize};

use super::sketch::Sketch;

/// A cohort of a detector in one window end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Group {
    /// Ordinal of the detector.
    pub detector: u16,
    /// The window end.
    pub end: i64,
    /// What its keys have in common, encoded.
    pub cohort: Vec<u8>,
}

/// A member of a cohort, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Member {
    /// One whose value is in that bin.
    Bin(i32),
    /// One that may be among the worst.
    Placed {
        /// Where its value stands, from the worst on.
        order: u64,
        /// Its key, encoded.
        key: Vec<u8>,
    },
}

/// A change of the collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which cohort has changed.
    pub group: Group,
    /// Whose number has changed.
    pub member: Member,
    /// When the row is due that changes it.
    pub due: i64,
    /// By how much.
    pub diff: isize,
}

/// What a cohort is like.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Answer {
    /// How many members are in each bin.
    Sketch(Sketch),
    /// Its worst members, from the worst on: where the value stands, and the key.
    Worst(Vec<(u64, Vec<u8>)>),
}

impl Answer {
    /// Of the members and their numbers, ascending: of those that have a place no more than the `worst` first.
    pub fn of<'a>(members: impl Iterator<Item = (&'a Member, isize)>, worst: usize) -> Answer {
        let (mut bins, mut placed) = (Vec::new(), Vec::new());
        for (member, count) in members.filter(|(_, count)| *count > 0) {
            match member {
                Member::Bin(bin) => bins.push((*bin, count as u64)),
                Member::Placed { order, key } if placed.len() < worst => placed.push((*order, key.clone())),
                Member::Placed { .. } => {}
            }
        }
        if worst > 0 { Answer::Worst(placed) } else { Answer::Sketch(Sketch::of(bins)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_the_bins_or_the_worst_of_all_members() {
        let members = [(Member::Bin(3), 2), (Member::Bin(5), 1)];
        let answer = Answer::of(members.iter().map(|(member, count)| (member, *count)), 0);
        assert_eq!(answer, Answer::Sketch(Sketch::of(vec![(3, 2), (5, 1)])));
        let placed = |order, key: &[u8]| Member::Placed { order, key: key.to_vec() };
        let members = [placed(1, b"b"), placed(2, b"a"), placed(2, b"c")];
        let answer = Answer::of(members.iter().map(|member| (member, 1)), 2);
        assert_eq!(answer, Answer::Worst(vec![(1, b"b".to_vec()), (2, b"a".to_vec())]));
    }
}
