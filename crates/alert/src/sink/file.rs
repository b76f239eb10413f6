//! A file as a sink, and how it is completed after a crash. Pipes and devices with a name work too.
//!
//! What a regular file holds stays as it is, and more is written behind it. After a crash it may end anywhere
//! inside of what the last checkpoints put out, since they are delivered after their commit: that tail is
//! compared, written again in its place, and completed.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{Delivery, Sink, SinkError, not_written, write_all};

/// Bytes of a file compared at a time.
const COMPARE_BYTES: usize = 64 * 1024;

pub(super) struct FileSink {
    name: String,
    path: PathBuf,
    file: File,
    /// Whether it has a length and can be made durable.
    regular: bool,
    /// The same file, to be written at a place of our choice; only if it is regular.
    placed: Option<File>,
    length: u64,
    /// Bytes that were written of lines whose writing failed.
    partial: usize,
    /// Where the file is to be cut before anything is written to it.
    cut: Option<u64>,
}

impl FileSink {
    /// A new output. A regular file must be empty.
    pub(super) fn open_fresh(name: &str, path: &Path) -> Result<Self, SinkError> {
        let sink = Self::append(name, path)?;
        if sink.regular && sink.length > 0 {
            return Err(SinkError::NotEmpty { sink: sink.name, path: sink.path, length: sink.length });
        }
        Ok(sink)
    }

    /// An output that goes on at its end, whatever it holds.
    pub(super) fn append(name: &str, path: &Path) -> Result<Self, SinkError> {
        let before = metadata(path).map_err(|source| failed(name, path, "look at", source))?;
        if before.as_ref().is_some_and(Metadata::is_dir) {
            return Err(SinkError::Folder { sink: name.to_owned(), path: path.to_owned() });
        }
        // To read a pipe of ours would steal from its reader; to compare a tail needs to read.
        let regular = before.as_ref().is_none_or(Metadata::is_file);
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .read(regular)
            .open(path)
            .map_err(|source| failed(name, path, "open", source))?;
        let length = match regular {
            true => file.metadata().map_err(|source| failed(name, path, "look at", source))?.len(),
            false => 0,
        };
        let placed = regular.then(|| OpenOptions::new().write(true).open(path)).transpose();
        let placed = placed.map_err(|source| failed(name, path, "open", source))?;
        if regular {
            match sync_folder(path) {
                // Whoever created it may have died before its name was durable; but it may also lie in a
                // folder that others made and that cannot be opened.
                Err(error) if error.kind() == ErrorKind::PermissionDenied && before.is_some() => {}
                synced => synced.map_err(|source| failed(name, path, "make durable", source))?,
            }
        }
        let (name, path) = (name.to_owned(), path.to_owned());
        Ok(FileSink { name, path, file, regular, placed, length, partial: 0, cut: None })
    }

    /// An output that goes on at its end, for lines that come when they are due. A last line without an end,
    /// which a process has left that died within a write, is cut off with the first write: it comes again. Not
    /// before, since a start may still fail, and whoever writes now may be alive.
    pub(super) fn resume_at_once(name: &str, path: &Path) -> Result<Self, SinkError> {
        let mut sink = Self::append(name, path)?;
        if sink.regular {
            let whole = end_of_last_line(&sink.file, sink.length)
                .map_err(|source| failed(name, path, "read", source))?;
            sink.cut = Some(whole).filter(|whole| *whole < sink.length);
            sink.length = whole;
        }
        Ok(sink)
    }

    /// An output that delivered at once and will not any more: what it holds now, durably, is what was put out.
    /// A last line without an end is cut off; it comes again.
    pub(super) fn resume_after_at_once(name: &str, path: &Path) -> Result<Self, SinkError> {
        let mut sink = Self::resume_at_once(name, path)?;
        if let Some(whole) = sink.cut.take() {
            sink.file.set_len(whole).map_err(|source| failed(name, path, "cut", source))?;
        }
        sink.sync()?;
        Ok(sink)
    }

    /// An output that holds a part of what the last checkpoints put out, and now all of it.
    pub(super) fn resume(name: &str, path: &Path, deliveries: &[Delivery]) -> Result<Self, SinkError> {
        let start = deliveries.first().map_or(0, |first| first.start);
        // A file that is missing must not be created when it is to be refused.
        let found = metadata(path).map_err(|source| failed(name, path, "look at", source))?;
        if found.is_none() && start > 0 {
            let (sink, path) = (name.to_owned(), path.to_owned());
            return Err(SinkError::Shorter { sink, path, length: 0, wanted: start });
        }
        let mut sink = Self::append(name, path)?;
        if !sink.regular {
            if let Some(last) = deliveries.last() {
                sink.write(&last.bytes)?;
            }
            return Ok(sink);
        }
        sink.check_length(start, deliveries)?;
        sink.check_overlap(start, deliveries)?;
        // What was there already is written again, since it may never have become durable: a sync that failed
        // is forgotten by the system, and the next one succeeds without having written anything.
        sink.length = start;
        deliveries.iter().try_for_each(|delivery| sink.deliver(delivery.number, &delivery.bytes))?;
        Ok(sink)
    }

    fn check_length(&self, start: u64, deliveries: &[Delivery]) -> Result<(), SinkError> {
        let (sink, path, length) = (self.name.clone(), self.path.clone(), self.length);
        let end = deliveries.last().map_or(0, |last| last.start + last.bytes.len() as u64);
        if length < start {
            return Err(SinkError::Shorter { sink, path, length, wanted: start });
        }
        if length > end {
            return Err(SinkError::Longer { sink, path, length, wanted: end });
        }
        Ok(())
    }

    /// Compares the file from `start` on with what was put out.
    fn check_overlap(&mut self, start: u64, deliveries: &[Delivery]) -> Result<(), SinkError> {
        let reading = |sink: &Self, source| failed(&sink.name, &sink.path, "read", source);
        self.file.seek(SeekFrom::Start(start)).map_err(|source| reading(self, source))?;
        let mut buffer = vec![0; COMPARE_BYTES];
        let mut at = start;
        for piece in deliveries.iter().flat_map(|delivery| delivery.bytes.chunks(COMPARE_BYTES)) {
            let len = piece.len().min((self.length - at) as usize);
            let found = &mut buffer[..len];
            self.file.read_exact(found).map_err(|source| reading(self, source))?;
            if let Some(place) = found.iter().zip(piece).position(|(found, wanted)| found != wanted) {
                let (sink, path) = (self.name.clone(), self.path.clone());
                return Err(SinkError::Different { sink, path, at: at + place as u64 });
            }
            at += len as u64;
        }
        Ok(())
    }
}

impl Sink for FileSink {
    fn write(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        let failed = |source| not_written(self.name.clone(), self.path.clone(), self.regular, source);
        if let Some(whole) = self.cut {
            self.file.set_len(whole).map_err(failed)?;
            self.cut = None;
        }
        write_all(&mut self.file, lines, &mut self.partial).map_err(failed)?;
        self.partial = 0;
        self.length += lines.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), SinkError> {
        if !self.regular {
            return Ok(());
        }
        self.file.sync_data().map_err(|source| failed(&self.name, &self.path, "make durable", source))
    }

    fn length(&self) -> u64 {
        self.length
    }

    /// Writes at the place where the deliveries before end. So a delivery that failed, for want of space, is
    /// written again over what there is of it, and one that a process makes which was long thought dead
    /// writes what the next one has written there already.
    fn deliver(&mut self, _number: u32, lines: &[u8]) -> Result<(), SinkError> {
        if lines.is_empty() {
            return Ok(());
        }
        let Some(placed) = &self.placed else { return self.write(lines) };
        let failed = |action, source| failed(&self.name, &self.path, action, source);
        placed.write_all_at(lines, self.length).map_err(|source| failed("write to", source))?;
        placed.sync_data().map_err(|source| failed("make durable", source))?;
        self.length += lines.len() as u64;
        Ok(())
    }
}

/// What is there; `None` if nothing is.
fn metadata(path: &Path) -> io::Result<Option<Metadata>> {
    match path.metadata() {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where the last line of a file ends that has an end.
fn end_of_last_line(file: &File, length: u64) -> io::Result<u64> {
    let mut buffer = vec![0; COMPARE_BYTES];
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(COMPARE_BYTES as u64);
        let bytes = &mut buffer[..(end - start) as usize];
        file.read_exact_at(bytes, start)?;
        if let Some(newline) = memchr::memrchr(b'\n', bytes) {
            return Ok(start + newline as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Makes the name of a new file durable, which syncing the file does not.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

fn failed(name: &str, path: &Path, action: &'static str, source: io::Error) -> SinkError {
    let (sink, path) = (name.to_owned(), path.to_owned());
    match source.kind() {
        ErrorKind::BrokenPipe => SinkError::BrokenPipe { sink },
        ErrorKind::NotFound | ErrorKind::NotADirectory => SinkError::NoFolder { sink, path },
        _ => SinkError::Io { sink, action, path, source },
    }
}
