//! The branches of a job: windows of their own over the records that all of them share.
//!
//! Records are read, decoded and exchanged once, with the columns that any branch reads; which of them a branch takes
//! in, and what of them, is looked up where it is needed.

use alert::Renderer;
use detect::Detection;
use transform::Transform;
use window::{Coverage, Windowing};

use crate::job::Job;
use crate::message::Columns;
use crate::route::pick;

/// Windows of a job, and what becomes of their rows.
#[derive(Debug)]
pub struct Branch {
    /// Which windows there are.
    pub window: Windowing,
    /// How rows of features are judged.
    pub detection: Detection,
    /// How long after a row of a key, by when they are due, another one recalls it.
    pub lag_within: i64,
    /// How what was found becomes lines.
    pub renderer: Renderer,
}

/// Which records the branches take in, and what of them.
#[derive(Debug, Clone)]
pub(crate) struct Shares {
    transform: Transform,
    /// Which times the windows of each branch cover, if not all.
    coverage: Vec<Option<Coverage>>,
}

/// The records of a branch.
pub(crate) struct Part {
    /// With the inputs of the branch's aggregates.
    pub(crate) columns: Columns,
    /// After how many microseconds the session of each ends, where each says so.
    pub(crate) gaps: Option<Vec<i64>>,
    /// Which of the records of all branches they are, unless they are all.
    rows: Option<Vec<u32>>,
}

impl Part {
    /// The place among the records of all branches.
    pub(crate) fn place(&self, row: usize) -> usize {
        self.rows.as_ref().map_or(row, |rows| rows[row] as usize)
    }
}

impl Shares {
    pub(crate) fn of(job: &Job) -> Self {
        let coverage = job.branches.iter().map(|branch| branch.window.coverage()).collect();
        Shares { transform: job.transform.clone(), coverage }
    }

    /// The records that some branch takes in, unless they are all: those whose conditions all leave a record out have
    /// been filtered, and this is about time.
    pub(crate) fn covered(&self, columns: &Columns) -> Option<Vec<u32>> {
        if self.coverage.iter().all(Option::is_none) {
            return None;
        }
        let mut taken = vec![false; columns.times.len()];
        for branch in 0..self.coverage.len() {
            let taken_by = |row: usize| self.takes(branch, columns, row);
            (0..).zip(&mut taken).for_each(|(row, taken)| *taken = *taken || taken_by(row));
        }
        chosen(&taken)
    }

    /// The records of a branch. Where there is but one, all that come are its.
    pub(crate) fn part(&self, branch: usize, columns: Columns) -> Part {
        let share = &self.transform.branches()[branch];
        let rows = self.rows_of(branch, &columns);
        let gaps = share.gaps(&columns.inputs);
        let columns = Columns { inputs: share.inputs(&columns.inputs), ..columns };
        match &rows {
            None => Part { columns, gaps, rows },
            Some(chosen) => {
                let of_rows = |gaps: Vec<i64>| chosen.iter().map(|row| gaps[*row as usize]).collect();
                Part { columns: pick(&columns, chosen.clone()), gaps: gaps.map(of_rows), rows }
            }
        }
    }

    fn rows_of(&self, branch: usize, columns: &Columns) -> Option<Vec<u32>> {
        let mask = self.transform.branches()[branch].mask(&columns.inputs);
        if self.coverage.len() == 1 {
            return None;
        }
        match (mask, &self.coverage[branch]) {
            (None, None) => None,
            (Some(mask), None) => {
                (mask.count_set_bits() < mask.len()).then(|| mask.set_indices_u32().collect())
            }
            (_, Some(_)) => {
                let rows = 0..columns.times.len();
                let taken: Vec<bool> = rows.map(|row| self.takes(branch, columns, row)).collect();
                chosen(&taken)
            }
        }
    }

    fn takes(&self, branch: usize, columns: &Columns, row: usize) -> bool {
        let mask = self.transform.branches()[branch].mask(&columns.inputs);
        let covers = |coverage: &Coverage| coverage.covers(columns.times[row]);
        mask.is_none_or(|mask| mask.value(row)) && self.coverage[branch].as_ref().is_none_or(covers)
    }
}

/// The rows that are taken, unless all are.
fn chosen(taken: &[bool]) -> Option<Vec<u32>> {
    let rows = || (0..).zip(taken).filter_map(|(row, taken)| taken.then_some(row));
    taken.iter().any(|taken| !taken).then(|| rows().collect())
}
