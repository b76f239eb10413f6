//! Episodes against an oracle that walks through time tick by tick and knows no timers.

#![allow(clippy::unwrap_used, reason = "a test may panic in its helpers too")]

use detect::{Change, EpisodeChange, Episodes, Judged, LifeCycle, SavedEpisodes};
use event::{ChangeKind, Muted, Severity, Span, Window};
use testkit::oracle::episodes::{Life, Word, episodes};
use testkit::random::Random;

const SLIDE: i64 = 10;
const USUAL: LifeCycle = LifeCycle {
    bad_windows: 3,
    within: 4 * SLIDE,
    resolve_after: 3 * SLIDE,
    longest: 60 * SLIDE,
    cooldown: 30 * SLIDE,
};

fn life(of: LifeCycle) -> Life {
    let LifeCycle { bad_windows, within, resolve_after, longest, cooldown } = of;
    Life { bad_windows: bad_windows as usize, within, resolve_after, longest, cooldown }
}

fn judged(end: i64, severity: Severity) -> Judged {
    Judged { span: Span::from(Window { start: end - SLIDE, end }), severity, muted: None }
}

fn word(change: &EpisodeChange) -> Word {
    let Change { kind, span, first_end, windows, severity, .. } = change.change;
    Word { due: span.due, kind, first_end, windows, severity, about: span.window.end }
}

fn short(word: &Word) -> (i64, ChangeKind, i64, u64, Severity) {
    (word.due, word.kind, word.first_end, word.windows, word.severity)
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

#[test]
fn three_bad_windows_of_four_open_an_episode_and_three_good_ones_end_it() {
    use ChangeKind::{Opened, Resolved, Updated};
    use Severity::{Critical, Warning};
    let bad = [(10, Warning), (30, Warning), (40, Warning), (50, Critical), (60, Critical)];
    let expected =
        [(39, Opened, 10, 3, Warning), (49, Updated, 10, 4, Critical), (89, Resolved, 10, 5, Critical)];
    assert_eq!(run(USUAL, &bad, 1000).iter().map(short).collect::<Vec<_>>(), expected);
    assert_eq!(run(USUAL, &[(10, Warning), (20, Warning), (50, Warning)], 1000), [], "two of four");
}

#[test]
fn what_comes_back_within_the_cooldown_keeps_its_name() {
    let at_once = LifeCycle { bad_windows: 1, ..USUAL };
    let bad = [10, 200, 900].map(|end| (end, Severity::Info));
    let words = run(at_once, &bad, 1000);
    let words: Vec<_> = words.iter().map(|word| (word.kind, word.first_end)).collect();
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
            .filter_map(|end| {
                let severity = severities[random.below(3) as usize];
                random.chance(often).then_some((end, severity))
            })
            .collect();
        let end = 5000;
        assert_eq!(
            run(life_cycle, &bad, end),
            episodes(life(life_cycle), &bad, end),
            "{round}: {life_cycle:?} {bad:?}"
        );
    }
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
                if episodes.begin_save(whole) {
                    chunks.clear();
                }
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

/// What is told of an episode to those who hear nothing while windows are muted: from what is known of it without mutes.
fn told(
    record: &[Word],
    bad: &[(i64, Severity)],
    is_muted: &dyn Fn(i64) -> bool,
) -> Vec<(i64, ChangeKind, Severity)> {
    let (mut words, mut heard, mut known) = (Vec::new(), None, None);
    let opens = |word: &&Word| matches!(word.kind, ChangeKind::Opened | ChangeKind::Reopened);
    for start in record.iter().filter(opens) {
        let over = |word: &&Word| word.kind == ChangeKind::Resolved && word.due >= start.due;
        let end = record.iter().find(over).expect("an end");
        if known.is_some_and(|known| known != start.first_end) {
            known = None;
        }
        // What the record says of it: news to the record is told too, even to those who heard so before.
        let mut recorded = None;
        for (window, severity) in bad {
            let due = window - 1;
            if due < start.due || due > end.due {
                continue;
            }
            let is_news = recorded.replace(*severity) != Some(*severity);
            if is_muted(*window) {
                continue;
            }
            let kind = match heard {
                Some(heard) if heard == *severity && !is_news => continue,
                Some(_) => ChangeKind::Updated,
                None if known.is_some() => ChangeKind::Reopened,
                None => ChangeKind::Opened,
            };
            words.push((due, kind, *severity));
            (heard, known) = (Some(*severity), Some(start.first_end));
        }
        if heard.take().is_some() {
            words.push((end.due, ChangeKind::Resolved, end.severity));
        }
    }
    words
}

#[test]
fn those_who_hear_nothing_for_a_while_hear_of_what_is_open_then_and_of_no_end_of_anything_else() {
    let mut random = Random::new(testkit::random::seed(13));
    let severities = [Severity::Info, Severity::Warning, Severity::Critical];
    let (mut late, mut unheard) = (0, 0);
    for round in 0..2000 {
        let life_cycle = LifeCycle {
            bad_windows: 1 + random.below(3) as u32,
            within: (2 + random.below(4) as i64) * SLIDE,
            resolve_after: (1 + random.below(4) as i64) * SLIDE,
            longest: (5 + random.below(20) as i64) * SLIDE,
            cooldown: random.below(12) as i64 * SLIDE,
        };
        let often = random.fraction();
        let windows = (1..120).map(|window| window * SLIDE);
        let bad: Vec<(i64, Severity)> = windows
            .filter_map(|end| random.chance(often).then_some((end, severities[random.below(3) as usize])))
            .collect();
        let muted: Vec<bool> = (0..12).map(|_| random.chance(0.4)).collect();
        let is_muted = |end: i64| muted[(end / 100 % 12) as usize];
        let mut words = Vec::new();
        let mut episodes =
            Episodes::new(vec![("rule".to_owned(), life_cycle)]).mutable(vec!["night".to_owned()]);
        let mut give = |EpisodeChange { change, .. }: EpisodeChange| {
            if change.muted.is_none() {
                words.push((change.span.due, change.kind, change.severity));
                late += u32::from(change.kind == ChangeKind::Opened && change.windows > 3);
            } else {
                assert_eq!(change.muted, Some(Muted(0)));
                unheard += u32::from(change.kind == ChangeKind::Resolved);
            }
        };
        for (place, (end, severity)) in bad.iter().enumerate() {
            let muted = is_muted(*end).then_some(Muted(0));
            episodes.bad(b"key", 0, Judged { muted, ..judged(*end, *severity) }, &mut give);
            if place % 7 == 6 {
                // What is muted stays so over a restart.
                episodes.begin_save(true);
                let mut other =
                    Episodes::new(vec![("rule".to_owned(), life_cycle)]).mutable(vec!["night".to_owned()]);
                while let Some(saved) = episodes.save(10) {
                    let bytes = bincode::serialize(&saved).unwrap();
                    other.restore(bincode::deserialize(&bytes).unwrap(), &|_| true);
                }
                episodes = other;
            }
        }
        episodes.advance(5000, &mut give);
        let record = run(life_cycle, &bad, 5000);
        assert_eq!(words, told(&record, &bad, &is_muted), "{round}: {life_cycle:?} {bad:?} {muted:?}");
    }
    assert!(late > 100 && unheard > 100, "{late} told late, {unheard} never");
}
