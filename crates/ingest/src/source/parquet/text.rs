//! Values of Arrow as JSON, without loss: what a decoder of JSON makes the same value of again.
//!
//! Whole numbers and decimals are numbers with all their digits, doubles in the shortest form that reads back, and what
//! is no number (NaN, the infinities) a text, which fits no number. Instants are RFC 3339 in UTC, timestamps without a
//! zone `YYYY-MM-DD HH:MM:SS[.f]`, dates `YYYY-MM-DD`. Binary values are texts, if they are UTF-8; else the record is
//! none, as it is no JSON then. A map of texts is an object, any other a list of its entries.

use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::temporal_conversions::{
    date32_to_datetime, timestamp_ms_to_datetime, timestamp_ns_to_datetime, timestamp_s_to_datetime,
    timestamp_us_to_datetime,
};
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, MapArray, StructArray};
use arrow_schema::{DataType, TimeUnit};

/// Whether values of that type are written: all that a Parquet file has but intervals.
pub(super) fn is_known(data_type: &DataType) -> bool {
    match data_type {
        DataType::Null
        | DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float16
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::Binary
        | DataType::FixedSizeBinary(_)
        | DataType::Date32
        | DataType::Time32(TimeUnit::Millisecond)
        | DataType::Time64(_)
        | DataType::Timestamp(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => true,
        DataType::List(field) | DataType::Map(field, _) => is_known(field.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| is_known(field.data_type())),
        _ => false,
    }
}

/// Appends a row of a struct.
pub(super) fn object(rows: &StructArray, row: usize, out: &mut Vec<u8>) {
    out.push(b'{');
    for (place, (field, column)) in rows.fields().iter().zip(rows.columns()).enumerate() {
        if place > 0 {
            out.push(b',');
        }
        string(field.name(), out);
        out.push(b':');
        value(column.as_ref(), row, out);
    }
    out.push(b'}');
}

/// Appends a value.
fn value(array: &dyn Array, row: usize, out: &mut Vec<u8>) {
    if array.is_null(row) {
        return out.extend_from_slice(b"null");
    }
    match array.data_type() {
        DataType::Boolean => append(out, format_args!("{}", array.as_boolean().value(row))),
        DataType::Int8 => number::<Int8Type>(array, row, out),
        DataType::Int16 => number::<Int16Type>(array, row, out),
        DataType::Int32 => number::<Int32Type>(array, row, out),
        DataType::Int64 => number::<Int64Type>(array, row, out),
        DataType::UInt8 => number::<UInt8Type>(array, row, out),
        DataType::UInt16 => number::<UInt16Type>(array, row, out),
        DataType::UInt32 => number::<UInt32Type>(array, row, out),
        DataType::UInt64 => number::<UInt64Type>(array, row, out),
        DataType::Float16 => double(native::<Float16Type>(array, row).to_f64(), out),
        DataType::Float32 => double(f64::from(native::<Float32Type>(array, row)), out),
        DataType::Float64 => double(native::<Float64Type>(array, row), out),
        DataType::Decimal128(..) => {
            out.extend_from_slice(array.as_primitive::<Decimal128Type>().value_as_string(row).as_bytes());
        }
        DataType::Decimal256(..) => {
            out.extend_from_slice(array.as_primitive::<Decimal256Type>().value_as_string(row).as_bytes());
        }
        DataType::Utf8 => string(array.as_string::<i32>().value(row), out),
        DataType::Binary => bytes(array.as_binary::<i32>().value(row), out),
        DataType::FixedSizeBinary(_) => bytes(array.as_fixed_size_binary().value(row), out),
        DataType::Date32 | DataType::Time32(_) | DataType::Time64(_) | DataType::Timestamp(..) => {
            time(array, row, out);
        }
        DataType::List(_) => list(array.as_list::<i32>().value(row).as_ref(), out),
        DataType::Map(..) => map(array.as_map(), row, out),
        DataType::Struct(_) => object(array.as_struct(), row, out),
        // A column of nothing but nulls has no other values, and other types were refused.
        _ => out.extend_from_slice(b"null"),
    }
}

fn native<T: ArrowPrimitiveType>(array: &dyn Array, row: usize) -> T::Native {
    array.as_primitive::<T>().value(row)
}

fn append(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Memory takes all.
    let _ = out.write_fmt(text);
}

fn number<T>(array: &dyn Array, row: usize, out: &mut Vec<u8>)
where
    T: ArrowPrimitiveType<Native: std::fmt::Display>,
{
    append(out, format_args!("{}", native::<T>(array, row)));
}

fn double(value: f64, out: &mut Vec<u8>) {
    match value.is_finite() {
        true => append(out, format_args!("{value:?}")),
        false => append(out, format_args!("\"{value}\"")),
    }
}

fn string(text: &str, out: &mut Vec<u8>) {
    bytes(text.as_bytes(), out);
}

/// Bytes as a text; those that are no UTF-8 stay what they are.
fn bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0..0x20 => append(out, format_args!("\\u{byte:04x}")),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

/// Dates, times of day and instants. What lies beyond the calendar is a text that fits none.
fn time(array: &dyn Array, row: usize, out: &mut Vec<u8>) {
    let clock = |nanos: i64| timestamp_ns_to_datetime(nanos).map(|time| time.time().to_string());
    let zone = matches!(array.data_type(), DataType::Timestamp(_, Some(_)));
    let text = match array.data_type() {
        DataType::Date32 => {
            date32_to_datetime(native::<Date32Type>(array, row)).map(|day| day.date().to_string())
        }
        DataType::Time32(_) => clock(i64::from(native::<Time32MillisecondType>(array, row)) * 1_000_000),
        DataType::Time64(TimeUnit::Microsecond) => {
            native::<Time64MicrosecondType>(array, row).checked_mul(1000).and_then(clock)
        }
        DataType::Time64(_) => clock(native::<Time64NanosecondType>(array, row)),
        DataType::Timestamp(unit, _) => {
            let time = match unit {
                TimeUnit::Second => timestamp_s_to_datetime(native::<TimestampSecondType>(array, row)),
                TimeUnit::Millisecond => {
                    timestamp_ms_to_datetime(native::<TimestampMillisecondType>(array, row))
                }
                TimeUnit::Microsecond => {
                    timestamp_us_to_datetime(native::<TimestampMicrosecondType>(array, row))
                }
                TimeUnit::Nanosecond => {
                    timestamp_ns_to_datetime(native::<TimestampNanosecondType>(array, row))
                }
            };
            time.map(|time| if zone { format!("{time:?}Z") } else { time.to_string() })
        }
        _ => None,
    };
    string(text.as_deref().unwrap_or("beyond the calendar"), out);
}

fn list(values: &dyn Array, out: &mut Vec<u8>) {
    out.push(b'[');
    for row in 0..values.len() {
        if row > 0 {
            out.push(b',');
        }
        value(values, row, out);
    }
    out.push(b']');
}

fn map(maps: &MapArray, row: usize, out: &mut Vec<u8>) {
    let entries = maps.value(row);
    let [keys, values] = entries.columns() else { return list(&entries, out) };
    let Some(keys) = keys.as_string_opt::<i32>() else { return list(&entries, out) };
    out.push(b'{');
    for row in 0..entries.len() {
        if row > 0 {
            out.push(b',');
        }
        string(keys.value(row), out);
        out.push(b':');
        value(values.as_ref(), row, out);
    }
    out.push(b'}');
}
