//! What a worker has read of a partition in one go, as it is handed to the archive: the bytes, and where in them each
//! record lies. Nothing is copied on the way.

use std::sync::Arc;

use event::{Reason, Watermark};

/// A partition, as the archive knows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The name of its source in the config.
    pub source: String,
    /// Its number in its source.
    pub number: u32,
    /// The number there of the first partition with which it shares one sequence of offsets.
    pub series: u32,
    /// Its own name.
    pub partition: String,
}

/// What became of a record where it was read. Whether it is late is found out only at its windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It went on to the windows.
    Accepted,
    /// `transform.where` left it out.
    Filtered,
    /// It went to quarantine.
    Quarantined(Reason),
}

impl Outcome {
    /// The word that the archive has for it: for a record in quarantine the code of the reason.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Accepted => "accepted",
            Outcome::Filtered => "filtered",
            Outcome::Quarantined(reason) => reason.code(),
        }
    }
}

/// A record among those of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it stands in its partition.
    pub offset: u64,
    /// Where it begins in the bytes of the block.
    pub start: usize,
    /// Where it ends there, if that is known.
    pub end: Option<usize>,
    /// The watermark of its partition just before it.
    pub seen: Watermark,
    /// Its event time, in microseconds; none if it could not be read.
    pub time: Option<i64>,
    /// What became of it.
    pub outcome: Outcome,
}

/// Records of one partition, in offset order.
#[derive(Debug, Clone)]
pub struct Block {
    /// Of which.
    pub origin: Arc<Origin>,
    /// The bytes that they were read from.
    pub bytes: Vec<u8>,
    /// The records.
    pub lines: Vec<Line>,
    /// What stands once before the records of the partition and says what is in them, if anything: the header of CSV.
    pub header: Option<Arc<str>>,
    /// Where the record ends that begins with some bytes.
    pub end: fn(&[u8]) -> usize,
    /// To what the watermark was lifted just before the first of them, if anything but records did that: a partition that
    /// woke, joined, or went on from others.
    pub lifted: Option<Watermark>,
}

impl Block {
    /// The bytes of a record, without its line end.
    pub fn record(&self, line: &Line) -> &[u8] {
        let rest = self.bytes.get(line.start..).unwrap_or_default();
        let length = match line.end {
            Some(end) => end.saturating_sub(line.start),
            None => (self.end)(rest),
        };
        rest.get(..length).unwrap_or(rest)
    }

    /// Bytes of memory, about.
    pub fn weight(&self) -> usize {
        self.bytes.len() + self.lines.len() * size_of::<Line>()
    }
}
