//! What is known of all keys together: models that every worker has a replica of, and what workers tell one another.
//!
//! Rows of a window end are judged by what a model was before it; then it learns what all workers have said of that window end
//! ([`Share`]), in an order that does not depend on who said it. So every replica is the same, and so is every answer.

use std::sync::Arc;

use event::Spans;
use serde::{Deserialize, Serialize};

use crate::DetectError;
use crate::baseline::{Deviations, counted};
use crate::cohort::replica::{Needed, Replica};
use crate::cohort::{Answer, Group, Latches, Members};
use crate::detector::{
    Detector, Detectors, Evidence, Instead, Method, all_near, in_words, known_threshold, shapes,
};
use crate::forest::{Attribution, Candidate, SharedForest, by_share, recourse};
use crate::judging::Chunk;
use crate::unit::times;

/// What a worker tells all others of its rows of one window end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Ordinal of the detector.
    pub detector: u16,
    /// When the rows are due.
    pub due: i64,
    told: Told,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Told {
    /// Rows that a forest may learn.
    Candidates(Vec<Candidate>),
}

/// What is to be known elsewhere of rows that are judged.
#[derive(Debug, Default)]
pub struct Said {
    /// For all workers, as it is.
    pub shares: Vec<Share>,
    /// To be counted with what other workers say.
    pub members: Vec<Members>,
}

/// The replicas of a worker.
#[derive(Debug, Clone)]
pub struct Models {
    /// By ordinal of the detector; `None` where it asks for its key alone.
    models: Vec<Option<Model>>,
    /// The shapes of these, by which they are found again.
    shapes: Vec<String>,
    /// Whether no snapshot says what they are by now.
    changed: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Model {
    Forest(Box<SharedForest>),
    Cohorts(Replica),
}

/// Models as a checkpoint has them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SavedModels(Vec<(String, Model)>);

impl Models {
    /// Of these detectors: nothing is learned yet.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub(crate) fn new(detectors: &Arc<[Detector]>) -> Result<Self, DetectError> {
        let models = detectors.iter().map(Model::of).collect::<Result<_, _>>()?;
        let shapes = shapes(detectors, |detector| format!("{} {:?}", detector.shape(), detector.method));
        Ok(Models { models, shapes, changed: false })
    }

    /// Learns what all workers have told of one window end, in any order.
    pub fn learn(&mut self, shares: Vec<Share>) {
        for (number, model) in self.models.iter_mut().enumerate() {
            let Some(model) = model else { continue };
            let told = shares.iter().filter(|share| usize::from(share.detector) == number);
            model.learn(told.map(|share| &share.told));
            self.changed = true;
        }
    }

    /// Takes in what has changed of a cohort: what is no answer any more, or a new one. Of one window end what is no answer any more
    /// comes first.
    pub(crate) fn answer(&mut self, detector: &Detector, group: Group, answer: Answer, is_new: bool) {
        let model = self.models.get_mut(usize::from(group.detector));
        if let (Some(Some(Model::Cohorts(replica))), Some(needed)) = (model, needed(&detector.method)) {
            replica.learn(group, answer, is_new, needed);
            self.changed = true;
        }
    }

    /// All rows that are due before `before` were judged.
    pub(crate) fn advance(&mut self, detectors: &[Detector], before: i64) {
        for (model, detector) in self.models.iter_mut().zip(detectors) {
            if let (Some(Model::Cohorts(replica)), Some(needed)) = (model, needed(&detector.method)) {
                self.changed |= replica.advance(before, needed);
            }
        }
    }

    /// Judges the rows of a detector, of which the chunk says what is known of their own keys.
    pub(crate) fn judge(
        &self,
        detector: &Detector,
        number: usize,
        chunk: &mut Chunk,
        latches: Option<Latches<'_>>,
    ) {
        let rows = chunk.records.len();
        let (evidence, beside) = (&mut chunk.evidence[number], &chunk.beside[number]);
        let unit = || detector.units().first().copied().flatten();
        match (self.models.get(number), &detector.method) {
            (Some(Some(Model::Forest(forest))), _) => judge_by_forest(detector, forest, evidence, rows),
            // Of keys of which nothing is known it is not known what they are beside either.
            (Some(Some(Model::Cohorts(_))), _) if beside.values.len() < rows => {}
            (Some(Some(Model::Cohorts(replica))), Method::Cohort { spec, .. }) => {
                let spec = (spec, &detector.near, unit());
                replica.percentiles(spec, beside, &chunk.spans, evidence, latches);
            }
            (Some(Some(Model::Cohorts(replica))), Method::Top { spec, .. }) => {
                replica.ranks((spec, unit()), beside, (&chunk.keys, &chunk.spans), evidence);
            }
            _ => {}
        }
    }

    /// What a snapshot is to hold, if no earlier one holds it.
    pub fn save(&mut self) -> Option<SavedModels> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let models = self.shapes.iter().zip(&self.models);
        Some(SavedModels(models.filter_map(|(shape, model)| Some((shape.clone(), model.clone()?))).collect()))
    }

    /// The next snapshot is to hold all.
    pub fn save_again(&mut self) {
        self.changed = true;
    }

    /// Takes in what a snapshot says. A model of other settings than before starts anew.
    pub fn restore(&mut self, saved: SavedModels) {
        for (shape, saved) in saved.0 {
            let known = self.shapes.iter().position(|known| *known == shape);
            if let Some(Some(model)) = known.map(|number| &mut self.models[number]) {
                *model = saved;
            }
        }
        self.changed = true;
    }
}

impl Model {
    fn of(detector: &Detector) -> Result<Option<Model>, DetectError> {
        match &detector.method {
            Method::Shared { spec, .. } => {
                Ok(Some(Model::Forest(Box::new(SharedForest::new(spec.as_ref().clone())?))))
            }
            Method::Cohort { .. } | Method::Top { .. } => Ok(Some(Model::Cohorts(Replica::new()))),
            _ => Ok(None),
        }
    }

    fn learn<'a>(&mut self, told: impl Iterator<Item = &'a Told>) {
        let Model::Forest(forest) = self else { return };
        let candidates = told.flat_map(|Told::Candidates(candidates)| candidates.iter().cloned());
        forest.learn(candidates.collect());
    }
}

/// How long what a detector knows of a window end is needed, if it knows something of one.
fn needed(method: &Method) -> Option<Needed> {
    let lateness = method.grouping()?.lateness;
    let pooled = if let Method::Cohort { spec, .. } = method { spec.pooled } else { 0 };
    Some(Needed { lateness, pooled })
}

fn judge_by_forest(of: &Detector, forest: &SharedForest, evidence: &mut Evidence, rows: usize) {
    let deviations = Deviations { z: std::mem::take(&mut evidence.shares), expected: Vec::new() };
    let threshold = known_threshold(forest.threshold());
    evidence.outputs = vec![vec![0.0; rows], vec![f64::NAN; rows], vec![threshold; rows], vec![0.0; rows]];
    evidence.shares = vec![vec![0.0; rows]; deviations.z.len()];
    let worth = forest.worth(&deviations);
    let mut attribution = Attribution::default();
    let units = of.units();
    let near = if of.spares() { take_nearness(evidence) } else { Vec::new() };
    if of.explains.is_some() {
        evidence.words = vec![String::new(); rows];
    }
    for (row, verdict) in worth.iter().zip(forest.verdicts(&deviations, &worth)) {
        let place = *row as usize;
        let said = [verdict.calibrated, verdict.score, threshold, verdict.grade];
        evidence.outputs.iter_mut().zip(said).for_each(|(column, value)| column[place] = value);
        if let Some(directions) = of.explains {
            forest.attribute_raw(&deviations, *row, &mut attribution);
            evidence.words[place] = in_words(&of.names, &attribution, directions);
        }
        let is_anomaly = verdict.calibrated > 1.0;
        if is_anomaly || of.is_beyond(verdict.score) {
            match is_anomaly {
                true => forest.attribute(&deviations, *row, &mut attribution),
                false => forest.attribute_raw(&deviations, *row, &mut attribution),
            }
            for (input, shares) in evidence.shares.iter_mut().enumerate() {
                shares[place] = (attribution.low[input] + attribution.high[input]) as f32;
            }
            instead_of((of, forest, is_anomaly), &deviations, &units, place, evidence);
            let shares: Vec<f64> = evidence.shares.iter().map(|column| column[place].into()).collect();
            if is_anomaly && of.spares() && all_near(&shares, |input| near[input][place]) {
                (evidence.outputs[0][place], evidence.outputs[3][place]) = (0.0, 0.0);
                evidence.shares.iter_mut().for_each(|column| column[place] = 0.0);
            }
        }
    }
    // Of a row without any deviation nothing can be said.
    let known = |row: &usize| deviations.z.iter().any(|column| !column[*row].is_nan());
    for row in (0..rows).filter(|row| !known(row)) {
        evidence.outputs.iter_mut().for_each(|column| column[row] = f64::NAN);
    }
}

/// Which values are near what was expected, by input: noted where they were at hand.
fn take_nearness(evidence: &mut Evidence) -> Vec<Vec<bool>> {
    let take = |before: &mut event::Before| std::mem::replace(&mut before[1], f64::NAN) == 1.0;
    evidence.before.iter_mut().map(|column| column.iter_mut().map(take).collect()).collect()
}

/// Works out a row that would have been no anomaly instead of one that is. Up to then the evidence has the widths by which its
/// deviations were measured.
fn instead_of(
    (of, forest, is_anomaly): (&Detector, &SharedForest, bool),
    deviations: &Deviations,
    units: &[Option<f64>],
    place: usize,
    evidence: &mut Evidence,
) {
    let inputs = 0..deviations.z.len();
    let z: Vec<f32> = deviations.z.iter().map(|column| column[place]).collect();
    let expected: Vec<f64> = evidence.expected.iter().map(|column| column[place].into()).collect();
    // Of one that is too small to be told nothing is found.
    let told = |width: f64| if width > 0.0 { width } else { f64::NAN };
    let widths: Vec<f64> = evidence.before.iter().map(|column| told(column[place][0])).collect();
    // Not quite what it was: whole numbers are whole again.
    let value = |i: usize| {
        let near = expected[i] + f64::from(z[i]) * widths[i];
        units[i].map_or(near, |unit| times((near / unit).round(), unit))
    };
    let row: Vec<f64> = inputs.clone().map(value).collect();
    let mut order = by_share(evidence.shares.iter().map(|column| column[place].into()));
    order.retain(|input| !row[*input].is_nan());
    let scores = |tried: &[f64]| {
        let z_of = |i: usize| match tried[i] == row[i] || row[i].is_nan() {
            true => z[i],
            false => counted(((tried[i] - expected[i]) / widths[i]) as f32),
        };
        forest.scores(&inputs.clone().map(z_of).collect::<Vec<_>>())
    };
    let found = recourse(&row, &expected, units, &order, |tried| of.asked_for(scores(tried), is_anomaly));
    let instead = Instead::new(&row, expected.clone(), found, |found| scores(&found.values).into());
    for (input, column) in evidence.before.iter_mut().enumerate() {
        column[place] = instead.before(input);
    }
}

/// Says what others are to know of the rows of a detector, of which the chunk says what is known of their own keys.
pub(crate) fn say(detector: &Detector, number: usize, chunk: &Chunk, known: &Detectors, said: &mut Said) {
    match (&detector.method, &chunk.spans) {
        (Method::Shared { spec, .. }, Spans::Shared(window)) => {
            let deviations = Deviations { z: chunk.evidence[number].shares.clone(), expected: Vec::new() };
            let candidates = spec.candidates(&deviations, &known.hashes(), window.end);
            let told = Told::Candidates(candidates);
            said.shares.push(Share { detector: number as u16, due: window.due(), told });
        }
        (method, spans) => {
            let named = matches!(method, Method::Top { .. });
            let members =
                |grouping| chunk.beside[number].members(number as u16, grouping, named, &chunk.keys, spans);
            said.members.extend(method.grouping().into_iter().flat_map(members));
        }
    }
}
