//! How wide a deviation of an input is: known while a row is judged, and told afterwards from what was said of it.

use super::Evidence;
use super::state::Page;
use crate::baseline::{Deviations, FAR};

/// How wide a deviation is, from what a value was, what was expected, and how many deviations that is off; 0 where it is too small to be
/// told, nothing where it cannot be.
pub(crate) fn width(value: f64, expected: f32, z: f32) -> Option<f32> {
    if z.is_infinite() {
        return Some(0.0);
    }
    let width = (single(value) - expected) / z;
    (width.is_finite() && width > 0.0).then_some(width)
}

/// A value as detectors take it.
pub(crate) fn single(value: f64) -> f32 {
    (value as f32).clamp(-FAR, FAR)
}

/// So many deviations a value lies off that is so far from what was expected.
pub(crate) fn deviations(off: f32, width: f32) -> f32 {
    // Where nothing is off the width does not matter.
    if off == 0.0 { 0.0 } else { off / width }
}

/// Adds the widths by which deviations were measured to what methods knew before the rows: 0 of one that is too small to be told.
pub(super) fn add_widths(page: &Page<'_>, deviations: &Deviations, evidence: &mut Evidence) {
    let rows = page.slots.len();
    for (input, before) in evidence.before.iter_mut().enumerate() {
        let start = before.len() - rows;
        for (row, before) in before[start..].iter_mut().enumerate() {
            let (z, expected) = (deviations.z[input][row], deviations.expected[input][row]);
            before[0] = width(page.columns[input][row], expected, z).map_or(f64::NAN, f64::from);
        }
    }
}
