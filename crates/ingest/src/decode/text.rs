//! Strings: their end, and their characters with escapes decoded.

use super::misfit::Misfit;
use super::swar;

/// Appends the string whose opening quote stands at `at` to `out`, if it ends soon and has no escapes.
/// Returns where it ends. `None` leaves bytes behind in `out`: the caller cuts them off.
#[inline(always)]
pub(super) fn append_plain(bytes: &[u8], at: usize, out: &mut Vec<u8>) -> Option<usize> {
    if *bytes.get(at)? != b'"' {
        return None;
    }
    let start = out.len();
    let mut at = at + 1;
    let mut seen = 0u64;
    loop {
        let word = swar::word(bytes, at)?;
        // Eight bytes whatever is needed of them: a copy of a known size is one instruction.
        out.extend_from_slice(&word.to_le_bytes());
        let stops = swar::string_stops(word);
        if stops == 0 {
            seen |= word;
            at += 8;
            continue;
        }
        let count = swar::place(stops);
        at += count;
        if bytes[at] != b'"' {
            return None;
        }
        seen |= swar::first(word, count);
        out.truncate(out.len() - (8 - count));
        if swar::beyond_ascii(seen) && std::str::from_utf8(&out[start..]).is_err() {
            return None;
        }
        return Some(at + 1);
    }
}

/// Appends the string whose opening quote stands at `at` to `out`, whatever it holds.
///
/// Returns where it ends. A misfit leaves bytes behind in `out`: the caller cuts them off.
pub(super) fn append(bytes: &[u8], at: usize, out: &mut Vec<u8>) -> Result<usize, Misfit> {
    const NOT_ENDED: Misfit = Misfit::Malformed("a string that does not end");
    let start = out.len();
    let mut at = at + 1;
    loop {
        let tail = bytes.get(at..).unwrap_or_default();
        let plain = tail.iter().position(|&byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
        let plain = plain.ok_or(NOT_ENDED)?;
        out.extend_from_slice(&tail[..plain]);
        at += plain;
        match bytes[at] {
            b'"' => break,
            b'\\' => at = append_escape(bytes, at, out)?,
            b'\n' => return Err(NOT_ENDED),
            _ => return Err(Misfit::Malformed("a control character in a string")),
        }
    }
    match std::str::from_utf8(&out[start..]) {
        Ok(_) => Ok(at + 1),
        Err(_) => Err(Misfit::Malformed("a string that is not valid UTF-8")),
    }
}

/// Appends the character of the escape whose backslash stands at `at`; returns where it ends.
fn append_escape(bytes: &[u8], at: usize, out: &mut Vec<u8>) -> Result<usize, Misfit> {
    let byte = match bytes.get(at + 1) {
        Some(&byte @ (b'"' | b'\\' | b'/')) => byte,
        Some(b'b') => 0x08,
        Some(b'f') => 0x0c,
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(b'u') => return append_unicode(bytes, at, out),
        _ => return Err(Misfit::Malformed("an escape that is none")),
    };
    out.push(byte);
    Ok(at + 2)
}

/// The same for `\uXXXX`, or for two of them that are a surrogate pair.
fn append_unicode(bytes: &[u8], at: usize, out: &mut Vec<u8>) -> Result<usize, Misfit> {
    let first = unit(bytes, at).ok_or(Misfit::Malformed("an escape that is none"))?;
    let (code, end) = match first {
        0xD800..=0xDBFF => match unit(bytes, at + 6) {
            Some(second @ 0xDC00..=0xDFFF) => {
                (0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00), at + 12)
            }
            _ => return Err(Misfit::LoneSurrogate),
        },
        _ => (first, at + 6),
    };
    let character = char::from_u32(code).ok_or(Misfit::LoneSurrogate)?;
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(end)
}

/// The number of the `\uXXXX` at `at`.
fn unit(bytes: &[u8], at: usize) -> Option<u32> {
    let escape = bytes.get(at..)?.first_chunk::<6>()?;
    if escape[0] != b'\\' || escape[1] != b'u' {
        return None;
    }
    escape[2..].iter().try_fold(0, |code, &digit| Some(code << 4 | char::from(digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<String, Misfit> {
        let mut out = b"kept".to_vec();
        let end = append(text, 0, &mut out)?;
        assert_eq!(end, text.len());
        let mut plain = b"kept".to_vec();
        let padded = [text, b"          "].concat();
        if let Some(end) = append_plain(&padded, 0, &mut plain) {
            assert_eq!((end, &plain), (text.len(), &out), "the short way agrees");
        }
        Ok(String::from_utf8(out).unwrap()[4..].to_owned())
    }

    #[test]
    fn escapes_are_decoded() {
        assert_eq!(read(br#""a\"\\\/\b\f\n\r\t\u00e9\u0000z""#).unwrap(), "a\"\\/\u{8}\u{c}\n\r\t\u{e9}\0z");
        assert_eq!(read(br#""\uD83D\uDE00""#).unwrap(), "\u{1F600}");
        assert_eq!(read("\"plain and long, ünïcode\"".as_bytes()).unwrap(), "plain and long, ünïcode");
        assert_eq!(read(b"\"\"").unwrap(), "");
    }

    #[test]
    fn what_is_no_text_is_refused() {
        for lone in [&br#""\uD83D""#[..], br#""\uDE00""#, br#""\uD83D\u0041""#, br#""\uDE00\uD83D""#] {
            assert_eq!(read(lone), Err(Misfit::LoneSurrogate));
        }
        for bad in
            [&br#""\x""#[..], br#""\u12g4""#, b"\"\xff\"", b"\"\xed\xa0\x80\"", b"\"a\tb\"", b"\"a", b"\"a\\"]
        {
            assert!(matches!(read(bad), Err(Misfit::Malformed(_))), "{bad:?}");
        }
    }
}
