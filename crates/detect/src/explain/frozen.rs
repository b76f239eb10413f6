//! What a rule would say of rows that were somewhat otherwise, all that is known of their keys staying as it was.
//!
//! Expressions are computed again. So are scores of detectors that only ask how far a value lies off what is usual for the key:
//! what was expected and how wide a deviation is, and how far sums had come, follow from what they said of the row as it was. Models
//! on this machine are asked again. What other detectors would say is not known, but of the one row that they have worked out
//! themselves; they are left as they are, and features that they look at are not varied.

use std::cell::RefCell;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Decimal128Array, Float64Array, Int64Array, NullArray, UInt32Array};
use arrow_select::take::take;
use event::{Batch, Before, DataType, Detected, NOTHING_BEFORE, Schema};

use super::basis::Basis;
use crate::baseline::DEVIATION_MAX;
use crate::detector::{Detector, kept_instead};
use crate::inference::{AskAtOnce, ModelSpec};
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
    /// Asks models on this machine.
    asks: RefCell<&'a mut AskAtOnce<'a>>,
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
    before: Vec<Vec<Before>>,
    /// Of a model, 1 where something took the place of its answer; else empty.
    fallback: Vec<f64>,
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
        (detection, rule, basis): (&'a Detection, &'a Rule, &'a Basis),
        detected: &Detected,
        rows: &[u32],
        asks: &'a mut AskAtOnce<'_>,
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
                let before = |column: &Vec<Before>| -> Vec<Before> {
                    rows.iter()
                        .map(|row| column.get(*row as usize).copied().unwrap_or(NOTHING_BEFORE))
                        .collect()
                };
                judged[*number] = Some(Judged {
                    detector: Detector::clone(detector),
                    scores: numbers(&chosen(&detected.batch.columns()[column], &places), DataType::Double),
                    values: inputs(detector, &batch).0,
                    expected: of(&said.expected),
                    shares: of(&said.shares),
                    statistics: of(&said.statistics),
                    before: said.before.iter().map(before).collect(),
                    fallback: match detector.method.local_model() {
                        Some(_) => {
                            let column = &detected.batch.columns()[column + Detector::FALLBACK];
                            numbers(&chosen(column, &places), DataType::Double)
                        }
                        None => Vec::new(),
                    },
                });
            }
        }
        Frozen { detection, rule, basis, base, hits: rows.len(), judged, asks: RefCell::new(asks) }
    }

    /// The row's columns.
    pub(super) fn schema(&self) -> &Schema {
        self.detection.schema.schema()
    }

    /// What a detector expected of a feature that it looks at as it is, and that can be otherwise.
    pub(super) fn expected(&self, column: usize, hit: usize) -> Option<f64> {
        let name = &self.schema().fields()[column].name;
        let of = |judged: &Judged| {
            let names = &judged.detector.names;
            let input = names.iter().position(|known| known.trim_matches('"') == name)?;
            let expected = f64::from(judged.expected[input][hit]);
            (judged.detector.method.can_be_asked_again() && expected.is_finite()).then_some(expected)
        };
        self.judged.iter().flatten().find_map(of)
    }

    /// Whether a column is a feature, which can be otherwise.
    pub(super) fn is_feature(&self, column: usize) -> bool {
        self.detection.schema.features().contains(&column)
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
                judged => {
                    let instead = judged.as_ref().map(|judged| {
                        let (inputs, failed) = inputs(detector, &batch);
                        failed.into_iter().for_each(|row| answers[row] = Answer::Unknown);
                        match detector.method.local_model() {
                            Some(model) => {
                                judged.asked(model, *self.asks.borrow_mut(), &inputs, places, answers)
                            }
                            None => judged.instead_of(&inputs, places, answers),
                        }
                    });
                    columns.extend(score.columns().enumerate().map(|(output, column)| {
                        match self.basis.columns.contains(&column) {
                            true => {
                                let values = chosen(&self.base[column], places);
                                instead.as_ref().map_or(values.clone(), |rows| put(&values, output, rows))
                            }
                            false => Arc::new(NullArray::new(rows)),
                        }
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

    /// The calibrated score of an input as it was, if it is in proportion to what the value lies off.
    pub(super) fn score(&self, input: usize, hit: usize) -> Option<f64> {
        self.deviation(input, hit).filter(|_| self.detector.method.is_proportional())?;
        let score = self.detector.method.calibrate(self.statistics[input][hit])?;
        let near = &self.detector.near;
        Some(near.spare(score.into(), self.values[input][hit], self.expected[input][hit].into()))
    }

    /// What a model says of those rows whose inputs are other than those of their hits. Rows of which it says nothing, or of whose hit
    /// it said nothing, are marked.
    fn asked(
        &self,
        model: &ModelSpec,
        asks: &mut AskAtOnce<'_>,
        inputs: &[Vec<f64>],
        places: &UInt32Array,
        answers: &mut [Answer],
    ) -> Vec<Option<[f64; 4]>> {
        let mut said = vec![None; places.len()];
        let hit = |row: usize| places.value(row) as usize;
        let is_other = |row: &usize| {
            let differs = |input: usize| !is_same(inputs[input][*row], self.values[input][hit(*row)]);
            (0..inputs.len()).any(differs)
        };
        let rows: Vec<usize> = (0..places.len()).filter(is_other).collect();
        let (rows, unknown): (Vec<usize>, Vec<usize>) = rows.into_iter().partition(|row| {
            self.fallback[hit(*row)] == 0.0 && inputs.iter().all(|column| column[*row].is_finite())
        });
        unknown.into_iter().for_each(|row| answers[row] = Answer::Unknown);
        for rows in rows.chunks(model.inference.rows_max().max(1)) {
            let column = |column: &Vec<f64>| rows.iter().map(|row| column[*row]).collect();
            let columns: Vec<Vec<f64>> = inputs.iter().map(column).collect();
            for (row, answer) in rows.iter().zip(asks(model.inference.as_ref(), &columns)) {
                match answer.is_finite() {
                    true => {
                        let [score, output, fallback] = model.outputs(answer);
                        said[*row] = Some([score, output, fallback, f64::NAN]);
                    }
                    false => answers[*row] = Answer::Unknown,
                }
            }
        }
        said
    }

    /// Of a detector that cannot be asked again, the outputs for those rows whose inputs are what it has worked out itself to be no
    /// anomaly instead. Rows with other inputs than those of their hits are marked.
    fn instead_of(
        &self,
        inputs: &[Vec<f64>],
        places: &UInt32Array,
        answers: &mut [Answer],
    ) -> Vec<Option<[f64; 4]>> {
        let mut instead = vec![None; places.len()];
        for (row, hit) in places.values().iter().map(|hit| *hit as usize).enumerate() {
            let was = |input: usize| self.values[input][hit];
            if (0..inputs.len()).all(|input| is_same(inputs[input][row], was(input))) {
                continue;
            }
            instead[row] = self.instead(hit).and_then(|(to, outputs)| {
                let fits = |input: usize| is_same(inputs[input][row], to[input].unwrap_or(was(input)));
                (0..inputs.len()).all(fits).then_some(outputs)
            });
            if instead[row].is_none() {
                answers[row] = Answer::Unknown;
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
        let expected = self.expected[input][hit];
        let off = |width: f32| ((single(value) - expected) / width).clamp(-DEVIATION_MAX, DEVIATION_MAX);
        match self.detector.method.is_proportional() {
            true => self.deviation(input, hit).map(off),
            false => {
                let before = self.before.get(input)?.get(hit)?;
                self.detector.method.statistic_after(before, off(before[0] as f32))
            }
        }
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
                    match (before.is_nan(), statistic.is_nan()) {
                        _ if value.is_nan() => statistic = f32::NAN,
                        // What was there is judged by nothing, whatever it is.
                        (false, true) => {}
                        (true, _) => answers[row] = Answer::Unknown,
                        (false, false) => match self.statistic_of(input, hit, value) {
                            Some(other) => statistic = other,
                            None => answers[row] = Answer::Unknown,
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

/// An output of a detector, with what it would have been in rows that are otherwise.
fn put(values: &ArrayRef, output: usize, instead: &[Option<[f64; 4]>]) -> ArrayRef {
    let Some(numbers) =
        values.as_primitive_opt::<Float64Type>().filter(|_| instead.iter().any(Option::is_some))
    else {
        return Arc::clone(values);
    };
    let other =
        |row: &Option<[f64; 4]>| row.and_then(|row| row.get(output).copied()).filter(|it| !it.is_nan());
    let all = numbers.iter().zip(instead).map(|(value, row)| other(row).or(value));
    Arc::new(all.collect::<Float64Array>())
}

/// Whether two values are the same, which a missing one is as another.
fn is_same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
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
