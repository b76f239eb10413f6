//! Why an archive cannot be written or read, and what to do about it.

use std::path::PathBuf;

use checkpoint::StoreError;

/// Why an archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The disk or the bucket said no.
    #[error(transparent)]
    Place(#[from] StoreError),
    /// A fresh job beside the archive of another, or of an earlier one.
    #[error(
        "the archive in {place} already has files, but the job starts afresh; give it another `archive.dir`, or remove them"
    )]
    NotEmpty {
        /// Where it is.
        place: PathBuf,
    },
    /// A file was staged that is not as long as it was.
    #[error(
        "{path} should have {wanted} bytes; the archive has lost records that checkpoint {number} has read"
    )]
    Lost {
        /// Which file.
        path: PathBuf,
        /// How long it was.
        wanted: u64,
        /// The checkpoint that says so.
        number: u32,
    },
    /// A file is not what the archive writes.
    #[error("{path}: {words}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        words: String,
    },
    /// The program was built without archives.
    #[error("this program was built without the feature `archive`")]
    NotBuilt,
}

impl ArchiveError {
    /// Whether a person has to settle it, as opposed to a failure that may go well the next time.
    pub fn is_refusal(&self) -> bool {
        match self {
            ArchiveError::Place(error) => error.is_refusal(),
            _ => true,
        }
    }

    /// Whether there was no space, which may come back.
    pub fn is_full(&self) -> bool {
        matches!(self, ArchiveError::Place(error) if error.is_full())
    }
}
