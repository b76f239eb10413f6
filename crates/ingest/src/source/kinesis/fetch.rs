//! The task that fetches the records of a shard ahead of whoever polls it.
//!
//! It knows the last record that it fetched. Whatever fails on the way, an iterator that has expired, a connection that
//! broke, a server with troubles of its own, it goes on behind that record. Amazon's service goes on at the oldest record
//! that is left, and says nothing, where the one that was asked for is gone; so it asks for the last record once more,
//! sees that it comes, and leaves it out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws::{Backoff, Kinesis, Trouble, trouble};
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{ChildShard, Record, ShardIteratorType};

use super::super::position::{KinesisOrigin, KinesisPlace};
use super::list::{self, backoff, children_of, number};
use super::queue::{Batch, Fetched, Queue, Standing};
use super::{KinesisError, KinesisMode, KinesisSpec, fan_out, polling};

/// Hours for which a stream keeps its records that does not say so.
const RETENTION_HOURS: i32 = 24;

/// What fetches a shard.
pub(super) struct Fetch {
    pub(super) kinesis: Kinesis,
    pub(super) spec: KinesisSpec,
    /// The id of the shard,
    pub(super) shard: String,
    /// and its number.
    number: u32,
    pub(super) queue: Arc<Queue>,
    /// Where the next record is looked for.
    place: KinesisPlace,
    /// When all that there was had been fetched last, by the clock of the server.
    caught_up_at: Option<i64>,
    /// Whether the shards that go on from it are asked for.
    wants_children: bool,
    /// The record that has to come first, since it came before; see the module.
    expected: Option<String>,
    /// When the shard may be asked again.
    pub(super) next: Instant,
    /// Since when nothing has gone well.
    troubled_since: Option<Instant>,
    backoff: Backoff,
}

/// What an answer brought.
pub(super) struct Answer {
    pub(super) records: Vec<Record>,
    pub(super) standing: Standing,
    /// Whether the shard is closed and this was all of it; then the shards that go on from it, if it says so.
    pub(super) closed: Option<Vec<u32>>,
}

/// Why a shard is not read on for now, or for ever.
pub(super) enum Stop {
    /// It is tried again, if that makes sense.
    Trouble(Trouble),
    /// It cannot go on.
    Failed(KinesisError),
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Stop::Trouble(trouble)
    }
}

impl From<KinesisError> for Stop {
    fn from(error: KinesisError) -> Self {
        Stop::Failed(error)
    }
}

impl Fetch {
    pub(super) fn new(
        kinesis: Kinesis,
        spec: &KinesisSpec,
        (shard, number): (&str, u32),
        origin: &KinesisOrigin,
        queue: Arc<Queue>,
    ) -> Self {
        Fetch {
            kinesis,
            spec: spec.clone(),
            shard: shard.to_owned(),
            number,
            queue,
            place: origin.place.clone(),
            caught_up_at: origin.caught_up_at,
            wants_children: origin.end.is_none(),
            expected: None,
            next: Instant::now(),
            troubled_since: None,
            backoff: backoff(),
        }
    }

    /// Fetches until the shard is read to its end, or cannot be read on.
    pub(super) async fn run(mut self) {
        let fetched = loop {
            let stop = match self.spec.mode.clone() {
                KinesisMode::Polling => polling::read(&mut self).await,
                KinesisMode::FanOut { consumer } => fan_out::read(&mut self, &consumer).await,
            };
            let trouble = match stop {
                Ok(children) => break Fetched::Closed(children),
                Err(Stop::Failed(error)) => break Fetched::Failed(error),
                Err(Stop::Trouble(trouble)) => trouble,
            };
            if let Err(error) = self.wait(trouble).await {
                break Fetched::Failed(error);
            }
        };
        self.queue.push(fetched);
    }

    /// Waits before it is tried again, unless it cannot go well or has been tried for too long.
    async fn wait(&mut self, trouble: Trouble) -> Result<(), KinesisError> {
        let trouble = match trouble {
            Trouble::Missing(words) => self.missing(words).await,
            trouble => trouble,
        };
        match trouble {
            Trouble::Missing(words) => return Err(KinesisError::Gone { what: self.what(), words }),
            Trouble::Refused(words) => return Err(KinesisError::Refused { what: self.what(), words }),
            Trouble::Passing(_) | Trouble::Expired => {}
        }
        let after = self.troubled_since.get_or_insert_with(Instant::now).elapsed();
        let pause = self.backoff.pause();
        if after + pause > self.spec.retry_for {
            let words = trouble.to_string();
            return Err(KinesisError::Unavailable { what: self.what(), after, words });
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// What it means that the service did not find something. The shard is gone only if its stream no longer lists it: else
    /// it was the consumer, which somebody has deregistered, or the server has yet to hear of the shard.
    async fn missing(&self, words: String) -> Trouble {
        match list::has(&self.kinesis, &self.spec, &self.shard).await {
            Ok(true) => Trouble::Passing(words),
            Ok(false) | Err(Trouble::Missing(_)) => Trouble::Missing(words),
            Err(trouble) => trouble,
        }
    }

    fn what(&self) -> String {
        format!("{} of {}", self.shard, self.spec.stream)
    }

    /// Where the service is to begin: kind, sequence number, time. A record that was fetched before is to come first.
    pub(super) fn begin(&mut self) -> (ShardIteratorType, Option<String>, Option<DateTime>) {
        self.expected = match &self.place {
            KinesisPlace::Horizon | KinesisPlace::Time(_) => None,
            KinesisPlace::Within { sequence, .. } | KinesisPlace::After { sequence, .. } => {
                Some(sequence.clone())
            }
        };
        match (&self.place, &self.expected) {
            (_, Some(sequence)) => (ShardIteratorType::AtSequenceNumber, Some(sequence.clone()), None),
            (KinesisPlace::Time(millis), _) => {
                // The service refuses a time that is still to come.
                let millis = self.kinesis.clock.millis().map_or(*millis, |now| now.min(*millis));
                (ShardIteratorType::AtTimestamp, None, Some(DateTime::from_millis(millis)))
            }
            _ => (ShardIteratorType::TrimHorizon, None, None),
        }
    }

    /// The numbers of shards that an answer names.
    pub(super) fn numbers(&self, shards: Option<Vec<ChildShard>>) -> Result<Vec<u32>, KinesisError> {
        let shards = shards.unwrap_or_default();
        shards.iter().map(|shard| number(&self.spec, shard.shard_id())).collect()
    }

    /// What an answer stands for that was asked for now.
    pub(super) fn asks(&self) -> Standing {
        let asked_at = self.kinesis.clock.millis();
        Standing { behind: None, is_end: false, asked: Instant::now(), asked_at }
    }

    /// Hands on what an answer brought. Returns the shards that go on from this one if that was all of it.
    pub(super) async fn hand_on(&mut self, mut answer: Answer) -> Result<Option<Vec<u32>>, Stop> {
        if let Some(expected) = self.expected.take() {
            let is_over = answer.standing.is_end || answer.closed.is_some();
            match answer.records.first() {
                Some(first) if first.sequence_number == expected => {
                    if matches!(self.place, KinesisPlace::After { .. }) {
                        answer.records.remove(0);
                    }
                }
                None if !is_over => self.expected = Some(expected),
                _ => self.check_loss(expected).await?,
            }
        }
        let Answer { mut records, standing, closed } = answer;
        if let KinesisPlace::Time(from) = self.place {
            let is_before =
                |record: &Record| record.approximate_arrival_timestamp().is_some() && arrived(record) < from;
            records.retain(|record| !is_before(record));
        }
        if let Some(last) = records.last() {
            self.place =
                KinesisPlace::After { sequence: last.sequence_number.clone(), arrived: arrived(last) };
        }
        if standing.is_end {
            self.caught_up_at = standing.asked_at.max(self.caught_up_at);
        }
        self.queue.push(Fetched::Records(Batch { records, standing }));
        let closed = match closed {
            Some(children) if children.is_empty() && self.wants_children => {
                Some(children_of(&self.kinesis, &self.spec, self.number).await?)
            }
            closed => closed,
        };
        self.troubled_since = None;
        self.backoff.reset();
        Ok(closed)
    }

    /// The last record that was read is gone. That loses nothing only if it was its time to go, and if all that there
    /// was by the time to which the stream goes back had been read.
    async fn check_loss(&self, sequence: String) -> Result<(), Stop> {
        let request = self.kinesis.client.describe_stream_summary();
        let request = request
            .set_stream_name(self.spec.name().map(str::to_owned))
            .set_stream_arn(self.spec.arn().map(str::to_owned));
        let answer = request.send().await.map_err(|error| trouble(&error))?;
        let hours = answer
            .stream_description_summary()
            .map_or(RETENTION_HOURS, |stream| stream.retention_period_hours());
        let horizon = self.kinesis.clock.millis().map(|now| now - i64::from(hours) * 3_600_000);
        let is_harmless = match (&self.place, horizon) {
            (KinesisPlace::After { arrived, .. }, Some(horizon)) => {
                *arrived < horizon && self.caught_up_at >= Some(horizon)
            }
            _ => false,
        };
        if is_harmless { Ok(()) } else { Err(KinesisError::Expired { what: self.what(), sequence }.into()) }
    }
}

/// When a record came, by the clock of the server, in milliseconds since 1970.
pub(super) fn arrived(record: &Record) -> i64 {
    let time = record.approximate_arrival_timestamp();
    time.and_then(|time| time.to_millis().ok()).unwrap_or(i64::MIN)
}

/// How long bytes take at the rate that a shard allows, 2 MB a second.
pub(super) fn time_of(bytes: usize) -> Duration {
    Duration::from_micros(bytes as u64 / 2)
}
