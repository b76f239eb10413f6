//! Numbers and booleans as text and back, as DuckDB writes and reads them.

use std::fmt::Write;

/// Reads a bigint: white space around it, `1_000`, `1.5` (rounded half away from zero) and `1e3` included.
pub(crate) fn parse_integer(text: &str) -> Option<i64> {
    let trimmed = text.trim_ascii();
    if let Ok(value) = trimmed.parse() {
        return Some(value);
    }
    i64::try_from(parse_decimal(trimmed, 0)?).ok()
}

/// Reads a decimal number as an integer scaled by `10^scale`, rounded half away from zero.
pub(crate) fn parse_decimal(text: &str, scale: u8) -> Option<i128> {
    let text = text.trim_ascii();
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        Some(at) => (&body[..at], body[at + 1..].parse::<i32>().ok().filter(|e| e.abs() < 10_000)?),
        None => (body, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (whole, fraction) = (digits(whole)?, digits(fraction)?);
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    // The digit at place p of the whole number counts 10^(point - 1 - p).
    let point = whole.len() as i32 + exponent + i32::from(scale);
    let mut value: i128 = 0;
    let mut all = whole.bytes().chain(fraction.bytes());
    for _ in 0..point.max(0) {
        let digit = i128::from(all.next().unwrap_or(b'0') - b'0');
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    if point >= 0 && all.next().is_some_and(|digit| digit >= b'5') {
        value += 1;
    }
    Some(if negative { -value } else { value })
}

/// Digits without the underscores that may stand between them.
fn digits(text: &str) -> Option<String> {
    let lone = text.starts_with('_') || text.ends_with('_') || text.contains("__");
    let valid = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    (valid && !lone).then(|| text.replace('_', ""))
}

/// Reads a double; `inf`, `infinity` and `nan` in any case. Beyond the largest it is infinite.
pub(crate) fn parse_double(text: &str) -> Option<f64> {
    let trimmed = text.trim_ascii();
    trimmed.parse().ok().or_else(|| digits_with_point(trimmed)?.parse().ok())
}

fn digits_with_point(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let between = |at: usize| {
        at > 0 && bytes[at - 1].is_ascii_digit() && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)
    };
    bytes.iter().enumerate().all(|(at, byte)| *byte != b'_' || between(at)).then(|| text.replace('_', ""))
}

/// Reads a boolean: true, t, yes, y, 1 and their opposites, in any case, without white space.
pub(crate) fn parse_boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// Writes a double as DuckDB does: the shortest digits, with a point, with an exponent below 1e-4 and from 1e16.
pub(crate) fn write_double(value: f64, out: &mut String) {
    let size = value.abs();
    let _ = if value.is_nan() {
        write!(out, "nan")
    } else if value.is_infinite() {
        write!(out, "{}", if value > 0.0 { "inf" } else { "-inf" })
    } else if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, places) = match exponent.strip_prefix('-') {
            Some(places) => ('-', places),
            None => ('+', exponent),
        };
        write!(out, "{mantissa}e{sign}{places:0>2}")
    } else {
        write!(out, "{value:?}")
    };
}

/// Writes a decimal with all digits of its scale.
pub(crate) fn write_decimal(value: i128, scale: u8, out: &mut String) {
    let unit = 10u128.pow(u32::from(scale));
    let size = value.unsigned_abs();
    let sign = if value < 0 { "-" } else { "" };
    let _ = match scale {
        0 => write!(out, "{sign}{size}"),
        _ => write!(out, "{sign}{}.{:0>width$}", size / unit, size % unit, width = usize::from(scale)),
    };
}
