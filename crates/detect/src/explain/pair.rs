//! The nearest values of two features with which a rule would not hold, where neither alone would do: as with two conditions
//! either of which is enough, if both hold.
//!
//! Looked for over pairs of distances that grow fourfold; then the one is brought as near as it can be while the other stays, and
//! the other as near as it can be beside that.

use super::frozen::{Answer, Frozen, Probes};
use super::search::{Edge, Ray, along, rays};

/// Features among which pairs are looked for, at most: else there would be too many.
const FEATURES_MAX: usize = 6;

/// Two features of a hit that together would have changed what the rule says.
pub(super) fn edges(frozen: &Frozen<'_>, hit: usize) -> Option<[Edge; 2]> {
    if frozen.features(hit).len() > FEATURES_MAX {
        return None;
    }
    let rays = rays(frozen, hit);
    let distances: Vec<Vec<f64>> = rays.iter().map(Ray::few_distances).collect();
    let (mut probes, mut tried) = (Probes::default(), Vec::new());
    for (a, first) in rays.iter().enumerate() {
        let others = rays.iter().enumerate().skip(a + 1);
        for (b, second) in others.filter(|(_, second)| second.column != first.column) {
            for from_a in &distances[a] {
                for from_b in &distances[b] {
                    let changes = [(first.column, first.at(*from_a)), (second.column, second.at(*from_b))];
                    probes.push(hit, changes);
                    tried.push((a, b, *from_a, *from_b));
                }
            }
        }
    }
    if tried.is_empty() {
        return None;
    }
    let spared = tried.into_iter().zip(frozen.ask(&probes)).filter(|(_, answer)| *answer == Answer::Spares);
    let size = |(a, b, from_a, from_b): &(usize, usize, f64, f64)| {
        rays[*a].edge(*from_a).change() + rays[*b].edge(*from_b).change()
    };
    let (nearest, _) = spared.min_by(|(one, _), (other, _)| size(one).total_cmp(&size(other)))?;
    let (a, b, _, from_b) = nearest;
    let also = (rays[b].column, rays[b].at(from_b));
    let first = along(frozen, rays[a].beside(also))?;
    let second = along(frozen, rays[b].beside((first.column, first.to)))?;
    Some([first, second])
}
