//! Event time of a record, in whatever unit it is written, to microseconds in the range that is sane.

use super::calendar;
use super::misfit::Misfit;
use super::number::{self, Decimal};
use super::record::blank_end;
use super::spec::{TimeSpec, TimeUnit};
use super::text;

/// Reads event times of one spec.
#[derive(Debug)]
pub(super) struct TimeReader {
    spec: TimeSpec,
    text: Vec<u8>,
}

impl TimeReader {
    pub(super) fn new(spec: TimeSpec) -> Self {
        TimeReader { spec, text: Vec::new() }
    }

    /// What a value has to be, in words.
    pub(super) fn expected(&self) -> &'static str {
        match self.spec.unit {
            TimeUnit::Rfc3339 => "time as in RFC 3339",
            TimeUnit::Seconds => "time in s",
            TimeUnit::Millis => "time in ms",
            TimeUnit::Micros => "time in us",
            TimeUnit::Nanos => "time in ns",
        }
    }

    /// The event time that is written at `at`, or behind blanks there, and where it ends.
    #[inline(always)]
    pub(super) fn read(&mut self, bytes: &[u8], at: usize) -> Result<(i64, usize), Misfit> {
        match self.read_short(bytes, at) {
            Some(read) => Ok(read),
            None => self.read_slowly(bytes, at),
        }
    }

    #[cold]
    #[inline(never)]
    fn read_slowly(&mut self, bytes: &[u8], at: usize) -> Result<(i64, usize), Misfit> {
        let at = blank_end(bytes, at);
        if bytes.get(at..).unwrap_or_default().starts_with(b"null") {
            return Err(Misfit::Missing);
        }
        let (micros, end) = match self.spec.unit {
            TimeUnit::Rfc3339 => self.read_text(bytes, at)?,
            _ if self.spec.fractional => self.read_decimal(bytes, at)?,
            _ => {
                let (value, end) = number::integer(bytes, at)?;
                (self.micros(value).ok_or(Misfit::TimeRange)?, end)
            }
        };
        if self.spec.range.contains(&micros) { Ok((micros, end)) } else { Err(Misfit::TimeRange) }
    }

    /// The event time that is all of a text, with nothing around it.
    pub(super) fn read_all(&self, text: &[u8]) -> Result<i64, Misfit> {
        let micros = match self.spec.unit {
            TimeUnit::Rfc3339 => calendar::instant(text).ok_or(Misfit::Type)?,
            _ if !number::is_all(text) => return Err(Misfit::Type),
            _ if self.spec.fractional => self.read_decimal(text, 0)?.0,
            _ => self.micros(number::integer(text, 0)?.0).ok_or(Misfit::TimeRange)?,
        };
        if self.spec.range.contains(&micros) { Ok(micros) } else { Err(Misfit::TimeRange) }
    }

    /// The event time that is written at `at` in the usual way, and where it ends.
    #[inline(always)]
    pub(super) fn read_short(&self, bytes: &[u8], at: usize) -> Option<(i64, usize)> {
        if self.spec.unit != TimeUnit::Millis {
            return None;
        }
        let (millis, end) = number::short_whole(bytes, at)?;
        let micros = millis.checked_mul(1000).filter(|micros| self.spec.range.contains(micros))?;
        Some((micros, end))
    }

    /// A whole number of the unit in microseconds; `None` if that does not fit.
    fn micros(&self, value: i64) -> Option<i64> {
        match self.spec.unit {
            TimeUnit::Seconds => value.checked_mul(1_000_000),
            TimeUnit::Millis => value.checked_mul(1000),
            TimeUnit::Nanos => Some(value.div_euclid(1000)),
            TimeUnit::Micros | TimeUnit::Rfc3339 => Some(value),
        }
    }

    fn read_text(&mut self, bytes: &[u8], at: usize) -> Result<(i64, usize), Misfit> {
        if bytes.get(at) != Some(&b'"') {
            return Err(number::unfit(bytes, at));
        }
        self.text.clear();
        let end = text::append(bytes, at, &mut self.text)?;
        let micros = calendar::instant(&self.text).ok_or(Misfit::Type)?;
        Ok((micros, end))
    }

    fn read_decimal(&self, bytes: &[u8], at: usize) -> Result<(i64, usize), Misfit> {
        // Also says which numbers have no finite value.
        let (_, end) = number::double(bytes, at)?;
        let shift = match self.spec.unit {
            TimeUnit::Seconds => 6,
            TimeUnit::Millis => 3,
            TimeUnit::Nanos => -3,
            TimeUnit::Micros | TimeUnit::Rfc3339 => 0,
        };
        let micros = Decimal::cut(&bytes[at..end]).floor_scaled(shift);
        let micros = micros.and_then(|micros| i64::try_from(micros).ok()).ok_or(Misfit::TimeRange)?;
        Ok((micros, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(unit: TimeUnit, fractional: bool, text: &str) -> Result<i64, Misfit> {
        let spec = TimeSpec { fractional, ..TimeSpec::new(&["ts"], unit) };
        let padded = format!("{text},\"more\":\"than a word\"}}");
        let long = TimeReader::new(spec.clone()).read(padded.as_bytes(), 0);
        let short = TimeReader::new(spec).read(text.as_bytes(), 0);
        assert_eq!(long, short, "with and without bytes behind it");
        long.map(|(micros, end)| {
            assert_eq!(end, text.len());
            micros
        })
    }

    #[test]
    fn every_unit_is_read_in_microseconds() {
        let time = Ok(1_700_000_000_000_000);
        assert_eq!(read(TimeUnit::Seconds, false, "1700000000"), time);
        assert_eq!(read(TimeUnit::Millis, false, "1700000000000"), time);
        assert_eq!(read(TimeUnit::Micros, false, "1700000000000000"), time);
        assert_eq!(read(TimeUnit::Nanos, false, "1700000000000000999"), time);
        assert_eq!(read(TimeUnit::Rfc3339, false, "\"2023-11-14T22:13:20Z\""), time);
        assert_eq!(read(TimeUnit::Rfc3339, false, r#""2023-11-14\u002022:13:20""#), time);
    }

    #[test]
    fn a_fraction_fits_only_where_it_is_declared() {
        assert_eq!(read(TimeUnit::Seconds, true, "1700000000.25"), Ok(1_700_000_000_250_000));
        assert_eq!(read(TimeUnit::Seconds, true, "1700000000.1"), Ok(1_700_000_000_100_000));
        assert_eq!(read(TimeUnit::Millis, true, "1.7e12"), Ok(1_700_000_000_000_000));
        assert_eq!(read(TimeUnit::Millis, true, "1700000000000"), Ok(1_700_000_000_000_000));
        assert_eq!(read(TimeUnit::Nanos, true, "1700000000000001999.9"), Ok(1_700_000_000_000_001));
        assert_eq!(read(TimeUnit::Seconds, false, "1700000000.25"), Err(Misfit::Type));
        assert_eq!(read(TimeUnit::Millis, false, "1.7e12"), Err(Misfit::Type));
    }

    #[test]
    fn what_is_no_time_or_none_that_is_sane_is_refused() {
        assert_eq!(read(TimeUnit::Millis, false, "253402300799000"), Err(Misfit::TimeRange));
        assert_eq!(read(TimeUnit::Millis, false, "-1"), Err(Misfit::TimeRange));
        assert_eq!(read(TimeUnit::Seconds, false, "9223372036854775807"), Err(Misfit::TimeRange));
        assert_eq!(read(TimeUnit::Seconds, true, "1e30"), Err(Misfit::TimeRange));
        assert_eq!(read(TimeUnit::Seconds, true, "1e999"), Err(Misfit::Type));
        assert_eq!(read(TimeUnit::Millis, false, "9223372036854775808"), Err(Misfit::Type));
        assert_eq!(read(TimeUnit::Millis, false, "\"1700000000000\""), Err(Misfit::Type));
        assert_eq!(read(TimeUnit::Millis, false, "null"), Err(Misfit::Missing));
        assert_eq!(read(TimeUnit::Rfc3339, false, "1700000000000"), Err(Misfit::Type));
        assert_eq!(read(TimeUnit::Rfc3339, false, "\"yesterday\""), Err(Misfit::Type));
    }
}
