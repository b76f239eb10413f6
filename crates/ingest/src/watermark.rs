//! How far event time has come in one partition.
//!
//! Sits between `transform` and the windows: marks the records that passed, whether or not a filter left
//! them out, but not those in quarantine. What `seen` a record has rests on nothing but its own partition.

use event::Watermark;
use serde::{Deserialize, Serialize};

/// How the watermark of a partition follows its records. What a record brings counts for those behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WatermarkSpec {
    /// The largest event time seen, less so many ticks by which events may be out of order, less one tick. With
    /// 0 times never fall: one that does is late for whatever ended before.
    Bounded(i64),
    /// The largest that records have said, each in a field of its own. Their times move nothing.
    Punctuated,
}

/// The watermark of one partition.
///
/// ```
/// use ingest::{PartitionWatermark, WatermarkSpec};
/// let mut watermark = PartitionWatermark::new(WatermarkSpec::Bounded(5));
/// // 100 lets the watermark come to 94: 95 is in time, 94 is behind.
/// assert_eq!(watermark.mark(&[100, 95, 94], &[]), [(2, 94)]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionWatermark {
    spec: WatermarkSpec,
    watermark: Watermark,
}

impl PartitionWatermark {
    /// Nothing seen yet.
    pub fn new(spec: WatermarkSpec) -> Self {
        PartitionWatermark { spec, watermark: Watermark::NONE }
    }

    /// A partition whose watermark was brought to that before.
    pub fn resume(spec: WatermarkSpec, watermark: Watermark) -> Self {
        PartitionWatermark { spec, watermark }
    }

    /// No event at or below this is to come, except late ones.
    pub fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// Lifts the watermark to at least that, as others have gone on while this partition was asleep.
    pub fn raise(&mut self, to: Watermark) {
        self.watermark = self.watermark.max(to);
    }

    /// Marks records in order. Returns the row and `seen` of each one that is *behind*: at or below the
    /// watermark just before it. All others are in time for every window that covers them.
    ///
    /// `punctuations` holds what each record says, the least value where that is nothing; only
    /// [`WatermarkSpec::Punctuated`] looks at it.
    pub fn mark(&mut self, times: &[i64], punctuations: &[i64]) -> Vec<(u32, i64)> {
        let mut behind = Vec::new();
        self.go_through(times, punctuations, |row, seen| {
            if times[row] <= seen {
                behind.push((row as u32, seen));
            }
        });
        behind
    }

    /// `seen` of each of the records that are about to be marked.
    pub fn seen(&self, times: &[i64], punctuations: &[i64]) -> Vec<i64> {
        let mut all = Vec::with_capacity(times.len());
        { *self }.go_through(times, punctuations, |_, seen| all.push(seen));
        all
    }

    /// `seen` at places among the records that are about to be marked: for each of `before`, which ascend,
    /// the watermark once that many of `times` are marked. To be asked before `mark`; for quarantine rows.
    pub fn seen_before(&self, times: &[i64], punctuations: &[i64], before: &[usize]) -> Vec<i64> {
        let mut ahead = *self;
        let mut marked = 0;
        let seen = |&count: &usize| {
            let count = count.clamp(marked, times.len());
            let said = punctuations.get(marked..count).unwrap_or_default();
            ahead.go_through(&times[marked..count], said, |_, _| {});
            marked = count;
            ahead.watermark.0
        };
        before.iter().map(seen).collect()
    }

    /// Moves the watermark along records, having `look` see the row and `seen` of each.
    fn go_through(&mut self, times: &[i64], punctuations: &[i64], mut look: impl FnMut(usize, i64)) {
        let mut seen = self.watermark.0;
        match self.spec {
            WatermarkSpec::Bounded(bound) => {
                for (row, &time) in times.iter().enumerate() {
                    look(row, seen);
                    seen = seen.max(Watermark::after(time, bound).0);
                }
            }
            WatermarkSpec::Punctuated => {
                for (row, &said) in punctuations.iter().enumerate() {
                    look(row, seen);
                    seen = seen.max(said);
                }
            }
        }
        self.watermark = Watermark(seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: i64 = Watermark::NONE.0;

    fn bounded(bound: i64) -> PartitionWatermark {
        PartitionWatermark::new(WatermarkSpec::Bounded(bound))
    }

    #[test]
    fn the_watermark_follows_the_largest_time_and_never_falls() {
        let mut watermark = bounded(10);
        assert_eq!(watermark.watermark(), Watermark::NONE);
        assert!(watermark.mark(&[100, 120, 110], &[]).is_empty());
        assert_eq!(watermark.watermark(), Watermark(109));
        assert_eq!(watermark.mark(&[109, 110, 5], &[]), [(0, 109), (2, 109)]);
        assert_eq!(watermark.watermark(), Watermark(109));
    }

    #[test]
    fn the_size_of_a_batch_changes_nothing() {
        let times: Vec<i64> = (0..200).map(|i| (i * 7919) % 101 + i).collect();
        let mut whole = bounded(20);
        let behind = whole.mark(&times, &[]);
        let mut parts = bounded(20);
        let mut behind_in_parts = Vec::new();
        for (part, times) in times.chunks(7).enumerate() {
            let shift = (part * 7) as u32;
            behind_in_parts.extend(parts.mark(times, &[]).into_iter().map(|(row, seen)| (row + shift, seen)));
        }
        assert_eq!((behind_in_parts, parts), (behind, whole));
    }

    #[test]
    fn a_rejected_record_sees_what_was_marked_before_it() {
        let watermark = bounded(0);
        assert_eq!(watermark.seen(&[10, 30, 20], &[]), [i64::MIN, 9, 29]);
        let seen = watermark.seen_before(&[10, 30, 20], &[], &[0, 1, 1, 2, 3, 3]);
        assert_eq!(seen, [i64::MIN, 9, 9, 29, 29, 29]);
    }

    #[test]
    fn under_a_bound_of_nothing_a_time_that_falls_is_behind_and_one_that_stays_is_not() {
        let mut watermark = bounded(0);
        assert_eq!(watermark.mark(&[10, 10, 9, 11], &[]), [(2, 9)]);
        assert_eq!(watermark.watermark(), Watermark(10));
    }

    #[test]
    fn punctuations_move_the_watermark_behind_their_record_and_times_do_not() {
        let mut watermark = PartitionWatermark::new(WatermarkSpec::Punctuated);
        let (times, said) = ([500, 90, 90, 10, 91], [NONE, 90, NONE, 80, 95]);
        assert_eq!(watermark.seen(&times, &said), [NONE, NONE, 90, 90, 90]);
        assert_eq!(watermark.seen_before(&times, &said, &[0, 1, 2, 4, 5]), [NONE, NONE, 90, 90, 95]);
        assert_eq!(watermark.mark(&times, &said), [(2, 90), (3, 90)]);
        assert_eq!(watermark.watermark(), Watermark(95));
        watermark.raise(Watermark(94));
        assert_eq!(watermark.mark(&[95, 96], &[NONE, NONE]), [(0, 95)]);
        watermark.raise(Watermark(100));
        assert_eq!(watermark.watermark(), Watermark(100));
    }

    #[test]
    fn the_edges_of_time_do_not_wrap() {
        let mut watermark = bounded(i64::MAX);
        watermark.mark(&[i64::MIN], &[]);
        assert!(watermark.watermark() > Watermark::NONE);
    }
}
