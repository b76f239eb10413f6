//! Standard output as a sink: unbuffered, always at once, not durable.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::path::PathBuf;

use super::{Sink, SinkError, write_all};

/// Standard output. Lines go out as they are written; the writer hands over many at a time.
pub(super) struct StdoutSink {
    name: String,
    /// The same open file as standard output, without the buffer that searches every write for a line end.
    output: File,
    length: u64,
    /// Bytes that were written of lines whose writing failed.
    partial: usize,
}

impl StdoutSink {
    pub(super) fn open(name: &str) -> Result<Self, SinkError> {
        match io::stdout().as_fd().try_clone_to_owned() {
            Ok(output) => {
                Ok(StdoutSink { name: name.to_owned(), output: output.into(), length: 0, partial: 0 })
            }
            Err(source) => Err(failed(name, "open", source)),
        }
    }
}

impl Sink for StdoutSink {
    fn write(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        write_all(&mut self.output, lines, &mut self.partial)
            .map_err(|source| failed(&self.name, "write to", source))?;
        self.partial = 0;
        self.length += lines.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn length(&self) -> u64 {
        self.length
    }
}

fn failed(name: &str, action: &'static str, source: io::Error) -> SinkError {
    let sink = name.to_owned();
    match source.kind() {
        ErrorKind::BrokenPipe => SinkError::BrokenPipe { sink },
        _ => SinkError::Io { sink, action, path: PathBuf::from("standard output"), source },
    }
}
