//! Where events come from and where rows go: `[source.NAME]` and `[sink.NAME]` of a config.

use std::path::Path;
use std::time::Duration;

use super::names::Names;
use super::words::{Call, Words};

/// A file: of events, one JSON object a line, or of rows that are put out.
#[derive(Debug, Clone)]
#[must_use = "a file is nothing until a job reads or writes it"]
pub struct File {
    words: Words,
}

/// A file of that path; relative ones are relative to the working directory.
///
/// A path that is not UTF-8 is not found.
pub fn file(path: impl AsRef<Path>) -> File {
    let path = path.as_ref().to_string_lossy();
    let call = Words::default().call("file").implied_text(&["type"], "file").text(&["path"], &path);
    File { words: call.end() }
}

impl File {
    /// As a source: partitions that it is cut into, so that any number of workers can share it. What is late may
    /// depend on it. Default: 16.
    pub fn lanes(self, lanes: u64) -> Source {
        Source::from(self).option(".lanes", |call| call.integer(&["lanes"], lanes))
    }

    /// As a source: its pace ([`Source::rate`]).
    pub fn rate(self, events: f64) -> Source {
        Source::from(self).rate(events)
    }

    /// As a source: CSV with a header ([`Source::csv`]), whatever its name ends with.
    pub fn csv(self) -> Source {
        Source::from(self).csv()
    }

    /// As a source: where it begins that no checkpoint knows ([`Source::start`]).
    pub fn start(self, from: &str) -> Source {
        Source::from(self).start(from)
    }

    /// As a source: where it ends ([`Source::end`]).
    pub fn end(self, at: &str) -> Source {
        Source::from(self).end(at)
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

/// What a job reads.
#[derive(Debug, Clone)]
#[must_use = "a source is nothing until a job reads it"]
pub struct Source {
    pub(super) words: Words,
    pub(super) name: Option<String>,
}

impl From<File> for Source {
    fn from(file: File) -> Self {
        Source { words: file.words, name: None }
    }
}

/// Standard input, one JSON object a line. It cannot be read again, so a job on it keeps no state.
pub fn stdin() -> Source {
    let words = Words::default().call("stdin").implied_text(&["type"], "stdin").end();
    Source { words, name: None }
}

/// Podcast events that are made up, always the same ones: of users, who sometimes run into trouble.
pub fn generate() -> Source {
    let words = Words::default().call("generate").implied_text(&["type"], "generate").end();
    Source { words, name: None }
}

impl Source {
    pub(super) fn option(self, name: &str, write: impl FnOnce(Call) -> Call) -> Self {
        Source { words: write(self.words.call(name)).end(), ..self }
    }

    /// Its name, which a state knows it by. Default: `events`, of further ones `events_2` and so on.
    pub fn named(self, name: &str) -> Self {
        let source = self.option(".named", |call| call.shown(name));
        Source { name: Some(name.to_owned()), ..source }
    }

    /// Events a second that the whole job reads of it at most. Default: as fast as it goes; 20,000 of those made up.
    pub fn rate(self, events: f64) -> Self {
        self.option(".rate", |call| call.number(&["rate"], events))
    }

    /// Of files and standard input: CSV by RFC 4180, with a header, instead of one JSON object a line. The default of files
    /// whose name ends in `.csv`.
    pub fn csv(self) -> Self {
        self.option(".csv", |call| call.implied_text(&["format"], "csv"))
    }

    /// Where it ends: `"latest"`, where each partition ended when the job was first started, or `"never"`. Default:
    /// `"latest"` of files, `"never"` of topics, of streams and over HTTP.
    pub fn end(self, at: &str) -> Self {
        self.option(".end", |call| call.text(&["end"], at))
    }

    /// Of made-up events: how many users there are. Default: 1000.
    pub fn users(self, users: u64) -> Self {
        self.option(".users", |call| call.integer(&["users"], users))
    }

    /// Of made-up events: another seed gives other ones. Default: 7.
    pub fn seed(self, seed: u64) -> Self {
        self.option(".seed", |call| call.integer(&["seed"], seed))
    }

    /// Of made-up events: how many there are. Without it they never end.
    pub fn events(self, events: u64) -> Self {
        self.option(".events", |call| call.integer(&["events"], events))
    }

    /// Of made-up events: how many lie in a second of event time. Default: 333.
    pub fn density(self, events: f64) -> Self {
        self.option(".density", |call| call.number(&["density"], events))
    }

    /// Where it begins that no checkpoint knows: `"earliest"`, `"latest"` (with what comes after the first start), `"checkpoint"`
    /// (a job without one is refused), or a time, as `2023-11-14T22:13:20Z`, from which on a record was taken in, or a file last
    /// written, or an event of an archive happened. Default: `"earliest"`. Of made-up events: the event time of the first.
    pub fn start(self, from: &str) -> Self {
        self.option(".start", |call| call.text(&["start"], from))
    }

    /// Of made-up events: how late one is at most. Default: 4 s.
    pub fn out_of_order(self, most: Duration) -> Self {
        self.option(".out_of_order", |call| call.duration(&["out_of_order"], most))
    }

    /// Of made-up events: the share of users for whom something goes wrong in 45 minutes. Default: 0.03.
    pub fn anomalies(self, share: f64) -> Self {
        self.option(".anomalies", |call| call.number(&["anomalies"], share))
    }
}

/// Where rows go: alerts, unless it is told to take [`Sink::plain`] rows.
#[derive(Debug, Clone)]
#[must_use = "a sink is nothing until a job writes to it"]
pub struct Sink {
    pub(super) words: Words,
    pub(super) name: Option<String>,
}

impl From<File> for Sink {
    fn from(file: File) -> Self {
        Sink { words: file.words, name: None }
    }
}

/// Standard output.
pub fn stdout() -> Sink {
    let words = Words::default().call("stdout").implied_text(&["type"], "stdout").end();
    Sink { words, name: None }
}

/// A table of an SQLite database in a file; both are made if they are missing.
pub fn sqlite(path: impl AsRef<Path>) -> Sink {
    let path = path.as_ref().to_string_lossy();
    let call = Words::default().call("sqlite").implied_text(&["type"], "sqlite").text(&["path"], &path);
    Sink { words: call.end(), name: None }
}

/// A table of a PostgreSQL server, whose address is in that variable of the environment:
/// `postgres://user:password@host:port/database`.
pub fn postgres(variable: &str) -> Sink {
    let call = Words::default().call("postgres").implied_text(&["type"], "postgres");
    Sink { words: call.text(&["url", "env"], variable).end(), name: None }
}

impl Sink {
    pub(super) fn option(self, name: &str, write: impl FnOnce(Call) -> Call) -> Self {
        Sink { words: write(self.words.call(name)).end(), ..self }
    }

    /// Its name, which a state knows it by. Default: `alerts`, of further ones `alerts_2` and so on.
    pub fn named(self, name: &str) -> Self {
        let sink = self.option(".named", |call| call.shown(name));
        Sink { name: Some(name.to_owned()), ..sink }
    }

    /// Rows of these columns instead of alerts: names and `expression AS name`, over the key, the window, features,
    /// scores, `rule` and `severity`. Without rules these are all rows.
    pub fn plain(self, columns: impl Into<Names>) -> Self {
        let Names(columns) = columns.into();
        self.option(".plain", |call| call.implied_text(&["format"], "plain").texts(&["columns"], &columns))
    }

    /// Rows are written as soon as they are due; after a crash the same ones may come again. The default of a job
    /// that keeps state is each row exactly once, with the checkpoint that holds it.
    pub fn at_once(self) -> Self {
        self.option(".at_once", |call| call.implied_text(&["mode"], "at_once"))
    }

    /// Of databases: the table. Default: the name of the sink.
    pub fn table(self, name: &str) -> Self {
        self.option(".table", |call| call.text(&["table"], name))
    }

    /// Of databases: how long one that is away is waited for. Default: 60 s.
    pub fn retry_for(self, time: Duration) -> Self {
        self.option(".retry_for", |call| call.duration(&["retry_for"], time))
    }

    /// Of PostgreSQL: a file with the certificates of those who may sign the server's.
    pub fn ca(self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().to_string_lossy().into_owned();
        self.option(".ca", |call| call.text(&["ca"], &path))
    }
}
