//! What stops a source. A record that does not fit is not among it: that is a value.

use std::io;
use std::path::PathBuf;

use crate::HeaderFault;
use crate::source::KinesisError;

/// Why a source cannot be read, or not be read on.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// There is no file at that path.
    #[error("the source file {} does not exist", path.display())]
    NotFound {
        /// The path as the config has it.
        path: PathBuf,
    },
    /// The path is not that of a plain file.
    #[error("the source {} is not a plain file", path.display())]
    NotAFile {
        /// The path as the config has it.
        path: PathBuf,
    },
    /// An archive does not have what is asked for.
    #[error("the archive {place}: {words}")]
    Archive {
        /// Its address.
        place: String,
        /// What is wrong.
        words: String,
    },
    /// The program was built without archives.
    #[error("the archive {place} cannot be read: this program was built without the feature `archive`")]
    NoArchives {
        /// Its address.
        place: String,
    },
    /// The operating system refused to open or read it.
    #[error("cannot read {name}: {source}")]
    Read {
        /// The source, as messages call it.
        name: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// The generator's bytes could not be written out.
    #[error("cannot write the generated events: {0}")]
    Write(#[source] io::Error),
    /// A packed file cannot be unpacked.
    #[error("cannot unpack {} behind its first {offset} bytes unpacked: {source}", path.display())]
    Unpack {
        /// The path of the file.
        path: PathBuf,
        /// Bytes that came out before.
        offset: u64,
        /// What the unpacking says.
        source: io::Error,
    },
    /// A packed file has less in it than was read before.
    #[error("{} holds {found} bytes unpacked, but {wanted} of it were read before", path.display())]
    Emptied {
        /// The path of the file.
        path: PathBuf,
        /// Bytes that were read.
        wanted: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// The file that was read last is not there any more, under any name.
    #[error("the file that {} was when {read} bytes of it were read is gone", path.display())]
    Gone {
        /// The path as the config has it.
        path: PathBuf,
        /// Bytes of it that were read.
        read: u64,
    },
    /// A file or object of which a part was still to be read is not there any more.
    #[error("{name} is gone, and was not read to its end: only up to its place {read}")]
    Vanished {
        /// Its path or address.
        name: String,
        /// The place up to which it was read, as positions count it: in bytes, or in rows.
        read: u64,
    },
    /// An object is not any more what it was when it was first seen.
    #[error("{name} was replaced before it was read to its end: its length or its ETag is another one")]
    Replaced {
        /// Its address.
        name: String,
    },
    /// A file is not one of Parquet, or cannot be read as one.
    #[error("cannot read {name} as Parquet: {words}")]
    Parquet {
        /// Its path or address.
        name: String,
        /// Why.
        words: String,
    },
    /// Nothing is there to be read.
    #[error("no file is there that {} names", path.display())]
    NoFiles {
        /// The directory or pattern as the config has it.
        path: PathBuf,
    },
    /// A path is no pattern.
    #[error("{} is no pattern: {reason}", path.display())]
    Pattern {
        /// The path as the config has it.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Two paths of a source name one file.
    #[error("{} is named twice", path.display())]
    Twice {
        /// The path of the file.
        path: PathBuf,
    },
    /// A path is not text.
    #[error("the path {} is not valid UTF-8", path.display())]
    NotText {
        /// The path of the file.
        path: PathBuf,
    },
    /// The first record of CSV is no header.
    #[error("the header of {name} cannot be read: {fault}")]
    Header {
        /// The source, as messages call it.
        name: String,
        /// Why.
        fault: HeaderFault,
    },
    /// The file has become shorter while it was read.
    #[error("{} shrank to {found} bytes while it was read; it had {wanted} when the job was started", path.display())]
    Shrank {
        /// The path as the config has it.
        path: PathBuf,
        /// Its length when the job was first started.
        wanted: u64,
        /// Its length now.
        found: u64,
    },
    /// The file is shorter than at the job's first start.
    #[error("{} has {found} bytes, but had {wanted} when this job was first started", path.display())]
    TooShort {
        /// The path as the config has it.
        path: PathBuf,
        /// Its length when the job was first started.
        wanted: u64,
        /// Its length now.
        found: u64,
    },
    /// The file begins with other bytes than at the job's first start.
    #[error("{} begins with other bytes than when this job was first started", path.display())]
    Changed {
        /// The path as the config has it.
        path: PathBuf,
    },
    /// A setting on which the meaning of a position rests was changed.
    #[error("{setting} of {name} is {found}, but the state of this job was written with {wanted}")]
    Setting {
        /// Which setting.
        setting: &'static str,
        /// The source, as messages call it.
        name: String,
        /// What the state has.
        wanted: String,
        /// What the config has.
        found: String,
    },
    /// A position of another kind of source.
    #[error("the state of this job belongs to another kind of source than {name}")]
    Kind {
        /// The source, as messages call it.
        name: String,
    },
    /// Standard input is gone once it was read.
    #[error("standard input cannot be read again")]
    NotRepeatable,
    /// A source has no partition of that number.
    #[error("{name} has no partition {partition}")]
    NoPartition {
        /// The source, as messages call it.
        name: String,
        /// The number asked for.
        partition: u32,
    },
    /// A source that this build cannot read.
    #[error("source `{name}` needs a program that is built with `--features {feature}`")]
    NotBuilt {
        /// The source in the config.
        name: String,
        /// What brings it.
        feature: &'static str,
    },
    /// Nobody can be listened to.
    #[cfg(feature = "http")]
    #[error("source `{name}` {source}")]
    Serve {
        /// The source in the config.
        name: String,
        /// Why.
        source: serve::ServeError,
    },
    /// The journal of a source cannot be read or written.
    #[cfg(feature = "http")]
    #[error("source `{name}`: {source}")]
    Journal {
        /// The source in the config.
        name: String,
        /// What is wrong.
        source: journal::JournalError,
    },
    /// A journal is not the one that the state rests on.
    #[error("the journal in {} is not the one that the state of this job belongs to", dir.display())]
    OtherJournal {
        /// Its directory.
        dir: PathBuf,
    },
    /// A setting that makes no sense.
    #[error("{setting} of {name} must be {must}")]
    Invalid {
        /// Which setting.
        setting: &'static str,
        /// The source, as messages call it.
        name: String,
        /// What it has to be.
        must: &'static str,
    },
    /// Whoever has the records has been away for too long.
    #[error("{name} cannot be reached: {words}")]
    Away {
        /// The source, as messages call it.
        name: String,
        /// What was said last.
        words: String,
    },
    /// Whoever has the records does not let us in, or has no such stream.
    #[error("{name} refuses: {words}")]
    Refused {
        /// The source, as messages call it.
        name: String,
        /// What it said.
        words: String,
    },
    /// The records that are to be read next were removed.
    #[error(
        "partition {partition} no longer has the record with offset {offset}, which is to be read next{}",
        oldest.map_or(String::new(), |oldest| format!("; the oldest one is {oldest}"))
    )]
    Lost {
        /// The partition, by name.
        partition: String,
        /// Where it was to be read on.
        offset: u64,
        /// The oldest record that there still is, if that is known.
        oldest: Option<u64>,
    },
    /// A stream of Amazon Kinesis.
    #[error(transparent)]
    Kinesis(#[from] KinesisError),
}

impl IngestError {
    /// Whether the config or the state is refused (exit code 3), rather than that a run failed.
    pub fn is_refusal(&self) -> bool {
        match self {
            #[cfg(feature = "http")]
            Self::Journal { source, .. } => source.is_refusal(),
            #[cfg(feature = "http")]
            Self::Serve { source, .. } => source.is_refusal(),
            Self::Read { .. } | Self::Write(_) | Self::Shrank { .. } | Self::Away { .. } => false,
            Self::Kinesis(error) => error.is_refusal(),
            _ => true,
        }
    }

    /// What to do about it, where that is more than to read the message.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotFound { .. } => Some("relative paths are relative to the working directory"),
            Self::TooShort { .. } | Self::Changed { .. } | Self::Emptied { .. } => {
                Some("put the first file back, or start afresh with an empty state directory and output")
            }
            Self::Shrank { .. } => {
                Some("only append to a file that a job reads, or replace it after the job")
            }
            Self::Gone { .. } => Some(
                "put it back beside that path, under any name, or start afresh with an empty state directory and output",
            ),
            Self::Vanished { .. } => Some(
                "put it back as it was, and remove files only once the job has read them to their end; or start afresh with an \
                 empty state directory and output",
            ),
            Self::Replaced { .. } => Some(
                "put the first one back, and give each object a name of its own; or start afresh with an empty state \
                 directory and output",
            ),
            Self::Unpack { .. } => Some("the file is damaged or not whole; pack it again, then start afresh"),
            Self::Setting { .. } | Self::Kind { .. } => {
                Some("set it back, or start afresh with an empty state directory and output")
            }
            Self::NotBuilt { .. } => Some("build it with `--features full`"),
            Self::Away { .. } => Some("nothing is lost: the same command goes on"),
            Self::Refused { .. } => {
                Some("see that it is there under this name and that these credentials may read it")
            }
            Self::Lost { .. } => Some(
                "it is older than what is kept: nothing is skipped by itself. Keep records for longer than a job may \
                 be down; to go on without what is lost start afresh with an empty state directory and output",
            ),
            Self::OtherJournal { .. } => {
                Some("put the directory back, or start afresh with an empty state directory and output")
            }
            #[cfg(feature = "http")]
            Self::Journal { source: journal::JournalError::Version { .. }, .. } => Some(
                "nothing that it holds was touched: read it to its end with the program that wrote it (`end = \"latest\"`), \
                 then move the directory away and start afresh with an empty state directory and output",
            ),
            #[cfg(feature = "http")]
            Self::Journal { source, .. } if source.is_refusal() => Some(
                "put the directory back as it was, or move it away and start afresh with an empty state directory \
                 and output: what it holds is lost then",
            ),
            Self::NotRepeatable => Some("run without [state], or write the events to a file first"),
            Self::Kinesis(error) => Some(error.hint()),
            _ => None,
        }
    }
}
