//! Makes snapshots durable beside the worker: a thread encodes, writes and syncs, the worker goes on.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use checkpoint::{Kind, Operator, Segment, SegmentBuilder, Store, StoreError, encode};
use event::Shard;
use timely::dataflow::operators::Capability;
use window::{ShardSnapshot, Windows};

use crate::job::{RunError, StateSpec};
use crate::worker::Here;

/// Snapshots that may wait to be written; the sources cut one at a time, so there are never more.
const WAITING: usize = 2;

struct Order {
    name: String,
    shards: Vec<(Shard, ShardSnapshot)>,
}

/// The worker's end of the thread.
pub(crate) struct SnapshotWriter {
    orders: SyncSender<Order>,
    written: Receiver<Result<Segment, StoreError>>,
    /// The cuts whose segments are under way, oldest first.
    cuts: VecDeque<Capability<u64>>,
    shards: u32,
    worker: usize,
    nonce: u64,
}

impl SnapshotWriter {
    /// Starts the thread. `activate` is called when a segment is durable.
    pub(crate) fn spawn(state: &StateSpec, here: &Here, activate: Box<dyn Fn() + Send>) -> Self {
        let (orders, incoming) = sync_channel::<Order>(WAITING);
        let (done, written) = sync_channel(WAITING + 1);
        let dir = state.dir.clone();
        let work = move || {
            while let Ok(order) = incoming.recv() {
                let result = Store::open(&dir).and_then(|store| write(&store, order));
                if done.send(result).is_err() {
                    return;
                }
                activate();
            }
        };
        let thread = std::thread::Builder::new().name(format!("snapshot-{}", here.worker));
        if let Err(error) = thread.spawn(work) {
            here.outcome.fail(RunError::Died(format!("cannot start a thread: {error}")));
        }
        SnapshotWriter {
            orders,
            written,
            cuts: VecDeque::new(),
            shards: state.shards,
            worker: here.worker,
            nonce: here.nonce,
        }
    }

    /// Takes a snapshot of the windows at the end of an interval.
    pub(crate) fn write(&mut self, interval: u32, windows: &Windows, cut: Capability<u64>) {
        let name = format!("{interval:010}-w{:03}-{:016x}", self.worker, self.nonce);
        let shards = windows.snapshot(self.shards);
        // Without the thread there is an error in `written`, which the worker will see.
        if self.orders.send(Order { name, shards }).is_ok() {
            self.cuts.push_back(cut);
        }
    }

    /// The next segment that has become durable, and its cut.
    ///
    /// # Errors
    /// If it could not be written.
    pub(crate) fn written(&mut self) -> Result<Option<(Segment, Capability<u64>)>, RunError> {
        match self.written.try_recv() {
            Ok(segment) => {
                let segment = segment?;
                Ok(self.cuts.pop_front().map(|cut| (segment, cut)))
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) if self.cuts.is_empty() => Ok(None),
            Err(TryRecvError::Disconnected) => {
                Err(RunError::Died("the thread that writes snapshots died".into()))
            }
        }
    }
}

fn write(store: &Store, order: Order) -> Result<Segment, StoreError> {
    let mut builder = SegmentBuilder::default();
    for (shard, snapshot) in &order.shards {
        let block = encode(Kind::Shard, snapshot)
            .map_err(|source| StoreError::Damaged { path: order.name.clone().into(), source })?;
        builder.push(Operator::Window, *shard, &block);
    }
    let (segment, bytes) = builder.finish(order.name);
    store.write_segment(&segment, &bytes)?;
    Ok(segment)
}
