//! What would have been no anomaly instead of a row that is one: the nearest that is found on the way to what was expected.
//!
//! The values that contributed most come back first, and no more of them than it takes. Then they go out again together as far as
//! they may: what is said is a row that was scored. Costs some twenty scores, and is asked for rows alone that are anomalies.

use crate::unit::whole;

/// How often the way is halved.
const HALVED: usize = 12;

/// A row that would have been no anomaly.
#[derive(Debug, Clone, PartialEq)]
pub struct Recourse {
    /// Its values: those of the anomaly, but for some.
    pub values: Vec<f64>,
    /// Its score on the common scale: up to 1.
    pub calibrated: f64,
}

/// Looks for one. `order` are places in the row, of what contributed most first; `units` say what values are multiples of, if
/// of anything; `score` is on the common scale.
pub(crate) fn recourse(
    row: &[f64],
    expected: &[f64],
    units: &[Option<f64>],
    order: &[usize],
    score: impl Fn(&[f64]) -> f64,
) -> Option<Recourse> {
    let mut spared = None;
    let mut at = row.to_vec();
    for (count, place) in order.iter().enumerate() {
        at[*place] = towards(row[*place], expected[*place], 0.0, units[*place]);
        if score(&at) <= 1.0 {
            spared = Some(&order[..=count]);
            break;
        }
    }
    let changed = spared?;
    let (mut near, mut far) = (0.0, 1.0);
    for _ in 0..HALVED {
        let middle = (near + far) / 2.0;
        let mut tried = row.to_vec();
        for place in changed {
            tried[*place] = towards(row[*place], expected[*place], middle, units[*place]);
        }
        match score(&tried) <= 1.0 {
            true => (near, at) = (middle, tried),
            false => far = middle,
        }
    }
    Some(Recourse { calibrated: score(&at), values: at })
}

/// A value that lies off what was expected by a share of what it did, in whole units.
fn towards(value: f64, expected: f64, share: f64, unit: Option<f64>) -> f64 {
    whole(expected + (value - expected) * share, value <= expected, unit)
}

/// The places of a row by what they contributed, the greatest first; those that contributed nothing are left out.
pub(crate) fn by_share(shares: impl Iterator<Item = f64>) -> Vec<usize> {
    let mut places: Vec<(usize, f64)> = shares.enumerate().filter(|(_, share)| *share > 0.0).collect();
    places.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    places.into_iter().map(|(place, _)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_few_values_come_back_as_it_takes_and_no_farther() {
        let score = |row: &[f64]| (row[0] - 1.0).abs().max((row[1] - 2.0).abs()) / 3.0;
        let of = |row: &[f64; 3], units: &[Option<f64>; 3], order: &[usize]| {
            let found = recourse(row, &[1.0, 2.0, 0.0], units, order, score)?;
            assert!(found.calibrated <= 1.0 && found.calibrated == score(&found.values));
            Some(found.values)
        };
        let close = |found: Option<Vec<f64>>, expected: [f64; 3]| {
            let found = found.expect("a row");
            let same = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.01);
            assert!(same, "{found:?}, not {expected:?}");
        };
        close(of(&[11.0, 2.5, 9.0], &[None; 3], &[0, 1, 2]), [4.0, 2.5, 9.0]);
        close(of(&[11.0, -9.0, 9.0], &[None; 3], &[0, 1, 2]), [3.727, -1.0, 9.0]);
        close(of(&[11.0, 2.0, 9.0], &[Some(2.0); 3], &[0, 1]), [4.0, 2.0, 9.0]);
        assert_eq!(of(&[11.0, -9.0, 9.0], &[None; 3], &[2, 0]), None);
    }

    #[test]
    fn what_contributed_most_stands_first() {
        assert_eq!(by_share([0.5, 0.0, 2.0, f64::NAN, 1.0].into_iter()), [2, 4, 0]);
    }
}
