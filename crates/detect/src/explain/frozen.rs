//! What a rule would say of rows that were somewhat otherwise, all that is known of their keys staying as it was.
//!
//! Expressions are computed again. So are scores of detectors that only ask how far a value lies off what is usual for the key:
//! what was expected and how wide a deviation is, and how far sums had come, follow from what they said of the row as it was. Models
//! are asked again, and where one had not answered, what took its place is computed again, as if it still did not. What other detectors would
//! say is not known, but of the one row that they have worked out themselves.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Decimal128Array, Float64Array, Int64Array, NullArray, UInt32Array};
use arrow_select::take::take;
use event::{Batch, DataType, Detected, Schema};

use super::basis::Basis;
use super::judged::{Judged, NOTHING_SAID, Outputs};
use crate::detector::{Detector, Method};
use crate::inference::{AskModels, ModelSpec};
use crate::scoring::{By, Score, doubles, numbers};
use crate::{Detection, Rule};

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
    /// Asks models.
    asks: RefCell<&'a mut AskModels<'a>>,
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
        (branch, detected): (usize, &Detected),
        rows: &[u32],
        asks: &'a mut AskModels<'_>,
    ) -> Self {
        let places = UInt32Array::from_iter_values(rows.iter().copied());
        let columns = detected.batch.columns().iter().enumerate();
        let base = columns.map(|(place, column)| match basis.columns.contains(&place) {
            true => chosen(column, &places),
            false => Arc::new(NullArray::new(rows.len())),
        });
        let base: Vec<ArrayRef> = base.collect();
        let mut judged: Vec<Option<Judged>> = detection.scores.detectors.iter().map(|_| None).collect();
        for score in &detection.scores.scores {
            if let By::Detector(number, detector) = &score.by
                && basis.detectors.contains(number)
                && let Some(said) = detected.evidence.get(*number)
            {
                let column = score.columns().start;
                let batch = Batch::new(Arc::clone(&score.schema), base[..column].to_vec(), rows.len());
                let outputs = &detected.batch.columns()[score.columns()];
                let outputs = outputs.iter().map(|output| chosen(output, &places)).collect();
                let mut of_hits = Judged::new(detector, (inputs(detector, &batch).0, outputs), said, rows);
                of_hits.stands_in = basis.standing.get(number).cloned().unwrap_or_default();
                of_hits.mark((branch, *number), detected, rows);
                judged[*number] = Some(of_hits);
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

    /// Features that are varied in a hit.
    pub(super) fn features(&self, hit: usize) -> &[usize] {
        let is_without = self.judged.iter().flatten().any(|judged| judged.is_without_answer(hit));
        self.basis.varied(is_without)
    }

    /// Whether a detector had a part in a hit: not one that only stands in for models, where these have answered.
    pub(super) fn has_part(&self, judged: &Judged, hit: usize) -> bool {
        let is_without =
            |model: &usize| self.judged[*model].as_ref().is_some_and(|judged| judged.is_without_answer(hit));
        judged.stands_in.is_empty() || judged.stands_in.iter().any(is_without)
    }

    /// What the rule says of each row.
    pub(super) fn ask(&self, probes: &Probes) -> Vec<Answer> {
        let rows = probes.hits.len();
        let places = UInt32Array::from_iter_values(probes.hits.iter().copied());
        let mut sheet = Sheet { rows, columns: Vec::with_capacity(self.base.len()), unknown: Vec::new() };
        for place in 0..self.detection.schema.scores().start {
            let column = match self.basis.columns.contains(&place) {
                true => self.varied(place, &places, &probes.changes),
                false => sheet.unread(),
            };
            sheet.push(column, None);
        }
        for score in &self.detection.scores.scores {
            self.score(score, &places, &mut sheet);
        }
        let unknown = sheet.unknown_of(&self.rule.when.columns());
        let batch = Batch::new(Arc::clone(self.detection.schema.schema()), sheet.columns, rows);
        let value = self.rule.when.evaluate(&batch);
        let condition = value.column.as_boolean();
        let answer = |row: usize| match condition.is_null(row) || !condition.value(row) {
            _ if unknown[row] => Answer::Unknown,
            true => Answer::Spares,
            false => Answer::Fires,
        };
        let mut answers: Vec<Answer> = (0..rows).map(answer).collect();
        value.failures.iter().for_each(|failure| answers[failure.row] = Answer::Unknown);
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
    fn score(&self, score: &Score, places: &UInt32Array, sheet: &mut Sheet) {
        if !score.columns().any(|column| self.basis.columns.contains(&column)) {
            score.columns().for_each(|_| sheet.push(sheet.unread(), None));
            return;
        }
        let batch = Batch::new(Arc::clone(&score.schema), sheet.columns.clone(), sheet.rows);
        let (number, detector) = match &score.by {
            By::Expression(expression) => {
                let value = expression.evaluate(&batch);
                let mut unknown = sheet.unknown_of(&expression.columns());
                value.failures.iter().for_each(|failure| unknown[failure.row] = true);
                return sheet.push(value.column, Some(unknown.into()));
            }
            By::Detector(number, detector) => (*number, detector),
        };
        let (mut said, mut unknown) = (vec![None; sheet.rows], vec![false; sheet.rows]);
        if let Some(judged) = &self.judged[number] {
            let columns: Vec<usize> = detector.inputs.iter().flat_map(|input| input.columns()).collect();
            unknown = sheet.unknown_of(&columns);
            let (inputs, failed) = inputs(detector, &batch);
            failed.into_iter().for_each(|row| unknown[row] = true);
            if detector.method.calibrate(0.0).is_some() {
                let scores = judged.scores_of(&inputs, places, &mut unknown);
                return sheet.push(doubles(&scores), Some(unknown.into()));
            }
            said = match &detector.method {
                Method::Model(spec) => {
                    let said = judged.asked(spec, *self.asks.borrow_mut(), &inputs, places, &mut unknown);
                    standing((judged, spec), (&inputs, places), (&batch, sheet), (said, &mut unknown))
                }
                _ => judged.instead_of(&inputs, places, &mut unknown),
            };
        }
        let unknown: Rc<[bool]> = unknown.into();
        for (output, column) in score.columns().enumerate() {
            let values = match self.basis.columns.contains(&column) {
                true => put(&chosen(&self.base[column], places), output, &said),
                false => sheet.unread(),
            };
            sheet.push(values, Some(Rc::clone(&unknown)));
        }
    }
}

/// What a model has said, and where it had not answered about a hit, what takes the place of that.
fn standing(
    (judged, spec): (&Judged, &ModelSpec),
    (inputs, places): (&[Vec<f64>], &UInt32Array),
    (batch, sheet): (&Batch, &Sheet),
    (mut said, unknown): (Vec<Option<Outputs>>, &mut [bool]),
) -> Vec<Option<Outputs>> {
    let is_without = |row: &usize| judged.is_without_answer(places.value(*row) as usize);
    let rows: Vec<usize> = (0..sheet.rows).filter(is_without).collect();
    if rows.is_empty() {
        return said;
    }
    let value = spec.otherwise.evaluate(batch);
    let otherwise = numbers(&value.column, spec.otherwise.data_type());
    let mut open = sheet.unknown_of(&spec.otherwise.columns());
    value.failures.iter().for_each(|failure| open[failure.row] = true);
    for row in rows {
        // Nobody is asked about a row without an input.
        let is_whole = inputs.iter().all(|column| column[row].is_finite());
        unknown[row] = open[row];
        said[row] = Some(match is_whole {
            true => [Some(otherwise[row]), Some(f64::NAN), Some(1.0), None],
            false => NOTHING_SAID,
        });
    }
    said
}

/// The columns of rows to ask about, as far as they are computed.
struct Sheet {
    rows: usize,
    columns: Vec<ArrayRef>,
    /// Of each column, in which rows it cannot be told; nothing where it can be in all.
    unknown: Vec<Option<Rc<[bool]>>>,
}

impl Sheet {
    fn push(&mut self, column: ArrayRef, unknown: Option<Rc<[bool]>>) {
        self.columns.push(column);
        self.unknown.push(unknown);
    }

    /// A column that nobody reads.
    fn unread(&self) -> ArrayRef {
        Arc::new(NullArray::new(self.rows))
    }

    /// In which rows what rests on these columns cannot be told.
    fn unknown_of(&self, columns: &[usize]) -> Vec<bool> {
        let mut all = vec![false; self.rows];
        for unknown in columns.iter().filter_map(|column| self.unknown[*column].as_deref()) {
            all.iter_mut().zip(unknown).for_each(|(all, unknown)| *all |= unknown);
        }
        all
    }
}

/// An output of a detector, with what it would have been in rows that are otherwise.
fn put(values: &ArrayRef, output: usize, instead: &[Option<Outputs>]) -> ArrayRef {
    let Some(numbers) =
        values.as_primitive_opt::<Float64Type>().filter(|_| instead.iter().any(Option::is_some))
    else {
        return Arc::clone(values);
    };
    let all = numbers.iter().zip(instead).map(|(value, said)| {
        let other = said.and_then(|said| said.get(output).copied().flatten());
        other.map_or(value, |other| (!other.is_nan()).then_some(other))
    });
    Arc::new(all.collect::<Float64Array>())
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
