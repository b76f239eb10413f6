//! Whether detectors that look at different things agree, which is what makes an anomaly worse.

use event::Severity;
use serde::{Deserialize, Serialize};

/// Detectors that look at the same thing. Agreement within a family says little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// A condition that a person wrote.
    Rule,
    /// The key beside its own past: baseline, robust z.
    Baseline,
    /// A change of level: CUSUM, Page-Hinkley.
    Change,
    /// All features together beside those of others: random cut forest.
    Forest,
    /// The key beside its cohort at the same time.
    Cohort,
    /// A trained model.
    Model,
}

/// What several calibrated scores of one row say together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// The greatest of them: above 1 if any of them is.
    pub score: f64,
    /// Families with a score above 1.
    pub families: usize,
}

impl Agreement {
    /// Of scores on the common scale. NaN, a detector that does not know yet, is passed over.
    pub fn of(scores: &[(Family, f64)]) -> Self {
        let known = || scores.iter().filter(|(_, score)| !score.is_nan());
        let score = known().map(|(_, score)| *score).fold(0.0, f64::max);
        let mut families: Vec<Family> =
            known().filter(|(_, score)| *score > 1.0).map(|(family, _)| *family).collect();
        families.sort_unstable();
        families.dedup();
        Agreement { score, families: families.len() }
    }

    /// The severity of a finding on which so many families agree: one step up if there are at least `enough`.
    pub fn raise(&self, severity: Severity, enough: usize) -> Severity {
        match severity {
            _ if self.families < enough => severity,
            Severity::Info => Severity::Warning,
            Severity::Warning | Severity::Critical => Severity::Critical,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_count_once_and_only_with_a_score_above_one() {
        use Family::{Baseline, Change, Forest};
        let agreement = |scores: &[(Family, f64)]| {
            let Agreement { score, families } = Agreement::of(scores);
            (score, families)
        };
        assert_eq!(agreement(&[]), (0.0, 0));
        assert_eq!(agreement(&[(Forest, 0.9), (Baseline, f64::NAN)]), (0.9, 0));
        assert_eq!(agreement(&[(Baseline, 1.5), (Baseline, 2.0), (Change, 1.0)]), (2.0, 1));
        assert_eq!(agreement(&[(Baseline, 1.5), (Forest, 1.1), (Baseline, 2.0), (Change, 7.0)]), (7.0, 3));
    }

    #[test]
    fn agreement_of_enough_families_raises_the_severity_by_one_step() {
        let two = Agreement { score: 2.0, families: 2 };
        let raised = [Severity::Info, Severity::Warning, Severity::Critical].map(|s| two.raise(s, 2));
        assert_eq!(raised, [Severity::Warning, Severity::Critical, Severity::Critical]);
        assert_eq!(two.raise(Severity::Info, 3), Severity::Info);
    }
}
