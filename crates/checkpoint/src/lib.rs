//! Durable state of a job: segments of chunks, and the manifests that name them.
//!
//! Sits beside the other middle crates: `dataflow` gives it bytes per operator and worker and gets them
//! back. Everything durable goes through one [`Store`]; each file begins with a format version and a
//! checksum, and `docs/checkpoint-format.md` describes it.
//!
//! Promises: a checkpoint exists when its manifest does, and a manifest is created once and never
//! replaced; a file that is damaged is refused with its name, never half read.
//!
//! ```
//! use checkpoint::{Kind, decode, encode};
//!
//! let bytes = encode(Kind::Manifest, &("anything", 7u32))?;
//! let back: (String, u32) = decode(Kind::Manifest, &bytes)?;
//! assert_eq!(back, ("anything".to_owned(), 7));
//! assert!(decode::<(String, u32)>(Kind::Manifest, &bytes[..bytes.len() - 1]).is_err());
//! # Ok::<(), checkpoint::CodecError>(())
//! ```

mod answers;
mod chain;
mod codec;
mod disk;
mod error;
mod location;
mod manifest;
mod probe;
mod retention;
#[cfg(feature = "s3")]
mod s3;
mod segment;
mod store;
#[cfg(test)]
mod tests;

pub use answers::Answers;
pub use bucket::{Bucket, Keys};
pub use chain::Chain;
pub use codec::{CodecError, Frame, Kind, decode, encode};
pub use disk::{Disk, Files, LocalDisk, LocalFiles};
pub use error::{StoreError, is_full};
pub use location::Location;
pub use manifest::{Manifest, SinkState, SourceState, Stage};
pub use retention::{Retained, Survey};
#[cfg(feature = "s3")]
pub use s3::S3Disk;
pub use segment::{Chunk, Operator, Segment, SegmentBuilder, Writer};
pub use store::{Store, nonce};
