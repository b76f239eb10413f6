//! Takes snapshots of what an operator knows of a worker's keys and makes them durable beside the worker: the worker copies
//! what has changed, a chunk at a time; a lane of its own encodes, writes and syncs.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use checkpoint::{Chain, CodecError, Frame, Operator, Segment, SegmentBuilder, Store, StoreError, Writer};
use timely::dataflow::operators::Capability;

use crate::job::RunError;
use crate::plant::Plant;
use crate::space::Patience;
use crate::worker::Here;
use crate::world::{After, Lane};

/// How long a worker takes chunks before it looks at its other work.
const TURN: Duration = Duration::from_millis(2);

/// What an operator knows of a worker's keys in one branch, as snapshots see it.
pub(crate) trait Saved {
    /// A part of a snapshot.
    type Chunk: SavedChunk;
    /// The letters of its segments' names; which of them a chunk belongs to says [`SavedChunk::letter`].
    const LETTERS: &'static [char];

    /// Whose state the segments of a branch with that letter hold.
    fn operator(branch: usize, letter: char) -> Operator;

    /// Labels of the chunks of older snapshots that may still be needed, ascending.
    fn labels(&self) -> Vec<i64>;

    /// Begins the snapshot of a cut: of what has changed since the last one, or of everything if `whole`. Returns the
    /// label and cuts of chunks that are not needed any more. Until [`Saved::next_chunk`] has given `None` nothing changes.
    fn begin(&mut self, cut: u32, whole: bool) -> (i64, Vec<u32>);

    /// The next chunk.
    fn next_chunk(&mut self) -> Option<Self::Chunk>;

    /// Labels of which each snapshot says all again.
    fn written_again() -> &'static [i64];
}

/// A part of a snapshot.
pub(crate) trait SavedChunk: Send + 'static {
    /// What it is about.
    fn label(&self) -> i64;

    /// Whether chunks of this label from older snapshots are not needed any more.
    fn supersedes(&self) -> bool;

    /// The letter of the segment that it belongs to.
    fn letter(&self) -> char;

    /// The form that is written. Takes its time: not for the worker's thread.
    fn frame(&self) -> Result<Frame, CodecError>;
}

/// What is to be written.
struct Order<C> {
    interval: u32,
    /// The chunks of each branch.
    chunks: Vec<Vec<C>>,
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
pub(crate) struct SnapshotWriter<S: Saved> {
    /// Has one order at a time.
    orders: Option<Lane<Order<S::Chunk>>>,
    written: Receiver<Result<Vec<(usize, Segment)>, RunError>>,
    /// The segments that say what the windows of each branch held at the last cut.
    chains: Vec<Chain>,
    /// The chunks of the snapshot that is being taken, by branch.
    taking: Option<(Vec<Vec<S::Chunk>>, Cut)>,
    /// The cuts whose segments are under way, oldest first.
    cuts: VecDeque<Cut>,
    here: Here,
}

impl<S: Saved> SnapshotWriter<S> {
    /// Starts the lane. `activate` is called when a segment is durable.
    pub(crate) fn spawn(store: Store, here: &Here, activate: Box<dyn Fn() + Send>) -> Self {
        let (done, written) = channel();
        let writer = Writer { worker: here.worker as u32, peers: here.peers as u32 };
        let nonce = here.nonce;
        let mut patience = Patience::new(here);
        let work = move |order: &mut Order<S::Chunk>| {
            let written = match write::<S>(&store, writer, nonce, order) {
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
        let orders = here.world.lane(&format!("snapshot-{}{}", S::LETTERS[0], here.worker), work);
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
    pub(crate) fn begin(&mut self, interval: u32, branches: &mut [S], capability: Capability<u64>) {
        for (chain, kept) in self.chains.iter_mut().zip(branches.iter_mut()) {
            let live = kept.labels();
            chain.retire(|label| live.binary_search(&label).is_ok());
            let whole = chain.is_long();
            if whole {
                chain.clear();
            }
            let (label, mut again) = kept.begin(interval, whole);
            if self.here.world.has(Plant::LoseKeys) {
                again.push(interval.saturating_sub(1));
            }
            chain.release(label, &again);
        }
        let chunks = branches.iter().map(|_| Vec::new()).collect();
        self.taking = Some((chunks, Cut { interval, shared: Vec::new(), capability }));
    }

    /// Takes chunks for a moment. Returns whether the snapshot is taken, and with the lane.
    pub(crate) fn take(&mut self, branches: &mut [S]) -> bool {
        let Some((chunks, _)) = &mut self.taking else { return true };
        let turn = self.here.world.now();
        for (kept, chunks) in branches.iter_mut().zip(chunks) {
            while let Some(chunk) = kept.next_chunk() {
                chunks.push(chunk);
                if self.here.world.now().saturating_duration_since(turn) >= TURN {
                    return false;
                }
            }
        }
        let Some((chunks, mut cut)) = self.taking.take() else { return true };
        for (chain, chunks) in self.chains.iter_mut().zip(&chunks) {
            let superseded = chunks.iter().filter(|chunk| chunk.supersedes()).map(SavedChunk::label);
            chain.supersede(&superseded.chain(S::written_again().iter().copied()).collect::<Vec<_>>());
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
                for (branch, segment) in segments {
                    if let Some(chain) = self.chains.get_mut(branch) {
                        chain.push(cut.interval, segment.clone());
                    }
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

/// Writes the segments of a cut, each with the number of its branch. None where nothing has changed.
fn write<S: Saved>(
    store: &Store,
    writer: Writer,
    nonce: u64,
    order: &Order<S::Chunk>,
) -> Result<Vec<(usize, Segment)>, StoreError> {
    let mut written: Vec<(usize, Segment)> = Vec::new();
    for (branch, chunks) in order.chunks.iter().enumerate() {
        for letter in S::LETTERS {
            let chunks = chunks.iter().filter(|chunk| chunk.letter() == *letter);
            let name = name(order, branch, *letter, writer, nonce);
            match write_segment(
                store,
                name,
                SegmentBuilder::new(S::operator(branch, *letter), writer),
                chunks,
            ) {
                Ok(segment) => written.extend(segment.map(|segment| (branch, segment))),
                Err(error) => {
                    // What nobody will name only takes space, which may be what is missing.
                    written.iter().for_each(|(_, segment)| store.discard(segment));
                    return Err(error);
                }
            }
        }
    }
    Ok(written)
}

/// Each attempt has names of its own: what is there of an earlier one is not to be believed.
fn name<C>(order: &Order<C>, branch: usize, letter: char, writer: Writer, nonce: u64) -> String {
    let attempt = if order.attempt == 0 { String::new() } else { format!("-{}", order.attempt) };
    let branch = if branch == 0 { String::new() } else { format!("b{branch}") };
    format!("{:010}-{letter}{:03}{branch}-{nonce:016x}{attempt}", order.interval, writer.worker)
}

fn write_segment<'a, C: SavedChunk>(
    store: &Store,
    name: String,
    mut builder: SegmentBuilder,
    chunks: impl Iterator<Item = &'a C>,
) -> Result<Option<Segment>, StoreError> {
    for chunk in chunks {
        let frame =
            chunk.frame().map_err(|source| StoreError::Damaged { path: name.clone().into(), source })?;
        builder.push(chunk.label(), frame);
    }
    if builder.is_empty() {
        return Ok(None);
    }
    let (segment, pieces) = builder.finish(name);
    store.write_segment(&segment, &pieces)?;
    Ok(Some(segment))
}
