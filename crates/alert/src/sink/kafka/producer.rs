//! The producer of a sink: lines into messages, alone or in transactions.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event::Topic;
use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use super::STEP_WITHIN;
use crate::sink::database::Failure;

/// How long to wait for room where too much is under way.
const ROOM_AFTER: Duration = Duration::from_millis(2);

/// What an option of the config may change.
const DEFAULTS: &[(&str, &str)] = &[
    ("client.id", "tidewatch"),
    ("linger.ms", "5"),
    // As the clients of other languages place keys.
    ("partitioner", "murmur2_random"),
    ("reconnect.backoff.ms", "100"),
    ("reconnect.backoff.max.ms", "10000"),
    ("socket.keepalive.enable", "true"),
];

pub(super) struct Output {
    topic: String,
    producer: ThreadedProducer<Reports>,
}

impl Output {
    /// `id` is that of its transactions, if it has any.
    pub(super) fn open(topic: &Topic, id: Option<&str>) -> Result<Self, Failure> {
        let mut fixed = vec![("enable.idempotence", "true")];
        fixed.extend(id.map(|id| ("transactional.id", id)));
        let settings = kafka::settings(topic, DEFAULTS, &fixed).map_err(super::record::refused)?;
        let producer = settings
            .create_with_context(Reports::default())
            .map_err(|error| Failure::Refused(kafka::words(&error)))?;
        Ok(Output { topic: topic.name.clone(), producer })
    }

    /// Whether the topic is there.
    pub(super) fn find_topic(&self, within: Duration) -> Result<(), KafkaError> {
        let metadata = self.producer.client().fetch_metadata(Some(&self.topic), within)?;
        match metadata.topics().first().and_then(|topic| topic.error()) {
            Some(error) => Err(KafkaError::MetadataFetch(error.into())),
            None => Ok(()),
        }
    }

    pub(super) fn init(&self) -> Result<(), KafkaError> {
        self.producer.init_transactions(STEP_WITHIN)
    }

    pub(super) fn begin(&self) -> Result<(), KafkaError> {
        self.producer.context().forget();
        self.producer.begin_transaction()
    }

    pub(super) fn commit(&self) -> Result<(), KafkaError> {
        self.producer.commit_transaction(STEP_WITHIN)
    }

    pub(super) fn abort(&self) -> Result<(), KafkaError> {
        self.producer.abort_transaction(STEP_WITHIN)
    }

    pub(super) fn send_offsets(
        &self,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
    ) -> Result<(), KafkaError> {
        self.producer.send_offsets_to_transaction(offsets, group, STEP_WITHIN)
    }

    /// Hands one line to the library, which sends it with others.
    pub(super) fn send(&self, key: Option<&str>, line: &[u8], within: Duration) -> Result<(), KafkaError> {
        let begun = Instant::now();
        loop {
            let mut record: BaseRecord<'_, str, [u8]> = BaseRecord::to(&self.topic).payload(line);
            record.key = key;
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((error, _)) => {
                    let is_full = kafka::code(&error) == Some(RDKafkaErrorCode::QueueFull);
                    if !is_full || begun.elapsed() >= within {
                        return Err(error);
                    }
                }
            }
            std::thread::sleep(ROOM_AFTER);
        }
    }

    /// Waits until the brokers have everything, or have refused some of it, for as long as they take more of it every
    /// now and then, which `within` bounds.
    pub(super) fn flush(&self, within: Duration) -> Result<(), KafkaError> {
        let mut left = self.producer.in_flight_count();
        loop {
            let flushed = self.producer.flush(within);
            if let Some(refused) = self.producer.context().failed() {
                return Err(refused);
            }
            let now = self.producer.in_flight_count();
            match flushed {
                Err(error) if now >= left => return Err(error),
                Err(_) => left = now,
                Ok(()) => return Ok(()),
            }
        }
    }

    /// What an error is that says no more than that the client is at its end.
    pub(super) fn reason(&self, error: &KafkaError) -> Option<KafkaError> {
        let is_end = kafka::code(error) == Some(RDKafkaErrorCode::Fatal);
        let (code, _) = self.producer.client().fatal_error().filter(|_| is_end)?;
        Some(KafkaError::Global(code))
    }

    /// The words of an error, and what was said of the connections.
    pub(super) fn words(&self, error: &KafkaError) -> String {
        match self.producer.context().said().take() {
            Some(said) => format!("{}: {}", kafka::words(error), said.words),
            None => kafka::words(error),
        }
    }

    /// What a broker said that does not let us in.
    pub(super) fn refusal(&self) -> Option<String> {
        self.producer.context().said().take_if(|said| said.is_refusal).map(|said| said.words)
    }
}

/// What became of messages, and what is said of connections.
#[derive(Default)]
pub(super) struct Reports {
    failed: Mutex<Option<KafkaError>>,
    said: Mutex<Option<Said>>,
}

/// What was said last, a refusal rather than that nobody is there.
struct Said {
    words: String,
    is_refusal: bool,
}

impl Reports {
    fn said(&self) -> MutexGuard<'_, Option<Said>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn failed(&self) -> Option<KafkaError> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, reason: &str) {
        let is_refusal = kafka::meaning(&error) == kafka::Meaning::Refused;
        let mut said = self.said();
        if is_refusal || said.as_ref().is_none_or(|said| !said.is_refusal) {
            *said = Some(Said { words: reason.to_owned(), is_refusal });
        }
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            let code = kafka::code(error);
            if matches!(code, Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)) {
                // It was given up by us.
                return;
            }
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert_with(|| error.clone());
            let bytes = message.payload_len();
            if code == Some(RDKafkaErrorCode::MessageSizeTooLarge) {
                let words = format!("a line of {bytes} bytes is longer than the topic takes");
                *self.said() = Some(Said { words, is_refusal: false });
            }
        }
    }
}
