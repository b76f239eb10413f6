//! Bytes that come as they come: standard input.
//!
//! A thread of its own waits for them and hands on what each read gave, at once. The queue between has a
//! bound, so whoever writes to us waits when we are behind. Only whole records are decoded.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::feed::Feed;
use super::position::Position;
use super::{Format, Partition, Poll, Waker};
use crate::{Caution, DecodeSpec, IngestError};

/// Bytes of one read at most.
const READ_BYTES: usize = 64 * 1024;
/// Reads in the queue at most: with `READ_BYTES` 2 MiB.
const READS_MAX: usize = 32;

type Slot = Arc<Mutex<Option<Waker>>>;

/// The one partition of a stream.
pub(super) struct Stream {
    name: &'static str,
    reads: Receiver<io::Result<Vec<u8>>>,
    waker: Slot,
    feed: Feed,
    is_ended: bool,
}

impl Stream {
    /// Starts to read.
    pub(super) fn spawn(
        name: &'static str,
        reader: impl Read + Send + 'static,
        format: Format,
        decode: DecodeSpec,
    ) -> Result<Self, IngestError> {
        let (sender, reads) = sync_channel(READS_MAX);
        let waker = Slot::default();
        let slot = Arc::clone(&waker);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || read_all(reader, sender, &slot))
            .map_err(|source| IngestError::Read { name: name.to_owned(), source })?;
        let feed = Feed::new(name.to_owned(), format, decode, 0, 0);
        Ok(Stream { name, reads, waker, feed, is_ended: false })
    }

    /// Takes in what has come.
    fn receive(&mut self) -> Result<(), IngestError> {
        while !self.is_ended && !self.feed.is_full() {
            match self.reads.try_recv() {
                Ok(Ok(bytes)) => self.feed.push(|buffer| buffer.extend_from_slice(&bytes)),
                Ok(Err(source)) => return Err(IngestError::Read { name: self.name.to_owned(), source }),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.is_ended = true;
                    self.feed.end();
                }
            }
        }
        Ok(())
    }
}

impl Partition for Stream {
    fn poll(&mut self, records_max: usize) -> Result<Poll, IngestError> {
        if let Some(decoded) = self.feed.next(records_max)? {
            return Ok(Poll::Decoded(decoded));
        }
        self.receive()?;
        Ok(match self.feed.next(records_max)? {
            Some(decoded) => Poll::Decoded(decoded),
            None if self.feed.is_finished() => Poll::Finished,
            None if self.feed.is_full() => Poll::Decoded(self.feed.nothing()),
            None => Poll::CaughtUp,
        })
    }

    fn position(&self) -> Position {
        Position::stdin(self.feed.offset())
    }

    fn set_waker(&mut self, waker: Waker) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&waker));
        // For what came before there was anyone to call.
        waker();
    }

    fn set_caution(&mut self, caution: Caution) {
        self.feed.set_caution(caution);
    }
}

/// Reads to the end, an error, or until nobody wants to hear more.
fn read_all(mut reader: impl Read, sender: SyncSender<io::Result<Vec<u8>>>, waker: &Slot) {
    let wake = || {
        let waker = waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(waker) = waker {
            waker();
        }
    };
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => Ok(buffer[..count].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_last = read.is_err();
        if sender.send(read).is_err() || is_last {
            break;
        }
        wake();
    }
    // The end shows only once the sender is gone.
    drop(sender);
    wake();
}

#[cfg(test)]
mod tests;
