//! A key beside its cohort: by percentile, or as one of the worst. A cohort is the keys that are alike in some columns of their
//! rows, in one window end.
//!
//! What a cohort is like takes the rows of all workers. Each worker says what its own rows are ([`Cohorts`]), as a collection of
//! facts that are counted elsewhere ([`Group`], [`Member`]); what comes of it ([`Answer`]) all workers get, and judge their rows by
//! it (`replica`). An answer is about one window end, and changes only when a row of it is corrected: what falls together in time
//! elsewhere is of no account.
//!
//! Promises that what is said of a row follows from the rows of its window ends alone, in the order in which they are due. What is
//! known of a window end is let go of once no row of it can be corrected any more.

mod facts;
mod judge;
mod kept;
mod latch;
pub(crate) mod replica;
mod saved;
mod sketch;

use std::fmt;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BinaryArray};
use event::{Batch, Before, Expression, KeyShape, NOTHING_BEFORE};

use sketch::Pool;

use crate::unit::times;
use crate::{DetectError, Direction};

pub use facts::{Answer, Change, Group, Member};
pub(crate) use judge::Beside;
pub use kept::{Cohorts, Members};
pub(crate) use latch::{LatchColumns, Latches};
pub use saved::SavedRows;

/// How a key is judged by its percentile.
#[derive(Debug, Clone, PartialEq)]
pub struct CohortSpec {
    /// Which end is bad.
    pub direction: Direction,
    /// A key is an anomaly once less of its cohort than this lies beyond it, in percent. Above 0, at most 50.
    pub open: f64,
    /// It is one until at least so much does, in percent. From `open` to 50.
    pub close: f64,
    /// Fewer members than this say nothing. From 1.
    pub members: u64,
    /// For how long window ends count together, in the unit of `due`; 0 for each alone.
    pub pooled: i64,
}

impl Default for CohortSpec {
    fn default() -> Self {
        CohortSpec { direction: Direction::Low, open: 2.0, close: 10.0, members: 200, pooled: 0 }
    }
}

impl CohortSpec {
    pub(crate) fn check(&self) -> Result<(), DetectError> {
        let wrong = |setting, found, wanted| Err(DetectError::Setting { setting, found, wanted });
        if !(self.open > 0.0 && self.open <= 50.0) {
            return wrong("open", self.open, "above 0 and at most 50");
        }
        if !(self.close >= self.open && self.close <= 50.0) {
            return wrong("close", self.close, "from `open` to 50");
        }
        if self.members == 0 {
            return wrong("members", 0.0, "1 or more");
        }
        Ok(())
    }

    /// How much of its cohort lies beyond a key of this percentile, in percent.
    pub(crate) fn beyond(&self, percentile: f64) -> f64 {
        match self.direction {
            Direction::Low => percentile,
            Direction::High => 100.0 - percentile,
            Direction::Both => percentile.min(100.0 - percentile),
        }
    }

    /// What is kept of a row that is an anomaly: the nearest value with which it would be none, and what would be said of it then.
    /// `was` says whether the key was one before.
    fn instead(&self, pool: &Pool, value: f64, percentile: f64, was: bool, unit: Option<f64>) -> Before {
        let is_up = match self.direction {
            Direction::Low => true,
            Direction::High => false,
            Direction::Both => percentile < 50.0,
        };
        let wanted = if was { self.close } else { self.open };
        let found = pool.nearest(value, is_up, unit, |percentile| self.beyond(percentile) >= wanted);
        found.map_or(NOTHING_BEFORE, |(to, percentile)| {
            [to, self.score(self.beyond(percentile), false), percentile, f64::NAN, f64::NAN]
        })
    }

    /// The score of a key with so much of its cohort beyond it: above 1 exactly where it is an anomaly, continuous at `close`.
    pub(crate) fn score(&self, beyond: f64, latched: bool) -> f64 {
        self.open / beyond + if latched { 1.0 - self.open / self.close } else { 0.0 }
    }
}

/// How the worst keys are found.
#[derive(Debug, Clone, PartialEq)]
pub struct TopSpec {
    /// Which end is the worst; not both.
    pub direction: Direction,
    /// How many of them have a rank. From 1.
    pub k: u32,
}

impl TopSpec {
    pub(crate) fn check(&self) -> Result<(), DetectError> {
        match self.k {
            0 => Err(DetectError::Setting { setting: "k", found: 0.0, wanted: "1 or more" }),
            _ => Ok(()),
        }
    }

    /// What is kept of a row that has a rank: a value with which it would have none, and what would be said of it then.
    fn without_rank(&self, to: f64) -> Before {
        [to, f64::from(self.k) + 1.0, f64::NAN, f64::NAN, f64::NAN]
    }

    /// The next value behind one. `unit` is what values are multiples of, if of anything.
    fn behind(&self, edge: f64, unit: Option<f64>) -> f64 {
        let is_up = self.direction != Direction::High;
        match (unit, is_up) {
            (Some(unit), true) => times((edge / unit).round() + 1.0, unit),
            (Some(unit), false) => times((edge / unit).round() - 1.0, unit),
            (None, true) => edge.next_up(),
            (None, false) => edge.next_down(),
        }
    }

    /// The value that has that place.
    fn value(&self, order: u64) -> f64 {
        let ascending = if self.direction == Direction::High { !order } else { order };
        f64::from_bits(if ascending >> 63 == 1 { ascending & !(1 << 63) } else { !ascending })
    }

    /// The place of a value in the order from the worst to the best. Equal values have the same one.
    pub(crate) fn order(&self, value: f64) -> u64 {
        // Zero has two signs.
        let bits = (value + 0.0).to_bits();
        let ascending = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
        if self.direction == Direction::High { !ascending } else { ascending }
    }
}

/// Which keys are alike.
#[derive(Clone)]
pub struct Grouping {
    /// What they have in common, of the row as the score sees it: no doubles and no decimals. Without any, all keys are one cohort.
    pub columns: Vec<Arc<dyn Expression>>,
    /// What these are called.
    pub names: Vec<String>,
    /// How long after a window is due its rows may be corrected, in the unit of `due`.
    pub lateness: i64,
}

impl fmt::Debug for Grouping {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "by ({}), corrected for {}", self.names.join(", "), self.lateness)
    }
}

impl Grouping {
    pub(crate) fn check(&self) -> Result<(), DetectError> {
        let shaped = self.columns.is_empty() || self.shape().is_some();
        let wanted = "columns that are no doubles and no decimals";
        shaped.then_some(()).ok_or(DetectError::Setting {
            setting: "by",
            found: self.columns.len() as f64,
            wanted,
        })
    }

    fn shape(&self) -> Option<KeyShape> {
        KeyShape::new(self.columns.iter().map(|column| column.data_type()).collect()).ok()
    }

    /// The cohorts of rows: of each row a place in the list of their names.
    pub(crate) fn of(&self, batch: &Batch) -> (Vec<u32>, Vec<Arc<[u8]>>) {
        let rows = batch.rows();
        let Some(shape) = self.shape() else { return (vec![0; rows], vec![Arc::from([])]) };
        let columns: Vec<ArrayRef> =
            self.columns.iter().map(|column| column.evaluate(batch).column).collect();
        let names: BinaryArray = shape.encode(&columns);
        let mut places = std::collections::HashMap::new();
        let mut cohorts: Vec<Arc<[u8]>> = Vec::new();
        let place = |row: usize| {
            let name = names.value(row);
            *places.entry(name).or_insert_with(|| {
                cohorts.push(Arc::from(name));
                cohorts.len() as u32 - 1
            })
        };
        let of_rows = (0..names.len()).map(place).collect();
        (of_rows, cohorts)
    }
}
