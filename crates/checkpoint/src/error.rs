//! Why durable state cannot be read or written, and what to do about it.

use std::io;
use std::path::PathBuf;

use crate::CodecError;

/// Why durable state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system said no.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is damaged, or of another version.
    #[error(
        "{path}: {source}; restore this file, go on from another checkpoint with `--from NUMBER`, \
         or begin anew with `--from-scratch`"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: CodecError,
    },
    /// A note is damaged.
    #[error("{path}: {source}; restore this file, or remove it: what it says is then found out anew")]
    Note {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: CodecError,
    },
    /// A file that a manifest names is not there, or shorter than it was.
    #[error(
        "{path} is missing or cut off, but checkpoint {number} needs it; restore it, go on from another \
         checkpoint with `--from NUMBER`, or begin anew with `--from-scratch`"
    )]
    Part {
        /// Which file.
        path: PathBuf,
        /// Which checkpoint.
        number: u32,
    },
    /// There is no such checkpoint.
    #[error("there is no checkpoint {number} in {dir}; `tidewatch checkpoints list` shows those that are")]
    Unknown {
        /// Which checkpoint.
        number: u32,
        /// Where.
        dir: PathBuf,
    },
    /// Somebody else committed that checkpoint: a newer generation has taken over.
    #[error(
        "checkpoint {number} was already committed by another run in {dir}, which has taken over; \
         only one run may use a state directory"
    )]
    Taken {
        /// Which checkpoint.
        number: u32,
        /// Where.
        dir: PathBuf,
    },
}

impl StoreError {
    /// Whether the state is refused, as opposed to a failure of the run.
    pub fn is_refusal(&self) -> bool {
        match self {
            StoreError::Damaged { .. }
            | StoreError::Note { .. }
            | StoreError::Part { .. }
            | StoreError::Unknown { .. } => true,
            StoreError::Io { .. } | StoreError::Taken { .. } => false,
        }
    }

    /// Whether there was no space, which may come back.
    pub fn is_full(&self) -> bool {
        matches!(self, StoreError::Io { source, .. } if is_full(source))
    }
}

/// Whether the system says that there is no space, or that a quota is used up.
pub fn is_full(error: &io::Error) -> bool {
    [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded].contains(&error.kind())
}
