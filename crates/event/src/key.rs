//! Keys as bytes: their order is the order of their values, their hash is stable for ever.
//!
//! `transform` encodes the key columns of a batch, `dataflow` routes by hash, `window` stores the bytes,
//! `alert` decodes them again.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Date32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int64Type, TimestampMicrosecondType, UInt32Type};
use arrow_array::{Array, ArrayRef, BinaryArray, StringArray, make_array};
use arrow_buffer::NullBuffer;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::DataType;

/// The text NULL. No UTF-8 has this byte.
const NULL_TEXT: u8 = 0xFF;
/// The boolean NULL, behind false and true.
const NULL_TRUTH: u8 = 2;

/// The one hash of a key: XXH3, 64 bits, seed 0, over the key's encoded bytes.
///
/// Stable across processes, versions and machines; placement and durable state rest on it.
#[inline]
pub fn key_hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// 1/N of the key space. N is fixed for the life of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Shard(pub u32);

impl Shard {
    /// The shard of a key's hash among `shards`: its high bits, so that hash tables may use the low ones.
    #[inline]
    pub fn of(hash: u64, shards: u32) -> Shard {
        Shard(((u128::from(hash) * u128::from(shards)) >> 64) as u32)
    }

    /// The worker among `peers` that holds it: contiguous ranges of shards.
    #[inline]
    pub fn worker(self, shards: u32, peers: usize) -> usize {
        (self.0 as usize * peers) / shards as usize
    }
}

/// A key that cannot be: no field, or a type without a stable order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyShapeError {
    /// No field at all.
    #[error("a key needs at least one field")]
    Empty,
    /// Doubles and decimals are no keys.
    #[error("a {0} cannot be a key; varchar, bigint, boolean, date, timestamp and timestamptz can")]
    Type(DataType),
    /// A value of another type.
    #[error("expected {expected} values for the key")]
    Mismatch {
        /// What the key's fields are.
        expected: DataType,
    },
}

/// The types of a key's fields, and with them its encoding.
///
/// A single `varchar` is its UTF-8 bytes. Otherwise each field is appended in order: integers and times
/// as 8 bytes big-endian with the sign bit flipped, dates as 4, booleans as 1, text with `00` escaped to
/// `00 FF` and ended by `00 00`. So the order of the bytes is the order of the tuples.
///
/// NULL stands behind the values of its field: a text that is NULL is `FF`, which no text begins with, a boolean `02`.
/// Numbers and times leave no byte free: there it is written as the greatest value, beside which it stands, and
/// a key with one ends with a bit for each field, from the lowest bit on, which is set where NULL is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyShape {
    fields: Vec<DataType>,
}

impl KeyShape {
    /// The shape of keys with these fields.
    ///
    /// # Errors
    /// If there is no field, or one is a double or a decimal.
    pub fn new(fields: Vec<DataType>) -> Result<Self, KeyShapeError> {
        if fields.is_empty() {
            return Err(KeyShapeError::Empty);
        }
        match fields.iter().find(|t| matches!(t, DataType::Double | DataType::Decimal { .. })) {
            Some(&bad) => Err(KeyShapeError::Type(bad)),
            None => Ok(KeyShape { fields }),
        }
    }

    /// Types of the fields, in order.
    pub fn fields(&self) -> &[DataType] {
        &self.fields
    }

    fn is_plain_text(&self) -> bool {
        self.fields == [DataType::Varchar]
    }

    /// The key of a tuple of texts: for keys given by hand, as on a command line.
    ///
    /// # Errors
    /// If a field is not `varchar`, or the number differs.
    pub fn encode_text(&self, values: &[&str]) -> Result<Vec<u8>, KeyShapeError> {
        let columns: Vec<ArrayRef> =
            values.iter().map(|v| Arc::new(StringArray::from(vec![*v])) as ArrayRef).collect();
        if columns.len() != self.fields.len() || self.fields.iter().any(|f| *f != DataType::Varchar) {
            return Err(KeyShapeError::Mismatch { expected: self.fields[0] });
        }
        Ok(self.encode(&columns).value(0).to_vec())
    }

    /// The keys of the rows of `columns`. A single text column without NULL is not copied.
    ///
    /// # Panics
    /// If a column is not of the shape's type: a bug of the caller.
    pub fn encode(&self, columns: &[ArrayRef]) -> BinaryArray {
        assert_eq!(columns.len(), self.fields.len(), "a column for each field of the key");
        let nulls: Vec<Option<NullBuffer>> = columns
            .iter()
            .map(|column| column.logical_nulls().filter(|nulls| nulls.null_count() > 0))
            .collect();
        if self.is_plain_text()
            && nulls[0].is_none()
            && let Some(text) = columns[0].as_string_opt::<i32>()
        {
            return BinaryArray::new(text.offsets().clone(), text.values().clone(), None);
        }
        let rows = columns[0].len();
        let mut keys = BinaryBuilder::with_capacity(rows, rows * 16);
        let mut key = Vec::with_capacity(64);
        for row in 0..rows {
            key.clear();
            let mut unmarked = false;
            for ((field, column), nulls) in self.fields.iter().zip(columns).zip(&nulls) {
                if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                    unmarked |= append_null(&mut key, *field);
                } else {
                    self.append(&mut key, *field, column, row);
                }
            }
            if unmarked {
                let start = key.len();
                key.resize(start + self.fields.len().div_ceil(8), 0);
                for (place, nulls) in nulls.iter().enumerate() {
                    let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
                    key[start + place / 8] |= u8::from(is_null) << (place % 8);
                }
            }
            keys.append_value(&key);
        }
        keys.finish()
    }

    fn append(&self, key: &mut Vec<u8>, field: DataType, column: &ArrayRef, row: usize) {
        match field {
            DataType::Varchar => {
                let text = text_at(column, row).as_bytes();
                if self.is_plain_text() {
                    key.extend_from_slice(text);
                } else {
                    append_text(key, text);
                }
            }
            DataType::Bigint => append_i64(key, column.as_primitive::<Int64Type>().value(row)),
            DataType::Timestamp | DataType::TimestampTz => {
                append_i64(key, column.as_primitive::<TimestampMicrosecondType>().value(row));
            }
            DataType::Date => {
                let days = column.as_primitive::<Date32Type>().value(row);
                key.extend_from_slice(&((days as u32) ^ 0x8000_0000).to_be_bytes());
            }
            DataType::Boolean => key.push(u8::from(column.as_boolean().value(row))),
            DataType::Double | DataType::Decimal { .. } => unreachable!("refused by KeyShape::new"),
        }
    }

    /// The columns that the keys were made from.
    ///
    /// # Panics
    /// If the bytes are not of this shape: durable bytes are checked before they get here.
    pub fn decode(&self, keys: &BinaryArray) -> Vec<ArrayRef> {
        if self.is_plain_text()
            && let Ok(text) =
                StringArray::try_new(keys.offsets().clone(), keys.values().clone(), keys.nulls().cloned())
        {
            return vec![Arc::new(text)];
        }
        let mut rest: Vec<&[u8]> = keys.iter().map(Option::unwrap_or_default).collect();
        if self.is_plain_text() {
            let texts =
                rest.into_iter().map(|key| (key != [NULL_TEXT]).then(|| String::from_utf8_lossy(key)));
            return vec![Arc::new(texts.collect::<StringArray>())];
        }
        let columns = self.fields.iter().map(|field| decode_field(*field, &mut rest));
        let columns: Vec<ArrayRef> = columns.collect();
        if rest.iter().all(|marks| marks.is_empty()) {
            return columns;
        }
        let fields = columns.into_iter().enumerate();
        fields.map(|(place, column)| with_marks(column, place, &rest)).collect()
    }
}

/// The column with NULL where the marks that are left of the keys say so.
fn with_marks(column: ArrayRef, place: usize, marks: &[&[u8]]) -> ArrayRef {
    let is_marked = |marks: &&[u8]| marks.get(place / 8).is_some_and(|byte| byte >> (place % 8) & 1 == 1);
    let marked = NullBuffer::from_iter(marks.iter().map(|marks| !is_marked(marks)));
    let nulls = NullBuffer::union(column.nulls(), Some(&marked));
    // There is one for each row, as it must be.
    column.to_data().into_builder().nulls(nulls).build().map_or(column, make_array)
}

fn decode_field(field: DataType, rest: &mut [&[u8]]) -> ArrayRef {
    match field {
        DataType::Varchar => {
            let mut column = StringBuilder::with_capacity(rest.len(), rest.len() * 12);
            for bytes in rest {
                let text = take_text(bytes);
                column.append_option(text.as_deref().map(String::from_utf8_lossy));
            }
            Arc::new(column.finish())
        }
        DataType::Bigint => {
            let mut column = Int64Builder::with_capacity(rest.len());
            rest.iter_mut().for_each(|bytes| column.append_value(take_i64(bytes)));
            Arc::new(column.finish())
        }
        DataType::Timestamp | DataType::TimestampTz => {
            let mut column =
                TimestampMicrosecondBuilder::with_capacity(rest.len()).with_data_type(field.arrow());
            rest.iter_mut().for_each(|bytes| column.append_value(take_i64(bytes)));
            Arc::new(column.finish())
        }
        DataType::Date => {
            let mut column = Date32Builder::with_capacity(rest.len());
            for bytes in rest {
                let days = u32::from_be_bytes(take::<4>(bytes)) ^ 0x8000_0000;
                column.append_value(days as i32);
            }
            Arc::new(column.finish())
        }
        DataType::Boolean => {
            let mut column = BooleanBuilder::with_capacity(rest.len());
            for bytes in rest {
                let [truth] = take::<1>(bytes);
                column.append_option((truth != NULL_TRUTH).then_some(truth == 1));
            }
            Arc::new(column.finish())
        }
        DataType::Double | DataType::Decimal { .. } => unreachable!("refused by KeyShape::new"),
    }
}

fn text_at(column: &ArrayRef, row: usize) -> &str {
    match column.as_dictionary_opt::<UInt32Type>() {
        Some(codes) => codes.values().as_string::<i32>().value(codes.keys().value(row) as usize),
        None => column.as_string::<i32>().value(row),
    }
}

fn append_i64(key: &mut Vec<u8>, value: i64) {
    key.extend_from_slice(&((value as u64) ^ (1 << 63)).to_be_bytes());
}

/// Appends what stands for NULL; returns whether it could be a value too.
fn append_null(key: &mut Vec<u8>, field: DataType) -> bool {
    match field {
        DataType::Varchar => key.push(NULL_TEXT),
        DataType::Boolean => key.push(NULL_TRUTH),
        DataType::Date => key.extend_from_slice(&[0xFF; 4]),
        _ => key.extend_from_slice(&[0xFF; 8]),
    }
    !matches!(field, DataType::Varchar | DataType::Boolean)
}

fn append_text(key: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        key.push(byte);
        if byte == 0 {
            key.push(0xFF);
        }
    }
    key.extend_from_slice(&[0, 0]);
}

fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let (head, tail) = bytes.split_first_chunk::<N>().expect("a whole key");
    *bytes = tail;
    *head
}

fn take_i64(bytes: &mut &[u8]) -> i64 {
    (u64::from_be_bytes(take::<8>(bytes)) ^ (1 << 63)) as i64
}

/// `None` for NULL.
fn take_text(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    if bytes.first() == Some(&NULL_TEXT) {
        take::<1>(bytes);
        return None;
    }
    let mut text = Vec::new();
    loop {
        match take::<1>(bytes) {
            [0] if take::<1>(bytes) == [0] => return Some(text),
            [byte] => text.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{BooleanArray, Date32Array, Int64Array};

    fn pair(text: &[&str], numbers: &[i64]) -> Vec<ArrayRef> {
        vec![
            Arc::new(StringArray::from(text.to_vec())) as ArrayRef,
            Arc::new(Int64Array::from(numbers.to_vec())) as ArrayRef,
        ]
    }

    #[test]
    fn the_hash_of_a_key_is_the_published_one() {
        // XXH3_64bits of the empty input, from the algorithm's own test vectors.
        assert_eq!(key_hash(b""), 0x2d06_8005_38d3_94c2);
    }

    /// A long key: 26 letters ten times, more than the hash takes at once.
    fn long_key() -> Vec<u8> {
        (b'a'..=b'z').cycle().take(260).collect()
    }

    // If one of these numbers changes, state that is on a disk belongs to other shards and workers than those
    // that look for it, and is lost in silence: that needs another version of the checkpoint's format.
    #[test]
    fn keys_keep_their_hashes_shards_and_workers_for_ever() {
        let long = long_key();
        let pinned: [(&[u8], u64, u32, [usize; 4]); 4] = [
            (b"", 0x2d06_8005_38d3_94c2, 180, [0, 0, 0, 1]),
            (b"user-7", 0xb1de_7a36_4def_053e, 711, [0, 1, 2, 4]),
            ("ü".as_bytes(), 0x5da8_1d07_0ce0_9f6e, 374, [0, 0, 1, 2]),
            (&long, 0xa94e_7bf8_5486_aeb3, 677, [0, 1, 1, 4]),
        ];
        for (key, hash, shard, workers) in pinned {
            let name = String::from_utf8_lossy(key);
            assert_eq!(key_hash(key), hash, "{name}");
            let of = Shard::of(hash, 1024);
            assert_eq!(of, Shard(shard), "{name}");
            assert_eq!([1, 2, 3, 7].map(|peers| of.worker(1024, peers)), workers, "{name}");
        }
    }

    #[test]
    fn the_order_of_composite_keys_is_the_order_of_their_tuples() {
        let shape = KeyShape::new(vec![DataType::Varchar, DataType::Bigint]).unwrap();
        let tuples = [("", 5), ("a", -2), ("a", -1), ("a", 3), ("a\0", i64::MIN), ("a\0b", 0), ("ab", 0)];
        let (text, numbers): (Vec<&str>, Vec<i64>) = tuples.iter().copied().unzip();
        let keys = shape.encode(&pair(&text, &numbers));
        for (row, pair) in tuples.windows(2).enumerate() {
            assert!(keys.value(row) < keys.value(row + 1), "{pair:?}");
        }
        let back = shape.decode(&keys);
        assert_eq!(back[0].as_string::<i32>(), &StringArray::from(text));
        assert_eq!(back[1].as_primitive::<Int64Type>(), &Int64Array::from(numbers));
    }

    #[test]
    fn a_single_text_key_is_its_own_bytes_and_keeps_an_empty_one() {
        let shape = KeyShape::new(vec![DataType::Varchar]).unwrap();
        let keys = shape.encode(&[Arc::new(StringArray::from(vec!["", "ü"])) as ArrayRef]);
        assert_eq!(keys.value(0), b"");
        assert_eq!(keys.value(1), "ü".as_bytes());
        assert_eq!(shape.decode(&keys)[0].as_string::<i32>().value(1), "ü");
    }

    /// Each tuple of these values, in their order.
    fn tuples() -> (KeyShape, Vec<ArrayRef>) {
        let mut all = Vec::new();
        for text in [Some(""), Some("\0"), Some("a"), Some("\u{10FFFF}"), None] {
            for number in [Some(i64::MIN), Some(-1), Some(i64::MAX), None] {
                for truth in [Some(false), Some(true), None] {
                    all.extend([Some(0), Some(i32::MAX), None].map(|days| (text, number, truth, days)));
                }
            }
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(all.iter().map(|tuple| tuple.0).collect::<StringArray>()),
            Arc::new(all.iter().map(|tuple| tuple.1).collect::<Int64Array>()),
            Arc::new(all.iter().map(|tuple| tuple.2).collect::<BooleanArray>()),
            Arc::new(all.iter().map(|tuple| tuple.3).collect::<Date32Array>()),
        ];
        let types = vec![DataType::Varchar, DataType::Bigint, DataType::Boolean, DataType::Date];
        (KeyShape::new(types).unwrap(), columns)
    }

    #[test]
    fn keys_with_null_differ_from_all_others_and_come_back() {
        let (shape, columns) = tuples();
        let keys = shape.encode(&columns);
        let different: std::collections::BTreeSet<&[u8]> = keys.iter().flatten().collect();
        assert_eq!(different.len(), 5 * 4 * 3 * 3);
        for (column, back) in columns.iter().zip(shape.decode(&keys)) {
            assert_eq!(&back.to_data(), &column.to_data());
        }
    }

    #[test]
    fn null_changes_nothing_about_the_keys_beside_it() {
        let (shape, columns) = tuples();
        let keys = shape.encode(&columns);
        for row in (0..keys.len()).filter(|row| columns.iter().all(|column| column.is_valid(*row))) {
            let alone: Vec<ArrayRef> = columns.iter().map(|column| column.slice(row, 1)).collect();
            assert_eq!(shape.encode(&alone).value(0), keys.value(row));
        }
    }

    #[test]
    fn a_text_that_is_null_is_no_text_and_stands_behind_all() {
        let shape = KeyShape::new(vec![DataType::Varchar]).unwrap();
        let texts = StringArray::from(vec![Some(""), Some("null"), Some("\u{10FFFF}"), None]);
        let keys = shape.encode(&[Arc::new(texts.clone()) as ArrayRef]);
        assert!(keys.iter().is_sorted());
        assert_eq!(shape.decode(&keys)[0].as_string::<i32>(), &texts);
        // A part of them, without the one that is no UTF-8.
        assert_eq!(shape.decode(&keys.slice(0, 2))[0].as_string::<i32>(), &texts.slice(0, 2));
    }

    #[test]
    fn every_shard_belongs_to_one_worker_and_every_worker_has_some() {
        for peers in [1, 2, 3, 7, 1024] {
            let mut workers: Vec<usize> = (0..1024).map(|s| Shard(s).worker(1024, peers)).collect();
            workers.dedup();
            assert_eq!(workers, (0..peers).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_double_is_refused_as_a_key() {
        assert_eq!(KeyShape::new(vec![DataType::Double]), Err(KeyShapeError::Type(DataType::Double)));
    }
}
