//! A Parquet file or object as a partition: its rows are its records, and positions count them.
//!
//! A thread reads row groups, as far as the job needs their columns, and writes each row as the object of JSON that it
//! stands for ([`rows`]); the decoder takes it from there, so that a value fits, or goes to quarantine, as it would from
//! JSON. A job that goes on begins with the row group in which it was, and passes over what it has read of it.
//!
//! A column of instants says itself in which unit they are: event time in such a one is read whatever `unit` is set for
//! numbers.

mod rows;
mod text;
mod window;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use event::Decoded;

use super::blob::Blob;
use super::carrier::{Carrier, Giver, Taken};
use super::position::{Origin, Position};
use super::{Lag, Partition, Poll, Waker};
use crate::{Caution, DecodeSpec, Decoder, IngestError, Piece, TimeUnit};
use rows::Rows;

/// Pieces in the queue at most.
const PIECES_MAX: usize = 2;

/// The one partition of a Parquet file.
pub(super) struct ParquetPartition {
    blob: Arc<dyn Blob>,
    origin: Origin,
    decode: DecodeSpec,
    /// Once it is known what the columns are.
    decoder: Option<Decoder>,
    caution: Caution,
    /// From the first poll on.
    carrier: Option<Carrier<Rows>>,
    /// Rows that are decoded next.
    piece: Option<Piece>,
    /// The row behind them.
    behind: u64,
    /// Rows of the file, once that is known; before, none.
    total: Arc<AtomicU64>,
    is_over: bool,
    waker: Option<Waker>,
}

impl ParquetPartition {
    /// Opens a file at a position. Nothing is read yet.
    pub(super) fn open(blob: Arc<dyn Blob>, position: &Position, decode: DecodeSpec) -> Self {
        ParquetPartition {
            blob,
            origin: position.origin.clone(),
            decode,
            decoder: None,
            caution: Caution::default(),
            carrier: None,
            piece: None,
            behind: position.offset,
            total: Arc::default(),
            is_over: false,
            waker: None,
        }
    }

    fn carrier(&mut self) -> Result<&Carrier<Rows>, IngestError> {
        if self.carrier.is_none() {
            let (blob, decode, total) =
                (Arc::clone(&self.blob), self.decode.clone(), Arc::clone(&self.total));
            let from = self.behind;
            let work = move |giver: &Giver<Rows>| rows::read(&blob, &decode, from, &total, giver);
            self.carrier = Some(Carrier::spawn(self.blob.name(), PIECES_MAX, self.waker.clone(), work)?);
        }
        self.carrier.as_ref().ok_or_else(|| IngestError::Kind { name: self.blob.name().to_owned() })
    }

    fn decode(&mut self, piece: Piece, records_max: usize) -> Decoded {
        let (spec, caution) = (&self.decode, &self.caution);
        let decoder = self.decoder.get_or_insert_with(|| {
            let mut decoder = Decoder::new(spec.clone());
            decoder.set_caution(caution.clone());
            decoder
        });
        let (decoded, rest) = decoder.decode(piece, records_max);
        self.piece = rest;
        decoded
    }
}

impl Partition for ParquetPartition {
    fn poll(&mut self, records_max: usize) -> Result<Poll, IngestError> {
        if let Some(piece) = self.piece.take() {
            return Ok(Poll::Decoded(self.decode(piece, records_max)));
        }
        if self.is_over {
            return Ok(Poll::Finished);
        }
        match self.carrier()?.take()? {
            Taken::Item(rows) => {
                if rows.is_time_text {
                    self.decode.time.unit = TimeUnit::Rfc3339;
                }
                if let Some(punctuation) =
                    self.decode.punctuation.as_mut().filter(|_| rows.is_punctuation_text)
                {
                    punctuation.unit = TimeUnit::Rfc3339;
                }
                self.behind = rows.behind;
                Ok(Poll::Decoded(self.decode(rows.messages.into(), records_max)))
            }
            Taken::Nothing => Ok(Poll::Pending),
            Taken::End => {
                self.is_over = true;
                Ok(Poll::Finished)
            }
        }
    }

    fn position(&self) -> Position {
        let offset = self.piece.as_ref().map_or(self.behind, Piece::offset);
        Position { offset, origin: self.origin.clone() }
    }

    fn set_waker(&mut self, waker: Waker) {
        self.waker = Some(waker);
    }

    fn set_caution(&mut self, caution: Caution) {
        if let Some(decoder) = &mut self.decoder {
            decoder.set_caution(caution.clone());
        }
        self.caution = caution;
    }

    fn lag(&self) -> Option<Lag> {
        let total = self.total.load(Ordering::Relaxed);
        let records = (total > 0).then(|| total.saturating_sub(self.position().offset));
        Some(Lag { records, ..Lag::default() })
    }
}

#[cfg(test)]
mod tests;
