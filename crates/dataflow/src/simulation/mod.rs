//! A run of a job in a simulated world, with crashes, and everything that happens decided by a seed.
//!
//! The graph, the operators, the workers of timely, recovery, snapshots, commits, the store and its order of
//! writes are the shipped ones. Simulated are the clock, the source ([`source`]), the sink ([`sink`]), the
//! disk ([`disk`]), and who runs when ([`scheduler`]): each worker steps only when it is told to, and what
//! threads would do beside the workers is done at any time between those steps ([`host`]).
//!
//! Promises: two runs of a [`Scenario`] do the same, step by step ([`Run::trace`]).
//!
//! For tests: the feature `simulation` is off in a program that ships.

pub(crate) mod disk;
pub(crate) mod host;
pub(crate) mod random;
mod scheduler;
pub(crate) mod sink;
pub(crate) mod source;
mod trace;
pub(crate) mod wakings;
mod workers;

use std::sync::Arc;

use event::Counts;

pub use crate::plant::Plant;

use crate::job::Job;

/// What is simulated.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Decides everything that is left open.
    pub seed: u64,
    /// The job. Its sources are replaced by one partition for each of `inputs`; its first source stands for
    /// all. It keeps state, and its sinks deliver exactly once.
    pub job: Arc<Job>,
    /// Lines of each partition.
    pub inputs: Vec<Vec<u8>>,
    /// Whether partitions fall silent now and then, at their end as it is by then; without it the end is the only one.
    pub silences: bool,
    /// The numbers of the partitions from which each goes on; empty if none does.
    pub parents: Vec<Vec<u32>>,
    /// Partitions that come while the job runs.
    pub newcomers: Vec<u32>,
    /// How often the run is interrupted: a crash, a loss of power, or a drain, and then another number of
    /// workers.
    pub interruptions: u64,
    /// Whether disks fill up and syncs fail in between.
    pub faults: bool,
    /// The operation of the first generation on the disk or a sink, counted from 1, that fails; for want of
    /// space, or else because the disk is broken.
    pub fails_at: Option<(u64, bool)>,
    /// For how many decisions the disk is full, once, after the first checkpoints.
    pub full_for: Option<u64>,
    /// The mistake that is planted, if any.
    pub plant: Option<Plant>,
    /// Whether to keep the trace's lines.
    pub verbose: bool,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// What readers of each sink have seen, in the order of the job's sinks.
    pub outputs: Vec<Vec<u8>>,
    /// What became of the records.
    pub counts: Counts,
    /// Hash of all that happened, in order.
    pub trace: u64,
    /// The same for people, if asked for.
    pub lines: Vec<String>,
    /// What is wrong: the first thing that was found.
    pub finding: Option<String>,
    /// Decisions of the scheduler.
    pub decisions: u64,
    /// How often a process was killed, or the power of its machine failed.
    pub crashes: u64,
    /// How often the job was told to stop.
    pub drains: u64,
    /// How often it went on with another number of workers.
    pub rescales: u64,
    /// How often what was left of a generation went on beside the next one.
    pub zombies: u64,
    /// How often the disk was full.
    pub fulls: u64,
    /// How often a write to the disk was made to fail.
    pub failures: u64,
    /// Checkpoints that were committed, fences included.
    pub checkpoints: u64,
    /// Operations on the disk and on sinks.
    pub operations: u64,
    /// Starts of the job, the one that found it finished included.
    pub generations: u64,
    /// Records that were read up to moments of the time for which the disk was full.
    pub read_while_full: Vec<u64>,
    /// When partitions woke, as far as it counts: of each the offsets of the first records, and from which watermark
    /// on they counted.
    pub wakings: Vec<Vec<(u64, i64)>>,
    /// Words that the job has said.
    pub said: Vec<String>,
}

/// Looks at what readers of each sink have seen, and says what is wrong with it.
pub type Look<'a> = dyn FnMut(&[&[u8]]) -> Result<(), String> + 'a;

/// Runs a scenario to its end, or to the first thing that is wrong. `look` is shown what readers have seen,
/// sink by sink, after every step that changed it, and says what is wrong with it.
pub fn simulate(scenario: &Scenario, look: &mut Look<'_>) -> Run {
    scheduler::Scheduler::new(scenario).run(look)
}
