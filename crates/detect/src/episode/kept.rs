//! The episodes of a worker's keys, with their timers.
//!
//! Only keys with something bad take memory. Promises that changes of one key come in the order in which they are due, and
//! that the chunks of [`Episodes::save`] say all that is known.

use std::collections::{BTreeMap, BTreeSet};

use event::{Muted, Severity, Span, Window};
use serde::{Deserialize, Serialize};

use super::correction::Course;
use super::life_cycle::{Change, Episode, Judged, LifeCycle};

/// A rule, by its rank, and an encoded key.
type Of = (Vec<u8>, u16);

/// A change, and whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpisodeChange {
    /// Encoded key.
    pub key: Vec<u8>,
    /// Rank of the rule.
    pub rule: u16,
    /// What changed.
    pub change: Change,
}

/// Episodes of some keys, as a checkpoint has them. Replaces what was written before about these keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedEpisodes(Vec<SavedKey>);

/// What is known of a key, for each rule by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct SavedKey {
    key: Vec<u8>,
    courses: Vec<(String, SavedCourse)>,
}

/// What is known of a key and rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct SavedCourse {
    live: Option<Episode>,
    /// By the name of what it is muted, if it is.
    muted: Option<String>,
    settled: Option<Episode>,
    last: Option<Episode>,
    recent: Vec<SavedWindow>,
}

/// A bad window that can still be corrected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SavedWindow {
    window: Window,
    severity: Severity,
    muted: Option<String>,
}

/// What is known of the episodes of a worker's keys.
#[derive(Debug)]
pub struct Episodes {
    /// The life cycle of each rule, by rank.
    life_cycles: Vec<LifeCycle>,
    /// Names of the rules, by rank, which may be others after a restart.
    rules: Vec<String>,
    /// Names of what may mute them, by rank, which may be others after a restart.
    mutes: Vec<String>,
    /// How long after it is due a window may be corrected.
    lateness: i64,
    kept: BTreeMap<Of, Course>,
    /// When each of them changes by itself.
    timers: BTreeSet<(i64, Of)>,
    /// Keys of which no snapshot says what is known by now, since there is any: a job without a state has none.
    changed: BTreeSet<Vec<u8>>,
    is_saved: bool,
    /// Keys that are yet to be written.
    saving: Vec<Vec<u8>>,
    /// Keys that snapshots hold altogether, since one held all.
    written: usize,
}

impl Episodes {
    /// None yet. `rules` are the names and life cycles of the rules, by rank.
    pub fn new(rules: Vec<(String, LifeCycle)>) -> Self {
        let (rules, life_cycles) = rules.into_iter().unzip();
        Episodes {
            life_cycles,
            rules,
            mutes: Vec::new(),
            lateness: 0,
            kept: BTreeMap::new(),
            timers: BTreeSet::new(),
            changed: BTreeSet::new(),
            is_saved: false,
            saving: Vec::new(),
            written: 0,
        }
    }

    /// The same with the names of what may mute them, by rank.
    #[must_use]
    pub fn mutable(self, mutes: Vec<String>) -> Self {
        Episodes { mutes, ..self }
    }

    /// The same of windows that may be corrected, once, so long after they are due.
    #[must_use]
    pub fn correctable(self, lateness: i64) -> Self {
        Episodes { lateness, ..self }
    }

    /// Number of episodes that are under way, or may become one.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Takes in that a rule has found a window of a key bad. The windows of a key come in the order in which they are due.
    ///
    /// # Panics
    /// If there is no rule of that rank.
    pub fn bad(&mut self, key: &[u8], rule: u16, judged: Judged, give: &mut dyn FnMut(EpisodeChange)) {
        let of = (key.to_vec(), rule);
        self.fire(&of, judged.span.due, give);
        let (life_cycle, lateness) = (self.life_cycles[usize::from(rule)], self.lateness);
        let course = self.kept.entry(of.clone()).or_default();
        let known = course.timer(&life_cycle, lateness);
        let change = course.bad(&life_cycle, lateness, judged);
        let timer = course.timer(&life_cycle, lateness);
        self.set_timer(&of, known, timer);
        give_change(&of, change, give);
    }

    /// Takes in that a window, which was due as a result at `due`, was corrected, and that a rule finds it bad by now, or not. `now` is
    /// where its row stands in the order of outputs. A change comes with whether it is about that row.
    ///
    /// # Panics
    /// If there is no rule of that rank.
    pub fn correct(
        &mut self,
        (key, rule): (&[u8], u16),
        (due, now): (i64, Span),
        judged: Option<Judged>,
        give: &mut dyn FnMut(EpisodeChange, bool),
    ) {
        let of = (key.to_vec(), rule);
        self.fire(&of, now.due, &mut |change| give(change, false));
        if judged.is_none() && !self.kept.contains_key(&of) {
            return;
        }
        let (life_cycle, lateness) = (self.life_cycles[usize::from(rule)], self.lateness);
        let course = self.kept.entry(of.clone()).or_default();
        let known = course.timer(&life_cycle, lateness);
        let changes = course.correct(&life_cycle, (due, now), judged);
        let timer = course.timer(&life_cycle, lateness);
        if timer.is_none() {
            self.kept.remove(&of);
        }
        self.set_timer(&of, known, timer);
        for (change, is_about_it) in changes {
            give(EpisodeChange { key: of.0.clone(), rule, change }, is_about_it);
        }
    }

    /// Event time has come to `reached`, and all windows that are due until then were taken in.
    pub fn advance(&mut self, reached: i64, give: &mut dyn FnMut(EpisodeChange)) {
        while let Some((at, of)) = self.timers.first().filter(|(at, _)| *at <= reached).cloned() {
            self.fire_one(&of, at, give);
        }
    }

    /// Lets the timers of one episode fire that are due before what is due at `due`.
    fn fire(&mut self, of: &Of, due: i64, give: &mut dyn FnMut(EpisodeChange)) {
        let life_cycle = self.life_cycles[usize::from(of.1)];
        while let Some(at) = self.kept.get(of).and_then(|course| course.timer(&life_cycle, self.lateness)) {
            if at >= due {
                return;
            }
            self.fire_one(of, at, give);
        }
    }

    fn fire_one(&mut self, of: &Of, at: i64, give: &mut dyn FnMut(EpisodeChange)) {
        let life_cycle = self.life_cycles[usize::from(of.1)];
        let Some(course) = self.kept.get_mut(of) else { return };
        let change = course.fire(&life_cycle, self.lateness);
        let timer = course.timer(&life_cycle, self.lateness);
        if timer.is_none() {
            self.kept.remove(of);
        }
        self.set_timer(of, Some(at), timer);
        give_change(of, change, give);
    }

    fn set_timer(&mut self, of: &Of, before: Option<i64>, now: Option<i64>) {
        if self.is_saved && !self.changed.contains(&of.0) {
            self.changed.insert(of.0.clone());
        }
        if before == now {
            return;
        }
        if let Some(before) = before {
            self.timers.remove(&(before, of.clone()));
        }
        if let Some(now) = now {
            self.timers.insert((now, of.clone()));
        }
    }

    fn timer_of(&self, of: &Of, course: &Course) -> Option<i64> {
        course.timer(&self.life_cycles[usize::from(of.1)], self.lateness)
    }

    /// Begins a snapshot: of what has changed since the last one, or of everything if `whole`. Says whether it is of
    /// everything, which it also is where what was written before is mostly over.
    pub fn begin_save(&mut self, whole: bool) -> bool {
        let changed = std::mem::take(&mut self.changed);
        // The first one says all, since nobody has noted what changed before.
        let whole = whole
            || !std::mem::replace(&mut self.is_saved, true)
            || self.written + changed.len() > 2 * self.kept.len();
        self.saving = match whole {
            true => {
                let mut keys: Vec<Vec<u8>> = self.kept.keys().map(|(key, _)| key.clone()).collect();
                keys.dedup();
                keys
            }
            false => changed.into_iter().collect(),
        };
        self.written = if whole { self.saving.len() } else { self.written + self.saving.len() };
        whole
    }

    /// The next `keys_max` keys of the snapshot; `None` once there are no more.
    pub fn save(&mut self, keys_max: usize) -> Option<SavedEpisodes> {
        if self.saving.is_empty() {
            return None;
        }
        let rest = self.saving.split_off(self.saving.len().min(keys_max.max(1)));
        let keys = std::mem::replace(&mut self.saving, rest);
        let of_key = |key: Vec<u8>| {
            let of = (key.clone(), 0)..=(key.clone(), u16::MAX);
            let name = |rule: u16| self.rules[usize::from(rule)].clone();
            let courses = self.kept.range(of).map(|((_, rule), course)| (name(*rule), self.saved(course)));
            SavedKey { courses: courses.collect(), key }
        };
        Some(SavedEpisodes(keys.into_iter().map(of_key).collect()))
    }

    fn saved(&self, course: &Course) -> SavedCourse {
        // Of one that is gone the name is gone too.
        let mute = |Muted(rank): Muted| self.mutes.get(usize::from(rank)).cloned().unwrap_or_default();
        let window = |judged: &Judged| SavedWindow {
            window: judged.span.window,
            severity: judged.severity,
            muted: judged.muted.map(mute),
        };
        SavedCourse {
            live: course.live.clone(),
            muted: course.live.as_ref().and_then(|episode| episode.muted).map(mute),
            settled: course.settled.clone(),
            last: course.last.clone(),
            recent: course.recent.iter().map(window).collect(),
        }
    }

    fn restored(&self, saved: SavedCourse) -> Course {
        let rank = |name: String| self.mutes.iter().position(|known| *known == name);
        let mute = |name: String| rank(name).map_or(Muted::GONE, |rank| Muted(rank as u16));
        let window = |saved: SavedWindow| Judged {
            span: Span::from(saved.window),
            severity: saved.severity,
            muted: saved.muted.map(mute),
        };
        let mut live = saved.live;
        if let Some(live) = &mut live {
            live.muted = saved.muted.map(mute);
        }
        let recent = saved.recent.into_iter().map(window).collect();
        Course { live, settled: saved.settled, last: saved.last, recent }
    }

    /// Takes in what a snapshot says, after all that were taken before it. `owns` says whether a key belongs here. Episodes
    /// of rules that are no more are left out.
    pub fn restore(&mut self, saved: SavedEpisodes, owns: &dyn Fn(&[u8]) -> bool) {
        for SavedKey { key, courses } in saved.0.into_iter().filter(|saved| owns(&saved.key)) {
            let of = (key.clone(), 0)..=(key.clone(), u16::MAX);
            let old: Vec<Of> = self.kept.range(of).map(|(of, _)| of.clone()).collect();
            for of in old {
                let timer = self.kept.remove(&of).and_then(|course| self.timer_of(&of, &course));
                self.timers.remove(&(timer.unwrap_or(i64::MIN), of));
            }
            for (rule, saved) in courses {
                let Some(rank) = self.rules.iter().position(|known| *known == rule) else { continue };
                let (of, course) = ((key.clone(), rank as u16), self.restored(saved));
                if let Some(timer) = self.timer_of(&of, &course) {
                    self.timers.insert((timer, of.clone()));
                    self.kept.insert(of, course);
                }
            }
            if self.is_saved {
                self.changed.insert(key);
            }
        }
    }
}

fn give_change(of: &Of, change: Option<Change>, give: &mut dyn FnMut(EpisodeChange)) {
    if let Some(change) = change {
        give(EpisodeChange { key: of.0.clone(), rule: of.1, change });
    }
}
