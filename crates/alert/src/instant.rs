//! Instants and dates as text: RFC 3339, proleptic Gregorian calendar, UTC.
//!
//! Used by the JSON writer and by summaries. Takes every `i64`: years beyond four digits are written with
//! a sign, as ISO 8601 has it.

use std::io::Write;

const MICROS_PER_DAY: i64 = 86_400 * event::MICROS_PER_SECOND;

/// An instant as alerts have it: `2026-01-02T03:04:05.5Z`, with as many digits of the second as needed. `micros` counts
/// from 1970.
pub fn instant(micros: i64) -> String {
    let mut text = Vec::with_capacity(32);
    append_instant(micros, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// Appends an instant as `2026-01-02T03:04:05.5Z`, with as many digits of the second as needed.
pub(crate) fn append_instant(micros: i64, out: &mut Vec<u8>) {
    append_timestamp(micros, out);
    out.push(b'Z');
}

/// Appends a time of the calendar without a zone, as `2026-01-02T03:04:05.5`.
pub(crate) fn append_timestamp(micros: i64, out: &mut Vec<u8>) {
    append_date(micros.div_euclid(MICROS_PER_DAY), out);
    let of_day = micros.rem_euclid(MICROS_PER_DAY);
    let (second, mut fraction) = (of_day / event::MICROS_PER_SECOND, of_day % event::MICROS_PER_SECOND);
    out.push(b'T');
    append_digits(second / 3600, 2, out);
    out.push(b':');
    append_digits(second / 60 % 60, 2, out);
    out.push(b':');
    append_digits(second % 60, 2, out);
    if fraction != 0 {
        let mut digits = 6;
        while fraction % 10 == 0 {
            fraction /= 10;
            digits -= 1;
        }
        out.push(b'.');
        append_digits(fraction, digits, out);
    }
}

/// Appends a date, given in days since 1970-01-01, as `2026-01-02`.
pub(crate) fn append_date(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(days);
    if (0..=9999).contains(&year) {
        append_digits(year, 4, out);
    } else {
        // A vector takes every write.
        let _ = write!(out, "{year:+05}");
    }
    out.push(b'-');
    append_digits(month, 2, out);
    out.push(b'-');
    append_digits(day, 2, out);
}

/// Year, month and day of a day counted from 1970-01-01.
///
/// Source: Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`. Years begin in
/// March, so that the leap day is the last one.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Appends the last `digits` decimal digits of a number that is not negative.
fn append_digits(number: i64, digits: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + digits, b'0');
    let mut rest = number;
    for place in out[start..].iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(micros: i64, expected: &str) {
        let mut out = Vec::new();
        append_instant(micros, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn an_instant_has_as_many_digits_of_the_second_as_it_needs() {
        check(0, "1970-01-01T00:00:00Z");
        check(1_700_000_220_000_000, "2023-11-14T22:17:00Z");
        check(1_700_000_220_500_000, "2023-11-14T22:17:00.5Z");
        check(1_700_000_220_000_001, "2023-11-14T22:17:00.000001Z");
        check(-1, "1969-12-31T23:59:59.999999Z");
    }

    #[test]
    fn leap_days_and_the_edges_of_time_are_written() {
        check(951_782_400_000_000, "2000-02-29T00:00:00Z");
        check(4_107_542_400_000_000, "2100-03-01T00:00:00Z");
        check(253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z");
        check(253_402_300_800_000_000, "+10000-01-01T00:00:00Z");
        check(-62_135_596_800_000_000, "0001-01-01T00:00:00Z");
        check(i64::MAX, "+294247-01-10T04:00:54.775807Z");
        check(i64::MIN, "-290308-12-21T19:59:05.224192Z");
    }

    #[test]
    fn days_follow_one_another() {
        let mut before = Vec::new();
        append_date(-800_000, &mut before);
        for day in -799_999..800_000 {
            let mut date = Vec::new();
            append_date(day, &mut date);
            let (year, month, number) = civil(day);
            let (year_before, month_before, number_before) = civil(day - 1);
            let next_day = (year, month) == (year_before, month_before) && number == number_before + 1;
            let next_month = year == year_before && month == month_before + 1 && number == 1;
            let next_year = year == year_before + 1 && (month, number) == (1, 1) && month_before == 12;
            assert!(next_day || next_month || next_year, "day {day}");
            assert_ne!(date, before);
            before = date;
        }
    }
}
