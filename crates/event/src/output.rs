//! What goes to a sink, with its place in the canonical order.

use serde::{Deserialize, Serialize};

use crate::{Capped, Watermark};

/// Ordinal of a sink among the job's sinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SinkId(pub u16);

/// Place of a row in the canonical order of an output, which is the same for any number of workers.
///
/// The fields stand in the order in which they are compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Due {
    /// Event time at which it is due: a window's end less one, or the `seen` of the record that caused it.
    pub due: i64,
    /// 0: driven by the watermark. 1: driven by a record.
    pub class: u8,
    /// Ordinal of the operator that made it.
    pub operator: u16,
    /// End of its window.
    pub window_end: i64,
    /// Start of its window.
    pub window_start: i64,
    /// Encoded key.
    #[serde(with = "serde_key")]
    pub key: Vec<u8>,
    /// Rank of its rule among the job's rules by name.
    pub rule: u16,
    /// Sequence or revision within the key.
    pub sequence: u64,
}

/// Where a record stands among all that a job reads, in an order that is the same for any number of workers:
/// what records cause goes out in it.
///
/// Lanes of a file are ordered by their offsets and not by their numbers: while the watermarks of all of them
/// stand still, as where nothing fits, what a lane of a high number causes would wait, in memory, for those of
/// low numbers to end.
///
/// A partition's places only grow, so that the least of the places where the partitions go on bounds all
/// that is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Its partition's watermark just before it.
    pub seen: Watermark,
    /// Ordinal of the first of the partitions that share one sequence of offsets, as the lanes of a file do.
    pub series: u32,
    /// Its offset in that sequence.
    pub offset: u64,
}

impl Place {
    /// Behind every record: where a finished partition goes on.
    pub const END: Place = Place { seen: Watermark::FINISHED, series: u32::MAX, offset: u64::MAX };

    /// Before every record that is read when the watermark has come so far.
    pub fn first_at(seen: Watermark) -> Place {
        Place { seen, series: 0, offset: 0 }
    }
}

impl From<Place> for Due {
    /// The place of what a record causes by itself.
    fn from(place: Place) -> Due {
        Due {
            due: place.seen.0,
            class: 1,
            operator: 0,
            window_end: 0,
            window_start: 0,
            key: place.series.to_be_bytes().to_vec(),
            rule: 0,
            sequence: place.offset,
        }
    }
}

/// One row for one sink: where it stands, and its bytes without a line end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OutputRow {
    /// Its place.
    pub due: Due,
    /// Which sink.
    pub sink: SinkId,
    /// What is written.
    #[serde(with = "serde_key")]
    pub line: Vec<u8>,
    /// What a cap is to know of it, if one is to be asked.
    pub capped: Option<Box<Capped>>,
}

/// Bytes as one run rather than element by element.
mod serde_key {
    use std::fmt;

    use serde::de::{SeqAccess, Visitor};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u8>, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(bytes)
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}
