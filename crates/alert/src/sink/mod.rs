//! Sinks: where lines go, and how far a sink got before a crash.
//!
//! The one writer of each sink calls these; what to write, and when, is decided by `dataflow`. A sink that
//! is opened beside a fresh state must be empty; one that is resumed must hold what was put out before
//! (`resume_exactly_once`). One file per kind of sink.

mod file;
mod stdout;

use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::time::Duration;

use file::FileSink;
use stdout::StdoutSink;

/// A sink as the config asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkSpec {
    /// Its name in the config.
    pub name: String,
    /// What it is.
    pub kind: SinkKind,
    /// When it gets its lines.
    pub mode: Mode,
}

/// What a sink is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkKind {
    /// Standard output.
    Stdout,
    /// A file; also a pipe or a device that has a name.
    File {
        /// Where it is, relative to the working directory.
        path: PathBuf,
    },
}

/// When a sink gets its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// With the checkpoint that holds them, and never again.
    ExactlyOnce,
    /// When they are due. After a crash the same lines may come again.
    AtOnce,
}

/// An open sink.
pub trait Sink: Send {
    /// Writes whole lines, each with its `\n`, through to the operating system.
    ///
    /// # Errors
    /// If they could not be written; then a part of them may have been.
    fn write(&mut self, lines: &[u8]) -> Result<(), SinkError>;

    /// Makes durable what was written, where that means anything.
    ///
    /// # Errors
    /// If the disk refused. What was written is in doubt then: do not go on.
    fn sync(&mut self) -> Result<(), SinkError>;

    /// Bytes in the output so far: a file's length, elsewhere what was written since the sink was opened.
    fn length(&self) -> u64;
}

/// What one checkpoint put out to a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Length of the output before it.
    pub start: u64,
    /// Its lines.
    pub bytes: Vec<u8>,
}

/// Opens a sink for a job that starts with a fresh state, or without one.
///
/// # Errors
/// If a file is not empty (a refusal: nothing is overwritten or mixed), or cannot be opened.
pub fn open_fresh(spec: &SinkSpec) -> Result<Box<dyn Sink>, SinkError> {
    match &spec.kind {
        SinkKind::Stdout => Ok(Box::new(StdoutSink::open(&spec.name)?)),
        SinkKind::File { path } => Ok(Box::new(FileSink::open_fresh(&spec.name, path)?)),
    }
}

/// Opens a sink again, completes what the last checkpoints put out, and makes it durable.
///
/// `deliveries` are what the last checkpoints put out, oldest first, each starting where the one before
/// ends; at least one, unless nothing was ever put out. A file must hold everything before the first, and
/// then a part of them, perhaps torn in the middle of a line. A pipe or device cannot say how far it got:
/// it gets the last delivery again.
///
/// # Errors
/// If the file does not continue what was put out (a refusal: it is left as it is), or the disk fails.
pub fn resume_exactly_once(spec: &SinkSpec, deliveries: &[Delivery]) -> Result<Box<dyn Sink>, SinkError> {
    for pair in deliveries.windows(2) {
        let end = pair[0].start + pair[0].bytes.len() as u64;
        if end != pair[1].start {
            return Err(SinkError::Gap { sink: spec.name.clone(), end, start: pair[1].start });
        }
    }
    match &spec.kind {
        SinkKind::Stdout => Ok(Box::new(StdoutSink::open(&spec.name)?)),
        SinkKind::File { path } => Ok(Box::new(FileSink::resume(&spec.name, path, deliveries)?)),
    }
}

/// Opens a sink again and goes on at its end, whatever it holds.
///
/// # Errors
/// If it cannot be opened.
pub fn resume_at_once(spec: &SinkSpec) -> Result<Box<dyn Sink>, SinkError> {
    match &spec.kind {
        SinkKind::Stdout => Ok(Box::new(StdoutSink::open(&spec.name)?)),
        SinkKind::File { path } => Ok(Box::new(FileSink::append(&spec.name, path)?)),
    }
}

/// Why a sink does not take lines.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// A fresh job beside an old output.
    #[error("sink `{sink}`: `{}` already holds {length} bytes, but the job starts afresh", path.display())]
    NotEmpty {
        /// Name of the sink.
        sink: String,
        /// The file.
        path: PathBuf,
        /// How long it is.
        length: u64,
    },
    /// The file lost what cannot be put out again.
    #[error("sink `{sink}`: `{}` has {length} bytes, but {wanted} were put out before and are lost", path.display())]
    Shorter {
        /// Name of the sink.
        sink: String,
        /// The file.
        path: PathBuf,
        /// How long it is.
        length: u64,
        /// How long it must be at least.
        wanted: u64,
    },
    /// Something else was written into the file.
    #[error("sink `{sink}`: `{}` differs at byte {at} from what the checkpoints put out", path.display())]
    Different {
        /// Name of the sink.
        sink: String,
        /// The file.
        path: PathBuf,
        /// The first byte that differs.
        at: u64,
    },
    /// Something else was written behind.
    #[error("sink `{sink}`: `{}` has {length} bytes, but only {wanted} were put out", path.display())]
    Longer {
        /// Name of the sink.
        sink: String,
        /// The file.
        path: PathBuf,
        /// How long it is.
        length: u64,
        /// How long it may be at most.
        wanted: u64,
    },
    /// The checkpoints contradict one another.
    #[error("sink `{sink}`: one checkpoint ends at byte {end} of the output and the next starts at {start}")]
    Gap {
        /// Name of the sink.
        sink: String,
        /// Where the first of the two ends.
        end: u64,
        /// Where the second starts.
        start: u64,
    },
    /// The folder of the file does not exist.
    #[error("sink `{sink}`: there is no folder for `{}`", path.display())]
    NoFolder {
        /// Name of the sink.
        sink: String,
        /// The file.
        path: PathBuf,
    },
    /// The reader of the output is gone, as with `| head`.
    #[error("sink `{sink}`: the reader of the output is gone")]
    BrokenPipe {
        /// Name of the sink.
        sink: String,
    },
    /// The operating system refused.
    #[error("sink `{sink}`: cannot {action} `{}`", path.display())]
    Io {
        /// Name of the sink.
        sink: String,
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl SinkError {
    /// Whether the output was refused as it is, which a person has to settle, rather than failed.
    pub fn is_refusal(&self) -> bool {
        match self {
            SinkError::NotEmpty { .. }
            | SinkError::Shorter { .. }
            | SinkError::Different { .. }
            | SinkError::Longer { .. }
            | SinkError::Gap { .. }
            | SinkError::NoFolder { .. } => true,
            SinkError::BrokenPipe { .. } | SinkError::Io { .. } => false,
        }
    }

    /// Whether nobody reads the output any more, so that the program can end quietly.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, SinkError::BrokenPipe { .. })
    }

    /// What to do, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            SinkError::NotEmpty { .. } => {
                Some("move the file away or set another path; to go on with a job give its `state.dir`")
            }
            SinkError::Shorter { .. } | SinkError::Different { .. } | SinkError::Longer { .. } => Some(
                "restore the file as the job left it, or start the job afresh with another path and `state.dir`",
            ),
            SinkError::Gap { .. } => {
                Some("the state is damaged; start the job afresh with another `state.dir`")
            }
            SinkError::NoFolder { .. } => Some("create the folder, or set another path"),
            SinkError::BrokenPipe { .. } | SinkError::Io { .. } => None,
        }
    }
}

/// How long to wait for a reader that is slow, when its pipe was set not to block.
const RETRY_AFTER: Duration = Duration::from_millis(1);

/// Writes everything, also to a pipe that another program has set not to block.
fn write_all(target: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match target.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(RETRY_AFTER),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_that_takes_a_byte_at_a_time_or_would_block_gets_everything() {
        struct Slow(Vec<u8>, u32);
        impl Write for Slow {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.1 += 1;
                match self.1 % 3 {
                    0 => Err(ErrorKind::WouldBlock.into()),
                    1 => Err(ErrorKind::Interrupted.into()),
                    _ => {
                        self.0.push(bytes[0]);
                        Ok(1)
                    }
                }
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut slow = Slow(Vec::new(), 0);
        write_all(&mut slow, b"one\ntwo\n").unwrap();
        assert_eq!(slow.0, b"one\ntwo\n");
    }
}
