//! Which windows with triggers a job has: what holds a record, and when that is put out.

use crate::{SpecError, WindowSpec};

/// The most windows that one record may be in: each costs a row of its own.
const WINDOWS_MAX: i64 = 1024;

/// How often a window may be put out early by time, as often as windows may have slices.
pub const TICKS_MAX: i64 = 1 << 15;

/// Windows that are put out more than once, or not when they end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerSpec {
    /// Which windows hold a record.
    pub windows: Assigner,
    /// How long after a window is due it still takes records.
    pub lateness: i64,
    /// Whether the start of a key's windows is moved by a part of a slide of its own, so that not all keys have
    /// their windows put out at the same time.
    pub staggered: bool,
    /// Whether a window is put out when it is due.
    pub at_end: bool,
    /// When it is put out before.
    pub early: Option<Early>,
    /// When it is put out again for records that come behind that.
    pub late: Late,
    /// Whether what was put out is not put out again: a window starts anew with each row.
    pub purges: bool,
    /// How long after its last record a key of the global window is forgotten, if ever.
    pub expires: Option<i64>,
}

/// What holds a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assigner {
    /// Windows that all keys share.
    Shared(WindowSpec),
    /// A session, with the gap that all have.
    Session(i64),
    /// A session, with the gap that each record brings along.
    SessionByRecord,
    /// One window for all time.
    Global,
}

/// When a window is put out before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Early {
    /// Every so many ticks: of a window that all keys share counted from its start, elsewhere at whole multiples.
    /// Such a row holds what lies before that, and its window ends there.
    Every(i64),
    /// With every so many records.
    Count(u64),
}

/// When a window is put out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// Once, when the time for late records is over.
    Once,
    /// With each of them, as Flink does.
    Each,
}

impl TriggerSpec {
    /// Windows that are put out when they are due, and take no late records.
    pub fn new(windows: Assigner) -> Self {
        let at_end = windows != Assigner::Global;
        TriggerSpec {
            windows,
            lateness: 0,
            staggered: false,
            at_end,
            early: None,
            late: Late::Once,
            purges: false,
            expires: None,
        }
    }

    /// The same, if it makes sense.
    ///
    /// # Errors
    /// If a gap, a lateness or an interval is not a length, a count is zero, or nothing is ever put out.
    pub fn checked(self) -> Result<Self, SpecError> {
        let is_length = |length: i64| length > 0;
        let lengths = [
            if let Assigner::Session(gap) = self.windows { gap } else { 1 },
            match self.early {
                Some(Early::Every(every)) => every,
                Some(Early::Count(count)) => i64::try_from(count).unwrap_or(i64::MAX),
                None => 1,
            },
        ];
        if !lengths.into_iter().all(is_length) {
            return Err(SpecError::NotPositive);
        }
        if let Assigner::Shared(spec) = &self.windows
            && spec.size / spec.slide.max(1) > WINDOWS_MAX
        {
            return Err(SpecError::TooManyWindows(spec.size / spec.slide.max(1)));
        }
        if let (Some(Early::Every(every)), Some(length)) = (self.early, self.longest())
            && length / every > TICKS_MAX
        {
            return Err(SpecError::TooManyTicks);
        }
        if self.lateness < 0 {
            return Err(SpecError::Lateness);
        }
        let is_global = self.windows == Assigner::Global;
        // What is put out by time alone, and not at the end, leaves out what comes behind the last of these times.
        let is_left_out = !self.at_end && !is_global && !matches!(self.early, Some(Early::Count(_)));
        if is_left_out || (is_global && (self.at_end || self.early.is_none())) {
            return Err(SpecError::NeverOut);
        }
        self.check_times()?;
        if self.late == Late::Each && self.lateness == 0 && self.at_end {
            return Err(SpecError::NeverLate);
        }
        if self.purges && self.early.is_none() && self.lateness == 0 {
            return Err(SpecError::PurgesNothing);
        }
        if self.staggered && matches!(&self.windows, Assigner::Shared(spec) if spec.slide > spec.size) {
            return Err(SpecError::Stagger);
        }
        if self.staggered && !matches!(self.windows, Assigner::Shared(_)) {
            return Err(SpecError::Stagger);
        }
        Ok(self)
    }

    /// Checks when windows are put out by time.
    fn check_times(&self) -> Result<(), SpecError> {
        let Some(Early::Every(every)) = self.early else { return Ok(()) };
        if self.expires.is_some_and(|idle| idle < every) {
            return Err(SpecError::ExpiresUnseen);
        }
        match &self.windows {
            Assigner::Shared(spec) if spec.grows => Err(SpecError::GrowsEarly),
            Assigner::Shared(spec) if every >= spec.size => Err(SpecError::EarlyTooLate),
            _ => Ok(()),
        }
    }

    /// How long a window lasts behind a record, where that is known.
    fn longest(&self) -> Option<i64> {
        match &self.windows {
            Assigner::Shared(spec) => Some(spec.size),
            Assigner::Session(gap) => Some(*gap),
            Assigner::SessionByRecord | Assigner::Global => None,
        }
    }
}
