//! What flows through tidewatch: the nouns that every other crate shares.
//!
//! Sits below everything and depends on nothing of ours. Holds types, their stable encodings and their
//! checks; no IO, no clock, no threads. Crates of the middle layer (`ingest`, `transform`, `window`,
//! `detect`, `alert`, `checkpoint`) know one another only through what is here.
//!
//! ```
//! use event::{DataType, Field, KeyShape, Schema, Shard};
//!
//! let schema = Schema::new(vec![Field::new("user_id", DataType::Varchar)]);
//! assert_eq!(schema.index_of("user_id"), Some(0));
//!
//! // A key is bytes whose order is the order of its values; its hash never changes.
//! let key = KeyShape::new(vec![DataType::Varchar]).unwrap().encode_text(&["user-7"]).unwrap();
//! assert_eq!(key, b"user-7");
//! assert!(Shard::of(event::key_hash(&key), 1024).0 < 1024);
//! ```

mod aggregate;
mod batch;
mod bins;
mod cap;
mod counts;
mod data_type;
mod detected;
mod epoch;
mod explanation;
mod expression;
mod key;
mod memory;
mod output;
mod own;
mod probe;
mod quarantine;
mod records;
mod rows;
mod secret;
mod time;
mod topic;

pub use aggregate::{Aggregate, AggregateFunction, Fraction};
pub use batch::{Batch, Field, Schema};
pub use bins::{bin_of, value_of_bin};
pub use cap::{Amount, CapCourse, CapGroup, CapState, Capped, CappedMinute, Cause};
pub use counts::{ByReason, Counts};
pub use data_type::{DataType, UnknownType};
pub use detected::{
    Change, ChangeKind, Detected, FailedRows, Hit, Muted, RowSchema, Severity, UnknownSeverity, Verdict,
};
pub use epoch::Epoch;
pub use explanation::{Before, Driver, Evidence, Explanation, NOTHING_BEFORE, NearestChange, Side};
pub use expression::{Evaluation, Expression, RowFailure};
pub use key::{KeyShape, KeyShapeError, Shard, key_hash};
pub use memory::Memory;
pub use output::{Due, OutputRow, Place, SinkId};
pub use own::{Add, Argument, Output, Own, OwnAggregate, OwnState};
pub use probe::Probe;
pub use quarantine::{Reason, Rejected};
pub use records::{Decoded, Records, RejectedRecord};
pub use rows::{Outcome, Rows, Span, Spans};
pub use secret::Secret;
pub use time::{MICROS_PER_MILLI, MICROS_PER_SECOND, Watermark, Window};
pub use topic::Topic;
