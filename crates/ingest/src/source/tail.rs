//! A file that others still write to, and rotate or truncate: one partition, which never ends.
//!
//! Only whole records are given. A file is known by its number on the disk and its first bytes. One that has another
//! name by now, while a new one with bytes in it has the old name, is read to its end, and then the new one is; one that
//! is shorter than before, or begins with other bytes, is read again from its start, and that is said. Offsets go on
//! across files: each begins where the one before it ended.
//!
//! A job that goes on looks for the file that it was in beside the path, whatever its name is by now. So does one that begins
//! at the end ([`partition_at_end`]): that it found that file is in its first checkpoint.

mod last;

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::feed::Feed;
use super::position::{Origin, Position, TailOrigin};
use super::{Format, Lag, Partition, PartitionInfo, Poll, Waker};
use crate::{Caution, DecodeSpec, IngestError};

/// First bytes by which a file is known.
const HEAD_BYTES: u64 = 4096;

/// The partition that a path is: whatever file has that name, from its start.
pub(super) fn partition(path: &Path, number: u32) -> Result<PartitionInfo, IngestError> {
    let id = path.to_str().ok_or_else(|| IngestError::NotText { path: path.to_owned() })?.to_owned();
    let start = Position { offset: 0, origin: Origin::Tail(TailOrigin::default()) };
    Ok(PartitionInfo { id, number, series: number, start, parents: Vec::new() })
}

/// The same, from the end on that the file has now: behind the last record in it that is whole. What there is of the next
/// one is a part of a record that comes later. A file that is not there yet is read from its start.
pub(super) fn partition_at_end(
    path: &Path,
    number: u32,
    format: Format,
) -> Result<PartitionInfo, IngestError> {
    let mut info = partition(path, number)?;
    let Some((file, found)) = look(path)? else { return Ok(info) };
    let failed = |source| failed(path, source);
    let offset = last::whole_bytes(&file, found.len(), format).map_err(failed)?;
    // Also where no record is whole yet: the one that is begun is to be found again under another name.
    let head_bytes = found.len().min(HEAD_BYTES);
    let head = hash_of_head(&file, head_bytes).map_err(failed)?;
    let (device, inode) = (found.dev(), found.ino());
    let origin = TailOrigin { begin: 0, device, inode, head_bytes, head };
    info.start = Position { offset, origin: Origin::Tail(origin) };
    Ok(info)
}

/// Opens what has that name, if anything has.
fn look(path: &Path) -> Result<Option<(File, Metadata)>, IngestError> {
    match fs::metadata(path) {
        // To open a named pipe would wait for whoever writes to it.
        Ok(found) if !found.is_file() => return Err(IngestError::NotAFile { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, error)),
        Ok(_) => {}
    }
    let opened = File::open(path).and_then(|file| file.metadata().map(|found| (file, found)));
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path, error)),
    }
}

fn failed(path: &Path, source: io::Error) -> IngestError {
    IngestError::Read { name: path.display().to_string(), source }
}

fn hash_of_head(file: &File, head_bytes: u64) -> io::Result<u64> {
    let mut head = vec![0; head_bytes as usize];
    file.read_exact_at(&mut head, 0)?;
    Ok(event::key_hash(&head))
}

/// The one partition of a path.
pub(super) struct Tail {
    path: PathBuf,
    format: Format,
    decode: DecodeSpec,
    caution: Caution,
    /// The file that is read; none until there is one.
    file: Option<File>,
    origin: TailOrigin,
    feed: Feed,
    /// Whether nothing comes any more of this file, so that the next one is to be read once all of it was given.
    is_over: bool,
    said: Option<String>,
}

/// How many first bytes of a file are known, and their hash.
type Head = (u64, u64);

impl Tail {
    /// Goes on at a position.
    pub(super) fn open(
        path: PathBuf,
        format: Format,
        position: &Position,
        decode: DecodeSpec,
    ) -> Result<Self, IngestError> {
        let name = path.display().to_string();
        let Origin::Tail(origin) = position.origin else { return Err(IngestError::Kind { name }) };
        let feed = Feed::new(name, format, decode.clone(), origin.begin, position.offset);
        let mut tail = Tail {
            path,
            format,
            decode,
            caution: Caution::default(),
            file: None,
            origin,
            feed,
            is_over: false,
            said: None,
        };
        if origin.head_bytes > 0 {
            tail.find(position.offset)?;
        }
        Ok(tail)
    }

    /// Finds the file again that was read up to an offset.
    fn find(&mut self, offset: u64) -> Result<(), IngestError> {
        let read = offset - self.origin.begin;
        for path in self.candidates().map_err(|source| self.failed(source))? {
            let Some((file, found)) = look(&path)? else { continue };
            if found.len() >= read && self.has_head(&file).map_err(|source| self.failed(source))? {
                (self.origin.device, self.origin.inode) = (found.dev(), found.ino());
                self.file = Some(file);
                return Ok(());
            }
            if self.origin.is(&found) && path == self.path {
                self.say("was truncated while nobody read it; it is read again from its start");
                self.begin_anew(offset);
                return Ok(());
            }
        }
        Err(IngestError::Gone { path: self.path.clone(), read })
    }

    /// The names beside the path of the file that was read, the path first; at last the path, if it is another file: that
    /// may be a copy.
    fn candidates(&self) -> io::Result<Vec<PathBuf>> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut names = Vec::new();
        for entry in fs::read_dir(folder.unwrap_or(Path::new(".")))? {
            let path = entry?.path();
            if fs::metadata(&path).is_ok_and(|found| self.origin.is(&found)) {
                names.push(path);
            }
        }
        let name = self.path.file_name();
        names.sort_by_key(|path| (path.file_name() != name, path.clone()));
        match names.first_mut() {
            Some(first) if first.file_name() == name => first.clone_from(&self.path),
            _ => names.push(self.path.clone()),
        }
        Ok(names)
    }

    /// Whether a file begins with the bytes by which ours is known.
    fn has_head(&self, file: &File) -> io::Result<bool> {
        if self.origin.head_bytes == 0 {
            return Ok(true);
        }
        match hash_of_head(file, self.origin.head_bytes) {
            Ok(head) => Ok(head == self.origin.head),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes in what has come since; says whether anything did, or changed.
    fn advance(&mut self) -> Result<bool, IngestError> {
        let from = self.feed.wanted() - self.origin.begin;
        let Some(file) = &self.file else { return self.begin() };
        let (length, has_head) = self.measure(file, from).map_err(|source| self.failed(source))?;
        if length < from || !has_head {
            self.say("was truncated; it is read again from its start");
            self.is_over = true;
            self.feed.end();
            return Ok(true);
        }
        if length == from {
            // Whoever wrote to it until it was replaced has written by now.
            let grown = |file: &File| file.metadata().map(|found| found.len() > length);
            let is_over = self.is_replaced()? && !grown(file).map_err(|source| self.failed(source))?;
            if is_over {
                self.is_over = true;
                self.feed.end();
            }
            return Ok(is_over);
        }
        let count = (length - from).min(self.feed.room() as u64) as usize;
        let (bytes, head) = self.read(file, from, count).map_err(|source| self.failed(source))?;
        if let Some((head_bytes, hash)) = head {
            (self.origin.head_bytes, self.origin.head) = (head_bytes, hash);
        }
        self.feed.push(|buffer| buffer.extend_from_slice(&bytes));
        Ok(true)
    }

    /// The length of a file that was read up to `from`, and, if there is more to read, whether it still begins as it did.
    fn measure(&self, file: &File, from: u64) -> io::Result<(u64, bool)> {
        let length = file.metadata()?.len();
        Ok((length, length <= from || self.has_head(file)?))
    }

    /// At most `count` bytes from `from` on, and how many first bytes are known with these, and their hash, if those are
    /// more than before.
    fn read(&self, file: &File, from: u64, count: usize) -> io::Result<(Vec<u8>, Option<Head>)> {
        let mut bytes = vec![0; count];
        let read = file.read_at(&mut bytes, from)?;
        bytes.truncate(read);
        let known = (from + read as u64).min(HEAD_BYTES);
        if known <= self.origin.head_bytes {
            return Ok((bytes, None));
        }
        Ok((bytes, Some((known, hash_of_head(file, known)?))))
    }

    /// Whether another file with bytes in it has the path by now: until then ours may still be written to.
    fn is_replaced(&self) -> Result<bool, IngestError> {
        match fs::metadata(&self.path) {
            Ok(found) => Ok(found.is_file() && found.len() > 0 && !self.origin.is(&found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Begins with the file that has the path now; says whether there is one.
    fn begin(&mut self) -> Result<bool, IngestError> {
        let Some((file, found)) = look(&self.path)? else {
            self.say("does not exist; it is waited for");
            return Ok(false);
        };
        (self.origin.device, self.origin.inode) = (found.dev(), found.ino());
        self.file = Some(file);
        Ok(true)
    }

    /// Has the next file read from its start, at that offset.
    fn begin_anew(&mut self, offset: u64) {
        self.file = None;
        self.origin = TailOrigin { begin: offset, ..TailOrigin::default() };
        let name = self.path.display().to_string();
        self.feed = Feed::new(name, self.format, self.decode.clone(), offset, offset);
        self.feed.set_caution(self.caution.clone());
        self.is_over = false;
    }

    fn failed(&self, source: io::Error) -> IngestError {
        failed(&self.path, source)
    }

    /// Says something to whoever watches, once until something else is said.
    fn say(&mut self, words: &str) {
        let words = format!("tidewatch: the source {} {words}", self.path.display());
        if self.said.as_ref() != Some(&words) {
            // When nobody listens there is nobody to tell.
            let _ = writeln!(io::stderr(), "{words}");
        }
        self.said = Some(words);
    }
}

impl TailOrigin {
    /// Whether that is the file, whatever its name.
    fn is(&self, found: &Metadata) -> bool {
        (self.device, self.inode) == (found.dev(), found.ino())
    }
}

impl Partition for Tail {
    fn poll(&mut self, records_max: usize) -> Result<Poll, IngestError> {
        if let Some(decoded) = self.feed.next(records_max)? {
            return Ok(Poll::Decoded(decoded));
        }
        if self.is_over {
            self.begin_anew(self.feed.wanted());
        }
        if !self.advance()? {
            return Ok(Poll::CaughtUp);
        }
        let decoded = self.feed.next(records_max)?;
        Ok(Poll::Decoded(decoded.unwrap_or_else(|| self.feed.nothing())))
    }

    fn position(&self) -> Position {
        Position { offset: self.feed.offset(), origin: Origin::Tail(self.origin) }
    }

    /// Whoever polls it comes again by itself, soon enough for a file.
    fn set_waker(&mut self, _waker: Waker) {}

    fn header(&self) -> Option<Arc<str>> {
        self.feed.header()
    }

    fn set_caution(&mut self, caution: Caution) {
        self.caution = caution.clone();
        self.feed.set_caution(caution);
    }

    fn lag(&self) -> Option<Lag> {
        let length = self.file.as_ref()?.metadata().ok()?.len();
        let bytes = (self.origin.begin + length).saturating_sub(self.feed.offset());
        Some(Lag { bytes: Some(bytes), ..Lag::default() })
    }
}

#[cfg(test)]
mod tests;
