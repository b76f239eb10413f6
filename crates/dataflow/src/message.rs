//! What moves along the edges of the graph.

use std::ops::Range;

use archive::StagedFile;
use arrow_array::{Array, ArrayRef, BinaryArray};
use checkpoint::{Segment, SourceState};
use detect::Share;
use event::{Counts, OutputRow, Rejected, Rows, key_hash};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteBuf;

use crate::columns::{Reader, Writer};
use crate::question::{Answer, Asked, Question};
use crate::standing::Standing;

/// Records of one partition on their way to one worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Parcel {
    /// The worker that holds their shards.
    pub(crate) to: u32,
    /// Ordinal of the partition.
    pub(crate) partition: u32,
    /// Offsets of the block that they were read in: from the first up to behind the last.
    pub(crate) block: Range<u64>,
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
    /// What any branch reads, each column once.
    pub(crate) inputs: Vec<ArrayRef>,
    /// The watermark of their partition just before each. Empty where nothing asks for it: for records ahead of it,
    /// unless their order matters.
    pub(crate) seen: Vec<i64>,
    /// For records behind it: their first bytes.
    pub(crate) raw: Option<Vec<ByteBuf>>,
}

impl Columns {
    /// The records as bytes. Hashes are left out: to make them again costs less than to send them.
    fn write(&self) -> Vec<u8> {
        let rows = self.times.len();
        let mut writer = Writer::with_capacity(self.bytes_in_memory() + 64);
        writer.number(rows as u64);
        writer.numbers(&self.times);
        writer.keys(&self.keys);
        writer.number(self.inputs.len() as u64);
        self.inputs.iter().for_each(|column| writer.column(column));
        writer.flag(!self.offsets.is_empty());
        if !self.offsets.is_empty() {
            writer.numbers(&self.offsets.iter().map(|offset| *offset as i64).collect::<Vec<_>>());
        }
        writer.flag(!self.seen.is_empty());
        if !self.seen.is_empty() {
            writer.numbers(&self.seen);
        }
        writer.flag(self.raw.is_some());
        self.raw.iter().for_each(|raw| write_raw(&mut writer, raw));
        writer.bytes
    }

    /// Enough room for the bytes, short of the odd head of a column.
    fn bytes_in_memory(&self) -> usize {
        let inputs: usize = self.inputs.iter().map(|column| column.get_buffer_memory_size() + 16).sum();
        self.keys.get_buffer_memory_size()
            + inputs
            + 8 * (self.times.len() + self.offsets.len() + self.seen.len())
    }

    fn read(bytes: &[u8]) -> Option<Columns> {
        let mut reader = Reader::new(bytes);
        let rows = reader.number()?;
        // First, since each takes a byte or more: from here on `rows` is known to be no nonsense.
        let times = reader.numbers(rows)?;
        let keys = reader.keys(rows)?;
        let hashes = hashes(&keys);
        let inputs = (0..reader.number()?).map(|_| reader.column(rows)).collect::<Option<_>>()?;
        let offsets = if reader.flag()? { reader.numbers(rows)? } else { Vec::new() };
        let offsets: Vec<u64> = offsets.into_iter().map(|offset| offset as u64).collect();
        let seen = if reader.flag()? { reader.numbers(rows)? } else { Vec::new() };
        let raw = if reader.flag()? { Some(read_raw(&mut reader, rows)?) } else { None };
        // A record that may be late must have its offset and what it saw.
        let placed = offsets.len() == rows && seen.len() == rows;
        let whole = reader.is_done() && (placed || (raw.is_none() && seen.is_empty()));
        whole.then_some(Columns { keys, hashes, times, offsets, inputs, seen, raw })
    }
}

fn write_raw(writer: &mut Writer, raw: &[ByteBuf]) {
    writer.numbers(&raw.iter().map(|raw| raw.len() as i64).collect::<Vec<_>>());
    raw.iter().for_each(|raw| writer.bytes.extend_from_slice(raw));
}

fn read_raw(reader: &mut Reader<'_>, rows: usize) -> Option<Vec<ByteBuf>> {
    let lengths = reader.numbers(rows)?.into_iter();
    lengths.map(|length| reader.bytes(usize::try_from(length).ok()?).map(ByteBuf::from)).collect()
}

fn hashes(keys: &BinaryArray) -> Vec<u64> {
    let data = keys.value_data();
    let bounds = keys.value_offsets().array_windows();
    bounds.map(|[from, to]| key_hash(&data[*from as usize..*to as usize])).collect()
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
    /// Makes columns straight from the network's buffer. Bytes that are none stay what they are: who asks for
    /// columns learns it, while an error here would be a panic inside timely.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <&serde_bytes::Bytes>::deserialize(deserializer)?;
        Ok(match Columns::read(bytes) {
            Some(columns) => Content::Columns(Box::new(columns)),
            None => Content::Bytes(ByteBuf::from(bytes.to_vec())),
        })
    }
}

/// What the windows of a worker's keys give, in the order of epochs.
#[derive(Debug, Clone)]
pub(crate) enum Emitted {
    /// Rows.
    Rows(Box<Features>),
    /// All rows that are due before this were given. Only said where somebody follows them.
    Before(i64),
    /// What somebody asked about, as it stands behind these rows.
    Asked(Box<Asked>),
}

/// What a worker tells another of its rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Telling {
    /// Every worker gets one.
    pub(crate) to: u32,
    pub(crate) branch: u16,
    pub(crate) share: Share,
}

/// The windows have given so many messages when an interval ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given(pub(crate) u64);

/// Rows of closed windows, on the worker of their keys.
#[derive(Debug, Clone)]
pub(crate) struct Features {
    /// Whose windows they are.
    pub(crate) branch: usize,
    pub(crate) rows: Rows,
}

/// How far a worker's partitions have come at the end of a tick.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Every worker gets one.
    pub(crate) to: u32,
    /// Whose partitions.
    pub(crate) from: u32,
    /// How far they are.
    pub(crate) standing: Standing,
    /// Whether this is the worker's last mark before a cut.
    pub(crate) cut: bool,
    /// Whether the worker was asked to drain: then all are.
    pub(crate) drain: bool,
    /// What somebody wants to know of keys of that worker.
    pub(crate) questions: Vec<Question>,
}

/// What goes to the one writer of sinks and keeper of counts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Item {
    Row(OutputRow),
    Rejected(Rejected),
    Counts(Counts),
    /// For whoever has asked.
    Answer(Answer),
}

/// A part of a checkpoint, once it is durable.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Part {
    /// The partitions of a worker at the cut, by ordinal.
    Sources(Vec<(u32, SourceState)>),
    /// A segment that was written.
    Segment(Segment),
    /// Files of the archive that were staged.
    Archived(Vec<StagedFile>),
}

#[cfg(test)]
mod tests;
