//! Where a partition is to be read on, and of what. Goes into checkpoints.

use serde::{Deserialize, Serialize};

/// The place of the next record of a partition, and what identifies the bytes that it counts in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Bytes before the place where the next record is to be looked for. In a file all lanes count from its
    /// start, so that this also tells how far one is ahead of another.
    pub offset: u64,
    /// What is counted.
    pub(super) origin: Origin,
}

/// What identifies a source's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Origin {
    /// A file as it was at the job's first start.
    File(FileOrigin),
    /// Standard input.
    Stdin,
    /// The generator.
    Generate {
        /// Number of the next event among those of all lanes.
        index: u64,
        /// Hash of the settings that make the events what they are.
        settings: u64,
    },
    /// A file that is one partition, as it was at the job's first start.
    Whole(WholeOrigin),
    /// A file that others still write to.
    Tail(TailOrigin),
}

/// The file among those that had a path one after the other in which a position lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct TailOrigin {
    /// Offset of its first byte.
    pub(super) begin: u64,
    /// The disk on which it lies, and its number there.
    pub(super) device: u64,
    pub(super) inode: u64,
    /// How many of its first bytes are known, and their hash.
    pub(super) head_bytes: u64,
    pub(super) head: u64,
}

/// A file that is one partition, as it was at the job's first start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WholeOrigin {
    /// Its length, which stays the end for this job even if the file grows. Of a compressed file that of its
    /// own bytes, while positions count those that it unpacks to.
    pub(super) length: u64,
    /// Hash of its first bytes.
    pub(super) fingerprint: u64,
}

/// A file as it was at the job's first start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileOrigin {
    /// Its length, which stays the end for this job even if the file grows.
    pub(super) length: u64,
    /// Hash of its first bytes.
    pub(super) fingerprint: u64,
    /// Lanes that it is cut into.
    pub(super) lanes: u32,
    /// Bytes that are dealt to a lane at a time.
    pub(super) chunk_bytes: u64,
}

impl Position {
    /// A place in standard input, or in anything else that is one run of bytes.
    pub fn stdin(offset: u64) -> Self {
        Position { offset, origin: Origin::Stdin }
    }
}
