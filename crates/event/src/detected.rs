//! What judging rows of features gives: the rows that a rule hit, and those for which an expression failed.
//!
//! `detect` makes it, `alert` writes it out.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use arrow_array::BinaryArray;
use serde::{Deserialize, Serialize};

use crate::{Batch, DataType, Evidence, Explanation, Field, Schema, Spans};

/// The columns of a row that is judged, in this order: the fields of the key, `window_start`,
/// `window_end`, the features, the scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowSchema {
    schema: Arc<Schema>,
    keys: usize,
    features: usize,
}

impl RowSchema {
    /// Name of the column that holds the window's first instant.
    pub const WINDOW_START: &'static str = "window_start";
    /// Name of the column that holds the first instant behind the window.
    pub const WINDOW_END: &'static str = "window_end";

    /// Name of the window's length, an interval: `window_end - window_start`. No column: expressions make it.
    pub const WINDOW_DURATION: &'static str = "window_duration";
    /// Name of the same in seconds, a double.
    pub const WINDOW_DURATION_S: &'static str = "window_duration_s";

    /// The columns of a row's window. Features see them behind their aggregates.
    pub fn window_fields() -> [Field; 2] {
        [Self::WINDOW_START, Self::WINDOW_END].map(|name| Field::new(name, DataType::TimestampTz))
    }

    /// The schema of rows with these columns. Leave `scores` out, or give the first few, for what an
    /// expression that stands before the others can see.
    pub fn new(keys: &[Field], features: &[Field], scores: &[Field]) -> Self {
        let mut fields = keys.to_vec();
        fields.extend(Self::window_fields());
        fields.extend_from_slice(features);
        fields.extend_from_slice(scores);
        RowSchema { schema: Arc::new(Schema::new(fields)), keys: keys.len(), features: features.len() }
    }

    /// All columns.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Places of the key's fields.
    pub fn keys(&self) -> Range<usize> {
        0..self.keys
    }

    /// Places of the window's two columns.
    pub fn window(&self) -> Range<usize> {
        self.keys..self.keys + 2
    }

    /// Places of the features.
    pub fn features(&self) -> Range<usize> {
        let start = self.keys + 2;
        start..start + self.features
    }

    /// Places of the scores.
    pub fn scores(&self) -> Range<usize> {
        self.features().end..self.schema.fields().len()
    }
}

/// How bad a rule's finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth a look.
    Warning,
    /// Worth waking somebody.
    Critical,
}

impl Severity {
    /// The name that configs and alerts use.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A severity's name that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown severity `{0}`; the severities are info, warning, critical")]
pub struct UnknownSeverity(pub String);

impl FromStr for Severity {
    type Err = UnknownSeverity;

    fn from_str(name: &str) -> Result<Self, UnknownSeverity> {
        [Severity::Info, Severity::Warning, Severity::Critical]
            .into_iter()
            .find(|severity| severity.name() == name)
            .ok_or_else(|| UnknownSeverity(name.to_owned()))
    }
}

/// What a rule found in a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// Rank of the rule among the job's rules by name.
    pub rule: u16,
    /// How bad it is.
    pub severity: Severity,
    /// The value that the rule compares, if its condition is one comparison and the value is not NULL.
    pub score: Option<f64>,
    /// What the rule compares it with.
    pub threshold: Option<f64>,
}

/// A row to put out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Row of [`Detected::batch`].
    pub row: u32,
    /// What a rule found in it. `None` in a job without rules, which puts out every row.
    pub verdict: Option<Verdict>,
    /// What this changes about the episode that the row belongs to, in a job that puts out episodes rather than rows.
    pub change: Option<Change>,
}

/// Something about an episode that is worth a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// End of the first of its windows, which names it.
    pub first_end: i64,
    /// Its bad windows so far.
    pub windows: u64,
    /// Why nobody is to be told, if so.
    pub muted: Option<Muted>,
}

/// By which of the job's times of silence, by rank. One that the job does not have any more is of no rank that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Muted(pub u16);

impl Muted {
    /// By one that the job does not have any more.
    pub const GONE: Muted = Muted(u16::MAX);
}

/// What happened to an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ChangeKind {
    /// Enough windows were bad.
    Opened,
    /// It was over not long ago, and began again.
    Reopened,
    /// It became worse, or better without being over.
    Updated,
    /// No window was bad for long enough, or it has lasted as long as one may.
    Resolved,
    /// Windows that were bad are not, as late records show: it never was.
    Withdrawn,
}

impl ChangeKind {
    /// The name that alerts use.
    pub fn name(self) -> &'static str {
        match self {
            ChangeKind::Opened => "opened",
            ChangeKind::Reopened => "reopened",
            ChangeKind::Updated => "updated",
            ChangeKind::Resolved => "resolved",
            ChangeKind::Withdrawn => "withdrawn",
        }
    }

    /// Whether it says that something is wrong, rather than that nothing is any more.
    pub fn is_alarm(self) -> bool {
        !matches!(self, ChangeKind::Resolved | ChangeKind::Withdrawn)
    }
}

/// Rows that came out together, after the rules have looked at them.
#[derive(Debug, Clone)]
pub struct Detected {
    /// The window of each row of `batch`, and where the row stands in the order of outputs.
    pub spans: Spans,
    /// Encoded key of each row of `batch`.
    pub keys: BinaryArray,
    /// The rows that something hit, under the job's [`RowSchema`].
    pub batch: Batch,
    /// What to put out, by row and then by rule.
    pub hits: Vec<Hit>,
    /// What detectors said of the inputs of the first rows of `batch`, by the ordinal of the detector.
    pub evidence: Vec<Evidence>,
    /// Why the hits are hits, where somebody asked; shorter than `hits` where nobody did.
    pub explanations: Vec<Option<Explanation>>,
    /// The rows for which an expression failed; none of them is in `hits`.
    pub failed: FailedRows,
}

/// Rows of features for which an expression failed. They go to quarantine.
#[derive(Debug, Clone)]
pub struct FailedRows {
    /// The window of each row, and where the row stands in the order of outputs.
    pub spans: Spans,
    /// Encoded key of each row.
    pub keys: BinaryArray,
    /// The rows, under the job's [`RowSchema`]; what failed is NULL.
    pub batch: Batch,
    /// What went wrong with each, in words.
    pub details: Vec<String>,
}
