//! The file of rows that the receiver would not have: nothing is lost that was given up.
//!
//! A line is `{"reason", "status", "id", "row"}`; a row may be there twice after a crash, under the same id.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::sink::SinkError;

/// A row that was given up.
#[derive(Debug, Serialize)]
pub(super) struct Undelivered<'a> {
    /// What the receiver said last.
    pub(super) reason: &'a str,
    /// The status of its answer, if there was one.
    pub(super) status: Option<u16>,
    /// The id of the request.
    pub(super) id: &'a str,
    /// The row, as it would have been sent.
    pub(super) row: &'a RawValue,
}

impl Undelivered<'_> {
    /// Appends it to the file, which is made if it is not there. Durable when this returns.
    ///
    /// # Errors
    /// If it could not be written.
    pub(super) fn append(&self, sink: &str, path: &Path) -> Result<(), SinkError> {
        let failed =
            |action, source| SinkError::Io { sink: sink.to_owned(), action, path: path.to_owned(), source };
        let mut line = serde_json::to_vec(self).map_err(|error| failed("write to", error.into()))?;
        line.push(b'\n');
        let file = OpenOptions::new().append(true).create(true).open(path);
        let mut file = file.map_err(|source| failed("open", source))?;
        file.write_all(&line).map_err(|source| failed("write to", source))?;
        file.sync_all().map_err(|source| failed("make durable", source))
    }
}
