//! How far two texts are from each other, in characters (code points).

use arrow_array::types::{Float64Type, Int64Type};
use event::DataType;

use super::{Function, Invocation, Result, function};
use crate::bind::Bound;
use crate::kernel::text::text_pair_to_number;

/// Longest text, in characters, whose distance is computed: the time is the product of both lengths.
const CHARS_MAX: usize = 10_000;

pub(super) const TABLE: &[Function] = &[
    function("levenshtein", 2..=2, |call| edits(call, false)),
    function("editdist3", 2..=2, |call| edits(call, false)),
    function("damerau_levenshtein", 2..=2, |call| edits(call, true)),
    function("hamming", 2..=2, mismatches),
    function("mismatches", 2..=2, mismatches),
    function("jaccard", 2..=2, jaccard),
];

/// Least number of characters that are put in, taken out or changed; with `swaps` also swapped with a neighbour.
fn edits(mut call: Invocation, swaps: bool) -> Result<Bound> {
    call.take_all(DataType::Varchar)?;
    let name = call.name;
    let kernel = text_pair_to_number::<Int64Type>(DataType::Bigint, move |left, right| {
        let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
        if left.len().max(right.len()) > CHARS_MAX {
            return Err(format!("{name}: a text of more than {CHARS_MAX} characters is too long"));
        }
        Ok(Some(distance(&left, &right, swaps) as i64))
    });
    call.partial(DataType::Bigint, kernel)
}

/// The whole table of distances between beginnings, row by row; for swaps, those of Damerau without a limit
/// on what happens between the two that are swapped.
fn distance(left: &[char], right: &[char], swaps: bool) -> usize {
    let width = right.len() + 1;
    let mut table: Vec<usize> = (0..width).collect();
    let mut last_row_of: std::collections::BTreeMap<char, usize> = std::collections::BTreeMap::new();
    for (row, a) in left.iter().enumerate() {
        table.push(row + 1);
        let mut last_match = 0;
        for (column, b) in right.iter().enumerate() {
            let at = |row: usize, column: usize| table[row * width + column];
            let changed = at(row, column) + usize::from(a != b);
            let mut best = changed.min(at(row, column + 1) + 1).min(at(row + 1, column) + 1);
            if swaps
                && last_match > 0
                && let Some(&other) = last_row_of.get(b).filter(|other| **other > 0)
            {
                let between = (row - other) + (column + 1 - last_match);
                best = best.min(at(other - 1, last_match - 1) + between);
            }
            if a == b {
                last_match = column + 1;
            }
            table.push(best);
        }
        last_row_of.insert(*a, row + 1);
    }
    table[table.len() - 1]
}

/// Number of places at which two texts of one length differ.
fn mismatches(mut call: Invocation) -> Result<Bound> {
    call.take_all(DataType::Varchar)?;
    let name = call.name;
    let kernel = text_pair_to_number::<Int64Type>(DataType::Bigint, move |left, right| {
        if left.is_empty() || left.chars().count() != right.chars().count() {
            return Err(format!("{name}: the texts must be of one length, and not empty"));
        }
        Ok(Some(left.chars().zip(right.chars()).filter(|(a, b)| a != b).count() as i64))
    });
    call.partial(DataType::Bigint, kernel)
}

/// Share of the characters in either text that are in both.
fn jaccard(mut call: Invocation) -> Result<Bound> {
    call.take_all(DataType::Varchar)?;
    let kernel = text_pair_to_number::<Float64Type>(DataType::Double, |left, right| {
        if left.is_empty() || right.is_empty() {
            return Err("jaccard: a text is empty".to_owned());
        }
        let set = |text: &str| text.chars().collect::<std::collections::BTreeSet<char>>();
        let (left, right) = (set(left), set(right));
        let both = left.intersection(&right).count();
        Ok(Some(both as f64 / left.union(&right).count() as f64))
    });
    call.partial(DataType::Double, kernel)
}
