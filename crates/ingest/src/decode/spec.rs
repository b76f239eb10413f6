//! What to decode: the fields that the job needs, where event time is, and the limits.

use std::ops::Range;

use event::{DataType, Field, Schema};
use serde::{Deserialize, Serialize};

/// A field that the job needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldSpec {
    /// Name of the column.
    pub name: String,
    /// Names that lead to the value, from the outermost object inwards. Only objects are entered.
    pub path: Vec<String>,
    /// Type that a value must fit.
    pub data_type: DataType,
    /// Whether a missing or null value rejects the record: so for fields of the key. Otherwise it is NULL.
    pub required: bool,
    /// For a `varchar`: codes into a dictionary of values instead of text, for what only expressions read.
    pub dictionary: bool,
}

impl FieldSpec {
    /// An optional field of that name at the top of the record.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        let name = name.into();
        FieldSpec { path: vec![name.clone()], name, data_type, required: false, dictionary: false }
    }

    /// The same, required.
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The same, dictionary-coded.
    pub fn dictionary(mut self) -> Self {
        self.dictionary = true;
        self
    }
}

/// How a record writes its event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeUnit {
    /// A number of seconds since the Unix epoch.
    #[serde(rename = "s")]
    Seconds,
    /// A number of milliseconds since the Unix epoch.
    #[serde(rename = "ms")]
    Millis,
    /// A number of microseconds since the Unix epoch.
    #[serde(rename = "us")]
    Micros,
    /// A number of nanoseconds since the Unix epoch; floored to microseconds.
    #[serde(rename = "ns")]
    Nanos,
    /// Text as in RFC 3339, or `YYYY-MM-DD HH:MM:SS[.f]` in UTC.
    #[serde(rename = "rfc3339")]
    Rfc3339,
}

/// Where event time is in a record. It is required.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeSpec {
    /// Names that lead to the value, from the outermost object inwards.
    pub path: Vec<String>,
    /// How it is written.
    pub unit: TimeUnit,
    /// Whether a number with a fraction or an exponent fits, as when the field is declared a `double`. It is
    /// read as the decimal number that it is, and floored to microseconds.
    pub fractional: bool,
    /// Event times that are sane, in microseconds; others are rejected.
    pub range: Range<i64>,
}

impl TimeSpec {
    /// From 1990 to 2100, end exclusive.
    pub const DEFAULT_RANGE: Range<i64> = 631_152_000_000_000..4_102_444_800_000_000;

    /// A whole number of that unit, or a text, at that path, in the default range.
    pub fn new(path: &[&str], unit: TimeUnit) -> Self {
        let path = path.iter().map(|name| (*name).to_owned()).collect();
        TimeSpec { path, unit, fractional: false, range: Self::DEFAULT_RANGE }
    }
}

/// Everything that a decoder has to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecodeSpec {
    /// The fields that the job needs, in the order of the columns.
    pub fields: Vec<FieldSpec>,
    /// Where event time is.
    pub time: TimeSpec,
    /// Where a record may say how far its partition has come, if that is asked for. Missing or null it says
    /// nothing; what is no instant of the range rejects the record as a bad event time does.
    pub punctuation: Option<TimeSpec>,
    /// Whether the job uses event time as a column: then it is the last one, `event_time`, unless a field of
    /// that name is declared.
    pub event_time: bool,
    /// Longest line that is read, in bytes, without its line end.
    pub record_bytes_max: usize,
    /// Deepest nesting of objects and arrays that is read; the record itself is level 1.
    pub depth_max: usize,
}

impl DecodeSpec {
    /// Default of `record_bytes_max`: 1 MiB.
    pub const RECORD_BYTES_MAX: usize = 1 << 20;
    /// Default of `depth_max`.
    pub const DEPTH_MAX: usize = 100;
    /// Name of the column of event times.
    pub const EVENT_TIME: &'static str = "event_time";

    /// These fields and this time, with the default limits and without a column of event times.
    pub fn new(fields: Vec<FieldSpec>, time: TimeSpec) -> Self {
        DecodeSpec {
            fields,
            time,
            punctuation: None,
            event_time: false,
            record_bytes_max: Self::RECORD_BYTES_MAX,
            depth_max: Self::DEPTH_MAX,
        }
    }

    /// The columns that come out.
    pub fn schema(&self) -> Schema {
        let mut schema = Schema::new(
            self.fields.iter().map(|field| Field::new(field.name.clone(), field.data_type)).collect(),
        );
        if self.has_event_time_column() {
            schema.push(Field::new(Self::EVENT_TIME, DataType::TimestampTz));
        }
        schema
    }

    /// Whether the last column is that of event times.
    pub(crate) fn has_event_time_column(&self) -> bool {
        self.event_time && self.fields.iter().all(|field| field.name != Self::EVENT_TIME)
    }
}
