//! The bytes of a journal's files: segments of frames, and lists of ids.
//!
//! A segment is a header and frames. A frame is what was made durable together: the lines of all that waited.
//! Since the next frame is written only once this one is durable, a crash can tear no frame but the last: behind
//! a torn one there is nothing. All checksums are seeded with the journal's identity, a random number that nobody
//! outside knows: no line can hold what looks like a frame.
//!
//! Numbers are little-endian. Version 2. Times are microseconds since 1970, and never descend within a journal: that of a
//! frame is when it was made durable by the clock, or that of the frame before it where the clock was behind that.
//!
//! | header | bytes | | frame | bytes |
//! |---|---|---|---|---|
//! | magic | 8 | | magic | 4 |
//! | identity | 8 | | length of the lines | 4 |
//! | base: offset of the first line | 8 | | number of ids | 4 |
//! | time of the last frame before it, or 0 | 8 | | checksum of magic, lengths, offset and time | 4 |
//! | checksum of the above | 8 | | offset of the first line | 8 |
//! | | | | time | 8 |
//! | | | | checksum of all else | 8 |
//! | | | | ids | 16 each |
//! | | | | lines | |
//!
//! A segment says what the last time before it was because it may be all that is left: begun, with nothing in it yet, when
//! the others were trimmed.
//!
//! Version 1 had no times. It is refused, and not read as if its lines had come at some time or other.

use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

pub(crate) const HEADER_BYTES: usize = 40;
pub(crate) const FRAME_HEADER_BYTES: usize = 40;
pub(crate) const ID_BYTES: usize = 16;
const IDS_HEADER_BYTES: usize = 32;

const SEGMENT_MAGIC: &[u8; 8] = b"TWJRNL02";
const SEGMENT_MAGIC_1: &[u8; 8] = b"TWJRNL01";
const IDS_MAGIC: &[u8; 8] = b"TWJIDS01";
const FRAME_MAGIC: &[u8; 4] = b"\xF5TWF";

/// Where the checksum of a frame is that covers all else.
const BODY_CHECKSUM_AT: usize = 32;

/// What the header of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The journal's.
    pub(crate) identity: u64,
    /// Offset of its first line.
    pub(crate) base: u64,
    /// The time of the last frame before it; 0 if there was none.
    pub(crate) time_before: i64,
}

impl SegmentHeader {
    pub(crate) fn write(&self) -> Vec<u8> {
        header(SEGMENT_MAGIC, &[self.identity, self.base, self.time_before as u64])
    }

    /// `None` if that is no header of a segment.
    pub(crate) fn read(bytes: &[u8]) -> Option<SegmentHeader> {
        let [identity, base, time] = read_header(SEGMENT_MAGIC, bytes)?;
        Some(SegmentHeader { identity, base, time_before: time as i64 })
    }
}

/// Whether a segment of version 1 begins with these bytes.
pub(crate) fn is_version_1(bytes: &[u8]) -> bool {
    read_header::<2>(SEGMENT_MAGIC_1, bytes).is_some()
}

/// The header of a file: a magic, numbers of which the first is the journal's identity, and a checksum.
fn header(magic: &[u8; 8], numbers: &[u64]) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
    let checksum = xxh3_64_with_seed(&bytes, numbers.first().copied().unwrap_or_default());
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The numbers of such a header; `None` if it is not as it was written.
fn read_header<const COUNT: usize>(magic: &[u8; 8], bytes: &[u8]) -> Option<[u64; COUNT]> {
    let mut numbers = [0; COUNT];
    for (place, number) in numbers.iter_mut().enumerate() {
        *number = u64_at(bytes, 8 + 8 * place)?;
    }
    let (all, checksum) = bytes.split_at_checked(8 + 8 * COUNT)?;
    let identity = numbers.first().copied().unwrap_or_default();
    let is_whole = all[..8] == *magic && u64_at(checksum, 0)? == xxh3_64_with_seed(all, identity);
    is_whole.then_some(numbers)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Appends a frame whose first line is at that offset, made durable at that time.
pub(crate) fn write_frame(
    identity: u64,
    (offset, time): (u64, i64),
    ids: &[u128],
    lines: &[u8],
    out: &mut Vec<u8>,
) {
    out.reserve(FRAME_HEADER_BYTES + ids.len() * ID_BYTES + lines.len());
    let start = out.len();
    out.extend_from_slice(FRAME_MAGIC);
    out.extend_from_slice(&(lines.len() as u32).to_le_bytes());
    out.extend_from_slice(&(ids.len() as u32).to_le_bytes());
    let place = [offset.to_le_bytes(), time.to_le_bytes()].concat();
    let checksum = head_checksum(identity, &out[start..start + 12], &place);
    out.extend_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(&place);
    out.extend_from_slice(&[0; 8]);
    ids.iter().for_each(|id| out.extend_from_slice(&id.to_le_bytes()));
    out.extend_from_slice(lines);
    let checksum = body_checksum(identity, &out[start..]);
    let at = start + BODY_CHECKSUM_AT;
    out[at..at + 8].copy_from_slice(&checksum.to_le_bytes());
}

/// Of magic and lengths, and of offset and time.
fn head_checksum(identity: u64, lengths: &[u8], place: &[u8]) -> u32 {
    let mut hasher = Xxh3::with_seed(identity);
    hasher.update(lengths);
    hasher.update(place);
    hasher.digest() as u32
}

/// Of a whole frame but for this checksum.
fn body_checksum(identity: u64, frame: &[u8]) -> u64 {
    let mut hasher = Xxh3::with_seed(identity);
    hasher.update(&frame[..BODY_CHECKSUM_AT]);
    hasher.update(&frame[FRAME_HEADER_BYTES..]);
    hasher.digest()
}

/// What the header of a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// Offset of its first line.
    pub(crate) offset: u64,
    /// When it was made durable, in microseconds since 1970; never before the frame in front of it.
    pub(crate) time: i64,
    /// Bytes of its lines.
    pub(crate) line_bytes: usize,
    /// Number of its ids.
    pub(crate) ids: usize,
}

impl FrameHeader {
    /// `None` if that is no header of a frame.
    pub(crate) fn read(identity: u64, bytes: &[u8]) -> Option<FrameHeader> {
        let bytes = bytes.get(..FRAME_HEADER_BYTES)?;
        let checksum = head_checksum(identity, &bytes[..12], &bytes[16..BODY_CHECKSUM_AT]);
        let is_whole = bytes[..4] == *FRAME_MAGIC && u32_at(bytes, 12)? == checksum;
        let (line_bytes, ids) = (u32_at(bytes, 4)? as usize, u32_at(bytes, 8)? as usize);
        let (offset, time) = (u64_at(bytes, 16)?, u64_at(bytes, 24)? as i64);
        is_whole.then_some(FrameHeader { offset, time, line_bytes, ids })
    }

    /// Bytes of the whole frame.
    pub(crate) fn frame_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.ids * ID_BYTES + self.line_bytes
    }

    /// The offset behind its last line.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.line_bytes as u64
    }
}

/// A frame that is as it was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) header: FrameHeader,
    ids: &'a [u8],
    pub(crate) lines: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame at the start of these bytes; `None` if there is none, or it is not as it was written.
    pub(crate) fn read(identity: u64, bytes: &'a [u8]) -> Option<Frame<'a>> {
        let header = FrameHeader::read(identity, bytes)?;
        let frame = bytes.get(..header.frame_bytes())?;
        let is_whole = u64_at(frame, BODY_CHECKSUM_AT)? == body_checksum(identity, frame);
        let (ids, lines) = frame[FRAME_HEADER_BYTES..].split_at(header.ids * ID_BYTES);
        is_whole.then_some(Frame { header, ids, lines })
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = u128> + use<'a> {
        ids_of(self.ids)
    }
}

fn ids_of(bytes: &[u8]) -> impl Iterator<Item = u128> + use<'_> {
    bytes.chunks_exact(ID_BYTES).filter_map(|id| Some(u128::from_le_bytes(id.try_into().ok()?)))
}

/// Whether a whole frame begins anywhere in these bytes.
pub(crate) fn holds_a_frame(identity: u64, bytes: &[u8]) -> bool {
    memchr::memmem::find_iter(bytes, FRAME_MAGIC).any(|at| Frame::read(identity, &bytes[at..]).is_some())
}

/// The ids of a segment that is to be removed, as a file.
pub(crate) fn write_ids(identity: u64, base: u64, ids: impl Iterator<Item = u128>) -> Vec<u8> {
    let mut bytes = header(IDS_MAGIC, &[identity, base]);
    ids.for_each(|id| bytes.extend_from_slice(&id.to_le_bytes()));
    let checksum = xxh3_64_with_seed(&bytes, identity);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Identity and ids of such a file; `None` if it is not as it was written.
pub(crate) fn read_ids(bytes: &[u8]) -> Option<(u64, Vec<u128>)> {
    let [identity, _] = read_header(IDS_MAGIC, bytes)?;
    let (all, checksum) = bytes.split_at_checked(bytes.len().checked_sub(8)?)?;
    let ids = all.get(IDS_HEADER_BYTES..)?;
    let is_whole = u64_at(checksum, 0)? == xxh3_64_with_seed(all, identity) && ids.len() % ID_BYTES == 0;
    is_whole.then(|| (identity, ids_of(ids).collect()))
}
