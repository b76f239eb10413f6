//! Which windows a job has.

use jiff::tz::TimeZone;

use crate::slicing::Slicing;

/// The largest number of slices that one window may have: what narrow sums are sized for.
const SLICES_MAX: i64 = 1 << 15;

/// Windows that all keys share, by event time. Ticks have no unit here, except in a time zone, where they are
/// microseconds since the Unix epoch, as jobs run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowSpec {
    /// Length of a window; of the longest of those that grow.
    pub size: i64,
    /// From the start of a window to that of the next; from the end to the next end of those that grow.
    pub slide: i64,
    /// Start of a window, from which the others are counted.
    pub offset: i64,
    /// Whether windows grow: each of `size` is preceded by shorter ones of the same start, a `slide` apart.
    pub grows: bool,
    /// How long after a window is due it still takes records that come late: then it is put out once more.
    pub lateness: i64,
    /// In how many windows behind the last that holds a record of it a key still has a row.
    pub quiet: i64,
    /// The time zone on whose clock windows start and end; UTC without one.
    pub zone: Option<TimeZone>,
}

/// A window that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Size or slide is not positive.
    #[error("a window's size and slide must be positive")]
    NotPositive,
    /// More slices than sums are sized for.
    #[error(
        "a window of {0} slices is too long; the most is 32767, where two make a slide that does not divide the size"
    )]
    TooManySlices(i64),
    /// More windows for each record than is sensible.
    #[error(
        "an event would be in {0} windows, each a row of its own where windows are put out early, for each late event, \
         purged or staggered; the most is 1024"
    )]
    TooManyWindows(i64),
    /// More early results than is sensible.
    #[error("such a window would be put out early too often; the most is 32768 times")]
    TooManyTicks,
    /// A growing window whose steps do not end with it.
    #[error("the steps of a window that grows must divide its size")]
    UnevenSteps,
    /// Flink refuses it too: such an offset says the same as a smaller one.
    #[error("an offset must be shorter than the time from one start of a window to the next")]
    Offset,
    /// Rows of quiet keys that cannot be.
    #[error(
        "keys that have gone quiet have rows for a whole number of slides, of windows that neither grow nor take late \
         events"
    )]
    Quiet,
    /// A lateness before which a window is not even due.
    #[error("the lateness that is allowed for cannot be negative")]
    Lateness,
    /// A window that nothing ever puts out.
    #[error(
        "nothing puts out all of such a window: it needs its end, or rows after a number of events; the one for all time \
         needs early rows"
    )]
    NeverOut,
    /// Keys that are forgotten before they are put out.
    #[error(
        "a key would be forgotten before its window is put out: it must be kept for as long as that takes"
    )]
    ExpiresUnseen,
    /// Early results of windows that are early results themselves.
    #[error("windows that grow are put out early as they are; their steps may be shorter")]
    GrowsEarly,
    /// Early results that are not early.
    #[error("a window cannot be put out early when it has ended: that must be shorter than its size")]
    EarlyTooLate,
    /// Rows for late records that there are none of.
    #[error("rows for each late event need an allowed lateness")]
    NeverLate,
    /// Windows that are put out once.
    #[error("a window that is put out once has nothing to purge")]
    PurgesNothing,
    /// Keys of other windows go with these.
    #[error("only keys of count windows and of the global window expire: others go with their windows")]
    Expires,
    /// Only windows that all keys share start at the same time.
    #[error("only windows that all keys share, and that leave no gaps, can be staggered")]
    Stagger,
    /// A name that the tz database does not have.
    #[error("`{0}` is no time zone; write one as `Asia/Seoul`")]
    Zone(String),
}

impl WindowSpec {
    /// Windows of `size` that start every `slide`: `[n * slide, .. + size)` for every whole n. Where `slide`
    /// exceeds `size`, records between two windows belong to none.
    ///
    /// # Errors
    /// If one of them is not positive, or a window has too many slices.
    pub fn sliding(size: i64, slide: i64) -> Result<Self, SpecError> {
        if size <= 0 || slide <= 0 {
            return Err(SpecError::NotPositive);
        }
        let slides = size / slide;
        let slices = if size % slide == 0 { slides } else { slides.saturating_mul(2).saturating_add(1) };
        if slices >= SLICES_MAX {
            return Err(SpecError::TooManySlices(slices));
        }
        Ok(WindowSpec { size, slide, offset: 0, grows: false, lateness: 0, quiet: 0, zone: None })
    }

    /// Windows of `size`, one after the other.
    ///
    /// # Errors
    /// If `size` is not positive.
    pub fn tumbling(size: i64) -> Result<Self, SpecError> {
        Self::sliding(size, size)
    }

    /// Windows that grow by `step` up to `size` and then start anew, as Flink's `CUMULATE`:
    /// `[n * size, .. + k * step)` for every whole n and for k from 1 to `size / step`.
    ///
    /// # Errors
    /// If one of them is not positive, `step` does not divide `size`, or there are too many steps.
    pub fn cumulate(size: i64, step: i64) -> Result<Self, SpecError> {
        let spec = Self::sliding(size, step)?;
        if size % step != 0 {
            return Err(SpecError::UnevenSteps);
        }
        Ok(WindowSpec { grows: true, ..spec })
    }

    /// The same windows, moved by `offset`, which may be negative.
    ///
    /// # Errors
    /// If the offset is as long as the time from one start to the next.
    pub fn starting_at(self, offset: i64) -> Result<Self, SpecError> {
        let period = if self.grows { self.size } else { self.slide };
        if offset.checked_abs().is_none_or(|distance| distance >= period) {
            return Err(SpecError::Offset);
        }
        Ok(WindowSpec { offset, ..self })
    }

    /// The same windows, which take records that are due, by as much as `lateness`: the row of such a window is put out
    /// once more when that time is over.
    ///
    /// # Errors
    /// If it is negative.
    pub fn allowing(self, lateness: i64) -> Result<Self, SpecError> {
        if lateness < 0 { Err(SpecError::Lateness) } else { Ok(WindowSpec { lateness, ..self }) }
    }

    /// The same windows, in which a key that has gone quiet still has rows for that long: those of the windows that
    /// start at most `quiet` behind one that holds a record of it.
    ///
    /// # Errors
    /// If that is not a whole number of slides, or the windows grow or take late records.
    pub fn noticing(self, quiet: i64) -> Result<Self, SpecError> {
        if quiet / self.slide >= SLICES_MAX {
            return Err(SpecError::TooManySlices(quiet / self.slide));
        }
        if quiet < 0 || quiet % self.slide != 0 || (quiet > 0 && (self.grows || self.lateness > 0)) {
            return Err(SpecError::Quiet);
        }
        Ok(WindowSpec { quiet: quiet / self.slide, ..self })
    }

    /// The same windows by the clock of a time zone: one of a day starts at midnight there, and lasts as long as
    /// the day does.
    ///
    /// # Errors
    /// If there is no such zone.
    pub fn in_zone(self, name: &str) -> Result<Self, SpecError> {
        let zone = TimeZone::get(name).map_err(|_| SpecError::Zone(name.to_owned()))?;
        Ok(WindowSpec { zone: Some(zone), ..self })
    }

    /// Which times are covered, unless all are. Records of other times are not to be fed to windows.
    pub fn coverage(&self) -> Option<Coverage> {
        (self.slide > self.size).then(|| Coverage(Slicing::new(self.clone())))
    }
}

/// Which times lie in a window, where others lie between two.
#[derive(Debug, Clone)]
pub struct Coverage(Slicing);

impl Coverage {
    /// Whether some window covers `time`.
    pub fn covers(&self, time: i64) -> bool {
        self.0.is_covered(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_window_has_more_slices_than_narrow_sums_are_sized_for() {
        assert!(WindowSpec::sliding(32_767, 1).is_ok());
        assert_eq!(WindowSpec::sliding(32_768, 1), Err(SpecError::TooManySlices(32_768)));
        assert!(WindowSpec::sliding(32_765, 2).is_ok());
        assert_eq!(WindowSpec::sliding(65_535, 2), Err(SpecError::TooManySlices(65_535)));
        assert!(WindowSpec::sliding(1, i64::MAX).is_ok());
    }
}
