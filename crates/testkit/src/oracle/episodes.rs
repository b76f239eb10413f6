//! Episodes of one key and rule, by walking through time tick by tick: no timers, no states that are handed on.

use event::{ChangeKind, Severity};

/// When an episode opens and when it is over, in ticks.
#[derive(Debug, Clone, Copy)]
pub struct Life {
    /// Bad windows that it takes.
    pub bad_windows: usize,
    /// Within how many ticks these end.
    pub within: i64,
    /// Ticks without a bad window until it is over.
    pub resolve_after: i64,
    /// Ticks that it lasts at most.
    pub longest: i64,
    /// Ticks after its end in which it opens again.
    pub cooldown: i64,
}

/// What is said of an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// The tick at which it is due.
    pub due: i64,
    /// What happened.
    pub kind: ChangeKind,
    /// End of its first window.
    pub first_end: i64,
    /// Its bad windows.
    pub windows: u64,
    /// How bad it is, or was at worst.
    pub severity: Severity,
    /// End of the window that it is about.
    pub about: i64,
}

/// An episode as it is told. One that is over has an end.
#[derive(Clone, Copy)]
struct Told {
    since: i64,
    end: Option<i64>,
    last: i64,
    word: Word,
    worst: Severity,
}

/// What is said when these windows, by their ends, are bad; one that ends at e is due at e - 1.
pub fn episodes(life: Life, bad: &[(i64, Severity)], until: i64) -> Vec<Word> {
    let (mut words, mut told): (Vec<Word>, Option<Told>) = (Vec::new(), None);
    let first = bad.first().map_or(0, |(window, _)| window - 1);
    for tick in first..=until {
        if let Ok(place) = bad.binary_search_by_key(&(tick + 1), |(window, _)| *window) {
            let (window, severity) = bad[place];
            match &mut told {
                Some(Told { end: None, last, word, worst, .. }) => {
                    *last = tick;
                    *worst = (*worst).max(severity);
                    let before = word.severity;
                    let (kind, windows) = (ChangeKind::Updated, word.windows + 1);
                    *word = Word { due: tick, kind, windows, severity, about: window, ..*word };
                    words.extend((before != severity).then_some(*word));
                }
                _ => {
                    let over = told.and_then(|told| told.end);
                    let counts =
                        |end: i64| window - end < life.within && over.is_none_or(|over| end - 1 > over);
                    let evidence: Vec<i64> =
                        bad[..=place].iter().map(|(end, _)| *end).filter(|end| counts(*end)).collect();
                    if evidence.len() < life.bad_windows {
                        continue;
                    }
                    let again = told.filter(|told| told.end.is_some_and(|over| tick <= over + life.cooldown));
                    let (kind, first_end, before) = match &again {
                        Some(told) => (ChangeKind::Reopened, told.word.first_end, told.word.windows),
                        None => (ChangeKind::Opened, evidence[0], 0),
                    };
                    let windows = before + evidence.len() as u64;
                    let word = Word { due: tick, kind, first_end, windows, severity, about: window };
                    let worst = again.map_or(severity, |told| told.worst.max(severity));
                    words.push(word);
                    told = Some(Told { since: tick, end: None, last: tick, word, worst });
                }
            }
        }
        if let Some(told) = &mut told
            && told.end.is_none()
            && (tick == told.last + life.resolve_after || tick == told.since + life.longest)
        {
            words.push(Word { due: tick, kind: ChangeKind::Resolved, severity: told.worst, ..told.word });
            told.end = Some(tick);
        }
    }
    words
}
