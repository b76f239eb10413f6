//! Runs a job: recover, join the cluster, build the graph on every worker, wait for the end.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use checkpoint::{Manifest, SourceState, Stage, StoreError};
use event::{Epoch, Watermark};
use timely::WorkerConfig;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::allocator::{AllocatorBuilder, ProcessBuilder};
use timely::communication::{Hooks, WorkerGuards};
use timely::execute::execute_from;
use timely::worker::{ProgressMode, Worker};

use crate::asking::Record;
use crate::branches::Branches;
use crate::delivery::Plan;
use crate::followed::Followed;
use crate::indexing;
use crate::intake::{self, Intake, Opened};
use crate::job::{Beginning, Cluster, Control, Job, RunError, Summary};
use crate::listing;
use crate::member::{Member, Members, Register, members};
use crate::mesh::{self, Agreed, Joined, Mesh};
use crate::nursery::Nursery;
use crate::operators::deliver::Writer;
use crate::operators::detect::Judging;
use crate::operators::gather::Gathered;
use crate::operators::read::Reader;
use crate::operators::window::Restored;
use crate::pace::{Pace, Share};
use crate::panics;
use crate::plant::Plant;
use crate::recovery::{Recovery, find_finished, newest_number, recover};
use crate::scout::Scout;
use crate::space::{Space, once_it_is_taken, once_there_is_space};
use crate::standing::{Global, Heard, Standing};
use crate::worker::{Here, Outcome};
use crate::world::World;

/// How long a worker sleeps at most before it looks whether another has failed.
const PARK: Duration = Duration::from_millis(20);
/// How often a start tries to fence the state.
const FENCES_MAX: usize = 5;
/// How long a worker polls before it parks. An epoch takes some hops between workers, each of which would wait
/// for a thread to wake up: with 20 us here an alert comes twice as late. What it costs is bounded by the number of
/// wakings: at 50,000 events/s a fifth of a core per worker, without events nothing.
const SPIN: Duration = Duration::from_micros(100);

/// Where the other processes of a job find this one; nowhere if it is alone.
pub struct Port(Option<Mesh>);

/// Listens for the other processes. To be called before anything is asked of a state, which may be away for longer
/// than a process may be gone.
///
/// # Errors
/// If token, certificates or hosts are refused, or the port is taken.
pub fn listen(job: &Job, cluster: &Cluster) -> Result<Port, RunError> {
    mesh::open(cluster, &job.mesh).map(Port)
}

/// Runs a job until its input ends or it is asked to drain.
///
/// Blocks. In a cluster of processes every one of them calls this with the same job; only process 0 knows
/// the totals. `port` is what [`listen`] has opened for them.
///
/// # Errors
/// If source, sink or state fail or are refused ([`RunError::is_refusal`]), or a process or a thread died.
/// After an error of this kind threads may still be there: the program should exit.
pub fn run(job: Arc<Job>, cluster: Cluster, port: Port, control: Arc<Control>) -> Result<Summary, RunError> {
    let Port(mesh) = port;
    let world = World::Real;
    let outcome = Arc::new(Outcome::default());
    panics::watch(&outcome, &control);
    // The first process leads: it fences the state before the others may read it.
    let led = match cluster.process {
        // A job that begins on a full disk is no worse off than one whose disk fills up later.
        0 => match once_there_is_space(&control, || lead(&job, &cluster, &world, &control))? {
            Lead::Finished(summary) => return Ok(summary),
            Lead::Led(led) => Some(*led),
        },
        _ => match find_finished(&job, &world)? {
            Some(summary) => return Ok(summary),
            None => {
                job.prepare_models()?;
                None
            }
        },
    };
    let begun = mesh.is_some() && has_begun(&job, led.as_ref(), &world)?;
    let allocated = allocate(&job, &cluster, mesh, led.as_ref(), begun, &outcome, &control);
    let Allocated { builders, others, agreed, told } = match allocated {
        Err(RunError::Stopped) => return Ok(stopped(led.as_ref())),
        allocated => allocated?,
    };
    let led = match led {
        Some(led) => Ok(led),
        None => follow(&job, agreed, told, &world),
    };
    let Led { recovery, members, writer, summary } = match led {
        Ok(led) => led,
        Err(error) => {
            // Dropped, they would wait for peers that wait for this process: the program is to exit.
            std::mem::forget((builders, others));
            return Err(error);
        }
    };
    let paces = paces(&job, &cluster, &members);
    let told = Arc::clone(&control);
    let threads = cluster.workers;
    let start = Start {
        paces,
        job,
        threads,
        control,
        outcome: Arc::clone(&outcome),
        recovery,
        register: Arc::new(Register::of(&members)),
        members,
        space: Arc::default(),
    };
    let writer = Mutex::new(writer);
    let work = move |worker: &mut Worker| start.work(worker, &writer);
    let config = WorkerConfig::default().progress_mode(ProgressMode::Eager).idle_spin(SPIN);
    let guards = execute_from(builders, others, config, work).map_err(RunError::Died)?;
    finish(guards, &outcome)?;
    let summary = summary.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(summary.unwrap_or_else(|| Summary { finished: !told.is_draining(), ..Summary::of_nothing() }))
}

/// Shares the rate of each source out to the processes: by the partitions that they read, or evenly where those come
/// and go.
fn paces(job: &Job, cluster: &Cluster, members: &Members) -> Vec<Option<Arc<Pace>>> {
    let processes = cluster.hosts.len().max(1);
    let peers = cluster.workers * processes;
    let paces = job.sources.iter().enumerate().map(|(source, spec)| {
        // Those of a source that stays as it is are opened although they are finished, and leave their part then.
        let opened =
            |state: &SourceState| is_read(state) || (!spec.kind.grows() && state.stage == Stage::Finished);
        let read =
            members.values().filter(|(member, state)| member.source as usize == source && opened(state));
        let (all, own) = read.fold((0, 0), |(all, own), (member, _)| {
            (all + 1, own + usize::from(member.owner(peers) / cluster.workers == cluster.process))
        });
        let part = match spec.kind.grows() {
            true => 1.0 / processes as f64,
            false => own as f64 / f64::from(all.max(1)),
        };
        spec.rate.map(|rate| Arc::new(Pace::new(rate * part, own)))
    });
    paces.collect()
}

/// Whether a partition is read from the beginning of a run.
fn is_read(state: &SourceState) -> bool {
    matches!(state.stage, Stage::Awake | Stage::Asleep)
}

/// Worker threads, alone or joined with other processes.
struct Allocated {
    builders: Vec<AllocatorBuilder>,
    others: Box<dyn Any + Send>,
    /// What the processes go on from.
    agreed: Agreed,
    /// The partitions, if the first process has said which there are.
    told: Option<Members>,
}

fn allocate(
    job: &Job,
    cluster: &Cluster,
    mesh: Option<Mesh>,
    led: Option<&Led>,
    begun: bool,
    outcome: &Arc<Outcome>,
    control: &Control,
) -> Result<Allocated, RunError> {
    let known = led.map(|Led { recovery, .. }| Agreed {
        generation: recovery.generation,
        checkpoint: recovery.checkpoint(),
    });
    let hooks = Hooks::default();
    let threads = ProcessBuilder::new_typed_vector(cluster.workers, hooks.refill.clone(), None);
    let Some(mesh) = mesh else {
        let builders = threads.into_iter().map(AllocatorBuilder::Process).collect();
        let agreed = known.unwrap_or_default();
        return Ok(Allocated { builders, others: Box::new(()), agreed, told: None });
    };
    let Joined { mut sockets, agreed } = mesh.join(fingerprint(job), known, begun, outcome, control)?;
    let told = match (&job.state, led) {
        (Some(_), _) => None,
        (None, Some(led)) => listing::tell(&led.members, &mut sockets).map(|()| None)?,
        (None, None) => sockets[0].as_mut().map(listing::hear).transpose()?,
    };
    let failed = |error: std::io::Error| RunError::Mesh(format!("set up the mesh: {error}"));
    let (builders, guard) =
        initialize_networking_from_sockets(threads, sockets, cluster.process, cluster.workers, hooks)
            .map_err(failed)?;
    let builders = builders.into_iter().map(AllocatorBuilder::Tcp).collect();
    Ok(Allocated { builders, others: Box::new(guard), agreed, told })
}

/// Whether the job has read anything since it was first started.
fn has_begun(job: &Job, led: Option<&Led>, world: &World) -> Result<bool, RunError> {
    let reads = |manifest: &Manifest| manifest.counts.read > 0;
    match (led, &job.state) {
        (Some(led), _) => Ok(led.recovery.manifest.as_deref().is_some_and(reads)),
        (None, Some(state)) => {
            Ok(world.open_store(&state.location)?.newest_readable()?.as_ref().is_some_and(reads))
        }
        (None, None) => Ok(false),
    }
}

/// Tells jobs apart that processes of one cluster must share.
fn fingerprint(job: &Job) -> u64 {
    let mut text = job.name.clone();
    for (name, value) in &job.identity {
        text.push_str(&format!("\n{name}={value}"));
    }
    event::key_hash(text.as_bytes())
}

/// What a process starts from.
pub(crate) struct Led {
    pub(crate) recovery: Recovery,
    pub(crate) members: Members,
    /// For the worker that delivers; only the first process has it.
    pub(crate) writer: Option<Writer>,
    /// Where that worker leaves the totals.
    pub(crate) summary: Arc<Mutex<Option<Summary>>>,
}

/// What the first process came to.
pub(crate) enum Lead {
    /// The job is finished, and its sinks are complete.
    Finished(Summary),
    Led(Box<Led>),
}

/// What the first process does before the others may go on: completes the sinks, fences the state.
///
/// Somebody may commit between the look and the fence: a process that is about to find out that it is dead,
/// or a server that carries out late what it was asked for. Then what was looked at is old, and all is done
/// again. Whoever loses again and again is not alone.
pub(crate) fn lead(
    job: &Job,
    cluster: &Cluster,
    world: &World,
    control: &Arc<Control>,
) -> Result<Lead, RunError> {
    for _ in 1..FENCES_MAX {
        let before = newest_number(job, world)?;
        match try_to_lead(job, cluster, world, control) {
            Err(RunError::Store(StoreError::Taken { .. })) => {}
            // An output that is ahead of what was looked at, say, or a part that has just been removed.
            Err(error) if error.is_refusal() && newest_number(job, world)? != before => {}
            led => return led,
        }
    }
    try_to_lead(job, cluster, world, control)
}

fn try_to_lead(
    job: &Job,
    cluster: &Cluster,
    world: &World,
    control: &Arc<Control>,
) -> Result<Lead, RunError> {
    let mut recovery = recover(job, job.state.as_ref().map(|state| state.from).unwrap_or_default(), world)?;
    if recovery.finished().is_none() {
        job.prepare_models()?;
    }
    let mut sinks = recovery.open_sinks(job)?;
    for open in &mut sinks {
        once_it_is_taken(control, || open.sink.settle())?;
    }
    recovery.show_archived()?;
    if let Some(summary) = recovery.finished() {
        return Ok(Lead::Finished(summary));
    }
    let manifest = recovery.manifest.clone();
    let members = members(job, manifest.as_deref(), world)?;
    let sources: BTreeMap<u32, SourceState> =
        members.iter().map(|(ordinal, (_, state))| (*ordinal, state.clone())).collect();
    let peers = cluster.workers * cluster.hosts.len().max(1);
    recovery.fence(job, peers, &sinks, &sources)?;
    let summary = Arc::default();
    let counts = manifest.filter(|_| !world.has(Plant::ForgetCounts)).map(|manifest| manifest.counts);
    let writer = Writer {
        sinks,
        store: recovery.store.clone(),
        archive: recovery.archive.clone(),
        plan: Plan {
            generation: recovery.generation,
            born: recovery.manifest.as_deref().map_or(recovery.generation, |manifest| manifest.born),
            peers: peers as u32,
        },
        global: Global::new(first_standings(&members, peers), recovery.watermark()),
        counts: counts.unwrap_or_default(),
        held: recovery.held(job),
        capped: recovery.capped(job),
        sources,
        summary: Arc::clone(&summary),
    };
    Ok(Lead::Led(Box::new(Led { recovery, members, writer: Some(writer), summary })))
}

/// What workers say of those partitions that have not said anything yet.
fn first_standings(members: &Members, peers: usize) -> Vec<Standing> {
    let read = members.values().filter(|(_, state)| is_read(state));
    let readers: BTreeSet<usize> = read.map(|(member, _)| member.owner(peers)).collect();
    Standing::first_of(peers, |worker| readers.contains(&worker))
}

/// What the other processes do: they go on from where the first one does, with the partitions that it has told them or
/// that its checkpoint has.
fn follow(job: &Job, agreed: Agreed, told: Option<Members>, world: &World) -> Result<Led, RunError> {
    let recovery = match recover(job, Beginning::Checkpoint(agreed.checkpoint), world) {
        Err(RunError::Store(StoreError::Unknown { number, dir })) => {
            let newest = recover(job, Beginning::Scratch, world)?.newest;
            Err(if newest > Some(number) {
                RunError::Lost(format!("process 0 was started again: checkpoint {number} was its last one's"))
            } else {
                RunError::MeshRefused(format!(
                    "process 0 goes on from checkpoint {number}, which is not in {}; \
                     `state.dir` must be a path that all processes share",
                    dir.display()
                ))
            })
        }
        recovered => recovered,
    }?;
    let members = match told {
        Some(told) => told,
        None => members(job, recovery.manifest.as_deref(), world)?,
    };
    Ok(Led { recovery, members, writer: None, summary: Arc::default() })
}

/// A job that was told to stop before it began: it is where the checkpoint was that it would have gone on from.
fn stopped(led: Option<&Led>) -> Summary {
    let found = led.and_then(|led| led.recovery.manifest.as_deref());
    found.map_or_else(Summary::of_nothing, Summary::at)
}

/// What every worker of this process starts from.
pub(crate) struct Start {
    pub(crate) job: Arc<Job>,
    /// Workers of this process.
    pub(crate) threads: usize,
    pub(crate) control: Arc<Control>,
    pub(crate) outcome: Arc<Outcome>,
    pub(crate) space: Arc<Space>,
    pub(crate) recovery: Recovery,
    /// The partitions as the run begins.
    pub(crate) members: Members,
    /// What this process knows of all partitions.
    pub(crate) register: Arc<Register>,
    /// The rate of each source, as far as this process reads it.
    pub(crate) paces: Vec<Option<Arc<Pace>>>,
}

impl Start {
    /// The place of a worker.
    pub(crate) fn here(&self, worker: &Worker) -> Here {
        Here {
            job: Arc::clone(&self.job),
            control: Arc::clone(&self.control),
            outcome: Arc::clone(&self.outcome),
            partitions: Arc::clone(&self.register),
            worker: worker.index(),
            peers: worker.peers(),
            threads: self.threads,
            first_interval: self.recovery.first_interval(),
            space: Arc::clone(&self.space),
            world: self.recovery.world.clone(),
            nonce: self.recovery.world.nonce(),
        }
    }

    fn work(&self, worker: &mut Worker, writer: &Mutex<Option<Writer>>) {
        panics::work_for(&self.outcome);
        let here = self.here(worker);
        let built = self.build(worker, &here, writer);
        if let Err(error) = built {
            here.outcome.fail(error);
        }
        // Beside the one of its reading: a worker may have nothing to read, or nothing more.
        let pulse = here.control.vitals().pulse();
        while !here.outcome.has_failed() && worker.has_dataflows() {
            pulse.beat();
            worker.step_or_park(Some(PARK));
        }
        drop(pulse);
        if here.outcome.has_failed() {
            // What is left of the dataflow must not be stepped again: some of it is gone.
            worker.installed_dataflows().into_iter().for_each(|dataflow| worker.drop_dataflow(dataflow));
        }
    }

    /// Loads a worker's part of the state and builds its part of the graph.
    pub(crate) fn build(
        &self,
        worker: &mut Worker,
        here: &Here,
        writer: &Mutex<Option<Writer>>,
    ) -> Result<(), RunError> {
        let heard = Rc::new(Heard::new(Epoch::first_of(here.first_interval)));
        let reader = self.reader(here, Rc::clone(&heard))?;
        let mut branches = Branches::new(&self.job);
        let before = here.world.now();
        self.recovery.restore(branches.kept(), here.worker, here.peers)?;
        let mut followed = Followed::of(&self.job, here.worker);
        self.recovery.restore_followed(&mut followed, here.worker, here.peers)?;
        here.control.vitals().loaded_in(here.world.now().saturating_duration_since(before));
        let global = Global::new(first_standings(&self.members, here.peers), self.recovery.watermark());
        heard.learn(&global);
        let store = self.recovery.store.clone();
        let judging = Judging {
            followed,
            store: store.clone().filter(|_| self.job.follows_keys()),
            record: store
                .clone()
                .zip(self.recovery.manifest.as_deref())
                .map(|(store, manifest)| Record { store, born: manifest.born }),
            gathered: Rc::new(Gathered::new(Epoch::first_of(here.first_interval))),
        };
        let keyed = Restored { branches, global, store, heard };
        let writer = match here.worker {
            0 => writer.lock().unwrap_or_else(PoisonError::into_inner).take(),
            _ => None,
        };
        worker.dataflow::<u64, _, _>(|scope| {
            crate::graph::build(scope, here, reader, (keyed, judging), writer)
        });
        Ok(())
    }

    /// What a worker reads, and is to read later.
    fn reader(&self, here: &Here, heard: Rc<Heard>) -> Result<Reader, RunError> {
        let own = self.members.values().filter(|(member, _)| member.owner(here.peers) == here.worker);
        let (mut intakes, mut waiting, mut finished) = (Vec::new(), Vec::new(), Watermark::NONE);
        for (member, state) in own {
            match state.stage {
                Stage::Unborn => waiting.push(member.clone()),
                Stage::Finished if here.world.grows(&self.job.sources[member.source as usize]) => {
                    finished = finished.max(state.watermark);
                }
                Stage::Awake | Stage::Asleep | Stage::Finished => {
                    intakes.push(self.intake(member, state, here)?)
                }
            }
        }
        let scout = match here.worker {
            0 => Scout::start(&self.job, &self.members, &here.world)?,
            _ => None,
        };
        let (nursery, paces) = (Nursery::new(waiting, scout), self.paces.clone());
        let archive = self.recovery.archive.clone();
        Ok(Reader { intakes, nursery, paces, finished, heard, archive })
    }

    /// Opens a partition where it is to be read on.
    fn intake(&self, member: &Member, state: &SourceState, here: &Here) -> Result<Intake, RunError> {
        let source = member.source as usize;
        if self.job.sources[source].kind.is_of_first_process() && here.worker >= here.threads {
            return Err(RunError::OnlyFirstProcess(self.job.sources[source].name.clone()));
        }
        let (position, watermark) = self.recovery.partition(state, self.job.watermark)?;
        let (spec, decode) = (&self.job.sources[source], &self.job.decode);
        let asleep = state.stage == Stage::Asleep;
        let counts = if asleep { Watermark::NONE } else { watermark.watermark() };
        let partition = here.world.open_partition(spec, decode, &member.info, &position, counts)?;
        let beginning = if asleep { intake::Beginning::Asleep } else { intake::Beginning::Awake };
        let index = indexing::decoded(state)?;
        let opened = Opened { member: member.clone(), partition, watermark, beginning, index };
        Ok(Intake::new(opened, self.paces[source].clone().map(Share::of), here))
    }
}

/// Waits for the workers. After a failure it does not wait for the network's threads, which may hang.
fn finish(guards: WorkerGuards<()>, outcome: &Arc<Outcome>) -> Result<(), RunError> {
    let guards = std::mem::ManuallyDrop::new(guards);
    while !outcome.has_failed() && !guards.guards().iter().all(|guard| guard.is_finished()) {
        std::thread::sleep(Duration::from_millis(1));
    }
    if let Some(error) = outcome.take() {
        return Err(error);
    }
    // What a worker returned is nothing, and a panic has already become the failure.
    drop(std::mem::ManuallyDrop::into_inner(guards).join());
    outcome.take().map_or(Ok(()), Err)
}
