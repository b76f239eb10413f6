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
    /// the order of outputs; what is due before it has happened. The change, and whether it is about that row.
    pub(super) fn correct(
        &mut self,
        of: &LifeCycle,
        (due, now): (i64, Span),
        judged: Option<Judged>,
    ) -> Option<(Change, bool)> {
        self.settle(of, due);
        let before = self.recent.iter().position(|known| known.span.due >= due).unwrap_or(self.recent.len());
        let was = self.recent.get(before).filter(|known| known.span.due == due).copied();
        let is = judged.map(|judged| Judged { span: Span { due, ..judged.span }, ..judged });
        if was.map(|was| (was.severity, was.muted)) == is.map(|is| (is.severity, is.muted)) {
            return None;
        }
        self.recent.splice(before..before + usize::from(was.is_some()), is);
        let mut follows = self.settled.clone();
        for judged in &self.recent {
            happen(&mut follows, of, judged.span.due);
            of.bad(follows.get_or_insert_with(|| Episode::new(*judged)), *judged);
        }
        happen(&mut follows, of, now.due);
        let (told, change) = reconcile(self.live.take(), follows, now, judged);
        self.live = told;
        change
    }

    /// Takes all windows that are due before `due` for settled.
    fn settle(&mut self, of: &LifeCycle, due: i64) {
        let settled = self.recent.partition_point(|judged| judged.span.due < due);
        for judged in self.recent.drain(..settled) {
            happen(&mut self.settled, of, judged.span.due);
            of.bad(self.settled.get_or_insert_with(|| Episode::new(judged)), judged);
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

/// What is known from now on, where `told` is what was told and `follows` what follows from the windows; and what there is to say, and
/// whether that is about the row that was corrected.
fn reconcile(
    told: Option<Episode>,
    follows: Option<Episode>,
    now: Span,
    judged: Option<Judged>,
) -> (Option<Episode>, Option<(Change, bool)>) {
    let end = Span { by_record: true, sequence: 0, outcome: Outcome::Result, ..now };
    let was_open = told.as_ref().is_some_and(Episode::is_open);
    match (told, follows) {
        (told, Some(mut follows)) if follows.is_open() => {
            let muted = judged.map_or(told.as_ref().and_then(|told| told.muted), |judged| judged.muted);
            let is_news = told.as_ref().is_none_or(|told| follows.is_news(told, muted.is_some()));
            match &told {
                Some(told) => follows.go_on_from(told),
                None => follows.be_unknown(),
            }
            // That it is less bad than was told, although no window is bad now, the next one says.
            if was_open && (!is_news || judged.is_none()) {
                return (Some(follows), None);
            }
            let kind = if was_open { ChangeKind::Updated } else { ChangeKind::Opened };
            let span = if judged.is_some() { now } else { end };
            let change = follows.tell_again(kind, span, muted);
            (Some(follows), Some((change, judged.is_some())))
        }
        // It was over before, whether or not that was known.
        (Some(mut told), Some(mut follows)) if follows.is_over() => {
            follows.go_on_from(&told);
            follows.be_over();
            let change = was_open.then(|| (told.take_back(ChangeKind::Resolved, end), false));
            (Some(follows), change)
        }
        (told, mut follows) => {
            if let Some(follows) = &mut follows {
                follows.be_unknown();
            }
            let taken_back = told.filter(|told| was_open || told.is_told());
            let change = taken_back.map(|mut told| (told.take_back(ChangeKind::Withdrawn, end), false));
            (follows, change)
        }
    }
}
