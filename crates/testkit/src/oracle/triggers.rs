//! Windows with triggers in batch, for the records of one key: what Flink's window operator does, naively. Each window
//! keeps its records, and what happens next is looked for among all windows each time.

use std::collections::BTreeSet;

/// Which windows, and when they are put out.
#[derive(Debug, Clone)]
pub struct Triggers {
    /// What holds a record.
    pub windows: Holding,
    /// How long after it is due a window takes records.
    pub lateness: i64,
    /// Whether a window is put out when it is due.
    pub at_end: bool,
    /// How often it is put out before, in ticks.
    pub every: Option<i64>,
    /// After how many records it is put out before.
    pub count: Option<u64>,
    /// Whether it is put out for each late record, or once, when the time for them is over.
    pub late_each: bool,
    /// Whether it starts anew with each row.
    pub purges: bool,
    /// How long after its last record the one window for all time is forgotten.
    pub expires: Option<i64>,
}

/// What holds a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Holding {
    /// Windows of `size` that start every `slide`, moved by `offset`.
    Sliding {
        /// Length of a window.
        size: i64,
        /// From one start to the next.
        slide: i64,
        /// One of the starts.
        offset: i64,
    },
    /// A session that ends by the gap of each of its records.
    Session,
    /// One for all time.
    Global,
}

/// A record of the key.
#[derive(Debug, Clone, Copy)]
pub struct Arrived {
    /// Event time.
    pub time: i64,
    /// The watermark of its partition just before it.
    pub seen: i64,
    /// How long behind it its session ends.
    pub gap: i64,
}

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub struct Fired {
    /// When it is due.
    pub due: i64,
    /// Whether a record caused it.
    pub by_record: bool,
    /// Its window.
    pub window: (i64, i64),
    /// Its number among the early rows that records caused, or among the others.
    pub sequence: u64,
    /// Whether more of the window is to come.
    pub early: bool,
    /// Whether it is a result that was put out before.
    pub revised: bool,
    /// End of the first window that was put out of it.
    pub first_end: i64,
    /// Its records, by their number.
    pub held: Vec<usize>,
}

impl Triggers {
    /// The rows of a key whose records come in this order, and which of these are late.
    pub fn run(&self, records: &[Arrived]) -> (Vec<Fired>, Vec<usize>) {
        let mut key =
            Key { spec: self, arrived: records, kept: Vec::new(), rows: Vec::new(), late: Vec::new() };
        for (number, record) in records.iter().enumerate() {
            key.advance(record.seen);
            key.take(number);
        }
        key.advance(i64::MAX);
        (key.rows, key.late)
    }
}

#[derive(Debug, Clone, Default)]
struct Kept {
    window: (i64, i64),
    /// By their number.
    records: Vec<usize>,
    /// Ticks up to this are over.
    now: i64,
    /// Ticks at which the global window has something new.
    ticks: BTreeSet<i64>,
    ended: bool,
    changed: bool,
    /// Greatest time and `seen` of its records.
    last: i64,
    since: u64,
    revisions: u64,
    earlies: u64,
    first: Option<(i64, i64)>,
}

/// What is known of the key.
struct Key<'a> {
    spec: &'a Triggers,
    arrived: &'a [Arrived],
    kept: Vec<Kept>,
    rows: Vec<Fired>,
    late: Vec<usize>,
}

impl Key<'_> {
    fn is_global(&self) -> bool {
        self.spec.windows == Holding::Global
    }

    fn tick_behind(&self, window: (i64, i64), after: i64) -> i64 {
        let Some(every) = self.spec.every else { return i64::MAX };
        let origin = if matches!(self.spec.windows, Holding::Sliding { .. }) { window.0 } else { 0 };
        let steps = after.saturating_add(1).saturating_sub(origin).div_euclid(every) + 1;
        origin + steps * every - 1
    }

    /// When something happens to a window next: 0 a tick, 1 its end, 2 it goes.
    fn next(&self, kept: &Kept) -> Option<(i64, u8)> {
        if self.is_global() {
            let tick = kept.ticks.first().map(|tick| (*tick, 0));
            let gone = self.spec.expires.map(|idle| (kept.last.saturating_add(idle), 2));
            return tick.into_iter().chain(gone).min();
        }
        let due = kept.window.1 - 1;
        let tick = self.tick_behind(kept.window, kept.now.max(kept.window.0 - 1));
        let tick = (tick < due).then_some((tick, 0));
        let end = (self.spec.at_end && !kept.ended).then_some((due, 1));
        [tick, end, Some((due + self.spec.lateness, 2))].into_iter().flatten().min()
    }

    fn advance(&mut self, to: i64) {
        loop {
            let turns = self.kept.iter().enumerate().filter_map(|(at, kept)| Some((self.next(kept)?, at)));
            let Some(((time, turn), at)) = turns.min().filter(|((time, _), _)| *time <= to) else { return };
            match turn {
                0 => self.tick(at, time),
                1 => {
                    self.kept[at].ended = true;
                    self.result(at, time, false);
                }
                _ => {
                    if self.kept[at].changed && self.spec.at_end {
                        self.result(at, time, false);
                    }
                    self.kept.remove(at);
                }
            }
        }
    }

    fn tick(&mut self, at: usize, tick: i64) {
        let (spec, arrived, kept) = (self.spec, self.arrived, &mut self.kept[at]);
        kept.now = tick;
        kept.ticks.retain(|other| *other > tick);
        let (held, rest): (Vec<_>, Vec<_>) =
            kept.records.iter().copied().partition(|number| arrived[*number].time <= tick);
        if held.is_empty() {
            return;
        }
        let window = (kept.window.0, tick + 1);
        let first_end = if spec.at_end { kept.first.get_or_insert(window).1 } else { window.1 };
        let (due, by_record, sequence) = (tick, false, 0);
        let (early, revised) = (spec.at_end, false);
        self.rows.push(Fired { due, by_record, window, sequence, early, revised, first_end, held });
        if spec.purges {
            kept.records = rest;
            if spec.windows == Holding::Global {
                kept.window.0 = tick + 1;
            }
        }
    }

    fn result(&mut self, at: usize, due: i64, by_record: bool) {
        let kept = &mut self.kept[at];
        if kept.records.is_empty() {
            return;
        }
        kept.changed = false;
        let (window, sequence) = (kept.window, kept.revisions);
        let first_end = kept.first.get_or_insert(window).1;
        let (early, revised, held) = (false, sequence > 0, kept.records.clone());
        kept.revisions += 1;
        self.rows.push(Fired { due, by_record, window, sequence, early, revised, first_end, held });
        if self.spec.purges {
            kept.records.clear();
        }
    }

    /// The row that a number of records causes.
    fn counted(&mut self, at: usize, seen: i64) {
        let kept = &mut self.kept[at];
        kept.since = 0;
        let (window, sequence) = (kept.window, kept.earlies);
        let (early, revised) = (self.spec.at_end, false);
        let first_end = if early { kept.first.get_or_insert(window).1 } else { window.1 };
        let (due, by_record, held) = (seen, true, kept.records.clone());
        kept.earlies += 1;
        self.rows.push(Fired { due, by_record, window, sequence, early, revised, first_end, held });
        if self.spec.purges {
            kept.records.clear();
            if self.spec.windows == Holding::Global {
                kept.window = (i64::MAX, i64::MIN);
            }
        }
    }

    fn take(&mut self, number: usize) {
        let Arrived { time, seen, gap } = self.arrived[number];
        let gone = |window: (i64, i64)| window.1 - 1 + self.spec.lateness <= seen;
        let windows: Vec<(i64, i64)> = match self.spec.windows {
            Holding::Sliding { size, slide, offset } => {
                let last = (time - offset).div_euclid(slide);
                let starts = (last - size / slide - 1..=last).map(|n| n * slide + offset);
                let windows = starts.map(|start| (start, start + size));
                windows.filter(|window| window.0 <= time && time < window.1 && !gone(*window)).collect()
            }
            Holding::Session => vec![(time, time + gap)],
            Holding::Global => vec![(time, time + 1)],
        };
        let mut held = false;
        for window in windows {
            let Some(at) = self.find(window, seen) else { continue };
            held = true;
            self.hold(at, number);
        }
        if !held {
            self.late.push(number);
        }
    }

    /// The window that is `window`, or that becomes one with it; `None` if that is gone.
    fn find(&mut self, window: (i64, i64), seen: i64) -> Option<usize> {
        let is_shared = matches!(self.spec.windows, Holding::Sliding { .. });
        let touches = |kept: &Kept| match is_shared {
            true => kept.window == window,
            false => kept.window.0 <= window.1 && window.0 <= kept.window.1,
        };
        let is_global = self.is_global();
        let (touched, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.kept).into_iter().partition(|kept| is_global || touches(kept));
        self.kept = rest;
        let mut one = Kept { window, now: seen, last: i64::MIN, ..Kept::default() };
        let lived = !touched.is_empty();
        for other in touched {
            one.window.0 = one.window.0.min(other.window.0);
            one.window.1 = one.window.1.max(other.window.1);
            one.records.extend(other.records);
            one.ticks.extend(other.ticks);
            one.changed |= other.changed;
            one.since += other.since;
            one.last = one.last.max(other.last);
            one.revisions = one.revisions.max(other.revisions);
            one.earlies = one.earlies.max(other.earlies);
            one.first = one.first.into_iter().chain(other.first).min();
        }
        one.ended = one.window.1 - 1 <= seen;
        if !lived && !is_global && one.window.1 - 1 + self.spec.lateness <= seen {
            return None;
        }
        self.kept.push(one);
        Some(self.kept.len() - 1)
    }

    fn hold(&mut self, at: usize, number: usize) {
        let Arrived { time, seen, .. } = self.arrived[number];
        let tick = self.tick_behind(self.kept[at].window, seen.max(time - 1));
        let is_late = self.spec.at_end && self.kept[at].window.1 - 1 <= seen;
        let kept = &mut self.kept[at];
        kept.records.push(number);
        kept.changed = true;
        kept.last = kept.last.max(time).max(seen);
        kept.since += 1;
        if tick < i64::MAX {
            kept.ticks.insert(tick);
        }
        if is_late {
            if self.spec.late_each {
                kept.since = 0;
                self.result(at, seen, true);
            }
        } else if self.spec.count.is_some_and(|count| kept.since >= count) {
            self.counted(at, seen);
        }
    }
}
