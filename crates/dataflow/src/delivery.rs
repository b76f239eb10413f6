//! Delivery: lines to sinks that want them at once, and cuts to the thread that commits them.
//!
//! A sink that delivers exactly once gets its lines from the checkpoint that holds them, after the commit
//! (the outbox); one that delivers at once has a thread of its own, so that a slow reader slows the sources
//! and not the worker.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use alert::{Mode, Sink, SinkError};
use checkpoint::{
    Kind, Manifest, Operator, Retained, Segment, SegmentBuilder, SinkState, SourceState, Store, StoreError,
    encode,
};
use event::{Counts, OutputRow, Shard, Watermark};
use serde_bytes::Bytes;
use timely::dataflow::operators::Capability;

use crate::job::{Job, RunError};

/// What waits for a checkpoint may be so many times what waits for a sink, before a checkpoint is taken early.
const OUTBOX_FACTOR: usize = 8;

/// What the writer holds at the end of an interval.
pub(crate) struct Cut {
    pub(crate) number: u32,
    pub(crate) watermark: Watermark,
    pub(crate) counts: Counts,
    pub(crate) held: Vec<OutputRow>,
    /// Lines that became due in the interval, by sink.
    pub(crate) outbox: Vec<Vec<u8>>,
    pub(crate) finished: bool,
}

/// An open sink of the job.
pub(crate) struct OpenSink {
    pub(crate) name: String,
    pub(crate) target: String,
    pub(crate) mode: Mode,
    pub(crate) sink: Box<dyn Sink>,
}

impl OpenSink {
    /// How a checkpoint that puts out so many bytes describes it.
    pub(crate) fn state(&self, length: u64) -> SinkState {
        let start = if self.mode == Mode::ExactlyOnce { self.sink.length() } else { 0 };
        SinkState { name: self.name.clone(), target: self.target.clone(), start, length }
    }
}

type Activate = Arc<dyn Fn() + Send + Sync>;

/// All ways out of the job.
pub(crate) struct Delivery {
    job: Arc<Job>,
    /// Lines that wait for their checkpoint, by sink.
    outbox: Vec<Vec<u8>>,
    /// Threads of the sinks that deliver at once, by sink.
    live: Vec<Option<LiveSink>>,
    committer: Option<Committer>,
    /// Ticks whose lines the sinks have not taken, with the bytes given up to then.
    held: VecDeque<(Capability<u64>, u64)>,
    failure: Arc<Mutex<Option<RunError>>>,
}

impl Delivery {
    /// Starts the threads. `activate` is called when one of them has got further.
    pub(crate) fn start(
        job: Arc<Job>,
        store: Option<Store>,
        sinks: Vec<OpenSink>,
        activate: Activate,
    ) -> Self {
        let failure: Arc<Mutex<Option<RunError>>> = Arc::default();
        let outbox = vec![Vec::new(); sinks.len()];
        let (mut live, mut durable, mut syncs, mut states) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (index, open) in sinks.into_iter().enumerate() {
            states.push(open.state(0));
            if open.mode == Mode::ExactlyOnce {
                durable.push((index, open));
                live.push(None);
                continue;
            }
            let sink = LiveSink::spawn(open, Arc::clone(&activate), Arc::clone(&failure));
            syncs.push(sink.orders.clone());
            live.push(Some(sink));
        }
        let committer = store.map(|store| {
            let retained = store.retained().unwrap_or_else(|error| {
                note(&failure, error.into());
                Retained::default()
            });
            let work = Committing { job: Arc::clone(&job), store, retained, sinks: durable, states, syncs };
            Committer::spawn(work, activate, Arc::clone(&failure))
        });
        Delivery { job, outbox, live, committer, held: VecDeque::new(), failure }
    }

    /// Gives a sink a line that is due.
    ///
    /// Returns whether so much waits for a checkpoint that it should not wait for its time.
    pub(crate) fn give(&mut self, row: OutputRow) -> bool {
        let sink = usize::from(row.sink.0);
        let lines = match &mut self.live[sink] {
            Some(live) => &mut live.lines,
            None => &mut self.outbox[sink],
        };
        lines.extend_from_slice(&row.line);
        lines.push(b'\n');
        self.live[sink].is_none() && self.outbox[sink].len() > OUTBOX_FACTOR * self.job.flow.sink_bytes
    }

    /// Lets the sinks that deliver at once have what they were given.
    pub(crate) fn flush(&mut self) {
        self.live.iter_mut().flatten().for_each(LiveSink::flush);
        self.release();
    }

    /// Holds a tick until the sinks are not too far behind what they were given up to it.
    pub(crate) fn hold(&mut self, taken: Capability<u64>) {
        let given = self.live.iter().flatten().map(|live| live.given + live.lines.len() as u64).sum();
        self.held.push_back((taken, given));
    }

    fn release(&mut self) {
        let written: u64 = self.live.iter().flatten().map(|live| live.written.load(Ordering::Acquire)).sum();
        let bound = self.job.flow.sink_bytes as u64;
        while self.held.front().is_some_and(|(_, given)| *given <= written + bound) {
            self.held.pop_front();
        }
    }

    /// Whether the sinks have everything that they were given.
    pub(crate) fn is_idle(&self) -> bool {
        self.held.is_empty()
            && self.live.iter().flatten().all(|live| live.written.load(Ordering::Acquire) == live.given)
    }

    /// The first failure of a thread.
    pub(crate) fn check(&self) -> Result<(), RunError> {
        match self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Takes the lines that became due since the last cut, by sink.
    pub(crate) fn take_outbox(&mut self) -> Vec<Vec<u8>> {
        self.outbox.iter_mut().map(std::mem::take).collect()
    }

    /// Has a cut committed.
    pub(crate) fn commit(&mut self, cut: Cut, segments: Vec<Segment>, sources: Vec<SourceState>) {
        if let Some(committer) = &self.committer {
            // A thread that is gone has left its failure behind.
            let _ = committer.orders.send((cut, segments, sources));
        }
    }

    /// Numbers of the checkpoints that were committed since the last call.
    pub(crate) fn committed(&mut self) -> Vec<u32> {
        let Some(committer) = &self.committer else { return Vec::new() };
        let mut numbers = Vec::new();
        loop {
            match committer.committed.try_recv() {
                Ok(number) => numbers.push(number),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return numbers,
            }
        }
    }
}

enum Order {
    Write(Vec<u8>),
    /// Make durable what was written, and say when that is done.
    Sync(Sender<()>),
}

/// A sink that delivers at once, and its thread.
struct LiveSink {
    /// Lines of this activation.
    lines: Vec<u8>,
    given: u64,
    written: Arc<AtomicU64>,
    orders: Sender<Order>,
}

impl LiveSink {
    fn spawn(open: OpenSink, activate: Activate, failure: Arc<Mutex<Option<RunError>>>) -> Self {
        let (orders, incoming) = channel::<Order>();
        let written = Arc::new(AtomicU64::new(0));
        let progress = Arc::clone(&written);
        let mut sink = open.sink;
        let work = move || {
            while let Ok(order) = incoming.recv() {
                match obey(sink.as_mut(), order) {
                    Ok(bytes) => progress.fetch_add(bytes, Ordering::AcqRel),
                    Err(error) => {
                        note(&failure, error.into());
                        return activate();
                    }
                };
                activate();
            }
        };
        spawn(&format!("sink-{}", open.name), work);
        LiveSink { lines: Vec::new(), given: 0, written, orders }
    }

    fn flush(&mut self) {
        if !self.lines.is_empty() {
            let lines = std::mem::take(&mut self.lines);
            self.given += lines.len() as u64;
            let _ = self.orders.send(Order::Write(lines));
        }
    }
}

fn obey(sink: &mut dyn Sink, order: Order) -> Result<u64, SinkError> {
    match order {
        Order::Write(lines) => sink.write(&lines).map(|()| lines.len() as u64),
        Order::Sync(done) => {
            sink.sync()?;
            // Whoever asked may be gone with the run.
            let _ = done.send(());
            Ok(0)
        }
    }
}

fn note(failure: &Mutex<Option<RunError>>, error: RunError) {
    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.unwrap_or_else(|error| panic!("cannot start the thread {name}: {error}"))
}

/// A cut, the segments of its workers, and where the partitions are.
type Checkpoint = (Cut, Vec<Segment>, Vec<SourceState>);

/// The thread that commits, as the writer sees it.
struct Committer {
    orders: Sender<Checkpoint>,
    committed: Receiver<u32>,
}

impl Committer {
    fn spawn(mut work: Committing, activate: Activate, failure: Arc<Mutex<Option<RunError>>>) -> Self {
        let (orders, incoming) = channel::<Checkpoint>();
        let (done, committed) = channel();
        spawn("commit", move || {
            while let Ok((cut, segments, sources)) = incoming.recv() {
                let number = cut.number;
                match work.commit(cut, segments, sources) {
                    Ok(()) => {
                        let _ = done.send(number);
                    }
                    Err(error) => {
                        note(&failure, error);
                        return activate();
                    }
                }
                activate();
            }
        });
        Committer { orders, committed }
    }
}

/// Commits checkpoints one after the other, and delivers what they hold.
struct Committing {
    job: Arc<Job>,
    store: Store,
    /// The checkpoints that are kept.
    retained: Retained,
    sinks: Vec<(usize, OpenSink)>,
    /// How the last checkpoint described each sink.
    states: Vec<SinkState>,
    syncs: Vec<Sender<Order>>,
}

impl Committing {
    /// The order is the promise: what was put out at once is durable, then the outbox, then the manifest
    /// that names it, and only then do the other sinks get their lines.
    fn commit(
        &mut self,
        mut cut: Cut,
        mut segments: Vec<Segment>,
        sources: Vec<SourceState>,
    ) -> Result<(), RunError> {
        self.sync_live();
        let outbox = std::mem::take(&mut cut.outbox);
        segments.extend(self.write_outbox(cut.number, &outbox)?);
        for (index, open) in &self.sinks {
            self.states[*index] = open.state(outbox[*index].len() as u64);
        }
        let manifest = Manifest {
            number: cut.number,
            job: self.job.name.clone(),
            identity: self.job.identity.clone(),
            shards: self.job.state.as_ref().map_or(crate::SHARDS, |state| state.shards),
            segments,
            sources,
            watermark: cut.watermark,
            held: cut.held,
            counts: cut.counts,
            sinks: self.states.clone(),
            finished: cut.finished,
        };
        self.store.commit(&manifest)?;
        for (index, open) in &mut self.sinks {
            let lines = &outbox[*index];
            if !lines.is_empty() {
                open.sink.write(lines)?;
                open.sink.sync()?;
            }
        }
        Ok(self.store.retain(&mut self.retained, &manifest)?)
    }

    fn sync_live(&self) {
        let (done, finished) = channel();
        for orders in &self.syncs {
            let _ = orders.send(Order::Sync(done.clone()));
        }
        drop(done);
        // Ends when every sink has answered, or is gone with its failure.
        while finished.recv().is_ok() {}
    }

    fn write_outbox(&self, number: u32, outbox: &[Vec<u8>]) -> Result<Option<Segment>, StoreError> {
        if outbox.iter().all(Vec::is_empty) {
            return Ok(None);
        }
        let name = format!("{number:010}-outbox-{:016x}", nonce());
        let mut builder = SegmentBuilder::new(Operator::Outbox);
        for (index, lines) in outbox.iter().enumerate() {
            let block = encode(Kind::Outbox, Bytes::new(lines))
                .map_err(|source| StoreError::Damaged { path: name.clone().into(), source })?;
            builder.push(Shard(index as u32), &block);
        }
        let (segment, bytes) = builder.finish(name);
        self.store.write_segment(&segment, &bytes)?;
        Ok(Some(segment))
    }
}

/// A number that no other run has.
pub(crate) fn nonce() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}
