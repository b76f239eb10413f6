//! The counters of a job, which always balance: nothing is lost in silence.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// What became of the records. Totals since the job was first started; they live in its checkpoints.
///
/// `read = accepted + filtered + quarantined` and `accepted = windowed + late + deduplicated`.
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
    /// Accepted records that went into at least one window.
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
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.read += other.read;
        self.accepted += other.accepted;
        self.filtered += other.filtered;
        self.quarantined += other.quarantined;
        self.windowed += other.windowed;
        self.late += other.late;
        self.deduplicated += other.deduplicated;
        self.windows += other.windows;
        self.rows_quarantined += other.rows_quarantined;
        self.alerts += other.alerts;
    }
}
