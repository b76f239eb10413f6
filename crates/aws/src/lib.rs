//! The way to Amazon's services: region, credentials, a client with TLS by ring, and what to do about a failure.
//!
//! Below `ingest` and `alert`, which read and write streams of Kinesis through it. Who may come in is found as by any
//! program of Amazon's: environment, profile, web identity, container, instance. Plain `http://` addresses are taken
//! too, for servers on this machine that stand in for Amazon's. One thread drives all connections of a process.
//!
//! ```
//! let region = Some("us-east-1".to_owned());
//! let access = aws::Access { region, endpoint: Some("http://127.0.0.1:4567".to_owned()) };
//! // Nobody is asked yet.
//! let kinesis = aws::kinesis(&access).expect("a client");
//! assert_eq!(kinesis.clock.millis(), None);
//! ```

mod backoff;
mod clock;
mod connect;
mod runtime;
mod trouble;

pub use backoff::Backoff;
pub use clock::ServerClock;
pub use connect::{Access, Kinesis, kinesis};
pub use runtime::{block_on, runtime};
pub use trouble::{Trouble, event_trouble, trouble};
