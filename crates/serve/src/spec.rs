//! The settings of a server. Known to every build, also one that has no server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use event::Secret;

/// Where a server listens, and what a connection may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeSpec {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Certificate and key, if connections are encrypted.
    pub tls: Option<Certificate>,
    /// What a client has to show, one of these; if there are none, nothing.
    pub tokens: Vec<Secret>,
    /// Connections at a time; further ones wait to be accepted.
    pub connections: usize,
    /// Longest time for each of: the handshake, the head of a request or the wait for one.
    pub timeout: Duration,
}

/// Files in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate, and those between it and its authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}
