//! A look at single lines of a journal that another process may have open: takes no lock, makes and changes nothing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::JournalError;
use crate::format::{FRAME_HEADER_BYTES, Frame, FrameHeader, HEADER_BYTES};
use crate::journal::Segment;
use crate::times;

/// What a journal held when it was looked at.
#[derive(Debug)]
pub struct Look {
    dir: PathBuf,
    /// The offsets of the first lines of its files, ascending.
    bases: Vec<u64>,
    segment: Option<Open>,
}

#[derive(Debug)]
struct Open {
    base: u64,
    identity: u64,
    path: PathBuf,
    file: File,
    /// Byte of the file where the next frame begins.
    at: u64,
    /// Offset of the lines of the last frame that was read, and these.
    lines: (u64, Vec<u8>),
}

impl Look {
    /// Looks at the journal in a directory.
    ///
    /// # Errors
    /// If the directory cannot be listed.
    pub fn at(dir: &Path) -> Result<Look, JournalError> {
        let failed = || JournalError::io("list", dir);
        let mut bases = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(failed())? {
            let name = entry.map_err(failed())?.file_name();
            bases.extend(name.to_str().and_then(|name| name.strip_suffix(".log")?.parse::<u64>().ok()));
        }
        bases.sort_unstable();
        Ok(Look { dir: dir.to_owned(), bases, segment: None })
    }

    /// Offset of the first line that it still holds; `None` if it holds nothing.
    pub fn first(&self) -> Option<u64> {
        self.bases.first().copied()
    }

    /// The journal's identity, and the offset behind the last line of it that is whole: where whoever opens it finds its end.
    /// `None` if it holds nothing. Of a journal that is appended to the end is one that it had a moment ago. All before it is
    /// durable, also what a process wrote that was killed before it could say so.
    ///
    /// # Errors
    /// If a file cannot be read, or is not what was written.
    pub fn end(&self) -> Result<Option<(u64, u64)>, JournalError> {
        let Some(base) = self.bases.last() else { return Ok(None) };
        let mut open = Open::segment(&self.dir, *base)?;
        let mut end = *base;
        while open.read_frame(end)? {
            end = open.lines.0 + open.lines.1.len() as u64;
        }
        open.file.sync_all().map_err(JournalError::io("sync", &open.path))?;
        Ok(Some((open.identity, end)))
    }

    /// The journal's identity, and the offset of the first line that it holds which was made durable at that time or later,
    /// as [`Journal::offset_at`](crate::Journal::offset_at) says it; where none was, what [`Look::end`] says. `None` if it
    /// holds nothing.
    ///
    /// # Errors
    /// If a file cannot be read, or is not what was written: also if it was trimmed since the look.
    pub fn offset_at(&self, time: i64) -> Result<Option<(u64, u64)>, JournalError> {
        let Some((identity, end)) = self.end()? else { return Ok(None) };
        let offset = times::offset_at(&self.dir, &self.bases, end, time)?;
        Ok(Some((identity, offset)))
    }

    /// The line that begins at an offset, without its end; `None` if none does that is whole. Fast where offsets ascend.
    ///
    /// # Errors
    /// If a file cannot be read, or is not what was written: also if it was trimmed since the look.
    pub fn line(&mut self, offset: u64) -> Result<Option<&[u8]>, JournalError> {
        let place = self.bases.partition_point(|base| *base <= offset);
        let Some(base) = place.checked_sub(1).map(|place| self.bases[place]) else { return Ok(None) };
        let open = match self.segment.take().filter(|open| open.base == base && open.lines.0 <= offset) {
            Some(open) => open,
            None => Open::segment(&self.dir, base)?,
        };
        self.segment.insert(open).line(offset)
    }
}

impl Open {
    fn segment(dir: &Path, base: u64) -> Result<Open, JournalError> {
        let (path, file, header) = Segment::open(dir, base)?;
        let identity = header.identity;
        Ok(Open { base, identity, path, file, at: HEADER_BYTES as u64, lines: (base, Vec::new()) })
    }

    fn line(&mut self, offset: u64) -> Result<Option<&[u8]>, JournalError> {
        while offset >= self.lines.0 + self.lines.1.len() as u64 {
            if !self.read_frame(offset)? {
                return Ok(None);
            }
        }
        let (first, lines) = &self.lines;
        let Some(at) = offset.checked_sub(*first).and_then(|at| usize::try_from(at).ok()) else {
            return Ok(None);
        };
        let begins = at == 0 || lines.get(at - 1) == Some(&b'\n');
        let line = &lines[at..];
        Ok(memchr::memchr(b'\n', line).filter(|_| begins).map(|end| &line[..end]))
    }

    /// Reads the next frame that holds the offset or lies behind it; false at the end, which somebody may be writing.
    fn read_frame(&mut self, offset: u64) -> Result<bool, JournalError> {
        loop {
            let mut head = [0; FRAME_HEADER_BYTES];
            if !self.read_at(&mut head)? {
                return Ok(false);
            }
            let Some(header) = FrameHeader::read(self.identity, &head) else { return Ok(false) };
            if header.end() <= offset {
                self.at += header.frame_bytes() as u64;
                continue;
            }
            let mut bytes = vec![0; header.frame_bytes()];
            if !self.read_at(&mut bytes)? {
                return Ok(false);
            }
            let Some(frame) = Frame::read(self.identity, &bytes) else { return Ok(false) };
            self.lines = (header.offset, frame.lines.to_vec());
            self.at += bytes.len() as u64;
            return Ok(true);
        }
    }

    /// Whether there are so many bytes.
    fn read_at(&self, bytes: &mut [u8]) -> Result<bool, JournalError> {
        match self.file.read_exact_at(bytes, self.at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            read => read.map(|()| true).map_err(JournalError::io("read", &self.path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Journal, Lines, Spec};

    #[test]
    fn the_end_is_that_which_whoever_opens_it_finds_also_where_a_crash_tore_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("journal");
        let spec = Spec { dir: dir.clone(), bytes_max: 64 << 10, ids_max: 0 };
        std::fs::create_dir(&dir).expect("a folder");
        assert_eq!(Look::at(&dir).expect("a look").end().expect("an end"), None);
        let end = || Look::at(&dir).expect("a look").end().expect("an end").expect("a journal").1;
        let journal = Journal::open(&spec).expect("a journal");
        assert_eq!(end(), 0);
        let (sender, answers) = std::sync::mpsc::channel();
        let mut ends = vec![0];
        for frame in 0..5 {
            let mut lines = Lines::default();
            lines.push(&vec![b'x'; 7 * frame], None);
            lines.push(b"y", None);
            let sender = sender.clone();
            journal.appender().append(lines, move |answer| sender.send(answer.is_ok()).unwrap_or_default());
            assert!(answers.recv().expect("an answer"));
            ends.push(journal.end());
            assert_eq!(end(), journal.end());
        }
        drop(journal);
        let path = dir.join(Segment::file_name(0));
        let bytes = std::fs::read(&path).expect("a file");
        // Wherever it is torn.
        for length in (HEADER_BYTES..bytes.len()).rev() {
            std::fs::write(&path, &bytes[..length]).expect("write");
            let seen = end();
            assert!(ends.contains(&seen));
            assert_eq!(seen, Journal::open(&spec).expect("a journal").end(), "{length} bytes");
        }
    }

    #[test]
    fn lines_are_found_by_their_offsets_while_the_journal_is_open_and_until_they_are_trimmed() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("journal");
        let spec = Spec { dir: dir.clone(), bytes_max: 64 << 10, ids_max: 0 };
        let journal = Journal::open(&spec).expect("a journal");
        let (sender, answers) = std::sync::mpsc::channel();
        let (mut written, mut offset) = (Vec::new(), 0);
        for frame in 0..200 {
            let mut lines = Lines::default();
            for number in 0..3 {
                let line = format!("{frame}-{number}-{}", "x".repeat(frame % 90)).into_bytes();
                lines.push(&line, None);
                let length = line.len() as u64 + 1;
                written.push((offset, line));
                offset += length;
            }
            let sender = sender.clone();
            journal.appender().append(lines, move |answer| sender.send(answer.is_ok()).unwrap_or_default());
            assert!(answers.recv().expect("an answer"));
        }
        let mut look = Look::at(&dir).expect("a look");
        assert!(look.bases.len() > 3);
        for (begin, line) in &written {
            assert_eq!(look.line(*begin).expect("a look"), Some(line.as_slice()), "{begin}");
        }
        assert_eq!(look.line(0).expect("a look"), Some(written[0].1.as_slice()), "back again");
        assert_eq!(look.line(1).expect("a look"), None, "in the middle of a line");
        assert_eq!(look.line(offset).expect("a look"), None, "behind the last one");
        assert_eq!(look.end().expect("a look"), Some((journal.identity(), offset)));

        journal.trim(offset / 2);
        // Orders are carried out before it is closed.
        drop(journal);
        let mut look = Look::at(&dir).expect("a look");
        let first = look.first().expect("what is left");
        assert!(0 < first && first <= offset / 2);
        for (begin, line) in &written {
            let expected = (*begin >= first).then_some(line.as_slice());
            assert_eq!(look.line(*begin).expect("a look"), expected, "{begin}");
        }
    }
}
