//! The change that a detector has worked out itself which cannot be asked again: a row that it would not have taken for an anomaly.
//!
//! Of those inputs that are features; if others would have to change too, nothing is said.

use event::NearestChange;

use super::frozen::{Answer, Frozen, Probes};
use super::judged::Judged;
use super::search::{scale, unit};

/// A change of features that together would have kept the rule from hitting a hit.
pub(super) struct Instead {
    pub(super) changes: Vec<NearestChange>,
    /// How large they are, beside the values.
    pub(super) size: f64,
}

/// The smallest such change that the detectors know of which the rule asks.
pub(super) fn nearest(frozen: &Frozen<'_>, hit: usize) -> Option<Instead> {
    let found = frozen.judged.iter().flatten().filter_map(|judged| of_detector(frozen, judged, hit));
    found.min_by(|a, b| a.size.total_cmp(&b.size))
}

fn of_detector(frozen: &Frozen<'_>, judged: &Judged, hit: usize) -> Option<Instead> {
    let (to, _) = judged.instead(hit)?;
    let features = frozen.schema().fields();
    let (mut changes, mut tried, mut size) = (Vec::new(), Vec::new(), 0.0);
    for (input, to) in to.into_iter().enumerate() {
        let Some(to) = to else { continue };
        let [column] = judged.detector.inputs[input].columns()[..] else { return None };
        let feature = &features[column].name;
        if judged.detector.names[input].trim_matches('"') != feature || !frozen.is_feature(column) {
            return None;
        }
        let value = judged.values[input][hit];
        size += (to - value).abs() / scale(value);
        tried.push((column, to));
        changes.push(NearestChange {
            feature: feature.clone(),
            whole: unit(frozen, column) == Some(1.0),
            value,
            to,
        });
    }
    let mut probes = Probes::default();
    probes.push(hit, tried);
    (frozen.ask(&probes) == [Answer::Spares]).then_some(Instead { changes, size })
}
