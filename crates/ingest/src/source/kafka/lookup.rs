//! Which partitions a topic has, and where each begins and ends.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kafka::{Alarm, Meaning};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::super::{Discovery, PartitionInfo, Position, Start};
use super::{Reading, index, offset, position};
use crate::IngestError;

/// How long one answer is waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long brokers that are away are waited for at a start. Behind it the run fails, and may be started again.
const AWAY_MAX: Duration = Duration::from_secs(60);
/// How long to wait before asking again.
const PAUSE: Duration = Duration::from_millis(200);

/// All partitions of the topic, with the place where each is to be read first and where it ends now.
pub(in crate::source) fn partitions(
    reading: &Reading,
    start: Start,
) -> Result<Vec<PartitionInfo>, IngestError> {
    Lookup::open(reading, start)?.look()
}

/// How many partitions the topic has, and what its cluster calls itself.
pub(super) fn identify(reading: &Reading) -> Result<(usize, String), IngestError> {
    let mut lookup = Lookup::open(reading, Start::Earliest)?;
    Ok((lookup.numbers()?.len(), lookup.cluster()?))
}

/// Asks brokers about a topic.
pub(in crate::source) struct Lookup {
    reading: Reading,
    start: Start,
    consumer: BaseConsumer<Heard>,
    cluster: Option<String>,
    /// What was found out already: a partition begins where it was first found to begin.
    known: Vec<PartitionInfo>,
    patience: Duration,
}

impl Lookup {
    /// At a start of the job.
    fn open(reading: &Reading, start: Start) -> Result<Self, IngestError> {
        let consumer = reading
            .settings(&[], &[])?
            .create_with_context(Heard::default())
            .map_err(|error| refused(reading, kafka::words(&error)))?;
        let (reading, known) = (reading.clone(), Vec::new());
        Ok(Lookup { reading, start, consumer, cluster: None, known, patience: AWAY_MAX })
    }

    /// While the job runs. What comes later is read from its beginning, unless a time is set; whoever finds brokers
    /// away asks again later.
    pub(in crate::source) fn while_running(reading: &Reading, start: Start) -> Result<Self, IngestError> {
        let start = match start {
            Start::At(time) => Start::At(time),
            Start::Earliest | Start::Latest | Start::Checkpoint => Start::Earliest,
        };
        Ok(Lookup { patience: Duration::ZERO, ..Lookup::open(reading, start)? })
    }

    /// Asks until there is an answer, the brokers have been away for too long, or somebody refuses.
    fn ask<T>(
        &self,
        mut question: impl FnMut(&BaseConsumer<Heard>) -> Result<T, KafkaError>,
    ) -> Result<T, IngestError> {
        let begun = Instant::now();
        let alarm = Alarm::new(self.reading.name());
        loop {
            let error = match question(&self.consumer) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            // Serves what the library has to say about connections.
            while self.consumer.poll(Duration::ZERO).is_some() {}
            let heard = self.consumer.context().take();
            let said = heard.iter().find(|(error, _)| kafka::meaning(error) == Meaning::Refused);
            if let Some((_, words)) = said {
                return Err(refused(&self.reading, words.clone()));
            }
            let words = heard.last().map_or_else(|| kafka::words(&error), |(_, words)| words.clone());
            match kafka::meaning(&error) {
                Meaning::Refused => return Err(refused(&self.reading, kafka::words(&error))),
                Meaning::Passing if begun.elapsed() < self.patience => {
                    if begun.elapsed() >= ANSWER_WITHIN {
                        alarm.away(&words);
                    }
                }
                _ => return Err(IngestError::Away { name: self.reading.name(), words }),
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn numbers(&self) -> Result<Vec<u32>, IngestError> {
        let name = self.reading.topic.name.as_str();
        self.ask(|consumer| {
            let metadata = consumer.fetch_metadata(Some(name), ANSWER_WITHIN)?;
            let Some(topic) = metadata.topics().first() else { return Ok(Vec::new()) };
            if let Some(error) = topic.error() {
                return Err(KafkaError::MetadataFetch(error.into()));
            }
            let mut numbers: Vec<u32> = topic
                .partitions()
                .iter()
                .filter_map(|partition| u32::try_from(partition.id()).ok())
                .collect();
            numbers.sort_unstable();
            Ok(numbers)
        })
    }

    /// What the cluster calls itself: another cluster's offsets mean something else.
    fn cluster(&mut self) -> Result<String, IngestError> {
        if let Some(cluster) = &self.cluster {
            return Ok(cluster.clone());
        }
        let cluster = self.ask(|consumer| {
            let away = KafkaError::Global(rdkafka::error::RDKafkaErrorCode::AllBrokersDown);
            consumer.client().fetch_cluster_id(ANSWER_WITHIN).ok_or(away)
        })?;
        Ok(self.cluster.insert(cluster).clone())
    }

    /// Where some partitions begin and end.
    fn bounds(&self, numbers: &[u32]) -> Result<Vec<(u64, u64)>, IngestError> {
        let name = self.reading.topic.name.as_str();
        let bounds = numbers.iter().map(|number| {
            let (low, high) =
                self.ask(|consumer| consumer.fetch_watermarks(name, index(*number), ANSWER_WITHIN))?;
            Ok((offset(low), offset(high)))
        });
        bounds.collect()
    }

    /// The first message of each of that time or later; `None` if there is none.
    fn since(&self, numbers: &[u32], millis: i64) -> Result<Vec<Option<u64>>, IngestError> {
        let name = self.reading.topic.name.as_str();
        let mut times = TopicPartitionList::new();
        for number in numbers {
            times
                .add_partition_offset(name, index(*number), Offset::Offset(millis))
                .map_err(|error| refused(&self.reading, kafka::words(&error)))?;
        }
        let found = self.ask(|consumer| {
            let found = consumer.offsets_for_times(times.clone(), ANSWER_WITHIN)?;
            found
                .elements()
                .iter()
                .try_for_each(rdkafka::topic_partition_list::TopicPartitionListElem::error)?;
            Ok(found)
        })?;
        let offset_of = |number: &u32| match found.find_partition(name, index(*number))?.offset() {
            Offset::Offset(raw) => Some(offset(raw)),
            _ => None,
        };
        Ok(numbers.iter().map(offset_of).collect())
    }
}

impl Discovery for Lookup {
    fn look(&mut self) -> Result<Vec<PartitionInfo>, IngestError> {
        let numbers = self.numbers()?;
        let new: Vec<u32> = numbers
            .into_iter()
            .filter(|number| self.known.iter().all(|info| info.number != *number))
            .collect();
        if new.is_empty() {
            return Ok(self.known.clone());
        }
        let (cluster, bounds) = (self.cluster()?, self.bounds(&new)?);
        let starts: Vec<u64> = match self.start {
            Start::Earliest | Start::Checkpoint => bounds.iter().map(|(low, _)| *low).collect(),
            Start::Latest => bounds.iter().map(|(_, high)| *high).collect(),
            Start::At(micros) => {
                // A message of that time or later: of a part of a millisecond, the next whole one.
                let millis = micros.div_euclid(1000) + i64::from(micros.rem_euclid(1000) > 0);
                let since = self.since(&new, millis)?;
                since.iter().zip(&bounds).map(|(since, (_, high))| since.unwrap_or(*high)).collect()
            }
        };
        let place = |start: u64, end: u64| -> Position { position(start, &cluster, end) };
        let found = new.iter().zip(starts).zip(&bounds);
        let found = found.map(|((number, start), (_, end))| self.reading.info(*number, place(start, *end)));
        let found: Vec<PartitionInfo> = found.collect();
        self.known.extend(found);
        self.known.sort_by_key(|info| info.number);
        Ok(self.known.clone())
    }
}

fn refused(reading: &Reading, words: String) -> IngestError {
    IngestError::Refused { name: reading.name(), words }
}

/// What the library says of connections while something else is asked.
#[derive(Default)]
struct Heard(Mutex<Vec<(KafkaError, String)>>);

impl Heard {
    fn take(&self) -> Vec<(KafkaError, String)> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Heard {
    fn error(&self, error: KafkaError, reason: &str) {
        let words = reason.to_owned();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((error, words));
    }
}

impl ConsumerContext for Heard {}
