//! Rows that may still be corrected, as a checkpoint has them: what was told rests on them and is told again after a restart.

use serde::{Deserialize, Serialize};

use super::Cohorts;
use super::kept::Row;

/// Rows of a window end. Replaces what was written before of these keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedRows {
    /// The shape of the detector.
    pub(super) shape: String,
    /// The window end.
    pub end: i64,
    /// Key, and cohort and value; `None` where the key has no value any more.
    pub(super) rows: Vec<(Vec<u8>, Option<Row>)>,
}

/// A snapshot that is being taken: window end, detector, and keys.
#[derive(Debug, Default)]
pub(super) struct Saving(Vec<(i64, u16, Vec<Vec<u8>>)>);

impl Cohorts {
    /// The window ends of which rows are kept, ascending.
    pub fn ends(&self) -> Vec<i64> {
        let mut ends: Vec<i64> =
            self.told.iter().filter(|(_, told)| !told.rows.is_empty()).map(|((end, _), _)| *end).collect();
        ends.dedup();
        ends
    }

    /// Begins a snapshot: of the rows that have changed since the last one, or of all if `whole`.
    pub fn begin_save(&mut self, whole: bool) {
        self.saving = Saving::default();
        for ((end, detector), told) in &mut self.told {
            let changed = std::mem::take(&mut told.changed);
            let keys: Vec<Vec<u8>> =
                if whole { told.rows.keys().cloned().collect() } else { changed.into_iter().collect() };
            if !keys.is_empty() {
                self.saving.0.push((*end, *detector, keys));
            }
        }
    }

    /// The next `rows_max` rows of the snapshot, of one window end; `None` once there are no more.
    pub fn save(&mut self, rows_max: usize) -> Option<SavedRows> {
        let (end, detector, keys) = self.saving.0.last_mut()?;
        let taken = keys.split_off(keys.len().saturating_sub(rows_max.max(1)));
        let (end, detector, is_done) = (*end, *detector, keys.is_empty());
        if is_done {
            self.saving.0.pop();
        }
        let told = self.told.get(&(end, detector))?;
        let rows = taken.into_iter().map(|key| {
            let row = told.rows.get(&key).cloned();
            (key, row)
        });
        Some(SavedRows { shape: self.shapes[usize::from(detector)].clone(), end, rows: rows.collect() })
    }
}
