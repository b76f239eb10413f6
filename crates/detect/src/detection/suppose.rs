//! Rows whose features are given, judged as if they had been computed: for whoever asks why a rule found one, and what it would have found if.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BinaryArray};
use event::{Batch, Hit, RowFailure, Rows, Spans};

use super::{Detection, window_columns};
use crate::judging::{Chunk, keep_first_failures};
use crate::verdict;

/// Rows with all that follows from their features, whether or not a rule hits them.
#[derive(Debug, Clone)]
pub struct Supposed {
    /// The rows, under [`Detection::row_schema`].
    pub batch: Batch,
    /// What the rules find, by row and rule.
    pub hits: Vec<Hit>,
    /// Rows for which a score or a condition failed; they have no hits.
    pub failures: Vec<RowFailure>,
}

impl Detection {
    /// The features of rows, and the rows for which one failed.
    pub fn features_of(&self, rows: &Rows) -> (Vec<ArrayRef>, Vec<RowFailure>) {
        let batch = self.aggregates(rows, 0, rows.keys.len());
        let mut failures = rows.failures.clone();
        let columns = self.features.iter().map(|feature| {
            let value = feature.evaluate(&batch);
            failures.extend(value.failures);
            value.column
        });
        let columns = columns.collect();
        keep_first_failures(&mut failures);
        (columns, failures)
    }

    /// What the scores and the rules make of rows of these keys, windows and numbers of records, if their features are these. There is a
    /// column for each feature, of its type, with a value for each row.
    pub fn suppose(
        &self,
        keys: &BinaryArray,
        spans: &Spans,
        records: &[u64],
        features: Vec<ArrayRef>,
    ) -> Supposed {
        let rows = keys.len();
        let mut columns = self.key_shape.decode(keys);
        columns.extend(window_columns(spans, 0..rows));
        columns.extend(features);
        let (keys, spans, records) = (keys.clone(), spans.clone(), records.to_vec());
        let (failures, since, evidence, beside) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut chunk =
            Chunk { keys, spans, records, columns, failures, since, evidence, beside, posed: Vec::new() };
        self.scores.begin(&mut chunk, None, None);
        self.scores.complete(&mut chunk, None, None);
        let mut found = self.apply_rules(&mut chunk);
        found.retain(|hit| chunk.failures.iter().all(|failure| failure.row != hit.row as usize));
        let batch = Batch::new(Arc::clone(self.schema.schema()), chunk.columns, rows);
        let (hits, later) = verdict::reach(&self.rules, &self.asked, &batch, found);
        let mut failures = chunk.failures;
        failures.extend(later);
        keep_first_failures(&mut failures);
        Supposed { batch, hits, failures }
    }
}
