//! A segment: a file of chunks of state, written once by one worker or one writer.

use bytes::Bytes;
use event::Shard;
use serde::{Deserialize, Serialize};

use crate::Frame;

/// Whose state a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Operator {
    /// Keyed windows, of the first branch of a job.
    Window,
    /// What sinks are to be given.
    Outbox,
    /// Keyed windows of a further branch, counted from 1.
    Branch(u16),
    /// The names of files of records that an archive is to show.
    Archive,
    /// Episodes of what the rules of that branch have found, counted from 0.
    Episodes(u16),
    /// What the detectors of that branch remember, counted from 0.
    Detectors(u16),
    /// What that branch knows of all its keys together, counted from 0: each worker holds the same, and one writes it.
    Models(u16),
    /// Rows of that branch, counted from 0, that are judged beside others and may be corrected.
    Rows(u16),
}

impl Operator {
    /// The windows of that branch, counted from 0.
    pub fn of_branch(branch: usize) -> Self {
        match u16::try_from(branch) {
            Ok(0) => Operator::Window,
            Ok(branch) => Operator::Branch(branch),
            Err(_) => Operator::Branch(u16::MAX),
        }
    }

    /// The branch whose windows they are, counted from 0.
    pub fn branch(self) -> Option<usize> {
        match self {
            Operator::Window => Some(0),
            Operator::Branch(branch) => Some(usize::from(branch)),
            _ => None,
        }
    }

    /// Episodes of that branch, counted from 0.
    pub fn episodes_of(branch: usize) -> Self {
        Operator::Episodes(u16::try_from(branch).unwrap_or(u16::MAX))
    }

    /// What the detectors of that branch remember, counted from 0.
    pub fn detectors_of(branch: usize) -> Self {
        Operator::Detectors(u16::try_from(branch).unwrap_or(u16::MAX))
    }

    /// What that branch knows of all its keys together, counted from 0.
    pub fn models_of(branch: usize) -> Self {
        Operator::Models(u16::try_from(branch).unwrap_or(u16::MAX))
    }

    /// Rows of that branch, counted from 0, that may be corrected.
    pub fn rows_of(branch: usize) -> Self {
        Operator::Rows(u16::try_from(branch).unwrap_or(u16::MAX))
    }

    /// Whether it is what workers know of keys, rather than what a checkpoint puts out.
    pub fn is_keyed(self) -> bool {
        !matches!(self, Operator::Outbox | Operator::Archive)
    }
}

/// Which worker wrote a segment, of how many: it holds keys of that worker's shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Writer {
    /// Index of the worker.
    pub worker: u32,
    /// Number of workers.
    pub peers: u32,
}

impl Writer {
    /// Whether it could hold keys that now belong to `worker` of `peers`.
    pub fn shares_with(self, worker: usize, peers: usize, shards: u32) -> bool {
        let wrote = |shard: &Shard| shard.worker(shards, self.peers as usize) == self.worker as usize;
        (0..shards).map(Shard).filter(wrote).any(|shard| shard.worker(shards, peers) == worker)
    }
}

/// A chunk of a segment, as a manifest names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// What it holds; says the operator.
    pub label: i64,
    /// Number of bytes.
    pub length: u64,
    /// The checksum that its header has.
    pub checksum: u64,
    /// Whether this checkpoint needs it: a later chunk may hold all that it says.
    pub live: bool,
}

/// A file of chunks, as a manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// File name inside the store.
    pub name: String,
    /// Whose state it holds.
    pub operator: Operator,
    /// Who wrote it.
    pub writer: Writer,
    /// Its chunks, one behind the other.
    pub chunks: Vec<Chunk>,
}

impl Segment {
    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.length).sum()
    }

    /// Its chunks that are needed, each with the place of its first byte.
    pub fn live(&self) -> impl Iterator<Item = (u64, Chunk)> {
        let places = self.chunks.iter().scan(0, |end, chunk| {
            let offset = *end;
            *end += chunk.length;
            Some((offset, *chunk))
        });
        places.filter(|(_, chunk)| chunk.live)
    }
}

/// Puts chunks one after the other.
#[derive(Debug)]
pub struct SegmentBuilder {
    operator: Operator,
    writer: Writer,
    pieces: Vec<Bytes>,
    chunks: Vec<Chunk>,
}

impl SegmentBuilder {
    /// An empty segment.
    pub fn new(operator: Operator, writer: Writer) -> Self {
        SegmentBuilder { operator, writer, pieces: Vec::new(), chunks: Vec::new() }
    }

    /// Adds a chunk.
    pub fn push(&mut self, label: i64, frame: Frame) {
        self.chunks.push(Chunk { label, length: frame.length(), checksum: frame.checksum(), live: true });
        self.pieces.extend(frame.into_pieces());
    }

    /// Whether it has no chunk.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The bytes to write, in pieces, and how a manifest names them.
    pub fn finish(self, name: String) -> (Segment, Vec<Bytes>) {
        let segment = Segment { name, operator: self.operator, writer: self.writer, chunks: self.chunks };
        (segment, self.pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_reads_the_segments_of_those_that_held_its_shards() {
        let of = |worker, peers| Writer { worker, peers };
        assert!(of(0, 1).shares_with(3, 4, 1024));
        assert!(of(0, 2).shares_with(1, 4, 1024));
        assert!(!of(0, 2).shares_with(2, 4, 1024));
        assert!(of(1, 3).shares_with(0, 2, 1024) && of(1, 3).shares_with(1, 2, 1024));
        assert!(!of(5, 7).shares_with(0, 7, 1024));
    }
}
