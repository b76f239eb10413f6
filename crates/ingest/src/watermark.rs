//! How far event time has come in one partition.
//!
//! Sits between `transform` and the windows: marks the records that passed, whether or not a filter left
//! them out, but not those in quarantine. What `seen` a record has rests on nothing but its own partition.

use event::Watermark;
use serde::{Deserialize, Serialize};

/// The watermark of one partition: the largest event time seen, less the bound, less one tick.
///
/// ```
/// let mut watermark = ingest::PartitionWatermark::new(5);
/// // 100 lets the watermark come to 94: 95 is in time, 94 is behind.
/// assert_eq!(watermark.mark(&[100, 95, 94]), [(2, 94)]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionWatermark {
    bound: i64,
    watermark: Watermark,
}

impl PartitionWatermark {
    /// Nothing seen yet; events are at most `bound` ticks out of order.
    pub fn new(bound: i64) -> Self {
        PartitionWatermark { bound, watermark: Watermark::NONE }
    }

    /// A partition whose watermark was brought to that before.
    pub fn resume(bound: i64, watermark: Watermark) -> Self {
        PartitionWatermark { bound, watermark }
    }

    /// No event at or below this is to come, except late ones.
    pub fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// Marks records in order. Returns the row and `seen` of each one that is *behind*: at or below the
    /// watermark just before it. All others are in time for every window that covers them.
    pub fn mark(&mut self, times: &[i64]) -> Vec<(u32, i64)> {
        let mut behind = Vec::new();
        let mut seen = self.watermark.0;
        for (row, &time) in times.iter().enumerate() {
            if time <= seen {
                behind.push((row as u32, seen));
            }
            seen = seen.max(Watermark::after(time, self.bound).0);
        }
        self.watermark = Watermark(seen);
        behind
    }

    /// `seen` of each of the records that are about to be marked.
    pub fn seen(&self, times: &[i64]) -> Vec<i64> {
        let mut ahead = self.watermark.0;
        let before = times.iter().map(|&time| {
            let seen = ahead;
            ahead = ahead.max(Watermark::after(time, self.bound).0);
            seen
        });
        before.collect()
    }

    /// `seen` at places among the records that are about to be marked: for each of `before`, which ascend,
    /// the watermark once that many of `times` are marked. To be asked before `mark`; for quarantine rows.
    pub fn seen_before(&self, times: &[i64], before: &[usize]) -> Vec<i64> {
        let mut ahead = *self;
        let mut marked = 0;
        let seen = |&count: &usize| {
            let count = count.clamp(marked, times.len());
            ahead.mark(&times[marked..count]);
            marked = count;
            ahead.watermark.0
        };
        before.iter().map(seen).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watermark_follows_the_largest_time_and_never_falls() {
        let mut watermark = PartitionWatermark::new(10);
        assert_eq!(watermark.watermark(), Watermark::NONE);
        assert!(watermark.mark(&[100, 120, 110]).is_empty());
        assert_eq!(watermark.watermark(), Watermark(109));
        assert_eq!(watermark.mark(&[109, 110, 5]), [(0, 109), (2, 109)]);
        assert_eq!(watermark.watermark(), Watermark(109));
    }

    #[test]
    fn the_size_of_a_batch_changes_nothing() {
        let times: Vec<i64> = (0..200).map(|i| (i * 7919) % 101 + i).collect();
        let mut whole = PartitionWatermark::new(20);
        let behind = whole.mark(&times);
        let mut parts = PartitionWatermark::new(20);
        let mut behind_in_parts = Vec::new();
        for (part, times) in times.chunks(7).enumerate() {
            let shift = (part * 7) as u32;
            behind_in_parts.extend(parts.mark(times).into_iter().map(|(row, seen)| (row + shift, seen)));
        }
        assert_eq!((behind_in_parts, parts), (behind, whole));
    }

    #[test]
    fn a_rejected_record_sees_what_was_marked_before_it() {
        let watermark = PartitionWatermark::new(0);
        assert_eq!(watermark.seen(&[10, 30, 20]), [i64::MIN, 9, 29]);
        let seen = watermark.seen_before(&[10, 30, 20], &[0, 1, 1, 2, 3, 3]);
        assert_eq!(seen, [i64::MIN, 9, 9, 29, 29, 29]);
    }

    #[test]
    fn the_edges_of_time_do_not_wrap() {
        let mut watermark = PartitionWatermark::new(i64::MAX);
        watermark.mark(&[i64::MIN]);
        assert!(watermark.watermark() > Watermark::NONE);
    }
}
