//! What is said about a value beside what was expected: which side is bad, and what is too near to matter.

use serde::{Deserialize, Serialize};

/// On which side of what was expected an anomaly lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Below.
    Low,
    /// Above.
    High,
    /// On either side.
    #[default]
    Both,
}

impl Direction {
    /// How far a deviation goes in this direction: negative if it goes the other way.
    pub fn towards(self, deviation: f32) -> f32 {
        match self {
            Direction::Low => -deviation,
            Direction::High => deviation,
            Direction::Both => deviation.abs(),
        }
    }
}

/// Values that are no anomaly, however odd, because they lie near what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct NearExpected {
    /// Up to this far from it, in the unit of the value. Default: 0.
    #[serde(default)]
    pub amount: f64,
    /// Up to this share of it. Default: 0.
    #[serde(default)]
    pub ratio: f64,
}

impl NearExpected {
    /// Whether a value is near enough, by either measure. What equals the bound is near; NaN is not.
    pub fn holds(&self, value: f64, expected: f64) -> bool {
        let off = (value - expected).abs();
        (off <= self.amount) | (off <= self.ratio * expected.abs())
    }

    /// A calibrated score, or 0 for a value that is near enough. NaN, a score that is not known, stays NaN.
    pub fn spare(&self, score: f64, value: f64, expected: f64) -> f64 {
        if self.holds(value, expected) & !score.is_nan() { 0.0 } else { score }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deviation_counts_in_its_direction_only() {
        assert_eq!([-2.0, 2.0].map(|z| Direction::Low.towards(z)), [2.0, -2.0]);
        assert_eq!([-2.0, 2.0].map(|z| Direction::High.towards(z)), [-2.0, 2.0]);
        assert_eq!([-2.0, 2.0].map(|z| Direction::Both.towards(z)), [2.0, 2.0]);
    }

    #[test]
    fn what_is_near_by_amount_or_by_ratio_is_spared() {
        let near = NearExpected { amount: 2.0, ratio: 0.1 };
        let spared = [(102.0, 100.0), (110.0, 100.0), (90.0, 100.0), (-11.0, -10.0), (1.0, 0.0)];
        assert!(spared.iter().all(|(value, expected)| near.spare(9.0, *value, *expected) == 0.0));
        let odd = [(111.0, 100.0), (2.1, 0.0), (f64::NAN, 1.0), (f64::INFINITY, 1.0)];
        assert!(odd.iter().all(|(value, expected)| near.spare(9.0, *value, *expected) == 9.0));
        assert!(!NearExpected::default().holds(1.0, 1.1));
        assert!(near.spare(f64::NAN, 1.0, 1.0).is_nan(), "what is not known is not spared");
    }
}
