//! Sessions: which open session of its key a record belongs to, which ones it makes one, which are due.
//!
//! The sessions of a key are a list, newest first, none of which touch: a record that comes in order looks at
//! one. Their ends are watched by timers that may fire too early, so that a session which grows costs nothing
//! there.

use event::{Span, Window};

use super::peek::OpenWindow;
use super::state::{Emit, State};
use super::table::NONE;
use super::timers::Timers;

/// No timer is set.
const UNSET: i64 = i64::MIN;

/// The interval of a row.
#[derive(Debug, Clone, Copy)]
struct Session {
    start: i64,
    end: i64,
    /// The only timer that counts for the row.
    timer: i64,
    /// Its neighbours in the list of its key.
    older: u32,
    newer: u32,
}

/// The sessions of all keys.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// By slot: row of the newest session.
    newest: Vec<u32>,
    /// By row.
    sessions: Vec<Session>,
    timers: Timers,
    /// Rows that became one with the records that are being folded: into which, from which.
    merges: Vec<(u32, u32)>,
    /// Sessions that are due and still to be put out, the earliest last.
    due: Vec<(i64, u32)>,
    fired: Vec<(i64, u32)>,
}

/// Where a new session stands in the list of its key.
#[derive(Debug, Clone, Copy)]
struct Neighbours {
    older: u32,
    newer: u32,
}

impl Sessions {
    pub(crate) fn new() -> Self {
        Sessions {
            newest: Vec::new(),
            sessions: Vec::new(),
            timers: Timers::new(),
            merges: Vec::new(),
            due: Vec::new(),
            fired: Vec::new(),
        }
    }

    /// Reads what [`Sessions::place`] will of these keys. Nothing waits for these loads, so that their misses
    /// overlap; there they would come one after the other.
    pub(crate) fn read_ahead(&self, state: &State, slots: &[u32]) {
        let newest = slots.iter().filter_map(|slot| self.newest.get(*slot as usize));
        let rows = newest.filter_map(|row| Some((*row, self.sessions.get(*row as usize)?)));
        let stride = state.layout.stride();
        std::hint::black_box(rows.fold(0, |sum, (row, session)| {
            sum ^ session.end as u64 ^ state.table.words[row as usize * stride]
        }));
    }

    /// The row that a record belongs to, after what is due by its `seen` is closed; `None` if it is late: by
    /// itself it would be a session that is closed too.
    pub(crate) fn place(
        &mut self,
        state: &mut State,
        slot: u32,
        time: i64,
        gap: i64,
        seen: i64,
    ) -> Option<u32> {
        if self.newest.len() <= slot as usize {
            self.newest.resize(state.keys.slots().max(slot as usize + 1), NONE);
        }
        let end = time.saturating_add(gap);
        // Most records lengthen the newest session of their key.
        let newest = self.newest[slot as usize];
        if let Some(session) = self.sessions.get_mut(newest as usize)
            && session.start <= time
            && time <= session.end
            && session.end - 1 > seen
        {
            session.end = session.end.max(end);
            return Some(newest);
        }
        let (kept, neighbours) = self.join(slot, time, end, seen);
        if kept != NONE {
            return Some(kept);
        }
        if end - 1 <= seen {
            return None;
        }
        let row = state.new_row(slot);
        self.open(slot, row, Window { start: time, end }, neighbours);
        Some(row)
    }

    /// Makes the sessions that [time, end) touches one. Returns its row, or none and where a new one would stand.
    fn join(&mut self, slot: u32, time: i64, end: i64, seen: i64) -> (u32, Neighbours) {
        let (mut kept, mut neighbours) =
            (NONE, Neighbours { older: self.newest[slot as usize], newer: NONE });
        while let Some(&session) = self.sessions.get(neighbours.older as usize) {
            let row = neighbours.older;
            if session.end - 1 <= seen {
                self.cut(slot, row);
                neighbours.older = NONE;
                break;
            }
            if session.end < time {
                break;
            }
            neighbours.older = session.older;
            if session.start > end {
                neighbours.newer = row;
            } else if kept == NONE {
                kept = row;
                let session = &mut self.sessions[row as usize];
                session.start = session.start.min(time);
                session.end = session.end.max(end);
            } else {
                self.unlink(slot, row);
                self.sessions[row as usize].timer = UNSET;
                let keeper = &mut self.sessions[kept as usize];
                keeper.start = keeper.start.min(session.start);
                self.merges.push((kept, row));
            }
        }
        (kept, neighbours)
    }

    /// Takes a session and all older ones out of the list of their key: they wait to be put out.
    fn cut(&mut self, slot: u32, row: u32) {
        let newer = std::mem::replace(&mut self.sessions[row as usize].newer, NONE);
        match self.sessions.get_mut(newer as usize) {
            Some(newer) => newer.older = NONE,
            None => self.newest[slot as usize] = NONE,
        }
    }

    fn unlink(&mut self, slot: u32, row: u32) {
        let Session { older, newer, .. } = self.sessions[row as usize];
        if let Some(older) = self.sessions.get_mut(older as usize) {
            older.newer = newer;
        }
        match self.sessions.get_mut(newer as usize) {
            Some(newer) => newer.older = older,
            None if self.newest[slot as usize] == row => self.newest[slot as usize] = older,
            None => {}
        }
    }

    fn open(&mut self, slot: u32, row: u32, window: Window, neighbours: Neighbours) {
        let Neighbours { older, newer } = neighbours;
        let session = Session { start: window.start, end: window.end, timer: window.due(), older, newer };
        if self.sessions.len() <= row as usize {
            self.sessions.resize(row as usize + 1, session);
        }
        self.sessions[row as usize] = session;
        if let Some(older) = self.sessions.get_mut(older as usize) {
            older.newer = row;
        }
        match self.sessions.get_mut(newer as usize) {
            Some(newer) => newer.older = row,
            None => self.newest[slot as usize] = row,
        }
        self.timers.set(session.timer, row);
    }

    /// Adds up the rows of sessions that became one, once the records are folded.
    pub(crate) fn settle(&mut self, state: &mut State) {
        for (into, from) in self.merges.drain(..) {
            state.absorb(into, from);
            state.free_row(from);
        }
    }

    /// Puts out sessions that are due by `horizon`, earliest first, about `rows_max` rows; returns whether that
    /// were all.
    pub(crate) fn close_due(
        &mut self,
        state: &mut State,
        horizon: i64,
        rows_max: usize,
        emit: &mut Emit<'_>,
    ) -> bool {
        self.fire(horizon);
        let later = self.due.len().saturating_sub(rows_max);
        for (due, row) in self.due.split_off(later).into_iter().rev() {
            let Session { start, end, .. } = self.sessions[row as usize];
            let span = Span { due, ..Span::from(Window { start, end }) };
            state.put_out(row, span, emit);
            self.unlink(state.table.slot(row), row);
            state.free_row(row);
        }
        state.table.recycle();
        self.due.is_empty()
    }

    fn fire(&mut self, horizon: i64) {
        let mut fired = std::mem::take(&mut self.fired);
        self.timers.take_due(horizon, &mut fired);
        let has_fired = !fired.is_empty();
        for (timer, row) in fired.drain(..) {
            let session = &mut self.sessions[row as usize];
            if session.timer != timer {
                continue;
            }
            let due = session.end - 1;
            if due <= horizon {
                session.timer = UNSET;
                self.due.push((due, row));
            } else {
                session.timer = due;
                self.timers.set(due, row);
            }
        }
        self.fired = fired;
        if has_fired {
            self.due.sort_unstable_by(|a, b| b.cmp(a));
        }
    }

    /// The open session of a key that starts last.
    pub(crate) fn newest_of(&self, slot: u32) -> Option<OpenWindow> {
        let newest = *self.newest.get(slot as usize)?;
        let Session { start, end, .. } = *self.sessions.get(newest as usize)?;
        Some((vec![newest], Span::from(Window { start, end })))
    }

    /// The interval of a row, as a snapshot holds it.
    pub(crate) fn head(&self, row: u32) -> [u64; 2] {
        let session = self.sessions[row as usize];
        [session.start as u64, session.end as u64]
    }

    /// Opens the session of a row that comes from a snapshot. Those of a key come in any order. `None` if it makes
    /// no sense.
    pub(crate) fn restore(&mut self, state: &State, row: u32, head: [u64; 2]) -> Option<()> {
        let slot = state.table.slot(row);
        if self.newest.len() <= slot as usize {
            self.newest.resize(state.keys.slots(), NONE);
        }
        let window = Window { start: head[0] as i64, end: head[1] as i64 };
        if window.start >= window.end {
            return None;
        }
        let mut neighbours = Neighbours { older: self.newest[slot as usize], newer: NONE };
        while let Some(session) = self.sessions.get(neighbours.older as usize)
            && session.start > window.start
        {
            neighbours = Neighbours { older: session.older, newer: neighbours.older };
        }
        self.open(slot, row, window, neighbours);
        Some(())
    }

    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> usize {
        self.newest.capacity() * 4
            + self.sessions.capacity() * size_of::<Session>()
            + (self.due.capacity() + self.fired.capacity()) * size_of::<(i64, u32)>()
            + self.timers.bytes()
    }
}
