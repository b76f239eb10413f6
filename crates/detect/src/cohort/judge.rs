//! What is known of rows that are judged beside others, before it is known what these are.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::BinaryArray;
use event::{Batch, Spans};

use super::{Grouping, Members};

/// Of some rows, what their detector looks at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Beside {
    /// The slots of their keys.
    pub(crate) slots: Vec<u32>,
    /// Their values, NaN where one is missing.
    pub(crate) values: Vec<f64>,
    /// Their cohorts: places among the names.
    pub(crate) cohorts: Vec<u32>,
    /// What these cohorts have in common, encoded.
    pub(crate) names: Vec<Arc<[u8]>>,
}

impl Beside {
    /// Of rows with these slots and values.
    pub(crate) fn of(grouping: &Grouping, batch: &Batch, slots: &[u32], values: Vec<f64>) -> Beside {
        let (cohorts, names) = grouping.of(batch);
        Beside { slots: slots.to_vec(), values, cohorts, names }
    }

    /// What is to be told of them. Where rows may be corrected, or what is asked is which keys are the worst, it is told whose they are.
    pub(crate) fn members(
        &self,
        detector: u16,
        grouping: &Grouping,
        named: bool,
        keys: &BinaryArray,
        spans: &Spans,
    ) -> Vec<Members> {
        let corrected = grouping.lateness > 0;
        let mut members: BTreeMap<(i64, i64), Members> = BTreeMap::new();
        for (row, value) in self.values.iter().enumerate() {
            // That a value is missing matters where there may have been one.
            if value.is_nan() && !corrected {
                continue;
            }
            let span = spans.of(row);
            let of_end = members.entry((span.due, span.window.end)).or_insert_with(|| Members {
                detector,
                end: span.window.end,
                due: span.due,
                names: self.names.clone(),
                rows: Vec::new(),
            });
            let key = if named || corrected { keys.value(row).to_vec() } else { Vec::new() };
            of_end.rows.push((self.cohorts[row], *value, key));
        }
        members.into_values().collect()
    }
}
