//! Count windows: every `slide` records of a key a row over its last `size`.
//!
//! A *pane* is what lies between two neighbouring window edges of a key, in numbers of its records; it is
//! accumulated once. Where windows overlap, the panes of a key are a queue of two stacks: each pane of the
//! *front* holds all from itself to the end of the front, and a *total* row holds the panes behind the front
//! together, so that a window is the sum of two rows however many panes it has.
//!
//! Source: Tangwongsan, Hirzel, Schneider (2017), "Low-latency sliding-window aggregation in worst-case
//! constant time" (the two-stacks algorithm).

mod peek;

use std::collections::VecDeque;

use event::{Place, Span, Watermark, Window};

use super::state::{Emit, State};
use super::table::NONE;
use super::timers::Timers;

/// No timer is set.
const UNSET: i64 = i64::MIN;

/// What a row holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A pane that takes records.
    Open = 0,
    /// A pane behind the front.
    Back = 1,
    /// A pane of the front, with all of the front behind it.
    Front = 2,
    /// All panes behind the front.
    Total = 3,
}

/// What is known of a row beside its accumulators.
#[derive(Debug, Clone, Copy)]
struct Pane {
    least: i64,
    greatest: i64,
    /// Number of its first record among those of its key, and how many it has.
    first: u64,
    records: u64,
    role: Role,
    /// The next younger pane of the key.
    next: u32,
}

impl Pane {
    fn new(first: u64, role: Role) -> Self {
        Pane { least: i64::MAX, greatest: i64::MIN, first, records: 0, role, next: NONE }
    }

    fn cover(&mut self, least: i64, greatest: i64) {
        self.least = self.least.min(least);
        self.greatest = self.greatest.max(greatest);
    }
}

/// What is known of a key.
#[derive(Debug, Clone, Copy)]
struct Tally {
    /// Records so far.
    records: u64,
    /// When its last row was due.
    due: i64,
    open: u32,
    /// The ends of its queue of panes.
    oldest: u32,
    newest: u32,
    total: u32,
    /// Greatest time and `seen` of its records.
    last: i64,
    /// The only timer that counts for it.
    timer: i64,
}

impl Tally {
    const EMPTY: Tally = Tally {
        records: 0,
        due: i64::MIN,
        open: NONE,
        oldest: NONE,
        newest: NONE,
        total: NONE,
        last: i64::MIN,
        timer: UNSET,
    };
}

/// What is to be done once the records of a batch are folded.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A pane is complete.
    Complete(u32),
    /// So is a window, which a record with that `seen` ends: the row of its last pane, and the number of
    /// records of the key so far.
    Fire { row: u32, records: u64, seen: i64 },
}

/// The count windows of all keys.
#[derive(Debug)]
pub(crate) struct Counts {
    size: u64,
    slide: u64,
    /// How long after its last record a key is forgotten.
    expires: Option<i64>,
    /// When keys may be.
    timers: Timers,
    /// By slot.
    tallies: Vec<Tally>,
    /// By row.
    panes: Vec<Pane>,
    steps: Vec<Step>,
    /// Keys that have put out a row, by when it was due: until later records are released, the next row of the
    /// key could be due then too, and must have another number.
    recent: VecDeque<(i64, u32)>,
}

/// A key without records in an open window that has put out a row of late: when, and how many records it had.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Recent {
    pub(crate) key: Vec<u8>,
    pub(crate) due: i64,
    pub(crate) records: u64,
    pub(crate) last: i64,
}

impl Counts {
    pub(crate) fn new(size: u64, slide: u64, expires: Option<i64>) -> Self {
        Counts {
            size,
            slide,
            expires,
            timers: Timers::new(),
            tallies: Vec::new(),
            panes: Vec::new(),
            steps: Vec::new(),
            recent: VecDeque::new(),
        }
    }

    fn overlaps(&self) -> bool {
        self.size > self.slide
    }

    fn tally(&mut self, slot: u32) -> &mut Tally {
        if self.tallies.len() <= slot as usize {
            let slots = slot as usize + 1;
            self.tallies.resize(slots + slots / 4, Tally::EMPTY);
        }
        &mut self.tallies[slot as usize]
    }

    fn set_pane(&mut self, row: u32, pane: Pane) {
        if self.panes.len() <= row as usize {
            self.panes.resize(row as usize + 1, pane);
        }
        self.panes[row as usize] = pane;
    }

    /// Reads what [`Counts::place`] will of these keys. Nothing waits for these loads, so that their misses
    /// overlap; there they would come one after the other.
    pub(crate) fn read_ahead(&self, state: &State, slots: &[u32]) {
        let tallies = slots.iter().filter_map(|slot| self.tallies.get(*slot as usize));
        let rows = tallies.filter_map(|tally| Some((tally.open, self.panes.get(tally.open as usize)?)));
        let stride = state.layout.stride();
        std::hint::black_box(
            rows.fold(0, |sum, (row, pane)| sum ^ pane.records ^ state.table.words[row as usize * stride]),
        );
    }

    /// The row that a record belongs to, unless it lies between two windows.
    pub(crate) fn place(&mut self, state: &mut State, slot: u32, time: i64, seen: i64) -> Option<u32> {
        let (size, slide, overlaps) = (self.size, self.slide, self.overlaps());
        let tally = self.tally(slot);
        if !overlaps && tally.open == NONE && tally.due < seen {
            *tally = Tally { due: tally.due, timer: tally.timer, ..Tally::EMPTY };
        }
        let number = tally.records;
        tally.records += 1;
        if tally.open == NONE {
            let row = state.new_row(slot);
            tally.open = row;
            self.set_pane(row, Pane::new(number, Role::Open));
        }
        let row = self.tallies[slot as usize].open;
        self.note_last(state, slot, time.max(seen));
        let covered = number % slide >= slide.saturating_sub(size);
        let pane = &mut self.panes[row as usize];
        pane.records += 1;
        if covered {
            pane.cover(time, time);
        }
        state.table.touch(row);
        self.note_edge(row, slot, number + 1, seen);
        covered.then_some(row)
    }

    /// Notes that a key has a record. One timer watches it, which refers to it: else there would be one for each time
    /// that the key has nothing left and comes again.
    fn note_last(&mut self, state: &mut State, slot: u32, last: i64) {
        let Some(idle) = self.expires else { return };
        let tally = &mut self.tallies[slot as usize];
        tally.last = tally.last.max(last);
        let due = tally.last.saturating_add(idle);
        if tally.timer == UNSET {
            state.keys.refer(slot);
        } else if tally.timer <= due {
            return;
        }
        tally.timer = due;
        self.timers.set(due, slot);
    }

    /// The place before which no key is to be forgotten, where all are that are by `horizon`.
    pub(crate) fn first_expiry(&self, horizon: i64) -> Place {
        match self.expires {
            // A key of a record that is still to be placed may be the first.
            Some(idle) => Place::first_at(Watermark(self.timers.least().min(horizon.saturating_add(idle)))),
            None => Place::END,
        }
    }

    /// Forgets the keys that have had no record for too long by `horizon`.
    pub(crate) fn expire(&mut self, state: &mut State, horizon: i64) {
        let Some(idle) = self.expires else { return };
        let mut due = Vec::new();
        self.timers.take_due(horizon, &mut due);
        for (timer, slot) in due {
            let tally = &mut self.tallies[slot as usize];
            if tally.timer != timer {
                continue;
            }
            tally.timer = tally.last.saturating_add(idle);
            if tally.timer > horizon {
                self.timers.set(tally.timer, slot);
            } else {
                self.forget_key(state, slot);
                state.keys.release(slot);
            }
        }
        state.table.recycle();
    }

    fn forget_key(&mut self, state: &mut State, slot: u32) {
        let Tally { open, oldest, total, .. } =
            std::mem::replace(&mut self.tallies[slot as usize], Tally::EMPTY);
        let mut next = oldest;
        while let Some(pane) = self.panes.get(next as usize) {
            state.free_row(next);
            next = pane.next;
        }
        [open, total].into_iter().filter(|row| *row != NONE).for_each(|row| state.free_row(row));
    }

    /// Ends the open pane of a key if its next record lies behind an edge.
    fn note_edge(&mut self, row: u32, slot: u32, records: u64, seen: i64) {
        let fires = records.is_multiple_of(self.slide);
        // Where the slide does not divide the size, windows begin between the ends of others.
        let begins = self.overlaps() && records % self.slide == self.slide - self.size % self.slide;
        if !fires && !begins {
            return;
        }
        self.tallies[slot as usize].open = NONE;
        if self.overlaps() {
            self.steps.push(Step::Complete(row));
        }
        if fires {
            self.steps.push(Step::Fire { row, records, seen });
            self.tallies[slot as usize].due = seen;
        }
    }

    /// Goes through the steps of records that are folded by now; puts out the windows that they end.
    pub(crate) fn settle(&mut self, state: &mut State, emit: &mut Emit<'_>) {
        let mut steps = std::mem::take(&mut self.steps);
        for step in steps.drain(..) {
            match step {
                Step::Complete(row) => self.complete(state, row),
                Step::Fire { row, records, seen } if self.overlaps() => {
                    self.fire_overlapping(state, row, records, seen, emit);
                }
                Step::Fire { row, records, seen } => {
                    let slot = state.table.slot(row);
                    let pane = self.panes[row as usize];
                    state.put_out(row, self.span(pane.least, pane.greatest, records, seen), emit);
                    if self.recent.back() != Some(&(seen, slot)) {
                        state.keys.refer(slot);
                        self.recent.push_back((seen, slot));
                    }
                    state.free_row(row);
                }
            }
        }
        self.steps = steps;
    }

    fn span(&self, least: i64, greatest: i64, records: u64, seen: i64) -> Span {
        let window = Window { start: least, end: greatest.saturating_add(1) };
        Span { due: seen, by_record: true, sequence: records / self.slide - 1, ..Span::from(window) }
    }

    /// Appends a complete pane to the queue of its key.
    fn complete(&mut self, state: &mut State, row: u32) {
        let slot = state.table.slot(row);
        self.panes[row as usize].role = Role::Back;
        state.table.touch(row);
        let Tally { newest, total, .. } = self.tallies[slot as usize];
        match self.panes.get_mut(newest as usize) {
            Some(newest) => newest.next = row,
            None => self.tallies[slot as usize].oldest = row,
        }
        self.tallies[slot as usize].newest = row;
        let total = if total == NONE { self.new_total(state, slot) } else { total };
        state.merge(total, row);
        let Pane { least, greatest, .. } = self.panes[row as usize];
        self.panes[total as usize].cover(least, greatest);
    }

    fn new_total(&mut self, state: &mut State, slot: u32) -> u32 {
        let total = state.new_row(slot);
        self.set_pane(total, Pane::new(0, Role::Total));
        self.tallies[slot as usize].total = total;
        total
    }

    fn fire_overlapping(
        &mut self,
        state: &mut State,
        row: u32,
        records: u64,
        seen: i64,
        emit: &mut Emit<'_>,
    ) {
        let slot = state.table.slot(row);
        self.evict(state, slot, records.saturating_sub(self.size));
        let Tally { oldest, total, .. } = self.tallies[slot as usize];
        let front = self.panes.get(oldest as usize).is_some_and(|pane| pane.role == Role::Front);
        let rows: Vec<u32> = [oldest].into_iter().filter(|_| front).chain([total]).collect();
        let rows: Vec<u32> = rows.into_iter().filter(|row| *row != NONE).collect();
        let least = rows.iter().map(|row| self.panes[*row as usize].least).min().unwrap_or_default();
        let greatest = rows.iter().map(|row| self.panes[*row as usize].greatest).max().unwrap_or_default();
        let span = self.span(least, greatest, records, seen);
        for (place, row) in rows.into_iter().enumerate() {
            match place {
                0 => state.put_out(row, span, emit),
                _ => state.put_out_more(row),
            }
        }
    }

    /// Lets the panes of a key go that end at or before a number of its records.
    fn evict(&mut self, state: &mut State, slot: u32, before: u64) {
        loop {
            let oldest = self.tallies[slot as usize].oldest;
            let gone = |pane: &Pane| pane.first + pane.records <= before;
            let Some(pane) = self.panes.get(oldest as usize).copied().filter(gone) else { return };
            if pane.role == Role::Back {
                self.flip(state, slot);
            }
            // The pane that was completed last is in the window: the queue is not emptied.
            self.tallies[slot as usize].oldest = pane.next;
            state.free_row(oldest);
        }
    }

    /// Makes all panes of a key its front, which is empty.
    fn flip(&mut self, state: &mut State, slot: u32) {
        let Tally { oldest, total, .. } = self.tallies[slot as usize];
        let mut rows = vec![oldest];
        let mut next = self.panes[oldest as usize].next;
        while next != NONE {
            rows.push(next);
            next = self.panes[next as usize].next;
        }
        let mut younger: Option<u32> = None;
        for row in rows.into_iter().rev() {
            if let Some(younger) = younger {
                state.merge(row, younger);
                let Pane { least, greatest, .. } = self.panes[younger as usize];
                self.panes[row as usize].cover(least, greatest);
            }
            self.panes[row as usize].role = Role::Front;
            state.table.touch(row);
            younger = Some(row);
        }
        if total != NONE {
            self.tallies[slot as usize].total = NONE;
            state.free_row(total);
        }
    }

    /// Forgets the number of records of keys that hold none and whose last row was due before `seen`: no other
    /// row can be due then any more.
    pub(crate) fn forget(&mut self, state: &mut State, seen: i64) {
        while let Some((due, slot)) = self.recent.pop_front_if(|(due, _)| *due < seen) {
            let tally = &mut self.tallies[slot as usize];
            if tally.open == NONE && tally.due == due {
                *tally = Tally { timer: tally.timer, ..Tally::EMPTY };
            }
            state.keys.release(slot);
        }
    }

    /// What a snapshot must hold of keys that have no row.
    pub(crate) fn recent(&self, state: &State) -> Vec<Recent> {
        let idle = self.recent.iter().filter_map(|(due, slot)| {
            let tally = self.tallies[*slot as usize];
            (tally.open == NONE && tally.due == *due).then_some((*slot, tally))
        });
        let recent = idle.map(|(slot, tally)| {
            let mut key = Vec::new();
            state.keys.append_key(slot, &mut key);
            Recent { key, due: tally.due, records: tally.records, last: tally.last }
        });
        recent.collect()
    }

    /// Takes in a key that has no row.
    pub(crate) fn restore_recent(&mut self, state: &mut State, slot: u32, recent: &Recent) {
        let tally = self.tally(slot);
        tally.due = recent.due;
        tally.records = recent.records;
        let place = self.recent.partition_point(|(due, _)| *due <= recent.due);
        self.recent.insert(place, (recent.due, slot));
        state.keys.refer(slot);
        self.note_last(state, slot, recent.last);
    }

    /// What is known of a row, as a snapshot holds it.
    pub(crate) fn head(&self, state: &State, row: u32) -> [u64; 6] {
        let Pane { least, greatest, first, records, role, .. } = self.panes[row as usize];
        // Of the row that changed last it is that of its key as it is.
        let last = self.tallies[state.table.slot(row) as usize].last;
        [least as u64, greatest as u64, first, records, role as u64, last as u64]
    }

    /// Takes in a row that comes from a snapshot. Those of a key come in the order of their panes. `None` if it
    /// makes no sense.
    pub(crate) fn restore(&mut self, state: &mut State, row: u32, head: [u64; 6]) -> Option<()> {
        let [least, greatest, first, records, role, last] = head;
        let role = match role {
            0 => Role::Open,
            1 => Role::Back,
            2 => Role::Front,
            3 => Role::Total,
            _ => return None,
        };
        let (least, greatest, last) = (least as i64, greatest as i64, last as i64);
        self.set_pane(row, Pane { least, greatest, first, records, role, next: NONE });
        let slot = state.table.slot(row);
        let tally = self.tally(slot);
        let newest = tally.newest;
        match role {
            Role::Total => tally.total = row,
            Role::Open => tally.open = row,
            Role::Back | Role::Front => {
                tally.newest = row;
                if newest == NONE {
                    tally.oldest = row;
                }
            }
        }
        tally.records = tally.records.max(first.checked_add(records)?);
        if let Some(newest) =
            self.panes.get_mut(newest as usize).filter(|_| role != Role::Total && role != Role::Open)
        {
            newest.next = row;
        }
        self.note_last(state, slot, last);
        Some(())
    }

    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> usize {
        self.tallies.capacity() * size_of::<Tally>()
            + self.panes.capacity() * size_of::<Pane>()
            + self.steps.capacity() * size_of::<Step>()
            + self.recent.capacity() * size_of::<(i64, u32)>()
            + self.timers.bytes()
    }
}
