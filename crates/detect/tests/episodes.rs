//! Episodes against a model that walks through time tick by tick and knows no timers.

#![allow(clippy::unwrap_used, reason = "a test may panic in its helpers too")]

use detect::{ChangeKind, EpisodeChange, Episodes, Judged, LifeCycle, SavedEpisodes};
use event::Severity;
use testkit::random::Random;

const SLIDE: i64 = 10;
const USUAL: LifeCycle = LifeCycle {
    bad_windows: 3,
    within: 4 * SLIDE,
    resolve_after: 3 * SLIDE,
    longest: 60 * SLIDE,
    cooldown: 30 * SLIDE,
};

type Word = (i64, ChangeKind, i64, u64, Severity);

fn judged(end: i64, severity: Severity) -> Judged {
    Judged { due: end - 1, end, severity }
}

fn word(change: &EpisodeChange) -> Word {
    let change = change.change;
    (change.due, change.kind, change.first_end, change.windows, change.severity)
}

/// What is said of one key and rule when these windows are bad.
fn run(life_cycle: LifeCycle, bad: &[(i64, Severity)], end: i64) -> Vec<Word> {
    let mut words = Vec::new();
    let mut episodes = Episodes::new(vec![("rule".to_owned(), life_cycle)]);
    let mut give = |change: EpisodeChange| words.push(word(&change));
    for (end, severity) in bad {
        episodes.bad(b"key", 0, judged(*end, *severity), &mut give);
    }
    episodes.advance(end, &mut give);
    words
}

/// The same, by walking through all ticks.
fn model(of: LifeCycle, bad: &[(i64, Severity)], end: i64) -> Vec<Word> {
    let mut words = Vec::new();
    // (since, first end, last due, windows, severity, worst), (over at, first end, windows, worst)
    let mut open: Option<(i64, i64, i64, u64, Severity, Severity)> = None;
    let mut over: Option<(i64, i64, u64, Severity)> = None;
    for tick in 0..=end {
        if let Some((window, severity)) = bad.iter().find(|(window, _)| window - 1 == tick) {
            let evidence: Vec<i64> = bad
                .iter()
                .map(|(window, _)| *window)
                .filter(|w| w <= window && window - w < of.within && over.is_none_or(|(at, ..)| w - 1 > at))
                .collect();
            match &mut open {
                Some((_, first, last, windows, now, worst)) => {
                    *last = tick;
                    *windows += 1;
                    *worst = (*worst).max(*severity);
                    if now != severity {
                        *now = *severity;
                        words.push((tick, ChangeKind::Updated, *first, *windows, *severity));
                    }
                }
                None if evidence.len() >= of.bad_windows as usize => {
                    let more = evidence.len() as u64;
                    let again = over.filter(|(at, ..)| tick <= at + of.cooldown);
                    let (kind, first, windows, worst) = match again {
                        Some((_, first, windows, worst)) => {
                            (ChangeKind::Reopened, first, windows + more, worst.max(*severity))
                        }
                        None => (ChangeKind::Opened, evidence[0], more, *severity),
                    };
                    words.push((tick, kind, first, windows, *severity));
                    open = Some((tick, first, tick, windows, *severity, worst));
                }
                None => {}
            }
        }
        if let Some((since, first, last, windows, _, worst)) = open
            && (tick == last + of.resolve_after || tick == since + of.longest)
        {
            words.push((tick, ChangeKind::Resolved, first, windows, worst));
            open = None;
            over = Some((tick, first, windows, worst));
        }
    }
    words
}

#[test]
fn three_bad_windows_of_four_open_an_episode_and_three_good_ones_end_it() {
    use ChangeKind::{Opened, Resolved, Updated};
    use Severity::{Critical, Warning};
    let bad = [(10, Warning), (30, Warning), (40, Warning), (50, Critical), (60, Critical)];
    let expected =
        [(39, Opened, 10, 3, Warning), (49, Updated, 10, 4, Critical), (89, Resolved, 10, 5, Critical)];
    assert_eq!(run(USUAL, &bad, 1000), expected);
    assert_eq!(run(USUAL, &[(10, Warning), (20, Warning), (50, Warning)], 1000), [], "two of four");
}

#[test]
fn what_comes_back_within_the_cooldown_keeps_its_name() {
    let at_once = LifeCycle { bad_windows: 1, ..USUAL };
    let bad = [10, 200, 900].map(|end| (end, Severity::Info));
    let words: Vec<_> =
        run(at_once, &bad, 1000).into_iter().map(|(_, kind, first, ..)| (kind, first)).collect();
    use ChangeKind::{Opened, Reopened, Resolved};
    let expected =
        [(Opened, 10), (Resolved, 10), (Reopened, 10), (Resolved, 10), (Opened, 900), (Resolved, 900)];
    assert_eq!(words, expected);
}

#[test]
fn any_windows_give_what_the_walk_through_time_gives() {
    let mut random = Random::new(testkit::random::seed(11));
    let severities = [Severity::Info, Severity::Warning, Severity::Critical];
    for round in 0..3000 {
        let life_cycle = LifeCycle {
            bad_windows: 1 + random.below(4) as u32,
            within: (1 + random.below(5) as i64) * SLIDE,
            resolve_after: (1 + random.below(5) as i64) * SLIDE - random.below(2) as i64,
            longest: (5 + random.below(20) as i64) * SLIDE,
            cooldown: random.below(12) as i64 * SLIDE + random.below(3) as i64,
        };
        let often = random.fraction();
        let windows = (1..120).map(|window| window * SLIDE);
        let bad: Vec<(i64, Severity)> = windows
            .filter_map(|end| random.chance(often).then(|| (end, severities[random.below(3) as usize])))
            .collect();
        let end = 5000;
        assert_eq!(
            run(life_cycle, &bad, end),
            model(life_cycle, &bad, end),
            "{round}: {life_cycle:?} {bad:?}"
        );
    }
}

#[test]
fn what_late_records_deny_is_withdrawn() {
    let two = LifeCycle { bad_windows: 2, ..USUAL };
    let mut words = Vec::new();
    let mut episodes = Episodes::new(vec![("rule".to_owned(), two)]);
    let mut give = |change: EpisodeChange| words.push(word(&change));
    for end in [10, 20, 30] {
        episodes.bad(b"key", 0, judged(end, Severity::Warning), &mut give);
    }
    episodes.good(b"key", 0, 32, 20, &mut give);
    episodes.good(b"key", 0, 33, 10, &mut give);
    episodes.good(b"key", 0, 34, 70, &mut give);
    episodes.bad(b"key", 0, judged(40, Severity::Warning), &mut give);
    use ChangeKind::{Opened, Withdrawn};
    let warning = Severity::Warning;
    let expected =
        [(19, Opened, 10, 2, warning), (33, Withdrawn, 10, 1, warning), (39, Opened, 30, 2, warning)];
    assert_eq!(words, expected);
}

/// What some bad windows and the time after them make episodes say.
fn said(episodes: &mut Episodes, end: i64, bad: &[(u8, u16)]) -> Vec<EpisodeChange> {
    let mut changes = Vec::new();
    for (key, rule) in bad {
        episodes.bad(&[*key], *rule, judged(end, Severity::Warning), &mut |change| changes.push(change));
    }
    episodes.advance(end - 1, &mut |change| changes.push(change));
    changes
}

#[test]
fn episodes_go_on_from_their_snapshots() {
    let mut random = Random::new(testkit::random::seed(12));
    let rules = || vec![("a".to_owned(), USUAL), ("b".to_owned(), LifeCycle { bad_windows: 1, ..USUAL })];
    let mut compared = 0;
    for _ in 0..200 {
        let (mut episodes, mut chunks) = (Episodes::new(rules()), Vec::new());
        let mut restored: Option<Episodes> = None;
        for end in (1..80).map(|window| window * SLIDE) {
            let all = (0..3).flat_map(|key| [(key, 0), (key, 1)]);
            let bad: Vec<(u8, u16)> = all.filter(|_| random.chance(0.4)).collect();
            let changes = said(&mut episodes, end, &bad);
            if let Some(restored) = &mut restored {
                compared += changes.len();
                assert_eq!(said(restored, end, &bad), changes);
            } else if random.chance(0.2) {
                let whole = chunks.is_empty() || random.chance(0.2);
                chunks = if whole { Vec::new() } else { chunks };
                episodes.begin_save(whole);
                while let Some(chunk) = episodes.save(2) {
                    chunks.push(bincode::serialize(&chunk).unwrap());
                }
                if random.chance(0.5) {
                    let mut other = Episodes::new(rules());
                    let saved =
                        chunks.iter().map(|chunk| bincode::deserialize::<SavedEpisodes>(chunk).unwrap());
                    saved.for_each(|saved| other.restore(saved, &|_| true));
                    restored = Some(other);
                }
            }
        }
    }
    assert!(compared > 1000);
}
