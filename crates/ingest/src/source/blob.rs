//! A file or an object that can be read anywhere, and does not change while it is.

#[cfg(feature = "parquet")]
use std::fs::File;
#[cfg(feature = "parquet")]
use std::io;
#[cfg(feature = "parquet")]
use std::path::Path;

use bytes::Bytes;

use crate::IngestError;

/// Bytes of a known length.
pub(super) trait Blob: Send + Sync {
    /// For people.
    fn name(&self) -> &str;

    fn length(&self) -> u64;

    /// How many bytes to ask for at a time, if there are so many, where so many stretches are held at once.
    fn stretch(&self, held: u64) -> u64;

    /// Exactly `length` bytes from `start` on, all of which lie within. Blocks.
    ///
    /// # Errors
    /// If they cannot be had, or the blob is not any more what it was.
    fn read(&self, start: u64, length: u64) -> Result<Bytes, IngestError>;
}

/// A file on a disk.
#[cfg(feature = "parquet")]
pub(super) struct FileBlob {
    file: File,
    name: String,
    length: u64,
}

#[cfg(feature = "parquet")]
impl FileBlob {
    /// The first `length` bytes of a file.
    pub(super) fn new(file: File, path: &Path, length: u64) -> Self {
        FileBlob { file, name: path.display().to_string(), length }
    }
}

#[cfg(feature = "parquet")]
impl Blob for FileBlob {
    fn name(&self) -> &str {
        &self.name
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn stretch(&self, _held: u64) -> u64 {
        1 << 20
    }

    fn read(&self, start: u64, length: u64) -> Result<Bytes, IngestError> {
        use std::os::unix::fs::FileExt;
        let mut bytes = vec![0; length as usize];
        match self.file.read_exact_at(&mut bytes, start) {
            Ok(()) => Ok(bytes.into()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(IngestError::Shrank {
                path: self.name.clone().into(),
                wanted: self.length,
                found: self.file.metadata().map_or(0, |found| found.len()),
            }),
            Err(source) => Err(IngestError::Read { name: self.name.clone(), source }),
        }
    }
}
