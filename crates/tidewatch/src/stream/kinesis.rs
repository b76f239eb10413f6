//! Streams of Amazon Kinesis as sources and sinks: `type = "kinesis"` of `[source.NAME]` and `[sink.NAME]`. A program that is
//! built without the cargo feature `kinesis` refuses them in [`build`](super::Windowed::build), and says which brings them.

use std::time::Duration;

use super::endpoint::{Sink, Source};
use super::names::Names;
use super::words::{Call, Words};

/// A stream: each record an event, or a row that is put out.
#[derive(Debug, Clone)]
#[must_use = "a stream is nothing until a job reads or writes it"]
pub struct Stream {
    words: Words,
}

/// A stream of that name or ARN. Who may come in is found as by any program of Amazon's.
///
/// ```
/// use tidewatch::prelude::*;
///
/// let job = events(kinesis("plays").region("eu-central-1").end("latest"))
///     .time("ts", Millis)
///     .key_by("user_id")
///     .window(tumbling(minutes(10)))
///     .aggregate("events", "count(*)")
///     .detect(rule("many").when("events > 1000"))
///     .alert_to(kinesis("alerts").region("eu-central-1"))
///     .build();
/// assert_eq!(job.is_ok(), cfg!(feature = "kinesis"));
/// ```
pub fn kinesis(stream: &str) -> Stream {
    let call = Words::default().call("kinesis").implied_text(&["type"], "kinesis");
    Stream { words: call.text(&["stream"], stream).end() }
}

impl Stream {
    fn with(self, name: &str, write: impl FnOnce(Call) -> Call) -> Self {
        Stream { words: write(self.words.call(name)).end() }
    }

    /// Its region. Default: that of the ARN, the environment or the profile.
    pub fn region(self, region: &str) -> Self {
        self.with(".region", |call| call.text(&["region"], region))
    }

    /// The address of the service. Default: Amazon's.
    pub fn endpoint(self, address: &str) -> Self {
        self.with(".endpoint", |call| call.text(&["endpoint"], address))
    }

    /// How long a stream that is away is waited for. Default: 60 s.
    pub fn retry_for(self, time: Duration) -> Self {
        self.with(".retry_for", |call| call.duration(&["retry_for"], time))
    }

    /// As a source: how long a shard is left alone after it was asked. Default: 200 ms.
    pub fn poll_every(self, time: Duration) -> Source {
        Source::from(self).option(".poll_every", |call| call.duration(&["poll_every"], time))
    }

    /// As a source: shards send what they have to a consumer of that name (enhanced fan-out), instead of being asked.
    pub fn fan_out(self, consumer: &str) -> Source {
        Source::from(self)
            .option(".fan_out", |call| call.implied_text(&["mode"], "fan_out").text(&["consumer"], consumer))
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

    /// As a sink: plain rows ([`Sink::plain`]).
    pub fn plain(self, columns: impl Into<Names>) -> Sink {
        Sink::from(self).plain(columns)
    }

    /// As a sink: rows as soon as they are due ([`Sink::at_once`]).
    pub fn at_once(self) -> Sink {
        Sink::from(self).at_once()
    }
}

impl From<Stream> for Source {
    fn from(stream: Stream) -> Self {
        Source { words: stream.words, name: None }
    }
}

impl From<Stream> for Sink {
    fn from(stream: Stream) -> Self {
        Sink { words: stream.words, name: None }
    }
}
