//! Judges rows of features: computes features and scores on whole columns, asks every rule, keeps the hits.
//!
//! Takes rows from `window`, gives what was detected to `alert`. Promises that the result for a row depends
//! on that row alone, and that a row for which an expression failed never alerts. A chunk without hits
//! allocates little more than what its expressions compute.

mod suppose;

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::TimestampMicrosecondBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, NullArray};
use event::{
    Batch, DataType, Detected, Expression, FailedRows, Field, KeyShape, RowFailure, RowSchema, Rows, Span,
    Spans,
};

use crate::episode::Episodes;
use crate::gather::Gather;
use crate::verdict;
use crate::{DetectError, Rule};

pub use suppose::Supposed;

/// Rows judged at a time, so that the columns of a chunk stay in the cache.
const CHUNK_ROWS: usize = 8192;

/// The features, scores and rules of a job.
#[derive(Debug, Clone)]
pub struct Detection {
    schema: RowSchema,
    key_shape: KeyShape,
    features: Vec<Arc<dyn Expression>>,
    scores: Vec<Score>,
    rules: Vec<Rule>,
    /// Whether a score or a condition reads a field of the key. They are only decoded for hits otherwise.
    reads_keys: bool,
    /// Whether one reads the window's times.
    reads_window: bool,
    /// The features that later ones ask for in the key's previous row.
    lags: Vec<usize>,
    /// The last column that a feature reads. The window's stand behind the aggregates.
    last_read: Option<usize>,
}

/// A score, and what it sees.
#[derive(Debug, Clone)]
struct Score {
    expression: Arc<dyn Expression>,
    schema: Arc<event::Schema>,
}

/// A hit before the rule's details are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RuleHit {
    /// Row, first of the chunk and then of the gathered rows.
    pub(crate) row: u32,
    /// Rank of the rule; `None` in a job without rules.
    pub(crate) rule: Option<u16>,
}

/// A part of the rows, with all that is computed about them.
struct Chunk<'a> {
    /// The windows of the rows if each has its own.
    own: Option<&'a [Span]>,
    keys: BinaryArray,
    /// All columns of the row schema; those of the key and the window may be placeholders.
    columns: Vec<ArrayRef>,
    failures: Vec<RowFailure>,
}

/// The schema of rows with these key fields and these columns behind them: what the next score, or the
/// rules, are compiled against.
pub fn row_schema_prefix(key_fields: &[Field], features: &[Field]) -> event::Schema {
    RowSchema::new(key_fields, features, &[]).schema().as_ref().clone()
}

impl Detection {
    /// A detection for rows of keys with `key_fields`, encoded with `key_shape`.
    ///
    /// `features` are compiled against the schema of the aggregates with [`RowSchema::window_fields`] behind it, each of
    /// `scores` against
    /// [`row_schema_prefix`] with all features and the scores before it, the rules' expressions against
    /// all of them. Without rules every row is a hit. Rules are ranked by name, whatever their order here.
    ///
    /// # Errors
    /// If a condition is not a boolean, or a rule compares something that is not a number.
    pub fn new(
        key_fields: Vec<Field>,
        key_shape: KeyShape,
        features: Vec<(String, Arc<dyn Expression>)>,
        scores: Vec<(String, Arc<dyn Expression>)>,
        mut rules: Vec<Rule>,
    ) -> Result<Self, DetectError> {
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        rules.iter().try_for_each(Rule::check)?;
        if rules.len() > usize::from(u16::MAX) + 1 {
            return Err(DetectError::TooManyRules(rules.len()));
        }
        let (feature_fields, features) = named(features);
        let (score_fields, scores) = named(scores);
        let schema = RowSchema::new(&key_fields, &feature_fields, &score_fields);
        let scores: Vec<Score> = scores
            .into_iter()
            .enumerate()
            .map(|(i, expression)| {
                let before = RowSchema::new(&key_fields, &feature_fields, &score_fields[..i]);
                Score { expression, schema: Arc::clone(before.schema()) }
            })
            .collect();
        let read: Vec<usize> = scores
            .iter()
            .map(|score| &score.expression)
            .chain(rules.iter().map(|rule| &rule.when))
            .flat_map(|expression| expression.columns())
            .collect();
        let reads_keys = read.iter().any(|column| schema.keys().contains(column));
        let reads_window = read.iter().any(|column| schema.window().contains(column));
        let last_read = features.iter().flat_map(|feature| feature.columns()).max();
        Ok(Detection {
            schema,
            key_shape,
            features,
            scores,
            rules,
            reads_keys,
            reads_window,
            lags: Vec::new(),
            last_read,
        })
    }

    /// The same, where features ask what some of them, `lags`, were in the key's previous row: see
    /// [`Detection::remember`].
    #[must_use]
    pub fn recalling(self, lags: Vec<usize>) -> Self {
        Detection { lags, ..self }
    }

    /// Types of what is to be remembered of each row; empty if nothing is.
    pub fn remembered(&self) -> Vec<DataType> {
        let fields = &self.schema.schema().fields()[self.schema.features()];
        self.lags.iter().map(|lag| fields[*lag].data_type).collect()
    }

    /// The columns of the rows that come out, which the rules and the sinks see.
    pub fn row_schema(&self) -> &RowSchema {
        &self.schema
    }

    /// The rules, by rank.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// How keys are encoded.
    pub(crate) fn key_shape(&self) -> &KeyShape {
        &self.key_shape
    }

    /// Episodes of no key yet, in a job that puts them out: where all rules have a life cycle.
    pub fn episodes(&self) -> Option<Episodes> {
        let rule = |rule: &Rule| Some((rule.id.clone(), rule.life_cycle?));
        let rules: Option<Vec<_>> = self.rules.iter().map(rule).collect();
        rules.filter(|rules| !rules.is_empty()).map(Episodes::new)
    }

    /// Whether what is found is put out as episodes.
    pub fn follows_episodes(&self) -> bool {
        !self.rules.is_empty() && self.rules.iter().all(|rule| rule.life_cycle.is_some())
    }

    /// Judges rows: which of them the rules hit, and for which an expression failed.
    pub fn evaluate(&self, rows: &Rows) -> Detected {
        let decoded = self.reads_keys.then(|| self.key_shape.decode(&rows.keys));
        let mut hit_rows = Gather::default();
        let mut failed_rows = Gather::default();
        let mut details = Vec::new();
        let mut hits = Vec::new();
        for start in (0..rows.keys.len()).step_by(CHUNK_ROWS) {
            let len = CHUNK_ROWS.min(rows.keys.len() - start);
            let mut chunk = self.chunk(rows, decoded.as_deref(), start, len);
            let mut found = self.apply_rules(&mut chunk, &rows.records[start..start + len]);
            keep_first_failures(&mut chunk.failures);
            let failed: Vec<u32> = chunk.failures.iter().map(|failure| failure.row as u32).collect();
            if !failed.is_empty() {
                found.retain(|hit| failed.binary_search(&hit.row).is_err());
                failed_rows.push(chunk.own, &chunk.keys, self.computed(&chunk), &failed);
                details.extend(chunk.failures.drain(..).map(|failure| failure.detail));
            }
            if !found.is_empty() {
                let indices = number_rows(&mut found, hit_rows.rows() as u32);
                hit_rows.push(chunk.own, &chunk.keys, self.computed(&chunk), &indices);
                hits.extend(found);
            }
        }
        let (spans, keys, batch) = self.rows_of(hit_rows, &rows.spans);
        let (hits, failures) = verdict::reach(&self.rules, &batch, hits);
        if !failures.is_empty() {
            let indices: Vec<u32> = failures.iter().map(|failure| failure.row as u32).collect();
            let computed = &batch.columns()[self.schema.features().start..];
            failed_rows.push(spans.own(), &keys, computed, &indices);
            details.extend(failures.into_iter().map(|failure| failure.detail));
        }
        let failed = {
            let (spans, keys, batch) = self.rows_of(failed_rows, &rows.spans);
            FailedRows { spans, keys, batch, details }
        };
        Detected { spans, keys, batch, hits, failed }
    }

    /// Nothing detected.
    pub(crate) fn nothing(&self) -> Detected {
        let rows_of = || self.rows_of(Gather::default(), &Spans::Own(Vec::new()));
        let (spans, keys, batch) = rows_of();
        let failed = FailedRows { spans, keys, batch, details: Vec::new() };
        let (spans, keys, batch) = rows_of();
        Detected { spans, keys, batch, hits: Vec::new(), failed }
    }

    /// Computes the features and the scores of `len` rows from `start` on.
    fn chunk<'a>(&self, rows: &'a Rows, decoded: Option<&[ArrayRef]>, start: usize, len: usize) -> Chunk<'a> {
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
        for score in &self.scores {
            let batch = Batch::new(Arc::clone(&score.schema), columns, len);
            let value = score.expression.evaluate(&batch);
            failures.extend(value.failures);
            columns = batch.columns().to_vec();
            columns.push(value.column);
        }
        let own = rows.spans.own().map(|own| &own[start..start + len]);
        Chunk { own, keys: rows.keys.slice(start, len), columns, failures }
    }

    pub(crate) fn remembers_nothing(&self) -> bool {
        self.lags.is_empty()
    }

    /// The features that are to be remembered of rows.
    pub(crate) fn lagged(&self, rows: &Rows) -> Vec<ArrayRef> {
        let batch = self.aggregates(rows, 0, rows.keys.len());
        self.lags.iter().map(|lag| self.features[*lag].evaluate(&batch).column).collect()
    }

    /// What features read: the aggregates, and the window if one of them reads it.
    fn aggregates(&self, rows: &Rows, start: usize, len: usize) -> Batch {
        let aggregates = rows.aggregates.slice(start, len);
        if self.last_read.is_none_or(|column| column < aggregates.columns().len()) {
            return aggregates;
        }
        let fields = aggregates.schema().fields().iter().cloned().chain(RowSchema::window_fields());
        let windows = window_columns(&rows.spans, start..start + len);
        let features = &self.schema.schema().fields()[self.schema.features()];
        let lags = self.lags.iter().map(|lag| features[*lag].clone());
        let previous = rows.previous.iter().map(|column| column.slice(start, len));
        let columns = aggregates.columns().iter().cloned().chain(windows).chain(previous).collect();
        Batch::new(Arc::new(event::Schema::new(fields.chain(lags).collect())), columns, len)
    }

    /// Hits by row and then by rule. What failed is added to the chunk's failures.
    fn apply_rules(&self, chunk: &mut Chunk<'_>, records: &[u64]) -> Vec<RuleHit> {
        if self.rules.is_empty() {
            return (0..records.len() as u32).map(|row| RuleHit { row, rule: None }).collect();
        }
        let batch = Batch::new(Arc::clone(self.schema.schema()), chunk.columns.clone(), records.len());
        let mut hits = Vec::new();
        for (rank, rule) in self.rules.iter().enumerate() {
            let value = rule.when.evaluate(&batch);
            chunk.failures.extend(value.failures);
            let condition = value.column.as_boolean();
            for row in condition.values().set_indices() {
                if condition.is_valid(row) && records[row] >= rule.min_events {
                    hits.push(RuleHit { row: row as u32, rule: Some(rank as u16) });
                }
            }
        }
        if self.rules.len() > 1 {
            hits.sort_unstable();
        }
        hits
    }

    /// The columns that are computed and not known from the key and the window.
    fn computed<'a>(&self, chunk: &'a Chunk<'_>) -> &'a [ArrayRef] {
        &chunk.columns[self.schema.features().start..]
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

type Named = (String, Arc<dyn Expression>);

fn named(expressions: Vec<Named>) -> (Vec<Field>, Vec<Arc<dyn Expression>>) {
    expressions.into_iter().map(|(name, e)| (Field::new(name, e.data_type()), e)).unzip()
}

/// The first instant of each row's window, and the first behind it.
pub(crate) fn window_columns(spans: &Spans, rows: Range<usize>) -> [ArrayRef; 2] {
    let builder = || {
        TimestampMicrosecondBuilder::with_capacity(rows.len()).with_data_type(DataType::TimestampTz.arrow())
    };
    let (mut starts, mut ends) = (builder(), builder());
    match spans {
        Spans::Shared(window) => {
            starts.append_value_n(window.start, rows.len());
            ends.append_value_n(window.end, rows.len());
        }
        Spans::Own(spans) => {
            for Span { window, .. } in &spans[rows.clone()] {
                starts.append_value(window.start);
                ends.append_value(window.end);
            }
        }
    }
    [Arc::new(starts.finish()), Arc::new(ends.finish())]
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
fn keep_first_failures(failures: &mut Vec<RowFailure>) {
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
