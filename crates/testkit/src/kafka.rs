//! A real broker of Apache Kafka for tests, through `scripts/kafka.sh`, and a client of it that shares nothing with
//! the source and the sink but the library.
//!
//! One broker for all tests of a program that run at the same time; it ends with the last of them, and with the program
//! however that ends. Each test takes topics with names of its own.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::served::{Served, serve};

/// Who may use the address that speaks TLS, and the password.
pub const USER: (&str, &str) = ("tidewatch", "only-for-tests");
/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(60);
/// How long the partitions of a transaction that is committed are waited for to be told.
const TOLD: Duration = Duration::from_secs(2);

/// A broker of this program's own.
#[derive(Debug)]
pub struct Broker(Served);

/// A message as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
}

/// The broker that tests share; `None`, with words, where there is none.
///
/// # Panics
/// If it cannot be started; with `CI=true` also if it cannot be installed.
pub fn broker() -> Option<Arc<Broker>> {
    static BROKER: Mutex<Weak<Broker>> = Mutex::new(Weak::new());
    let mut shared = BROKER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(broker) = shared.upgrade() {
        return Some(broker);
    }
    let broker = Arc::new(broker_alone()?);
    *shared = Arc::downgrade(&broker);
    Some(broker)
}

/// A broker that no other test uses, which may be killed.
///
/// # Panics
/// As [`broker`].
pub fn broker_alone() -> Option<Broker> {
    serve("kafka.sh", "an Apache Kafka broker").map(Broker)
}

/// A producer with these settings besides.
///
/// # Panics
/// If it cannot be made.
pub fn producer(address: &str, settings: &[(&str, &str)]) -> ThreadedProducer<DefaultProducerContext> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("linger.ms", "2");
    settings.iter().for_each(|(name, value)| {
        config.set(*name, *value);
    });
    config.create().expect("a producer")
}

impl Broker {
    /// `HOST:PORT`, for anybody.
    pub fn address(&self) -> &str {
        self.word(0)
    }

    /// `HOST:PORT`, with TLS and a password: [`USER`].
    pub fn secure_address(&self) -> &str {
        self.word(1)
    }

    /// The file of the certificate that signed the broker's.
    pub fn ca(&self) -> &str {
        self.word(2)
    }

    fn word(&self, index: usize) -> &str {
        self.0.answer().split_whitespace().nth(index).expect("what scripts/kafka.sh says")
    }

    /// Kills it with -9, until [`Broker::resume`].
    ///
    /// # Panics
    /// If that fails.
    pub fn pause(&self) {
        self.0.control("pause");
    }

    /// Starts it again on its data.
    ///
    /// # Panics
    /// If that fails.
    pub fn resume(&self) {
        self.0.control("resume");
    }

    fn admin<T>(&self, work: impl AsyncFnOnce(AdminClient<DefaultClientContext>) -> T) -> T {
        let admin =
            ClientConfig::new().set("bootstrap.servers", self.address()).create().expect("an admin client");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(work(admin))
    }

    /// Makes a topic.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn create(&self, topic: &str, partitions: usize) {
        self.admin(async |admin| {
            let new =
                NewTopic::new(topic, i32::try_from(partitions).expect("few"), TopicReplication::Fixed(1));
            let made = admin.create_topics([&new], &AdminOptions::new()).await.expect("an answer");
            made.into_iter().for_each(|made| drop(made.expect("a topic")));
            // The broker knows it a moment later.
            let begun = Instant::now();
            loop {
                let metadata = admin.inner().fetch_metadata(Some(topic), LIMIT).expect("metadata");
                let found = &metadata.topics()[0];
                if found.error().is_none() && found.partitions().len() == partitions {
                    break;
                }
                assert!(begun.elapsed() < LIMIT, "{topic} is not there");
                std::thread::sleep(Duration::from_millis(20));
            }
        });
    }

    /// Gives a topic more partitions.
    ///
    /// # Panics
    /// If that fails.
    pub fn grow(&self, topic: &str, partitions: usize) {
        self.admin(async |admin| {
            let more = NewPartitions::new(topic, partitions);
            let made = admin.create_partitions([&more], &AdminOptions::new()).await.expect("an answer");
            made.into_iter().for_each(|made| drop(made.expect("partitions")));
        });
    }

    /// Removes all messages of a partition before an offset, as retention does.
    ///
    /// # Panics
    /// If that fails.
    pub fn remove_before(&self, topic: &str, partition: i32, offset: i64) {
        self.admin(async |admin| {
            let mut before = TopicPartitionList::new();
            before.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("an offset");
            admin.delete_records(&before, &AdminOptions::new()).await.expect("removed records");
        });
    }

    /// Removes a topic.
    ///
    /// # Panics
    /// If that fails.
    pub fn remove(&self, topic: &str) {
        self.admin(async |admin| {
            let removed = admin.delete_topics(&[topic], &AdminOptions::new()).await.expect("an answer");
            removed.into_iter().for_each(|removed| drop(removed.expect("a removed topic")));
        });
    }

    /// Writes messages without a key into a partition, in this order; `None` is a message without a value.
    ///
    /// # Panics
    /// If one is not taken.
    pub fn write<'a>(
        &self,
        topic: &str,
        partition: usize,
        values: impl IntoIterator<Item = Option<&'a [u8]>>,
    ) {
        let producer = producer(self.address(), &[("enable.idempotence", "true")]);
        put(&producer, topic, partition, values);
        producer.flush(LIMIT).expect("a flush");
    }

    /// Writes the same message so many times into each of the first partitions of a topic, each in a batch of its own.
    ///
    /// # Panics
    /// If one is not taken.
    pub fn fill(&self, topic: &str, partitions: usize, message: &[u8], times: usize) {
        let producer = producer(self.address(), &[("batch.num.messages", "1")]);
        for partition in 0..partitions {
            put(&producer, topic, partition, std::iter::repeat_n(Some(message), times));
        }
        producer.flush(LIMIT).expect("a flush");
    }

    /// Writes a message with a key, a timestamp in milliseconds and a header.
    ///
    /// # Panics
    /// If it is not taken.
    pub fn write_whole(&self, topic: &str, key: &str, timestamp: i64, header: (&str, &str), value: &str) {
        let producer = producer(self.address(), &[]);
        let headers = OwnedHeaders::new().insert(Header { key: header.0, value: Some(header.1) });
        let record = BaseRecord::to(topic).key(key).timestamp(timestamp).headers(headers).payload(value);
        producer.send(record).map_err(|(error, _)| error).expect("a message");
        producer.flush(LIMIT).expect("a flush");
    }

    /// Writes messages without a key in a transaction, which is committed or given up.
    ///
    /// # Panics
    /// If one is not taken.
    pub fn write_together<'a>(
        &self,
        topic: &str,
        partition: usize,
        values: impl IntoIterator<Item = &'a [u8]>,
        commit: bool,
    ) {
        let id = format!("testkit-{topic}-{partition}");
        let producer = producer(self.address(), &[("transactional.id", &id)]);
        producer.init_transactions(LIMIT).expect("transactions");
        producer.begin_transaction().expect("a transaction");
        put(&producer, topic, partition, values.into_iter().map(Some));
        producer.flush(LIMIT).expect("a flush");
        match commit {
            true => producer.commit_transaction(LIMIT).expect("a commit"),
            false => producer.abort_transaction(LIMIT).expect("an abort"),
        }
    }

    /// Leaves a transaction of that id open that holds a message for a topic, and an offset of its first partition for the
    /// group of the same name, as a producer does that dies before it commits.
    ///
    /// # Panics
    /// If it cannot be begun.
    pub fn leave_open(&self, id: &str, topic: &str) {
        let producer = producer(self.address(), &[("transactional.id", id)]);
        producer.init_transactions(LIMIT).expect("transactions");
        producer.begin_transaction().expect("a transaction");
        put(&producer, topic, 0, [Some(&b"never committed"[..])]);
        producer.flush(LIMIT).expect("a flush");
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.address())
            .set("group.id", id)
            .create()
            .expect("a consumer");
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, 0, Offset::Offset(7)).expect("an offset");
        let group = consumer.group_metadata().expect("a group");
        producer.send_offsets_to_transaction(&offsets, &group, LIMIT).expect("an offset in the transaction");
    }

    /// Commits an offset of the first partition of a topic for a group, as any consumer does.
    ///
    /// # Panics
    /// If that fails.
    pub fn commit(&self, group: &str, topic: &str, offset: i64) {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.address())
            .set("group.id", group)
            .create()
            .expect("a consumer");
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, 0, Offset::Offset(offset)).expect("an offset");
        consumer.commit(&offsets, CommitMode::Sync).expect("a commit");
    }

    /// All messages of a topic that transactions have committed, or all, by partition, up to the end that each has now.
    ///
    /// # Panics
    /// If they cannot be read.
    pub fn read(&self, topic: &str, only_committed: bool) -> Vec<Vec<Read>> {
        let mut partitions = Vec::new();
        self.read_each(topic, only_committed, |count, message| {
            partitions.resize(count, Vec::new());
            if let Some(message) = message {
                partitions[usize::try_from(message.partition()).expect("a partition")].push(Read {
                    offset: message.offset(),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().map(<[u8]>::to_vec),
                });
            }
        });
        partitions
    }

    /// How many messages a topic has that transactions have committed, each read by a client that does nothing else.
    ///
    /// # Panics
    /// If they cannot be read.
    pub fn count(&self, topic: &str) -> usize {
        let mut count = 0;
        self.read_each(topic, true, |_, message| count += usize::from(message.is_some()));
        count
    }

    /// Hands over each message with the number of partitions; at the end nothing.
    fn read_each(
        &self,
        topic: &str,
        only_committed: bool,
        mut take: impl FnMut(usize, Option<&BorrowedMessage<'_>>),
    ) {
        let consumer = |isolation: &str| -> BaseConsumer {
            ClientConfig::new()
                .set("bootstrap.servers", self.address())
                .set("group.id", "testkit")
                .set("enable.auto.commit", "false")
                .set("enable.partition.eof", "true")
                .set("isolation.level", isolation)
                .create()
                .expect("a consumer")
        };
        let (all, committed) = (consumer("read_uncommitted"), consumer("read_committed"));
        let metadata = all.fetch_metadata(Some(topic), LIMIT).expect("metadata");
        let count = metadata.topics()[0].partitions().len();
        // A transaction is committed before its partitions are told. One that is open stays so.
        let told = Instant::now();
        let is_told = |partition: usize| {
            let end = |consumer: &BaseConsumer| {
                let partition = i32::try_from(partition).expect("few");
                consumer.fetch_watermarks(topic, partition, LIMIT).expect("watermarks").1
            };
            end(&committed) == end(&all)
        };
        while only_committed && told.elapsed() < TOLD && !(0..count).all(is_told) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let consumer = if only_committed { committed } else { all };
        let mut assignment = TopicPartitionList::new();
        for partition in 0..count {
            let partition = i32::try_from(partition).expect("few");
            assignment.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
        }
        consumer.assign(&assignment).expect("an assignment");
        let (mut open, begun) = (count, Instant::now());
        while open > 0 {
            assert!(begun.elapsed() < LIMIT, "{topic} cannot be read to its end");
            match consumer.poll(Duration::from_millis(100)) {
                None => {}
                Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
                Some(Err(error)) => panic!("{topic}: {error}"),
                Some(Ok(message)) => take(count, Some(&message)),
            }
        }
        take(count, None);
    }
}

fn put<'a>(
    producer: &ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    partition: usize,
    values: impl IntoIterator<Item = Option<&'a [u8]>>,
) {
    let partition = i32::try_from(partition).expect("few");
    for value in values {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(partition);
        record.payload = value;
        while let Err((error, again)) = producer.send(record) {
            assert_eq!(
                error.rdkafka_error_code(),
                Some(rdkafka::types::RDKafkaErrorCode::QueueFull),
                "{error}"
            );
            std::thread::sleep(Duration::from_millis(2));
            record = again;
        }
    }
}
