//! What lies outside of a run: the clock, threads, files, sources and sinks.
//!
//! A [`World`] is the real one, or, with the feature `simulation`, one that a scheduler decides over: then
//! time passes when it says so, and what threads would do waits until it is that work's turn.
//!
//! Nothing here is asked per record.

use std::fmt;
use std::io;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use alert::{
    Deliverer, Mode, Sink, SinkError, SinkKind, SinkSpec, open_fresh, resume_after_at_once, resume_at_once,
    resume_exactly_once,
};
use archive::{Archive, ArchiveError};
use checkpoint::{Location, Store, StoreError};
use event::Watermark;
use ingest::{DecodeSpec, End, IngestError, Partition, PartitionInfo, Position, SourceSpec};
#[cfg(feature = "archive")]
use ingest::{SourceKind, Start};
use timely::scheduling::Activator;

use crate::delivery::Before;
use crate::plant::Plant;
#[cfg(feature = "simulation")]
use crate::simulation::host::{Host, SimulatedLane};

/// What lies outside of a run.
#[derive(Debug, Clone, Default)]
pub(crate) enum World {
    /// This machine.
    #[default]
    Real,
    /// What a scheduler makes of it.
    #[cfg(feature = "simulation")]
    Simulated(std::sync::Arc<Host>),
}

/// What is to happen to an order after it was worked on.
pub(crate) enum After {
    /// It is done.
    Done,
    /// It is to be worked on again, after a while.
    Again(Duration),
    /// It failed: no more orders are taken.
    Stop,
}

/// A place where orders are worked on, one after the other, beside the workers.
pub(crate) enum Lane<T> {
    Thread(Sender<T>),
    #[cfg(feature = "simulation")]
    Simulated(SimulatedLane<T>),
}

impl<T> Clone for Lane<T> {
    fn clone(&self) -> Self {
        match self {
            Lane::Thread(orders) => Lane::Thread(orders.clone()),
            #[cfg(feature = "simulation")]
            Lane::Simulated(lane) => Lane::Simulated(lane.clone()),
        }
    }
}

impl<T> fmt::Debug for Lane<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Lane")
    }
}

impl<T: Send + 'static> Lane<T> {
    /// Has an order worked on. One that comes after a failure is not.
    pub(crate) fn send(&self, order: T) {
        match self {
            // A thread that is gone has left its failure behind.
            Lane::Thread(orders) => drop(orders.send(order)),
            #[cfg(feature = "simulation")]
            Lane::Simulated(lane) => lane.send(order),
        }
    }
}

impl<T: Send + 'static> Lane<T> {
    /// Has what was sent worked on before whoever waits for it goes on: a thread does that by itself, while in a
    /// simulation nobody else would.
    pub(crate) fn help(&self) {
        match self {
            Lane::Thread(_) => {}
            #[cfg(feature = "simulation")]
            Lane::Simulated(lane) => lane.help(),
        }
    }
}

/// Has a partition of an archive begin where it ends.
#[cfg(feature = "archive")]
fn pass_over(info: &mut PartitionInfo) {
    if let Some(end) = info.start.archive_end() {
        info.start = Position::archived(end, end);
    }
}

impl World {
    /// Makes a lane: a thread of its own, which ends when the lane is dropped.
    pub(crate) fn lane<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnMut(&mut T) -> After + Send + 'static,
    ) -> io::Result<Lane<T>> {
        match self {
            World::Real => thread(name, work),
            #[cfg(feature = "simulation")]
            World::Simulated(host) => Ok(Lane::Simulated(SimulatedLane::new(host, name, work))),
        }
    }

    /// The time of a clock that never jumps.
    pub(crate) fn now(&self) -> Instant {
        match self {
            World::Real => Instant::now(),
            #[cfg(feature = "simulation")]
            World::Simulated(host) => host.now(),
        }
    }

    /// Microseconds since 1970 by a clock that may jump, for people.
    pub(crate) fn wall(&self) -> i64 {
        match self {
            World::Real => {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
            }
            #[cfg(feature = "simulation")]
            World::Simulated(host) => host.wall(),
        }
    }

    /// A number that nobody else has.
    pub(crate) fn nonce(&self) -> u64 {
        match self {
            World::Real => checkpoint::nonce(),
            #[cfg(feature = "simulation")]
            World::Simulated(host) => host.nonce(),
        }
    }

    /// Has an operator run again after a while.
    pub(crate) fn activate_after(&self, activator: &Activator, delay: Duration) {
        match self {
            World::Real => activator.activate_after(delay),
            // When the worker steps next is the scheduler's choice anyway.
            #[cfg(feature = "simulation")]
            World::Simulated(_) => activator.activate(),
        }
    }

    /// Says something to whoever runs the program.
    pub(crate) fn say(&self, words: &str) {
        match self {
            // Nobody may be there to read it, which is no reason to fall.
            World::Real => drop(io::Write::write_all(&mut io::stderr(), format!("{words}\n").as_bytes())),
            #[cfg(feature = "simulation")]
            World::Simulated(host) => host.say(words),
        }
    }

    /// Notes that a partition woke at an offset, and from which watermark on it counts: a simulation judges by it.
    #[cfg(feature = "simulation")]
    pub(crate) fn woke(&self, partition: u32, offset: u64, watermark: Watermark) {
        if let World::Simulated(host) = self {
            host.woke(partition, offset, watermark);
        }
    }

    /// Notes nothing: only a simulation asks.
    #[cfg(not(feature = "simulation"))]
    pub(crate) const fn woke(&self, _partition: u32, _offset: u64, _watermark: Watermark) {}

    /// Whether that mistake is planted.
    #[cfg(feature = "simulation")]
    pub(crate) fn has(&self, plant: Plant) -> bool {
        matches!(self, World::Simulated(host) if host.has(plant))
    }

    /// Whether that mistake is planted: never in a program that ships.
    #[cfg(not(feature = "simulation"))]
    pub(crate) const fn has(&self, _plant: Plant) -> bool {
        false
    }

    /// All partitions of a source.
    pub(crate) fn partitions(&self, spec: &SourceSpec) -> Result<Vec<PartitionInfo>, IngestError> {
        match self {
            World::Real => match &spec.kind {
                #[cfg(feature = "archive")]
                SourceKind::Archive { address, of } => {
                    let mut infos = archive::partitions(address, of.as_deref(), spec.start.time())?;
                    if spec.start == Start::Latest {
                        infos.iter_mut().for_each(pass_over);
                    }
                    Ok(infos)
                }
                _ => ingest::partitions(spec),
            },
            #[cfg(feature = "simulation")]
            World::Simulated(host) => Ok(host.partitions()),
        }
    }

    /// Whether partitions of a source may come and go.
    pub(crate) fn grows(&self, spec: &SourceSpec) -> bool {
        match self {
            World::Real => spec.kind.grows(),
            #[cfg(feature = "simulation")]
            World::Simulated(host) => host.grows(),
        }
    }

    /// Whether partitions of a source that come while the job runs are read.
    pub(crate) fn takes_in_newcomers(&self, spec: &SourceSpec) -> bool {
        self.grows(spec) && (spec.end == End::Never || !matches!(self, World::Real))
    }

    /// Whether more partitions of a source may come than are read.
    pub(crate) fn awaits_more(&self, spec: &SourceSpec) -> bool {
        match self {
            World::Real => self.takes_in_newcomers(spec),
            #[cfg(feature = "simulation")]
            World::Simulated(host) => host.awaits_more(),
        }
    }

    /// All partitions of sources that a simulation has grow.
    pub(crate) fn found(&self) -> Vec<(usize, Result<Vec<PartitionInfo>, IngestError>)> {
        match self {
            World::Real => Vec::new(),
            #[cfg(feature = "simulation")]
            World::Simulated(host) => host.found(),
        }
    }

    /// Opens a partition of a source, to be read from `position` on. `counts` is the watermark with which it counts from
    /// there on; one that sleeps or joins does not yet.
    #[cfg_attr(not(feature = "simulation"), expect(unused_variables, reason = "only a simulation asks"))]
    pub(crate) fn open_partition(
        &self,
        spec: &SourceSpec,
        decode: &DecodeSpec,
        partition: &PartitionInfo,
        position: &Position,
        counts: Watermark,
    ) -> Result<Box<dyn Partition>, IngestError> {
        match self {
            World::Real => match &spec.kind {
                #[cfg(feature = "archive")]
                SourceKind::Archive { address, of } => {
                    archive::open(address, of.as_deref(), decode, partition, position)
                }
                _ => ingest::open(spec, decode, partition, Some(position)),
            },
            #[cfg(feature = "simulation")]
            World::Simulated(host) => Ok(host.open_partition(decode, partition.number, position, counts)),
        }
    }

    /// Opens the store of a job's state.
    pub(crate) fn open_store(&self, location: &Location) -> Result<Store, StoreError> {
        match self {
            World::Real => location.open(),
            #[cfg(feature = "simulation")]
            World::Simulated(host) => host.open_store(&location.path()),
        }
    }

    /// Opens an archive to be written.
    pub(crate) fn open_archive(&self, address: &str) -> Result<Archive, ArchiveError> {
        match self {
            World::Real => Archive::open(address),
            #[cfg(feature = "simulation")]
            World::Simulated(host) => Ok(host.open_archive(address)),
        }
    }

    /// Opens a sink, after what the checkpoints say of it.
    pub(crate) fn open_sink(
        &self,
        spec: &SinkSpec,
        deliverer: &Deliverer,
        before: &Before,
    ) -> Result<Box<dyn Sink>, SinkError> {
        #[cfg(feature = "archive")]
        if let (World::Real, alert::SinkKind::Archive { address }) = (self, &spec.kind) {
            let deliveries = match before {
                Before::Deliveries(deliveries) => Some(deliveries.as_slice()),
                Before::Nothing | Before::AtOnce(_) => None,
            };
            return archive::open_sink(&spec.name, address, deliveries);
        }
        match self {
            World::Real => match (before, spec.mode) {
                (Before::Nothing, _) => open_fresh(spec, deliverer),
                (Before::Deliveries(deliveries), Mode::ExactlyOnce) => {
                    resume_exactly_once(spec, deliverer, deliveries)
                }
                (Before::Deliveries(deliveries), Mode::AtOnce) => {
                    // Before its mode was changed it got its lines from checkpoints: the last are completed.
                    let completed = resume_exactly_once(spec, deliverer, deliveries)?;
                    match spec.kind {
                        // It is still to settle them.
                        SinkKind::Webhook { .. } => Ok(completed),
                        _ => {
                            drop(completed);
                            resume_at_once(spec, deliverer)
                        }
                    }
                }
                (Before::AtOnce(_), Mode::AtOnce) => resume_at_once(spec, deliverer),
                (Before::AtOnce(last), Mode::ExactlyOnce) => resume_after_at_once(spec, deliverer, *last),
            },
            #[cfg(feature = "simulation")]
            World::Simulated(host) => match before {
                Before::Deliveries(deliveries) => host.open_sink(spec, deliverer, deliveries),
                Before::Nothing | Before::AtOnce(_) => host.open_sink(spec, deliverer, &[]),
            },
        }
    }
}

fn thread<T: Send + 'static>(
    name: &str,
    mut work: impl FnMut(&mut T) -> After + Send + 'static,
) -> io::Result<Lane<T>> {
    let (orders, incoming) = channel::<T>();
    let work = move || {
        while let Ok(mut order) = incoming.recv() {
            loop {
                match work(&mut order) {
                    After::Done => break,
                    After::Again(Duration::ZERO) => {}
                    After::Again(delay) => std::thread::sleep(delay),
                    After::Stop => return,
                }
            }
        }
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
    Ok(Lane::Thread(orders))
}
