//! Makes snapshots durable beside the worker: a thread encodes, writes and syncs, the worker goes on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use checkpoint::{Kind, Operator, Segment, SegmentBuilder, Store, StoreError, encode};
use event::Shard;
use timely::dataflow::operators::Capability;
use window::{ShardSnapshot, Windows};

use crate::job::{RunError, StateSpec};
use crate::worker::Here;

/// Snapshots that may wait to be written; the sources cut one at a time, so there are never more.
const WAITING: usize = 2;

/// What is to be written: files of shards, by name.
struct Order {
    /// The open slices, which are written at every cut.
    open: File,
    /// Slices that were sealed, or changed, since they were last written.
    sealed: Vec<(i64, File)>,
}

struct File {
    name: String,
    shards: Vec<(Shard, ShardSnapshot)>,
}

/// What was written.
struct Written {
    open: Segment,
    sealed: Vec<(i64, Segment)>,
}

/// The segments of a cut, and the right to hand them on.
type Durable = (Vec<Segment>, Capability<u64>);

/// The worker's end of the thread.
pub(crate) struct SnapshotWriter {
    orders: SyncSender<Order>,
    written: Receiver<Result<Written, StoreError>>,
    /// Segments of the sealed slices that are still needed, by slice.
    sealed: BTreeMap<i64, Segment>,
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
            sealed: BTreeMap::new(),
            cuts: VecDeque::new(),
            shards: state.shards,
            worker: here.worker,
            nonce: here.nonce,
        }
    }

    /// Takes a snapshot of the windows at the end of an interval: of open slices always, of sealed ones only
    /// if they changed since the last.
    pub(crate) fn write(&mut self, interval: u32, windows: &mut Windows, cut: Capability<u64>) {
        let name = |kind: &str| format!("{interval:010}-w{:03}{kind}-{:016x}", self.worker, self.nonce);
        let live = windows.live();
        self.sealed.retain(|number, _| live.iter().any(|slice| slice.number == *number && slice.saved));
        let mut open = File { name: name(""), shards: windows.snapshot_asides(self.shards) };
        let mut sealed = Vec::new();
        for slice in live {
            if !slice.sealed {
                open.shards.extend(windows.snapshot_slice(slice.number, self.shards));
            } else if !self.sealed.contains_key(&slice.number) {
                let shards = windows.snapshot_slice(slice.number, self.shards);
                sealed.push((slice.number, File { name: name(&format!("-s{}", slice.number)), shards }));
            }
        }
        // Without the thread there is an error in `written`, which the worker will see.
        if self.orders.send(Order { open, sealed }).is_ok() {
            self.cuts.push_back(cut);
        }
    }

    /// The segments of the next cut that has become durable, old ones that it shares included.
    ///
    /// # Errors
    /// If it could not be written.
    pub(crate) fn written(&mut self) -> Result<Option<Durable>, RunError> {
        match self.written.try_recv() {
            Ok(written) => {
                let written = written?;
                self.sealed.extend(written.sealed);
                let segments = [written.open].into_iter().chain(self.sealed.values().cloned()).collect();
                Ok(self.cuts.pop_front().map(|cut| (segments, cut)))
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) if self.cuts.is_empty() => Ok(None),
            Err(TryRecvError::Disconnected) => {
                Err(RunError::Died("the thread that writes snapshots died".into()))
            }
        }
    }
}

fn write(store: &Store, order: Order) -> Result<Written, StoreError> {
    let open = write_file(store, order.open)?;
    let sealed = order.sealed.into_iter().map(|(number, file)| Ok((number, write_file(store, file)?)));
    Ok(Written { open, sealed: sealed.collect::<Result<_, StoreError>>()? })
}

fn write_file(store: &Store, file: File) -> Result<Segment, StoreError> {
    let mut builder = SegmentBuilder::new(Operator::Window);
    for (shard, snapshot) in &file.shards {
        let block = encode(Kind::Shard, snapshot)
            .map_err(|source| StoreError::Damaged { path: file.name.clone().into(), source })?;
        builder.push(*shard, &block);
    }
    let (segment, bytes) = builder.finish(file.name);
    store.write_segment(&segment, &bytes)?;
    Ok(segment)
}
