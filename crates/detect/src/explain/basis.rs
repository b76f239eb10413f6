//! What a rule rests on: the columns behind its condition, back to the features, and by which ways.

use std::collections::BTreeSet;

use event::RowSchema;

use crate::Rule;
use crate::scoring::{By, Score, Scores};

/// What a rule rests on. Columns are places in the row, ascending.
#[derive(Debug, Clone, Default)]
pub(crate) struct Basis {
    /// All columns on the way.
    pub(super) columns: BTreeSet<usize>,
    /// Features, numbers, that it reaches without a detector between.
    pub(super) plain: BTreeSet<usize>,
    /// Features, numbers, of which it can be told what the rule would say if they were otherwise.
    pub(super) varied: Vec<usize>,
    /// Detectors on the way, by their ordinals.
    pub(super) detectors: BTreeSet<usize>,
}

/// A column, and by which way it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    column: usize,
    /// Through a detector.
    judged: bool,
    /// Through one whose answer to another value cannot be worked out afterwards.
    opaque: bool,
}

impl Basis {
    /// That of a rule over rows with these columns.
    pub(crate) fn of(rule: &Rule, scores: &Scores, row: &RowSchema) -> Basis {
        let mut basis = Basis::default();
        let mut opaque: BTreeSet<usize> = BTreeSet::new();
        let mut varied: BTreeSet<usize> = BTreeSet::new();
        let first = |column| Step { column, judged: false, opaque: false };
        let mut steps: Vec<Step> = rule.when.columns().into_iter().map(first).collect();
        let mut seen: BTreeSet<Step> = steps.iter().copied().collect();
        while let Some(step) = steps.pop() {
            basis.columns.insert(step.column);
            if row.features().contains(&step.column) {
                if row.schema().fields()[step.column].data_type.is_numeric() {
                    varied.insert(step.column);
                    if !step.judged {
                        basis.plain.insert(step.column);
                    }
                    if step.opaque {
                        opaque.insert(step.column);
                    }
                }
                continue;
            }
            let Some(score) = scores.scores.iter().find(|score| score.columns().contains(&step.column))
            else {
                continue;
            };
            for next in basis.behind(score, step) {
                if seen.insert(next) {
                    steps.push(next);
                }
            }
        }
        basis.varied = varied.difference(&opaque).copied().collect();
        basis
    }

    /// The columns behind a score.
    fn behind(&mut self, score: &Score, step: Step) -> Vec<Step> {
        match &score.by {
            By::Expression(expression) => {
                expression.columns().into_iter().map(|column| Step { column, ..step }).collect()
            }
            By::Detector(number, detector) => {
                self.detectors.insert(*number);
                let opaque = step.opaque || !detector.method.can_be_asked_again();
                let columns = detector.inputs.iter().flat_map(|input| input.columns());
                columns.map(|column| Step { column, judged: true, opaque }).collect()
            }
        }
    }
}
