//! Which windows a job has.

use serde::{Deserialize, Serialize};

/// The largest number of slices that one window may have: what narrow sums are sized for.
const SLICES_MAX: i64 = 1 << 15;

/// Windows of one size that start every `slide` ticks: `[offset + n * slide, .. + size)` for every whole n.
///
/// A tumbling window is one that slides by its size. Ticks have no unit here; jobs use microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSpec {
    /// Length of a window.
    pub size: i64,
    /// From the start of a window to that of the next.
    pub slide: i64,
    /// Start of a window, from which the others are counted.
    pub offset: i64,
}

/// A window that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Size or slide is not positive.
    #[error("a window's size and slide must be positive")]
    NotPositive,
    /// Events between two windows would belong to none.
    #[error("a window slides by more than its size, so that some events would belong to no window")]
    Gaps,
    /// More slices than sums are sized for.
    #[error("a window of {0} slides is too long; the most is 32767")]
    TooManySlices(i64),
}

impl WindowSpec {
    /// Windows of `size` that start every `slide`.
    ///
    /// # Errors
    /// If one of them is not positive, `slide` exceeds `size`, or a window has too many slices.
    pub fn sliding(size: i64, slide: i64) -> Result<Self, SpecError> {
        if size <= 0 || slide <= 0 {
            return Err(SpecError::NotPositive);
        }
        if slide > size {
            return Err(SpecError::Gaps);
        }
        let slices = size / slide + 1;
        if slices > SLICES_MAX {
            return Err(SpecError::TooManySlices(slices));
        }
        Ok(WindowSpec { size, slide, offset: 0 })
    }

    /// Windows of `size`, one after the other.
    ///
    /// # Errors
    /// If `size` is not positive.
    pub fn tumbling(size: i64) -> Result<Self, SpecError> {
        Self::sliding(size, size)
    }
}
