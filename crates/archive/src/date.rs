//! The date by which a record is filed: that of its event time, in UTC.

use event::Watermark;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::block::Line;

const DAY: i64 = 86_400_000_000;

/// The folder of records that have no date; what readers of such folders take for NULL.
pub(crate) const NONE: &str = "__HIVE_DEFAULT_PARTITION__";

/// A day, counted from 1970; `None` for a record without a time that nothing with one stood before.
pub(crate) type Day = Option<i64>;

/// The day of a record: that of its time, else that of its partition's watermark.
pub(crate) fn day(line: &Line) -> Day {
    day_of(line.time.or_else(|| (line.seen > Watermark::NONE).then_some(line.seen.0)))
}

/// The day of a time in microseconds.
pub(crate) fn day_of(time: Option<i64>) -> Day {
    time.map(|time| time.div_euclid(DAY))
}

/// A day as `2026-11-28`. One that no calendar has is none.
pub(crate) fn text(day: Day) -> String {
    let start = day.and_then(|day| Timestamp::from_microsecond(day.checked_mul(DAY)?).ok());
    start.map_or_else(|| NONE.to_owned(), |start| start.to_zoned(TimeZone::UTC).date().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Outcome;

    #[test]
    fn a_record_is_filed_by_its_time_or_by_what_came_before_it() {
        let line = |time, seen| Line {
            offset: 0,
            start: 0,
            end: None,
            seen: Watermark(seen),
            time,
            outcome: Outcome::Accepted,
        };
        let (none, midnight) = (Watermark::NONE.0, 1_700_006_400_000_000);
        assert_eq!(text(day(&line(Some(midnight), none))), "2023-11-15");
        assert_eq!(text(day(&line(Some(midnight - 1), none))), "2023-11-14");
        assert_eq!(text(day(&line(None, midnight - 1))), "2023-11-14");
        assert_eq!(text(day(&line(None, none))), NONE);
        assert_eq!(text(day(&line(Some(-1), none))), "1969-12-31");
        assert_eq!(text(day(&line(Some(i64::MAX), none))), NONE);
    }
}
