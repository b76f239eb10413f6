//! What a detector expected instead of a row that is an anomaly, and a row that would have been none.
//!
//! Forests, and what is beside other keys, cannot be asked again once they have learned. So this is worked out when a row is judged,
//! and kept in the evidence with it: see [`Evidence::before`](super::Evidence).

use event::{Before, NOTHING_BEFORE};

use super::Detector;
use crate::forest::{Attribution, Recourse, StreamForest, by_share, recourse};

/// What was expected of each input, and a row that would have been no anomaly.
pub(crate) struct Instead {
    pub(crate) expected: Vec<f64>,
    /// What each input would have been, NaN where it stays as it is; and the score, on the common scale and as the forest gives it.
    /// Nothing if no such row was found.
    found: Option<(Vec<f64>, [f64; 2])>,
}

impl Instead {
    /// `row` is what the inputs were, `scores` says of the row that was found the score on the common scale, and as the forest gives it.
    pub(crate) fn new(
        row: &[f64],
        expected: Vec<f64>,
        found: Option<Recourse>,
        scores: impl Fn(&Recourse) -> [f64; 2],
    ) -> Self {
        let changed = |(value, to): (&f64, &f64)| if value == to { f64::NAN } else { *to };
        let found = found.map(|found| {
            let to = row.iter().zip(&found.values).map(changed).collect();
            (to, scores(&found))
        });
        Instead { expected, found }
    }

    /// That of the row that a forest has taken in and not learned, to whose score its values have contributed that. `values` are
    /// NaN where something else stands for them.
    pub(super) fn of(
        (detector, forest, is_anomaly): (&Detector, &StreamForest, bool),
        attribution: &Attribution,
        values: &[f64],
        units: &[Option<f64>],
    ) -> Self {
        let share = |place: usize| attribution.low[place] + attribution.high[place];
        let is_there = |place: &usize| !values[*place].is_nan();
        let mut order = by_share((0..values.len()).map(share));
        order.retain(is_there);
        // What stands out is expected to be what it is beside the rest, and the rest what it is beside nothing.
        let average = attribution.total() / values.len() as f64;
        let main: Vec<usize> = order.iter().copied().filter(|place| share(*place) >= average).collect();
        let (beside, alone) = (forest.usual(&main), forest.usual(&order));
        let expected = |place| if main.contains(&place) { beside[place] } else { alone[place] };
        let expected: Vec<f64> = (0..values.len()).map(expected).collect();
        let asked_for = |row: &[f64]| detector.asked_for(forest.scores(row), is_anomaly);
        let found = recourse(forest.row(), &expected, units, &order, asked_for);
        Instead::new(forest.row(), expected, found, |found| forest.scores(&found.values).into())
    }

    /// What is kept of an input: what it would have been, and the outputs of the forest for the whole row.
    pub(crate) fn before(&self, input: usize) -> Before {
        match &self.found {
            // What is no anomaly has no grade.
            Some((to, [calibrated, score])) => [to[input], *calibrated, *score, f64::NAN, 0.0],
            None => NOTHING_BEFORE,
        }
    }
}

/// Whether all inputs that stand out, those that contributed no less than the average, are near what was expected of them.
pub(crate) fn all_near(shares: &[f64], is_near: impl Fn(usize) -> bool) -> bool {
    let total: f64 = shares.iter().sum();
    let stands_out = |place: &usize| shares[*place] * shares.len() as f64 >= total * (1.0 - 1e-9);
    let mut places = (0..shares.len()).filter(stands_out).peekable();
    places.peek().is_some() && places.all(is_near)
}

/// The row that was kept: what each input would have been, `None` where it stays as it is, and the outputs, NaN where they would be
/// what they are.
pub(crate) fn kept<'a>(before: impl Iterator<Item = &'a Before>) -> Option<(Vec<Option<f64>>, [f64; 4])> {
    let (mut to, mut outputs) = (Vec::new(), [f64::NAN; 4]);
    for [value, said @ ..] in before {
        to.push((!value.is_nan()).then_some(*value));
        outputs = *said;
    }
    (!outputs[0].is_nan()).then_some((to, outputs))
}
