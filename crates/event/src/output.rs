//! What goes to a sink, with its place in the canonical order.

use serde::{Deserialize, Serialize};

/// Ordinal of a sink among the job's sinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SinkId(pub u16);

/// Place of a row in the canonical order of an output, which is the same for any number of workers.
///
/// The fields stand in the order in which they are compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Due {
    /// Event time at which it is due: a window's end less one.
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
