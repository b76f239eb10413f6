//! Where a partition is to be read on, and of what. Goes into checkpoints.

use serde::{Deserialize, Serialize};

/// The place of the next record of a partition, and what identifies the bytes that it counts in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Bytes before the place where the next record is to be looked for, or the number that a topic gave it; of a stream of
    /// Kinesis it counts records, of Parquet rows. In a file all lanes count from its start, so that this also tells how far one is
    /// ahead of another.
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
    /// An archived partition.
    Archive {
        /// Offset behind its last record, as the archive was at the job's first start.
        end: u64,
    },
    /// A partition of a topic of Apache Kafka.
    Kafka {
        /// What the cluster calls itself.
        cluster: String,
        /// Where the partition ended at the job's first start.
        end: u64,
    },
    /// A journal of what was posted.
    Journal {
        /// The number that no other journal has; `None` before it was first opened: then from its first line on.
        identity: Option<u64>,
        /// Where it ends for this job, if it does.
        end: Option<u64>,
    },
    /// A shard of a stream of Kinesis.
    Kinesis(KinesisOrigin),
    /// A file that is one partition, as it was at the job's first start.
    Whole(WholeOrigin),
    /// A file that others still write to.
    Tail(TailOrigin),
    /// An object of an S3-compatible store, as it was when it was first seen.
    Object(ObjectOrigin),
    /// A file or object that is passed over: it was there before what the job is to begin with.
    Passed,
}

/// An object, as it was when it was first seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ObjectOrigin {
    /// Its length, of a packed one that of its own bytes.
    pub(super) length: u64,
    /// What the server knows its content by, if it says so.
    pub(super) e_tag: Option<String>,
}

/// A shard of a stream, and where it is read on. The offset beside it counts the records that were read of it since the
/// job's first start, those within aggregates each for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KinesisOrigin {
    /// The stream as the config names it.
    pub(super) stream: String,
    /// The least and the greatest hash key of the shard.
    pub(super) hash_keys: (u128, u128),
    pub(super) place: KinesisPlace,
    /// Where it ends for this job, if it does.
    pub(super) end: Option<KinesisEnd>,
    /// When all that there was had been read last, by the clock of the server, in milliseconds since 1970.
    pub(super) caught_up_at: Option<i64>,
    /// The numbers of the shards that go on from it, once it is closed and read to its end.
    pub(super) closed: Option<Vec<u32>>,
}

/// Where a shard is read on. Times are in milliseconds since 1970, by the clock of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum KinesisPlace {
    /// At the oldest record that there is.
    Horizon,
    /// At the first record that came at that time or later.
    Time(i64),
    /// Within the record of that sequence number: behind so many of those that are packed in it.
    Within { sequence: String, packed: u64, arrived: i64 },
    /// Behind the record of that sequence number.
    After { sequence: String, arrived: i64 },
}

/// Where a shard ends for a job that reads up to where it was when the job was first started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KinesisEnd {
    /// Records that came then or later, in milliseconds since 1970 by the clock of the server, are not read.
    pub(super) before: i64,
    /// The numbers of the shards that went on from it by then.
    pub(super) children: Vec<u32>,
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

    /// A place in a partition of an archive, whose records are read up to `end`.
    pub fn archived(offset: u64, end: u64) -> Self {
        Position { offset, origin: Origin::Archive { end } }
    }

    /// Where the archived partition ends in which this is a place; `None` if it is one in anything else.
    pub fn archive_end(&self) -> Option<u64> {
        match self.origin {
            Origin::Archive { end } => Some(end),
            _ => None,
        }
    }

    /// The only place in what is passed over.
    pub(super) fn passed() -> Self {
        Position { offset: 0, origin: Origin::Passed }
    }

    /// Whether this is in what is passed over.
    pub(super) fn is_passed(&self) -> bool {
        self.origin == Origin::Passed
    }

    /// The place of a later offset, where no more than that is needed to go there: in a topic and in a journal.
    pub fn moved_to(&self, offset: u64) -> Option<Self> {
        let is_known = matches!(self.origin, Origin::Kafka { .. } | Origin::Journal { .. });
        is_known.then(|| Position { offset, origin: self.origin.clone() })
    }

    /// The place of that offset in the same bytes; `None` where more than an offset is needed to go there.
    pub(super) fn at(&self, offset: u64) -> Option<Self> {
        matches!(self.origin, Origin::File(_)).then(|| Position { offset, origin: self.origin.clone() })
    }

    /// The place of that offset in the same topic; of anything else the same place.
    #[cfg(feature = "kafka")]
    pub(super) fn at_message(&self, offset: u64) -> Self {
        let is_topic = matches!(self.origin, Origin::Kafka { .. });
        Position { offset: if is_topic { offset } else { self.offset }, origin: self.origin.clone() }
    }
}
