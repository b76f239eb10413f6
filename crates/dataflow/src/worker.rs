//! What a worker knows of its place, and how it stops.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use event::Epoch;
use timely::dataflow::operators::probe::Handle;

use crate::job::{Control, Job, RunError};
use crate::member::Register;
use crate::space::Space;
use crate::world::World;

/// A worker's place in the cluster, and what it shares with the others of its process.
#[derive(Clone)]
pub(crate) struct Here {
    pub(crate) job: Arc<Job>,
    pub(crate) control: Arc<Control>,
    pub(crate) outcome: Arc<Outcome>,
    /// What is known of all partitions.
    pub(crate) partitions: Arc<Register>,
    pub(crate) worker: usize,
    pub(crate) peers: usize,
    /// Threads in each process.
    pub(crate) threads: usize,
    /// The interval that is read first.
    pub(crate) first_interval: u32,
    /// Who waits for space in this process.
    pub(crate) space: Arc<Space>,
    /// What lies outside of the run.
    pub(crate) world: World,
    /// Differs from run to run: names of segments of a dead run are never reused.
    pub(crate) nonce: u64,
}

impl Here {
    /// Whether that worker lives in another process.
    pub(crate) fn is_remote(&self, worker: usize) -> bool {
        worker / self.threads != self.worker / self.threads
    }

    /// The interval of an epoch. A job without state has one, which never ends.
    pub(crate) fn interval(&self, epoch: Epoch) -> u32 {
        if self.keeps_state() { epoch.interval() } else { self.first_interval }
    }

    /// Whether partitions may come that nobody knows of yet.
    pub(crate) fn awaits_more(&self) -> bool {
        self.job.sources.iter().any(|spec| self.world.awaits_more(spec))
    }

    /// Whether a partition is one that somebody reads in this run: if it is known and was not at its end before, or is
    /// not known and its source does not end where it ended at the first start.
    pub(crate) fn is_to_be_read(&self, source: u32, ordinal: u32) -> bool {
        match self.partitions.known(ordinal) {
            Some(known) => !known.is_over,
            None => self.world.takes_in_newcomers(&self.job.sources[source as usize]),
        }
    }

    /// Whether the job keeps state, so that cuts are made.
    pub(crate) fn keeps_state(&self) -> bool {
        self.job.state.is_some()
    }
}

/// The first failure of a process. Once there is one, all of its workers stop.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    failed: AtomicBool,
    error: Mutex<Option<RunError>>,
    /// A peer whose connection ended: a failure only if timely says that it was not over.
    lost: Mutex<Option<String>>,
}

impl Outcome {
    /// Notes a failure; only the first is kept.
    pub(crate) fn fail(&self, error: RunError) {
        let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(error);
        self.failed.store(true, Ordering::Release);
    }

    /// Whether there was a failure.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Notes that a peer's connection ended, which may be the regular end.
    pub(crate) fn lost(&self, peer: &str) {
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(peer.to_owned());
    }

    /// Turns a connection that ended too early into a failure.
    pub(crate) fn fail_lost(&self, words: &str) {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.fail(match lost {
            Some(peer) => RunError::Lost(format!("lost {peer}: the process has died, so this one ends too")),
            None => RunError::Lost(words.to_owned()),
        });
    }

    /// Takes the failure out.
    pub(crate) fn take(&self) -> Option<RunError> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// How far the end of the graph is; what a source watches to stop in time.
#[derive(Clone, Default)]
pub(crate) struct Probes {
    /// Ticks whose output the sinks have taken.
    pub(crate) taken: Handle<u64>,
    /// Intervals whose checkpoint is committed.
    pub(crate) committed: Handle<u64>,
}
