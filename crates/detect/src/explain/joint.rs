//! The smallest change of several features at once, where no single one would have changed what a rule says.
//!
//! A detector that looks at each input by itself says how bad the worst one is. If several are bad all of them have to come back:
//! each to where it is only so bad, and those that are not as bad as that stay as they are.

use event::NearestChange;

use super::frozen::{Answer, Frozen, Probes};
use super::search::{outwards, unit};
use crate::unit::whole;

/// Levels that are tried at a time.
const LEVELS: u32 = 16;
/// How often the step between two of them is looked into.
const REFINED: usize = 2;

/// A feature that a detector looks at, in a hit.
#[derive(Debug, Clone, Copy)]
struct Input {
    column: usize,
    value: f64,
    expected: f64,
    /// How bad it is: what it deviates is in proportion to that.
    score: f64,
    unit: Option<f64>,
}

impl Input {
    /// Where it is only as bad as that.
    fn at(&self, level: f64) -> f64 {
        let to = self.expected + (self.value - self.expected) * (level / self.score);
        // Whole steps towards what was expected.
        outwards(whole(to, self.value <= self.expected, self.unit), self.value, self.unit)
    }
}

/// The changes that together would have kept the rule from hitting a hit; `None` where that is not known.
pub(super) fn nearest(frozen: &Frozen<'_>, hit: usize) -> Option<Vec<NearestChange>> {
    let inputs = inputs(frozen, hit);
    // What deviates without end comes back to what was expected at any level.
    let finite = inputs.iter().map(|input| input.score).filter(|score| score.is_finite());
    let worst = finite.reduce(f64::max).unwrap_or(if inputs.is_empty() { 0.0 } else { 1.0 });
    // The rule holds with the higher level, and does not with the lower one.
    let (mut higher, mut lower) = (worst, None);
    for _ in 0..=REFINED {
        let step = (higher - lower.unwrap_or(0.0)) / f64::from(LEVELS);
        if step <= 0.0 {
            return None;
        }
        let levels: Vec<f64> = (1..=LEVELS).map(|n| higher - step * f64::from(n)).collect();
        let mut probes = Probes::default();
        levels.iter().for_each(|level| probes.push(hit, changes(&inputs, *level)));
        let answers = frozen.ask(&probes);
        for (level, answer) in levels.into_iter().zip(answers) {
            match answer {
                Answer::Fires => higher = level,
                Answer::Spares => {
                    lower = Some(level);
                    break;
                }
                Answer::Unknown => return None,
            }
        }
        lower?;
    }
    let named = |(column, to)| {
        let input = inputs.iter().find(|input| input.column == column)?;
        let feature = frozen.schema().fields()[column].name.clone();
        Some(NearestChange { feature, whole: input.unit == Some(1.0), value: input.value, to })
    };
    changes(&inputs, lower?).into_iter().map(named).collect()
}

/// The features that detectors whose scores follow from the value look at, and that the rule is asked about.
fn inputs(frozen: &Frozen<'_>, hit: usize) -> Vec<Input> {
    let mut inputs = Vec::new();
    for judged in frozen.judged.iter().flatten() {
        for (input, expression) in judged.detector.inputs.iter().enumerate() {
            let [column] = expression.columns()[..] else { continue };
            let is_plain =
                judged.detector.names[input].trim_matches('"') == frozen.schema().fields()[column].name;
            let (value, expected) = (judged.values[input][hit], judged.expected[input][hit].into());
            if let Some(score) = judged.score(input, hit).filter(|score| *score > 0.0)
                && value.is_finite()
                && is_plain
                && frozen.features(hit).contains(&column)
            {
                inputs.push(Input { column, value, expected, score, unit: unit(frozen, column) });
            }
        }
    }
    inputs
}

/// What the inputs that are worse than a level come back to; of two values of a feature the one that is farther off.
fn changes(inputs: &[Input], level: f64) -> Vec<(usize, f64)> {
    let mut changes: Vec<(usize, f64)> = Vec::new();
    for input in inputs.iter().filter(|input| input.score > level) {
        let to = input.at(level);
        match changes.iter_mut().find(|(column, _)| *column == input.column) {
            Some((_, known)) if (*known - input.value).abs() < (to - input.value).abs() => *known = to,
            Some(_) => {}
            None => changes.push((input.column, to)),
        }
    }
    changes
}
