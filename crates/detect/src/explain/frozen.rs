//! What a rule would say of rows that were somewhat otherwise, all that is known of their keys staying as it was.
//!
//! Expressions are computed again. So are scores of detectors that only ask how far a value lies off what is usual for the key:
//! what was expected and how wide a deviation is follow from what they said of the row as it was. What other detectors would
//! say is not known; they are left as they are, and features that they look at are not varied.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Decimal128Array, Float64Array, Int64Array, NullArray, UInt32Array};
use arrow_select::take::take;
use event::{Batch, DataType, Detected, Schema};

use super::basis::Basis;
use crate::baseline::DEVIATION_MAX;
use crate::detector::Detector;
use crate::scoring::{By, Score, doubles, numbers};
use crate::{Detection, Rule};

/// Values count up to here, as they do where they are judged.
const FAR: f32 = 1e30;

/// Hits of one rule, and what was known of them.
pub(super) struct Frozen<'a> {
    detection: &'a Detection,
    rule: &'a Rule,
    pub(super) basis: &'a Basis,
    /// The columns of the row that matter, of the hits alone.
    base: Vec<ArrayRef>,
    /// How many hits there are.
    pub(super) hits: usize,
    /// What detectors on the way looked at, by ordinal; `None` for the others.
    pub(super) judged: Vec<Option<Judged>>,
}

/// What a detector looked at in each hit, by input.
pub(super) struct Judged {
    pub(super) detector: Detector,
    /// Its scores, NaN where it says nothing.
    pub(super) scores: Vec<f64>,
    pub(super) values: Vec<Vec<f64>>,
    pub(super) expected: Vec<Vec<f32>>,
    pub(super) shares: Vec<Vec<f32>>,
    pub(super) statistics: Vec<Vec<f32>>,
}

/// Rows to ask about: copies of hits with something changed.
#[derive(Default)]
pub(super) struct Probes {
    /// Which hit each is of.
    pub(super) hits: Vec<u32>,
    /// Row, column of the feature, and its value.
    pub(super) changes: Vec<(u32, usize, f64)>,
}

impl Probes {
    /// Adds a copy of a hit, in which some features are otherwise.
    pub(super) fn push(&mut self, hit: usize, changes: impl IntoIterator<Item = (usize, f64)>) {
        let row = self.hits.len() as u32;
        self.hits.push(hit as u32);
        self.changes.extend(changes.into_iter().map(|(column, value)| (row, column, value)));
    }
}

/// What a rule says of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Fires,
    Spares,
    Unknown,
}

impl<'a> Frozen<'a> {
    /// `rows` are those of the batch that the rule hit.
    pub(super) fn new(
        detection: &'a Detection,
        rule: &'a Rule,
        basis: &'a Basis,
        detected: &Detected,
        rows: &[u32],
    ) -> Self {
        let places = UInt32Array::from_iter_values(rows.iter().copied());
        let columns = detected.batch.columns().iter().enumerate();
        let base = columns.map(|(place, column)| match basis.columns.contains(&place) {
            true => chosen(column, &places),
            false => Arc::new(NullArray::new(rows.len())),
        });
        let base: Vec<ArrayRef> = base.collect();
        let scores = &detection.scores;
        let mut judged: Vec<Option<Judged>> = scores.detectors.iter().map(|_| None).collect();
        for score in &scores.scores {
            if let By::Detector(number, detector) = &score.by
                && basis.detectors.contains(number)
                && let Some(said) = detected.evidence.get(*number)
            {
                let column = score.columns().start;
                let batch = Batch::new(Arc::clone(&score.schema), base[..column].to_vec(), rows.len());
                let of = |columns: &[Vec<f32>]| -> Vec<Vec<f32>> {
                    let values = |column: &Vec<f32>| {
                        rows.iter()
                            .map(|row| column.get(*row as usize).copied().unwrap_or(f32::NAN))
                            .collect()
                    };
                    columns.iter().map(values).collect()
                };
                judged[*number] = Some(Judged {
                    detector: Detector::clone(detector),
                    scores: numbers(&chosen(&detected.batch.columns()[column], &places), DataType::Double),
                    values: inputs(detector, &batch).0,
                    expected: of(&said.expected),
                    shares: of(&said.shares),
                    statistics: of(&said.statistics),
                });
            }
        }
        Frozen { detection, rule, basis, base, hits: rows.len(), judged }
    }

    /// The row's columns.
    pub(super) fn schema(&self) -> &Schema {
        self.detection.schema.schema()
    }

    /// A number of a hit, NaN for NULL.
    pub(super) fn number(&self, column: usize, hit: usize) -> f64 {
        let value = self.base[column].slice(hit, 1);
        numbers(&value, self.schema().fields()[column].data_type).first().copied().unwrap_or(f64::NAN)
    }

    /// What the rule says of each row.
    pub(super) fn ask(&self, probes: &Probes) -> Vec<Answer> {
        let rows = probes.hits.len();
        let places = UInt32Array::from_iter_values(probes.hits.iter().copied());
        let mut answers = vec![Answer::Fires; rows];
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.base.len());
        for place in 0..self.detection.schema.scores().start {
            columns.push(match self.basis.columns.contains(&place) {
                true => self.varied(place, &places, &probes.changes),
                false => Arc::new(NullArray::new(rows)),
            });
        }
        for score in &self.detection.scores.scores {
            self.score(score, &places, &mut columns, &mut answers);
        }
        let batch = Batch::new(Arc::clone(self.detection.schema.schema()), columns, rows);
        let value = self.rule.when.evaluate(&batch);
        value.failures.iter().for_each(|failure| answers[failure.row] = Answer::Unknown);
        let condition = value.column.as_boolean();
        for (row, answer) in answers.iter_mut().enumerate().filter(|(_, answer)| **answer == Answer::Fires) {
            if condition.is_null(row) || !condition.value(row) {
                *answer = Answer::Spares;
            }
        }
        answers
    }

    /// A feature, with the values that are changed.
    fn varied(&self, column: usize, places: &UInt32Array, changes: &[(u32, usize, f64)]) -> ArrayRef {
        let values = chosen(&self.base[column], places);
        let mut changes = changes.iter().filter(|(_, changed, _)| *changed == column).peekable();
        if changes.peek().is_none() {
            return values;
        }
        match self.schema().fields()[column].data_type {
            DataType::Bigint => {
                let mut all: Vec<Option<i64>> = values.as_primitive::<Int64Type>().iter().collect();
                changes.for_each(|(row, _, value)| all[*row as usize] = Some(*value as i64));
                Arc::new(Int64Array::from(all))
            }
            DataType::Decimal { precision, scale } => {
                let unit = 10_f64.powi(i32::from(scale));
                let mut all: Vec<Option<i128>> = values.as_primitive::<Decimal128Type>().iter().collect();
                changes.for_each(|(row, _, value)| all[*row as usize] = Some((value * unit).round() as i128));
                let all = Decimal128Array::from(all);
                Arc::new(all.with_data_type(DataType::Decimal { precision, scale }.arrow()))
            }
            _ => {
                let mut all: Vec<Option<f64>> = values.as_primitive::<Float64Type>().iter().collect();
                changes.for_each(|(row, _, value)| all[*row as usize] = Some(*value));
                Arc::new(Float64Array::from(all))
            }
        }
    }

    /// Adds the columns of a score.
    fn score(
        &self,
        score: &Score,
        places: &UInt32Array,
        columns: &mut Vec<ArrayRef>,
        answers: &mut [Answer],
    ) {
        let rows = places.len();
        if !score.columns().any(|column| self.basis.columns.contains(&column)) {
            let unread: ArrayRef = Arc::new(NullArray::new(rows));
            columns.extend(score.columns().map(|_| Arc::clone(&unread)));
            return;
        }
        let batch = Batch::new(Arc::clone(&score.schema), columns.clone(), rows);
        match &score.by {
            By::Expression(expression) => {
                let value = expression.evaluate(&batch);
                value.failures.iter().for_each(|failure| answers[failure.row] = Answer::Unknown);
                columns.push(value.column);
            }
            By::Detector(number, detector) => match &self.judged[*number] {
                Some(judged) if detector.method.calibrate(0.0).is_some() => {
                    let (inputs, failed) = inputs(detector, &batch);
                    failed.into_iter().for_each(|row| answers[row] = Answer::Unknown);
                    columns.push(doubles(&judged.scores_of(&inputs, places, answers)));
                }
                _ => {
                    columns.extend(score.columns().map(|column| match self.basis.columns.contains(&column) {
                        true => chosen(&self.base[column], places),
                        false => Arc::new(NullArray::new(rows)),
                    }))
                }
            },
        }
    }
}

impl Judged {
    /// How wide a deviation of an input is, where that can be told.
    fn deviation(&self, input: usize, hit: usize) -> Option<f32> {
        let (expected, statistic) = (self.expected[input][hit], self.statistics[input][hit]);
        let deviation = (single(self.values[input][hit]) - expected) / statistic;
        let is_cut = statistic.abs() >= DEVIATION_MAX;
        (!is_cut && deviation.is_finite() && deviation > 0.0).then_some(deviation)
    }

    /// The calibrated score of an input as it was, if its method has one that follows from the value.
    pub(super) fn score(&self, input: usize, hit: usize) -> Option<f64> {
        self.deviation(input, hit)?;
        let score = self.detector.method.calibrate(self.statistics[input][hit])?;
        let near = &self.detector.near;
        Some(near.spare(score.into(), self.values[input][hit], self.expected[input][hit].into()))
    }

    /// The scores of rows, with inputs that may differ from those of the hits that they are copies of. Rows of which that cannot
    /// be told are marked.
    fn scores_of(&self, inputs: &[Vec<f64>], places: &UInt32Array, answers: &mut [Answer]) -> Vec<f64> {
        let mut scores = vec![f64::NAN; places.len()];
        for (input, values) in inputs.iter().enumerate() {
            for (row, hit) in places.values().iter().map(|hit| *hit as usize).enumerate() {
                let (value, before) = (values[row], self.values[input][hit]);
                let mut statistic = self.statistics[input][hit];
                let expected = self.expected[input][hit];
                if single(value).to_bits() != single(before).to_bits() {
                    match (before.is_nan(), statistic.is_nan(), self.deviation(input, hit)) {
                        _ if value.is_nan() => statistic = f32::NAN,
                        // What was there is judged by nothing, whatever it is.
                        (false, true, _) => {}
                        (false, false, Some(deviation)) => {
                            let off = (single(value) - expected) / deviation;
                            statistic = off.clamp(-DEVIATION_MAX, DEVIATION_MAX);
                        }
                        _ => answers[row] = Answer::Unknown,
                    }
                }
                let score = self.detector.method.calibrate(statistic).unwrap_or(f32::NAN);
                scores[row] = scores[row].max(self.detector.near.spare(score.into(), value, expected.into()));
            }
        }
        scores
    }
}

/// A value as detectors take it.
fn single(value: f64) -> f32 {
    (value as f32).clamp(-FAR, FAR)
}

/// What a detector looks at, NaN for NULL, and the rows for which there is an expression that failed.
fn inputs(detector: &Detector, batch: &Batch) -> (Vec<Vec<f64>>, Vec<usize>) {
    let mut failed = Vec::new();
    let mut column = |input: &Arc<dyn event::Expression>| {
        let value = input.evaluate(batch);
        failed.extend(value.failures.iter().map(|failure| failure.row));
        numbers(&value.column, input.data_type())
    };
    let columns = detector.inputs.iter().map(&mut column).collect();
    (columns, failed)
}

fn chosen(column: &ArrayRef, places: &UInt32Array) -> ArrayRef {
    take(column, places, None).expect("rows that there are, and few of them")
}
