//! The last few rows of a stream side by side, so that a forest sees the shape of a series and not only its values.

use serde::{Deserialize, Serialize};

/// What a missing value, NaN, is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// The row is passed over: not scored, not learned, no part of later shingles.
    Skip,
    /// The value of the row before in the same dimension. Before there is one, the row is passed over.
    #[default]
    Previous,
    /// This one. Zero suits residuals, of which it is what was expected.
    Value(f64),
}

/// The last rows, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Shingle {
    dimensions: usize,
    missing: Missing,
    values: Vec<f64>,
    /// Rows until it is full.
    lacking: usize,
}

impl Shingle {
    pub(super) fn new(dimensions: usize, rows: usize, missing: Missing) -> Self {
        Shingle { dimensions, missing, values: vec![f64::NAN; dimensions * rows], lacking: rows }
    }

    /// Takes in a row; the oldest goes. Gives all of them once there are enough.
    pub(super) fn push(&mut self, row: &[f64]) -> Option<&[f64]> {
        assert_eq!(row.len(), self.dimensions, "values of a row");
        let last = self.values.len() - self.dimensions;
        let lacks = |(value, previous): (&f64, &f64)| self.filled(*value, *previous).is_nan();
        if row.iter().zip(&self.values[last..]).any(lacks) {
            return None;
        }
        self.values.rotate_left(self.dimensions);
        for (i, value) in row.iter().enumerate() {
            // The row before lies one place further to the left by now; a single row has not moved.
            let previous = self.values[last.saturating_sub(self.dimensions) + i];
            self.values[last + i] = self.filled(*value, previous);
        }
        self.lacking = self.lacking.saturating_sub(1);
        (self.lacking == 0).then_some(&self.values)
    }

    /// The rows that are judged together, the last one last.
    pub(super) fn point(&self) -> &[f64] {
        &self.values
    }

    fn filled(&self, value: f64, previous: f64) -> f64 {
        match self.missing {
            _ if !value.is_nan() => value,
            Missing::Skip => f64::NAN,
            Missing::Previous => previous,
            Missing::Value(value) => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f64 = f64::NAN;

    fn check(missing: Missing, rows: &[[f64; 2]], last: Option<&[f64]>) {
        let mut shingle = Shingle::new(2, 2, missing);
        let mut out = None;
        for row in rows {
            out = shingle.push(row).map(<[f64]>::to_vec);
        }
        assert_eq!(out.as_deref(), last, "{missing:?} {rows:?}");
    }

    #[test]
    fn rows_stand_oldest_first_once_there_are_enough() {
        check(Missing::Skip, &[[1.0, 2.0]], None);
        check(Missing::Skip, &[[1.0, 2.0], [3.0, 4.0]], Some(&[1.0, 2.0, 3.0, 4.0]));
        check(Missing::Skip, &[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], Some(&[3.0, 4.0, 5.0, 6.0]));
    }

    #[test]
    fn a_missing_value_is_what_the_policy_says() {
        check(Missing::Skip, &[[1.0, 2.0], [3.0, 4.0], [NAN, 6.0]], None);
        check(Missing::Skip, &[[1.0, 2.0], [NAN, 6.0], [3.0, 4.0]], Some(&[1.0, 2.0, 3.0, 4.0]));
        check(Missing::Previous, &[[1.0, 2.0], [3.0, NAN]], Some(&[1.0, 2.0, 3.0, 2.0]));
        check(Missing::Previous, &[[1.0, NAN], [3.0, 4.0]], None);
        check(Missing::Value(0.0), &[[1.0, NAN], [NAN, 4.0]], Some(&[1.0, 0.0, 0.0, 4.0]));
        let mut single = Shingle::new(1, 1, Missing::Previous);
        assert_eq!(single.push(&[NAN]), None);
        assert_eq!(single.push(&[2.0]), Some(&[2.0][..]));
        assert_eq!(single.push(&[NAN]), Some(&[2.0][..]));
    }
}
