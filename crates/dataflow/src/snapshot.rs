//! Takes snapshots of a worker's windows and makes them durable beside the worker: the worker copies what
//! has changed, a chunk at a time; a lane of its own encodes, writes and syncs.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use checkpoint::{Chain, Frame, Kind, Operator, Segment, SegmentBuilder, Store, StoreError, Writer};
use timely::dataflow::operators::Capability;
use window::{ASIDES, KEYS, Keyed, RECALL, Recall, StateChunk};

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
    chunks: Vec<StateChunk>,
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
    /// The segments that say what the windows held at the last cut.
    chain: Chain,
    /// The chunks of the snapshot that is being taken.
    taking: Option<(Vec<StateChunk>, Cut)>,
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
            chain: Chain::default(),
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
    pub(crate) fn begin(
        &mut self,
        interval: u32,
        windows: &mut Keyed,
        recall: Option<&mut Recall>,
        capability: Capability<u64>,
    ) {
        let live = windows.labels();
        // Records that are set aside are few, and written again each time.
        let always = [KEYS, RECALL];
        self.chain.retire(|label| always.contains(&label) || live.binary_search(&label).is_ok());
        let whole = self.chain.is_long();
        if whole {
            self.chain.clear();
        }
        let mut again = windows.begin_snapshot(interval, whole);
        if let Some(recall) = recall {
            recall.begin_snapshot(whole);
        }
        if self.here.world.has(Plant::LoseKeys) {
            again.push(interval.saturating_sub(1));
        }
        self.chain.release(KEYS, &again);
        self.taking = Some((Vec::new(), Cut { interval, shared: Vec::new(), capability }));
    }

    /// Takes chunks for a moment. Returns whether the snapshot is taken, and with the lane.
    pub(crate) fn take(&mut self, windows: &mut Keyed, mut recall: Option<&mut Recall>) -> bool {
        let Some((chunks, _)) = &mut self.taking else { return true };
        let turn = self.here.world.now();
        loop {
            let chunk = windows.next_chunk();
            match chunk.or_else(|| recall.as_mut().and_then(|recall| recall.next_chunk())) {
                Some(chunk) => chunks.push(chunk),
                None => break,
            }
            if self.here.world.now().saturating_duration_since(turn) >= TURN {
                return false;
            }
        }
        let Some((chunks, mut cut)) = self.taking.take() else { return true };
        let superseded = chunks.iter().filter(|chunk| chunk.supersedes).map(|chunk| chunk.label);
        self.chain.supersede(&superseded.chain([ASIDES]).collect::<Vec<_>>());
        cut.shared = self.chain.segments();
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
                    self.chain.push(cut.interval, segment.clone());
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

/// Writes the segments of a cut: one of keys and one of everything else, of which nothing stays as long as keys
/// do. None where nothing has changed.
fn write(store: &Store, writer: Writer, nonce: u64, order: &Order) -> Result<Vec<Segment>, StoreError> {
    let mut written = Vec::new();
    for (letter, keys) in [('k', true), ('w', false)] {
        // Each attempt has names of its own: what is there of an earlier one is not to be believed.
        let attempt = if order.attempt == 0 { String::new() } else { format!("-{}", order.attempt) };
        let Order { interval, .. } = order;
        let name = format!("{interval:010}-{letter}{:03}-{nonce:016x}{attempt}", writer.worker);
        let mut builder = SegmentBuilder::new(Operator::Window, writer);
        for chunk in order.chunks.iter().filter(|chunk| (chunk.label == KEYS) == keys) {
            let frame = Frame::new(Kind::State, &chunk.head, chunk.packed_parts())
                .map_err(|source| StoreError::Damaged { path: name.clone().into(), source })?;
            builder.push(chunk.label, frame);
        }
        if builder.is_empty() {
            continue;
        }
        let (segment, pieces) = builder.finish(name);
        if let Err(error) = store.write_segment(&segment, &pieces) {
            // What nobody will name only takes space, which may be what is missing.
            written.iter().for_each(|segment| store.discard(segment));
            return Err(error);
        }
        written.push(segment);
    }
    Ok(written)
}
