//! Texts as numbers and numbers as texts: code points, digits to another base, percent-encoding, digests.

use std::fmt::Write;

use arrow_array::types::Int64Type;
use event::DataType;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{Function, Invocation, Result, function};
use crate::bind::Bound;
use crate::kernel::text::{Texts, number_to_text, text_to_number, text_to_text, try_collect_texts};
use crate::kernel::{Numbers, kernel};

type I = Int64Type;

pub(super) const TABLE: &[Function] = &[
    function("ascii", 1..=1, |call| first_code(call, 0)),
    function("unicode", 1..=1, |call| first_code(call, -1)),
    function("ord", 1..=1, |call| first_code(call, -1)),
    function("chr", 1..=1, chr),
    function("hex", 1..=1, |call| digits(call, |out, byte| write!(out, "{byte:02X}"), |n| format!("{n:X}"))),
    function("to_hex", 1..=1, |call| {
        digits(call, |out, byte| write!(out, "{byte:02X}"), |n| format!("{n:X}"))
    }),
    function("bin", 1..=1, |call| digits(call, |out, byte| write!(out, "{byte:08b}"), |n| format!("{n:b}"))),
    function("to_binary", 1..=1, |call| {
        digits(call, |out, byte| write!(out, "{byte:08b}"), |n| format!("{n:b}"))
    }),
    function("to_base", 2..=3, to_base),
    function("url_encode", 1..=1, |call| encoded(call, url_encode)),
    function("url_decode", 1..=1, url_decode),
    function("md5", 1..=1, |call| encoded(call, |text, out| write_hex(&Md5::digest(text.as_bytes()), out))),
    function("sha1", 1..=1, |call| encoded(call, |text, out| write_hex(&Sha1::digest(text.as_bytes()), out))),
    function("sha256", 1..=1, |call| {
        encoded(call, |text, out| write_hex(&Sha256::digest(text.as_bytes()), out))
    }),
    function("format_bytes", 1..=1, |call| sizes(call, 1024, &["KiB", "MiB", "GiB", "TiB", "PiB"])),
    function("formatreadablesize", 1..=1, |call| sizes(call, 1024, &["KiB", "MiB", "GiB", "TiB", "PiB"])),
    function("formatreadabledecimalsize", 1..=1, |call| sizes(call, 1000, &["kB", "MB", "GB", "TB", "PB"])),
];

fn encoded(mut call: Invocation, f: impl Fn(&str, &mut String) + Send + Sync + 'static) -> Result<Bound> {
    call.take_all(DataType::Varchar)?;
    call.total(DataType::Varchar, text_to_text(f))
}

fn write_hex(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
}

/// Code point of the first character, `empty` without one.
fn first_code(mut call: Invocation, empty: i64) -> Result<Bound> {
    call.take_all(DataType::Varchar)?;
    let kernel = text_to_number::<I>(DataType::Bigint, move |text| {
        Ok(Some(text.chars().next().map_or(empty, |c| i64::from(u32::from(c)))))
    });
    call.total(DataType::Bigint, kernel)
}

fn chr(mut call: Invocation) -> Result<Bound> {
    call.take_all(DataType::Bigint)?;
    let kernel = kernel(|arguments, rows, failures| {
        let codes = Numbers::<I>::of(&arguments[0]);
        try_collect_texts(rows, failures, |row, out| {
            let Some(code) = codes.get(row) else { return Ok(None) };
            let character = u32::try_from(code).ok().and_then(char::from_u32);
            out.push(character.ok_or_else(|| format!("chr({code}): there is no such character"))?);
            Ok(Some(()))
        })
    });
    call.partial(DataType::Varchar, kernel)
}

/// `hex`, `bin`: of a text its bytes, of a number its 64 bits without leading zeros.
fn digits(
    mut call: Invocation,
    byte: fn(&mut String, u8) -> std::fmt::Result,
    number: fn(i64) -> String,
) -> Result<Bound> {
    if call.arguments[0].data_type == Some(DataType::Bigint) {
        let kernel = number_to_text::<I>(move |value, out| out.push_str(&number(value)));
        return call.total(DataType::Varchar, kernel);
    }
    call.take_all(DataType::Varchar)?;
    let kernel = text_to_text(move |text, out| {
        for one in text.bytes() {
            let _ = byte(out, one);
        }
    });
    call.total(DataType::Varchar, kernel)
}

/// `to_base(number, base[, digits at least])`
fn to_base(mut call: Invocation) -> Result<Bound> {
    call.take_all(DataType::Bigint)?;
    let kernel = kernel(|arguments, rows, failures| {
        let [numbers, bases] = [0, 1].map(|place| Numbers::<I>::of(&arguments[place]));
        let least = arguments.get(2).map(Numbers::<I>::of);
        try_collect_texts(rows, failures, |row, out| {
            let least = match &least {
                None => Some(0),
                Some(least) => least.get(row),
            };
            let (Some(number), Some(base), Some(least)) = (numbers.get(row), bases.get(row), least) else {
                return Ok(None);
            };
            if number < 0 || !(2..=36).contains(&base) || !(0..=64).contains(&least) {
                let wanted = "a number from 0, a base from 2 to 36, at most 64 digits";
                return Err(format!("to_base({number}, {base}, {least}) needs {wanted}"));
            }
            write_in_base(number as u64, base as u64, least as usize, out);
            Ok(Some(()))
        })
    });
    call.partial(DataType::Varchar, kernel)
}

fn write_in_base(mut number: u64, base: u64, least: usize, out: &mut String) {
    let mut digits = Vec::new();
    while number > 0 || digits.is_empty() {
        digits
            .push(char::from_digit((number % base) as u32, base as u32).unwrap_or('0').to_ascii_uppercase());
        number /= base;
    }
    out.extend(std::iter::repeat_n('0', least.saturating_sub(digits.len())));
    out.extend(digits.iter().rev());
}

fn url_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

fn url_decode(mut call: Invocation) -> Result<Bound> {
    call.take_all(DataType::Varchar)?;
    let kernel = kernel(|arguments, rows, failures| {
        let texts = Texts::of(&arguments[0]);
        try_collect_texts(rows, failures, |row, out| {
            let Some(text) = texts.get(row) else { return Ok(None) };
            let decoded = String::from_utf8(percent_decoded(text.as_bytes()));
            out.push_str(&decoded.map_err(|_| "url_decode: what is encoded is not UTF-8".to_owned())?);
            Ok(Some(()))
        })
    });
    call.partial(DataType::Varchar, kernel)
}

/// A percent sign without two digits behind it stays as it is.
fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        match (bytes[at], digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

/// `1.5 KiB`: cut off, not rounded, after one digit.
fn sizes(mut call: Invocation, unit: u64, names: &'static [&'static str]) -> Result<Bound> {
    call.take_all(DataType::Bigint)?;
    let kernel = number_to_text::<I>(move |value, out| {
        let size = value.unsigned_abs();
        if value < 0 {
            out.push('-');
        }
        let steps =
            (1..=names.len() as u32).rev().find(|step| unit.checked_pow(*step).is_some_and(|u| size >= u));
        let _ = match steps {
            None => write!(out, "{size} {}", if size == 1 { "byte" } else { "bytes" }),
            Some(step) => {
                let whole = unit.pow(step);
                let tenth = (u128::from(size % whole) * 10 / u128::from(whole)) as u64;
                write!(out, "{}.{tenth} {}", size / whole, names[step as usize - 1])
            }
        };
    });
    call.total(DataType::Varchar, kernel)
}
