//! A finite file that is one partition, because it cannot be cut: of CSV a quoted field may hold a newline.
//!
//! Its length is that at the job's first start.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::feed::Feed;
use super::file::{fingerprint, open_plain, read_at};
use super::position::{Origin, Position, WholeOrigin};
use super::{Format, Partition, PartitionInfo, Poll, Waker};
use crate::{Caution, DecodeSpec, IngestError};

/// The partition that a file is, as it is now.
pub(super) fn partition(path: &Path, number: u32) -> Result<PartitionInfo, IngestError> {
    let (_, origin) = first_start(path)?;
    let start = Position { offset: 0, origin: Origin::Whole(origin) };
    let id = path.display().to_string();
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

/// The one partition of a file.
pub(super) struct Whole {
    path: PathBuf,
    file: File,
    origin: WholeOrigin,
    feed: Feed,
}

impl Whole {
    /// Opens a file at its start or at a position that it once had.
    pub(super) fn open(
        path: &Path,
        format: Format,
        resume: Option<&Position>,
        decode: DecodeSpec,
    ) -> Result<Self, IngestError> {
        let name = path.display().to_string();
        let (file, origin, from) = match resume {
            None => {
                let (file, origin) = first_start(path)?;
                (file, origin, 0)
            }
            Some(Position { offset, origin: Origin::Whole(origin) }) => {
                (go_on(path, *origin)?, *origin, *offset)
            }
            Some(_) => return Err(IngestError::Kind { name }),
        };
        let feed = Feed::new(name, format, decode, from);
        Ok(Whole { path: path.to_owned(), file, origin, feed })
    }

    /// Hands the next bytes on.
    fn read(&mut self) -> Result<(), IngestError> {
        let from = self.feed.wanted();
        let count = (self.feed.room() as u64).min(self.origin.length.saturating_sub(from));
        if count == 0 {
            self.feed.end();
            return Ok(());
        }
        let (file, path, length) = (&mut self.file, &self.path, self.origin.length);
        self.feed.push(|buffer| read_at(file, path, from, count, length, buffer))
    }
}

impl Partition for Whole {
    fn poll(&mut self, records_max: usize) -> Result<Poll, IngestError> {
        if let Some(decoded) = self.feed.next(records_max)? {
            return Ok(Poll::Decoded(decoded));
        }
        self.read()?;
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

    fn set_caution(&mut self, caution: Caution) {
        self.feed.set_caution(caution);
    }
}
