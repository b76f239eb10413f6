//! A stream of Amazon Kinesis: a partition is a shard.
//!
//! A task for each shard fetches ahead of its partition on the one thread for Amazon's services ([`fetch`], with
//! [`polling`] or [`fan_out`]), into a queue with a bound ([`queue`]); [`shard`] takes records from there, undoes
//! aggregates ([`aggregate`]) and knows the position. [`list`] says which shards there are. What went wrong on the way is
//! tried again from the last record that was fetched, so that none is lost or comes twice.
//!
//! The offset of a record is its number among those that were read of its shard since the job's first start.

#[cfg(feature = "kinesis")]
mod again;
#[cfg(feature = "kinesis")]
mod aggregate;
mod error;
#[cfg(feature = "kinesis")]
mod fan_out;
#[cfg(feature = "kinesis")]
mod fetch;
#[cfg(feature = "kinesis")]
mod list;
#[cfg(feature = "kinesis")]
mod polling;
#[cfg(feature = "kinesis")]
mod queue;
#[cfg(feature = "kinesis")]
mod shard;

use std::time::Duration;

use serde::{Deserialize, Serialize};

#[cfg(feature = "kinesis")]
pub(super) use again::{open_again, read_again};
pub use error::KinesisError;

use super::position::Position;
use super::{Discovery, Partition, PartitionInfo, SourceSpec};
use crate::{Decoder, IngestError};

/// A stream of Amazon Kinesis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KinesisSpec {
    /// Its name or ARN.
    pub stream: String,
    /// Its region; without it that of the ARN, the environment or the profile.
    pub region: Option<String>,
    /// The address of the service; without it Amazon's.
    pub endpoint: Option<String>,
    /// How records are fetched.
    pub mode: KinesisMode,
    /// How long a shard is not asked again after it was asked, when polling. Zero: as fast as it goes, without regard to
    /// the limits of the service.
    pub poll_every: Duration,
    /// How long a stream that is away is waited for.
    pub retry_for: Duration,
}

/// How records are fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KinesisMode {
    /// Each shard is asked again and again, at a rate that it shares with all who ask it.
    Polling,
    /// Enhanced fan-out: the shards send what they have to a consumer of that name, which is registered if need be.
    FanOut {
        /// Its name.
        consumer: String,
    },
}

#[cfg(feature = "kinesis")]
impl KinesisSpec {
    fn access(&self) -> aws::Access {
        // arn:aws:kinesis:REGION:ACCOUNT:stream/NAME
        let of_arn = || self.arn().and_then(|arn| arn.split(':').nth(3)).map(str::to_owned);
        aws::Access { region: self.region.clone().or_else(of_arn), endpoint: self.endpoint.clone() }
    }

    fn arn(&self) -> Option<&str> {
        Some(self.stream.as_str()).filter(|stream| stream.starts_with("arn:"))
    }

    /// The name, if it is not an ARN.
    fn name(&self) -> Option<&str> {
        Some(self.stream.as_str()).filter(|stream| !stream.starts_with("arn:"))
    }
}

/// All shards of a stream, as they are now.
#[cfg(feature = "kinesis")]
pub(super) fn partitions(
    spec: &SourceSpec,
    kinesis: &KinesisSpec,
) -> Result<Vec<PartitionInfo>, IngestError> {
    Ok(list::partitions(kinesis, spec.start, spec.end)?)
}

/// Who looks for shards that come; nobody where only what was there counts.
#[cfg(feature = "kinesis")]
pub(super) fn discovery(
    spec: &SourceSpec,
    kinesis: &KinesisSpec,
) -> Result<Option<Box<dyn Discovery>>, IngestError> {
    Ok(match spec.end {
        super::End::Latest => None,
        super::End::Never => Some(Box::new(list::Looking::new(kinesis.clone()))),
    })
}

/// Opens a shard.
#[cfg(feature = "kinesis")]
pub(super) fn open(
    kinesis: &KinesisSpec,
    partition: &PartitionInfo,
    resume: Option<&Position>,
    decoder: Decoder,
) -> Result<Box<dyn Partition>, IngestError> {
    Ok(Box::new(shard::Shard::open(kinesis, partition, resume, decoder)?))
}

#[cfg(not(feature = "kinesis"))]
pub(super) fn partitions(
    spec: &SourceSpec,
    _kinesis: &KinesisSpec,
) -> Result<Vec<PartitionInfo>, IngestError> {
    Err(KinesisError::NotBuilt { name: spec.name.clone() }.into())
}

#[cfg(not(feature = "kinesis"))]
pub(super) fn discovery(
    spec: &SourceSpec,
    _kinesis: &KinesisSpec,
) -> Result<Option<Box<dyn Discovery>>, IngestError> {
    Err(KinesisError::NotBuilt { name: spec.name.clone() }.into())
}

#[cfg(not(feature = "kinesis"))]
pub(super) fn open(
    kinesis: &KinesisSpec,
    _partition: &PartitionInfo,
    _resume: Option<&Position>,
    _decoder: Decoder,
) -> Result<Box<dyn Partition>, IngestError> {
    Err(KinesisError::NotBuilt { name: kinesis.stream.clone() }.into())
}

#[cfg(not(feature = "kinesis"))]
pub(super) fn open_again(
    kinesis: &KinesisSpec,
    _decode: &crate::DecodeSpec,
    _info: &PartitionInfo,
    _from: &Position,
) -> Result<Box<dyn Partition>, IngestError> {
    Err(KinesisError::NotBuilt { name: kinesis.stream.clone() }.into())
}

#[cfg(not(feature = "kinesis"))]
pub(super) fn read_again(
    kinesis: &KinesisSpec,
    _decode: &crate::DecodeSpec,
    _info: &PartitionInfo,
    _known: &[Position],
    _sought: &[super::again::Sought<'_>],
    _wanted: &mut super::again::Wanted<'_, '_>,
) -> Result<(), IngestError> {
    Err(KinesisError::NotBuilt { name: kinesis.stream.clone() }.into())
}
