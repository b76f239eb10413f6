//! The personal baseline: each value of a key beside the mean and the deviation of its own past.
//!
//! [`BaselineColumns`] holds the state of many keys and is asked for the rows of a closed window at once. The
//! caller knows which key has which slot. Per key and feature it keeps eight bytes, an exponentially weighted mean
//! and a variance with a mark in its last bits. The eight features of a line of the cache lie side by side, and four
//! are judged at a time, without branches: a key costs a cache miss, and little else.
//!
//! Promises: the answer for a row depends on the earlier rows of its slot alone. Only additions, multiplications,
//! divisions and square roots of IEEE 754 decide, in a fixed order: it is the same on every machine.

use std::array::from_fn;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{DetectError, Direction};

/// Deviations are cut off here, so that a value beside a constant past has a finite one.
pub const DEVIATION_MAX: f32 = 1000.0;

/// Rows that are taken through all features together: their states stay in the first cache.
const BLOCK: usize = 64;
/// Features that are judged at a time: those of a key are padded to whole groups.
const LANES: usize = 4;
/// Words of a group's state: means, and variances with marks.
const GROUP: usize = 2 * LANES;
/// Groups in a line of the cache.
const LINE_GROUPS: usize = 2;
/// Gaps up to here make the past count less, each more than the one before; longer ones count as this.
const GAP_MAX: usize = 64;
/// A mark: whether the latch is set, and below it rows learned or, if it is, rows since. It takes the place of the
/// last bits of a variance, which has four significant digits left.
const MARK: u32 = 0xFF;
const LATCHED: u32 = 0x80;
const ROWS_MAX: u32 = 0x7F;

/// How baselines learn and judge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaselineSpec {
    /// Which side is bad. Default: both.
    pub direction: Direction,
    /// Rows of a key before the first that is judged. Default: 10. Range: 2 to 120.
    pub warmup: u8,
    /// Rows after which one counts 1/e of the newest. Default: 30. Range: `warmup` to 120.
    pub memory: u8,
    /// Deviations from the mean beyond which the latch is set and a row is an anomaly. Default: 3. Range: above 0.
    pub limit: f32,
    /// Deviations below which the latch is released. Default: 1.5. Range: above 0, up to `limit`.
    pub release: f32,
    /// Values further from the mean than so many deviations are learned as if they lay there. Default: 3.
    pub clip: f32,
    /// Rows in a row for which a latch may hold; then what goes on is the new usual and is learned from the start.
    /// Counts the row that set it. Default: 120. Range: 1 to 120.
    pub latched_max: u8,
    /// A deviation is never taken for less than this, in the unit of the value. Default: 0.
    pub deviation_min: f32,
    /// Nor for less than this share of the mean. Default: 0.01.
    pub ratio_min: f32,
    /// Time between the rows of a key, in the unit of `due`; a row that comes later finds a past that counts less.
    /// `None`: gaps do not matter.
    pub period: Option<i64>,
    /// What is usual may depend on the hour. Each hour has a baseline of its own, of the same size. Gaps do not
    /// matter then.
    pub season: Season,
}

/// Which hours have a baseline of their own. Times count microseconds from 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Season {
    /// None: one for all.
    #[default]
    None,
    /// The 24 of the day.
    HourOfDay,
    /// The 168 of the week.
    HourOfWeek,
}

impl Season {
    /// Number of baselines of a key.
    pub fn hours(self) -> usize {
        match self {
            Season::None => 1,
            Season::HourOfDay => 24,
            Season::HourOfWeek => 168,
        }
    }

    /// Which of them a time belongs to.
    pub fn hour(self, time: i64) -> usize {
        const HOUR_US: i64 = 3_600_000_000;
        time.div_euclid(HOUR_US).rem_euclid(self.hours() as i64) as usize
    }
}

impl Default for BaselineSpec {
    fn default() -> Self {
        BaselineSpec {
            direction: Direction::Both,
            warmup: 10,
            memory: 30,
            limit: 3.0,
            release: 1.5,
            clip: 3.0,
            latched_max: 120,
            deviation_min: 0.0,
            ratio_min: 0.01,
            period: None,
            season: Season::None,
        }
    }
}

impl BaselineSpec {
    fn check(&self) -> Result<(), DetectError> {
        let (warmup, memory) = (f64::from(self.warmup), f64::from(self.memory));
        let (limit, release) = (f64::from(self.limit), f64::from(self.release));
        let period = self.period.unwrap_or(1);
        let latched_max = f64::from(self.latched_max);
        let settings = [
            ("warmup", warmup, (2.0..=120.0).contains(&warmup), "2 to 120"),
            ("memory", memory, (warmup..=120.0).contains(&memory), "between `warmup` and 120"),
            ("limit", limit, limit > 0.0, "above 0"),
            ("release", release, release > 0.0 && release <= limit, "above 0, up to `limit`"),
            ("clip", self.clip.into(), self.clip > 0.0, "above 0"),
            ("latched_max", latched_max, (1.0..=120.0).contains(&latched_max), "1 to 120"),
            ("deviation_min", self.deviation_min.into(), self.deviation_min >= 0.0, "0 or more"),
            ("ratio_min", self.ratio_min.into(), self.ratio_min >= 0.0, "0 or more"),
            ("period", period as f64, period > 0, "above 0"),
        ];
        match settings.into_iter().find(|(_, _, fits, _)| !fits) {
            None => Ok(()),
            Some((setting, found, _, wanted)) => Err(DetectError::Setting { setting, found, wanted }),
        }
    }

    /// A deviation on the common scale: above 1 is an anomaly. NaN, not known, stays NaN.
    pub fn calibrate(&self, deviation: f32) -> f32 {
        let towards = self.direction.towards(deviation);
        if towards < 0.0 { 0.0 } else { towards / self.limit }
    }
}

/// A line of the cache: two groups, each with the bits of its means and then of its variances with marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[repr(C, align(64))]
struct Line([u32; LINE_GROUPS * GROUP]);

/// The baselines of many keys, by slot.
///
/// A value is single precision within: what differs from the mean by less than a millionth of it is not seen.
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
    fn of(self, row: usize) -> i64 {
        match self {
            Dues::Shared(due) => due,
            Dues::Own(dues) => dues[row],
        }
    }
}

/// What baselines say about rows, a column for each feature. Kept and used again, so that nothing is allocated.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deviations {
    /// Deviations from the mean, signed; NaN if the value is missing or the baseline is not warm.
    pub z: Vec<Vec<f32>>,
    /// The mean before the row; NaN if there is none yet.
    pub expected: Vec<Vec<f32>>,
}

impl Deviations {
    fn resize(&mut self, features: usize, rows: usize) {
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

    /// Makes room for slots below `slots`; those that are there stay as they are.
    pub fn grow(&mut self, slots: usize) {
        if slots > self.slots {
            self.slots = slots;
            self.lines.resize((slots * self.slot_groups()).div_ceil(LINE_GROUPS), Line::default());
            if self.gaps_matter() {
                self.last.resize(slots, i64::MIN);
            }
        }
    }

    /// Forgets what a slot was, before another key gets it.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn clear(&mut self, slot: u32) {
        assert!((slot as usize) < self.slots, "slot {slot} of {}", self.slots);
        let start = slot as usize * self.slot_groups();
        (start..start + self.slot_groups()).for_each(|group| *self.group(group) = [0; GROUP]);
        if self.gaps_matter() {
            self.last[slot as usize] = i64::MIN;
        }
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
            let mut touched = 0;
            for (row, (place, gap)) in rows.clone().zip(places.iter_mut().zip(&mut gaps)) {
                let (slot, due) = (slots[row] as usize, dues.of(row));
                *place = slot * self.slot_groups() + self.spec.season.hour(due) * self.hour_groups();
                *gap = self.pass(slot, due, &left);
                touched |= self.lines[*place / LINE_GROUPS].0[0];
            }
            // Reading a word of each makes the cache misses of a block overlap.
            std::hint::black_box(touched);
            for group in 0..columns.len().div_ceil(LANES) {
                self.observe_group(group, &places, &gaps, rows.clone(), columns, out);
            }
        }
    }

    /// Takes a block of rows through a group of features.
    fn observe_group(
        &mut self,
        group: usize,
        places: &[usize; BLOCK],
        gaps: &[f32; BLOCK],
        rows: Range<usize>,
        columns: &[&[f64]],
        out: &mut Deviations,
    ) {
        let judge = Judge::new(&self.spec);
        let features = group * LANES..columns.len().min((group + 1) * LANES);
        let mut values = [[f32::NAN; LANES]; BLOCK];
        for (lane, column) in columns[features.clone()].iter().enumerate() {
            for (values, value) in values.iter_mut().zip(&column[rows.clone()]) {
                values[lane] = *value as f32;
            }
        }
        let (mut z, mut expected) = ([[0.0; LANES]; BLOCK], [[0.0; LANES]; BLOCK]);
        let blocks = z.iter_mut().zip(&mut expected).zip(values.iter().zip(places.iter().zip(gaps)));
        for ((z, expected), (values, (place, gap))) in blocks.take(rows.len()) {
            (*z, *expected) = judge.step(self.group(place + group), *gap, values);
        }
        for (lane, feature) in features.enumerate() {
            let outs = out.z[feature][rows.clone()].iter_mut().zip(&mut out.expected[feature][rows.clone()]);
            for ((z_out, expected_out), (z, expected)) in outs.zip(z.iter().zip(&expected)) {
                (*z_out, *expected_out) = (z[lane], expected[lane]);
            }
        }
    }

    /// Whether the latch of a feature is set at an hour.
    ///
    /// # Panics
    /// If there is no such slot or feature.
    pub fn is_latched(&self, slot: u32, hour: usize, feature: usize) -> bool {
        let group = slot as usize * self.slot_groups() + hour * self.hour_groups() + feature / LANES;
        let word = group % LINE_GROUPS * GROUP + LANES + feature % LANES;
        self.lines[group / LINE_GROUPS].0[word] & LATCHED != 0
    }

    /// Bytes that it holds in memory.
    pub fn bytes(&self) -> usize {
        self.lines.capacity() * size_of::<Line>() + self.last.capacity() * size_of::<i64>()
    }

    /// Groups of a slot for one hour.
    fn hour_groups(&self) -> usize {
        self.features.div_ceil(LANES)
    }

    fn slot_groups(&self) -> usize {
        self.hour_groups() * self.spec.season.hours()
    }

    fn group(&mut self, group: usize) -> &mut [u32; GROUP] {
        &mut self.lines[group / LINE_GROUPS].0.as_chunks_mut().0[group % LINE_GROUPS]
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

/// Share of the past that is left after so many periods, over that after one.
fn past_left(memory: u8) -> [f32; GAP_MAX + 1] {
    let mut left = [1.0; GAP_MAX + 1];
    for gap in 2..=GAP_MAX {
        left[gap] = left[gap - 1] * (1.0 - 1.0 / f32::from(memory));
    }
    left
}

/// The settings as the lanes need them.
struct Judge {
    /// 1 for each side that is bad, 0 for one that is not.
    low: f32,
    high: f32,
    warmup: u32,
    memory: u32,
    latched_max: u32,
    limit: f32,
    release: f32,
    clip: f32,
    deviation_min: f32,
    ratio_min: f32,
}

impl Judge {
    fn new(spec: &BaselineSpec) -> Self {
        let side = |other: Direction| if spec.direction == other { 0.0 } else { 1.0 };
        Judge {
            low: side(Direction::High),
            high: side(Direction::Low),
            warmup: spec.warmup.into(),
            memory: spec.memory.into(),
            latched_max: spec.latched_max.into(),
            limit: spec.limit,
            release: spec.release,
            clip: spec.clip,
            deviation_min: spec.deviation_min,
            ratio_min: spec.ratio_min,
        }
    }

    /// Judges the values of a group and learns them: how many deviations each lies off, and what was expected.
    ///
    /// Lanes go together: all is computed, and then chosen from, in steps that are one instruction for all lanes.
    #[inline(always)]
    fn step(
        &self,
        words: &mut [u32; GROUP],
        left: f32,
        values: &[f32; LANES],
    ) -> ([f32; LANES], [f32; LANES]) {
        let mean: [f32; LANES] = from_fn(|i| f32::from_bits(words[i]));
        let variance: [f32; LANES] = from_fn(|i| f32::from_bits(words[LANES + i] & !MARK));
        let mark: [u32; LANES] = from_fn(|i| words[LANES + i] & MARK);
        let rows: [u32; LANES] = from_fn(|i| mark[i] & ROWS_MAX);
        let known: [u32; LANES] = from_fn(|i| mask(!values[i].is_nan()));
        let latched: [u32; LANES] = from_fn(|i| mask(mark[i] > ROWS_MAX));
        let warm: [u32; LANES] = from_fn(|i| latched[i] | mask(rows[i] >= self.warmup));

        let least: [f32; LANES] = from_fn(|i| larger(self.deviation_min, self.ratio_min * mean[i].abs()));
        let deviation: [f32; LANES] =
            from_fn(|i| larger(larger(variance[i].sqrt(), least[i]), f32::MIN_POSITIVE));
        let off: [f32; LANES] = from_fn(|i| values[i] - mean[i]);
        let z: [f32; LANES] = from_fn(|i| within(off[i] / deviation[i], DEVIATION_MAX));
        let towards: [f32; LANES] = from_fn(|i| larger(z[i] * self.high, -z[i] * self.low));
        let holds: [u32; LANES] = from_fn(|i| latched[i] & mask(towards[i] >= self.release));
        let sets: [u32; LANES] = from_fn(|i| !latched[i] & warm[i] & mask(towards[i] > self.limit));
        let learns: [u32; LANES] = from_fn(|i| known[i] & !holds[i] & !sets[i]);

        let learned: [u32; LANES] = from_fn(|i| choose(latched[i], self.memory, rows[i]));
        // Below 2^7: as a signed number it is converted in one instruction.
        let weight: [f32; LANES] = from_fn(|i| (learned[i] as i32 + 1) as f32);
        let past: [f32; LANES] =
            from_fn(|i| (1.0 - 1.0 / smaller(weight[i], self.memory as i32 as f32)) * left);
        // A past without any deviation has no width to clip at.
        let clips: [u32; LANES] = from_fn(|i| warm[i] & mask(variance[i] > 0.0));
        let reach: [f32; LANES] = from_fn(|i| choose_f32(clips[i], self.clip * deviation[i], f32::INFINITY));
        let moved: [f32; LANES] = from_fn(|i| within(off[i], reach[i]));
        let new_mean: [f32; LANES] = from_fn(|i| mean[i] + (1.0 - past[i]) * moved[i]);
        let new_variance: [f32; LANES] =
            from_fn(|i| past[i] * (variance[i] + (1.0 - past[i]) * moved[i] * moved[i]));

        // Without any row learned the next one starts anew, whatever the moments are.
        let held: [u32; LANES] =
            from_fn(|i| choose(mask(rows[i] >= self.latched_max), 0, LATCHED | (rows[i] + 1)));
        let free: [u32; LANES] = from_fn(|i| choose(mask(learned[i] < ROWS_MAX), learned[i] + 1, ROWS_MAX));
        let judged: [u32; LANES] =
            from_fn(|i| choose(holds[i], held[i], choose(sets[i], LATCHED | 1, free[i])));
        let marks: [u32; LANES] = from_fn(|i| choose(known[i], judged[i], mark[i]));
        // To the nearest of what is left of its digits.
        let rounded: [u32; LANES] = from_fn(|i| new_variance[i].to_bits().wrapping_add(MARK / 2) & !MARK);
        for i in 0..LANES {
            words[i] = choose(learns[i], new_mean[i].to_bits(), words[i]);
            words[LANES + i] = choose(learns[i], rounded[i], words[LANES + i] & !MARK) | marks[i];
        }
        (
            from_fn(|i| choose_f32(known[i] & warm[i], z[i], f32::NAN)),
            from_fn(|i| choose_f32(mask(mark[i] == 0), f32::NAN, mean[i])),
        )
    }
}

/// All bits if it holds, none if not.
fn mask(holds: bool) -> u32 {
    if holds { u32::MAX } else { 0 }
}

fn choose(mask: u32, then: u32, otherwise: u32) -> u32 {
    (mask & then) | (!mask & otherwise)
}

fn choose_f32(mask: u32, then: f32, otherwise: f32) -> f32 {
    f32::from_bits(choose(mask, then.to_bits(), otherwise.to_bits()))
}

/// A number, cut off at a bound on either side.
fn within(number: f32, bound: f32) -> f32 {
    smaller(larger(number, -bound), bound)
}

/// The larger of two numbers, as one instruction: neither is NaN.
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

#[cfg(test)]
#[path = "baseline_tests.rs"]
mod tests;
