//! The personal baseline: each value of a key beside the mean and the deviation of its own past.
//!
//! [`BaselineColumns`] holds the state of many keys and is asked for the rows of a closed window at once. The
//! caller knows which key has which slot. Per key and feature it keeps eight bytes, an exponentially weighted mean
//! and a variance with a mark in its last bits. The eight features of a line of the cache lie side by side and are judged at a
//! time, without branches; up to four share half a line. So a key costs a cache miss, and little else. What a processor with AVX2
//! does of this in one instruction, others do in two, with the same answer.
//!
//! Promises: the answer for a row depends on the earlier rows of its slot alone. Only additions, multiplications,
//! divisions and square roots of IEEE 754 decide, in a fixed order: it is the same on every machine.

mod judge;
mod spec;
#[cfg(test)]
mod tests;

pub use judge::DEVIATION_MAX;
pub(crate) use judge::counted;
pub use spec::{BaselineSpec, Season};

use std::ops::Range;

use pulp::NullaryFnOnce;
use serde::{Deserialize, Serialize};

use crate::DetectError;
use crate::slots::{self, SlotState};
use judge::{Judge, LATCHED};

/// Values count up to here, so that a variance fits single precision.
pub(crate) const FAR: f32 = 1e15;

/// Rows that are taken through all features together: their states stay in the first cache.
const BLOCK: usize = 64;
/// Words of a line of the cache.
const LINE: usize = 16;
/// Features that are judged at a time, where there are more than a few, and where there are not: those of a key are padded to whole
/// groups.
const MANY: usize = 8;
const FEW: usize = 4;
/// Gaps up to here make the past count less, each more than the one before; longer ones count as this.
const GAP_MAX: usize = 64;
/// A line of the cache: a group, or two of few features. A group is the bits of its means and then of its variances with marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[repr(C, align(64))]
struct Line([u32; LINE]);

/// The baselines of many keys, by slot.
///
/// A value is single precision within: what differs from the mean by less than a millionth of it is not seen, and
/// what lies beyond 10^15 counts as that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaselineColumns {
    spec: BaselineSpec,
    features: usize,
    slots: usize,
    /// Groups of features, those of a slot and hour side by side.
    lines: Vec<Line>,
    /// When the last row of each slot was due, if gaps matter.
    last: Vec<i64>,
}

/// When rows are due.
#[derive(Debug, Clone, Copy)]
pub enum Dues<'a> {
    /// All at once, with a window that keys share.
    Shared(i64),
    /// Each at its own time.
    Own(&'a [i64]),
}

impl Dues<'_> {
    pub(crate) fn of(self, row: usize) -> i64 {
        match self {
            Dues::Shared(due) => due,
            Dues::Own(dues) => dues[row],
        }
    }
}

/// What baselines say about rows, a column for each feature. Kept and used again, so that nothing is allocated.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deviations {
    /// Deviations from the mean, signed; NaN if the value is missing or the baseline is not warm. Up to infinity, of which
    /// [`DEVIATION_MAX`] counts.
    pub z: Vec<Vec<f32>>,
    /// The mean before the row; NaN if there is none yet.
    pub expected: Vec<Vec<f32>>,
}

impl Deviations {
    /// The deviations as far as they count.
    pub fn counted(&self, input: usize, rows: usize) -> impl Iterator<Item = f32> {
        self.z[input][..rows].iter().map(|z| counted(*z))
    }

    pub(crate) fn resize(&mut self, features: usize, rows: usize) {
        for columns in [&mut self.z, &mut self.expected] {
            columns.resize(features, Vec::new());
            columns.iter_mut().for_each(|column| column.resize(rows, f32::NAN));
        }
    }
}

impl BaselineColumns {
    /// Baselines of so many features, for no key yet.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn new(spec: BaselineSpec, features: usize) -> Result<Self, DetectError> {
        spec.check()?;
        Ok(BaselineColumns { spec, features, slots: 0, lines: Vec::new(), last: Vec::new() })
    }

    /// How they learn and judge.
    pub fn spec(&self) -> &BaselineSpec {
        &self.spec
    }

    /// Judges rows by those before and learns them, in their order. `columns` has a slice for each feature with a
    /// value for each row, NaN where it is missing; `slots` says whose each row is.
    ///
    /// # Panics
    /// If a slot has no room, or the columns are not of one length.
    pub fn observe(&mut self, slots: &[u32], dues: Dues<'_>, columns: &[&[f64]], out: &mut Deviations) {
        assert_eq!(columns.len(), self.features, "a column for each feature");
        assert!(columns.iter().all(|column| column.len() == slots.len()), "columns of one length");
        out.resize(self.features, slots.len());
        let left = past_left(self.spec.memory);
        let (mut places, mut gaps) = ([0; BLOCK], [1.0; BLOCK]);
        for start in (0..slots.len()).step_by(BLOCK) {
            let rows = start..slots.len().min(start + BLOCK);
            let places = &mut places[..rows.len()];
            for ((row, place), gap) in rows.clone().zip(places.iter_mut()).zip(&mut gaps) {
                let (slot, due) = (slots[row] as usize, dues.of(row));
                *place = slot * self.slot_groups() + self.hour(due) * self.hour_groups();
                *gap = self.pass(slot, due, &left);
            }
            // Reading a word of each, and nothing else, makes the cache misses of a block overlap.
            let touched = |place: &usize| self.lines[*place * self.group_words() / LINE].0[0];
            std::hint::black_box(places.iter().fold(0, |all, place| all | touched(place)));
            let (judge, lines) = (Judge::new(&self.spec), self.lines.as_mut_slice());
            let block = Block { judge, lines, places, gaps: &gaps, rows, columns, out };
            match self.features > FEW {
                true => pulp::Arch::new().dispatch(Judging::<MANY>(block)),
                false => pulp::Arch::new().dispatch(Judging::<FEW>(block)),
            }
        }
    }

    /// Whether the latch of a feature is set at an hour.
    ///
    /// # Panics
    /// If there is no such slot or feature.
    pub fn is_latched(&self, slot: u32, hour: usize, feature: usize) -> bool {
        let lanes = self.lanes();
        let group = slot as usize * self.slot_groups() + hour * self.hour_groups() + feature / lanes;
        self.group(group)[lanes + feature % lanes] & LATCHED != 0
    }

    /// Bytes that it holds in memory.
    pub fn bytes(&self) -> usize {
        self.lines.capacity() * size_of::<Line>() + self.last.capacity() * size_of::<i64>()
    }

    /// Features of a group.
    fn lanes(&self) -> usize {
        if self.features > FEW { MANY } else { FEW }
    }

    fn group_words(&self) -> usize {
        2 * self.lanes()
    }

    /// Groups of a slot for one hour.
    fn hour_groups(&self) -> usize {
        self.features.div_ceil(self.lanes())
    }

    fn slot_groups(&self) -> usize {
        self.hour_groups() * self.spec.season.hours()
    }

    fn slot_words(&self) -> usize {
        self.slot_groups() * self.group_words()
    }

    fn group(&self, group: usize) -> &[u32] {
        let words = self.group_words();
        &self.lines[group * words / LINE].0[group * words % LINE..][..words]
    }

    fn group_mut(&mut self, group: usize) -> &mut [u32] {
        let words = self.group_words();
        &mut self.lines[group * words / LINE].0[group * words % LINE..][..words]
    }

    /// The hour of a time among those that have a baseline of their own.
    fn hour(&self, time: i64) -> usize {
        if self.spec.season == Season::None { 0 } else { self.spec.season.hour(time) }
    }

    fn gaps_matter(&self) -> bool {
        self.spec.period.is_some() && self.spec.season == Season::None
    }

    /// Notes a row of a slot; gives the share of the past that its gap leaves.
    fn pass(&mut self, slot: usize, due: i64, left: &[f32; GAP_MAX + 1]) -> f32 {
        let Some(period) = self.spec.period.filter(|_| self.gaps_matter()) else { return 1.0 };
        let last = std::mem::replace(&mut self.last[slot], due);
        if last == i64::MIN {
            return 1.0;
        }
        left[(due.saturating_sub(last) / period).clamp(1, GAP_MAX as i64) as usize]
    }
}

/// Rows that are taken through all features together.
struct Block<'a> {
    judge: Judge,
    lines: &'a mut [Line],
    /// The first group of each row, and the share of the past that its gap leaves.
    places: &'a [usize],
    gaps: &'a [f32; BLOCK],
    rows: Range<usize>,
    columns: &'a [&'a [f64]],
    out: &'a mut Deviations,
}

/// A block whose features go in groups of so many. It is compiled for more than one kind of processor: all of it has to be inlined.
struct Judging<'a, const LANES: usize>(Block<'a>);

impl<const LANES: usize> NullaryFnOnce for Judging<'_, LANES> {
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        for group in 0..self.0.columns.len().div_ceil(LANES) {
            self.group(group);
        }
    }
}

impl<const LANES: usize> Judging<'_, LANES> {
    /// Takes the rows through a group of features.
    #[inline(always)]
    fn group(&mut self, group: usize) {
        let Block { judge, lines, places, gaps, rows, columns, out } = &mut self.0;
        let features = group * LANES..columns.len().min((group + 1) * LANES);
        let mut values = [[f32::NAN; LANES]; BLOCK];
        for (lane, column) in columns[features.clone()].iter().enumerate() {
            for (values, value) in values.iter_mut().zip(&column[rows.clone()]) {
                values[lane] = (*value as f32).clamp(-FAR, FAR);
            }
        }
        let (mut z, mut expected) = ([[0.0; LANES]; BLOCK], [[0.0; LANES]; BLOCK]);
        let blocks = z.iter_mut().zip(&mut expected).zip(values.iter().zip(places.iter().zip(*gaps)));
        for ((z, expected), (values, (place, gap))) in blocks {
            let word = (place + group) * 2 * LANES;
            let halves = lines[word / LINE].0[word % LINE..].as_chunks_mut().0;
            let [means, variances, ..] = halves else { unreachable!("a group is in one line") };
            (*z, *expected) = judge.step(means, variances, *gap, values);
        }
        for (lane, feature) in features.enumerate() {
            let outs = out.z[feature][rows.clone()].iter_mut().zip(&mut out.expected[feature][rows.clone()]);
            for ((z_out, expected_out), (z, expected)) in outs.zip(z.iter().zip(&expected)) {
                (*z_out, *expected_out) = (z[lane], expected[lane]);
            }
        }
    }
}

impl SlotState for BaselineColumns {
    type Saved = (Vec<u32>, Vec<i64>);

    fn grow(&mut self, slots: usize) {
        if slots > self.slots {
            self.slots = slots;
            self.lines.resize((slots * self.slot_words()).div_ceil(LINE), Line::default());
            if self.gaps_matter() {
                self.last.resize(slots, i64::MIN);
            }
        }
    }

    fn clear(&mut self, slot: u32) {
        assert!((slot as usize) < self.slots, "slot {slot} of {}", self.slots);
        let start = slot as usize * self.slot_groups();
        (start..start + self.slot_groups()).for_each(|group| self.group_mut(group).fill(0));
        if self.gaps_matter() {
            self.last[slot as usize] = i64::MIN;
        }
    }

    fn save(&self, slots: &[u32]) -> Self::Saved {
        let each = self.slot_groups();
        let groups = slots.iter().flat_map(|slot| (0..each).map(move |i| *slot as usize * each + i));
        let words = groups.flat_map(|group| self.group(group).iter().copied());
        (words.collect(), slots::save(&self.last, usize::from(self.gaps_matter()), slots))
    }

    fn load(&mut self, slots: &[u32], (words, last): &Self::Saved) {
        let each = self.slot_groups();
        assert_eq!(words.len(), slots.len() * self.slot_words(), "saved state of {} slots", slots.len());
        let mut saved = words.chunks_exact(self.group_words());
        for slot in slots {
            for (i, saved) in saved.by_ref().take(each).enumerate() {
                self.group_mut(*slot as usize * each + i).copy_from_slice(saved);
            }
        }
        let each = usize::from(self.gaps_matter());
        slots::load(&mut self.last, each, slots, last);
    }
}

/// Share of the past that is left after so many periods, over that after one.
fn past_left(memory: u8) -> [f32; GAP_MAX + 1] {
    let mut left = [1.0; GAP_MAX + 1];
    for gap in 2..=GAP_MAX {
        left[gap] = left[gap - 1] * (1.0 - 1.0 / f32::from(memory));
    }
    left
}
