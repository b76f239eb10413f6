//! Records that wait for their turn: runs that are sorted each, merged by place.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use arrow_array::{ArrayRef, BinaryArray};
use event::{Place, Watermark};

/// Records of one partition, in the order of their offsets.
#[derive(Debug, Clone)]
pub struct Run {
    /// Ordinal of the partition, by which `first` and `last` go.
    pub partition: u32,
    /// Ordinal of the first partition that shares its sequence of offsets: see [`Place::series`].
    pub series: u32,
    /// Encoded keys.
    pub keys: BinaryArray,
    /// Their hashes, by [`event::key_hash`].
    pub hashes: Vec<u64>,
    /// Event times, in ticks.
    pub times: Vec<i64>,
    /// The partition's watermark just before each record. It never falls.
    pub seen: Vec<i64>,
    /// Offsets, ascending.
    pub offsets: Vec<u64>,
    /// How many ticks behind each record its session ends, where the job says so; one tick at least.
    pub gaps: Option<Vec<i64>>,
    /// Inputs of the aggregates, as [`event::Aggregate`] orders them.
    pub inputs: Vec<ArrayRef>,
    /// First bytes of each record, to be handed back with those that are late; empty where none can be, since
    /// all are ahead of `seen`.
    pub raw: Vec<Vec<u8>>,
}

impl Run {
    /// Where a record stands among all that the job reads.
    pub(crate) fn place(&self, row: usize) -> Place {
        Place { seen: Watermark(self.seen[row]), series: self.series, offset: self.offsets[row] }
    }

    /// The gap of a record whose job has one for each.
    #[inline]
    pub(crate) fn gap(&self, row: usize) -> i64 {
        self.gaps.as_ref().map_or(1, |gaps| gaps[row].max(1))
    }
}

/// Neighbouring records of a run that are also neighbours in the order of all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) run: u64,
    /// First of its records in the run.
    pub(crate) start: usize,
    pub(crate) rows: usize,
    /// First of its records among those that are released together.
    pub(crate) at: usize,
}

/// Runs of all partitions.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// By order of arrival, with the first record that still waits.
    runs: BTreeMap<u64, (Run, usize)>,
    /// The place of that record.
    heads: BinaryHeap<Reverse<(Place, u64)>>,
    next: u64,
}

impl Runs {
    /// Takes in a run.
    pub(crate) fn push(&mut self, run: Run) {
        if run.times.is_empty() {
            return;
        }
        self.heads.push(Reverse((run.place(0), self.next)));
        self.runs.insert(self.next, (run, 0));
        self.next += 1;
    }

    /// Number of records that wait.
    pub(crate) fn records(&self) -> usize {
        self.runs.values().map(|(run, next)| run.times.len() - next).sum()
    }

    /// The place of the record that comes next, if it comes before `to`.
    pub(crate) fn next_before(&self, to: Place) -> Option<Place> {
        self.heads.peek().map(|Reverse((place, _))| *place).filter(|place| *place < to)
    }

    /// Releases records before `to` in order, `rows_max` at most. The runs stay until [`Runs::drop_spent`].
    pub(crate) fn release(&mut self, to: Place, rows_max: usize, pieces: &mut Vec<Piece>) {
        let mut at = 0;
        while at < rows_max && self.next_before(to).is_some() {
            let Some(Reverse((_, number))) = self.heads.pop() else { return };
            let limit = self.next_before(to).unwrap_or(to);
            let Some((run, next)) = self.runs.get_mut(&number) else { return };
            let start = *next;
            let rows = rows_before(run, start, (run.times.len() - start).min(rows_max - at), limit);
            *next += rows;
            if *next < run.times.len() {
                self.heads.push(Reverse((run.place(*next), number)));
            }
            pieces.push(Piece { run: number, start, rows, at });
            at += rows;
        }
    }

    /// The run of a piece.
    pub(crate) fn run(&self, number: u64) -> &Run {
        &self.runs[&number].0
    }

    /// The first bytes of a record, which is not needed any more.
    pub(crate) fn take_raw(&mut self, number: u64, row: usize) -> Vec<u8> {
        let raw = self.runs.get_mut(&number).and_then(|(run, _)| run.raw.get_mut(row));
        raw.map(std::mem::take).unwrap_or_default()
    }

    /// Lets the runs of these pieces go that have no records left.
    pub(crate) fn drop_spent(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            if self.runs.get(&piece.run).is_some_and(|(run, next)| *next == run.times.len()) {
                self.runs.remove(&piece.run);
            }
        }
    }

    /// What waits: each run with the first of its records that does.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (u64, &Run, usize)> {
        self.runs.iter().map(|(number, (run, next))| (*number, run, *next))
    }
}

/// How many of `rows` records from `start` on come before `limit`: one at least, which is known to.
fn rows_before(run: &Run, start: usize, rows: usize, limit: Place) -> usize {
    if run.place(start + rows - 1) < limit {
        return rows;
    }
    // Mostly it is not far.
    let near = (1..rows.min(8)).find(|row| run.place(start + row) >= limit);
    near.unwrap_or_else(|| {
        let (mut low, mut high) = (1, rows);
        while low < high {
            let middle = (low + high) / 2;
            if run.place(start + middle) < limit {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    })
}
