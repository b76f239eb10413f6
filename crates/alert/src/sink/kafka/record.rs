//! The record of what a topic was given: the offset that a group of the sink's own has committed for the first partition
//! of the topic, which is the checkpoint's number, with the rest as its metadata.
//!
//! Written in the same transaction as the lines. The brokers keep it as long as they keep offsets of groups without
//! members (`offsets.retention.minutes`, a week unless set).

use std::time::Duration;

use event::Topic;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use crate::sink::database::Failure;
use crate::sink::ledger::Delivered;

/// The first word of the metadata: what wrote it, and how.
const MARK: &str = "tidewatch1";

/// Which records count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// The last one; a transaction that may hold another one is waited for.
    Settled,
    /// The last one that was committed, whatever is still to be decided.
    Committed,
}

pub(super) struct Records {
    topic: String,
    consumer: BaseConsumer,
}

impl Records {
    /// `group` is the name of the group.
    pub(super) fn open(topic: &Topic, group: &str, asked: Asked) -> Result<Self, Failure> {
        let isolation = match asked {
            Asked::Settled => "read_committed",
            Asked::Committed => "read_uncommitted",
        };
        let fixed = [
            ("group.id", group),
            ("enable.auto.commit", "false"),
            // Of offsets too it says whether to wait for transactions that are still to be decided.
            ("isolation.level", isolation),
        ];
        let settings = kafka::settings(topic, &[("client.id", "tidewatch")], &fixed).map_err(refused)?;
        let consumer = settings.create().map_err(|error| Failure::Refused(kafka::words(&error)))?;
        Ok(Records { topic: topic.name.clone(), consumer })
    }

    /// The record; of nothing if there is none.
    pub(super) fn read(&self, within: Duration) -> Result<Delivered, Failure> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&self.topic, 0);
        let found = self.consumer.committed_offsets(asked, within).map_err(|error| failure(&error))?;
        let Some(element) = found.find_partition(&self.topic, 0) else { return Ok(Delivered::default()) };
        element.error().map_err(|error| failure(&error))?;
        match element.offset() {
            Offset::Offset(number) => read(number, element.metadata()),
            _ => Ok(Delivered::default()),
        }
    }

    /// Its group, as transactions name it.
    pub(super) fn group(&self) -> Result<ConsumerGroupMetadata, Failure> {
        let none = || Failure::Failed("the client has no group".to_owned());
        self.consumer.group_metadata().ok_or_else(none)
    }
}

/// The offsets that are the record.
pub(super) fn offsets_of(topic: &str, record: Delivered) -> Result<TopicPartitionList, KafkaError> {
    let mut offsets = TopicPartitionList::new();
    let mut element = offsets.add_partition(topic, 0);
    element.set_offset(Offset::Offset(i64::from(record.number)))?;
    element.set_metadata(write(record));
    Ok(offsets)
}

fn write(record: Delivered) -> String {
    let Delivered { generation, bytes, digest, .. } = record;
    format!("{MARK} {generation} {bytes} {digest}")
}

fn read(number: i64, metadata: &str) -> Result<Delivered, Failure> {
    let words: Vec<&str> = metadata.split(' ').collect();
    let record = || {
        let [MARK, generation, bytes, digest] = words[..] else { return None };
        Some(Delivered {
            number: u32::try_from(number).ok()?,
            generation: generation.parse().ok()?,
            bytes: bytes.parse().ok()?,
            digest: digest.parse().ok()?,
        })
    };
    record().ok_or_else(|| {
        let words = "a group of that name has offsets of somebody else; set another `transactional_id`";
        Failure::Refused(words.to_owned())
    })
}

/// The settings that cannot be used.
pub(super) fn refused(error: kafka::SettingsError) -> Failure {
    let (kafka::SettingsError::File(words) | kafka::SettingsError::Refused(words)) = error;
    Failure::Refused(words)
}

fn failure(error: &KafkaError) -> Failure {
    match kafka::meaning(error) {
        kafka::Meaning::Passing => Failure::Away(kafka::words(error)),
        kafka::Meaning::Refused => Failure::Refused(kafka::words(error)),
        _ => Failure::Failed(kafka::words(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_what_others_wrote_is_refused() {
        let record = Delivered { number: 7, generation: 3, bytes: u64::MAX, digest: 9 };
        assert_eq!(read(7, &write(record)).unwrap(), record);
        for (number, metadata) in [(7, ""), (7, "tidewatch1 1 2"), (-1, "tidewatch1 1 2 3"), (7, "x 1 2 3")] {
            assert!(matches!(read(number, metadata), Err(Failure::Refused(_))), "{metadata}");
        }
    }
}
