//! Windows against a naive reading of the rules: every row is computed from all records at once.

#[path = "own/mod.rs"]
mod own;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray};
use event::{Aggregate, AggregateFunction as F, DataType, Fraction, Rows, Span, Spans, Watermark, key_hash};
use proptest::prelude::*;
use window::{Arrival, Arrivals, KEYS, StateChunk, WindowSpec, Windows};

#[derive(Debug, Clone)]
struct Record {
    key: u8,
    time: i64,
    value: Option<f64>,
    number: i64,
    flag: bool,
    text: u8,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Then {
    Nothing,
    /// A snapshot is taken; a whole one if told so.
    Snapshot {
        whole: bool,
    },
    /// A snapshot is taken, and other windows go on from all snapshots since the last restart.
    Restart,
}

#[derive(Debug, Clone)]
struct Case {
    spec: WindowSpec,
    bound: i64,
    partitions: Vec<Vec<Record>>,
    /// How many records of which partition come next, and what happens then.
    schedule: Vec<(usize, usize, Then)>,
}

fn aggregates() -> Vec<Aggregate> {
    let of = |function, argument, filtered| Aggregate { filtered, ..Aggregate::of(function, argument) };
    let mut aggregates = vec![
        of(F::Count, None, false),
        of(F::Count, None, true),
        of(F::Sum, Some(DataType::Double), true),
        of(F::Sum, Some(DataType::Bigint), false),
        of(F::Min, Some(DataType::Double), false),
        of(F::Max, Some(DataType::Varchar), false),
        of(F::Stddev, Some(DataType::Double), false),
        of(F::First, Some(DataType::Double), false),
        of(F::Last, Some(DataType::Varchar), true),
        of(F::BoolOr, Some(DataType::Boolean), false),
        of(F::Avg, Some(DataType::Bigint), false),
        of(F::Count, Some(DataType::Varchar), true).distinct(),
        of(F::Sum, Some(DataType::Double), false).distinct(),
        of(F::Avg, Some(DataType::Bigint), false).distinct(),
        of(F::ApproxDistinct, Some(DataType::Varchar), true),
        of(F::ApproxPercentile, Some(DataType::Double), true).at(Fraction::new(0.75).expect("a fraction")),
    ];
    aggregates.extend(own::aggregates());
    aggregates
}

fn inputs(records: &[Record]) -> Vec<ArrayRef> {
    let flags = || Arc::new(BooleanArray::from_iter(records.iter().map(|r| Some(r.flag)))) as ArrayRef;
    let values = || Arc::new(Float64Array::from_iter(records.iter().map(|r| r.value))) as ArrayRef;
    let numbers = || Arc::new(Int64Array::from_iter_values(records.iter().map(|r| r.number))) as ArrayRef;
    let texts = || Arc::new(StringArray::from_iter_values(records.iter().map(text))) as ArrayRef;
    vec![
        flags(),
        flags(),
        values(),
        numbers(),
        values(),
        texts(),
        values(),
        values(),
        flags(),
        texts(),
        flags(),
        numbers(),
        flags(),
        texts(),
        values(),
        numbers(),
        flags(),
        texts(),
        flags(),
        values(),
        flags(),
        values(),
        numbers(),
        flags(),
        texts(),
    ]
}

fn text(record: &Record) -> String {
    // Some are longer than what is kept of them.
    format!("t{}", "x".repeat(usize::from(record.text) * 5)) + &record.text.to_string()
}

type Row = Vec<String>;

/// One text per aggregate, so that rows can be compared.
fn texts_of(rows: &Rows, row: usize) -> Row {
    let columns = rows.aggregates.columns().iter();
    let mut texts: Row = columns
        .map(|column| {
            if column.is_null(row) {
                return "null".to_owned();
            }
            if let Some(numbers) = column.as_primitive_opt::<Int64Type>() {
                return numbers.value(row).to_string();
            }
            if let Some(doubles) = column.as_primitive_opt::<Float64Type>() {
                return format!("{:.9e}", doubles.value(row));
            }
            match column.as_string_opt::<i32>() {
                Some(texts) => texts.value(row).to_owned(),
                None => column.as_boolean().value(row).to_string(),
            }
        })
        .collect();
    texts.push(rows.records[row].to_string());
    texts
}

/// The exact sum, rounded once: the values are multiples of 2^-60, and few.
fn exact_sum(values: &[f64]) -> f64 {
    let scale = 2f64.powi(60);
    values.iter().map(|value| (value * scale) as i128).sum::<i128>() as f64 / scale
}

/// The value of rank floor(3/4 (n - 1)).
fn percentile(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[3 * (values.len() - 1) / 4]
}

/// What stands for all numbers between two powers of 1.02, the larger one included.
fn middle_of_bin(value: f64) -> f64 {
    if value == 0.0 {
        return 0.0;
    }
    let mut upper = 1.0;
    while upper < value.abs() {
        upper *= 1.02;
    }
    while upper / 1.02 >= value.abs() {
        upper /= 1.02;
    }
    value.signum() * upper * 2.0 / 2.02
}

fn naive_row(held: &[(i64, usize, usize, &Record)]) -> Row {
    let null = || "null".to_owned();
    let double = |v: f64| format!("{v:.9e}");
    let values: Vec<f64> = held.iter().filter_map(|(.., r)| r.value).collect();
    let flagged: Vec<f64> = held.iter().filter(|(.., r)| r.flag).filter_map(|(.., r)| r.value).collect();
    let numbers: i128 = held.iter().map(|(.., r)| i128::from(r.number)).sum();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let spread = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (values.len() as f64 - 1.0);
    let texts: BTreeSet<String> = held.iter().filter(|(.., r)| r.flag).map(|(.., r)| text(r)).collect();
    let different: BTreeSet<i64> = held.iter().map(|(.., r)| r.number).collect();
    let mut different_values = values.clone();
    different_values.sort_by(f64::total_cmp);
    different_values.dedup();
    let first = held.iter().min_by_key(|(t, p, o, _)| (*t, *p, *o));
    let last = held.iter().filter(|(.., r)| r.flag).max_by_key(|(t, p, o, _)| (*t, *p, *o));
    let flagged_texts = held.iter().filter(|(.., r)| r.flag).map(|(.., r)| text(r));
    let (median, squares, longest) = own::naive(&flagged, held.iter().map(|(.., r)| r.number), flagged_texts);
    vec![
        held.len().to_string(),
        held.iter().filter(|(.., r)| r.flag).count().to_string(),
        if flagged.is_empty() { null() } else { double(exact_sum(&flagged)) },
        numbers.to_string(),
        values.iter().copied().min_by(f64::total_cmp).map_or_else(null, double),
        held.iter().map(|(.., r)| text(r)).max().unwrap_or_else(null),
        if values.len() < 2 { null() } else { double(spread.sqrt()) },
        first.and_then(|(.., r)| r.value).map_or_else(null, double),
        last.map_or_else(null, |(.., r)| text(r)),
        held.iter().any(|(.., r)| r.flag).to_string(),
        double(numbers as f64 / held.len() as f64),
        texts.len().to_string(),
        if different_values.is_empty() { null() } else { double(exact_sum(&different_values)) },
        double(different.iter().map(|n| i128::from(*n)).sum::<i128>() as f64 / different.len() as f64),
        // Each of the five has a register of its own.
        texts.len().to_string(),
        if flagged.is_empty() { null() } else { double(middle_of_bin(percentile(&flagged))) },
        median.map_or_else(null, double),
        squares.to_string(),
        longest.unwrap_or_else(null),
        held.len().to_string(),
    ]
}

/// Rows by window, key and revision, and how many records are late.
type Answer = (BTreeMap<(i64, i64, u8, u64), Row>, usize);

/// Every window that covers a time, counted off one by one.
fn windows_of(spec: &WindowSpec, time: i64) -> Vec<(i64, i64)> {
    let WindowSpec { size, slide, offset, grows, .. } = *spec;
    let period = if grows { size } else { slide };
    let lengths: Vec<i64> =
        if grows { (1..=size / slide).map(|step| step * slide).collect() } else { vec![size] };
    let mut start = offset - 200 * period;
    let mut windows = Vec::new();
    while start <= time {
        let ends = lengths.iter().map(|length| start + length);
        windows.extend(ends.filter(|end| time < *end).map(|end| (start, end)));
        start += period;
    }
    windows
}

fn naive(case: &Case) -> Answer {
    /// A record with its place and what its partition had seen.
    type Seen<'a> = ((i64, usize, usize, &'a Record), i64);
    let mut held: BTreeMap<(i64, i64, u8), Vec<Seen<'_>>> = BTreeMap::new();
    let mut late = 0;
    for (partition, records) in case.partitions.iter().enumerate() {
        let mut seen = i64::MIN;
        for (offset, record) in records.iter().enumerate() {
            let mut any = false;
            for (start, end) in windows_of(&case.spec, record.time) {
                if end - 1 + case.spec.lateness > seen {
                    let of = held.entry((start, end, record.key)).or_default();
                    of.push(((record.time, partition, offset, record), seen));
                    any = true;
                }
            }
            late += usize::from(!any);
            seen = seen.max(record.time - case.bound - 1);
        }
    }
    let mut rows = BTreeMap::new();
    for ((start, end, key), held) in held {
        let in_time: Vec<_> =
            held.iter().filter(|(_, seen)| end - 1 > *seen).map(|(record, _)| *record).collect();
        let all: Vec<_> = held.iter().map(|(record, _)| *record).collect();
        let first = u64::from(!in_time.is_empty());
        if first == 1 {
            rows.insert((start, end, key, 0), naive_row(&in_time));
        }
        if all.len() > in_time.len() {
            rows.insert((start, end, key, first), naive_row(&all));
        }
    }
    add_quiet(case, &mut rows);
    (rows, late)
}

/// Rows of keys that have gone quiet, in the windows behind those that hold a record of them.
fn add_quiet(case: &Case, rows: &mut BTreeMap<(i64, i64, u8, u64), Row>) {
    let records = case.partitions.iter().flatten();
    let reached = records.map(|record| record.time - case.bound - 1).max().unwrap_or(i64::MIN);
    let held: Vec<(i64, i64, u8)> = rows.keys().map(|(start, end, key, _)| (*start, *end, *key)).collect();
    for (start, end, key) in held {
        for behind in (1..=case.spec.quiet).map(|windows| windows * case.spec.slide) {
            if end + behind - 1 <= reached {
                rows.entry((start + behind, end + behind, key, 0)).or_insert_with(quiet_row);
            }
        }
    }
}

fn quiet_row() -> Row {
    const COUNTS: [usize; 6] = [0, 1, 11, 14, 17, 19];
    (0..20).map(|place| if COUNTS.contains(&place) { "0" } else { "null" }.to_owned()).collect()
}

/// The chunks that snapshots have left and that are still needed, as a store would keep them.
#[derive(Default)]
struct Chain {
    cut: u32,
    chunks: Vec<(u32, StateChunk)>,
}

impl Chain {
    fn save(&mut self, windows: &mut Windows, whole: bool) {
        self.cut += 1;
        let live: Vec<i64> = windows.slices().collect();
        self.chunks.retain(|(_, chunk)| chunk.label == KEYS || live.contains(&chunk.label));
        let again = windows.begin_snapshot(self.cut, whole);
        self.chunks.retain(|(cut, chunk)| chunk.label != KEYS || !again.contains(cut));
        if whole {
            self.chunks.clear();
        }
        while let Some(chunk) = windows.next_chunk() {
            if chunk.supersedes {
                self.chunks.retain(|(cut, older)| older.label != chunk.label || *cut == self.cut);
            }
            self.chunks.push((self.cut, chunk));
        }
    }

    fn restore(&self, windows: &mut Windows, owns: &dyn Fn(u64) -> bool) {
        let mut restoration = windows.restore(owns);
        for keys in [true, false] {
            for (_, chunk) in self.chunks.iter().filter(|(_, chunk)| (chunk.label == KEYS) == keys) {
                restoration.take(chunk.head.clone(), &chunk.packed_parts()).expect("its own chunk");
            }
        }
    }
}

/// Feeds a case through `Windows`, as a worker would.
fn run(case: &Case) -> Answer {
    let mut windows = Windows::new(case.spec.clone(), aggregates());
    let (mut rows, mut late) = (BTreeMap::new(), 0);
    let mut read = vec![0usize; case.partitions.len()];
    let mut marks = vec![i64::MIN; case.partitions.len()];
    let mut closed_to = i64::MIN;
    let mut chain = Chain::default();
    let rest = (0..case.partitions.len()).map(|p| (p, usize::MAX, Then::Nothing));
    for (partition, count, then) in case.schedule.iter().copied().chain(rest) {
        let partition = partition % case.partitions.len();
        let records = &case.partitions[partition];
        let from = read[partition];
        let to = records.len().min(from.saturating_add(count));
        let (mut ahead, mut behind) = (Vec::new(), Vec::new());
        for (offset, record) in records[from..to].iter().enumerate() {
            let seen = marks[partition];
            if record.time > seen {
                ahead.push((record.clone(), from + offset))
            } else {
                behind.push((record.clone(), from + offset, seen))
            }
            marks[partition] = seen.max(record.time - case.bound - 1);
        }
        read[partition] = to;
        if to == records.len() {
            marks[partition] = i64::MAX;
        }
        let (records, offsets): (Vec<Record>, Vec<usize>) = ahead.into_iter().unzip();
        feed(&mut windows, partition, &records, &offsets, None);
        let seen: Vec<i64> = behind.iter().map(|(.., seen)| *seen).collect();
        let (records, offsets): (Vec<Record>, Vec<usize>) =
            behind.into_iter().map(|(r, o, _)| (r, o)).unzip();
        late += feed(&mut windows, partition, &records, &offsets, Some(&seen));
        let watermark = Watermark(marks.iter().copied().min().expect("a partition"));
        let read_so_far = read.iter().zip(&case.partitions).flat_map(|(read, records)| &records[..*read]);
        let reached = read_so_far.map(|record| record.time - case.bound - 1).max();
        windows.set_reached(Watermark(reached.unwrap_or(i64::MIN)));
        let mut take = |closed: Rows| {
            assert!(closed.failures.is_empty());
            for row in 0..closed.keys.len() {
                let Span { window, due, by_record, sequence, .. } = closed.spans.of(row);
                assert!(due >= closed_to && !by_record, "in the order in which they are due");
                assert!(closed.spans == Spans::Shared(window) || due == window.due() + case.spec.lateness);
                closed_to = due;
                let place = (window.start, window.end, closed.keys.value(row)[0], sequence);
                assert!(rows.insert(place, texts_of(&closed, row)).is_none(), "a window closes once");
            }
        };
        while !windows.advance_some(watermark, 2, &mut take) {}
        if then != Then::Nothing {
            chain.save(&mut windows, then == Then::Snapshot { whole: true });
        }
        if then == Then::Restart {
            windows = Windows::new(case.spec.clone(), aggregates());
            windows.restore_closed(watermark);
            chain.restore(&mut windows, &|_| true);
            chain = Chain::default();
        }
    }
    windows.advance(Watermark::FINISHED, &mut |_| panic!("all windows are closed"));
    assert_eq!(windows.keys(), 0, "nothing is left behind");
    (rows, late)
}

fn feed(
    windows: &mut Windows,
    partition: usize,
    records: &[Record],
    offsets: &[usize],
    seen: Option<&[i64]>,
) -> usize {
    if records.is_empty() {
        return 0;
    }
    let keys =
        BinaryArray::from_iter_values(records.iter().map(|r| vec![r.key; 1 + usize::from(r.key) % 30]));
    let hashes: Vec<u64> = keys.iter().flatten().map(key_hash).collect();
    let arrivals = Arrivals {
        keys: &keys,
        hashes: &hashes,
        times: &records.iter().map(|r| r.time).collect::<Vec<_>>(),
        inputs: &inputs(records),
        partition: partition as u32,
        offsets: &offsets.iter().map(|o| *o as u64).collect::<Vec<_>>(),
    };
    match seen {
        None => {
            windows.insert(&arrivals);
            0
        }
        Some(seen) => {
            let judged = windows.insert_behind(&arrivals, seen);
            judged.iter().filter(|arrival| **arrival == Arrival::Late).count()
        }
    }
}

fn record() -> impl Strategy<Value = Record> {
    let value = prop_oneof![
        8 => (-200i32..200).prop_map(|v| Some(f64::from(v) / 2.0)),
        2 => (-1000i32..1000).prop_map(|v| Some(f64::from(v) / 10.0)),
        1 => Just(None),
    ];
    let number = prop_oneof![9 => -50i64..50, 1 => Just(1i64 << 60)];
    (0u8..6, -60i64..120, value, number, any::<bool>(), 0u8..5)
        .prop_map(|(key, time, value, number, flag, text)| Record { key, time, value, number, flag, text })
}

fn spec() -> impl Strategy<Value = WindowSpec> {
    let sliding = (1i64..12, 1i64..50)
        .prop_map(|(slide, size)| WindowSpec::sliding(size, slide).expect("windows that can be"));
    let growing = (1i64..9, 1i64..7)
        .prop_map(|(step, steps)| WindowSpec::cumulate(step * steps, step).expect("windows that can be"));
    let lateness = prop_oneof![1 => Just(0i64), 1 => 1i64..40];
    let spec = prop_oneof![3 => sliding, 1 => growing];
    (spec, any::<i64>(), lateness, 0i64..5).prop_map(|(spec, offset, lateness, quiet)| {
        let period = if spec.grows { spec.size } else { spec.slide };
        let spec = spec.starting_at(offset % period).and_then(|spec| spec.allowing(lateness));
        let spec = spec.expect("windows that can be");
        let quiet = if spec.grows || lateness > 0 { 0 } else { quiet * spec.slide };
        spec.noticing(quiet).expect("windows that can be")
    })
}

fn case() -> impl Strategy<Value = Case> {
    let partitions = prop::collection::vec(prop::collection::vec(record(), 0..40), 1..4);
    let then = prop_oneof![
        6 => Just(Then::Nothing),
        4 => Just(Then::Snapshot { whole: false }),
        1 => Just(Then::Snapshot { whole: true }),
        2 => Just(Then::Restart),
    ];
    let schedule = prop::collection::vec((0usize..4, 1usize..12, then), 0..30);
    (spec(), 0i64..60, partitions, schedule).prop_map(|(spec, bound, mut partitions, schedule)| {
        // Times that mostly go forward, as a stream's do.
        for records in &mut partitions {
            let count = records.len() as i64;
            for (i, record) in records.iter_mut().enumerate() {
                record.time = record.time / 3 + i as i64 * 60 / count.max(1);
            }
            // What no window covers never comes this far.
            records.retain(|record| spec.coverage().is_none_or(|coverage| coverage.covers(record.time)));
        }
        Case { spec, bound, partitions, schedule }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn windows_give_what_the_rules_say_for_any_batches_partitions_and_restarts(case in case()) {
        let (expected, late) = naive(&case);
        let (rows, found_late) = run(&case);
        prop_assert_eq!(found_late, late);
        for (window, row) in &expected {
            prop_assert_eq!((window, rows.get(window)), (window, Some(row)));
        }
        prop_assert_eq!(rows.len(), expected.len());
    }

    #[test]
    fn a_look_at_a_key_shows_the_oldest_open_window_that_holds_its_newest_record(case in case(), part in 0usize..40) {
        let mut records = case.partitions[0].clone();
        records.sort_by_key(|record| record.time);
        let (first, rest) = records.split_at(part.min(records.len()));
        let closed = first.last().map_or(i64::MIN, |record| record.time - 3);
        let mut windows = Windows::new(case.spec.clone(), aggregates());
        feed(&mut windows, 0, first, &(0..first.len()).collect::<Vec<_>>(), None);
        windows.advance(Watermark(closed), &mut |_| {});
        feed(&mut windows, 0, rest, &(first.len()..records.len()).collect::<Vec<_>>(), None);
        for key in 0u8..6 {
            let bytes = vec![key; 1 + usize::from(key) % 30];
            let found = windows.peek(&bytes, key_hash(&bytes));
            let own = || records.iter().zip(0..).filter(|(record, _)| record.key == key);
            let newest = own().map(|(record, _)| record.time).max();
            let open = |(_, end): &(i64, i64)| end - 1 > closed;
            let windows = newest.map(|newest| windows_of(&case.spec, newest)).unwrap_or_default();
            let expected = windows.into_iter().filter(open).min_by_key(|(start, end)| (*end, *start));
            let expected = expected.map(|(start, end)| {
                let held = own().filter(|(record, _)| (start..end).contains(&record.time));
                let held: Vec<_> = held.map(|(record, offset)| (record.time, 0, offset, record)).collect();
                (start, end, naive_row(&held))
            });
            let found = found.map(|rows| {
                let window = rows.spans.of(0).window;
                (window.start, window.end, texts_of(&rows, 0))
            });
            prop_assert_eq!(found, expected);
        }
    }
}

#[test]
fn workers_of_another_number_share_out_what_a_snapshot_holds() {
    let spec = WindowSpec::sliding(10, 5).unwrap();
    let records: Vec<Record> = (0..200u8)
        .map(|i| Record {
            key: i % 50,
            time: i64::from(i) / 20,
            value: Some(f64::from(i)),
            number: 1,
            flag: true,
            text: i % 7,
        })
        .collect();
    let offsets: Vec<usize> = (0..records.len()).collect();
    let mut windows = Windows::new(spec.clone(), aggregates());
    let mut chain = Chain::default();
    for half in [0..100, 100..200] {
        feed(&mut windows, 0, &records[half.clone()], &offsets[half], None);
        chain.save(&mut windows, false);
    }
    let finish = |windows: &mut Windows| {
        let mut rows = BTreeMap::new();
        windows.advance(Watermark::FINISHED, &mut |closed| {
            for row in 0..closed.keys.len() {
                let start = closed.spans.of(row).window.start;
                rows.insert((start, closed.keys.value(row).to_vec()), texts_of(&closed, row));
            }
        });
        rows
    };
    let expected = finish(&mut windows);
    let mut shared_out = BTreeMap::new();
    for worker in 0..3 {
        let mut windows = Windows::new(spec.clone(), aggregates());
        chain.restore(&mut windows, &|hash| hash % 3 == worker);
        let rows = finish(&mut windows);
        assert!(!rows.is_empty() && rows.len() < expected.len());
        shared_out.extend(rows);
    }
    assert_eq!(shared_out, expected);
}
