//! Writes values of Arrow columns as JSON, straight into bytes.
//!
//! Used for alert objects, plain rows and quarantine rows. Promises that what it writes is valid JSON and
//! reads back as the same value: doubles in the shortest such form, always with a decimal point.

use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType, UInt32Type,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array, Int64Array,
    StringArray, TimestampMicrosecondArray,
};
use arrow_schema::DataType as ArrowType;
use serde_json::ser::{CompactFormatter, Formatter};

use crate::instant::{append_date, append_instant, append_timestamp};

/// How an instant is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instants {
    /// As an integer: milliseconds since the Unix epoch, floored. For plain rows.
    Millis,
    /// As a string, `2026-01-02T03:04:05.5Z`. For alerts.
    Rfc3339,
}

/// A column, ready to write its values.
#[derive(Debug, Clone, Copy)]
pub struct JsonColumn<'a> {
    array: &'a dyn Array,
    pub(crate) values: Values<'a>,
    instants: Instants,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Values<'a> {
    Text(&'a StringArray),
    Dictionary(&'a DictionaryArray<UInt32Type>, &'a StringArray),
    Bigint(&'a Int64Array),
    Double(&'a Float64Array),
    Boolean(&'a BooleanArray),
    Decimal(&'a Decimal128Array, u8),
    Date(&'a Date32Array),
    Timestamp(&'a TimestampMicrosecondArray),
    Instant(&'a TimestampMicrosecondArray),
    Null,
}

impl<'a> JsonColumn<'a> {
    /// Prepares a column.
    ///
    /// # Panics
    /// If it is of an Arrow type that no [`event::DataType`] has: a bug of the caller.
    pub fn new(column: &'a ArrayRef, instants: Instants) -> Self {
        let values = match column.data_type() {
            ArrowType::Utf8 => Values::Text(column.as_string()),
            ArrowType::Dictionary(_, _) => {
                let codes = column.as_dictionary::<UInt32Type>();
                Values::Dictionary(codes, codes.values().as_string())
            }
            ArrowType::Int64 => Values::Bigint(column.as_primitive::<Int64Type>()),
            ArrowType::Float64 => Values::Double(column.as_primitive::<Float64Type>()),
            ArrowType::Boolean => Values::Boolean(column.as_boolean()),
            ArrowType::Decimal128(_, scale) => {
                Values::Decimal(column.as_primitive::<Decimal128Type>(), scale.unsigned_abs())
            }
            ArrowType::Date32 => Values::Date(column.as_primitive::<Date32Type>()),
            ArrowType::Timestamp(_, None) => {
                Values::Timestamp(column.as_primitive::<TimestampMicrosecondType>())
            }
            ArrowType::Timestamp(_, Some(_)) => {
                Values::Instant(column.as_primitive::<TimestampMicrosecondType>())
            }
            ArrowType::Null => Values::Null,
            other => unreachable!("no type of ours is a {other}"),
        };
        JsonColumn { array: column.as_ref(), values, instants }
    }

    /// Whether the value of that row is NULL.
    pub fn is_null(&self, row: usize) -> bool {
        self.array.is_null(row) || matches!(self.values, Values::Null)
    }

    /// Appends the value of that row; NULL as `null`.
    #[inline]
    pub fn append(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
            return;
        }
        match self.values {
            Values::Text(_) | Values::Dictionary(..) => append_string(self.text(row), out),
            Values::Bigint(values) => append_bigint(values.value(row), out),
            Values::Double(values) => append_double(values.value(row), out),
            Values::Boolean(values) => out.extend_from_slice(boolean(values.value(row))),
            Values::Instant(values) if self.instants == Instants::Millis => {
                append_bigint(values.value(row).div_euclid(event::MICROS_PER_MILLI), out);
            }
            Values::Decimal(..) | Values::Date(_) | Values::Timestamp(_) | Values::Instant(_) => {
                out.push(b'"');
                self.append_text(row, out);
                out.push(b'"');
            }
            Values::Null => {}
        }
    }

    /// Appends the value of that row as a person reads it: text and times bare, without quotes or escapes.
    pub(crate) fn append_text(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
            return;
        }
        match self.values {
            Values::Text(_) | Values::Dictionary(..) => out.extend_from_slice(self.text(row).as_bytes()),
            Values::Bigint(values) => append_bigint(values.value(row), out),
            Values::Double(values) => append_finite_or_name(values.value(row), out, b""),
            Values::Boolean(values) => out.extend_from_slice(boolean(values.value(row))),
            Values::Decimal(values, scale) => append_decimal(values.value(row), scale, out),
            Values::Date(values) => append_date(i64::from(values.value(row)), out),
            Values::Timestamp(values) => append_timestamp(values.value(row), out),
            Values::Instant(values) => append_instant(values.value(row), out),
            Values::Null => {}
        }
    }

    fn text(&self, row: usize) -> &'a str {
        match self.values {
            Values::Text(values) => values.value(row),
            Values::Dictionary(codes, values) => values.value(codes.keys().value(row) as usize),
            _ => "",
        }
    }
}

fn boolean(value: bool) -> &'static [u8] {
    if value { b"true" } else { b"false" }
}

/// Appends a double in its shortest form that reads back, with a decimal point; `NaN`, `Infinity` and
/// `-Infinity` as strings.
pub(crate) fn append_double(value: f64, out: &mut Vec<u8>) {
    append_finite_or_name(value, out, b"\"");
}

fn append_finite_or_name(value: f64, out: &mut Vec<u8>, quote: &[u8]) {
    if !value.is_finite() {
        out.extend_from_slice(quote);
        out.extend_from_slice(match value {
            f64::INFINITY => b"Infinity",
            f64::NEG_INFINITY => b"-Infinity",
            _ => b"NaN",
        });
        out.extend_from_slice(quote);
        return;
    }
    // A vector takes every write.
    if value == 0.0 || (1e-4..1e16).contains(&value.abs()) {
        let _ = write!(out, "{value:?}");
        return;
    }
    let start = out.len();
    let _ = write!(out, "{value:e}");
    // Of `1e21` a reader may make an integer, or refuse it.
    if let Some(exponent) = out[start..].iter().position(|&byte| byte == b'e')
        && !out[start..].contains(&b'.')
    {
        out.splice(start + exponent..start + exponent, *b".0");
    }
}

/// Appends an integer.
pub(crate) fn append_bigint(value: i64, out: &mut Vec<u8>) {
    // A vector takes every write.
    let _ = CompactFormatter.write_i64(out, value);
}

/// Appends a decimal given as a whole number of units of its last digit.
pub(crate) fn append_decimal(unscaled: i128, scale: u8, out: &mut Vec<u8>) {
    if unscaled < 0 {
        out.push(b'-');
    }
    let scale = usize::from(scale);
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    out.extend_from_slice(whole.as_bytes());
    if scale > 0 {
        out.push(b'.');
        out.extend_from_slice(fraction.as_bytes());
    }
}

/// Appends a string with its quotes, escaped as RFC 8259 asks; what is not ASCII stays as it is.
pub(crate) fn append_string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    let mut written = 0;
    out.push(b'"');
    for (place, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[written..place]);
        written = place + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
    }
    out.extend_from_slice(&bytes[written..]);
    out.push(b'"');
}

/// `"name":`, ready to be appended to an object.
pub(crate) fn member(name: &str) -> Vec<u8> {
    let mut member = Vec::with_capacity(name.len() + 3);
    append_string(name, &mut member);
    member.push(b':');
    member
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use event::DataType;
    use proptest::prelude::*;

    use super::*;

    fn double(value: f64) -> String {
        let mut out = Vec::new();
        append_double(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn string(text: &str) -> String {
        let mut out = Vec::new();
        append_string(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn check(column: impl Array + 'static, instants: Instants, expected: &[&str]) {
        let column: ArrayRef = Arc::new(column);
        let json = JsonColumn::new(&column, instants);
        for (row, expected) in expected.iter().enumerate() {
            let mut out = Vec::new();
            json.append(row, &mut out);
            assert_eq!(std::str::from_utf8(&out).unwrap(), *expected);
        }
    }

    #[test]
    fn a_double_has_a_decimal_point_in_every_size() {
        for (value, expected) in [
            (12.5, "12.5"),
            (0.2982, "0.2982"),
            (3.0, "3.0"),
            (-0.0, "-0.0"),
            (100_000.0, "100000.0"),
            (1e15, "1000000000000000.0"),
            (1e21, "1.0e21"),
            (1.5e300, "1.5e300"),
            (1e-7, "1.0e-7"),
            (5e-324, "5.0e-324"),
            (f64::MAX, "1.7976931348623157e308"),
            (f64::NAN, "\"NaN\""),
            (-f64::NAN, "\"NaN\""),
            (f64::INFINITY, "\"Infinity\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ] {
            assert_eq!(double(value), expected);
        }
    }

    proptest! {
        #[test]
        fn every_double_reads_back(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let text = double(value);
            prop_assert!(text.contains('.'), "{}", text);
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), bits);
            prop_assert!(serde_json::from_str::<f64>(&text).is_ok());
            // The standard library writes the shortest form too, but `1e21` without a point.
            prop_assert_eq!(text.replace(".0e", "e"), format!("{value:?}"));
        }

        #[test]
        fn every_double_of_usual_size_is_written_as_rust_does(whole in -1_000_000_000i64..1_000_000_000, digits in 0i32..20) {
            let value = whole as f64 / 10_f64.powi(digits);
            prop_assert_eq!(double(value).replace(".0e", "e"), format!("{value:?}"));
        }

        #[test]
        fn every_text_reads_back(text: String) {
            prop_assert_eq!(serde_json::from_str::<String>(&string(&text)).unwrap(), text);
        }

        #[test]
        fn every_decimal_reads_back(unscaled: i128, scale in 0u8..=38) {
            let mut out = Vec::new();
            append_decimal(unscaled, scale, &mut out);
            let text = String::from_utf8(out).unwrap();
            let (_, fraction) = text.split_once('.').unwrap_or((&text, ""));
            prop_assert_eq!(fraction.len(), usize::from(scale));
            prop_assert_eq!(text.replace('.', "").parse::<i128>().unwrap(), unscaled);
        }
    }

    #[test]
    fn control_characters_are_escaped_and_other_text_is_not() {
        assert_eq!(string("a\"b\\c/é\u{7f}"), "\"a\\\"b\\\\c/é\u{7f}\"");
        assert_eq!(string("\0\u{1f}\n\r\t"), r#""\u0000\u001f\n\r\t""#);
    }

    #[test]
    fn an_instant_before_the_epoch_is_floored_to_a_millisecond() {
        let instants = || {
            TimestampMicrosecondArray::from(vec![Some(-1), Some(1_999), None])
                .with_data_type(DataType::TimestampTz.arrow())
        };
        check(instants(), Instants::Millis, &["-1", "1", "null"]);
        let text = ["\"1969-12-31T23:59:59.999999Z\"", "\"1970-01-01T00:00:00.001999Z\"", "null"];
        check(instants(), Instants::Rfc3339, &text);
    }

    #[test]
    fn every_type_has_its_form() {
        check(
            Int64Array::from(vec![Some(i64::MIN), None]),
            Instants::Millis,
            &["-9223372036854775808", "null"],
        );
        check(BooleanArray::from(vec![true, false]), Instants::Millis, &["true", "false"]);
        check(Date32Array::from(vec![0, -1]), Instants::Millis, &["\"1970-01-01\"", "\"1969-12-31\""]);
        check(
            Decimal128Array::from(vec![-5, 12_345]).with_precision_and_scale(10, 2).unwrap(),
            Instants::Millis,
            &["\"-0.05\"", "\"123.45\""],
        );
        let coded: DictionaryArray<UInt32Type> = [Some("a"), None, Some("a")].into_iter().collect();
        check(coded, Instants::Millis, &["\"a\"", "null", "\"a\""]);
        let timestamp = TimestampMicrosecondArray::from(vec![1_500_000]);
        check(timestamp, Instants::Millis, &["\"1970-01-01T00:00:01.5\""]);
        check(arrow_array::NullArray::new(1), Instants::Millis, &["null"]);
    }
}
