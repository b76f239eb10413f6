//! How the source that takes events in over HTTP is set up. Known to every build, also one that cannot open it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Events that clients post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSpec {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The journal's directory: what is in it was acknowledged. On a local disk of the process that listens.
    pub dir: PathBuf,
    /// Bytes of the journal beyond which clients are told to come again later.
    pub journal_bytes: u64,
    /// What a client has to show, one of these; if there are none, nothing.
    pub tokens: Vec<Token>,
    /// Certificate and key, if connections are encrypted.
    pub tls: Option<HttpTls>,
    /// Which events are the same, if that is asked.
    pub dedup: Option<Dedup>,
    /// What a client may cost.
    pub limits: HttpLimits,
    /// Whether the job keeps checkpoints. Then the journal keeps what lies behind the last one; else what was not read.
    pub has_checkpoints: bool,
}

/// Files in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpTls {
    /// The certificate, and those between it and its authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Which events are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dedup {
    /// Paths of the fields that are the id of an event together. An event of which one is missing, or is neither text
    /// nor a whole number, has none and is never a duplicate.
    pub fields: Vec<Vec<String>>,
    /// How many ids are remembered.
    pub last: usize,
}

/// What a client may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// Largest body as it is sent.
    pub body_bytes: usize,
    /// Largest body once it is decompressed.
    pub decompressed_bytes: usize,
    /// Connections at a time; further ones wait to be accepted.
    pub connections: usize,
    /// Longest time for each of: the handshake, the head of a request or the wait for one, its body, its journal.
    pub timeout: Duration,
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
