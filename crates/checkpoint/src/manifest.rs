//! What makes a checkpoint: the manifest, which names every part of it.

use event::{CapState, Counts, OutputRow, Watermark};
use serde::{Deserialize, Serialize};

use crate::Segment;

/// A committed checkpoint. It exists from the moment its file does, and is never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Number of the interval that it ends; counts up from 0.
    pub number: u32,
    /// The checkpoint that it follows, as a rule the number before; none if the job began there.
    pub follows: Option<u32>,
    /// Which start of the job committed it; counts up from 1.
    pub generation: u64,
    /// Which start of the job began from nothing what this goes on with.
    pub born: u64,
    /// Number of workers of that generation.
    pub peers: u32,
    /// Whether it changes nothing: a generation begins with such a checkpoint, so that nobody of an older
    /// one can commit any more.
    pub fence: bool,
    /// Microseconds since 1970 by the clock of the machine that committed it; for people.
    pub committed_at: i64,
    /// The job's name.
    pub job: String,
    /// What may not change under the state: names and canonical values.
    pub identity: Vec<(String, String)>,
    /// Into how many shards the key space is cut, for the life of the state.
    pub shards: u32,
    /// The segments of all workers.
    pub segments: Vec<Segment>,
    /// The partitions, in their order.
    pub sources: Vec<SourceState>,
    /// The global watermark that the windows have applied.
    pub watermark: Watermark,
    /// Rows for sinks whose turn in the canonical order has not come.
    pub held: Vec<OutputRow>,
    /// What caps know of the sinks of alerts, numbered as there.
    pub capped: Vec<CapState>,
    /// Totals since the job was first started.
    pub counts: Counts,
    /// All sinks, in the order that numbers in `held` and in the outbox mean.
    pub sinks: Vec<SinkState>,
    /// Whether the input is finished and everything was put out.
    pub finished: bool,
}

/// A partition at the cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceState {
    /// The name of its source in the config.
    pub source: String,
    /// The partition's own name.
    pub partition: String,
    /// Its number in its source.
    pub number: u32,
    /// The numbers of those that it goes on from.
    pub parents: Vec<u32>,
    /// Where to read on; encoded by the source.
    pub position: Vec<u8>,
    /// Its watermark.
    pub watermark: Watermark,
    /// Whether it is read, and counts for the global watermark.
    pub stage: Stage,
    /// Where in it which event times lie, roughly; encoded by whoever reads it. Empty if nothing was read.
    pub index: Vec<u8>,
}

/// What becomes of a partition at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// It waits for the end of those that it goes on from.
    Unborn,
    /// It is read.
    Awake,
    /// Nothing had come of it for so long that the others went on without it.
    Asleep,
    /// Nothing will come any more.
    Finished,
}

/// A sink at the cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SinkState {
    /// The sink's name in the config.
    pub name: String,
    /// What it writes to.
    pub target: String,
    /// Bytes delivered before this checkpoint; none for a sink that delivers at once, which nobody counts.
    pub start: Option<u64>,
    /// Bytes that this checkpoint delivers, which are in its outbox.
    pub length: u64,
}
