//! Why a row is an alert: the features that drove it, and the smallest change with which it would have been none.
//!
//! Stands behind [`crate::judging`] and the episodes, and looks at the hits alone that become alerts, if somebody wants to read
//! why. Promises that what it says of a hit depends on its row, on what detectors said of it and on the rule; and that a change
//! that it names was tried: the rule's own expressions were computed again with it.
//!
//! What detectors know is not asked again, but frozen: see [`frozen`]. Where that leaves open what a rule would say, nothing is
//! said.

mod basis;
mod frozen;
mod instead;
mod joint;
mod judged;
mod pair;
mod search;

use event::{Detected, Driver, Explanation, NearestChange, Side};

pub(crate) use basis::Basis;
use frozen::Frozen;
use judged::Judged;
use search::Edge;

use crate::Detection;
use crate::detector::Method;
use crate::inference::AskModels;

/// Drivers that are named at most.
const DRIVERS_MAX: usize = 5;
/// Copies of hits that are looked at together, so that they stay in the cache: not many more.
const COPIES: usize = 1 << 14;
/// How much the worst detector counts beside the condition itself, at most.
const WEIGHT_MAX: f64 = 10.0;

impl Detection {
    /// Whether a model has to be asked to say why the rules hit what they hit that is not on this machine.
    pub fn explains_from_afar(&self, detected: &Detected) -> bool {
        let is_afar = |number: &usize| match &self.scores.detectors[*number].method {
            Method::Model(spec) => !spec.inference.is_local() && !spec.inference.explains_within().is_zero(),
            _ => false,
        };
        let is_of = |hit: &event::Hit| {
            hit.verdict.is_some_and(|it| self.bases[usize::from(it.rule)].detectors.iter().any(is_afar))
        };
        detected.hits.iter().any(|hit| is_alarm(hit) && is_of(hit))
    }

    /// Says why the rules hit what they hit, but for what is over. What is said of a hit stands at its place. Models are asked what
    /// they would have said of other rows. The rows are of that branch.
    pub fn explain(&self, branch: usize, detected: &mut Detected, asks: &mut AskModels<'_>) {
        let mut explanations: Vec<Option<Explanation>> = vec![None; detected.hits.len()];
        for (rank, (rule, basis)) in self.rules.iter().zip(&self.bases).enumerate() {
            let is_of_rule = |hit: &event::Hit| hit.verdict.is_some_and(|it| usize::from(it.rule) == rank);
            let places: Vec<usize> = (0..detected.hits.len())
                .filter(|place| is_of_rule(&detected.hits[*place]) && is_alarm(&detected.hits[*place]))
                .collect();
            let copies = basis.varied(false).len().max(basis.varied(true).len()) * search::COPIES;
            for places in places.chunks((COPIES / copies.max(1)).max(1)) {
                let rows: Vec<u32> = places.iter().map(|place| detected.hits[*place].row).collect();
                let frozen = Frozen::new((self, rule, basis), (branch, detected), &rows, &mut *asks);
                let fires = search::fires(&frozen);
                let edges = search::edges(&frozen, &fires);
                for ((hit, place), edges) in places.iter().enumerate().zip(edges) {
                    explanations[*place] = explanation(&frozen, hit, edges, fires[hit]);
                }
            }
        }
        detected.explanations = explanations;
    }
}

fn is_alarm(hit: &event::Hit) -> bool {
    hit.change.is_none_or(|change| change.kind.is_alarm())
}

/// `edges` are those of features that alone would have changed what the rule says; `fires` says whether anything can be asked.
fn explanation(frozen: &Frozen<'_>, hit: usize, mut edges: Vec<Edge>, fires: bool) -> Option<Explanation> {
    let change = |edge: &Edge| NearestChange {
        feature: frozen.schema().fields()[edge.column].name.clone(),
        whole: search::unit(frozen, edge.column) == Some(1.0),
        value: edge.value,
        to: edge.to,
    };
    let least = edges.iter().min_by(|a, b| a.change().total_cmp(&b.change()));
    let mut nearest = least.map(|edge| vec![change(edge)]);
    if let Some(instead) = instead::nearest(frozen, hit).filter(|_| fires)
        && least.is_none_or(|least| instead.size < least.change())
    {
        nearest = Some(instead.changes);
    }
    if nearest.is_none() && fires {
        nearest = joint::nearest(frozen, hit);
    }
    if nearest.is_none()
        && fires
        && let Some(both) = pair::edges(frozen, hit)
    {
        nearest = Some(both.iter().map(change).collect());
        edges.extend(both);
    }
    let drivers = drivers(frozen, hit, &edges);
    (!drivers.is_empty() || nearest.is_some()).then_some(Explanation { drivers, nearest })
}

/// What drove a hit. A detector counts as much as its score, and its inputs by what they contributed; what the condition asks
/// of features without any detector between counts as much as a score of 1, and each of these features by how near the value lies
/// with which the rule would not hold.
fn drivers(frozen: &Frozen<'_>, hit: usize, edges: &[Edge]) -> Vec<Driver> {
    let mut drivers: Vec<Driver> = Vec::new();
    for judged in frozen.judged.iter().flatten().filter(|judged| frozen.has_part(judged, hit)) {
        of_detector(judged, hit, &mut drivers);
    }
    let plain = || edges.iter().filter(|edge| frozen.basis.plain.contains(&edge.column));
    let all: f64 = plain().map(|edge| 1.0 / edge.change()).sum();
    for edge in plain() {
        let driver = Driver {
            feature: frozen.schema().fields()[edge.column].name.clone(),
            whole: search::unit(frozen, edge.column) == Some(1.0),
            value: edge.value,
            expected: Some(edge.to),
            direction: Some(side(edge.value < edge.to)),
            share: 1.0 / edge.change() / all,
        };
        add(driver, &mut drivers);
    }
    drivers.sort_by(|a, b| b.share.total_cmp(&a.share));
    drivers.truncate(DRIVERS_MAX);
    let all: f64 = drivers.iter().map(|driver| driver.share).sum();
    for driver in &mut drivers {
        driver.share = (driver.share / all * 1e4).round() / 1e4;
    }
    drivers.retain(|driver| driver.share > 0.0);
    drivers
}

/// Adds what a detector looked at.
fn of_detector(judged: &Judged, hit: usize, drivers: &mut Vec<Driver>) {
    // A rank says how many are worse, and where a rule asks for the score of a forest itself there may be no anomaly.
    let is_beyond = judged.raw.get(hit).is_some_and(|raw| judged.detector.is_beyond(*raw));
    let score = match judged.scores[hit] {
        score if judged.detector.ranks() && !score.is_nan() => 1.0,
        score if is_beyond && score <= 1.0 => 1.0,
        score => score,
    };
    let contributed = |input: usize| f64::from(judged.shares[input][hit]).max(0.0);
    let inputs = 0..judged.detector.inputs.len();
    let all: f64 = inputs.clone().map(contributed).sum();
    // Neither is there where nothing is known.
    if !(score > 0.0 && all > 0.0 && all.is_finite()) {
        return;
    }
    for input in inputs.filter(|input| contributed(*input) > 0.0) {
        let (value, expected) = (judged.values[input][hit], judged.expected[input][hit]);
        let statistic = judged.statistics[input][hit];
        let direction = (!statistic.is_nan() && statistic != 0.0).then(|| side(statistic < 0.0));
        let driver = Driver {
            feature: judged.detector.names[input].trim_matches('"').to_owned(),
            whole: judged.detector.inputs[input].data_type() == event::DataType::Bigint,
            value,
            expected: (!expected.is_nan()).then(|| shortest(expected)),
            direction,
            share: score.min(WEIGHT_MAX) * contributed(input) / all,
        };
        add(driver, drivers);
    }
}

/// Adds a driver, to the one of that name if there is one.
fn add(driver: Driver, drivers: &mut Vec<Driver>) {
    match drivers.iter_mut().find(|known| known.feature == driver.feature) {
        Some(known) => {
            let share = known.share + driver.share;
            if driver.share > known.share {
                *known = driver;
            }
            known.share = share;
        }
        None => drivers.push(driver),
    }
}

fn side(is_low: bool) -> Side {
    if is_low { Side::Low } else { Side::High }
}

/// The double that reads like a number of single precision.
fn shortest(number: f32) -> f64 {
    number.to_string().parse().unwrap_or_else(|_| number.into())
}
