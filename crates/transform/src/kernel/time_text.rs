//! Dates and instants as text and back, as DuckDB writes and reads them.

use std::fmt::Write;

use crate::calendar::{Civil, DAY_US};
use crate::kernel::zone::Zone;

/// Reads `YYYY-MM-DD` (or with `/`); a time behind it is ignored.
pub(crate) fn parse_date(text: &str) -> Option<i64> {
    let mut reader = Reader { rest: text.trim_ascii() };
    let days = reader.date()?;
    if reader.rest.is_empty() || reader.time().is_some() { Some(days) } else { None }
}

/// Reads `YYYY-MM-DD[(T| )HH:MM[:SS[.f]]][zone]` as microseconds. A zone is `Z`, `UTC`, `+HH[:MM]` or, if `zoned`, a
/// name; it counts if `zoned`, else it is ignored. Below a microsecond is cut off.
pub(crate) fn parse_instant(text: &str, zoned: bool) -> Option<i64> {
    let mut reader = Reader { rest: text.trim_ascii() };
    let days = reader.date()?;
    let time = if reader.rest.is_empty() { 0 } else { reader.time()? };
    let local = days.checked_mul(DAY_US)?.checked_add(time)?;
    let name = reader.rest.trim_ascii_start();
    if zoned && name.starts_with(|c: char| c.is_ascii_alphabetic()) && !matches!(name, "Z" | "z") {
        return Zone::find(name).ok()?.instant(local).ok();
    }
    let offset = reader.zone()?;
    if zoned { local.checked_sub(offset) } else { Some(local) }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn eat(&mut self, characters: &[char]) -> Option<()> {
        self.rest = self.rest.strip_prefix(characters)?;
        Some(())
    }

    fn number(&mut self, digits: std::ops::RangeInclusive<usize>) -> Option<i64> {
        let length = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let value = digits.contains(&length).then(|| self.rest[..length].parse().ok())??;
        self.rest = &self.rest[length..];
        Some(value)
    }

    fn date(&mut self) -> Option<i64> {
        let negative = self.eat(&['-']).is_some();
        let year = self.number(1..=6)?;
        let separator = if self.rest.starts_with('/') { ['/'] } else { ['-'] };
        self.eat(&separator)?;
        let month = self.number(1..=2)?;
        self.eat(&separator)?;
        let day = self.number(1..=2)?;
        let before_christ = self.rest.strip_prefix(" (BC)");
        self.rest = before_christ.unwrap_or(self.rest);
        let year = match (negative, before_christ) {
            (_, Some(_)) => 1 - year,
            (true, _) => -year,
            _ => year,
        };
        let civil = Civil { year, month, day };
        let real = (1..=12).contains(&month) && (1..=civil.month_days()).contains(&day);
        real.then(|| civil.days())
    }

    fn time(&mut self) -> Option<i64> {
        self.eat(&['T', ' '])?;
        let hour = self.number(1..=2)?;
        self.eat(&[':'])?;
        let minute = self.number(1..=2)?;
        let mut micros = (hour * 60 + minute) * 60_000_000;
        if self.eat(&[':']).is_some() {
            let second = self.number(1..=2).filter(|second| *second < 60)?;
            micros += second * 1_000_000;
            if self.eat(&['.']).is_some() {
                let length = self.rest.bytes().take_while(u8::is_ascii_digit).count();
                let digits = &self.rest[..length];
                let padded = format!("{:0<6}", &digits[..length.min(6)]);
                micros += padded.parse::<i64>().ok()?;
                self.rest = &self.rest[length..];
            }
        }
        let valid = minute < 60 && (hour < 24 || micros == DAY_US);
        valid.then_some(micros)
    }

    /// Offset of the zone in microseconds, 0 without one. Nothing may follow.
    fn zone(&mut self) -> Option<i64> {
        let rest = self.rest.trim_ascii_start();
        if matches!(rest, "" | "Z" | "z" | "UTC") {
            return Some(0);
        }
        self.rest = rest;
        let sign = if self.rest.starts_with('-') { -1 } else { 1 };
        self.eat(&['+', '-'])?;
        let hours = self.number(2..=2)?;
        let minutes = match self.eat(&[':']) {
            Some(()) => self.number(2..=2)?,
            None if self.rest.is_empty() => 0,
            None => self.number(2..=2)?,
        };
        (self.rest.is_empty() && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60_000_000)
    }
}

/// Writes `YYYY-MM-DD`.
pub(crate) fn write_date(days: i64, out: &mut String) {
    let Civil { year, month, day } = Civil::of_days(days);
    let _ = match year {
        1.. => write!(out, "{year:04}-{month:02}-{day:02}"),
        // There is no year 0: the one before 1 is the first before Christ.
        year => write!(out, "{:04}-{month:02}-{day:02} (BC)", 1 - year),
    };
}

/// Writes `YYYY-MM-DD HH:MM:SS[.f]`, with `+00` behind it if `zoned`.
pub(crate) fn write_instant(micros: i64, zoned: bool, out: &mut String) {
    write_date(micros.div_euclid(DAY_US), out);
    let time = micros.rem_euclid(DAY_US);
    let (seconds, fraction) = (time / 1_000_000, time % 1_000_000);
    let _ = write!(out, " {:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if fraction != 0 {
        let digits = format!("{fraction:06}");
        let _ = write!(out, ".{}", digits.trim_end_matches('0'));
    }
    if zoned {
        out.push_str("+00");
    }
}
