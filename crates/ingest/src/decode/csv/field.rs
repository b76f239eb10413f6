//! Where the fields and records of CSV end, by RFC 4180: a quote opens a field only at its start.

use crate::decode::swar;

/// A field as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field<'a> {
    /// What stands in it, without the quotes around it; doubled quotes are still doubled.
    pub(super) text: &'a [u8],
    /// Where the comma or newline stands behind it, or behind the last byte.
    pub(super) end: usize,
    /// Whether quotes stand around it.
    pub(super) is_quoted: bool,
    /// Whether there are doubled quotes in it.
    pub(super) has_doubled: bool,
}

impl Field<'_> {
    /// Whether it says nothing: empty, and without quotes.
    pub(super) fn is_null(&self) -> bool {
        self.text.is_empty() && !self.is_quoted
    }
}

/// Why there is no field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoField {
    /// The bytes end before its closing quote, or with it or a carriage return, so that it may go on.
    Cut,
    /// Neither a comma nor a line end follows its closing quote, at that place.
    TextBehindQuote(usize),
}

/// The first comma or newline from `at` on, or the end of the bytes.
#[inline(always)]
pub(super) fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = swar::word(bytes, at) {
        let stops = swar::cell_stops(word);
        if stops != 0 {
            return at + swar::place(stops);
        }
        at += 8;
    }
    let tail = bytes.get(at..).unwrap_or_default();
    at + tail.iter().position(|byte| matches!(byte, b',' | b'\n')).unwrap_or(tail.len())
}

/// Where the text ends of a field without quotes whose end is `end`: a carriage return before a newline is
/// part of the line end.
fn text_end(bytes: &[u8], at: usize, end: usize) -> usize {
    let is_return = end > at && bytes[end - 1] == b'\r' && bytes.get(end) == Some(&b'\n');
    end - usize::from(is_return)
}

/// The field at `at`. `is_last`: nothing follows the bytes.
pub(super) fn field(bytes: &[u8], at: usize, is_last: bool) -> Result<Field<'_>, NoField> {
    if bytes.get(at) == Some(&b'"') {
        return quoted(bytes, at, is_last);
    }
    let end = plain_end(bytes, at);
    if end == bytes.len() && !is_last {
        return Err(NoField::Cut);
    }
    let text = &bytes[at..text_end(bytes, at, end)];
    Ok(Field { text, end, is_quoted: false, has_doubled: false })
}

fn quoted(bytes: &[u8], at: usize, is_last: bool) -> Result<Field<'_>, NoField> {
    let start = at + 1;
    let (mut from, mut has_doubled) = (start, false);
    loop {
        let quote = from + memchr::memchr(b'"', &bytes[from..]).ok_or(NoField::Cut)?;
        let end = match &bytes[quote + 1..] {
            [b'"', ..] => {
                (from, has_doubled) = (quote + 2, true);
                continue;
            }
            [b',' | b'\n', ..] => quote + 1,
            [b'\r', b'\n', ..] => quote + 2,
            [] if is_last => quote + 1,
            [] | [b'\r'] if !is_last => return Err(NoField::Cut),
            _ => return Err(NoField::TextBehindQuote(quote + 1)),
        };
        return Ok(Field { text: &bytes[start..quote], end, is_quoted: true, has_doubled });
    }
}

/// Appends the text of a field, each doubled quote as one.
pub(super) fn append_text(field: &Field<'_>, out: &mut Vec<u8>) {
    let mut rest = field.text;
    while let Some(quote) = memchr::memchr(b'"', rest).filter(|_| field.has_doubled) {
        out.extend_from_slice(&rest[..=quote]);
        rest = rest.get(quote + 2..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// Looks for the end of one record, in bytes that come bit by bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Scan {
    /// At the start of a field.
    #[default]
    Start,
    /// In a field without quotes, or behind the closing one.
    Plain,
    /// Between quotes.
    Quoted,
    /// Behind a quote between quotes: it is the closing one, or the first of two.
    Quote,
}

impl Scan {
    /// Goes on over these bytes. The place of the newline that ends the record, if it is among them.
    pub(crate) fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
            match self {
                Scan::Quoted => match memchr::memchr(b'"', rest) {
                    Some(quote) => (*self, at) = (Scan::Quote, at + quote + 1),
                    None => return None,
                },
                Scan::Plain => match memchr::memchr2(b',', b'\n', rest) {
                    Some(stop) if rest[stop] == b'\n' => return Some(at + stop),
                    Some(stop) => (*self, at) = (Scan::Start, at + stop + 1),
                    None => return None,
                },
                Scan::Start if rest[0] == b'"' => (*self, at) = (Scan::Quoted, at + 1),
                Scan::Quote if rest[0] == b'"' => (*self, at) = (Scan::Quoted, at + 1),
                // What stands here is looked at again.
                Scan::Start | Scan::Quote => *self = Scan::Plain,
            }
        }
    }
}

/// Where the record ends that begins with some bytes: at its line end, LF or CR LF, or behind the last byte.
pub(in crate::decode) fn record_end(bytes: &[u8]) -> usize {
    let Some(newline) = Scan::default().end(bytes) else { return bytes.len() };
    bytes[..newline].strip_suffix(b"\r").map_or(newline, <[u8]>::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Result<(String, usize), NoField> {
        let field = field(bytes, 0, true)?;
        let mut out = Vec::new();
        append_text(&field, &mut out);
        Ok((String::from_utf8(out).unwrap(), field.end))
    }

    #[test]
    fn a_field_ends_at_a_comma_or_a_line_end_that_is_not_quoted() {
        let ok = |text: &str, end| Ok((text.to_owned(), end));
        assert_eq!(text(b"a,b"), ok("a", 1));
        assert_eq!(text(b"a b \nc"), ok("a b ", 4));
        assert_eq!(text(b"longer than eight\r\nc"), ok("longer than eight", 18));
        assert_eq!(text(b"a\rb\r\r\n"), ok("a\rb\r", 5));
        assert_eq!(text(b"a\r"), ok("a\r", 2), "no newline follows");
        assert_eq!(text(b"a\"b\"\"c\",d"), ok("a\"b\"\"c\"", 7), "a quote in the middle is one");
        assert_eq!(text(b"\"a,\r\n\"\"b\"\"\",d"), ok("a,\r\n\"b\"", 11));
        assert_eq!(text(b"\"\"\"\"\r\n"), ok("\"", 5));
        assert_eq!(text(b"\"\""), ok("", 2));
        assert_eq!(text(b"\"a\" ,b"), Err(NoField::TextBehindQuote(3)));
        assert_eq!(text(b"\"a\"\r"), Err(NoField::TextBehindQuote(3)));
        assert_eq!(text(b"\"a,\n"), Err(NoField::Cut));
        assert_eq!(text(b"\"a\"\""), Err(NoField::Cut));
    }

    #[test]
    fn the_end_of_a_record_is_found_however_its_bytes_are_cut() {
        for (record, end) in [
            (&b"a,\"b\nc\"\"\n\",d\"e\nrest"[..], Some(14)),
            (b"\"a\"b\"\nrest", Some(5)),
            (b"\"a\"\"\nrest\n", None),
            (b",,\n", Some(2)),
            (b"\n", Some(0)),
            (b"abc", None),
        ] {
            for cut in 0..=record.len() {
                let mut scan = Scan::default();
                let found = scan.end(&record[..cut]).or_else(|| Some(cut + scan.end(&record[cut..])?));
                assert_eq!(found, end, "{record:?} cut at {cut}");
            }
        }
    }
}
