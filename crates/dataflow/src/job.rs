//! What a job is, what a cluster is, and what came of a run.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use alert::{SinkError, SinkSpec};
use archive::ArchiveError;
use checkpoint::{Location, Manifest, StoreError};
use event::{Counts, SinkId, Watermark};
use ingest::{DecodeSpec, IngestError, SourceSpec, WatermarkSpec};
use transform::Transform;

use crate::branch::Branch;
use crate::custody::Custody;
use crate::mesh::MeshSpec;
use crate::question::{Desk, Finding, TooMany};
use crate::vitals::{HeldState, Vitals};

/// A job, compiled: everything that the workers need, the same on each of them.
#[derive(Debug)]
pub struct Job {
    /// Its name, which alerts carry.
    pub name: String,
    /// Where records come from, in the order of the config.
    pub sources: Vec<SourceSpec>,
    /// How a record is read.
    pub decode: DecodeSpec,
    /// How the watermark of a partition follows its records.
    pub watermark: WatermarkSpec,
    /// After how long without a record a partition that is at its end, and may get more, no longer holds the
    /// watermark back.
    pub idle_after: Option<Duration>,
    /// How many microseconds a partition may be ahead of the global watermark before it is read no further.
    pub drift_max: Option<i64>,
    /// What happens to a record before it goes to its key's worker.
    pub transform: Transform,
    /// Its windows, and what becomes of their rows: a branch, or several over the same records. As many as `transform` has,
    /// and one at least.
    pub branches: Vec<Branch>,
    /// The most keys that one worker may hold windows of, of each branch; more end the job.
    pub keys_max: Option<u64>,
    /// Where lines go; [`event::SinkId`] counts these.
    pub sinks: Vec<SinkSpec>,
    /// The sink of what does not fit, if there is one.
    pub quarantine: Option<SinkId>,
    /// The sink of late records, if there is one; it may be the same.
    pub late: Option<SinkId>,
    /// Where what is read is archived: a directory, or `s3://BUCKET/PREFIX`. Only of a job that keeps state.
    pub archive: Option<String>,
    /// Where the job's state is kept; without it a job keeps none.
    pub state: Option<StateSpec>,
    /// What may not change under a state: names and canonical values.
    pub identity: Vec<(String, String)>,
    /// Bounds of what is under way.
    pub flow: Flow,
    /// How its processes find and trust one another.
    pub mesh: MeshSpec,
}

impl Job {
    /// Whether some rows can only be judged by what those of other keys are.
    pub(crate) fn asks_others(&self) -> bool {
        self.branches.iter().any(|branch| branch.detection.asks_others())
    }

    /// Whether some rows can only be judged by what a model answers.
    pub(crate) fn asks_models(&self) -> bool {
        self.branches.iter().any(|branch| branch.detection.asks_models())
    }

    /// Whether models that are not on this machine may be asked why something was found.
    pub(crate) fn explains_from_afar(&self) -> bool {
        let is_afar = |branch: &Branch| {
            let mut models = branch.detection.inferences();
            models.any(|(model, _)| !model.is_local() && !model.explains_within().is_zero())
        };
        self.branches.iter().any(|branch| branch.renderer.explains() && is_afar(branch))
    }

    /// Looks whether the models can be asked, before anything is read.
    pub(crate) fn prepare_models(&self) -> Result<(), RunError> {
        for (model, inputs) in self.branches.iter().flat_map(|branch| branch.detection.inferences()) {
            let refused = |words| RunError::Model { name: model.name().to_owned(), words };
            model.prepare(inputs).map_err(refused)?;
        }
        Ok(())
    }

    /// Whether some rows are judged beside those of a cohort.
    pub(crate) fn asks_cohorts(&self) -> bool {
        self.branches.iter().any(|branch| branch.detection.cohorts().is_some())
    }

    /// Whether rows are judged by more than themselves: some branch puts out episodes rather than rows, or has detectors.
    pub(crate) fn follows_keys(&self) -> bool {
        self.branches.iter().any(|branch| branch.detection.follows_keys())
    }
}

/// Where state is kept, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateSpec {
    /// The directory or bucket; all processes must see the same one.
    pub location: Location,
    /// Time between two checkpoints.
    pub checkpoint_every: Duration,
    /// Into how many shards the key space is cut, for the life of the state.
    pub shards: u32,
    /// Where the job begins.
    pub from: Beginning,
}

/// Where a job with state begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Beginning {
    /// At the newest checkpoint, if there is one.
    #[default]
    Newest,
    /// At that one; those after it are given up.
    Checkpoint(u32),
    /// At the beginning of its input; all checkpoints are given up.
    Scratch,
}

/// Bounds of what is under way between sources and sinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Ticks that a source may be ahead of what the sinks have taken. A tick holds at most 1 MiB of each
    /// of a worker's partitions.
    pub ticks: usize,
    /// Least time between two ticks of a worker: batches are as small as this allows.
    pub tick: Duration,
    /// Bytes that wait for a sink before the sources do.
    pub sink_bytes: usize,
}

impl Default for Flow {
    fn default() -> Self {
        Flow { ticks: 8, tick: Duration::from_micros(500), sink_bytes: 8 << 20 }
    }
}

/// The processes and threads that run a job together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Worker threads in each process.
    pub workers: usize,
    /// Which of the processes this one is.
    pub process: usize,
    /// `host:port` of every process, this one included; empty for a single process.
    pub hosts: Vec<String>,
}

/// The way to talk to a running job: ask it to drain, see how far it is.
#[derive(Debug, Default)]
pub struct Control {
    drain: AtomicBool,
    /// Whether what waits for a checkpoint has grown too large to wait for its time.
    cut: AtomicBool,
    read: AtomicU64,
    windows: AtomicU64,
    alerts: AtomicU64,
    quarantined: AtomicU64,
    watermark: AtomicI64,
    vitals: Vitals,
    custody: OnceLock<Custody>,
    desk: Desk,
    whole_process: AtomicBool,
}

/// How far a job is, as this process sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Records read by this process since it started.
    pub read: u64,
    /// Windows closed, counted per key, by the whole job since its first start. Process 0 only.
    pub windows: u64,
    /// Alerts raised, as above.
    pub alerts: u64,
    /// Records in quarantine, as above.
    pub quarantined: u64,
    /// The global watermark, once there is one. Process 0 only.
    pub watermark: Option<Watermark>,
    /// What the windows of this process hold.
    pub held: HeldState,
}

impl Control {
    /// Has the process heed, and note, which records end it. Only before the run, and once.
    pub fn set_custody(&self, custody: Custody) {
        self.custody.get_or_init(|| custody);
    }

    /// Says that the process is there for this run alone: whichever of its threads panics, the run fails. Only before
    /// the run.
    pub fn take_whole_process(&self) {
        self.whole_process.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_whole_process(&self) -> bool {
        self.whole_process.load(Ordering::Relaxed)
    }

    /// Signs of life of this process.
    pub fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    /// Asks what is known of a key by now, and what the rules say of it. The key is encoded as the job encodes it. To be
    /// asked of process 0; `take` gets the answer on a worker's thread, unless the job is over or does not go on. Gives
    /// the question's number.
    ///
    /// # Errors
    /// If too many questions wait.
    pub fn ask(&self, key: &[u8], take: impl FnOnce(Finding) + Send + 'static) -> Result<u64, TooMany> {
        self.desk.ask(key, Box::new(take))
    }

    /// Says that questions may come: so worker 0 goes on for as long as any worker reads. Only before the run.
    pub fn expect_questions(&self) {
        self.desk.open_up();
    }

    /// Says that nobody waits for the answer to that question any more.
    pub fn forget(&self, question: u64) {
        self.desk.forget(question);
    }

    pub(crate) fn desk(&self) -> &Desk {
        &self.desk
    }

    pub(crate) fn custody(&self) -> &Custody {
        self.custody.get_or_init(Custody::default)
    }

    /// Asks the job to stop reading, take a checkpoint, close no window and end.
    pub fn drain(&self) {
        self.drain.store(true, Ordering::Release);
    }

    /// Whether it was asked to.
    pub fn is_draining(&self) -> bool {
        self.drain.load(Ordering::Acquire)
    }

    /// How far the job is.
    pub fn progress(&self) -> Progress {
        let watermark = self.watermark.load(Ordering::Relaxed);
        Progress {
            read: self.read.load(Ordering::Relaxed),
            windows: self.windows.load(Ordering::Relaxed),
            alerts: self.alerts.load(Ordering::Relaxed),
            quarantined: self.quarantined.load(Ordering::Relaxed),
            watermark: (watermark != 0).then_some(Watermark(watermark)),
            held: self.vitals.held(),
        }
    }

    pub(crate) fn ask_for_cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    /// Whether a cut was asked for, and not made since.
    pub(crate) fn wants_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    /// Notes that a cut is made.
    pub(crate) fn cut_made(&self) {
        self.cut.store(false, Ordering::Relaxed);
    }

    pub(crate) fn add_read(&self, records: u64) {
        self.read.fetch_add(records, Ordering::Relaxed);
    }

    pub(crate) fn set_totals(&self, counts: &Counts, watermark: Watermark) {
        self.windows.store(counts.windows, Ordering::Relaxed);
        self.alerts.store(counts.alerts, Ordering::Relaxed);
        self.quarantined.store(counts.quarantined, Ordering::Relaxed);
        if watermark != Watermark::NONE {
            self.watermark.store(watermark.0, Ordering::Relaxed);
        }
    }
}

/// What came of a run. Totals are since the job was first started, and known to process 0 alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// What became of the records.
    pub counts: Counts,
    /// Whether the input was read to its end, and all is put out; else the job was drained. Another process than
    /// the first knows that of its own part alone: false if it was told to stop.
    pub finished: bool,
    /// How far event time came.
    pub watermark: Watermark,
    /// Whether the job was already finished before this run, which then did nothing.
    pub already_finished: bool,
}

impl Summary {
    /// A job of which nothing was read yet.
    pub fn of_nothing() -> Self {
        let counts = Counts::default();
        Summary { counts, finished: false, watermark: Watermark::NONE, already_finished: false }
    }

    /// A job that is where that checkpoint was taken, and does not go on. Even at the last one it is not finished:
    /// what a checkpoint puts out is delivered after its commit, and may still be missing.
    pub fn at(manifest: &Manifest) -> Self {
        let Manifest { counts, watermark, .. } = *manifest;
        Summary { counts, finished: false, watermark, already_finished: false }
    }
}

/// Why a run did not end well.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A source cannot be read.
    #[error(transparent)]
    Source(#[from] IngestError),
    /// A sink does not take lines.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// State cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive cannot be written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The state belongs to another job.
    #[error("the state in {dir} was made with {name} = {found}, the job now has {wanted}")]
    Identity {
        /// The state's directory.
        dir: PathBuf,
        /// What differs.
        name: String,
        /// As it was.
        found: String,
        /// As it is now.
        wanted: String,
    },
    /// State needs sources that can be read again.
    #[error("source `{0}` cannot be read again, so the job cannot keep state; remove [state]")]
    NotRepeatable(String),
    /// A partition that only the first process can read falls to another one.
    #[error(
        "source `{0}` can be read by the first process alone, and its partition falls to another one; \
         let it come first in the config, or give each process more workers"
    )]
    OnlyFirstProcess(String),
    /// A source is to go on from a checkpoint only, and there is none.
    #[error(
        "source `{0}` begins at a checkpoint only, and the state has none; set `start` to \"earliest\", \"latest\" or a time"
    )]
    NoCheckpoint(String),
    /// A model cannot be asked as it is.
    #[error("model `{name}`: {words}")]
    Model {
        /// Its name.
        name: String,
        /// Why.
        words: String,
    },
    /// A snapshot does not fit.
    #[error("the state does not fit the job: {0}")]
    Snapshot(String),
    /// The processes did not find each other, and it is not known that they ever will.
    #[error("{0}")]
    Mesh(String),
    /// The processes do not belong together, or may not talk like that.
    #[error("{0}")]
    MeshRefused(String),
    /// The job was asked to drain before it had begun.
    #[error("told to stop while waiting for the other processes")]
    Stopped,
    /// Another process of the job has died, or is there and not ready, or of another generation.
    #[error("{0}")]
    Lost(String),
    /// Another process of the job was there before and does not come back.
    #[error("{0}")]
    Gone(String),
    /// A thread of this process panicked.
    #[error("{0}")]
    Panicked(String),
    /// There are more keys than the job allows for.
    #[error(
        "worker {worker} holds windows of {keys} keys, and `limits.keys` allows for {max}; raise it, take more workers, \
         or let keys go sooner"
    )]
    TooManyKeys {
        /// Which.
        worker: usize,
        /// How many it holds.
        keys: u64,
        /// How many it may.
        max: u64,
    },
    /// A part of this process is gone.
    #[error("{0}")]
    Died(String),
}

impl RunError {
    /// Whether there was no space, which may come back.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            RunError::Store(error) => error.is_full(),
            RunError::Archive(error) => error.is_full(),
            RunError::Sink(SinkError::Io { source, .. }) => checkpoint::is_full(source),
            _ => false,
        }
    }

    /// How long to wait before the same is tried again, if a sink asks for that.
    pub(crate) fn later(&self) -> Option<std::time::Duration> {
        match self {
            RunError::Sink(error) => error.later(),
            _ => None,
        }
    }

    /// Whether config, state or output is refused, as opposed to a run that failed.
    pub fn is_refusal(&self) -> bool {
        match self {
            RunError::Source(error) => error.is_refusal(),
            RunError::Sink(error) => error.is_refusal(),
            RunError::Store(error) => error.is_refusal(),
            RunError::Archive(error) => error.is_refusal(),
            RunError::Identity { .. }
            | RunError::NotRepeatable(_)
            | RunError::OnlyFirstProcess(_)
            | RunError::NoCheckpoint(_)
            | RunError::Snapshot(_)
            | RunError::Model { .. }
            | RunError::MeshRefused(_)
            | RunError::TooManyKeys { .. } => true,
            RunError::Mesh(_)
            | RunError::Stopped
            | RunError::Lost(_)
            | RunError::Gone(_)
            | RunError::Panicked(_)
            | RunError::Died(_) => false,
        }
    }
}
