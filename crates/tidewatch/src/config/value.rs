//! Reads single values: strings, numbers in a range, durations, sizes, one of a few words.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::diagnostic::{Code, Diagnostic};
use super::duration::{format_duration, parse_duration};
use super::nearest::suggestion;
use super::place::{Origin, Place, Sources};
use super::section::Read;
use super::tree::{Node, Text, Value};

/// A SQL expression as it stands in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sql {
    /// The expression.
    pub text: String,
    /// The whole value.
    pub place: Place,
    /// Byte of the source where `text` stands word for word, if it does.
    pub verbatim: Option<usize>,
}

/// What was found where something else is needed.
pub fn wrong_type(node: &Node, needed: &str) -> Diagnostic {
    let message = format!("expected {needed}, found {}", node.value.kind());
    Diagnostic::new(Code::WrongType, node.place.clone(), message)
}

/// A value that cannot be, in words.
pub fn bad_value(node: &Node, message: impl Into<String>) -> Diagnostic {
    Diagnostic::new(Code::BadValue, node.place.clone(), message)
}

/// A string. What an override wrote without quotes is one too, even if it reads as a number.
///
/// # Errors
/// If it is another value.
pub fn text(sources: &Sources, node: &Node) -> Read<Text> {
    match &node.value {
        Value::Text(text) => Ok(text.clone()),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {
            let source = sources.get(node.place.source);
            match &source.origin {
                Origin::File(_) | Origin::Call(_) => Err(wrong_type(node, "a string")),
                _ => Ok(Text {
                    text: source.text[node.place.span.clone()].to_owned(),
                    verbatim: Some(node.place.span.start),
                }),
            }
        }
        _ => Err(wrong_type(node, "a string")),
    }
}

/// The characters of a string.
///
/// # Errors
/// If it is another value.
pub fn string(sources: &Sources, node: &Node) -> Read<String> {
    text(sources, node).map(|text| text.text)
}

/// A string with something in it.
///
/// # Errors
/// If it is empty, or another value.
pub fn filled_string(sources: &Sources, node: &Node) -> Read<String> {
    match string(sources, node)? {
        empty if empty.is_empty() => Err(bad_value(node, "an empty string")),
        string => Ok(string),
    }
}

/// A SQL expression.
///
/// # Errors
/// If it is not a string, or an empty one.
pub fn sql(sources: &Sources, node: &Node) -> Read<Sql> {
    let Text { text, verbatim } = text(sources, node)?;
    if text.trim().is_empty() {
        return Err(bad_value(node, "an empty expression"));
    }
    Ok(Sql { text, place: node.place.clone(), verbatim })
}

/// A whole number in `range`.
pub fn integer<T>(range: RangeInclusive<T>) -> impl FnOnce(&Sources, &Node) -> Read<T>
where
    T: TryFrom<i64> + PartialOrd + Display,
{
    move |_, node| {
        let Value::Integer(integer) = node.value else {
            return Err(wrong_type(node, "a whole number"));
        };
        T::try_from(integer).ok().filter(|value| range.contains(value)).ok_or_else(|| {
            bad_value(
                node,
                format!("{integer} is out of range; the range is {} to {}", range.start(), range.end()),
            )
        })
    }
}

/// A finite number in `range`, with or without a point.
pub fn number(range: RangeInclusive<f64>) -> impl FnOnce(&Sources, &Node) -> Read<f64> {
    move |_, node| {
        let number = match node.value {
            Value::Integer(integer) => integer as f64,
            Value::Float(float) => float,
            _ => return Err(wrong_type(node, "a number")),
        };
        if range.contains(&number) {
            return Ok(number);
        }
        let (start, end) = (range.start(), range.end());
        Err(bad_value(node, format!("{number} is out of range; the range is {start} to {end}")))
    }
}

/// `true` or `false`.
///
/// # Errors
/// If it is another value.
pub fn boolean(_: &Sources, node: &Node) -> Read<bool> {
    match node.value {
        Value::Boolean(boolean) => Ok(boolean),
        _ => Err(wrong_type(node, "`true` or `false`")),
    }
}

/// A duration with its unit, in `range`.
pub fn duration(range: RangeInclusive<Duration>) -> impl FnOnce(&Sources, &Node) -> Read<Duration> {
    move |sources, node| {
        if let Value::Integer(integer) = node.value {
            return Err(bad_value(node, format!("`{integer}` has no unit"))
                .with_help(format!("write `\"{integer}s\"` for seconds")));
        }
        let text = text(sources, node).map_err(|_| wrong_type(node, "a duration such as `\"5s\"`"))?;
        let duration = parse_duration(&text.text).map_err(|message| {
            bad_value(node, message).with_help("units are us, ms, s, m, h, d: `\"5s\"`")
        })?;
        if range.contains(&duration) {
            return Ok(duration);
        }
        let (start, end) = (range.start(), range.end());
        let words = format!(
            "`{}` is out of range; the range is {} to {}",
            text.text,
            format_duration(*start),
            format_duration(*end)
        );
        Err(bad_value(node, words))
    }
}

/// A duration in microseconds that may be negative, as `-9h`.
pub fn signed_duration(sources: &Sources, node: &Node) -> Read<i64> {
    let text = text(sources, node).map_err(|_| wrong_type(node, "a duration such as `\"-9h\"`"))?;
    let (sign, length) = match text.text.trim().strip_prefix('-') {
        Some(length) => (-1, length),
        None => (1, text.text.trim()),
    };
    let duration = parse_duration(length)
        .map_err(|message| bad_value(node, message).with_help("units are us, ms, s, m, h, d: `\"-9h\"`"))?;
    let micros =
        i64::try_from(duration.as_micros()).map_err(|_| bad_value(node, "a duration without end"))?;
    Ok(sign * micros)
}

/// A number of bytes, in `range`: a whole number, or a string such as `256KiB`.
pub fn bytes(range: RangeInclusive<u64>) -> impl FnOnce(&Sources, &Node) -> Read<u64> {
    const UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];
    move |sources, node| {
        let bytes = match node.value {
            Value::Integer(integer) => u64::try_from(integer).ok(),
            _ => {
                let text =
                    string(sources, node).map_err(|_| wrong_type(node, "a size such as `\"256KiB\"`"))?;
                UNITS
                    .iter()
                    .find_map(|(unit, scale)| text.strip_suffix(unit).map(|number| (number, scale)))
                    .and_then(|(number, scale)| number.trim().parse::<u64>().ok()?.checked_mul(*scale))
            }
        };
        let Some(bytes) = bytes else {
            return Err(bad_value(node, "not a size").with_help("units are B, KiB, MiB, GiB: `\"256KiB\"`"));
        };
        if range.contains(&bytes) {
            return Ok(bytes);
        }
        let (start, end) = (range.start(), range.end());
        Err(bad_value(node, format!("{bytes} is out of range; the range is {start} to {end} bytes")))
    }
}

/// One of a few words.
pub fn one_of<T: Copy + 'static>(
    choices: &'static [(&'static str, T)],
) -> impl FnOnce(&Sources, &Node) -> Read<T> {
    move |sources, node| {
        let word = string(sources, node)?;
        if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == word) {
            return Ok(*choice);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let mut diagnostic = bad_value(node, format!("`{word}` is none of {}", names.join(", ")));
        diagnostic.help = suggestion(&word, &names).filter(|help| help.starts_with("did"));
        Err(diagnostic)
    }
}

/// A list of strings, or one string for a list of one.
///
/// # Errors
/// If it is something else, or empty.
pub fn strings(sources: &Sources, node: &Node) -> Read<Vec<String>> {
    match &node.value {
        Value::Array(nodes) if nodes.is_empty() => Err(bad_value(node, "an empty list")),
        Value::Array(nodes) => nodes.iter().map(|node| filled_string(sources, node)).collect(),
        _ => Ok(vec![filled_string(sources, node).map_err(|mut diagnostic| {
            if diagnostic.code == Code::WrongType {
                diagnostic.message =
                    format!("expected a string or a list of strings, found {}", node.value.kind());
            }
            diagnostic
        })?]),
    }
}
