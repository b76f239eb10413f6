//! Functions of text. Places and lengths count characters (code points), as in DuckDB.

use std::ops::Range;

use arrow_array::types::Int64Type;
use event::DataType;

use super::{Function, Invocation, MANY, Result, function};
use crate::ExpressionError;
use crate::bind::{Bound, conversion_help};
use crate::kernel::text::{Texts, collect_texts, text_pair_predicate, text_to_number, text_to_text};
use crate::kernel::{Numbers, collect_numbers, kernel, like};

pub(super) const TABLE: &[Function] = &[
    function("lower", 1..=1, |call| mapped(call, like::lower)),
    function("lcase", 1..=1, |call| mapped(call, like::lower)),
    function("upper", 1..=1, |call| mapped(call, like::upper)),
    function("ucase", 1..=1, |call| mapped(call, like::upper)),
    function("length", 1..=1, |call| measured(call, |text| text.chars().count())),
    function("len", 1..=1, |call| measured(call, |text| text.chars().count())),
    function("char_length", 1..=1, |call| measured(call, |text| text.chars().count())),
    function("character_length", 1..=1, |call| measured(call, |text| text.chars().count())),
    function("strlen", 1..=1, |call| measured(call, str::len)),
    function("bit_length", 1..=1, |call| measured(call, |text| text.len() * 8)),
    function("trim", 1..=2, |call| trimmed(call, true, true)),
    function("ltrim", 1..=2, |call| trimmed(call, true, false)),
    function("rtrim", 1..=2, |call| trimmed(call, false, true)),
    function("substr", 2..=3, substring),
    function("substring", 2..=3, substring),
    function("starts_with", 2..=2, |call| question(call, |text, start| text.starts_with(start))),
    function("ends_with", 2..=2, |call| question(call, |text, end| text.ends_with(end))),
    function("suffix", 2..=2, |call| question(call, |text, end| text.ends_with(end))),
    function("prefix", 2..=2, |call| question(call, |text, start| text.starts_with(start))),
    function("contains", 2..=2, |call| question(call, |text, part| text.contains(part))),
    function("position", 2..=2, position),
    function("strpos", 2..=2, position),
    function("instr", 2..=2, position),
    function("replace", 3..=3, replace),
    function("concat", 1..=MANY, |call| concatenate("concat", call.arguments, true, call.span)),
];

fn mapped(mut call: Invocation, f: impl Fn(&str, &mut String) + Send + Sync + 'static) -> Result<Bound> {
    call.take_all(DataType::Varchar)?;
    call.total(DataType::Varchar, text_to_text(f))
}

fn question(mut call: Invocation, f: impl Fn(&str, &str) -> bool + Send + Sync + 'static) -> Result<Bound> {
    call.take_all(DataType::Varchar)?;
    call.total(DataType::Boolean, text_pair_predicate(f))
}

fn measured(mut call: Invocation, f: fn(&str) -> usize) -> Result<Bound> {
    call.take_all(DataType::Varchar)?;
    let kernel = text_to_number::<Int64Type>(DataType::Bigint, move |text| Ok(Some(f(text) as i64)));
    call.total(DataType::Bigint, kernel)
}

/// Place of the first occurrence, from 1; 0 if there is none.
fn position(mut call: Invocation) -> Result<Bound> {
    call.take_all(DataType::Varchar)?;
    let kernel = kernel(move |arguments, rows, failures| {
        let (texts, parts) = (Texts::of(&arguments[0]), Texts::of(&arguments[1]));
        collect_numbers::<Int64Type>(DataType::Bigint, rows, failures, |row| {
            let both = texts.get(row).zip(parts.get(row));
            Ok(both.map(|(text, part)| match text.find(part) {
                Some(at) => text[..at].chars().count() as i64 + 1,
                None => 0,
            }))
        })
    });
    call.total(DataType::Bigint, kernel)
}

/// Without a second argument spaces go, the wide ones of Unicode included, but no tabs or line ends.
fn trimmed(mut call: Invocation, start: bool, end: bool) -> Result<Bound> {
    call.take_all(DataType::Varchar)?;
    let kernel = kernel(move |arguments, rows, _| {
        let texts = Texts::of(&arguments[0]);
        let characters = arguments.get(1).map(Texts::of);
        collect_texts(rows, |row, out| {
            let mut text = texts.get(row)?;
            let unwanted = characters.map(|characters| characters.get(row));
            let cut = |c: char| match unwanted {
                None => is_space(c),
                Some(characters) => characters.is_some_and(|characters| characters.contains(c)),
            };
            if unwanted == Some(None) {
                return None;
            }
            if start {
                text = text.trim_start_matches(cut);
            }
            if end {
                text = text.trim_end_matches(cut);
            }
            out.push_str(text);
            Some(())
        })
    });
    call.total(DataType::Varchar, kernel)
}

/// Unicode's category of space separators.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

fn replace(mut call: Invocation) -> Result<Bound> {
    call.take_all(DataType::Varchar)?;
    let kernel = kernel(move |arguments, rows, _| {
        let [texts, from, to] = [0, 1, 2].map(|place| Texts::of(&arguments[place]));
        collect_texts(rows, |row, out| {
            let (text, from, to) = (texts.get(row)?, from.get(row)?, to.get(row)?);
            if from.is_empty() {
                out.push_str(text);
                return Some(());
            }
            let mut pieces = text.split(from);
            out.push_str(pieces.next().unwrap_or_default());
            for piece in pieces {
                out.push_str(to);
                out.push_str(piece);
            }
            Some(())
        })
    });
    call.total(DataType::Varchar, kernel)
}

/// `substr(text, start[, length])`: from 1, a negative start counts from the end.
fn substring(mut call: Invocation) -> Result<Bound> {
    call.take(0, DataType::Varchar)?;
    (1..call.arguments.len()).try_for_each(|place| call.take(place, DataType::Bigint))?;
    let kernel = kernel(move |arguments, rows, _| {
        let texts = Texts::of(&arguments[0]);
        let starts = Numbers::<Int64Type>::of(&arguments[1]);
        let lengths = arguments.get(2).map(Numbers::<Int64Type>::of);
        collect_texts(rows, |row, out| {
            let (text, start) = (texts.get(row)?, starts.get(row)?);
            let length = match &lengths {
                None => None,
                Some(lengths) => Some(lengths.get(row)?),
            };
            let places = substring_places(text.chars().count() as i64, start, length);
            out.extend(text.chars().skip(places.start as usize).take((places.end - places.start) as usize));
            Some(())
        })
    });
    call.total(DataType::Varchar, kernel)
}

/// The places from 0 that `substr` takes of a text of `size` characters. A negative length goes backwards
/// from the start.
fn substring_places(size: i64, start: i64, length: Option<i64>) -> Range<i64> {
    let from = if start < 0 { start.saturating_add(size) } else { start - 1 };
    let from = if start == 0 && length.is_none() { 0 } else { from };
    let length = length.unwrap_or(i64::MAX);
    let (low, high) =
        if length < 0 { (from.saturating_add(length), from) } else { (from, from.saturating_add(length)) };
    let low = low.clamp(0, size);
    low..high.clamp(low, size)
}

/// Joins texts. `||` gives NULL where an operand is NULL, `concat` skips it.
pub(crate) fn concatenate(
    name: &'static str,
    operands: Vec<Bound>,
    skip_null: bool,
    span: Range<usize>,
) -> Result<Bound> {
    let mut texts = Vec::with_capacity(operands.len());
    for operand in operands {
        if operand.data_type.is_some_and(|data_type| data_type != DataType::Varchar) {
            let message = format!("`{name}` joins varchar values, found a {}", operand.type_name());
            return Err(ExpressionError::new(message, operand.span.clone())
                .maybe_help(conversion_help(&operand, DataType::Varchar)));
        }
        texts.push(operand.widened(DataType::Varchar)?);
    }
    let kernel = kernel(move |arguments, rows, _| {
        let texts: Vec<Texts> = arguments.iter().map(Texts::of).collect();
        collect_texts(rows, |row, out| {
            for text in &texts {
                match text.get(row) {
                    Some(text) => out.push_str(text),
                    None if skip_null => {}
                    None => return None,
                }
            }
            Some(())
        })
    });
    Bound::call(name, span, texts, DataType::Varchar, false, kernel)
}
