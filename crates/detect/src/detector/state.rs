//! What the methods remember of keys, by slot, and what they say of rows.

use event::NOTHING_BEFORE;
use serde::{Deserialize, Serialize};

use super::instead::{Instead, all_near};
use super::keyed::Keyed;
use super::width::add_widths;
use super::words::in_words;
use super::{Detector, Evidence, Method};
use crate::baseline::{BaselineColumns, Deviations, Dues};
use crate::cohort::LatchColumns;
use crate::cusum::CusumColumns;
use crate::forest::{Attribution, Recourse, SeriesForest, StreamForest, Verdict, recourse};
use crate::page_hinkley::PageHinkleyColumns;
use crate::robust::RobustColumns;
use crate::slots::SlotState;
use crate::{DetectError, NearExpected};

/// What is remembered of the keys that have a slot.
#[derive(Debug, Clone)]
pub(crate) enum State {
    Baseline(BaselineColumns),
    Robust(RobustColumns),
    Cusum(BaselineColumns, CusumColumns),
    PageHinkley(BaselineColumns, PageHinkleyColumns),
    Forest(Keyed<StreamForest>),
    /// What is usual, where the score is not computed of that alone.
    Usual(BaselineColumns),
    Series(Keyed<SeriesForest>),
    Cohort(LatchColumns),
    /// Nothing is.
    Top,
}

/// What is remembered of some slots, as a checkpoint has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum SavedState {
    Baseline(<BaselineColumns as SlotState>::Saved),
    Robust(<RobustColumns as SlotState>::Saved),
    Cusum(<BaselineColumns as SlotState>::Saved, <CusumColumns as SlotState>::Saved),
    PageHinkley(<BaselineColumns as SlotState>::Saved, <PageHinkleyColumns as SlotState>::Saved),
    Forest(<Keyed<StreamForest> as SlotState>::Saved),
    Usual(<BaselineColumns as SlotState>::Saved),
    Series(<Keyed<SeriesForest> as SlotState>::Saved),
    Cohort(<LatchColumns as SlotState>::Saved),
    Top,
}

/// Rows that are considered together: what is remembered of a key may be long.
const COPIED: usize = 256;

/// Some rows that are judged together.
pub(super) struct Page<'a> {
    /// Whose they are.
    pub(super) slots: &'a [u32],
    /// When they are due.
    pub(super) dues: Dues<'a>,
    /// A column of values for each input, NaN where one is missing.
    pub(super) columns: &'a [&'a [f64]],
    /// Which rows are looked at, where not all are.
    pub(super) chosen: Option<&'a [bool]>,
}

/// Room for what methods say before it is evidence.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    deviations: Deviations,
    scores: Vec<Vec<f32>>,
    attribution: Attribution,
}

impl State {
    /// Of no key yet.
    pub(super) fn new(method: &Method, inputs: usize) -> Result<State, DetectError> {
        let one = |found| DetectError::Setting { setting: "inputs", found, wanted: "1" };
        if let Some(grouping) = method.grouping() {
            grouping.check()?;
            (inputs == 1).then_some(()).ok_or_else(|| one(inputs as f64))?;
        }
        Ok(match method.clone() {
            Method::Baseline(spec) => State::Baseline(BaselineColumns::new(spec, inputs)?),
            Method::Robust(spec) => State::Robust(RobustColumns::new(spec, inputs)?),
            Method::Cusum(baseline, spec) => {
                State::Cusum(BaselineColumns::new(baseline, inputs)?, CusumColumns::new(spec, inputs)?)
            }
            Method::PageHinkley(baseline, spec) => {
                let columns = PageHinkleyColumns::new(spec, inputs)?;
                State::PageHinkley(BaselineColumns::new(baseline, inputs)?, columns)
            }
            Method::Forest { spec, .. } => State::Forest(Keyed::new(spec.as_ref())?),
            Method::Shared { baseline, .. } => State::Usual(BaselineColumns::new(baseline, inputs)?),
            Method::Model(spec) => State::Usual(BaselineColumns::new(spec.baseline, inputs)?),
            Method::Series { spec, .. } => {
                if inputs != 1 {
                    let found = inputs as f64;
                    return Err(DetectError::Setting { setting: "inputs", found, wanted: "1, a series" });
                }
                State::Series(Keyed::new(&spec)?)
            }
            Method::Cohort { spec, .. } => {
                spec.check()?;
                State::Cohort(LatchColumns::default())
            }
            Method::Top { spec, .. } => {
                spec.check()?;
                State::Top
            }
        })
    }

    /// Judges rows and learns them, and adds what is to be said of them.
    pub(super) fn observe(
        &mut self,
        of: &Detector,
        page: &Page<'_>,
        scratch: &mut Scratch,
        evidence: &mut Evidence,
    ) {
        let Detector { method, near, .. } = of;
        let Scratch { deviations, scores, attribution } = scratch;
        let (slots, columns) = (page.slots, page.columns);
        let direction = method.direction();
        let counts = (*near != NearExpected::default()).then_some(near);
        match (self, method) {
            (State::Forest(forests), _) => forest(forests, of, page, attribution, evidence),
            (State::Series(forests), _) => series(forests, of, page, evidence),
            // What can be said is known once all workers have told of their rows.
            (State::Cohort(_) | State::Top, _) => {
                let columns = evidence.shares.iter_mut().chain(&mut evidence.expected);
                columns.for_each(|column| column.resize(column.len() + slots.len(), f32::NAN));
            }
            // The score is the business of a forest, which looks at the deviations, or of a model.
            (State::Usual(state), _) => {
                state.observe(slots, page.dues, columns, deviations);
                for (input, (shares, expected)) in
                    evidence.shares.iter_mut().zip(&mut evidence.expected).enumerate()
                {
                    shares.extend(deviations.counted(input, slots.len()));
                    expected.extend_from_slice(&deviations.expected[input][..slots.len()]);
                    evidence.statistics[input].extend(deviations.counted(input, slots.len()));
                }
                if matches!(method, Method::Shared { .. }) {
                    let before = evidence.before.iter_mut();
                    before.for_each(|column| column.resize(column.len() + slots.len(), NOTHING_BEFORE));
                    add_widths(page, deviations, evidence);
                    if of.spares() {
                        add_nearness(page, near, evidence);
                    }
                }
            }
            (State::Baseline(state), Method::Baseline(spec)) => {
                state.observe(slots, page.dues, columns, deviations);
                let calibrated = |z: f32| spec.calibrate(z);
                linear(page, counts, &deviations.z, &deviations.expected, calibrated, evidence);
            }
            (State::Robust(state), Method::Robust(spec)) => {
                state.observe(slots, columns, deviations);
                let calibrated = |z: f32| spec.calibrate(z);
                linear(page, counts, &deviations.z, &deviations.expected, calibrated, evidence);
            }
            (State::Cusum(baseline, state), _) => {
                baseline.observe(slots, page.dues, columns, deviations);
                let before = &mut evidence.before;
                let counted: Vec<Vec<f32>> = (0..columns.len())
                    .map(|input| deviations.counted(input, slots.len()).collect())
                    .collect();
                state.observe_from(slots, &counted, scores, |input, [up, down]| {
                    before[input].push([f64::NAN, up.into(), down.into(), 0.0, 0.0]);
                });
                add_widths(page, deviations, evidence);
                let calibrated = |score: f32| direction.towards(score).max(0.0);
                linear(page, Some(near), scores, &deviations.expected, calibrated, evidence);
            }
            (State::PageHinkley(baseline, state), _) => {
                baseline.observe(slots, page.dues, columns, deviations);
                let wide = |input| deviations.counted(input, slots.len()).map(f64::from).collect();
                let wide: Vec<Vec<f64>> = (0..columns.len()).map(wide).collect();
                let wide: Vec<&[f64]> = wide.iter().map(Vec::as_slice).collect();
                let before = &mut evidence.before;
                state.observe_from(slots, &wide, scores, |input, [values, mean, up, down]| {
                    before[input].push([f64::NAN, values, mean, up, down]);
                });
                add_widths(page, deviations, evidence);
                let calibrated = |score: f32| direction.towards(score).max(0.0);
                linear(page, Some(near), scores, &deviations.expected, calibrated, evidence);
            }
            (State::Baseline(_) | State::Robust(_), _) => unreachable!("a state is of its detector's method"),
        }
    }

    /// What is remembered of no key yet, of the same detector.
    pub(super) fn like(&self, detector: &Detector) -> Result<State, DetectError> {
        match self {
            State::Forest(forests) => Ok(State::Forest(forests.like())),
            State::Series(forests) => Ok(State::Series(forests.like())),
            _ => State::new(&detector.method, detector.inputs.len()),
        }
    }

    /// Judges rows, each by what is remembered by now, and learns none of them.
    pub(super) fn consider(
        &self,
        of: &Detector,
        page: &Page<'_>,
        scratch: &mut Scratch,
        evidence: &mut Evidence,
    ) {
        for start in (0..page.slots.len()).step_by(COPIED) {
            let rows = start..page.slots.len().min(start + COPIED);
            let slots: Vec<u32> = (0..rows.len() as u32).collect();
            let mut copy = self.like(of).expect("settings that were looked at when this was made");
            copy.grow(slots.len());
            copy.load(&slots, &self.save(&page.slots[rows.clone()]));
            let columns: Vec<&[f64]> = page.columns.iter().map(|column| &column[rows.clone()]).collect();
            let dues = match page.dues {
                Dues::Own(dues) => Dues::Own(&dues[rows.clone()]),
                Dues::Shared(due) => Dues::Shared(due),
            };
            let chosen = page.chosen.map(|chosen| &chosen[rows.clone()]);
            copy.observe(of, &Page { slots: &slots, dues, columns: &columns, chosen }, scratch, evidence);
        }
    }

    /// Bytes that are remembered of a key, more or less.
    pub(super) fn bytes_of_key(&self) -> usize {
        match self {
            State::Forest(forests) => forests.bytes_of_key(),
            State::Series(forests) => forests.bytes_of_key(),
            // Small whatever the inputs.
            _ => 1 << 10,
        }
    }

    pub(super) fn grow(&mut self, slots: usize) {
        match self {
            State::Baseline(state) => state.grow(slots),
            State::Robust(state) => state.grow(slots),
            State::Cusum(baseline, state) => {
                baseline.grow(slots);
                state.grow(slots);
            }
            State::PageHinkley(baseline, state) => {
                baseline.grow(slots);
                state.grow(slots);
            }
            State::Forest(state) => state.grow(slots),
            State::Usual(state) => state.grow(slots),
            State::Series(state) => state.grow(slots),
            State::Cohort(state) => state.grow(slots),
            State::Top => {}
        }
    }

    pub(super) fn clear(&mut self, slot: u32) {
        match self {
            State::Baseline(state) => state.clear(slot),
            State::Robust(state) => state.clear(slot),
            State::Cusum(baseline, state) => {
                baseline.clear(slot);
                state.clear(slot);
            }
            State::PageHinkley(baseline, state) => {
                baseline.clear(slot);
                state.clear(slot);
            }
            State::Forest(state) => state.clear(slot),
            State::Usual(state) => state.clear(slot),
            State::Series(state) => state.clear(slot),
            State::Cohort(state) => state.clear(slot),
            State::Top => {}
        }
    }

    pub(super) fn save(&self, slots: &[u32]) -> SavedState {
        match self {
            State::Baseline(state) => SavedState::Baseline(state.save(slots)),
            State::Robust(state) => SavedState::Robust(state.save(slots)),
            State::Cusum(baseline, state) => SavedState::Cusum(baseline.save(slots), state.save(slots)),
            State::PageHinkley(baseline, state) => {
                SavedState::PageHinkley(baseline.save(slots), state.save(slots))
            }
            State::Forest(state) => SavedState::Forest(state.save(slots)),
            State::Usual(state) => SavedState::Usual(state.save(slots)),
            State::Series(state) => SavedState::Series(state.save(slots)),
            State::Cohort(state) => SavedState::Cohort(state.save(slots)),
            State::Top => SavedState::Top,
        }
    }

    /// Puts saved state into slots. What another method saved is passed over.
    pub(super) fn load(&mut self, slots: &[u32], saved: &SavedState) {
        match (self, saved) {
            (State::Baseline(state), SavedState::Baseline(saved)) => state.load(slots, saved),
            (State::Robust(state), SavedState::Robust(saved)) => state.load(slots, saved),
            (State::Cusum(baseline, state), SavedState::Cusum(first, second)) => {
                baseline.load(slots, first);
                state.load(slots, second);
            }
            (State::PageHinkley(baseline, state), SavedState::PageHinkley(first, second)) => {
                baseline.load(slots, first);
                state.load(slots, second);
            }
            (State::Forest(state), SavedState::Forest(saved)) => state.load(slots, saved),
            (State::Usual(state), SavedState::Usual(saved)) => state.load(slots, saved),
            (State::Series(state), SavedState::Series(saved)) => state.load(slots, saved),
            (State::Cohort(state), SavedState::Cohort(saved)) => state.load(slots, saved),
            _ => {}
        }
    }
}

/// The greatest of the calibrated scores of the inputs, each of which is its input's share. Without `near` what is as expected has no
/// score anyway.
fn linear(
    page: &Page<'_>,
    near: Option<&NearExpected>,
    scores: &[Vec<f32>],
    expected: &[Vec<f32>],
    calibrated: impl Fn(f32) -> f32,
    evidence: &mut Evidence,
) {
    let rows = page.slots.len();
    let start = evidence.outputs[0].len();
    evidence.outputs[0].resize(start + rows, f64::NAN);
    for (input, values) in page.columns.iter().enumerate() {
        let (scores, expected) = (&scores[input][..rows], &expected[input][..rows]);
        let (shares, out) = (&mut evidence.shares[input], &mut evidence.outputs[0][start..]);
        // Without branches: these loops see each row of a job. What is not known yet does not hide what is.
        let worse = |score: f64, out: f64| if (score > out) | out.is_nan() { score } else { out };
        evidence.expected[input].extend_from_slice(expected);
        evidence.statistics[input].extend_from_slice(scores);
        let Some(near) = near else {
            // Zero without a sign.
            shares.extend(scores.iter().map(|score| calibrated(*score) + 0.0));
            let shares = &shares[start..];
            out.iter_mut().zip(shares).for_each(|(out, share)| *out = worse((*share).into(), *out));
            continue;
        };
        for (out, ((score, value), expected)) in out.iter_mut().zip(scores.iter().zip(*values).zip(expected))
        {
            let score = near.spare(calibrated(*score).into(), *value, (*expected).into());
            *out = worse(score, *out);
            shares.push(score as f32);
        }
    }
}

/// Adds whether values are near what was expected to what is known before a forest of all keys says something of the rows: 1 if so.
fn add_nearness(page: &Page<'_>, near: &NearExpected, evidence: &mut Evidence) {
    let rows = page.slots.len();
    for (input, before) in evidence.before.iter_mut().enumerate() {
        let start = before.len() - rows;
        for (row, before) in before[start..].iter_mut().enumerate() {
            let expected = evidence.expected[input][start + row];
            before[1] = f64::from(u8::from(near.holds(page.columns[input][row], expected.into())));
        }
    }
}

/// The threshold of a forest, NaN while it is not known.
pub(crate) fn known(threshold: f64) -> f64 {
    if threshold.is_finite() { threshold } else { f64::NAN }
}

/// Whether anything of a row is there to be judged.
fn is_there(page: &Page<'_>, row: usize) -> bool {
    page.chosen.is_none_or(|chosen| chosen[row]) && page.columns.iter().any(|column| !column[row].is_nan())
}

fn forest(
    forests: &mut Keyed<StreamForest>,
    of: &Detector,
    page: &Page<'_>,
    attribution: &mut Attribution,
    evidence: &mut Evidence,
) {
    let mut values = vec![0.0; page.columns.len()];
    let above = if of.explains.is_some() { f64::NEG_INFINITY } else { 1.0 };
    let units = of.units();
    for (row, slot) in page.slots.iter().enumerate() {
        values.iter_mut().zip(page.columns).for_each(|(value, column)| *value = column[row]);
        attribution.reset(0);
        let mut instead = None;
        let look = |forest: &StreamForest, verdict: Verdict| {
            let (is_anomaly, is_beyond) = (verdict.calibrated > 1.0, of.is_beyond(verdict.score));
            if verdict.calibrated > above || is_beyond {
                forest.attribute(attribution);
            }
            if is_anomaly || is_beyond {
                instead = Some(Instead::of((of, forest, is_anomaly), attribution, &values, &units));
            }
        };
        let verdict = if is_there(page, row) { forests.observe(*slot, &values, look) } else { None };
        if let Some(directions) = of.explains {
            evidence.words.push(in_words(&of.names, attribution, directions));
        }
        let is_near = of.spares()
            && verdict.is_some_and(|(verdict, _)| verdict.calibrated > 1.0)
            && instead.as_ref().is_some_and(|instead| {
                let share = |place: usize| attribution.low[place] + attribution.high[place];
                let shares: Vec<f64> = (0..values.len()).map(share).collect();
                all_near(&shares, |place| of.near.holds(values[place], instead.expected[place]))
            });
        let said = verdict.map_or([f64::NAN; 4], |(verdict, threshold)| match is_near {
            true => [0.0, verdict.score, known(threshold), 0.0],
            false => [verdict.calibrated, verdict.score, known(threshold), verdict.grade],
        });
        evidence.outputs.iter_mut().zip(said).for_each(|(column, value)| column.push(value));
        for (input, (shares, expected)) in evidence.shares.iter_mut().zip(&mut evidence.expected).enumerate()
        {
            let of = |side: &[f64]| side.get(input).copied().unwrap_or(0.0);
            let (low, high) = (of(&attribution.low), of(&attribution.high));
            shares.push(if is_near { 0.0 } else { (low + high) as f32 });
            expected.push(instead.as_ref().map_or(f32::NAN, |instead| instead.expected[input] as f32));
            evidence.statistics[input].push((high - low) as f32);
            evidence.before[input]
                .push(instead.as_ref().map_or(NOTHING_BEFORE, |instead| instead.before(input)));
        }
    }
}

fn series(forests: &mut Keyed<SeriesForest>, of: &Detector, page: &Page<'_>, evidence: &mut Evidence) {
    let units = of.units();
    for (row, slot) in page.slots.iter().enumerate() {
        let value = page.columns[0][row];
        let mut instead = None;
        let score = match is_there(page, row) {
            true => forests.of(*slot).observe_with(page.dues.of(row), value, |odd| {
                let expected = odd.expected();
                let found = recourse(&[value], &[expected], &units, &[0], |row| odd.score(row[0]));
                let scores = |found: &Recourse| [found.calibrated, f64::NAN];
                instead = Some(Instead::new(&[value], vec![expected], found, scores));
            }),
            false => None,
        };
        let is_near =
            of.spares() && instead.as_ref().is_some_and(|instead| of.near.holds(value, instead.expected[0]));
        let score = if is_near { Some(0.0) } else { score };
        evidence.outputs[0].push(score.unwrap_or(f64::NAN));
        evidence.shares[0].push(score.unwrap_or(0.0) as f32);
        evidence.expected[0].push(instead.as_ref().map_or(f32::NAN, |instead| instead.expected[0] as f32));
        let off = instead.as_ref().map_or(f64::NAN, |instead| value - instead.expected[0]);
        evidence.statistics[0].push(off as f32);
        evidence.before[0].push(instead.map_or(NOTHING_BEFORE, |instead| instead.before(0)));
    }
}
