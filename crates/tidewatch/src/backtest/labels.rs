//! What is known to have gone wrong: the incidents that a job should have found.
//!
//! Read from lines of JSON as `tidewatch gen --truth` writes them. Whose incident it is stays a value of JSON until the
//! job is known whose keys it is compared with.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use ingest::IngestError;
use serde::Deserialize;
use serde_json::Value;

use crate::config::Config;
use crate::config::source::SourceKind;
use crate::job::generate_spec;

/// A time for which something was wrong with a key.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Label {
    /// The key, as alerts have it: a value, or an array of them for a composite key.
    pub key: Value,
    /// What it was, in a word.
    #[serde(default)]
    pub kind: String,
    /// First millisecond of it, since 1970.
    pub from: i64,
    /// Last millisecond of it.
    pub to: i64,
    /// The name of what went wrong for many keys at once: all labels that share it are one incident, found with any of
    /// them. Without it a label is an incident of its own.
    #[serde(default)]
    pub cohort: Option<String>,
}

/// All incidents of some data.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labels {
    /// In no order.
    pub labels: Vec<Label>,
}

/// Labels that cannot be read.
#[derive(Debug)]
pub enum LabelsError {
    /// There are no bytes to be had.
    Io(io::Error),
    /// A line is no label: its number, from 1, and why.
    Line(u64, String),
}

impl fmt::Display for LabelsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LabelsError::Io(error) => write!(f, "{error}"),
            LabelsError::Line(number, why) => write!(
                f,
                "line {number} is no label: {why}; one is {{\"key\": .., \"kind\": .., \"from\": .., \"to\": ..}}, \
                 times in milliseconds"
            ),
        }
    }
}

impl std::error::Error for LabelsError {}

impl Labels {
    /// Reads a file of lines of JSON.
    ///
    /// # Errors
    /// If it cannot be read, or a line is no label.
    pub fn read(path: impl AsRef<Path>) -> Result<Labels, LabelsError> {
        Labels::parse(BufReader::new(File::open(path).map_err(LabelsError::Io)?))
    }

    /// Reads lines of JSON: `{"key", "kind", "from", "to"}`, and `"cohort"` where there is one. Other members are passed over,
    /// and so are blank lines.
    ///
    /// # Errors
    /// As [`Labels::read`].
    pub fn parse(lines: impl BufRead) -> Result<Labels, LabelsError> {
        let mut labels = Vec::new();
        for (number, line) in (1..).zip(lines.lines()) {
            let line = line.map_err(LabelsError::Io)?;
            if line.trim().is_empty() {
                continue;
            }
            let label: Label = serde_json::from_str(&line)
                .map_err(|error| LabelsError::Line(number, without_place(&error)))?;
            if label.from > label.to {
                let why = format!("it ends at {}, before it begins at {}", label.to, label.from);
                return Err(LabelsError::Line(number, why));
            }
            labels.push(label);
        }
        Ok(Labels { labels })
    }
}

/// The incidents that the generators of a config have planted; `None` if some source of it is none.
///
/// # Errors
/// If a generator has no end, or settings without sense.
pub(crate) fn planted(config: &Config) -> Result<Option<Labels>, IngestError> {
    let mut lines = Vec::new();
    for source in &config.sources {
        let SourceKind::Generate(generator) = &source.kind else { return Ok(None) };
        ingest::write_truth(&generate_spec(generator), &mut lines)?;
    }
    let labels = Labels::parse(lines.as_slice()).map_err(|error| match error {
        LabelsError::Io(error) => IngestError::Write(error),
        LabelsError::Line(..) => IngestError::Write(io::Error::other(error.to_string())),
    });
    labels.map(Some)
}

/// What is wrong, without the place within the line.
fn without_place(error: &serde_json::Error) -> String {
    let words = error.to_string();
    words.split(" at line ").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_are_lines_of_json_and_more_members_do_not_matter() {
        let text = "{\"key\":\"a\",\"kind\":\"drop\",\"from\":1,\"to\":2,\"size\":0.5}\n\n\
                    {\"key\":[\"a\",3],\"from\":-5,\"to\":-5,\"cohort\":\"show-1\"}";
        let labels = Labels::parse(text.as_bytes()).unwrap().labels;
        assert_eq!((labels[0].kind.as_str(), labels[0].from, labels[0].to), ("drop", 1, 2));
        assert_eq!((&labels[1].key, labels[1].cohort.as_deref()), (&json!(["a", 3]), Some("show-1")));
        assert_eq!(labels.len(), 2);
    }

    #[test]
    fn a_line_that_is_no_label_is_named_with_what_is_wrong() {
        let refused = |text: &str| Labels::parse(text.as_bytes()).unwrap_err().to_string();
        let missing = refused("{\"key\":1,\"from\":1,\"to\":2}\n{\"key\":1,\"from\":1}");
        assert!(missing.starts_with("line 2 is no label: missing field `to`;"), "{missing}");
        let backwards = refused("{\"key\":1,\"from\":3,\"to\":2}");
        assert!(backwards.contains("ends at 2, before it begins at 3"), "{backwards}");
        assert!(refused("nonsense").starts_with("line 1"));
    }
}
