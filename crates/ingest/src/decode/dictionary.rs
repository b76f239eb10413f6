//! A dictionary of the values of a text column, which stays from batch to batch.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};

use super::swar;

/// Values and their codes, in the order in which they came.
///
/// Grows while a batch is decoded and starts anew between batches once it is large, so that a column of
/// ever new values costs no memory.
#[derive(Debug)]
pub(super) struct Dictionary {
    codes: HashMap<Box<[u8]>, u32>,
    recent: Box<[Recent]>,
    offsets: Vec<i32>,
    bytes: Vec<u8>,
    shared: Option<ArrayRef>,
}

/// A short value as two words, the bytes behind it zero. No value holds a zero byte there: in JSON such a
/// character is written as an escape, and those go the complete way; so do values of CSV that hold one.
#[derive(Debug, Clone, Copy)]
struct Recent {
    words: [u64; 2],
    code: u32,
}

impl Recent {
    /// Matches nothing: a value of sixteen bytes is not kept here.
    const NONE: Recent = Recent { words: [u64::MAX; 2], code: 0 };
}

impl Dictionary {
    const VALUES_MAX: usize = 4096;
    const BYTES_MAX: usize = 64 * 1024;
    /// A power of two.
    const RECENT: usize = 256;

    pub(super) fn new() -> Self {
        Dictionary {
            codes: HashMap::new(),
            recent: vec![Recent::NONE; Self::RECENT].into_boxed_slice(),
            offsets: vec![0],
            bytes: Vec::new(),
            shared: None,
        }
    }

    /// Starts anew if it has become too large. To be called between batches only.
    pub(super) fn trim(&mut self) {
        if self.codes.len() > Self::VALUES_MAX || self.bytes.len() > Self::BYTES_MAX {
            *self = Self::new();
        }
    }

    /// Code of the string whose opening quote stands at `at`, and where it ends, if it is short and plain.
    #[inline(always)]
    pub(super) fn code_plain(&mut self, bytes: &[u8], at: usize) -> Option<(u32, usize)> {
        let word = swar::word(bytes, at)?;
        if word as u8 != b'"' {
            return None;
        }
        let start = at + 1;
        // Without the quote the last byte is zero, which looks like a control character.
        let count = swar::place(swar::string_stops(word >> 8));
        let (words, end) = if count < 7 {
            ([swar::first(word >> 8, count), 0], start + count)
        } else {
            let (low, high) = swar::two_words(bytes, start)?;
            match swar::place(swar::string_stops(low)) {
                8 => {
                    let count = swar::place(swar::string_stops(high));
                    if count == 8 {
                        return None;
                    }
                    ([low, swar::first(high, count)], start + 8 + count)
                }
                count => ([swar::first(low, count), 0], start + count),
            }
        };
        if bytes[end] != b'"' {
            return None;
        }
        Some((self.short_code(words, &bytes[start..end])?, end + 1))
    }

    /// Code of a value of at most fifteen bytes, none of which is zero, with its words.
    #[inline(always)]
    pub(super) fn short_code(&mut self, words: [u64; 2], value: &[u8]) -> Option<u32> {
        let slot = Self::slot(words);
        let recent = self.recent[slot];
        if recent.words == words {
            return Some(recent.code);
        }
        let code = self.code(value)?;
        self.recent[slot] = Recent { words, code };
        Some(code)
    }

    #[inline(always)]
    fn slot(words: [u64; 2]) -> usize {
        // 2^64 over the golden ratio: spreads over the high bits.
        let mixed = (words[0] ^ words[1].rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 56) as usize & (Self::RECENT - 1)
    }

    /// Code of a value; `None` if it is not valid UTF-8.
    pub(super) fn code(&mut self, value: &[u8]) -> Option<u32> {
        if let Some(&code) = self.codes.get(value) {
            return Some(code);
        }
        std::str::from_utf8(value).ok()?;
        let code = self.codes.len() as u32;
        self.codes.insert(value.into(), code);
        self.bytes.extend_from_slice(value);
        self.offsets.push(self.bytes.len() as i32);
        Some(code)
    }

    /// All values so far. The array is the same one until a value is added.
    pub(super) fn values(&mut self) -> ArrayRef {
        match &self.shared {
            Some(shared) if shared.len() == self.codes.len() => Arc::clone(shared),
            _ => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets.clone()));
                let bytes = Buffer::from_slice_ref(&self.bytes);
                let values: ArrayRef = Arc::new(StringArray::new(offsets, bytes, None));
                self.shared = Some(Arc::clone(&values));
                values
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Array;
    use arrow_array::cast::AsArray;

    #[test]
    fn a_value_keeps_its_code_and_the_values_are_shared_until_one_is_added() {
        let mut dictionary = Dictionary::new();
        let line =
            b"\"pause\",\"listen\",\"a value of 15 b\",\"eight_by\",\"and one that is longer\",\"pause\"  ";
        let mut codes = Vec::new();
        let mut at = 0;
        while line[at] != b' ' {
            let end = at + 2 + line[at + 1..].iter().position(|&byte| byte == b'"').unwrap();
            let code = match dictionary.code_plain(line, at) {
                Some((code, plain_end)) => {
                    assert_eq!(plain_end, end);
                    code
                }
                None => dictionary.code(&line[at + 1..end - 1]).unwrap(),
            };
            assert_eq!(dictionary.code(&line[at + 1..end - 1]), Some(code));
            codes.push(code);
            at = end + usize::from(line[end] == b',');
        }
        assert_eq!(codes, [0, 1, 2, 3, 4, 0]);
        let values = dictionary.values();
        assert_eq!(values.as_string::<i32>().value(2), "a value of 15 b");
        assert!(Arc::ptr_eq(&values, &dictionary.values()));
        dictionary.code(b"new");
        assert_eq!(dictionary.values().len(), 6);
    }

    #[test]
    fn a_large_dictionary_starts_anew() {
        let mut dictionary = Dictionary::new();
        for value in 0..5000 {
            dictionary.code(format!("value {value}").as_bytes());
        }
        dictionary.trim();
        assert_eq!(dictionary.code(b"value 4999"), Some(0));
    }
}
