//! Timers: which rows are due by a watermark, at a cost of those that are and not of all that are set.
//!
//! A radix heap: what lies ahead is sorted by the highest bit in which it differs from where the watermark was,
//! so that setting a timer is a push, and each is moved a few times, in bulk, on its way down.
//!
//! Source: Ahuja, Mehlhorn, Orlin, Tarjan (1990), "Faster algorithms for the shortest path problem".

/// One for each bit, and one for what is due.
const BUCKETS: usize = 65;

/// Rows by the time at which they are due. A timer cannot be taken back: who set it tells when it fires whether
/// it still means something.
#[derive(Debug)]
pub(crate) struct Timers {
    /// Timers at or below it have fired, but for those that were set too late.
    reached: i64,
    buckets: Vec<Bucket>,
    spare: Vec<(i64, u32)>,
}

#[derive(Debug, Clone)]
struct Bucket {
    least: i64,
    timers: Vec<(i64, u32)>,
}

impl Timers {
    pub(crate) fn new() -> Self {
        let bucket = Bucket { least: i64::MAX, timers: Vec::new() };
        Timers { reached: i64::MIN, buckets: vec![bucket; BUCKETS], spare: Vec::new() }
    }

    /// Sets a timer; one that is due already fires with the next that are.
    pub(crate) fn set(&mut self, due: i64, row: u32) {
        let place = self.bucket_of(due);
        let bucket = &mut self.buckets[place];
        bucket.least = bucket.least.min(due);
        bucket.timers.push((due, row));
    }

    /// Appends the timers that are due by `horizon`, in no order.
    pub(crate) fn take_due(&mut self, horizon: i64, due: &mut Vec<(i64, u32)>) {
        if self.buckets.iter().all(|bucket| bucket.timers.is_empty() || bucket.least > horizon) {
            return;
        }
        // Buckets below that of the horizon are due, those above it stay as they are.
        let last = self.bucket_of(horizon);
        self.reached = self.reached.max(horizon);
        for place in 0..=last {
            let spare = std::mem::take(&mut self.spare);
            let mut timers = std::mem::replace(&mut self.buckets[place].timers, spare);
            self.buckets[place].least = i64::MAX;
            for (time, row) in timers.drain(..) {
                if time <= horizon {
                    due.push((time, row));
                } else {
                    self.set(time, row);
                }
            }
            self.spare = timers;
        }
    }

    /// No timer fires before that.
    pub(crate) fn least(&self) -> i64 {
        self.buckets.iter().map(|bucket| bucket.least).min().unwrap_or(i64::MAX)
    }

    fn bucket_of(&self, time: i64) -> usize {
        let differs = (self.reached ^ time.max(self.reached)) as u64;
        (u64::BITS - differs.leading_zeros()) as usize
    }

    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> usize {
        let timers: usize = self.buckets.iter().map(|bucket| bucket.timers.capacity()).sum();
        (timers + self.spare.capacity()) * size_of::<(i64, u32)>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_fires_is_what_is_due(
            steps in prop::collection::vec((prop::collection::vec(-40i64..400, 0..6), 0i64..60), 1..40),
            scale in prop::sample::select(vec![1, 1_000_003, 1 << 55]),
        ) {
            let (mut timers, mut open, mut row) = (Timers::new(), BTreeSet::new(), 0);
            let mut horizon = -50i64;
            for (more, step) in steps {
                for due in more {
                    timers.set(due.saturating_mul(scale), row);
                    open.insert((due.saturating_mul(scale), row));
                    row += 1;
                }
                horizon += step;
                let mut due = Vec::new();
                timers.take_due(horizon.saturating_mul(scale), &mut due);
                due.sort_unstable();
                let later = open.split_off(&(horizon.saturating_mul(scale), u32::MAX));
                prop_assert_eq!(due, std::mem::replace(&mut open, later).into_iter().collect::<Vec<_>>());
            }
            let mut rest = Vec::new();
            timers.take_due(i64::MAX, &mut rest);
            rest.sort_unstable();
            prop_assert_eq!(rest, open.into_iter().collect::<Vec<_>>());
        }
    }
}
