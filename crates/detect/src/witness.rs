//! Which detectors a condition rests on, so that their agreement can be asked for a hit.
//!
//! Stands between the scores and the rules: a condition names columns, a column is a detector's, or a score over some, or none.

use std::collections::BTreeSet;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use event::{Batch, Expression};

use crate::{Agreement, Detector, Family, Scoring};

/// A detector: its family, the column of its score, and whether that is a rank.
type Witness = (Family, usize, bool);

/// The detectors behind each column of a row.
#[derive(Debug, Clone)]
pub struct Witnesses {
    of: Vec<BTreeSet<Witness>>,
    all: BTreeSet<Witness>,
}

/// Who is asked about the hits of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    detectors: Vec<Witness>,
    /// Whether the condition speaks for itself, since it rests on no detector.
    by_itself: bool,
}

impl Witnesses {
    /// Of rows whose scores begin at column `first`.
    pub fn of(first: usize, scores: &[(String, Scoring)]) -> Self {
        let mut witnesses = Witnesses { of: vec![BTreeSet::new(); first], all: BTreeSet::new() };
        for (name, scoring) in scores {
            let own = match scoring {
                Scoring::Expression(expression) => witnesses.behind(expression.columns()),
                Scoring::Detector(detector) => {
                    let inputs = detector.inputs.iter().flat_map(|input| input.columns());
                    let mut own = witnesses.behind(inputs.collect());
                    own.insert((detector.family(), witnesses.of.len(), detector.ranks()));
                    own
                }
            };
            witnesses.all.extend(own.iter().copied());
            witnesses.of.extend(scoring.fields(name).iter().map(|_| own.clone()));
        }
        witnesses
    }

    fn behind(&self, columns: Vec<usize>) -> BTreeSet<Witness> {
        columns.into_iter().filter_map(|column| self.of.get(column)).flatten().copied().collect()
    }

    /// Who is asked where a condition holds: the detectors that it rests on, through scores too. One that rests on none speaks for
    /// itself, beside all detectors that there are.
    pub fn asked(&self, when: &dyn Expression) -> Asked {
        let behind = self.behind(when.columns());
        let by_itself = behind.is_empty();
        let detectors = if by_itself { &self.all } else { &behind };
        Asked { detectors: detectors.iter().copied().collect(), by_itself }
    }
}

impl Asked {
    /// How many families can agree at most.
    pub fn families(&self) -> usize {
        let mut families: Vec<Family> = self.detectors.iter().map(|(family, ..)| *family).collect();
        families.extend(self.by_itself.then_some(Family::Rule));
        families.sort_unstable();
        families.dedup();
        families.len()
    }

    /// What they say of a row that the condition hit. `batch` has all columns of rows.
    pub(crate) fn about(&self, batch: &Batch, row: usize) -> Agreement {
        let score = |column: usize| {
            let scores = batch.column(column).as_primitive::<Float64Type>();
            if scores.is_valid(row) { scores.value(row) } else { f64::NAN }
        };
        // What stands in for a model has a say of its own.
        let is_itself = |(family, column, _): &&Witness| {
            *family != Family::Model || score(column + Detector::FALLBACK) != 1.0
        };
        let own = self.detectors.iter().filter(is_itself);
        let said = |(family, column, ranks): &Witness| match score(*column) {
            // Whoever has one is among the worst.
            rank if *ranks && !rank.is_nan() => (*family, f64::INFINITY),
            score => (*family, score),
        };
        let mut said: Vec<(Family, f64)> = own.map(said).collect();
        said.extend(self.by_itself.then_some((Family::Rule, f64::INFINITY)));
        Agreement::of(&said)
    }
}
