//! The counters of a job, which always balance: nothing is lost in silence.

use std::fmt;
use std::ops::AddAssign;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Reason;

/// What became of the records. Totals since the job was first started; they live in its checkpoints.
///
/// `read = accepted + filtered + quarantined` and `accepted = windowed + late + deduplicated`; what is counted by its
/// reason is `quarantined + rows_quarantined + late`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Records read; a blank line is none.
    pub read: u64,
    /// Records that fit and passed the filters.
    pub accepted: u64,
    /// Records that a filter left out.
    pub filtered: u64,
    /// Records that did not fit.
    pub quarantined: u64,
    /// Accepted records that went into at least one window, or wait to. What is added to it may be below zero, modulo
    /// 2^64, where records are found to be late that waited.
    pub windowed: u64,
    /// Accepted records that no window holds.
    pub late: u64,
    /// Accepted records left out as duplicates.
    pub deduplicated: u64,
    /// Windows that closed with at least one record, counted per key.
    pub windows: u64,
    /// Rows of features for which an expression failed.
    pub rows_quarantined: u64,
    /// Alerts raised.
    pub alerts: u64,
    /// Alerts of which nobody was to be told.
    pub muted: u64,
    /// Alerts that a cap kept back.
    pub capped: u64,
    /// Quarantined records and rows, and late records, by their reason.
    pub by_reason: ByReason,
}

impl Counts {
    /// Counts records that no window holds, as was thought until now.
    pub fn add_late(&mut self, records: u64) {
        self.windowed = self.windowed.wrapping_sub(records);
        self.late += records;
        self.by_reason.add(Reason::Late, records);
    }
}

/// A number for each [`Reason`]. For people it is a map from the codes to the numbers, all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ByReason([u64; Reason::ALL.len()]);

impl ByReason {
    /// How many there are of one.
    pub fn of(&self, reason: Reason) -> u64 {
        self.0[reason as usize]
    }

    /// Counts more of one.
    pub fn add(&mut self, reason: Reason, count: u64) {
        self.0[reason as usize] += count;
    }
}

impl Serialize for ByReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_map(Reason::ALL.map(|reason| (reason.code(), self.of(reason))));
        }
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ByReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return deserializer.deserialize_map(Codes);
        }
        Deserialize::deserialize(deserializer).map(ByReason)
    }
}

/// Reads the map that is for people.
struct Codes;

impl<'de> Visitor<'de> for Codes {
    type Value = ByReason;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map from codes of reasons to numbers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ByReason, A::Error> {
        let mut counts = ByReason::default();
        while let Some((code, count)) = map.next_entry::<String, u64>()? {
            let known = Reason::ALL.iter().find(|reason| reason.code() == code);
            let reason = known.ok_or_else(|| Error::custom(format!("`{code}` is no reason")))?;
            counts.add(*reason, count);
        }
        Ok(counts)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.read += other.read;
        self.accepted += other.accepted;
        self.filtered += other.filtered;
        self.quarantined += other.quarantined;
        self.windowed = self.windowed.wrapping_add(other.windowed);
        self.late += other.late;
        self.deduplicated += other.deduplicated;
        self.windows += other.windows;
        self.rows_quarantined += other.rows_quarantined;
        self.alerts += other.alerts;
        self.muted += other.muted;
        self.capped += other.capped;
        self.by_reason.0.iter_mut().zip(other.by_reason.0).for_each(|(count, more)| *count += more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_counted_at_its_own_place_and_shown_by_its_code() {
        let mut counts = Counts::default();
        for (reason, count) in Reason::ALL.into_iter().zip(1..) {
            counts.by_reason.add(reason, count);
        }
        counts.windowed = 150;
        counts.add_late(100);
        counts += counts;
        let shown = serde_json::to_value(counts).unwrap();
        for (reason, count) in Reason::ALL.into_iter().zip(1..) {
            let expected = 2 * (count + if reason == Reason::Late { 100 } else { 0 });
            assert_eq!(counts.by_reason.of(reason), expected, "{reason}");
            assert_eq!(shown["by_reason"][reason.code()], expected, "{reason}");
        }
        assert_eq!((counts.late, counts.windowed), (200, 100));
        assert_eq!(serde_json::from_value::<Counts>(shown).unwrap(), counts);
    }
}
