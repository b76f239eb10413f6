//! What a model is, as the config says it.

use std::path::PathBuf;
use std::time::Duration;

use event::Secret;

use crate::BreakerSpec;

/// A model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpec {
    /// What it is called in the config.
    pub name: String,
    /// Who answers.
    pub kind: Kind,
    /// Rows that are asked about together at most, at least 1.
    pub batch: usize,
    /// How long an answer may take.
    pub timeout: Duration,
    /// When nobody is asked for a while.
    pub breaker: BreakerSpec,
}

/// Who answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A file on this machine.
    Onnx(OnnxSpec),
    /// An endpoint of others.
    Http(EndpointSpec),
}

/// A model in a file of ONNX with one input: a matrix of floats or doubles, a row for each question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnnxSpec {
    /// The file.
    pub path: PathBuf,
    /// The library of onnxruntime; `None`: `ORT_DYLIB_PATH`, else the one that the system finds. A process loads one.
    pub library: Option<PathBuf>,
    /// The output with the answers; `None`: the last one that holds floats or doubles.
    pub output: Option<String>,
    /// The column of the output; `None`: the last one, which of two classes is the one that is looked for.
    pub column: Option<usize>,
}

/// A model behind an HTTP endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSpec {
    /// Where rows are posted to.
    pub url: Secret,
    /// A token that is sent along.
    pub token: Option<Secret>,
    /// A file with the certificates that are believed; `None`: whom the system believes.
    pub ca: Option<PathBuf>,
    /// Whether a host that is not this machine may be asked without TLS.
    pub allow_http: bool,
    /// How rows and answers are written.
    pub wire: Wire,
    /// For how long an alert may be held back to ask what would have been none; nothing: that is not asked.
    pub explain_within: Duration,
}

/// How rows and answers are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wire {
    /// A record of CSV for each row, without a header. An answer is the first field of a record, or there is one record with a field for
    /// each row.
    Csv,
    /// An object of JSON with a list of lists of numbers.
    Json {
        /// The name of the list.
        rows: String,
        /// The way to the answers, names and places with dots between: to the first list that there is, which
        /// is that of the answers, and, where these are no numbers, on to the number in each.
        answers: String,
    },
}
