//! What the reader of Parquet sees of a file: bytes anywhere, of which a bounded number is held.
//!
//! It reads each column from front to back, page by page, several columns in turn. So a window is kept for each of them:
//! a stretch that was asked for at once, out of which pages are cut.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};

use super::super::blob::Blob;
use crate::IngestError;

/// Windows that are kept besides those of the columns.
const SPARE: usize = 2;

/// A file, behind windows.
#[derive(Clone)]
pub(super) struct Windows(Arc<Inner>);

struct Inner {
    blob: Arc<dyn Blob>,
    kept: Mutex<Kept>,
}

struct Kept {
    /// Bytes with the place of their first one; that which was used last stands last.
    windows: VecDeque<(u64, Bytes)>,
    windows_max: usize,
    /// What the blob said when it failed: the reader of Parquet has only words for it.
    failed: Option<IngestError>,
}

impl Windows {
    pub(super) fn new(blob: &Arc<dyn Blob>) -> Self {
        let kept = Kept { windows: VecDeque::new(), windows_max: SPARE, failed: None };
        Windows(Arc::new(Inner { blob: Arc::clone(blob), kept: Mutex::new(kept) }))
    }

    /// So many columns are read in turn.
    pub(super) fn of_columns(&self, columns: usize) {
        self.kept().windows_max = columns + SPARE;
    }

    /// Says an error in our words, if it is one of the blob.
    pub(super) fn error(&self, words: impl ToString) -> IngestError {
        let name = || self.0.blob.name().to_owned();
        let failed = self.kept().failed.take();
        failed.unwrap_or_else(|| IngestError::Parquet { name: name(), words: words.to_string() })
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Some bytes from that place on, at least one and at most `wanted`; none behind the end.
    fn at(&self, place: u64, wanted: u64) -> io::Result<Bytes> {
        let blob = &self.0.blob;
        let left = blob.length().saturating_sub(place);
        if left == 0 || wanted == 0 {
            return Ok(Bytes::new());
        }
        let mut kept = self.kept();
        let holds = |(start, bytes): &(u64, Bytes)| (*start..start + bytes.len() as u64).contains(&place);
        let window = match kept.windows.iter().position(holds).and_then(|found| kept.windows.remove(found)) {
            Some(window) => window,
            None => {
                let read = blob.read(place, blob.stretch(kept.windows_max as u64).max(wanted).min(left));
                let bytes = read.map_err(|error| {
                    let words = error.to_string();
                    kept.failed = Some(error);
                    io::Error::other(words)
                })?;
                (place, bytes)
            }
        };
        let from = (place - window.0) as usize;
        let to = window.1.len().min(from + wanted as usize);
        let bytes = window.1.slice(from..to);
        kept.windows.push_back(window);
        let surplus = kept.windows.len().saturating_sub(kept.windows_max);
        kept.windows.drain(..surplus);
        Ok(bytes)
    }
}

impl Length for Windows {
    fn len(&self) -> u64 {
        self.0.blob.length()
    }
}

impl ChunkReader for Windows {
    type T = At;

    fn get_read(&self, start: u64) -> ParquetResult<At> {
        Ok(At { windows: self.clone(), place: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let external = |error: io::Error| ParquetError::General(error.to_string());
        let first = self.at(start, length as u64).map_err(external)?;
        if first.len() == length {
            return Ok(first);
        }
        let mut bytes = first.to_vec();
        while bytes.len() < length {
            let more =
                self.at(start + bytes.len() as u64, (length - bytes.len()) as u64).map_err(external)?;
            if more.is_empty() {
                return Err(ParquetError::EOF("the file ends within what it says that it has".to_owned()));
            }
            bytes.extend_from_slice(&more);
        }
        Ok(bytes.into())
    }
}

/// Reads on from a place.
pub(super) struct At {
    windows: Windows,
    place: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.windows.at(self.place, buffer.len() as u64)?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        self.place += bytes.len() as u64;
        Ok(bytes.len())
    }
}
