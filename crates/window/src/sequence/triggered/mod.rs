//! Windows with triggers, as Flink has them: put out before they end, or again for late records, or after a number
//! of records, with all that they hold or with what is new.
//!
//! Each window of a key has a row of accumulators, its *base*; a record is folded into that of each window that
//! holds it. Where windows are put out at ticks, what lies ahead of the next tick waits in rows of its own, so that
//! an early result holds what lies before it, however much of what follows has come already. So a record costs as
//! many folds as windows hold it, which is what windows without triggers avoid.
//!
//! Source: Flink's `WindowOperator`, `EventTimeTrigger`, `CountTrigger`, `ContinuousEventTimeTrigger`,
//! `PurgingTrigger`.

mod firing;
mod open;
mod peek;
mod place;
mod saving;
mod spec;

use self::open::Open;
pub(crate) use self::saving::HEAD_WORDS;
pub use self::spec::{Assigner, Early, Late, TICKS_MAX, TriggerSpec};
use super::runs::Run;
use super::state::{Emit, State};
use super::timers::Timers;
use crate::slicing::Slicing;

/// The windows of all keys.
#[derive(Debug)]
pub(crate) struct Triggered {
    spec: TriggerSpec,
    /// Of windows that all keys share.
    slicing: Option<Slicing>,
    /// By slot: the windows of its key, those that start first first. Sessions do not touch.
    lists: Vec<Vec<u32>>,
    /// By row of accumulators.
    opens: Vec<Open>,
    timers: Timers,
    /// No timer fires before that.
    least: i64,
    fired: Vec<(i64, u32)>,
    /// Windows whose timers have fired.
    due: Vec<(i64, u32)>,
    pending: Pending,
}

/// Records of a run that are still to be folded, and into which rows.
#[derive(Debug, Default)]
struct Pending {
    records: Vec<usize>,
    rows: Vec<u32>,
}

/// A record on its way into windows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arriving {
    /// Its number in its run.
    pub(crate) record: usize,
    pub(crate) slot: u32,
    pub(crate) hash: u64,
    pub(crate) time: i64,
    pub(crate) gap: i64,
    pub(crate) seen: i64,
}

/// What windows are changed with.
pub(crate) struct Hands<'a, 'e> {
    pub(crate) state: &'a mut State,
    /// The run of the records that are pending.
    pub(crate) run: Option<&'a Run>,
    pub(crate) emit: &'a mut Emit<'e>,
}

impl Triggered {
    pub(crate) fn new(spec: TriggerSpec) -> Self {
        let slicing = match &spec.windows {
            Assigner::Shared(spec) => Some(Slicing::new(spec.clone())),
            _ => None,
        };
        Triggered {
            spec,
            slicing,
            lists: Vec::new(),
            opens: Vec::new(),
            timers: Timers::new(),
            least: i64::MAX,
            fired: Vec::new(),
            due: Vec::new(),
            pending: Pending::default(),
        }
    }

    /// The gap that all sessions have, if they do.
    pub(crate) fn gap(&self) -> Option<i64> {
        if let Assigner::Session(gap) = self.spec.windows { Some(gap) } else { None }
    }

    /// Folds the records that wait for that.
    pub(crate) fn settle(&mut self, hands: &mut Hands<'_, '_>) {
        let Some(run) = hands.run.filter(|_| !self.pending.records.is_empty()) else { return };
        hands.state.fold(run, &self.pending.records, &self.pending.rows);
        self.pending.records.clear();
        self.pending.rows.clear();
    }

    /// The windows of a key.
    fn list(&self, slot: u32) -> &[u32] {
        self.lists.get(slot as usize).map_or(&[], Vec::as_slice)
    }

    /// Opens a window of a key, whose slot it refers to.
    fn open(&mut self, state: &mut State, slot: u32, open: Open) -> u32 {
        let row = state.new_row(slot);
        self.put(row, slot, open);
        row
    }

    fn put(&mut self, row: u32, slot: u32, open: Open) {
        if self.lists.len() <= slot as usize {
            let slots = slot as usize + 1;
            self.lists.resize_with(slots + slots / 4, Vec::new);
        }
        let place =
            self.list(slot).partition_point(|other| self.opens[*other as usize].window <= open.window);
        self.lists[slot as usize].insert(place, row);
        self.set_open(row, open);
    }

    fn set_open(&mut self, row: u32, open: Open) {
        if self.opens.len() <= row as usize {
            self.opens.resize(row as usize + 1, Open::new(open::NOTHING));
        }
        self.opens[row as usize] = open;
    }

    /// Takes a window out of the list of its key and gives its rows up.
    fn remove(&mut self, state: &mut State, row: u32) {
        let slot = state.table.slot(row);
        let window = self.opens[row as usize].window;
        // Windows that became one may have moved on beside it: it is near where it would stand.
        let list = &self.lists[slot as usize];
        let near = list.partition_point(|other| self.opens[*other as usize].window < window);
        let place = match list.get(near) {
            Some(other) if *other == row => Some(near),
            _ => list.iter().position(|other| *other == row),
        };
        if let Some(place) = place {
            self.lists[slot as usize].remove(place);
        }
        let gone = std::mem::replace(&mut self.opens[row as usize], Open::new(open::NOTHING));
        gone.ahead.into_iter().for_each(|(_, row)| state.free_row(row));
        state.free_row(row);
        if self.lists[slot as usize].is_empty() {
            self.lists[slot as usize] = Vec::new();
        }
    }

    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> usize {
        let ahead: usize =
            self.opens.iter().map(|open| open.ahead.capacity() * size_of::<(i64, u32)>()).sum();
        let lists: usize = self.lists.iter().map(|list| list.capacity() * 4).sum();
        self.lists.capacity() * size_of::<Vec<u32>>()
            + lists
            + self.opens.capacity() * size_of::<Open>()
            + ahead
            + (self.due.capacity() + self.fired.capacity()) * size_of::<(i64, u32)>()
            + self.timers.bytes()
    }
}
