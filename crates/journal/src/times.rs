//! Where the lines begin that came at a time or later: a search over the headers of segments, then over those of one
//! segment's frames. Times never descend, so that it needs no index.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use crate::error::JournalError;
use crate::format::{FRAME_HEADER_BYTES, FrameHeader, HEADER_BYTES, SegmentHeader};
use crate::journal::Segment;

/// Offset of the first line that was made durable at that time or later, of those that segments with these bases hold
/// before `end`; `end` if none was.
///
/// # Errors
/// If a file cannot be read, or is not what was written.
pub(crate) fn offset_at(dir: &Path, bases: &[u64], end: u64, time: i64) -> Result<u64, JournalError> {
    // Of the segments of which not all frames are that late, the last: those behind it are, and in those before it
    // none is, since the last time before a segment is the greatest.
    let (mut low, mut high) = (0, bases.len());
    while low < high {
        let middle = low + (high - low) / 2;
        match SegmentFile::open(dir, bases[middle])?.header.time_before < time {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    let behind = bases.get(low).copied().unwrap_or(end);
    match low.checked_sub(1) {
        Some(place) => SegmentFile::open(dir, bases[place])?.offset_at(behind, time),
        None => Ok(behind),
    }
}

/// A segment that is read from its start.
struct SegmentFile {
    header: SegmentHeader,
    path: PathBuf,
    file: BufReader<File>,
}

impl SegmentFile {
    fn open(dir: &Path, base: u64) -> Result<Self, JournalError> {
        let (path, file, header) = Segment::open(dir, base)?;
        Ok(SegmentFile { header, path, file: BufReader::new(file) })
    }

    /// Offset of its first line that is that late; `end`, which is behind its last one, if none is.
    fn offset_at(&mut self, end: u64, time: i64) -> Result<u64, JournalError> {
        let path = &self.path;
        let (mut offset, mut at) = (self.header.base, HEADER_BYTES);
        while offset < end {
            let mut head = [0; FRAME_HEADER_BYTES];
            self.file.read_exact(&mut head).map_err(JournalError::io("read", path))?;
            let frame = FrameHeader::read(self.header.identity, &head)
                .filter(|frame| frame.offset == offset)
                .ok_or_else(|| JournalError::damaged(path, at, "this is no frame that was written"))?;
            if frame.time >= time {
                return Ok(offset);
            }
            let rest = frame.frame_bytes() - FRAME_HEADER_BYTES;
            self.file.seek_relative(rest as i64).map_err(JournalError::io("read", path))?;
            at += frame.frame_bytes();
            offset = frame.end();
        }
        Ok(end)
    }
}
