//! Windows with triggers, naively: each window keeps its records, and what happens next is looked for among all.

use std::collections::BTreeSet;

use event::{Outcome, Span, Window};
use proptest::prelude::*;
use window::{Assigner, Early, Late, TriggerSpec, WindowSpec};

use super::{Answer, Placed, key};

struct Kept<'a> {
    window: Window,
    records: Vec<&'a Placed>,
    /// Ticks up to this are over.
    now: i64,
    /// Ticks at which the global window has something new.
    ticks: BTreeSet<i64>,
    ended: bool,
    changed: bool,
    since: u64,
    revisions: u64,
    earlies: u64,
    first: Option<Window>,
}

/// What is known of one key.
pub(crate) struct Key<'a, 'o> {
    pub(crate) spec: &'a TriggerSpec,
    pub(crate) hash: u64,
    pub(crate) answer: &'o mut Answer,
    kept: Vec<Kept<'a>>,
}

impl<'a, 'o> Key<'a, 'o> {
    pub(crate) fn new(spec: &'a TriggerSpec, hash: u64, answer: &'o mut Answer) -> Self {
        Key { spec, hash, answer, kept: Vec::new() }
    }

    pub(crate) fn all(mut self, records: &[&'a Placed]) {
        for placed in records {
            self.advance(placed.seen);
            self.take(placed);
        }
        self.advance(i64::MAX);
    }

    fn is_global(&self) -> bool {
        self.spec.windows == Assigner::Global
    }

    fn tick_behind(&self, window: Window, after: i64) -> i64 {
        let Some(Early::Every(every)) = self.spec.early else { return i64::MAX };
        let origin = if matches!(self.spec.windows, Assigner::Shared(_)) { window.start } else { 0 };
        let mut tick = origin - 1 - 1000 * every;
        while tick <= after {
            tick += every;
        }
        tick
    }

    /// When something happens to a window next: 0 a tick, 1 its end, 2 it goes.
    fn next(&self, kept: &Kept) -> Option<(i64, u8)> {
        if self.is_global() {
            return kept.ticks.first().map(|tick| (*tick, 0));
        }
        let due = kept.window.end - 1;
        let tick = self.tick_behind(kept.window, kept.now.max(kept.window.start - 1));
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
        let (spec, kept) = (self.spec, &mut self.kept[at]);
        kept.now = tick;
        kept.ticks.retain(|other| *other > tick);
        let (held, rest): (Vec<_>, Vec<_>) =
            kept.records.iter().copied().partition(|placed| placed.record.time <= tick);
        if held.is_empty() {
            return;
        }
        let window = Window { start: kept.window.start, end: tick + 1 };
        let span = Span::from(window);
        let span = if spec.at_end {
            let first_end = kept.first.get_or_insert(window).end;
            Span { outcome: Outcome::Early, first_end, ..span }
        } else {
            span
        };
        self.answer.add(&held, span);
        if spec.purges {
            kept.records = rest;
            if spec.windows == Assigner::Global {
                kept.window.start = tick + 1;
            }
        }
    }

    fn result(&mut self, at: usize, due: i64, by_record: bool) {
        let kept = &mut self.kept[at];
        if kept.records.is_empty() {
            return;
        }
        kept.changed = false;
        let outcome = if kept.revisions == 0 { Outcome::Result } else { Outcome::Revised };
        let first_end = kept.first.get_or_insert(kept.window).end;
        let span = Span { window: kept.window, due, by_record, sequence: kept.revisions, outcome, first_end };
        kept.revisions += 1;
        self.answer.add(&kept.records, span);
        if self.spec.purges {
            kept.records.clear();
        }
    }

    /// The row that a number of records causes.
    fn counted(&mut self, at: usize, seen: i64) {
        let kept = &mut self.kept[at];
        kept.since = 0;
        let span = Span { due: seen, by_record: true, sequence: kept.earlies, ..Span::from(kept.window) };
        kept.earlies += 1;
        let span = if self.spec.at_end {
            let first_end = kept.first.get_or_insert(kept.window).end;
            Span { outcome: Outcome::Early, first_end, ..span }
        } else {
            span
        };
        self.answer.add(&kept.records, span);
        if self.spec.purges {
            kept.records.clear();
            if self.spec.windows == Assigner::Global {
                kept.window = Window { start: i64::MAX, end: i64::MIN };
            }
        }
    }

    fn take(&mut self, placed: &'a Placed) {
        let (time, seen) = (placed.record.time, placed.seen);
        let gone = |window: Window| window.end - 1 + self.spec.lateness <= seen;
        let windows: Vec<Window> = match &self.spec.windows {
            Assigner::Shared(spec) => {
                let shift = if self.spec.staggered { (self.hash % spec.slide as u64) as i64 } else { 0 };
                let starts = (-1000..1000).map(|n| n * spec.slide + spec.offset + shift);
                let windows = starts.map(|start| Window { start, end: start + spec.size });
                windows.filter(|window| window.covers(time) && !gone(*window)).collect()
            }
            Assigner::Session(gap) => vec![Window { start: time, end: time + gap }],
            Assigner::SessionByRecord => vec![Window { start: time, end: time + placed.record.gap }],
            Assigner::Global => vec![Window { start: time, end: time + 1 }],
        };
        let mut held = false;
        for window in windows {
            let Some(at) = self.find(window, seen) else { continue };
            held = true;
            self.hold(at, placed);
        }
        if !held {
            assert!(self.answer.late.insert((placed.partition, placed.offset)));
        }
    }

    /// The window that is `window`, or that becomes one with it; `None` if that is gone.
    fn find(&mut self, window: Window, seen: i64) -> Option<usize> {
        let is_shared = matches!(self.spec.windows, Assigner::Shared(_));
        let touches = |kept: &Kept| match is_shared {
            true => kept.window == window,
            false => kept.window.start <= window.end && window.start <= kept.window.end,
        };
        let is_global = self.is_global();
        let (touched, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.kept).into_iter().partition(|kept| is_global || touches(kept));
        self.kept = rest;
        let mut one = Kept {
            window,
            records: Vec::new(),
            now: seen,
            ticks: BTreeSet::new(),
            ended: false,
            changed: false,
            since: 0,
            revisions: 0,
            earlies: 0,
            first: None,
        };
        let lived = !touched.is_empty();
        for other in touched {
            one.window.start = one.window.start.min(other.window.start);
            one.window.end = one.window.end.max(other.window.end);
            one.records.extend(other.records);
            one.ticks.extend(other.ticks);
            one.changed |= other.changed;
            one.since += other.since;
            one.revisions = one.revisions.max(other.revisions);
            one.earlies = one.earlies.max(other.earlies);
            one.first = one.first.into_iter().chain(other.first).min();
        }
        one.ended = one.window.end - 1 <= seen;
        if !lived && !is_global && one.window.end - 1 + self.spec.lateness <= seen {
            return None;
        }
        self.kept.push(one);
        Some(self.kept.len() - 1)
    }

    fn hold(&mut self, at: usize, placed: &'a Placed) {
        let tick = self.tick_behind(self.kept[at].window, placed.seen.max(placed.record.time - 1));
        let is_late = self.spec.at_end && self.kept[at].window.end - 1 <= placed.seen;
        let kept = &mut self.kept[at];
        kept.records.push(placed);
        kept.changed = true;
        kept.since += 1;
        if tick < i64::MAX {
            kept.ticks.insert(tick);
        }
        if is_late {
            if self.spec.late == Late::Each {
                kept.since = 0;
                self.result(at, placed.seen, true);
            }
        } else if matches!(self.spec.early, Some(Early::Count(count)) if kept.since >= count) {
            self.counted(at, placed.seen);
        }
    }
}

/// The hash of the key of these records.
pub(crate) fn hash(records: &[&Placed]) -> u64 {
    records.first().map_or(0, |placed| event::key_hash(&key(&placed.record)))
}

pub(crate) fn spec() -> impl Strategy<Value = TriggerSpec> {
    let shared = (1i64..25, 1i64..12, 0i64..12).prop_map(|(size, slide, offset)| {
        let spec = WindowSpec::sliding(size, slide.min(size)).expect("windows that can be");
        let offset = offset % spec.slide;
        Assigner::Shared(spec.starting_at(offset).expect("windows that can be"))
    });
    let assigner = prop_oneof![
        4 => shared,
        3 => (1i64..15).prop_map(Assigner::Session),
        3 => Just(Assigner::SessionByRecord),
        2 => Just(Assigner::Global),
    ];
    let early = prop_oneof![
        2 => Just(None),
        4 => (1i64..15).prop_map(|every| Some(Early::Every(every))),
        3 => (1u64..5).prop_map(|count| Some(Early::Count(count))),
    ];
    let late = prop_oneof![Just(Late::Once), Just(Late::Each)];
    (assigner, early, late, prop_oneof![Just(0), 1i64..40], any::<bool>(), any::<bool>(), any::<bool>())
        .prop_filter_map(
            "windows that are put out",
            |(windows, early, late, lateness, at_end, staggered, purges)| {
                let staggered = staggered && matches!(windows, Assigner::Shared(_));
                let at_end = at_end && windows != Assigner::Global;
                TriggerSpec { windows, lateness, staggered, at_end, early, late, purges }.checked().ok()
            },
        )
}
