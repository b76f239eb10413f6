//! A file or object of which a job reads nothing: it was there before what the job is to begin with (`start`).
//!
//! It is a partition all the same. So the checkpoint that the first start of a job makes before anything is read says that
//! it is passed over, and no later start has to find that out again, whatever came or was written to since.

use super::position::Position;
use super::{Partition, PartitionInfo, Poll, Waker};
use crate::{Caution, IngestError};

/// The partition as it is when it is passed over.
pub(super) fn passed(info: PartitionInfo) -> PartitionInfo {
    PartitionInfo { start: Position::passed(), ..info }
}

/// Has no records, and is at its end.
pub(super) struct Passed;

impl Partition for Passed {
    fn poll(&mut self, _records_max: usize) -> Result<Poll, IngestError> {
        Ok(Poll::Finished)
    }

    fn position(&self) -> Position {
        Position::passed()
    }

    fn set_waker(&mut self, _waker: Waker) {}

    fn set_caution(&mut self, _caution: Caution) {}
}
