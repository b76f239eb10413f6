//! Why a sink does not take lines, and what to do about it.
//!
//! A refusal is for a person to settle: the output, the database or the config. Anything else failed, and
//! may go well the next time.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a sink does not take lines.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// A fresh job beside an old output.
    #[error("sink `{sink}`: `{}` already holds {length} bytes, but the job starts afresh", path.display())]
    NotEmpty {
        /// Name of the sink.
        sink: String,
        /// The file.
        path: PathBuf,
        /// How long it is.
        length: u64,
    },
    /// The file lost what cannot be put out again.
    #[error("sink `{sink}`: `{}` has {length} bytes, but {wanted} were put out before and are lost", path.display())]
    Shorter {
        /// Name of the sink.
        sink: String,
        /// The file.
        path: PathBuf,
        /// How long it is.
        length: u64,
        /// How long it must be at least.
        wanted: u64,
    },
    /// Something else was written into the file.
    #[error("sink `{sink}`: `{}` differs at byte {at} from what the checkpoints put out", path.display())]
    Different {
        /// Name of the sink.
        sink: String,
        /// The file.
        path: PathBuf,
        /// The first byte that differs.
        at: u64,
    },
    /// Something else was written behind.
    #[error("sink `{sink}`: `{}` has {length} bytes, but only {wanted} were put out", path.display())]
    Longer {
        /// Name of the sink.
        sink: String,
        /// The file.
        path: PathBuf,
        /// How long it is.
        length: u64,
        /// How long it may be at most.
        wanted: u64,
    },
    /// The checkpoints contradict one another.
    #[error("sink `{sink}`: one checkpoint ends at byte {end} of the output and the next starts at {start}")]
    Gap {
        /// Name of the sink.
        sink: String,
        /// Where the first of the two ends.
        end: u64,
        /// Where the second starts.
        start: u64,
    },
    /// The folder of the file does not exist.
    #[error("sink `{sink}`: there is no folder for `{}`", path.display())]
    NoFolder {
        /// Name of the sink.
        sink: String,
        /// The file.
        path: PathBuf,
    },
    /// A folder where a file should be.
    #[error("sink `{sink}`: `{}` is a folder", path.display())]
    Folder {
        /// Name of the sink.
        sink: String,
        /// The folder.
        path: PathBuf,
    },
    /// Not a disk, and takes nothing more: there is no space to wait for.
    #[error("sink `{sink}`: the device `{}` takes no more", path.display())]
    Device {
        /// Name of the sink.
        sink: String,
        /// The device.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The reader of the output is gone, as with `| head`.
    #[error("sink `{sink}`: the reader of the output is gone")]
    BrokenPipe {
        /// Name of the sink.
        sink: String,
    },
    /// The operating system refused.
    #[error("sink `{sink}`: cannot {action} `{}`", path.display())]
    Io {
        /// Name of the sink.
        sink: String,
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// An archive is not what it should be.
    #[error("sink `{sink}`: {words}")]
    Archive {
        /// Name of the sink.
        sink: String,
        /// What is wrong.
        words: String,
    },
    /// The file of a secret cannot be read.
    #[error("sink `{sink}`: cannot read the secret in `{}`", path.display())]
    SecretFile {
        /// Name of the sink.
        sink: String,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The program was built without this kind of sink.
    #[error("sink `{sink}`: this program was built without the feature `{feature}`")]
    NotBuilt {
        /// Name of the sink.
        sink: String,
        /// The feature of cargo that brings it.
        feature: &'static str,
    },
    /// A fresh job beside a table that has rows of it.
    #[error(
        "sink `{sink}`: table `{table}` of {database} already has rows of this job, but it starts afresh"
    )]
    TableNotEmpty {
        /// Name of the sink.
        sink: String,
        /// The table.
        table: String,
        /// The database.
        database: String,
    },
    /// A fresh job beside a topic that it was given lines before.
    #[error(
        "sink `{sink}`: topic `{topic}` was given lines of this job before, says group `{group}`, but it starts \
         afresh"
    )]
    TopicNotEmpty {
        /// Name of the sink.
        sink: String,
        /// The topic.
        topic: String,
        /// The group that keeps what was delivered.
        group: String,
    },
    /// The table was made by somebody else.
    #[error("sink `{sink}`: table `{table}` of {database} has another shape: {difference}")]
    TableShape {
        /// Name of the sink.
        sink: String,
        /// The table.
        table: String,
        /// The database.
        database: String,
        /// What is different.
        difference: String,
    },
    /// The database lost what cannot be put out again, or never had it.
    #[error(
        "sink `{sink}`: {database} has what checkpoint {has} put out and lacks the next ones, which are no \
         longer kept: rows were lost, or it was restored from an older copy"
    )]
    Behind {
        /// Name of the sink.
        sink: String,
        /// The database.
        database: String,
        /// The last checkpoint that it has.
        has: u32,
    },
    /// The database has what the state does not know.
    #[error(
        "sink `{sink}`: {database} has what checkpoint {has} put out, but the state only goes to {last}: the \
         state was restored from an older copy, or is that of another job"
    )]
    Ahead {
        /// Name of the sink.
        sink: String,
        /// The database.
        database: String,
        /// The last checkpoint that it has.
        has: u32,
        /// The last checkpoint of the state.
        last: u32,
    },
    /// The database was given other rows by a checkpoint of that number.
    #[error(
        "sink `{sink}`: {database} was given other rows up to checkpoint {has} than this state has put out: \
         it belongs to another state"
    )]
    Foreign {
        /// Name of the sink.
        sink: String,
        /// The database.
        database: String,
        /// The last checkpoint that it has.
        has: u32,
    },
    /// A later run has taken over.
    #[error(
        "sink `{sink}`: {database} belongs to generation {latest} of the job; this is generation \
         {generation}, which delivers nothing any more"
    )]
    Fenced {
        /// Name of the sink.
        sink: String,
        /// The database.
        database: String,
        /// The latest generation.
        latest: u64,
        /// The one that asked.
        generation: u64,
    },
    /// The database has been away for too long.
    #[error("sink `{sink}`: {database} was away for {:.1} s: {words}", after.as_secs_f64())]
    Unavailable {
        /// Name of the sink.
        sink: String,
        /// The database.
        database: String,
        /// How long it was tried.
        after: Duration,
        /// What was said last.
        words: String,
    },
    /// The database does not let us in, or is none.
    #[error("sink `{sink}`: {database} refuses: {words}")]
    Refused {
        /// Name of the sink.
        sink: String,
        /// The database.
        database: String,
        /// What it said.
        words: String,
    },
    /// The database failed.
    #[error("sink `{sink}`: {database} failed: {words}")]
    Database {
        /// Name of the sink.
        sink: String,
        /// The database.
        database: String,
        /// What it said.
        words: String,
    },
    /// What a sink was given cannot be read back.
    #[error("sink `{sink}`: {what} keeps nothing that could be read back")]
    NotKept {
        /// Name of the sink.
        sink: String,
        /// What it is.
        what: &'static str,
    },
    /// The receiver of a webhook is away, or is given time. Not a failure: the same again goes on.
    #[error("sink `{sink}`: {receiver} takes no rows now: {words}")]
    Later {
        /// Name of the sink.
        sink: String,
        /// The receiver.
        receiver: String,
        /// How long to wait before it is asked for again; never long, so that somebody can stop.
        after: Duration,
        /// What was said last.
        words: String,
    },
    /// The receiver of a webhook will not have a row, and there is no file for those.
    #[error("sink `{sink}`: {receiver} refuses the row {row}: {words}")]
    GivenUp {
        /// Name of the sink.
        sink: String,
        /// The receiver.
        receiver: String,
        /// The id of the row.
        row: String,
        /// What was said last.
        words: String,
    },
    /// A line is not what the table has columns for.
    #[error("sink `{sink}`: a row does not fit its table: {words}")]
    Row {
        /// Name of the sink.
        sink: String,
        /// What is wrong.
        words: String,
    },
}

impl SinkError {
    /// Whether the output was refused as it is, which a person has to settle, rather than failed.
    pub fn is_refusal(&self) -> bool {
        match self {
            SinkError::NotEmpty { .. }
            | SinkError::Archive { .. }
            | SinkError::Shorter { .. }
            | SinkError::Different { .. }
            | SinkError::Longer { .. }
            | SinkError::Gap { .. }
            | SinkError::NoFolder { .. }
            | SinkError::Folder { .. }
            | SinkError::SecretFile { .. }
            | SinkError::NotBuilt { .. }
            | SinkError::TableNotEmpty { .. }
            | SinkError::TopicNotEmpty { .. }
            | SinkError::TableShape { .. }
            | SinkError::Behind { .. }
            | SinkError::Ahead { .. }
            | SinkError::Foreign { .. }
            | SinkError::Fenced { .. }
            | SinkError::GivenUp { .. }
            | SinkError::NotKept { .. }
            | SinkError::Refused { .. } => true,
            SinkError::BrokenPipe { .. }
            | SinkError::Device { .. }
            | SinkError::Io { .. }
            | SinkError::Unavailable { .. }
            | SinkError::Later { .. }
            | SinkError::Database { .. }
            | SinkError::Row { .. } => false,
        }
    }

    /// How long to wait before the same is tried again, if that is all there is to do.
    pub fn later(&self) -> Option<Duration> {
        match self {
            SinkError::Later { after, .. } => Some(*after),
            _ => None,
        }
    }

    /// Whether nobody reads the output any more, so that the program can end quietly.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, SinkError::BrokenPipe { .. })
    }

    /// What to do, where that is known.
    pub fn hint(&self) -> Option<String> {
        if let SinkError::Longer { path, wanted, .. } = self {
            return Some(format!(
                "if what is behind them comes from checkpoints that are given up, it is put out again: \
                 `truncate -s {wanted} '{}'` takes it away; else restore the file, or begin anew with \
                 `--from-scratch` and another path",
                path.display()
            ));
        }
        self.fixed_hint().map(str::to_owned)
    }

    fn fixed_hint(&self) -> Option<&'static str> {
        match self {
            SinkError::NotEmpty { .. } => {
                Some("move the file away or set another path; to go on with a job give its `state.dir`")
            }
            SinkError::Shorter { .. } | SinkError::Different { .. } => Some(
                "restore the file as the job left it, or begin anew with `--from-scratch` and another path",
            ),
            SinkError::Archive { .. } => Some("set another `dir`, or remove the folder of the sink in it"),
            SinkError::Gap { .. } => {
                Some("the state is damaged; start the job afresh with another `state.dir`")
            }
            SinkError::NoFolder { .. } => Some("create the folder, or set another path"),
            SinkError::Folder { .. } => Some("set the path of a file, which may be one in that folder"),
            SinkError::Device { .. } => Some("set the path of a file, or of a device that takes lines"),
            SinkError::SecretFile { .. } => Some("create the file, or set another one"),
            SinkError::NotBuilt { .. } => Some("build it with `--features full`"),
            SinkError::TableNotEmpty { .. } => Some(
                "set another table or name of the job, or empty the table and delete its row of \
                 `tidewatch_delivered`; to go on with a job give its `state.dir`",
            ),
            SinkError::TopicNotEmpty { .. } => Some(
                "set another topic and `transactional_id`, or delete the group, after which lines may come twice; \
                 to go on with a job give its `state.dir`",
            ),
            SinkError::TableShape { .. } => Some("set another table, which is then made"),
            SinkError::Behind { .. } | SinkError::Ahead { .. } | SinkError::Foreign { .. } => Some(
                "restore the database and `state.dir` as the job left them, or start the job afresh with \
                 another table and `state.dir`",
            ),
            SinkError::Fenced { .. } => Some("nothing is lost: the later run delivers; stop this one"),
            SinkError::Unavailable { .. } | SinkError::Later { .. } => {
                Some("nothing is lost: the same command delivers what is missing")
            }
            SinkError::NotKept { .. } => {
                Some("a file or a table does; rows that were kept elsewhere can be given with `--rows FILE`")
            }
            SinkError::GivenUp { .. } => Some(
                "nothing is lost: the same command sends it again; to go on without such rows set \
                 `undelivered = \"FILE\"`",
            ),
            SinkError::Refused { .. } => Some("see that it is there and lets this user in"),
            SinkError::Longer { .. }
            | SinkError::BrokenPipe { .. }
            | SinkError::Io { .. }
            | SinkError::Database { .. }
            | SinkError::Row { .. } => None,
        }
    }
}
