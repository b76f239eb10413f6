//! Bytes that come as they come: standard input.
//!
//! A thread of its own waits for them and hands on what each read gave, at once. The queue between has a
//! bound, so whoever writes to us waits when we are behind. Only whole lines are decoded.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::file::head_bytes;
use super::position::Position;
use super::{Partition, Poll, Waker};
use crate::{Caution, Decoder, IngestError, Piece};

/// Bytes of one read at most.
const READ_BYTES: usize = 64 * 1024;
/// Reads in the queue at most: with `READ_BYTES` 2 MiB.
const READS_MAX: usize = 32;
/// Bytes that are decoded at a time at most, unless one line has more.
const PIECE_BYTES: usize = 1 << 20;

type Slot = Arc<Mutex<Option<Waker>>>;

/// The one partition of a stream.
pub(super) struct Stream {
    name: &'static str,
    reads: Receiver<io::Result<Vec<u8>>>,
    waker: Slot,
    decoder: Decoder,
    /// Whole lines that are not decoded yet.
    piece: Option<Piece>,
    /// Bytes behind them.
    buffer: Vec<u8>,
    /// Bytes of the buffer that are known to hold no newline.
    searched: usize,
    /// Offset of the first byte of the buffer.
    base: u64,
    /// Whether the bytes up to the next newline belong to a line that is too long.
    is_skipping: bool,
    is_ended: bool,
}

impl Stream {
    /// Starts to read.
    pub(super) fn spawn(
        name: &'static str,
        reader: impl Read + Send + 'static,
        decoder: Decoder,
    ) -> Result<Self, IngestError> {
        let (sender, reads) = sync_channel(READS_MAX);
        let waker = Slot::default();
        let slot = Arc::clone(&waker);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || read_all(reader, sender, &slot))
            .map_err(|source| IngestError::Read { name: name.to_owned(), source })?;
        Ok(Stream {
            name,
            reads,
            waker,
            decoder,
            piece: None,
            buffer: Vec::new(),
            searched: 0,
            base: 0,
            is_skipping: false,
            is_ended: false,
        })
    }

    /// Takes in what has come.
    fn receive(&mut self) -> Result<(), IngestError> {
        let buffer_max = PIECE_BYTES.max(self.line_bytes_max());
        while !self.is_ended && self.buffer.len() < buffer_max {
            match self.reads.try_recv() {
                Ok(Ok(bytes)) => self.append(&bytes),
                Ok(Err(source)) => return Err(IngestError::Read { name: self.name.to_owned(), source }),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => self.is_ended = true,
            }
        }
        Ok(())
    }

    fn append(&mut self, mut bytes: &[u8]) {
        if self.is_skipping {
            let newline = memchr::memchr(b'\n', bytes);
            self.is_skipping = newline.is_none();
            let skipped = newline.map_or(bytes.len(), |newline| newline + 1);
            self.base += skipped as u64;
            bytes = &bytes[skipped..];
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes the whole lines out of the buffer; at the end also one without a newline, and of a line that is
    /// too long its head.
    fn take_piece(&mut self) -> Option<Piece> {
        let newline = memchr::memrchr(b'\n', &self.buffer[self.searched..]);
        let count = match newline {
            Some(newline) => self.searched + newline + 1,
            None if self.is_ended => self.buffer.len(),
            None if self.buffer.len() >= self.line_bytes_max() => {
                self.is_skipping = true;
                self.buffer.len()
            }
            None => 0,
        };
        self.searched = self.buffer.len() - count;
        if count == 0 {
            return None;
        }
        let rest = self.buffer.split_off(count);
        let piece = Piece::new(std::mem::replace(&mut self.buffer, rest), self.base);
        self.base += count as u64;
        Some(piece)
    }

    fn line_bytes_max(&self) -> usize {
        head_bytes(self.decoder.spec().record_bytes_max)
    }
}

impl Partition for Stream {
    fn poll(&mut self, records_max: usize) -> Result<Poll, IngestError> {
        let piece = match self.piece.take() {
            Some(piece) => Some(piece),
            None => {
                self.receive()?;
                self.take_piece()
            }
        };
        let Some(piece) = piece else {
            return Ok(if self.is_ended { Poll::Finished } else { Poll::CaughtUp });
        };
        let (decoded, rest) = self.decoder.decode(piece, records_max);
        self.piece = rest;
        Ok(Poll::Decoded(decoded))
    }

    fn position(&self) -> Position {
        Position::stdin(self.piece.as_ref().map_or(self.base, Piece::offset))
    }

    fn set_waker(&mut self, waker: Waker) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&waker));
        // For what came before there was anyone to call.
        waker();
    }

    fn set_caution(&mut self, caution: Caution) {
        self.decoder.set_caution(caution);
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
