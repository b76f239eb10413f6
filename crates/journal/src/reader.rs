//! Reads durable lines in order, frame by frame.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::error::JournalError;
use crate::format::{FRAME_HEADER_BYTES, Frame, FrameHeader, HEADER_BYTES};
use crate::journal::{Segment, Shared};

/// Whole lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Offset of the first one.
    pub offset: u64,
    /// The lines, each with its newline.
    pub bytes: Vec<u8>,
}

/// A place in a journal.
pub struct Reader {
    shared: Arc<Shared>,
    /// Where the next line is.
    offset: u64,
    /// The segment that is read.
    segment: Option<Open>,
    /// Lines of a frame that were not given yet: these bytes from that one on.
    lines: Vec<u8>,
    given: usize,
}

struct Open {
    base: u64,
    file: File,
    /// Byte of the file where the next frame begins.
    at: u64,
}

impl Reader {
    pub(crate) fn at(shared: Arc<Shared>, offset: u64) -> Result<Reader, JournalError> {
        {
            let state = shared.state();
            let (first, end) = (state.first(), state.end);
            if !(first..=end).contains(&offset) {
                return Err(JournalError::NotHeld { dir: shared.dir.clone(), offset, first, end });
            }
        }
        Ok(Reader { shared, offset, segment: None, lines: Vec::new(), given: 0 })
    }

    /// Offset of the next line.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next lines, of not more than that many bytes unless a single one has more; `None` if all durable ones
    /// were given.
    ///
    /// # Errors
    /// If the journal has stopped, or a file is not what was written.
    pub fn read(&mut self, bytes_max: usize) -> Result<Option<Chunk>, JournalError> {
        if self.given == self.lines.len() && !self.read_frame()? {
            return Ok(None);
        }
        let rest = &self.lines[self.given..];
        let count = lines_within(rest, bytes_max);
        let chunk = Chunk { offset: self.offset, bytes: rest[..count].to_vec() };
        self.given += count;
        self.offset += count as u64;
        if self.given == self.lines.len() {
            // A large frame is no reason to hold as much for ever.
            (self.lines, self.given) = (Vec::new(), 0);
        }
        Ok(Some(chunk))
    }

    /// Reads the frame that holds the next line; false if there is none.
    fn read_frame(&mut self) -> Result<bool, JournalError> {
        let base = {
            let state = self.shared.state();
            if let Some(reason) = &state.stopped {
                let (dir, reason) = (self.shared.dir.clone(), reason.clone());
                return Err(JournalError::Stopped { dir, reason });
            }
            if self.offset >= state.end {
                return Ok(false);
            }
            let place = state.segments.partition_point(|segment| segment.base <= self.offset);
            state.segments.get(place.saturating_sub(1)).map_or(self.offset, |segment| segment.base)
        };
        let path = self.shared.dir.join(Segment::file_name(base));
        let failed = |source| JournalError::Io { what: "read", path: path.clone(), source };
        let mut open = match self.segment.take().filter(|open| open.base == base) {
            Some(open) => open,
            None => Open { base, file: File::open(&path).map_err(failed)?, at: HEADER_BYTES as u64 },
        };
        loop {
            let damaged =
                || JournalError::damaged(&path, open.at as usize, "this is no frame that was written");
            let mut head = [0; FRAME_HEADER_BYTES];
            open.file.read_exact_at(&mut head, open.at).map_err(failed)?;
            let header = FrameHeader::read(self.shared.identity, &head).ok_or_else(damaged)?;
            if header.end() > self.offset {
                let mut bytes = vec![0; header.frame_bytes()];
                open.file.read_exact_at(&mut bytes, open.at).map_err(failed)?;
                let frame = Frame::read(self.shared.identity, &bytes).ok_or_else(damaged)?;
                let skipped = self.offset.checked_sub(frame.header.offset).ok_or_else(damaged)?;
                self.lines = frame.lines.to_vec();
                self.given = skipped as usize;
                open.at += bytes.len() as u64;
                self.segment = Some(open);
                return Ok(true);
            }
            open.at += header.frame_bytes() as u64;
        }
    }
}

/// How many bytes of these lines to give at once.
fn lines_within(lines: &[u8], bytes_max: usize) -> usize {
    if lines.len() <= bytes_max {
        return lines.len();
    }
    let within = memchr::memrchr(b'\n', &lines[..bytes_max]);
    let first = || memchr::memchr(b'\n', lines);
    within.or_else(first).map_or(lines.len(), |newline| newline + 1)
}
