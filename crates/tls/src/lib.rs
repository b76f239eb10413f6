//! TLS to servers of others: their certificates are always checked, against the system's authorities or a file.
//!
//! Lies under what talks to such servers: sinks, and models behind an endpoint. Knows neither.
//!
//! ```
//! assert!(tls::client(None).is_ok());
//! assert!(tls::client(Some("no-such-file.pem".as_ref())).is_err());
//! ```

mod client;

pub use client::{client, client_with};
