//! The rows of a Parquet file, from one on, as objects of JSON: only the columns that the job needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{Array, RecordBatch, StructArray};
use arrow_schema::{DataType, Fields};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::schema::types::SchemaDescriptor;

use super::super::blob::Blob;
use super::super::carrier::Giver;
use super::text;
use super::window::Windows;
use crate::{DecodeSpec, IngestError, Messages};

/// Rows that are read at a time at most.
const ROWS_MAX: u64 = 4096;
/// Bytes of values that are read at a time, and of JSON that are decoded together, about.
const PIECE_BYTES: usize = 1 << 20;

/// Rows that follow one another.
pub(super) struct Rows {
    /// Each is a message; its offset is its number in the file.
    pub(super) messages: Messages,
    /// The number of the row behind them.
    pub(super) behind: u64,
    /// Whether event time is an instant by its type, so that it is written as text.
    pub(super) is_time_text: bool,
    /// The same for what a record says of its partition.
    pub(super) is_punctuation_text: bool,
}

/// Gives the rows of a file from number `from` on. `total` learns how many it has.
pub(super) fn read(
    blob: &Arc<dyn Blob>,
    decode: &DecodeSpec,
    from: u64,
    total: &AtomicU64,
    giver: &Giver<Rows>,
) -> Result<(), IngestError> {
    let windows = Windows::new(blob);
    // What the file says of Arrow is about how its writer held it, not about what it holds.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata = ArrowReaderMetadata::load(&windows, options).map_err(|error| windows.error(error))?;
    let groups = metadata.metadata().row_groups();
    let rows_of = |index: usize| u64::try_from(groups[index].num_rows()).unwrap_or_default();
    total.store((0..groups.len()).map(rows_of).sum(), Ordering::Relaxed);

    let wanted = Wanted::of(decode);
    let leaves = wanted.leaves(metadata.parquet_schema());
    let bytes_of = |index: usize| {
        let sizes = leaves.iter().map(|leaf| groups[index].column(*leaf).uncompressed_size());
        sizes.map(|size| u64::try_from(size).unwrap_or_default()).sum()
    };
    windows.of_columns(leaves.len());
    let mut first = 0;
    for index in 0..groups.len() {
        let (begin, end) = (first, first + rows_of(index));
        first = end;
        if end <= from {
            continue;
        }
        let skipped = from.saturating_sub(begin);
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(windows.clone(), metadata.clone());
        let builder = builder
            .with_projection(ProjectionMask::leaves(metadata.parquet_schema(), leaves.iter().copied()))
            .with_row_groups(vec![index])
            .with_batch_size(rows_at_once(rows_of(index), bytes_of(index)))
            .with_offset(skipped as usize);
        let reader = builder.build().map_err(|error| windows.error(error))?;
        let mut writing = Writing::new(begin + skipped, &wanted, reader_fields(&reader), blob.name())?;
        for batch in reader {
            let batch = batch.map_err(|error| windows.error(error))?;
            if !writing.write(batch, giver) {
                return Ok(());
            }
        }
        if writing.next != end {
            return Err(windows.error(format!("row group {index} ends with row {}, not {end}", writing.next)));
        }
        if !writing.give(giver) {
            return Ok(());
        }
    }
    Ok(())
}

/// How many rows of a group of so many rows and bytes are read at a time.
pub(super) fn rows_at_once(rows: u64, bytes: u64) -> usize {
    let fitting = (PIECE_BYTES as u64).saturating_mul(rows).checked_div(bytes).unwrap_or(ROWS_MAX);
    fitting.clamp(1, ROWS_MAX) as usize
}

fn reader_fields(reader: &impl arrow_array::RecordBatchReader) -> Fields {
    reader.schema().fields().clone()
}

/// The paths of what a job needs.
struct Wanted<'a> {
    time: &'a [String],
    punctuation: Option<&'a [String]>,
    fields: Vec<&'a [String]>,
}

impl<'a> Wanted<'a> {
    fn of(decode: &'a DecodeSpec) -> Self {
        Wanted {
            time: &decode.time.path,
            punctuation: decode.punctuation.as_ref().map(|time| time.path.as_slice()),
            fields: decode.fields.iter().map(|field| field.path.as_slice()).collect(),
        }
    }

    /// The columns of values that some of the paths lead to, or go through.
    fn leaves(&self, schema: &SchemaDescriptor) -> Vec<usize> {
        let paths = || self.fields.iter().copied().chain([self.time]).chain(self.punctuation);
        let is_wanted = |index: &usize| {
            let column = schema.column(*index);
            let parts = column.path().parts();
            // What lists and maps are called within is up to whoever wrote them.
            let is_repeated = |path: &[String]| column.max_rep_level() > 0 && path.first() == parts.first();
            paths().any(|path| parts.starts_with(path) || path.starts_with(parts) || is_repeated(path))
        };
        (0..schema.num_columns()).filter(is_wanted).collect()
    }
}

/// Rows on their way into pieces.
struct Writing {
    messages: Messages,
    /// The number of the next row.
    next: u64,
    row: Vec<u8>,
    is_time_text: bool,
    is_punctuation_text: bool,
}

impl Writing {
    fn new(next: u64, wanted: &Wanted, fields: Fields, name: &str) -> Result<Self, IngestError> {
        if let Some(field) = fields.iter().find(|field| !text::is_known(field.data_type())) {
            let words =
                format!("column `{}` is of the type {}, which is not read", field.name(), field.data_type());
            return Err(IngestError::Parquet { name: name.to_owned(), words });
        }
        let is_instant = |path: &[String]| matches!(at(&fields, path), Some(DataType::Timestamp(..)));
        Ok(Writing {
            messages: Messages::default(),
            next,
            row: Vec::new(),
            is_time_text: is_instant(wanted.time),
            is_punctuation_text: wanted.punctuation.is_some_and(is_instant),
        })
    }

    /// Writes rows, and gives them on as pieces fill; says whether anybody wants more.
    fn write(&mut self, batch: RecordBatch, giver: &Giver<Rows>) -> bool {
        let rows = StructArray::from(batch);
        for row in 0..rows.len() {
            self.row.clear();
            text::object(&rows, row, &mut self.row);
            self.messages.push_again(&self.row, self.next);
            self.next += 1;
            if self.messages.bytes() >= PIECE_BYTES && !self.give(giver) {
                return false;
            }
        }
        true
    }

    fn give(&mut self, giver: &Giver<Rows>) -> bool {
        if self.messages.is_empty() {
            return true;
        }
        giver.give(Rows {
            messages: std::mem::take(&mut self.messages),
            behind: self.next,
            is_time_text: self.is_time_text,
            is_punctuation_text: self.is_punctuation_text,
        })
    }
}

/// The type at the end of a path through structs.
fn at<'a>(fields: &'a Fields, path: &[String]) -> Option<&'a DataType> {
    let (first, rest) = path.split_first()?;
    let data_type = fields.iter().find(|field| field.name() == first)?.data_type();
    match (data_type, rest) {
        (data_type, []) => Some(data_type),
        (DataType::Struct(fields), rest) => at(fields, rest),
        _ => None,
    }
}
