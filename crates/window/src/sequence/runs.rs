//! Records that wait for their turn: runs that are sorted each, merged by place.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

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

/// What is released together of one run: neighbouring records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    pub(crate) run: u32,
    /// First of its records in the run.
    pub(crate) start: usize,
    pub(crate) rows: usize,
    /// First of its records among all that are released together.
    pub(crate) at: usize,
}

/// Neighbouring records of a run that are also neighbours in the order of all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    /// Place of the stretch that they are of.
    pub(crate) stretch: u32,
    pub(crate) rows: u32,
    /// First of its records in the run.
    pub(crate) start: usize,
}

/// Records that are released together: by run, and in their order.
#[derive(Debug, Default)]
pub(crate) struct Released {
    pub(crate) stretches: Vec<Stretch>,
    pub(crate) pieces: Vec<Piece>,
}

impl Released {
    pub(crate) fn records(&self) -> usize {
        self.stretches.last().map_or(0, |last| last.at + last.rows)
    }
}

/// Runs of all partitions.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// By number. A run that has no records left makes room for another one.
    runs: Vec<Option<Waiting>>,
    free: Vec<u32>,
    /// The place of the first record of each run that still waits.
    heads: BinaryHeap<Reverse<(Place, u32)>>,
}

/// A run of which records wait.
#[derive(Debug)]
struct Waiting {
    run: Run,
    /// The first record that does.
    next: usize,
    /// Its stretch among what is being released.
    stretch: Option<u32>,
}

impl Runs {
    /// Takes in a run.
    pub(crate) fn push(&mut self, run: Run) {
        if run.times.is_empty() {
            return;
        }
        let place = run.place(0);
        let waiting = Some(Waiting { run, next: 0, stretch: None });
        let number = match self.free.pop() {
            Some(number) => {
                self.runs[number as usize] = waiting;
                number
            }
            None => {
                self.runs.push(waiting);
                (self.runs.len() - 1) as u32
            }
        };
        self.heads.push(Reverse((place, number)));
    }

    /// Number of records that wait.
    pub(crate) fn records(&self) -> usize {
        self.waiting().map(|(_, run, next)| run.times.len() - next).sum()
    }

    /// The place of the record that comes next, if it comes before `to`.
    pub(crate) fn next_before(&self, to: Place) -> Option<Place> {
        self.heads.peek().map(|Reverse((place, _))| *place).filter(|place| *place < to)
    }

    /// Releases records before `to` in order, `rows_max` at most. The runs stay until [`Runs::drop_spent`].
    pub(crate) fn release(&mut self, to: Place, rows_max: usize, released: &mut Released) {
        released.stretches.clear();
        released.pieces.clear();
        let mut rest = rows_max;
        while rest > 0 && self.next_before(to).is_some() {
            let Some(Reverse((_, number))) = self.heads.pop() else { break };
            let limit = self.next_before(to).unwrap_or(to);
            let Some(Some(waiting)) = self.runs.get_mut(number as usize) else { break };
            let (run, start) = (&waiting.run, waiting.next);
            let rows = rows_before(run, start, (run.times.len() - start).min(rest), limit);
            waiting.next += rows;
            if waiting.next < run.times.len() {
                self.heads.push(Reverse((run.place(waiting.next), number)));
            }
            let stretch = *waiting.stretch.get_or_insert_with(|| {
                released.stretches.push(Stretch { run: number, start, rows: 0, at: 0 });
                released.stretches.len() as u32 - 1
            });
            released.stretches[stretch as usize].rows += rows;
            released.pieces.push(Piece { stretch, rows: rows as u32, start });
            rest -= rows;
        }
        let mut at = 0;
        for stretch in &mut released.stretches {
            stretch.at = at;
            at += stretch.rows;
        }
    }

    /// A run of which records are being released.
    pub(crate) fn run(&self, number: u32) -> &Run {
        let waiting = self.runs[number as usize].as_ref();
        &waiting.expect("a run stays while its records are being released").run
    }

    /// The first bytes of a record, which is not needed any more.
    pub(crate) fn take_raw(&mut self, number: u32, row: usize) -> Vec<u8> {
        let waiting = self.runs[number as usize].as_mut();
        waiting.and_then(|waiting| waiting.run.raw.get_mut(row)).map(std::mem::take).unwrap_or_default()
    }

    /// Ends a release: runs go that have no records left.
    pub(crate) fn drop_spent(&mut self, released: &Released) {
        for stretch in &released.stretches {
            let waiting = &mut self.runs[stretch.run as usize];
            if waiting.as_ref().is_some_and(|waiting| waiting.next == waiting.run.times.len()) {
                *waiting = None;
                self.free.push(stretch.run);
            } else if let Some(waiting) = waiting {
                waiting.stretch = None;
            }
        }
    }

    /// What waits: each run with the first of its records that does.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (u32, &Run, usize)> {
        let runs = (0..).zip(&self.runs);
        runs.filter_map(|(number, waiting)| waiting.as_ref().map(|of| (number, &of.run, of.next)))
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
