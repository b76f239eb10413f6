//! A finite file that is one partition, because it cannot be cut: it is packed, or of CSV, where a quoted field may hold
//! a newline, or one of several.
//!
//! Its length is that at the job's first start. Positions count its bytes, of a packed one those that come out of it;
//! a job that goes on with such a one unpacks it from the start and skips what was read.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::feed::Feed;
use super::file::{fingerprint, open_plain, read_at};
use super::position::{Origin, Position, WholeOrigin};
use super::unpack::{Came, Packing, Unpacked};
use super::{Format, Lag, Partition, PartitionInfo, Poll, Waker};
use crate::{Caution, DecodeSpec, IngestError};

/// The partition that a file is, as it is now.
pub(super) fn partition(path: &Path, number: u32) -> Result<PartitionInfo, IngestError> {
    let (_, origin) = first_start(path)?;
    let start = Position { offset: 0, origin: Origin::Whole(origin) };
    let id = path.to_str().ok_or_else(|| IngestError::NotText { path: path.to_owned() })?.to_owned();
    Ok(PartitionInfo { id, number, series: number, start, parents: Vec::new() })
}

fn first_start(path: &Path) -> Result<(File, WholeOrigin), IngestError> {
    let (mut file, length) = open_plain(path)?;
    let fingerprint = fingerprint(&mut file, path, length)?;
    Ok((file, WholeOrigin { length, fingerprint }))
}

/// Opens a file for a job that goes on, if it still is the file of that job.
fn go_on(path: &Path, origin: WholeOrigin) -> Result<File, IngestError> {
    let (mut file, found) = open_plain(path)?;
    if found < origin.length {
        return Err(IngestError::TooShort { path: path.to_owned(), wanted: origin.length, found });
    }
    if fingerprint(&mut file, path, origin.length)? != origin.fingerprint {
        return Err(IngestError::Changed { path: path.to_owned() });
    }
    Ok(file)
}

/// That a file is not there is another thing once the job knows it.
fn vanished(error: IngestError, read: u64) -> IngestError {
    match error {
        IngestError::NotFound { path } => IngestError::Vanished { name: path.display().to_string(), read },
        error => error,
    }
}

/// Opens a file at a position in it, for whoever reads it in another way; returns it with its length.
#[cfg(feature = "parquet")]
pub(super) fn open_again(path: &Path, position: &Position) -> Result<(File, u64), IngestError> {
    let name = || path.display().to_string();
    let Origin::Whole(origin) = position.origin else { return Err(IngestError::Kind { name: name() }) };
    let file = go_on(path, origin).map_err(|error| vanished(error, position.offset))?;
    Ok((file, origin.length))
}

/// Where the bytes come from.
enum Bytes {
    /// A plain file, which can be read anywhere.
    Plain(File),
    Packed(Unpacked),
}

/// The one partition of a file.
pub(super) struct Whole {
    path: PathBuf,
    packing: Packing,
    origin: WholeOrigin,
    /// From the first poll until all bytes were read.
    bytes: Option<Bytes>,
    feed: Feed,
}

impl Whole {
    /// Opens a file at a position.
    pub(super) fn open(
        path: PathBuf,
        packing: Packing,
        format: Format,
        position: &Position,
        decode: DecodeSpec,
    ) -> Result<Self, IngestError> {
        let name = path.display().to_string();
        let Origin::Whole(origin) = position.origin else { return Err(IngestError::Kind { name }) };
        go_on(&path, origin).map_err(|error| vanished(error, position.offset))?;
        let feed = Feed::new(name, format, decode, 0, position.offset);
        Ok(Whole { path, packing, origin, bytes: None, feed })
    }

    /// Hands the next bytes on.
    fn read(&mut self) -> Result<(), IngestError> {
        let (from, length) = (self.feed.wanted(), self.origin.length);
        let (path, room) = (&self.path, self.feed.room() as u64);
        let failed = |source| IngestError::Read { name: path.display().to_string(), source };
        let bytes = match &mut self.bytes {
            Some(bytes) => bytes,
            none => none.insert(
                match (go_on(path, self.origin).map_err(|error| vanished(error, from))?, self.packing) {
                    (file, Packing::None) => Bytes::Plain(file),
                    (file, packing) => Bytes::Packed(Unpacked::new(file, length, packing).map_err(failed)?),
                },
            ),
        };
        let came = match bytes {
            Bytes::Plain(file) => {
                let count = room.min(length.saturating_sub(from));
                self.feed.push(|buffer| read_at(file, path, from, count, length, buffer))?;
                if count == 0 { Came::End } else { Came::Some }
            }
            Bytes::Packed(unpacked) => {
                let read = self.feed.push(|buffer| unpacked.read(from, room, buffer));
                let offset = unpacked.at();
                read.map_err(|source| IngestError::Unpack { path: path.clone(), offset, source })?
            }
        };
        if came == Came::End {
            if let Some(Bytes::Packed(unpacked)) = &self.bytes
                && unpacked.at() < from
            {
                let found = unpacked.at();
                return Err(IngestError::Emptied { path: path.clone(), wanted: from, found });
            }
            self.bytes = None;
            self.feed.end();
        }
        Ok(())
    }
}

impl Partition for Whole {
    fn poll(&mut self, records_max: usize) -> Result<Poll, IngestError> {
        if let Some(decoded) = self.feed.next(records_max)? {
            return Ok(Poll::Decoded(decoded));
        }
        if !self.feed.is_finished() {
            self.read()?;
        }
        Ok(match self.feed.next(records_max)? {
            Some(decoded) => Poll::Decoded(decoded),
            None if self.feed.is_finished() => Poll::Finished,
            None => Poll::Decoded(self.feed.nothing()),
        })
    }

    fn position(&self) -> Position {
        Position { offset: self.feed.offset(), origin: Origin::Whole(self.origin) }
    }

    fn set_waker(&mut self, _waker: Waker) {}

    fn header(&self) -> Option<Arc<str>> {
        self.feed.header()
    }

    fn set_caution(&mut self, caution: Caution) {
        self.feed.set_caution(caution);
    }

    fn lag(&self) -> Option<Lag> {
        // Of a packed one nobody knows how many are to come out of it.
        let is_plain = self.packing == Packing::None;
        let bytes = is_plain.then(|| self.origin.length.saturating_sub(self.feed.offset()));
        Some(Lag { bytes, ..Lag::default() })
    }
}

#[cfg(test)]
mod tests;
