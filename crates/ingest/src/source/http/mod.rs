//! Events that clients post: `POST /v1/events`.
//!
//! A client is answered with 2xx once its events are in a [journal], on this machine's disk. The journal is the one
//! partition: lines of JSON, read in order, whose offsets go into checkpoints. What lies behind the last checkpoint is
//! removed. Duplicates are found before the journal, so that what the job reads, and so its answer, rests on what
//! the journal holds and on nothing else.
//!
//! The server listens from the first poll until the partition is dropped: when the job is told to stop, requests in
//! hand are answered and others are told to come again.

#[cfg(feature = "http")]
mod again;
#[cfg(feature = "http")]
mod body;
#[cfg(feature = "http")]
mod door;
#[cfg(feature = "http")]
mod events;
#[cfg(feature = "http")]
mod id;
#[cfg(feature = "http")]
mod partition;
mod spec;

#[cfg(feature = "http")]
pub(super) use again::{open_again, read_again};
#[cfg(feature = "http")]
pub(super) use partition::{Posted, partitions};
pub use spec::{Dedup, HttpLimits, HttpSpec};
