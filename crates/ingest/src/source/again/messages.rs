//! Records that are known by an offset of their own: of a topic, of an archive, of a shard once its numbers are known.

use std::time::Instant;

use event::{Decoded, Reason};

use super::super::{Partition, Poll};
use super::{Give, NOTHING_THERE, WAIT, WAIT_MAX, Wanted, bytes_alone};
use crate::{DecodeSpec, IngestError};

/// Opens a partition where that offset is.
pub(in crate::source) type Open<'a> = dyn FnMut(u64) -> Result<Box<dyn Partition>, IngestError> + 'a;

/// Opens a partition of an archive, with what is to be decoded, where that offset is.
pub type OpenArchived<'a> = dyn FnMut(&DecodeSpec, u64) -> Result<Box<dyn Partition>, IngestError> + 'a;

/// The same as [`read_again`](super::read_again) for a partition of an archive, which whoever knows archives opens at an
/// offset, with what is to be decoded.
///
/// # Errors
/// If the partition cannot be read at all, or not to its end.
pub fn read_archived_again(
    decode: &DecodeSpec,
    offsets: &[u64],
    open: &mut OpenArchived<'_>,
    give: &mut Give<'_>,
) -> Result<(), IngestError> {
    let decode = bytes_alone(decode);
    // Offsets may count bytes there, and to come to a row group costs more than to read one.
    read(&mut |offset| open(&decode, offset), u64::MAX, &mut Wanted { offsets, give })
}

/// Reads what is wanted, and jumps where the next one is more than `step_max` offsets away.
pub(super) fn read(
    open: &mut Open<'_>,
    step_max: u64,
    wanted: &mut Wanted<'_, '_>,
) -> Result<(), IngestError> {
    while let Some(first) = wanted.first() {
        let is_far = |last: u64, next: u64| next - last > step_max;
        let read = open(first).and_then(|mut partition| read_on(partition.as_mut(), 0, &is_far, wanted));
        match read {
            // Behind its end, as where another topic has the name now.
            Err(IngestError::Lost { oldest: Some(oldest), .. }) if oldest <= first => {
                wanted.give_up_before(first + 1, NOTHING_THERE);
            }
            Err(IngestError::Lost { oldest, .. }) => {
                let which = oldest.map_or(String::new(), |oldest| format!(": the oldest one is {oldest}"));
                let why = format!("its partition does not keep records that old any more{which}");
                wanted.give_up_before(oldest.unwrap_or(first + 1), &why);
            }
            read => read?,
        }
    }
    Ok(())
}

/// Reads an open partition on until nothing is wanted any more, it is at its end, or the next one is far from the last one
/// that was read. `shift` is what its offsets lack to those that are wanted.
pub(in crate::source) fn read_on(
    partition: &mut dyn Partition,
    shift: i128,
    is_far: &dyn Fn(u64, u64) -> bool,
    wanted: &mut Wanted<'_, '_>,
) -> Result<(), IngestError> {
    let mut since = Instant::now();
    while wanted.first().is_some() {
        match partition.poll(usize::MAX)? {
            Poll::Decoded(decoded) => {
                since = Instant::now();
                let last = take_out(&decoded, shift, wanted);
                if let (Some(last), Some(next)) = (last, wanted.first())
                    && is_far(last, next)
                {
                    return Ok(());
                }
            }
            Poll::Pending if since.elapsed() < WAIT_MAX => std::thread::sleep(WAIT),
            Poll::Pending => {
                wanted.give_up(&format!("nothing came of its source for {} s", WAIT_MAX.as_secs()));
            }
            Poll::CaughtUp | Poll::Finished | Poll::Closed(_) => wanted.give_up(NOTHING_THERE),
        }
    }
    Ok(())
}

/// Gives those that are wanted of what was read, and says of those that were passed that they are not there. Returns the
/// offset of the last record.
fn take_out(decoded: &Decoded, shift: i128, wanted: &mut Wanted<'_, '_>) -> Option<u64> {
    let records = &decoded.records;
    let rejected = decoded.rejected.iter().map(|record| (record.offset, record.place.clone(), record.reason));
    // Nothing is meant to fit, but what a record holds is not for us to choose.
    let accepted = records.offsets.iter().enumerate().filter_map(|(row, offset)| {
        let start = *records.starts.get(row)? as usize;
        let end = start + (records.end)(records.bytes.get(start..)?);
        Some((*offset, start..end, Reason::Missing))
    });
    let mut all: Vec<_> = rejected.chain(accepted).collect();
    all.sort_by_key(|(offset, ..)| *offset);
    let mut last = None;
    for (offset, place, reason) in all {
        // One from before the job's first record has no number of its own.
        let Ok(offset) = u64::try_from(i128::from(offset) + shift) else { continue };
        last = Some(offset);
        wanted.give_up_before(offset, NOTHING_THERE);
        if wanted.first() == Some(offset) {
            let record = records.bytes.get(place).unwrap_or_default();
            let record = record.strip_suffix(b"\n").unwrap_or(record);
            let record = record.strip_suffix(b"\r").unwrap_or(record);
            wanted.give_first(match reason {
                Reason::TooLong => Err("its source has only the beginning of it".to_owned()),
                _ => Ok(record),
            });
        }
    }
    last
}
