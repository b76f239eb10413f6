//! A job written in Rust, call by call, and run in this process.
//!
//! The calls say what the sections of a config say, with the same expressions, and become the same tree: there is one
//! compiler, and one set of messages. [`Windowed::build`] gives the job or all that is wrong with it, each mistake at
//! its word and with the line of the program; [`Job::run`] runs it.
//!
//! ```
//! use tidewatch::prelude::*;
//!
//! # let folder = tempfile::tempdir()?;
//! # let (input, output) = (folder.path().join("events.ndjson"), folder.path().join("alerts.ndjson"));
//! # std::fs::write(&input, "{\"user_id\": \"ada\", \"ts\": 1, \"event_type\": \"pause\"}\n")?;
//! let job = events(file(&input))
//!     .named("podcast")
//!     .time("ts", Millis)
//!     .field("event_type", Varchar)
//!     .key_by("user_id")
//!     .window(sliding(minutes(10), minutes(1)))
//!     .aggregate("events", "count(*)")
//!     .aggregate("pauses", "count(*) FILTER (WHERE event_type = 'pause')")
//!     .score("calm", "1 - pauses / events")
//!     .detect(rule("restless").when("calm < 0.3").severity(Critical))
//!     .alert_to(file(&output).plain(["user_id", "window_end", "pauses"]))
//!     .set("time.range=[\"1960-01-01\", \"2100-01-01\"]")
//!     .build()?;
//! let summary = job.run(workers(2))?;
//! assert_eq!((summary.counts.read, summary.counts.alerts), (1, 10));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A mistake is shown as `tidewatch check` shows it:
//!
//! ```
//! use tidewatch::prelude::*;
//!
//! let mistakes = events(stdin())
//!     .time("ts", Millis)
//!     .field("event_type", Varchar)
//!     .key_by("user_id")
//!     .window(tumbling(minutes(10)))
//!     .aggregate("pauses", "count(*) FILTER (WHERE event_typ = 'pause')")
//!     .alert_to(stdout().plain(["user_id", "pauses"]))
//!     .build()
//!     .unwrap_err();
//! let shown = mistakes.to_string();
//! let lines: Vec<&str> = shown.lines().collect();
//! assert_eq!(lines[0], "error[E0201]: unknown column `event_typ`");
//! assert_eq!(lines[3], "  | .aggregate(\"pauses\", \"count(*) FILTER (WHERE event_typ = 'pause')\")");
//! assert_eq!(lines[4], "  |                                              ^^^^^^^^^ help: did you mean `event_type`?");
//! ```

mod archive;
mod draft;
mod endpoint;
mod events;
mod from_file;
mod http;
mod job;
mod kafka;
mod kinesis;
mod names;
mod rule;
mod time;
mod webhook;
mod window;
mod words;

pub use archive::{Archive, archive};
pub use endpoint::{File, Sink, Source, file, generate, postgres, sqlite, stdin, stdout};
pub use events::{Events, Keyed, Windowed, events};
pub use from_file::{FromFile, from_file};
pub use http::http;
pub use job::{Handle, Job, Mistakes, Run, RunFailure, workers};
pub use kafka::{Topic, kafka};
pub use kinesis::{Stream, kinesis};
pub use names::Names;
pub use rule::{Rule, rule};
pub use time::{Early, Every, Unit, after, days, every, hours, millis, minutes, seconds};
pub use webhook::webhook;
pub use window::{Window, count, cumulate, each, global, session, session_by, sliding, tumbling};

pub use dataflow::{Progress, RunError, Summary};
pub use event::{Argument, Counts, DataType, Output, OwnAggregate as Aggregate, Severity};
