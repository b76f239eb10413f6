//! Episodes against an oracle that walks through time tick by tick and knows no timers.

#![allow(clippy::unwrap_used, reason = "a test may panic in its helpers too")]

use std::collections::BTreeMap;

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

fn any_life_cycle(random: &mut Random) -> LifeCycle {
    LifeCycle {
        bad_windows: 1 + random.below(4) as u32,
        within: (1 + random.below(5) as i64) * SLIDE,
        resolve_after: (1 + random.below(5) as i64) * SLIDE - random.below(2) as i64,
        longest: (5 + random.below(20) as i64) * SLIDE,
        cooldown: random.below(12) as i64 * SLIDE + random.below(3) as i64,
    }
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
        let life_cycle = any_life_cycle(&mut random);
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

/// What whoever hears all words thinks is open, and how bad.
#[derive(Default)]
struct Hearer {
    open: Option<Severity>,
    names: Vec<i64>,
    last_name: i64,
    withdrawn: u32,
}

impl Hearer {
    fn hear(&mut self, change: &Change) {
        match change.kind {
            ChangeKind::Opened => {
                assert_eq!(self.open, None, "opened twice: {change:?}");
                self.names.push(change.first_end);
            }
            ChangeKind::Reopened => assert_eq!(self.open, None, "opened twice: {change:?}"),
            ChangeKind::Updated | ChangeKind::Resolved => {
                assert!(self.open.is_some(), "never opened: {change:?}");
            }
            ChangeKind::Withdrawn => self.withdrawn += 1,
        }
        self.last_name = change.first_end;
        assert!(self.names.contains(&change.first_end), "a name that nobody knows: {change:?}");
        self.open = change.kind.is_alarm().then_some(change.severity);
    }
}

/// What is open at a time where these windows are bad, by the walk through time.
fn open_at(life_cycle: LifeCycle, bad: &BTreeMap<i64, Severity>, time: i64) -> Option<Severity> {
    let bad: Vec<(i64, Severity)> = bad.iter().map(|(end, severity)| (*end, *severity)).collect();
    let words = episodes(life(life_cycle), &bad, time);
    words.last().and_then(|word| word.kind.is_alarm().then_some(word.severity))
}

#[test]
fn after_each_correction_what_was_told_is_what_the_corrected_windows_say() {
    let mut random = Random::new(testkit::random::seed(14));
    let severities = [Severity::Info, Severity::Warning, Severity::Critical];
    let (mut corrected, mut withdrawn, mut late, mut off) = (0, 0, 0, 0);
    for round in 0..1500 {
        let life_cycle = any_life_cycle(&mut random);
        let lateness = (1 + random.below(6) as i64) * SLIDE - random.below(2) as i64 * 3;
        let (often, late_often) = (random.fraction(), random.fraction() * 0.5);
        let rules = || Episodes::new(vec![("rule".to_owned(), life_cycle)]).correctable(lateness);
        let (mut episodes, mut hearer, mut bad) = (rules(), Hearer::default(), BTreeMap::new());
        // What happens when: a window is due, or corrected; the older window comes first.
        let mut events: BTreeMap<(i64, i64), bool> = BTreeMap::new();
        for end in (1..80).map(|window| window * SLIDE) {
            events.insert((end - 1, end), false);
            if random.chance(late_often) {
                events.insert((end - 1 + lateness, end), true);
            }
        }
        let last = |due: i64| due + 400;
        for (place, ((due, end), is_late)) in events.iter().enumerate() {
            let (due, end) = (*due, *end);
            episodes.advance(due - 1, &mut |change| hearer.hear(&change.change));
            let severity = random.chance(often).then(|| severities[random.below(3) as usize]);
            let before = hearer.open;
            match severity {
                Some(severity) => bad.insert(end, severity),
                None => bad.remove(&end),
            };
            let of = severity.map(|severity| judged(end, severity));
            match (is_late, of) {
                (false, Some(judged)) => {
                    episodes.bad(b"key", 0, judged, &mut |change| hearer.hear(&change.change));
                }
                (false, None) => {}
                (true, of) => {
                    corrected += 1;
                    let mut is_back = None;
                    let now = Span { due, sequence: 1, ..Span::from(Window { start: end - SLIDE, end }) };
                    let of = of.map(|judged| Judged { span: now, ..judged });
                    episodes.correct((b"key", 0), (end - 1, now), of, &mut |change, about_it| {
                        assert!(!about_it || of.is_some());
                        assert_eq!(change.change.span.due, due, "behind what was put out before");
                        is_back = is_back.or(Some(change.change.kind).filter(|kind| !kind.is_alarm()));
                        late += u32::from(before.is_none() && change.change.kind.is_alarm());
                        hearer.hear(&change.change);
                    });
                    // What was told to be open is over if some of it was bad, and else never was.
                    if let (Some(kind), Some(_)) = (is_back, before) {
                        let first = hearer.last_name - 1;
                        let bad: Vec<(i64, Severity)> =
                            bad.iter().map(|(end, severity)| (*end, *severity)).collect();
                        let words = testkit::oracle::episodes::episodes(life(life_cycle), &bad, due);
                        let was = words.iter().any(|word| word.about > first);
                        let expected = if was { ChangeKind::Resolved } else { ChangeKind::Withdrawn };
                        off += u32::from(kind != expected);
                    }
                }
            }
            // Behind all that is due by then.
            let is_last = events.keys().nth(place + 1).is_none_or(|(next, _)| *next > due);
            if is_last {
                episodes.advance(due, &mut |change| hearer.hear(&change.change));
                let expected = open_at(life_cycle, &bad, due);
                assert_eq!(
                    hearer.open.is_some(),
                    expected.is_some(),
                    "{round}: {life_cycle:?} at {due}: {bad:?}"
                );
                if severity.is_some() && !is_late {
                    assert_eq!(hearer.open, expected, "{round}: {life_cycle:?} at {due}: {bad:?}");
                }
            }
            if place % 9 == 8 {
                episodes.begin_save(true);
                let mut other = rules();
                while let Some(saved) = episodes.save(10) {
                    let bytes = bincode::serialize(&saved).unwrap();
                    other.restore(bincode::deserialize(&bytes).unwrap(), &|_| true);
                }
                episodes = other;
            }
        }
        episodes.advance(last(2000), &mut |change| hearer.hear(&change.change));
        assert_eq!(hearer.open, None);
        assert!(episodes.is_empty(), "{} are kept for ever", episodes.len());
        withdrawn += hearer.withdrawn;
    }
    assert!(corrected > 10_000 && withdrawn > 100 && late > 300, "{corrected} {withdrawn} {late}");
    assert_eq!(off, 0, "over and never was, mistaken for one another");
}

#[test]
fn without_a_correction_windows_that_could_have_had_one_say_the_same() {
    let mut random = Random::new(testkit::random::seed(15));
    for _ in 0..300 {
        let often = random.fraction();
        let ends = (1..80).map(|window| window * SLIDE).filter(|_| random.chance(often));
        let bad: Vec<(i64, Severity)> = ends.map(|end| (end, Severity::Warning)).collect();
        let mut words = Vec::new();
        let mut episodes = Episodes::new(vec![("rule".to_owned(), USUAL)]).correctable(7 * SLIDE);
        let mut give = |change: EpisodeChange| words.push(word(&change));
        for (end, severity) in &bad {
            episodes.advance(*end - 2, &mut give);
            episodes.bad(b"key", 0, judged(*end, *severity), &mut give);
        }
        episodes.advance(5000, &mut give);
        assert!(episodes.is_empty());
        assert_eq!(words, run(USUAL, &bad, 5000));
    }
}
