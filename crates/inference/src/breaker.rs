//! Spares a model that does not answer, and those who wait for it: after several failures in a row nobody is asked for a while, then
//! one question shows whether it is back. Pure: the time is given.

use std::time::{Duration, Instant};

/// When nobody is asked for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSpec {
    /// After so many failures in a row, at least 1,
    pub failures: u32,
    /// for so long.
    pub pause: Duration,
}

/// Not more often than this it is said that a model has not answered once.
const SAID: Duration = Duration::from_secs(60);

/// What there is to say of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Nothing,
    /// No answer came, as none did not for a while.
    Once,
    /// Nobody is asked from now on.
    Opened,
}

/// Whether a model may be asked.
#[derive(Debug)]
pub(crate) struct Breaker {
    spec: BreakerSpec,
    /// Failures in a row.
    failures: u32,
    /// Nobody is asked before.
    until: Option<Instant>,
    /// When something was said of a failure.
    said: Option<Instant>,
}

impl Breaker {
    pub(crate) fn new(spec: BreakerSpec) -> Self {
        Breaker { spec, failures: 0, until: None, said: None }
    }

    /// Whether nobody is asked but for a trial.
    pub(crate) fn is_open(&self) -> bool {
        self.failures >= self.spec.failures.max(1)
    }

    /// Whether somebody may ask now. Where nobody was for a while, one may, and the others wait for what comes of it.
    pub(crate) fn lets(&mut self, now: Instant) -> bool {
        if !self.is_open() {
            return true;
        }
        let is_over = self.until.is_none_or(|until| now >= until);
        if is_over {
            self.until = now.checked_add(self.spec.pause);
        }
        is_over
    }

    /// Notes that no answer came. Returns what there is to say of it.
    pub(crate) fn failed(&mut self, now: Instant) -> Change {
        let was_open = self.is_open();
        self.failures = self.failures.saturating_add(1);
        self.until = now.checked_add(self.spec.pause);
        if self.is_open() {
            return if was_open { Change::Nothing } else { Change::Opened };
        }
        let was_said = self.said.is_some_and(|said| now.saturating_duration_since(said) < SAID);
        if was_said {
            return Change::Nothing;
        }
        self.said = Some(now);
        Change::Once
    }

    /// Notes that an answer came. Returns whether none did before.
    pub(crate) fn answered(&mut self) -> bool {
        let was_open = self.is_open();
        (self.failures, self.until) = (0, None);
        was_open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_failures_in_a_row_one_question_at_a_time_is_let_through_until_one_is_answered() {
        let (pause, start) = (Duration::from_secs(30), Instant::now());
        let mut breaker = Breaker::new(BreakerSpec { failures: 3, pause });
        for change in [Change::Once, Change::Nothing, Change::Opened] {
            assert!(breaker.lets(start));
            assert_eq!(breaker.failed(start), change);
        }
        assert!(!breaker.lets(start));
        assert!(!breaker.lets(start + pause - Duration::from_millis(1)));
        assert!(breaker.lets(start + pause));
        assert!(!breaker.lets(start + pause), "while the first waits");
        assert_eq!(breaker.failed(start + pause), Change::Nothing, "it was open before");
        assert!(!breaker.lets(start + pause + pause / 2));
        assert!(breaker.lets(start + 2 * pause));
        assert!(breaker.answered());
        assert!(breaker.lets(start + 2 * pause));
        assert_eq!(breaker.failed(start + 2 * pause), Change::Once, "a minute later");
        assert!(!breaker.answered());
        // Failures that are not in a row.
        for _ in 0..9 {
            assert_ne!(breaker.failed(start), Change::Opened);
            assert!(!breaker.answered());
        }
    }
}
