//! What a rule rests on: the columns behind its condition, back to the features, and by which ways.

use std::collections::{BTreeMap, BTreeSet};

use event::RowSchema;

use crate::Rule;
use crate::detector::Method;
use crate::scoring::{By, Score, Scores};

/// What a rule rests on. Columns are places in the row, ascending.
#[derive(Debug, Clone, Default)]
pub(crate) struct Basis {
    /// All columns on the way.
    pub(super) columns: BTreeSet<usize>,
    /// Features, numbers, that it reaches without a detector between.
    pub(super) plain: BTreeSet<usize>,
    /// Features, numbers, of which it can be told what the rule would say if they were otherwise: where models answer, and where
    /// something takes the place of their answers.
    varied: [Vec<usize>; 2],
    /// Detectors on the way, by their ordinals.
    pub(super) detectors: BTreeSet<usize>,
    /// Those of them that it only rests on where something takes the place of the answer of some models: these.
    pub(super) standing: BTreeMap<usize, BTreeSet<usize>>,
}

/// A column, and by which way it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    column: usize,
    /// Through a detector.
    judged: bool,
    /// Through one whose answer to another value cannot be worked out afterwards.
    opaque: bool,
    /// Through what takes the place of the answer of a model, by its ordinal.
    standing: Option<usize>,
}

/// Features, and those among them that are reached through what is opaque.
#[derive(Default)]
struct Reached {
    all: BTreeSet<usize>,
    opaque: BTreeSet<usize>,
}

impl Basis {
    /// That of a rule over rows with these columns.
    pub(crate) fn of(rule: &Rule, scores: &Scores, row: &RowSchema) -> Basis {
        let mut basis = Basis::default();
        basis.varied = [true, false].map(|answered| {
            let reached = basis.walk((rule, scores, row), answered);
            reached.all.difference(&reached.opaque).copied().collect()
        });
        basis
    }

    /// Features that are varied in a hit.
    pub(super) fn varied(&self, is_without_answer: bool) -> &[usize] {
        &self.varied[usize::from(is_without_answer)]
    }

    /// Goes from the condition to the features, where models answer or where they do not.
    fn walk(&mut self, (rule, scores, row): (&Rule, &Scores, &RowSchema), answered: bool) -> Reached {
        let mut reached = Reached::default();
        let first = |column| Step { column, judged: false, opaque: false, standing: None };
        let mut steps: Vec<Step> = rule.when.columns().into_iter().map(first).collect();
        let mut seen: BTreeSet<Step> = steps.iter().copied().collect();
        while let Some(step) = steps.pop() {
            self.columns.insert(step.column);
            if row.features().contains(&step.column) {
                if row.schema().fields()[step.column].data_type.is_numeric() {
                    reached.all.insert(step.column);
                    if !step.judged {
                        self.plain.insert(step.column);
                    }
                    if step.opaque {
                        reached.opaque.insert(step.column);
                    }
                }
                continue;
            }
            let Some(score) = scores.scores.iter().find(|score| score.columns().contains(&step.column))
            else {
                continue;
            };
            for next in self.behind(score, step, answered) {
                if seen.insert(next) {
                    steps.push(next);
                }
            }
        }
        reached
    }

    /// The columns behind a score.
    fn behind(&mut self, score: &Score, step: Step, answered: bool) -> Vec<Step> {
        let (number, detector) = match &score.by {
            By::Expression(expression) => {
                return expression.columns().into_iter().map(|column| Step { column, ..step }).collect();
            }
            By::Detector(number, detector) => (*number, detector),
        };
        match step.standing {
            _ if answered => {}
            None => drop(self.standing.remove(&number)),
            Some(model) if !self.detectors.contains(&number) || self.standing.contains_key(&number) => {
                self.standing.entry(number).or_default().insert(model);
            }
            Some(_) => {}
        }
        self.detectors.insert(number);
        let is_known = detector.method.can_be_asked_again();
        let columns = detector.inputs.iter().flat_map(|input| input.columns());
        match &detector.method {
            // What it was asked does not matter.
            Method::Model(spec) if !answered => {
                let otherwise = spec.otherwise.columns().into_iter();
                let standing = |column| Step { column, judged: true, standing: Some(number), ..step };
                let asked = |column| Step { column, judged: true, ..step };
                columns.map(asked).chain(otherwise.map(standing)).collect()
            }
            _ => {
                let opaque = step.opaque || !is_known;
                columns.map(|column| Step { column, judged: true, opaque, ..step }).collect()
            }
        }
    }
}
