//! What stops a journal, and why an append is refused.

use std::io;
use std::path::{Path, PathBuf};

/// Why a journal cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The operating system refused.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("the journal in {} is in use by another process", dir.display())]
    InUse {
        /// Its directory.
        dir: PathBuf,
    },
    /// A file is not what was written.
    #[error("{} is damaged at byte {at}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The byte of the file from which on it is wrong.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A file of an earlier version of the format.
    #[error("{} is of version {found} of a journal's format, which kept no times; this program reads version 2", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// An offset that the journal does not hold.
    #[error("the journal in {} holds the offsets from {first} to {end}, not {offset}", dir.display())]
    NotHeld {
        /// Its directory.
        dir: PathBuf,
        /// The offset asked for.
        offset: u64,
        /// The first that it holds.
        first: u64,
        /// Behind its last line.
        end: u64,
    },
    /// A write has failed in a way that leaves unknown what the disk holds.
    #[error("the journal in {} has stopped: {reason}", dir.display())]
    Stopped {
        /// Its directory.
        dir: PathBuf,
        /// What has failed.
        reason: String,
    },
}

impl JournalError {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
        move |source| JournalError::Io { what, path: path.to_owned(), source }
    }

    pub(crate) fn damaged(path: &Path, at: usize, what: &'static str) -> JournalError {
        JournalError::Damaged { path: path.to_owned(), at: at as u64, what }
    }

    /// Whether what is there cannot be used, as opposed to a disk that fails or a process that is still ending.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            JournalError::Damaged { .. } | JournalError::Version { .. } | JournalError::NotHeld { .. }
        )
    }

    /// Whether there was no space, which may come back.
    pub(crate) fn is_no_space(&self) -> bool {
        matches!(self, JournalError::Io { source, .. } if matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        ))
    }
}

/// Why lines were not appended. None of them was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The journal holds all that it may: once its reader has gone on and it is trimmed, there is room.
    #[error("the journal is full")]
    Full,
    /// The disk is full.
    #[error("no space: {0}")]
    NoSpace(String),
    /// The journal has stopped, or is closed. Whether the lines are there the next start will tell.
    #[error("the journal has stopped")]
    Stopped,
}
