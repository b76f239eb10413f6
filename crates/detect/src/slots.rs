//! What detectors over many keys have in common: state by slot, which the engine stores and moves.
//!
//! The engine knows which key has which slot, here as in its windows. It encodes a checkpoint in chunks of slots, and
//! gives a key another slot on another worker: so the state of any slots can be taken out and put in elsewhere.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The state of many keys, by slot.
pub trait SlotState {
    /// The state of some slots, in their order, for a checkpoint.
    type Saved: Serialize + DeserializeOwned;

    /// Makes room for slots below `slots`; those that are there stay as they are.
    fn grow(&mut self, slots: usize);

    /// Forgets what a slot was, before another key gets it.
    ///
    /// # Panics
    /// If there is no such slot.
    fn clear(&mut self, slot: u32);

    /// The state of some slots.
    ///
    /// # Panics
    /// If one of them is none.
    fn save(&self, slots: &[u32]) -> Self::Saved;

    /// Puts saved state into slots, as many as it was saved of, with the same settings.
    ///
    /// # Panics
    /// If there is no such slot, or their number differs.
    fn load(&mut self, slots: &[u32], saved: &Self::Saved);
}

/// The cells of each of some slots, one slot after the other.
pub(crate) fn save<T: Copy>(cells: &[T], each: usize, slots: &[u32]) -> Vec<T> {
    slots.iter().flat_map(|slot| &cells[*slot as usize * each..][..each]).copied().collect()
}

/// Puts cells that were saved into slots.
pub(crate) fn load<T: Copy>(cells: &mut [T], each: usize, slots: &[u32], saved: &[T]) {
    assert_eq!(saved.len(), slots.len() * each, "saved state of {} slots", slots.len());
    for (slot, saved) in slots.iter().zip(saved.chunks_exact(each.max(1))) {
        cells[*slot as usize * each..][..each].copy_from_slice(saved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::{BaselineColumns, BaselineSpec, Deviations, Dues, Season};
    use crate::cusum::{CusumColumns, CusumSpec};
    use crate::page_hinkley::{PageHinkleyColumns, PageHinkleySpec};
    use crate::random::Random;
    use crate::robust::{RobustColumns, RobustSpec};

    const FEATURES: usize = 5;
    const KEYS: usize = 9;

    /// Feeds rows of all keys, the key k in slot `slots[k]`, and gives all that is said about them.
    type Feed<S> = fn(&mut S, &[u32], i64, &[Vec<f64>]) -> Vec<Vec<f32>>;

    /// Half way, the keys move to other slots of another worker, by way of a checkpoint; one stays behind.
    fn moves<S: SlotState>(new: impl Fn() -> S, feed: Feed<S>) {
        let mut random = Random::new(107, 0);
        let (mut here, mut there) = (new(), new());
        here.grow(KEYS);
        there.grow(20);
        let old: Vec<u32> = (0..KEYS as u32).collect();
        let new: Vec<u32> = [17, 3, 0, 19, 4, 5, 11, 12, 8].to_vec();
        let mut rows = || -> Vec<Vec<f64>> {
            (0..FEATURES).map(|_| (0..KEYS).map(|_| random.unit() * 9.0).collect()).collect()
        };
        for due in 0..300 {
            feed(&mut here, &old, due * 1_800_000_000, &rows());
        }
        // What is in the way is overwritten.
        feed(&mut there, &new, 0, &rows());
        let bytes = bincode::serialize(&here.save(&old[1..])).expect("bytes");
        there.load(&new[1..], &bincode::deserialize(&bytes).expect("saved state"));
        here.clear(0);
        there.clear(new[0]);
        let mut said = 0;
        for due in 300..600 {
            let rows = rows();
            let (a, b) = (
                feed(&mut here, &old, due * 1_800_000_000, &rows),
                feed(&mut there, &new, due * 1_800_000_000, &rows),
            );
            let bits =
                |columns: &Vec<Vec<f32>>| columns.concat().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&a), bits(&b), "due {due}");
            said += a.concat().iter().filter(|score| !score.is_nan()).count();
        }
        assert!(said > 1000, "{said}");
    }

    fn slices(columns: &[Vec<f64>]) -> Vec<&[f64]> {
        columns.iter().map(Vec::as_slice).collect()
    }

    #[test]
    fn keys_that_move_to_other_slots_are_judged_as_before() {
        let baselines = |season| {
            let spec = BaselineSpec { season, period: Some(600_000_000), ..BaselineSpec::default() };
            move || BaselineColumns::new(spec.clone(), FEATURES).expect("baselines")
        };
        let feed: Feed<BaselineColumns> = |state, slots, due, rows| {
            let mut out = Deviations::default();
            state.observe(slots, Dues::Shared(due), &slices(rows), &mut out);
            out.z
        };
        moves(baselines(Season::None), feed);
        moves(baselines(Season::HourOfDay), feed);
        moves(
            || CusumColumns::new(CusumSpec::default(), FEATURES).expect("sums"),
            |state, slots, _, rows| {
                let centred = |column: &Vec<f64>| column.iter().map(|x| (x - 4.5) as f32).collect();
                let mut scores = Vec::new();
                state.observe(slots, &rows.iter().map(centred).collect::<Vec<_>>(), &mut scores);
                scores
            },
        );
        let series = || PageHinkleyColumns::new(PageHinkleySpec::default(), FEATURES).expect("series");
        moves(series, |state, slots, _, rows| {
            let mut scores = Vec::new();
            state.observe(slots, &slices(rows), &mut scores);
            scores
        });
        moves(
            || RobustColumns::new(RobustSpec::default(), FEATURES).expect("values"),
            |state, slots, _, rows| {
                let mut out = Deviations::default();
                state.observe(slots, &slices(rows), &mut out);
                out.z
            },
        );
    }
}
