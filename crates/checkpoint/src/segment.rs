//! A segment: what one worker holds at a cut, one block per operator and shard.

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

/// Where the state of one operator and shard lies in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Whose it is.
    pub operator: Operator,
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
    /// Its length in bytes.
    pub length: u64,
    /// Its blocks, each with a header and a checksum of its own.
    pub blocks: Vec<Block>,
}

/// Puts blocks one after the other.
#[derive(Debug, Default)]
pub struct SegmentBuilder {
    bytes: Vec<u8>,
    blocks: Vec<Block>,
}

impl SegmentBuilder {
    /// Adds the encoded state of one operator and shard.
    pub fn push(&mut self, operator: Operator, shard: Shard, block: &[u8]) {
        let (offset, length) = (self.bytes.len() as u64, block.len() as u64);
        self.blocks.push(Block { operator, shard, offset, length });
        self.bytes.extend_from_slice(block);
    }

    /// The bytes to write, and how a manifest names them.
    pub fn finish(self, name: String) -> (Segment, Vec<u8>) {
        (Segment { name, length: self.bytes.len() as u64, blocks: self.blocks }, self.bytes)
    }
}
