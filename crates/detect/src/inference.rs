//! Models that were trained elsewhere: what they are asked about rows, and what becomes of their answers.
//!
//! Nobody is asked here. Rows are judged in two steps: the first says what there is to ask ([`Begun::inquiries`]); whoever runs the
//! graph has it answered beside the workers by what implements [`Inference`], and records it; the second step goes on from the answers
//! ([`Begun::answer`]), and where there is none from the score that was named to take its place.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::Float64Array;
use event::{Batch, Expression, Span, Spans, key_hash};
use xxhash_rust::xxh3::Xxh3;

use crate::baseline::BaselineSpec;
use crate::detector::{Detector, Method};
use crate::judging::{Begun, Chunk};
use crate::scoring::numbers;
use crate::{Detection, Direction};

/// A model that can be asked about rows. The calls lie outside of this crate.
pub trait Inference: Debug + Send + Sync {
    /// What it is called in the config.
    fn name(&self) -> &str;

    /// Looks whether it can be asked about rows with so many inputs, before anything runs. The other methods are called
    /// after that.
    ///
    /// # Errors
    /// Why it cannot be asked, in words.
    fn prepare(&self, inputs: usize) -> Result<(), String>;

    /// Asks once, as a trial: whether anybody answers. Takes as long as it takes.
    ///
    /// # Errors
    /// Why not, in words.
    fn try_out(&self, inputs: usize) -> Result<(), String>;

    /// What tells it from every other model, and from itself in another version: an answer that was recorded is its own only where this
    /// is the same.
    fn identity(&self) -> u128;

    /// Rows that may be asked about at once.
    fn rows_max(&self) -> usize;

    /// Whether it is on this machine and gives the same answer to the same question, so that somebody who waits may ask it.
    fn is_local(&self) -> bool;

    /// For how long an alert may be held back to ask one that is not on this machine what would have been none; nothing: it is not
    /// asked that.
    fn explains_within(&self) -> Duration;

    /// Somebody to ask, for one thread.
    fn open(&self) -> Box<dyn Responder>;
}

/// Who answers for a model.
pub trait Responder: Send {
    /// Answers about some rows, of which there is a column for each input: a number for each. Blocks, but not longer than the model's
    /// time-out.
    ///
    /// # Errors
    /// Why there is no answer.
    fn ask(&mut self, columns: &[Vec<f64>]) -> Result<Vec<f64>, String>;

    /// The same about rows that there were not, for which nobody waits longer than that. That there is no answer to these says nothing
    /// about those that there are.
    ///
    /// # Errors
    /// Why there is no answer.
    fn suppose(&mut self, columns: &[Vec<f64>], within: Duration) -> Result<Vec<f64>, String>;
}

/// Rows that there were not, about which a model is asked to find out what would have been no alert.
#[derive(Debug)]
pub struct Probe<'a> {
    /// Who is asked.
    pub model: &'a dyn Inference,
    /// A column for each input.
    pub columns: &'a [Vec<f64>],
    /// What tells each question from every other, as in an [`Inquiry`].
    pub marks: &'a [u128],
}

/// Asks a model about some rows; NaN where no answer comes.
pub type AskModels<'a> = dyn FnMut(&Probe<'_>) -> Vec<f64> + 'a;

/// How a row is judged by a model.
#[derive(Debug, Clone)]
pub struct ModelSpec {
    /// Who is asked.
    pub inference: Arc<dyn Inference>,
    /// The answer beyond which a row is an anomaly.
    pub limit: f64,
    /// On which side of it: low or high.
    pub direction: Direction,
    /// The score, a double, that takes the place of an answer that does not come.
    pub otherwise: Arc<dyn Expression>,
    /// What is usual for a key, so that an alert can say what of a row is not.
    pub baseline: BaselineSpec,
}

impl ModelSpec {
    /// The outputs for an answer.
    pub(crate) fn outputs(&self, answer: f64) -> [f64; 3] {
        [self.calibrate(answer), answer, 0.0]
    }

    /// An answer on the common scale: 1 at the limit, 2 as far beyond it as the limit is from 0 (or 1, where it is 0), never below 0.
    pub fn calibrate(&self, answer: f64) -> f64 {
        let unit = if self.limit == 0.0 { 1.0 } else { self.limit.abs() };
        let beyond = match self.direction {
            Direction::Low => self.limit - answer,
            Direction::High | Direction::Both => answer - self.limit,
        };
        (1.0 + beyond / unit).max(0.0)
    }
}

/// What a model is to be asked about rows of a chunk.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Posed {
    /// The rows: those of which no input is missing or infinite.
    rows: Vec<u32>,
    /// A column for each input, of these rows.
    columns: Vec<Vec<f64>>,
    /// The answers, NaN where there is none; empty where nobody was asked.
    answers: Vec<f64>,
}

impl Posed {
    /// Of all rows of a chunk.
    pub(crate) fn of(inputs: &[Float64Array]) -> Posed {
        let inputs: Vec<&[f64]> = inputs.iter().map(|column| column.values().as_ref()).collect();
        let all = inputs.first().map_or(0, |column| column.len());
        let is_whole = |row: &u32| inputs.iter().all(|column| column[*row as usize].is_finite());
        let rows: Vec<u32> = (0..all as u32).filter(is_whole).collect();
        let columns =
            inputs.iter().map(|column| rows.iter().map(|row| column[*row as usize]).collect()).collect();
        Posed { rows, columns, answers: Vec::new() }
    }

    /// The answer about each of the rows that were asked about, if there is one.
    fn answered(&self) -> impl Iterator<Item = (usize, Option<f64>)> {
        let answer = |place| self.answers.get(place).copied().filter(|answer: &f64| answer.is_finite());
        self.rows.iter().enumerate().map(move |(place, row)| (*row as usize, answer(place)))
    }
}

/// Questions to a model about some rows.
#[derive(Debug, Clone)]
pub struct Inquiry {
    /// Who is asked.
    pub model: Arc<dyn Inference>,
    /// A column for each input.
    pub columns: Vec<Vec<f64>>,
    /// What tells each question from every other: the upper half is the key's [`event::key_hash`], the lower one a hash of the model, the
    /// score, the key, the window, and the inputs.
    pub marks: Vec<u128>,
    chunk: usize,
    detector: usize,
}

impl Begun {
    /// What models are to be asked about these rows, which are of that branch.
    pub fn inquiries(&self, detection: &Detection, branch: usize) -> Vec<Inquiry> {
        let mut inquiries = Vec::new();
        for (place, chunk) in self.chunks().iter().enumerate() {
            for (number, (detector, posed)) in detection.scores.detectors.iter().zip(&chunk.posed).enumerate()
            {
                if let Method::Model(spec) = &detector.method
                    && !posed.rows.is_empty()
                {
                    inquiries.push(Inquiry {
                        model: Arc::clone(&spec.inference),
                        columns: posed.columns.clone(),
                        marks: marks((spec.inference.identity(), branch, number), chunk, posed),
                        chunk: place,
                        detector: number,
                    });
                }
            }
        }
        inquiries
    }

    /// Takes in the answers to one of its inquiries, NaN where there is none.
    pub fn answer(&mut self, inquiry: &Inquiry, answers: Vec<f64>) {
        let chunk = self.chunks_mut().get_mut(inquiry.chunk);
        if let Some(posed) = chunk.and_then(|chunk| chunk.posed.get_mut(inquiry.detector)) {
            posed.answers = answers;
        }
    }
}

fn marks(of: (u128, usize, usize), chunk: &Chunk, posed: &Posed) -> Vec<u128> {
    let mark = |(place, row): (usize, &u32)| {
        let marker = Marker::new(of, span_of(&chunk.spans, *row as usize), chunk.keys.value(*row as usize));
        marker.mark(posed.columns.iter().map(|column| column[place]))
    };
    posed.rows.iter().enumerate().map(mark).collect()
}

/// The span of a row, which all share if it is not each row's own.
pub(crate) fn span_of(spans: &Spans, row: usize) -> Span {
    match spans {
        Spans::Shared(_) => spans.of(0),
        Spans::Own(_) => spans.of(row),
    }
}

/// Marks questions of a detector about rows of a key in a window.
#[derive(Clone)]
pub(crate) struct Marker {
    key: u64,
    hasher: Xxh3,
}

impl Marker {
    /// `identity` is that of the model.
    pub(crate) fn new((identity, branch, detector): (u128, usize, usize), span: Span, key: &[u8]) -> Self {
        let mut hasher = Xxh3::new();
        hasher.update(&identity.to_le_bytes());
        for number in [branch as u64, detector as u64, span.sequence] {
            hasher.update(&number.to_le_bytes());
        }
        for time in [span.due, span.window.start, span.window.end] {
            hasher.update(&time.to_le_bytes());
        }
        hasher.update(&(key.len() as u64).to_le_bytes());
        hasher.update(key);
        Marker { key: key_hash(key), hasher }
    }

    /// The same, about rows that there were not: what is said of these takes the place of no answer about one that there was.
    pub(crate) fn supposing(mut self) -> Self {
        self.hasher.update(b"instead");
        self
    }

    /// The mark of the question about a row.
    pub(crate) fn mark(&self, inputs: impl Iterator<Item = f64>) -> u128 {
        let mut hasher = self.hasher.clone();
        inputs.for_each(|value| hasher.update(&value.to_bits().to_le_bytes()));
        u128::from(self.key) << 64 | u128::from(hasher.digest())
    }
}

/// Judges the rows of a chunk by what a model has answered. `batch` holds the scores in front of it. Of a row that was not asked about
/// nothing is known.
pub(crate) fn judge(detector: &Detector, spec: &ModelSpec, number: usize, batch: &Batch, chunk: &mut Chunk) {
    let (evidence, posed) = (&mut chunk.evidence[number], &chunk.posed[number]);
    let rows = chunk.records.len();
    // Where nothing is known of keys nobody was to be asked.
    if evidence.outputs.len() != detector.outputs().len() {
        return;
    }
    let value = spec.otherwise.evaluate(batch);
    chunk.failures.extend(value.failures);
    let otherwise = numbers(&value.column, spec.otherwise.data_type());
    evidence.outputs = vec![vec![f64::NAN; rows]; evidence.outputs.len()];
    for (row, answer) in posed.answered() {
        let said = match answer {
            Some(answer) => spec.outputs(answer),
            None => [otherwise[row], f64::NAN, 1.0],
        };
        evidence.outputs.iter_mut().zip(said).for_each(|(column, value)| column[row] = value);
    }
    // How far an input is from what is usual is what can be said of its part in it.
    for (shares, statistics) in evidence.shares.iter_mut().zip(&evidence.statistics) {
        shares.clear();
        shares.extend(statistics.iter().map(|z| if z.is_nan() { 0.0 } else { z.abs() }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Nobody;

    impl Inference for Nobody {
        fn name(&self) -> &str {
            "nobody"
        }
        fn prepare(&self, _inputs: usize) -> Result<(), String> {
            Ok(())
        }
        fn try_out(&self, _inputs: usize) -> Result<(), String> {
            Err("nobody is there".into())
        }
        fn identity(&self) -> u128 {
            0
        }
        fn rows_max(&self) -> usize {
            1
        }
        fn is_local(&self) -> bool {
            true
        }
        fn explains_within(&self) -> Duration {
            Duration::ZERO
        }
        fn open(&self) -> Box<dyn Responder> {
            Box::new(Nobody)
        }
    }

    impl Responder for Nobody {
        fn ask(&mut self, _columns: &[Vec<f64>]) -> Result<Vec<f64>, String> {
            Err("nobody is there".into())
        }
        fn suppose(&mut self, _columns: &[Vec<f64>], _within: Duration) -> Result<Vec<f64>, String> {
            Err("nobody is there".into())
        }
    }

    #[derive(Debug)]
    struct Unknown;

    impl Expression for Unknown {
        fn data_type(&self) -> event::DataType {
            event::DataType::Double
        }
        fn columns(&self) -> Vec<usize> {
            Vec::new()
        }
        fn evaluate(&self, batch: &Batch) -> event::Evaluation {
            let column = Arc::new(arrow_array::Float64Array::new_null(batch.rows()));
            event::Evaluation { column, failures: Vec::new() }
        }
    }

    fn spec(limit: f64, direction: Direction) -> ModelSpec {
        let (inference, otherwise) = (Arc::new(Nobody), Arc::new(Unknown));
        ModelSpec { inference, limit, direction, otherwise, baseline: BaselineSpec::default() }
    }

    #[test]
    fn an_answer_is_above_one_on_the_side_of_the_limit_that_is_bad_and_there_alone() {
        let scores = |limit, direction, answers: [f64; 4]| {
            answers.map(|answer| spec(limit, direction).calibrate(answer))
        };
        assert_eq!(scores(0.5, Direction::High, [0.0, 0.25, 0.5, 1.0]), [0.0, 0.5, 1.0, 2.0]);
        assert_eq!(scores(0.5, Direction::Low, [0.0, 0.25, 0.5, 1.5]), [2.0, 1.5, 1.0, 0.0]);
        // As isolation forests have it: below zero, and the less the odder.
        assert_eq!(scores(-0.25, Direction::Low, [-0.5, -0.25, 0.0, 9.0]), [2.0, 1.0, 0.0, 0.0]);
        assert_eq!(scores(0.0, Direction::High, [-1.0, 0.0, 0.5, 1.0]), [0.0, 1.0, 1.5, 2.0]);
    }

    #[test]
    fn rows_without_an_input_are_not_asked_about() {
        let posed = Posed::of(&[vec![1.0, f64::NAN, 3.0], vec![4.0, 5.0, 6.0]].map(Float64Array::from));
        assert_eq!(posed.rows, [0, 2]);
        assert_eq!(posed.columns, [[1.0, 3.0], [4.0, 6.0]]);
        let unanswered: Vec<_> = posed.answered().collect();
        assert_eq!(unanswered, [(0, None), (2, None)]);
        let posed = Posed { answers: vec![f64::INFINITY, 7.0], ..posed };
        assert_eq!(posed.answered().collect::<Vec<_>>(), [(0, None), (2, Some(7.0))]);
    }
}
