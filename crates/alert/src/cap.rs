//! A cap on alerts: the first few of a minute go out, and one alert at its end speaks for the rest.
//!
//! Asked by the one writer about each sink's alerts, in their canonical order, so that what it decides is the same for any number
//! of workers. A minute is one of event time, by when alerts are due. Pure; what it knows is in the checkpoint.
//!
//! That an episode is over is no alarm: it goes out uncounted to those who have heard of the episode, and to nobody else.

use event::{CapCourse, CapGroup, CapState, Capped, CappedMinute};
use xxhash_rust::xxh3::xxh3_64;

const MINUTE: i64 = 60 * event::MICROS_PER_SECOND;
/// Keys that a roll-up names.
const EXAMPLES: usize = 5;

/// How many alerts of a group a cap lets through, and how long its roll-ups are about the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapLimit {
    /// So many alerts of each group go out in a minute; with 0 all are only told in roll-ups.
    pub per_minute: u32,
    /// A roll-up whose minute begins so long after that of the last one of its group has ended, or earlier, is about the same
    /// episode, in microseconds.
    pub cooldown: i64,
}

/// What a cap counts, and how many of them it lets through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapSpec {
    /// How many, of each group.
    pub limit: CapLimit,
    /// The columns of the row that make a group; with none all alerts of a rule are one.
    pub by: Vec<usize>,
    /// The rules whose alerts are counted, those of others go out; all if there is none.
    pub rules: Vec<String>,
}

/// The cap on the alerts of one sink.
#[derive(Debug, Clone)]
pub struct Cap {
    limit: CapLimit,
    state: CapState,
}

/// What was kept back of a group in a minute, all in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollUp {
    /// Whose alerts.
    pub group: CapGroup,
    /// The first instant of the minute, in microseconds.
    pub start: i64,
    /// The first one behind it.
    pub end: i64,
    /// The first instant of the minute of the first roll-up about the same: `start`, if that is this one.
    pub first: i64,
    /// What was due in it.
    pub counted: CappedMinute,
}

impl Cap {
    /// A cap of so many alerts a minute that goes on from a state.
    pub fn new(limit: CapLimit, state: CapState) -> Self {
        Cap { limit, state }
    }

    /// What it knows, for a checkpoint.
    pub fn state(&self) -> &CapState {
        &self.state
    }

    /// Whether nothing is kept back that a roll-up is still to speak of.
    pub fn is_settled(&self) -> bool {
        self.state.groups.values().all(|counted| counted.kept_back == 0)
    }

    /// Ends the minute that is counted if all that is due in it is known, everything before `reached` being so. Its roll-ups come
    /// in the order of their groups.
    pub fn advance(&mut self, reached: i64) -> Vec<RollUp> {
        let start = self.state.minute.saturating_mul(MINUTE);
        let end = start.saturating_add(MINUTE);
        if self.state.groups.is_empty() || end > reached {
            return Vec::new();
        }
        // A later roll-up begins when this minute ends, or later.
        let since = start.saturating_sub(self.limit.cooldown);
        self.state.courses.retain(|_, course| course.last >= since);
        let groups = std::mem::take(&mut self.state.groups);
        let kept_back = groups.into_iter().filter(|(_, counted)| counted.kept_back > 0);
        let roll_up = |(group, counted): (CapGroup, CappedMinute)| {
            let first = self.follow(&group, start, end);
            RollUp { group, start, end, first, counted }
        };
        kept_back.map(roll_up).collect()
    }

    /// Notes that a group has a roll-up of a minute; gives the start of the first one that is about the same.
    fn follow(&mut self, group: &CapGroup, start: i64, end: i64) -> i64 {
        let course = self.state.courses.entry(group.clone()).or_insert(CapCourse { first: start, last: end });
        course.last = end;
        course.first
    }

    /// Whether an alert goes out. Those of a sink come in their order, and what came [before](Cap::advance) was ended.
    pub fn admits(&mut self, due: i64, alert: &Capped) -> bool {
        if !alert.is_alarm {
            return !self.state.unheard.remove(&alert.episode);
        }
        self.state.minute = due.div_euclid(MINUTE);
        let counted = self.state.groups.entry(alert.group.clone()).or_default();
        counted.keys.insert(xxh3_64(&alert.key));
        counted.worst = counted.worst.max(Some(alert.severity));
        for (feature, cause) in &alert.causes {
            counted.causes.entry(feature.clone()).or_default().add(cause);
        }
        if counted.sent < self.limit.per_minute.into() {
            counted.sent += 1;
            self.state.unheard.remove(&alert.episode);
            return true;
        }
        counted.kept_back += 1;
        if counted.examples.len() < EXAMPLES && !counted.examples.contains(&alert.key) {
            counted.examples.push(alert.key.clone());
        }
        // Of what was told before, the roll-up brings only the news.
        if alert.is_first {
            self.state.unheard.insert(alert.episode);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use event::{Severity, SinkId};

    use super::*;

    fn alert(rule: &str, episode: u128, severity: Severity) -> Capped {
        let group = CapGroup { branch: 0, rule: rule.to_owned(), values: Vec::new() };
        let key = format!("\"{episode}\"").into_bytes();
        Capped { group, key, severity, episode, is_alarm: true, is_first: true, causes: Vec::new() }
    }

    fn over(episode: u128) -> Capped {
        Capped { is_alarm: false, ..alert("a", episode, Severity::Info) }
    }

    fn cap(per_minute: u32) -> Cap {
        Cap::new(CapLimit { per_minute, cooldown: 3 * MINUTE }, CapState::of(SinkId(0)))
    }

    #[test]
    fn the_first_of_a_minute_go_out_and_one_roll_up_speaks_for_the_rest() {
        let mut cap = cap(2);
        let sent: Vec<bool> =
            (0..10).map(|episode| cap.admits(MINUTE, &alert("a", episode, Severity::Warning))).collect();
        assert_eq!(sent.iter().filter(|sent| **sent).count(), 2);
        assert!(sent[0] && sent[1] && cap.admits(MINUTE, &alert("b", 99, Severity::Info)));
        assert!(!cap.admits(2 * MINUTE - 1, &alert("a", 3, Severity::Critical)));
        assert!(!cap.is_settled() && cap.advance(2 * MINUTE - 1).is_empty());
        let rolled = cap.advance(2 * MINUTE);
        let [RollUp { group, start, end, counted, .. }] = rolled.as_slice() else { panic!("{rolled:?}") };
        assert_eq!((group.rule.as_str(), *start, *end), ("a", MINUTE, 2 * MINUTE));
        assert_eq!((counted.sent, counted.kept_back, counted.keys.len()), (2, 9, 10));
        assert_eq!(counted.worst, Some(Severity::Critical));
        assert_eq!(counted.examples, [2, 3, 4, 5, 6].map(|key| format!("\"{key}\"").into_bytes()));
        assert!(cap.is_settled() && cap.advance(i64::MAX).is_empty());
        assert!(cap.admits(2 * MINUTE, &alert("a", 77, Severity::Info)), "a new minute");
    }

    #[test]
    fn where_none_goes_out_the_roll_up_speaks_for_all() {
        let mut cap = cap(0);
        assert!((0..3).all(|episode| !cap.admits(0, &alert("a", episode, Severity::Warning))));
        let rolled = cap.advance(MINUTE);
        let [RollUp { counted, .. }] = rolled.as_slice() else { panic!("{rolled:?}") };
        assert_eq!((counted.sent, counted.kept_back, counted.keys.len()), (0, 3, 3));
        // Nobody has heard of them, so nobody hears that they are over.
        assert!((0..3).all(|episode| !cap.admits(MINUTE, &over(episode))));
    }

    #[test]
    fn roll_ups_of_a_group_that_follow_one_another_are_about_the_same() {
        let mut cap = cap(0);
        let mut first_of = |rule: &str, minute: i64| {
            assert!(!cap.admits(minute * MINUTE, &alert(rule, 1, Severity::Warning)));
            let rolled = cap.advance((minute + 1) * MINUTE);
            rolled.iter().map(|rolled| rolled.first / MINUTE).collect::<Vec<_>>()
        };
        assert_eq!([10, 11, 15, 20].map(|minute| first_of("a", minute)), [[10], [10], [10], [20]]);
        assert_eq!((first_of("b", 21), first_of("a", 24)), (vec![21], vec![20]));
        assert_eq!(first_of("b", 30), [30]);
        assert_eq!(cap.state().courses.len(), 1, "what is over is forgotten");
    }

    #[test]
    fn nobody_hears_that_something_is_over_of_which_he_never_heard() {
        let mut cap = cap(1);
        assert!(cap.admits(0, &alert("a", 1, Severity::Info)));
        assert!(!cap.admits(0, &alert("a", 2, Severity::Info)));
        assert!(!cap.admits(0, &alert("a", 3, Severity::Info)));
        // What is over takes no room.
        assert!(cap.admits(1, &over(1)) && !cap.admits(1, &over(2)));
        assert_eq!(cap.advance(MINUTE).len(), 1);
        let worse = Capped { is_first: false, ..alert("a", 3, Severity::Critical) };
        assert!(cap.admits(MINUTE, &worse) && cap.admits(MINUTE, &over(3)));
        // What is kept back of an episode that is known makes it no less known.
        assert!(!cap.admits(MINUTE, &worse) && cap.admits(MINUTE, &over(3)));
    }
}
