//! What the windows of one branch take of the columns that are prepared for all of them.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_buffer::BooleanBuffer;

use crate::features::Features;

/// Which windows take in which records, and what they compute of them, as text.
#[derive(Debug, Clone, Copy, Default)]
pub struct BranchSpec<'a> {
    /// The condition that a record must meet to be in these windows; all are in them without one.
    pub condition: Option<&'a str>,
    /// Features of a window, in order.
    pub features: &'a [(String, String)],
    /// How many seconds after a record its session ends, where each record says so.
    pub gap: Option<&'a str>,
    /// The longest that may be, in microseconds, if it is less than 366 days.
    pub gap_max: Option<i64>,
}

/// The compiled form: which of the columns in [`crate::Transformed::inputs`] belong to a branch.
#[derive(Debug)]
pub struct BranchInputs {
    pub(crate) features: Features,
    /// The column that says which records are in the branch, unless all are.
    pub(crate) mask: Option<usize>,
    /// The column of gaps.
    pub(crate) gap: Option<usize>,
}

impl BranchInputs {
    /// The features, with their aggregates.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// For each aggregate in order its filter column (booleans without NULL) if it has one, then its argument column if
    /// it has one.
    ///
    /// # Panics
    /// If these are not the inputs of the transformation.
    pub fn inputs(&self, inputs: &[ArrayRef]) -> Vec<ArrayRef> {
        self.features.input_places.iter().map(|place| Arc::clone(&inputs[*place])).collect()
    }

    /// Which of the records are in the branch, unless all are.
    ///
    /// # Panics
    /// As [`BranchInputs::inputs`].
    pub fn mask<'a>(&self, inputs: &'a [ArrayRef]) -> Option<&'a BooleanBuffer> {
        self.mask.map(|place| inputs[place].as_boolean().values())
    }

    /// After how many microseconds the session of each record ends, where the branch asks for it. Of records of other
    /// branches it says nothing.
    ///
    /// # Panics
    /// As [`BranchInputs::inputs`].
    pub fn gaps(&self, inputs: &[ArrayRef]) -> Option<Vec<i64>> {
        self.gap.map(|place| inputs[place].as_primitive::<Int64Type>().values().to_vec())
    }
}
