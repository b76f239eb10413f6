//! Records read once more, by where they stood: for whoever wants the whole of what quarantine shows the beginning of.
//!
//! Each kind of source has its own way back. The offsets of files and of the generator count bytes ([`lines`]); a topic and an
//! archive know a record by its offset ([`messages`]); a shard of Kinesis knows it by a sequence number, which the row or
//! a checkpoint says, and what was posted lies in the journal until that is trimmed. What is not there any more is
//! said for each record, with the reason.
//!
//! Whoever wants all records from a place on opens the partition there ([`open_again`]).

mod lines;
pub(super) mod messages;

use std::time::Duration;

#[cfg(feature = "kafka")]
use super::End;
use super::open;
use super::{Format, Partition, PartitionInfo, Position, SourceKind, SourceSpec};
use crate::{DecodeSpec, FieldSpec, IngestError, TimeSpec, TimeUnit};

pub use messages::{OpenArchived, read_archived_again};

/// The longest record that is read again: far more than any job takes.
const RECORD_BYTES_MAX: usize = 256 << 20;
/// Offsets of a topic that are read to come to the next record that is wanted; to one that is farther it jumps.
#[cfg(feature = "kafka")]
const STEP_MAX: u64 = 10_000;
/// A partition that gives nothing for so long is not waited for.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(30);
/// How long a partition is left alone before it is asked again.
pub(super) const WAIT: Duration = Duration::from_millis(10);
/// Why there is no record where the source can be read and has none.
pub const NOTHING_THERE: &str = "its source has nothing there any more";

/// A record that is sought, as its quarantine row speaks of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sought<'a> {
    /// Its offset.
    pub offset: u64,
    /// What the row says of it, which may be where the source has it. Empty if it is not to be believed.
    pub detail: &'a str,
}

/// Takes a record that was sought, without its line end, or why there is none.
pub type Give<'a> = dyn FnMut(u64, Result<&[u8], String>) + 'a;

/// Reads the records of a partition that are sought, by ascending offsets, and gives each, or why it is not to be had.
///
/// `decode` is what the job reads of a record. `known` are places that the partition had, as its checkpoints say. A
/// partition in which nobody can jump to an offset is read from its start. Whether a record is still the same one is for
/// the caller to see. Archives are for [`read_archived_again`].
///
/// # Errors
/// If the partition cannot be read at all, or not to its end: those that were not given are not known to be lost.
pub fn read_again(
    spec: &SourceSpec,
    decode: &DecodeSpec,
    info: &PartitionInfo,
    known: &[Position],
    sought: &[Sought<'_>],
    give: &mut Give<'_>,
) -> Result<(), IngestError> {
    let offsets: Vec<u64> = sought.iter().map(|sought| sought.offset).collect();
    let mut wanted = Wanted { offsets: &offsets, give };
    let decode = bytes_alone(decode);
    match &spec.kind {
        // Of each row only the columns that are decoded are read, and here none is.
        SourceKind::File { .. } | SourceKind::Objects { .. } if spec.format == Format::Parquet => {
            wanted.give_up(
                "rows of Parquet are not read again, and its row in quarantine does not show all of it",
            );
            Ok(())
        }
        SourceKind::File { .. } | SourceKind::Objects { .. } | SourceKind::Generate(_) => {
            lines::read(spec, &decode, info, &mut wanted)
        }
        SourceKind::Stdin => Err(IngestError::NotRepeatable),
        SourceKind::Archive { address, .. } => Err(IngestError::NoArchives { place: address.clone() }),
        #[cfg(feature = "kafka")]
        SourceKind::Kafka { .. } => {
            let spec = SourceSpec { end: End::Never, ..spec.clone() };
            let mut open = |offset| open(&spec, &decode, info, Some(&info.start.at_message(offset)));
            messages::read(&mut open, STEP_MAX, &mut wanted)
        }
        #[cfg(not(feature = "kafka"))]
        SourceKind::Kafka { .. } => Err(super::not_built(spec, "kafka")),
        SourceKind::Kinesis(kinesis) => {
            super::kinesis::read_again(kinesis, &decode, info, known, sought, &mut wanted)
        }
        #[cfg(feature = "http")]
        SourceKind::Http(http) => super::http::read_again(spec, http, &mut wanted),
        #[cfg(not(feature = "http"))]
        SourceKind::Http(_) => Err(super::not_built(spec, "http")),
    }
}

/// Opens a partition once more where it was read before, for whoever only looks: nobody is listened to, no consumer is registered and nothing
/// is trimmed. It gives what it gave then, as far as its source still has it. Archives are for whoever knows them.
///
/// # Errors
/// If the source cannot be read, cannot be read again, or is not what it was; [`IngestError::Lost`] if it does not keep what is
/// that old.
pub fn open_again(
    spec: &SourceSpec,
    decode: &DecodeSpec,
    info: &PartitionInfo,
    from: &Position,
) -> Result<Box<dyn Partition>, IngestError> {
    match &spec.kind {
        SourceKind::Stdin => Err(IngestError::NotRepeatable),
        SourceKind::Kinesis(kinesis) => super::kinesis::open_again(kinesis, decode, info, from),
        #[cfg(feature = "http")]
        SourceKind::Http(http) => super::http::open_again(spec, http, decode, from),
        _ => open(spec, decode, info, Some(from)),
    }
}

/// Reads records without a look at what is in them: none has such a time, and their bytes are all there. What the job
/// reads of a message beside its value is put into its record.
fn bytes_alone(decode: &DecodeSpec) -> DecodeSpec {
    let times = [Some(&decode.time), decode.punctuation.as_ref()].into_iter().flatten();
    let paths = decode.fields.iter().map(|field| &field.path).chain(times.map(|time| &time.path));
    let of_messages = paths.filter(|path| path.first().is_some_and(|name| name.starts_with('@')));
    let fields = of_messages.enumerate().map(|(number, path)| FieldSpec {
        path: path.clone(),
        ..FieldSpec::new(format!("{number}"), event::DataType::Varchar)
    });
    let mut spec = DecodeSpec::new(fields.collect(), TimeSpec::new(&["\0"], TimeUnit::Millis));
    spec.record_bytes_max = RECORD_BYTES_MAX;
    spec
}

/// What is still to be found.
pub(super) struct Wanted<'a, 'g> {
    offsets: &'a [u64],
    give: &'a mut Give<'g>,
}

impl Wanted<'_, '_> {
    /// The offset of the next one.
    pub(super) fn first(&self) -> Option<u64> {
        self.offsets.first().copied()
    }

    /// Settles the next one.
    pub(super) fn give_first(&mut self, record: Result<&[u8], String>) {
        if let Some((first, rest)) = self.offsets.split_first() {
            self.offsets = rest;
            (self.give)(*first, record);
        }
    }

    /// Says of all before an offset why they are not to be had.
    pub(super) fn give_up_before(&mut self, offset: u64, why: &str) {
        while self.first().is_some_and(|first| first < offset) {
            self.give_first(Err(why.to_owned()));
        }
    }

    /// Says of all that are left why they are not to be had.
    pub(super) fn give_up(&mut self, why: &str) {
        while self.first().is_some() {
            self.give_first(Err(why.to_owned()));
        }
    }
}
