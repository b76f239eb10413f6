//! One partition of a topic, read from its queue.
//!
//! Between the messages of a partition there may be offsets without one: those of transactions that were given up, of
//! messages that were compacted away, and of the marks at the end of transactions. So the end is never found by counting:
//! the brokers say that it is reached.

use std::sync::Arc;
use std::time::Duration;

use kafka::Meaning;
use rdkafka::Message;
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;

use super::super::position::{Origin, Position};
use super::super::{End, Lag, Partition, PartitionInfo, Poll, Waker};
use super::client::{Client, Queue, Seen};
use super::meta::Meta;
use super::{Reading, position};
use crate::{Caution, Decoder, IngestError, Messages, Piece};

/// Bytes of messages that are decoded together, about.
const PIECE_BYTES: usize = 1 << 20;
/// Messages that are taken together at most, those without a value included: a poll is short whatever comes.
const PIECE_MESSAGES: usize = 8192;

/// A partition of a topic.
pub(in crate::source) struct KafkaPartition {
    id: String,
    name: String,
    number: u32,
    cluster: String,
    /// Where it ended when the job was first started.
    first_end: u64,
    /// Whether it is read only up to there.
    ends: bool,
    /// Offset behind the last message that was taken from the queue.
    next: u64,
    /// Whether the brokers have said that there is no more, and nothing came since.
    at_end: bool,
    /// Whether it is no longer read.
    over: bool,
    /// Messages that were taken and not decoded yet.
    piece: Option<Piece>,
    /// What is to be put into records.
    meta: Option<Meta>,
    decoder: Decoder,
    queue: Queue,
    seen: Arc<Seen>,
    client: Arc<Client>,
}

/// What is in the queue.
enum Taken {
    Message,
    /// The end of what there is by now.
    End,
    Nothing,
}

impl KafkaPartition {
    /// Opens a partition where it starts or at a position that it once had.
    pub(in crate::source) fn open(
        reading: &Reading,
        end: End,
        info: &PartitionInfo,
        resume: Option<&Position>,
        decoder: Decoder,
    ) -> Result<Self, IngestError> {
        let from = resume.unwrap_or(&info.start);
        let Position { offset, origin: Origin::Kafka { cluster, end: first_end } } = from else {
            return Err(IngestError::Kind { name: reading.name() });
        };
        let client = Client::shared(reading)?;
        if cluster != client.cluster() {
            let (name, wanted, found) = (reading.name(), cluster.clone(), client.cluster().to_owned());
            return Err(IngestError::Setting { setting: "the id of the cluster", name, wanted, found });
        }
        let (queue, seen) = client
            .assign(info.number, *offset)
            .map_err(|error| IngestError::Away { name: reading.name(), words: kafka::words(&error) })?;
        Ok(KafkaPartition {
            id: info.id.clone(),
            name: reading.name(),
            number: info.number,
            cluster: cluster.clone(),
            first_end: *first_end,
            ends: end == End::Latest,
            next: *offset,
            at_end: false,
            over: false,
            piece: None,
            meta: Meta::of(decoder.spec()),
            decoder,
            queue,
            seen,
            client,
        })
    }

    /// Offset behind the last message that was given.
    fn offset(&self) -> u64 {
        self.piece.as_ref().map_or(self.next, Piece::offset)
    }

    /// Whether there is nothing more that is to be read.
    fn is_over(&self) -> bool {
        self.ends && self.next >= self.first_end
    }

    /// Takes messages out of the queue, as many as are there and may be decoded together.
    fn gather(&mut self, records_max: usize) -> Result<Messages, IngestError> {
        let mut messages = Messages::default();
        let mut taken = 0;
        while messages.len() < records_max
            && taken < PIECE_MESSAGES
            && messages.bytes() < PIECE_BYTES
            && !self.is_over()
        {
            taken += 1;
            match self.take(&mut messages)? {
                Taken::Message => self.at_end = false,
                Taken::End => {
                    // Whatever its end was at the first start, it is reached: ends do not go back.
                    self.at_end = true;
                    if self.ends {
                        self.next = self.next.max(self.first_end);
                    }
                    self.seen.hear();
                    break;
                }
                Taken::Nothing => break,
            }
        }
        Ok(messages)
    }

    fn take(&mut self, messages: &mut Messages) -> Result<Taken, IngestError> {
        match self.queue.poll(Duration::ZERO) {
            None => Ok(Taken::Nothing),
            Some(Ok(message)) => {
                let offset = super::offset(message.offset());
                // What came after the first start is not for a job that ends.
                if !(self.ends && offset >= self.first_end) {
                    push(messages, self.meta.as_ref(), &message, offset);
                }
                self.next = offset + 1;
                Ok(Taken::Message)
            }
            Some(Err(KafkaError::PartitionEOF(_))) => Ok(Taken::End),
            Some(Err(error)) => match kafka::meaning(&error) {
                Meaning::Lost => Err(IngestError::Lost {
                    partition: self.id.clone(),
                    offset: self.next,
                    oldest: self.client.oldest(self.number),
                }),
                Meaning::Refused => {
                    Err(IngestError::Refused { name: self.name.clone(), words: kafka::words(&error) })
                }
                Meaning::Passing | Meaning::Fenced | Meaning::Other => {
                    self.client.away(&kafka::words(&error));
                    Ok(Taken::Nothing)
                }
            },
        }
    }
}

/// One message is one record; one without a value is none.
fn push(messages: &mut Messages, meta: Option<&Meta>, message: &BorrowedMessage<'_>, offset: u64) {
    let Some(value) = message.payload() else { return };
    match meta {
        Some(meta) => messages.push(&meta.record(message, value), offset),
        None => messages.push(value, offset),
    }
}

impl Partition for KafkaPartition {
    fn poll(&mut self, records_max: usize) -> Result<Poll, IngestError> {
        let piece = match self.piece.take() {
            Some(piece) => piece,
            None => {
                let (before, messages) = (self.next, self.gather(records_max)?);
                if messages.is_empty() {
                    if self.is_over() {
                        self.leave();
                        return Ok(Poll::Finished);
                    }
                    return Ok(match () {
                        // Only messages without a value: there may be more at once.
                        () if self.next > before && !self.at_end => Poll::Decoded(self.nothing()),
                        () if self.at_end && self.seen.is_heard() => Poll::CaughtUp,
                        () => Poll::Pending,
                    });
                }
                messages.into()
            }
        };
        let (decoded, rest) = self.decoder.decode(piece, records_max);
        self.piece = rest;
        Ok(Poll::Decoded(decoded))
    }

    fn position(&self) -> Position {
        position(self.offset(), &self.cluster, self.first_end)
    }

    fn set_waker(&mut self, waker: Waker) {
        let called = Arc::clone(&waker);
        self.queue.set_nonempty_callback(move || called());
        // For what came before there was anyone to call.
        waker();
    }

    fn set_caution(&mut self, caution: Caution) {
        self.decoder.set_caution(caution);
    }

    fn lag(&self) -> Option<Lag> {
        // Behind the last message there may be offsets without one.
        let is_at_end = self.at_end && self.piece.is_none();
        let records = if is_at_end { 0 } else { self.seen.end()?.saturating_sub(self.offset()) };
        Some(Lag { records: Some(records), ..Lag::default() })
    }

    fn mark_end(&mut self) {
        self.client.mark_end(&self.seen);
    }

    fn has_passed_end(&self) -> bool {
        self.seen.marked().is_some_and(|end| self.offset() >= end)
    }
}

impl KafkaPartition {
    /// Has it read no longer.
    fn leave(&mut self) {
        if !std::mem::replace(&mut self.over, true) {
            self.client.unassign(self.number);
        }
    }

    fn nothing(&mut self) -> event::Decoded {
        self.decoder.decode(Piece::new(Vec::new(), self.next), 1).0
    }
}

impl Drop for KafkaPartition {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests;
