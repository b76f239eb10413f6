//! A coarse index of a partition from event time to position: where the records of an hour lie, without reading the rest.
//!
//! Kept by whoever reads the partition, put into each checkpoint beside its position, and used by whoever wants to read the records of a
//! window once more ([`super::again::open_again`]). A partition is cut into *stretches* as it is read; of each is known
//! where it begins, the watermark there, and the least and the greatest event time in it. So a stretch that may hold a record of a window
//! is found whatever the order of the times, and one record of a wild time makes one stretch look wide and no other.
//!
//! Promises: every record that was read lies in a stretch whose times cover its own; there are about a thousand stretches at most, however
//! long a partition is: neighbours become one, the older the sooner, and none longer than about a hundredth of all or a thirtieth
//! of its age. How a partition was cut depends on how it was polled; nothing that is put out rests on it.

use std::ops::Range;

use event::Watermark;
use serde::{Deserialize, Serialize};

use super::Position;
use super::position::Origin;

/// Records behind which the next stretch begins.
const RECORDS: u64 = 4096;
/// Bytes behind which it does.
const BYTES: u64 = 512 << 10;
/// After how many stretches it is looked which may become one.
const THINNED_EVERY: u64 = 32;
/// The fewest bytes that a stretch takes in [`Packed::numbers`].
const PACKED_MIN: usize = 7;

/// Records of a partition that were read one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// Where the first of them is to be looked for.
    pub from: Position,
    /// The watermark of the partition there.
    pub watermark: Watermark,
    /// What it was just before: less, where the partition was lifted there by what no record says.
    pub before: Watermark,
    /// The least and the greatest event time of those that have one.
    pub times: Option<(i64, i64)>,
    /// How many were read, those that did not fit too.
    pub records: u64,
    /// How many bytes they were decoded from.
    pub bytes: u64,
    /// Its number among all that began, those that are a part of others by now too.
    number: u64,
}

impl Stretch {
    fn new(from: Position, [before, watermark]: [Watermark; 2], number: u64) -> Self {
        Stretch { from, watermark, before, times: None, records: 0, bytes: 0, number }
    }

    fn covers(&mut self, other: (i64, i64)) {
        self.times = Some(self.times.map_or(other, |own| (own.0.min(other.0), own.1.max(other.1))));
    }

    /// Takes in the one behind it.
    fn absorb(&mut self, other: &Stretch) {
        if let Some(times) = other.times {
            self.covers(times);
        }
        self.records += other.records;
        self.bytes += other.bytes;
    }

    /// Whether some record of it may have a time in `times` and have seen less than `before`.
    fn may_hold(&self, times: &Range<i64>, before: i64) -> bool {
        self.watermark.0 < before
            && self.times.is_some_and(|(least, greatest)| least < times.end && greatest >= times.start)
    }
}

/// The stretches of a partition, in order, without a gap from where it began to be read up to where it is read on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Packed", try_from = "Packed")]
pub struct TimeIndex {
    /// At least one; the last one grows.
    stretches: Vec<Stretch>,
    /// Number of the next one.
    next: u64,
}

impl TimeIndex {
    /// Into how many parts at least all of a long partition is cut.
    pub const RESOLUTION: u64 = 256;
    /// The coarsest resolution that makes sense.
    pub const RESOLUTION_MIN: u64 = 8;

    /// Of a partition of which nothing was read, and which is read from there on.
    pub fn new(from: Position, watermark: Watermark) -> Self {
        TimeIndex { stretches: vec![Stretch::new(from, [watermark; 2], 0)], next: 1 }
    }

    /// The stretches, in order.
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// Records and bytes of all.
    pub fn totals(&self) -> (u64, u64) {
        self.stretches.iter().fold((0, 0), |(records, bytes), it| (records + it.records, bytes + it.bytes))
    }

    /// Takes note of records that were read, of which these are the times.
    pub fn add(&mut self, records: u64, bytes: u64, times: &[i64]) {
        let Some(last) = self.stretches.last_mut() else { return };
        last.records += records;
        last.bytes += bytes;
        if let (Some(least), Some(greatest)) = (times.iter().min(), times.iter().max()) {
            last.covers((*least, *greatest));
        }
    }

    /// Whether the last stretch is long enough for the next one to begin.
    pub fn is_due(&self) -> bool {
        self.stretches.last().is_none_or(|last| last.records >= RECORDS || last.bytes >= BYTES)
    }

    /// Begins a stretch because the last one is long enough.
    pub fn begin(&mut self, from: Position, watermark: Watermark) {
        self.lift(from, watermark, watermark);
    }

    /// Begins a stretch because the watermark was lifted by something that no record says, so that whoever reads again could
    /// not know. `before` is what it was until then.
    pub fn lift(&mut self, from: Position, before: Watermark, watermark: Watermark) {
        if let Some(last) = self.stretches.last_mut().filter(|last| last.records == 0) {
            (last.from, last.watermark) = (from, watermark);
            return;
        }
        self.stretches.push(Stretch::new(from, [before, watermark], self.next));
        self.next += 1;
        if self.next.is_multiple_of(THINNED_EVERY) {
            self.thin(Self::RESOLUTION);
        }
    }

    /// The same with fewer stretches: all of it in about so many, and more where it is young.
    #[must_use]
    pub fn thinned(&self, resolution: u64) -> Self {
        let mut thinned = self.clone();
        thinned.thin(resolution);
        thinned
    }

    /// Has neighbours become one. Those stay of whose numbers enough of the lowest bits are zero: a coarser choice is always a part of a
    /// finer one, so that to thin again and again comes to the same as to thin once.
    fn thin(&mut self, resolution: u64) {
        let zeros = |length: u64| length.checked_ilog2().map_or(0, |log| log + 1);
        let by_all = zeros(self.next / resolution.max(1));
        let young = (resolution / 8).max(1);
        let next = self.next;
        let stays = |number: u64| {
            let by_age = ((next - number) / young).checked_ilog2().unwrap_or(0);
            number.trailing_zeros() >= by_age.min(by_all)
        };
        let mut kept: Vec<Stretch> = Vec::with_capacity(self.stretches.len());
        for stretch in self.stretches.drain(..) {
            match kept.last_mut() {
                Some(before) if !stays(stretch.number) => before.absorb(&stretch),
                _ => kept.push(stretch),
            }
        }
        self.stretches = kept;
    }

    /// Which stretches hold every record whose time lies in `times` and that has seen less than `before`: runs of neighbours, by their
    /// places among [`TimeIndex::stretches`].
    pub fn runs(&self, times: &Range<i64>, before: i64) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for (place, _) in self.stretches.iter().enumerate().filter(|(_, it)| it.may_hold(times, before)) {
            match runs.last_mut().filter(|run| run.end == place) {
                Some(run) => run.end = place + 1,
                None => runs.push(place..place + 1),
            }
        }
        runs
    }
}

/// The index as it is written: columns of small numbers.
#[derive(Clone, Serialize, Deserialize)]
struct Packed {
    next: u64,
    /// What offsets count in, each for so many stretches.
    origins: Vec<(u64, Origin)>,
    numbers: Vec<u8>,
}

/// An index that cannot have been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an index of event times that does not add up")]
pub struct IndexError;

impl From<TimeIndex> for Packed {
    fn from(index: TimeIndex) -> Packed {
        let (mut origins, mut numbers): (Vec<(u64, Origin)>, Vec<u8>) = (Vec::new(), Vec::new());
        let mut before = Previous::default();
        for stretch in index.stretches {
            before.write(&stretch, &mut numbers);
            match origins.last_mut().filter(|(_, origin)| *origin == stretch.from.origin) {
                Some((count, _)) => *count += 1,
                None => origins.push((1, stretch.from.origin)),
            }
        }
        Packed { next: index.next, origins, numbers }
    }
}

impl TryFrom<Packed> for TimeIndex {
    type Error = IndexError;

    fn try_from(packed: Packed) -> Result<TimeIndex, IndexError> {
        let (mut rest, mut before) = (packed.numbers.as_slice(), Previous::default());
        let mut stretches: Vec<Stretch> = Vec::new();
        for (count, origin) in packed.origins {
            if count > (rest.len() / PACKED_MIN) as u64 {
                return Err(IndexError);
            }
            for _ in 0..count {
                let stretch = before.read(&mut rest, &origin).ok_or(IndexError)?;
                if stretches.last().is_some_and(|last| last.number >= stretch.number) {
                    return Err(IndexError);
                }
                stretches.push(stretch);
            }
        }
        let is_sound = rest.is_empty() && stretches.last().is_some_and(|last| last.number < packed.next);
        if is_sound { Ok(TimeIndex { stretches, next: packed.next }) } else { Err(IndexError) }
    }
}

/// What the numbers of a stretch are written beside.
#[derive(Default)]
struct Previous {
    number: u64,
    offset: u64,
    watermark: i64,
    least: i64,
}

impl Previous {
    fn write(&mut self, stretch: &Stretch, out: &mut Vec<u8>) {
        let (least, greatest) = stretch.times.unwrap_or((self.least, self.least));
        push(stretch.number.wrapping_sub(self.number), out);
        push(stretch.from.offset.wrapping_sub(self.offset), out);
        push(folded(stretch.watermark.0.wrapping_sub(self.watermark)), out);
        push(stretch.watermark.0.wrapping_sub(stretch.before.0).cast_unsigned(), out);
        push((stretch.records << 1) | u64::from(stretch.times.is_some()), out);
        push(stretch.bytes, out);
        push(folded(least.wrapping_sub(self.least)), out);
        if stretch.times.is_some() {
            push(greatest.wrapping_sub(least).cast_unsigned(), out);
        }
        let (number, offset, watermark) = (stretch.number, stretch.from.offset, stretch.watermark.0);
        *self = Previous { number, offset, watermark, least };
    }

    fn read(&mut self, rest: &mut &[u8], origin: &Origin) -> Option<Stretch> {
        let number = self.number.wrapping_add(pull(rest)?);
        let offset = self.offset.wrapping_add(pull(rest)?);
        let watermark = self.watermark.wrapping_add(unfolded(pull(rest)?));
        let before = Watermark(watermark.wrapping_sub(pull(rest)?.cast_signed()));
        let records = pull(rest)?;
        let bytes = pull(rest)?;
        let least = self.least.wrapping_add(unfolded(pull(rest)?));
        let times = match records & 1 {
            1 => Some((least, least.wrapping_add(pull(rest)?.cast_signed()))),
            _ => None,
        };
        if times.is_some_and(|(least, greatest)| greatest < least) {
            return None;
        }
        *self = Previous { number, offset, watermark, least };
        let from = Position { offset, origin: origin.clone() };
        Some(Stretch {
            from,
            watermark: Watermark(watermark),
            before,
            times,
            records: records >> 1,
            bytes,
            number,
        })
    }
}

/// Appends a number, seven bits a byte.
fn push(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a number off the front; `None` if there is none.
fn pull(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Small numbers of either sign as small ones without.
fn folded(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unfolded(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

#[cfg(test)]
mod tests;
