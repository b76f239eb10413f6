//! What does not fit: a value with its place and reason, never an error.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a record, or a row of features, is in quarantine. A closed list; the codes are documented and stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// The line is not exactly one whole JSON object, or a needed string is not valid UTF-8 or JSON.
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
    /// The first bytes of the record, at most [`Rejected::RAW_BYTES_MAX`].
    pub raw: Vec<u8>,
}

impl Rejected {
    /// Bytes of a record that its quarantine row keeps.
    pub const RAW_BYTES_MAX: usize = 1024;
}
