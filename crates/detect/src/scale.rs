//! One scale for all detectors: a calibrated score above 1 is an anomaly, whatever found it.
//!
//! Detectors whose statistic has a limit of its own (z, CUSUM) divide by that. Scores without one, those of a
//! forest or a model, go through [`Calibration`], whose threshold follows what scores usually are.

use serde::{Deserialize, Serialize};

use crate::DetectError;

/// Standard deviations above the mean score at which its tail is taken to begin.
const TAIL: f64 = 1.5;

/// How a threshold follows scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CalibrationSpec {
    /// Share of usual scores that may lie above the threshold: false alarms per row. Default: 0.001. Range: above 0,
    /// below 1.
    pub rate: f64,
    /// The threshold is never lower, in the unit of the score. Default: 0.
    pub floor: f64,
    /// Scores after which one counts 1/e of the newest. Default: 5000. Range: 1 or more.
    pub decay: f64,
    /// Scores before the first that can be an anomaly. Default: 200.
    pub warmup: u64,
}

impl Default for CalibrationSpec {
    fn default() -> Self {
        CalibrationSpec { rate: 0.001, floor: 0.0, decay: 5000.0, warmup: 200 }
    }
}

/// A threshold that follows scores: the one that a given share of them would exceed.
///
/// The tail of the scores, what lies more than 1.5 standard deviations above the mean, is taken to fall off
/// exponentially; how much lies there and how far on average give the threshold. A score above it counts as the
/// threshold, so that anomalies raise it slowly.
///
/// Source: Siffer et al. (2017), Anomaly detection in streams with extreme value theory, with the shape fixed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    spec: CalibrationSpec,
    scores: u64,
    mean: f64,
    variance: f64,
    /// Share of scores in the tail.
    tail: f64,
    /// Mean of how far scores lie in the tail, over all scores: 0 for one that does not.
    excess: f64,
}

impl Calibration {
    /// A calibration that has seen no score.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn new(spec: CalibrationSpec) -> Result<Self, DetectError> {
        let settings = [
            ("rate", spec.rate, spec.rate > 0.0 && spec.rate < 1.0, "above 0 and below 1"),
            ("floor", spec.floor, spec.floor >= 0.0, "0 or more"),
            ("decay", spec.decay, spec.decay >= 1.0, "1 or more"),
        ];
        for (setting, found, fits, wanted) in settings {
            if !fits {
                return Err(DetectError::Setting { setting, found, wanted });
            }
        }
        Ok(Calibration { spec, scores: 0, mean: 0.0, variance: 0.0, tail: 0.0, excess: 0.0 })
    }

    /// The score at which an anomaly begins: infinity during warm-up.
    pub fn threshold(&self) -> f64 {
        if self.scores < self.spec.warmup {
            return f64::INFINITY;
        }
        let beyond = match self.tail > self.spec.rate {
            true => self.excess / self.tail * libm::log(self.tail / self.spec.rate),
            false => 0.0,
        };
        (self.tail_start() + beyond).max(self.spec.floor)
    }

    /// A score on the common scale: its share of the threshold. 0 during warm-up.
    pub fn calibrate(&self, score: f64) -> f64 {
        if score > 0.0 { score / self.threshold() } else { 0.0 }
    }

    /// Takes in a score. One that is no finite number is passed over.
    pub fn learn(&mut self, score: f64) {
        if !score.is_finite() {
            return;
        }
        let score = score.min(self.threshold());
        if self.scores == 0 {
            self.mean = score;
        }
        self.scores += 1;
        let share = (1.0 / self.scores as f64).max(1.0 / self.spec.decay);
        let excess = (score - self.tail_start()).max(0.0);
        self.excess += share * (excess - self.excess);
        self.tail += share * (f64::from(u8::from(excess > 0.0)) - self.tail);
        let off = score - self.mean;
        self.mean += share * off;
        self.variance = (1.0 - share) * (self.variance + share * off * off);
    }

    fn tail_start(&self) -> f64 {
        self.mean + TAIL * self.variance.sqrt()
    }
}

/// How far above 1 a calibrated score is, from 0 for no anomaly towards 1.
pub fn grade(calibrated: f64) -> f64 {
    if calibrated > 1.0 { 1.0 - 1.0 / calibrated } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Share of the last half of the scores that a calibration calls anomalies.
    fn alarms(score: impl Fn(&mut Random) -> f64, spec: CalibrationSpec) -> f64 {
        const SCORES: usize = 200_000;
        let (mut calibration, mut random) =
            (Calibration::new(spec).expect("a calibration"), Random::new(1, 2));
        let mut alarms = 0;
        for number in 0..SCORES {
            let score = score(&mut random);
            alarms += usize::from(number >= SCORES / 2 && calibration.calibrate(score) > 1.0);
            calibration.learn(score);
        }
        alarms as f64 / (SCORES / 2) as f64
    }

    fn normal(random: &mut Random) -> f64 {
        (0..12).map(|_| random.unit()).sum::<f64>() - 6.0
    }

    #[test]
    fn about_the_given_share_of_usual_scores_lies_above_the_threshold() {
        for rate in [0.01, 0.001] {
            let spec = CalibrationSpec { rate, ..CalibrationSpec::default() };
            let exponential = alarms(|random| -random.unit().ln(), spec);
            assert!((0.4 * rate..2.0 * rate).contains(&exponential), "{exponential} for {rate}");
            // That of a normal distribution falls off faster, which shows the further out the threshold lies.
            let gauss = alarms(|random| 3.0 + normal(random), spec);
            assert!((0.1 * rate..1.6 * rate).contains(&gauss), "{gauss} for {rate}");
        }
    }

    #[test]
    fn the_unit_of_the_score_does_not_matter_and_a_constant_never_alarms() {
        let small = alarms(|random| 1e-6 * random.unit().powi(4), CalibrationSpec::default());
        let large = alarms(|random| 1e6 * random.unit().powi(4), CalibrationSpec::default());
        assert!((small - large).abs() < 1e-3, "{small} {large}");
        assert_eq!(alarms(|_| 0.5, CalibrationSpec::default()), 0.0);
    }

    #[test]
    fn nothing_is_an_anomaly_during_warm_up_or_below_the_floor() {
        let spec = CalibrationSpec { floor: 2.0, warmup: 3, ..CalibrationSpec::default() };
        let mut calibration = Calibration::new(spec).expect("a calibration");
        let judged: Vec<f64> = [1.0, 1.0, 9.0, 1.9, 3.0]
            .iter()
            .map(|score| {
                let calibrated = calibration.calibrate(*score);
                calibration.learn(if *score == 9.0 { f64::NAN } else { 1.0 });
                calibrated
            })
            .collect();
        assert_eq!(judged, [0.0, 0.0, 0.0, 0.0, 1.5]);
    }

    #[test]
    fn an_anomaly_that_stays_is_taken_for_usual_only_slowly() {
        let mut calibration = Calibration::new(CalibrationSpec::default()).expect("a calibration");
        let mut random = Random::new(5, 5);
        (0..5000).for_each(|_| calibration.learn(random.unit()));
        let rows = (0..).take_while(|_| {
            let odd = calibration.calibrate(4.0) > 1.0;
            calibration.learn(4.0);
            odd
        });
        let rows = rows.take(100_000).count();
        assert!((20..20_000).contains(&rows), "{rows}");
    }

    #[test]
    fn one_score_hardly_moves_the_threshold_however_great_it_is() {
        let mut calibration = Calibration::new(CalibrationSpec::default()).expect("a calibration");
        let mut random = Random::new(6, 5);
        (0..2000).for_each(|_| calibration.learn(random.unit()));
        let before = calibration.threshold();
        calibration.learn(1e9);
        assert!(
            (calibration.threshold() / before - 1.0).abs() < 0.01,
            "{before} {}",
            calibration.threshold()
        );
    }

    #[test]
    fn the_grade_is_zero_up_to_one_and_grows_with_the_score() {
        assert_eq!([0.0, 1.0, 2.0, 4.0].map(grade), [0.0, 0.0, 0.5, 0.75]);
    }
}
