//! Judges rows of features: computes scores on whole columns, asks the job's rules, keeps the hits.
//!
//! Takes rows of features from `window`, gives [`event::Detected`] to `alert`. Pure: no IO, no
//! clock, no threads. Expressions come compiled; this crate knows no SQL.
//!
//! Detectors judge what a condition cannot say: a key beside its own past ([`baseline`], [`robust`]), a level that
//! changes ([`cusum`], [`page_hinkley`]), all features together ([`forest`]), a key
//! beside those that are alike ([`cohort`]), a row as a trained model sees it ([`Inference`]). Each is its whole state, which a checkpoint
//! holds, and gives the same on every machine; what they find is on one [`scale`].
//!
//! ```
//! use std::sync::Arc;
//!
//! use arrow_array::cast::AsArray;
//! use arrow_array::{ArrayRef, BinaryArray, BooleanArray, Int64Array, types::Int64Type};
//! use detect::{Detection, Rule};
//! use event::{
//!     Batch, DataType, Evaluation, Expression, Field, KeyShape, Rows, Schema, Severity, Spans, Window,
//! };
//!
//! /// `pauses`, the first aggregate.
//! #[derive(Debug)]
//! struct Pauses;
//! impl Expression for Pauses {
//!     fn data_type(&self) -> DataType { DataType::Bigint }
//!     fn columns(&self) -> Vec<usize> { vec![0] }
//!     fn evaluate(&self, batch: &Batch) -> Evaluation {
//!         Evaluation { column: batch.column(0).clone(), failures: Vec::new() }
//!     }
//! }
//!
//! /// `pauses > 5`, over the row `user_id, window_start, window_end, pauses`.
//! #[derive(Debug)]
//! struct ManyPauses;
//! impl Expression for ManyPauses {
//!     fn data_type(&self) -> DataType { DataType::Boolean }
//!     fn columns(&self) -> Vec<usize> { vec![3] }
//!     fn evaluate(&self, batch: &Batch) -> Evaluation {
//!         let pauses = batch.column(3).as_primitive::<Int64Type>();
//!         let column: BooleanArray = pauses.iter().map(|n| n.map(|n| n > 5)).collect();
//!         Evaluation { column: Arc::new(column), failures: Vec::new() }
//!     }
//! }
//!
//! let rule = Rule {
//!     id: "restless".into(),
//!     when: Arc::new(ManyPauses),
//!     score: None,
//!     threshold: None,
//!     min_events: 1,
//!     severity: Severity::Warning,
//!     escalate: None,
//!     agreement: None,
//!     grace: 0,
//!     life_cycle: None,
//! };
//! let detection = Detection::new(
//!     vec![Field::new("user_id", DataType::Varchar)],
//!     KeyShape::new(vec![DataType::Varchar])?,
//!     vec![("pauses".into(), Arc::new(Pauses))],
//!     vec![],
//!     vec![rule],
//! )?;
//!
//! let aggregates = Arc::new(Schema::new(vec![Field::new("pauses", DataType::Bigint)]));
//! let pauses: ArrayRef = Arc::new(Int64Array::from(vec![2, 9]));
//! let detected = detection.evaluate(&Rows {
//!     spans: Spans::Shared(Window { start: 0, end: 60_000_000 }),
//!     keys: BinaryArray::from_vec(vec![b"ann", b"bob"]),
//!     records: vec![4, 12],
//!     aggregates: Batch::new(aggregates, vec![pauses], 2),
//!     previous: vec![],
//!     failures: vec![],
//! });
//! assert_eq!(detected.hits.len(), 1);
//! assert_eq!(detected.keys.value(0), b"bob");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod agreement;
pub mod baseline;
pub mod cohort;
pub mod cusum;
mod detection;
mod detector;
mod episode;
mod error;
mod expected;
mod explain;
pub mod forest;
mod gather;
mod inference;
mod judging;
mod models;
mod mute;
pub mod onset;
pub mod page_hinkley;
mod previous;
mod random;
pub mod robust;
mod rule;
pub mod scale;
mod scoring;
mod slots;
mod unit;
mod verdict;
mod witness;

pub use agreement::{Agreement, Family};
pub use detection::{Detection, Supposed, row_schema_prefix};
pub use detector::{Chosen, Detector, Detectors, Evidence, Method, SavedDetectors};
pub use episode::{Change, Corrected, Episode, EpisodeChange, Episodes, Judged, LifeCycle, SavedEpisodes};
pub use error::DetectError;
pub use expected::{Direction, NearExpected};
pub use inference::{AskModels, Inference, Inquiry, ModelSpec, Probe, Responder};
pub use judging::Begun;
pub use models::{Models, Said, SavedModels, Share};
pub use mute::{Mute, MuteTimes};
pub use rule::Rule;
pub use scoring::Scoring;
pub use slots::SlotState;
pub use witness::{Asked, Witnesses};
