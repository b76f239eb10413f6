//! A sink that is an archive: alerts, rows or quarantine rows in Parquet files by date.
//!
//! It gets its lines from the checkpoint that holds them. The files of a checkpoint have names that follow from its number,
//! so that a delivery that is made again finds what it has made before.

use std::collections::BTreeMap;
use std::sync::Arc;

use alert::{Delivery, Sink, SinkError};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use checkpoint::StoreError;
use jiff::Timestamp;
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::errors::Result as ParquetResult;
use serde_json::Value;

use crate::date::{self, Day};
use crate::{Archive, ArchiveError, StagedFile};

/// Opens a sink of that name in an archive. `deliveries` are what the last checkpoints have put out to it, which is
/// completed; `None` for a sink that is new, which must be empty.
///
/// # Errors
/// If the archive has files although the sink is new, or files of checkpoints that are given up (refusals); if it fails.
pub fn open_sink(
    name: &str,
    address: &str,
    deliveries: Option<&[Delivery]>,
) -> Result<Box<dyn Sink>, SinkError> {
    let failed = |error| failed(name, error);
    let archive = Archive::open_rows(address, name).map_err(failed)?;
    let mut sink = Rows { name: name.to_owned(), archive, length: 0 };
    let newest = sink.archive.newest().map_err(failed)?;
    let refused = |words: String| Err(SinkError::Archive { sink: name.to_owned(), words });
    match (deliveries, newest) {
        (None, Some(_)) => {
            return refused(format!("{address} already has rows of it, but the job starts afresh"));
        }
        (Some(deliveries), Some(newest)) if deliveries.last().is_some_and(|last| last.number < newest) => {
            return refused(format!("{address} has rows of checkpoint {newest}, which is given up"));
        }
        _ => {}
    }
    for delivery in deliveries.unwrap_or_default() {
        sink.length = delivery.start;
        sink.deliver(delivery.number, &delivery.bytes)?;
    }
    Ok(Box::new(sink))
}

fn failed(sink: &str, error: ArchiveError) -> SinkError {
    let sink = sink.to_owned();
    match error {
        ArchiveError::Place(StoreError::Io { action, path, source }) => {
            SinkError::Io { sink, action, path, source }
        }
        error => SinkError::Archive { sink, words: error.to_string() },
    }
}

struct Rows {
    name: String,
    archive: Archive,
    length: u64,
}

impl Sink for Rows {
    fn write(&mut self, _lines: &[u8]) -> Result<(), SinkError> {
        let words = "an archive takes rows with checkpoints only; set `mode = \"exactly_once\"`".to_owned();
        Err(SinkError::Archive { sink: self.name.clone(), words })
    }

    fn sync(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn deliver(&mut self, number: u32, lines: &[u8]) -> Result<(), SinkError> {
        for (day, rows) in by_day(lines) {
            let words = |error: parquet::errors::ParquetError| SinkError::Archive {
                sink: self.name.clone(),
                words: error.to_string(),
            };
            let bytes = write(number, &rows).map_err(words)?;
            let file = StagedFile::new(format!("{number:010}"), date::text(day), rows.len() as u64, &bytes);
            self.archive.put(number, &file, &bytes.into()).map_err(|error| failed(&self.name, error))?;
        }
        self.length += lines.len() as u64;
        Ok(())
    }
}

/// A line, and what other programs ask for without reading it.
struct Row<'a> {
    /// Its place among those of its checkpoint.
    line: usize,
    text: &'a str,
    value: Value,
    time: Option<i64>,
}

impl<'a> Row<'a> {
    fn new(line: usize, text: &'a str) -> Self {
        // What is no JSON is kept as text.
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let time = match &value["time"] {
            Value::String(time) => time.parse::<Timestamp>().ok().map(Timestamp::as_microsecond),
            _ => value["window_end"].as_i64().and_then(|millis| millis.checked_mul(1_000)),
        };
        Row { line, text, value, time }
    }

    /// A member of an alert, or of a plain row.
    fn member(&self, pointer: &str, name: &str) -> Option<String> {
        match self.value.pointer(pointer).or_else(|| self.value.get(name))? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
}

/// Lines by the day of their rows; those without a time by themselves.
fn by_day(lines: &[u8]) -> BTreeMap<Day, Vec<Row<'_>>> {
    let mut days: BTreeMap<Day, Vec<Row<'_>>> = BTreeMap::new();
    let text = std::str::from_utf8(lines).unwrap_or_default();
    for (line, text) in text.lines().enumerate() {
        let row = Row::new(line, text);
        days.entry(date::day_of(row.time)).or_default().push(row);
    }
    days
}

/// A file of rows: its bytes follow from what it is given.
fn write(number: u32, rows: &[Row<'_>]) -> ParquetResult<Vec<u8>> {
    let text = |pointer: &'static str, name: &'static str| {
        let values = rows.iter().map(|row| row.member(pointer, name));
        (DataType::Utf8, Arc::new(values.collect::<StringArray>()) as ArrayRef)
    };
    let whole = |values: Vec<i64>| (DataType::Int64, Arc::new(Int64Array::from(values)) as ArrayRef);
    let times: TimestampMicrosecondArray = rows.iter().map(|row| row.time).collect();
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let texts = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.text)));
    let columns = [
        ("checkpoint", whole(vec![i64::from(number); rows.len()])),
        ("line", whole(rows.iter().map(|row| row.line as i64).collect())),
        ("time", (time, Arc::new(times.with_timezone("UTC")) as ArrayRef)),
        ("id", text("/id", "id")),
        ("rule", text("/data/rule", "rule")),
        ("severity", text("/data/severity", "severity")),
        ("key", text("/subject", "key")),
        ("episode", text("/data/episode", "episode")),
        ("row", (DataType::Utf8, texts as ArrayRef)),
    ];
    let fields = columns.iter().map(|(name, (of, _))| Field::new(*name, of.clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = columns.into_iter().map(|(_, (_, values))| values).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    let options =
        ArrowWriterOptions::new().with_properties(crate::file::plain()).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), schema, options)?;
    writer.write(&batch)?;
    writer.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_that_is_made_again_changes_nothing_and_one_of_another_history_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let address = folder.path().display().to_string();
        let files = || {
            let mut found = Archive::open_rows(&address, "alerts").unwrap().visible().unwrap();
            found.iter_mut().for_each(|name| *name = name.replace("rows/sink=alerts/", ""));
            found
        };
        let bytes =
            b"{\"user\":\"a\",\"window_end\":1700006399999}\n{\"window_end\":1700006400000}\n{}\n".to_vec();
        let delivery = |number| Delivery { number, start: 0, bytes: bytes.clone() };
        let mut sink = open_sink("alerts", &address, None).unwrap();
        sink.deliver(4, &bytes).unwrap();
        let days = ["date=2023-11-14", "date=2023-11-15", "date=__HIVE_DEFAULT_PARTITION__"];
        assert_eq!(files(), days.map(|day| format!("{day}/0000000004.parquet")));
        assert_eq!(open_sink("alerts", &address, Some(&[delivery(4)])).unwrap().length(), bytes.len() as u64);
        assert_eq!(files().len(), 3);
        assert!(open_sink("alerts", &address, None).is_err_and(|error| error.is_refusal()));
        assert!(open_sink("alerts", &address, Some(&[delivery(3)])).is_err_and(|error| error.is_refusal()));
        let other = Delivery { bytes: b"{\"window_end\":1700006400000,\"x\":1}\n".to_vec(), ..delivery(4) };
        assert!(open_sink("alerts", &address, Some(&[other])).is_err_and(|error| error.is_refusal()));
    }
}
