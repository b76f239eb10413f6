//! Jobs that put out episodes, in the simulated world: what the oracle's rows say, told by its walk through time.

use std::collections::{BTreeMap, BTreeSet};

use detect::LifeCycle;
use event::{ChangeKind, Severity};
use testkit::oracle::Row;
use testkit::oracle::episodes::{Life, episodes};
use testkit::random::Random;

use super::Shown;

/// How a job tells of episodes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Telling {
    pub(crate) life: LifeCycle,
    pub(crate) grace: i64,
    slide: i64,
    pub(crate) per_minute: u32,
}

impl Telling {
    pub(crate) fn random(random: &mut Random, slide: i64) -> Telling {
        let (grace, per_minute) = (slide * random.below(4) as i64, 1 + random.below(4) as u32);
        Telling { life: life(random, slide), grace, slide, per_minute }
    }

    /// Whether a row's key was first seen not long before its window ends.
    pub(crate) fn is_new(&self, row: &Row, rows: &[Row]) -> bool {
        let of_key = rows.iter().filter(|other| other.key == row.key);
        let Some(first) = of_key.min_by_key(|other| other.end) else { return false };
        self.grace > 0 && row.end - first.start.max(first.end - self.slide) <= self.grace
    }
}

const MINUTE: i64 = 60_000_000;
/// How long after a roll-up the next one is about the same.
pub(crate) const SAME: i64 = 2 * MINUTE;

/// What a cap makes of all alerts: subject and end of the window of each that goes out, and of each roll-up, with whether it
/// is about the same as the one before.
pub(crate) fn capped(telling: Telling, all: &[Shown]) -> Vec<(String, i64)> {
    let (mut out, mut unheard) = (Vec::new(), BTreeSet::new());
    // Up to the end of which minute alerts are counted, how many, and of how many more the roll-up speaks.
    let (mut end, mut sent, mut kept_back) = (i64::MIN, 0, 0);
    let mut last = i64::MIN;
    let mut roll_up = |out: &mut Vec<(String, i64)>, end: i64, kept_back: &mut u32| {
        if std::mem::take(kept_back) > 0 {
            let is_same = end - MINUTE <= last.saturating_add(SAME);
            out.push((format!("busy {:?}", if is_same { "updated" } else { "opened" }), end / 1_000));
            last = end;
        }
    };
    for row in all {
        let word = row.word.expect("a word");
        let (due, episode) = ((word.due + 1) * 1_000_000 - 1, (row.key.clone(), word.first_end));
        if due >= end {
            roll_up(&mut out, end, &mut kept_back);
        }
        let alert = (row.key.clone(), row.end / 1_000);
        if word.kind == ChangeKind::Resolved {
            out.extend((!unheard.remove(&episode)).then_some(alert));
            continue;
        }
        if due >= end {
            (end, sent) = ((due / MINUTE + 1) * MINUTE, 0);
        }
        if sent < telling.per_minute {
            sent += 1;
            unheard.remove(&episode);
            out.push(alert);
            continue;
        }
        kept_back += 1;
        if word.kind != ChangeKind::Updated {
            unheard.insert(episode);
        }
    }
    roll_up(&mut out, end, &mut kept_back);
    out
}

/// A life cycle that is a matter of slides.
fn life(random: &mut Random, slide: i64) -> LifeCycle {
    let bad_windows = 1 + random.below(3) as u32;
    LifeCycle {
        bad_windows,
        within: slide * (i64::from(bad_windows) + random.below(2) as i64),
        resolve_after: slide * (1 + random.below(3) as i64),
        longest: slide * (3 + random.below(5) as i64),
        cooldown: slide * random.below(4) as i64,
    }
}

/// What is put out of rows that are bad, in its order.
pub(crate) fn told(life: LifeCycle, rows: Vec<Shown>) -> Vec<Shown> {
    // The walk takes a step for each second, in which all windows of these jobs end.
    let second = |micros: i64| {
        assert_eq!(micros % 1_000_000, 0);
        micros / 1_000_000
    };
    let life = Life {
        bad_windows: life.bad_windows as usize,
        within: second(life.within),
        resolve_after: second(life.resolve_after),
        longest: second(life.longest),
        cooldown: second(life.cooldown),
    };
    let mut by_key: BTreeMap<String, BTreeMap<i64, Shown>> = BTreeMap::new();
    for row in rows {
        by_key.entry(row.key.clone()).or_default().insert(second(row.end), row);
    }
    let mut put = Vec::new();
    for (key, mut rows) in by_key {
        let severity = |row: &Shown| if row.worse { Severity::Critical } else { Severity::Warning };
        let bad: Vec<(i64, Severity)> = rows.iter().map(|(end, row)| (*end, severity(row))).collect();
        let until = bad.last().map_or(0, |(end, _)| end + 1_000);
        let spans: BTreeMap<i64, (i64, i64)> =
            rows.iter().map(|(end, row)| (*end, (row.start, row.end))).collect();
        for word in episodes(life, &bad, until) {
            let is_over = word.kind == ChangeKind::Resolved;
            let (start, end) = spans[&word.about];
            let row = match is_over {
                true => over(&key, start, end),
                false => rows.remove(&word.about).expect("a window is told of once"),
            };
            put.push((
                (word.due, is_over, row.end, row.start, row.key.clone()),
                Shown { word: Some(word), ..row },
            ));
        }
    }
    put.sort_by(|(a, _), (b, _)| a.cmp(b));
    put.into_iter().map(|(_, row)| row).collect()
}

/// The row of an episode that is over, of which that window was the last.
fn over(key: &str, start: i64, end: i64) -> Shown {
    let text = format!(
        "{{\"user\":\"{key}\",\"window_start\":{},\"window_end\":{},\"rows\":null,\"total\":null,\
         \"most\":null,\"newest\":null,\"texts\":null,\"different\":null}}",
        start / 1_000,
        end / 1_000
    );
    Shown { key: key.to_owned(), start, end, worse: false, text, word: None }
}
