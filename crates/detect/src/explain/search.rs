//! The nearest value of a feature with which a rule would not hold.
//!
//! Looked for on both sides of the value, at distances that double, and then between the last with which the rule holds and the
//! first with which it does not; also where the value is what a detector expected. Else a value does not cross zero, and from zero
//! it goes up: what is counted or summed up mostly cannot be less than nothing. Found to within a hundredth of the change; nearer
//! ones between which the rule holds again are passed over.

use super::frozen::{Answer, Frozen, Probes};
use crate::unit::unit_of;

/// The nearest distance that is tried, as a share of the value.
const NEAREST: f64 = 1.0 / 1024.0;
/// How many times it is doubled: up to 8192 times the value.
const DOUBLED: u32 = 23;
/// Copies of a hit that it takes at most for each feature.
pub(super) const COPIES: usize = 2 * (DOUBLED as usize + 2);
/// Distances that are tried between two others.
const BETWEEN: u32 = 12;
/// How often.
const REFINED: usize = 3;
/// The share of a change by which it may be rounded up, to be read more easily.
const ROUNDED: f64 = 0.005;

/// A feature of a hit, another value with which the rule would not hold, and how far off that is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Edge {
    pub(super) column: usize,
    pub(super) value: f64,
    pub(super) to: f64,
}

impl Edge {
    /// How large the change is beside the value; from zero, beside 1.
    pub(super) fn change(&self) -> f64 {
        (self.to - self.value).abs() / scale(self.value)
    }
}

/// A feature of a hit that is changed to one side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ray {
    hit: usize,
    pub(super) column: usize,
    value: f64,
    /// 1 upwards, -1 downwards.
    sign: f64,
    /// Values are multiples of this, if of anything.
    unit: Option<f64>,
    /// Distances: of the last value with which the rule holds, and of the first with which it does not.
    near: f64,
    far: Option<f64>,
    /// Another feature that is otherwise too, and its value.
    also: Option<(usize, f64)>,
    /// The distance at which the value is what a detector expected. Around it there may be little room.
    expected: Option<f64>,
}

impl Ray {
    pub(super) fn at(&self, distance: f64) -> f64 {
        self.value + self.sign * distance
    }

    pub(super) fn edge(&self, distance: f64) -> Edge {
        Edge { column: self.column, value: self.value, to: self.at(distance) }
    }

    /// The same, while another feature is otherwise too.
    pub(super) fn beside(&self, also: (usize, f64)) -> Ray {
        Ray { also: Some(also), ..*self }
    }

    /// What is otherwise at a distance.
    fn changes(&self, to: f64) -> impl Iterator<Item = (usize, f64)> + use<> {
        [(self.column, to)].into_iter().chain(self.also)
    }

    /// Some of the first distances to try, the last among them.
    pub(super) fn few_distances(&self) -> Vec<f64> {
        let mut all = self.distances();
        let last = all.pop();
        let expected = self.expected.map(|distance| self.whole(distance));
        let mut few: Vec<f64> = all.into_iter().step_by(2).chain(last).chain(expected).collect();
        few.sort_by(f64::total_cmp);
        few.dedup();
        few
    }

    /// A distance that there can be.
    fn whole(&self, distance: f64) -> f64 {
        self.unit.map_or(distance, |unit| ((distance / unit).round() * unit).max(unit))
    }

    /// The first distances to try, ascending.
    fn distances(&self) -> Vec<f64> {
        let scale = scale(self.value);
        let to_zero = (self.value > 0.0 && self.sign < 0.0) || (self.value < 0.0 && self.sign > 0.0);
        let mut distances: Vec<f64> = Vec::new();
        let mut distance = scale * NEAREST;
        for _ in 0..=DOUBLED {
            let next = self.whole(distance);
            if to_zero && next >= scale {
                break;
            }
            distances.push(next);
            distance *= 2.0;
        }
        if to_zero {
            distances.push(scale);
        }
        if let Some(expected) = self.expected {
            distances.push(self.whole(expected));
            distances.sort_by(f64::total_cmp);
        }
        distances.dedup();
        distances
    }

    /// Distances between the two that are known.
    fn between(&self) -> Vec<f64> {
        let Some(far) = self.far else { return Vec::new() };
        let step = (far - self.near) / f64::from(BETWEEN + 1);
        let mut distances: Vec<f64> =
            (1..=BETWEEN).map(|n| self.whole(self.near + step * f64::from(n))).collect();
        distances.retain(|distance| *distance > self.near && *distance < far);
        distances.dedup();
        distances
    }
}

/// For each hit, by whether the rule says again what it said, the features that alone would have changed that, each with the
/// nearer of its two sides.
pub(super) fn edges(frozen: &Frozen<'_>, fires: &[bool]) -> Vec<Vec<Edge>> {
    let fired = (0..frozen.hits).filter(|hit| fires[*hit]);
    let mut rays: Vec<Ray> = fired.flat_map(|hit| rays(frozen, hit)).collect();
    narrow(frozen, &mut rays, Ray::distances);
    let mut found: Vec<Ray> = Vec::new();
    for ray in rays.into_iter().filter(|ray| ray.far.is_some()) {
        match found.last_mut() {
            // Both sides of a feature follow one another, the upper one first.
            Some(last) if last.hit == ray.hit && last.column == ray.column => {
                if ray.far < last.far {
                    *last = ray;
                }
            }
            _ => found.push(ray),
        }
    }
    let mut edges = vec![Vec::new(); frozen.hits];
    for (hit, edge) in refined(frozen, found) {
        edges[hit].push(edge);
    }
    edges
}

/// Where the answer changes along a ray.
pub(super) fn along(frozen: &Frozen<'_>, ray: Ray) -> Option<Edge> {
    let mut rays = vec![ray];
    narrow(frozen, &mut rays, Ray::distances);
    rays.retain(|ray| ray.far.is_some());
    refined(frozen, rays).pop().map(|(_, edge)| edge)
}

/// The edges of rays that have one, more exactly than it is known by now, with their hits.
fn refined(frozen: &Frozen<'_>, mut rays: Vec<Ray>) -> Vec<(usize, Edge)> {
    for _ in 0..REFINED {
        narrow(frozen, &mut rays, Ray::between);
    }
    let to = rounded(frozen, &rays);
    let edge = |(ray, to): (&Ray, f64)| (ray.hit, Edge { column: ray.column, value: ray.value, to });
    rays.iter().zip(to).map(edge).collect()
}

/// Whether the rule says of each hit again what it said.
pub(super) fn fires(frozen: &Frozen<'_>) -> Vec<bool> {
    let mut probes = Probes::default();
    (0..frozen.hits).for_each(|hit| probes.push(hit, []));
    frozen.ask(&probes).into_iter().map(|answer| answer == Answer::Fires).collect()
}

/// Both sides of all features of a hit.
pub(super) fn rays(frozen: &Frozen<'_>, hit: usize) -> Vec<Ray> {
    let mut rays = Vec::new();
    for column in frozen.features(hit).iter().copied() {
        let value = frozen.number(column, hit);
        if !is_usual(value) {
            continue;
        }
        let unit = unit(frozen, column);
        let expected = frozen.expected(column, hit);
        let ray = |sign: f64| {
            let off = expected.map(|expected| sign * (expected - value)).filter(|off| *off > 0.0);
            Ray { hit, column, value, sign, unit, near: 0.0, far: None, also: None, expected: off }
        };
        rays.push(ray(1.0));
        if value != 0.0 {
            rays.push(ray(-1.0));
        }
    }
    rays
}

/// What a change of a value is measured by.
pub(super) fn scale(value: f64) -> f64 {
    if value == 0.0 { 1.0 } else { value.abs() }
}

/// A number that arithmetic is exact enough for.
fn is_usual(value: f64) -> bool {
    value == 0.0 || (1e-12..1e12).contains(&value.abs())
}

/// What the values of a column are multiples of, if of anything.
pub(super) fn unit(frozen: &Frozen<'_>, column: usize) -> Option<f64> {
    unit_of(frozen.schema().fields()[column].data_type)
}

/// Asks about some distances of each ray, and takes the nearest pair between which the answer changes.
fn narrow(frozen: &Frozen<'_>, rays: &mut [Ray], distances: impl Fn(&Ray) -> Vec<f64>) {
    let mut probes = Probes::default();
    let tried: Vec<Vec<f64>> = rays.iter().map(&distances).collect();
    for (ray, tried) in rays.iter().zip(&tried) {
        tried.iter().for_each(|distance| probes.push(ray.hit, ray.changes(ray.at(*distance))));
    }
    if probes.hits.is_empty() {
        return;
    }
    let mut answers = frozen.ask(&probes).into_iter();
    for (ray, tried) in rays.iter_mut().zip(tried) {
        let mut is_open = true;
        for (distance, answer) in tried.into_iter().zip(answers.by_ref()) {
            match answer {
                Answer::Fires if is_open => ray.near = distance,
                Answer::Spares if is_open => {
                    ray.far = Some(distance);
                    is_open = false;
                }
                // Behind what cannot be told nothing is near.
                _ => is_open = false,
            }
        }
    }
}

/// What each ray comes to, a little farther where that is easier to read.
fn rounded(frozen: &Frozen<'_>, rays: &[Ray]) -> Vec<f64> {
    let mut probes = Probes::default();
    let exact = |ray: &Ray| ray.at(ray.far.unwrap_or_default());
    let to: Vec<f64> = rays.iter().map(|ray| outwards(exact(ray), ray.value, ray.unit)).collect();
    rays.iter().zip(&to).for_each(|(ray, to)| probes.push(ray.hit, ray.changes(*to)));
    if probes.hits.is_empty() {
        return Vec::new();
    }
    let answers = frozen.ask(&probes);
    let chosen = |((ray, to), answer): ((&Ray, f64), Answer)| match answer {
        Answer::Spares => to,
        _ => exact(ray),
    };
    rays.iter().zip(to).zip(answers).map(chosen).collect()
}

/// A number with fewer digits, up to a hundredth of the way from `from` to it farther off.
pub(super) fn outwards(to: f64, from: f64, unit: Option<f64>) -> f64 {
    let room = ROUNDED * (to - from).abs();
    let digits = libm::floor(libm::log10(room)) as i32;
    if unit.is_some_and(|unit| room < unit) || !(-12..=12).contains(&digits) {
        return to;
    }
    let up = to > from;
    let whole = |number: f64| if up { number.ceil() } else { number.floor() };
    // Of the two ways to write a power of ten the one that is exact.
    match digits < 0 {
        true => whole(to * 10_f64.powi(-digits)) / 10_f64.powi(-digits),
        false => whole(to / 10_f64.powi(digits)) * 10_f64.powi(digits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_rounded_away_from_where_it_was_by_less_than_a_hundredth_of_the_way() {
        for (to, from, rounded) in [
            (100.0237, 148.0, 100.0),
            (0.29876, 0.2, 0.2988),
            (-3.24159, 0.0, -3.25),
            (123_456.0, 200_000.0, 123_400.0),
            (0.0, 17.0, 0.0),
        ] {
            assert_eq!(outwards(to, from, None), rounded, "{to} from {from}");
        }
        assert_eq!(outwards(97.0, 148.0, Some(1.0)), 97.0, "a whole number is as it is");
        assert_eq!(outwards(9_701.0, 14_800.0, Some(1.0)), 9_700.0);
    }
}
