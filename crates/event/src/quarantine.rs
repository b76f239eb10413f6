//! What does not fit: a value with its place and reason, never an error.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a record, or a row of features, is in quarantine. A closed list; the codes are documented and stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// The line is not exactly one whole JSON object, a record of CSV has other fields than its header or quotes that are
    /// wrong, or a needed string is not valid UTF-8 or JSON.
    Malformed,
    /// The line is longer than the limit.
    TooLong,
    /// The object nests deeper than the limit.
    TooDeep,
    /// A field of the key, or the time, is missing or null.
    Missing,
    /// A needed value is not of the declared type, or has no finite value in it.
    Type,
    /// A needed name stands twice in one object.
    Duplicate,
    /// The event time lies outside `time.range`.
    TimeRange,
    /// An expression failed on the record or on the row of features.
    Expression,
    /// No window holds the record: it came too late. Counted as `late`, not as `quarantined`.
    Late,
    /// The record ended the program three times, so it is not read any more.
    Poison,
}

impl Reason {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Reason; 10] = [
        Reason::Malformed,
        Reason::TooLong,
        Reason::TooDeep,
        Reason::Missing,
        Reason::Type,
        Reason::Duplicate,
        Reason::TimeRange,
        Reason::Expression,
        Reason::Late,
        Reason::Poison,
    ];

    /// The code that the quarantine row carries.
    pub fn code(self) -> &'static str {
        match self {
            Reason::Malformed => "malformed",
            Reason::TooLong => "too_long",
            Reason::TooDeep => "too_deep",
            Reason::Missing => "missing",
            Reason::Type => "type",
            Reason::Duplicate => "duplicate_name",
            Reason::TimeRange => "time_range",
            Reason::Expression => "expression",
            Reason::Late => "late",
            Reason::Poison => "poison",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// One quarantined record, with where it stood.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rejected {
    /// Its partition's watermark just before it.
    pub seen: i64,
    /// Ordinal of the partition among all of the job's.
    pub partition: u32,
    /// Byte position of its line among those of its partition; in a file, of the file.
    pub offset: u64,
    /// Why.
    pub reason: Reason,
    /// The same in words, naming the field and the value.
    pub detail: String,
    /// The first bytes of the record: its [`Rejected::head`].
    pub raw: Vec<u8>,
}

impl Rejected {
    /// Bytes of a record that its quarantine row keeps.
    pub const RAW_BYTES_MAX: usize = 1024;
    /// What is said of a record that is not read any more.
    pub const POISON: &'static str = "the record ended the program three times";

    /// The bytes of a record that its quarantine row keeps. A character that the end would cut in two is left
    /// out: it would look like bad UTF-8.
    pub fn head(record: &[u8]) -> &[u8] {
        let Some(head) = record.get(..Self::RAW_BYTES_MAX).filter(|head| head.len() < record.len()) else {
            return record;
        };
        // All but the last byte of the longest character may stand before the end.
        let is_cut = |bytes: &&[u8]| {
            std::str::from_utf8(bytes).is_err_and(|e| e.valid_up_to() == 0 && e.error_len().is_none())
        };
        let cut = (1..char::MAX_LEN_UTF8).map(|len| &head[head.len() - len..]).find(is_cut);
        &head[..head.len() - cut.map_or(0, <[u8]>::len)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head of `x` repeated, and then that; without the `x`.
    fn head_at_end(xs: usize, end: &[u8]) -> Vec<u8> {
        Rejected::head(&[&b"x".repeat(xs), end].concat())[xs..].to_vec()
    }

    #[test]
    fn a_character_that_the_end_would_cut_is_left_out_and_bad_bytes_are_not() {
        let emoji = "\u{1F600}y".as_bytes();
        for cut in 1..4 {
            assert_eq!(head_at_end(1024 - cut, emoji), b"", "{cut} bytes of it");
        }
        assert_eq!(head_at_end(1020, emoji), emoji[..4]);
        assert_eq!(head_at_end(1022, "\u{E4}y".as_bytes()), "\u{E4}".as_bytes());
        assert_eq!(head_at_end(1023, b"\xFFy"), b"\xFF");
        assert_eq!(head_at_end(1022, b"\x9F\x98y"), b"\x9F\x98", "no character begins there");
    }

    #[test]
    fn a_record_that_is_no_longer_than_that_is_kept_whole_whatever_it_ends_with() {
        assert_eq!(head_at_end(1023, b"\xF0"), b"\xF0");
        assert_eq!(head_at_end(0, b"{}"), b"{}");
    }
}
