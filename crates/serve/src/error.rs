//! Why a server cannot listen.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or is none of this machine.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A file that a setting names cannot be used.
    #[error("cannot use {}, `{setting}`: {words}", path.display())]
    Unusable {
        /// Which setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        words: String,
    },
}

impl ServeError {
    /// Whether the setting is wrong, as opposed to a machine that does not allow for it now.
    pub fn is_refusal(&self) -> bool {
        matches!(self, ServeError::Unusable { .. })
    }
}
