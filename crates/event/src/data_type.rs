//! The types of a job's values, with the names and the meaning that DuckDB gives them.
//!
//! `ingest` reads JSON into them, `transform` types expressions with them, `alert` writes them out.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow_schema::{DataType as ArrowType, TimeUnit};
use serde::{Deserialize, Serialize};

/// Type of a column or of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DataType {
    /// UTF-8 text. As a column either a `StringArray` or a dictionary of `u32` codes over one.
    Varchar,
    /// Signed 64-bit integer.
    Bigint,
    /// IEEE 754 double.
    Double,
    /// True or false.
    Boolean,
    /// Exact decimal number: `precision` digits (1 to 38), `scale` of them behind the point.
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits behind the point.
        scale: u8,
    },
    /// Days since 1970-01-01.
    Date,
    /// Microseconds of a calendar without a zone.
    Timestamp,
    /// An instant: microseconds since the Unix epoch, UTC.
    TimestampTz,
}

impl DataType {
    /// The Arrow type of a column of this type. A `Varchar` column may instead be
    /// [`DataType::dictionary`].
    pub fn arrow(self) -> ArrowType {
        match self {
            DataType::Varchar => ArrowType::Utf8,
            DataType::Bigint => ArrowType::Int64,
            DataType::Double => ArrowType::Float64,
            DataType::Boolean => ArrowType::Boolean,
            DataType::Decimal { precision, scale } => ArrowType::Decimal128(precision, scale as i8),
            DataType::Date => ArrowType::Date32,
            DataType::Timestamp => ArrowType::Timestamp(TimeUnit::Microsecond, None),
            DataType::TimestampTz => ArrowType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
        }
    }

    /// The Arrow type of a dictionary-coded `Varchar` column.
    pub fn dictionary() -> ArrowType {
        ArrowType::Dictionary(Box::new(ArrowType::UInt32), Box::new(ArrowType::Utf8))
    }

    /// Whether arithmetic is defined on it.
    pub fn is_numeric(self) -> bool {
        matches!(self, DataType::Bigint | DataType::Double | DataType::Decimal { .. })
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataType::Varchar => f.write_str("varchar"),
            DataType::Bigint => f.write_str("bigint"),
            DataType::Double => f.write_str("double"),
            DataType::Boolean => f.write_str("boolean"),
            DataType::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            DataType::Date => f.write_str("date"),
            DataType::Timestamp => f.write_str("timestamp"),
            DataType::TimestampTz => f.write_str("timestamptz"),
        }
    }
}

/// A type's name that is not one of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown type `{0}`; the types are varchar, bigint, double, boolean, decimal(p,s), date, timestamp, timestamptz"
)]
pub struct UnknownType(pub String);

impl FromStr for DataType {
    type Err = UnknownType;

    /// Reads a type's name in any case, with DuckDB's usual other names (`text`, `int8`, `float8`, `bool`).
    fn from_str(text: &str) -> Result<Self, UnknownType> {
        let name = text.trim().to_ascii_lowercase();
        let unknown = || UnknownType(text.to_owned());
        match name.as_str() {
            "varchar" | "text" | "string" => return Ok(DataType::Varchar),
            "bigint" | "int8" | "long" => return Ok(DataType::Bigint),
            "double" | "float8" => return Ok(DataType::Double),
            "boolean" | "bool" => return Ok(DataType::Boolean),
            "date" => return Ok(DataType::Date),
            "timestamp" => return Ok(DataType::Timestamp),
            "timestamptz" | "timestamp with time zone" => return Ok(DataType::TimestampTz),
            _ => {}
        }
        let inner = name
            .strip_prefix("decimal")
            .or_else(|| name.strip_prefix("numeric"))
            .and_then(|rest| rest.trim().strip_prefix('('))
            .and_then(|rest| rest.strip_suffix(')'))
            .ok_or_else(unknown)?;
        let (precision, scale) = inner.split_once(',').ok_or_else(unknown)?;
        let precision: u8 = precision.trim().parse().map_err(|_| unknown())?;
        let scale: u8 = scale.trim().parse().map_err(|_| unknown())?;
        if (1..=38).contains(&precision) && scale <= precision {
            Ok(DataType::Decimal { precision, scale })
        } else {
            Err(unknown())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_reads_back_from_its_own_name() {
        for data_type in [
            DataType::Varchar,
            DataType::Bigint,
            DataType::Double,
            DataType::Boolean,
            DataType::Decimal { precision: 10, scale: 2 },
            DataType::Date,
            DataType::Timestamp,
            DataType::TimestampTz,
        ] {
            assert_eq!(data_type.to_string().parse(), Ok(data_type));
        }
    }

    #[test]
    fn a_decimal_with_more_scale_than_precision_is_refused() {
        assert!("decimal(2,3)".parse::<DataType>().is_err());
        assert!("decimal(39,3)".parse::<DataType>().is_err());
        assert!("decimal(5)".parse::<DataType>().is_err());
    }
}
