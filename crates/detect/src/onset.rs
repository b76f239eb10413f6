//! Where an anomaly begins: of a run of high scores, only what exceeds all that came shortly before.
//!
//! A score stays high while an anomaly lasts, which is one thing to tell and not many. This keeps its rises.
//! The life cycle of alerts does more, and per rule; this is for scores that are judged as they are.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// The greatest of the last scores of one stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Onset {
    /// Rows for which a score is remembered.
    rows: u64,
    seen: u64,
    /// Scores that no later one reaches, with their rows: descending.
    greatest: VecDeque<(u64, f64)>,
}

impl Onset {
    /// For scores that are above all of the last `rows`.
    pub fn new(rows: u64) -> Self {
        Onset { rows, seen: 0, greatest: VecDeque::new() }
    }

    /// Whether a score is above those of the last rows. NaN is not, and is not remembered.
    pub fn observe(&mut self, score: f64) -> bool {
        self.seen += 1;
        let oldest = self.seen.saturating_sub(self.rows);
        while self.greatest.front().is_some_and(|(row, _)| *row < oldest) {
            self.greatest.pop_front();
        }
        if score.is_nan() {
            return false;
        }
        let begins = self.greatest.front().is_none_or(|(_, greatest)| score > *greatest);
        while self.greatest.back().is_some_and(|(_, last)| *last <= score) {
            self.greatest.pop_back();
        }
        self.greatest.push_back((self.seen, score));
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_begins_an_anomaly_if_none_of_the_rows_before_reaches_it() {
        let mut random = crate::random::Random::new(89, 0);
        for rows in [0, 1, 2, 7, 100] {
            let mut onset = Onset::new(rows);
            let scores: Vec<f64> =
                (0..2000)
                    .map(|_| {
                        if random.next().is_multiple_of(9) {
                            f64::NAN
                        } else {
                            (random.unit() * 40.0).floor()
                        }
                    })
                    .collect();
            for (row, score) in scores.iter().enumerate() {
                let before = &scores[row.saturating_sub(rows as usize)..row];
                let expected = !score.is_nan() && before.iter().all(|other| other.is_nan() || other < score);
                assert_eq!(onset.observe(*score), expected, "{rows} rows, row {row}");
            }
        }
    }
}
