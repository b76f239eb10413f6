//! Topics of Apache Kafka as sources and sinks: `type = "kafka"` of `[source.NAME]` and `[sink.NAME]`. A program that is built
//! without the cargo feature `kafka` refuses them in [`build`](super::Windowed::build), and says which brings them.

use super::endpoint::{Sink, Source};
use super::names::Names;
use super::words::{Call, Words};

/// A topic: each message an event, as one JSON object, or a row that is put out.
#[derive(Debug, Clone)]
#[must_use = "a topic is nothing until a job reads or writes it"]
pub struct Topic {
    words: Words,
}

/// A topic, at brokers of these addresses: `HOST:PORT`, divided by commas. A sink's must be there.
///
/// ```
/// use tidewatch::prelude::*;
///
/// let job = events(kafka("broker:9092", "plays").named("plays").start("latest"))
///     .time("ts", Millis)
///     .key_by("user_id")
///     .window(tumbling(minutes(10)))
///     .aggregate("events", "count(*)")
///     .alert_to(kafka("broker:9092", "counts").plain(["user_id", "window_end", "events"]))
///     .build();
/// assert_eq!(job.is_ok(), cfg!(feature = "kafka"));
/// ```
pub fn kafka(brokers: &str, topic: &str) -> Topic {
    let call = Words::default().call("kafka").implied_text(&["type"], "kafka");
    Topic { words: call.text(&["brokers"], brokers).text(&["topic"], topic).end() }
}

impl Topic {
    fn with(self, name: &str, write: impl FnOnce(Call) -> Call) -> Self {
        Topic { words: write(self.words.call(name)).end() }
    }

    /// A setting of the client library, as `client_option("security.protocol", "SASL_SSL")`. Not for secrets.
    pub fn client_option(self, name: &str, value: &str) -> Self {
        self.with(".client_option", |call| call.named(&["options"], name, value))
    }

    /// The same of a secret, as `sasl.password`, which is in that variable of the environment.
    pub fn secret_option(self, name: &str, variable: &str) -> Self {
        self.with(".secret_option", |call| call.shown(name).text(&["options", name, "env"], variable))
    }

    /// As a source: reads the messages of transactions that were given up too.
    pub fn uncommitted(self) -> Source {
        Source::from(self)
            .option(".uncommitted", |call| call.implied_text(&["isolation"], "read_uncommitted"))
    }

    /// As a source: where it begins that no checkpoint knows ([`Source::start`]).
    pub fn start(self, from: &str) -> Source {
        Source::from(self).start(from)
    }

    /// As a source: where it ends ([`Source::end`]).
    pub fn end(self, at: &str) -> Source {
        Source::from(self).end(at)
    }

    /// As a source: its pace ([`Source::rate`]).
    pub fn rate(self, events: f64) -> Source {
        Source::from(self).rate(events)
    }

    /// As a source: its name ([`Source::named`]).
    pub fn named(self, name: &str) -> Source {
        Source::from(self).named(name)
    }

    /// As a sink: plain rows ([`Sink::plain`]), among whose columns the key is.
    pub fn plain(self, columns: impl Into<Names>) -> Sink {
        Sink::from(self).plain(columns)
    }

    /// As a sink: rows as soon as they are due ([`Sink::at_once`]).
    pub fn at_once(self) -> Sink {
        Sink::from(self).at_once()
    }

    /// As a sink: the id of its transactions, which no other producer may have. Default: `tidewatch-JOB-SINK`.
    pub fn transactional_id(self, id: &str) -> Sink {
        Sink::from(self).option(".transactional_id", |call| call.text(&["transactional_id"], id))
    }
}

impl From<Topic> for Source {
    fn from(topic: Topic) -> Self {
        Source { words: topic.words, name: None }
    }
}

impl From<Topic> for Sink {
    fn from(topic: Topic) -> Self {
        Sink { words: topic.words, name: None }
    }
}
