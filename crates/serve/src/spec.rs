//! The settings of a server. Known to every build, also one that has no server.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where a server listens, and what a connection may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeSpec {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Certificate and key, if connections are encrypted.
    pub tls: Option<Certificate>,
    /// What a client has to show, one of these; if there are none, nothing.
    pub tokens: Vec<Token>,
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

/// A secret of the config.
#[derive(Clone, PartialEq, Eq)]
pub enum Token {
    /// The value itself.
    Text(String),
    /// A file that holds it; white space around it is none of it.
    File(PathBuf),
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Text(_) => formatter.write_str("Token::Text(..)"),
            Token::File(path) => formatter.debug_tuple("Token::File").field(path).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_shown_when_it_is_debugged() {
        assert_eq!(format!("{:?}", Token::Text("hunter2".into())), "Token::Text(..)");
    }
}
