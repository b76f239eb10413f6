//! The way to the objects of an S3-compatible store: which bucket, a client with TLS by ring, and what is asked again.
//!
//! Below `ingest`, which reads objects as a source, and `checkpoint`, which keeps state and archives in them. Who asks
//! comes from the environment (`AWS_ACCESS_KEY_ID` and its like) or the machine's role, so that it is the same for all.
//!
//! Promises: a server that is away, or has no time, is asked again for [`Bucket::retry_for`], less and less often, and
//! people are told once. What it refuses (no such bucket, no right to read) fails at once. Calls block; behind them is a
//! small runtime of each client's own.
//!
//! ```
//! use bucket::Bucket;
//!
//! let bucket = Bucket::parse("s3://bucket/team/job").expect("s3").expect("an address");
//! assert_eq!((bucket.name.as_str(), bucket.prefix.as_str()), ("bucket", "team/job"));
//! assert!(Bucket::parse("state").is_none());
//! ```

mod address;
#[cfg(feature = "s3")]
mod client;
#[cfg(feature = "s3")]
mod clock;
#[cfg(feature = "s3")]
mod retry;

pub use address::{Bucket, Keys};
#[cfg(feature = "s3")]
pub use client::{Client, Listed, invalid};
