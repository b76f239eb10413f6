//! The timely graph, the workers, and recovery: everything that moves events between the pure crates.
//!
//! Takes a compiled [`Job`] from `tidewatch`, runs it on the threads of one process or on those of many, and
//! says what came of it. The only crate that knows timely. [`graph`](self) in `graph.rs` shows the way of
//! an event in eight steps.
//!
//! Promises: what is put out depends on the content of each partition alone; what is under way is bounded
//! ([`Flow`]); with a [`StateSpec`] a run goes on where the last one was committed, whatever the number of
//! workers.
//!
//! ```
//! use dataflow::{Cluster, Control, Flow};
//!
//! // A cluster of one process with two worker threads; a job is asked to end through its control.
//! let cluster = Cluster { workers: 2, process: 0, hosts: vec![] };
//! let control = Control::default();
//! control.drain();
//! assert!(control.is_draining() && cluster.hosts.is_empty());
//! assert!(Flow::default().ticks > 0);
//! ```

mod archiving;
mod asking;
mod branch;
mod branches;
mod capping;
mod columns;
mod commit;
mod custody;
mod delivery;
pub mod explain;
mod fault;
mod followed;
mod graph;
mod held;
mod indexing;
mod intake;
mod job;
mod listing;
mod member;
mod mesh;
mod message;
mod nursery;
mod operators;
mod pace;
mod panics;
mod plant;
mod question;
mod recovery;
mod route;
mod run;
mod scout;
#[cfg(feature = "simulation")]
pub mod simulation;
mod sleep;
mod snapshot;
mod space;
mod standing;
mod vitals;
mod worker;
mod world;

pub use branch::Branch;
pub use custody::{Custody, InHand, Poison, Suspect, partition_names};
pub use ingest::Lag;
pub use job::{Beginning, Cluster, Control, Flow, Job, Progress, RunError, StateSpec, Summary};
pub use mesh::{MeshSpec, TlsSpec, TokenSpec};
pub use question::{Finding, TooMany};
pub use run::{Port, listen, run};
pub use space::once_there_is_space;
pub use vitals::{Beat, HeldState, ReadPartition, Receiving, Vitals};

/// Shards of a job that does not say how many.
pub const SHARDS: u32 = 1024;
