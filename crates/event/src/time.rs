//! Event time: watermarks and windows, in ticks of a microsecond since the Unix epoch, UTC.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Microseconds in a millisecond.
pub const MICROS_PER_MILLI: i64 = 1_000;
/// Microseconds in a second.
pub const MICROS_PER_SECOND: i64 = 1_000_000;

/// "This partition will send no event with a time at or below this, except late ones."
///
/// As in Flink: the largest time seen, less the bound, less one tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Watermark(pub i64);

impl Watermark {
    /// Nothing was seen yet.
    pub const NONE: Watermark = Watermark(i64::MIN);
    /// The input is finished: every window may close.
    pub const FINISHED: Watermark = Watermark(i64::MAX);

    /// The watermark after an event of `time`, with events at most `bound` ticks out of order.
    pub fn after(time: i64, bound: i64) -> Watermark {
        Watermark(time.saturating_sub(bound).saturating_sub(1).max(i64::MIN + 1))
    }
}

impl fmt::Display for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Watermark::NONE => f.write_str("none"),
            Watermark::FINISHED => f.write_str("finished"),
            Watermark(time) => write!(f, "{time}us"),
        }
    }
}

/// Half-open interval `[start, end)` of event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    /// First tick inside.
    pub start: i64,
    /// First tick behind.
    pub end: i64,
}

impl Window {
    /// The tick at which its result is due: its last one. It closes when the watermark reaches this.
    pub fn due(&self) -> i64 {
        self.end - 1
    }

    /// Whether an event of that time lies in it.
    pub fn covers(&self, time: i64) -> bool {
        self.start <= time && time < self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_at_the_end_of_a_window_belongs_to_the_next() {
        let window = Window { start: 0, end: 10 };
        assert!(window.covers(0) && window.covers(9) && !window.covers(10));
    }

    #[test]
    fn a_watermark_at_the_edge_of_time_does_not_wrap_and_is_not_none() {
        assert!(Watermark::after(i64::MIN, 5) > Watermark::NONE);
        assert_eq!(Watermark::after(i64::MAX, 0), Watermark(i64::MAX - 1));
    }
}
