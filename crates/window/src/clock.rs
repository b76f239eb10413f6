//! The clock on which windows start and end: UTC, or that of a time zone, where a day may have 23 or 25 hours.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

const MICROS: i64 = 1_000_000;

/// From instants to what the clock shows and back. Both are in ticks, microseconds where there is a zone.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    zone: Option<TimeZone>,
}

impl Clock {
    pub(crate) fn new(zone: Option<TimeZone>) -> Self {
        Clock { zone }
    }

    /// Whether the clock may jump near an instant: beyond the calendar it does not.
    pub(crate) fn jumps_near(&self, instant: i64) -> bool {
        self.zone.is_some() && Timestamp::from_microsecond(instant).is_ok()
    }

    /// What the clock shows at an instant.
    pub(crate) fn shown_at(&self, instant: i64) -> i64 {
        let Some(zone) = &self.zone else { return instant };
        instant.saturating_add(micros(zone.to_offset(timestamp(instant))))
    }

    /// The first instant at which the clock shows that or more. It never falls as `shown` grows: what the clock
    /// skips is at the jump, what it shows twice is at the first time.
    pub(crate) fn first_instant(&self, shown: i64) -> i64 {
        let Some(zone) = &self.zone else { return shown };
        let Some(civil) = civil(shown) else { return shown };
        match zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => shown.saturating_sub(micros(offset)),
            AmbiguousOffset::Fold { before, .. } => shown.saturating_sub(micros(before)),
            AmbiguousOffset::Gap { before, after } => {
                let ahead = shown.saturating_sub(micros(after));
                let jump = zone.following(timestamp(ahead)).next();
                jump.map_or(shown.saturating_sub(micros(before)), |jump| jump.timestamp().as_microsecond())
            }
        }
    }
}

fn micros(offset: Offset) -> i64 {
    i64::from(offset.seconds()) * MICROS
}

/// The nearest instant that a calendar has.
fn timestamp(instant: i64) -> Timestamp {
    let range = Timestamp::MIN.as_microsecond()..=Timestamp::MAX.as_microsecond();
    Timestamp::from_microsecond(instant.clamp(*range.start(), *range.end())).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// What a clock shows, as a date and a time; `None` beyond the calendar.
fn civil(shown: i64) -> Option<DateTime> {
    Timestamp::from_microsecond(shown).ok().map(|as_utc| Offset::UTC.to_datetime(as_utc))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: i64 = 3_600 * MICROS;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_microsecond()
    }

    #[test]
    fn what_new_york_skips_is_at_the_jump_and_what_it_shows_twice_at_the_first_time() {
        let clock = Clock::new(TimeZone::get("America/New_York").ok());
        assert_eq!(clock.first_instant(at("2026-03-08T02:30:00Z")), at("2026-03-08T07:00:00Z"));
        assert_eq!(clock.first_instant(at("2026-11-01T01:30:00Z")), at("2026-11-01T05:30:00Z"));
        assert_eq!(clock.shown_at(at("2026-11-01T05:30:00Z")), clock.shown_at(at("2026-11-01T06:30:00Z")));
    }

    #[test]
    fn the_ends_of_time_are_no_trouble() {
        let clock = Clock::new(TimeZone::get("Asia/Seoul").ok());
        for edge in [i64::MIN, i64::MAX] {
            clock.shown_at(edge);
            clock.first_instant(edge);
        }
    }

    proptest! {
        #[test]
        fn the_first_instant_is_the_first_that_shows_so_much(
            zone in prop::sample::select(vec!["America/Havana", "Australia/Lord_Howe", "Asia/Seoul", "Europe/Berlin"]),
            hours in -200_000i64..500_000, minutes in 0i64..60,
        ) {
            let clock = Clock::new(Some(TimeZone::get(zone).unwrap()));
            let shown = hours * HOUR + minutes * HOUR / 60;
            let first = clock.first_instant(shown);
            prop_assert!(clock.shown_at(first) >= shown);
            // Every jump of these clocks is at most a day long; none comes twice in two days.
            for before in [1, HOUR / 2, HOUR, 5 * HOUR] {
                prop_assert!(clock.shown_at(first - before) < shown, "{before}");
            }
            prop_assert!(clock.first_instant(shown + 1) >= first);
        }
    }
}
