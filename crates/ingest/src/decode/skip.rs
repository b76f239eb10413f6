//! Finds the end of values that the job does not need, checking no more than that takes.

use super::misfit::Misfit;
use super::number;
use super::record::blank_end;
use super::swar;

/// Where the value ends that starts at `at`, inside `depth` objects and arrays. It may have blanks before it.
#[inline(always)]
pub(super) fn value(bytes: &[u8], at: usize, depth: usize, depth_max: usize) -> Result<usize, Misfit> {
    match bytes.get(at) {
        Some(b'"') => string(bytes, at),
        Some(b'0'..=b'9') if let Some(length) = number::short_length(bytes, at) => Ok(at + length),
        _ => value_slowly(bytes, blank_end(bytes, at), depth, depth_max),
    }
}

/// Where the string ends whose opening quote stands at `at`. Its escapes and characters are not judged.
#[inline(always)]
pub(super) fn string(bytes: &[u8], at: usize) -> Result<usize, Misfit> {
    let mut at = at + 1;
    while let Some(word) = swar::word(bytes, at) {
        let stops = swar::string_stops(word);
        if stops == 0 {
            at += 8;
            continue;
        }
        at += swar::place(stops);
        if bytes[at] == b'"' {
            return Ok(at + 1);
        }
        break;
    }
    string_slowly(bytes, at)
}

/// The same from some byte inside the string, which is not within an escape.
#[cold]
fn string_slowly(bytes: &[u8], mut at: usize) -> Result<usize, Misfit> {
    const NOT_ENDED: Misfit = Misfit::Malformed("a string that does not end");
    loop {
        let tail = bytes.get(at..).unwrap_or_default();
        at += memchr::memchr3(b'"', b'\\', b'\n', tail).ok_or(NOT_ENDED)?;
        match bytes[at] {
            b'"' => return Ok(at + 1),
            b'\\' if bytes.get(at + 1).is_some_and(|&next| next != b'\n') => at += 2,
            _ => return Err(NOT_ENDED),
        }
    }
}

/// The complete way.
#[inline(never)]
fn value_slowly(bytes: &[u8], at: usize, depth: usize, depth_max: usize) -> Result<usize, Misfit> {
    match bytes.get(at) {
        Some(b'"') => string(bytes, at),
        Some(b'{' | b'[') => container(bytes, at, depth, depth_max),
        _ => scalar(bytes, at),
    }
}

/// Where the number or word ends that starts at `at`.
fn scalar(bytes: &[u8], at: usize) -> Result<usize, Misfit> {
    let word = match bytes.get(at) {
        Some(b't') => &b"true"[..],
        Some(b'f') => b"false",
        Some(b'n') => b"null",
        _ => {
            let token = number::token(bytes, at).ok_or(Misfit::Malformed("a value that is none"))?;
            return Ok(token.end);
        }
    };
    match bytes[at..].starts_with(word) {
        true => Ok(at + word.len()),
        false => Err(Misfit::Malformed("a value that is none")),
    }
}

/// Where the object or array ends that starts at `at`. Brackets have to match and strings to end; commas,
/// colons and scalars between them are not judged.
fn container(bytes: &[u8], mut at: usize, depth: usize, depth_max: usize) -> Result<usize, Misfit> {
    const NOT_ENDED: Misfit = Misfit::Malformed("an object or array that does not end");
    let mut open = OpenBrackets::default();
    loop {
        match bytes.get(at) {
            None | Some(b'\n') => return Err(NOT_ENDED),
            Some(&bracket @ (b'{' | b'[')) => {
                open.push(bracket == b'{');
                if depth + open.count > depth_max {
                    return Err(Misfit::TooDeep);
                }
                at += 1;
            }
            Some(&bracket @ (b'}' | b']')) => {
                if !open.pop_if(bracket == b'}') {
                    return Err(Misfit::Malformed("brackets that do not match"));
                }
                at += 1;
                if open.count == 0 {
                    return Ok(at);
                }
            }
            Some(b'"') => at = string(bytes, at)?,
            Some(_) => at += 1,
        }
    }
}

/// A stack of one bit each: whether an open bracket is that of an object.
#[derive(Default)]
struct OpenBrackets {
    top: u64,
    below: Vec<u64>,
    count: usize,
}

impl OpenBrackets {
    fn push(&mut self, is_object: bool) {
        if self.count != 0 && self.count.is_multiple_of(64) {
            self.below.push(self.top);
        }
        self.top = self.top << 1 | u64::from(is_object);
        self.count += 1;
    }

    /// Closes the innermost bracket, if it is of that kind. There is one.
    fn pop_if(&mut self, is_object: bool) -> bool {
        if (self.top & 1 == 1) != is_object {
            return false;
        }
        self.top >>= 1;
        self.count -= 1;
        if self.count != 0 && self.count.is_multiple_of(64) {
            self.top = self.below.pop().unwrap_or_default();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str) -> Result<usize, Misfit> {
        value(text.as_bytes(), 0, 1, 1000)
    }

    #[test]
    fn the_end_of_a_value_is_found() {
        for text in [
            "true",
            "null",
            "-1.5e3",
            r#""a\"b\\""#,
            r#"{"a":[1,{"}":"]"}],"b\"":{}}"#,
            "[[[]]]",
            r#""more than eight bytes \\ and \" a few""#,
        ] {
            assert_eq!(end(&format!("{text},\n")), Ok(text.len()), "{text}");
            assert_eq!(end(text), Ok(text.len()), "{text}");
        }
    }

    #[test]
    fn what_does_not_end_is_refused() {
        for text in ["", "tru", "NaN", r#""abc"#, "\"a\nb\"", "\"a\\\n\"", "[1,2", "{\"a\":[}", "[1}", "[\n]"]
        {
            assert!(matches!(end(text), Err(Misfit::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn nesting_is_counted_and_bounded() {
        for levels in [1, 63, 64, 65, 99, 128, 129, 500] {
            let text = "[".repeat(levels) + &"]".repeat(levels);
            assert_eq!(value(text.as_bytes(), 0, 1, levels + 1), Ok(2 * levels));
            assert_eq!(value(text.as_bytes(), 0, 1, levels), Err(Misfit::TooDeep));
            let mixed = "{\"a\":[".repeat(levels) + &"]}".repeat(levels);
            assert_eq!(value(mixed.as_bytes(), 0, 1, 2 * levels + 1), Ok(mixed.len()));
        }
    }
}
