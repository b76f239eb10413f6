//! Archives what a worker reads beside the worker: the worker hands over what it has read, a lane of its own writes it
//! and says at a cut which files are durable.
//!
//! Those are a part of the checkpoint like segments: the cut is committed only once they are there. The reading waits
//! while the lane is too far behind.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use archive::{Archive, Block, Line, Origin, Outcome, StagedFile, Stager};
use event::{Reason, Records, RejectedRecord, RowFailure, Watermark};
use ingest::PartitionWatermark;
use timely::dataflow::operators::Capability;

use crate::intake::Marked;
use crate::job::RunError;
use crate::member::Member;
use crate::space::Patience;
use crate::worker::Here;
use crate::world::{After, Lane};

/// Bytes that wait for the lane before no more is read.
const WAITING_BYTES: usize = 32 << 20;

/// What the lane is to do.
enum Order {
    /// Archive this; empty once it is taken.
    Take(u32, Option<Block>),
    /// Make all of it durable that was read up to here, and say what it is.
    Cut(u32),
}

/// The files of a cut, and the right to hand them on.
type Durable = (Vec<StagedFile>, Capability<u64>);

/// The worker's end of the lane.
pub(crate) struct Archiver {
    /// `None` if there is no lane; then the run has failed.
    orders: Option<Lane<Order>>,
    staged: Receiver<Result<Vec<StagedFile>, RunError>>,
    /// The rights to hand on what the next cuts have staged.
    cuts: VecDeque<Capability<u64>>,
    /// Bytes that the lane has not taken.
    waiting: Arc<AtomicUsize>,
}

impl Archiver {
    /// Starts the lane. `activate` is called when it has got further.
    ///
    /// # Errors
    /// If the program was built without archives.
    pub(crate) fn start(
        archive: Archive,
        here: &Here,
        activate: impl Fn() + Send + 'static,
    ) -> Result<Self, RunError> {
        let (done, staged) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let mut stager = Stager::new(archive, here.worker as u32, here.nonce)?;
        let (taken, mut patience) = (Arc::clone(&waiting), Patience::new(here));
        let work = move |order: &mut Order| {
            let after = match obey(&mut stager, order, &taken) {
                Ok(files) => {
                    patience.over();
                    // Nobody listens any more once the run has failed.
                    files.into_iter().for_each(|files| drop(done.send(Ok(files))));
                    After::Done
                }
                Err(error) => patience.after(error).unwrap_or_else(|error| {
                    let _ = done.send(Err(error));
                    After::Stop
                }),
            };
            activate();
            after
        };
        let orders = crate::delivery::start(here, &format!("archive-{}", here.worker), work);
        Ok(Archiver { orders, staged, cuts: VecDeque::new(), waiting })
    }

    /// Archives what was read in an interval.
    pub(crate) fn take(&self, interval: u32, block: Block) {
        self.waiting.fetch_add(block.weight(), Ordering::AcqRel);
        self.send(Order::Take(interval, Some(block)));
    }

    /// Ends an interval: all that was taken is a part of its checkpoint.
    pub(crate) fn cut(&mut self, interval: u32, capability: Capability<u64>) {
        self.cuts.push_back(capability);
        self.send(Order::Cut(interval));
    }

    fn send(&self, order: Order) {
        if let Some(orders) = &self.orders {
            orders.send(order);
        }
    }

    /// Whether so much waits for the lane that no more should be read.
    pub(crate) fn is_behind(&self) -> bool {
        self.waiting.load(Ordering::Acquire) >= WAITING_BYTES
    }

    /// Whether a cut is not durable yet.
    pub(crate) fn is_busy(&self) -> bool {
        !self.cuts.is_empty()
    }

    /// The files of the next cut that has become durable.
    ///
    /// # Errors
    /// If it could not be written.
    pub(crate) fn staged(&mut self) -> Result<Option<Durable>, RunError> {
        match self.staged.try_recv() {
            Ok(files) => {
                let files = files?;
                Ok(self.cuts.pop_front().map(|capability| (files, capability)))
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) if self.cuts.is_empty() => Ok(None),
            Err(TryRecvError::Disconnected) => {
                Err(RunError::Died("the thread that writes the archive died".into()))
            }
        }
    }
}

/// Does what is ordered. At a cut: the files that hold the interval.
fn obey(
    stager: &mut Stager,
    order: &mut Order,
    taken: &AtomicUsize,
) -> Result<Option<Vec<StagedFile>>, RunError> {
    match order {
        Order::Take(interval, block) => {
            if let Some(block) = block.take() {
                let weight = block.weight();
                stager.take(block);
                taken.fetch_sub(weight, Ordering::AcqRel);
            }
            if stager.is_full() {
                stager.stage(*interval)?;
            }
            Ok(None)
        }
        Order::Cut(interval) => {
            stager.stage(*interval)?;
            Ok(Some(stager.staged()))
        }
    }
}

/// What the archive is to know of a partition.
pub(crate) fn origin(member: &Member, here: &Here) -> Option<Arc<Origin>> {
    here.job.archive.as_ref().map(|_| {
        let source = here.job.sources[member.source as usize].name.clone();
        let (number, series) = (member.info.number, member.info.series);
        Arc::new(Origin { source, number, series, partition: member.info.id.clone() })
    })
}

/// Records that were read together, before they are marked.
pub(crate) struct Reading<'a> {
    pub(crate) records: &'a Records,
    pub(crate) rejected: &'a [RejectedRecord],
    pub(crate) failures: &'a [RowFailure],
    /// Rows that no filter has left out; `None`: none has.
    pub(crate) kept: Option<&'a [u32]>,
    pub(crate) marked: &'a Marked,
    pub(crate) watermark: &'a PartitionWatermark,
}

impl Reading<'_> {
    /// The records as the archive takes them: accepted, filtered and rejected ones in offset order.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let (times, said) = (self.marked.times(self.records), self.marked.punctuations(self.records));
        let mut seen = self.watermark.seen(times, said);
        seen.extend(self.watermark.seen_before(times, said, &[times.len()]));
        let before = |row: usize| Watermark(seen[self.marked.count_before(row).min(seen.len() - 1)]);
        let rows = self.records.times.len();
        let mut lines = Vec::with_capacity(rows + self.rejected.len());
        let mut rejected = self.rejected.iter().peekable();
        for row in 0..=rows {
            while let Some(record) = rejected.next_if(|record| record.before <= row) {
                lines.push(Line {
                    offset: record.offset,
                    start: record.place.start,
                    end: Some(record.place.end),
                    seen: before(record.before),
                    time: None,
                    outcome: Outcome::Quarantined(record.reason),
                });
            }
            if row < rows {
                lines.push(self.line(row, before(row)));
            }
        }
        lines
    }

    fn line(&self, row: usize, seen: Watermark) -> Line {
        let records = self.records;
        let offset = records.offsets[row];
        let start = match records.starts.get(row) {
            Some(start) => *start as usize,
            None => (offset - records.base) as usize,
        };
        let failed = self.failures.binary_search_by_key(&row, |failure| failure.row).is_ok();
        let kept = self.kept.is_none_or(|kept| kept.binary_search(&(row as u32)).is_ok());
        let outcome = match (failed, kept) {
            (true, _) => Outcome::Quarantined(Reason::Expression),
            (false, true) => Outcome::Accepted,
            (false, false) => Outcome::Filtered,
        };
        Line { offset, start, end: None, seen, time: Some(records.times[row]), outcome }
    }
}
