//! Events that clients post, as a source: `type = "http"` of `[source.NAME]`. A program that is built without the cargo feature
//! `http` refuses it in [`build`](super::Windowed::build), and says which brings it.

use super::endpoint::Source;
use super::names::Names;
use super::words::Words;

/// Events that are posted to `/v1/events` of that address, as `127.0.0.1:8080`. They are in the journal, in that directory,
/// before they are acknowledged.
///
/// ```
/// use tidewatch::prelude::*;
///
/// let job = events(http("127.0.0.1:8080", "journal").token_file("token").dedup("event_id", 100_000))
///     .time("ts", Millis)
///     .key_by("user_id")
///     .window(tumbling(minutes(10)))
///     .aggregate("events", "count(*)")
///     .detect(rule("many").when("events > 1000"))
///     .alert_to(stdout())
///     .build();
/// assert_eq!(job.is_ok(), cfg!(feature = "http"));
/// ```
pub fn http(listen: &str, dir: &str) -> Source {
    let call = Words::default().call("http").implied_text(&["type"], "http");
    Source { words: call.text(&["listen"], listen).text(&["dir"], dir).end(), name: None }
}

impl Source {
    /// Of events over HTTP: clients have to show the token in that variable of the environment, of 16 characters at least.
    pub fn token(self, variable: &str) -> Self {
        self.option(".token", |call| call.text(&["tokens", "env"], variable))
    }

    /// The same, of a token in a file.
    pub fn token_file(self, path: &str) -> Self {
        self.option(".token_file", |call| call.text(&["tokens", "file"], path))
    }

    /// Of events over HTTP: connections are encrypted with these files, in PEM.
    pub fn tls(self, certificate: &str, key: &str) -> Self {
        self.option(".tls", |call| call.text(&["tls", "cert"], certificate).text(&["tls", "key"], key))
    }

    /// Of events over HTTP: an event with an id that one of the last so many events had is left out. Several fields are
    /// one id together.
    pub fn dedup(self, field: impl Into<Names>, last: u64) -> Self {
        let Names(fields) = field.into();
        self.option(".dedup", |call| {
            call.texts(&["dedup", "field"], &fields).integer(&["dedup", "last"], last)
        })
    }

    /// Of events over HTTP: bytes of the journal beyond which clients are told to come again later, as `2GiB`. Default:
    /// `1GiB`.
    pub fn journal_bytes(self, bytes: &str) -> Self {
        self.option(".journal_bytes", |call| call.text(&["journal_bytes"], bytes))
    }
}
