//! A finite file of lines, cut into lanes so that any number of workers can share it.
//!
//! Chunks of 1 MiB are dealt to the lanes in turn. A record belongs to the lane where its first byte lies:
//! a lane skips to the first line that begins in its chunk and reads on past the chunk to finish the last
//! one. So what a lane holds depends on the file and on the number of lanes, and on nothing else.
//!
//! The length is that at the job's first start. Lines longer than the limit are read no further than it
//! takes to know that, by any lane.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::feed::head_bytes;
use super::position::{FileOrigin, Origin, Position};
use super::{Lag, Partition, PartitionInfo, Poll, Waker};
use crate::{Caution, Decoder, IngestError, Piece};

/// Bytes that are dealt to a lane at a time.
const CHUNK_BYTES: u64 = 1 << 20;
/// First bytes of a file that are compared when a job goes on.
const FINGERPRINT_BYTES: u64 = 4096;
/// First step past a chunk to finish its last record; doubles from then on.
const PAST_BYTES_MIN: u64 = 4096;
const PAST_BYTES_MAX: u64 = 256 * 1024;

/// All lanes of a file, as it is now.
pub(super) fn partitions(path: &Path, lanes: u32) -> Result<Vec<PartitionInfo>, IngestError> {
    let (_, origin) = first_start(path, lanes, CHUNK_BYTES)?;
    let info = |lane| PartitionInfo {
        id: format!("{}#{lane}", path.display()),
        number: lane,
        series: 0,
        start: Position { offset: origin.lane_start(lane), origin: Origin::File(origin) },
        parents: Vec::new(),
    };
    Ok((0..lanes).map(info).collect())
}

/// Opens a file and finds out what identifies it.
fn first_start(path: &Path, lanes: u32, chunk_bytes: u64) -> Result<(File, FileOrigin), IngestError> {
    if lanes == 0 {
        let (name, must) = (path.display().to_string(), "at least 1");
        return Err(IngestError::Invalid { setting: "lanes", name, must });
    }
    let (mut file, length) = open_plain(path)?;
    let fingerprint = fingerprint(&mut file, path, length)?;
    Ok((file, FileOrigin { length, fingerprint, lanes, chunk_bytes }))
}

/// Opens a file for a job that goes on, if it still is the file of that job.
fn go_on(path: &Path, lanes: u32, origin: &FileOrigin) -> Result<File, IngestError> {
    if lanes != origin.lanes {
        return Err(IngestError::Setting {
            setting: "lanes",
            name: path.display().to_string(),
            wanted: origin.lanes.to_string(),
            found: lanes.to_string(),
        });
    }
    let (mut file, found) = open_plain(path)?;
    if found < origin.length {
        return Err(IngestError::TooShort { path: path.to_owned(), wanted: origin.length, found });
    }
    if fingerprint(&mut file, path, origin.length)? != origin.fingerprint {
        return Err(IngestError::Changed { path: path.to_owned() });
    }
    Ok(file)
}

/// Opens a plain file; returns it with its length.
pub(super) fn open_plain(path: &Path) -> Result<(File, u64), IngestError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => IngestError::NotFound { path: path.to_owned() },
        _ => IngestError::Read { name: path.display().to_string(), source },
    };
    // Looked at before it is opened: to open a named pipe would wait for whoever writes to it.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(IngestError::NotAFile { path: path.to_owned() });
    }
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    Ok((file, length))
}

/// Hash of the first bytes of a file that should have that length.
pub(super) fn fingerprint(file: &mut File, path: &Path, length: u64) -> Result<u64, IngestError> {
    let mut bytes = Vec::new();
    read_at(file, path, 0, length.min(FINGERPRINT_BYTES), length, &mut bytes)?;
    Ok(event::key_hash(&bytes))
}

/// Appends exactly `count` bytes from `offset` on. `length` is what the file should have.
pub(super) fn read_at(
    file: &mut File,
    path: &Path,
    offset: u64,
    count: u64,
    length: u64,
    bytes: &mut Vec<u8>,
) -> Result<(), IngestError> {
    let failed = |source| IngestError::Read { name: path.display().to_string(), source };
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    bytes.reserve(count as usize);
    let read = file.by_ref().take(count).read_to_end(bytes).map_err(failed)?;
    if (read as u64) < count {
        let found = offset + read as u64;
        return Err(IngestError::Shrank { path: path.to_owned(), wanted: length, found });
    }
    Ok(())
}

impl FileOrigin {
    /// The first byte of a lane's first chunk, or the end of the file.
    fn lane_start(&self, lane: u32) -> u64 {
        (u64::from(lane) * self.chunk_bytes).min(self.length)
    }

    /// Where the lane's next chunk begins after that which holds `offset`.
    fn next_chunk(&self, offset: u64) -> u64 {
        let chunk = offset / self.chunk_bytes + u64::from(self.lanes);
        chunk.saturating_mul(self.chunk_bytes).min(self.length)
    }

    /// Where the chunk ends that holds `offset`.
    fn chunk_end(&self, offset: u64) -> u64 {
        ((offset / self.chunk_bytes + 1) * self.chunk_bytes).min(self.length)
    }
}

/// One lane of a file.
pub(super) struct Lane {
    file: File,
    path: PathBuf,
    origin: FileOrigin,
    /// Where the first line is to be looked for that is not in `piece`: the next one that begins there or
    /// behind it, in the same chunk.
    next: u64,
    /// Lines that were read and not decoded yet.
    piece: Option<Piece>,
    decoder: Decoder,
}

impl Lane {
    /// Opens a lane at its start or at a position that it once had.
    pub(super) fn open(
        path: &Path,
        lanes: u32,
        lane: u32,
        resume: Option<&Position>,
        decoder: Decoder,
    ) -> Result<Self, IngestError> {
        Self::open_cut(path, lanes, lane, CHUNK_BYTES, resume, decoder)
    }

    fn open_cut(
        path: &Path,
        lanes: u32,
        lane: u32,
        chunk_bytes: u64,
        resume: Option<&Position>,
        decoder: Decoder,
    ) -> Result<Self, IngestError> {
        let name = || path.display().to_string();
        if lane >= lanes {
            return Err(IngestError::NoPartition { name: name(), partition: lane });
        }
        let (file, origin, next) = match resume {
            None => {
                let (file, origin) = first_start(path, lanes, chunk_bytes)?;
                (file, origin, origin.lane_start(lane))
            }
            Some(Position { offset, origin: Origin::File(origin) }) => {
                (go_on(path, lanes, origin)?, *origin, (*offset).min(origin.length))
            }
            Some(_) => return Err(IngestError::Kind { name: name() }),
        };
        Ok(Lane { file, path: path.to_owned(), origin, next, piece: None, decoder })
    }

    /// Reads the lines that begin at or behind `next` in its chunk. There may be none.
    fn read_chunk(&mut self) -> Result<Piece, IngestError> {
        let (from, end) = (self.next.saturating_sub(1), self.origin.chunk_end(self.next));
        let mut bytes = Vec::with_capacity((end - from + PAST_BYTES_MIN) as usize);
        read_at(&mut self.file, &self.path, from, end - from, self.origin.length, &mut bytes)?;
        // The byte before `next` tells whether a line begins right there.
        let first = match self.next {
            0 => 0,
            _ => memchr::memchr(b'\n', &bytes).map_or(bytes.len(), |newline| newline + 1),
        };
        if first < bytes.len() {
            self.finish_last_line(from, &mut bytes)?;
        }
        self.next = self.origin.next_chunk(self.next);
        Ok(Piece::new(bytes, from).without_first(first))
    }

    /// Reads on until the last line ends, or is too long to be read at all.
    fn finish_last_line(&mut self, base: u64, bytes: &mut Vec<u8>) -> Result<(), IngestError> {
        let line = memchr::memrchr(b'\n', bytes).map_or(0, |newline| newline + 1);
        let line_bytes_max = head_bytes(self.decoder.spec().record_bytes_max);
        let mut step = PAST_BYTES_MIN;
        while bytes.last() != Some(&b'\n') {
            let at = base + bytes.len() as u64;
            let count = step.min(self.origin.length - at);
            if count == 0 || bytes.len() - line >= line_bytes_max {
                break;
            }
            let known = bytes.len();
            read_at(&mut self.file, &self.path, at, count, self.origin.length, bytes)?;
            if let Some(newline) = memchr::memchr(b'\n', &bytes[known..]) {
                bytes.truncate(known + newline + 1);
            }
            step = (step * 2).min(PAST_BYTES_MAX);
        }
        Ok(())
    }
}

impl Partition for Lane {
    fn poll(&mut self, records_max: usize) -> Result<Poll, IngestError> {
        let piece = match self.piece.take() {
            Some(piece) => piece,
            None if self.next >= self.origin.length => return Ok(Poll::Finished),
            None => self.read_chunk()?,
        };
        let (decoded, rest) = self.decoder.decode(piece, records_max);
        self.piece = rest;
        Ok(Poll::Decoded(decoded))
    }

    fn position(&self) -> Position {
        let offset = self.piece.as_ref().map_or(self.next, Piece::offset);
        Position { offset, origin: Origin::File(self.origin) }
    }

    fn lag(&self) -> Option<Lag> {
        let (mut at, mut bytes) = (self.next, self.piece.as_ref().map_or(0, Piece::remaining) as u64);
        while at < self.origin.length {
            bytes += self.origin.chunk_end(at) - at;
            at = self.origin.next_chunk(at);
        }
        Some(Lag { bytes: Some(bytes), ..Lag::default() })
    }

    fn set_waker(&mut self, _waker: Waker) {}

    fn set_caution(&mut self, caution: Caution) {
        self.decoder.set_caution(caution);
    }
}

#[cfg(test)]
mod tests;
