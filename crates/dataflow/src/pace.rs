//! The rate of a source: how many records each of its partitions may read now.
//!
//! The partitions of a source in a process share its rate in equal parts. One that is finished leaves its
//! part to the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A partition reads about as much at a time as comes in this time.
pub(crate) const RUN: Duration = Duration::from_millis(5);
/// What a partition that was held up may catch up.
const ARREARS: Duration = Duration::from_secs(1);

/// Events a second of a source, and how many of its partitions still read.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: f64,
    active: AtomicUsize,
}

impl Pace {
    /// `rate` events a second, shared by `partitions` partitions.
    pub(crate) fn new(rate: f64, partitions: usize) -> Self {
        Pace { rate, active: AtomicUsize::new(partitions) }
    }
}

/// One partition's part of a rate.
#[derive(Debug)]
pub(crate) struct Share {
    pace: Arc<Pace>,
    since: Option<Instant>,
    available: f64,
}

impl Share {
    pub(crate) fn of(pace: Arc<Pace>) -> Self {
        Share { pace, since: None, available: 0.0 }
    }

    /// The part of a partition that comes while others read: theirs become smaller.
    pub(crate) fn of_newcomer(pace: Arc<Pace>) -> Self {
        pace.active.fetch_add(1, Ordering::Relaxed);
        Share::of(pace)
    }

    /// How many records may be read now; 0 if it is better to wait.
    pub(crate) fn allowance(&mut self, now: Instant) -> usize {
        let rate = self.pace.rate / self.pace.active.load(Ordering::Relaxed).max(1) as f64;
        let since = self.since.replace(now).unwrap_or(now);
        let due = now.saturating_duration_since(since).as_secs_f64() * rate;
        let run = (rate * RUN.as_secs_f64()).max(1.0);
        let most = (rate * ARREARS.as_secs_f64()).max(run);
        self.available = (self.available + due).min(most);
        if self.available < run { 0 } else { self.available as usize }
    }

    /// Notes what was read.
    pub(crate) fn spend(&mut self, records: u64) {
        self.available -= records as f64;
    }

    /// Leaves this part of the rate to the others.
    pub(crate) fn leave(&self) {
        self.pace.active.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads for a second in steps of a millisecond; says what each partition has read.
    fn read_for_a_second(rate: f64, partitions: usize, finished: usize) -> Vec<u64> {
        let pace = Arc::new(Pace::new(rate, partitions));
        let mut shares: Vec<Share> = (0..partitions).map(|_| Share::of(Arc::clone(&pace))).collect();
        shares.drain(..finished).for_each(|share| share.leave());
        let start = Instant::now();
        let mut read = vec![0; shares.len()];
        for now in (0..=1000).map(|ms| start + Duration::from_millis(ms)) {
            for (share, read) in shares.iter_mut().zip(&mut read) {
                let records = share.allowance(now) as u64;
                share.spend(records);
                *read += records;
            }
        }
        read
    }

    #[test]
    fn the_rate_is_kept_and_shared_however_many_partitions_still_read() {
        for finished in [0, 9, 15] {
            let read = read_for_a_second(10_000.0, 16, finished);
            let all: u64 = read.iter().sum();
            assert!((9_700..=10_000).contains(&all), "{finished} finished, {read:?}");
            let (least, most) = (read.iter().min().expect("some"), read.iter().max().expect("some"));
            assert!(most - least <= 4, "{read:?}");
        }
        assert_eq!(read_for_a_second(3.0, 1, 0), [3]);
    }
}
