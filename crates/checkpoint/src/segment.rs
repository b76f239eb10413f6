//! A segment: a file of state that one operator holds on one worker, one block per shard.

use event::Shard;
use serde::{Deserialize, Serialize};

/// Whose state a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Operator {
    /// Keyed windows.
    Window,
    /// What sinks are to be given.
    Outbox,
}

/// Where the state of one shard lies in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Of which shard.
    pub shard: Shard,
    /// First byte in the file.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
}

/// A file of blocks, as a manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// File name inside the store.
    pub name: String,
    /// Whose state it holds.
    pub operator: Operator,
    /// Shard and length of its blocks, one behind the other; each has a header and a checksum of its own.
    parts: Vec<(Shard, u64)>,
}

impl Segment {
    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.parts.iter().map(|(_, length)| length).sum()
    }

    /// Its blocks, in the order of the file.
    pub fn blocks(&self) -> impl Iterator<Item = Block> {
        self.parts.iter().scan(0, |end, (shard, length)| {
            let offset = *end;
            *end += length;
            Some(Block { shard: *shard, offset, length: *length })
        })
    }
}

/// Puts blocks one after the other.
#[derive(Debug)]
pub struct SegmentBuilder {
    operator: Operator,
    bytes: Vec<u8>,
    parts: Vec<(Shard, u64)>,
}

impl SegmentBuilder {
    /// An empty segment of an operator.
    pub fn new(operator: Operator) -> Self {
        SegmentBuilder { operator, bytes: Vec::new(), parts: Vec::new() }
    }

    /// Adds the encoded state of one shard.
    pub fn push(&mut self, shard: Shard, block: &[u8]) {
        self.parts.push((shard, block.len() as u64));
        self.bytes.extend_from_slice(block);
    }

    /// The bytes to write, and how a manifest names them.
    pub fn finish(self, name: String) -> (Segment, Vec<u8>) {
        (Segment { name, operator: self.operator, parts: self.parts }, self.bytes)
    }
}
