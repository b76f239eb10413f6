//! Records of one partition as `ingest` hands them on: decoded to columns, or rejected.

use std::ops::Range;

use crate::{Batch, Reason, Rejected};

/// Records of one partition, in offset order, decoded into the columns that the job needs.
#[derive(Debug, Clone)]
pub struct Records {
    /// The needed fields, one row a record.
    pub batch: Batch,
    /// Event time of each row, in microseconds.
    pub times: Vec<i64>,
    /// Offset of each row, ascending.
    pub offsets: Vec<u64>,
    /// How far each row says that its partition has come: after it the watermark is at least that. The least
    /// value there is where it says nothing; empty where nobody asks.
    pub punctuations: Vec<i64>,
    /// The bytes that they were decoded from, so that a record that fails later can still be shown.
    pub bytes: Vec<u8>,
    /// Offset of the first of `bytes`, where offsets count bytes.
    pub base: u64,
    /// Where in `bytes` each row starts, where offsets do not count bytes; else empty.
    pub starts: Vec<u32>,
    /// Where the record ends that begins with some bytes: at its newline or behind the last byte.
    pub end: fn(&[u8]) -> usize,
}

impl Records {
    /// The first bytes of the record of a row, without its line end.
    pub fn raw(&self, row: usize) -> &[u8] {
        let start = match self.starts.get(row) {
            Some(start) => *start as usize,
            None => (self.offsets[row] - self.base) as usize,
        };
        let line = self.bytes.get(start..).unwrap_or_default();
        // As far as it takes to see whether the record goes on behind what is shown.
        let line = &line[..line.len().min(Rejected::RAW_BYTES_MAX + 2)];
        let (record, rest) = line.split_at((self.end)(line).min(line.len()));
        // Of a line end of both only the newline is known to whoever looks for lines; and nothing ends with half of one.
        let is_cut = matches!(rest.first(), None | Some(b'\n'));
        Rejected::head(record.strip_suffix(b"\r").filter(|_| is_cut).unwrap_or(record))
    }
}

/// A record that does not fit, before its partition's watermark is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRecord {
    /// How many of the records decoded in the same call stood before it.
    pub before: usize,
    /// Where it stood.
    pub offset: u64,
    /// Why it does not fit.
    pub reason: Reason,
    /// The same in words.
    pub detail: String,
    /// Its first bytes.
    pub raw: Vec<u8>,
    /// Where all of it lies in the bytes of the records that were decoded in the same call.
    pub place: Range<usize>,
}

/// What decoding a piece of a partition gave.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The records that fit.
    pub records: Records,
    /// Those that do not, in offset order.
    pub rejected: Vec<RejectedRecord>,
}
