//! What was posted, read once more from the journal, as long as it is not trimmed. Whoever listens goes on doing so.

use journal::Look;

use super::partition::unusable;
use super::spec::HttpSpec;
use crate::source::again::{NOTHING_THERE, Wanted};
use crate::source::position::{Origin, Position};
use crate::source::{Partition, Poll, SourceSpec, Waker};
use crate::{Caution, DecodeSpec, Decoder, IngestError, Piece};

/// Bytes that are decoded at a time at most, unless one line has more.
const PIECE_BYTES: usize = 1 << 20;

/// Reads the lines that are wanted.
///
/// # Errors
/// If the journal cannot be read.
pub(in crate::source) fn read_again(
    source: &SourceSpec,
    spec: &HttpSpec,
    wanted: &mut Wanted<'_, '_>,
) -> Result<(), IngestError> {
    let mut look = Look::at(&spec.dir).map_err(|error| unusable(source, error))?;
    let place = spec.dir.display();
    let trimmed =
        format!("the journal in {place} was trimmed behind a checkpoint and does not have it any more");
    wanted.give_up_before(look.first().unwrap_or(u64::MAX), &trimmed);
    while let Some(offset) = wanted.first() {
        match look.line(offset) {
            Ok(line) => wanted.give_first(line.ok_or_else(|| NOTHING_THERE.to_owned())),
            Err(error) => {
                // A job that runs may have trimmed it a moment ago.
                let now = Look::at(&spec.dir).map_err(|error| unusable(source, error))?;
                match now.first() {
                    Some(first) if first <= offset => return Err(unusable(source, error)),
                    first => wanted.give_up_before(first.unwrap_or(u64::MAX), &trimmed),
                }
                look = now;
            }
        }
    }
    Ok(())
}

/// Opens the journal where it was read before. Nobody is listened to.
///
/// # Errors
/// If the journal cannot be read; [`IngestError::Lost`] if it was trimmed beyond that place.
pub(in crate::source) fn open_again(
    source: &SourceSpec,
    spec: &HttpSpec,
    decode: &DecodeSpec,
    from: &Position,
) -> Result<Box<dyn Partition>, IngestError> {
    let Origin::Journal { .. } = from.origin else {
        return Err(IngestError::Kind { name: source.name.clone() });
    };
    let look = Look::at(&spec.dir).map_err(|error| unusable(source, error))?;
    let decoder = Decoder::new(decode.clone());
    let place = Position { offset: from.offset, origin: from.origin.clone() };
    let again = Again { source: source.clone(), look, place, piece: None, decoder };
    // Before the first start nobody knows where it begins, so that it begins at zero.
    match again.look.first() {
        Some(first) if first > from.offset => Err(IngestError::Lost {
            partition: format!("http:{}", source.name),
            offset: from.offset,
            oldest: Some(first),
        }),
        _ => Ok(Box::new(again)),
    }
}

/// The lines of a journal, for whoever only looks.
struct Again {
    source: SourceSpec,
    look: Look,
    /// Where the next line begins that is not in `piece`.
    place: Position,
    piece: Option<Piece>,
    decoder: Decoder,
}

impl Again {
    /// The next lines; `None` if there are none by now.
    fn next_piece(&mut self) -> Result<Option<Piece>, IngestError> {
        if let Some(piece) = self.piece.take() {
            return Ok(Some(piece));
        }
        let (from, mut bytes) = (self.place.offset, Vec::new());
        while bytes.len() < PIECE_BYTES {
            let line = self.look.line(self.place.offset).map_err(|error| unusable(&self.source, error))?;
            let Some(line) = line else { break };
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
            self.place.offset += line.len() as u64 + 1;
        }
        Ok((!bytes.is_empty()).then(|| Piece::new(bytes, from)))
    }
}

impl Partition for Again {
    fn poll(&mut self, records_max: usize) -> Result<Poll, IngestError> {
        let Some(piece) = self.next_piece()? else { return Ok(Poll::CaughtUp) };
        let (decoded, rest) = self.decoder.decode(piece, records_max);
        self.piece = rest;
        Ok(Poll::Decoded(decoded))
    }

    fn position(&self) -> Position {
        let offset = self.piece.as_ref().map_or(self.place.offset, Piece::offset);
        Position { offset, origin: self.place.origin.clone() }
    }

    fn set_waker(&mut self, _waker: Waker) {}

    fn set_caution(&mut self, caution: Caution) {
        self.decoder.set_caution(caution);
    }
}
