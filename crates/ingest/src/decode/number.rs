//! Numbers, with the grammar of RFC 8259 to the letter, into integers, doubles and decimals.
//!
//! Doubles are correctly rounded: by hand where one exact division gives that, else by the standard library.

use super::misfit::Misfit;
use super::swar;

/// Powers of ten that a double holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Where the parts of a number end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    /// Behind its last byte.
    pub(super) end: usize,
    /// Whether it has neither fraction nor exponent.
    pub(super) is_whole: bool,
}

/// The number that begins at `start`; `None` if none does. What follows it is not judged.
pub(super) fn token(bytes: &[u8], start: usize) -> Option<Token> {
    let digits_end = |from: usize| {
        let tail = bytes.get(from..).unwrap_or_default();
        from + tail.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(tail.len())
    };
    let mut at = start;
    if bytes.get(at) == Some(&b'-') {
        at += 1;
    }
    match bytes.get(at)? {
        b'0' => at += 1,
        b'1'..=b'9' => at = digits_end(at),
        _ => return None,
    }
    let mut is_whole = true;
    if bytes.get(at) == Some(&b'.') {
        let end = digits_end(at + 1);
        if end == at + 1 {
            return None;
        }
        (at, is_whole) = (end, false);
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let signed = matches!(bytes.get(at + 1), Some(b'+' | b'-'));
        let from = at + 1 + usize::from(signed);
        let end = digits_end(from);
        if end == from {
            return None;
        }
        (at, is_whole) = (end, false);
    }
    Some(Token { end: at, is_whole })
}

/// Whether a text is a number, with nothing around it.
pub(super) fn is_all(text: &[u8]) -> bool {
    token(text, 0).is_some_and(|token| token.end == text.len())
}

/// What is wrong with what stands where a value of another type is needed: that, or that it is not JSON.
#[cold]
pub(super) fn unfit(bytes: &[u8], at: usize) -> Misfit {
    // The last three are no JSON, but many write them for numbers that have no finite value.
    const WORDS: [&[u8]; 6] = [b"true", b"false", b"null", b"NaN", b"Infinity", b"-Infinity"];
    let rest = bytes.get(at..).unwrap_or_default();
    let is_value = matches!(rest.first(), Some(b'"' | b'{' | b'['))
        || WORDS.iter().any(|word| rest.starts_with(word))
        || token(bytes, at).is_some();
    if is_value { Misfit::Type } else { Misfit::Malformed("a value that is none") }
}

/// A whole number of up to 18 digits and where it ends, if no fraction or exponent follows.
#[inline(always)]
pub(super) fn short_whole(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let word = swar::word(bytes, at)?;
    let count = swar::place(swar::digit_stops(word));
    if count == 0 || (word as u8 == b'0' && count > 1) {
        return None;
    }
    let mut value = swar::digits(word, count);
    let mut end = at + count;
    if count == 8 {
        let word = swar::word(bytes, end)?;
        let count = swar::place(swar::digit_stops(word));
        if count == 8 {
            // Up to two more digits fit without a check; longer ones go the complete way.
            value = value * 100_000_000 + swar::digits(word, 8);
            end += 8;
            for _ in 0..2 {
                if let Some(byte @ b'0'..=b'9') = bytes.get(end) {
                    value = value * 10 + u64::from(byte - b'0');
                    end += 1;
                }
            }
            if bytes.get(end)?.is_ascii_digit() {
                return None;
            }
        } else if count > 0 {
            value = value * POWERS[count] + swar::digits(word, count);
            end += count;
        }
    }
    (!goes_on(*bytes.get(end)?)).then_some((value as i64, end))
}

const POWERS: [u64; 8] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// Whether the byte may go on with a number that so far is whole: then it is not a short one. Any other byte
/// that cannot stand behind a number is found by whoever expects a comma there.
#[inline(always)]
fn goes_on(byte: u8) -> bool {
    byte == b'.' || byte | 0x20 == b'e'
}

/// Lengths of the two runs of digits of a number like `12.5` that ends within a word; the second is 0 for a
/// whole number. `None` for all others.
#[inline(always)]
fn short_shape(word: u64) -> Option<(usize, usize)> {
    let stops = swar::digit_stops(word);
    let whole = swar::place(stops);
    if whole == 0 || whole == 8 || (word as u8 == b'0' && whole > 1) {
        return None;
    }
    let behind = word >> (8 * whole);
    if behind as u8 != b'.' {
        return (!goes_on(behind as u8)).then_some((whole, 0));
    }
    // Shifted in two steps: the first alone may already be by 56.
    let fraction = swar::place(stops >> (8 * whole) >> 8);
    if fraction == 0 || whole + 1 + fraction >= 8 {
        return None;
    }
    (!goes_on((word >> (8 * (whole + 1 + fraction))) as u8)).then_some((whole, fraction))
}

/// Length of a short, plain number that ends within a word.
#[inline(always)]
pub(super) fn short_length(bytes: &[u8], at: usize) -> Option<usize> {
    let (whole, fraction) = short_shape(swar::word(bytes, at)?)?;
    Some(whole + usize::from(fraction > 0) + fraction)
}

/// A short, plain number as a double, and where it ends.
#[inline(always)]
pub(super) fn short_double(bytes: &[u8], at: usize) -> Option<(f64, usize)> {
    let word = swar::word(bytes, at)?;
    let (whole, fraction) = short_shape(word)?;
    if fraction == 0 {
        return Some((swar::digits(word, whole) as f64, at + whole));
    }
    let mantissa = swar::digits_around(word, whole, fraction);
    // Both are exact, so the one division is correctly rounded.
    Some((mantissa as f64 / EXACT_POWERS[fraction], at + whole + 1 + fraction))
}

/// Any number as a 64-bit integer: only whole ones that do not overflow fit.
pub(super) fn integer(bytes: &[u8], at: usize) -> Result<(i64, usize), Misfit> {
    let token = token(bytes, at).ok_or_else(|| unfit(bytes, at))?;
    let text = text(&bytes[at..token.end]);
    let value = text.parse().ok().filter(|_| token.is_whole).ok_or(Misfit::Type)?;
    Ok((value, token.end))
}

/// Any number as a double: only those that round to a finite one fit.
pub(super) fn double(bytes: &[u8], at: usize) -> Result<(f64, usize), Misfit> {
    let token = token(bytes, at).ok_or_else(|| unfit(bytes, at))?;
    let digits = &bytes[at..token.end];
    let value = exact_double(digits).or_else(|| text(digits).parse().ok());
    let value = value.filter(|value| value.is_finite()).ok_or(Misfit::Type)?;
    Ok((value, token.end))
}

/// A double by one exact operation: a mantissa below 2^53 and a power of ten up to 22.
fn exact_double(token: &[u8]) -> Option<f64> {
    let parts = Decimal::of(token)?;
    let mantissa = parts.mantissa;
    if mantissa > 1 << 53 {
        return None;
    }
    let power = EXACT_POWERS.get(usize::try_from(parts.exponent.unsigned_abs()).ok()?)?;
    let magnitude = if parts.exponent < 0 { mantissa as f64 / power } else { mantissa as f64 * power };
    Some(if parts.negative { -magnitude } else { magnitude })
}

/// A number as it is written: `mantissa * 10^exponent`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decimal {
    /// Whether a minus stands before it.
    pub(super) negative: bool,
    /// All of its digits.
    pub(super) mantissa: u128,
    /// The power of ten.
    pub(super) exponent: i64,
    /// Whether digits that are not zero were dropped behind the mantissa.
    pub(super) has_more: bool,
}

impl Decimal {
    /// Digits that the mantissa holds; further ones are dropped.
    const DIGITS_MAX: u32 = 38;

    /// The parts of a valid number without dropped digits; `None` if it has too many.
    fn of(token: &[u8]) -> Option<Decimal> {
        let decimal = Self::cut(token);
        (!decimal.has_more).then_some(decimal)
    }

    /// The parts of a valid number; digits beyond the first 38 that count are dropped.
    pub(super) fn cut(token: &[u8]) -> Decimal {
        let mut decimal = Decimal { negative: false, mantissa: 0, exponent: 0, has_more: false };
        let (mut kept, mut behind_point) = (0, false);
        for (at, &byte) in token.iter().enumerate() {
            match byte {
                b'-' => decimal.negative = true,
                b'.' => behind_point = true,
                b'e' | b'E' => {
                    // An exponent too large for an i64 has the effect of the largest one.
                    let text = text(&token[at + 1..]);
                    let limit = if text.starts_with('-') { i64::MIN / 4 } else { i64::MAX / 4 };
                    let written = text.parse().unwrap_or(limit).clamp(i64::MIN / 4, i64::MAX / 4);
                    decimal.exponent += written;
                    break;
                }
                digit if kept < Self::DIGITS_MAX => {
                    decimal.mantissa = decimal.mantissa * 10 + u128::from(digit - b'0');
                    kept += u32::from(decimal.mantissa != 0);
                    decimal.exponent -= i64::from(behind_point);
                }
                digit => {
                    decimal.has_more |= digit != b'0';
                    decimal.exponent += i64::from(!behind_point);
                }
            }
        }
        decimal
    }

    /// `self * 10^shift`, floored to an integer; `None` if it does not fit.
    pub(super) fn floor_scaled(self, shift: i64) -> Option<i128> {
        let exponent = self.exponent.saturating_add(shift);
        let (magnitude, has_more) = if self.mantissa == 0 {
            (0, self.has_more)
        } else if exponent >= 0 {
            let power = 10u128.checked_pow(u32::try_from(exponent).ok()?)?;
            (self.mantissa.checked_mul(power)?, self.has_more)
        } else {
            match u32::try_from(exponent.unsigned_abs()).ok().and_then(|e| 10u128.checked_pow(e)) {
                Some(power) => (self.mantissa / power, self.has_more || !self.mantissa.is_multiple_of(power)),
                None => (0, true),
            }
        };
        let magnitude = i128::try_from(magnitude).ok()?;
        Some(if self.negative { -magnitude - i128::from(has_more) } else { magnitude })
    }

    /// The integer that is exactly `self * 10^scale`, if it is one of at most `precision` digits.
    pub(super) fn exactly_scaled(self, scale: u8, precision: u8) -> Option<i128> {
        if self.has_more {
            return None;
        }
        let mut exponent = self.exponent.saturating_add(i64::from(scale));
        let mut mantissa = self.mantissa;
        while exponent < 0 && mantissa.is_multiple_of(10) && mantissa != 0 {
            mantissa /= 10;
            exponent += 1;
        }
        if mantissa == 0 {
            return Some(0);
        }
        let power = 10u128.checked_pow(u32::try_from(exponent).ok()?)?;
        let magnitude = mantissa.checked_mul(power).filter(|m| *m < 10u128.pow(u32::from(precision)))?;
        let magnitude = i128::try_from(magnitude).ok()?;
        Some(if self.negative { -magnitude } else { magnitude })
    }
}

/// The text of a valid number, all of which is ASCII.
fn text(token: &[u8]) -> &str {
    std::str::from_utf8(token).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str) -> Option<usize> {
        token(text.as_bytes(), 0).map(|token| token.end)
    }

    #[test]
    fn the_grammar_of_numbers_is_that_of_the_rfc() {
        for good in
            ["0", "-0", "10", "1.5", "-1.50e+10", "1E5", "0.0", "0e0", "123456789012345678901234567890"]
        {
            assert_eq!(end(good), Some(good.len()), "{good}");
        }
        for bad in ["", "-", "+1", ".5", "1.", "1.e5", "1e", "1e+", "-.5", "NaN", "e5"] {
            assert_eq!(end(bad), None, "{bad}");
        }
        assert_eq!(end("01"), Some(1), "the rest is found by whoever expects a comma");
    }

    #[test]
    fn short_numbers_are_read_as_the_standard_library_reads_them() {
        for text in ["0", "7", "12.5", "0.1", "1.234567", "123456.7", "1234567", "99.99", "0.000001"] {
            let line = format!("{text},        ");
            let expected: f64 = text.parse().unwrap();
            let short = short_double(line.as_bytes(), 0);
            if text.len() < 8 {
                assert_eq!(short, Some((expected, text.len())), "{text}");
            }
            assert_eq!(double(line.as_bytes(), 0).unwrap().0.to_bits(), expected.to_bits());
        }
        for text in ["01,", "1.,", "-1,", "1e5,", "1E5,", ".5,", "1.5e3,", "1.5.5,", ",", "00.5,"] {
            let line = format!("{text}        ");
            assert_eq!(short_double(line.as_bytes(), 0), None, "{text}");
            assert_eq!(short_length(line.as_bytes(), 0), None, "{text}");
            assert_eq!(short_whole(line.as_bytes(), 0), None, "{text}");
        }
    }

    #[test]
    fn short_integers_of_every_length_are_read() {
        for length in 1..=18 {
            let text = &"987654321098765432"[..length];
            let line = format!("{text},        ");
            assert_eq!(short_whole(line.as_bytes(), 0), Some((text.parse().unwrap(), length)));
        }
        assert_eq!(short_whole(b"1234567890123456789,        ", 0), None);
    }

    #[test]
    fn doubles_are_correctly_rounded() {
        for text in [
            "9007199254740993",
            "0.1",
            "-0",
            "1e22",
            "1e23",
            "123456789012345678901234567890",
            "5e-324",
            "1e-999",
            "1.7976931348623157e308",
            "0.30000000000000004",
            "-2.2250738585072014e-308",
        ] {
            let expected: f64 = text.parse().unwrap();
            assert_eq!(double(text.as_bytes(), 0).unwrap().0.to_bits(), expected.to_bits(), "{text}");
        }
        assert_eq!(double(b"1e999", 0), Err(Misfit::Type));
        assert_eq!(double(b"-1e309", 0), Err(Misfit::Type));
    }

    #[test]
    fn only_whole_numbers_that_do_not_overflow_are_integers() {
        assert_eq!(integer(b"-9223372036854775808", 0), Ok((i64::MIN, 20)));
        assert_eq!(integer(b"9223372036854775808", 0), Err(Misfit::Type));
        assert_eq!(integer(b"1.0", 0), Err(Misfit::Type));
        assert_eq!(integer(b"1e3", 0), Err(Misfit::Type));
        assert_eq!(integer(b"NaN", 0), Err(Misfit::Type));
        assert_eq!(integer(b"nil", 0), Err(Misfit::Malformed("a value that is none")));
    }

    #[test]
    fn decimals_are_exact_or_do_not_fit() {
        let decimal = |text: &str| Decimal::cut(text.as_bytes()).exactly_scaled(2, 6);
        assert_eq!(decimal("12.34"), Some(1234));
        assert_eq!(decimal("-12.3400"), Some(-1234));
        assert_eq!(decimal("1.2e1"), Some(1200));
        assert_eq!(decimal("9999.99"), Some(999_999));
        assert_eq!(decimal("10000"), None);
        assert_eq!(decimal("0.001"), None);
        assert_eq!(decimal("0.000"), Some(0));
        assert_eq!(decimal("1e9999999999999999999999"), None);
        assert_eq!(decimal("0e9999999999999999999999"), Some(0));
    }

    #[test]
    fn a_scaled_number_is_floored() {
        let floor = |text: &str, shift| Decimal::cut(text.as_bytes()).floor_scaled(shift);
        assert_eq!(floor("1700000000.1", 6), Some(1_700_000_000_100_000));
        assert_eq!(floor("1700000000.1234569", 6), Some(1_700_000_000_123_456));
        assert_eq!(floor("-0.0000001", 6), Some(-1));
        assert_eq!(floor("1.7e9", 6), Some(1_700_000_000_000_000));
        assert_eq!(floor("1e-400", 6), Some(0));
        assert_eq!(floor("1e400", 6), None);
        assert_eq!(floor("-1e-40000000000000000000", 6), Some(-1));
    }
}
