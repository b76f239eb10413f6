//! The one codec of durable values: bincode behind a header with kind, version, length and checksum.
//!
//! A small value is a header and bincode. State in bulk is a frame: header, a small value, and parts, which
//! are bytes as they lie in memory and are neither copied nor looked at on their way to the disk.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Version of everything that is written; raised with every change of the format.
const VERSION: u16 = 11;
const MAGIC: [u8; 4] = *b"TDWC";
/// Magic, kind, version, length, checksum.
const HEADER: usize = 4 + 2 + 2 + 8 + 8;

/// What a value is, so that one file is never read as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    /// A checkpoint's list of its parts.
    Manifest = 1,
    /// A part of the state of one operator.
    State = 2,
    /// What sinks are to be given.
    Outbox = 3,
    /// The position of a partition.
    Position = 4,
    /// The files of an archive.
    Archive = 5,
    /// The partitions that a process tells the others; in no file.
    Members = 6,
    /// Where in a partition which event times lie.
    Index = 7,
    /// What somebody outside has answered.
    Answers = 8,
}

/// Bytes that are not what they should be.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Too short for a header, or it begins differently.
    #[error("not a {0:?} of tidewatch")]
    Header(Kind),
    /// Written by another version.
    #[error("format version {0}; this program reads version {VERSION}")]
    Version(u16),
    /// Cut off or with something behind it.
    #[error("{found} bytes where the header says {said}")]
    Length {
        /// What the header says.
        said: u64,
        /// What there is.
        found: u64,
    },
    /// A bit is not what it was.
    #[error("the checksum does not match: the bytes are damaged")]
    Checksum,
    /// The checksum matches but the content does not fit the type.
    #[error("content that does not fit: {0}")]
    Content(#[from] bincode::Error),
    /// The checksum matches but the parts of a frame do not add up.
    #[error("content whose parts do not add up")]
    Parts,
}

/// A value as bytes.
///
/// # Errors
/// If the value cannot be serialised.
pub fn encode<T: Serialize + ?Sized>(kind: Kind, value: &T) -> Result<Vec<u8>, CodecError> {
    let size = bincode::serialized_size(value)?;
    let mut bytes = Vec::with_capacity(HEADER + size as usize);
    bytes.resize(HEADER, 0);
    bincode::serialize_into(&mut bytes, value)?;
    let checksum = xxh3_64(&bytes[HEADER..]);
    let length = (bytes.len() - HEADER) as u64;
    write_header(&mut bytes, kind, length, checksum);
    Ok(bytes)
}

fn write_header(bytes: &mut [u8], kind: Kind, length: u64, checksum: u64) {
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4..6].copy_from_slice(&(kind as u16).to_le_bytes());
    bytes[6..8].copy_from_slice(&VERSION.to_le_bytes());
    bytes[8..16].copy_from_slice(&length.to_le_bytes());
    bytes[16..24].copy_from_slice(&checksum.to_le_bytes());
}

/// The value of bytes that [`encode`] made.
///
/// Reads from a slice: a damaged length cannot make it allocate more than there is.
///
/// # Errors
/// If the bytes are of another kind or version, are cut off, damaged, or do not fit the type.
pub fn decode<T: DeserializeOwned>(kind: Kind, bytes: &[u8]) -> Result<T, CodecError> {
    Ok(bincode::deserialize(content(kind, bytes)?.0)?)
}

/// What is behind a header that fits it, and its checksum.
fn content(kind: Kind, bytes: &[u8]) -> Result<(&[u8], u64), CodecError> {
    let header = bytes.get(..HEADER).ok_or(CodecError::Header(kind))?;
    if header[..4] != MAGIC || number(&header[4..6]) != kind as u64 {
        return Err(CodecError::Header(kind));
    }
    let version = number(&header[6..8]) as u16;
    if version != VERSION {
        return Err(CodecError::Version(version));
    }
    let content = &bytes[HEADER..];
    let said = number(&header[8..16]);
    if said != content.len() as u64 {
        return Err(CodecError::Length { said, found: content.len() as u64 });
    }
    let checksum = number(&header[16..24]);
    if checksum != xxh3_64(content) {
        return Err(CodecError::Checksum);
    }
    Ok((content, checksum))
}

/// A little-endian number of at most eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A small value and parts in bulk, ready to be written piece by piece.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Header, lengths and the small value; then the parts.
    pieces: Vec<Bytes>,
    length: u64,
    checksum: u64,
}

impl Frame {
    /// Puts a value and parts behind a header.
    ///
    /// # Errors
    /// If the value cannot be serialised.
    pub fn new<T: Serialize + ?Sized>(kind: Kind, value: &T, parts: Vec<Bytes>) -> Result<Self, CodecError> {
        let mut first = vec![0; HEADER];
        first.extend_from_slice(&(parts.len() as u64).to_le_bytes());
        parts.iter().for_each(|part| first.extend_from_slice(&(part.len() as u64).to_le_bytes()));
        first.extend_from_slice(&bincode::serialized_size(value)?.to_le_bytes());
        bincode::serialize_into(&mut first, value)?;
        let bulk: usize = parts.iter().map(Bytes::len).sum();
        let mut hasher = Xxh3::new();
        hasher.update(&first[HEADER..]);
        parts.iter().for_each(|part| hasher.update(part));
        let (length, checksum) = ((first.len() - HEADER + bulk) as u64, hasher.digest());
        write_header(&mut first, kind, length, checksum);
        let pieces = [Bytes::from(first)].into_iter().chain(parts).collect();
        Ok(Frame { pieces, length: length + HEADER as u64, checksum })
    }

    /// Bytes in all.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The checksum of its header.
    pub fn checksum(&self) -> u64 {
        self.checksum
    }

    /// The bytes, in order.
    pub fn into_pieces(self) -> Vec<Bytes> {
        self.pieces
    }

    /// The value and the parts of bytes that are a frame, and its checksum.
    ///
    /// # Errors
    /// As [`decode`].
    pub fn read<T: DeserializeOwned>(kind: Kind, bytes: &Bytes) -> Result<(T, Vec<Bytes>, u64), CodecError> {
        let (content, checksum) = content(kind, bytes)?;
        let mut rest = content;
        let mut take = |length: u64| -> Result<&[u8], CodecError> {
            let (taken, left) = rest.split_at_checked(length as usize).ok_or(CodecError::Parts)?;
            rest = left;
            Ok(taken)
        };
        let count = number(take(8)?);
        let mut lengths = Vec::new();
        for _ in 0..count {
            lengths.push(number(take(8)?));
        }
        let size = number(take(8)?);
        let value = bincode::deserialize(take(size)?)?;
        let parts = lengths.into_iter().map(|length| Ok(bytes.slice_ref(take(length)?)));
        let parts = parts.collect::<Result<Vec<_>, CodecError>>()?;
        if rest.is_empty() { Ok((value, parts, checksum)) } else { Err(CodecError::Parts) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = encode(Kind::State, &vec![1u64, 2, 3]).unwrap();
        for cut in 0..bytes.len() {
            assert!(decode::<Vec<u64>>(Kind::State, &bytes[..cut]).is_err());
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode::<Vec<u64>>(Kind::State, &damaged).is_err(), "bit {bit}");
        }
        assert!(decode::<Vec<u64>>(Kind::Manifest, &bytes).is_err());
    }

    #[test]
    fn a_length_from_a_hostile_file_allocates_nothing() {
        let mut bytes = encode(Kind::State, &u64::MAX).unwrap();
        assert!(decode::<Vec<u64>>(Kind::State, &bytes).is_err());
        assert!(Frame::read::<u64>(Kind::State, &bytes.clone().into()).is_err());
        bytes.truncate(HEADER);
        assert!(decode::<Vec<u64>>(Kind::State, &bytes).is_err());
    }

    #[test]
    fn a_frame_gives_back_its_value_and_parts_and_notices_every_flipped_bit() {
        let parts = vec![Bytes::from_static(b"one"), Bytes::new(), Bytes::from_static(b"three")];
        let frame = Frame::new(Kind::State, &("head", 7u32), parts.clone()).unwrap();
        let (length, checksum) = (frame.length(), frame.checksum());
        let bytes = frame.into_pieces().concat();
        assert_eq!(bytes.len() as u64, length);
        let read = Frame::read::<(String, u32)>(Kind::State, &bytes.clone().into()).unwrap();
        assert_eq!(read, (("head".to_owned(), 7), parts, checksum));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::read::<(String, u32)>(Kind::State, &damaged.into()).is_err(), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(Frame::read::<(String, u32)>(Kind::State, &bytes[..cut].to_vec().into()).is_err());
        }
    }
}
