//! What a worker's detectors remember of its keys in one branch, by slot, with what snapshots need to know.
//!
//! A key takes a slot with its first row and gives it back once it had no row for long. Whether it is remembered follows from
//! its rows alone: one that comes back too late finds nothing, whether or not its slot was swept by then.
//!
//! A row that corrects one of a window that was judged before is judged by what is known by then, and not learned: each window is once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, BinaryArray, Float64Array};
use event::{Span, Spans, key_hash};
use keys::{Keys, random_seed};
use serde::{Deserialize, Serialize};

use super::state::{Page, SavedState, Scratch, State};
use super::{Detector, Evidence, shapes};
use crate::DetectError;
use crate::baseline::Dues;
use crate::cohort::Latches;

/// No row yet.
const NEVER: i64 = i64::MIN;
/// Bytes that a chunk of a snapshot holds, more or less: some detectors remember a megabyte of a key.
const CHUNK_BYTES: usize = 32 << 20;
/// How many times in the span after which a key is forgotten the slots are swept.
const SWEEPS: i64 = 8;

/// The time of a row: the last instant of its window, or when it is due where that is later. A row that a record causes may be
/// due before, even at no time at all, by what its partition had seen.
fn time_of(span: &Span) -> i64 {
    span.due.max(span.window.end.saturating_sub(1))
}

/// What the detectors of a branch remember of a worker's keys.
#[derive(Debug)]
pub struct Detectors {
    detectors: Arc<[Detector]>,
    /// By detector.
    states: Vec<State>,
    /// What each of these is of, by which it is found again.
    shapes: Vec<String>,
    keys: Keys,
    /// The time of the last row of each slot.
    last: Vec<i64>,
    /// Since when the key of each slot is known: where its first window began, or a slide before that window's end.
    first: Vec<i64>,
    /// From which window end to the next, where all keys share windows.
    slide: Option<i64>,
    /// How long after its last row a key is remembered, in the unit of `due`.
    forget_after: i64,
    /// Whether rows may come that correct others.
    corrects: bool,
    /// Up to when all keys that are not remembered any more have given their slots back.
    swept: i64,
    /// Slots of which no snapshot says what they are by now, each once.
    changed: Vec<u32>,
    is_changed: Vec<bool>,
    /// Keys that are forgotten, of which snapshots know.
    gone: Vec<Vec<u8>>,
    /// Whether there is any snapshot: a job without a state has none.
    is_saved: bool,
    saving: Saving,
    scratch: Scratch,
    /// Slots of the rows that are judged.
    slots: Vec<u32>,
}

/// Rows that are judged together, and slots whose keys are forgotten in front of them.
pub(crate) type Run = (Range<usize>, Vec<u32>);

/// A snapshot that is being taken.
#[derive(Debug, Default)]
struct Saving {
    slots: Vec<u32>,
    gone: Vec<Vec<u8>>,
    /// Keys that snapshots hold altogether, since one held all.
    written: usize,
}

/// What detectors remember of some keys, as a checkpoint has it. Replaces what was written before of these keys.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SavedDetectors {
    /// The keys, encoded, one after the other, and where each ends.
    keys: Vec<u8>,
    ends: Vec<u32>,
    last: Vec<i64>,
    first: Vec<i64>,
    /// What each detector remembers, by its shape.
    states: Vec<(String, SavedState)>,
    /// Keys that are forgotten.
    gone: Vec<Vec<u8>>,
}

impl Detectors {
    /// Of no key yet. A key is forgotten when it had no row for `forget_after`, in the unit of `due`.
    ///
    /// # Errors
    /// If a setting of a detector is out of its range.
    pub fn new(detectors: Arc<[Detector]>, forget_after: i64) -> Result<Self, DetectError> {
        let states = detectors.iter().map(Detector::state).collect::<Result<_, _>>()?;
        Ok(Detectors::of_states(detectors, states, forget_after))
    }

    fn of_states(detectors: Arc<[Detector]>, states: Vec<State>, forget_after: i64) -> Self {
        let shapes = shapes(&detectors, Detector::shape);
        Detectors {
            detectors,
            states,
            shapes,
            keys: Keys::new(random_seed()),
            last: Vec::new(),
            first: Vec::new(),
            slide: None,
            forget_after,
            corrects: false,
            swept: NEVER,
            changed: Vec::new(),
            is_changed: Vec::new(),
            gone: Vec::new(),
            is_saved: false,
            saving: Saving::default(),
            scratch: Scratch::default(),
            slots: Vec::new(),
        }
    }

    /// The detectors, in the order of their scores.
    pub fn of(&self) -> &[Detector] {
        &self.detectors
    }

    /// The same, where a window ends so long after the one before it.
    #[must_use]
    pub(crate) fn sliding(self, slide: Option<i64>) -> Self {
        Detectors { slide, ..self }
    }

    /// The same, where rows that are due later than their windows correct others.
    #[must_use]
    pub(crate) fn correctable(self, corrects: bool) -> Self {
        Detectors { corrects, ..self }
    }

    /// Number of keys that are remembered.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Finds the slots of the rows that are judged next, and when each is due.
    pub(crate) fn meet(&mut self, keys: &BinaryArray) {
        self.slots.resize(keys.len(), 0);
        // Rows of windows that close come in the order in which their keys came first, or in one that is like it.
        self.keys.find_or_insert_in_order(keys, &mut self.slots);
        let slots = self.keys.slots();
        if slots > self.last.len() {
            self.last.resize(slots, NEVER);
            self.first.resize(slots, NEVER);
            self.is_changed.resize(slots, false);
            self.states.iter_mut().for_each(|state| state.grow(slots));
        }
        for slot in &self.slots {
            if self.last[*slot as usize] == NEVER {
                // It holds its slot from now on, until it is swept.
                self.last[*slot as usize] = NEVER + 1;
                self.keys.refer(*slot);
            }
            if !std::mem::replace(&mut self.is_changed[*slot as usize], true) {
                self.changed.push(*slot);
            }
        }
    }

    /// Runs of the rows that were met, in front of each of which some keys are to be forgotten: mostly one. Since when the key of
    /// each row is known goes to `since`.
    pub(crate) fn runs(&mut self, spans: &Spans, since: &mut Vec<i64>) -> Vec<Run> {
        let mut runs = Vec::new();
        let (mut start, mut forgotten) = (0, Vec::new());
        for (row, slot) in self.slots.iter().enumerate() {
            let span = spans.of(row);
            let (now, window) = (time_of(&span), span.window);
            let last = std::mem::replace(&mut self.last[*slot as usize], now);
            let is_known = last > NEVER + 1;
            let is_forgotten = is_known && now.saturating_sub(last) > self.forget_after;
            if !is_known || is_forgotten {
                let step = self.slide.map_or(window.start, |slide| window.end.saturating_sub(slide));
                self.first[*slot as usize] = window.start.max(step);
            }
            since.push(self.first[*slot as usize]);
            if is_forgotten {
                // A run that has the key already ends before the row that finds it forgotten.
                if spans.own().is_some() && self.slots[start..row].contains(slot) {
                    runs.push((start..row, std::mem::take(&mut forgotten)));
                    start = row;
                }
                forgotten.push(*slot);
            }
        }
        runs.push((start..self.slots.len(), forgotten));
        runs
    }

    /// Lets a detector judge the rows that were met, in runs, and learn them, unless they correct others. `columns` has a slice for each
    /// input.
    pub(crate) fn observe(
        &mut self,
        detector: usize,
        runs: &[Run],
        spans: &Spans,
        columns: &[Float64Array],
        chosen: Option<&[bool]>,
    ) -> Evidence {
        let of = &self.detectors[detector];
        let state = &mut self.states[detector];
        // What is judged beside other keys counts as what it is by now. All rows of windows that are corrected come by themselves.
        let corrects = self.corrects
            && !matches!(state, State::Cohort(_) | State::Top)
            && spans.own().and_then(<[Span]>::first).is_some_and(|span| span.due > span.window.due());
        let mut evidence = Evidence::of(self.detectors[detector].outputs().len(), columns.len());
        for (rows, forgotten) in runs {
            // What is judged later than it is met says by itself what is too long ago.
            if !matches!(state, State::Cohort(_)) {
                forgotten.iter().for_each(|slot| state.clear(*slot));
            }
            // The hour of a window that is corrected is its own.
            let time = |span: &Span| if corrects { span.window.due() } else { time_of(span) };
            let own: Option<Vec<i64>> = spans.own().map(|own| own[rows.clone()].iter().map(time).collect());
            let dues = match (&own, spans) {
                (Some(dues), _) => Dues::Own(dues),
                (None, _) => Dues::Shared(time_of(&spans.of(0))),
            };
            let columns: Vec<&[f64]> = columns.iter().map(|column| &column.values()[rows.clone()]).collect();
            let chosen = chosen.map(|chosen| &chosen[rows.clone()]);
            let slots = &self.slots[rows.clone()];
            let page = Page { slots, dues, columns: &columns, chosen };
            match corrects {
                true => state.consider(of, &page, &mut self.scratch, &mut evidence),
                false => state.observe(of, &page, &mut self.scratch, &mut evidence),
            }
        }
        evidence
    }

    /// The slots of the rows that were met.
    pub(crate) fn slots(&self) -> &[u32] {
        &self.slots
    }

    /// Which keys a detector has found to be an anomaly in their cohort, if it looks for that.
    pub(crate) fn latches(&mut self, detector: usize) -> Option<Latches<'_>> {
        match self.states.get_mut(detector)? {
            State::Cohort(columns) => Some(Latches { columns, forget_after: self.forget_after }),
            _ => None,
        }
    }

    /// The hashes of the rows that were met.
    pub(crate) fn hashes(&self) -> Vec<u64> {
        self.slots.iter().map(|slot| self.keys.hash(*slot)).collect()
    }

    /// A copy that remembers the keys of some rows alone: what it is asked and learns changes nothing here.
    ///
    /// # Errors
    /// As [`Detectors::new`]: not where this could be made.
    pub fn of_keys(&self, keys: &BinaryArray) -> Result<Detectors, DetectError> {
        let states = self.detectors.iter().zip(&self.states).map(|(detector, state)| state.like(detector));
        let states = states.collect::<Result<_, _>>()?;
        let mut copy = Detectors::of_states(Arc::clone(&self.detectors), states, self.forget_after);
        (copy.slide, copy.corrects) = (self.slide, self.corrects);
        let known = keys.iter().flatten().filter_map(|key| self.keys.find(key, key_hash(key)));
        let slots: Vec<u32> = known.collect();
        copy.restore(&self.saved(&slots, Vec::new()), &|_| true);
        Ok(copy)
    }

    /// All rows that are due before `before` were judged: keys that are not remembered any more may give back their slots.
    pub fn advance(&mut self, before: i64) {
        let step = (self.forget_after / SWEEPS).max(1);
        if self.swept != NEVER && before.saturating_sub(self.swept) < step {
            return;
        }
        self.swept = before;
        let oldest = before.saturating_sub(1).saturating_sub(self.forget_after);
        for slot in 0..self.last.len() as u32 {
            let last = self.last[slot as usize];
            if last > NEVER + 1 && last < oldest {
                self.forget(slot);
            }
        }
    }

    fn forget(&mut self, slot: u32) {
        let mut key = Vec::new();
        self.keys.append_key(slot, &mut key);
        if self.is_saved {
            self.gone.push(key);
        }
        self.last[slot as usize] = NEVER;
        self.states.iter_mut().for_each(|state| state.clear(slot));
        self.keys.release(slot);
    }

    /// Begins a snapshot: of what has changed since the last one, or of everything if `whole`. Says whether it is of
    /// everything, which it also is where most of what was written before is written again.
    pub fn begin_save(&mut self, whole: bool) -> bool {
        self.is_saved = true;
        let mut changed = std::mem::take(&mut self.changed);
        changed.iter().for_each(|slot| self.is_changed[*slot as usize] = false);
        let gone = std::mem::take(&mut self.gone);
        let saving = &mut self.saving;
        let whole = whole || saving.written + changed.len() > 2 * self.keys.len();
        if whole {
            changed = (0..self.last.len() as u32).collect();
        }
        changed.retain(|slot| self.last[*slot as usize] > NEVER + 1);
        saving.written = if whole { changed.len() } else { saving.written + changed.len() };
        saving.slots = changed;
        saving.gone = if whole { Vec::new() } else { gone };
        whole
    }

    /// The next `keys_max` keys of the snapshot; `None` once there are no more.
    pub fn save(&mut self, keys_max: usize) -> Option<SavedDetectors> {
        if self.saving.slots.is_empty() && self.saving.gone.is_empty() {
            return None;
        }
        // What is gone comes first: a key that has come back since has a slot, which then says what it is.
        let gone = std::mem::take(&mut self.saving.gone);
        let bytes: usize = self.states.iter().map(State::bytes_of_key).sum();
        let keys_max = keys_max.min(CHUNK_BYTES / bytes.max(1)).max(1);
        let rest = self.saving.slots.split_off(self.saving.slots.len().min(keys_max));
        let slots = std::mem::replace(&mut self.saving.slots, rest);
        Some(self.saved(&slots, gone))
    }

    fn saved(&self, slots: &[u32], gone: Vec<Vec<u8>>) -> SavedDetectors {
        let mut saved = SavedDetectors { gone, ..SavedDetectors::default() };
        for slot in slots {
            self.keys.append_key(*slot, &mut saved.keys);
            saved.ends.push(saved.keys.len() as u32);
            saved.last.push(self.last[*slot as usize]);
            saved.first.push(self.first[*slot as usize]);
        }
        let states = self.shapes.iter().zip(&self.states);
        saved.states = states.map(|(shape, state)| (shape.clone(), state.save(slots))).collect();
        saved
    }

    /// Takes in what a snapshot says, after all that were taken before it. `owns` says whether a key belongs here. What a
    /// detector remembered that has other inputs by now, or is gone, is left out: it starts anew.
    pub fn restore(&mut self, saved: &SavedDetectors, owns: &dyn Fn(&[u8]) -> bool) {
        for key in saved.gone.iter().filter(|key| owns(key)) {
            if let Some(slot) = self.keys.find(key, key_hash(key)) {
                self.forget(slot);
            }
        }
        let mut start = 0;
        let mut kept: Vec<(usize, &[u8])> = Vec::with_capacity(saved.ends.len());
        for (place, end) in saved.ends.iter().enumerate() {
            let key = &saved.keys[start as usize..*end as usize];
            start = *end;
            if owns(key) {
                kept.push((place, key));
            }
        }
        if kept.is_empty() {
            return;
        }
        self.meet(&BinaryArray::from_iter_values(kept.iter().map(|(_, key)| key)));
        for ((place, _), slot) in kept.iter().zip(&self.slots) {
            self.last[*slot as usize] = saved.last[*place];
            self.first[*slot as usize] = saved.first[*place];
        }
        let by_shape: BTreeMap<&str, &SavedState> =
            saved.states.iter().map(|(shape, state)| (shape.as_str(), state)).collect();
        let places: Vec<u32> = kept.iter().map(|(place, _)| *place as u32).collect();
        let states = self.states.iter_mut().zip(self.detectors.iter());
        for (shape, (state, detector)) in self.shapes.iter().zip(states) {
            let Some(saved_state) = by_shape.get(shape.as_str()) else { continue };
            match kept.len() == saved.ends.len() {
                true => state.load(&self.slots, saved_state),
                // Those of other workers are left out by way of a state of them all.
                false => {
                    let Ok(mut all) = state.like(detector) else { continue };
                    all.grow(saved.ends.len());
                    all.load(&(0..saved.ends.len() as u32).collect::<Vec<_>>(), saved_state);
                    state.load(&self.slots, &all.save(&places));
                }
            }
        }
    }
}
