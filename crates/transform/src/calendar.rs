//! The proleptic Gregorian calendar in UTC: days, their parts, and starts of periods.

/// Microseconds of a day.
pub(crate) const DAY_US: i64 = 86_400_000_000;

/// The Julian day of 1970-01-01.
pub(crate) const JULIAN_EPOCH_DAYS: i64 = 2_440_588;

/// A date: year, month 1 to 12, day 1 to 31.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
}

impl Civil {
    /// The date that many days after 1970-01-01.
    ///
    /// Source: Howard Hinnant, "chrono-compatible low-level date algorithms".
    pub(crate) fn of_days(days: i64) -> Civil {
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Civil { year, month, day: day_of_year - (153 * march_month + 2) / 5 + 1 }
    }

    /// Days after 1970-01-01.
    pub(crate) fn days(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let march_month = (self.month + 9) % 12;
        let day_of_year = (153 * march_month + 2) / 5 + self.day - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
    }

    /// Days of its month.
    pub(crate) fn month_days(self) -> i64 {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        match self.month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    /// The same day that many months later, or the last of a shorter month.
    pub(crate) fn plus_months(self, months: i64) -> Civil {
        let month = self.year * 12 + self.month - 1 + months;
        let first = Civil { year: month.div_euclid(12), month: month.rem_euclid(12) + 1, day: 1 };
        Civil { day: self.day.min(first.month_days()), ..first }
    }
}

/// Day of the week of a day: Monday is 1, Sunday 7.
pub(crate) fn iso_weekday(days: i64) -> i64 {
    (days + 3).rem_euclid(7) + 1
}

/// ISO year and week of a day: the year in which the Thursday of its week lies.
pub(crate) fn iso_week(days: i64) -> (i64, i64) {
    let thursday = days - iso_weekday(days) + 4;
    let year = Civil::of_days(thursday).year;
    let first = Civil { year, month: 1, day: 1 }.days();
    (year, (thursday - first) / 7 + 1)
}

/// A part of a date or time, as `date_part`, `extract`, `date_trunc` and `INTERVAL` name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
    IsoYear,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    YearWeek,
    Era,
    /// Days since noon of the first of January 4713 BC, with a fraction.
    Julian,
    Epoch,
    /// Seconds between local time and UTC: 0, since all is in UTC.
    Zone,
}

/// The usual names of parts, for suggestions.
pub(crate) const PARTS: &[&str] = &[
    "microsecond",
    "millisecond",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "quarter",
    "year",
    "decade",
    "century",
    "millennium",
    "isoyear",
    "dow",
    "isodow",
    "doy",
    "yearweek",
    "era",
    "julian",
    "epoch",
];

impl Part {
    /// The part of that name, in any case, singular or plural.
    pub(crate) fn from_name(name: &str) -> Option<Part> {
        Some(match name.to_ascii_lowercase().as_str() {
            "microsecond" | "microseconds" | "us" => Part::Microsecond,
            "millisecond" | "milliseconds" | "ms" => Part::Millisecond,
            "second" | "seconds" | "s" | "sec" | "secs" => Part::Second,
            "minute" | "minutes" | "m" | "min" | "mins" => Part::Minute,
            "hour" | "hours" | "h" | "hr" | "hrs" => Part::Hour,
            "day" | "days" | "d" => Part::Day,
            "week" | "weeks" | "w" => Part::Week,
            "month" | "months" | "mon" | "mons" => Part::Month,
            "quarter" | "quarters" => Part::Quarter,
            "year" | "years" | "y" | "yr" | "yrs" => Part::Year,
            "decade" | "decades" => Part::Decade,
            "century" | "centuries" => Part::Century,
            "millennium" | "millennia" => Part::Millennium,
            "isoyear" => Part::IsoYear,
            "dow" | "dayofweek" | "weekday" => Part::DayOfWeek,
            "isodow" => Part::IsoDayOfWeek,
            "doy" | "dayofyear" => Part::DayOfYear,
            "yearweek" => Part::YearWeek,
            "era" => Part::Era,
            "julian" => Part::Julian,
            "epoch" => Part::Epoch,
            "timezone" | "timezone_hour" | "timezone_minute" => Part::Zone,
            _ => return None,
        })
    }

    /// That part of an instant; `Epoch` in whole seconds.
    pub(crate) fn of(self, micros: i64) -> i64 {
        let (days, time) = (micros.div_euclid(DAY_US), micros.rem_euclid(DAY_US));
        let civil = || Civil::of_days(days);
        let periods = |years: i64| {
            if civil().year > 0 { (civil().year - 1) / years + 1 } else { civil().year / years - 1 }
        };
        match self {
            Part::Microsecond => time % 60_000_000,
            Part::Millisecond => time % 60_000_000 / 1_000,
            Part::Second => time / 1_000_000 % 60,
            Part::Minute => time / 60_000_000 % 60,
            Part::Hour => time / 3_600_000_000,
            Part::Day => civil().day,
            Part::Week => iso_week(days).1,
            Part::Month => civil().month,
            Part::Quarter => (civil().month - 1) / 3 + 1,
            Part::Year => civil().year,
            Part::Decade => civil().year / 10,
            Part::Century => periods(100),
            Part::Millennium => periods(1_000),
            Part::IsoYear => iso_week(days).0,
            Part::DayOfWeek => iso_weekday(days) % 7,
            Part::IsoDayOfWeek => iso_weekday(days),
            Part::DayOfYear => days - Civil { month: 1, day: 1, ..civil() }.days() + 1,
            Part::YearWeek => {
                let (year, week) = iso_week(days);
                year * 100 + if year > 0 { week } else { -week }
            }
            Part::Era => i64::from(civil().year > 0),
            Part::Zone => 0,
            Part::Julian => days + JULIAN_EPOCH_DAYS,
            Part::Epoch => micros.div_euclid(1_000_000),
        }
    }

    /// Start of the period of this part in which an instant lies; `None` for parts that are no periods.
    pub(crate) fn truncate(self, micros: i64) -> Option<i64> {
        let days = micros.div_euclid(DAY_US);
        let floor = |unit: i64| Some(micros - micros.rem_euclid(unit));
        let midnight = |civil: Civil| civil.days().checked_mul(DAY_US);
        let civil = Civil::of_days(days);
        let years = |years: i64| midnight(Civil { year: civil.year / years * years, month: 1, day: 1 });
        match self {
            Part::Microsecond => Some(micros),
            Part::Millisecond => floor(1_000),
            Part::Second => floor(1_000_000),
            Part::Minute => floor(60_000_000),
            Part::Hour => floor(3_600_000_000),
            Part::Day => floor(DAY_US),
            Part::Week => (days - iso_weekday(days) + 1).checked_mul(DAY_US),
            Part::Month => midnight(Civil { day: 1, ..civil }),
            Part::Quarter => midnight(Civil { month: (civil.month - 1) / 3 * 3 + 1, day: 1, ..civil }),
            Part::Year => years(1),
            Part::Decade => years(10),
            Part::Century => years(100),
            Part::Millennium => years(1_000),
            Part::IsoYear => {
                let january_4 = Civil { year: iso_week(days).0, month: 1, day: 4 }.days();
                (january_4 - iso_weekday(january_4) + 1).checked_mul(DAY_US)
            }
            Part::YearWeek => Part::Week.truncate(micros),
            Part::DayOfWeek | Part::IsoDayOfWeek | Part::DayOfYear => Part::Day.truncate(micros),
            Part::Epoch => Part::Second.truncate(micros),
            Part::Era | Part::Julian | Part::Zone => None,
        }
    }
}

/// A length of time as SQL has it: months, days and microseconds do not mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Interval {
    pub(crate) months: i64,
    pub(crate) days: i64,
    pub(crate) micros: i64,
}

impl Interval {
    /// That many of a part; `None` if the part has no length or the number is too large.
    ///
    /// As in DuckDB a fraction of a month is days of which it has thirty, a fraction of a day is time.
    pub(crate) fn of(number: f64, part: Part) -> Option<Interval> {
        const LIMIT: f64 = 9.0e18;
        let micros = |unit: f64| {
            let micros = (number * unit).round();
            (micros.abs() < LIMIT).then_some(Interval { micros: micros as i64, ..Interval::default() })
        };
        let days = |unit: f64| Interval::of_days(number * unit);
        let months = |unit: f64| {
            let months = number * unit;
            let whole = months.trunc();
            let rest = Interval::of_days((months - whole) * 30.0)?;
            (whole.abs() < 1e9).then_some(Interval { months: whole as i64, ..rest })
        };
        match part {
            Part::Microsecond => micros(1.0),
            Part::Millisecond => micros(1e3),
            Part::Second => micros(1e6),
            Part::Minute => micros(60e6),
            Part::Hour => micros(3_600e6),
            Part::Day => days(1.0),
            Part::Week => days(7.0),
            Part::Month => months(1.0),
            Part::Quarter => months(3.0),
            Part::Year => months(12.0),
            Part::Decade => months(120.0),
            Part::Century => months(1_200.0),
            Part::Millennium => months(12_000.0),
            _ => None,
        }
    }

    fn of_days(days: f64) -> Option<Interval> {
        let whole = days.trunc();
        let micros = ((days - whole) * DAY_US as f64).round() as i64;
        (whole.abs() < 1e9).then_some(Interval { months: 0, days: whole as i64, micros })
    }

    /// Both together.
    pub(crate) fn plus(self, other: Interval) -> Option<Interval> {
        Some(Interval {
            months: self.months.checked_add(other.months)?,
            days: self.days.checked_add(other.days)?,
            micros: self.micros.checked_add(other.micros)?,
        })
    }

    /// That many times as long; fractions as in [`Interval::of`].
    pub(crate) fn times(self, factor: f64) -> Option<Interval> {
        let months = Interval::of(self.months as f64 * factor, Part::Month)?;
        let days = Interval::of(self.days as f64 * factor, Part::Day)?;
        let micros = Interval::of(self.micros as f64 * factor, Part::Microsecond)?;
        months.plus(days)?.plus(micros)
    }

    /// The instant that much earlier.
    pub(crate) fn before(self, micros: i64) -> Option<i64> {
        let (months, days) = (self.months.checked_neg()?, self.days.checked_neg()?);
        Interval { months, days, micros: self.micros.checked_neg()? }.after(micros)
    }

    /// The instant that much later: first the months, then the days, then the rest.
    pub(crate) fn after(self, micros: i64) -> Option<i64> {
        let (mut days, time) = (micros.div_euclid(DAY_US), micros.rem_euclid(DAY_US));
        if self.months != 0 {
            // A span of more months than that leads out of any time that a timestamp holds.
            let months = self.months.clamp(-10_000_000, 10_000_000);
            days = Civil::of_days(days).plus_months(months).days();
        }
        days.checked_add(self.days)?.checked_mul(DAY_US)?.checked_add(time)?.checked_add(self.micros)
    }
}

/// An interval in which months, days and microseconds are as many of the larger as they can be, so that two can
/// be compared: a month has thirty days, a day 24 hours.
pub(crate) fn normalized(interval: Interval) -> (i128, i64, i64) {
    const MONTH_US: i64 = 30 * DAY_US;
    let (months, micros) = (interval.micros / MONTH_US, interval.micros % MONTH_US);
    let months = i128::from(interval.months) + i128::from(interval.days / 30) + i128::from(months);
    (months, interval.days % 30 + micros / DAY_US, micros % DAY_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_eight_centuries_reads_back_and_follows_its_day_before() {
        let mut before = Civil::of_days(-292_195);
        for days in -292_194..292_194 {
            let civil = Civil::of_days(days);
            assert_eq!(civil.days(), days);
            let next = civil.day == before.day + 1 && civil.month == before.month;
            let wraps = civil.day == 1 && before.day == before.month_days();
            assert!(next || wraps, "{civil:?} after {before:?}");
            before = civil;
        }
    }

    #[test]
    fn the_last_days_of_a_year_may_lie_in_the_first_week_of_the_next() {
        // DuckDB: date_part('week', date '2024-12-30') = 1, isoyear 2025.
        assert_eq!(iso_week(Civil { year: 2024, month: 12, day: 30 }.days()), (2025, 1));
        assert_eq!(iso_week(Civil { year: 2021, month: 1, day: 3 }.days()), (2020, 53));
    }
}
