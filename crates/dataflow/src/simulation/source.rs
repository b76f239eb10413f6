//! A simulated partition: lines in memory, given in batches of any size, with pauses.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ingest::{Caution, DecodeSpec, Decoder, IngestError, Partition, Piece, Poll, Position, Waker};

use super::host::{GATES, Outside};

/// Lines that a poll gives at most.
const LINES_MAX: u64 = 90;
/// How many polls there are for each silence.
const SILENT_ONE_IN: u64 = 12;
/// Microseconds that a silence lasts at most.
const SILENCE_MAX: u64 = 60_000;

pub(crate) struct SimulatedPartition {
    outside: Arc<Outside>,
    number: usize,
    offset: usize,
    decoder: Decoder,
    /// Until then it has nothing more, in microseconds.
    silent_until: u64,
}

impl SimulatedPartition {
    /// Opens a partition; the next line is looked for at `offset` or behind it, as in a lane of a file.
    pub(crate) fn open(outside: Arc<Outside>, decode: DecodeSpec, number: usize, offset: u64) -> Self {
        let bytes = &outside.inputs[number];
        let mut offset = (offset as usize).min(bytes.len());
        while offset > 0 && offset < bytes.len() && bytes[offset - 1] != b'\n' {
            offset += 1;
        }
        SimulatedPartition { outside, number, offset, decoder: Decoder::new(decode), silent_until: 0 }
    }
}

impl SimulatedPartition {
    /// Whether it is at its end as it is by now. Where partitions fall silent the gate is such an end.
    fn is_silent(&mut self, is_at_gate: bool) -> bool {
        if !self.outside.has_silences() {
            return false;
        }
        // What was given once is there for good: no reader of the same records is told that they have not come yet.
        if self.offset < self.outside.given[self.number].load(Ordering::Relaxed) {
            return false;
        }
        let now = self.outside.micros();
        let mut random = self.outside.random();
        if now >= self.silent_until && random.one_in(SILENT_ONE_IN) {
            self.silent_until = now + random.below(SILENCE_MAX);
        }
        is_at_gate || now < self.silent_until
    }
}

impl Partition for SimulatedPartition {
    fn poll(&mut self, records_max: usize) -> Result<Poll, IngestError> {
        let bytes = Arc::clone(&self.outside.inputs[self.number]);
        if self.offset >= bytes.len() {
            return Ok(match self.outside.children(self.number as u32) {
                children if children.is_empty() => Poll::Finished,
                children => Poll::Closed(children),
            });
        }
        let gate = self.outside.gate.load(Ordering::Relaxed);
        let open = (bytes.len() as u64 * gate / GATES) as usize;
        if self.is_silent(self.offset >= open) {
            return Ok(Poll::CaughtUp);
        }
        let (stalls, lines) = {
            let mut random = self.outside.random();
            let most = 1 + random.below(LINES_MAX);
            (random.one_in(5), 1 + random.below(most))
        };
        if stalls || self.offset >= open {
            return Ok(Poll::Pending);
        }
        let rest = &bytes[self.offset..];
        let ends = rest.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        let end = ends.take(lines as usize).last().unwrap_or(rest.len());
        let piece = Piece::new(rest[..end].to_vec(), self.offset as u64);
        let (decoded, left) = self.decoder.decode(piece, records_max);
        self.outside.given[self.number].fetch_max(self.offset + end, Ordering::Relaxed);
        self.offset = left.map_or(self.offset + end, |left| left.offset() as usize);
        Ok(Poll::Decoded(decoded))
    }

    fn position(&self) -> Position {
        Position::stdin(self.offset as u64)
    }

    fn set_waker(&mut self, _waker: Waker) {}

    fn set_caution(&mut self, caution: Caution) {
        self.decoder.set_caution(caution);
    }
}
