//! Instants as alerts write them, read again.

use crate::config::duration::parse_instant;

/// Microseconds since 1970 of an instant as alerts have it: RFC 3339, UTC, up to six digits of the second. Years that have
/// more than four digits are before or after all times.
pub(super) fn parse_time(text: &str) -> Option<i64> {
    match text.as_bytes().first()? {
        b'+' => return Some(i64::MAX),
        b'-' => return Some(i64::MIN),
        _ => {}
    }
    let (second, fraction) = match text.split_once('.') {
        Some((second, fraction)) => (second, fraction.strip_suffix('Z')?),
        None => (text, ""),
    };
    if fraction.len() > 6 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let micros: i64 = format!("{fraction:0<6}").parse().ok()?;
    Some(parse_instant(second).ok()? + micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instant_that_an_alert_writes_is_read_again() {
        for micros in
            [0, 1, 1_500_000, 1_700_000_000_123_456, -1, -62_167_219_200_000_000, 1_700_000_000_000_000]
        {
            assert_eq!(parse_time(&alert::instant(micros)), Some(micros), "{}", alert::instant(micros));
        }
        assert_eq!(parse_time(&alert::instant(i64::MAX)), Some(i64::MAX));
        assert_eq!(parse_time(&alert::instant(i64::MIN)), Some(i64::MIN));
        for wrong in ["", "2023", "2023-11-14T22:13:20.1234567Z", "2023-11-14T22:13:20.xZ"] {
            assert_eq!(parse_time(wrong), None, "{wrong}");
        }
    }
}
