//! Sinks: where lines go, and how far a sink got before a crash.
//!
//! The one writer of each sink calls these; what to write, and when, is decided by `dataflow`. A sink that
//! is opened beside a fresh state must be empty; one that is resumed must hold what was put out before
//! (`resume_exactly_once`). One file per kind of sink; what databases share is in `database`, `ledger`,
//! `table` and `rows`.

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "kafka"))]
mod database;
mod error;
mod file;
mod found;
mod gauge;
#[cfg(feature = "kafka")]
mod kafka;
mod kept;
mod kinesis;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "kafka"))]
mod ledger;
#[cfg(feature = "postgres")]
mod postgres;
mod probe;
mod receiver;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod rows;
#[cfg(any(feature = "postgres", feature = "webhook"))]
mod secret;
#[cfg(feature = "sqlite")]
mod sqlite;
mod stdout;
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    allow(dead_code, reason = "the config knows tables, and nobody makes one")
)]
mod table;
#[cfg(feature = "webhook")]
mod webhook;

use std::io::{self, ErrorKind, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use event::Secret;
use event::Topic;

pub use error::SinkError;
use file::FileSink;
pub use found::{TakeAlert, Wanted, find_alerts, find_alerts_in};
pub use gauge::{CircuitState, Gauge};
pub use kept::{Quarantined, read_quarantine, read_quarantine_file};
pub use kinesis::KinesisTarget;
#[cfg(feature = "postgres")]
pub use postgres::check_url;
pub use probe::probe;
pub use receiver::{CircuitSpec, Reach, Receiver};
use stdout::StdoutSink;
pub use table::{Shape, Table};
#[cfg(feature = "webhook")]
pub use webhook::{check_receiver, check_signing_secret};

/// A sink as the config asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkSpec {
    /// Its name in the config.
    pub name: String,
    /// What it is.
    pub kind: SinkKind,
    /// When it gets its lines.
    pub mode: Mode,
}

/// What a sink is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkKind {
    /// Standard output.
    Stdout,
    /// A file; also a pipe or a device that has a name.
    File {
        /// Where it is, relative to the working directory.
        path: PathBuf,
    },
    /// A table of an SQLite database.
    Sqlite {
        /// The file of the database, relative to the working directory.
        path: PathBuf,
        /// The table.
        table: Table,
    },
    /// A table of a PostgreSQL server.
    Postgres {
        /// Where the server is, and how to get in: `postgres://user:password@host/database`.
        url: Secret,
        /// A file with the certificates of those who may sign that of the server; without it the system's.
        ca: Option<PathBuf>,
        /// The table.
        table: Table,
    },
    /// An HTTP endpoint that rows are posted to.
    Webhook {
        /// Who that is.
        receiver: Box<Receiver>,
        /// What the rows are.
        shape: Shape,
    },
    /// A topic of Apache Kafka.
    Kafka {
        /// The topic.
        topic: Topic,
        /// The id of its transactions, and of the group that keeps what was delivered; without one
        /// `tidewatch-JOB-SINK`.
        transactional_id: Option<String>,
        /// What the messages are.
        shape: Shape,
        /// How long brokers that are away are waited for.
        retry_for: Duration,
    },
    /// A stream of Amazon Kinesis, which gets each row at least once.
    Kinesis {
        /// The stream.
        target: KinesisTarget,
        /// What the rows are.
        shape: Shape,
    },
    /// Parquet files. Opened by whoever knows archives, not here; only for [`Mode::ExactlyOnce`].
    Archive {
        /// A directory, or `s3://BUCKET/PREFIX`.
        address: String,
    },
}

impl SinkKind {
    /// What a checkpoint calls it, to know whether the output is still the same one. Never a secret.
    ///
    /// A database may move: whether it is the same one is seen by what it was given.
    pub fn target(&self) -> String {
        match self {
            SinkKind::Stdout => "standard output".to_owned(),
            SinkKind::File { path } => plain(path).display().to_string(),
            SinkKind::Sqlite { path, table } => format!("{} {table}", plain(path).display()),
            SinkKind::Postgres { table, .. } => format!("postgres {table}"),
            SinkKind::Archive { address } => format!("archive {address}"),
            // A receiver may move, and its address be a secret.
            SinkKind::Webhook { .. } => "webhook".to_owned(),
            SinkKind::Kafka { topic, .. } => format!("kafka topic {}", topic.name),
            SinkKind::Kinesis { target, .. } => format!("kinesis {}", target.stream),
        }
    }
}

/// A path without what says nothing, as in `./a//b`. What leads out of a folder stays: it may be a link.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|component| *component != Component::CurDir).collect()
}

/// Who delivers: a database keeps under this name what it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deliverer {
    /// Name of the job.
    pub job: String,
    /// Number of the run: a database takes nothing from a run once a later one has opened it.
    pub generation: u64,
}

/// When a sink gets its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// With the checkpoint that holds them, and never again.
    ExactlyOnce,
    /// When they are due. After a crash the same lines may come again.
    AtOnce,
}

/// An open sink.
pub trait Sink: Send {
    /// Completes what the last checkpoints put out, where opening has not: to be called before anything else is.
    ///
    /// # Errors
    /// As for [`Sink::write`]; to try again is to call it again.
    fn settle(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Writes whole lines, each with its `\n`, through to the operating system.
    ///
    /// # Errors
    /// If they could not be written; then a part of them may have been. To try again is to call it with the
    /// same lines: it goes on behind that part.
    fn write(&mut self, lines: &[u8]) -> Result<(), SinkError>;

    /// Makes durable what was written, where that means anything.
    ///
    /// # Errors
    /// If the disk refused. What was written is in doubt then: do not go on.
    fn sync(&mut self) -> Result<(), SinkError>;

    /// Bytes in the output so far: a file's length, what a database was given; elsewhere, and at once, what
    /// was written since the sink was opened.
    fn length(&self) -> u64;

    /// What it shows while it runs, if it has a receiver that may be away. Whoever gives it lines notes there what is on
    /// its way.
    fn gauge(&self) -> Option<Arc<Gauge>> {
        None
    }

    /// Delivers, durably and once, all that a checkpoint put out. The numbers of checkpoints grow.
    ///
    /// What a database has already is not written again. One that is away is waited for, for a bounded time.
    ///
    /// # Errors
    /// As for [`Sink::write`] and [`Sink::sync`]; also if a database does not go on from where it was.
    fn deliver(&mut self, _number: u32, lines: &[u8]) -> Result<(), SinkError> {
        if lines.is_empty() {
            return Ok(());
        }
        self.write(lines)?;
        self.sync()
    }
}

/// What one checkpoint put out to a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Number of the checkpoint.
    pub number: u32,
    /// Length of the output before it.
    pub start: u64,
    /// Its lines.
    pub bytes: Vec<u8>,
}

impl Delivery {
    /// Length of the output after it.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

/// Opens a sink for a job that starts with a fresh state, or without one.
///
/// # Errors
/// If a file is not empty, or a table that is to get each row once has rows of the job (refusals: nothing is
/// overwritten or mixed); if it cannot be opened.
pub fn open_fresh(spec: &SinkSpec, deliverer: &Deliverer) -> Result<Box<dyn Sink>, SinkError> {
    match (&spec.kind, spec.mode) {
        (SinkKind::Stdout, _) => Ok(Box::new(StdoutSink::open(&spec.name)?)),
        (SinkKind::File { path }, _) => Ok(Box::new(FileSink::open_fresh(&spec.name, path)?)),
        (SinkKind::Kinesis { target, shape }, _) => kinesis::open(&spec.name, target, shape),
        // Rows have names: a row that is there already is no harm.
        (_, Mode::AtOnce) => open_other(spec, deliverer, Opening::AtOnce),
        (_, Mode::ExactlyOnce) => open_other(spec, deliverer, Opening::Fresh),
    }
}

/// Opens a sink again, completes what the last checkpoints put out, and makes it durable; what may take long is left to
/// [`Sink::settle`].
///
/// `deliveries` are what the last checkpoints put out, oldest first, each starting where the one before
/// ends; at least one, unless nothing was ever put out. A file must hold everything before the first, and
/// then a part of them, perhaps torn in the middle of a line. A database says which it has. A pipe or device
/// cannot say how far it got: it gets the last delivery again.
///
/// # Errors
/// If the output does not continue what was put out (a refusal: it is left as it is), or it fails.
pub fn resume_exactly_once(
    spec: &SinkSpec,
    deliverer: &Deliverer,
    deliveries: &[Delivery],
) -> Result<Box<dyn Sink>, SinkError> {
    for pair in deliveries.windows(2) {
        if pair[0].end() != pair[1].start {
            return Err(SinkError::Gap { sink: spec.name.clone(), end: pair[0].end(), start: pair[1].start });
        }
    }
    match &spec.kind {
        SinkKind::Stdout => Ok(Box::new(StdoutSink::open(&spec.name)?)),
        SinkKind::File { path } => Ok(Box::new(FileSink::resume(&spec.name, path, deliveries)?)),
        SinkKind::Kinesis { target, shape } => kinesis::resume(&spec.name, target, shape, deliveries),
        _ => open_other(spec, deliverer, Opening::Resume(deliveries)),
    }
}

/// Opens a sink again and goes on at its end, whatever it holds.
///
/// # Errors
/// If it cannot be opened.
pub fn resume_at_once(spec: &SinkSpec, deliverer: &Deliverer) -> Result<Box<dyn Sink>, SinkError> {
    match &spec.kind {
        SinkKind::Stdout => Ok(Box::new(StdoutSink::open(&spec.name)?)),
        SinkKind::File { path } => Ok(Box::new(FileSink::resume_at_once(&spec.name, path)?)),
        SinkKind::Kinesis { target, shape } => kinesis::open(&spec.name, target, shape),
        _ => open_other(spec, deliverer, Opening::AtOnce),
    }
}

/// Opens a sink again that delivered at once, up to checkpoint `last` and perhaps beyond, and is to deliver
/// exactly once from now on. Whatever a file holds is what was put out before: the lines after that checkpoint
/// come once more, as they may for a sink that delivers at once, and then none does.
///
/// # Errors
/// If it cannot be opened, or a database was given more than that checkpoint knows (a refusal).
pub fn resume_after_at_once(
    spec: &SinkSpec,
    deliverer: &Deliverer,
    last: u32,
) -> Result<Box<dyn Sink>, SinkError> {
    match &spec.kind {
        SinkKind::Stdout => Ok(Box::new(StdoutSink::open(&spec.name)?)),
        SinkKind::File { path } => Ok(Box::new(FileSink::resume_after_at_once(&spec.name, path)?)),
        SinkKind::Kinesis { target, shape } => kinesis::open(&spec.name, target, shape),
        _ => open_other(spec, deliverer, Opening::AfterAtOnce(last)),
    }
}

/// How a database or a webhook is opened.
#[derive(Clone, Copy)]
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres", feature = "kafka")),
    expect(dead_code, reason = "there is no database")
)]
enum Opening<'a> {
    /// For rows that come when they are due.
    AtOnce,
    /// For deliveries, the first of which is still to come.
    Fresh,
    /// For deliveries, after these.
    Resume(&'a [Delivery]),
    /// For deliveries, after rows that came when they were due, up to that checkpoint or beyond.
    AfterAtOnce(u32),
}

#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres", feature = "kafka", feature = "webhook")),
    expect(unused_variables, reason = "there is neither a database nor a broker nor a webhook")
)]
fn open_other(
    spec: &SinkSpec,
    deliverer: &Deliverer,
    opening: Opening<'_>,
) -> Result<Box<dyn Sink>, SinkError> {
    let not_built = |feature| SinkError::NotBuilt { sink: spec.name.clone(), feature };
    match &spec.kind {
        #[cfg(feature = "sqlite")]
        SinkKind::Sqlite { path, table } => {
            let place = database::Place::new(spec, deliverer, table);
            database::open(sqlite::Sqlite::new(place.clone(), path), place, opening)
        }
        #[cfg(feature = "postgres")]
        SinkKind::Postgres { url, ca, table } => {
            let place = database::Place::new(spec, deliverer, table);
            let database = postgres::Postgres::new(place.clone(), url, ca.as_deref())?;
            database::open(database, place, opening)
        }
        #[cfg(feature = "kafka")]
        SinkKind::Kafka { topic, transactional_id, shape, retry_for } => {
            let table = Table { name: topic.name.clone(), shape: shape.clone(), retry_for: *retry_for };
            let place = database::Place::new(spec, deliverer, &table);
            let id = transactional_id
                .clone()
                .unwrap_or_else(|| format!("tidewatch-{}-{}", deliverer.job, spec.name));
            let id = (spec.mode == Mode::ExactlyOnce).then_some(id);
            database::open(kafka::Kafka::new(place.clone(), topic, id), place, opening)
        }
        #[cfg(not(feature = "kafka"))]
        SinkKind::Kafka { .. } => Err(not_built("kafka")),
        #[cfg(not(feature = "postgres"))]
        SinkKind::Postgres { .. } => Err(not_built("postgres")),
        SinkKind::Archive { .. } => Err(not_built("archive")),
        #[cfg(feature = "webhook")]
        SinkKind::Webhook { receiver, shape } => webhook::open(spec, deliverer, receiver, shape, opening),
        #[cfg(not(feature = "webhook"))]
        SinkKind::Webhook { .. } => Err(not_built("webhook")),
        _ => Err(not_built("sqlite")),
    }
}

/// The failure to write to a file or to what has the place of one: `on_disk` says which.
///
/// Only a disk has space again some time, for which it is worth to wait.
fn not_written(sink: String, path: PathBuf, on_disk: bool, source: io::Error) -> SinkError {
    match source.kind() {
        ErrorKind::BrokenPipe => SinkError::BrokenPipe { sink },
        ErrorKind::StorageFull if !on_disk => SinkError::Device { sink, path, source },
        _ => SinkError::Io { sink, action: "write to", path, source },
    }
}

/// A job that stands still must not be silent about it. When nobody listens there is nobody to tell.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "webhook"))]
fn say(words: &str) {
    let _ = writeln!(io::stderr(), "{words}");
}

/// How long to wait for a reader that is slow, when its pipe was set not to block.
const RETRY_AFTER: Duration = Duration::from_millis(1);

/// Writes everything, also to a pipe that another program has set not to block. `done` is how much of it was
/// written in an attempt before, and now.
fn write_all(target: &mut impl Write, bytes: &[u8], done: &mut usize) -> io::Result<()> {
    while let Some(rest) = bytes.get(*done..).filter(|rest| !rest.is_empty()) {
        match target.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => *done += written,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(RETRY_AFTER),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_that_takes_a_byte_at_a_time_or_would_block_gets_everything() {
        struct Slow(Vec<u8>, u32);
        impl Write for Slow {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.1 += 1;
                match self.1 % 3 {
                    0 => Err(ErrorKind::WouldBlock.into()),
                    1 => Err(ErrorKind::Interrupted.into()),
                    _ => {
                        self.0.push(bytes[0]);
                        Ok(1)
                    }
                }
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut slow = Slow(Vec::new(), 0);
        write_all(&mut slow, b"one\ntwo\n", &mut 0).unwrap();
        assert_eq!(slow.0, b"one\ntwo\n");
    }
}
