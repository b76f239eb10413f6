//! Turns what was detected into lines, and delivers them: alert objects, plain rows, quarantine rows; to
//! standard output, files, databases and webhooks.
//!
//! Takes [`event::Detected`] from `detect`, gives [`event::OutputRow`]s to the one writer of each sink in
//! `dataflow`, which delivers them through [`Sink`]. A line depends on its row and the config alone: no
//! clock, no worker and no epoch shows in it.
//!
//! ```
//! use std::sync::Arc;
//!
//! use alert::{AlertRule, Format, Output, Renderer, Summary};
//! use arrow_array::{ArrayRef, BinaryArray, Int64Array, StringArray, TimestampMicrosecondArray};
//! use event::{
//!     Batch, DataType, Detected, FailedRows, Field, Hit, RowSchema, Severity, SinkId, Spans, Verdict,
//!     Window,
//! };
//!
//! let user = Field::new("user_id", DataType::Varchar);
//! let row = RowSchema::new(&[user], &[Field::new("pauses", DataType::Bigint)], &[]);
//! let summary = Summary::parse("{key} paused {pauses} times", &row)?;
//! let rule = AlertRule { id: "restless".into(), summary: Some(summary) };
//! let output = Output { sink: SinkId(0), format: Format::Alert { explain: true, muted: false } };
//! let renderer = Renderer::new("podcast", row.clone(), vec![rule], vec![output], None);
//!
//! let instant = |micros| -> ArrayRef {
//!     Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC"))
//! };
//! let columns: Vec<ArrayRef> = vec![
//!     Arc::new(StringArray::from(vec!["ann"])),
//!     instant(0),
//!     instant(60_000_000),
//!     Arc::new(Int64Array::from(vec![9])),
//! ];
//! let verdict = Verdict { rule: 0, severity: Severity::Warning, score: Some(9.0), threshold: Some(5.0) };
//! let spans = Spans::Shared(Window { start: 0, end: 60_000_000 });
//! let rendered = renderer.render(&Detected {
//!     spans: spans.clone(),
//!     keys: BinaryArray::from_vec(vec![b"ann"]),
//!     batch: Batch::new(row.schema().clone(), columns.clone(), 1),
//!     hits: vec![Hit { row: 0, verdict: Some(verdict), change: None }],
//!     evidence: vec![],
//!     explanations: vec![],
//!     failed: FailedRows {
//!         spans,
//!         keys: BinaryArray::from_vec(vec![]),
//!         batch: Batch::new(row.schema().clone(), columns, 1).slice(0, 0),
//!         details: vec![],
//!     },
//! });
//! let alert: serde_json::Value = serde_json::from_slice(&rendered.rows[0].line)?;
//! assert_eq!(alert["data"]["summary"], "ann paused 9 times");
//! assert_eq!(alert["time"], "1970-01-01T00:01:00Z");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cap;
mod explained;
mod identity;
mod instant;
mod json;
mod object;
mod quarantine;
mod render;
mod rollup;
mod sink;
mod summary;

pub use cap::{Cap, CapLimit, CapSpec, RollUp};
pub use instant::instant;
pub use json::{Instants, JsonColumn};
pub use object::AlertRule;
pub use quarantine::quarantine_row;
pub use render::{Format, Output, Rendered, Renderer, plain_schema};
#[cfg(feature = "postgres")]
pub use sink::check_url;
pub use sink::{
    CircuitSpec, CircuitState, Deliverer, Delivery, Gauge, KinesisTarget, Mode, Quarantined, Reach, Receiver,
    Secret, Shape, Sink, SinkError, SinkKind, SinkSpec, Table, TakeAlert, Wanted, find_alerts,
    find_alerts_in, open_fresh, probe, read_quarantine, read_quarantine_file, resume_after_at_once,
    resume_at_once, resume_exactly_once,
};
#[cfg(feature = "webhook")]
pub use sink::{check_receiver, check_signing_secret};
pub use summary::{Summary, SummaryError};
