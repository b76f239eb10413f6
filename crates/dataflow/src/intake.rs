//! One partition as a worker reads it: poll and decode, transform, mark time, route.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use archive::{Block, Line, Origin};
use checkpoint::Stage;

use event::{
    Counts, Decoded, Epoch, Place, Reason, Records, Rejected, RejectedRecord, RowFailure, Watermark,
};
use ingest::{Idleness, Partition, PartitionWatermark, Poll, Position, TimeIndex, Waker};
use serde_bytes::ByteBuf;
use transform::Transform;

use crate::archiving;
use crate::branch::Shares;
use crate::custody::Slot;
use crate::indexing;
use crate::job::RunError;
use crate::member::{Member, ordinal};
use crate::message::{Columns, Content, Parcel};
use crate::pace::{RUN, Share};
use crate::plant::Plant;
use crate::route::{Router, pick};
use crate::sleep::Sleep;
use crate::standing::{Heard, Standing};
use crate::vitals::ReadPartition;
use crate::worker::Here;

/// What a poll came to.
#[derive(Default)]
pub(crate) struct Turn {
    pub(crate) parcels: Vec<Parcel>,
    pub(crate) counts: Counts,
    pub(crate) rejected: Vec<Rejected>,
    /// Bytes that records take on their way which are carried along to be shown: rejected ones, and those that
    /// may be late.
    pub(crate) shown_bytes: usize,
    /// Whether there may be more at once.
    pub(crate) polled: bool,
    /// Whether the partition has fallen asleep or wakes.
    pub(crate) turned: bool,
    /// Whether it is not read before others have gone on.
    pub(crate) waits: bool,
    /// What was read, for the archive.
    pub(crate) block: Option<Block>,
}

/// A partition where it is to be read on.
pub(crate) struct Opened {
    pub(crate) member: Member,
    pub(crate) partition: Box<dyn Partition>,
    pub(crate) watermark: PartitionWatermark,
    pub(crate) beginning: Beginning,
    /// Where in it which event times lie, as far as it was read before.
    pub(crate) index: Option<TimeIndex>,
}

/// How a partition begins to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// It counts for the global watermark.
    Awake,
    /// It sleeps.
    Asleep,
    /// It joins the others in that epoch, as one that wakes.
    Joins(Epoch),
}

/// A partition, its watermark, and its share of the source's rate.
pub(crate) struct Intake {
    ordinal: u32,
    member: Member,
    /// The ordinals of those that it goes on from.
    parents: Vec<u32>,
    partition: Box<dyn Partition>,
    watermark: PartitionWatermark,
    finished: bool,
    /// The interval of the first checkpoint that says that it is finished.
    told: Option<u32>,
    /// What goes on from it, once it is at its end and until all of that is read.
    children: Option<Vec<u32>>,
    /// Whether all was read that was there when its end was asked for last.
    passed_end: bool,
    /// Positions in checkpoints that are not known to be committed, with their intervals.
    cuts: VecDeque<(u32, Position)>,
    sleep: Sleep,
    /// What has woken it, and where that stood, until it is known from where it counts.
    found: Option<(Position, Decoded)>,
    drift_max: Option<i64>,
    transform: Transform,
    router: Router,
    share: Option<Share>,
    /// Whether some aggregate asks for offsets.
    offsets: bool,
    /// Whether some windows ask for each record's `seen` and offset.
    in_order: bool,
    /// Which records the branches take in.
    shares: Shares,
    /// Where it notes which records are in hand.
    slot: Option<Arc<Slot>>,
    /// Who it is in the archive, if there is one.
    origin: Option<Arc<Origin>>,
    /// To what the watermark was lifted since the last record that the archive has.
    lifted: Option<Watermark>,
    /// Where in it which event times lie, for whoever reads records again.
    index: TimeIndex,
}

impl Intake {
    pub(crate) fn new(opened: Opened, share: Option<Share>, here: &Here) -> Self {
        let Opened { member, mut partition, watermark, beginning, index } = opened;
        let (ordinal, parents) = (member.ordinal(), member.parents().collect());
        let transform = here.job.transform.clone();
        let mut calls = transform.branches().iter().flat_map(|branch| &branch.features().calls);
        let offsets = calls.any(|call| call.aggregate.function.needs_order());
        let shards = here.job.state.as_ref().map_or(crate::SHARDS, |state| state.shards);
        let (caution, slot) = here.control.custody().of_partition(ordinal, &member.info.id);
        partition.set_caution(caution);
        let origin = archiving::origin(&member, here);
        let begins = watermark.watermark();
        Intake {
            origin,
            index: index.unwrap_or_else(|| TimeIndex::new(partition.position(), begins)),
            lifted: (begins > Watermark::NONE).then_some(begins),
            ordinal,
            member,
            parents,
            partition,
            watermark,
            finished: false,
            told: None,
            children: None,
            passed_end: false,
            cuts: VecDeque::new(),
            sleep: Sleep::new(here.job.idle_after.and_then(Idleness::new), beginning),
            found: None,
            drift_max: here.job.drift_max,
            transform,
            router: Router::new(shards, here.peers),
            share,
            offsets,
            in_order: here.job.branches.iter().any(|branch| branch.window.needs_order()),
            shares: Shares::of(&here.job),
            slot,
        }
    }

    pub(crate) fn set_waker(&mut self, waker: Waker) {
        self.partition.set_waker(waker);
    }

    pub(crate) fn ordinal(&self) -> u32 {
        self.ordinal
    }

    pub(crate) fn member(&self) -> &Member {
        &self.member
    }

    /// The ordinals of those that it goes on from.
    pub(crate) fn parents(&self) -> &[u32] {
        &self.parents
    }

    /// The watermark that it ended with, if what goes on from it is not known to be read.
    pub(crate) fn closed_at(&self) -> Option<Watermark> {
        self.children.as_ref().filter(|_| !self.finished).map(|_| self.watermark.watermark())
    }

    /// Asks where the end lies of what there is.
    pub(crate) fn mark_end(&mut self) {
        self.passed_end = false;
        self.partition.mark_end();
    }

    /// Whether all was read that was there when its end was asked for last.
    pub(crate) fn has_passed_end(&self) -> bool {
        self.passed_end || self.finished || self.children.is_some() || self.partition.has_passed_end()
    }

    /// How it is, for people.
    pub(crate) fn vitals(&self) -> ReadPartition {
        let watermark = self.watermark.watermark();
        ReadPartition {
            partition: self.member.info.id.clone(),
            watermark: (watermark != Watermark::NONE).then_some(watermark.0),
            asleep: self.sleep.sleeps(),
            lag: self.partition.lag(),
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Where it is to be read on: records that are not sent yet are not read.
    pub(crate) fn position(&self) -> Position {
        self.found.as_ref().map_or_else(|| self.partition.position(), |(position, _)| position.clone())
    }

    /// Where in it which event times lie.
    pub(crate) fn index(&self) -> &TimeIndex {
        &self.index
    }

    /// What a checkpoint is to say of it.
    pub(crate) fn stage(&self) -> Stage {
        match (self.finished, self.sleep.sleeps()) {
            (true, _) => Stage::Finished,
            (false, true) => Stage::Asleep,
            (false, false) => Stage::Awake,
        }
    }

    /// Whether nobody needs it any more at that epoch: all was read of it, a checkpoint says so where there are any, and
    /// what it decided last is committed.
    pub(crate) fn is_done_with(&self, epoch: Epoch, here: &Here) -> bool {
        let is_told = !here.keeps_state() || self.told.is_some_and(|interval| interval < epoch.interval());
        self.finished && is_told && self.undecided_in().is_none()
    }

    /// The checkpoint of that interval has this position.
    pub(crate) fn cut(&mut self, interval: u32, position: Position) {
        if self.finished {
            self.told.get_or_insert(interval);
        }
        self.cuts.push_back((interval, position));
    }

    /// All intervals before that one are committed.
    pub(crate) fn committed_before(&mut self, interval: u32) {
        self.sleep.committed_before(interval);
        let mut last = None;
        while let Some((_, position)) = self.cuts.pop_front_if(|(cut, _)| *cut < interval) {
            last = Some(position);
        }
        last.iter().for_each(|position| self.partition.committed(position));
    }

    /// The interval in which it fell asleep or woke last, if no checkpoint is known to say so.
    pub(crate) fn undecided_in(&self) -> Option<u32> {
        self.sleep.undecided_in()
    }

    /// Adds it to what its worker says.
    pub(crate) fn stand(&self, here: &Here, standing: &mut Standing) {
        let own = self.watermark.watermark();
        if self.finished {
            return self.sleep.stand_at_end(own, standing);
        }
        let series = here.partitions.series(self.ordinal);
        if self.children.is_some() && here.world.has(Plant::FreeParentEarly) {
            return self.sleep.stand_at_end(own, standing);
        }
        self.sleep.stand(Place { seen: own, series, offset: self.position().offset }, standing);
    }

    /// The watermark that its records have reached.
    pub(crate) fn watermark_state(&self) -> Watermark {
        self.watermark.watermark()
    }

    /// How long a paced partition has nothing to do.
    pub(crate) fn pause(&self) -> Option<Duration> {
        self.share.as_ref().filter(|_| !self.finished && self.children.is_none()).map(|_| RUN / 2)
    }

    /// Reads some records and sends them on their way.
    pub(crate) fn poll(&mut self, here: &Here, epoch: Epoch, heard: &Heard) -> Result<Turn, RunError> {
        if self.finished {
            return Ok(Turn::default());
        }
        if let Some(children) = &self.children {
            self.finished = children.iter().all(|child| heard.births().opened.contains(child));
            return Ok(Turn { turned: self.finished, waits: true, ..Turn::default() });
        }
        if let Some(since) = self.sleep.waking() {
            let is_early = here.world.has(Plant::WakeEarly);
            let reached = if is_early { Some(heard.watermark()) } else { heard.before(since) };
            return Ok(self.wake(here, epoch, reached));
        }
        if heard.is_left_behind_by(self.watermark.watermark(), self.drift_max) {
            return Ok(Turn { waits: true, ..Turn::default() });
        }
        let allowed = self.share.as_mut().map_or(usize::MAX, |share| share.allowance(here.world.now()));
        if allowed == 0 {
            return Ok(Turn::default());
        }
        // Until what was read has left this call, it is to blame for whatever happens.
        let _turn = here.control.custody().turn();
        let slot = self.slot.clone();
        let _watch = slot.as_ref().map(|slot| slot.watch());
        let before = self.sleep.sleeps().then(|| self.partition.position());
        let own = self.watermark.watermark();
        let turn = match self.partition.poll(allowed)? {
            Poll::Pending => Turn::default(),
            Poll::CaughtUp => {
                self.passed_end = true;
                let turned = self.sleep.nothing_came(here.world.now(), epoch.interval(), own);
                Turn { turned, ..Turn::default() }
            }
            Poll::Finished => {
                self.finished = true;
                self.share.iter().for_each(Share::leave);
                Turn { polled: true, ..Turn::default() }
            }
            // What goes on from it goes on from where the others are: so it wakes for its end.
            Poll::Closed(_) if self.sleep.records_came(epoch, own) => {
                return Ok(Turn { turned: true, waits: true, ..Turn::default() });
            }
            Poll::Closed(children) => {
                let source = self.member.source;
                let children = children.into_iter().map(|child| ordinal(source, child));
                self.children = Some(children.filter(|child| here.is_to_be_read(source, *child)).collect());
                self.share.iter().for_each(Share::leave);
                Turn { polled: true, ..Turn::default() }
            }
            Poll::Decoded(decoded) => {
                let is_empty = decoded.records.times.is_empty() && decoded.rejected.is_empty();
                if !is_empty && self.sleep.records_came(epoch, own) {
                    self.found = before.map(|before| (before, decoded));
                    return Ok(Turn { turned: true, waits: true, ..Turn::default() });
                }
                self.take_in(decoded, here)
            }
        };
        if let Some(share) = &mut self.share {
            share.spend(turn.counts.read);
        }
        Ok(turn)
    }

    /// Sends on the records that woke it once it is known from where it counts: at least from what the others
    /// had reached just before it woke.
    fn wake(&mut self, here: &Here, epoch: Epoch, reached: Option<Watermark>) -> Turn {
        let Some(reached) = reached else { return Turn { waits: true, ..Turn::default() } };
        let Some((position, decoded)) = self.found.take() else {
            // One that joins, or comes to its end, has nothing to send yet.
            self.sleep.is_awake(epoch.interval(), self.watermark.watermark());
            let before = self.watermark.watermark();
            self.lift(reached);
            let position = self.partition.position();
            here.world.woke(self.ordinal, position.offset, self.watermark.watermark());
            self.index.lift(position, before, self.watermark.watermark());
            return Turn { polled: true, ..Turn::default() };
        };
        let _turn = here.control.custody().turn();
        let slot = self.slot.clone();
        let _watch = slot.as_ref().map(|slot| {
            slot.in_hand(self.ordinal, position.offset..self.partition.position().offset);
            slot.watch()
        });
        self.sleep.is_awake(epoch.interval(), self.watermark.watermark());
        let before = self.watermark.watermark();
        self.lift(reached);
        here.world.woke(self.ordinal, position.offset, self.watermark.watermark());
        self.index.lift(position, before, self.watermark.watermark());
        let turn = self.take_in(decoded, here);
        self.share.iter_mut().for_each(|share| share.spend(turn.counts.read));
        turn
    }

    /// Lifts the watermark by what no record says.
    fn lift(&mut self, to: Watermark) {
        self.watermark.raise(to);
        self.lifted = Some(self.watermark.watermark());
    }

    fn take_in(&mut self, decoded: Decoded, here: &Here) -> Turn {
        let bytes = indexing::bytes_of(&decoded);
        let Decoded { mut records, rejected } = decoded;
        if let Some(to) = self.partition.lifted() {
            self.lift(to);
        }
        let transformed = self.transform.apply(&records.batch);
        let read = (records.times.len() + rejected.len()) as u64;
        self.index.add(read, bytes, &records.times);
        let failed = transformed.failures.len() as u64;
        let mut turn = Turn { polled: true, ..Turn::default() };
        turn.counts.read = read;
        turn.counts.filtered = transformed.filtered;
        turn.counts.quarantined = rejected.len() as u64 + failed;
        rejected.iter().for_each(|record| turn.counts.by_reason.add(record.reason, 1));
        turn.counts.by_reason.add(Reason::Expression, failed);
        turn.counts.accepted = read - transformed.filtered - turn.counts.quarantined;

        let marked = Marked::of(&records, &transformed.failures);
        let lines = self.origin.as_ref().map(|_| {
            let (failures, kept) = (&transformed.failures, transformed.kept.as_deref());
            let (records, rejected, watermark) = (&records, &rejected, &self.watermark);
            archiving::Reading { records, rejected, failures, kept, marked: &marked, watermark }.lines()
        });
        turn.rejected = self.reject(&records, rejected, &transformed.failures, &marked);
        let shown = turn.rejected.iter().map(|row| row.raw.len() + row.detail.len() + size_of::<Rejected>());
        turn.shown_bytes = shown.sum();
        let seen = if self.in_order { marked.seen(&records, &self.watermark) } else { Vec::new() };
        let behind = self.watermark.mark(marked.times(&records), marked.punctuations(&records));
        if self.index.is_due() {
            self.index.begin(self.partition.position(), self.watermark.watermark());
        }
        let columns = Columns {
            keys: transformed.keys,
            hashes: transformed.hashes,
            times: kept(&records.times, transformed.kept.as_deref()),
            offsets: if self.offsets || self.in_order || !behind.is_empty() {
                kept(&records.offsets, transformed.kept.as_deref())
            } else {
                Vec::new()
            },
            inputs: transformed.inputs,
            seen: if self.in_order { kept(&seen, transformed.kept.as_deref()) } else { seen },
            raw: None,
        };
        let block = match (records.offsets.first(), records.offsets.last()) {
            (Some(first), Some(last)) => *first..last + 1,
            _ => 0..0,
        };
        let behind: Vec<(u32, i64)> = behind.into_iter().map(|(row, seen)| (marked.row(row), seen)).collect();
        let (ahead, behind) = part(columns, &records, transformed.kept.as_deref(), &behind);
        if let Some(raw) = behind.as_ref().and_then(|columns| columns.raw.as_ref()) {
            turn.shown_bytes += raw.iter().map(|raw| raw.len() + size_of::<Rejected>()).sum::<usize>();
        }
        if here.world.has(Plant::ForgetLift) {
            self.lifted = None;
        }
        turn.block = lines.and_then(|lines| self.block(&mut records, lines));
        for columns in [Some(ahead), behind].into_iter().flatten() {
            let columns = self.covered(columns, &mut turn.counts);
            for (to, columns) in self.router.deal(columns) {
                let content = Content::Columns(Box::new(columns));
                let content = if here.is_remote(to as usize) { content.into_bytes() } else { content };
                turn.parcels.push(Parcel { to, partition: self.ordinal, block: block.clone(), content });
            }
        }
        turn
    }

    /// What the archive gets of records that nobody needs any more.
    fn block(&mut self, records: &mut Records, lines: Vec<Line>) -> Option<Block> {
        let origin = self.origin.clone().filter(|_| !lines.is_empty())?;
        let (bytes, end, lifted) = (std::mem::take(&mut records.bytes), records.end, self.lifted.take());
        let header = self.partition.header();
        Some(Block { origin, bytes, lines, header, end, lifted })
    }

    /// The records that some window covers. The others are left out, as if by a filter.
    fn covered(&self, columns: Columns, counts: &mut Counts) -> Columns {
        let Some(rows) = self.shares.covered(&columns) else { return columns };
        let between = (columns.times.len() - rows.len()) as u64;
        counts.filtered += between;
        counts.accepted -= between;
        pick(&columns, rows)
    }

    /// Quarantine rows, each with its partition's watermark just before it.
    fn reject(
        &self,
        records: &Records,
        rejected: Vec<RejectedRecord>,
        failures: &[RowFailure],
        marked: &Marked,
    ) -> Vec<Rejected> {
        if rejected.is_empty() && failures.is_empty() {
            return Vec::new();
        }
        let of_failures = failures.iter().map(|failure| {
            let (offset, detail) = (records.offsets[failure.row], &failure.detail);
            let place = self.partition.place_of(offset);
            let detail = place.map_or(detail.clone(), |place| format!("{detail} ({place})"));
            let (reason, raw) = (Reason::Expression, records.raw(failure.row).to_vec());
            RejectedRecord { before: failure.row, offset, reason, detail, raw, place: 0..0 }
        });
        let mut all: Vec<RejectedRecord> = rejected.into_iter().chain(of_failures).collect();
        all.sort_by_key(|record| record.offset);
        let before: Vec<usize> = all.iter().map(|record| marked.count_before(record.before)).collect();
        let seen = self.watermark.seen_before(marked.times(records), marked.punctuations(records), &before);
        let rows = all.into_iter().zip(seen).map(|(record, seen)| Rejected {
            seen,
            partition: self.ordinal,
            offset: record.offset,
            reason: record.reason,
            detail: record.detail,
            raw: record.raw,
        });
        rows.collect()
    }
}

/// The records that move the watermark: all but those in quarantine.
pub(crate) struct Marked {
    /// The others without the failed ones; `None` if none failed.
    without: Option<Without>,
}

/// What is left of a batch.
struct Without {
    rows: Vec<u32>,
    times: Vec<i64>,
    punctuations: Vec<i64>,
}

impl Marked {
    fn of(records: &Records, failures: &[RowFailure]) -> Self {
        if failures.is_empty() {
            return Marked { without: None };
        }
        let failed = |row: &u32| failures.binary_search_by_key(&(*row as usize), |f| f.row).is_ok();
        let rows: Vec<u32> = (0..records.times.len() as u32).filter(|row| !failed(row)).collect();
        let times = kept(&records.times, Some(&rows));
        let said = &records.punctuations;
        let punctuations = if said.is_empty() { Vec::new() } else { kept(said, Some(&rows)) };
        Marked { without: Some(Without { rows, times, punctuations }) }
    }

    pub(crate) fn times<'a>(&'a self, records: &'a Records) -> &'a [i64] {
        self.without.as_ref().map_or(&records.times, |without| &without.times)
    }

    pub(crate) fn punctuations<'a>(&'a self, records: &'a Records) -> &'a [i64] {
        self.without.as_ref().map_or(&records.punctuations, |without| &without.punctuations)
    }

    /// The row of the batch that a marked record has.
    fn row(&self, marked: u32) -> u32 {
        self.without.as_ref().map_or(marked, |without| without.rows[marked as usize])
    }

    /// The watermark just before each record of the batch, to be asked before they are marked. What is not marked
    /// has none.
    fn seen(&self, records: &Records, watermark: &PartitionWatermark) -> Vec<i64> {
        let seen = watermark.seen(self.times(records), self.punctuations(records));
        let Some(Without { rows, .. }) = &self.without else { return seen };
        let mut of_all = vec![Watermark::NONE.0; records.times.len()];
        rows.iter().zip(seen).for_each(|(row, seen)| of_all[*row as usize] = seen);
        of_all
    }

    /// How many marked records stand before a row.
    pub(crate) fn count_before(&self, row: usize) -> usize {
        let rows = self.without.as_ref().map(|without| &without.rows);
        rows.map_or(row, |rows| rows.partition_point(|r| (*r as usize) < row))
    }
}

fn kept<T: Copy>(values: &[T], kept: Option<&[u32]>) -> Vec<T> {
    match kept {
        Some(rows) => rows.iter().map(|row| values[*row as usize]).collect(),
        None => values.to_vec(),
    }
}

/// Parts the records that are ahead of their partition's watermark from those behind it.
fn part(
    columns: Columns,
    records: &Records,
    kept: Option<&[u32]>,
    behind: &[(u32, i64)],
) -> (Columns, Option<Columns>) {
    // Rows of the kept records that are behind, with `seen` and their row in the batch.
    let place = |row: u32| match kept {
        Some(rows) => rows.binary_search(&row).ok().map(|place| place as u32),
        None => Some(row),
    };
    let behind: Vec<(u32, i64, u32)> =
        behind.iter().filter_map(|(row, seen)| Some((place(*row)?, *seen, *row))).collect();
    if behind.is_empty() {
        return (columns, None);
    }
    let is_behind = |row: &u32| behind.binary_search_by_key(row, |(row, ..)| *row).is_ok();
    let ahead = (0..columns.times.len() as u32).filter(|row| !is_behind(row)).collect();
    let mut apart = pick(&columns, behind.iter().map(|(row, ..)| *row).collect());
    apart.seen = behind.iter().map(|(_, seen, _)| *seen).collect();
    apart.raw = Some(behind.iter().map(|(.., row)| ByteBuf::from(records.raw(*row as usize))).collect());
    (pick(&columns, ahead), Some(apart))
}
