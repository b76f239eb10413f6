//! How the source that takes events in over HTTP is set up. Known to every build, also one that cannot open it.

use std::path::PathBuf;
use std::time::Duration;

use serve::ServeSpec;

/// Events that clients post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSpec {
    /// Where it listens, and who may come in.
    pub serve: ServeSpec,
    /// The journal's directory: what is in it was acknowledged. On a local disk of the process that listens.
    pub dir: PathBuf,
    /// Bytes of the journal beyond which clients are told to come again later.
    pub journal_bytes: u64,
    /// Which events are the same, if that is asked.
    pub dedup: Option<Dedup>,
    /// What a client may cost.
    pub limits: HttpLimits,
    /// Whether the job keeps checkpoints. Then the journal keeps what lies behind the last one; else what was not read.
    pub has_checkpoints: bool,
}

/// Which events are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dedup {
    /// Paths of the fields that are the id of an event together. An event of which one is missing, or is neither text
    /// nor a whole number, has none and is never a duplicate.
    pub fields: Vec<Vec<String>>,
    /// How many ids are remembered.
    pub last: usize,
}

/// What a client may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// Largest body as it is sent.
    pub body_bytes: usize,
    /// Largest body once it is decompressed.
    pub decompressed_bytes: usize,
    /// Longest time for each of: the body of a request, its way to the disk.
    pub timeout: Duration,
}
