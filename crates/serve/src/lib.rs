//! A server of HTTP/1.1 on a thread of its own: who may come in, what a connection may cost, how it ends.
//!
//! Below whoever answers requests: the source that takes events in, and the endpoint that tells what is known of a
//! key. Knows nothing of jobs. Promises that a connection costs a place and ends in time whatever its client does, and
//! that requests in hand are answered when the server is dropped. Without the feature `server` there are only the words
//! for its settings.
//!
//! ```
//! use event::Secret;
//! use serve::ServeSpec;
//! use std::time::Duration;
//!
//! // A secret of the settings is never shown.
//! let tokens = vec![Secret::Text("not to be seen".to_owned())];
//! let (listen, timeout) = ("127.0.0.1:0".parse()?, Duration::from_secs(30));
//! let spec = ServeSpec { listen, tls: None, tokens, connections: 16, timeout };
//! assert!(!format!("{spec:?}").contains("not to be seen"));
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

#[cfg(feature = "server")]
mod error;
#[cfg(feature = "server")]
mod problem;
#[cfg(feature = "server")]
mod server;
mod spec;
#[cfg(feature = "server")]
mod tls;
#[cfg(feature = "server")]
mod token;

#[cfg(feature = "server")]
pub use error::ServeError;
#[cfg(feature = "server")]
pub use problem::Problem;
#[cfg(feature = "server")]
pub use server::{Drain, Server};
pub use spec::{Certificate, ServeSpec};
#[cfg(feature = "server")]
pub use token::Tokens;
