//! What can be wrong with an expression when it is compiled, and where in its text.

use std::fmt;
use std::ops::Range;

/// An expression that cannot be compiled.
///
/// Its `Display` is the message and, on a second line, the help. `span` lets the caller underline the word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionError {
    /// What is wrong, in lower case and without a full stop.
    pub message: String,
    /// Bytes of the SQL text that the message is about; empty at the end of the text if something lacks there.
    pub span: Range<usize>,
    /// What to do, for instance "did you mean `duration_s`?".
    pub help: Option<String>,
}

impl ExpressionError {
    /// One about that part of the text.
    pub fn new(message: impl Into<String>, span: Range<usize>) -> Self {
        ExpressionError { message: message.into(), span, help: None }
    }

    /// The same, with what may be done about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "\nhint: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ExpressionError {}

/// The same, of one of several named expressions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {error}")]
pub struct NamedError {
    /// Name of the derived column, filter, key field or feature.
    pub name: String,
    /// What is wrong with it.
    pub error: ExpressionError,
}
