//! What a detector looked at in the hits of a rule, and what it would have said of rows that were somewhat otherwise.

use std::collections::BTreeSet;

use arrow_array::{ArrayRef, UInt32Array};
use event::{Before, DataType, Detected, NOTHING_BEFORE};

use crate::baseline::counted;
use crate::detector::{Detector, Evidence, Method, deviations, kept_instead, single, width};
use crate::inference::{AskModels, Marker, ModelSpec, Probe, span_of};
use crate::scoring::numbers;

/// What the outputs of a detector would have been, NaN for NULL; nothing where one stays as it is.
pub(super) type Outputs = [Option<f64>; 4];

/// What a model says of a row without an input.
pub(super) const NOTHING_SAID: Outputs = [Some(f64::NAN), Some(f64::NAN), Some(f64::NAN), None];

/// What a detector looked at in each hit, by input.
pub(super) struct Judged {
    pub(super) detector: Detector,
    /// Its scores, NaN where it says nothing.
    pub(super) scores: Vec<f64>,
    pub(super) values: Vec<Vec<f64>>,
    pub(super) expected: Vec<Vec<f32>>,
    pub(super) shares: Vec<Vec<f32>>,
    pub(super) statistics: Vec<Vec<f32>>,
    before: Vec<Vec<Before>>,
    /// Of a forest, the scores as it gives them; else empty.
    pub(super) raw: Vec<f64>,
    /// Of a model, 1 where something took the place of its answer; else empty.
    fallback: Vec<f64>,
    /// Of a model that is asked again, what marks questions about each hit; else empty.
    markers: Vec<Marker>,
    /// The models without whose answers alone the rule rests on it, by their ordinals; empty where it does anyway.
    pub(super) stands_in: BTreeSet<usize>,
}

impl Judged {
    /// Of hits in these rows of a batch, with the inputs and outputs of each.
    pub(super) fn new(
        detector: &Detector,
        (values, outputs): (Vec<Vec<f64>>, Vec<ArrayRef>),
        said: &Evidence,
        rows: &[u32],
    ) -> Self {
        let of =
            |columns: &[Vec<f32>]| columns.iter().map(|column| of_rows(column, rows, f32::NAN)).collect();
        let output = |place: usize| {
            let column = outputs.get(place).map(|column| numbers(column, DataType::Double));
            column.unwrap_or_default()
        };
        let is_model = matches!(detector.method, Method::Model(_));
        Judged {
            detector: Detector::clone(detector),
            scores: output(0),
            values,
            expected: of(&said.expected),
            shares: of(&said.shares),
            statistics: of(&said.statistics),
            before: said.before.iter().map(|column| of_rows(column, rows, NOTHING_BEFORE)).collect(),
            raw: if detector.method.is_forest() { output(1) } else { Vec::new() },
            fallback: if is_model { output(Detector::FALLBACK) } else { Vec::new() },
            markers: Vec::new(),
            stands_in: BTreeSet::new(),
        }
    }

    /// Marks the questions to a model. `of` are the branch, and which of its detectors this is.
    pub(super) fn mark(&mut self, (branch, number): (usize, usize), detected: &Detected, rows: &[u32]) {
        let Some(model) = self.detector.method.model_asked_again() else { return };
        let of = (model.inference.identity(), branch, number);
        let marker = |row: &u32| {
            let (span, key) = (span_of(&detected.spans, *row as usize), detected.keys.value(*row as usize));
            Marker::new(of, span, key).supposing()
        };
        self.markers = rows.iter().map(marker).collect();
    }

    /// Whether something took the place of an answer about a hit.
    pub(super) fn is_without_answer(&self, hit: usize) -> bool {
        self.fallback.get(hit).is_some_and(|fallback| *fallback == 1.0)
    }

    /// How wide a deviation of an input is, where that can be told; 0 where it is too small to be.
    fn deviation(&self, input: usize, hit: usize) -> Option<f32> {
        width(self.values[input][hit], self.expected[input][hit], self.statistics[input][hit])
    }

    /// The calibrated score of an input as it was, however much it deviates, if it is in proportion to what the value lies off.
    pub(super) fn score(&self, input: usize, hit: usize) -> Option<f64> {
        self.deviation(input, hit)?;
        let score = self.detector.method.proportion(self.statistics[input][hit])?;
        let near = &self.detector.near;
        Some(near.spare(score, self.values[input][hit], self.expected[input][hit].into()))
    }

    /// What a model says of those rows whose inputs are other than those of their hits. Rows of which it says nothing, or of whose hit
    /// it said nothing, are marked.
    pub(super) fn asked(
        &self,
        model: &ModelSpec,
        asks: &mut AskModels<'_>,
        inputs: &[Vec<f64>],
        places: &UInt32Array,
        unknown: &mut [bool],
    ) -> Vec<Option<Outputs>> {
        let mut said = vec![None; places.len()];
        let hit = |row: usize| places.value(row) as usize;
        let is_other = |row: &usize| {
            let differs = |input: usize| !is_same(inputs[input][*row], self.values[input][hit(*row)]);
            (0..inputs.len()).any(differs)
        };
        let rows: Vec<usize> = (0..places.len()).filter(is_other).collect();
        let (rows, others): (Vec<usize>, Vec<usize>) = rows
            .into_iter()
            .partition(|row| self.fallback[hit(*row)] == 0.0 && !self.markers.is_empty() && !unknown[*row]);
        others.into_iter().for_each(|row| unknown[row] = true);
        let is_whole = |row: &usize| inputs.iter().all(|column| column[*row].is_finite());
        let (rows, lacking): (Vec<usize>, Vec<usize>) = rows.into_iter().partition(is_whole);
        lacking.into_iter().for_each(|row| said[row] = Some(NOTHING_SAID));
        for rows in rows.chunks(model.inference.rows_max().max(1)) {
            let column = |column: &Vec<f64>| rows.iter().map(|row| column[*row]).collect();
            let columns: Vec<Vec<f64>> = inputs.iter().map(column).collect();
            let of = |row: &usize| self.markers[hit(*row)].mark(inputs.iter().map(|column| column[*row]));
            let marks: Vec<u128> = rows.iter().map(of).collect();
            let probe = Probe { model: model.inference.as_ref(), columns: &columns, marks: &marks };
            for (row, answer) in rows.iter().zip(asks(&probe)) {
                match answer.is_finite() {
                    true => {
                        let [score, output, fallback] = model.outputs(answer).map(Some);
                        said[*row] = Some([score, output, fallback, None]);
                    }
                    false => unknown[*row] = true,
                }
            }
        }
        said
    }

    /// Of a detector that cannot be asked again, the outputs for those rows whose inputs are what it has worked out itself to be no
    /// anomaly instead. Rows with other inputs than those of their hits are marked.
    pub(super) fn instead_of(
        &self,
        inputs: &[Vec<f64>],
        places: &UInt32Array,
        unknown: &mut [bool],
    ) -> Vec<Option<Outputs>> {
        let mut instead = vec![None; places.len()];
        for (row, hit) in places.values().iter().map(|hit| *hit as usize).enumerate() {
            let was = |input: usize| self.values[input][hit];
            if (0..inputs.len()).all(|input| is_same(inputs[input][row], was(input))) {
                continue;
            }
            instead[row] = self.instead(hit).and_then(|(to, outputs)| {
                let fits = |input: usize| is_same(inputs[input][row], to[input].unwrap_or(was(input)));
                let mut said = outputs.map(|output| (!output.is_nan()).then_some(output));
                if self.detector.method.is_forest() {
                    // What does not stand out by itself has no score of a forest.
                    said[1] = Some(outputs[1]);
                }
                (0..inputs.len()).all(fits).then_some(said)
            });
            if instead[row].is_none() {
                unknown[row] = true;
            }
        }
        instead
    }

    /// What the detector has worked out itself to be no anomaly instead of a hit: the inputs that are otherwise, and what it would have said.
    pub(super) fn instead(&self, hit: usize) -> Option<(Vec<Option<f64>>, [f64; 4])> {
        match self.detector.method.can_be_asked_again() {
            true => None,
            false => kept_instead(self.before.iter().filter_map(|column| column.get(hit))),
        }
    }

    /// The statistic of another value of an input than it had, where that can be told.
    fn statistic_of(&self, input: usize, hit: usize, value: f64) -> Option<f32> {
        let off = single(value) - self.expected[input][hit];
        match self.detector.method.is_proportional() {
            true => self.deviation(input, hit).map(|width| deviations(off, width)),
            false => {
                let before = self.before.get(input)?.get(hit)?;
                let deviation = counted(deviations(off, before[0] as f32));
                self.detector.method.statistic_after(before, deviation)
            }
        }
    }

    /// The scores of rows, with inputs that may differ from those of the hits that they are copies of. Rows of which that cannot
    /// be told are marked.
    pub(super) fn scores_of(
        &self,
        inputs: &[Vec<f64>],
        places: &UInt32Array,
        unknown: &mut [bool],
    ) -> Vec<f64> {
        let mut scores = vec![f64::NAN; places.len()];
        for (input, values) in inputs.iter().enumerate() {
            for (row, hit) in places.values().iter().map(|hit| *hit as usize).enumerate() {
                let (value, before) = (values[row], self.values[input][hit]);
                let mut statistic = self.statistics[input][hit];
                let expected = self.expected[input][hit];
                if single(value).to_bits() != single(before).to_bits() {
                    match (before.is_nan(), statistic.is_nan()) {
                        _ if value.is_nan() => statistic = f32::NAN,
                        // What was there is judged by nothing, whatever it is.
                        (false, true) => {}
                        (true, _) => unknown[row] = true,
                        (false, false) => match self.statistic_of(input, hit, value) {
                            Some(other) => statistic = other,
                            None => unknown[row] = true,
                        },
                    }
                }
                let score = self.detector.method.calibrate(statistic).unwrap_or(f32::NAN);
                scores[row] = scores[row].max(self.detector.near.spare(score.into(), value, expected.into()));
            }
        }
        scores
    }
}

/// What a column says of some rows.
fn of_rows<T: Copy>(column: &[T], rows: &[u32], nothing: T) -> Vec<T> {
    rows.iter().map(|row| column.get(*row as usize).copied().unwrap_or(nothing)).collect()
}

/// Whether two values are the same, which a missing one is as another.
fn is_same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}
