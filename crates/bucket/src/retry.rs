//! Asks a server again that is away or has no time, within a bound.

use std::error::Error as _;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use object_store::Error;
use object_store::client::HttpError;

/// The first pause, and the longest.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// A server that is away for longer than this is spoken about.
const SILENCE: Duration = Duration::from_secs(1);

/// How long to ask.
#[derive(Debug)]
pub(super) struct Retries {
    pub(super) patience: Duration,
    /// For people: what is asked.
    pub(super) place: String,
}

impl Retries {
    /// Asks until there is an answer. Says also whether it was asked again after a request that may have been
    /// carried out.
    pub(super) async fn run<T, F>(&self, request: impl Fn() -> F) -> (io::Result<T>, bool)
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let start = Instant::now();
        let (mut pause, mut said, mut asked_again) = (PAUSE, false, false);
        loop {
            let error = match request().await {
                Ok(answer) => {
                    if said {
                        say(&format!("{} answers again", self.place));
                    }
                    return (Ok(answer), asked_again);
                }
                Err(error) => error,
            };
            let away = start.elapsed();
            if !may_pass(&error) || away + pause > self.patience {
                return (Err(io_error(error)), asked_again);
            }
            if away > SILENCE && !said {
                said = true;
                let seconds = self.patience.as_secs_f64();
                say(&format!(
                    "warning: {} does not answer: {}; it is asked again for {seconds:.0} s",
                    self.place,
                    words(&error)
                ));
            }
            asked_again = true;
            // Those who fail together do not come back together.
            tokio::time::sleep(pause.mul_f64(0.5 + spread())).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// A number from 0 to 1 that differs from call to call.
fn spread() -> f64 {
    fastrand::f64()
}

/// Whether the same request may be answered later. What the server has understood and refused will not.
fn may_pass(error: &Error) -> bool {
    match error {
        Error::Generic { .. } => status(error)
            .is_none_or(|status| !(400..500).contains(&status) || [408, 409, 429].contains(&status)),
        Error::JoinError { .. } => true,
        // Two wrote at once, and the server took neither: as good as a server that has no time.
        Error::AlreadyExists { .. } => status(error) == Some(409),
        _ => false,
    }
}

/// The server's code, if it has answered. The library has it only in words.
fn status(error: &Error) -> Option<u16> {
    const BEFORE: &str = "status code: ";
    let words = words(error);
    let (_, rest) = words.split_once(BEFORE)?;
    rest.get(..3)?.parse().ok()
}

fn io_error(error: Error) -> io::Error {
    let is_late = || {
        let mut cause = error.source();
        while let Some(inner) = cause {
            if inner.downcast_ref::<HttpError>().is_some() {
                return true;
            }
            cause = inner.source();
        }
        false
    };
    let kind = match &error {
        Error::NotFound { .. } => io::ErrorKind::NotFound,
        Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. } => {
            io::ErrorKind::AlreadyExists
        }
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => io::ErrorKind::PermissionDenied,
        // The range begins behind the end of the object.
        _ if status(&error) == Some(416) => io::ErrorKind::UnexpectedEof,
        _ if is_late() => io::ErrorKind::TimedOut,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, words(&error))
}

/// What an error says, and its causes as far as they are not said yet.
fn words(error: &Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        cause = inner.source();
    }
    words
}

fn say(words: &str) {
    // Nobody may be there to read it, which is no reason to fall.
    let _ = writeln!(io::stderr(), "{words}");
}
