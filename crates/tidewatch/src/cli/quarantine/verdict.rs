//! What the config as it is now would make of a record. Whether it is late nobody can say here: that depends on
//! the records before it.

use dataflow::Job;
use event::Reason;
use ingest::{Decoder, Piece};
use transform::Transform;

/// What becomes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes to the windows.
    Accepted,
    /// A filter leaves it out.
    Filtered,
    /// It goes to quarantine, for that reason.
    Rejected(Reason, String),
}

/// Decodes and transforms records one by one, as the job would.
pub(super) struct Judge {
    decoder: Decoder,
    transform: Transform,
}

impl Judge {
    pub(super) fn new(job: &Job) -> Self {
        Judge { decoder: Decoder::new(job.decode.clone()), transform: job.transform.clone() }
    }

    /// The verdict on a record that begins at that offset.
    pub(super) fn judge(&mut self, record: &[u8], offset: u64) -> Verdict {
        let (decoded, _) = self.decoder.decode(Piece::new([record, b"\n"].concat(), offset), usize::MAX);
        if let Some(rejected) = decoded.rejected.into_iter().next() {
            return Verdict::Rejected(rejected.reason, rejected.detail);
        }
        let transformed = self.transform.apply(&decoded.records.batch);
        match transformed.failures.into_iter().next() {
            Some(failure) => Verdict::Rejected(Reason::Expression, failure.detail),
            None if transformed.filtered > 0 || decoded.records.times.is_empty() => Verdict::Filtered,
            None => Verdict::Accepted,
        }
    }
}
