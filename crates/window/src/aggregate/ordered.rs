//! Ordered cells: least, greatest, first and last, which can be combined but not taken away.

use super::layout::{Cell, Layout, Place, Value, read_pair};
use crate::text::Texts;

/// A double as an integer that sorts like it: total order with -0.0 below 0.0 and one NaN above all.
#[inline]
pub(crate) fn sort_key(value: f64) -> i64 {
    let bits = if value.is_nan() { f64::NAN.to_bits() & !(1 << 63) } else { value.to_bits() } as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

/// The double of a sort key.
#[inline]
pub(crate) fn sort_value(key: i64) -> f64 {
    f64::from_bits((key ^ (((key >> 63) as u64) >> 1) as i64) as u64)
}

/// Combines the ordered words of `from` into `to`; both are the ordered part of a row.
pub(crate) fn combine(layout: &Layout, texts: &Texts, to: &mut [u64], from: &[u64]) {
    for place in layout.ordered_places() {
        let words = place.word..place.word + place.cell.words();
        let (mine, theirs) = (&mut to[words.clone()], &from[words]);
        if let Cell::Extreme { greatest, value: Value::Word(_) } = place.cell {
            if theirs[0] != 0 {
                offer(mine, theirs[1] as i64, greatest);
            }
        } else if replaces(place, texts, mine, theirs) {
            mine.copy_from_slice(theirs);
        }
    }
}

/// Takes a value of one word into the cell of an extreme: most are such, and copying them as slices took longer than
/// comparing them.
#[inline]
pub(crate) fn offer(cell: &mut [u64], value: i64, greatest: bool) {
    let held = cell[1] as i64;
    if cell[0] == 0 || (if greatest { value > held } else { value < held }) {
        cell[0] = 1;
        cell[1] = value as u64;
    }
}

/// Whether the cell `theirs` takes the place of `mine`.
#[inline]
pub(crate) fn replaces(place: &Place, texts: &Texts, mine: &[u64], theirs: &[u64]) -> bool {
    if theirs[0] == 0 || mine[0] == 0 {
        return theirs[0] != 0;
    }
    match place.cell {
        Cell::Extreme { greatest, value } => {
            let order = match value {
                Value::Word(_) => (theirs[1] as i64).cmp(&(mine[1] as i64)),
                Value::Pair(_) => read_pair(theirs, 1).cmp(&read_pair(mine, 1)),
                Value::Text => texts.text(theirs[1]).cmp(texts.text(mine[1])),
            };
            if greatest { order.is_gt() } else { order.is_lt() }
        }
        Cell::Edge { last, .. } => {
            let order = (theirs[1] as i64, theirs[2], theirs[3]).cmp(&(mine[1] as i64, mine[2], mine[3]));
            if last { order.is_gt() } else { order.is_lt() }
        }
        _ => unreachable!("not an ordered cell"),
    }
}

/// Where the strings of a row's ordered part are: the words that hold a number in `Texts`.
pub(crate) fn text_words(layout: &Layout) -> Vec<(usize, usize)> {
    let places = layout.places().iter();
    places
        .filter_map(|place| match place.cell {
            Cell::Extreme { value: Value::Text, .. } => Some((place.word, place.word + 1)),
            Cell::Edge { value: Value::Text, .. } => Some((place.word, place.word + 4)),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_sort_in_total_order_with_one_nan() {
        let doubles = [f64::NEG_INFINITY, -1.0, -0.0, 0.0, 5e-324, 1.0, f64::INFINITY, f64::NAN];
        for pair in doubles.windows(2) {
            assert!(sort_key(pair[0]) < sort_key(pair[1]), "{pair:?}");
        }
        assert_eq!(sort_key(-f64::NAN), sort_key(f64::NAN));
        for double in doubles {
            assert_eq!(sort_value(sort_key(double)).to_string(), double.to_string());
        }
    }
}
