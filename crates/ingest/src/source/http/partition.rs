//! The journal as a partition.

use std::sync::Arc;

use journal::{Journal, JournalError, Look, Reader, Spec};
use serve::Server;

use super::door::Door;
use super::spec::HttpSpec;
use crate::source::position::{Origin, Position};
use crate::source::{End, Lag, Partition, PartitionInfo, Poll, SourceSpec, Start, Waker};
use crate::{Caution, Decoder, IngestError, Piece};

/// Bytes that are decoded at a time at most, unless one line has more.
const PIECE_BYTES: usize = 1 << 20;

/// The one partition. Where it begins and ends whoever opens it will find: that may be another process. But for a job that
/// begins behind what the journal holds, or within it: what is acknowledged from now on is to be read, also by a start that
/// comes after a crash, so that the place must be in the checkpoint before anybody is listened to.
///
/// # Errors
/// If the journal cannot be read.
pub(in crate::source) fn partitions(
    source: &SourceSpec,
    spec: &HttpSpec,
) -> Result<Vec<PartitionInfo>, IngestError> {
    let place = match source.start {
        Start::Earliest | Start::Checkpoint => None,
        Start::Latest => looked_up(source, spec, Look::end)?,
        Start::At(time) => looked_up(source, spec, |look| look.offset_at(time))?,
    };
    let (identity, offset) = place.unzip();
    let origin = Origin::Journal { identity, end: None };
    let start = Position { offset: offset.unwrap_or(0), origin };
    let id = format!("http:{}", source.name);
    Ok(vec![PartitionInfo { id, number: 0, series: 0, start, parents: Vec::new() }])
}

/// The identity of the journal and a place in it, as a look at it says; `None` if there is none yet.
fn looked_up(
    source: &SourceSpec,
    spec: &HttpSpec,
    place: impl FnOnce(&Look) -> Result<Option<(u64, u64)>, JournalError>,
) -> Result<Option<(u64, u64)>, IngestError> {
    match spec.dir.try_exists() {
        Ok(false) => Ok(None),
        // What keeps it from being seen, the look says.
        Ok(true) | Err(_) => {
            Look::at(&spec.dir).and_then(|look| place(&look)).map_err(|error| unusable(source, error))
        }
    }
}

fn open_journal(source: &SourceSpec, spec: &HttpSpec) -> Result<Journal, IngestError> {
    let ids_max = spec.dedup.as_ref().map_or(0, |dedup| dedup.last);
    let spec = Spec { dir: spec.dir.clone(), bytes_max: spec.journal_bytes, ids_max };
    let journal = Journal::open(&spec).map_err(|error| unusable(source, error))?;
    if let Some(cut) = journal.cut() {
        eprintln!(
            "warning: {}: the last {} bytes were torn by a crash and are cut off; nobody was told that they are there",
            cut.path.display(),
            cut.bytes
        );
    }
    Ok(journal)
}

pub(super) fn unusable(source: &SourceSpec, error: JournalError) -> IngestError {
    IngestError::Journal { name: source.name.clone(), source: error }
}

/// What was posted.
pub(in crate::source) struct Posted {
    source: SourceSpec,
    spec: HttpSpec,
    /// Before the journal, so that it is dropped first: what it has in hand goes there.
    server: Option<Server>,
    journal: Journal,
    reader: Reader,
    decoder: Decoder,
    /// Lines that were read and not decoded yet.
    piece: Option<Piece>,
    /// Where it ends, if it does.
    end: Option<u64>,
    /// Where the end was when that was asked last.
    marked: Option<u64>,
    /// Up to where the journal was trimmed.
    trimmed: u64,
}

impl Posted {
    /// Opens the journal; nobody is listened to before the first poll.
    pub(in crate::source) fn open(
        source: &SourceSpec,
        spec: &HttpSpec,
        position: &Position,
        decoder: Decoder,
    ) -> Result<Self, IngestError> {
        let journal = open_journal(source, spec)?;
        let known = match position {
            Position { origin: Origin::Journal { identity: None, .. }, .. } => None,
            Position { offset, origin: Origin::Journal { identity: Some(identity), end } } => {
                if *identity != journal.identity() {
                    return Err(IngestError::OtherJournal { dir: spec.dir.clone() });
                }
                Some((*offset, *end))
            }
            _ => return Err(IngestError::Kind { name: source.name.clone() }),
        };
        let (offset, end) = known.unwrap_or((journal.first(), None));
        // A job that ends takes nothing in: an end that is found before a checkpoint says it does not move.
        let end = (source.end == End::Latest).then(|| end.unwrap_or(journal.end()));
        let reader = journal.read_from(offset).map_err(|error| unusable(source, error))?;
        let (source, spec) = (source.clone(), spec.clone());
        Ok(Posted {
            source,
            spec,
            server: None,
            journal,
            reader,
            decoder,
            piece: None,
            end,
            marked: None,
            trimmed: offset,
        })
    }

    /// Takes events in from now on.
    fn listen(&self) -> Result<Server, IngestError> {
        let (spec, appender) = (self.spec.clone(), self.journal.appender());
        Server::start(&self.spec.serve, move |tokens, drain| {
            Door::new(&spec, tokens, appender, drain).routes()
        })
        .map_err(|error| IngestError::Serve { name: self.source.name.clone(), source: error })
    }

    fn offset(&self) -> u64 {
        self.piece.as_ref().map_or(self.reader.offset(), Piece::offset)
    }

    /// The next lines that are not decoded; `None` if there are none by now.
    fn next_piece(&mut self) -> Result<Option<Piece>, IngestError> {
        if let Some(piece) = self.piece.take() {
            return Ok(Some(piece));
        }
        if self.end.is_some_and(|end| self.reader.offset() >= end) {
            return Ok(None);
        }
        let chunk = self.reader.read(PIECE_BYTES).map_err(|error| unusable(&self.source, error))?;
        Ok(chunk.map(|chunk| Piece::new(chunk.bytes, chunk.offset)))
    }

    /// Without checkpoints what was read is not asked for again.
    fn trim_what_was_read(&mut self) {
        let offset = self.offset();
        if !self.spec.has_checkpoints && offset > self.trimmed {
            self.trimmed = offset;
            self.journal.trim(offset);
        }
    }
}

impl Partition for Posted {
    fn poll(&mut self, records_max: usize) -> Result<Poll, IngestError> {
        if self.server.is_none() && self.end.is_none() {
            self.server = Some(self.listen()?);
        }
        let Some(piece) = self.next_piece()? else {
            self.trim_what_was_read();
            // All that was ever given was durable before, so it is there, and has been given again.
            return Ok(if self.end.is_some() { Poll::Finished } else { Poll::CaughtUp });
        };
        let (decoded, rest) = self.decoder.decode(piece, records_max);
        self.piece = rest;
        Ok(Poll::Decoded(decoded))
    }

    fn position(&self) -> Position {
        let origin = Origin::Journal { identity: Some(self.journal.identity()), end: self.end };
        Position { offset: self.offset(), origin }
    }

    fn set_waker(&mut self, waker: Waker) {
        self.journal.set_waker(Arc::clone(&waker));
        // For what came before there was anyone to call.
        waker();
    }

    fn set_caution(&mut self, caution: Caution) {
        self.decoder.set_caution(caution);
    }

    fn committed(&mut self, position: &Position) {
        if position.offset > self.trimmed {
            self.trimmed = position.offset;
            self.journal.trim(position.offset);
        }
    }

    fn lag(&self) -> Option<Lag> {
        let end = self.end.unwrap_or(self.journal.end());
        Some(Lag { bytes: Some(end.saturating_sub(self.offset())), ..Lag::default() })
    }

    fn mark_end(&mut self) {
        self.marked = Some(self.journal.end());
    }

    fn has_passed_end(&self) -> bool {
        self.marked.is_some_and(|marked| self.offset() >= marked)
    }
}
