//! What tests and benchmarks hold tidewatch against. A dev-dependency only: nothing here ships.
//!
//! - [`oracle`]: the windowed job in batch, slow and obvious, written from the declarative rule alone. It
//!   shares no code with `window` or `dataflow`, only the nouns of `event`.
//! - [`podcast`]: the podcast job on a file, through that oracle: the rows, the counts, the quarantine.
//! - [`workload`]: builds the generator, the reference and the limit of `tests/workload/`.
//! - [`lanes`], [`arrival`], [`random`]: inputs, cut and reordered, from a seed.
//! - [`job`]: a run of the program on a config, with its outputs in a folder.
//! - [`duckdb`]: another program that reads Parquet files.
//! - [`postgres`], [`s3`], [`ssh`]: a real database server, object store, SSH server; [`served`]. With the feature
//!   `kafka` a real broker.
//! - [`http`]: a client that posts what it is told.
//! - [`receiver`]: a receiver of webhooks, which answers well or badly.
//! - [`postgres`], [`s3`], [`ssh`], [`kinesis`]: a real database server, object store, SSH server, streams; [`served`].
//! - [`process`], [`hosts`], [`usage`]: whole processes, started, signalled, killed and measured.
//!
//! Everything here may panic: it runs in tests, and a test that cannot go on has failed.
//!
//! ```
//! use testkit::oracle::{Aggregate, Job, Record, Value, Windows};
//!
//! let job = Job { bound: 5, windows: Windows::sliding(10, 10), lateness: 0, aggregates: vec![Aggregate::count()] };
//! let at = |time| Record::new("a", time, vec![]);
//! // 20 moves the watermark to 14, so [0, 10) is closed when 9 comes: 9 is late.
//! let outcome = job.run(&[vec![at(1), at(20), at(9)]]);
//! let rows: Vec<_> = outcome.rows.iter().map(|row| (row.start, row.values[0].clone())).collect();
//! assert_eq!(rows, [(0, Ok(Value::Int(1))), (20, Ok(Value::Int(1)))]);
//! assert_eq!(outcome.late.len(), 1);
//! ```

pub mod arrival;
pub mod duckdb;
pub mod hosts;
pub mod http;
pub mod job;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod kinesis;
pub mod lanes;
pub mod left_out;
pub mod onnxruntime;
pub mod oracle;
pub mod podcast;
pub mod postgres;
pub mod process;
pub mod random;
pub mod receiver;
pub mod s3;
pub mod served;
pub mod ssh;
pub mod usage;
pub mod workload;
