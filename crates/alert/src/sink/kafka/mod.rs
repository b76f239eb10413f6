//! Topics of Apache Kafka as sinks.
//!
//! What a checkpoint put out is one transaction, in which the record of what was delivered is written too: as the offset,
//! with its metadata, that a group of the sink's own has committed. Readers that read committed messages see each line
//! once. `init_transactions` ends what an older run left open and fences it; nothing rests on a transaction that is
//! prepared, since the outbox has its lines.

mod key;
mod producer;
mod record;

use std::time::{Duration, Instant};

use event::Topic;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::KafkaError;

use super::SinkError;
use super::database::{Database, Failure, Judge, Place};
use super::ledger::Delivered;
use key::key_of;
use producer::Output;
use record::{Asked, Records, offsets_of};

/// How long one step may take before it is tried again.
const STEP_WITHIN: Duration = Duration::from_secs(10);
/// How long the record of whoever has fenced this run is waited for.
const SUCCESSOR_WITHIN: Duration = Duration::from_secs(5);
/// How long a transaction that somebody has open is waited for before this run claims the topic, which ends it.
const DECIDED_WITHIN: Duration = Duration::from_secs(3);
/// How often the record is written again where there is nothing to deliver: brokers forget it some time.
const KEEP_EVERY: Duration = Duration::from_secs(3600);

/// A topic that lines are put into.
pub(super) struct Kafka {
    place: Place,
    topic: Topic,
    /// Its transactional id, and the name of the group that holds its record; `None` if lines come at once.
    id: Option<String>,
    output: Option<Output>,
    /// The group that holds its record, as transactions name it.
    group: Option<ConsumerGroupMetadata>,
    /// The record, as long as nobody but this run can have changed it.
    record: Option<Delivered>,
    /// When this run wrote it last.
    written: Option<Instant>,
    step: Step,
}

/// What the next attempt begins with.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A transaction of its own.
    Begin,
    /// Giving up what was begun.
    Abort,
    /// The commit that has not been answered: it may have happened.
    Commit(Delivered),
}

/// Whether a topic is there, and lets us in. Writes nothing.
///
/// # Errors
/// Why not, in words.
pub(super) fn find(topic: &Topic) -> Result<(), String> {
    let in_words = |failure: Failure| match failure {
        Failure::Away(words) | Failure::Refused(words) | Failure::Failed(words) => words,
        Failure::Sink(error) => error.to_string(),
    };
    let output = Output::open(topic, None).map_err(in_words)?;
    let found = output.find_topic(STEP_WITHIN);
    found.map_err(|error| output.refusal().unwrap_or_else(|| output.words(&error)))
}

impl Kafka {
    pub(super) fn new(place: Place, topic: &Topic, id: Option<String>) -> Self {
        Kafka {
            place,
            topic: topic.clone(),
            id,
            output: None,
            group: None,
            record: None,
            written: None,
            step: Step::Begin,
        }
    }

    fn output(&mut self) -> Result<&Output, Failure> {
        let output = match self.output.take() {
            Some(output) => output,
            None => Output::open(&self.topic, self.id.as_deref())?,
        };
        Ok(self.output.insert(output))
    }

    /// The record as the brokers have it.
    fn read_record(&self, id: &str) -> Result<Delivered, Failure> {
        Records::open(&self.topic, id, Asked::Settled)?.read(STEP_WITHIN)
    }

    /// The record before this run claims the topic. A run that died may have left a transaction open, which the brokers
    /// give up after a minute or so, and `init` at once: what it would have said does not count.
    fn read_record_before(&self, id: &str) -> Result<Delivered, Failure> {
        match Records::open(&self.topic, id, Asked::Settled)?.read(DECIDED_WITHIN) {
            Err(Failure::Away(_)) => Records::open(&self.topic, id, Asked::Committed)?.read(STEP_WITHIN),
            read => read,
        }
    }

    /// Makes this run the one whose transactions count, unless a later one does already.
    fn claim(&mut self, id: &str) -> Result<Delivered, Failure> {
        if let Some(record) = self.record {
            return Ok(record);
        }
        let before = self.read_record_before(id)?;
        if before.generation > self.place.generation() {
            // The judge refuses it; its transactions are not touched.
            return Ok(before);
        }
        self.output()?.init().map_err(|error| self.failure(&error))?;
        // What an older run had left open is decided now.
        let record = self.read_record(id)?;
        self.record = Some(record);
        Ok(record)
    }

    /// Ends what the last attempt left.
    fn settle(&mut self) -> Result<(), Failure> {
        match self.step {
            Step::Begin => Ok(()),
            Step::Abort => self.abort(),
            Step::Commit(record) => self.commit(record),
        }
    }

    fn abort(&mut self) -> Result<(), Failure> {
        self.step = Step::Abort;
        self.output()?.abort().map_err(|error| self.failure(&error))?;
        self.step = Step::Begin;
        Ok(())
    }

    fn commit(&mut self, record: Delivered) -> Result<(), Failure> {
        self.step = Step::Commit(record);
        match self.output()?.commit() {
            Ok(()) => {
                self.record = Some(record);
                self.written = Some(Instant::now());
                self.step = Step::Begin;
                Ok(())
            }
            Err(error) => {
                if requires_abort(&error) {
                    self.step = Step::Abort;
                }
                Err(self.failure(&error))
            }
        }
    }

    /// What an error means for the sink. Of one that ends the producer the run ends too: its successor claims the
    /// topic anew, which this run must not do where it may be fenced.
    fn failure(&self, error: &KafkaError) -> Failure {
        let reason = self.output.as_ref().and_then(|output| output.reason(error));
        let is_fatal =
            reason.is_some() || matches!(error, KafkaError::Transaction(error) if error.is_fatal());
        let error = reason.as_ref().unwrap_or(error);
        let words = self.output.as_ref().map_or_else(|| kafka::words(error), |output| output.words(error));
        match kafka::meaning(error) {
            kafka::Meaning::Fenced => self.fenced(words),
            kafka::Meaning::Refused => Failure::Refused(words),
            _ if is_fatal => Failure::Failed(words),
            kafka::Meaning::Passing => Failure::Away(words),
            _ if is_retriable(error) || requires_abort(error) => Failure::Away(words),
            _ => Failure::Failed(words),
        }
    }

    /// Who has fenced this run says so in its record, a moment later. Without one, the brokers have given up a
    /// transaction that took too long, and nobody else is there.
    fn fenced(&self, words: String) -> Failure {
        let (generation, begun) = (self.place.generation(), Instant::now());
        while let Some(id) = self.id.as_deref().filter(|_| begun.elapsed() < SUCCESSOR_WITHIN) {
            match self.read_record(id) {
                Ok(Delivered { generation: latest, .. }) if latest > generation => {
                    let (sink, database) = (self.place.sink.clone(), self.describe());
                    return SinkError::Fenced { sink, database, latest, generation }.into();
                }
                _ => std::thread::sleep(Duration::from_millis(100)),
            }
        }
        let id = self.id.as_deref().unwrap_or_default();
        Failure::Failed(format!(
            "{words}; the brokers have given up a transaction that took too long, or another producer has the \
             transactional id `{id}`"
        ))
    }

    /// Puts the lines into the transaction that is begun, or at once.
    fn send(&mut self, lines: &[u8]) -> Result<(), Failure> {
        let shape = self.place.table.shape.clone();
        let place = self.place.clone();
        let output = self.output()?;
        let mut failed = None;
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let key = key_of(&shape, line).map_err(|error| place.row_error(&error))?;
            if let Err(error) = output.send(key.as_deref(), line, STEP_WITHIN) {
                failed = Some(error);
                break;
            }
        }
        match failed {
            Some(error) => Err(self.failure(&error)),
            None => Ok(()),
        }
    }

    /// The lines and the record in one transaction.
    fn deliver(&mut self, id: &str, record: Delivered, lines: &[u8]) -> Result<(), Failure> {
        self.output()?.begin().map_err(|error| self.failure(&error))?;
        self.step = Step::Abort;
        self.send(lines)?;
        self.output()?.flush(STEP_WITHIN).map_err(|error| self.failure(&error))?;
        if self.group.is_none() {
            self.group = Some(Records::open(&self.topic, id, Asked::Settled)?.group()?);
        }
        let sent = match (&self.output, &self.group) {
            (Some(output), Some(group)) => {
                offsets_of(&self.topic.name, record).and_then(|offsets| output.send_offsets(&offsets, group))
            }
            _ => Ok(()),
        };
        sent.map_err(|error| self.failure(&error))?;
        self.commit(record)
    }
}

fn requires_abort(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(error) if error.txn_requires_abort())
}

fn is_retriable(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(error) if error.is_retriable())
}

impl Database for Kafka {
    fn describe(&self) -> String {
        self.topic.to_string()
    }

    fn prepare(&mut self) -> Result<(), Failure> {
        let output = self.output()?;
        let Err(error) = output.find_topic(STEP_WITHIN) else { return Ok(()) };
        let refusal = output.refusal();
        Err(refusal.map_or_else(|| self.failure(&error), Failure::Refused))
    }

    /// Others may write to a topic; whether it has lines of the job is in the record.
    fn has_rows(&mut self) -> Result<bool, Failure> {
        Ok(false)
    }

    fn not_empty(&self) -> SinkError {
        SinkError::TopicNotEmpty {
            sink: self.place.sink.clone(),
            topic: self.topic.name.clone(),
            group: self.id.clone().unwrap_or_default(),
        }
    }

    fn keep(&mut self) -> Result<(), Failure> {
        let is_old = self.written.is_some_and(|written| written.elapsed() >= KEEP_EVERY);
        let (Some(record), Some(id), true) = (self.record, self.id.clone(), is_old) else { return Ok(()) };
        self.settle()?;
        self.deliver(&id, record, &[])
    }

    fn transact(&mut self, judge: Option<Judge<'_>>, lines: &[u8]) -> Result<(), Failure> {
        let (Some(judge), Some(id)) = (judge, self.id.clone()) else {
            self.send(lines)?;
            return self.output()?.flush(STEP_WITHIN).map_err(|error| self.failure(&error));
        };
        self.settle()?;
        let found = self.claim(&id)?;
        match judge(found)? {
            Some(record) => self.deliver(&id, record, lines),
            None => Ok(()),
        }
    }
}
