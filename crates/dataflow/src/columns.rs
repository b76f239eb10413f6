//! Columns as bytes, for the way between processes. Threads hand columns over as they are.
//!
//! The reader knows the number of rows, so a column is its tag, whether there are NULLs and which, and its
//! values: numbers [packed], bits as they lie in memory, text as the lengths and then all bytes. Both ends
//! are the same program on the same kind of machine, which the mesh's greeting checks; bytes that are damaged
//! all the same are found out or give other values, never a panic.

mod packed;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
    StringArray, TimestampMicrosecondArray,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;

/// Appends values one after the other.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
}

impl Writer {
    /// A writer with room for some bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Writer { bytes: Vec::with_capacity(bytes) }
    }

    /// Appends a number that is the writer's own, such as a count.
    pub(crate) fn number(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    /// Appends a yes or no.
    pub(crate) fn flag(&mut self, flag: bool) {
        self.bytes.push(u8::from(flag));
    }

    /// Appends numbers, but not how many.
    pub(crate) fn numbers(&mut self, numbers: &[i64]) {
        packed::write_numbers(&mut self.bytes, numbers);
    }

    /// Appends strings of bytes, but not how many: `offsets` are where in `data` each begins and ends.
    fn strings(&mut self, offsets: &[i32], data: &[u8]) {
        packed::write_lengths(&mut self.bytes, offsets);
        let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
        self.bytes.extend_from_slice(&data[first as usize..last as usize]);
    }

    fn bits(&mut self, bits: &BooleanBuffer) {
        self.bytes.extend_from_slice(bits.sliced().as_slice());
    }

    /// Appends keys.
    pub(crate) fn keys(&mut self, keys: &BinaryArray) {
        self.strings(keys.value_offsets(), keys.value_data());
    }

    /// Appends a column.
    ///
    /// # Panics
    /// On a type that no job has.
    pub(crate) fn column(&mut self, column: &ArrayRef) {
        self.bytes.push(tag(column.data_type()));
        let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
        self.flag(nulls.is_some());
        nulls.iter().for_each(|nulls| self.bits(nulls.inner()));
        match column.data_type() {
            DataType::Boolean => self.bits(column.as_boolean().values()),
            DataType::Int64 => self.numbers(column.as_primitive::<Int64Type>().values()),
            DataType::Float64 => {
                packed::write_doubles(&mut self.bytes, column.as_primitive::<Float64Type>().values());
            }
            DataType::Date32 => {
                let days = column.as_primitive::<Date32Type>().values();
                packed::write_each(&mut self.bytes, &days[..], |day| day.to_le_bytes());
            }
            DataType::Timestamp(..) => {
                self.numbers(column.as_primitive::<TimestampMicrosecondType>().values());
            }
            DataType::Decimal128(precision, scale) => {
                self.bytes.extend_from_slice(&[*precision, *scale as u8]);
                let decimals = column.as_primitive::<Decimal128Type>().values();
                packed::write_each(&mut self.bytes, &decimals[..], |decimal| decimal.to_le_bytes());
            }
            _ => {
                let text = column.as_string::<i32>();
                self.strings(text.value_offsets(), text.value_data());
            }
        }
    }
}

fn tag(data_type: &DataType) -> u8 {
    match data_type {
        DataType::Boolean => 0,
        DataType::Int64 => 1,
        DataType::Float64 => 2,
        DataType::Date32 => 3,
        DataType::Timestamp(_, None) => 4,
        DataType::Timestamp(_, Some(_)) => 5,
        DataType::Decimal128(..) => 6,
        DataType::Utf8 => 7,
        other => unreachable!("no job ships a column of {other}"),
    }
}

/// Reads what [`Writer`] wrote; `None` where the bytes are not that.
///
/// What it makes is at most eight times as large as the bytes that it reads, whatever they say.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// A number that the writer put down as its own.
    pub(crate) fn number(&mut self) -> Option<usize> {
        usize::try_from(u64::from_le_bytes(*self.bytes(8)?.first_chunk()?)).ok()
    }

    /// A yes or no.
    pub(crate) fn flag(&mut self) -> Option<bool> {
        match self.bytes(1)? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    /// So many bytes.
    pub(crate) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        self.rest.split_off(..length)
    }

    /// So many numbers.
    pub(crate) fn numbers(&mut self, count: usize) -> Option<Vec<i64>> {
        packed::read_numbers(&mut self.rest, count)
    }

    /// So many strings of bytes.
    fn strings(&mut self, count: usize) -> Option<(OffsetBuffer<i32>, Buffer)> {
        let offsets = packed::read_offsets(&mut self.rest, count)?;
        let data = Buffer::from(self.bytes(*offsets.last()? as usize)?);
        Some((OffsetBuffer::new(ScalarBuffer::from(offsets)), data))
    }

    fn bits(&mut self, rows: usize) -> Option<BooleanBuffer> {
        let bytes = self.bytes(rows.div_ceil(8))?;
        Some(BooleanBuffer::new(Buffer::from(bytes), 0, rows))
    }

    /// So many keys.
    pub(crate) fn keys(&mut self, rows: usize) -> Option<BinaryArray> {
        let (offsets, data) = self.strings(rows)?;
        BinaryArray::try_new(offsets, data, None).ok()
    }

    /// A column of so many rows.
    pub(crate) fn column(&mut self, rows: usize) -> Option<ArrayRef> {
        let tag = self.bytes(1)?[0];
        let nulls = if self.flag()? { Some(NullBuffer::new(self.bits(rows)?)) } else { None };
        Some(match tag {
            0 => Arc::new(BooleanArray::new(self.bits(rows)?, nulls)),
            1 => Arc::new(Int64Array::try_new(self.numbers(rows)?.into(), nulls).ok()?),
            2 => Arc::new(
                Float64Array::try_new(packed::read_doubles(&mut self.rest, rows)?.into(), nulls).ok()?,
            ),
            3 => {
                let days = packed::read_each(&mut self.rest, rows, i32::from_le_bytes)?;
                Arc::new(Date32Array::try_new(days.into(), nulls).ok()?)
            }
            4 | 5 => {
                let column = TimestampMicrosecondArray::try_new(self.numbers(rows)?.into(), nulls).ok()?;
                Arc::new(if tag == 5 { column.with_timezone("UTC") } else { column })
            }
            6 => {
                let [precision, scale] = *self.bytes(2)?.first_chunk()?;
                let decimals = packed::read_each(&mut self.rest, rows, i128::from_le_bytes)?;
                let column = Decimal128Array::try_new(decimals.into(), nulls).ok()?;
                Arc::new(column.with_precision_and_scale(precision, scale as i8).ok()?)
            }
            7 => {
                let (offsets, data) = self.strings(rows)?;
                Arc::new(StringArray::try_new(offsets, data, nulls).ok()?)
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;
