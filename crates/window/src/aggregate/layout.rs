//! Which words of a row belong to which aggregate.

use event::{Aggregate, AggregateFunction, DataType, Own};
use serde::{Deserialize, Serialize};

/// Narrow cells of doubles are multiples of 2^-20.
pub(crate) const NARROW_SCALE: i32 = 20;
/// Wide cells of doubles are multiples of 2^-80.
pub(crate) const WIDE_SCALE: i32 = 80;
/// What rounding a square leaves over is kept in multiples of 2^-133.
pub(crate) const REST_SCALE: i32 = 133;
/// Finite values of at least this size have their squares in a spill of their own, [`LARGE_SQUARES`], since a
/// double cannot hold the square of each: those of the values times 2^-[`LARGE_SCALE`].
pub(crate) const LARGE: f64 = f64::from_bits((1023 + 256) << 52);
/// Such that no square of a large value, nor what rounding it leaves over, leaves the range of doubles.
pub(crate) const LARGE_SCALE: i32 = 600;
/// Its word in a [`Cell::Moments`]: the second of a pair, by which no other spill is named.
pub(crate) const LARGE_SQUARES: usize = 4;
/// A narrow cell stays below this, so that a window of 2^15 slices adds up in 64 bits.
pub(crate) const NARROW_MAX: u64 = 1 << 48;

/// How an aggregate is accumulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell {
    /// `[]`: `count(*)` of all records, which is word 0 of the row.
    Records,
    /// `[count]`.
    Count,
    /// `[true, false]`: how many of each.
    Truths,
    /// `[count, sum]`: a double in multiples of 2^-20, or an integer.
    NarrowSum { double: bool },
    /// `[count, low, high]`: a double in multiples of 2^-80, an integer, or a decimal's digits.
    WideSum { double: bool },
    /// `[count, sum (2), squares (2), rest of the squares (2)]`.
    Moments,
    /// `[count]`: all else is in the spill of that word.
    Bag(Coding),
    /// `[count]`: all else is in the state of a program's own aggregate, the spill of that word, which cannot be taken
    /// away.
    Own,
    /// `[0 or 1, value]`, ordered: the value as a number that sorts like it, or a string's number.
    Extreme { greatest: bool, value: Value },
    /// `[0 none, 1 value, 2 NULL; time, partition, offset, value]`, ordered.
    Edge { last: bool, value: Value },
}

/// What of a value goes into the bag of a [`Cell::Bag`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// The value itself.
    Value,
    /// Its register and rank in a HyperLogLog.
    Register,
    /// Its bin in a DDSketch.
    Bin,
}

/// How a value is held in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    /// One word: integers, times, booleans and doubles, mapped to sort as signed integers.
    Word(DataType),
    /// Two words: a decimal's digits.
    Pair(DataType),
    /// A number in `Texts`.
    Text,
}

impl Value {
    fn of(data_type: DataType) -> Value {
        match data_type {
            DataType::Varchar => Value::Text,
            DataType::Decimal { .. } => Value::Pair(data_type),
            _ => Value::Word(data_type),
        }
    }

    pub(crate) fn words(self) -> usize {
        if matches!(self, Value::Pair(_)) { 2 } else { 1 }
    }
}

impl Cell {
    fn of(aggregate: &Aggregate, wide: bool) -> Cell {
        let argument = aggregate.argument.unwrap_or(DataType::Bigint);
        match aggregate.function {
            AggregateFunction::Count | AggregateFunction::Sum | AggregateFunction::Avg
                if aggregate.distinct =>
            {
                Cell::Bag(Coding::Value)
            }
            AggregateFunction::Own => Cell::Own,
            AggregateFunction::ApproxDistinct => Cell::Bag(Coding::Register),
            AggregateFunction::ApproxPercentile => Cell::Bag(Coding::Bin),
            AggregateFunction::Count if aggregate.argument.is_none() && !aggregate.filtered => Cell::Records,
            AggregateFunction::Count => Cell::Count,
            AggregateFunction::BoolAnd | AggregateFunction::BoolOr => Cell::Truths,
            AggregateFunction::Sum | AggregateFunction::Avg => {
                let double = argument == DataType::Double;
                let decimal = matches!(argument, DataType::Decimal { .. });
                if wide || decimal { Cell::WideSum { double } } else { Cell::NarrowSum { double } }
            }
            AggregateFunction::Stddev | AggregateFunction::Variance => Cell::Moments,
            AggregateFunction::Min => Cell::Extreme { greatest: false, value: Value::of(argument) },
            AggregateFunction::Max => Cell::Extreme { greatest: true, value: Value::of(argument) },
            AggregateFunction::First => Cell::Edge { last: false, value: Value::of(argument) },
            AggregateFunction::Last => Cell::Edge { last: true, value: Value::of(argument) },
        }
    }

    pub(crate) fn words(self) -> usize {
        match self {
            Cell::Records => 0,
            Cell::Count | Cell::Bag(_) | Cell::Own => 1,
            Cell::Truths | Cell::NarrowSum { .. } => 2,
            Cell::WideSum { .. } => 3,
            Cell::Moments => 7,
            Cell::Extreme { value, .. } => 1 + value.words(),
            Cell::Edge { value, .. } => 4 + value.words(),
        }
    }

    pub(crate) fn is_ordered(self) -> bool {
        matches!(self, Cell::Extreme { .. } | Cell::Edge { .. })
    }

    /// Where pairs of words hold one 128-bit number.
    fn pairs(self) -> &'static [usize] {
        match self {
            Cell::WideSum { .. } => &[1],
            Cell::Moments => &[1, 3, 5],
            _ => &[],
        }
    }
}

/// For each aggregate whether its cells are wide. Sums start narrow and widen, once and for all rows,
/// when a value does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Widths(pub(crate) Vec<bool>);

/// One aggregate's place in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) cell: Cell,
    /// First word; for ordered cells counted from the first ordered word.
    pub(crate) word: usize,
}

/// A run of additive words: single ones, or a pair that carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    Words { start: usize, len: usize },
    Pair { start: usize },
}

/// The words of a row.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    aggregates: Vec<Aggregate>,
    widths: Widths,
    places: Vec<Place>,
    /// Those of them that are ordered.
    ordered_places: Vec<Place>,
    runs: Vec<Run>,
    additive: usize,
    ordered: usize,
}

impl Layout {
    pub(crate) fn new(aggregates: Vec<Aggregate>, widths: Widths) -> Self {
        let mut layout = Layout {
            places: Vec::with_capacity(aggregates.len()),
            ordered_places: Vec::new(),
            runs: vec![Run::Words { start: 0, len: 1 }],
            additive: 1,
            ordered: 0,
            aggregates,
            widths,
        };
        for (aggregate, wide) in layout.aggregates.clone().iter().zip(layout.widths.0.clone()) {
            layout.place(Cell::of(aggregate, wide));
        }
        layout
    }

    pub(crate) fn narrow(aggregates: Vec<Aggregate>) -> Self {
        let widths = Widths(vec![false; aggregates.len()]);
        Self::new(aggregates, widths)
    }

    fn place(&mut self, cell: Cell) {
        if cell.is_ordered() {
            let place = Place { cell, word: self.ordered };
            self.places.push(place);
            self.ordered_places.push(place);
            self.ordered += cell.words();
            return;
        }
        let start = self.additive;
        self.places.push(Place { cell, word: start });
        let mut word = 0;
        while word < cell.words() {
            if cell.pairs().contains(&word) {
                self.runs.push(Run::Pair { start: start + word });
                word += 2;
                continue;
            }
            match self.runs.last_mut() {
                Some(Run::Words { start: first, len }) if *first + *len == start + word => *len += 1,
                _ => self.runs.push(Run::Words { start: start + word, len: 1 }),
            }
            word += 1;
        }
        self.additive += cell.words();
    }

    pub(crate) fn aggregates(&self) -> &[Aggregate] {
        &self.aggregates
    }

    /// Whether a program's own aggregates are among them.
    pub(crate) fn has_own(&self) -> bool {
        self.places.iter().any(|place| place.cell == Cell::Own)
    }

    /// The program's own aggregate whose cell is at that additive word.
    pub(crate) fn own_at(&self, word: u16) -> Option<&Own> {
        let is_there = |place: &Place| place.cell == Cell::Own && place.word == usize::from(word);
        self.aggregates[self.places.iter().position(is_there)?].own.as_ref()
    }

    pub(crate) fn widths(&self) -> &Widths {
        &self.widths
    }

    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    /// The places of the ordered cells.
    pub(crate) fn ordered_places(&self) -> &[Place] {
        &self.ordered_places
    }

    /// Number of additive words.
    pub(crate) fn additive(&self) -> usize {
        self.additive
    }

    /// Number of ordered words, which follow the additive ones.
    pub(crate) fn ordered(&self) -> usize {
        self.ordered
    }

    /// Words of a row.
    pub(crate) fn stride(&self) -> usize {
        self.additive + self.ordered
    }

    /// The layout with one aggregate's cells widened.
    pub(crate) fn widened(&self, aggregate: usize) -> Layout {
        let mut widths = self.widths.clone();
        widths.0[aggregate] = true;
        Layout::new(self.aggregates.clone(), widths)
    }

    /// The first aggregate whose narrow cell a row, to which another was added, has outgrown.
    pub(crate) fn outgrown(&self, row: &[u64]) -> Option<usize> {
        self.places.iter().position(|place| {
            matches!(place.cell, Cell::NarrowSum { .. })
                && (row[place.word + 1] as i64).unsigned_abs() >= NARROW_MAX
        })
    }

    /// Adds the additive words of `from` to `to`.
    #[inline]
    pub(crate) fn add(&self, to: &mut [u64], from: &[u64]) {
        self.each(to, from, u64::wrapping_add, i128::wrapping_add);
    }

    /// Takes the additive words of `from` away from `to`.
    #[inline]
    pub(crate) fn subtract(&self, to: &mut [u64], from: &[u64]) {
        self.each(to, from, u64::wrapping_sub, i128::wrapping_sub);
    }

    #[inline]
    fn each(&self, to: &mut [u64], from: &[u64], word: fn(u64, u64) -> u64, pair: fn(i128, i128) -> i128) {
        for run in &self.runs {
            match *run {
                Run::Words { start, len } => {
                    let (to, from) = (&mut to[start..start + len], &from[start..start + len]);
                    to.iter_mut().zip(from).for_each(|(to, from)| *to = word(*to, *from));
                }
                Run::Pair { start } => {
                    write_pair(to, start, pair(read_pair(to, start), read_pair(from, start)));
                }
            }
        }
    }

    /// Copies rows of another layout of the same aggregates, whose cells are at most as wide.
    pub(crate) fn convert(&self, from: &Layout, rows: &[u64]) -> Vec<u64> {
        self.convert_part(from, rows, from.stride(), self.stride())
    }

    /// The same for rows that have only the additive words.
    pub(crate) fn convert_additive(&self, from: &Layout, rows: &[u64]) -> Vec<u64> {
        self.convert_part(from, rows, from.additive, self.additive)
    }

    /// Where a word of an additive cell of `from` stands in this layout.
    pub(crate) fn moved_word(&self, from: &Layout, word: u16) -> Option<u16> {
        let word = usize::from(word);
        let places = from.places.iter().zip(&self.places).filter(|(before, _)| !before.cell.is_ordered());
        places
            .filter(|(before, _)| (before.word..before.word + before.cell.words()).contains(&word))
            .map(|(before, after)| (word - before.word + after.word) as u16)
            .next()
    }

    fn convert_part(&self, from: &Layout, rows: &[u64], old: usize, new: usize) -> Vec<u64> {
        let mut out = vec![0; rows.len() / old * new];
        for (row, to) in rows.chunks_exact(old).zip(out.chunks_exact_mut(new)) {
            to[0] = row[0];
            for (place, before) in self.places.iter().zip(&from.places) {
                if !place.cell.is_ordered() {
                    widen_cell(place, before, row, to);
                }
            }
            to[self.additive..].copy_from_slice(&row[from.additive..]);
        }
        out
    }
}

fn widen_cell(place: &Place, before: &Place, row: &[u64], to: &mut [u64]) {
    if place.cell == before.cell {
        let words = place.cell.words();
        to[place.word..place.word + words].copy_from_slice(&row[before.word..before.word + words]);
        return;
    }
    let Cell::WideSum { double } = place.cell else {
        unreachable!("only sums change their width");
    };
    to[place.word] = row[before.word];
    let narrow = i128::from(row[before.word + 1] as i64);
    let shift = if double { WIDE_SCALE - NARROW_SCALE } else { 0 };
    write_pair(to, place.word + 1, narrow << shift);
}

/// The 128-bit number in two words.
#[inline]
pub(crate) fn read_pair(words: &[u64], start: usize) -> i128 {
    (i128::from(words[start + 1] as i64) << 64) | i128::from(words[start])
}

/// Writes a 128-bit number to two words.
#[inline]
pub(crate) fn write_pair(words: &mut [u64], start: usize, value: i128) {
    words[start] = value as u64;
    words[start + 1] = (value >> 64) as u64;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(argument: DataType) -> Aggregate {
        Aggregate::of(AggregateFunction::Sum, Some(argument))
    }

    #[test]
    fn a_widened_row_holds_the_same_sums() {
        let narrow = Layout::narrow(vec![sum(DataType::Double), sum(DataType::Bigint)]);
        let row = [3, 2, (-5i64 << NARROW_SCALE) as u64, 1, (-7i64) as u64];
        let wide = narrow.widened(0).widened(1);
        let rows = wide.convert(&narrow, &row);
        assert_eq!(rows[..2], [3, 2]);
        assert_eq!(read_pair(&rows, 2), -5i128 << WIDE_SCALE);
        assert_eq!(rows[4], 1);
        assert_eq!(read_pair(&rows, 5), -7);
    }

    #[test]
    fn pairs_carry_when_rows_are_added_and_taken_away() {
        let layout = Layout::narrow(vec![sum(DataType::Decimal { precision: 38, scale: 0 })]);
        let mut total = vec![0; layout.stride()];
        let mut row = vec![1, 1, 0, 0];
        write_pair(&mut row, 2, -1);
        layout.add(&mut total, &row);
        layout.add(&mut total, &row);
        assert_eq!(read_pair(&total, 2), -2);
        layout.subtract(&mut total, &row);
        layout.subtract(&mut total, &row);
        assert_eq!(total, vec![0; 4]);
    }
}
