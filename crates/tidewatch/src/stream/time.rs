//! Lengths of time as a job says them.

use std::time::Duration;

/// So many milliseconds.
pub fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// So many seconds.
pub fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// So many minutes.
pub fn minutes(count: u64) -> Duration {
    Duration::from_secs(count.saturating_mul(60))
}

/// So many hours.
pub fn hours(count: u64) -> Duration {
    Duration::from_secs(count.saturating_mul(3_600))
}

/// So many days of 24 hours.
pub fn days(count: u64) -> Duration {
    Duration::from_secs(count.saturating_mul(86_400))
}

/// A length of time after which something happens again: `every(seconds(5))`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Every(pub(super) Duration);

/// Again and again, after so much time.
pub fn every(period: Duration) -> Every {
    Every(period)
}

/// When a window is put out before it is due: `every(minutes(1))` of event time, or [`after`] so many events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Early {
    /// Every so much event time.
    Every(Duration),
    /// After every so many events of it.
    Events(u64),
}

impl From<Every> for Early {
    fn from(Every(period): Every) -> Self {
        Early::Every(period)
    }
}

/// After every so many events.
pub fn after(events: u64) -> Early {
    Early::Events(events)
}

/// How event time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds since the Unix epoch.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
    /// Text, as `2023-11-14T22:13:20.5Z`; `YYYY-MM-DD HH:MM:SS[.f]` is UTC.
    Rfc3339,
}

impl Unit {
    /// The name that configs use.
    pub(super) fn name(self) -> &'static str {
        match self {
            Unit::Seconds => "s",
            Unit::Millis => "ms",
            Unit::Micros => "us",
            Unit::Nanos => "ns",
            Unit::Rfc3339 => "rfc3339",
        }
    }
}
