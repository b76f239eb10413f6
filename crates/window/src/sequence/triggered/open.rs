//! A window of a key that is open: what is known of it beside its rows of accumulators, and what happens to it
//! next.

use event::{Outcome, Span, Window};

use super::spec::{Assigner, Early, TriggerSpec};
use crate::sequence::table::NONE;

/// What the global window covers before its first record.
pub(crate) const NOTHING: Window = Window { start: i64::MAX, end: i64::MIN };

/// No timer is set.
pub(crate) const UNSET: i64 = i64::MIN;

/// A window of a key. Its number is that of its row of accumulators, its *base*.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    /// Its interval; of the global window what its records cover.
    pub(crate) window: Window,
    /// The only timer that counts for it.
    pub(crate) timer: i64,
    /// When it is to be put out early next; `i64::MAX` if not.
    pub(crate) tick: i64,
    /// Rows so far, early ones aside.
    pub(crate) revisions: u64,
    /// Early rows so far that records caused.
    pub(crate) earlies: u64,
    /// The first window that was put out, if any: of those that became one the earliest.
    pub(crate) first: Option<Window>,
    /// Records since the last row that a number of them caused.
    pub(crate) since: u64,
    /// Whether it was put out at its end.
    pub(crate) ended: bool,
    /// Whether records came since it was put out.
    pub(crate) changed: bool,
    /// What the base does not hold yet, since it lies behind the next tick: rows by the edge before which they lie.
    pub(crate) ahead: Vec<(i64, u32)>,
    /// Of the global window: greatest time and `seen` of its records.
    pub(crate) last: i64,
    /// Of a row of what lies ahead in a window: that window.
    pub(crate) of: u32,
    /// Its number in the snapshot that it comes from.
    pub(crate) was: u64,
}

/// What happens to a window by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    Tick,
    End,
    Cleanup,
}

impl Open {
    pub(crate) fn new(window: Window) -> Self {
        Open {
            window,
            timer: UNSET,
            tick: i64::MAX,
            revisions: 0,
            earlies: 0,
            first: None,
            since: 0,
            ended: false,
            changed: false,
            ahead: Vec::new(),
            last: i64::MIN,
            of: NONE,
            was: u64::MAX,
        }
    }

    /// What is known of a row of what lies ahead in a window.
    pub(crate) fn ahead_of(of: u32) -> Self {
        Open { of, ..Open::new(NOTHING) }
    }

    /// What happens next, and when; `None` if nothing does by itself.
    pub(crate) fn next_turn(&self, spec: &TriggerSpec) -> Option<(i64, Turn)> {
        let is_global = matches!(spec.windows, Assigner::Global);
        let tick = (self.tick < i64::MAX && (is_global || self.tick < self.window.due()))
            .then_some((self.tick, Turn::Tick));
        if is_global {
            let cleanup = spec.expires.map(|idle| (self.last.saturating_add(idle), Turn::Cleanup));
            return tick.into_iter().chain(cleanup).min();
        }
        let end = (spec.at_end && !self.ended).then(|| (self.window.due(), Turn::End));
        let cleanup = (spec.cleanup(self.window), Turn::Cleanup);
        [tick, end].into_iter().flatten().chain([cleanup]).min()
    }

    /// The row at a tick.
    pub(crate) fn tick_span(&mut self, spec: &TriggerSpec, tick: i64) -> Span {
        let window = Window { start: self.window.start, end: tick.saturating_add(1) };
        self.ahead_of_end(spec, Span::from(window))
    }

    /// The row that a number of records causes, the last of them with that `seen`.
    pub(crate) fn count_span(&mut self, spec: &TriggerSpec, seen: i64) -> Span {
        let sequence = self.earlies;
        self.earlies += 1;
        let span = Span { due: seen, by_record: true, sequence, ..Span::from(self.window) };
        self.ahead_of_end(spec, span)
    }

    /// Where a window is put out at its end, what comes before that is early.
    fn ahead_of_end(&mut self, spec: &TriggerSpec, span: Span) -> Span {
        if !spec.at_end {
            return span;
        }
        let first_end = self.first_end(span.window);
        Span { outcome: Outcome::Early, first_end, ..span }
    }

    /// Notes the time of a record of the global window.
    pub(crate) fn cover(&mut self, time: i64) {
        self.window.start = self.window.start.min(time);
        self.window.end = self.window.end.max(time.saturating_add(1));
    }

    /// The row that is its result, or corrects it.
    pub(crate) fn result_span(&mut self, due: i64, by_record: bool) -> Span {
        let first_end = self.first_end(self.window);
        let sequence = self.revisions;
        self.revisions += 1;
        self.changed = false;
        let outcome = if sequence == 0 { Outcome::Result } else { Outcome::Revised };
        Span { window: self.window, due, by_record, sequence, outcome, first_end }
    }

    fn first_end(&mut self, window: Window) -> i64 {
        self.first.get_or_insert(window).end
    }

    /// Takes over what another session of the key was.
    pub(crate) fn join(&mut self, other: &Open) {
        self.window.start = self.window.start.min(other.window.start);
        self.window.end = self.window.end.max(other.window.end);
        self.revisions = self.revisions.max(other.revisions);
        self.earlies = self.earlies.max(other.earlies);
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.since += other.since;
        self.changed |= other.changed;
    }
}

impl TriggerSpec {
    /// When a window goes: no record that comes then is in it.
    pub(crate) fn cleanup(&self, window: Window) -> i64 {
        window.due().saturating_add(self.lateness)
    }

    /// The edge up to which the early result goes that is the first to hold `time`.
    pub(crate) fn edge_behind(&self, window: Window, time: i64) -> Option<i64> {
        let Some(Early::Every(every)) = self.early else { return None };
        let origin = if matches!(self.windows, Assigner::Shared(_)) { window.start } else { 0 };
        let steps = time.saturating_sub(origin).div_euclid(every).saturating_add(1);
        Some(steps.saturating_mul(every).saturating_add(origin))
    }
}
