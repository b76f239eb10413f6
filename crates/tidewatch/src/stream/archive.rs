//! Archives in Parquet files as sources and sinks: `type = "archive"` of `[source.NAME]` and `[sink.NAME]`. A program that is built
//! without the cargo feature `archive` refuses them in [`build`](super::Windowed::build), and says which brings them.

use super::endpoint::{Sink, Source};
use super::names::Names;
use super::words::Words;

/// An archive: what another job read, or rows that are put out, with each checkpoint.
#[derive(Debug, Clone)]
#[must_use = "an archive is nothing until a job reads or writes it"]
pub struct Archive {
    words: Words,
}

/// The archive in a directory or a bucket (`s3://BUCKET/PREFIX`). One that is read is not to be written by the same job; to write
/// one needs a state. [`Windowed::archive_to`](super::Windowed::archive_to) keeps all that a job reads in one.
///
/// ```
/// use tidewatch::prelude::*;
///
/// let job = events(archive("archive/2026").of("events"))
///     .time("ts", Millis)
///     .key_by("user_id")
///     .window(tumbling(minutes(10)))
///     .aggregate("events", "count(*)")
///     .alert_to(archive("rows").plain(["user_id", "window_end", "events"]))
///     .state("state", every(seconds(5)))
///     .build();
/// assert_eq!(job.is_ok(), cfg!(feature = "archive"));
/// ```
pub fn archive(dir: &str) -> Archive {
    let call = Words::default().call("archive").implied_text(&["type"], "archive");
    Archive { words: call.text(&["dir"], dir).end() }
}

impl Archive {
    /// As a source: the name that it had in the job which archived it, where that had several.
    pub fn of(self, source: &str) -> Source {
        Source::from(self).option(".of", |call| call.text(&["of"], source))
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
}

impl From<Archive> for Source {
    fn from(archive: Archive) -> Self {
        Source { words: archive.words, name: None }
    }
}

impl From<Archive> for Sink {
    fn from(archive: Archive) -> Self {
        Sink { words: archive.words, name: None }
    }
}
