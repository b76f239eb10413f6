//! Sources and their partitions: where the bytes come from, in which order, and from where to go on.
//!
//! A source is cut into partitions before anything is read ([`partitions`]); each is read by one worker
//! ([`open`], [`Partition::poll`]). A partition owns its decoder and hands on columns.

mod feed;
mod file;
mod generate;
mod position;
mod stdin;
mod whole;

use std::path::PathBuf;
use std::sync::Arc;

use event::Decoded;
use serde::{Deserialize, Serialize};

pub use generate::{GenerateSpec, Incident, IncidentKind, truth, write_events, write_truth};
pub use position::Position;

use crate::{Caution, DecodeSpec, Decoder, IngestError};

/// A source of the job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceSpec {
    /// Its name in the config.
    pub name: String,
    /// What it reads.
    pub kind: SourceKind,
    /// How its records are written; the generator's are JSON.
    pub format: Format,
    /// Events a second that the whole job reads of it at most; `None`: as fast as it goes. Kept by whoever
    /// polls, through `records_max`.
    pub rate: Option<f64>,
}

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Format {
    /// Newline-delimited JSON: an object a line.
    #[default]
    Json,
    /// CSV by RFC 4180, with a header.
    Csv,
}

/// What a source reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SourceKind {
    /// A finite file. One of newline-delimited JSON is cut into lanes, any other is one partition.
    File {
        /// Its path; relative ones are relative to the working directory.
        path: PathBuf,
        /// Partitions that a file which can be cut is cut into. A job's state belongs to this number.
        lanes: u32,
    },
    /// Standard input: one partition, which cannot be read again.
    Stdin,
    /// Podcast events that are made up, always the same ones.
    Generate(GenerateSpec),
}

impl SourceKind {
    /// Lanes of a file unless the config says otherwise.
    pub const LANES: u32 = 16;

    /// Whether a job can go on from a checkpoint: whether the same bytes can be read again.
    pub fn is_repeatable(&self) -> bool {
        !matches!(self, SourceKind::Stdin)
    }
}

/// A partition, before it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionInfo {
    /// `FILE#lane`, `FILE`, `stdin` or `generate#lane`: as quarantine rows name it.
    pub id: String,
    /// The number in its source of the first partition with which it shares one sequence of offsets: 0 for
    /// each lane of a file, whose offsets are those of the file; else its own.
    pub series: u32,
    /// Where it starts. Handing this to [`open`] keeps what was found now, as the length of a file that is
    /// still written to, the same for all partitions and for the life of the job.
    pub start: Position,
}

/// What a poll gave.
#[derive(Debug)]
pub enum Poll {
    /// Records, accepted and rejected, in offset order. Possibly none, when only blank lines or the inside
    /// of a long line were read: poll again.
    Decoded(Decoded),
    /// Nothing is there now, and whether more is to be had is not known, as while a request is under way. The
    /// waker is called when that changes.
    Pending,
    /// All that there is by now was given: whoever was asked has said so. More may come, and then the waker is
    /// called. Only such a partition can be idle; a finite one never says this. Nor does one that can be read again
    /// where it has given more before, to whomever: what was put out since rests on it.
    CaughtUp,
    /// Nothing will come any more.
    Finished,
}

/// Called when a partition that was pending has something, from a thread of its own.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// One ordered piece of a source.
pub trait Partition: Send {
    /// Reads and decodes at most `records_max` records, and not more than about 1 MiB; never blocks on
    /// anything slower than a disk.
    ///
    /// # Errors
    /// If the source cannot be read on. Records that do not fit are no error.
    fn poll(&mut self, records_max: usize) -> Result<Poll, IngestError>;

    /// Where the next record is to be looked for. Exact after every poll: opened there, the partition gives
    /// what it would have given.
    fn position(&self) -> Position;

    /// Whom to call when there is something again after [`Poll::Pending`] or [`Poll::CaughtUp`]. Only a partition that
    /// ever says so does it; it may call without need.
    fn set_waker(&mut self, waker: Waker);

    /// Has records left out or read alone from now on. Only what can be read again has a use for it.
    fn set_caution(&mut self, caution: Caution);
}

/// All partitions of a source, in the order of their ids, before anything is read.
///
/// # Errors
/// If the source cannot be read, or a setting makes no sense.
pub fn partitions(spec: &SourceSpec) -> Result<Vec<PartitionInfo>, IngestError> {
    match &spec.kind {
        SourceKind::File { path, lanes } => match spec.format {
            Format::Json => file::partitions(path, *lanes),
            Format::Csv => Ok(vec![whole::partition(path, 0)?]),
        },
        SourceKind::Stdin => {
            Ok(vec![PartitionInfo { id: "stdin".to_owned(), series: 0, start: Position::stdin(0) }])
        }
        SourceKind::Generate(generate) => generate::partitions(generate),
    }
}

/// Opens the partition of that number, counted as [`partitions`] does, to be read from `resume` on.
///
/// # Errors
/// If it cannot be read, or if `resume` does not belong to it as it is now: [`IngestError::is_refusal`].
pub fn open(
    spec: &SourceSpec,
    decode: &DecodeSpec,
    partition: u32,
    resume: Option<&Position>,
) -> Result<Box<dyn Partition>, IngestError> {
    let decoder = || Decoder::new(decode.clone());
    match &spec.kind {
        SourceKind::File { path, lanes } if spec.format == Format::Json => {
            Ok(Box::new(file::Lane::open(path, *lanes, partition, resume, decoder())?))
        }
        SourceKind::File { path, .. } if partition == 0 => {
            Ok(Box::new(whole::Whole::open(path, spec.format, resume, decode.clone())?))
        }
        SourceKind::File { path, .. } => {
            Err(IngestError::NoPartition { name: path.display().to_string(), partition })
        }
        SourceKind::Stdin if resume.is_some_and(|position| position.offset > 0) => {
            Err(IngestError::NotRepeatable)
        }
        SourceKind::Stdin => {
            let (input, decode) = (std::io::stdin(), decode.clone());
            Ok(Box::new(stdin::Stream::spawn("standard input", input, spec.format, decode)?))
        }
        SourceKind::Generate(generate) => {
            Ok(Box::new(generate::GeneratePartition::open(generate, partition, resume, decoder())?))
        }
    }
}
