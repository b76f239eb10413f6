//! The workers of a simulated host: real ones of timely, each on a thread that steps only when it is told to.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use timely::WorkerConfig;
use timely::communication::allocator::{Allocator, AllocatorBuilder, ProcessBuilder};
use timely::communication::{Hooks, WorkerGuards, initialize_from};
use timely::worker::{ProgressMode, Worker};

use super::host::{Host, lock};
use crate::job::{Cluster, Control, Job, RunError, Summary};
use crate::member::Register;
use crate::operators::deliver::Writer;
use crate::run::{Lead, Led, Start, lead};
use crate::worker::Outcome;
use crate::world::World;

/// What a worker is told.
enum Grant {
    Build,
    Step(u64),
}

/// A worker on its thread.
struct Puppet {
    grants: Option<Sender<Grant>>,
    /// Whether there is more to do.
    answers: Receiver<bool>,
    over: bool,
}

/// The other ends of a puppet's strings.
type Strings = (Receiver<Grant>, Sender<bool>);

/// A generation of the job on a host.
pub(crate) struct Workers {
    pub(crate) host: Arc<Host>,
    pub(crate) control: Arc<Control>,
    outcome: Arc<Outcome>,
    summary: Arc<Mutex<Option<Summary>>>,
    puppets: Vec<Puppet>,
    threads: Option<WorkerGuards<()>>,
}

/// What starting a generation came to.
pub(crate) enum Started {
    Workers(Workers),
    Finished(Summary),
}

impl Workers {
    /// Starts a generation, as `run` does. With `bytes` what workers say to one another goes through bytes,
    /// as between processes.
    pub(crate) fn start(
        job: &Arc<Job>,
        host: &Arc<Host>,
        count: usize,
        bytes: bool,
    ) -> Result<Started, RunError> {
        let cluster = Cluster { workers: count, process: 0, hosts: Vec::new() };
        let world = World::Simulated(Arc::clone(host));
        let (control, outcome) = (Arc::new(Control::default()), Arc::new(Outcome::default()));
        let Led { recovery, members, writer, summary } = match lead(job, &cluster, &world, &control)? {
            Lead::Finished(summary) => return Ok(Started::Finished(summary)),
            Lead::Led(led) => *led,
        };
        let start = Arc::new(Start {
            job: Arc::clone(job),
            threads: if bytes { 1 } else { count },
            control: Arc::clone(&control),
            outcome: Arc::clone(&outcome),
            space: Arc::default(),
            paces: job.sources.iter().map(|_| None).collect(),
            recovery,
            register: Arc::new(Register::of(&members)),
            members,
        });
        let writer = Arc::new(Mutex::new(writer));
        let refill = Hooks::default().refill;
        let builders = match bytes {
            true => ProcessBuilder::new_bytes_vector(count, refill, None),
            false => ProcessBuilder::new_typed_vector(count, refill, None),
        };
        let builders = builders.into_iter().map(AllocatorBuilder::Process).collect();
        let (puppets, strings): (Vec<Puppet>, Vec<_>) = (0..count).map(|_| Puppet::new()).unzip();
        let strings = Mutex::new(strings);
        let work = move |allocator: Allocator| {
            let taken = lock(&strings)[allocator.index()].take();
            if let Some(strings) = taken {
                perform(allocator, strings, &start, &writer);
            }
        };
        let threads = Some(initialize_from(builders, Box::new(()), work).map_err(RunError::Died)?);
        let mut workers = Workers { host: Arc::clone(host), control, outcome, summary, puppets, threads };
        (0..count).for_each(|worker| workers.grant(worker, Grant::Build));
        Ok(Started::Workers(workers))
    }

    fn grant(&mut self, worker: usize, grant: Grant) {
        let puppet = &mut self.puppets[worker];
        let granted = puppet.grants.as_ref().is_some_and(|grants| grants.send(grant).is_ok());
        match puppet.answers.recv() {
            Ok(more) if granted => puppet.over = !more,
            _ => {
                puppet.over = true;
                self.outcome.fail(RunError::Panicked(format!("worker {worker} panicked")));
            }
        }
    }

    /// Lets a worker step so many times.
    pub(crate) fn step(&mut self, worker: usize, times: u64) {
        self.grant(worker, Grant::Step(times));
    }

    /// Workers that have something left to do.
    pub(crate) fn active(&self) -> Vec<usize> {
        (0..self.puppets.len()).filter(|worker| !self.puppets[*worker].over).collect()
    }

    pub(crate) fn failure(&self) -> Option<RunError> {
        self.outcome.take()
    }

    pub(crate) fn summary(&self) -> Option<Summary> {
        lock(&self.summary).clone()
    }
}

impl Drop for Workers {
    /// The host dies, with all that its workers and lanes hold.
    fn drop(&mut self) {
        self.host.kill();
        self.puppets.iter_mut().for_each(|puppet| puppet.grants = None);
        // One that panicked has said so.
        self.threads.take().into_iter().for_each(|threads| threads.join().into_iter().for_each(drop));
        self.host.clear();
    }
}

impl Puppet {
    fn new() -> (Self, Option<Strings>) {
        let (grants, orders) = channel();
        let (done, answers) = channel();
        (Puppet { grants: Some(grants), answers, over: false }, Some((orders, done)))
    }
}

/// What a worker's thread does: what it is told, until its strings are cut.
fn perform(allocator: Allocator, (orders, done): Strings, start: &Start, writer: &Mutex<Option<Writer>>) {
    let config = WorkerConfig::default().progress_mode(ProgressMode::Eager);
    let mut worker = Worker::new(config, allocator, None);
    while let Ok(grant) = orders.recv() {
        obey(grant, &mut worker, start, writer);
        if done.send(worker.has_dataflows()).is_err() {
            break;
        }
    }
    worker.installed_dataflows().into_iter().for_each(|dataflow| worker.drop_dataflow(dataflow));
}

fn obey(grant: Grant, worker: &mut Worker, start: &Start, writer: &Mutex<Option<Writer>>) {
    match grant {
        Grant::Build => {
            let here = start.here(worker);
            if let Err(error) = start.build(worker, &here, writer) {
                start.outcome.fail(error);
            }
        }
        Grant::Step(times) => {
            for _ in 0..times {
                if !start.outcome.has_failed() {
                    worker.step();
                }
            }
        }
    }
}
