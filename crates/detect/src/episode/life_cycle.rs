//! The life of an episode: from windows that a rule finds bad to the few moments that are worth a word.
//!
//! A pure state machine for one rule and one key. `episode/kept.rs` holds the states of all keys. Promises that what comes out
//! depends on the windows of the key and their order alone, and that windows that overlap, or follow one another, are one
//! episode with one name.

use event::{ChangeKind, Outcome, Severity, Span, Window};
use serde::{Deserialize, Serialize};

/// Windows of an episode of which it is remembered that they were bad, to take back what a correction denies.
const REMEMBERED: usize = 256;

/// When an episode opens and when it is over. Times are in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LifeCycle {
    /// Bad windows that it takes to open one, at least 1.
    pub bad_windows: u32,
    /// Within how much event time these end, the last one's end included and the time's first tick not.
    pub within: i64,
    /// How long no window is bad until it is over.
    pub resolve_after: i64,
    /// How long it lasts at most.
    pub longest: i64,
    /// How long after its end it opens again, rather than a new one.
    pub cooldown: i64,
}

/// A window that the rule has found bad. Windows of a key come in the order in which they are due; what tells them apart is
/// their first end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// The window, and where its row stands in the order of outputs.
    pub span: Span,
    /// How bad it is.
    pub severity: Severity,
}

/// What is known of an episode, or of the windows that may become one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    phase: Phase,
    /// End of the first of the windows that opened it, which names it.
    first_end: i64,
    /// Ends of bad windows, ascending: while none is open those that count, then the last ones of the episode.
    bad: Vec<i64>,
    /// Bad windows of the episode altogether.
    windows: u64,
    /// When the last of them was due.
    last_due: i64,
    /// That one.
    last: Window,
    severity: Severity,
    /// Severity of the worst of them.
    worst: Severity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    /// Not enough windows were bad.
    Pending,
    /// Since then.
    Open { since: i64 },
    /// It was over then.
    Over { at: i64 },
}

/// Something about an episode that is worth a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// What.
    pub kind: ChangeKind,
    /// Where it stands in the order of outputs, and the window that it is about: of one that is over the last that was bad.
    pub span: Span,
    /// The episode's name: end of the first of its windows.
    pub first_end: i64,
    /// Its bad windows so far.
    pub windows: u64,
    /// How bad it is now; of one that is over, how bad it was at worst.
    pub severity: Severity,
}

impl Episode {
    /// Nothing was bad yet.
    pub(super) fn new(judged: Judged) -> Self {
        Episode {
            phase: Phase::Pending,
            first_end: judged.span.first_end,
            bad: Vec::new(),
            windows: 0,
            last_due: judged.span.due,
            last: judged.span.window,
            severity: judged.severity,
            worst: judged.severity,
        }
    }

    fn change(&self, kind: ChangeKind, span: Span) -> Change {
        let severity = if kind.is_alarm() { self.severity } else { self.worst };
        Change { kind, span, first_end: self.first_end, windows: self.windows, severity }
    }

    /// Where the word stands that it is over: behind all that is due then.
    fn end(&self, at: i64) -> Span {
        Span {
            window: self.last,
            due: at,
            by_record: true,
            sequence: 0,
            outcome: Outcome::Result,
            first_end: self.first_end,
        }
    }

    /// A correction comes after later windows, and is about an earlier one.
    fn note_last(&mut self, span: Span) {
        if span.window.end >= self.last.end {
            (self.last, self.last_due) = (span.window, self.last_due.max(span.due));
        }
    }

    /// Adds a window; whether it was not there before.
    fn add(&mut self, end: i64) -> bool {
        match self.bad.binary_search(&end) {
            Ok(_) => false,
            Err(place) => {
                self.bad.insert(place, end);
                true
            }
        }
    }
}

impl LifeCycle {
    /// Takes in a window that is bad. All [timers](LifeCycle::timer) that are due before it have to be fired before.
    pub fn bad(&self, episode: &mut Episode, judged: Judged) -> Option<Change> {
        let is_new = episode.add(judged.span.first_end);
        match episode.phase {
            Phase::Open { .. } => {
                episode.windows += u64::from(is_new);
                episode.bad.drain(..episode.bad.len().saturating_sub(REMEMBERED));
                episode.note_last(judged.span);
                episode.worst = episode.worst.max(judged.severity);
                let changes = judged.severity != episode.severity;
                episode.severity = judged.severity;
                changes.then(|| episode.change(ChangeKind::Updated, judged.span))
            }
            Phase::Pending | Phase::Over { .. } => self.open(episode, judged),
        }
    }

    /// Opens an episode if enough windows are bad by now.
    fn open(&self, episode: &mut Episode, judged: Judged) -> Option<Change> {
        let newest = episode.bad.last().copied().unwrap_or(judged.span.first_end);
        episode.bad.retain(|end| newest.saturating_sub(*end) < self.within);
        episode.note_last(judged.span);
        if episode.bad.len() < self.bad_windows as usize {
            return None;
        }
        // What was over is forgotten by its timer once its cooldown is.
        let again = matches!(episode.phase, Phase::Over { .. });
        if !again {
            episode.first_end = episode.bad[0];
            episode.windows = 0;
            episode.worst = judged.severity;
        }
        episode.windows += episode.bad.len() as u64;
        episode.phase = Phase::Open { since: judged.span.due };
        episode.severity = judged.severity;
        episode.worst = episode.worst.max(judged.severity);
        let kind = if again { ChangeKind::Reopened } else { ChangeKind::Opened };
        Some(episode.change(kind, judged.span))
    }

    /// Takes in that a window, which may have been bad when it was judged before, is not.
    pub fn good(&self, episode: &mut Episode, span: Span) -> Option<Change> {
        let place = episode.bad.binary_search(&span.first_end).ok()?;
        episode.bad.remove(place);
        let Phase::Open { .. } = episode.phase else { return None };
        episode.windows -= 1;
        if episode.windows >= u64::from(self.bad_windows) {
            return None;
        }
        episode.phase = Phase::Pending;
        Some(episode.change(ChangeKind::Withdrawn, span))
    }

    /// When something happens to it if no window is bad before. It happens after what is due then.
    pub fn timer(&self, episode: &Episode) -> i64 {
        match episode.phase {
            Phase::Pending => episode.last_due.saturating_add(self.within),
            Phase::Open { since } => {
                let quiet = episode.last_due.saturating_add(self.resolve_after);
                quiet.min(since.saturating_add(self.longest))
            }
            Phase::Over { at } => at.saturating_add(self.cooldown),
        }
    }

    /// Lets its timer fire: what changes, and whether it is to be kept.
    pub fn fire(&self, episode: &mut Episode) -> (Option<Change>, bool) {
        let at = self.timer(episode);
        match episode.phase {
            Phase::Open { .. } => {
                episode.phase = Phase::Over { at };
                let change = episode.change(ChangeKind::Resolved, episode.end(at));
                // What made it is no evidence for the next one.
                episode.bad.clear();
                (Some(change), true)
            }
            Phase::Over { .. } => {
                // From now on a new one may begin, with what was bad in the meantime.
                episode.phase = Phase::Pending;
                (None, !episode.bad.is_empty())
            }
            Phase::Pending => (None, false),
        }
    }
}
