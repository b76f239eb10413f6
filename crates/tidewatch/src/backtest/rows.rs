//! All rows of features of a job, in columns, for whoever looks for the best threshold over one of them.
//!
//! Bounded: where rows take more than `ROOM`, those of half of the keys are dropped, by a hash of the key, and no more of
//! them are taken in; then those of three quarters, and so on. What all rows say together, how many keys there are and over
//! how much time, is counted before.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::keys::{KeyForm, Keys};
use super::measure::hours;

/// Bytes of rows, about.
pub(super) const ROOM: usize = 512 << 20;
/// Bytes of a row besides its numbers.
const OF_A_ROW: usize = 20;

/// The rows of one kind of windows, by key and time.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Names of the columns of numbers.
    pub(super) columns: Vec<String>,
    pub(super) keys: Vec<u32>,
    pub(super) starts: Vec<i64>,
    pub(super) ends: Vec<i64>,
    /// A value for each row; NaN where there is none.
    pub(super) values: Vec<Vec<f32>>,
    /// By how many microseconds neighbouring windows overlap.
    overlap: i64,
    /// For how many microseconds an episode lasts at most.
    pub(super) longest: i64,
    /// Start of the first window of all, end of the last.
    span: Option<(i64, i64)>,
}

/// What the rows of a branch are like.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    /// Names of the columns of numbers.
    pub(super) columns: Vec<String>,
    /// By how many microseconds neighbouring windows overlap.
    pub(super) overlap: i64,
    /// For how many microseconds an episode lasts at most.
    pub(super) longest: i64,
}

/// The rows of a job, a table for each of its branches.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) tables: Vec<Table>,
    /// Of each key whether it has a row.
    is_there: Vec<bool>,
    /// Keys are kept whose hash has none of these bits.
    mask: u64,
    room: usize,
}

/// One row as it comes.
#[derive(Debug, Default)]
struct Row {
    key: Vec<Value>,
    window: Vec<Option<i64>>,
    numbers: Vec<f32>,
    /// How many fields of the key there are.
    key_fields: usize,
}

impl Rows {
    /// Of branches whose rows are like that.
    pub(super) fn new(branches: Vec<Shape>, room: usize) -> Self {
        let tables = branches.into_iter().map(|Shape { columns, overlap, longest }| Table {
            values: vec![Vec::new(); columns.len()],
            columns,
            overlap,
            longest,
            ..Table::default()
        });
        Rows { tables: tables.collect(), is_there: Vec::new(), mask: 0, room }
    }

    /// Takes a line: an object with the fields of the key, start and end of the window in milliseconds, the number of the
    /// branch, and the numbers of its columns, in this order and whatever their names are.
    ///
    /// # Errors
    /// If it is none.
    pub(super) fn take(&mut self, line: &[u8], form: &KeyForm, keys: &mut Keys) -> anyhow::Result<()> {
        let mut row = Row { key_fields: form.fields(), ..Row::default() };
        serde_json::Deserializer::from_slice(line).deserialize_map(Cells(&mut row))?;
        let (Some([Some(start), Some(end)]), Some((branch, numbers))) =
            (row.window.first_chunk(), row.numbers.split_first())
        else {
            anyhow::bail!("a row without a window: {}", String::from_utf8_lossy(line));
        };
        let Some(table) = self.tables.get_mut(*branch as usize) else {
            anyhow::bail!("a row of no branch: {}", String::from_utf8_lossy(line));
        };
        let [start, end] = [start, end].map(|ms| ms.saturating_mul(event::MICROS_PER_MILLI));
        let (first, last) = table.span.unwrap_or((start, end));
        table.span = Some((first.min(start), last.max(end)));
        let key = keys.number(form.text(&row.key));
        if self.is_there.len() <= key as usize {
            self.is_there.resize(key as usize + 1, false);
        }
        self.is_there[key as usize] = true;
        if keys.hash(key) & self.mask == 0 {
            table.push(key, start, end, numbers);
            self.keep_in_room(keys);
        }
        Ok(())
    }

    fn keep_in_room(&mut self, keys: &Keys) {
        while self.bytes() > self.room && self.mask < u64::from(u32::MAX) {
            self.mask = self.mask << 1 | 1;
            let mask = self.mask;
            self.tables.iter_mut().for_each(|table| table.retain(|key| keys.hash(key) & mask == 0));
        }
    }

    fn bytes(&self) -> usize {
        self.tables.iter().map(|table| table.keys.len() * (OF_A_ROW + 4 * table.columns.len())).sum()
    }

    /// Puts the rows of each key together, in the order of their windows.
    pub(super) fn sort(&mut self) {
        self.tables.iter_mut().for_each(Table::sort);
    }

    /// Whether rows of that key are kept.
    pub(super) fn has(&self, key: u32, keys: &Keys) -> bool {
        keys.hash(key) & self.mask == 0
    }

    /// Whether there was a row of that key.
    pub(super) fn is_there(&self, key: u32) -> bool {
        self.is_there.get(key as usize).copied().unwrap_or(false)
    }

    /// Keys that have a row.
    pub(super) fn keys(&self) -> usize {
        self.is_there.iter().filter(|is_there| **is_there).count()
    }

    /// Share of these whose rows are kept.
    pub(super) fn share(&self, keys: &Keys) -> f64 {
        let all = (0..).zip(&self.is_there).filter(|(_, is_there)| **is_there);
        let (kept, all) = all.fold((0u64, 0u64), |(kept, all), (key, _)| {
            (kept + u64::from(keys.hash(key) & self.mask == 0), all + 1)
        });
        if all == 0 { 1.0 } else { kept as f64 / all as f64 }
    }

    /// Hours of event time that the rows are about: from the start of the first window to the end of the last, less what
    /// windows overlap at both ends, where there are hardly events in them.
    pub(super) fn hours(&self) -> f64 {
        let of = |table: &Table| {
            let (first, last) = table.span?;
            let (all, overlap) = (last.saturating_sub(first), table.overlap.saturating_mul(2));
            Some(hours(if all > overlap { all - overlap } else { all }))
        };
        self.tables.iter().filter_map(of).fold(0.0, f64::max)
    }
}

impl Table {
    fn push(&mut self, key: u32, start: i64, end: i64, numbers: &[f32]) {
        self.keys.push(key);
        self.starts.push(start);
        self.ends.push(end);
        let numbers = numbers.iter().copied().chain(std::iter::repeat(f32::NAN));
        self.values.iter_mut().zip(numbers).for_each(|(values, number)| values.push(number));
    }

    fn retain(&mut self, is_kept: impl Fn(u32) -> bool) {
        let kept: Vec<u32> =
            (0..).zip(&self.keys).filter(|(_, key)| is_kept(**key)).map(|(row, _)| row).collect();
        self.pick(&kept);
    }

    fn sort(&mut self) {
        let mut order: Vec<u32> = (0..self.keys.len() as u32).collect();
        order.sort_by_key(|row| {
            let row = *row as usize;
            (self.keys[row], self.starts[row], self.ends[row])
        });
        self.pick(&order);
    }

    /// Keeps these rows, in this order.
    fn pick(&mut self, rows: &[u32]) {
        fn picked<T: Copy>(column: &mut Vec<T>, rows: &[u32]) {
            *column = rows.iter().map(|row| column[*row as usize]).collect();
        }
        picked(&mut self.keys, rows);
        picked(&mut self.starts, rows);
        picked(&mut self.ends, rows);
        self.values.iter_mut().for_each(|values| picked(values, rows));
    }
}

/// Reads an object by the order of its members.
struct Cells<'a>(&'a mut Row);

impl<'de> Visitor<'de> for Cells<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while members.next_key::<IgnoredAny>()?.is_some() {
            let value: Value = members.next_value()?;
            if self.0.key.len() < self.0.key_fields {
                self.0.key.push(value);
            } else if self.0.window.len() < 2 {
                self.0.window.push(value.as_i64());
            } else {
                self.0.numbers.push(number(&value));
            }
        }
        Ok(())
    }
}

/// A number as rows have it; what is none, as NULL, is not one.
fn number(value: &Value) -> f32 {
    match value {
        Value::Number(number) => number.as_f64().map_or(f32::NAN, |number| number as f32),
        Value::String(text) => match text.as_str() {
            "Infinity" => f32::INFINITY,
            "-Infinity" => f32::NEG_INFINITY,
            _ => f32::NAN,
        },
        _ => f32::NAN,
    }
}

#[cfg(test)]
mod tests {
    use event::{DataType, Field};

    use super::*;

    fn shape(names: &[&str], overlap: i64) -> Shape {
        Shape { columns: names.iter().map(|name| (*name).to_owned()).collect(), overlap, longest: i64::MAX }
    }

    fn form() -> KeyForm {
        KeyForm::new(&[Field::new("user", DataType::Varchar)])
    }

    fn line(key: &str, start: i64, end: i64, numbers: &str) -> String {
        format!(r#"{{"k0":"{key}","start":{start},"end":{end},"branch":{numbers}}}"#)
    }

    #[test]
    fn rows_of_a_key_stand_together_in_the_order_of_their_windows() {
        let (mut rows, mut keys) = (Rows::new(vec![shape(&["a", "b"], 0)], ROOM), Keys::default());
        let lines = [
            line("x", 0, 10, r#"0.0,"a":1.5,"b":null"#),
            line("y", 0, 10, r#"0.0,"a":2,"b":"Infinity""#),
            line("x", 20, 30, r#"0.0,"a":4.0,"b":-1.0"#),
            line("x", 10, 20, r#"0.0,"a":3.0,"b":"NaN""#),
        ];
        lines.iter().for_each(|line| rows.take(line.as_bytes(), &form(), &mut keys).unwrap());
        rows.sort();
        let table = &rows.tables[0];
        assert_eq!(table.keys, [0, 0, 0, 1]);
        assert_eq!(table.starts, [0, 10_000, 20_000, 0]);
        assert_eq!(table.values[0], [1.5, 3.0, 4.0, 2.0]);
        let is_one: Vec<bool> = table.values[1].iter().map(|value| !value.is_nan()).collect();
        assert_eq!(is_one, [false, false, true, true]);
        assert_eq!((rows.keys(), rows.share(&keys)), (2, 1.0));
        assert!(rows.take(b"{\"k0\":\"x\"}", &form(), &mut keys).is_err());
    }

    #[test]
    fn rows_of_branches_stand_apart_and_have_columns_of_their_own() {
        let branches = vec![shape(&["a"], 0), shape(&["b", "c"], 0)];
        let (mut rows, mut keys) = (Rows::new(branches, ROOM), Keys::default());
        for numbers in [r#"1.0,"c0":1.0,"c1":2.0"#, r#"0.0,"c0":3.0,"c1":null"#] {
            rows.take(line("x", 0, 10, numbers).as_bytes(), &form(), &mut keys).unwrap();
        }
        assert_eq!(rows.tables[0].values, [[3.0]]);
        assert_eq!(rows.tables[1].values, [[1.0], [2.0]]);
        assert!(rows.take(line("x", 0, 10, "2.0").as_bytes(), &form(), &mut keys).is_err());
    }

    #[test]
    fn where_room_is_short_whole_keys_go_and_all_are_still_counted() {
        let room = 100 * (OF_A_ROW + 4);
        let (mut rows, mut keys) = (Rows::new(vec![shape(&["a"], 0)], room), Keys::default());
        for key in 0..200 {
            for window in 0..3 {
                let line = line(&format!("u{key}"), window * 10, window * 10 + 10, r#"0.0,"a":1.0"#);
                rows.take(line.as_bytes(), &form(), &mut keys).unwrap();
            }
        }
        rows.sort();
        let table = &rows.tables[0];
        assert!(table.keys.len() <= 100 && table.keys.len() >= 20, "{} rows", table.keys.len());
        for key in 0..200 {
            let of_it = table.keys.iter().filter(|other| **other == key).count();
            assert_eq!(of_it, if rows.has(key, &keys) { 3 } else { 0 }, "key {key}");
        }
        assert_eq!(rows.keys(), 200);
        assert!((rows.share(&keys) * 600.0 - table.keys.len() as f64).abs() < 1e-9);
    }

    #[test]
    fn the_time_that_rows_are_about_leaves_out_what_windows_overlap_at_both_ends() {
        let minute = 60_000;
        let hours = |overlap: i64, windows: &[(i64, i64)]| {
            let overlap = overlap * minute * event::MICROS_PER_MILLI;
            let (mut rows, mut keys) = (Rows::new(vec![shape(&["a"], overlap)], ROOM), Keys::default());
            for (start, end) in windows {
                let line = line("x", start * minute, end * minute, r#"0.0,"a":1.0"#);
                rows.take(line.as_bytes(), &form(), &mut keys).unwrap();
            }
            rows.hours()
        };
        // Events from 0 to 60 min are in windows of ten minutes from -9..1 to 59..69.
        assert_eq!(hours(9, &[(-9, 1), (59, 69)]), 1.0);
        assert_eq!(hours(0, &[(0, 60), (60, 120)]), 2.0);
        assert_eq!(hours(9, &[(0, 10)]), 10.0 / 60.0, "a window without neighbours is as long as it is");
        assert_eq!(hours(9, &[]), 0.0);
    }
}
