//! Columns under construction: values are read from the bytes straight into them.

use std::sync::Arc;

use arrow_array::types::UInt32Type;
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array, Int64Array,
    StringArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use event::DataType;

use super::calendar;
use super::dictionary::Dictionary;
use super::misfit::Misfit;
use super::number::{self, Decimal};
use super::record::blank_end;
use super::spec::FieldSpec;
use super::text;

/// One column: a value is added for each record, and all of them are taken away as an array.
#[derive(Debug)]
pub(super) struct Column {
    name: String,
    data_type: DataType,
    required: bool,
    /// The record that gave the last value.
    record: u64,
    pub(super) values: Values,
    /// Rows that are NULL, ascending. Almost always none.
    null_rows: Vec<u32>,
}

/// The values of a column.
#[derive(Debug)]
pub(super) enum Values {
    Text { offsets: Vec<i32>, bytes: Vec<u8> },
    Codes { codes: Vec<u32>, dictionary: Box<Dictionary>, scratch: Vec<u8> },
    Bigint(Vec<i64>),
    Double(Vec<f64>),
    Boolean(Vec<bool>),
    Decimal { values: Vec<i128>, precision: u8, scale: u8 },
    Date { values: Vec<i32>, scratch: Vec<u8> },
    Time { values: Vec<i64>, scratch: Vec<u8>, has_zone: bool },
}

impl Column {
    pub(super) fn new(spec: &FieldSpec) -> Self {
        let values = match spec.data_type {
            DataType::Varchar if spec.dictionary => Values::Codes {
                codes: Vec::new(),
                dictionary: Box::new(Dictionary::new()),
                scratch: Vec::new(),
            },
            DataType::Varchar => Values::Text { offsets: vec![0], bytes: Vec::new() },
            DataType::Bigint => Values::Bigint(Vec::new()),
            DataType::Double => Values::Double(Vec::new()),
            DataType::Boolean => Values::Boolean(Vec::new()),
            DataType::Decimal { precision, scale } => {
                Values::Decimal { values: Vec::new(), precision, scale }
            }
            DataType::Date => Values::Date { values: Vec::new(), scratch: Vec::new() },
            DataType::Timestamp | DataType::TimestampTz => Values::Time {
                values: Vec::new(),
                scratch: Vec::new(),
                has_zone: spec.data_type == DataType::TimestampTz,
            },
        };
        let (name, data_type, required) = (spec.name.clone(), spec.data_type, spec.required);
        Column { name, data_type, required, record: 0, values, null_rows: Vec::new() }
    }

    /// Name of the field.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Type of the field.
    pub(super) fn data_type(&self) -> DataType {
        self.data_type
    }

    /// Whether that record gave a value.
    pub(super) fn has_value_of(&self, record: u64) -> bool {
        self.record == record
    }

    /// Adds the value that is written at `at`, or behind blanks there, for that record, which is not 0.
    /// Returns where it ends. After a misfit the column may hold a part of the value: `roll_back` takes it
    /// away.
    #[inline(always)]
    pub(super) fn read(&mut self, bytes: &[u8], at: usize, record: u64) -> Result<usize, Misfit> {
        if self.record == record {
            return Err(Misfit::Duplicate);
        }
        self.record = record;
        match &mut self.values {
            Values::Text { offsets, bytes: values } => {
                let length = values.len();
                if let Some(end) = text::append_plain(bytes, at, values) {
                    offsets.push(values.len() as i32);
                    return Ok(end);
                }
                values.truncate(length);
            }
            Values::Codes { codes, dictionary, .. } => {
                if let Some((code, end)) = dictionary.code_plain(bytes, at) {
                    codes.push(code);
                    return Ok(end);
                }
            }
            Values::Double(values) => {
                if let Some((value, end)) = number::short_double(bytes, at) {
                    values.push(value);
                    return Ok(end);
                }
            }
            Values::Bigint(values) => {
                if let Some((value, end)) = number::short_whole(bytes, at) {
                    values.push(value);
                    return Ok(end);
                }
            }
            _ => {}
        }
        self.read_slowly(bytes, at)
    }

    /// The complete way.
    #[inline(never)]
    fn read_slowly(&mut self, bytes: &[u8], at: usize) -> Result<usize, Misfit> {
        let at = blank_end(bytes, at);
        let rest = bytes.get(at..).unwrap_or_default();
        if rest.starts_with(b"null") {
            self.add_missing()?;
            return Ok(at + 4);
        }
        let is_text = rest.first() == Some(&b'"');
        match &mut self.values {
            Values::Text { offsets, bytes: values } if is_text => {
                let end = text::append(bytes, at, values)?;
                offsets.push(values.len() as i32);
                Ok(end)
            }
            Values::Codes { codes, dictionary, scratch } if is_text => {
                scratch.clear();
                let end = text::append(bytes, at, scratch)?;
                codes.push(dictionary.code(scratch).ok_or(Misfit::Type)?);
                Ok(end)
            }
            Values::Date { values, scratch } if is_text => {
                scratch.clear();
                let end = text::append(bytes, at, scratch)?;
                values.push(calendar::date(scratch).ok_or(Misfit::Type)?);
                Ok(end)
            }
            Values::Time { values, scratch, has_zone } if is_text => {
                scratch.clear();
                let end = text::append(bytes, at, scratch)?;
                let time = if *has_zone { calendar::instant(scratch) } else { calendar::timestamp(scratch) };
                values.push(time.ok_or(Misfit::Type)?);
                Ok(end)
            }
            Values::Bigint(values) => {
                let (value, end) = number::integer(bytes, at)?;
                values.push(value);
                Ok(end)
            }
            Values::Double(values) => {
                let (value, end) = number::double(bytes, at)?;
                values.push(value);
                Ok(end)
            }
            Values::Decimal { values, precision, scale } => {
                let token = number::token(bytes, at).ok_or_else(|| number::unfit(bytes, at))?;
                let value = Decimal::cut(&bytes[at..token.end]).exactly_scaled(*scale, *precision);
                values.push(value.ok_or(Misfit::Type)?);
                Ok(token.end)
            }
            Values::Boolean(values) if rest.starts_with(b"true") => {
                values.push(true);
                Ok(at + 4)
            }
            Values::Boolean(values) if rest.starts_with(b"false") => {
                values.push(false);
                Ok(at + 5)
            }
            _ => Err(number::unfit(bytes, at)),
        }
    }

    /// Adds NULL, for a value that is missing or null.
    pub(super) fn add_missing(&mut self) -> Result<(), Misfit> {
        if self.required {
            return Err(Misfit::Missing);
        }
        let row = match &mut self.values {
            Values::Text { offsets, bytes } => {
                offsets.push(bytes.len() as i32);
                offsets.len() - 2
            }
            Values::Codes { codes, .. } => push(codes, 0),
            Values::Bigint(values) => push(values, 0),
            Values::Double(values) => push(values, 0.0),
            Values::Boolean(values) => push(values, false),
            Values::Decimal { values, .. } => push(values, 0),
            Values::Date { values, .. } => push(values, 0),
            Values::Time { values, .. } => push(values, 0),
        };
        self.null_rows.push(row as u32);
        Ok(())
    }

    /// Takes away all that was added behind the first `rows`.
    pub(super) fn roll_back(&mut self, rows: usize) {
        match &mut self.values {
            Values::Text { offsets, bytes } => {
                offsets.truncate(rows + 1);
                bytes.truncate(offsets.last().map_or(0, |&end| end as usize));
            }
            Values::Codes { codes, .. } => codes.truncate(rows),
            Values::Bigint(values) => values.truncate(rows),
            Values::Double(values) => values.truncate(rows),
            Values::Boolean(values) => values.truncate(rows),
            Values::Decimal { values, .. } => values.truncate(rows),
            Values::Date { values, .. } => values.truncate(rows),
            Values::Time { values, .. } => values.truncate(rows),
        }
        while self.null_rows.last().is_some_and(|&row| row as usize >= rows) {
            self.null_rows.pop();
        }
    }

    /// Makes room for a batch of about that many rows.
    pub(super) fn begin(&mut self, rows: usize) {
        match &mut self.values {
            Values::Text { offsets, .. } => offsets.reserve(rows),
            Values::Codes { codes, dictionary, .. } => {
                dictionary.trim();
                codes.reserve(rows);
            }
            Values::Bigint(values) => values.reserve(rows),
            Values::Double(values) => values.reserve(rows),
            Values::Boolean(values) => values.reserve(rows),
            Values::Decimal { values, .. } => values.reserve(rows),
            Values::Date { values, .. } => values.reserve(rows),
            Values::Time { values, .. } => values.reserve(rows),
        }
    }

    /// Takes all values away as an array of `rows` rows.
    pub(super) fn finish(&mut self, rows: usize) -> ArrayRef {
        let nulls = self.take_nulls(rows);
        match &mut self.values {
            Values::Text { offsets, bytes } => {
                // The next batch will need about as many bytes.
                let next = Vec::with_capacity(bytes.len() + bytes.len() / 16);
                let bytes = Buffer::from_vec(std::mem::replace(bytes, next));
                let offsets = OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(offsets, vec![0])));
                Arc::new(StringArray::new(offsets, bytes, nulls))
            }
            Values::Codes { codes, dictionary, .. } => {
                let codes = UInt32Array::new(take(codes), nulls);
                Arc::new(DictionaryArray::<UInt32Type>::new(codes, dictionary.values()))
            }
            Values::Bigint(values) => Arc::new(Int64Array::new(take(values), nulls)),
            Values::Double(values) => Arc::new(Float64Array::new(take(values), nulls)),
            Values::Boolean(values) => {
                Arc::new(BooleanArray::new(BooleanBuffer::from(std::mem::take(values)), nulls))
            }
            Values::Decimal { values, precision, scale } => {
                let array = Decimal128Array::new(take(values), nulls);
                let typed = DataType::Decimal { precision: *precision, scale: *scale }.arrow();
                Arc::new(array.with_data_type(typed))
            }
            Values::Date { values, .. } => Arc::new(Date32Array::new(take(values), nulls)),
            Values::Time { values, has_zone, .. } => {
                let zone = has_zone.then(|| Arc::from("UTC"));
                Arc::new(
                    TimestampMicrosecondArray::new(take(values), nulls).with_timezone_opt::<Arc<str>>(zone),
                )
            }
        }
    }

    fn take_nulls(&mut self, rows: usize) -> Option<NullBuffer> {
        if self.null_rows.is_empty() {
            return None;
        }
        let mut valid = vec![true; rows];
        for row in self.null_rows.drain(..) {
            valid[row as usize] = false;
        }
        Some(NullBuffer::from(valid))
    }
}

/// Adds a value; returns its row.
fn push<T>(values: &mut Vec<T>, value: T) -> usize {
    values.push(value);
    values.len() - 1
}

/// The values as a buffer, without copying them.
fn take<T: arrow_buffer::ArrowNativeType>(values: &mut Vec<T>) -> ScalarBuffer<T> {
    ScalarBuffer::from(std::mem::take(values))
}
