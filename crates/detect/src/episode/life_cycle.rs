//! The life of an episode: from windows that a rule finds bad to the few moments that are worth a word.
//!
//! A pure state machine for one rule and one key. `episode/kept.rs` holds the states of all keys. Promises that what comes out
//! depends on the windows of the key and their order alone, and that windows that overlap, or follow one another, are one
//! episode with one name.

use event::{ChangeKind, Muted, Outcome, Severity, Span, Window};
use serde::{Deserialize, Serialize};

/// When an episode opens and when it is over. Times are in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LifeCycle {
    /// Bad windows that it takes to open one, at least 1.
    pub bad_windows: u32,
    /// Within how much event time these are due, the last one's included and the time's first tick not.
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
    /// Why nobody is to be told of it, if so.
    pub muted: Option<Muted>,
}

/// What is known of an episode, or of the windows that may become one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    phase: Phase,
    /// End of the first of the windows that opened it, which names it.
    first_end: i64,
    /// While none is open the bad windows that count: when they were due, and their first ends.
    evidence: Vec<(i64, i64)>,
    /// Bad windows of the episode altogether.
    windows: u64,
    /// When the last of them was due; while none is open or over, the last of those that count.
    last_due: i64,
    /// That one.
    last: Window,
    severity: Severity,
    /// Severity of the worst of them.
    worst: Severity,
    /// What was told of it while it is open: nothing if it was muted so far.
    told: Option<Severity>,
    /// Whether it was told of at all.
    is_known: bool,
    /// By what it is muted, if it is. Names and not ranks outlive a restart: see `episode/kept.rs`.
    #[serde(skip)]
    pub(super) muted: Option<Muted>,
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
    /// Why nobody is to be told, if so.
    pub muted: Option<Muted>,
}

impl Episode {
    /// Nothing was bad yet.
    pub(super) fn new(judged: Judged) -> Self {
        Episode {
            phase: Phase::Pending,
            first_end: judged.span.first_end,
            evidence: Vec::new(),
            windows: 0,
            last_due: judged.span.due,
            last: judged.span.window,
            severity: judged.severity,
            worst: judged.severity,
            told: None,
            is_known: false,
            muted: None,
        }
    }

    fn change(&self, kind: ChangeKind, span: Span) -> Change {
        let severity = if kind.is_alarm() { self.severity } else { self.worst };
        let Episode { first_end, windows, muted, .. } = *self;
        Change { kind, span, first_end, windows, severity, muted }
    }

    /// Tells of it, unless it is muted: what is told first is that it is open, whatever else was known in silence.
    fn tell(&mut self, kind: ChangeKind, judged: Judged) -> Change {
        self.muted = judged.muted;
        let kind = match (self.muted, self.told) {
            (None, None) if self.is_known => ChangeKind::Reopened,
            (None, None) => ChangeKind::Opened,
            _ => kind,
        };
        if self.muted.is_none() {
            self.told = Some(judged.severity);
            self.is_known = true;
        }
        self.change(kind, judged.span)
    }

    /// That it is over is told to those who know that it is open, at any time, and to nobody else.
    fn tell_end(&mut self, at: i64) -> Change {
        self.muted = if self.told.take().is_some() { None } else { self.muted };
        self.change(ChangeKind::Resolved, self.end(at))
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

    /// Whether it is open.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }

    /// Whether it was open, and is over.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over { .. })
    }

    /// Whether somebody was ever told of it.
    pub(super) fn is_told(&self) -> bool {
        self.is_known && !matches!(self.phase, Phase::Pending)
    }

    /// Whether there is something to tell of it to those who were told of `before`, where nobody is to be told if `is_muted`.
    pub(super) fn is_news(&self, before: &Episode, is_muted: bool) -> bool {
        self.severity != before.severity || (!is_muted && before.told != Some(self.severity))
    }

    /// Its last bad window.
    pub(super) fn last_window(&self) -> Window {
        self.last
    }

    /// Whether a window of it was due then or later.
    pub(super) fn lasts_until(&self, due: i64) -> bool {
        self.last_due >= due
    }

    /// Whether it lasts until another begins, or longer: then it is that one.
    pub(super) fn reaches(&self, other: &Episode) -> bool {
        self.lasts_until(other.first_end.saturating_sub(1))
    }

    /// Takes over what was told of another, which this one is by now: its name too, if it was one.
    pub(super) fn go_on_from(&mut self, told: &Episode) {
        (self.told, self.muted, self.is_known) = (told.told, told.muted, told.is_told());
        if !matches!(told.phase, Phase::Pending) {
            self.first_end = told.first_end;
        }
    }

    /// Nobody was told of it.
    pub(super) fn be_unknown(&mut self) {
        (self.told, self.is_known) = (None, false);
    }

    /// Nobody thinks that it is open.
    pub(super) fn be_over(&mut self) {
        self.told = None;
    }

    /// Tells of it as it is after a correction.
    pub(super) fn tell_again(&mut self, kind: ChangeKind, span: Span, muted: Option<Muted>) -> Change {
        let severity = self.severity;
        self.tell(kind, Judged { span, severity, muted })
    }

    /// Tells that it is over, or never was: to those who were told of it.
    pub(super) fn take_back(&mut self, kind: ChangeKind, span: Span) -> Change {
        self.muted = if self.told.take().is_some() { None } else { self.muted };
        self.change(kind, Span { first_end: self.first_end, ..span })
    }

    /// Notes a bad window, which is the last one by now.
    fn note(&mut self, judged: Judged) {
        self.last_due = judged.span.due;
        self.last = judged.span.window;
        self.worst = self.worst.max(judged.severity);
    }
}

impl LifeCycle {
    /// Takes in a window that is bad. All [timers](LifeCycle::timer) that are due before it have to be fired before.
    pub fn bad(&self, episode: &mut Episode, judged: Judged) -> Option<Change> {
        if !matches!(episode.phase, Phase::Open { .. }) {
            return self.open(episode, judged);
        }
        episode.windows += 1;
        episode.note(judged);
        let is_news = judged.muted.is_none() && episode.told != Some(judged.severity);
        let changes = judged.severity != episode.severity || is_news;
        episode.severity = judged.severity;
        changes.then(|| episode.tell(ChangeKind::Updated, judged))
    }

    /// Opens an episode if enough windows are bad by now.
    fn open(&self, episode: &mut Episode, judged: Judged) -> Option<Change> {
        episode.evidence.push((judged.span.due, judged.span.first_end));
        episode.evidence.retain(|(due, _)| judged.span.due.saturating_sub(*due) < self.within);
        // What was over is forgotten by its timer once its cooldown is.
        let again = matches!(episode.phase, Phase::Over { .. });
        if episode.evidence.len() < self.bad_windows as usize {
            if !again {
                (episode.last_due, episode.last) = (judged.span.due, judged.span.window);
            }
            return None;
        }
        if !again {
            episode.first_end = episode.evidence[0].1;
            episode.windows = 0;
            episode.worst = judged.severity;
            episode.is_known = false;
        }
        episode.note(judged);
        episode.windows += episode.evidence.len() as u64;
        // What made it is no evidence for the next one.
        episode.evidence.clear();
        episode.phase = Phase::Open { since: judged.span.due };
        episode.severity = judged.severity;
        let kind = if again { ChangeKind::Reopened } else { ChangeKind::Opened };
        Some(episode.tell(kind, judged))
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
                (Some(episode.tell_end(at)), true)
            }
            Phase::Over { .. } => {
                // From now on a new one may begin, with what was bad in the meantime.
                episode.phase = Phase::Pending;
                episode.last_due = episode.evidence.last().map_or(at, |(due, _)| *due);
                (None, !episode.evidence.is_empty())
            }
            Phase::Pending => (None, false),
        }
    }
}
