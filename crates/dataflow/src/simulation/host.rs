//! A simulated machine on which a generation of a job runs: its clock, its lanes, its way to the outside.
//!
//! What lanes are to do waits here until the scheduler runs it. A dead host does nothing any more: whatever
//! its code still tries fails.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use alert::{Deliverer, Delivery, Sink, SinkError, SinkSpec};
use archive::Archive;
use checkpoint::{LocalDisk, Store, StoreError};
use event::Watermark;
use ingest::{DecodeSpec, IngestError, Partition, PartitionInfo, Position};

use super::Scenario;
use super::disk::{Fault, SimulatedDisk, SimulatedFiles};
use super::random::Random;
use super::sink::{Reader, SimulatedSink};
use super::source::SimulatedPartition;
use super::wakings::Wakings;
use crate::plant::Plant;
use crate::world::After;

/// How far the clock for people may be wrong, in microseconds: a year, in either direction.
const WRONG: u64 = 365 * 86_400 * 1_000_000;

/// What all hosts of a simulation share, and what outlives each of them.
pub(crate) struct Outside {
    pub(crate) disk: Mutex<SimulatedDisk>,
    /// What readers of each sink have seen.
    pub(crate) readers: Mutex<Vec<Reader>>,
    /// The bytes of each partition.
    pub(crate) inputs: Vec<Arc<[u8]>>,
    /// Parts of each partition, of `GATES`, that may be read so far.
    pub(crate) gate: AtomicU64,
    pub(crate) random: Mutex<Random>,
    pub(crate) plant: Option<Plant>,
    /// How much a sink may be given before a delivery is torn by a lack of space.
    pub(crate) full: AtomicBool,
    /// Which host has delivered which checkpoint, since somebody last looked.
    pub(crate) delivered: Mutex<Vec<(u64, u64)>>,
    /// Bytes of each partition that were given to anyone.
    pub(crate) given: Vec<AtomicUsize>,
    /// Whether partitions fall silent.
    silences: bool,
    /// The partitions from which each goes on.
    parents: Vec<Vec<u32>>,
    newcomers: Vec<u32>,
    pub(crate) wakings: Mutex<Wakings>,
    /// Words that were said, by all hosts.
    pub(crate) said: Mutex<Vec<String>>,
    base: Instant,
    /// Microseconds since `base`.
    clock: AtomicU64,
    nonces: AtomicU64,
}

/// Into how many parts a gate cuts a partition.
pub(crate) const GATES: u64 = 1 << 16;

impl Outside {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let Scenario { seed, plant, silences, .. } = *scenario;
        let (inputs, sinks) = (scenario.inputs.clone(), scenario.job.sinks.len());
        Outside {
            silences,
            parents: scenario.parents.clone(),
            newcomers: scenario.newcomers.clone(),
            given: inputs.iter().map(|_| AtomicUsize::new(0)).collect(),
            wakings: Mutex::new(Wakings::new(inputs.len())),
            disk: Mutex::default(),
            readers: Mutex::new((0..sinks).map(|_| Reader::default()).collect()),
            inputs: inputs.into_iter().map(Arc::from).collect(),
            gate: AtomicU64::new(0),
            random: Mutex::new(Random::new(seed)),
            plant,
            full: AtomicBool::new(false),
            delivered: Mutex::default(),
            said: Mutex::default(),
            base: Instant::now(),
            clock: AtomicU64::new(0),
            nonces: AtomicU64::new(seed << 20),
        }
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.fetch_add(time.as_micros() as u64, Ordering::Relaxed);
    }

    pub(crate) fn micros(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    /// Whether partitions fall silent.
    pub(crate) fn has_silences(&self) -> bool {
        self.silences
    }

    /// The partitions from which one goes on.
    fn parents(&self, number: u32) -> Vec<u32> {
        self.parents.get(number as usize).cloned().unwrap_or_default()
    }

    /// The partitions that go on from one.
    pub(crate) fn children(&self, number: u32) -> Vec<u32> {
        let all = 0..self.parents.len() as u32;
        all.filter(|child| self.parents(*child).contains(&number)).collect()
    }

    /// Whether a partition that comes later is there.
    fn has_come(&self, number: u32) -> bool {
        // Never all at once, though the last ones come together, and before the others can be at their end.
        let part = GATES / 8 * (1 + u64::from(number.min(6) % 5));
        !self.newcomers.contains(&number) || self.gate.load(Ordering::Relaxed) >= part
    }

    pub(crate) fn random(&self) -> MutexGuard<'_, Random> {
        lock(&self.random)
    }
}

pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A machine.
pub(crate) struct Host {
    pub(crate) outside: Arc<Outside>,
    /// Counts the hosts of a simulation.
    pub(crate) number: u64,
    lanes: Mutex<Vec<Queue>>,
    dead: AtomicBool,
    /// Partitions that were opened on it.
    opened: Mutex<BTreeSet<u32>>,
    /// Whether it is opening its store.
    pub(crate) opening: AtomicBool,
    /// What is to go wrong.
    pub(crate) fault: Mutex<Fault>,
    /// What somebody else does just before it next creates a manifest.
    pub(crate) rival: Mutex<Option<Rival>>,
}

/// What a host does while another one is in the middle of something.
pub(crate) type Rival = Box<dyn FnOnce() + Send>;

impl fmt::Debug for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Host {}", self.number)
    }
}

type Work = Box<dyn FnMut() -> After + Send>;

/// What a lane is to do.
#[derive(Default)]
struct Queue {
    work: VecDeque<Work>,
    stopped: bool,
}

/// The work of a lane on its orders.
type OnOrder<T> = Arc<Mutex<dyn FnMut(&mut T) -> After + Send>>;

/// A lane whose orders the scheduler has worked on.
pub(crate) struct SimulatedLane<T> {
    host: Arc<Host>,
    lane: usize,
    work: OnOrder<T>,
}

impl<T> Clone for SimulatedLane<T> {
    fn clone(&self) -> Self {
        SimulatedLane { host: Arc::clone(&self.host), lane: self.lane, work: Arc::clone(&self.work) }
    }
}

impl<T: Send + 'static> SimulatedLane<T> {
    pub(crate) fn new(
        host: &Arc<Host>,
        _name: &str,
        work: impl FnMut(&mut T) -> After + Send + 'static,
    ) -> Self {
        let mut lanes = lock(&host.lanes);
        lanes.push(Queue::default());
        SimulatedLane { host: Arc::clone(host), lane: lanes.len() - 1, work: Arc::new(Mutex::new(work)) }
    }

    pub(crate) fn send(&self, mut order: T) {
        let work = Arc::clone(&self.work);
        let queue = &mut lock(&self.host.lanes)[self.lane];
        if !queue.stopped {
            queue.work.push_back(Box::new(move || (lock(&work))(&mut order)));
        }
    }
}

impl<T: Send + 'static> SimulatedLane<T> {
    /// Works on all that was sent.
    pub(crate) fn help(&self) {
        while self.host.busy_lanes().contains(&self.lane) {
            self.host.run_lane(self.lane);
        }
    }
}

impl Host {
    pub(crate) fn new(outside: &Arc<Outside>, number: u64) -> Arc<Self> {
        Arc::new(Host {
            outside: Arc::clone(outside),
            number,
            lanes: Mutex::default(),
            dead: AtomicBool::new(false),
            opened: Mutex::default(),
            opening: AtomicBool::new(false),
            fault: Mutex::default(),
            rival: Mutex::default(),
        })
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// From now on nothing that it does has an effect.
    pub(crate) fn kill(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    /// Forgets what lanes were to do, and with it what the work holds.
    pub(crate) fn clear(&self) {
        let queues: Vec<Queue> = lock(&self.lanes).drain(..).collect();
        drop(queues);
    }

    /// Lanes that have something to do.
    pub(crate) fn busy_lanes(&self) -> Vec<usize> {
        let lanes = lock(&self.lanes);
        (0..lanes.len()).filter(|lane| !lanes[*lane].work.is_empty()).collect()
    }

    /// Does the first thing that a lane is to do.
    pub(crate) fn run_lane(&self, lane: usize) {
        let Some(mut work) = lock(&self.lanes)[lane].work.pop_front() else { return };
        let after = work();
        let queue = &mut lock(&self.lanes)[lane];
        match after {
            After::Done => {}
            After::Again(_) => queue.work.push_front(work),
            After::Stop => {
                queue.stopped = true;
                queue.work.clear();
            }
        }
    }

    pub(crate) fn has(&self, plant: Plant) -> bool {
        self.outside.plant == Some(plant)
    }

    /// Asking takes a moment, so that loops that look at the clock end.
    pub(crate) fn now(&self) -> Instant {
        self.outside.pass(Duration::from_micros(1));
        self.outside.base + Duration::from_micros(self.outside.micros())
    }

    /// Jumps each time it is asked.
    pub(crate) fn wall(&self) -> i64 {
        self.outside.micros() as i64 + self.outside.random().below(2 * WRONG) as i64 - WRONG as i64
    }

    /// Notes that a partition woke.
    pub(crate) fn woke(&self, partition: u32, offset: u64, watermark: Watermark) {
        lock(&self.outside.wakings).note(self.number, partition as usize, offset, watermark);
    }

    pub(crate) fn nonce(&self) -> u64 {
        self.outside.nonces.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn say(&self, words: &str) {
        lock(&self.outside.said).push(words.to_owned());
    }

    pub(crate) fn partitions(&self) -> Vec<PartitionInfo> {
        self.infos(|number| !self.outside.newcomers.contains(&number))
    }

    fn infos(&self, is_there: impl Fn(u32) -> bool) -> Vec<PartitionInfo> {
        let numbers = (0..self.outside.inputs.len() as u32).filter(|number| is_there(*number));
        let info = |number| {
            let (id, start) = (format!("simulated#{number}"), Position::stdin(0));
            PartitionInfo { id, number, series: number, start, parents: self.outside.parents(number) }
        };
        numbers.map(info).collect()
    }

    /// Whether partitions come while a job runs.
    pub(crate) fn grows(&self) -> bool {
        !self.outside.newcomers.is_empty()
    }

    /// Whether some of those are not read yet on this host.
    pub(crate) fn awaits_more(&self) -> bool {
        let opened = lock(&self.opened);
        self.outside.newcomers.iter().any(|number| !opened.contains(number))
    }

    /// All partitions that there are by now.
    pub(crate) fn found(&self) -> Vec<(usize, Result<Vec<PartitionInfo>, IngestError>)> {
        vec![(0, Ok(self.infos(|number| self.outside.has_come(number))))]
    }

    pub(crate) fn open_partition(
        &self,
        decode: &DecodeSpec,
        number: u32,
        position: &Position,
        counts: Watermark,
    ) -> Box<dyn Partition> {
        let outside = Arc::clone(&self.outside);
        lock(&self.opened).insert(number);
        lock(&outside.wakings).opened(self.number, number as usize, position.offset, counts);
        Box::new(SimulatedPartition::open(outside, decode.clone(), number as usize, position.offset))
    }

    pub(crate) fn open_store(self: &Arc<Self>, dir: &Path) -> Result<Store, StoreError> {
        let files = SimulatedFiles { host: Arc::clone(self) };
        let failed = |source| StoreError::Io { action: "create", path: dir.to_owned(), source };
        self.opening.store(true, Ordering::Relaxed);
        let disk = LocalDisk::open(dir, &["segments", "checkpoints"], files);
        self.opening.store(false, Ordering::Relaxed);
        let disk = disk.map_err(failed)?;
        Ok(Store::on(Arc::new(disk), dir.to_owned()))
    }

    pub(crate) fn open_archive(self: &Arc<Self>, dir: &str) -> Archive {
        let disk = LocalDisk::existing(Path::new(dir), SimulatedFiles { host: Arc::clone(self) });
        Archive::on(Arc::new(disk), dir.into())
    }

    pub(crate) fn open_sink(
        self: &Arc<Self>,
        spec: &SinkSpec,
        deliverer: &Deliverer,
        deliveries: &[Delivery],
    ) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(SimulatedSink::open(self, spec, deliverer, deliveries)?))
    }
}
