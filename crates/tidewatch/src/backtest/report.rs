//! What a backtest has found.

use std::collections::BTreeMap;

use serde::Serialize;

use super::measure::{Measures, OfKind};
use super::naive::Threshold;

/// What a backtest has found. Serializes to what `tidewatch backtest --format json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Name of the job.
    pub job: String,
    /// What all rules together are worth: an incident is found if any of them finds it.
    pub total: Measures,
    /// What each rule is worth by itself, by its id; behind the name of its branch and a slash where the job has several.
    pub rules: BTreeMap<String, Measures>,
    /// What is found of each kind of incident, by any rule.
    pub kinds: BTreeMap<String, OfKind>,
    /// What a single threshold is worth; none where no number could be compared, or nothing would be found.
    pub naive: Option<Naive>,
    /// What it was measured on.
    pub data: Data,
}

/// The best single threshold over one feature or score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Naive {
    /// What it is worth on the data of the report.
    #[serde(flatten)]
    pub measures: Measures,
    /// Which it is.
    pub threshold: Threshold,
    /// Where it was found.
    pub fitted_on: FittedOn,
    /// Share of the keys that it was measured on: 1 unless all rows were too many to be kept.
    pub share_of_keys: f64,
}

/// Where a threshold was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FittedOn {
    /// On the very data that it is measured on, which flatters it.
    SameData,
    /// On other data.
    TrainingData,
}

/// What a backtest is about.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Data {
    /// Records read.
    pub events: u64,
    /// Those that came too late for any window.
    pub late: u64,
    /// Those that did not fit.
    pub quarantined: u64,
    /// Keys that have a row of features.
    pub keys: u64,
    /// Hours of event time.
    pub hours: f64,
    /// Keys of labels.
    pub labelled_keys: u64,
    /// Those that have no row: an incident of them alone cannot be found.
    pub labelled_keys_without_rows: u64,
}
