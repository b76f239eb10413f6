//! The rate of a source: how many records its partitions may read now.
//!
//! One account for all partitions of a source in a process, so that those which are finished, or have less,
//! leave their share to the others.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A partition reads about as much at a time as comes in this time.
pub(crate) const RUN: Duration = Duration::from_millis(5);
/// What a job that was held up may catch up.
const ARREARS: Duration = Duration::from_secs(1);

/// Events a second, and how many are still owed.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: f64,
    /// Records that a partition takes at a time.
    run: f64,
    account: Mutex<Account>,
}

#[derive(Debug)]
struct Account {
    since: Option<Instant>,
    available: f64,
}

impl Pace {
    /// `rate` events a second, shared by `partitions` partitions.
    pub(crate) fn new(rate: f64, partitions: usize) -> Self {
        let run = (rate * RUN.as_secs_f64() / partitions.max(1) as f64).max(1.0);
        Pace { rate, run, account: Mutex::new(Account { since: None, available: 0.0 }) }
    }

    /// Takes what one partition may read now; 0 if it has to wait.
    pub(crate) fn take(&self) -> usize {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> usize {
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        let since = account.since.replace(now).unwrap_or(now);
        let due = now.saturating_duration_since(since).as_secs_f64() * self.rate;
        let most = (self.rate * ARREARS.as_secs_f64()).max(self.run);
        account.available = (account.available + due).min(most);
        if account.available < self.run {
            return 0;
        }
        let taken = self.run.floor();
        account.available -= taken;
        taken as usize
    }

    /// Gives back what was not read.
    pub(crate) fn give_back(&self, records: u64) {
        self.account.lock().unwrap_or_else(PoisonError::into_inner).available += records as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads for a second in steps of a millisecond, as often as the account allows.
    fn read_for_a_second(rate: f64, partitions: usize) -> usize {
        let pace = Pace::new(rate, partitions);
        let start = Instant::now();
        let mut read = 0;
        for now in (0..=1000).map(|ms| start + Duration::from_millis(ms)) {
            let runs = std::iter::from_fn(|| Some(pace.take_at(now)).filter(|taken| *taken > 0));
            read += runs.sum::<usize>();
        }
        read
    }

    #[test]
    fn the_rate_is_kept_however_many_partitions_share_it() {
        for partitions in [1, 3, 16] {
            let read = read_for_a_second(10_000.0, partitions);
            assert!((9_900..=10_000).contains(&read), "{partitions} partitions read {read}");
        }
        assert_eq!(read_for_a_second(3.0, 16), 3);
    }

    #[test]
    fn what_was_not_read_can_be_read_later() {
        let pace = Pace::new(1000.0, 1);
        let start = Instant::now();
        assert_eq!(pace.take_at(start), 0);
        let taken = pace.take_at(start + Duration::from_millis(5));
        assert_eq!(taken, 5);
        pace.give_back(5);
        assert_eq!(pace.take_at(start + Duration::from_millis(5)), 5);
    }
}
