//! Groups the events of each key into event-time windows and gives one row of features per key and
//! window, once the watermark passes the window's end.
//!
//! Takes batches of keyed records from `transform` (by way of the exchange), gives [`event::Rows`] to
//! `detect`. Knows nothing of timely, clocks or files: `dataflow::operators::window` moves the data.
//!
//! Promises: the rows depend on the records and their `seen` alone, not on the order or the size of
//! batches (the rules of `seen` and of exact sums); the cost of an event does not depend on how many
//! windows overlap; memory follows the keys that a slice really has.
//!
//! [`Windows`] are those that all keys share and where order does not matter; [`Sequence`] takes records one after
//! the other, in an order that is the same for any number of workers: sessions, count windows, every record a row.
//!
//! ```
//! use std::sync::Arc;
//! use arrow_array::{ArrayRef, BinaryArray};
//! use event::{Aggregate, AggregateFunction, Rows, Watermark};
//! use window::{Arrivals, WindowSpec, Windows};
//!
//! let count = Aggregate::of(AggregateFunction::Count, None);
//! let mut windows = Windows::new(WindowSpec::sliding(10, 5)?, vec![count]);
//! let keys = BinaryArray::from(vec![&b"ada"[..], b"ada"]);
//! let hashes: Vec<u64> = keys.iter().flatten().map(event::key_hash).collect();
//! windows.insert(&Arrivals { keys: &keys, hashes: &hashes, times: &[3, 7], inputs: &[], partition: 0, offsets: &[] });
//!
//! let mut rows = Vec::new();
//! let emit = &mut |closed: Rows| rows.push((closed.spans.of(0).window, closed.records));
//! windows.advance(Watermark::FINISHED, emit);
//! let of = |start| rows.iter().find(|(w, _)| w.start == start).map(|(_, records)| records[0]);
//! assert_eq!((of(-5), of(0), of(5)), (Some(1), Some(2), Some(1)));
//! # Ok::<(), window::SpecError>(())
//! ```

mod aggregate;
mod aside;
mod clock;
mod index;
mod keyed;
mod late;
mod packed;
mod peek;
mod quiet;
mod recall;
mod restore;
mod sequence;
mod slice;
mod slicing;
mod snapshot;
mod spec;
mod text;
mod totals;
mod turn;
mod windows;

pub use aside::Arrival;
pub use keyed::{Keyed, KeyedRestoration, Windowing};
pub use recall::{Recall, RecallHead};
pub use restore::Restoration;
pub use sequence::{
    Assigner, Early, Judged, Late, LateRecord, Run, Sequence, SequenceRestoration, SequenceSpec, TICKS_MAX,
    TriggerSpec,
};
pub use snapshot::{ASIDES, ChunkHead, KEYS, RECALL, SnapshotError, StateChunk};
pub use spec::{Coverage, SpecError, WindowSpec};
pub use windows::{Arrivals, Windows};
