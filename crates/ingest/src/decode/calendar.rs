//! Dates and times as text: RFC 3339 and its plainer sisters, to microseconds or days since 1970.

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// An instant: RFC 3339, or `YYYY-MM-DD HH:MM:SS[.f]` in UTC. In microseconds, further digits dropped.
pub(super) fn instant(text: &[u8]) -> Option<i64> {
    let (local, separator, zone) = date_time(text)?;
    if zone.is_empty() {
        return (separator == b' ').then_some(local);
    }
    Some(local - offset_micros(zone)?)
}

/// A date and time without a zone: `YYYY-MM-DD HH:MM:SS[.f]`, or with a `T` between. In microseconds.
pub(super) fn timestamp(text: &[u8]) -> Option<i64> {
    let (local, _, zone) = date_time(text)?;
    zone.is_empty().then_some(local)
}

/// A date: `YYYY-MM-DD`. In days.
pub(super) fn date(text: &[u8]) -> Option<i32> {
    let days = days(text.first_chunk::<10>()?)?;
    (text.len() == 10).then_some(days)
}

/// Microseconds as if in UTC, the byte between date and time, and what follows the time.
fn date_time(text: &[u8]) -> Option<(i64, u8, &[u8])> {
    let days = days(text.first_chunk::<10>()?)?;
    let separator = *text.get(10)?;
    if !matches!(separator, b'T' | b't' | b' ') {
        return None;
    }
    let clock = text.get(11..19)?;
    let (hour, minute, second) = (two(&clock[0..2])?, two(&clock[3..5])?, two(&clock[6..8])?);
    // A leap second is the first one of the next minute, as in POSIX.
    if clock[2] != b':' || clock[5] != b':' || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if second == 60 && minute != 59 {
        return None;
    }
    let (micros, zone) = fraction(&text[19..])?;
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Some((i64::from(days) * MICROS_PER_DAY + seconds * 1_000_000 + micros, separator, zone))
}

/// Microseconds of `.f` at the start, if it is there, and what follows.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = text.strip_prefix(b".") else {
        return Some((0, text));
    };
    let count = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    if count == 0 {
        return None;
    }
    let micros = (0..6).fold(0, |micros, place| {
        let digit = if place < count { digits[place] - b'0' } else { 0 };
        micros * 10 + i64::from(digit)
    });
    Some((micros, &digits[count..]))
}

/// Microseconds east of UTC of `Z` or `+HH:MM`.
fn offset_micros(zone: &[u8]) -> Option<i64> {
    match zone {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), clock @ ..] if clock.len() == 5 && clock[2] == b':' => {
            let (hours, minutes) = (two(&clock[0..2])?, two(&clock[3..5])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let micros = (i64::from(hours) * 60 + i64::from(minutes)) * 60_000_000;
            Some(if *sign == b'-' { -micros } else { micros })
        }
        _ => None,
    }
}

/// Days from 1970-01-01 to `YYYY-MM-DD`, in the Gregorian calendar.
///
/// Source: Howard Hinnant, "chrono-compatible low-level date algorithms", `days_from_civil`.
fn days(text: &[u8; 10]) -> Option<i32> {
    let year = i32::from(two(&text[0..2])? as u16 * 100 + two(&text[2..4])? as u16);
    let (month, day) = (two(&text[5..7])?, two(&text[8..10])?);
    if text[4] != b'-' || text[7] != b'-' || !(1..=12).contains(&month) {
        return None;
    }
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = match month {
        2 => 28 + u32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if day < 1 || day > month_days {
        return None;
    }
    let (month, day) = (month as i32, day as i32);
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Two digits.
fn two(text: &[u8]) -> Option<u32> {
    match text {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => {
            Some(u32::from(tens - b'0') * 10 + u32::from(ones - b'0'))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_in_every_form() {
        let base = 1_700_000_000_000_000;
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1969-12-31T23:59:59.9999999Z", Some(-1)),
            ("2023-11-14T22:13:20Z", Some(base)),
            ("2023-11-14t22:13:20z", Some(base)),
            ("2023-11-14 22:13:20", Some(base)),
            ("2023-11-14 22:13:20.25", Some(base + 250_000)),
            ("2023-11-15T00:43:20.1234567+02:30", Some(base + 123_456)),
            ("2023-11-14T17:13:20-05:00", Some(base)),
            ("2016-12-31T23:59:60Z", Some(1_483_228_800_000_000)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799_000_000)),
            ("2000-02-29T00:00:00Z", Some(951_782_400_000_000)),
            ("2023-11-14T22:13:20", None),
            ("1900-02-29T00:00:00Z", None),
            ("2023-02-30T00:00:00Z", None),
            ("2023-13-01T00:00:00Z", None),
            ("2023-11-14T24:00:00Z", None),
            ("2023-11-14T22:13:20.Z", None),
            ("2023-11-14T22:13Z", None),
            ("2023-11-14T22:13:20+0200", None),
            ("2023-11-14T22:13:20Z ", None),
            ("2023-11-14", None),
            ("", None),
        ] {
            assert_eq!(instant(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_timestamp_has_no_zone_and_a_date_no_time() {
        assert_eq!(timestamp(b"1970-01-02T00:00:00.5"), Some(86_400_500_000));
        assert_eq!(timestamp(b"1970-01-02 00:00:00"), Some(86_400_000_000));
        assert_eq!(timestamp(b"1970-01-02T00:00:00Z"), None);
        assert_eq!(date(b"1970-01-02"), Some(1));
        assert_eq!(date(b"0000-03-01"), Some(-719_468));
        assert_eq!(date(b"1970-01-02T"), None);
    }
}
