//! Columns as bytes, for the way between processes. Threads hand columns over as they are.
//!
//! Layout of a column: tag, rows, whether there are NULLs and which, then its buffers as they lie in
//! memory. Both ends are the same program on the same kind of machine, which the mesh's greeting checks.

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
    pub(crate) fn number(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn run(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn numbers(&mut self, numbers: impl ExactSizeIterator<Item = u64>) {
        self.number(numbers.len() as u64 * 8);
        numbers.for_each(|number| self.number(number));
    }

    fn bits(&mut self, bits: &BooleanBuffer) {
        self.run(bits.sliced().as_slice());
    }

    fn offsets(&mut self, offsets: &[i32], bytes: &[u8]) {
        let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
        self.number((offsets.len() as u64) * 4);
        offsets.iter().for_each(|offset| self.bytes.extend_from_slice(&(offset - first).to_le_bytes()));
        self.run(&bytes[first as usize..last as usize]);
    }

    /// Appends keys.
    pub(crate) fn keys(&mut self, keys: &BinaryArray) {
        self.offsets(keys.value_offsets(), keys.value_data());
    }

    /// Appends a column.
    ///
    /// # Panics
    /// On a type that no job has.
    pub(crate) fn column(&mut self, column: &ArrayRef) {
        self.bytes.push(tag(column.data_type()));
        self.number(column.len() as u64);
        match column.nulls() {
            Some(nulls) => self.bits(nulls.inner()),
            None => self.number(0),
        }
        match column.data_type() {
            DataType::Boolean => self.bits(column.as_boolean().values()),
            DataType::Int64 => self.run(column.as_primitive::<Int64Type>().values().inner()),
            DataType::Float64 => self.run(column.as_primitive::<Float64Type>().values().inner()),
            DataType::Date32 => self.run(column.as_primitive::<Date32Type>().values().inner()),
            DataType::Timestamp(..) => {
                self.run(column.as_primitive::<TimestampMicrosecondType>().values().inner());
            }
            DataType::Decimal128(precision, scale) => {
                self.bytes.extend_from_slice(&[*precision, *scale as u8]);
                self.run(column.as_primitive::<Decimal128Type>().values().inner());
            }
            _ => {
                let text = column.as_string::<i32>();
                self.offsets(text.value_offsets(), text.value_data());
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

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(length)?;
        self.rest = tail;
        Some(head)
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        self.take(8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes)
    }

    fn run(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::try_from(length).ok()?)
    }

    pub(crate) fn bytes(&mut self) -> Option<Vec<u8>> {
        self.run().map(<[u8]>::to_vec)
    }

    pub(crate) fn numbers(&mut self) -> Option<Vec<u64>> {
        Some(words(self.run()?, u64::from_le_bytes))
    }

    fn bits(&mut self, rows: usize) -> Option<BooleanBuffer> {
        let bytes = self.run()?;
        (bytes.len() * 8 >= rows).then(|| BooleanBuffer::new(Buffer::from(bytes), 0, rows))
    }

    fn offsets(&mut self) -> Option<(OffsetBuffer<i32>, Buffer)> {
        let offsets: Vec<i32> = words(self.run()?, i32::from_le_bytes);
        let bytes = self.run()?;
        let ascend = offsets.first() == Some(&0) && offsets.is_sorted();
        let fit = offsets.last().is_some_and(|last| *last as usize == bytes.len());
        (ascend && fit).then(|| (OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from(bytes)))
    }

    pub(crate) fn keys(&mut self) -> Option<BinaryArray> {
        let (offsets, bytes) = self.offsets()?;
        BinaryArray::try_new(offsets, bytes, None).ok()
    }

    pub(crate) fn column(&mut self) -> Option<ArrayRef> {
        let tag = self.take(1)?[0];
        let rows = usize::try_from(self.number()?).ok()?;
        let nulls = match self.rest.first_chunk::<8>()? {
            [0, 0, 0, 0, 0, 0, 0, 0] => self.number().map(|_| None)?,
            _ => Some(NullBuffer::new(self.bits(rows)?)),
        };
        let column: ArrayRef = match tag {
            0 => Arc::new(BooleanArray::new(self.bits(rows)?, nulls.filter(|n| n.len() == rows))),
            1 => Arc::new(Int64Array::try_new(words(self.run()?, i64::from_le_bytes).into(), nulls).ok()?),
            2 => Arc::new(Float64Array::try_new(words(self.run()?, f64::from_le_bytes).into(), nulls).ok()?),
            3 => Arc::new(Date32Array::try_new(words(self.run()?, i32::from_le_bytes).into(), nulls).ok()?),
            4 | 5 => {
                let values = words(self.run()?, i64::from_le_bytes).into();
                let column = TimestampMicrosecondArray::try_new(values, nulls).ok()?;
                Arc::new(if tag == 5 { column.with_timezone("UTC") } else { column })
            }
            6 => {
                let [precision, scale] = *self.take(2)?.first_chunk::<2>()?;
                let values = words(self.run()?, i128::from_le_bytes).into();
                let column = Decimal128Array::try_new(values, nulls).ok()?;
                Arc::new(column.with_precision_and_scale(precision, scale as i8).ok()?)
            }
            7 => {
                let (offsets, bytes) = self.offsets()?;
                Arc::new(StringArray::try_new(offsets, bytes, nulls).ok()?)
            }
            _ => return None,
        };
        (column.len() == rows).then_some(column)
    }
}

/// A run of numbers.
fn words<const N: usize, T>(bytes: &[u8], read: fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| read(*chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<ArrayRef> {
        let some = |n: i64| (n % 3 != 0).then_some(n);
        vec![
            Arc::new((0..19).map(|n| some(n).map(|n| n % 2 == 0)).collect::<BooleanArray>()),
            Arc::new((0..19).map(some).collect::<Int64Array>()),
            Arc::new((0..19).map(|n| n as f64 / 7.0).map(Some).collect::<Float64Array>()),
            Arc::new((0..19).map(|n| some(n).map(|n| n as i32)).collect::<Date32Array>()),
            Arc::new((0..19).map(some).collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
            Arc::new((0..19).map(|n| some(n).map(i128::from)).collect::<Decimal128Array>()),
            Arc::new((0..19).map(|n| some(n).map(|n| "é".repeat(n as usize))).collect::<StringArray>()),
        ]
    }

    #[test]
    fn a_column_comes_back_whole_and_cut_out_of_another() {
        for column in columns() {
            for (start, rows) in [(0, 19), (3, 11), (18, 1), (5, 0)] {
                let column = column.slice(start, rows);
                let mut writer = Writer::default();
                writer.column(&column);
                let mut reader = Reader::new(&writer.bytes);
                assert_eq!(&reader.column().unwrap(), &column);
                assert!(reader.is_done());
            }
        }
    }

    #[test]
    fn bytes_that_are_cut_off_are_no_column() {
        for column in columns() {
            let mut writer = Writer::default();
            writer.column(&column);
            for cut in 0..writer.bytes.len() {
                assert!(Reader::new(&writer.bytes[..cut]).column().is_none());
            }
        }
    }
}
