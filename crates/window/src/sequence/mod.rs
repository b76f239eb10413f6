//! Windows in which the order of records matters: sessions, count windows, and every record as a row.
//!
//! Records wait in [`Runs`] until their turn has come: their order, by [`Place`], is the same for any number of
//! workers. They are released in batches. A machine of the kind of window ([`Sessions`], [`Counts`]) goes
//! through a batch in order, looking at no more than key, time and `seen`, and says to which row each record
//! belongs; then the records of each run are folded, column by column, since that does not depend on order;
//! then the machine adds up rows that became one, and puts out what is complete.
//!
//! Memory: for each open session a row of accumulators and, with its timer, some 56 bytes; for each pane of a
//! count window a row and 44 bytes, and 32 for its key. A key lives as long as a window of it is open: where count
//! windows overlap, for ever. What a record costs grows with the open sessions of its own key that start behind
//! it, which are none in a stream that is in order.

mod count;
mod harvest;
mod peek;
mod restore;
mod runs;
mod saving;
mod session;
mod spec;
mod state;
mod table;
mod timers;
mod triggered;

use event::{Aggregate, Place, Rows, Watermark};

use self::count::Counts;
use self::runs::{Released, Runs, Stretch};
use self::saving::Saving;
use self::session::Sessions;
use self::state::{Emit, State};
use self::table::NONE;
use self::triggered::{Arriving, Hands, Triggered};

pub(crate) use self::count::Recent;
pub use self::restore::SequenceRestoration;
pub use self::runs::Run;
pub(crate) use self::saving::WaitingRecord;
pub use self::spec::SequenceSpec;
pub use self::triggered::{Assigner, Early, Late, TICKS_MAX, TriggerSpec};

/// Records that are released in one go: their rows of state stay in the nearest caches.
const BATCH: usize = 1024;

/// A record that no window holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateRecord {
    /// Ordinal of its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
    /// Its partition's watermark just before it.
    pub seen: i64,
    /// Its event time.
    pub time: i64,
    /// Its first bytes, as its run had them.
    pub raw: Vec<u8>,
}

/// What became of the records that were released.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judged {
    /// Those that were late, in order.
    pub late: Vec<LateRecord>,
    /// Partition and offset of those that were not and came with their first bytes, if that was asked for:
    /// [`Sequence::telling_held`].
    pub held: Vec<(u32, u64)>,
}

/// The state of all windows of the keys of one worker, where the order of records matters.
///
/// The order is that of [`Place`]: by `seen`, then by partition (of the lanes of a file, by the file), then by
/// offset. What comes out depends on the records and their places alone:
///
/// - A session is due at its end less one, and holds the records that it covers with `seen` before that; a
///   record is late if all sessions that it touches are due by its `seen`, and so would be its own.
/// - A count window is due at the `seen` of the record that completes it. Its interval is that of its records'
///   times. Its sequence counts the windows of its key, or of the records of its key with that `seen` if before
///   them no window of the key was open: with the time at which it is due it names a window once and for all.
///   Windows that are not complete when the input ends give no row.
///
/// # Panics
/// If the inputs do not have the aggregates' types, or the columns of a run differ in length.
#[derive(Debug)]
pub struct Sequence {
    state: State,
    machine: Machine,
    runs: Runs,
    judged: Judged,
    /// Whether it is to say which records it holds of those that it might not.
    tells_held: bool,
    saving: Option<Saving>,
    batch: Batch,
}

/// The kind of windows.
#[derive(Debug)]
enum Machine {
    /// With the gap that all have, unless each record has its own.
    Sessions(Sessions, Option<i64>),
    Counts(Counts),
    Triggered(Box<Triggered>),
}

/// Records that are released together.
#[derive(Debug, Default)]
struct Batch {
    released: Released,
    /// By run, as the stretches lie.
    slots: Vec<u32>,
    /// The row of each record, or `NONE`.
    rows: Vec<u32>,
    /// The records of one run that have a row, and their rows.
    folded: Vec<usize>,
    targets: Vec<u32>,
}

impl Sequence {
    /// Empty windows that compute these aggregates.
    pub fn new(spec: SequenceSpec, aggregates: Vec<Aggregate>) -> Self {
        let machine = match spec {
            SequenceSpec::Session { gap } => Machine::Sessions(Sessions::new(), Some(gap.max(1))),
            SequenceSpec::SessionByRecord => Machine::Sessions(Sessions::new(), None),
            SequenceSpec::Count { size, slide, expires } => {
                Machine::Counts(Counts::new(size.max(1), slide.max(1), expires))
            }
            SequenceSpec::Triggered(spec) => Machine::Triggered(Box::new(Triggered::new(*spec))),
        };
        Sequence {
            state: State::new(aggregates),
            machine,
            runs: Runs::default(),
            judged: Judged::default(),
            tells_held: false,
            saving: None,
            batch: Batch::default(),
        }
    }

    /// The same, which also say of records that may be late, as their first bytes are there, which of them are not.
    #[must_use]
    pub fn telling_held(self) -> Self {
        Sequence { tells_held: true, ..self }
    }

    /// Number of keys that have an open window or whose last one was complete just now.
    pub fn keys(&self) -> usize {
        self.state.keys.len()
    }

    /// Number of records that wait for their turn.
    pub fn waiting(&self) -> usize {
        self.runs.records()
    }

    /// Bytes of memory that the state holds, texts and records that wait not counted.
    pub fn bytes(&self) -> usize {
        let machine = match &self.machine {
            Machine::Sessions(sessions, _) => sessions.bytes(),
            Machine::Counts(counts) => counts.bytes(),
            Machine::Triggered(triggered) => triggered.bytes(),
        };
        self.state.bytes() + machine
    }

    /// Takes in records, which wait until [`Sequence::advance_some`] passes them.
    pub fn hold(&mut self, run: Run) {
        self.runs.push(run);
    }

    /// Takes what became of the records that were released since the last call.
    pub fn take_judged(&mut self) -> Judged {
        std::mem::take(&mut self.judged)
    }

    /// Releases all records before `to`, closes the sessions that are due by its `seen`, and hands the rows to
    /// `emit`, by the time at which they are due.
    ///
    /// All records before `to` must have been taken in: it is the least of the places where the partitions go
    /// on. Where one sleeps or may yet join, and may come with the `seen` that the others have, it is
    /// [`Place::first_at`] that watermark.
    pub fn advance(&mut self, to: Place, emit: &mut dyn FnMut(Rows)) {
        while !self.advance_some(to, usize::MAX, emit) {}
    }

    /// The same, but stops after about `rows_max` rows or records; returns whether it is done. Call it again with
    /// the same place until it is, so that what is under way stays small.
    pub fn advance_some(&mut self, to: Place, rows_max: usize, emit: &mut dyn FnMut(Rows)) -> bool {
        let mut released = 0;
        let emitted = self.state.harvest.rows();
        let done = loop {
            let next = self.runs.next_before(to);
            // No record that is still to come can change a session that is due by then.
            let horizon = next.unwrap_or(to).seen.0;
            let work = released + (self.state.harvest.rows() - emitted) as usize;
            let rest = rows_max.saturating_sub(work);
            let all = match &mut self.machine {
                Machine::Sessions(sessions, _) => sessions.close_due(&mut self.state, horizon, rest, emit),
                Machine::Counts(counts) => {
                    counts.expire(&mut self.state, horizon);
                    true
                }
                Machine::Triggered(triggered) => {
                    let mut hands = Hands { state: &mut self.state, run: None, emit };
                    triggered.advance(&mut hands, horizon, rest)
                }
            };
            if all && next.is_none() {
                break true;
            }
            if !all || rest == 0 {
                break false;
            }
            let limit = match &self.machine {
                Machine::Counts(counts) => to.min(counts.first_expiry(horizon)),
                Machine::Triggered(triggered) => to.min(Place::first_at(Watermark(triggered.limit(horizon)))),
                _ => to,
            };
            released += self.release(limit, rest.min(BATCH), emit);
        };
        if let Machine::Counts(counts) = &mut self.machine {
            counts.forget(&mut self.state, if done { to.seen.0 } else { i64::MIN });
        }
        self.state.flush(emit);
        self.state.sweep_texts();
        done
    }

    /// Releases some records; returns how many.
    fn release(&mut self, to: Place, records_max: usize, emit: &mut Emit<'_>) -> usize {
        let mut batch = std::mem::take(&mut self.batch);
        self.runs.release(to, records_max, &mut batch.released);
        self.find_slots(&mut batch);
        if matches!(self.machine, Machine::Triggered(_)) {
            self.trigger(&batch, emit);
        } else {
            self.assign(&mut batch);
            self.fold(&mut batch);
        }
        match &mut self.machine {
            Machine::Sessions(sessions, _) => sessions.settle(&mut self.state),
            Machine::Counts(counts) => counts.settle(&mut self.state, emit),
            Machine::Triggered(_) => {}
        }
        if self.tells_held {
            self.note_held(&batch);
        }
        for slot in &batch.slots {
            self.state.keys.release(*slot);
        }
        self.state.table.recycle();
        self.runs.drop_spent(&batch.released);
        self.batch = batch;
        self.batch.slots.len()
    }

    /// Finds the slots of keys, which are referred to while the batch is under way.
    fn find_slots(&mut self, batch: &mut Batch) {
        batch.slots.resize(batch.released.records(), NONE);
        for stretch in &batch.released.stretches {
            let run = self.runs.run(stretch.run);
            let slots = &mut batch.slots[stretch.at..stretch.at + stretch.rows];
            self.state.keys.find_or_insert(&run.keys, &run.hashes, stretch.start, slots);
            slots.iter().for_each(|slot| self.state.keys.refer(*slot));
        }
    }

    /// Says of each record, in order, to which row it belongs.
    fn assign(&mut self, batch: &mut Batch) {
        match &self.machine {
            Machine::Sessions(sessions, _) => sessions.read_ahead(&self.state, &batch.slots),
            Machine::Counts(counts) => counts.read_ahead(&self.state, &batch.slots),
            Machine::Triggered(_) => {}
        }
        batch.rows.resize(batch.slots.len(), NONE);
        let is_session = matches!(self.machine, Machine::Sessions(..));
        for piece in &batch.released.pieces {
            let Stretch { run, start, at, .. } = batch.released.stretches[piece.stretch as usize];
            let first = at + piece.start - start;
            let places = first..first + piece.rows as usize;
            let (slots, rows) = (&batch.slots[places.clone()], &mut batch.rows[places]);
            self.assign_piece(run, piece.start, slots, rows);
            if is_session && rows.contains(&NONE) {
                self.note_late(run, piece.start, rows);
            }
        }
    }

    fn assign_piece(&mut self, run: u32, start: usize, slots: &[u32], rows: &mut [u32]) {
        let (run, state) = (self.runs.run(run), &mut self.state);
        let records = (start..).zip(slots).zip(rows);
        match &mut self.machine {
            Machine::Sessions(sessions, gap) => {
                for ((record, slot), row) in records {
                    let gap = gap.unwrap_or_else(|| run.gap(record));
                    let found = sessions.place(state, *slot, run.times[record], gap, run.seen[record]);
                    *row = found.unwrap_or(NONE);
                }
            }
            Machine::Counts(counts) => {
                for ((record, slot), row) in records {
                    let found = counts.place(state, *slot, run.times[record], run.seen[record]);
                    *row = found.unwrap_or(NONE);
                }
            }
            Machine::Triggered(_) => {}
        }
    }

    /// Takes records into windows with triggers, one after the other: each may cause rows that the next must not be in.
    fn trigger(&mut self, batch: &Batch, emit: &mut Emit<'_>) {
        let Sequence { state, machine: Machine::Triggered(triggered), runs, .. } = self else {
            return;
        };
        let mut late = Vec::new();
        for piece in &batch.released.pieces {
            let Stretch { run: number, start, at, .. } = batch.released.stretches[piece.stretch as usize];
            let run = runs.run(number);
            let mut hands = Hands { state, run: Some(run), emit };
            for record in piece.start..piece.start + piece.rows as usize {
                let arriving = Arriving {
                    record,
                    slot: batch.slots[at + record - start],
                    hash: run.hashes[record],
                    time: run.times[record],
                    gap: triggered.gap().unwrap_or_else(|| run.gap(record)),
                    seen: run.seen[record],
                };
                if !triggered.take(&mut hands, arriving) {
                    late.push((number, record));
                }
            }
            triggered.settle(&mut hands);
        }
        for (number, record) in late {
            self.note_late_one(number, record);
        }
    }

    fn note_late(&mut self, number: u32, start: usize, rows: &[u32]) {
        for (record, _) in (start..).zip(rows).filter(|(_, row)| **row == NONE) {
            self.note_late_one(number, record);
        }
    }

    fn note_late_one(&mut self, number: u32, record: usize) {
        let raw = self.runs.take_raw(number, record);
        let run = self.runs.run(number);
        let (partition, offset) = (run.partition, run.offsets[record]);
        let (seen, time) = (run.seen[record], run.times[record]);
        self.judged.late.push(LateRecord { partition, offset, seen, time, raw });
    }

    /// Notes the released records whose first bytes no late record has taken along.
    fn note_held(&mut self, batch: &Batch) {
        for stretch in &batch.released.stretches {
            let run = self.runs.run(stretch.run);
            let records = stretch.start..stretch.start + stretch.rows;
            let raw = run.raw.get(records.clone()).unwrap_or_default();
            let held = records.zip(raw).filter(|(_, raw)| !raw.is_empty());
            self.judged.held.extend(held.map(|(record, _)| (run.partition, run.offsets[record])));
        }
    }

    /// Folds the records of a batch, run by run.
    fn fold(&mut self, batch: &mut Batch) {
        for stretch in &batch.released.stretches {
            batch.folded.clear();
            batch.targets.clear();
            let records = (stretch.start..).zip(&batch.rows[stretch.at..stretch.at + stretch.rows]);
            for (record, row) in records.filter(|(_, row)| **row != NONE) {
                batch.folded.push(record);
                batch.targets.push(*row);
            }
            self.state.fold(self.runs.run(stretch.run), &batch.folded, &batch.targets);
        }
    }
}
