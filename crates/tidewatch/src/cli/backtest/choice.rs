//! Which of the settings that were tried is the best one.

use serde_json::{Value, json};

use super::sweep::Setting;
use crate::backtest::Measures;

/// A setting, and what came of it. The first that is tried is the job as it is, without any.
pub(super) struct Tried {
    pub(super) set: Setting,
    pub(super) total: Measures,
}

/// The best of what was tried.
pub(super) struct Chosen {
    /// Which it is.
    pub(super) number: Option<usize>,
    /// The precision that it had to have; without one the largest F1 was sought.
    pub(super) precision_min: Option<f64>,
}

impl Chosen {
    /// The one with the best recall of those that have the precision, and then with the best precision; without one the
    /// one with the largest F1. The first of equals.
    pub(super) fn of(tried: &[Tried], precision_min: Option<f64>) -> Self {
        let worth = |total: &Measures| match precision_min {
            Some(min) => {
                let precision = total.precision.filter(|precision| *precision >= min)?;
                Some((total.recall?, precision))
            }
            None => Some((total.f1?, total.precision?)),
        };
        let mut best: Option<(usize, (f64, f64))> = None;
        for (number, tried) in tried.iter().enumerate() {
            if let Some(worth) = worth(&tried.total)
                && best.is_none_or(|(_, other)| worth > other)
            {
                best = Some((number, worth));
            }
        }
        Chosen { number: best.map(|(number, _)| number), precision_min }
    }

    /// What it is the best in, in words.
    pub(super) fn why(&self) -> String {
        match self.precision_min {
            Some(min) => format!("best recall with a precision of {min}"),
            None => "best F1".to_owned(),
        }
    }
}

impl Tried {
    /// As `--format json` has it.
    pub(super) fn to_json(&self) -> Value {
        let set: serde_json::Map<String, Value> =
            self.set.iter().map(|(path, value)| (path.clone(), json!(value))).collect();
        json!({ "set": set, "total": self.total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::Delay;

    fn tried(precision: Option<f64>, recall: Option<f64>) -> Tried {
        let f1 = precision.zip(recall).map(|(p, r)| 2.0 * p * r / (p + r));
        let total = Measures {
            precision,
            recall,
            f1,
            alerts_per_incident: None,
            alerts_per_1000_key_hours: None,
            false_alerts_per_1000_key_hours: None,
            delay_s: Delay::default(),
            incidents: 0,
            found: 0,
            episodes: 0,
            alerts: 0,
        };
        Tried { set: Vec::new(), total }
    }

    #[test]
    fn the_best_recall_with_the_precision_is_chosen_and_without_one_the_best_f1() {
        let all = [
            tried(Some(0.4), Some(0.9)),
            tried(Some(0.9), Some(0.6)),
            tried(Some(0.95), Some(0.6)),
            tried(Some(1.0), Some(0.2)),
            tried(None, Some(0.0)),
        ];
        let chosen = |precision_min| Chosen::of(&all, precision_min).number;
        assert_eq!(chosen(Some(0.9)), Some(2), "of equal recall the better precision");
        assert_eq!(chosen(Some(0.3)), Some(0));
        assert_eq!(chosen(Some(0.97)), Some(3));
        assert_eq!(chosen(None), Some(2));
        assert_eq!(Chosen::of(&all[..3], Some(0.97)).number, None);
        assert_eq!(Chosen::of(&all[4..], None).number, None, "without an episode there is no precision");
    }
}
