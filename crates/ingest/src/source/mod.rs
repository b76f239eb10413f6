//! Sources and their partitions: where the bytes come from, in which order, and from where to go on.
//!
//! A source is cut into partitions before anything is read ([`partitions`]); each is read by one worker
//! ([`open`], [`Partition::poll`]). A partition owns its decoder and hands on columns.

mod again;
#[cfg(any(feature = "parquet", feature = "s3"))]
mod blob;
#[cfg(any(feature = "parquet", feature = "s3"))]
mod carrier;
mod chosen;
mod feed;
mod file;
mod generate;
mod http;
#[cfg(feature = "kafka")]
mod kafka;
mod kinesis;
mod numbering;
#[cfg(feature = "s3")]
mod object;
mod open;
#[cfg(feature = "parquet")]
mod parquet;
mod passed;
mod position;
mod probe;
mod set;
mod stdin;
mod tail;
mod time_index;
mod unpack;
mod whole;

use std::path::PathBuf;
use std::sync::Arc;

use bucket::Bucket;
use event::{Decoded, Topic, Watermark};
use serde::{Deserialize, Serialize};

pub use again::{Give, NOTHING_THERE, OpenArchived, Sought, open_again, read_again, read_archived_again};
pub use generate::{GenerateSpec, Incident, IncidentKind, Scenario, truth, write_events, write_truth};
pub use http::{Dedup, HttpLimits, HttpSpec};
pub use kinesis::{KinesisError, KinesisMode, KinesisSpec};
pub use open::open;
pub use position::Position;
pub use probe::probe;
pub use time_index::{IndexError, Stretch, TimeIndex};

use crate::{Caution, IngestError};

/// A source of the job.
#[derive(Debug, Clone, PartialEq)]
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
    /// Where it begins when no checkpoint knows.
    pub start: Start,
    /// Where it ends.
    pub end: End,
}

/// Where a source begins that no checkpoint knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Start {
    /// With the oldest record that there is.
    #[default]
    Earliest,
    /// With what comes after the job's first start.
    Latest,
    /// Nowhere: a job without a checkpoint is refused.
    Checkpoint,
    /// With the first record that the source took in at that time or later, in microseconds since 1970. Of files and objects
    /// with those that were last written then or later, of an archive with the first event that happened then or later.
    At(i64),
}

impl Start {
    /// The time from which on is read, if it is one.
    pub fn time(self) -> Option<i64> {
        match self {
            Start::At(time) => Some(time),
            Start::Earliest | Start::Latest | Start::Checkpoint => None,
        }
    }
}

/// Where a source ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum End {
    /// Where each partition ended when the job was first started.
    #[default]
    Latest,
    /// Nowhere.
    Never,
}

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Format {
    /// Newline-delimited JSON: an object a line.
    #[default]
    Json,
    /// CSV by RFC 4180, with a header.
    Csv,
    /// Parquet: rows are records. Only files and objects have it.
    Parquet,
}

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Compression {
    /// As its name says: gzip if it ends in `.gz`, zstd if it ends in `.zst`, else not at all.
    #[default]
    Auto,
    /// Not at all.
    None,
    /// One or more members of gzip.
    Gzip,
    /// One or more frames of Zstandard.
    Zstd,
}

/// What a source reads.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceKind {
    /// Files. A single, plain one of newline-delimited JSON is cut into lanes, any other is one partition.
    File {
        /// Their paths: of files, of directories, whose files are meant, or patterns. Relative ones are relative to the
        /// working directory.
        paths: Vec<PathBuf>,
        /// Partitions that a file which can be cut is cut into. A job's state belongs to this number.
        lanes: u32,
        /// How they are packed.
        compression: Compression,
    },
    /// Objects of an S3-compatible store, each one partition.
    Objects {
        /// Where they are; its prefix is empty.
        bucket: Bucket,
        /// Their keys: of an object, of a folder with a slash at its end, below which all are meant, or a pattern in the
        /// last part.
        keys: Vec<String>,
        /// How they are packed.
        compression: Compression,
    },
    /// Standard input: one partition, which cannot be read again.
    Stdin,
    /// Podcast events that are made up, always the same ones.
    Generate(GenerateSpec),
    /// A stream of Amazon Kinesis; a partition is a shard.
    Kinesis(KinesisSpec),
    /// A topic of Apache Kafka: its partitions, each message one record.
    Kafka {
        /// The topic.
        topic: Topic,
        /// Which of its messages.
        isolation: Isolation,
        /// Bytes of messages that wait in a process to be read, about: shared by the partitions.
        queue_bytes: u64,
    },
    /// What clients post. Never written anywhere: it holds secrets.
    Http(Box<HttpSpec>),
    /// The records that a job has archived, as that job read them. Opened by whoever knows archives, not by [`open`].
    Archive {
        /// A directory, or `s3://BUCKET/PREFIX`.
        address: String,
        /// The name that the source had in that job; without, it had only one.
        of: Option<String>,
    },
}

/// Which messages of a topic are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// Those of transactions that were committed, and those without one.
    #[default]
    ReadCommitted,
    /// All, those of transactions that were given up too.
    ReadUncommitted,
}

impl SourceKind {
    /// Lanes of a file unless the config says otherwise.
    pub const LANES: u32 = 16;

    /// Whether partitions may come while the job runs, and those that are there go.
    pub fn grows(&self) -> bool {
        match self {
            SourceKind::File { paths, .. } => set::is_set(paths),
            SourceKind::Stdin
            | SourceKind::Generate(_)
            | SourceKind::Http(_)
            | SourceKind::Archive { .. } => false,
            SourceKind::Objects { .. } | SourceKind::Kafka { .. } | SourceKind::Kinesis(_) => true,
        }
    }

    /// Whether it stands for whatever is there by now, so that what comes later can be read as well.
    pub fn can_be_watched(&self) -> bool {
        match self {
            SourceKind::File { paths, .. } => set::can_be_watched(paths),
            SourceKind::Objects { .. } => true,
            _ => false,
        }
    }

    /// Whether a job can go on from a checkpoint: whether the same bytes can be read again.
    pub fn is_repeatable(&self) -> bool {
        !matches!(self, SourceKind::Stdin)
    }

    /// Whether its partitions are on the first process's machine: what clients post to it lies on its disk.
    pub fn is_of_first_process(&self) -> bool {
        matches!(self, SourceKind::Http(_))
    }
}

/// A partition, before it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionInfo {
    /// `FILE#lane`, `FILE`, `stdin`, `generate#lane`, `http:SOURCE`, `TOPIC/NUMBER` or the id of a shard: as quarantine rows
    /// name it.
    pub id: String,
    /// Its number in its source, which gives it its place among the others: the same for the life of the job, whatever
    /// else comes and goes.
    pub number: u32,
    /// The number in its source of the first partition with which it shares one sequence of offsets: 0 for
    /// each lane of a file, whose offsets are those of the file; else its own.
    pub series: u32,
    /// Where it starts. Handing this to [`open`] keeps what was found now, as the length of a file that is
    /// still written to, the same for all partitions and for the life of the job.
    pub start: Position,
    /// The numbers of those that it goes on from: it is read once all of them that the job knows are
    /// [closed](Poll::Closed).
    pub parents: Vec<u32>,
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
    /// Nothing will come any more of this one; the partitions of these numbers go on from it. Its watermark holds until
    /// all of them are read. Said again by every later poll, also after a restart.
    Closed(Vec<u32>),
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

    /// To what the watermark is lifted just before the records that the last poll gave, by a decision that was taken
    /// before: only an archive knows of any. To be asked once, before they are marked.
    fn lifted(&mut self) -> Option<Watermark> {
        None
    }

    /// What stands once before all of its records and says what is in them: the header of CSV, as soon as it was read.
    fn header(&self) -> Option<Arc<str>> {
        None
    }

    /// Where a record that the last poll gave stands, in words of the source that its offset does not say.
    fn place_of(&self, _offset: u64) -> Option<String> {
        None
    }

    /// Has records left out or read alone from now on. Only what can be read again has a use for it.
    fn set_caution(&mut self, caution: Caution);

    /// Hears that a checkpoint is committed which has this position: nothing before it is asked for again, except by
    /// whoever goes back to an older checkpoint.
    fn committed(&mut self, _position: &Position) {}

    /// How far it is behind the end of what there is, if it knows.
    fn lag(&self) -> Option<Lag> {
        None
    }

    /// Notes where the end of what there is lies now, for [`Partition::has_passed_end`]. Called once in a while; a
    /// partition whose end is far away asks for it on its own thread.
    fn mark_end(&mut self) {}

    /// Whether all was given that was there when [`Partition::mark_end`] was called last. One that does not know says
    /// no, and counts when it has said [`Poll::CaughtUp`] since.
    fn has_passed_end(&self) -> bool {
        false
    }
}

/// How far a partition is behind the end of what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lag {
    /// Records that wait, if they are counted.
    pub records: Option<u64>,
    /// Bytes that wait, if they are counted.
    pub bytes: Option<u64>,
    /// How old the next one is, in milliseconds, if the source says when it took it in.
    pub millis: Option<u64>,
}

/// Looks for partitions that come while the job runs.
pub trait Discovery: Send {
    /// Partitions that there are now, in the order of their numbers; those that are known, or were given before, may be
    /// among them. May block, on a thread of its own; called every few seconds.
    ///
    /// # Errors
    /// If the source cannot be asked; it is asked again later.
    fn look(&mut self) -> Result<Vec<PartitionInfo>, IngestError>;

    /// What the last look met at one of them while it gave the others. That one is tried again at every look.
    fn left_out(&mut self) -> Option<IngestError> {
        None
    }
}

/// Who looks for new partitions of a source beside those that are known; `None` if none can come.
///
/// # Errors
/// If a setting makes no sense.
pub fn discovery(
    spec: &SourceSpec,
    known: &[PartitionInfo],
) -> Result<Option<Box<dyn Discovery>>, IngestError> {
    match &spec.kind {
        SourceKind::File { paths, .. } if chosen::is_watched(spec) => {
            Ok(Some(Box::new(set::Watch::new(paths, spec.start.time(), known))))
        }
        #[cfg(feature = "s3")]
        SourceKind::Objects { bucket, keys, .. } if chosen::is_watched(spec) => {
            Ok(Some(Box::new(object::Looking::new(bucket, keys, spec.start.time(), known))))
        }
        SourceKind::File { .. }
        | SourceKind::Objects { .. }
        | SourceKind::Stdin
        | SourceKind::Generate(_)
        | SourceKind::Http(_)
        | SourceKind::Archive { .. } => Ok(None),
        #[cfg(feature = "kafka")]
        SourceKind::Kafka { topic, isolation, queue_bytes } if spec.end == End::Never => {
            let reading = kafka::Reading::of(&spec.name, topic, *isolation, *queue_bytes);
            Ok(Some(Box::new(kafka::Lookup::while_running(&reading, spec.start)?)))
        }
        // What comes later was not there when the job was first started.
        SourceKind::Kafka { .. } => Ok(None),
        SourceKind::Kinesis(kinesis) => kinesis::discovery(spec, kinesis),
    }
}

/// All partitions of a source, in the order of their numbers, before anything is read. Of one that is watched those that
/// are passed over: who looks for the others ([`discovery`]) gives them their numbers.
///
/// # Errors
/// If the source cannot be read, or a setting makes no sense.
pub fn partitions(spec: &SourceSpec) -> Result<Vec<PartitionInfo>, IngestError> {
    match &spec.kind {
        SourceKind::File { paths, lanes, .. } => chosen::files(spec, paths, *lanes),
        #[cfg(feature = "s3")]
        SourceKind::Objects { bucket, keys, .. } => chosen::objects(spec, bucket, keys),
        #[cfg(not(feature = "s3"))]
        SourceKind::Objects { .. } => Err(not_built(spec, "s3")),
        SourceKind::Stdin => {
            let start = Position::stdin(0);
            Ok(vec![PartitionInfo {
                id: "stdin".to_owned(),
                number: 0,
                series: 0,
                start,
                parents: Vec::new(),
            }])
        }
        SourceKind::Generate(generate) => generate::partitions(generate),
        SourceKind::Archive { address, .. } => Err(IngestError::NoArchives { place: address.clone() }),
        #[cfg(feature = "kafka")]
        SourceKind::Kafka { topic, isolation, queue_bytes } => {
            kafka::partitions(&kafka::Reading::of(&spec.name, topic, *isolation, *queue_bytes), spec.start)
        }
        #[cfg(not(feature = "kafka"))]
        SourceKind::Kafka { .. } => Err(not_built(spec, "kafka")),
        #[cfg(feature = "http")]
        SourceKind::Http(http) => http::partitions(spec, http),
        #[cfg(not(feature = "http"))]
        SourceKind::Http(_) => Err(not_built(spec, "http")),
        SourceKind::Kinesis(kinesis) => kinesis::partitions(spec, kinesis),
    }
}

/// All partitions that a source has now, for whoever looks at it without a job: of one that is watched with numbers that
/// mean nothing.
///
/// # Errors
/// As [`partitions`] and [`Discovery::look`], or what keeps one of them from being read.
pub fn partitions_now(spec: &SourceSpec) -> Result<Vec<PartitionInfo>, IngestError> {
    // What a job begins behind is there too.
    let is_late = match spec.kind {
        SourceKind::File { .. } | SourceKind::Objects { .. } => spec.start == Start::Latest,
        SourceKind::Http(_) => matches!(spec.start, Start::Latest | Start::At(_)),
        _ => false,
    };
    let start = if is_late { Start::Earliest } else { spec.start };
    let spec = &SourceSpec { start, ..spec.clone() };
    let watch = if chosen::is_watched(spec) { discovery(spec, &[])? } else { None };
    let Some(mut watch) = watch else { return partitions(spec) };
    let found = watch.look()?;
    watch.left_out().map_or(Ok(found), Err)
}

/// A source that this build cannot read.
#[cfg(not(all(feature = "http", feature = "kafka", feature = "parquet", feature = "s3")))]
fn not_built(spec: &SourceSpec, feature: &'static str) -> IngestError {
    IngestError::NotBuilt { name: spec.name.clone(), feature }
}
