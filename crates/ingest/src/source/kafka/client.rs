//! The one connection of a process to a topic, which all of its partitions share.
//!
//! A thread of its own serves what the library has to say, so that whoever reads never waits: each partition has a queue,
//! which the library fills in the background up to a bound and of which it says when it is no longer empty. Once a
//! second it also says how far the brokers are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use kafka::Alarm;
use rdkafka::client::ClientContext;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::{Offset, TopicPartitionList};

use super::{Reading, index, lookup, room};
use crate::IngestError;

/// How long the serving thread waits for something to serve.
const SERVE_EVERY: Duration = Duration::from_millis(100);
/// How often brokers are asked how far they are.
const SAY_EVERY_MS: &str = "1000";
/// A broker of which nothing was heard for so long is not there: it answers at least every half second.
const SILENT_MAX: Duration = Duration::from_secs(3);
/// How long the end of a partition is waited for when it is asked for.
const END_WITHIN: Duration = Duration::from_secs(5);

pub(super) type Queue = PartitionQueue<Watching>;

/// A connection, as long as a partition has it.
pub(super) struct Client {
    consumer: Arc<BaseConsumer<Watching>>,
    topic: String,
    cluster: String,
    ends: Mutex<Sender<Arc<Seen>>>,
    stop: Arc<AtomicBool>,
}

/// What is known of a partition on the side of the brokers.
#[derive(Debug)]
pub(super) struct Seen {
    number: u32,
    begun: Instant,
    /// The end as it was heard last; negative if it was not.
    end: AtomicI64,
    /// The end as it was when it was asked for; negative while there is no answer.
    marked: AtomicI64,
    /// When its broker was known to be there, in milliseconds since `begun`.
    heard: AtomicU64,
}

impl Seen {
    fn new(number: u32) -> Self {
        Seen {
            number,
            begun: Instant::now(),
            end: AtomicI64::new(-1),
            marked: AtomicI64::new(-1),
            heard: AtomicU64::new(0),
        }
    }

    /// The end of what there is, as it was heard last.
    pub(super) fn end(&self) -> Option<u64> {
        u64::try_from(self.end.load(Ordering::Acquire)).ok()
    }

    /// The end when [`Client::mark_end`] was called last.
    pub(super) fn marked(&self) -> Option<u64> {
        u64::try_from(self.marked.load(Ordering::Acquire)).ok()
    }

    /// Notes that its broker is there.
    pub(super) fn hear(&self) {
        let now = self.begun.elapsed().as_millis();
        self.heard.store(u64::try_from(now).unwrap_or(u64::MAX), Ordering::Release);
    }

    /// Whether its broker was there a moment ago.
    pub(super) fn is_heard(&self) -> bool {
        let heard = Duration::from_millis(self.heard.load(Ordering::Acquire));
        self.begun.elapsed().saturating_sub(heard) < SILENT_MAX
    }
}

/// The connections that are open, to be shared.
static CLIENTS: Mutex<Vec<(Reading, Weak<Client>)>> = Mutex::new(Vec::new());

impl Client {
    /// The connection to a topic, which may be open already.
    pub(super) fn shared(reading: &Reading) -> Result<Arc<Self>, IngestError> {
        let mut clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|(_, client)| client.strong_count() > 0);
        let open =
            clients.iter().find(|(other, _)| other == reading).and_then(|(_, client)| client.upgrade());
        if let Some(client) = open {
            return Ok(client);
        }
        let client = Arc::new(Client::open(reading)?);
        clients.push((reading.clone(), Arc::downgrade(&client)));
        Ok(client)
    }

    fn open(reading: &Reading) -> Result<Self, IngestError> {
        let (partitions, cluster) = lookup::identify(reading)?;
        let room = room::settings(reading.queue_bytes, partitions);
        let room: Vec<(&str, &str)> = room.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let settings = reading.settings(
            &room,
            &[
                // The library asks for one where partitions are assigned; nothing is ever committed to it.
                ("group.id", "tidewatch"),
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                ("enable.partition.eof", "true"),
                ("statistics.interval.ms", SAY_EVERY_MS),
                // A queue that was full is filled again at once.
                ("fetch.queue.backoff.ms", "5"),
            ],
        )?;
        let watching = Watching {
            topic: reading.topic.name.clone(),
            board: Mutex::default(),
            alarm: Alarm::new(reading.name()),
        };
        let consumer = settings.create_with_context(watching).map_err(|error| failed(reading, &error))?;
        let consumer: Arc<BaseConsumer<Watching>> = Arc::new(consumer);
        let (ends, asked) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let (served, stopped, topic) = (Arc::clone(&consumer), Arc::clone(&stop), reading.topic.name.clone());
        thread::Builder::new()
            .name(format!("kafka-{}", reading.source))
            .spawn(move || serve(&served, &topic, &asked, &stopped))
            .map_err(|source| IngestError::Read { name: reading.name(), source })?;
        Ok(Client { consumer, topic: reading.topic.name.clone(), cluster, ends: Mutex::new(ends), stop })
    }

    /// What the cluster calls itself.
    pub(super) fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Has a partition read from that offset on.
    pub(super) fn assign(&self, number: u32, offset: u64) -> Result<(Queue, Arc<Seen>), KafkaError> {
        let seen = Arc::new(Seen::new(number));
        self.consumer.context().board().insert(index(number), Arc::clone(&seen));
        // Before it is assigned, so that no message is on its way to the queue of all.
        let queue = self
            .consumer
            .split_partition_queue(&self.topic, index(number))
            .ok_or(KafkaError::MessageConsumption(RDKafkaErrorCode::UnknownPartition))?;
        let from = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
        self.consumer.incremental_assign(&self.list(number, from)?)?;
        Ok((queue, seen))
    }

    /// Has it read no longer.
    pub(super) fn unassign(&self, number: u32) {
        self.consumer.context().board().remove(&index(number));
        // A connection that is closing needs it no more.
        let _ = self.list(number, Offset::Invalid).and_then(|list| self.consumer.incremental_unassign(&list));
    }

    fn list(&self, number: u32, offset: Offset) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, index(number), offset)?;
        Ok(list)
    }

    /// Has the end of a partition asked for.
    pub(super) fn mark_end(&self, seen: &Arc<Seen>) {
        seen.marked.store(-1, Ordering::Release);
        // Where nobody serves any more nobody asks either.
        let _ = self.ends.lock().unwrap_or_else(PoisonError::into_inner).send(Arc::clone(seen));
    }

    /// The oldest offset that there still is, for a message about one that is not.
    pub(super) fn oldest(&self, number: u32) -> Option<u64> {
        let bounds = self.consumer.fetch_watermarks(&self.topic, index(number), END_WITHIN).ok()?;
        u64::try_from(bounds.0).ok()
    }

    /// Notes that a partition cannot be read for a while.
    pub(super) fn away(&self, words: &str) {
        self.consumer.context().alarm.away(words);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// Serves a connection until it is to stop.
fn serve(consumer: &BaseConsumer<Watching>, topic: &str, asked: &Receiver<Arc<Seen>>, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        // Errors of connections come to the context; a partition's own come to its queue.
        let _ = consumer.poll(SERVE_EVERY);
        for seen in asked.try_iter() {
            // Without an answer it is asked for again the next time.
            if let Ok((_, high)) = consumer.fetch_watermarks(topic, index(seen.number), END_WITHIN) {
                seen.marked.store(high, Ordering::Release);
            }
        }
    }
}

fn failed(reading: &Reading, error: &KafkaError) -> IngestError {
    IngestError::Away { name: reading.name(), words: kafka::words(error) }
}

/// Takes in what the library says.
pub(super) struct Watching {
    topic: String,
    board: Mutex<BTreeMap<i32, Arc<Seen>>>,
    alarm: Alarm,
}

impl Watching {
    fn board(&self) -> std::sync::MutexGuard<'_, BTreeMap<i32, Arc<Seen>>> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Watching {
    fn error(&self, error: KafkaError, reason: &str) {
        // One that is away may be replaced by others; when all are, the job stands still. Without an identity none
        // of them lets us in.
        let stands = matches!(
            kafka::code(&error),
            Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::Authentication)
        );
        if stands {
            self.alarm.away(reason);
        }
    }

    fn stats(&self, statistics: Statistics) {
        let Some(topic) = statistics.topics.get(&self.topic) else { return };
        let is_there = |leader: i32| {
            let mut brokers = statistics.brokers.values();
            brokers.any(|broker| {
                let silent = u64::try_from(broker.rxidle).unwrap_or(u64::MAX);
                broker.nodeid == leader && broker.state == "UP" && Duration::from_micros(silent) < SILENT_MAX
            })
        };
        let board = self.board();
        let mut all = !board.is_empty();
        for (number, seen) in board.iter() {
            let Some(partition) = topic.partitions.get(number) else { continue };
            // With read_uncommitted both are the same.
            let end = if partition.ls_offset >= 0 { partition.ls_offset } else { partition.hi_offset };
            if end >= 0 {
                seen.end.store(end, Ordering::Release);
            }
            match is_there(partition.leader) {
                true => seen.hear(),
                false => all = false,
            }
        }
        if all {
            self.alarm.back();
        }
    }
}

impl ConsumerContext for Watching {}
