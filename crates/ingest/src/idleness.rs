//! When a partition of which nothing comes counts as idle, so that others need not wait for it.
//!
//! Only the time between two looks counts, by a clock that never jumps: who cannot look, because it has to wait for
//! others, finds nothing idle. What follows from it, and that it is written down, is up to `dataflow`.

use std::time::{Duration, Instant};

/// Measures for how long nothing has come of one partition.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// let mut idleness = ingest::Idleness::new(Duration::from_millis(10)).expect("more than nothing");
/// let start = Instant::now();
/// assert!(!idleness.is_idle_at(start), "the first look only starts the clock");
/// assert!(!idleness.is_idle_at(start + Duration::from_millis(10)));
/// assert!(idleness.is_idle_at(start + Duration::from_millis(11)));
/// ```
///
/// Source: `WatermarksWithIdleness` of Apache Flink, whose own cases `tests/fixtures` runs.
#[derive(Debug, Clone)]
pub struct Idleness {
    timeout: Duration,
    /// The first look since something came last.
    since: Option<Instant>,
}

impl Idleness {
    /// A partition of which nothing was asked yet; `None` for a timeout of nothing, with which it would never be
    /// awake.
    pub fn new(timeout: Duration) -> Option<Self> {
        (timeout > Duration::ZERO).then_some(Idleness { timeout, since: None })
    }

    /// Notes that something has come.
    pub fn came(&mut self) {
        self.since = None;
    }

    /// Notes that nothing is there. Says whether that has been so for longer than the timeout, from the first look
    /// on: that one only starts the clock.
    pub fn is_idle_at(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        now.saturating_duration_since(since) > self.timeout
    }
}
