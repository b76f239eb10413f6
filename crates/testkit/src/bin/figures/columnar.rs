//! Events as rows of Parquet, as programs write them that export tables, and a bare reader of the columns that the
//! reference job needs.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::{Map, Value};

use crate::bench::Failure;
use crate::connector::lines;

/// What the generator's events have, with times as the numbers that they are in JSON.
const SCHEMA: &str = "message events {
    REQUIRED BYTE_ARRAY event_id (UTF8);
    REQUIRED BYTE_ARRAY user_id (UTF8);
    REQUIRED BYTE_ARRAY episode_id (UTF8);
    REQUIRED BYTE_ARRAY event_type (UTF8);
    REQUIRED INT64 ts;
    REQUIRED DOUBLE position_s;
    REQUIRED DOUBLE duration_s;
    REQUIRED BYTE_ARRAY device (UTF8);
}";

/// Those that the reference job reads: its key, its time and its fields.
const NEEDED: [&str; 4] = ["user_id", "ts", "event_type", "duration_s"];

/// Rows of a row group, about as many as DuckDB puts into one.
const GROUP: usize = 1 << 17;

/// Rows that the bare reader takes at a time.
const BATCH: usize = 1 << 13;

type Event = Map<String, Value>;

/// Writes the events of a file of newline-delimited JSON, packed with snappy as most programs do.
pub(crate) fn write(from: &Path, to: &Path) -> Result<(), Failure> {
    let bytes = std::fs::read(from)?;
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut file = SerializedFileWriter::new(File::create(to)?, Arc::clone(&schema), Arc::new(properties))?;
    for rows in lines(&bytes).chunks(GROUP) {
        let events: Vec<Event> =
            rows.iter().map(|row| serde_json::from_slice(row)).collect::<Result<_, _>>()?;
        let mut group = file.next_row_group()?;
        for field in schema.get_fields() {
            let mut column = group.next_column()?.ok_or("a row group has fewer columns than its schema")?;
            write_column(column.untyped(), &events, field.name())?;
            column.close()?;
        }
        group.close()?;
    }
    file.close()?;
    Ok(())
}

/// Writes that member of all events.
fn write_column(column: &mut ColumnWriter<'_>, events: &[Event], name: &str) -> Result<(), Failure> {
    match column {
        ColumnWriter::ByteArrayColumnWriter(column) => {
            let texts = members(events, name, |value| value.as_str().map(ByteArray::from))?;
            column.write_batch(&texts, None, None)?;
        }
        ColumnWriter::Int64ColumnWriter(column) => {
            column.write_batch(&members(events, name, Value::as_i64)?, None, None)?;
        }
        ColumnWriter::DoubleColumnWriter(column) => {
            column.write_batch(&members(events, name, Value::as_f64)?, None, None)?;
        }
        _ => return Err(format!("{name} has a type that no event has").into()),
    }
    Ok(())
}

/// One member of all events, which each must have.
fn members<T>(events: &[Event], name: &str, read: fn(&Value) -> Option<T>) -> Result<Vec<T>, Failure> {
    let member = |event: &Event| {
        event.get(name).and_then(read).ok_or_else(|| format!("an event has no {name} of the column's type"))
    };
    Ok(events.iter().map(member).collect::<Result<_, _>>()?)
}

/// Reads the columns that the reference job needs, and counts rows.
pub(crate) fn read(file: &Path) -> Result<u64, Failure> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(file)?)?;
    let needed = ProjectionMask::columns(builder.parquet_schema(), NEEDED);
    let mut rows = 0;
    for batch in builder.with_projection(needed).with_batch_size(BATCH).build()? {
        rows += batch?.num_rows() as u64;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    use super::*;

    #[test]
    fn a_row_has_what_its_line_has() {
        let folder = tempfile::tempdir().unwrap();
        let (json, parquet) = (folder.path().join("events.ndjson"), folder.path().join("events.parquet"));
        testkit::workload::generate(1_000, 50, 5, &[], &json);
        write(&json, &parquet).unwrap();
        assert_eq!(read(&parquet).unwrap(), 1_000);
        let bytes = std::fs::read(&json).unwrap();
        let wanted: Vec<Value> =
            lines(&bytes).into_iter().map(|line| serde_json::from_slice(line).unwrap()).collect();
        let reader = SerializedFileReader::new(File::open(&parquet).unwrap()).unwrap();
        let member = |(name, field): (&String, &Field)| {
            let value = match field {
                Field::Str(text) => text.as_str().into(),
                Field::Long(number) => (*number).into(),
                Field::Double(number) => (*number).into(),
                other => panic!("{name} is {other}"),
            };
            (name.clone(), value)
        };
        let rows = reader.get_row_iter(None).unwrap().map(Result::unwrap);
        let found = rows.map(|row| Value::Object(row.get_column_iter().map(member).collect()));
        assert!(found.eq(wanted));
    }

    #[test]
    fn an_event_without_a_member_is_no_row() {
        let folder = tempfile::tempdir().unwrap();
        let json = folder.path().join("events.ndjson");
        std::fs::write(&json, "{\"event_id\":\"e\"}\n").unwrap();
        let words = write(&json, &folder.path().join("events.parquet")).unwrap_err().to_string();
        assert_eq!(words, "an event has no user_id of the column's type");
    }
}
