//! HTTP endpoints of others as sinks: each row, or a batch of them, is posted, in order, until it is taken.
//!
//! At least once: what the last checkpoint put out is sent again after a crash, since nobody here knows how
//! far it got; the receiver knows rows again by their ids, which are the same in every run. A receiver that is
//! away is waited for without end, and what waits is in the outbox; [`SinkError::Later`] says so to whoever
//! delivers, so that a job which is told to stop need not wait. What a receiver will not have is tried again
//! for a while, and then written to a file, or ends the run.

mod address;
mod circuit;
mod client;
mod request;
mod signature;
mod undelivered;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::Probe;
use serde_json::value::RawValue;

use circuit::{Change, Circuit};
use client::{Answer, Client};
use request::{Framing, Request};
use undelivered::Undelivered;

use super::receiver::Receiver;
use super::table::Shape;
use super::{CircuitState, Deliverer, Gauge, Mode, Opening, Sink, SinkError, SinkSpec, say};

/// How long it is at most until whoever delivers may decide to stop.
const LATER: Duration = Duration::from_millis(500);

/// Why an address of a receiver cannot be, in words that do not show it.
///
/// # Errors
/// If it is none of `http` or `https`, has no host, or has a password in it.
pub fn check_receiver(url: &str) -> Result<(), String> {
    client::parse(url).map(|_| ())
}

/// Why a secret cannot be, in words that do not show it.
///
/// # Errors
/// If it is empty, or begins with `whsec_` and is no base64 behind it.
pub fn check_signing_secret(secret: &str) -> Result<(), String> {
    signature::Signer::new(secret).map(|_| ())
}

/// What there is to be found out before a job posts: whether the receiver is there, and what time it is there. No row
/// is sent, nor is anything that a receiver could take for one.
pub(super) fn probe(sink: &str, receiver: &Receiver) -> Vec<Probe> {
    match Client::new(sink, receiver) {
        Ok(client) => vec![client.probe()],
        Err(error) => vec![Probe::new("read the config", Err(error.to_string()))],
    }
}

/// Opens a webhook. What the last checkpoint put out is sent again when it is told to settle.
pub(super) fn open(
    spec: &SinkSpec,
    deliverer: &Deliverer,
    receiver: &Receiver,
    shape: &Shape,
    opening: Opening<'_>,
) -> Result<Box<dyn Sink>, SinkError> {
    let mut sink = WebhookSink::new(spec, deliverer, receiver, shape)?;
    sink.is_placed = !matches!(opening, Opening::AtOnce);
    // Those before were taken, or the last one would not have been put out.
    if let Opening::Resume([.., last]) = opening {
        sink.length = last.start;
        sink.gauge.given(memchr::memchr_iter(b'\n', &last.bytes).count() as u64);
        sink.owed = Some(last.bytes.clone());
    }
    Ok(Box::new(sink))
}

struct WebhookSink {
    name: String,
    mode: Mode,
    receiver: Receiver,
    framing: Framing,
    client: Client,
    circuit: Circuit,
    /// What the last checkpoint put out, as long as it is not settled.
    owed: Option<Vec<u8>>,
    /// Bytes of all lines so far.
    length: u64,
    /// Whether `length` is the same in every run, so that a row's place can be a part of its id.
    is_placed: bool,
    /// Bytes of the lines in hand that the receiver has, or that were given up.
    done: usize,
    /// Up to there the lines in hand are sent one by one: the receiver would not have them together.
    singly: usize,
    /// Since when the receiver takes nothing that it is sent, though it is there.
    refused_since: Option<Instant>,
    gauge: Arc<Gauge>,
}

impl WebhookSink {
    fn new(
        spec: &SinkSpec,
        deliverer: &Deliverer,
        receiver: &Receiver,
        shape: &Shape,
    ) -> Result<Self, SinkError> {
        Ok(WebhookSink {
            name: spec.name.clone(),
            mode: spec.mode,
            framing: Framing {
                job: deliverer.job.clone(),
                sink: spec.name.clone(),
                shape: shape.clone(),
                batch: receiver.batch.max(1),
            },
            client: Client::new(&spec.name, receiver)?,
            circuit: Circuit::new(receiver.circuit),
            receiver: receiver.clone(),
            owed: None,
            length: 0,
            is_placed: true,
            done: 0,
            singly: 0,
            refused_since: None,
            gauge: Arc::default(),
        })
    }

    /// Sends lines, from behind those that were sent in an attempt before.
    fn send(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        while let Some(rest) = lines.get(self.done..).filter(|rest| !rest.is_empty()) {
            if let Some(wait) = self.circuit.wait(Instant::now()) {
                return Err(self.later(wait, "it is not yet time to try again"));
            }
            let rows_max = if self.done < self.singly { 1 } else { usize::MAX };
            let place = self.is_placed.then_some(self.length + self.done as u64);
            let request = self
                .framing
                .first(rest, place, rows_max)
                .map_err(|error| SinkError::Row { sink: self.name.clone(), words: error.to_string() })?;
            if self.circuit.is_open() {
                self.gauge.stands(CircuitState::HalfOpen);
            }
            let answer = self.client.post(&request);
            match answer {
                Answer::Taken => self.taken(&request),
                Answer::Away { words, asked } => return Err(self.away(&words, asked)),
                Answer::Refused { words, .. } if request.rows > 1 => self.take_apart(&request, &words),
                Answer::Refused { status, words, asked } => {
                    self.refused(&request, rest, status, &words, asked)?;
                }
            }
        }
        self.length += lines.len() as u64;
        (self.done, self.singly) = (0, 0);
        Ok(())
    }

    fn taken(&mut self, request: &Request) {
        let change = self.circuit.succeeded();
        self.done += request.length;
        self.gauge.stands(CircuitState::Closed);
        self.gauge.settled(request.rows as u64);
        if self.refused_since.take().is_some() || change == Change::Closed {
            say(&format!("sink `{}`: {} takes rows again", self.name, self.client.describe()));
        }
    }

    fn away(&mut self, words: &str, asked: Option<Duration>) -> SinkError {
        let now = Instant::now();
        // A receiver that is away refuses nothing.
        self.refused_since = None;
        if let Change::Opened(pause) = self.circuit.failed(now, asked, chance()) {
            say(&format!(
                "warning: sink `{}`: {} takes no rows: {words}\n\
                 hint: the circuit is open, and tried again after about {pause:?}; rows wait in the outbox, nothing \
                 is lost",
                self.name,
                self.client.describe(),
            ));
        }
        if self.circuit.is_open() {
            self.gauge.stands(CircuitState::Open);
        }
        self.later(self.circuit.wait(now).unwrap_or_default(), words)
    }

    /// Has the rows of a request sent one by one, so that only those are refused that the receiver will not have.
    fn take_apart(&mut self, request: &Request, words: &str) {
        self.singly = self.done + request.length;
        say(&format!(
            "warning: sink `{}`: {} refuses {} rows together, which are sent one by one: {words}",
            self.name,
            self.client.describe(),
            request.rows,
        ));
    }

    /// A row that the receiver will not have: it is tried again for a while, then written to a file.
    fn refused(
        &mut self,
        request: &Request,
        lines: &[u8],
        status: Option<u16>,
        words: &str,
        asked: Option<Duration>,
    ) -> Result<(), SinkError> {
        let now = Instant::now();
        let since = *self.refused_since.get_or_insert_with(|| {
            let hint = match &self.receiver.undelivered {
                Some(path) => format!("it goes to `{}`", path.display()),
                None => "the run ends".to_owned(),
            };
            say(&format!(
                "warning: sink `{}`: {} refuses the row {}: {words}\n\
                 hint: it is tried again for {:?}, then {hint}; the rows behind it wait",
                self.name,
                self.client.describe(),
                request.id,
                self.receiver.give_up_after,
            ));
            now
        });
        if now.duration_since(since) < self.receiver.give_up_after {
            self.circuit.refused(now, asked, chance());
            self.gauge.stands(CircuitState::Closed);
            return Err(self.later(self.circuit.wait(now).unwrap_or_default(), words));
        }
        let Some(path) = &self.receiver.undelivered else {
            let (sink, receiver) = (self.name.clone(), self.client.describe());
            let (row, words) = (request.id.clone(), words.to_owned());
            return Err(SinkError::GivenUp { sink, receiver, row, words });
        };
        let row: &RawValue = serde_json::from_slice(lines[..request.length].trim_ascii_end())
            .map_err(|error| SinkError::Row { sink: self.name.clone(), words: error.to_string() })?;
        Undelivered { reason: words, status, id: &request.id, row }.append(&self.name, path)?;
        say(&format!(
            "warning: sink `{}`: the row {} was given up and is in `{}`",
            self.name,
            request.id,
            path.display()
        ));
        self.circuit.succeeded();
        self.gauge.stands(CircuitState::Closed);
        self.gauge.settled(1);
        // The next one that is refused has its own time.
        self.refused_since = None;
        self.done += request.length;
        Ok(())
    }

    fn later(&self, wait: Duration, words: &str) -> SinkError {
        SinkError::Later {
            sink: self.name.clone(),
            receiver: self.client.describe(),
            after: wait.min(LATER),
            words: words.to_owned(),
        }
    }
}

/// Anything from 0 to 1.
fn chance() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}

impl Sink for WebhookSink {
    fn settle(&mut self) -> Result<(), SinkError> {
        let Some(owed) = self.owed.take() else { return Ok(()) };
        let sent = self.send(&owed);
        match sent {
            // From here on a place is the same in every run only where lines come from checkpoints.
            Ok(()) => self.is_placed = self.mode == Mode::ExactlyOnce,
            Err(_) => self.owed = Some(owed),
        }
        sent
    }

    fn write(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        self.settle()?;
        self.send(lines)
    }

    /// What the receiver has taken is its own to keep.
    fn sync(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn gauge(&self) -> Option<Arc<Gauge>> {
        Some(Arc::clone(&self.gauge))
    }
}
