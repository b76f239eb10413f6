//! Bytes of a partition that come in order, cut into whole records on their way to the decoder.
//!
//! Whoever reads them asks how far this has come ([`Feed::wanted`]), gives it the bytes from there on
//! ([`Feed::push`]), and takes records out ([`Feed::next`]). No more is held than a record may have
//! (`record_bytes_max`) and what one call brought, whatever the bytes are.

use std::sync::Arc;

use event::{Decoded, Rejected};

use super::Format;
use crate::decode::Scan;
use crate::{Caution, CsvHeader, DecodeSpec, Decoder, HeaderFault, IngestError, Piece};

/// Bytes of lines that are decoded at a time at most, unless one line has more.
const PIECE_BYTES: usize = 1 << 20;

/// The bytes of one partition between its reader and its decoder.
pub(super) struct Feed {
    /// The source, as messages call it.
    name: String,
    format: Format,
    /// The header of CSV, once it was read.
    header: Option<Arc<str>>,
    decoder: Decoder,
    /// Bytes that are in decoding.
    piece: Option<Piece>,
    /// Bytes behind them.
    buffer: Vec<u8>,
    /// Bytes of the buffer that are known to hold no record that is whole.
    searched: usize,
    /// Offset of the first byte of the buffer.
    base: u64,
    /// Where the first record is to be looked for.
    from: u64,
    state: State,
    is_ended: bool,
}

/// What the next bytes are.
enum State {
    /// Those of the header of CSV.
    Header,
    /// Those of records.
    Records,
    /// Those of a line that does not count, up to its newline.
    Line,
    /// Those of a record of CSV that is too long: where it begins, its first bytes, and where in it we are.
    TooLong { offset: u64, head: Vec<u8>, scan: Scan },
}

impl Feed {
    /// A feed of records that begin at `from` or behind it, of bytes of which the first stands at `begin`.
    pub(super) fn new(name: String, format: Format, spec: DecodeSpec, begin: u64, from: u64) -> Self {
        // The byte before `from` tells whether a line begins right there.
        let (state, base) = match format {
            Format::Csv => (State::Header, begin),
            _ if from <= begin => (State::Records, begin),
            _ => (State::Line, from - 1),
        };
        let decoder = Decoder::new(spec);
        let (header, piece, buffer) = (None, None, Vec::new());
        Feed { name, format, header, decoder, piece, buffer, searched: 0, base, from, state, is_ended: false }
    }

    /// Offset of the next byte that is to be pushed.
    pub(super) fn wanted(&self) -> u64 {
        self.base + self.buffer.len() as u64
    }

    /// How many bytes to push next, at least and about. Grows with a record that goes on and on, so that it
    /// is not looked through for every few bytes.
    pub(super) fn room(&self) -> usize {
        PIECE_BYTES.max(self.buffer.len())
    }

    /// Whether so much has come that more can wait until some of it was taken.
    pub(super) fn is_full(&self) -> bool {
        self.buffer.len() >= PIECE_BYTES.max(self.record_bytes_max())
    }

    /// Takes in the bytes from [`Feed::wanted`] on that `read` appends; says what `read` says.
    pub(super) fn push<T>(&mut self, read: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let answer = read(&mut self.buffer);
        if let State::Line = self.state {
            let newline = memchr::memchr(b'\n', &self.buffer);
            if newline.is_some() {
                self.state = State::Records;
            }
            self.drop_first(newline.map_or(self.buffer.len(), |newline| newline + 1));
        }
        answer
    }

    /// The header of CSV, once it was read.
    pub(super) fn header(&self) -> Option<Arc<str>> {
        self.header.clone()
    }

    /// Nothing will be pushed any more.
    pub(super) fn end(&mut self) {
        self.is_ended = true;
    }

    /// Whether every record was taken.
    pub(super) fn is_finished(&self) -> bool {
        let is_over = !matches!(self.state, State::TooLong { .. });
        self.is_ended && self.piece.is_none() && self.buffer.is_empty() && is_over
    }

    /// Where the next record is to be looked for.
    pub(super) fn offset(&self) -> u64 {
        let offset = match (&self.piece, &self.state) {
            (Some(piece), _) => piece.offset(),
            (None, State::TooLong { offset, .. }) => *offset,
            (None, _) => self.base,
        };
        offset.max(self.from)
    }

    /// Has records left out or read alone from now on.
    pub(super) fn set_caution(&mut self, caution: Caution) {
        self.decoder.set_caution(caution);
    }

    /// At most that many records of those that are whole. `None`: it takes more bytes to say what comes.
    ///
    /// # Errors
    /// If the first record of CSV is no header.
    pub(super) fn next(&mut self, records_max: usize) -> Result<Option<Decoded>, IngestError> {
        if matches!(self.state, State::Header) && !self.read_header()? {
            return Ok(None);
        }
        if records_max == 0 {
            return Ok(Some(self.nothing()));
        }
        if let State::TooLong { .. } = &self.state
            && let Some(decoded) = self.skip_too_long()
        {
            return Ok(Some(decoded));
        }
        let Some(piece) = self.piece.take().or_else(|| self.take_piece()) else { return Ok(None) };
        let (decoded, rest) = self.decoder.decode(piece, records_max);
        match rest {
            Some(rest) if decoded.records.times.is_empty() && decoded.rejected.is_empty() => {
                self.put_back(rest);
                Ok(None)
            }
            rest => {
                self.piece = rest;
                Ok(Some(decoded))
            }
        }
    }

    /// No records.
    pub(super) fn nothing(&mut self) -> Decoded {
        self.decoder.decode(Piece::new(Vec::new(), self.offset()), 0).0
    }

    /// Bytes that it holds room for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Takes whole lines out of the buffer; at the end also one without a newline, and of a line that is too
    /// long its head. Of CSV it takes everything: only the decoder knows where a record ends.
    fn take_piece(&mut self) -> Option<Piece> {
        // What is left behind the last newline of a piece may be too long already, and then no more comes.
        let is_too_long = self.format != Format::Csv && self.buffer.len() >= self.record_bytes_max();
        if self.buffer.len() == self.searched && !self.is_ended && !is_too_long {
            return None;
        }
        let count = match self.format {
            Format::Csv => self.buffer.len(),
            _ => match memchr::memrchr(b'\n', &self.buffer[self.searched..]) {
                Some(newline) => self.searched + newline + 1,
                None if self.is_ended => self.buffer.len(),
                None if self.buffer.len() >= self.record_bytes_max() => {
                    self.state = State::Line;
                    self.buffer.len()
                }
                None => 0,
            },
        };
        self.searched = self.buffer.len() - count;
        if count == 0 {
            return None;
        }
        let rest = self.buffer.split_off(count);
        let piece = Piece::new(std::mem::replace(&mut self.buffer, rest), self.base);
        self.base += count as u64;
        Some(if self.is_ended { piece.last() } else { piece })
    }

    /// Puts the first bytes of a record of CSV back, until there are more of it.
    fn put_back(&mut self, rest: Piece) {
        self.base = rest.offset();
        let mut bytes = rest.into_remaining();
        self.searched = bytes.len();
        bytes.append(&mut self.buffer);
        self.buffer = bytes;
        if self.searched >= self.record_bytes_max() {
            let head = self.buffer[..Rejected::RAW_BYTES_MAX + 1].to_vec();
            self.state = State::TooLong { offset: self.base, head, scan: Scan::default() };
        }
    }

    /// Looks for the end of a record that is too long, and drops its bytes. Once it has ended it is one record,
    /// rejected.
    fn skip_too_long(&mut self) -> Option<Decoded> {
        let State::TooLong { offset, head, scan } = &mut self.state else { return None };
        let newline = scan.end(&self.buffer);
        let count = newline.map_or(self.buffer.len(), |newline| newline + 1);
        let decoded = match newline.is_some() || self.is_ended {
            true => Some(self.decoder.too_long(*offset, head)),
            false => None,
        };
        if decoded.is_some() {
            self.state = State::Records;
        }
        self.drop_first(count);
        decoded
    }

    /// Reads the header once it is whole; says whether it was.
    fn read_header(&mut self) -> Result<bool, IngestError> {
        let fault = |fault| IngestError::Header { name: self.name.clone(), fault };
        let Some(start) = CsvHeader::start(&self.buffer, self.is_ended) else { return Ok(false) };
        let newline = Scan::default().end(&self.buffer[start..]).map(|end| start + end);
        let record_bytes_max = self.decoder.spec().record_bytes_max;
        if newline.unwrap_or(self.buffer.len()) - start > record_bytes_max + 1 {
            return Err(fault(HeaderFault::TooLong(record_bytes_max)));
        }
        let end = match newline {
            Some(newline) => newline + 1,
            None if self.is_ended => self.buffer.len(),
            None => return Ok(false),
        };
        if start < end {
            let record = &self.buffer[start..end];
            let header = CsvHeader::parse(record).map_err(fault)?;
            // A name that is no text is none that a job asks for.
            self.header = Some(String::from_utf8_lossy(record).into());
            let caution = self.decoder.caution().clone();
            self.decoder = Decoder::csv(self.decoder.spec().clone(), &header);
            self.decoder.set_caution(caution);
        }
        self.state = State::Records;
        self.go_to(self.from.max(self.base + end as u64));
        Ok(true)
    }

    /// Drops the bytes before an offset, which may lie behind all of them.
    fn go_to(&mut self, offset: u64) {
        let count = usize::try_from(offset - self.base).unwrap_or(usize::MAX);
        self.drop_first(count.min(self.buffer.len()));
        self.base = offset;
    }

    fn drop_first(&mut self, count: usize) {
        self.buffer.drain(..count);
        self.base += count as u64;
        self.searched = 0;
    }

    fn record_bytes_max(&self) -> usize {
        head_bytes(self.decoder.spec().record_bytes_max)
    }
}

/// Bytes of a record that show, whatever follows, that it is longer than `record_bytes_max` (a carriage return
/// does not count), and all that its quarantine row keeps.
pub(super) fn head_bytes(record_bytes_max: usize) -> usize {
    record_bytes_max.max(Rejected::RAW_BYTES_MAX).saturating_add(2)
}

#[cfg(test)]
mod tests;
