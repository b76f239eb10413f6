//! Records of a shard read once more.
//!
//! A quarantine row has the number of its record among those that were read of the shard since the job's first start,
//! which a stream knows nothing of. Some rows say the sequence number as well, and each checkpoint has one with the number that
//! belongs to it. From such an anchor the shard is read on and counted; what lies before all of them is found by counting
//! from the oldest record that there is up to an anchor, so that its number is known.

use std::collections::BTreeMap;
use std::time::Instant;

use super::super::again::messages::read_on;
use super::super::again::{Sought, WAIT, WAIT_MAX, Wanted};
use super::super::position::{KinesisOrigin, KinesisPlace, Origin, Position};
use super::super::{Partition, PartitionInfo, Poll};
use super::shard::Shard;
use super::{KinesisError, KinesisMode, KinesisSpec};
use crate::{DecodeSpec, Decoder, IngestError};

/// Records that are read to come to the next one that is wanted, where it could be gone to.
const STEP_MAX: u64 = 1_000;
/// Why a record is not to be had that may have been there.
const TOO_OLD: &str = "its shard does not keep records that old any more";
/// Why one is not to be had of which that is all that is known.
const NOWHERE: &str =
    "nobody knows which record of its shard it was: no checkpoint of the job and no row says it";
const SEQUENCE: &str = "sequence number ";
const PACKED: &str = ", sub-sequence ";

/// How a row says where its record stands: the sequence number, and in an aggregate how many are packed in front of it.
pub(super) fn words(sequence: &str, packed: Option<u64>) -> String {
    let packed = packed.map_or(String::new(), |packed| format!("{PACKED}{packed}"));
    format!("{SEQUENCE}{sequence}{packed}")
}

/// The place at the end of what a row says.
fn place_in(detail: &str) -> Option<KinesisPlace> {
    let (_, place) = detail.strip_suffix(')')?.rsplit_once('(')?;
    let place = place.strip_prefix(SEQUENCE)?;
    let (sequence, packed) = match place.split_once(PACKED) {
        Some((sequence, packed)) => (sequence, packed.parse().ok()?),
        None => (place, 0),
    };
    let is_number = !sequence.is_empty() && sequence.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| KinesisPlace::Within { sequence: sequence.to_owned(), packed, arrived: i64::MIN })
}

/// Places of the shard by the number of the record that comes next there.
type Anchors = BTreeMap<u64, KinesisPlace>;

/// Reads what is wanted of a shard.
///
/// # Errors
/// If the stream cannot be read.
pub(in crate::source) fn read_again(
    spec: &KinesisSpec,
    decode: &DecodeSpec,
    info: &PartitionInfo,
    known: &[Position],
    sought: &[Sought<'_>],
    wanted: &mut Wanted<'_, '_>,
) -> Result<(), IngestError> {
    let Origin::Kinesis(origin) = &info.start.origin else {
        return Err(IngestError::Kind { name: spec.stream.clone() });
    };
    // To ask needs no consumer of its own.
    let spec = KinesisSpec { mode: KinesisMode::Polling, ..spec.clone() };
    let reading = Reading { spec: &spec, decode, info, origin };
    let mut anchors = anchors(&spec, known, sought);
    let is_known = !anchors.is_empty();
    while let Some(first) = wanted.first() {
        let is_far =
            |last: u64, next: u64| next - last > STEP_MAX && anchors.range(last + 1..=next).next().is_some();
        let Some((from, place)) = anchors.range(..=first).next_back() else {
            reading.read_before_all(&anchors, is_known, &is_far, wanted)?;
            continue;
        };
        let from = *from;
        let shard = reading.open(from, place.clone());
        match shard.and_then(|mut shard| read_on(&mut shard, 0, &is_far, wanted)) {
            // What comes behind it may still be there.
            Err(IngestError::Kinesis(KinesisError::Expired { .. })) => {
                anchors.retain(|number, _| *number > from);
            }
            read => read?,
        }
    }
    Ok(())
}

/// Opens a shard where it was read before. To ask needs no consumer of its own.
///
/// # Errors
/// If the stream cannot be read, or the position is of another one.
pub(in crate::source) fn open_again(
    spec: &KinesisSpec,
    decode: &DecodeSpec,
    info: &PartitionInfo,
    from: &Position,
) -> Result<Box<dyn Partition>, IngestError> {
    let spec = KinesisSpec { mode: KinesisMode::Polling, ..spec.clone() };
    Ok(Box::new(Shard::open(&spec, info, Some(from), Decoder::new(decode.clone()))?))
}

fn anchors(spec: &KinesisSpec, known: &[Position], sought: &[Sought<'_>]) -> Anchors {
    let of_rows = sought.iter().filter_map(|sought| Some((sought.offset, place_in(sought.detail)?)));
    let of_checkpoints = known.iter().filter_map(|position| match &position.origin {
        Origin::Kinesis(origin) if origin.stream == spec.stream => match &origin.place {
            KinesisPlace::Horizon | KinesisPlace::Time(_) => None,
            place => Some((position.offset, place.clone())),
        },
        _ => None,
    });
    of_rows.chain(of_checkpoints).collect()
}

/// A shard that is read again.
struct Reading<'a> {
    spec: &'a KinesisSpec,
    decode: &'a DecodeSpec,
    info: &'a PartitionInfo,
    origin: &'a KinesisOrigin,
}

impl Reading<'_> {
    fn open(&self, offset: u64, place: KinesisPlace) -> Result<Shard, IngestError> {
        let origin =
            KinesisOrigin { place, end: None, caught_up_at: None, closed: None, ..self.origin.clone() };
        let position = Position { offset, origin: Origin::Kinesis(origin) };
        Shard::open(self.spec, self.info, Some(&position), Decoder::new(self.decode.clone()))
    }

    /// Reads what lies before all anchors that the shard still has. `is_known` says whether there were any.
    fn read_before_all(
        &self,
        anchors: &Anchors,
        is_known: bool,
        is_far: &dyn Fn(u64, u64) -> bool,
        wanted: &mut Wanted<'_, '_>,
    ) -> Result<(), IngestError> {
        let Some(oldest) = self.number_at_horizon(anchors)? else {
            match anchors.last_key_value() {
                Some((last, _)) => wanted.give_up_before(*last, TOO_OLD),
                // What is behind all anchors that there were may be there, and nobody can tell which it is.
                None if is_known => wanted.give_up(TOO_OLD),
                None => wanted.give_up(NOWHERE),
            }
            return Ok(());
        };
        let number = u64::try_from(oldest.max(0)).unwrap_or(u64::MAX);
        let why = format!("{TOO_OLD}: the oldest one is number {number}");
        wanted.give_up_before(number, &why);
        read_on(&mut self.open(0, KinesisPlace::Horizon)?, oldest, is_far, wanted)
    }

    /// The number of the oldest record that there is; negative if the job began behind it. `None` if there is no anchor
    /// in what the shard has.
    fn number_at_horizon(&self, anchors: &Anchors) -> Result<Option<i128>, IngestError> {
        if anchors.is_empty() {
            return Ok(None);
        }
        let mut shard = self.open(0, KinesisPlace::Horizon)?;
        let mut since = Instant::now();
        loop {
            match shard.poll(usize::MAX)? {
                Poll::Decoded(_) => since = Instant::now(),
                Poll::Pending if since.elapsed() < WAIT_MAX => std::thread::sleep(WAIT),
                Poll::Pending | Poll::CaughtUp | Poll::Finished | Poll::Closed(_) => return Ok(None),
            }
            let found = anchors.iter().find_map(|(number, place)| match place {
                KinesisPlace::Within { sequence, packed, .. } => {
                    let offsets = shard.offsets_of(sequence)?;
                    Some(i128::from(*number) - (offsets.start + i128::from(*packed)))
                }
                KinesisPlace::After { sequence, .. } => {
                    Some(i128::from(*number) - shard.offsets_of(sequence)?.end)
                }
                KinesisPlace::Horizon | KinesisPlace::Time(_) => None,
            });
            if found.is_some() {
                return Ok(found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_where_its_record_stands_so_that_it_is_understood_again() {
        let within = |sequence: &str, packed| {
            Some(KinesisPlace::Within { sequence: sequence.to_owned(), packed, arrived: i64::MIN })
        };
        let said = |sequence, packed| place_in(&format!("no `(` here ({})", words(sequence, packed)));
        assert_eq!(said("4957", None), within("4957", 0));
        assert_eq!(said("4957", Some(0)), within("4957", 0));
        assert_eq!(said("4957", Some(12)), within("4957", 12));
        for other in [
            "",
            "late by (9)",
            "(sequence number )",
            "(sequence number 1, sub-sequence x)",
            "(sequence number 1) ",
        ] {
            assert_eq!(place_in(other), None, "{other}");
        }
    }
}
