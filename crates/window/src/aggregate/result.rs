//! Reads rows of totals out as columns of results.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, TimestampMicrosecondArray,
};
use arrow_buffer::NullBuffer;
use event::{Aggregate, AggregateFunction, DataType, OwnState, RowFailure};

use super::distinct::sum_of;
use super::exact::{Exact, parts, quotient, unfixed};
use super::layout::{
    Cell, Coding, LARGE_SCALE, LARGE_SQUARES, Layout, NARROW_SCALE, Place, REST_SCALE, Value, WIDE_SCALE,
    read_pair,
};
use super::ordered::sort_value;
use super::sketch::{count_different, percentile};
use super::spill::{Spill, Spills};
use crate::text::Texts;

/// The most digits of a decimal's sum.
const DECIMAL_MAX: i128 = 10i128.pow(38);
/// The greatest power of ten in 64 bits.
const TENS_MAX: u32 = 19;

/// The totals of a window, by slot.
pub(crate) struct Totals<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) texts: &'a Texts,
    /// Additive words, a row a slot.
    pub(crate) additive: &'a [u64],
    /// Ordered words, a row a slot.
    pub(crate) ordered: &'a [u64],
    pub(crate) spills: &'a Spills,
    /// The states of the program's own aggregates.
    pub(crate) own: &'a Spills,
}

/// One column per aggregate, with a row for each of `slots`, and the rows that have no value.
pub(crate) fn results(totals: &Totals<'_>, slots: &[u32]) -> (Vec<ArrayRef>, Vec<RowFailure>) {
    let mut failures = Vec::new();
    let mut columns = Vec::with_capacity(totals.layout.places().len());
    for (aggregate, place) in totals.layout.aggregates().iter().zip(totals.layout.places()) {
        let column = Column { totals, slots, place: *place, aggregate };
        columns.push(column.read(&mut failures));
    }
    failures.sort_by_key(|failure: &RowFailure| failure.row);
    failures.dedup_by_key(|failure| failure.row);
    (columns, failures)
}

struct Column<'a> {
    totals: &'a Totals<'a>,
    slots: &'a [u32],
    place: Place,
    aggregate: &'a Aggregate,
}

impl Column<'_> {
    fn read(&self, failures: &mut Vec<RowFailure>) -> ArrayRef {
        match self.place.cell {
            Cell::Records => {
                Arc::new(Int64Array::from_iter_values(self.cells().map(|(_, row)| row[0] as i64)))
            }
            Cell::Count => {
                let word = self.place.word;
                Arc::new(Int64Array::from_iter_values(self.cells().map(|(_, row)| row[word] as i64)))
            }
            Cell::Truths => self.truths(),
            Cell::NarrowSum { .. } | Cell::WideSum { .. } => self.sums(failures),
            Cell::Moments => self.moments(),
            Cell::Bag(Coding::Value) => self.different(failures),
            Cell::Bag(Coding::Register) => {
                let counts = self
                    .cells()
                    .map(|(slot, _)| self.spilled(slot, 0).and_then(Spill::bins).map_or(0, count_different));
                Arc::new(Int64Array::from_iter_values(counts))
            }
            Cell::Bag(Coding::Bin) => self.percentiles(),
            Cell::Own => self.own(),
            Cell::Extreme { value, .. } => self.ordered(value, 1),
            Cell::Edge { value, .. } => self.ordered(value, 4),
        }
    }

    /// Slot and additive row of each row of the result.
    #[inline]
    fn cells(&self) -> impl ExactSizeIterator<Item = (u32, &[u64])> {
        let stride = self.totals.layout.additive();
        self.slots.iter().map(move |slot| {
            let start = *slot as usize * stride;
            (*slot, &self.totals.additive[start..start + stride])
        })
    }

    fn truths(&self) -> ArrayRef {
        let word = self.place.word;
        let all = self.aggregate.function == AggregateFunction::BoolAnd;
        let values = self.cells().map(|(_, row)| {
            let (yes, no) = (row[word], row[word + 1]);
            (yes + no > 0).then_some(if all { no == 0 } else { yes > 0 })
        });
        Arc::new(values.collect::<BooleanArray>())
    }

    fn spilled(&self, slot: u32, word: usize) -> Option<&Spill> {
        if self.totals.spills.is_empty() {
            return None;
        }
        self.totals.spills.get(&(slot, (self.place.word + word) as u16))
    }

    fn spill(&self, slot: u32, word: usize) -> Option<&Exact> {
        self.spilled(slot, word)?.sum()
    }

    /// Number, sum or mean of the values that differ.
    fn different(&self, failures: &mut Vec<RowFailure>) -> ArrayRef {
        let values = |slot| self.spilled(slot, 0).and_then(Spill::values);
        let argument = self.aggregate.argument.unwrap_or(DataType::Bigint);
        let sum = |slot| values(slot).map(|values| sum_of(values, argument));
        match (self.aggregate.function, argument) {
            (AggregateFunction::Count, _) => {
                let counts =
                    self.cells().map(|(slot, _)| values(slot).map_or(0, |values| values.len() as i64));
                Arc::new(Int64Array::from_iter_values(counts))
            }
            (AggregateFunction::Avg, _) => {
                let digits =
                    if let DataType::Decimal { scale, .. } = argument { u32::from(scale) } else { 0 };
                let averages = self.cells().map(|(slot, _)| {
                    let count = values(slot)?.len() as u64;
                    Some(sum(slot)?.quotient(&divisors(count, digits), 0))
                });
                Arc::new(averages.collect::<Float64Array>())
            }
            (_, DataType::Double) => {
                Arc::new(self.cells().map(|(slot, _)| Some(sum(slot)?.round())).collect::<Float64Array>())
            }
            _ => self.fitted(failures, |slot, _| sum(slot)?.whole()),
        }
    }

    fn own(&self) -> ArrayRef {
        let state = |slot: &u32| self.totals.own.get(&(*slot, self.place.word as u16))?.own();
        let states: Vec<Option<&OwnState>> = self.slots.iter().map(state).collect();
        match &self.aggregate.own {
            Some(own) => own.results(&states),
            None => unreachable!("such a cell is of an aggregate of the program's own"),
        }
    }

    fn percentiles(&self) -> ArrayRef {
        let word = self.place.word;
        let values = self.cells().map(|(slot, row)| {
            let bins = self.spilled(slot, 0).and_then(Spill::bins)?;
            percentile(bins, self.aggregate.fraction?, row[word])
        });
        Arc::new(values.collect::<Float64Array>())
    }

    fn sums(&self, failures: &mut Vec<RowFailure>) -> ArrayRef {
        let argument = self.aggregate.argument.unwrap_or(DataType::Double);
        if self.aggregate.function == AggregateFunction::Avg {
            return self.averages(argument);
        }
        match argument {
            DataType::Double => {
                let sums: Vec<f64> = self.cells().map(|(slot, row)| self.double_sum(slot, row)).collect();
                Arc::new(Float64Array::new(sums.into(), self.not_empty()))
            }
            _ => self.fitted(failures, |slot, row| self.whole_sum(slot, row)),
        }
    }

    /// Sums of integers or of decimals' digits as a column of the result's type.
    fn fitted(&self, failures: &mut Vec<RowFailure>, sum: impl Fn(u32, &[u64]) -> Option<i128>) -> ArrayRef {
        match self.aggregate.argument {
            Some(DataType::Decimal { scale, .. }) => {
                let fit = |sum: i128| (sum.abs() < DECIMAL_MAX).then_some(sum);
                let sums = Decimal128Array::from(self.whole_sums(failures, sum, fit));
                let sums = sums.with_precision_and_scale(38, scale as i8);
                Arc::new(sums.unwrap_or_else(|_| unreachable!("a scale that the type allowed")))
            }
            _ => Arc::new(Int64Array::from(self.whole_sums(failures, sum, |sum| i64::try_from(sum).ok()))),
        }
    }

    fn not_empty(&self) -> Option<NullBuffer> {
        let word = self.place.word;
        if self.cells().all(|(_, row)| row[word] > 0) {
            return None;
        }
        Some(self.cells().map(|(_, row)| row[word] > 0).collect())
    }

    #[inline]
    fn double_sum(&self, slot: u32, row: &[u64]) -> f64 {
        let (number, scale) = self.fixed_sum(row);
        match self.spill(slot, 1) {
            // A number this small is converted by the processor.
            None if scale == NARROW_SCALE => number as i64 as f64 * (1.0 / (1u64 << NARROW_SCALE) as f64),
            None => unfixed(number, scale),
            Some(spill) => {
                let mut sum = spill.clone();
                sum.add_scaled(number, -scale);
                sum.round()
            }
        }
    }

    /// What of a sum the cell holds: a number that is to be multiplied by 2^-scale.
    #[inline]
    fn fixed_sum(&self, row: &[u64]) -> (i128, i32) {
        let word = self.place.word + 1;
        match self.place.cell {
            Cell::NarrowSum { double } => {
                (i128::from(row[word] as i64), if double { NARROW_SCALE } else { 0 })
            }
            Cell::WideSum { double: true } => (read_pair(row, word), WIDE_SCALE),
            _ => (read_pair(row, word), 0),
        }
    }

    /// Exact sums of integers or of decimals' digits; `None` where it left 128 bits.
    fn whole_sum(&self, slot: u32, row: &[u64]) -> Option<i128> {
        let (number, _) = self.fixed_sum(row);
        match self.spill(slot, 1) {
            None => Some(number),
            Some(spill) => spill.whole()?.checked_add(number),
        }
    }

    fn whole_sums<T>(
        &self,
        failures: &mut Vec<RowFailure>,
        sum: impl Fn(u32, &[u64]) -> Option<i128>,
        fit: impl Fn(i128) -> Option<T>,
    ) -> Vec<Option<T>> {
        let word = self.place.word;
        let mut sums = Vec::with_capacity(self.slots.len());
        for (row, (slot, cells)) in self.cells().enumerate() {
            let sum = if cells[word] == 0 { None } else { Some(sum(slot, cells).and_then(&fit)) };
            if matches!(sum, Some(None)) {
                let data_type = self.aggregate.data_type();
                failures.push(RowFailure { row, detail: format!("the sum does not fit a {data_type}") });
            }
            sums.push(sum.flatten());
        }
        sums
    }

    fn averages(&self, argument: DataType) -> ArrayRef {
        let word = self.place.word;
        let digits = if let DataType::Decimal { scale, .. } = argument { u32::from(scale) } else { 0 };
        let averages = self.cells().map(|(slot, row)| {
            let count = row[word];
            (count > 0).then(|| self.average(slot, row, count, digits))
        });
        Arc::new(averages.collect::<Float64Array>())
    }

    /// The exact sum over the count and 10^digits, rounded once.
    #[inline]
    fn average(&self, slot: u32, row: &[u64], count: u64, digits: u32) -> f64 {
        let (number, scale) = self.fixed_sum(row);
        let divisor = 10u64.checked_pow(digits).and_then(|power| power.checked_mul(count));
        match (self.spill(slot, 1), divisor) {
            (None, Some(divisor)) => quotient(number, divisor, scale),
            (spill, _) => {
                let mut sum = spill.cloned().unwrap_or_else(Exact::new);
                sum.add_scaled(number, -scale);
                sum.quotient(&divisors(count, digits), 0)
            }
        }
    }

    fn moments(&self) -> ArrayRef {
        let word = self.place.word;
        let root = self.aggregate.function == AggregateFunction::Stddev;
        let values = self.cells().map(|(slot, row)| {
            let count = row[word];
            (count > 1).then(|| self.spread(slot, row, count, root))
        });
        Arc::new(values.collect::<Float64Array>())
    }

    /// The variance, or its root. With large values all is computed times 2^-LARGE_SCALE.
    fn spread(&self, slot: u32, row: &[u64], count: u64, root: bool) -> f64 {
        let large = self.spill(slot, LARGE_SQUARES);
        let scale = if large.is_some() { LARGE_SCALE } else { 0 };
        let sum = self.pair(slot, row, 1, WIDE_SCALE, scale);
        let squares = self.pair(slot, row, 3, WIDE_SCALE, 2 * scale);
        let squares = squares.plus(self.pair(slot, row, 5, REST_SCALE, 2 * scale));
        let squares = large.map_or(squares, |large| squares.plus(Twofold::of(large.clone(), 0)));
        let (variance, unit) = (variance(count as f64, sum, squares), 2f64.powi(scale));
        if root { variance.sqrt() * unit } else { variance * unit * unit }
    }

    /// A sum of the cell in multiples of 2^-fixed, times 2^-scale.
    fn pair(&self, slot: u32, row: &[u64], word: usize, fixed: i32, scale: i32) -> Twofold {
        let number = read_pair(row, self.place.word + word);
        match self.spill(slot, word) {
            None => {
                let head = number as f64;
                // The head may round up to 2^127, which is one more than an i128 holds.
                let rest = number.wrapping_sub(head as i128) as f64;
                let unit = 2f64.powi(-fixed - scale);
                Twofold { head: head * unit, tail: rest * unit }
            }
            Some(spill) => {
                let mut sum = spill.clone();
                sum.add_scaled(number, -fixed);
                Twofold::of(sum, scale)
            }
        }
    }

    /// The ordered cell of each row of the result.
    #[inline]
    fn ordered_cells(&self) -> impl ExactSizeIterator<Item = &[u64]> {
        let (stride, words) = (self.totals.layout.ordered(), self.place.cell.words());
        self.slots.iter().map(move |slot| {
            let start = *slot as usize * stride + self.place.word;
            &self.totals.ordered[start..start + words]
        })
    }

    /// Which of them have a value, unless all do.
    fn has_value(&self) -> Option<NullBuffer> {
        if self.ordered_cells().all(|cell| cell[0] == 1) {
            return None;
        }
        Some(self.ordered_cells().map(|cell| cell[0] == 1).collect())
    }

    fn ordered(&self, value: Value, first: usize) -> ArrayRef {
        let cells = self.ordered_cells().map(|cell| (cell[0] == 1).then_some(&cell[first..]));
        let word = |cell: &[u64]| cell[0] as i64;
        match value {
            // The most frequent: without a choice for each value.
            Value::Word(DataType::Double) => {
                let doubles = self.ordered_cells().map(|cell| sort_value(word(&cell[first..])));
                Arc::new(Float64Array::new(doubles.collect::<Vec<f64>>().into(), self.has_value()))
            }
            Value::Text => {
                let mut texts = StringBuilder::with_capacity(self.slots.len(), self.slots.len() * 8);
                cells.for_each(|cell| texts.append_option(cell.map(|cell| self.totals.texts.text(cell[0]))));
                Arc::new(texts.finish())
            }
            Value::Pair(data_type) => {
                let digits: Decimal128Array = cells.map(|cell| cell.map(|cell| read_pair(cell, 0))).collect();
                Arc::new(digits.with_data_type(data_type.arrow()))
            }
            Value::Word(DataType::Boolean) => {
                Arc::new(cells.map(|cell| cell.map(|cell| cell[0] == 1)).collect::<BooleanArray>())
            }
            Value::Word(DataType::Date) => {
                Arc::new(cells.map(|cell| cell.map(|cell| word(cell) as i32)).collect::<Date32Array>())
            }
            Value::Word(data_type @ (DataType::Timestamp | DataType::TimestampTz)) => {
                let instants: TimestampMicrosecondArray = cells.map(|cell| cell.map(word)).collect();
                Arc::new(instants.with_data_type(data_type.arrow()))
            }
            Value::Word(_) => Arc::new(cells.map(|cell| cell.map(word)).collect::<Int64Array>()),
        }
    }
}

/// A count and 10^digits, whose product may leave 64 bits.
fn divisors(count: u64, digits: u32) -> [u64; 3] {
    let (some, others) = (digits.min(TENS_MAX), digits.saturating_sub(TENS_MAX));
    [count, 10u64.pow(some), 10u64.pow(others)]
}

/// A number as the unevaluated sum of two doubles: about 106 bits.
///
/// Source: Dekker (1971), "A floating-point technique for extending the available precision".
#[derive(Debug, Clone, Copy)]
struct Twofold {
    head: f64,
    tail: f64,
}

impl Twofold {
    /// A sum times 2^-scale.
    fn of(mut sum: Exact, scale: i32) -> Twofold {
        let head = sum.quotient(&[], scale);
        let Some((mantissa, exponent)) = parts(head) else { return Twofold { head, tail: 0.0 } };
        sum.add_scaled(-i128::from(mantissa), exponent + scale);
        Twofold { head, tail: sum.quotient(&[], scale) }
    }

    fn sum(a: f64, b: f64) -> Twofold {
        let head = a + b;
        let virtual_b = head - a;
        Twofold { head, tail: (a - (head - virtual_b)) + (b - virtual_b) }
    }

    fn plus(self, other: Twofold) -> Twofold {
        let sum = Twofold::sum(self.head, other.head);
        Twofold::sum(sum.head, sum.tail + self.tail + other.tail)
    }

    fn times(self, other: Twofold) -> Twofold {
        let head = self.head * other.head;
        let rest = self.head.mul_add(other.head, -head);
        Twofold::sum(head, rest + self.head * other.tail + self.tail * other.head)
    }

    fn negative(self) -> Twofold {
        Twofold { head: -self.head, tail: -self.tail }
    }
}

/// `(n * squares - sum^2) / (n * (n - 1))`: exact sums leave nothing to cancel but 106 bits.
fn variance(count: f64, sum: Twofold, squares: Twofold) -> f64 {
    let n = Twofold { head: count, tail: 0.0 };
    let spread = n.times(squares).plus(sum.times(sum).negative());
    let spread = (spread.head + spread.tail) / (count * (count - 1.0));
    // Below zero only by the last of 106 bits.
    if spread < 0.0 { 0.0 } else { spread }
}
