//! Eight bytes at a time in one integer ("SIMD within a register"): the primitives of the short way.
//!
//! A word is little-endian, so the first byte of the text is the lowest one and the first match of a mask is
//! its number of trailing zeros over eight.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The eight bytes at `at`, if there are so many.
#[inline(always)]
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let eight = bytes.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*eight))
}

/// The sixteen bytes at `at`, if there are so many.
#[inline(always)]
pub(super) fn two_words(bytes: &[u8], at: usize) -> Option<(u64, u64)> {
    let both = u128::from_le_bytes(*bytes.get(at..)?.first_chunk::<16>()?);
    Some((both as u64, (both >> 64) as u64))
}

/// The first `count` bytes of a word; the others are zero. `count` is at most 7.
#[inline(always)]
pub(super) fn first(word: u64, count: usize) -> u64 {
    word & ((1u64 << (8 * count)) - 1)
}

/// A mask that is not zero if there is a quote, a backslash or a control character in the word. Its lowest
/// bit lies in the first of them; bits above are not reliable.
#[inline(always)]
pub(super) fn string_stops(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    (quote.wrapping_sub(ONES) | backslash.wrapping_sub(ONES) | word.wrapping_sub(ONES * 0x20)) & !word & HIGHS
}

/// A mask that is not zero if there is a comma or a newline in the word. Its lowest bit lies in the first of
/// them; bits above are not reliable.
#[inline(always)]
pub(super) fn cell_stops(word: u64) -> u64 {
    let comma = word ^ (ONES * b',' as u64);
    let newline = word ^ (ONES * b'\n' as u64);
    ((comma.wrapping_sub(ONES) & !comma) | (newline.wrapping_sub(ONES) & !newline)) & HIGHS
}

/// Whether one of the first `count` bytes of a word is zero. `count` is at most 7.
#[inline(always)]
pub(super) fn has_zero(word: u64, count: usize) -> bool {
    let padded = word | !((1u64 << (8 * count)) - 1);
    padded.wrapping_sub(ONES) & !padded & HIGHS != 0
}

/// A mask that is not zero if a byte is no digit. The lowest bit lies in the first such byte; bytes above a
/// non-ASCII one are not reliable.
#[inline(always)]
pub(super) fn digit_stops(word: u64) -> u64 {
    const NIBBLES: u64 = 0xF0F0_F0F0_F0F0_F0F0;
    ((word & NIBBLES) ^ ZEROS) | ((word.wrapping_add(ONES * 6) & NIBBLES) ^ ZEROS)
}

/// Place of the first byte of a mask that is not zero; 8 for an empty mask.
#[inline(always)]
pub(super) fn place(mask: u64) -> usize {
    (mask.trailing_zeros() / 8) as usize
}

/// Whether a byte that belongs to no ASCII character is in the word.
#[inline(always)]
pub(super) fn beyond_ascii(word: u64) -> bool {
    word & HIGHS != 0
}

/// The number that the first `count` (1 to 8) bytes write, all of which are digits.
#[inline(always)]
pub(super) fn digits(word: u64, count: usize) -> u64 {
    number((word ^ ZEROS) << (64 - 8 * count))
}

/// The number that `whole` digits, one byte, and then `fraction` digits write without that byte. There are
/// at most seven digits, at least one on each side.
#[inline(always)]
pub(super) fn digits_around(word: u64, whole: usize, fraction: usize) -> u64 {
    let word = word ^ ZEROS;
    let left = first(word, whole);
    let right = first(word >> (8 * whole + 8), fraction);
    number((left | right << (8 * whole)) << (64 - 8 * (whole + fraction)))
}

/// Eight digits, the first one lowest, to their number.
#[inline(always)]
fn number(digits: u64) -> u64 {
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let high = (pairs & 0x0000_00FF_0000_00FF).wrapping_mul(0x000F_4240_0000_0064);
    let low = ((pairs >> 16) & 0x0000_00FF_0000_00FF).wrapping_mul(0x0000_2710_0000_0001);
    high.wrapping_add(low) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> u64 {
        word(text.as_bytes(), 0).unwrap()
    }

    #[test]
    fn the_first_stop_of_a_string_is_found_at_every_place() {
        for stop in [b'"', b'\\', b'\n', 0, 0x1f] {
            for at in 0..8 {
                let mut text = *b"ab\x7f !\xff\xc3#";
                text[at] = stop;
                assert_eq!(place(string_stops(u64::from_le_bytes(text))), at, "{stop} at {at}");
            }
        }
        assert_eq!(place(string_stops(u64::from_le_bytes(*b"ab\x7f !\xff\xc3#"))), 8);
    }

    #[test]
    fn the_first_stop_of_a_cell_is_found_at_every_place_whatever_stands_around_it() {
        for stop in [b',', b'\n'] {
            for at in 0..8 {
                for other in (0..=255u8).filter(|byte| !matches!(byte, b',' | b'\n')) {
                    let mut text = [other; 8];
                    assert_eq!(place(cell_stops(u64::from_le_bytes(text))), 8, "{other}");
                    text[at] = stop;
                    assert_eq!(place(cell_stops(u64::from_le_bytes(text))), at, "{stop} at {at} in {other}");
                }
            }
        }
    }

    #[test]
    fn a_zero_is_found_among_the_first_bytes_only() {
        for count in 0..8 {
            for at in 0..8 {
                for other in 1..=255u8 {
                    let mut text = [other; 8];
                    text[at] = 0;
                    assert_eq!(has_zero(u64::from_le_bytes(text), count), at < count);
                }
            }
        }
    }

    #[test]
    fn digits_end_at_the_first_byte_that_is_none() {
        for byte in 0..=255u8 {
            for at in 0..8 {
                let mut text = *b"12345678";
                text[at] = byte;
                let expected = if byte.is_ascii_digit() { 8 } else { at };
                assert_eq!(place(digit_stops(u64::from_le_bytes(text))), expected);
            }
        }
    }

    #[test]
    fn digits_are_read_as_the_number_that_they_write() {
        assert_eq!(digits(of("12345678"), 8), 12_345_678);
        assert_eq!(digits(of("90345678"), 1), 9);
        assert_eq!(digits(of("00345xyz"), 5), 345);
        assert_eq!(digits_around(of("12.5,\"ab"), 2, 1), 125);
        assert_eq!(digits_around(of("1.234567"), 1, 6), 1_234_567);
        assert_eq!(digits_around(of("123456.7"), 6, 1), 1_234_567);
    }
}
