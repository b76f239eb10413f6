//! What is known of one rule and key where windows may be corrected for a while: what people were told, and what follows from the
//! windows as they are by now.
//!
//! Windows that can still be corrected are remembered if they are bad, beside what is known of all before them, which is settled.
//! Where one is corrected, what is open follows again from there, and the difference from what was told is a word. Promises that after
//! a correction what is open, and how bad it is, is what it would be had the window been so from the start.

use event::{ChangeKind, Outcome, Span};

use super::life_cycle::{Change, Episode, Judged, LifeCycle};

/// What is known of one rule and key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Course {
    /// As it was told.
    pub(super) live: Option<Episode>,
    /// As it was before the first window that can still be corrected, after the bad ones among those before it.
    pub(super) settled: Option<Episode>,
    /// The last episode that is settled, as it was when its last window was bad: what is open may be that one, although it is over.
    pub(super) last: Option<Episode>,
    /// Bad windows that can still be corrected, by when they are due as results.
    pub(super) recent: Vec<Judged>,
}

/// What happens next by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Live,
    Settle,
}

impl Course {
    /// When something happens if no window is bad before; `None` if nothing is left to happen. Windows are corrected up to `lateness`
    /// after they are due.
    pub(super) fn timer(&self, of: &LifeCycle, lateness: i64) -> Option<i64> {
        self.next(of, lateness).map(|(at, _)| at)
    }

    fn next(&self, of: &LifeCycle, lateness: i64) -> Option<(i64, Next)> {
        let live = self.live.as_ref().map(|episode| (of.timer(episode), Next::Live));
        let window = self.recent.first().map(|judged| judged.span.due);
        let settled = self.settled.as_ref().map(|episode| of.timer(episode));
        let settle = window.into_iter().chain(settled).min();
        live.into_iter().chain(settle.map(|at| (at.saturating_add(lateness), Next::Settle))).min()
    }

    /// Takes in a window that is bad, as its result says. What is due before it has happened.
    pub(super) fn bad(&mut self, of: &LifeCycle, lateness: i64, judged: Judged) -> Option<Change> {
        if lateness > 0 {
            self.recent.push(judged);
        }
        of.bad(self.live.get_or_insert_with(|| Episode::new(judged)), judged)
    }

    /// Lets what happens next happen.
    pub(super) fn fire(&mut self, of: &LifeCycle, lateness: i64) -> Option<Change> {
        let (at, next) = self.next(of, lateness)?;
        if next == Next::Settle {
            self.settle(of, at.saturating_sub(lateness).saturating_add(1));
            return None;
        }
        let episode = self.live.as_mut()?;
        let (change, stays) = of.fire(episode);
        if !stays {
            self.live = None;
        }
        change
    }

    /// Takes in that the window which was due as a result at `due` is bad by now, or is not. `now` is where the row of that stands in
    /// the order of outputs; what is due before it has happened. The changes, each with whether it is about that row.
    pub(super) fn correct(
        &mut self,
        of: &LifeCycle,
        (due, now): (i64, Span),
        judged: Option<Judged>,
    ) -> Vec<(Change, bool)> {
        self.settle(of, due);
        let before = self.recent.iter().position(|known| known.span.due >= due).unwrap_or(self.recent.len());
        let was = self.recent.get(before).filter(|known| known.span.due == due).copied();
        let is = judged.map(|judged| Judged { span: Span { due, ..judged.span }, ..judged });
        if was.map(|was| (was.severity, was.muted)) == is.map(|is| (is.severity, is.muted)) {
            return Vec::new();
        }
        self.recent.splice(before..before + usize::from(was.is_some()), is);
        let (follows, last) = self.follow(of, now.due);
        let correction = Correction { due, now, judged, last };
        let (told, changes) = correction.reconcile(self.live.take(), follows);
        self.live = told;
        changes
    }

    /// What follows from the windows up to a time, and the last episode among them, as it was when its last window was bad.
    fn follow(&self, of: &LifeCycle, until: i64) -> (Option<Episode>, Option<Episode>) {
        let mut follows = self.settled.clone();
        let mut last = self.last.clone();
        for judged in &self.recent {
            happen(&mut follows, of, judged.span.due);
            let episode = follows.get_or_insert_with(|| Episode::new(*judged));
            of.bad(episode, *judged);
            if episode.is_open() {
                last = Some(episode.clone());
            }
        }
        happen(&mut follows, of, until);
        (follows, last)
    }

    /// Takes all windows that are due before `due` for settled.
    fn settle(&mut self, of: &LifeCycle, due: i64) {
        let settled = self.recent.partition_point(|judged| judged.span.due < due);
        for judged in self.recent.drain(..settled) {
            happen(&mut self.settled, of, judged.span.due);
            let episode = self.settled.get_or_insert_with(|| Episode::new(judged));
            of.bad(episode, judged);
            if episode.is_open() {
                self.last = Some(episode.clone());
            }
        }
        happen(&mut self.settled, of, due);
    }
}

/// Lets everything happen that is due before `due`, and tells nobody.
fn happen(episode: &mut Option<Episode>, of: &LifeCycle, due: i64) {
    while let Some(known) = episode.as_mut().filter(|known| of.timer(known) < due) {
        if !of.fire(known).1 {
            *episode = None;
        }
    }
}

/// A window that is not what it was.
struct Correction {
    /// When it was due as a result.
    due: i64,
    /// Where its row stands in the order of outputs.
    now: Span,
    /// How bad it is by now, if it is.
    judged: Option<Judged>,
    /// The last episode that follows from the windows.
    last: Option<Episode>,
}

impl Correction {
    /// Where a word stands that is not about the row.
    fn end(&self) -> Span {
        Span { by_record: true, sequence: 0, outcome: Outcome::Result, ..self.now }
    }

    /// What is known from now on, where `told` is what was told and `follows` what follows from the windows; and what there is to say.
    fn reconcile(
        self,
        told: Option<Episode>,
        follows: Option<Episode>,
    ) -> (Option<Episode>, Vec<(Change, bool)>) {
        match follows {
            Some(follows) if follows.is_open() => self.open_by_now(told, follows),
            follows => match told {
                Some(told) if told.is_open() => self.over_by_now(told, follows),
                told => self.was_unheard(told, follows),
            },
        }
    }

    /// It is open: that is told, and how bad it is, if nobody knows.
    fn open_by_now(
        self,
        told: Option<Episode>,
        mut follows: Episode,
    ) -> (Option<Episode>, Vec<(Change, bool)>) {
        let was_open = told.as_ref().is_some_and(Episode::is_open);
        let before = told.as_ref().and_then(|told| told.muted);
        let muted = self.judged.map_or(before, |judged| judged.muted);
        let is_news = told.as_ref().is_none_or(|told| follows.is_news(told, muted.is_some()));
        match &told {
            Some(told) => follows.go_on_from(told),
            None => follows.be_unknown(),
        }
        // That it is less bad than was told, although no window is bad now, the next one says.
        if was_open && (!is_news || self.judged.is_none()) {
            return (Some(follows), Vec::new());
        }
        let kind = if was_open { ChangeKind::Updated } else { ChangeKind::Opened };
        let is_about_it = self.judged.is_some();
        let span = if is_about_it { self.now } else { self.end() };
        let change = follows.tell_again(kind, span, muted);
        (Some(follows), vec![(change, is_about_it)])
    }

    /// It was told to be open, and is not: it is over by now, or never was.
    fn over_by_now(
        self,
        mut told: Episode,
        mut follows: Option<Episode>,
    ) -> (Option<Episode>, Vec<(Change, bool)>) {
        let end = self.end();
        let change = match self.last.filter(|last| last.reaches(&told)) {
            Some(last) => {
                if let Some(follows) = follows.as_mut().filter(|follows| follows.is_over()) {
                    follows.go_on_from(&told);
                    follows.be_over();
                }
                told.take_back(ChangeKind::Resolved, Span { window: last.last_window(), ..end })
            }
            None => {
                follows.iter_mut().for_each(Episode::be_unknown);
                told.take_back(ChangeKind::Withdrawn, end)
            }
        };
        (follows, vec![(change, false)])
    }

    /// Neither is it open, nor was it told to be: if it was open in between, and nobody knows, both are told.
    fn was_unheard(
        self,
        told: Option<Episode>,
        mut follows: Option<Episode>,
    ) -> (Option<Episode>, Vec<(Change, bool)>) {
        let was_told = told.as_ref().is_some_and(Episode::is_told);
        if let (Some(told), Some(follows)) = (&told, &mut follows) {
            follows.go_on_from(told);
        } else {
            follows.iter_mut().for_each(Episode::be_unknown);
        }
        let (end, due) = (self.end(), self.due);
        let (Some(mut last), Some(judged)) = (self.last.filter(|last| last.lasts_until(due)), self.judged)
        else {
            return (follows, Vec::new());
        };
        if was_told {
            return (follows, Vec::new());
        }
        last.be_unknown();
        let opened = last.tell_again(ChangeKind::Opened, self.now, judged.muted);
        if let Some(follows) = follows.as_mut().filter(|follows| follows.is_over()) {
            follows.go_on_from(&last);
            follows.be_over();
        }
        let over = last.take_back(ChangeKind::Resolved, Span { window: last.last_window(), ..end });
        (follows, vec![(opened, true), (over, false)])
    }
}
