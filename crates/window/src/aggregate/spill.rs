//! What of a row's accumulators fits no words: sums beyond the range of their cells, bags of values, and the states of
//! a program's own aggregates.
//!
//! Sums and bags can be added up and taken apart again, as the additive words can; states can only be added up. Rows
//! that have none cost nothing.

use std::collections::BTreeMap;

use event::OwnState;
use serde::{Deserialize, Serialize};

use super::bag::Bag;
use super::exact::Exact;
use super::layout::{Cell, Coding, Layout, Place};

/// By (row, word of the cell that it belongs to).
pub(crate) type Spills = BTreeMap<(u32, u16), Spill>;

/// Numbers of spills in a chunk of a snapshot, about: 24 bytes each.
const CHUNK_WEIGHT: usize = 1 << 20;

/// What belongs to a cell and does not fit it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Spill {
    /// A sum of values that fit no fixed-point cell.
    Sum(Exact),
    /// Values by their codes, for what is asked of different values.
    Values(Bag<u128>),
    /// Parts of a sketch.
    Bins(Bag<i32>),
    /// The state of a program's own aggregate, as snapshots hold it.
    Saved(Vec<u8>),
    /// The same, in use.
    #[serde(skip)]
    Own(OwnState),
}

impl Spill {
    fn empty_like(&self) -> Spill {
        match self {
            Spill::Sum(_) => Spill::Sum(Exact::new()),
            Spill::Values(_) => Spill::Values(Bag::new()),
            Spill::Bins(_) => Spill::Bins(Bag::new()),
            Spill::Saved(_) => Spill::Saved(Vec::new()),
            Spill::Own(state) => Spill::Own(state.empty_like()),
        }
    }

    /// Adds (`sign` 1) or takes away (-1) what another of the same cell holds; the state of a program's own aggregate is
    /// only added.
    pub(crate) fn merge(&mut self, other: &Spill, sign: i64) {
        match (self, other) {
            (Spill::Sum(mine), Spill::Sum(theirs)) => mine.merge(theirs, sign),
            (Spill::Values(mine), Spill::Values(theirs)) => mine.merge(theirs, sign),
            (Spill::Bins(mine), Spill::Bins(theirs)) => mine.merge(theirs, sign),
            (Spill::Own(mine), Spill::Own(theirs)) if sign > 0 => mine.merge(theirs),
            _ => unreachable!("a cell has spills of one kind: restored ones are checked"),
        }
    }

    /// Whether nothing is in it.
    fn is_empty(&mut self) -> bool {
        match self {
            Spill::Sum(sum) => sum.is_zero(),
            Spill::Values(values) => values.is_empty(),
            Spill::Bins(bins) => bins.is_empty(),
            Spill::Saved(_) | Spill::Own(_) => false,
        }
    }

    /// About how many numbers it holds.
    fn weight(&self) -> usize {
        match self {
            Spill::Sum(_) => 24,
            Spill::Values(values) => values.len(),
            Spill::Bins(bins) => bins.len(),
            Spill::Saved(bytes) => bytes.len() / 8,
            Spill::Own(state) => state.size() / 8,
        }
    }

    /// Whether it can be taken away again.
    pub(crate) fn is_subtractable(&self) -> bool {
        !matches!(self, Spill::Own(_))
    }

    /// The same as snapshots hold it.
    pub(crate) fn saved(&self) -> Spill {
        match self {
            Spill::Own(state) => Spill::Saved(state.encode()),
            other => other.clone(),
        }
    }

    /// The same as it is used; `None` if it is not what the cell at that word spills.
    pub(crate) fn in_use(&self, layout: &Layout, word: u16) -> Option<Spill> {
        match self {
            Spill::Saved(bytes) => layout.own_at(word)?.decode(bytes).map(Spill::Own),
            other => other.fits(layout, word).then(|| other.clone()),
        }
    }

    pub(crate) fn own(&self) -> Option<&OwnState> {
        if let Spill::Own(state) = self { Some(state) } else { None }
    }

    pub(crate) fn sum(&self) -> Option<&Exact> {
        if let Spill::Sum(sum) = self { Some(sum) } else { None }
    }

    pub(crate) fn values(&self) -> Option<&Bag<u128>> {
        if let Spill::Values(values) = self { Some(values) } else { None }
    }

    pub(crate) fn bins(&self) -> Option<&Bag<i32>> {
        if let Spill::Bins(bins) = self { Some(bins) } else { None }
    }

    fn fits(&self, layout: &Layout, word: u16) -> bool {
        let word = usize::from(word);
        let mut places = layout.places().iter().filter(|place| !place.cell.is_ordered());
        let of_word = |place: &&Place| (place.word..place.word + place.cell.words()).contains(&word);
        places.find(of_word).is_some_and(|place| {
            matches!(
                (place.cell, self),
                (Cell::Bag(Coding::Value), Spill::Values(_))
                    | (Cell::Bag(Coding::Register | Coding::Bin), Spill::Bins(_))
                    | (Cell::NarrowSum { .. } | Cell::WideSum { .. } | Cell::Moments, Spill::Sum(_))
            )
        })
    }
}

/// Adds (`sign` 1) or takes away (-1) a spill at its place.
pub(crate) fn merge_spill(spills: &mut Spills, place: (u32, u16), spill: &Spill, sign: i64) {
    let total = spills.entry(place).or_insert_with(|| spill.empty_like());
    total.merge(spill, sign);
    if sign < 0 && total.is_empty() {
        spills.remove(&place);
    }
}

/// Those that running totals can hold.
pub(crate) fn subtractable(spills: &Spills) -> impl Iterator<Item = (&(u32, u16), &Spill)> {
    spills.iter().filter(|(_, spill)| spill.is_subtractable())
}

/// The spills of a row, by word.
pub(crate) fn spills_of(spills: &Spills, row: u32) -> impl Iterator<Item = (u16, &Spill)> {
    // Most rows, and mostly all of them, have none at all.
    let spills = (!spills.is_empty()).then(|| spills.range((row, 0)..=(row, u16::MAX)));
    spills.into_iter().flatten().map(|((_, word), spill)| (*word, spill))
}

/// How many of these rows go into one chunk of a snapshot, so that their spills do not make it too large: at least
/// one, if there is one.
pub(crate) fn rows_of_chunk(spills: &Spills, rows: impl ExactSizeIterator<Item = u32>) -> usize {
    if spills.is_empty() {
        return rows.len();
    }
    let weights = rows.map(|row| spills_of(spills, row).map(|(_, spill)| spill.weight()).sum());
    fitting(weights, CHUNK_WEIGHT)
}

/// How many weights there are until they reach the most there may be.
fn fitting(weights: impl Iterator<Item = usize>, most: usize) -> usize {
    let mut sum = 0;
    let fitting = weights.take_while(|weight| {
        let fits = sum < most;
        sum += weight;
        fits
    });
    fitting.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_takes_rows_until_it_is_heavy_and_always_one() {
        assert_eq!(fitting([0; 5].into_iter(), 10), 5);
        assert_eq!(fitting([4, 4, 4, 4].into_iter(), 10), 3);
        assert_eq!(fitting([1000, 0].into_iter(), 10), 1);
        assert_eq!(fitting([].into_iter(), 10), 0);
    }

    #[test]
    fn rows_without_spills_weigh_nothing() {
        let mut spills = Spills::new();
        let rows = || 0..1_000_u32;
        assert_eq!(rows_of_chunk(&spills, rows().collect::<Vec<_>>().into_iter()), 1_000);
        merge_spill(&mut spills, (7, 1), &Spill::Values(Bag::from(vec![(5, 2)])), 1);
        assert_eq!(rows_of_chunk(&spills, rows().collect::<Vec<_>>().into_iter()), 1_000);
        assert_eq!(spills_of(&spills, 7).count(), 1);
        merge_spill(&mut spills, (7, 1), &Spill::Values(Bag::from(vec![(5, 2)])), -1);
        assert!(spills.is_empty(), "what is empty costs nothing");
    }

    #[test]
    fn a_spill_of_another_kind_does_not_fit_a_cell() {
        use event::{Aggregate, AggregateFunction as F, DataType};
        let layout = Layout::narrow(vec![
            Aggregate::of(F::Sum, Some(DataType::Double)),
            Aggregate::of(F::Count, Some(DataType::Double)).distinct(),
            Aggregate::of(F::ApproxDistinct, Some(DataType::Double)),
        ]);
        let kinds = [Spill::Sum(Exact::new()), Spill::Values(Bag::new()), Spill::Bins(Bag::new())];
        let word = |aggregate: usize| layout.places()[aggregate].word as u16;
        for (aggregate, kind) in (0..3).flat_map(|aggregate| (0..3).map(move |kind| (aggregate, kind))) {
            assert_eq!(kinds[kind].fits(&layout, word(aggregate)), aggregate == kind);
        }
        assert!(!kinds[0].fits(&layout, 99));
    }

    /// How many values there are.
    struct Number;

    impl event::OwnAggregate for Number {
        type Argument = bool;
        type State = i64;
        type Output = i64;

        fn name(&self) -> &str {
            "number"
        }

        fn add(&self, number: &mut i64, _: bool) {
            *number += 1;
        }

        fn merge(&self, number: &mut i64, other: &i64) {
            *number += other;
        }

        fn result(&self, number: &i64) -> Option<i64> {
            Some(*number)
        }
    }

    #[test]
    fn a_state_is_bytes_in_a_snapshot_and_fits_the_cell_of_its_aggregate_alone() {
        use event::{Aggregate, AggregateFunction as F, DataType, Own};
        let own = Own::new(Number);
        let distinct = Aggregate::of(F::Count, Some(DataType::Double)).distinct();
        let layout = Layout::narrow(vec![distinct, Aggregate::own(own.clone())]);
        let [bag, cell] = [0, 1].map(|aggregate| layout.places()[aggregate].word as u16);
        let state = Spill::Own(own.empty());
        let saved = state.saved();
        assert!(matches!(saved, Spill::Saved(_)) && saved.weight() == 0);
        assert_eq!(saved.in_use(&layout, cell), Some(state.clone()));
        assert_eq!(saved.in_use(&layout, bag), None);
        assert_eq!(state.in_use(&layout, cell), None, "no snapshot holds it like that");
        assert_eq!(Spill::Saved(vec![1; 20]).in_use(&layout, cell), None, "bytes of something else");
        assert_eq!(Spill::Values(Bag::new()).in_use(&layout, cell), None);
        assert!(!state.is_subtractable() && saved == state.saved());
    }
}
