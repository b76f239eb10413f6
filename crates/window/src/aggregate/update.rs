//! Folds a batch into rows of state: one loop per aggregate, no branch on the kind inside.

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::BooleanBuffer;
use event::{DataType, Own, bin_of};

use super::bag::Bag;
use super::column::{argument_words, as_doubles, word_values};
use super::distinct::{codes, registers};
use super::exact::{Exact, fixed};
use super::layout::{
    Cell, Coding, LARGE, LARGE_SCALE, LARGE_SQUARES, Layout, NARROW_MAX, NARROW_SCALE, Place, REST_SCALE,
    Value, WIDE_SCALE, read_pair, write_pair,
};
use super::ordered::{offer, replaces, sort_key};
use super::spill::{Spill, Spills};
use crate::text::Texts;

/// Integers and decimals of more bits than this go to the spills, so that pairs cannot overflow.
const PAIR_MAX: u128 = 1 << 96;

/// The columns of a batch, ready to be folded: per aggregate which rows count, and the values.
pub(crate) struct Folding<'a> {
    inputs: Vec<Input<'a>>,
    times: &'a [i64],
    partition: u32,
    offsets: &'a [u64],
}

struct Input<'a> {
    /// Rows that count; `None` where all do. For first and last NULLs count too.
    live: Option<BooleanBuffer>,
    argument: Option<&'a ArrayRef>,
    data_type: DataType,
    own: Option<Own>,
}

/// A narrow sum met a value that does not fit: widen the aggregate and go on from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    /// Whether the records are counted already, as they are even where the very first value does not fit.
    counted: bool,
    pub(crate) aggregate: usize,
    position: usize,
}

impl<'a> Folding<'a> {
    pub(crate) fn new(
        layout: &Layout,
        columns: &'a [ArrayRef],
        times: &'a [i64],
        partition: u32,
        offsets: &'a [u64],
    ) -> Self {
        let mut columns = columns.iter();
        let inputs = layout.aggregates().iter().zip(layout.places()).map(|(aggregate, place)| {
            let filter = if aggregate.filtered { columns.next().map(is_true) } else { None };
            let argument = if aggregate.argument.is_some() { columns.next() } else { None };
            let nulls_count = matches!(place.cell, Cell::Edge { .. });
            let valid = argument.filter(|_| !nulls_count).and_then(|a| a.nulls()).map(|n| n.inner().clone());
            let live = match (filter, valid) {
                (Some(filter), Some(valid)) => Some(&filter & &valid),
                (filter, valid) => filter.or(valid),
            };
            let data_type = aggregate.argument.unwrap_or(DataType::Bigint);
            Input { live, argument, data_type, own: aggregate.own.clone() }
        });
        Folding { inputs: inputs.collect(), times, partition, offsets }
    }
}

fn is_true(column: &ArrayRef) -> BooleanBuffer {
    let column = column.as_boolean();
    match column.nulls() {
        Some(nulls) => column.values() & nulls.inner(),
        None => column.values().clone(),
    }
}

/// Where the rows of a batch go.
pub(crate) struct Target<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) texts: &'a mut Texts,
    pub(crate) spills: &'a mut Spills,
    /// Rows of `layout.stride()` words.
    pub(crate) words: &'a mut [u64],
    /// Row of state for each position.
    pub(crate) rows: &'a [u32],
}

/// Folds the batch rows `select(0..rows.len())` into `target.rows`, from `from` on.
///
/// # Errors
/// Where to go on, once the aggregate named there was widened.
pub(crate) fn fold(
    target: &mut Target<'_>,
    folding: &Folding<'_>,
    select: impl Fn(usize) -> usize + Copy,
    from: Progress,
) -> Result<(), Progress> {
    let stride = target.layout.stride();
    if !from.counted {
        target.rows.iter().for_each(|row| target.words[*row as usize * stride] += 1);
    }
    for aggregate in from.aggregate..folding.inputs.len() {
        let place = target.layout.places()[aggregate];
        let input = &folding.inputs[aggregate];
        let start = if aggregate == from.aggregate { from.position } else { 0 };
        let stopped = |position| Progress { counted: true, aggregate, position };
        let ahead = Ahead { target, input, place, stride, start };
        match place.cell {
            Cell::Records => {}
            Cell::Count => ahead.count(select),
            Cell::Truths => ahead.truths(select),
            Cell::NarrowSum { double: true } => {
                ahead.narrow_doubles(select).map_err(stopped)?;
            }
            Cell::NarrowSum { double: false } => {
                ahead.narrow_integers(select).map_err(stopped)?;
            }
            Cell::WideSum { double } => ahead.wide_sum(double, select),
            Cell::Moments => ahead.moments(select),
            Cell::Bag(coding) => ahead.bag(coding, input.data_type, select),
            Cell::Own => ahead.own(input.own.as_ref(), select),
            Cell::Extreme { greatest, value: Value::Word(data_type) } => {
                ahead.extreme_word(greatest, data_type, select);
            }
            Cell::Extreme { value, .. } => ahead.extreme(value, select),
            Cell::Edge { value, .. } => ahead.edge(value, folding, select),
        }
    }
    Ok(())
}

/// One aggregate's loop over the positions of a batch that are still ahead.
struct Ahead<'t, 'a, 'i> {
    target: &'t mut Target<'a>,
    input: &'i Input<'i>,
    place: Place,
    stride: usize,
    start: usize,
}

impl Ahead<'_, '_, '_> {
    #[inline]
    fn lives(&self, row: usize) -> bool {
        self.input.live.as_ref().is_none_or(|live| live.value(row))
    }

    /// First word of the cell at a position.
    #[inline]
    fn cell(&self, position: usize) -> usize {
        self.target.rows[position] as usize * self.stride + self.place.word
    }

    fn ordered_cell(&self, position: usize) -> usize {
        self.cell(position) + self.target.layout.additive()
    }

    fn positions(&self) -> std::ops::Range<usize> {
        self.start..self.target.rows.len()
    }

    fn argument(&self) -> &ArrayRef {
        self.input.argument.expect("only count(*) has no argument")
    }

    fn count(self, select: impl Fn(usize) -> usize) {
        match &self.input.live {
            Some(live) => {
                for position in self.positions() {
                    let cell = self.cell(position);
                    self.target.words[cell] += u64::from(live.value(select(position)));
                }
            }
            None => {
                for position in self.positions() {
                    let cell = self.cell(position);
                    self.target.words[cell] += 1;
                }
            }
        }
    }

    fn truths(self, select: impl Fn(usize) -> usize) {
        let values = self.argument().as_boolean().values().clone();
        for position in self.positions() {
            let row = select(position);
            let cell = self.cell(position) + usize::from(!values.value(row));
            self.target.words[cell] += u64::from(self.lives(row));
        }
    }

    fn narrow_doubles(self, select: impl Fn(usize) -> usize) -> Result<(), usize> {
        let values = self.argument().as_primitive::<Float64Type>().values().clone();
        let scale = (1u64 << NARROW_SCALE) as f64;
        self.narrow(select, |row| {
            let scaled = values[row] * scale;
            let number = scaled as i64;
            (number as f64 == scaled).then_some(number)
        })
    }

    fn narrow_integers(self, select: impl Fn(usize) -> usize) -> Result<(), usize> {
        let values = self.argument().as_primitive::<Int64Type>().values().clone();
        self.narrow(select, |row| Some(values[row]))
    }

    #[inline]
    fn narrow(
        self,
        select: impl Fn(usize) -> usize,
        value: impl Fn(usize) -> Option<i64>,
    ) -> Result<(), usize> {
        for position in self.positions() {
            let row = select(position);
            if !self.lives(row) {
                continue;
            }
            let number = value(row).ok_or(position)?;
            let cell = self.cell(position);
            let words = &mut self.target.words[cell..cell + 2];
            let sum = (words[1] as i64).saturating_add(number);
            if sum.unsigned_abs() >= NARROW_MAX {
                return Err(position);
            }
            words[0] += 1;
            words[1] = sum as u64;
        }
        Ok(())
    }

    fn wide_sum(mut self, double: bool, select: impl Fn(usize) -> usize) {
        if double {
            let values = self.argument().as_primitive::<Float64Type>().values().clone();
            for position in self.positions() {
                let row = select(position);
                if self.lives(row) {
                    self.target.words[self.cell(position)] += 1;
                    self.add_double(position, 1, values[row], WIDE_SCALE);
                }
            }
            return;
        }
        let argument = self.argument().clone();
        let value: Box<dyn Fn(usize) -> i128> = match argument.as_primitive_opt::<Int64Type>() {
            Some(integers) => Box::new(|row| i128::from(integers.value(row))),
            None => Box::new(|row| argument.as_primitive::<Decimal128Type>().value(row)),
        };
        for position in self.positions() {
            let row = select(position);
            if self.lives(row) {
                self.target.words[self.cell(position)] += 1;
                let number = value(row);
                match number.unsigned_abs() < PAIR_MAX {
                    true => self.add_pair(position, 1, number),
                    false => self.spill(position, 1, |sum| sum.add_scaled(number, 0)),
                }
            }
        }
    }

    fn moments(mut self, select: impl Fn(usize) -> usize) {
        let argument = self.argument().clone();
        let value = as_doubles(&argument);
        for position in self.positions() {
            let row = select(position);
            if self.lives(row) {
                self.target.words[self.cell(position)] += 1;
                let value = value(row);
                self.add_double(position, 1, value, WIDE_SCALE);
                self.add_square(position, value);
            }
        }
    }

    /// Adds a square without rounding: the nearest double, and what rounding left over.
    fn add_square(&mut self, position: usize, value: f64) {
        if value.is_finite() && value.abs() >= LARGE {
            let value = value * 2f64.powi(-LARGE_SCALE);
            let square = value * value;
            return self.spill(position, LARGE_SQUARES, |sum| {
                sum.add(square);
                sum.add(value.mul_add(value, -square));
            });
        }
        let square = value * value;
        self.add_double(position, 3, square, WIDE_SCALE);
        if square.is_finite() {
            self.add_double(position, 5, value.mul_add(value, -square), REST_SCALE);
        }
    }

    #[inline]
    fn add_double(&mut self, position: usize, word: usize, value: f64, scale: i32) {
        match fixed(value, scale) {
            Some(number) => self.add_pair(position, word, number),
            None => self.spill(position, word, |sum| sum.add(value)),
        }
    }

    #[inline]
    fn add_pair(&mut self, position: usize, word: usize, number: i128) {
        let start = self.cell(position) + word;
        let sum = read_pair(self.target.words, start).wrapping_add(number);
        write_pair(self.target.words, start, sum);
    }

    fn spill(&mut self, position: usize, word: usize, add: impl FnOnce(&mut Exact)) {
        let place = (self.target.rows[position], (self.place.word + word) as u16);
        let spill = self.target.spills.entry(place).or_insert_with(|| Spill::Sum(Exact::new()));
        if let Spill::Sum(sum) = spill {
            add(sum);
        }
    }

    /// What of each value goes into the bag.
    fn bag(self, coding: Coding, data_type: DataType, select: impl Fn(usize) -> usize) {
        let argument = self.argument().clone();
        match coding {
            Coding::Value => {
                let code = codes(&argument, data_type);
                self.into_bags(
                    select,
                    || Spill::Values(Bag::new()),
                    |row, spill| {
                        if let Spill::Values(values) = spill {
                            values.add(code(row));
                        }
                    },
                );
            }
            Coding::Register => {
                let register = registers(&argument, data_type);
                self.into_bins(select, register);
            }
            Coding::Bin => {
                let value = as_doubles(&argument);
                self.into_bins(select, |row| bin_of(value(row)));
            }
        }
    }

    /// The state of a program's own aggregate.
    fn own(self, own: Option<&Own>, select: impl Fn(usize) -> usize) {
        let Some(own) = own else { return };
        let argument = self.argument().clone();
        let add = own.adder(&argument);
        self.into_bags(
            select,
            || Spill::Own(own.empty()),
            |row, spill| {
                if let Spill::Own(state) = spill {
                    add(row, state);
                }
            },
        );
    }

    fn into_bins(self, select: impl Fn(usize) -> usize, bin: impl Fn(usize) -> i32) {
        self.into_bags(
            select,
            || Spill::Bins(Bag::new()),
            |row, spill| {
                if let Spill::Bins(bins) = spill {
                    bins.add(bin(row));
                }
            },
        );
    }

    fn into_bags(
        self,
        select: impl Fn(usize) -> usize,
        empty: impl Fn() -> Spill,
        add: impl Fn(usize, &mut Spill),
    ) {
        for position in self.positions() {
            let row = select(position);
            if self.lives(row) {
                let cell = self.cell(position);
                self.target.words[cell] += 1;
                let place = (self.target.rows[position], self.place.word as u16);
                add(row, self.target.spills.entry(place).or_insert_with(&empty));
            }
        }
    }

    /// The least or the greatest value where it is one word.
    fn extreme_word(self, greatest: bool, data_type: DataType, select: impl Fn(usize) -> usize) {
        let argument = self.argument().clone();
        if data_type == DataType::Double {
            let values = argument.as_primitive::<Float64Type>().values();
            self.offer_words(greatest, select, |row| sort_key(values[row]));
        } else {
            self.offer_words(greatest, select, word_values(&argument, data_type));
        }
    }

    #[inline]
    fn offer_words(self, greatest: bool, select: impl Fn(usize) -> usize, value: impl Fn(usize) -> i64) {
        for position in self.positions() {
            let row = select(position);
            if self.lives(row) {
                let start = self.ordered_cell(position);
                offer(&mut self.target.words[start..start + 2], value(row), greatest);
            }
        }
    }

    fn extreme(mut self, value: Value, select: impl Fn(usize) -> usize) {
        let argument = self.argument().clone();
        let words = argument_words(&argument, value);
        for position in self.positions() {
            let row = select(position);
            if self.lives(row) {
                let mut cell = [1, 0, 0];
                words(row, self.target.texts, &mut cell[1..]);
                self.replace(position, &cell[..1 + value.words()]);
            }
        }
    }

    fn edge(mut self, value: Value, folding: &Folding<'_>, select: impl Fn(usize) -> usize) {
        let argument = self.argument().clone();
        let words = argument_words(&argument, value);
        for position in self.positions() {
            let row = select(position);
            if self.lives(row) {
                let mut cell =
                    [1, folding.times[row] as u64, u64::from(folding.partition), folding.offsets[row], 0, 0];
                match argument.is_null(row) {
                    true => cell[0] = 2,
                    false => words(row, self.target.texts, &mut cell[4..]),
                }
                self.replace(position, &cell[..4 + value.words()]);
            }
        }
    }

    fn replace(&mut self, position: usize, cell: &[u64]) {
        let start = self.ordered_cell(position);
        let held = &mut self.target.words[start..start + cell.len()];
        if replaces(&self.place, self.target.texts, held, cell) {
            held.copy_from_slice(cell);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::Float64Array;
    use event::{Aggregate, AggregateFunction};

    use super::*;

    #[test]
    fn records_are_counted_once_where_the_first_value_of_the_first_sum_does_not_fit() {
        let sum = Aggregate::of(AggregateFunction::Sum, Some(DataType::Double));
        let mut layout = Layout::narrow(vec![sum]);
        let columns: [ArrayRef; 1] = [Arc::new(Float64Array::from(vec![0.1, 1.0]))];
        let folding = Folding::new(&layout, &columns, &[0, 0], 0, &[]);
        let (mut words, mut from) = (vec![0; layout.stride()], Progress::default());
        let (mut texts, mut spills) = (Texts::default(), Spills::new());
        for refused in [true, false] {
            let mut target = Target {
                layout: &layout,
                texts: &mut texts,
                spills: &mut spills,
                words: &mut words,
                rows: &[0, 0],
            };
            let folded = fold(&mut target, &folding, |position| position, from);
            assert_eq!(folded.is_err(), refused);
            let Err(progress) = folded else { continue };
            let wide = layout.widened(progress.aggregate);
            words = wide.convert(&layout, &words);
            (layout, from) = (wide, progress);
        }
        assert_eq!(words[..2], [2, 2]);
    }
}
