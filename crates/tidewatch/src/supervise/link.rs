//! What the supervisor and the process that it started tell one another: lines of JSON over a socket.
//!
//! The socket is the child's standard input: a job that is supervised keeps state, so no source of it reads
//! standard input. Its end tells each of the two that the other has gone.

use std::io::{self, BufRead, BufReader, Write};
use std::ops::Range;
use std::os::unix::net::UnixStream;

use dataflow::{ReadPartition, Receiving, Suspect};
use serde::{Deserialize, Serialize};

/// Variable that tells a process that it is supervised, and what it is to do.
pub(crate) const VARIABLE: &str = "TIDEWATCH_SUPERVISED";

/// What a child is started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// Process id of the supervisor.
    pub(crate) parent: u32,
    /// Worker threads.
    pub(crate) workers: u32,
    /// Whether this is a start over: then it goes on from the newest checkpoint, whatever the command says.
    pub(crate) again: bool,
    /// Whether the job's processes have run together before, since the command was given.
    pub(crate) have_met: bool,
    /// File for notes of what is in hand. The child removes its name.
    pub(crate) notes: std::path::PathBuf,
    /// Partitions and offsets of which one may be poison.
    pub(crate) suspects: Vec<(u32, Range<u64>)>,
}

impl Orders {
    pub(crate) fn suspects(&self) -> Vec<Suspect> {
        let suspects = self.suspects.iter().cloned();
        suspects.map(|(partition, offsets)| Suspect { partition, offsets }).collect()
    }
}

/// What a child tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Message {
    /// Several times a second.
    Beat(Beat),
    /// Why the run has failed, for people.
    Failed(String),
    /// The run has ended, and the process is about to.
    Ended(Ending),
}

/// How a run has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    /// There is nothing to go on with: the input was read to its end, or nobody wants the output.
    Finished,
    /// It was told to stop.
    Drained,
    /// It failed.
    Failed,
    /// Another process of the job has died, or is there and not ready.
    Bereft,
    /// Another process of the job did not come, and perhaps never will.
    Alone,
    /// Another process of the job was there before and has not come back.
    Forsaken,
    /// A thread of the process panicked.
    Panicked,
    /// It failed, and to start again makes no sense.
    Hopeless,
}

impl Ending {
    /// Whether another process of the job has caused it: by its death, its state or its absence.
    pub(crate) fn is_by_others(self) -> bool {
        matches!(self, Ending::Bereft | Ending::Alone | Ending::Forsaken)
    }
}

/// Signs of life.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Beat {
    /// When reading began and stopped, in microseconds of the clock.
    pub(crate) reading_at: Option<u64>,
    pub(crate) stopped_at: Option<u64>,
    /// How long it took to load the state, in microseconds.
    pub(crate) load_us: u64,
    /// Checkpoint that it goes on from, and the newest that is committed.
    pub(crate) from: Option<u32>,
    pub(crate) committed: Option<u32>,
    /// For how long some worker has not moved, and the frontier has not moved, in milliseconds.
    pub(crate) still_ms: u64,
    pub(crate) stuck_ms: u64,
    /// How far the job is.
    pub(crate) read: u64,
    pub(crate) windows: u64,
    pub(crate) alerts: u64,
    pub(crate) quarantined: u64,
    /// What windows hold.
    pub(crate) keys: u64,
    pub(crate) state_bytes: u64,
    /// The partitions that it reads.
    pub(crate) partitions: Vec<ReadPartition>,
    /// The sinks with a receiver that may be away.
    pub(crate) receiving: Vec<Receiving>,
    /// The global watermark in microseconds since 1970, once there is one.
    pub(crate) watermark: Option<i64>,
}

/// Asks a child to drain: the only thing that it is ever told.
pub(crate) const DRAIN: &str = "drain";

/// Writes a line.
///
/// # Errors
/// If the other is gone.
pub(crate) fn write(mut socket: &UnixStream, line: &impl Serialize) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    socket.write_all(&bytes)
}

/// Hands each line that is understood to `take`, until the other is gone.
pub(crate) fn read<T: serde::de::DeserializeOwned>(socket: UnixStream, mut take: impl FnMut(T)) {
    for line in BufReader::new(socket).lines() {
        let Ok(line) = line else { return };
        if let Ok(value) = serde_json::from_str(&line) {
            take(value);
        }
    }
}
