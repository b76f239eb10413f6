//! A file of records: its columns, how it is written, how its row groups are found and read.
//!
//! Text is compressed with zstd at its lowest level: events take about a ninth of their bytes, where snappy leaves a
//! quarter, and are still read several times faster than they are decoded. Numbers are packed as differences. Statistics
//! say whose a row group is, so that a footer is all that it takes to find the records of a partition.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use bytes::{Buf, Bytes};
use event::Watermark;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnPath;
use xxhash_rust::xxh3::xxh3_64;

use crate::block::Origin;
use crate::seal::{self, Seal};
use crate::stager::{Entry, Group};
use crate::{Archive, ArchiveError};

/// Bytes at the end of a file that are read first: as a rule the whole footer.
const TAIL: u64 = 64 << 10;

/// The columns. The names are those of quarantine rows where they mean the same.
fn schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let fields = vec![
        Field::new("source", DataType::Utf8, false),
        Field::new("partition", DataType::Utf8, false),
        Field::new("number", DataType::Int32, false),
        Field::new("series", DataType::Int32, false),
        Field::new("offset", DataType::Int64, false),
        Field::new("time", time.clone(), true),
        Field::new("seen", time.clone(), true),
        Field::new("lifted", time, true),
        Field::new("outcome", DataType::Utf8, false),
        Field::new("record", DataType::Utf8, true),
        Field::new("bytes", DataType::Binary, true),
        Field::new("header", DataType::Utf8, true),
    ];
    Arc::new(Schema::new(fields))
}

/// Columns that repeat.
const WORDS: [&str; 4] = ["source", "partition", "outcome", "header"];
/// Columns that grow.
const NUMBERS: [&str; 4] = ["offset", "time", "seen", "lifted"];
/// Columns of text.
const TEXTS: [&str; 2] = ["record", "bytes"];
/// What a replay reads.
const READ: [&str; 6] = ["offset", "lifted", "outcome", "record", "bytes", "header"];

/// How any file of an archive is written.
fn compressed() -> WriterPropertiesBuilder {
    let level = ZstdLevel::try_new(1).unwrap_or_default();
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_created_by("tidewatch".to_owned())
}

/// How a file is written that nobody seeks anything in.
pub(crate) fn plain() -> WriterProperties {
    compressed().build()
}

fn properties() -> WriterProperties {
    let mut builder = compressed()
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_statistics_truncate_length(None)
        .set_offset_index_disabled(true);
    for name in WORDS {
        builder = builder.set_column_dictionary_enabled(ColumnPath::from(name), true);
    }
    for name in NUMBERS {
        builder = builder.set_column_encoding(ColumnPath::from(name), Encoding::DELTA_BINARY_PACKED);
    }
    for name in TEXTS {
        builder = builder.set_column_statistics_enabled(ColumnPath::from(name), EnabledStatistics::None);
    }
    builder.build()
}

/// Makes a file of records: its bytes, and how many there are. Each group becomes row groups of its own.
pub(crate) fn write(groups: &[Group<'_>]) -> Result<(Vec<u8>, u64), ArchiveError> {
    let make = || -> ParquetResult<(Vec<u8>, u64)> {
        let options = ArrowWriterOptions::new().with_properties(properties()).with_skip_arrow_metadata(true);
        let mut writer = ArrowWriter::try_new_with_options(Vec::new(), schema(), options)?;
        let mut rows = 0;
        for group in groups {
            writer.write(&batch(group)?)?;
            writer.flush()?;
            rows += group.entries.len() as u64;
        }
        Ok((writer.into_inner()?, rows))
    };
    make().map_err(|error| ArchiveError::File {
        path: "a file of the archive".into(),
        words: error.to_string(),
    })
}

fn batch(Group { origin, header, entries }: &Group<'_>) -> ParquetResult<RecordBatch> {
    let rows = entries.len();
    let known = |watermark: Watermark| (watermark > Watermark::NONE).then_some(watermark.0);
    let times = |of: &dyn Fn(&Entry<'_>) -> Option<i64>| {
        let times: TimestampMicrosecondArray = entries.iter().map(of).collect();
        Arc::new(times.with_timezone("UTC")) as ArrayRef
    };
    let word =
        |word: &str| Arc::new(StringArray::from_iter_values(std::iter::repeat_n(word, rows))) as ArrayRef;
    let number = |number: u32| Arc::new(Int32Array::from_value(number.cast_signed(), rows)) as ArrayRef;
    let records: Vec<&[u8]> = entries.iter().map(|entry| entry.block.record(entry.line)).collect();
    let weight = records.iter().map(|record| record.len()).sum();
    let (mut texts, mut bytes) = (StringBuilder::with_capacity(rows, weight), BinaryBuilder::new());
    for record in records {
        match std::str::from_utf8(record) {
            Ok(text) => {
                texts.append_value(text);
                bytes.append_null();
            }
            Err(_) => {
                texts.append_null();
                bytes.append_value(record);
            }
        }
    }
    let offsets = entries.iter().map(|entry| entry.line.offset.cast_signed());
    let columns: Vec<ArrayRef> = vec![
        word(&origin.source),
        word(&origin.partition),
        number(origin.number),
        number(origin.series),
        Arc::new(Int64Array::from_iter_values(offsets)),
        times(&|entry| entry.line.time),
        times(&|entry| known(entry.line.seen)),
        times(&|entry| entry.lifted.and_then(known)),
        Arc::new(StringArray::from_iter_values(entries.iter().map(|entry| entry.line.outcome.word()))),
        Arc::new(texts.finish()),
        Arc::new(bytes.finish()),
        Arc::new(std::iter::repeat_n(*header, rows).collect::<StringArray>()),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}

/// A row group: records of one partition, in offset order.
#[derive(Debug, Clone)]
pub(crate) struct RowGroup {
    pub(crate) origin: Origin,
    /// Its place in the file.
    pub(crate) index: usize,
    /// Offsets of its first and last record.
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) rows: u64,
    /// The latest time of an event in it, or to which the watermark of its partition had come.
    pub(crate) latest: Option<i64>,
}

/// The records of a row group, as far as a replay needs them.
pub(crate) struct Records {
    offsets: Int64Array,
    lifted: TimestampMicrosecondArray,
    outcomes: StringArray,
    texts: StringArray,
    bytes: BinaryArray,
    headers: StringArray,
}

impl Records {
    pub(crate) fn len(&self) -> usize {
        self.offsets.len()
    }

    pub(crate) fn offset(&self, row: usize) -> u64 {
        self.offsets.value(row).cast_unsigned()
    }

    pub(crate) fn lifted(&self, row: usize) -> Option<Watermark> {
        self.lifted.is_valid(row).then(|| Watermark(self.lifted.value(row)))
    }

    pub(crate) fn outcome(&self, row: usize) -> &str {
        self.outcomes.value(row)
    }

    /// What stands before the records, if anything: the header of CSV.
    pub(crate) fn header(&self) -> Option<&str> {
        let is_there = !self.headers.is_empty() && self.headers.is_valid(0);
        is_there.then(|| self.headers.value(0))
    }

    pub(crate) fn record(&self, row: usize) -> &[u8] {
        match self.texts.is_valid(row) {
            true => self.texts.value(row).as_bytes(),
            false => self.bytes.value(row),
        }
    }
}

/// A part of a file, where its bytes stand in it.
#[derive(Clone)]
struct Part {
    base: u64,
    bytes: Bytes,
}

impl Length for Part {
    fn len(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }
}

impl ChunkReader for Part {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let length = Length::len(self).saturating_sub(start) as usize;
        Ok(self.get_bytes(start, length)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let from = start.checked_sub(self.base).map(|from| from as usize);
        let range = from.and_then(|from| Some(from..from.checked_add(length)?));
        match range.filter(|range| range.end <= self.bytes.len()) {
            Some(range) => Ok(self.bytes.slice(range)),
            None => {
                Err(ParquetError::EOF(format!("bytes {start} to {} are not there", start + length as u64)))
            }
        }
    }
}

/// Reads a file's footer, and checks that it is what it was.
fn footer(archive: &Archive, name: &str) -> Result<ParquetMetaData, ArchiveError> {
    let seal = seal(archive, name)?;
    let length = archive.length(name)?;
    let mut bytes = archive.read(name, length.saturating_sub(TAIL), length.min(TAIL))?;
    let start = match seal::footer_start(&bytes) {
        None if bytes.ends_with(b"PAR1") && length > TAIL => {
            bytes = archive.read_all(name)?;
            seal::footer_start(&bytes)
        }
        start => start,
    };
    let Some(start) = start else {
        return Err(archive.unfit(name, "it is damaged: it does not end as a Parquet file does"));
    };
    if xxh3_64(&bytes[start..]) != seal.footer {
        return Err(archive.unfit(name, "it is damaged: its footer does not match the checksum in its name"));
    }
    let footer = &bytes[start..bytes.len() - seal::END];
    ParquetMetaDataReader::decode_metadata(footer).map_err(|error| archive.unfit(name, error))
}

/// Checks that all bytes of a file are what they were.
pub(crate) fn check(archive: &Archive, name: &str) -> Result<(), ArchiveError> {
    match xxh3_64(&archive.read_all(name)?) == seal(archive, name)?.whole {
        true => Ok(()),
        false => Err(archive.unfit(name, "it is damaged: its bytes do not match the checksum in its name")),
    }
}

fn seal(archive: &Archive, name: &str) -> Result<Seal, ArchiveError> {
    let none =
        || archive.unfit(name, "its name does not end with checksums, as those of an archive's files do");
    Seal::in_name(name).ok_or_else(none)
}

/// The row groups of a file.
pub(crate) fn row_groups(archive: &Archive, name: &str) -> Result<Vec<RowGroup>, ArchiveError> {
    let footer = footer(archive, name)?;
    let groups = footer.row_groups().iter().enumerate();
    let groups: Option<Vec<RowGroup>> = groups.map(|(index, group)| row_group(index, group)).collect();
    groups.ok_or_else(|| archive.unfit(name, "not a file of an archive of events"))
}

fn row_group(index: usize, group: &RowGroupMetaData) -> Option<RowGroup> {
    let statistics = |name: &str| {
        let column = group.columns().iter().find(|column| column.column_path().string() == name)?;
        column.statistics()
    };
    let text = |name| match statistics(name)? {
        Statistics::ByteArray(values) => Some(String::from_utf8(values.min_opt()?.data().to_vec()).ok()?),
        _ => None,
    };
    let number = |name| match statistics(name)? {
        Statistics::Int32(values) => values.min_opt().map(|number| number.cast_unsigned()),
        _ => None,
    };
    let offsets = match statistics("offset")? {
        Statistics::Int64(values) => (values.min_opt()?.cast_unsigned(), values.max_opt()?.cast_unsigned()),
        _ => return None,
    };
    let origin = Origin {
        source: text("source")?,
        number: number("number")?,
        series: number("series")?,
        partition: text("partition")?,
    };
    let latest = |name| match statistics(name) {
        Some(Statistics::Int64(values)) => values.max_opt().copied(),
        _ => None,
    };
    let (first, last) = offsets;
    let latest = latest("time").max(latest("lifted")).max(latest("seen"));
    Some(RowGroup { origin, index, first, last, rows: u64::try_from(group.num_rows()).ok()?, latest })
}

/// Reads the records of a row group.
pub(crate) fn read(archive: &Archive, name: &str, index: usize) -> Result<Records, ArchiveError> {
    let batch = columns(archive, name, index, &READ)?;
    records(&batch).ok_or_else(|| archive.unfit(name, "not a file of an archive of events"))
}

/// Where in a row group a time is reached.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Since {
    /// The first offset of a record that happened then or later, or whose partition was lifted to then.
    pub(crate) first: Option<u64>,
    /// The first offset of a record before which the watermark of its partition had come to then.
    pub(crate) seen: Option<u64>,
    /// The last offset before that one.
    pub(crate) before_seen: Option<u64>,
}

/// Where in a row group a time is reached.
pub(crate) fn since(archive: &Archive, name: &str, index: usize, since: i64) -> Result<Since, ArchiveError> {
    let batch = columns(archive, name, index, &["offset", "time", "seen", "lifted"])?;
    let times = |name| batch.column_by_name(name)?.as_primitive_opt::<TimestampMicrosecondType>();
    let offsets = batch.column_by_name("offset").and_then(|column| column.as_primitive_opt::<Int64Type>());
    let (Some(offsets), Some(time), Some(seen), Some(lifted)) =
        (offsets, times("time"), times("seen"), times("lifted"))
    else {
        return Err(archive.unfit(name, "not a file of an archive of events"));
    };
    let is_there = |times: &TimestampMicrosecondArray, row| times.is_valid(row) && times.value(row) >= since;
    let offset = |row: usize| offsets.value(row).cast_unsigned();
    let rows = 0..offsets.len();
    let first = rows.clone().filter(|row| is_there(time, *row) || is_there(lifted, *row)).map(offset).min();
    let seen = rows.clone().filter(|row| is_there(seen, *row)).map(offset).min();
    let before_seen = rows.map(offset).filter(|offset| seen.is_some_and(|seen| *offset < seen)).max();
    Ok(Since { first, seen, before_seen })
}

/// Reads columns of a row group.
fn columns(
    archive: &Archive,
    name: &str,
    index: usize,
    columns: &[&'static str],
) -> Result<RecordBatch, ArchiveError> {
    let unfit = |error: ParquetError| archive.unfit(name, error);
    let footer = footer(archive, name)?;
    if index >= footer.num_row_groups() {
        return Err(archive.unfit(name, "it has changed while it was read"));
    }
    let group = footer.row_group(index);
    let ranges = || group.columns().iter().map(|column| column.byte_range());
    let start = ranges().map(|(start, _)| start).min().unwrap_or_default();
    let end = ranges().map(|(start, length)| start.saturating_add(length)).max().unwrap_or_default();
    let rows = usize::try_from(group.num_rows()).unwrap_or_default();
    let part = Part { base: start, bytes: archive.read(name, start, end.saturating_sub(start))? };
    let options = ArrowReaderOptions::new();
    let metadata = ArrowReaderMetadata::try_new(Arc::new(footer), options).map_err(unfit)?;
    let mask = ProjectionMask::columns(metadata.parquet_schema(), columns.iter().copied());
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(part, metadata)
        .with_projection(mask)
        .with_row_groups(vec![index])
        .with_batch_size(rows.max(1))
        .build()
        .map_err(unfit)?;
    let batches: Result<Vec<RecordBatch>, _> = reader.collect();
    let mut batches = batches.map_err(|error| archive.unfit(name, error))?;
    match (batches.pop(), batches.is_empty()) {
        (Some(batch), true) => Ok(batch),
        _ => Err(archive.unfit(name, "a row group is empty")),
    }
}

fn records(batch: &RecordBatch) -> Option<Records> {
    Some(Records {
        offsets: batch.column_by_name("offset")?.as_primitive_opt::<Int64Type>()?.clone(),
        lifted: batch.column_by_name("lifted")?.as_primitive_opt::<TimestampMicrosecondType>()?.clone(),
        outcomes: batch.column_by_name("outcome")?.as_string_opt::<i32>()?.clone(),
        texts: batch.column_by_name("record")?.as_string_opt::<i32>()?.clone(),
        bytes: batch.column_by_name("bytes")?.as_binary_opt::<i32>()?.clone(),
        headers: batch.column_by_name("header")?.as_string_opt::<i32>()?.clone(),
    })
}
