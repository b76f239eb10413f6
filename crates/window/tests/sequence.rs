//! Sessions, count windows and `each` against a naive reading of the rules: all records at once, in their order.

#[path = "own/mod.rs"]
mod own;
#[path = "sequence/triggers.rs"]
mod triggers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray};
use event::{
    Aggregate, AggregateFunction as F, DataType, Fraction, Outcome, Place, Rows, Span, Watermark, Window,
    key_hash,
};
use proptest::prelude::*;
use window::{Assigner, KEYS, Run, Sequence, SequenceSpec, StateChunk};

#[derive(Debug, Clone)]
struct Record {
    key: u8,
    time: i64,
    gap: i64,
    value: Option<f64>,
    number: i64,
    flag: bool,
    text: u8,
}

/// A record with its place in the order of all.
#[derive(Debug, Clone)]
struct Placed {
    seen: i64,
    partition: usize,
    offset: usize,
    record: Record,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Then {
    Nothing,
    /// A snapshot is taken; a whole one if told so.
    Snapshot {
        whole: bool,
    },
    /// A snapshot is taken, and so many workers go on from all snapshots since the last restart.
    Restart {
        workers: u64,
    },
}

/// What happens next: so many records of a partition come, and the watermark moves.
#[derive(Debug, Clone, Copy)]
struct Step {
    partition: usize,
    records: usize,
    /// The watermark moves only as far as it was before them.
    lags: bool,
    rows_max: usize,
    then: Then,
}

#[derive(Debug, Clone)]
struct Case {
    spec: SequenceSpec,
    bound: i64,
    /// Records wait until the watermark is past their `seen`, as where partitions may sleep.
    strict: bool,
    partitions: Vec<Vec<Record>>,
    schedule: Vec<Step>,
}

fn aggregates() -> Vec<Aggregate> {
    let of = |function, argument, filtered| Aggregate { filtered, ..Aggregate::of(function, argument) };
    let mut aggregates = vec![
        of(F::Sum, Some(DataType::Double), true),
        of(F::Count, None, false),
        of(F::Sum, Some(DataType::Bigint), false),
        of(F::Min, Some(DataType::Double), false),
        of(F::Max, Some(DataType::Varchar), false),
        of(F::First, Some(DataType::Double), false),
        of(F::Last, Some(DataType::Varchar), true),
        of(F::Stddev, Some(DataType::Bigint), false),
        of(F::BoolOr, Some(DataType::Boolean), false),
        of(F::Count, Some(DataType::Varchar), false).distinct(),
        of(F::Sum, Some(DataType::Bigint), true).distinct(),
        of(F::ApproxDistinct, Some(DataType::Varchar), false),
        of(F::ApproxPercentile, Some(DataType::Bigint), false).at(Fraction::new(0.5).expect("a fraction")),
    ];
    aggregates.extend(own::aggregates());
    aggregates
}

fn inputs(records: &[Placed]) -> Vec<ArrayRef> {
    let records = || records.iter().map(|placed| &placed.record);
    let flags = || Arc::new(BooleanArray::from_iter(records().map(|r| Some(r.flag)))) as ArrayRef;
    let values = || Arc::new(Float64Array::from_iter(records().map(|r| r.value))) as ArrayRef;
    let texts = || Arc::new(StringArray::from_iter_values(records().map(text))) as ArrayRef;
    let numbers = || Arc::new(Int64Array::from_iter_values(records().map(|r| r.number))) as ArrayRef;
    let small = || Arc::new(Int64Array::from_iter_values(records().map(|r| i64::from(r.text)))) as ArrayRef;
    let mut inputs =
        vec![flags(), values(), numbers(), values(), texts(), values(), flags(), texts(), small(), flags()];
    inputs.extend([texts(), flags(), numbers(), texts(), small()]);
    inputs.extend([flags(), values(), numbers(), flags(), texts()]);
    inputs
}

fn text(record: &Record) -> String {
    format!("t{}", record.text)
}

/// Longer than what the table of keys holds in place, now and then.
fn key(record: &Record) -> Vec<u8> {
    vec![record.key; 1 + usize::from(record.key) * 7]
}

type Row = Vec<String>;

/// One text per aggregate, so that rows can be compared.
fn texts_of(rows: &Rows, row: usize) -> Row {
    let texts = rows.aggregates.columns().iter().map(|column| {
        if column.is_null(row) {
            return "null".to_owned();
        }
        if let Some(numbers) = column.as_primitive_opt::<Int64Type>() {
            return numbers.value(row).to_string();
        }
        if let Some(doubles) = column.as_primitive_opt::<Float64Type>() {
            return format!("{:.12e}", doubles.value(row));
        }
        match column.as_string_opt::<i32>() {
            Some(texts) => texts.value(row).to_owned(),
            None => column.as_boolean().value(row).to_string(),
        }
    });
    texts.chain([rows.records[row].to_string()]).collect()
}

/// The exact sum, rounded once: the values are multiples of 2^-100, and few.
fn exact_sum(values: &[f64]) -> f64 {
    let scale = 2f64.powi(100);
    values.iter().map(|value| (value * scale) as i128).sum::<i128>() as f64 / scale
}

/// The middle of the median's bin, which is between two powers of 1.02.
fn median(values: &[i64]) -> String {
    let mut values = values.to_vec();
    values.sort_unstable();
    let median = values[(values.len() - 1) / 2];
    if median == 0 {
        return format!("{:.12e}", 0.0);
    }
    let mut upper = 1.0;
    while upper < median as f64 {
        upper *= 1.02;
    }
    format!("{:.12e}", upper * 2.0 / 2.02)
}

fn naive_row(held: &[&Placed]) -> Row {
    let null = || "null".to_owned();
    let double = |v: f64| format!("{v:.12e}");
    let records = || held.iter().map(|placed| &placed.record);
    let values: Vec<f64> = records().filter_map(|r| r.value).collect();
    let flagged: Vec<f64> = records().filter(|r| r.flag).filter_map(|r| r.value).collect();
    let small: Vec<i64> = records().map(|r| i64::from(r.text)).collect();
    // Whole numbers up to the quotient, which is rounded once.
    let (count, total) = (small.len() as i64, small.iter().sum::<i64>());
    let spread = count * small.iter().map(|v| v * v).sum::<i64>() - total * total;
    let variance = spread as f64 / (count * (count - 1)) as f64;
    let order = |placed: &&&Placed| (placed.record.time, placed.partition, placed.offset);
    let texts: BTreeSet<String> = records().map(text).collect();
    let different: BTreeSet<i128> = records().filter(|r| r.flag).map(|r| i128::from(r.number)).collect();
    let first = held.iter().min_by_key(order);
    let last = held.iter().filter(|placed| placed.record.flag).max_by_key(order);
    let (own_median, squares, longest) =
        own::naive(&flagged, records().map(|r| r.number), records().filter(|r| r.flag).map(text));
    vec![
        if flagged.is_empty() { null() } else { double(exact_sum(&flagged)) },
        held.len().to_string(),
        records().map(|r| i128::from(r.number)).sum::<i128>().to_string(),
        values.iter().copied().min_by(f64::total_cmp).map_or_else(null, double),
        records().map(text).max().unwrap_or_else(null),
        first.and_then(|placed| placed.record.value).map_or_else(null, double),
        last.map_or_else(null, |placed| text(&placed.record)),
        if small.len() < 2 { null() } else { double(variance.sqrt()) },
        records().any(|r| r.flag).to_string(),
        texts.len().to_string(),
        if different.is_empty() { null() } else { different.iter().sum::<i128>().to_string() },
        texts.len().to_string(),
        median(&small),
        own_median.map_or_else(null, double),
        squares.to_string(),
        longest.unwrap_or_else(null),
        held.len().to_string(),
    ]
}

/// Due, class, window, key, sequence: what names a row; and what it is.
type Name = (i64, bool, i64, i64, Vec<u8>, u64, Outcome, i64);

#[derive(Debug, Default, PartialEq)]
struct Answer {
    rows: BTreeMap<Name, Row>,
    late: BTreeSet<(usize, usize)>,
}

impl Answer {
    fn add(&mut self, held: &[&Placed], span: Span) {
        let Span { window, due, by_record, sequence, outcome, first_end } = span;
        let key = key(&held[0].record);
        let name = (due, by_record, window.start, window.end, key, sequence, outcome, first_end);
        assert!(self.rows.insert(name, naive_row(held)).is_none(), "a name is given once");
    }

    fn take(&mut self, rows: &Rows) {
        assert!(rows.failures.is_empty());
        for row in 0..rows.keys.len() {
            let Span { window, due, by_record, sequence, outcome, first_end } = rows.spans.of(row);
            let key = rows.keys.value(row).to_vec();
            let name = (due, by_record, window.start, window.end, key, sequence, outcome, first_end);
            assert!(self.rows.insert(name.clone(), texts_of(rows, row)).is_none(), "twice: {name:?}");
        }
    }
}

/// The records of a partition, each with the watermark just before it.
fn placed(case: &Case, partition: usize) -> Vec<Placed> {
    let mut mark = i64::MIN;
    let records = case.partitions[partition].iter().enumerate();
    let placed = records.map(|(offset, record)| {
        let seen = mark;
        mark = mark.max(record.time - case.bound - 1);
        Placed { seen, partition, offset, record: record.clone() }
    });
    placed.collect()
}

fn naive(case: &Case) -> Answer {
    let mut all: Vec<Placed> = (0..case.partitions.len()).flat_map(|p| placed(case, p)).collect();
    all.sort_by_key(|placed| (placed.seen, placed.partition, placed.offset));
    let mut answer = Answer::default();
    for key in 0..=u8::MAX {
        let records: Vec<&Placed> = all.iter().filter(|placed| placed.record.key == key).collect();
        match case.spec.clone() {
            SequenceSpec::Session { gap } => naive_sessions(&records, |_| gap, &mut answer),
            SequenceSpec::SessionByRecord => naive_sessions(&records, |record| record.gap, &mut answer),
            SequenceSpec::Count { size, slide, expires } => {
                naive_counts(&records, size as usize, slide as usize, expires, &mut answer);
            }
            SequenceSpec::Triggered(spec) => {
                triggers::naive(&spec, &records, &mut answer);
            }
        }
    }
    answer
}

fn naive_sessions(records: &[&Placed], gap: impl Fn(&Record) -> i64, answer: &mut Answer) {
    let close = |(start, end, held): &(i64, i64, Vec<&Placed>), answer: &mut Answer| {
        let window = Window { start: *start, end: *end };
        answer.add(held, Span::from(window));
    };
    let mut open: Vec<(i64, i64, Vec<&Placed>)> = Vec::new();
    for placed in records {
        let (due, still): (Vec<_>, Vec<_>) = open.into_iter().partition(|(_, end, _)| end - 1 <= placed.seen);
        due.iter().for_each(|session| close(session, answer));
        let (start, end) = (placed.record.time, placed.record.time + gap(&placed.record));
        let (touched, mut rest): (Vec<_>, Vec<_>) =
            still.into_iter().partition(|(from, to, _)| *from <= end && start <= *to);
        let mut merged = (start, end, vec![*placed]);
        for (from, to, held) in touched {
            merged = (merged.0.min(from), merged.1.max(to), [merged.2, held].concat());
        }
        match merged.1 - 1 <= placed.seen {
            true => assert!(answer.late.insert((placed.partition, placed.offset))),
            false => rest.push(merged),
        }
        open = rest;
    }
    open.iter().for_each(|session| close(session, answer));
}

fn naive_counts(records: &[&Placed], size: usize, slide: usize, expires: Option<i64>, answer: &mut Answer) {
    // Where windows do not overlap, windows are numbered anew where none is open and none is due as late.
    let (mut first, mut due, mut last) = (0, i64::MIN, i64::MIN);
    for (number, placed) in records.iter().enumerate() {
        let is_gone = expires.is_some_and(|idle| last.saturating_add(idle) <= placed.seen) && last > i64::MIN;
        if is_gone || size <= slide && (number - first) % slide == 0 && placed.seen > due {
            (first, last) = (number, i64::MIN);
        }
        last = last.max(placed.record.time).max(placed.seen);
        let count = number + 1 - first;
        if count % slide == 0 {
            let held = &records[first + count.saturating_sub(size)..=number];
            due = placed.seen;
            let times = || held.iter().map(|placed| placed.record.time);
            let window =
                Window { start: times().min().expect("a record"), end: times().max().expect("a record") + 1 };
            answer.add(
                held,
                Span {
                    due: placed.seen,
                    by_record: true,
                    sequence: (count / slide - 1) as u64,
                    ..Span::from(window)
                },
            );
        }
    }
}

/// The chunks that snapshots have left and that are still needed, as a store would keep them.
#[derive(Default)]
struct Chain {
    cut: u32,
    chunks: Vec<(u32, StateChunk)>,
}

impl Chain {
    fn save(&mut self, sequence: &mut Sequence, whole: bool) {
        self.cut += 1;
        let live: Vec<i64> = sequence.labels().collect();
        self.chunks.retain(|(_, chunk)| chunk.label == KEYS || live.contains(&chunk.label));
        let again = sequence.begin_snapshot(self.cut, whole);
        self.chunks.retain(|(cut, chunk)| chunk.label != KEYS || !again.contains(cut));
        if whole {
            self.chunks.clear();
        }
        while let Some(chunk) = sequence.next_chunk() {
            if chunk.supersedes {
                self.chunks.retain(|(cut, older)| older.label != chunk.label || *cut == self.cut);
            }
            self.chunks.push((self.cut, chunk));
        }
    }

    fn restore(&self, sequence: &mut Sequence, owns: &dyn Fn(u64) -> bool) {
        let mut restoration = sequence.restore(owns);
        for keys in [true, false] {
            for (_, chunk) in self.chunks.iter().filter(|(_, chunk)| (chunk.label == KEYS) == keys) {
                restoration.take(chunk.head.clone(), &chunk.packed_parts()).expect("its own chunk");
            }
        }
        restoration.finish().expect("its own chain");
    }
}

/// A run of the records that belong to a worker.
fn run_of(records: &[Placed], behind: bool, owns: &dyn Fn(u64) -> bool) -> Run {
    let own = |placed: &&Placed| owns(key_hash(&key(&placed.record)));
    let records: Vec<Placed> = records
        .iter()
        .filter(own)
        .filter(|placed| (placed.record.time <= placed.seen) == behind)
        .cloned()
        .collect();
    let keys = BinaryArray::from_iter_values(records.iter().map(|placed| key(&placed.record)));
    let partition = records.first().map_or(0, |placed| placed.partition as u32);
    let raw = |placed: &Placed| format!("{}:{}", placed.partition, placed.offset).into_bytes();
    Run {
        partition,
        series: partition,
        hashes: keys.iter().flatten().map(key_hash).collect(),
        times: records.iter().map(|placed| placed.record.time).collect(),
        seen: records.iter().map(|placed| placed.seen).collect(),
        offsets: records.iter().map(|placed| placed.offset as u64).collect(),
        gaps: Some(records.iter().map(|placed| placed.record.gap).collect()),
        inputs: inputs(&records),
        raw: if behind { records.iter().map(raw).collect() } else { Vec::new() },
        keys,
    }
}

/// Workers that share the keys out.
struct Workers {
    spec: SequenceSpec,
    workers: Vec<(Sequence, Chain)>,
    answer: Answer,
}

impl Workers {
    fn new(spec: SequenceSpec, workers: u64) -> Self {
        let workers = (0..workers).map(|_| (Sequence::new(spec.clone(), aggregates()), Chain::default()));
        let workers = workers.collect();
        Workers { spec, workers, answer: Answer::default() }
    }

    fn hold(&mut self, records: &[Placed]) {
        let peers = self.workers.len() as u64;
        for (worker, (sequence, _)) in (0..).zip(&mut self.workers) {
            for behind in [false, true] {
                sequence.hold(run_of(records, behind, &|hash| hash % peers == worker));
            }
        }
    }

    fn advance(&mut self, to: Place, rows_max: usize) {
        let is_triggered = matches!(self.spec, SequenceSpec::Triggered(_));
        for (sequence, _) in &mut self.workers {
            let mut due = i64::MIN;
            let mut take = |rows: Rows| {
                for row in 0..rows.keys.len() {
                    let span = rows.spans.of(row);
                    assert!(
                        (is_triggered || due <= span.due) && span.due <= to.seen.0,
                        "rows come when they are due"
                    );
                    due = span.due;
                }
                self.answer.take(&rows);
            };
            while !sequence.advance_some(to, rows_max, &mut take) {}
            let judged = sequence.take_judged();
            for late in judged.late {
                assert_eq!(late.raw, format!("{}:{}", late.partition, late.offset).into_bytes());
                assert!(late.time <= late.seen);
                assert!(self.answer.late.insert((late.partition as usize, late.offset as usize)));
            }
        }
    }

    fn then(&mut self, then: Then) {
        if then == Then::Nothing {
            return;
        }
        for (sequence, chain) in &mut self.workers {
            chain.save(sequence, then == Then::Snapshot { whole: true });
        }
        if let Then::Restart { workers } = then {
            let before =
                std::mem::replace(&mut self.workers, Workers::new(self.spec.clone(), workers).workers);
            for (worker, (sequence, _)) in (0..).zip(&mut self.workers) {
                for (_, chain) in &before {
                    chain.restore(sequence, &|hash| hash % workers == worker);
                }
            }
        }
    }
}

/// Feeds a case through `Sequence`, as workers would.
fn run(case: &Case) -> Answer {
    let mut workers = Workers::new(case.spec.clone(), 1);
    let partitions: Vec<Vec<Placed>> = (0..case.partitions.len()).map(|p| placed(case, p)).collect();
    let mut read = vec![0; partitions.len()];
    let reached = |read: &[usize]| {
        let places = read.iter().zip(&partitions).enumerate().map(|(partition, (read, records))| {
            let next = records.get(*read);
            next.map_or(Place::END, |next| Place {
                seen: Watermark(next.seen),
                series: partition as u32,
                offset: *read as u64,
            })
        });
        let place = places.min().expect("a partition");
        if case.strict && place != Place::END { Place::first_at(place.seen) } else { place }
    };
    let rest = (0..partitions.len()).map(|partition| Step {
        partition,
        records: usize::MAX,
        lags: false,
        rows_max: 3,
        then: Then::Nothing,
    });
    for step in case.schedule.iter().copied().chain(rest) {
        let partition = step.partition % partitions.len();
        let before = reached(&read);
        let to = partitions[partition].len().min(read[partition].saturating_add(step.records));
        workers.hold(&partitions[partition][read[partition]..to]);
        read[partition] = to;
        workers.advance(if step.lags { before } else { reached(&read) }, step.rows_max);
        workers.then(step.then);
    }
    for (sequence, _) in &workers.workers {
        let open = match &case.spec {
            SequenceSpec::Count { size, slide, expires } => (*size, *slide) != (1, 1) && expires.is_none(),
            SequenceSpec::Triggered(spec) => spec.windows == Assigner::Global && spec.expires.is_none(),
            _ => false,
        };
        assert!(sequence.waiting() == 0 && (open || sequence.keys() == 0), "nothing is left behind");
    }
    workers.answer
}

fn record() -> impl Strategy<Value = Record> {
    let value = prop_oneof![
        8 => (-200i32..200).prop_map(|v| Some(f64::from(v) / 2.0)),
        2 => (-1000i32..1000).prop_map(|v| Some(f64::from(v) * 2f64.powi(-40))),
        1 => (-1000i32..1000).prop_map(|v| Some(f64::from(v) * 2f64.powi(-100))),
        1 => Just(None),
    ];
    let number = prop_oneof![9 => -50i64..50, 1 => Just((1i64 << 47) + 1), 1 => Just(1i64 << 52)];
    let gap = prop_oneof![6 => 1i64..9, 1 => 20i64..60];
    (0u8..5, -60i64..120, gap, value, number, any::<bool>(), 0u8..5).prop_map(
        |(key, time, gap, value, number, flag, text)| Record { key, time, gap, value, number, flag, text },
    )
}

fn spec() -> impl Strategy<Value = SequenceSpec> {
    prop_oneof![
        3 => (1i64..15).prop_map(|gap| SequenceSpec::session(gap).expect("windows that can be")),
        3 => Just(SequenceSpec::SessionByRecord),
        2 => (1u64..7).prop_map(|size| SequenceSpec::count(size).expect("windows that can be")),
        4 => (1u64..9, 1u64..7).prop_map(|(size, slide)| {
            SequenceSpec::count_sliding(size, slide).expect("windows that can be")
        }),
        3 => (1u64..9, 1u64..7, 1i64..40).prop_map(|(size, slide, idle)| {
            let spec = SequenceSpec::count_sliding(size, slide).and_then(|spec| spec.expiring(idle));
            spec.expect("windows that can be")
        }),
        1 => Just(SequenceSpec::each()),
        9 => triggers::spec().prop_map(|spec| SequenceSpec::Triggered(Box::new(spec))),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let then = prop_oneof![
        6 => Just(Then::Nothing),
        4 => Just(Then::Snapshot { whole: false }),
        1 => Just(Then::Snapshot { whole: true }),
        2 => (1u64..5).prop_map(|workers| Then::Restart { workers }),
    ];
    let rows_max = prop_oneof![Just(1usize), Just(2), Just(7), Just(usize::MAX)];
    (0usize..4, 1usize..12, any::<bool>(), rows_max, then).prop_map(
        |(partition, records, lags, rows_max, then)| Step { partition, records, lags, rows_max, then },
    )
}

fn case() -> impl Strategy<Value = Case> {
    let partitions = prop::collection::vec(prop::collection::vec(record(), 0..40), 1..4);
    let schedule = prop::collection::vec(step(), 0..30);
    (spec(), 0i64..60, any::<bool>(), partitions, schedule).prop_map(
        |(spec, bound, strict, mut partitions, schedule)| {
            // Times that mostly go forward, as a stream's do.
            for records in &mut partitions {
                let count = records.len() as i64;
                for (i, record) in records.iter_mut().enumerate() {
                    record.time = record.time / 3 + i as i64 * 90 / count.max(1);
                }
            }
            Case { spec, bound, strict, partitions, schedule }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn windows_in_order_give_what_the_rules_say_for_any_batches_partitions_and_workers(case in case()) {
        let (expected, found) = (naive(&case), run(&case));
        prop_assert_eq!(&found.late, &expected.late);
        for (name, row) in &expected.rows {
            prop_assert_eq!((name, found.rows.get(name)), (name, Some(row)));
        }
        prop_assert_eq!(found.rows.len(), expected.rows.len());
    }
}
