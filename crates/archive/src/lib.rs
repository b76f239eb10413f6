//! The archive of a job: every record that it read, in Parquet files by date, and the way back to the same alerts.
//!
//! Sits between `ingest`, `alert` and `dataflow`, which hands it what each worker has read ([`Block`]) and has it staged at a cut
//! ([`Stager`]), shown once the checkpoint is committed ([`Archive::show`]), and read again as a source ([`open`]). A
//! record has its bytes, its partition, its offset there, its event time, what became of it, and its `seen`; where its
//! partition's watermark was lifted by a decision that no record explains, as when it woke, it has that as well. So a
//! replay judges each record as the live run did.
//!
//! Promises: a file is complete and durable before it has a name that readers look for, holds records of one committed
//! checkpoint and is never changed; each record that a committed checkpoint has read is in exactly one such file.
//!
//! ```text
//! staged/NAME                          written before the commit; removed by the next start if that never comes
//! events/date=2026-11-28/NAME.parquet  what a commit has made visible; the date is that of the event, and the name
//!                                      ends with checksums, by which a replay finds out that a file is damaged
//! rows/sink=NAME/date=2026-11-28/NUMBER.parquet  what a sink was given with a checkpoint ([`open_sink`])
//! ```
//!
//! ```
//! use archive::{Block, Line, Outcome};
//! use event::Watermark;
//! # use archive::Origin;
//! # let origin = Origin { source: "events".into(), number: 0, series: 0, partition: "file#0".into() };
//!
//! let line = |offset, start| {
//!     let (end, seen, time, outcome) = (None, Watermark::NONE, Some(0), Outcome::Accepted);
//!     Line { offset, start, end, seen, time, outcome }
//! };
//! let (bytes, lines) = (b"{}\n{\"ts\":0}\n".to_vec(), vec![line(0, 0), line(3, 3)]);
//! let end = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
//! let block = Block { origin: origin.into(), bytes, lines, header: None, end, lifted: None };
//! assert_eq!(block.record(&block.lines[1]), b"{\"ts\":0}");
//! ```

mod block;
#[cfg(feature = "parquet")]
mod catalog;
mod date;
mod error;
#[cfg(feature = "parquet")]
mod file;
#[cfg(feature = "parquet")]
mod lanes;
mod place;
#[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "nobody reads one"))]
mod seal;
#[cfg(feature = "parquet")]
mod sink;
mod stager;
#[cfg(feature = "parquet")]
#[cfg(test)]
mod tests;

pub use block::{Block, Line, Origin, Outcome};
pub use error::ArchiveError;
#[cfg(feature = "parquet")]
pub use lanes::{open, partitions};
pub use place::{Archive, Archived, StagedFile, probe};
#[cfg(feature = "parquet")]
pub use sink::open_sink;
pub use stager::Stager;
