//! What moves along the edges of the graph.

use arrow_array::{ArrayRef, BinaryArray};
use checkpoint::{Segment, SourceState};
use event::{Counts, OutputRow, Rejected, Watermark};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteBuf;

use crate::columns::{Reader, Writer};

/// Records of one partition on their way to one worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Parcel {
    /// The worker that holds their shards.
    pub(crate) to: u32,
    /// Ordinal of the partition.
    pub(crate) partition: u32,
    /// The records.
    pub(crate) content: Content,
}

/// Records in columns, or already as the bytes that go to another process.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Columns(Box<Columns>),
    Bytes(ByteBuf),
}

/// Records in columns, as the windows take them.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    pub(crate) keys: BinaryArray,
    pub(crate) hashes: Vec<u64>,
    pub(crate) times: Vec<i64>,
    /// Empty where nothing asks for them.
    pub(crate) offsets: Vec<u64>,
    pub(crate) inputs: Vec<ArrayRef>,
    /// For records behind their partition's watermark: that watermark, and their first bytes.
    pub(crate) behind: Option<Behind>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Behind {
    pub(crate) seen: Vec<i64>,
    pub(crate) raw: Vec<ByteBuf>,
}

impl Columns {
    fn write(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.keys(&self.keys);
        writer.numbers(self.hashes.iter().copied());
        writer.numbers(self.times.iter().map(|time| *time as u64));
        writer.numbers(self.offsets.iter().copied());
        writer.number(self.inputs.len() as u64);
        self.inputs.iter().for_each(|column| writer.column(column));
        if let Some(behind) = &self.behind {
            writer.numbers(behind.seen.iter().map(|seen| *seen as u64));
            for raw in &behind.raw {
                writer.number(raw.len() as u64);
                writer.bytes.extend_from_slice(raw);
            }
        }
        writer.bytes
    }

    fn read(bytes: &[u8]) -> Option<Columns> {
        let mut reader = Reader::new(bytes);
        let mut columns = Columns {
            keys: reader.keys()?,
            hashes: reader.numbers()?,
            times: signed(reader.numbers()?),
            offsets: reader.numbers()?,
            inputs: Vec::new(),
            behind: None,
        };
        for _ in 0..reader.number()? {
            columns.inputs.push(reader.column()?);
        }
        if !reader.is_done() {
            let seen = signed(reader.numbers()?);
            let raw = seen.iter().map(|_| reader.bytes().map(ByteBuf::from)).collect::<Option<_>>()?;
            columns.behind = Some(Behind { seen, raw });
        }
        Some(columns)
    }
}

fn signed(numbers: Vec<u64>) -> Vec<i64> {
    numbers.into_iter().map(|number| number as i64).collect()
}

impl Content {
    /// The records as bytes, once, instead of each time that they are measured and written.
    pub(crate) fn into_bytes(self) -> Content {
        match self {
            Content::Columns(columns) => Content::Bytes(ByteBuf::from(columns.write())),
            bytes @ Content::Bytes(_) => bytes,
        }
    }

    /// The records as columns; `None` if the bytes are not that.
    pub(crate) fn into_columns(self) -> Option<Columns> {
        match self {
            Content::Columns(columns) => Some(*columns),
            Content::Bytes(bytes) => Columns::read(&bytes),
        }
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Content::Columns(columns) => serializer.serialize_bytes(&columns.write()),
            Content::Bytes(bytes) => serializer.serialize_bytes(bytes),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <&serde_bytes::Bytes>::deserialize(deserializer)?;
        Columns::read(bytes)
            .map(|columns| Content::Columns(Box::new(columns)))
            .ok_or_else(|| D::Error::custom("not a parcel's columns"))
    }
}

/// How far a worker's partitions have come at the end of a tick.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Every worker gets one.
    pub(crate) to: u32,
    /// Whose partitions.
    pub(crate) from: u32,
    /// The least watermark among them.
    pub(crate) watermark: Watermark,
    /// Whether this is the worker's last mark before a cut.
    pub(crate) cut: bool,
    /// Whether the worker was asked to drain: then all are.
    pub(crate) drain: bool,
}

/// What goes to the one writer of sinks and keeper of counts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Item {
    Row(OutputRow),
    Rejected(Rejected),
    Counts(Counts),
}

/// A part of a checkpoint, once it is durable.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Part {
    /// The partitions of a worker at the cut, by ordinal.
    Sources(Vec<(u32, SourceState)>),
    /// A segment that was written.
    Segment(Segment),
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Array, BooleanArray};
    use std::sync::Arc;

    #[test]
    fn a_parcel_comes_back_through_bytes() {
        let inputs: Vec<ArrayRef> = vec![Arc::new(BooleanArray::from(vec![true, false]))];
        let columns = Columns {
            keys: BinaryArray::from(vec![&b"a"[..], b""]),
            hashes: vec![1, 2],
            times: vec![-5, 6],
            offsets: vec![],
            inputs,
            behind: Some(Behind { seen: vec![7, -8], raw: vec![ByteBuf::from("x"), ByteBuf::new()] }),
        };
        let parcel =
            Parcel { to: 1, partition: 2, content: Content::Columns(Box::new(columns.clone())).into_bytes() };
        let bytes = checkpoint::encode(checkpoint::Kind::Outbox, &parcel).unwrap();
        let back: Columns = Columns::read(match &parcel.content {
            Content::Bytes(bytes) => bytes,
            Content::Columns(_) => unreachable!(),
        })
        .unwrap();
        assert!(bytes.len() > 24);
        assert_eq!((back.keys.value(0), back.times, back.inputs[0].len()), (&b"a"[..], columns.times, 2));
        assert_eq!(back.behind.unwrap().seen, [7, -8]);
    }
}
