//! Aggregates of a program's own, as tests bring them along: a list, a large number, and a text.

use event::{Aggregate, Own, OwnAggregate};

/// The lower median; NULL without values.
struct Median;

impl OwnAggregate for Median {
    type Argument = f64;
    type State = Vec<f64>;
    type Output = f64;

    fn name(&self) -> &str {
        "median"
    }

    fn add(&self, values: &mut Vec<f64>, value: f64) {
        values.push(value);
    }

    fn merge(&self, values: &mut Vec<f64>, other: &Vec<f64>) {
        values.extend(other);
    }

    fn result(&self, values: &Vec<f64>) -> Option<f64> {
        let mut values = values.clone();
        values.sort_by(f64::total_cmp);
        values.get(values.len().saturating_sub(1) / 2).copied()
    }
}

/// The sum of squares, as the rest that a prime leaves; 0 without values.
struct SumOfSquares;

const PRIME: i128 = 1_000_003;

impl OwnAggregate for SumOfSquares {
    type Argument = i64;
    type State = i128;
    type Output = i64;

    fn name(&self) -> &str {
        "sum_of_squares"
    }

    fn add(&self, sum: &mut i128, value: i64) {
        *sum += i128::from(value) * i128::from(value);
    }

    fn merge(&self, sum: &mut i128, other: &i128) {
        *sum += other;
    }

    fn result(&self, sum: &i128) -> Option<i64> {
        Some((sum % PRIME) as i64)
    }
}

/// The longest text, of several the last one by their letters; NULL without values.
struct Longest;

impl OwnAggregate for Longest {
    type Argument = str;
    type State = Option<String>;
    type Output = String;

    fn name(&self) -> &str {
        "longest"
    }

    fn add(&self, longest: &mut Option<String>, text: &str) {
        if longest.as_ref().is_none_or(|longest| (longest.len(), longest.as_str()) < (text.len(), text)) {
            *longest = Some(text.to_owned());
        }
    }

    fn merge(&self, longest: &mut Option<String>, other: &Option<String>) {
        if let Some(other) = other {
            self.add(longest, other);
        }
    }

    fn result(&self, longest: &Option<String>) -> Option<String> {
        longest.clone()
    }
}

/// Median of doubles that pass a filter, sum of squares of whole numbers, longest text that passes a filter.
pub(crate) fn aggregates() -> [Aggregate; 3] {
    [
        Aggregate::own(Own::new(Median)).filtered(),
        Aggregate::own(Own::new(SumOfSquares)),
        Aggregate::own(Own::new(Longest)).filtered(),
    ]
}

/// What the three come to, of all values at once.
pub(crate) fn naive(
    doubles: &[f64],
    numbers: impl Iterator<Item = i64>,
    texts: impl Iterator<Item = String>,
) -> (Option<f64>, i64, Option<String>) {
    // The value that as many others do not exceed as half of them are, rounded up.
    let at_most = |value: f64| doubles.iter().filter(|other| **other <= value).count();
    let median = doubles.iter().copied().filter(|value| at_most(*value) >= doubles.len().div_ceil(2));
    let squares = numbers.map(|number| {
        let rest = i128::from(number).rem_euclid(PRIME);
        rest * rest
    });
    let mut texts: Vec<String> = texts.collect();
    texts.sort_by_key(|text| (text.len(), text.clone()));
    (median.min_by(f64::total_cmp), (squares.sum::<i128>() % PRIME) as i64, texts.pop())
}
