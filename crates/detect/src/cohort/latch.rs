//! Which keys are an anomaly in their cohort, until they are well inside of it again.

use super::CohortSpec;
use crate::slots::SlotState;

/// No row that was one.
const NEVER: i64 = i64::MIN;

/// By slot, when the last row was due of a key that is an anomaly.
#[derive(Debug, Clone, Default)]
pub(crate) struct LatchColumns {
    at: Vec<i64>,
}

/// The latches of a worker's keys, and for how long a key without rows is remembered.
pub(crate) struct Latches<'a> {
    pub(crate) columns: &'a mut LatchColumns,
    pub(crate) forget_after: i64,
}

impl Latches<'_> {
    /// Whether a key was an anomaly before, and whether it is one, which has so much of its cohort beyond it, if that is known, in a
    /// row that is due by then. A row that is a correction changes nothing for later ones.
    pub(crate) fn judge(
        &mut self,
        spec: &CohortSpec,
        slot: u32,
        due: i64,
        beyond: Option<f64>,
        corrected: bool,
    ) -> (bool, bool) {
        let Some(at) = self.columns.at.get_mut(slot as usize) else { return (false, false) };
        let was = *at != NEVER && due.saturating_sub(*at) <= self.forget_after;
        let is = match beyond {
            Some(beyond) => beyond < spec.open || (was && beyond < spec.close),
            None => was,
        };
        if !corrected {
            *at = if is { due } else { NEVER };
        }
        (was, is)
    }
}

impl SlotState for LatchColumns {
    type Saved = Vec<i64>;

    fn grow(&mut self, slots: usize) {
        if slots > self.at.len() {
            self.at.resize(slots, NEVER);
        }
    }

    fn clear(&mut self, slot: u32) {
        self.at[slot as usize] = NEVER;
    }

    fn save(&self, slots: &[u32]) -> Self::Saved {
        crate::slots::save(&self.at, 1, slots)
    }

    fn load(&mut self, slots: &[u32], saved: &Self::Saved) {
        crate::slots::load(&mut self.at, 1, slots, saved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_an_anomaly_from_below_the_one_bound_to_above_the_other() {
        let spec = CohortSpec::default();
        let mut columns = LatchColumns::default();
        columns.grow(2);
        let mut latches = Latches { columns: &mut columns, forget_after: 10 };
        let mut is = |due, beyond| latches.judge(&spec, 1, due, beyond, false).1;
        assert!(!is(0, Some(5.0)) && is(1, Some(1.9)) && is(2, Some(5.0)) && is(3, None));
        assert!(is(13, Some(9.9)), "remembered for 10");
        assert!(!is(14, Some(10.0)) && !is(15, Some(9.0)), "it is over");
        assert!(is(16, Some(1.0)) && !is(27, Some(9.0)), "forgotten");
        assert_eq!(latches.judge(&spec, 1, 30, Some(1.0), true), (false, true), "a correction is judged");
        assert_eq!(latches.judge(&spec, 1, 31, Some(9.0), false), (false, false), "and forgotten");
    }

    #[test]
    fn the_score_is_above_one_exactly_where_the_latch_is_set() {
        let spec = CohortSpec::default();
        assert!(spec.score(2.0, false) <= 1.0 && spec.score(1.99, true) > 1.0);
        assert!(spec.score(9.99, true) > 1.0 && spec.score(10.0, true) <= 1.0);
        assert!(spec.score(0.1, true) > spec.score(1.0, true));
    }
}
