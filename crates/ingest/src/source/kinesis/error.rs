//! Why a stream of Kinesis cannot be read, or not be read on.

use std::time::Duration;

/// Why a stream of Kinesis cannot be read, or not be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KinesisError {
    /// The program was built without this kind of source.
    #[error("source {name}: this program was built without the feature `kinesis`")]
    NotBuilt {
        /// The source or its stream.
        name: String,
    },
    /// The service says no.
    #[error("Kinesis refuses to let {what} be read: {words}")]
    Refused {
        /// The stream or the shard.
        what: String,
        /// What it said.
        words: String,
    },
    /// The service has been away for too long.
    #[error("{what} could not be read for {:.1} s: {words}", after.as_secs_f64())]
    Unavailable {
        /// The stream or the shard.
        what: String,
        /// How long it was tried.
        after: Duration,
        /// What was said last.
        words: String,
    },
    /// The stream no longer holds the place where the job is to go on.
    #[error(
        "{what} does not hold record {sequence} any more, behind which this job goes on: what came between it and the \
         oldest record that is left may be lost"
    )]
    Expired {
        /// The shard.
        what: String,
        /// The sequence number.
        sequence: String,
    },
    /// The shard that is to be read on is no longer a part of the stream, or the stream is gone.
    #[error("{what}, of which this job has not read all, is not there any more: {words}")]
    Gone {
        /// The shard.
        what: String,
        /// What the service said.
        words: String,
    },
    /// An id that is not that of a shard.
    #[error("{stream} has a shard {shard:?}, whose id has no number")]
    ShardId {
        /// The stream.
        stream: String,
        /// The id.
        shard: String,
    },
    /// The service does not say what time it is.
    #[error(
        "the server of {stream} does not say what time it is, so that nobody knows where the stream ends"
    )]
    NoClock {
        /// The stream.
        stream: String,
    },
}

impl KinesisError {
    /// Whether the config or the state is refused, rather than that a run failed.
    pub(crate) fn is_refusal(&self) -> bool {
        !matches!(self, Self::Unavailable { .. })
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::NotBuilt { .. } => "build it with `--features kinesis`, or with `--features full`",
            Self::Refused { .. } => {
                "see that the stream is there, in this region, and that these credentials may read it"
            }
            Self::Unavailable { .. } => "nothing is lost: the same command goes on from the last checkpoint",
            Self::Expired { .. } => {
                "start afresh with an empty state directory and output, and let the stream keep its records for longer"
            }
            Self::Gone { .. } => {
                "a stream forgets a closed shard with its last record, so what this job had not read of it is lost: start \
                 afresh with an empty state directory and output, and let the stream keep its records for longer"
            }
            Self::ShardId { .. } | Self::NoClock { .. } => "set `endpoint` to a server that does as Amazon's",
        }
    }
}
