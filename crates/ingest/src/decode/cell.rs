//! Values of columns from fields of CSV, which are texts: whether one is quoted says nothing of its type.

use super::calendar;
use super::column::{Column, Values};
use super::misfit::Misfit;
use super::number::{self, Decimal};
use super::swar;

impl Column {
    /// Adds the value of the field that begins at `at`, if that is of the usual kind. Returns where the field
    /// ends: at its comma or newline. `None` leaves nothing behind.
    #[inline(always)]
    pub(super) fn read_cell(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        match &mut self.values {
            Values::Text { offsets, bytes: values } => {
                let length = values.len();
                match append_plain(bytes, at, values) {
                    Some(end) => {
                        offsets.push(values.len() as i32);
                        return Some(end);
                    }
                    None => values.truncate(length),
                }
                None
            }
            Values::Codes { codes, dictionary, .. } => {
                let (words, end) = short_words(bytes, at)?;
                let stop = cell_end(bytes, end)?;
                codes.push(dictionary.short_code(words, &bytes[at..end])?);
                Some(stop)
            }
            Values::Double(values) => {
                let (value, end) = number::short_double(bytes, at)?;
                let stop = cell_end(bytes, end)?;
                values.push(value);
                Some(stop)
            }
            Values::Bigint(values) => {
                let (value, end) = number::short_whole(bytes, at)?;
                let stop = cell_end(bytes, end)?;
                values.push(value);
                Some(stop)
            }
            _ => None,
        }
    }

    /// Adds the value of a field that holds that text, which is not NULL. After a misfit the column is as it was.
    pub(super) fn add_text(&mut self, text: &[u8]) -> Result<(), Misfit> {
        const NOT_UTF8: Misfit = Misfit::Malformed("text that is not valid UTF-8");
        match &mut self.values {
            Values::Text { offsets, bytes } => {
                std::str::from_utf8(text).map_err(|_| NOT_UTF8)?;
                bytes.extend_from_slice(text);
                offsets.push(bytes.len() as i32);
            }
            Values::Codes { codes, dictionary, .. } => codes.push(dictionary.code(text).ok_or(NOT_UTF8)?),
            Values::Date { values, .. } => values.push(calendar::date(text).ok_or(Misfit::Type)?),
            Values::Time { values, has_zone, .. } => {
                let time = if *has_zone { calendar::instant(text) } else { calendar::timestamp(text) };
                values.push(time.ok_or(Misfit::Type)?);
            }
            Values::Boolean(values) => match text {
                b"true" => values.push(true),
                b"false" => values.push(false),
                _ => return Err(Misfit::Type),
            },
            _ if !number::is_all(text) => return Err(Misfit::Type),
            Values::Bigint(values) => values.push(number::integer(text, 0)?.0),
            Values::Double(values) => values.push(number::double(text, 0)?.0),
            Values::Decimal { values, precision, scale } => {
                let value = Decimal::cut(text).exactly_scaled(*scale, *precision);
                values.push(value.ok_or(Misfit::Type)?);
            }
        }
        Ok(())
    }
}

/// Where the comma or newline stands, if a field that goes up to `end` ends there.
#[inline(always)]
pub(super) fn cell_end(bytes: &[u8], end: usize) -> Option<usize> {
    match bytes.get(end)? {
        b',' | b'\n' => Some(end),
        b'\r' if bytes.get(end + 1) == Some(&b'\n') => Some(end + 1),
        _ => None,
    }
}

/// Appends the text of the field at `at` to `out`, if it has no quotes and a comma or newline ends it. Returns
/// where that stands. `None` leaves bytes behind in `out`, for a text that is empty too: that is NULL.
#[inline(always)]
fn append_plain(bytes: &[u8], at: usize, out: &mut Vec<u8>) -> Option<usize> {
    if matches!(bytes.get(at)?, b'"' | b',' | b'\n' | b'\r') {
        return None;
    }
    let start = out.len();
    let (mut at, mut seen) = (at, 0u64);
    loop {
        let word = swar::word(bytes, at)?;
        // Eight bytes whatever is needed of them: a copy of a known size is one instruction.
        out.extend_from_slice(&word.to_le_bytes());
        let stops = swar::cell_stops(word);
        if stops == 0 {
            seen |= word;
            at += 8;
            continue;
        }
        let count = swar::place(stops);
        at += count;
        seen |= swar::first(word, count);
        out.truncate(out.len() - (8 - count));
        if bytes[at] == b'\n' && bytes[at - 1] == b'\r' {
            out.pop();
        }
        if swar::beyond_ascii(seen) && std::str::from_utf8(&out[start..]).is_err() {
            return None;
        }
        return Some(at);
    }
}

/// The text of the field at `at` as two words, and where it ends, if it has no quotes, one to fifteen bytes, and
/// no zero among them.
#[inline(always)]
fn short_words(bytes: &[u8], at: usize) -> Option<([u64; 2], usize)> {
    let (low, high) = swar::two_words(bytes, at)?;
    if low as u8 == b'"' {
        return None;
    }
    let count = swar::place(swar::cell_stops(low));
    let end = if count < 8 { at + count } else { at + 8 + swar::place(swar::cell_stops(high)) };
    if end == at || end == at + 16 {
        return None;
    }
    let is_return = bytes[end] == b'\n' && bytes[end - 1] == b'\r';
    let end = end - usize::from(is_return);
    let (words, has_zero) = match end - at {
        0 => return None,
        count @ 1..8 => ([swar::first(low, count), 0], swar::has_zero(low, count)),
        count => {
            let behind = count - 8;
            ([low, swar::first(high, behind)], swar::has_zero(high, behind) || low.to_le_bytes().contains(&0))
        }
    };
    (!has_zero).then_some((words, end))
}
