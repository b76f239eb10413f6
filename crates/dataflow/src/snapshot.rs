//! Takes snapshots of a worker's windows and makes them durable beside the worker: the worker copies what
//! has changed, a chunk at a time; a lane of its own encodes, writes and syncs.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use checkpoint::{Chain, Frame, Kind, Operator, Segment, SegmentBuilder, Store, StoreError, Writer};
use timely::dataflow::operators::Capability;
use window::{ASIDES, KEYS, RECALL, StateChunk};

use crate::branches::Kept;
use crate::job::RunError;
use crate::plant::Plant;
use crate::space::Patience;
use crate::worker::Here;
use crate::world::{After, Lane};

/// How long a worker takes chunks before it looks at its other work.
const TURN: Duration = Duration::from_millis(2);

/// What is to be written.
struct Order {
    interval: u32,
    /// The chunks of each branch.
    chunks: Vec<Vec<StateChunk>>,
    /// How often there was no space for it.
    attempt: u32,
}

/// The segments of a cut, and the right to hand them on.
type Durable = (Vec<Segment>, Capability<u64>);

/// A snapshot on its way: older segments that it shares, and what it adds.
struct Cut {
    interval: u32,
    shared: Vec<Segment>,
    capability: Capability<u64>,
}

/// The worker's end of the lane.
pub(crate) struct SnapshotWriter {
    /// Has one order at a time.
    orders: Option<Lane<Order>>,
    written: Receiver<Result<Vec<Segment>, RunError>>,
    /// The segments that say what the windows of each branch held at the last cut.
    chains: Vec<Chain>,
    /// The chunks of the snapshot that is being taken, by branch.
    taking: Option<(Vec<Vec<StateChunk>>, Cut)>,
    /// The cuts whose segments are under way, oldest first.
    cuts: VecDeque<Cut>,
    here: Here,
}

impl SnapshotWriter {
    /// Starts the lane. `activate` is called when a segment is durable.
    pub(crate) fn spawn(store: Store, here: &Here, activate: Box<dyn Fn() + Send>) -> Self {
        let (done, written) = channel();
        let writer = Writer { worker: here.worker as u32, peers: here.peers as u32 };
        let nonce = here.nonce;
        let mut patience = Patience::new(here);
        let work = move |order: &mut Order| {
            let written = match write(&store, writer, nonce, order) {
                Err(error) => match patience.after(error.into()) {
                    Ok(again) => {
                        order.attempt += 1;
                        return again;
                    }
                    Err(error) => Err(error),
                },
                Ok(segments) => Ok(segments),
            };
            patience.over();
            let failed = written.is_err();
            let is_gone = done.send(written).is_err();
            activate();
            if failed || is_gone { After::Stop } else { After::Done }
        };
        let orders = here.world.lane(&format!("snapshot-{}", here.worker), work);
        if let Err(error) = &orders {
            here.outcome.fail(RunError::Died(format!("cannot start a thread: {error}")));
        }
        SnapshotWriter {
            orders: orders.ok(),
            written,
            chains: here.job.branches.iter().map(|_| Chain::default()).collect(),
            taking: None,
            cuts: VecDeque::new(),
            here: here.clone(),
        }
    }

    /// Whether the last snapshot is still being written.
    pub(crate) fn is_busy(&self) -> bool {
        !self.cuts.is_empty()
    }

    /// Begins a snapshot of the windows at the end of an interval, once the last one is written. They must
    /// stay as they are until [`SnapshotWriter::take`] says that it is taken.
    pub(crate) fn begin(&mut self, interval: u32, branches: &mut [Kept], capability: Capability<u64>) {
        for (chain, kept) in self.chains.iter_mut().zip(branches.iter_mut()) {
            let live = kept.windows.labels();
            // Records that are set aside are few, and written again each time.
            let always = [KEYS, RECALL];
            chain.retire(|label| always.contains(&label) || live.binary_search(&label).is_ok());
            let whole = chain.is_long();
            if whole {
                chain.clear();
            }
            let mut again = kept.windows.begin_snapshot(interval, whole);
            if let Some(recall) = &mut kept.recall {
                recall.begin_snapshot(whole);
            }
            if self.here.world.has(Plant::LoseKeys) {
                again.push(interval.saturating_sub(1));
            }
            chain.release(KEYS, &again);
        }
        let chunks = branches.iter().map(|_| Vec::new()).collect();
        self.taking = Some((chunks, Cut { interval, shared: Vec::new(), capability }));
    }

    /// Takes chunks for a moment. Returns whether the snapshot is taken, and with the lane.
    pub(crate) fn take(&mut self, branches: &mut [Kept]) -> bool {
        let Some((chunks, _)) = &mut self.taking else { return true };
        let turn = self.here.world.now();
        for (kept, chunks) in branches.iter_mut().zip(chunks) {
            while let Some(chunk) = next_chunk(kept) {
                chunks.push(chunk);
                if self.here.world.now().saturating_duration_since(turn) >= TURN {
                    return false;
                }
            }
        }
        let Some((chunks, mut cut)) = self.taking.take() else { return true };
        for (chain, chunks) in self.chains.iter_mut().zip(&chunks) {
            let superseded = chunks.iter().filter(|chunk| chunk.supersedes).map(|chunk| chunk.label);
            chain.supersede(&superseded.chain([ASIDES]).collect::<Vec<_>>());
            cut.shared.extend(chain.segments());
        }
        // Without the lane the run has failed already.
        if let Some(orders) = &self.orders {
            orders.send(Order { interval: cut.interval, chunks, attempt: 0 });
            self.cuts.push_back(cut);
        }
        true
    }

    /// The segments of the next cut that has become durable, old ones that it shares included.
    ///
    /// # Errors
    /// If it could not be written.
    pub(crate) fn written(&mut self) -> Result<Option<Durable>, RunError> {
        match self.written.try_recv() {
            Ok(written) => {
                let segments = written?;
                let Some(mut cut) = self.cuts.pop_front() else { return Ok(None) };
                for segment in segments {
                    let chain = segment.operator.branch().and_then(|branch| self.chains.get_mut(branch));
                    chain.into_iter().for_each(|chain| chain.push(cut.interval, segment.clone()));
                    cut.shared.push(segment);
                }
                Ok(Some((cut.shared, cut.capability)))
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) if self.cuts.is_empty() => Ok(None),
            Err(TryRecvError::Disconnected) => {
                Err(RunError::Died("the thread that writes snapshots died".into()))
            }
        }
    }
}

fn next_chunk(kept: &mut Kept) -> Option<StateChunk> {
    kept.windows.next_chunk().or_else(|| kept.recall.as_mut()?.next_chunk())
}

/// Writes the segments of a cut, of each branch one of keys and one of everything else, of which nothing stays as long
/// as keys do. None where nothing has changed.
fn write(store: &Store, writer: Writer, nonce: u64, order: &Order) -> Result<Vec<Segment>, StoreError> {
    let mut written = Vec::new();
    for (branch, chunks) in order.chunks.iter().enumerate() {
        for (letter, keys) in [('k', true), ('w', false)] {
            let chunks = chunks.iter().filter(|chunk| (chunk.label == KEYS) == keys);
            let name = name(order, branch, letter, writer, nonce);
            match write_segment(store, name, SegmentBuilder::new(Operator::of_branch(branch), writer), chunks)
            {
                Ok(segment) => written.extend(segment),
                Err(error) => {
                    // What nobody will name only takes space, which may be what is missing.
                    written.iter().for_each(|segment| store.discard(segment));
                    return Err(error);
                }
            }
        }
    }
    Ok(written)
}

/// Each attempt has names of its own: what is there of an earlier one is not to be believed.
fn name(order: &Order, branch: usize, letter: char, writer: Writer, nonce: u64) -> String {
    let attempt = if order.attempt == 0 { String::new() } else { format!("-{}", order.attempt) };
    let branch = if branch == 0 { String::new() } else { format!("b{branch}") };
    format!("{:010}-{letter}{:03}{branch}-{nonce:016x}{attempt}", order.interval, writer.worker)
}

fn write_segment<'a>(
    store: &Store,
    name: String,
    mut builder: SegmentBuilder,
    chunks: impl Iterator<Item = &'a StateChunk>,
) -> Result<Option<Segment>, StoreError> {
    for chunk in chunks {
        let frame = Frame::new(Kind::State, &chunk.head, chunk.packed_parts())
            .map_err(|source| StoreError::Damaged { path: name.clone().into(), source })?;
        builder.push(chunk.label, frame);
    }
    if builder.is_empty() {
        return Ok(None);
    }
    let (segment, pieces) = builder.finish(name);
    store.write_segment(&segment, &pieces)?;
    Ok(Some(segment))
}
