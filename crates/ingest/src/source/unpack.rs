//! The bytes of a file, unpacked if it is packed. They come in order; what was read before has to be unpacked again.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::Compression;

/// How a file is packed, now that its name was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Gzip,
    Zstd,
}

impl Packing {
    /// What the config says of a file.
    pub(super) fn of(compression: Compression, path: &Path) -> Self {
        let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
        match (compression, ending.as_ref().and_then(|ending| ending.to_str())) {
            (Compression::None, _) => Packing::None,
            (Compression::Gzip, _) | (Compression::Auto, Some("gz" | "gzip")) => Packing::Gzip,
            (Compression::Zstd, _) | (Compression::Auto, Some("zst" | "zstd")) => Packing::Zstd,
            (Compression::Auto, _) => Packing::None,
        }
    }
}

/// The unpacked bytes of a file.
pub(super) struct Unpacked {
    reader: Box<dyn Read + Send>,
    /// Bytes that came out.
    at: u64,
    /// What was skipped last.
    skipped: Vec<u8>,
}

/// What a read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// Bytes, if the place that was asked for is reached.
    Some,
    /// The end, before or at that place.
    End,
}

impl Unpacked {
    /// Bytes that are skipped at a time: a few milliseconds.
    const SKIP_BYTES: u64 = 4 << 20;

    /// Begins with the first of the `length` bytes of a file.
    pub(super) fn new(mut file: File, length: u64, packing: Packing) -> io::Result<Self> {
        file.rewind()?;
        Self::over(file.take(length), packing)
    }

    /// Begins with the first of the bytes that are read.
    pub(super) fn over(bytes: impl Read + Send + 'static, packing: Packing) -> io::Result<Self> {
        let packed = BufReader::with_capacity(256 * 1024, bytes);
        let reader: Box<dyn Read + Send> = match packing {
            Packing::None => Box::new(packed),
            Packing::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Packing::Zstd => Box::new(zstd::Decoder::with_buffer(packed)?),
        };
        Ok(Unpacked { reader, at: 0, skipped: Vec::new() })
    }

    /// Bytes that came out so far.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Appends at most `count` bytes from `from` on, or, while it is not there yet, comes nearer to it.
    pub(super) fn read(&mut self, from: u64, count: u64, bytes: &mut Vec<u8>) -> io::Result<Came> {
        let ahead = from.saturating_sub(self.at).min(Self::SKIP_BYTES);
        let read = match ahead {
            0 => self.reader.by_ref().take(count).read_to_end(bytes)?,
            _ => {
                self.skipped.clear();
                self.reader.by_ref().take(ahead).read_to_end(&mut self.skipped)?
            }
        };
        self.at += read as u64;
        if self.at >= from {
            self.skipped = Vec::new();
        }
        Ok(if read == 0 { Came::End } else { Came::Some })
    }
}
