//! Streams of Amazon Kinesis as sinks: a record for each row, whose partition key is the key of the row.
//!
//! At least once: a stream cannot say how far it got, so after a crash the last delivery comes again, with the same bytes
//! and, in alerts, the same ids. Rows of one key come in their order, also where some are refused and tried again.

#[cfg(feature = "kinesis")]
mod keys;
#[cfg(feature = "kinesis")]
mod rounds;
#[cfg(feature = "kinesis")]
mod stream;

use std::time::Duration;

use super::table::Shape;
use super::{Delivery, Sink, SinkError};

/// A stream of Amazon Kinesis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KinesisTarget {
    /// Its name or ARN.
    pub stream: String,
    /// Its region; without it that of the ARN, the environment or the profile.
    pub region: Option<String>,
    /// The address of the service; without it Amazon's.
    pub endpoint: Option<String>,
    /// How long a stream that is away is waited for.
    pub retry_for: Duration,
}

/// Opens a stream for rows that nobody has delivered before.
#[cfg(feature = "kinesis")]
pub(super) fn open(sink: &str, target: &KinesisTarget, shape: &Shape) -> Result<Box<dyn Sink>, SinkError> {
    Ok(Box::new(stream::Stream::open(sink, target, shape, 0)?))
}

/// Opens a stream again, and delivers what was put out last once more: all before it had come before that.
#[cfg(feature = "kinesis")]
pub(super) fn resume(
    sink: &str,
    target: &KinesisTarget,
    shape: &Shape,
    deliveries: &[Delivery],
) -> Result<Box<dyn Sink>, SinkError> {
    let start = deliveries.last().map_or(0, |last| last.start);
    let mut stream = stream::Stream::open(sink, target, shape, start)?;
    if let Some(last) = deliveries.last() {
        stream.deliver(last.number, &last.bytes)?;
    }
    Ok(Box::new(stream))
}

#[cfg(not(feature = "kinesis"))]
pub(super) fn open(sink: &str, _target: &KinesisTarget, _shape: &Shape) -> Result<Box<dyn Sink>, SinkError> {
    Err(SinkError::NotBuilt { sink: sink.to_owned(), feature: "kinesis" })
}

#[cfg(not(feature = "kinesis"))]
pub(super) fn resume(
    sink: &str,
    target: &KinesisTarget,
    shape: &Shape,
    _deliveries: &[Delivery],
) -> Result<Box<dyn Sink>, SinkError> {
    open(sink, target, shape)
}
