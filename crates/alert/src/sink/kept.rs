//! Quarantine rows read back from where a sink has put them: a file of lines, a table.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
use super::database::Failure;
use super::{SinkError, SinkKind, SinkSpec};

/// A quarantine row.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Quarantined {
    /// Code of the reason.
    pub reason: String,
    /// The same in words.
    pub detail: String,
    /// The partition of the record; a row of features has none.
    pub partition: Option<String>,
    /// Where the record begins in it.
    pub offset: Option<u64>,
    /// The first bytes of the record, as text.
    pub raw: String,
}

/// All rows that a quarantine sink holds: of a file and of SQLite in the order in which they came, of PostgreSQL by
/// partition and offset. Those that come while this reads may be among them.
///
/// # Errors
/// If the sink keeps nothing, or what it keeps cannot be read.
pub fn read_quarantine(spec: &SinkSpec) -> Result<Vec<Quarantined>, SinkError> {
    let sink = spec.name.clone();
    match &spec.kind {
        SinkKind::File { path } => read_quarantine_file(&sink, path),
        SinkKind::Stdout => Err(SinkError::NotKept { sink, what: "standard output" }),
        SinkKind::Webhook { .. } => Err(SinkError::NotKept { sink, what: "a webhook" }),
        SinkKind::Kafka { .. } => Err(SinkError::NotKept { sink, what: "a topic of Kafka" }),
        SinkKind::Archive { .. } => Err(SinkError::NotKept { sink, what: "an archive" }),
        SinkKind::Kinesis { .. } => Err(SinkError::NotKept { sink, what: "a stream of Kinesis" }),
        #[cfg(feature = "sqlite")]
        SinkKind::Sqlite { path, table } => {
            let rows = super::sqlite::quarantine(path, &table.name);
            rows.map_err(|failure| error_of(failure, sink, format!("`{}`", path.display())))
        }
        #[cfg(not(feature = "sqlite"))]
        SinkKind::Sqlite { .. } => Err(SinkError::NotBuilt { sink, feature: "sqlite" }),
        #[cfg(feature = "postgres")]
        SinkKind::Postgres { url, ca, table } => {
            let nobody = super::Deliverer { job: String::new(), generation: 0 };
            let place = super::database::Place::new(spec, &nobody, table);
            let mut database = super::postgres::Postgres::new(place, url, ca.as_deref())?;
            let rows = database.quarantine();
            rows.map_err(|failure| error_of(failure, sink, super::database::Database::describe(&database)))
        }
        #[cfg(not(feature = "postgres"))]
        SinkKind::Postgres { .. } => Err(SinkError::NotBuilt { sink, feature: "postgres" }),
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(super) fn error_of(failure: Failure, sink: String, database: String) -> SinkError {
    match failure {
        Failure::Sink(error) => error,
        Failure::Refused(words) => SinkError::Refused { sink, database, words },
        Failure::Away(words) | Failure::Failed(words) => SinkError::Database { sink, database, words },
    }
}

/// The rows of a file of lines. A last line without an end is left out: somebody is writing it.
///
/// # Errors
/// If it cannot be read, is no plain file, or a line is no quarantine row.
pub fn read_quarantine_file(sink: &str, path: &Path) -> Result<Vec<Quarantined>, SinkError> {
    let failed =
        |action, source| SinkError::Io { sink: sink.to_owned(), action, path: path.to_owned(), source };
    // Looked at before it is opened: to read a pipe would steal from its reader.
    let metadata = path.metadata().map_err(|source| failed("open", source))?;
    if !metadata.is_file() {
        return Err(SinkError::NotKept { sink: sink.to_owned(), what: "a pipe or device" });
    }
    let mut file = BufReader::new(File::open(path).map_err(|source| failed("open", source))?);
    let (mut rows, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        let read = file.read_until(b'\n', &mut line).map_err(|source| failed("read", source))?;
        if read == 0 || !line.ends_with(b"\n") {
            return Ok(rows);
        }
        let row = serde_json::from_slice(&line).map_err(|error| SinkError::Row {
            sink: sink.to_owned(),
            words: format!("line {} of `{}`: {error}", rows.len() + 1, path.display()),
        })?;
        rows.push(row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_file_come_back_and_one_that_is_being_written_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("quarantine.ndjson");
        let row = r#"{"reason":"type","detail":"d","partition":"f#0","offset":7,"raw":"{\"a\"\u0000"}"#;
        let features = r#"{"reason":"expression","detail":"d","partition":null,"offset":null,"raw":"{}"}"#;
        std::fs::write(&path, format!("{row}\n{features}\n{{\"reason\":\"ty")).unwrap();
        let rows = read_quarantine_file("quarantine", &path).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].offset, rows[0].raw.as_str()), (Some(7), "{\"a\"\0"));
        assert_eq!(rows[1].partition, None);
        std::fs::write(&path, "{}\n").unwrap();
        let error = read_quarantine_file("quarantine", &path).unwrap_err().to_string();
        assert!(error.contains("line 1 of"), "{error}");
    }
}
