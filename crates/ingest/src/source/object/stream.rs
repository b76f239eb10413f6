//! An object of lines or of CSV, plain or packed: its bytes in order, unpacked on the thread that fetches them.
//!
//! Positions count bytes, of a packed object those that come out of it; a job that goes on with such a one fetches and
//! unpacks it from the start and skips what was read.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, Bytes};

use super::super::blob::Blob;
use super::super::carrier::{Carrier, Giver, Taken};
use super::super::feed::Feed;
use super::super::position::{Origin, Position};
use super::super::unpack::{Came, Packing, Unpacked};
use super::super::{Format, Lag, Partition, Poll, Waker};
use super::Object;
use crate::{Caution, DecodeSpec, IngestError};

/// Pieces in the queue at most.
const PIECES_MAX: usize = 2;
/// Stretches of an object that are held at once: those in the queue, and one that is under way.
const STRETCHES: u64 = PIECES_MAX as u64 + 1;

/// The one partition of an object.
pub(in super::super) struct Streamed {
    object: Arc<Object>,
    packing: Packing,
    feed: Feed,
    /// From the first poll on.
    carrier: Option<Carrier<Stretch>>,
    progress: Arc<Progress>,
    waker: Option<Waker>,
}

/// Bytes that came out, and the place of the first of them.
struct Stretch {
    offset: u64,
    bytes: Vec<u8>,
}

/// What the thread and the partition know of one another.
#[derive(Default)]
struct Progress {
    /// No byte before this place is wanted any more.
    wanted: AtomicU64,
    /// Bytes of the object that were fetched.
    fetched: AtomicU64,
}

impl Streamed {
    /// Opens an object at a position.
    pub(in super::super) fn open(
        object: Object,
        packing: Packing,
        format: Format,
        position: &Position,
        decode: DecodeSpec,
    ) -> Self {
        let feed = Feed::new(object.name().to_owned(), format, decode, 0, position.offset);
        let (object, progress) = (Arc::new(object), Arc::default());
        Streamed { object, packing, feed, carrier: None, progress, waker: None }
    }

    /// Takes in the next piece that has come, if there is one and room for it; says whether anything did.
    fn receive(&mut self) -> Result<bool, IngestError> {
        let carrier = match &self.carrier {
            Some(carrier) => carrier,
            None => {
                let (object, packing) = (Arc::clone(&self.object), self.packing);
                let (progress, from) = (Arc::clone(&self.progress), self.feed.wanted());
                progress.wanted.store(from, Ordering::Relaxed);
                let work = move |giver: &Giver<Stretch>| fetch(&object, packing, &progress, giver);
                let waker = self.waker.clone();
                self.carrier.insert(Carrier::spawn(self.object.name(), PIECES_MAX, waker, work)?)
            }
        };
        if self.feed.is_full() {
            return Ok(true);
        }
        match carrier.take()? {
            Taken::Item(Stretch { offset, bytes }) => {
                // Behind the header of CSV records may be wanted that stand far behind it.
                let skipped = self.feed.wanted().saturating_sub(offset).min(bytes.len() as u64);
                self.feed.push(|buffer| buffer.extend_from_slice(&bytes[skipped as usize..]));
                Ok(true)
            }
            Taken::Nothing => Ok(false),
            Taken::End => {
                self.feed.end();
                Ok(true)
            }
        }
    }
}

impl Partition for Streamed {
    fn poll(&mut self, records_max: usize) -> Result<Poll, IngestError> {
        if let Some(decoded) = self.feed.next(records_max)? {
            return Ok(Poll::Decoded(decoded));
        }
        let came = !self.feed.is_finished() && self.receive()?;
        let decoded = self.feed.next(records_max)?;
        self.progress.wanted.fetch_max(self.feed.wanted(), Ordering::Relaxed);
        Ok(match decoded {
            Some(decoded) => Poll::Decoded(decoded),
            None if self.feed.is_finished() => Poll::Finished,
            None if came => Poll::Decoded(self.feed.nothing()),
            None => Poll::Pending,
        })
    }

    fn position(&self) -> Position {
        Position { offset: self.feed.offset(), origin: Origin::Object(self.object.origin.clone()) }
    }

    fn set_waker(&mut self, waker: Waker) {
        self.waker = Some(waker);
    }

    fn set_caution(&mut self, caution: Caution) {
        self.feed.set_caution(caution);
    }

    fn lag(&self) -> Option<Lag> {
        let read = match self.packing {
            Packing::None => self.feed.offset(),
            // As near as it can be said.
            _ => self.progress.fetched.load(Ordering::Relaxed),
        };
        Some(Lag { bytes: Some(self.object.length().saturating_sub(read)), ..Lag::default() })
    }
}

/// Fetches an object, and unpacks it, from what is wanted on to its end.
fn fetch(
    object: &Arc<Object>,
    packing: Packing,
    progress: &Arc<Progress>,
    giver: &Giver<Stretch>,
) -> Result<(), IngestError> {
    let mut plain =
        Fetching { object: Arc::clone(object), progress: Arc::clone(progress), at: 0, ready: Bytes::new() };
    if packing == Packing::None {
        loop {
            let wanted = progress.wanted.load(Ordering::Relaxed);
            if wanted > plain.at {
                (plain.at, plain.ready) = (wanted.min(object.length()), Bytes::new());
            }
            let offset = plain.at;
            let bytes = plain.next().map(Vec::from).map_err(|error| of_fetch(error, object, offset))?;
            if bytes.is_empty() || !giver.give(Stretch { offset, bytes }) {
                return Ok(());
            }
        }
    }
    let failed = |offset| move |error| of_fetch(error, object, offset);
    let mut unpacked = Unpacked::over(plain, packing).map_err(failed(0))?;
    loop {
        let (offset, wanted) = (unpacked.at(), progress.wanted.load(Ordering::Relaxed));
        let mut bytes = Vec::new();
        let read = unpacked.read(wanted.max(offset), object.stretch(STRETCHES), &mut bytes);
        match read.map_err(failed(offset))? {
            Came::End if unpacked.at() < wanted => {
                let (path, found) = (object.name().into(), unpacked.at());
                return Err(IngestError::Emptied { path, wanted, found });
            }
            Came::End => return Ok(()),
            // Skipped.
            Came::Some if bytes.is_empty() => {}
            Came::Some if !giver.give(Stretch { offset, bytes }) => return Ok(()),
            Came::Some => {}
        }
    }
}

/// What went wrong: with the server, or with the packing.
fn of_fetch(error: io::Error, object: &Object, offset: u64) -> IngestError {
    let path = PathBuf::from(object.name());
    error.downcast::<IngestError>().unwrap_or_else(|source| IngestError::Unpack { path, offset, source })
}

/// The bytes of an object as they come, a stretch at a time.
struct Fetching {
    object: Arc<Object>,
    progress: Arc<Progress>,
    /// Place of the next byte that is not ready.
    at: u64,
    ready: Bytes,
}

impl Fetching {
    /// The next stretch; empty at the end.
    fn next(&mut self) -> io::Result<Bytes> {
        let length = self.object.stretch(STRETCHES).min(self.object.length() - self.at);
        if length == 0 {
            return Ok(Bytes::new());
        }
        let bytes = self.object.read(self.at, length).map_err(io::Error::other)?;
        self.at += length;
        self.progress.fetched.store(self.at, Ordering::Relaxed);
        Ok(bytes)
    }
}

impl Read for Fetching {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ready.is_empty() {
            self.ready = self.next()?;
        }
        let count = self.ready.len().min(buffer.len());
        self.ready.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
