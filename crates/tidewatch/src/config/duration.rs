//! Durations and times as configs write them: `5s`, `1h30m`, `2100-01-01`.

use std::time::Duration;

const UNITS: [(&str, u64); 6] = [
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60 * 1_000_000),
    ("h", 3_600 * 1_000_000),
    ("d", 86_400 * 1_000_000),
];

/// Reads `250ms`, `5s`, `10m`, `1h30m`, `2d`: whole numbers with a unit each, the parts added up.
///
/// # Errors
/// In words that say what to write instead; a number without a unit is one.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("an empty duration".to_owned());
    }
    let mut micros: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let letters = after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, after) = after.split_at(letters);
        if number.is_empty() {
            return Err(format!("`{text}` is not a duration"));
        }
        if unit.is_empty() {
            return Err(format!("`{text}` has no unit"));
        }
        let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("`{unit}` is not a unit of time"));
        };
        let too_long = || format!("`{text}` is too long");
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*scale));
        micros = part.and_then(|part| micros.checked_add(part)).ok_or_else(too_long)?;
        // Times are signed 64-bit microseconds; a tenth of that leaves room for sums.
        if micros > i64::MAX as u64 / 10 {
            return Err(too_long());
        }
        rest = after.trim_start();
    }
    Ok(Duration::from_micros(micros))
}

/// Writes a duration as [`parse_duration`] reads it, with as few units as possible.
pub fn format_duration(duration: Duration) -> String {
    let micros = duration.as_micros() as u64;
    let (name, scale) =
        UNITS.iter().rev().find(|(_, scale)| micros.is_multiple_of(*scale)).unwrap_or(&UNITS[0]);
    if micros == 0 { "0s".to_owned() } else { format!("{}{name}", micros / scale) }
}

/// Microseconds since the Unix epoch of `YYYY-MM-DD` or `YYYY-MM-DD[T ]HH:MM:SS[Z]`, UTC.
///
/// # Errors
/// If it is none.
pub fn parse_instant(text: &str) -> Result<i64, String> {
    instant(text.trim()).ok_or_else(|| format!("`{text}` is not a date"))
}

/// Writes microseconds since the Unix epoch as `YYYY-MM-DD`, with the time of day if it is not midnight.
pub fn format_instant(micros: i64) -> String {
    let seconds = micros.div_euclid(1_000_000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil_from_days(days);
    let date = format!("{year:04}-{month:02}-{day:02}");
    if second == 0 {
        return date;
    }
    format!("{date}T{:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}

fn instant(text: &str) -> Option<i64> {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    if !(1..=12).contains(&month) || day < 1 || day > days_of_month(year, month) {
        return None;
    }
    let mut seconds = days_from_civil(year, month, day) * 86_400;
    if let Some(time) = time {
        let time = time.strip_suffix(['Z', 'z']).unwrap_or(time);
        let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        seconds += hour * 3_600 + minute * 60 + second;
    }
    Some(seconds * 1_000_000)
}

fn numbers(text: &str, separator: char, widths: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut found = [0; 3];
    for (place, width) in found.iter_mut().zip(widths) {
        let part = parts.next()?;
        if part.len() != width || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *place = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

fn days_of_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_whole_numbers_with_units() {
        for (text, micros) in [
            ("250ms", 250_000),
            ("5s", 5_000_000),
            ("10m", 600_000_000),
            ("1h30m", 5_400_000_000),
            ("2d", 172_800_000_000),
            (" 1m 30s ", 90_000_000),
            ("0s", 0),
            ("7us", 7),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_micros(micros)), "{text}");
        }
    }

    #[test]
    fn a_number_without_a_unit_is_no_duration() {
        assert_eq!(parse_duration("5"), Err("`5` has no unit".to_owned()));
        assert_eq!(parse_duration("5x"), Err("`x` is not a unit of time".to_owned()));
        assert_eq!(parse_duration("s"), Err("`s` is not a duration".to_owned()));
        assert_eq!(parse_duration("-5s"), Err("`-5s` is not a duration".to_owned()));
        assert_eq!(parse_duration("1.5s"), Err("`1.5s` has no unit".to_owned()));
        assert_eq!(parse_duration(""), Err("an empty duration".to_owned()));
        assert!(parse_duration("99999999999999999999d").unwrap_err().contains("too long"));
        assert!(parse_duration("9999999999d").unwrap_err().contains("too long"));
    }

    #[test]
    fn a_duration_reads_back_as_it_was_written() {
        for text in ["0s", "250ms", "5s", "10m", "90s", "36h", "2d", "1us"] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration), "{text}");
        }
        assert_eq!(format_duration(Duration::from_secs(90)), "90s");
    }

    #[test]
    fn a_date_is_midnight_utc() {
        assert_eq!(parse_instant("1970-01-01"), Ok(0));
        assert_eq!(parse_instant("1990-01-01"), Ok(631_152_000_000_000));
        assert_eq!(parse_instant("2100-01-01"), Ok(4_102_444_800_000_000));
        assert_eq!(parse_instant("2024-02-29T12:00:01Z"), Ok(1_709_208_001_000_000));
        for bad in ["2023-02-29", "2024-13-01", "2024-1-1", "soon", "2024-01-01T25:00:00"] {
            assert!(parse_instant(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_date_reads_back_as_it_was_written() {
        for text in
            ["0001-01-01", "1969-12-31", "1990-01-01", "2000-02-29", "2024-02-29T12:00:01Z", "2100-12-31"]
        {
            assert_eq!(format_instant(parse_instant(text).unwrap()), text);
        }
    }
}
