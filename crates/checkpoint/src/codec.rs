//! The one codec of durable values: bincode behind a header with kind, version, length and checksum.

use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

/// Version of everything that is written; raised with every change of the format.
const VERSION: u16 = 1;
const MAGIC: [u8; 4] = *b"TDWC";
/// Magic, kind, version, length, checksum.
const HEADER: usize = 4 + 2 + 2 + 8 + 8;

/// What a value is, so that one file is never read as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    /// A checkpoint's list of its parts.
    Manifest = 1,
    /// The state of one operator and shard.
    Shard = 2,
    /// What sinks are to be given.
    Outbox = 3,
    /// The position of a partition.
    Position = 4,
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
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4..6].copy_from_slice(&(kind as u16).to_le_bytes());
    bytes[6..8].copy_from_slice(&VERSION.to_le_bytes());
    bytes[8..16].copy_from_slice(&length.to_le_bytes());
    bytes[16..24].copy_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

/// The value of bytes that [`encode`] made.
///
/// Reads from a slice: a damaged length cannot make it allocate more than there is.
///
/// # Errors
/// If the bytes are of another kind or version, are cut off, damaged, or do not fit the type.
pub fn decode<T: DeserializeOwned>(kind: Kind, bytes: &[u8]) -> Result<T, CodecError> {
    let header = bytes.get(..HEADER).ok_or(CodecError::Header(kind))?;
    let number = |range: std::ops::Range<usize>| {
        header[range].iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte))
    };
    if header[..4] != MAGIC || number(4..6) != kind as u64 {
        return Err(CodecError::Header(kind));
    }
    let version = number(6..8) as u16;
    if version != VERSION {
        return Err(CodecError::Version(version));
    }
    let content = &bytes[HEADER..];
    if number(8..16) != content.len() as u64 {
        return Err(CodecError::Length { said: number(8..16), found: content.len() as u64 });
    }
    if number(16..24) != xxh3_64(content) {
        return Err(CodecError::Checksum);
    }
    Ok(bincode::deserialize(content)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = encode(Kind::Shard, &vec![1u64, 2, 3]).unwrap();
        for cut in 0..bytes.len() {
            assert!(decode::<Vec<u64>>(Kind::Shard, &bytes[..cut]).is_err());
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode::<Vec<u64>>(Kind::Shard, &damaged).is_err(), "bit {bit}");
        }
        assert!(decode::<Vec<u64>>(Kind::Manifest, &bytes).is_err());
    }

    #[test]
    fn a_length_from_a_hostile_file_allocates_nothing() {
        let mut bytes = encode(Kind::Shard, &u64::MAX).unwrap();
        assert!(decode::<Vec<u64>>(Kind::Shard, &bytes).is_err());
        bytes.truncate(HEADER);
        assert!(decode::<Vec<u64>>(Kind::Shard, &bytes).is_err());
    }
}
