//! A real SSH server on this machine for tests, through `scripts/sshd.sh`.

use std::path::Path;

use crate::served::{Served, serve};

/// A server that this user can log in to, with keys made for it.
#[derive(Debug)]
pub struct Server(Served);

/// A server; `None`, with words, where there is none.
///
/// # Panics
/// If it cannot be started; with `CI=true` also if it cannot be installed.
pub fn server() -> Option<Server> {
    serve("sshd.sh", "an SSH server").map(Server)
}

impl Server {
    /// The file for `ssh -F FILE`: any host is then this server.
    pub fn config(&self) -> &Path {
        Path::new(self.0.answer())
    }
}
