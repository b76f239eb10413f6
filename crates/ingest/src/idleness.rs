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
/// Source: `WatermarksWithIdleness` of Apache Flink.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The cases of Flink's own tests.
    fn cases() -> Vec<serde_json::Value> {
        let fixture = include_str!("../../../tests/fixtures/windowing.json");
        let all: Vec<serde_json::Value> = serde_json::from_str(fixture).unwrap();
        let ours = all.iter().find(|case| case["name"] == "idleness").unwrap();
        ours["cases"].as_array().unwrap().clone()
    }

    #[test]
    fn a_partition_is_idle_exactly_when_it_is_in_flink() {
        let mut looks = 0;
        for case in cases() {
            let name = case["test"].as_str().unwrap().to_owned();
            // A duration cannot be negative.
            let timeout = u64::try_from(case["timeout_ms"].as_i64().unwrap()).ok().map(Duration::from_millis);
            let idleness = timeout.and_then(Idleness::new);
            assert_eq!(idleness.is_none(), case["error"] == true, "{name}");
            let Some(mut idleness) = idleness else { continue };
            let mut now = Instant::now();
            let mut found = Vec::new();
            for step in case["steps"].as_array().unwrap() {
                match step.as_str().unwrap() {
                    "check" => found.push(idleness.is_idle_at(now)),
                    "event" => idleness.came(),
                    wait => now += Duration::from_millis(wait.strip_prefix('+').unwrap().parse().unwrap()),
                }
            }
            looks += found.len();
            assert_eq!(serde_json::json!(found), case["idle"], "{name}");
        }
        assert!(looks > 10, "{looks} looks");
    }
}
