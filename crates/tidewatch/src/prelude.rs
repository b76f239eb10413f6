//! The words of a job in Rust: `use tidewatch::prelude::*`.

pub use crate::stream::Unit::{Micros, Millis, Nanos, Rfc3339, Seconds};
pub use crate::stream::{
    after, archive, count, cumulate, days, each, events, every, file, from_file, generate, global, hours,
    http, kafka, kinesis, millis, minutes, postgres, rule, seconds, session, session_by, sliding, sqlite,
    stdin, stdout, tumbling, webhook, workers,
};
pub use event::DataType::{Bigint, Boolean, Date, Decimal, Double, Timestamp, TimestampTz, Varchar};
pub use event::OwnAggregate as Aggregate;
pub use event::Severity::{Critical, Info, Warning};
