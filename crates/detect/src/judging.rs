//! How rows are judged: features and scores are computed on whole columns, every rule is asked, the hits are kept.
//!
//! Takes rows from `window`, gives what was detected to `alert`. Promises that the result for a row depends on that row, what is
//! known of its key and, where a detector asks for it, what the rows of all keys were at earlier window ends; and that a row for
//! which an expression failed never alerts. A chunk without hits allocates little more than what its expressions compute.
//!
//! Judging has two steps where a detector asks what other keys do, or asks a model: [`Detection::begin`] computes what a row needs of
//! its own key, and what others need to know of it; once all workers have said theirs, and models have answered, [`Detection::finish`]
//! does the rest.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, NullArray};
use event::{Batch, Detected, FailedRows, RowFailure, Rows, Spans};

use crate::cohort::Beside;
use crate::detection::window_columns;
use crate::detector::{Detector, Detectors, Evidence};
use crate::gather::Gather;
use crate::inference::Posed;
use crate::models::{Models, Said};
use crate::verdict;
use crate::{Corrected, Detection};

/// Rows judged at a time, so that the columns of a chunk stay in the cache.
const CHUNK_ROWS: usize = 8192;

/// A hit before the rule's details are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RuleHit {
    /// Row, first of the chunk and then of the gathered rows.
    pub(crate) row: u32,
    /// Rank of the rule; `None` in a job without rules.
    pub(crate) rule: Option<u16>,
}

/// A part of the rows, with all that is computed about them so far.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    pub(crate) keys: BinaryArray,
    pub(crate) spans: Spans,
    pub(crate) records: Vec<u64>,
    /// The columns of the row schema; those of the key and the window may be placeholders.
    pub(crate) columns: Vec<ArrayRef>,
    pub(crate) failures: Vec<RowFailure>,
    /// Since when the key of each row is known; empty where nothing is remembered of keys.
    pub(crate) since: Vec<i64>,
    /// What detectors said, by their ordinals.
    pub(crate) evidence: Vec<Evidence>,
    /// What those among them look at that judge a row beside others.
    pub(crate) beside: Vec<Beside>,
    /// What models are asked.
    pub(crate) posed: Vec<Posed>,
}

impl Chunk {
    /// Whether the window of a row ends while its key is new.
    fn is_new(&self, row: usize, grace: i64) -> bool {
        let end = || self.spans.of(row).window.end;
        grace > 0 && self.since.get(row).is_some_and(|since| end().saturating_sub(*since) <= grace)
    }
}

/// Rows that are judged half.
#[derive(Debug, Clone)]
pub struct Begun {
    spans: Spans,
    chunks: Vec<Chunk>,
}

impl Begun {
    pub(crate) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    pub(crate) fn chunks_mut(&mut self) -> &mut [Chunk] {
        &mut self.chunks
    }

    /// How many there are.
    pub fn rows(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.records.len()).sum()
    }

    /// Those among them that correct what was said of their windows.
    pub fn corrected(&self, detection: &Detection) -> Vec<Corrected> {
        self.chunks.iter().flat_map(|chunk| detection.corrected(&chunk.keys, &chunk.spans)).collect()
    }

    /// When the last of them is due; `None` if there are none.
    pub fn due(&self) -> Option<i64> {
        match &self.spans {
            Spans::Shared(window) => Some(window.due()),
            Spans::Own(own) => own.iter().map(|span| span.due).max(),
        }
    }
}

impl Detection {
    /// Judges rows: which of them the rules hit, and for which an expression failed. Detectors know of no key: see
    /// [`Detection::judge`].
    pub fn evaluate(&self, rows: &Rows) -> Detected {
        self.judge(rows, None)
    }

    /// Judges rows, by what is known of their keys, which is then learned. The rows of a key come in the order in which they are
    /// due, over all calls, and each window once. What asks for the rows of other keys says nothing.
    pub fn judge(&self, rows: &Rows, mut known: Option<&mut Detectors>) -> Detected {
        let decoded = self.reads_keys.then(|| self.key_shape.decode(&rows.keys));
        let mut found = Found::new(self);
        for range in chunks(rows) {
            let mut chunk = self.chunk(rows, decoded.as_deref(), range, known.as_deref_mut(), None);
            self.scores.complete(&mut chunk, None, None);
            found.take(chunk);
        }
        found.finish(&rows.spans)
    }

    /// The first step: as [`Detection::judge`], up to what asks for the rows of other keys. Adds what all workers are to know of
    /// these.
    pub fn begin(&self, rows: &Rows, mut known: Option<&mut Detectors>, said: &mut Said) -> Begun {
        let decoded = self.reads_keys.then(|| self.key_shape.decode(&rows.keys));
        let mut begin =
            |range| self.chunk(rows, decoded.as_deref(), range, known.as_deref_mut(), Some(&mut *said));
        Begun { spans: rows.spans.clone(), chunks: chunks(rows).map(&mut begin).collect() }
    }

    /// The second step: `models` are what was learned of all rows that were due before these, and what is answered of all that were due
    /// no later; `known` is what the first step knew.
    pub fn finish(
        &self,
        begun: Begun,
        models: Option<&Models>,
        mut known: Option<&mut Detectors>,
    ) -> Detected {
        let mut found = Found::new(self);
        for mut chunk in begun.chunks {
            self.scores.complete(&mut chunk, models, known.as_deref_mut());
            found.take(chunk);
        }
        found.finish(&begun.spans)
    }

    /// Nothing detected.
    pub(crate) fn nothing(&self) -> Detected {
        Found::new(self).finish(&Spans::Own(Vec::new()))
    }

    /// Computes the features of a range of rows, and the scores that do not ask for other keys.
    fn chunk(
        &self,
        rows: &Rows,
        decoded: Option<&[ArrayRef]>,
        range: Range<usize>,
        known: Option<&mut Detectors>,
        said: Option<&mut Said>,
    ) -> Chunk {
        let (start, len) = (range.start, range.len());
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.schema().fields().len());
        let unread: ArrayRef = Arc::new(NullArray::new(len));
        match decoded {
            Some(keys) => columns.extend(keys.iter().map(|key| key.slice(start, len))),
            None => columns.extend(self.schema.keys().map(|_| Arc::clone(&unread))),
        }
        if self.reads_window {
            columns.extend(window_columns(&rows.spans, start..start + len));
        } else {
            columns.extend(self.schema.window().map(|_| Arc::clone(&unread)));
        }
        let mut failures = failures_of(rows, start, len);
        let aggregates = self.aggregates(rows, start, len);
        for feature in &self.features {
            let value = feature.evaluate(&aggregates);
            failures.extend(value.failures);
            columns.push(value.column);
        }
        let (keys, spans) = part_of(rows, range.clone());
        let records = rows.records[range].to_vec();
        let (since, evidence, beside, posed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut chunk = Chunk { keys, spans, records, columns, failures, since, evidence, beside, posed };
        self.scores.begin(&mut chunk, known, said);
        chunk
    }

    /// Hits by row and then by rule. What failed is added to the chunk's failures.
    pub(crate) fn apply_rules(&self, chunk: &mut Chunk) -> Vec<RuleHit> {
        let rows = chunk.records.len();
        if self.rules.is_empty() {
            return (0..rows as u32).map(|row| RuleHit { row, rule: None }).collect();
        }
        let batch = Batch::new(Arc::clone(self.schema.schema()), chunk.columns.clone(), rows);
        let mut hits = Vec::new();
        for (rank, rule) in self.rules.iter().enumerate() {
            let value = rule.when.evaluate(&batch);
            chunk.failures.extend(value.failures);
            let condition = value.column.as_boolean();
            for row in condition.values().set_indices() {
                let is_enough = chunk.records[row] >= rule.min_events;
                if condition.is_valid(row) && is_enough && !chunk.is_new(row, rule.grace) {
                    hits.push(RuleHit { row: row as u32, rule: Some(rank as u16) });
                }
            }
        }
        if self.rules.len() > 1 {
            hits.sort_unstable();
        }
        hits
    }

    /// Gathered rows under the whole row schema, with their windows and keys. `judged` are the windows of
    /// the rows that they were chosen from.
    fn rows_of(&self, gathered: Gather, judged: &Spans) -> (Spans, BinaryArray, Batch) {
        let rows = gathered.rows();
        let fields = &self.schema.schema().fields()[self.schema.features().start..];
        let (own, keys, computed) = gathered.finish(fields);
        let spans = match judged {
            Spans::Shared(window) => Spans::Shared(*window),
            Spans::Own(_) => Spans::Own(own),
        };
        let mut columns = self.key_shape.decode(&keys);
        columns.extend(window_columns(&spans, 0..rows));
        columns.extend(computed);
        (spans, keys, Batch::new(Arc::clone(self.schema.schema()), columns, rows))
    }
}

/// What was found in the chunks so far.
struct Found<'a> {
    detection: &'a Detection,
    hit_rows: Gather,
    hits: Vec<RuleHit>,
    failed_rows: Gather,
    details: Vec<String>,
    /// What detectors said of the hit rows, where a rule's hits may be explained.
    evidence: Vec<Evidence>,
}

impl<'a> Found<'a> {
    fn new(detection: &'a Detection) -> Self {
        let (hit_rows, failed_rows) = (Gather::default(), Gather::default());
        let inputs = |detector: &Detector| Evidence::of(0, detector.inputs.len());
        let detectors: &[Detector] =
            if detection.rules.is_empty() { &[] } else { &detection.scores.detectors };
        let evidence = detectors.iter().map(inputs).collect();
        Found { detection, hit_rows, hits: Vec::new(), failed_rows, details: Vec::new(), evidence }
    }

    /// Asks the rules about a chunk, and keeps its hits and its failed rows.
    fn take(&mut self, mut chunk: Chunk) {
        let mut found = self.detection.apply_rules(&mut chunk);
        keep_first_failures(&mut chunk.failures);
        // The columns that are computed and not known from the key and the window.
        let computed = self.detection.schema.features().start;
        let failed: Vec<u32> = chunk.failures.iter().map(|failure| failure.row as u32).collect();
        if !failed.is_empty() {
            found.retain(|hit| failed.binary_search(&hit.row).is_err());
            self.failed_rows.push(chunk.spans.own(), &chunk.keys, &chunk.columns[computed..], &failed);
            self.details.extend(chunk.failures.drain(..).map(|failure| failure.detail));
        }
        if !found.is_empty() {
            let indices = number_rows(&mut found, self.hit_rows.rows() as u32);
            self.hit_rows.push(chunk.spans.own(), &chunk.keys, &chunk.columns[computed..], &indices);
            for (kept, said) in self.evidence.iter_mut().zip(&chunk.evidence) {
                kept.append_inputs(said, chunk.records.len(), &indices);
            }
            self.hits.extend(found);
        }
    }

    /// What was detected in all. `judged` are the windows of all rows.
    fn finish(mut self, judged: &Spans) -> Detected {
        let detection = self.detection;
        let (spans, keys, batch) = detection.rows_of(self.hit_rows, judged);
        let (hits, failures) = verdict::reach(&detection.rules, &detection.asked, &batch, self.hits);
        if !failures.is_empty() {
            let indices: Vec<u32> = failures.iter().map(|failure| failure.row as u32).collect();
            let computed = &batch.columns()[detection.schema.features().start..];
            self.failed_rows.push(spans.own(), &keys, computed, &indices);
            self.details.extend(failures.into_iter().map(|failure| failure.detail));
        }
        let failed = {
            let (spans, keys, batch) = detection.rows_of(self.failed_rows, judged);
            FailedRows { spans, keys, batch, details: self.details }
        };
        let evidence = self.evidence;
        Detected { spans, keys, batch, hits, evidence, explanations: Vec::new(), failed }
    }
}

/// The keys and windows of a range of rows.
fn part_of(rows: &Rows, range: Range<usize>) -> (BinaryArray, Spans) {
    let spans = match &rows.spans {
        Spans::Shared(window) => Spans::Shared(*window),
        Spans::Own(own) => Spans::Own(own[range.clone()].to_vec()),
    };
    (rows.keys.slice(range.start, range.len()), spans)
}

fn chunks(rows: &Rows) -> impl Iterator<Item = Range<usize>> + use<> {
    let all = rows.keys.len();
    (0..all).step_by(CHUNK_ROWS).map(move |start| start..all.min(start + CHUNK_ROWS))
}

/// The rows, numbered from `start` on, that already an aggregate has no value for.
fn failures_of(rows: &Rows, start: usize, len: usize) -> Vec<RowFailure> {
    let from = rows.failures.partition_point(|failure| failure.row < start);
    rows.failures[from..]
        .iter()
        .take_while(|failure| failure.row < start + len)
        .map(|failure| RowFailure { row: failure.row - start, detail: failure.detail.clone() })
        .collect()
}

/// Of several failures of a row keeps the one of the expression that stands first.
pub(crate) fn keep_first_failures(failures: &mut Vec<RowFailure>) {
    failures.sort_by_key(|failure| failure.row);
    failures.dedup_by_key(|failure| failure.row);
}

/// Turns rows of the chunk into places among the gathered rows, of which there are `gathered` so far.
/// Returns the rows to gather.
fn number_rows(hits: &mut [RuleHit], gathered: u32) -> Vec<u32> {
    let mut indices: Vec<u32> = Vec::with_capacity(hits.len());
    for hit in hits {
        if indices.last() != Some(&hit.row) {
            indices.push(hit.row);
        }
        hit.row = gathered + indices.len() as u32 - 1;
    }
    indices
}
