//! Standard output as a sink: unbuffered, always at once, not durable.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use super::{Sink, SinkError, not_written, write_all};

/// Standard output. Lines go out as they are written; the writer hands over many at a time.
pub(super) struct StdoutSink {
    name: String,
    /// The same open file as standard output, without the buffer that searches every write for a line end.
    output: File,
    /// Whether it was led to a file.
    regular: bool,
    length: u64,
    /// Bytes that were written of lines whose writing failed.
    partial: usize,
}

impl StdoutSink {
    /// What messages call it.
    const PATH: &'static str = "standard output";

    pub(super) fn open(name: &str) -> Result<Self, SinkError> {
        let (sink, path) = (name.to_owned(), PathBuf::from(Self::PATH));
        let open = || {
            let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
            Ok((output.metadata()?.is_file(), output))
        };
        match open() {
            Ok((regular, output)) => Ok(StdoutSink { name: sink, output, regular, length: 0, partial: 0 }),
            Err(source) => Err(SinkError::Io { sink, action: "open", path, source }),
        }
    }
}

impl Sink for StdoutSink {
    fn write(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        write_all(&mut self.output, lines, &mut self.partial)
            .map_err(|source| not_written(self.name.clone(), Self::PATH.into(), self.regular, source))?;
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
