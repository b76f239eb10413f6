//! Topics of Apache Kafka: each partition of the topic is one of the source, each message one record.
//!
//! Partitions are assigned by us and their offsets are in our checkpoints; there is no group, and nothing is committed to
//! the brokers. `lookup` asks which partitions there are and where they begin and end, `client` is the one connection
//! of a process to a topic, `room` says how much it may hold, `partition` reads one partition over it.

mod client;
mod lookup;
mod meta;
mod partition;
mod room;

use event::Topic;

use super::position::{Origin, Position};
use super::{Isolation, PartitionInfo};
use crate::IngestError;

pub(super) use lookup::{Lookup, partitions};
pub(super) use partition::KafkaPartition;

/// A topic as a source reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    /// Name of the source, for what is said.
    pub(super) source: String,
    pub(super) topic: Topic,
    pub(super) isolation: Isolation,
    /// Bytes of messages that wait to be read, about.
    pub(super) queue_bytes: u64,
}

impl Reading {
    pub(super) fn of(source: &str, topic: &Topic, isolation: Isolation, queue_bytes: u64) -> Self {
        Reading { source: source.to_owned(), topic: topic.clone(), isolation, queue_bytes }
    }

    /// How messages call it.
    fn name(&self) -> String {
        format!("source `{}`: {}", self.source, self.topic)
    }

    /// The settings of its clients: what may be changed, what is, and what is fixed.
    fn settings(
        &self,
        defaults: &[(&str, &str)],
        fixed: &[(&str, &str)],
    ) -> Result<rdkafka::ClientConfig, IngestError> {
        let level = match self.isolation {
            Isolation::ReadCommitted => "read_committed",
            Isolation::ReadUncommitted => "read_uncommitted",
        };
        let always = [("isolation.level", level), ("auto.offset.reset", "error")];
        let fixed: Vec<(&str, &str)> = always.iter().chain(fixed).copied().collect();
        let defaults: Vec<(&str, &str)> = DEFAULTS.iter().chain(defaults).copied().collect();
        kafka::settings(&self.topic, &defaults, &fixed).map_err(|error| {
            let (kafka::SettingsError::File(words) | kafka::SettingsError::Refused(words)) = error;
            IngestError::Refused { name: self.name(), words }
        })
    }

    fn id_of(&self, number: u32) -> String {
        format!("{}/{number}", self.topic.name)
    }

    fn info(&self, number: u32, start: Position) -> PartitionInfo {
        PartitionInfo { id: self.id_of(number), number, series: number, start, parents: Vec::new() }
    }
}

/// What an option of the config may change.
const DEFAULTS: &[(&str, &str)] = &[
    ("client.id", "tidewatch"),
    // Pauses between attempts to connect, which the library makes random by up to a quarter.
    ("reconnect.backoff.ms", "100"),
    ("reconnect.backoff.max.ms", "10000"),
    ("socket.keepalive.enable", "true"),
];

/// The number of a partition as the library has it.
fn index(number: u32) -> i32 {
    // What it has named was one of its own numbers.
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// An offset that the brokers named; they are not negative.
fn offset(raw: i64) -> u64 {
    u64::try_from(raw).unwrap_or(0)
}

/// The place of a message.
fn position(offset: u64, cluster: &str, end: u64) -> Position {
    Position { offset, origin: Origin::Kafka { cluster: cluster.to_owned(), end } }
}
