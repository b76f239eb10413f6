//! Reads partitions of a source in offset order, decodes newline-delimited JSON or CSV into columns, and states
//! how far event time has come.
//!
//! First of the crates that an event travels through; `dataflow` polls it and hands the columns to
//! `transform`. Plain structs: no timely, and no threads but those that wait for what lies outside of this machine. A record
//! that does not fit is a value ([`event::RejectedRecord`]), never an error and never a panic.
//!
//! ```
//! use event::DataType;
//! use ingest::{DecodeSpec, Decoder, FieldSpec, PartitionWatermark, Piece, TimeSpec, TimeUnit, WatermarkSpec};
//!
//! let spec = DecodeSpec::new(
//!     vec![FieldSpec::new("duration_s", DataType::Double)],
//!     TimeSpec::new(&["ts"], TimeUnit::Millis),
//! );
//! let lines = b"{\"ts\":1700000000000,\"duration_s\":12.5}\n{\"ts\":\"soon\"}\n".to_vec();
//! let (decoded, rest) = Decoder::new(spec).decode(Piece::new(lines, 0), usize::MAX);
//! assert!(rest.is_none());
//! assert_eq!(decoded.records.times, [1_700_000_000_000_000]);
//! assert_eq!(decoded.rejected[0].reason.code(), "type");
//!
//! let mut watermark = PartitionWatermark::new(WatermarkSpec::Bounded(5_000_000));
//! assert!(watermark.mark(&decoded.records.times, &[]).is_empty());
//! assert_eq!(watermark.watermark().0, 1_699_999_994_999_999);
//! ```

mod decode;
mod error;
mod idleness;
mod source;
mod watermark;

pub use decode::{
    Caution, CsvHeader, DecodeSpec, Decoder, FieldSpec, HeaderFault, Messages, Piece, TimeSpec, TimeUnit,
    Witness,
};
pub use error::IngestError;
pub use idleness::Idleness;
pub use source::{
    Compression, Dedup, Discovery, End, Format, GenerateSpec, Give, HttpLimits, HttpSpec, Incident,
    IncidentKind, IndexError, Isolation, KinesisError, KinesisMode, KinesisSpec, Lag, NOTHING_THERE,
    OpenArchived, Partition, PartitionInfo, Poll, Position, Scenario, Sought, SourceKind, SourceSpec, Start,
    Stretch, TimeIndex, Waker, discovery, open, open_again, partitions, partitions_now, probe, read_again,
    read_archived_again, truth, write_events, write_truth,
};
pub use watermark::{PartitionWatermark, WatermarkSpec};
