//! What a score is: an expression over the row, or a detector that remembers what it saw of the row's key.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, BinaryArray, Float64Array, StringArray};
use event::{Batch, DataType, Expression, Field, RowFailure, RowSchema, Schema};

use crate::DetectError;
use crate::cohort::Beside;
use crate::detector::{Detector, Detectors, Evidence, Method, Run};
use crate::inference::{self, Posed};
use crate::judging::Chunk;
use crate::models::{self, Models, Said};

/// A score of a job, as it is configured.
#[derive(Debug, Clone)]
pub enum Scoring {
    /// Computed of the row alone.
    Expression(Arc<dyn Expression>),
    /// Judged by a detector, whose further columns have the score's name with something behind it.
    Detector(Box<Detector>),
}

impl From<Arc<dyn Expression>> for Scoring {
    fn from(expression: Arc<dyn Expression>) -> Self {
        Scoring::Expression(expression)
    }
}

impl Scoring {
    /// The columns that a score of that name adds to the row.
    pub fn fields(&self, name: &str) -> Vec<Field> {
        match self {
            Scoring::Expression(expression) => vec![Field::new(name, expression.data_type())],
            Scoring::Detector(detector) => {
                let column = |suffix: &&str| Field::new(format!("{name}{suffix}"), DataType::Double);
                let words =
                    detector.explains.map(|_| Field::new(format!("{name}_explanation"), DataType::Varchar));
                detector.outputs().iter().map(column).chain(words).collect()
            }
        }
    }
}

/// A score, and what it sees.
#[derive(Debug, Clone)]
pub(crate) struct Score {
    pub(crate) by: By,
    /// The row before it.
    pub(crate) schema: Arc<Schema>,
}

#[derive(Debug, Clone)]
pub(crate) enum By {
    Expression(Arc<dyn Expression>),
    /// Ordinal among the detectors.
    Detector(usize, Box<Detector>),
}

impl Score {
    /// The columns that it adds to the row.
    pub(crate) fn columns(&self) -> Range<usize> {
        let (first, count) = (
            self.schema.fields().len(),
            match &self.by {
                By::Expression(_) => 1,
                By::Detector(_, detector) => {
                    detector.outputs().len() + usize::from(detector.explains.is_some())
                }
            },
        );
        first..first + count
    }

    /// Behind a score that waits for others, whose row has this schema, no detector may look at what is only known later.
    fn check_behind(&self, first: &Schema) -> Result<(), DetectError> {
        let By::Detector(_, detector) = &self.by else { return Ok(()) };
        match detector.waits() && detector.looks_at().into_iter().all(|column| column < first.fields().len())
        {
            true => Ok(()),
            false => Err(DetectError::Behind { inputs: detector.names.join(", ") }),
        }
    }
}

/// The scores of a job.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scores {
    pub(crate) scores: Vec<Score>,
    /// How many of them stand in front of the first that waits for others, be they keys or models.
    begun: usize,
    pub(crate) fields: Vec<Field>,
    pub(crate) detectors: Arc<[Detector]>,
}

impl Scores {
    /// Each sees the features and the scores before it.
    ///
    /// # Errors
    /// If a setting of a detector is out of its range.
    pub(crate) fn new(
        keys: &[Field],
        features: &[Field],
        scorings: Vec<(String, Scoring)>,
    ) -> Result<Self, DetectError> {
        let (mut scores, mut fields, mut detectors) = (Vec::new(), Vec::new(), Vec::new());
        for (name, scoring) in scorings {
            let schema = Arc::clone(RowSchema::new(keys, features, &fields).schema());
            fields.extend(scoring.fields(&name));
            let by = match scoring {
                Scoring::Expression(expression) => By::Expression(expression),
                Scoring::Detector(detector) => {
                    detector.check()?;
                    detectors.push(Detector::clone(&detector));
                    By::Detector(detectors.len() - 1, detector)
                }
            };
            scores.push(Score { by, schema });
        }
        let waits = |score: &Score| matches!(&score.by, By::Detector(_, detector) if detector.waits());
        let begun = scores.iter().position(waits).unwrap_or(scores.len());
        scores[begun..].iter().try_for_each(|score| score.check_behind(&scores[begun].schema))?;
        Ok(Scores { scores, begun, fields, detectors: detectors.into() })
    }

    /// The columns of the row that they read.
    pub(crate) fn read(&self) -> Vec<usize> {
        let read = |score: &Score| match &score.by {
            By::Expression(expression) => expression.columns(),
            By::Detector(_, detector) => detector.reads(),
        };
        self.scores.iter().flat_map(read).collect()
    }

    /// Whether a detector asks what the rows of other keys are.
    pub(crate) fn asks_others(&self) -> bool {
        self.detectors.iter().any(Detector::asks_others)
    }

    /// Whether a detector asks a model.
    pub(crate) fn asks_models(&self) -> bool {
        self.detectors.iter().any(Detector::asks_model)
    }

    /// Adds the columns of the scores in front of the first that waits for others. Without `known` nothing is known of any key,
    /// and no detector says anything. Adds what all workers are to know of these rows to `said`.
    pub(crate) fn begin(
        &self,
        chunk: &mut Chunk,
        mut known: Option<&mut Detectors>,
        said: Option<&mut Said>,
    ) {
        let runs = known.as_deref_mut().map(|known| {
            known.meet(&chunk.keys);
            known.runs(&chunk.spans, &mut chunk.since)
        });
        chunk.evidence = self.detectors.iter().map(|_| Evidence::default()).collect();
        chunk.beside = self.detectors.iter().map(|_| Beside::default()).collect();
        chunk.posed = self.detectors.iter().map(|_| Posed::default()).collect();
        for score in &self.scores[..self.begun] {
            self.add(score, chunk, |detector, number, batch, chunk| {
                observe(detector, number, batch, chunk, known.as_deref_mut().zip(runs.as_deref()));
            });
        }
        // What others are to know rests on what these rows are by themselves, so it can be said now.
        let (Some((known, runs)), Some(first)) = (known.zip(runs), self.scores.get(self.begun)) else {
            return;
        };
        let mut said = said;
        let batch = Batch::new(Arc::clone(&first.schema), chunk.columns.clone(), chunk.records.len());
        for score in &self.scores[self.begun..] {
            let By::Detector(number, detector) = &score.by else { continue };
            let mut inputs = observe(detector, *number, &batch, chunk, Some((&mut *known, &runs)));
            if detector.asks_model() {
                chunk.posed[*number] = Posed::of(&inputs);
                continue;
            }
            if let Some((grouping, values)) = detector.method.grouping().zip(inputs.pop()) {
                let values = values.values().to_vec();
                chunk.beside[*number] = Beside::of(grouping, &batch, known.slots(), values);
            }
            if let Some(said) = said.as_deref_mut() {
                models::say(detector, *number, chunk, known, said);
            }
        }
    }

    /// Adds the columns of the other scores.
    pub(crate) fn complete(
        &self,
        chunk: &mut Chunk,
        models: Option<&Models>,
        mut known: Option<&mut Detectors>,
    ) {
        for score in &self.scores[self.begun..] {
            self.add(score, chunk, |detector, number, batch, chunk| {
                if let Method::Model(spec) = &detector.method {
                    inference::judge(detector, spec, number, batch, chunk);
                } else if let Some(models) = models {
                    let latches = known.as_deref_mut().and_then(|known| known.latches(number));
                    models.judge(detector, number, chunk, latches);
                }
            });
        }
    }

    /// Adds the columns of a score: of a detector those that are in its evidence after `judge`.
    fn add(
        &self,
        score: &Score,
        chunk: &mut Chunk,
        judge: impl FnOnce(&Detector, usize, &Batch, &mut Chunk),
    ) {
        let len = chunk.records.len();
        let batch = Batch::new(Arc::clone(&score.schema), std::mem::take(&mut chunk.columns), len);
        match &score.by {
            By::Expression(expression) => {
                let value = expression.evaluate(&batch);
                chunk.failures.extend(value.failures);
                chunk.columns = batch.columns().to_vec();
                chunk.columns.push(value.column);
            }
            By::Detector(number, detector) => {
                judge(detector, *number, &batch, chunk);
                chunk.columns = batch.columns().to_vec();
                let Evidence { outputs: said, words, .. } = &chunk.evidence[*number];
                let word = |row: usize| words.get(row).filter(|word| !word.is_empty());
                let words: Option<ArrayRef> = detector
                    .explains
                    .map(|_| Arc::new((0..len).map(word).collect::<StringArray>()) as ArrayRef);
                let columns = match said.first().is_some_and(|column| column.len() == len) {
                    true => said.iter().map(|column| doubles(column)).collect(),
                    false => unknown(detector, len),
                };
                chunk.columns.extend(columns);
                chunk.columns.extend(words);
            }
        }
    }
}

/// What is known of keys, and the runs of the rows that are judged.
type Met<'a> = (&'a mut Detectors, &'a [Run]);

/// Lets a detector look at rows; gives what it looked at.
fn observe(
    detector: &Detector,
    number: usize,
    batch: &Batch,
    chunk: &mut Chunk,
    met: Option<Met<'_>>,
) -> Vec<Float64Array> {
    let inputs = inputs(detector, batch, &chunk.records, &mut chunk.failures);
    if let Some((known, runs)) = met {
        let chosen = chosen(detector, &chunk.keys);
        chunk.evidence[number] = known.observe(number, runs, &chunk.spans, &inputs, chosen.as_deref());
    }
    inputs
}

/// The values that a detector looks at; NaN where one is missing, or the row holds too little.
fn inputs(
    detector: &Detector,
    batch: &Batch,
    records: &[u64],
    failures: &mut Vec<RowFailure>,
) -> Vec<Float64Array> {
    let is_few = |records: &u64| *records < detector.records_min;
    let any_few = records.iter().any(is_few);
    let column = |input: &Arc<dyn Expression>| {
        let value = input.evaluate(batch);
        failures.extend(value.failures);
        let column = &value.column;
        if input.data_type() == DataType::Double && column.null_count() == 0 && !any_few {
            return column.as_primitive::<Float64Type>().clone();
        }
        let mut column = numbers(column, input.data_type());
        let few = column.iter_mut().zip(records).filter(|(_, records)| is_few(records));
        few.for_each(|(value, _)| *value = f64::NAN);
        Float64Array::from(column)
    };
    detector.inputs.iter().map(column).collect()
}

/// The rows of keys that a detector looks at, where it does not at all.
fn chosen(detector: &Detector, keys: &BinaryArray) -> Option<Vec<bool>> {
    let listed = detector.chosen()?;
    Some(keys.iter().map(|key| listed.has(key.unwrap_or_default())).collect())
}

/// What a detector says that knows nothing.
fn unknown(detector: &Detector, len: usize) -> Vec<ArrayRef> {
    detector.outputs().iter().map(|_| Arc::new(Float64Array::new_null(len)) as ArrayRef).collect()
}

/// NaN is not known, which is NULL.
pub(crate) fn doubles(column: &[f64]) -> ArrayRef {
    match column.iter().any(|value| value.is_nan()) {
        true => {
            Arc::new(column.iter().map(|value| (!value.is_nan()).then_some(*value)).collect::<Float64Array>())
        }
        false => Arc::new(Float64Array::from(column.to_vec())),
    }
}

/// Numbers of any type as doubles; NaN for NULL.
pub(crate) fn numbers(column: &ArrayRef, data_type: DataType) -> Vec<f64> {
    let mut numbers: Vec<f64> = match data_type {
        DataType::Double => column.as_primitive::<Float64Type>().values().to_vec(),
        DataType::Bigint => {
            column.as_primitive::<Int64Type>().values().iter().map(|value| *value as f64).collect()
        }
        DataType::Decimal { scale, .. } => {
            let unit = 10_f64.powi(i32::from(scale));
            let values = column.as_primitive::<Decimal128Type>().values();
            values.iter().map(|value| *value as f64 / unit).collect()
        }
        _ => return vec![f64::NAN; column.len()],
    };
    // What stands where nothing is may be anything.
    if column.null_count() > 0 {
        let rows = numbers.iter_mut().enumerate().filter(|(row, _)| column.is_null(*row));
        rows.for_each(|(_, number)| *number = f64::NAN);
    }
    numbers
}
