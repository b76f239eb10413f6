//! Times at which nobody is to be told: spans of time and hours of the week, of some rules and rows.
//!
//! Muting changes what is delivered, not what is known: episodes go on. Pure; a time is event time, by a clock that is part of
//! the program.

use std::sync::Arc;

use event::Expression;
use jiff::Timestamp;
use jiff::tz::TimeZone;

const SECOND: i64 = event::MICROS_PER_SECOND;
const DAY: i64 = 86_400 * SECOND;
/// 1970-01-01 was a Thursday, the fourth day of a week that begins on Monday.
const FIRST_DAY: i64 = 3;

/// A time at which nobody is to be told of some alerts.
#[derive(Debug, Clone)]
pub struct Mute {
    /// Its name, which muted alerts carry.
    pub name: String,
    /// When.
    pub times: MuteTimes,
    /// Of which rules, by name; empty: of all.
    pub rules: Vec<String>,
    /// Of which rows, a boolean over the row; none: of all. NULL, and a row for which it fails, is not muted.
    pub when: Option<Arc<dyn Expression>>,
}

/// When something is muted, by event time in microseconds.
#[derive(Debug, Clone)]
pub enum MuteTimes {
    /// Once, the end exclusive.
    Once {
        /// From.
        from: i64,
        /// To.
        to: i64,
    },
    /// On some days of the week, by the clock of a zone.
    Weekly {
        /// From Monday to Sunday, whether it begins on that day.
        days: [bool; 7],
        /// When on these days, in microseconds since midnight.
        from: i64,
        /// Up to when; on the next day if that is not after `from`.
        to: i64,
        /// Whose clock.
        zone: TimeZone,
    },
}

impl MuteTimes {
    /// Times of the week by the clock of a zone; `None` if there is no such zone.
    pub fn weekly(days: [bool; 7], from: i64, to: i64, zone: &str) -> Option<Self> {
        let zone = TimeZone::get(zone).ok()?;
        Some(MuteTimes::Weekly { days, from, to, zone })
    }

    /// Whether an instant is one of them.
    pub fn has(&self, instant: i64) -> bool {
        match self {
            MuteTimes::Once { from, to } => (*from..*to).contains(&instant),
            MuteTimes::Weekly { days, from, to, zone } => {
                let shown = shown_at(zone, instant);
                let (day, time) = (shown.div_euclid(DAY), shown.rem_euclid(DAY));
                let begins = |day: i64| days[(day + FIRST_DAY).rem_euclid(7) as usize];
                let is_over_night = to <= from;
                let since_today = begins(day) && time >= *from && (is_over_night || time < *to);
                since_today || (is_over_night && begins(day - 1) && time < *to)
            }
        }
    }
}

/// What the clock of a zone shows at an instant, as if it were UTC. Beyond the calendar the clock is that of its last day.
fn shown_at(zone: &TimeZone, instant: i64) -> i64 {
    let range = Timestamp::MIN.as_microsecond()..=Timestamp::MAX.as_microsecond();
    let known = instant.clamp(*range.start(), *range.end());
    let offset = Timestamp::from_microsecond(known).map_or(0, |known| zone.to_offset(known).seconds());
    instant.saturating_add(i64::from(offset) * SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().expect("an instant").as_microsecond()
    }

    #[test]
    fn a_span_has_its_start_and_not_its_end() {
        let once = MuteTimes::Once { from: 10, to: 20 };
        assert_eq!([9, 10, 19, 20].map(|instant| once.has(instant)), [false, true, true, false]);
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins_by_the_clock_of_its_zone() {
        let mut days = [false; 7];
        (days[5], days[6]) = (true, true);
        let nights = MuteTimes::weekly(days, 22 * 3600 * SECOND, 6 * 3600 * SECOND, "Europe/Berlin");
        let nights = nights.expect("a zone");
        // 2026-07-04 is a Saturday; Berlin is two hours ahead of UTC.
        for (instant, muted) in [
            ("2026-07-03T20:30:00Z", false),
            ("2026-07-04T03:30:00Z", false),
            ("2026-07-04T19:59:59.999999Z", false),
            ("2026-07-04T20:00:00Z", true),
            ("2026-07-05T03:59:59Z", true),
            ("2026-07-05T04:00:00Z", false),
            ("2026-07-05T20:00:00Z", true),
            ("2026-07-06T03:59:59Z", true),
            ("2026-07-06T04:00:00Z", false),
            ("2026-07-06T20:00:00Z", false),
            // In winter it is one hour ahead.
            ("2026-01-03T20:30:00Z", false),
            ("2026-01-03T21:00:00Z", true),
        ] {
            assert_eq!(nights.has(at(instant)), muted, "{instant}");
        }
    }

    #[test]
    fn from_a_time_to_the_same_time_is_a_whole_day() {
        let mut days = [false; 7];
        days[0] = true;
        let mondays = MuteTimes::weekly(days, 0, 0, "UTC").expect("a zone");
        let found =
            ["2026-07-05T23:59:59Z", "2026-07-06T00:00:00Z", "2026-07-06T23:59:59Z", "2026-07-07T00:00:00Z"];
        assert_eq!(found.map(|instant| mondays.has(at(instant))), [false, true, true, false]);
        assert!(MuteTimes::weekly(days, 0, 0, "Mars/Olympus").is_none());
    }
}
