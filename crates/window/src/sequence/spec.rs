//! Which windows a job has whose records are taken in order.

use super::triggered::{Assigner, TriggerSpec};
use crate::SpecError;

/// The most panes that one count window may have: what narrow sums are sized for.
const PANES_MAX: u64 = 1 << 15;

/// Windows in which the order of records matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SequenceSpec {
    /// A record of time t is a session [t, t + gap); sessions of a key that overlap or touch are one.
    Session {
        /// In ticks.
        gap: i64,
    },
    /// The same, with a gap that each record brings along: [`crate::Run::gaps`].
    SessionByRecord,
    /// A row over the last `size` records of a key, or as many as there are, after every `slide` of them.
    Count {
        /// Records of a row.
        size: u64,
        /// Records from one row to the next.
        slide: u64,
        /// How long after its last record a key is forgotten, if ever: see [`SequenceSpec::expiring`].
        expires: Option<i64>,
    },
    /// Windows that are put out more than once, or not when they end.
    Triggered(Box<TriggerSpec>),
}

impl SequenceSpec {
    /// Sessions that end `gap` ticks behind their last record.
    ///
    /// # Errors
    /// If the gap is not positive.
    pub fn session(gap: i64) -> Result<Self, SpecError> {
        if gap <= 0 {
            return Err(SpecError::NotPositive);
        }
        Ok(SequenceSpec::Session { gap })
    }

    /// Every `size` records of a key are a row, and the next one starts anew.
    ///
    /// # Errors
    /// If the size is zero.
    pub fn count(size: u64) -> Result<Self, SpecError> {
        Self::count_sliding(size, size)
    }

    /// After every `slide` records of a key a row over the last `size`, as Flink's `countWindow(size, slide)`:
    /// the first rows have fewer, and where `slide` exceeds `size` some records are in none.
    ///
    /// # Errors
    /// If one of them is zero, or a row has too many parts.
    pub fn count_sliding(size: u64, slide: u64) -> Result<Self, SpecError> {
        if size == 0 || slide == 0 {
            return Err(SpecError::NotPositive);
        }
        let panes = (size / slide).saturating_mul(2).saturating_add(2);
        if panes > PANES_MAX {
            return Err(SpecError::TooManySlices(i64::try_from(size / slide).unwrap_or(i64::MAX)));
        }
        Ok(SequenceSpec::Count { size, slide, expires: None })
    }

    /// The same windows, where a key is forgotten once a record of it has seen `idle` more than the last one had: more
    /// than its `seen` and its time. It then begins anew. Of windows that end by themselves keys go with them.
    ///
    /// # Errors
    /// If that is not positive, or shorter than the time from one early row to the next, or these are such windows.
    pub fn expiring(self, idle: i64) -> Result<Self, SpecError> {
        if idle <= 0 {
            return Err(SpecError::NotPositive);
        }
        match self {
            SequenceSpec::Count { size, slide, .. } => {
                Ok(SequenceSpec::Count { size, slide, expires: Some(idle) })
            }
            SequenceSpec::Triggered(spec) if spec.windows == Assigner::Global => {
                let spec = TriggerSpec { expires: Some(idle), ..*spec }.checked()?;
                Ok(SequenceSpec::Triggered(Box::new(spec)))
            }
            _ => Err(SpecError::Expires),
        }
    }

    /// Every record is a row.
    pub fn each() -> Self {
        SequenceSpec::Count { size: 1, slide: 1, expires: None }
    }
}
