//! How long to wait before the job is started again.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(10);
/// A run this long was a good one.
const WELL: Duration = Duration::from_secs(60);

/// From 100 ms, twice as long each time, to 10 s; from the start again after a run that came further.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    /// Starts in a row that brought the job no further.
    in_vain: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff { next: FIRST, in_vain: 0 }
    }
}

impl Backoff {
    /// How long to wait after a run, with up to a fifth more or less, so that the processes of a cluster do
    /// not all come back at once. A run was good if it committed a checkpoint or took a minute.
    pub(crate) fn after(&mut self, run: Duration, committed: bool) -> Duration {
        if committed || run >= WELL {
            *self = Backoff::default();
        }
        self.in_vain += 1;
        let delay = self.next;
        self.next = (2 * delay).min(LAST);
        delay.mul_f64(0.8 + 0.4 * random())
    }

    /// Starts in a row, the one to come included, that brought the job no further.
    pub(crate) fn in_vain(&self) -> u64 {
        self.in_vain
    }
}

/// Anything from 0 to 1.
fn random() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_a_bound_and_is_short_again_after_a_good_run() {
        let mut backoff = Backoff::default();
        let second = Duration::from_secs(1);
        let mut wait = |run, committed| (backoff.after(run, committed).as_secs_f64(), backoff.in_vain());
        let about = |(wait, _): (f64, u64), expected: f64| (wait / expected - 1.0).abs() < 0.21;
        for expected in [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0] {
            assert!(about(wait(second, false), expected));
        }
        let last = wait(second, false);
        assert!(about(last, 10.0) && last.1 == 9);
        let first = wait(second, true);
        assert!(about(first, 0.1) && first.1 == 1);
        assert!(about(wait(second, false), 0.2));
        assert!(about(wait(60 * second, false), 0.1));
    }
}
