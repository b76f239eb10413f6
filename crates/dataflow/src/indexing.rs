//! The index from event time to position as a part of checkpoints: how it is written, and how large it may be.
//!
//! It is written whole with each checkpoint, so all of them together are bounded: the more partitions a job reads, the coarser
//! the index of each.

use checkpoint::{Kind, SourceState, decode, encode};
use event::Decoded;
use ingest::TimeIndex;

use crate::job::RunError;

/// Bytes that the indexes of all partitions that are read take in a checkpoint, about.
const ALL_BYTES: usize = 512 << 10;
/// Bytes that one may take however many there are, and however few.
const BYTES: std::ops::RangeInclusive<usize> = 512..=32 << 10;

/// Bytes that each of so many partitions may take.
pub(crate) fn bytes_of_each(partitions: usize) -> usize {
    (ALL_BYTES / partitions.max(1)).clamp(*BYTES.start(), *BYTES.end())
}

/// How many bytes were decoded: from the first record on, since what was decoded before may stand in front of it.
pub(crate) fn bytes_of(decoded: &Decoded) -> u64 {
    let records = &decoded.records;
    let accepted = match (records.starts.first(), records.offsets.first()) {
        (Some(start), _) => Some(*start as usize),
        (None, Some(offset)) => offset.checked_sub(records.base).and_then(|at| usize::try_from(at).ok()),
        (None, None) => None,
    };
    let rejected = decoded.rejected.first().map(|record| record.place.start);
    let first = accepted.into_iter().chain(rejected).min().unwrap_or_default();
    records.bytes.len().saturating_sub(first) as u64
}

/// An index as a checkpoint has it, in about so many bytes at most: as fine as that allows.
///
/// # Errors
/// If it cannot be encoded.
pub(crate) fn encoded(index: &TimeIndex, bytes_max: usize) -> Result<Vec<u8>, RunError> {
    let encode = |index: &TimeIndex| {
        encode(Kind::Index, index)
            .map_err(|error| RunError::Snapshot(format!("index of event times: {error}")))
    };
    let (mut bytes, mut resolution) = (encode(index)?, TimeIndex::RESOLUTION);
    while bytes.len() > bytes_max && resolution > TimeIndex::RESOLUTION_MIN {
        resolution /= 2;
        bytes = encode(&index.thinned(resolution))?;
    }
    Ok(bytes)
}

/// The index that a checkpoint has of a partition; `None` if nothing was read of it.
///
/// # Errors
/// If it is no index.
pub(crate) fn decoded(state: &SourceState) -> Result<Option<TimeIndex>, RunError> {
    if state.index.is_empty() {
        return Ok(None);
    }
    let index = decode(Kind::Index, &state.index);
    index.map(Some).map_err(|error| RunError::Snapshot(format!("index of {}: {error}", state.partition)))
}
