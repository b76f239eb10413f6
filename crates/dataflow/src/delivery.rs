//! Delivery: lines to sinks that want them at once, and cuts to the lane that commits them.
//!
//! A sink that delivers exactly once gets its lines from the checkpoint that holds them, after the commit
//! (the outbox, in `commit.rs`); one that delivers at once has a lane of its own, so that a slow reader slows
//! the sources and not the worker.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use alert::{Gauge, Mode, Sink, SinkError};
use archive::{Archive, StagedFile};
use checkpoint::{Segment, SinkState, SourceState, Store};
use event::{CapState, Counts, OutputRow, SinkId, Watermark};
use timely::dataflow::operators::Capability;

use crate::commit::{Committer, Committing};
use crate::job::RunError;
use crate::space::Patience;
use crate::worker::Here;
use crate::world::{After, Lane};

/// What waits for a checkpoint may be so many times what waits for a sink, before a checkpoint is taken early.
const OUTBOX_FACTOR: usize = 8;

/// What the writer holds at the end of an interval.
pub(crate) struct Cut {
    pub(crate) number: u32,
    pub(crate) watermark: Watermark,
    pub(crate) counts: Counts,
    pub(crate) held: Vec<OutputRow>,
    /// What caps know of the sinks.
    pub(crate) capped: Vec<CapState>,
    /// Lines that became due in the interval, by sink.
    pub(crate) outbox: Vec<Vec<u8>>,
    /// The files that its records are in.
    pub(crate) archived: Vec<StagedFile>,
    pub(crate) finished: bool,
}

/// Which start of the job this is, and how many workers it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) generation: u64,
    pub(crate) born: u64,
    pub(crate) peers: u32,
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
        let start = (self.mode == Mode::ExactlyOnce).then(|| self.sink.length());
        SinkState { name: self.name.clone(), target: self.target.clone(), start, length }
    }
}

/// What the checkpoints say of a sink that is to be opened.
pub(crate) enum Before {
    /// Nothing: it is new.
    Nothing,
    /// What the last ones put out to it, oldest first.
    Deliveries(Vec<alert::Delivery>),
    /// It got its lines when they were due, up to that checkpoint and perhaps beyond.
    AtOnce(u32),
}

pub(crate) type Activate = Arc<dyn Fn() + Send + Sync>;
/// The first failure of a lane.
pub(crate) type Failure = Arc<Mutex<Option<RunError>>>;

/// All ways out of the job.
pub(crate) struct Delivery {
    /// Bytes that wait for a sink before the sources do.
    sink_bytes: usize,
    /// Lines that wait for their checkpoint, by sink.
    outbox: Vec<Vec<u8>>,
    /// The sinks that deliver at once, by sink.
    live: Vec<Option<LiveSink>>,
    committer: Option<Committer>,
    /// Of sinks with a receiver that may be away, by sink.
    gauges: Vec<Option<Arc<Gauge>>>,
    /// Ticks whose lines the sinks have not taken, with the bytes given up to then.
    held: VecDeque<(Capability<u64>, u64)>,
    failure: Failure,
}

impl Delivery {
    /// Starts the lanes. `activate` is called when one of them has got further.
    pub(crate) fn start(
        here: &Here,
        plan: Plan,
        store: Option<(Store, Option<Archive>)>,
        sinks: Vec<OpenSink>,
        activate: Activate,
    ) -> Self {
        let failure = Failure::default();
        let outbox = vec![Vec::new(); sinks.len()];
        let (mut live, mut durable, mut syncs, mut states) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let gauges: Vec<Option<Arc<Gauge>>> = sinks.iter().map(|open| open.sink.gauge()).collect();
        let shown =
            sinks.iter().zip(&gauges).filter_map(|(open, gauge)| Some((open.name.clone(), gauge.clone()?)));
        here.control.vitals().shows(shown.collect());
        for (index, open) in sinks.into_iter().enumerate() {
            states.push(open.state(0));
            if open.mode == Mode::ExactlyOnce {
                durable.push((index, open));
                live.push(None);
                continue;
            }
            let sink = LiveSink::spawn(here, open, Arc::clone(&activate), Arc::clone(&failure));
            syncs.extend(sink.orders.clone());
            live.push(Some(sink));
        }
        let committer = store.map(|(store, archive)| {
            let work = Committing::new(here, plan, (store, archive), durable, states, syncs);
            Committer::start(here, work, activate, Arc::clone(&failure))
        });
        let sink_bytes = here.job.flow.sink_bytes;
        Delivery { sink_bytes, outbox, live, committer, gauges, held: VecDeque::new(), failure }
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
        self.gauges[sink].iter().for_each(|gauge| gauge.given(1));
        self.live[sink].is_none() && self.is_outbox_full()
    }

    /// Whether a sink gets its lines when they are due.
    pub(crate) fn is_at_once(&self, sink: SinkId) -> bool {
        self.live[usize::from(sink.0)].is_some()
    }

    /// Whether no more should be read before a checkpoint takes what waits for it.
    fn is_outbox_full(&self) -> bool {
        self.outbox.iter().map(Vec::len).sum::<usize>() > OUTBOX_FACTOR * self.sink_bytes
    }

    /// Lets the sinks that deliver at once have what they were given.
    pub(crate) fn flush(&mut self) {
        self.live.iter_mut().flatten().for_each(LiveSink::flush);
        self.release();
    }

    /// Holds a tick until the sinks are not too far behind what they were given up to it, and not too much
    /// waits for a checkpoint: that is what stops the sources while no checkpoint can be written.
    pub(crate) fn hold(&mut self, taken: Capability<u64>) {
        let given = self.live.iter().flatten().map(|live| live.given + live.lines.len() as u64).sum();
        self.held.push_back((taken, given));
    }

    fn release(&mut self) {
        if self.is_outbox_full() {
            return;
        }
        let written: u64 = self.live.iter().flatten().map(|live| live.written.load(Ordering::Acquire)).sum();
        let bound = self.sink_bytes as u64;
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
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }

    /// Takes the lines that became due since the last cut, by sink.
    pub(crate) fn take_outbox(&mut self) -> Vec<Vec<u8>> {
        self.outbox.iter_mut().map(std::mem::take).collect()
    }

    /// Has a cut committed.
    pub(crate) fn commit(&mut self, cut: Cut, segments: Vec<Segment>, sources: Vec<SourceState>) {
        if let Some(committer) = &self.committer {
            committer.commit(cut, segments, sources);
        }
    }

    /// Numbers of the checkpoints that were committed since the last call.
    pub(crate) fn committed(&mut self) -> Vec<u32> {
        self.committer.as_ref().map_or_else(Vec::new, Committer::committed)
    }
}

/// What a sink that delivers at once is to do.
pub(crate) enum Order {
    Write(Vec<u8>),
    /// Make durable what was written, and say when that is done.
    Sync(Sender<()>),
}

/// A sink that delivers at once, and its lane.
struct LiveSink {
    /// Lines of this activation.
    lines: Vec<u8>,
    given: u64,
    written: Arc<AtomicU64>,
    /// `None` if there is no lane; then the run has failed.
    orders: Option<Lane<Order>>,
}

impl LiveSink {
    fn spawn(here: &Here, open: OpenSink, activate: Activate, failure: Failure) -> Self {
        let written = Arc::new(AtomicU64::new(0));
        let progress = Arc::clone(&written);
        let name = format!("sink-{}", open.name);
        let mut sink = open.sink;
        let mut patience = Patience::new(here);
        let work = move |order: &mut Order| {
            let after = match obey(sink.as_mut(), order) {
                Ok(bytes) => {
                    patience.over();
                    progress.fetch_add(bytes, Ordering::AcqRel);
                    After::Done
                }
                // Nothing whose sync failed is believed: the next sync may succeed without having written it.
                Err(error) if matches!(order, Order::Sync(_)) => {
                    note(&failure, error.into());
                    After::Stop
                }
                Err(error) => patience.after(error.into()).unwrap_or_else(|error| {
                    note(&failure, error);
                    After::Stop
                }),
            };
            activate();
            after
        };
        LiveSink { lines: Vec::new(), given: 0, written, orders: start(here, &name, work) }
    }

    fn flush(&mut self) {
        let Some(orders) = self.orders.as_ref().filter(|_| !self.lines.is_empty()) else { return };
        let lines = std::mem::take(&mut self.lines);
        self.given += lines.len() as u64;
        orders.send(Order::Write(lines));
    }
}

fn obey(sink: &mut dyn Sink, order: &mut Order) -> Result<u64, SinkError> {
    match order {
        Order::Write(lines) => sink.write(lines).map(|()| lines.len() as u64),
        Order::Sync(done) => {
            sink.sync()?;
            // Whoever asked may be gone with the run.
            let _ = done.send(());
            Ok(0)
        }
    }
}

/// Notes the first failure of a lane.
pub(crate) fn note(failure: &Failure, error: RunError) {
    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
}

/// Starts a lane; a run that cannot have it has failed.
pub(crate) fn start<T: Send + 'static>(
    here: &Here,
    name: &str,
    work: impl FnMut(&mut T) -> After + Send + 'static,
) -> Option<Lane<T>> {
    let lane = here.world.lane(name, work);
    lane.map_err(|error| {
        here.outcome.fail(RunError::Died(format!("cannot start the thread {name}: {error}")))
    })
    .ok()
}
