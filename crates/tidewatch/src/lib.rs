//! tidewatch watches keyed event streams: this crate is its command line, its configuration, and the way to write a
//! job in Rust ([`stream`]).
//!
//! Sits on top of everything: reads a config ([`config`]), compiles it ([`job`]) and gives it to `dataflow`,
//! which runs it. The program is [`cli::main`] and nothing else.
//!
//! ```
//! use tidewatch::{config, job};
//!
//! let text = r#"
//!     [source.events]
//!     type = "stdin"
//!     [event]
//!     key = "user_id"
//!     time = { field = "ts", unit = "ms" }
//!     [window]
//!     type = "tumbling"
//!     size = "10m"
//!     [features]
//!     events = "count(*)"
//!     [sink.rows]
//!     type = "stdout"
//!     format = "plain"
//!     columns = ["user_id", "event"]
//! "#;
//! let inputs = config::Inputs { path: "job.toml".as_ref(), text, sets: &[], environment: &[] };
//! let reading = config::read(&inputs);
//! let mistakes = job::compile(&reading).unwrap_err();
//! assert_eq!(
//!     mistakes[0].render(&reading.sources, false).lines().collect::<Vec<_>>(),
//!     [
//!         "error[E0201]: unknown column `event`",
//!         "  --> job.toml:15:28",
//!         "   |",
//!         "15 |     columns = [\"user_id\", \"event\"]",
//!         "   |                            ^^^^^ help: did you mean `events`?",
//!     ]
//! );
//! ```

pub mod backtest;
pub mod cli;
pub mod config;
#[cfg(feature = "http")]
mod endpoint;
mod here;
pub mod job;
mod local;
pub mod prelude;
mod progress;
mod report;
mod same;
mod signals;
mod sql;
pub mod stream;
mod supervise;
mod usage;

#[cfg(test)]
mod tests;
