//! The windows of a worker's keys, of every branch: records in, rows of features out, each record judged once.
//!
//! A record goes into the windows of each branch that takes it in, and is late if none of them holds it. Windows that
//! keys share say so at once. Windows that take records in order say so when they release it, and all of them release
//! the same records between two watermarks; so what is not known in between is not to be remembered by snapshots.
//! Whatever else holds a record takes its first bytes off it, and so says that nothing about it is open any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use checkpoint::{CodecError, Frame, Kind, Operator};
use event::{Counts, Memory, Place, Reason, Rejected, Rows, Watermark};
use serde_bytes::ByteBuf;
use window::{
    ASIDES, Arrival, Arrivals, Judged, KEYS, Keyed, LateRecord, RECALL, Recall, Run, StateChunk, Windows,
};

use crate::branch::{Part, Shares};
use crate::job::Job;
use crate::message::Columns;
use crate::snapshot::{Saved, SavedChunk};

/// What a branch keeps of its keys.
pub(crate) struct Kept {
    pub(crate) windows: Keyed,
    /// What is remembered of keys, if anything.
    pub(crate) recall: Option<Recall>,
}

/// The windows of all branches.
pub(crate) struct Branches {
    kept: Vec<Kept>,
    shares: Shares,
    job: Arc<Job>,
    counts: Counts,
    late: Vec<Rejected>,
}

/// What is known of a record that is behind its partition's watermark.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// No window holds it.
    Late,
    /// Windows that take records in order will say.
    Open,
    Held,
}

impl Kept {
    /// The row of a key as it is by now, with what was recalled for it.
    pub(crate) fn peek(&self, key: &[u8], hash: u64) -> Option<Rows> {
        let rows = self.windows.peek(key, hash)?;
        Some(match &self.recall {
            Some(recall) => {
                let dues = [rows.spans.of(0).due];
                Rows { previous: recall.recall(&rows.keys, &dues), ..rows }
            }
            None => rows,
        })
    }
}

impl Saved for Kept {
    type Chunk = StateChunk;
    /// Keys, and everything else, of which nothing stays as long as keys do.
    const LETTERS: &'static [char] = &['k', 'w'];

    fn operator(branch: usize, _letter: char) -> Operator {
        Operator::of_branch(branch)
    }

    fn labels(&self) -> Vec<i64> {
        let mut labels = self.windows.labels();
        labels.extend([KEYS, RECALL]);
        labels.sort_unstable();
        labels
    }

    fn begin(&mut self, cut: u32, whole: bool) -> (i64, Vec<u32>) {
        let again = self.windows.begin_snapshot(cut, whole);
        if let Some(recall) = &mut self.recall {
            recall.begin_snapshot(whole);
        }
        (KEYS, again)
    }

    fn next_chunk(&mut self) -> Option<StateChunk> {
        self.windows.next_chunk().or_else(|| self.recall.as_mut()?.next_chunk())
    }

    /// Records that are set aside are few.
    fn written_again() -> &'static [i64] {
        &[ASIDES]
    }
}

impl SavedChunk for StateChunk {
    fn label(&self) -> i64 {
        self.label
    }

    fn supersedes(&self) -> bool {
        self.supersedes
    }

    fn letter(&self) -> char {
        if self.label == KEYS { 'k' } else { 'w' }
    }

    fn frame(&self) -> Result<Frame, CodecError> {
        Frame::new(Kind::State, &self.head, self.packed_parts())
    }
}

impl Branches {
    /// Empty windows.
    pub(crate) fn new(job: &Arc<Job>) -> Self {
        let several = job.branches.len() > 1;
        let kept = job.branches.iter().zip(job.transform.branches()).map(|(branch, share)| {
            let aggregates = share.features().calls.iter().map(|call| call.aggregate.clone());
            let windows = Keyed::new(branch.window.clone(), aggregates.collect());
            let remembered = branch.detection.remembered();
            Kept {
                windows: if several { windows.telling_held() } else { windows },
                recall: (!remembered.is_empty())
                    .then(|| Recall::new(remembered, branch.lag_within, job.state.is_some())),
            }
        });
        Branches {
            kept: kept.collect(),
            shares: Shares::of(job),
            job: Arc::clone(job),
            counts: Counts::default(),
            late: Vec::new(),
        }
    }

    /// What each branch keeps, in their order.
    pub(crate) fn kept(&mut self) -> &mut [Kept] {
        &mut self.kept
    }

    /// The most keys of which some branch holds something.
    pub(crate) fn keys(&self) -> usize {
        let remembered = |kept: &Kept| kept.recall.as_ref().map_or(0, Recall::keys);
        self.kept.iter().map(|kept| kept.windows.keys().max(remembered(kept))).max().unwrap_or(0)
    }

    /// Bytes of memory that all of them hold, as [`Keyed::bytes`] counts them.
    pub(crate) fn bytes(&self) -> usize {
        let remembered = |kept: &Kept| kept.recall.as_ref().map_or(0, Recall::bytes);
        self.kept.iter().map(|kept| kept.windows.bytes() + remembered(kept)).sum()
    }

    /// Takes in records of one partition.
    pub(crate) fn insert(&mut self, partition: u32, series: u32, columns: Columns) {
        // Until it is found that none does, a window holds it: some wait for their turn.
        self.counts.windowed += columns.times.len() as u64;
        match self.kept.as_mut_slice() {
            [kept] => {
                let part = self.shares.part(0, columns);
                match &mut kept.windows {
                    Keyed::Sliced(windows) => {
                        let judged = insert(windows, partition, &part.columns);
                        let late = late_ones(&judged).map(|row| late(partition, &part.columns, row));
                        let late: Vec<LateRecord> = late.collect();
                        self.reject(late);
                    }
                    Keyed::InOrder(sequence) => sequence.hold(run(partition, series, part)),
                }
            }
            _ if columns.raw.is_none() => {
                // Ahead of the watermark of its partition, a record is in every window that covers it.
                let mut fates = Vec::new();
                for branch in 0..self.kept.len() {
                    self.insert_into(branch, partition, series, &columns, &mut fates);
                }
            }
            _ => self.insert_behind(partition, series, &columns),
        }
    }

    /// Takes records into all branches of which it is not sure that a window holds them.
    fn insert_behind(&mut self, partition: u32, series: u32, columns: &Columns) {
        let mut fates = vec![Fate::Late; columns.times.len()];
        let mut order: Vec<usize> = (0..self.kept.len()).collect();
        // First those that say at once whether they hold them.
        order.sort_by_key(|branch| matches!(self.kept[*branch].windows, Keyed::InOrder(_)));
        for branch in order {
            self.insert_into(branch, partition, series, columns, &mut fates);
        }
        let nowhere = (0..fates.len()).filter(|row| fates[*row] == Fate::Late);
        self.reject(nowhere.map(|row| late(partition, columns, row)).collect());
    }

    /// Takes records into one branch. `fates` are those of the records, if they may be late.
    fn insert_into(
        &mut self,
        branch: usize,
        partition: u32,
        series: u32,
        columns: &Columns,
        fates: &mut [Fate],
    ) {
        let mut part = self.shares.part(branch, columns.clone());
        match &mut self.kept[branch].windows {
            Keyed::Sliced(windows) => {
                let judged = insert(windows, partition, &part.columns);
                for (row, _) in judged.iter().enumerate().filter(|(_, arrival)| **arrival != Arrival::Late) {
                    fates[part.place(row)] = Fate::Held;
                }
            }
            Keyed::InOrder(sequence) => {
                let mut raw = part.columns.raw.take();
                for (row, raw) in raw.iter_mut().flatten().enumerate() {
                    match &mut fates[part.place(row)] {
                        Fate::Held => *raw = ByteBuf::new(),
                        fate => *fate = Fate::Open,
                    }
                }
                part.columns.raw = raw;
                sequence.hold(run(partition, series, part));
            }
        }
    }

    /// Says how far event time has come by what was read.
    pub(crate) fn set_reached(&mut self, reached: Watermark) {
        self.kept.iter_mut().for_each(|kept| kept.windows.set_reached(reached));
    }

    /// Closes what is due where the least of the partitions goes on at `place`, and hands the rows of each branch to
    /// `give`. Stops after about `rows_max`; returns whether it is done. Until then it is to be called again with the
    /// same place.
    pub(crate) fn advance_some(
        &mut self,
        place: Place,
        rows_max: usize,
        give: &mut dyn FnMut(usize, Rows),
    ) -> bool {
        let mut rest = rows_max;
        for (number, (kept, branch)) in self.kept.iter_mut().zip(&self.job.branches).enumerate() {
            let (windows, recall) = (&mut kept.windows, &mut kept.recall);
            let mut given = 0;
            let mut give = |rows: Rows| {
                given += rows.records.len();
                give(
                    number,
                    match recall {
                        Some(recall) => branch.detection.remember(rows, recall),
                        None => rows,
                    },
                );
            };
            if !windows.advance_some(place, rest, &mut give) {
                return false;
            }
            rest = rest.saturating_sub(given);
        }
        self.judge();
        true
    }

    /// Takes note of what became of the records that were released.
    fn judge(&mut self) {
        if let [kept] = self.kept.as_mut_slice() {
            let judged = kept.windows.take_judged();
            return self.reject(judged.late);
        }
        let judged: Vec<Judged> = self.kept.iter_mut().map(|kept| kept.windows.take_judged()).collect();
        let held: BTreeSet<(u32, u64)> = judged.iter().flat_map(|judged| &judged.held).copied().collect();
        // Without its first bytes it is held by windows that said so before.
        let late = judged.into_iter().flat_map(|judged| judged.late).filter(|late| !late.raw.is_empty());
        let late = late.map(|late| ((late.partition, late.offset), late));
        let late: BTreeMap<(u32, u64), LateRecord> = late.filter(|(at, _)| !held.contains(at)).collect();
        self.reject(late.into_values().collect());
    }

    fn reject(&mut self, late: Vec<LateRecord>) {
        self.counts.add_late(late.len() as u64);
        self.late.extend(late.into_iter().map(rejected));
    }

    /// What became of records since the last call, and those that are late.
    pub(crate) fn take_counts(&mut self) -> (Counts, Vec<Rejected>) {
        (std::mem::take(&mut self.counts), std::mem::take(&mut self.late))
    }
}

/// Takes records into windows that keys share. Says what became of each, if it might be late.
fn insert(windows: &mut Windows, partition: u32, columns: &Columns) -> Vec<Arrival> {
    let arrivals = Arrivals {
        keys: &columns.keys,
        hashes: &columns.hashes,
        times: &columns.times,
        inputs: &columns.inputs,
        partition,
        offsets: &columns.offsets,
    };
    if columns.raw.is_some() {
        return windows.insert_behind(&arrivals, &columns.seen);
    }
    windows.insert(&arrivals);
    Vec::new()
}

fn late_ones(judged: &[Arrival]) -> impl Iterator<Item = usize> {
    judged.iter().enumerate().filter_map(|(row, arrival)| (*arrival == Arrival::Late).then_some(row))
}

fn late(partition: u32, columns: &Columns, row: usize) -> LateRecord {
    let raw = columns.raw.as_ref().map(|raw| raw[row].to_vec());
    LateRecord {
        partition,
        offset: columns.offsets[row],
        seen: columns.seen[row],
        time: columns.times[row],
        raw: raw.unwrap_or_default(),
    }
}

/// The quarantine row of a record that no window holds.
fn rejected(late: LateRecord) -> Rejected {
    Rejected {
        seen: late.seen,
        partition: late.partition,
        offset: late.offset,
        reason: Reason::Late,
        detail: format!("{} us behind the watermark of its partition", late.seen.saturating_sub(late.time)),
        raw: late.raw,
    }
}

/// Records that are to wait for their turn.
fn run(partition: u32, series: u32, part: Part) -> Run {
    let Part { columns: Columns { keys, hashes, times, offsets, inputs, seen, raw }, gaps, .. } = part;
    let raw = raw.unwrap_or_default().into_iter().map(ByteBuf::into_vec).collect();
    Run { partition, series, keys, hashes, times, seen, offsets, gaps, inputs, raw }
}
