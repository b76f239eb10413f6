//! Detectors as scores: rows of many keys in, scores out, over moves, snapshots and silence.

#![allow(clippy::unwrap_used, reason = "a test may panic in its helpers too")]

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, BinaryArray, Float64Array};
use detect::baseline::BaselineSpec;
use detect::cusum::CusumSpec;
use detect::forest::{SeriesSpec, StreamSpec};
use detect::page_hinkley::PageHinkleySpec;
use detect::robust::RobustSpec;
use detect::{Chosen, Detection, Detector, Detectors, Method, SavedDetectors, Scoring};
use event::{Batch, DataType, Evaluation, Expression, Field, KeyShape, Rows, Schema, Spans, Window};

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 1440 * MINUTE;

/// The column of that place.
#[derive(Debug)]
struct Column(usize);

impl Expression for Column {
    fn data_type(&self) -> DataType {
        DataType::Double
    }

    fn columns(&self) -> Vec<usize> {
        vec![self.0]
    }

    fn evaluate(&self, batch: &Batch) -> Evaluation {
        Evaluation { column: batch.column(self.0).clone(), failures: Vec::new() }
    }
}

/// Rows are `user, window_start, window_end, x, y`, and then the scores.
fn detection(methods: Vec<(Method, usize)>) -> Detection {
    let feature =
        |name: &str, place: usize| (name.to_owned(), Arc::new(Column(place)) as Arc<dyn Expression>);
    let scores = methods.into_iter().enumerate().map(|(number, (method, inputs))| {
        let inputs = (3..3 + inputs).map(|place| feature(&format!("column {place}"), place)).collect();
        let detector = Detector { records_min: 2, ..Detector::new(method, inputs) };
        (format!("score{number}"), Scoring::Detector(Box::new(detector)))
    });
    Detection::new(
        vec![Field::new("user", DataType::Varchar)],
        KeyShape::new(vec![DataType::Varchar]).unwrap(),
        vec![feature("x", 0), feature("y", 1)],
        scores.collect(),
        vec![],
    )
    .unwrap()
}

fn all_methods() -> Detection {
    let baseline = BaselineSpec { period: Some(MINUTE), ..BaselineSpec::default() };
    let stream = StreamSpec { trees: 5, sample: 32, ..StreamSpec::new(2) };
    let series = SeriesSpec { trees: 5, sample: 32, shape: 4, warmup: 10, ..SeriesSpec::default() };
    detection(vec![
        (Method::Baseline(baseline.clone()), 2),
        (Method::Robust(RobustSpec::default()), 2),
        (Method::Cusum(baseline.clone(), CusumSpec::default()), 1),
        (Method::PageHinkley(baseline, PageHinkleySpec::default()), 2),
        (
            Method::Forest { spec: Box::new(stream), keys: Chosen::Listed(vec![b"u3".into(), b"u4".into()]) },
            2,
        ),
        (Method::Series { spec: series, keys: Chosen::All }, 1),
    ])
}

/// A few keys with values of their own; what is missing is `None`.
type Minute = Vec<(String, u64, [Option<f64>; 2])>;

fn rows(end: i64, minute: &Minute) -> Rows {
    let schema =
        Arc::new(Schema::new(vec![Field::new("x", DataType::Double), Field::new("y", DataType::Double)]));
    let column = |place: usize| {
        Arc::new(minute.iter().map(|(_, _, values)| values[place]).collect::<Float64Array>()) as ArrayRef
    };
    Rows {
        spans: Spans::Shared(Window { start: end - MINUTE, end }),
        keys: BinaryArray::from_iter_values(minute.iter().map(|(key, ..)| key.as_bytes())),
        records: minute.iter().map(|(_, records, _)| *records).collect(),
        aggregates: Batch::new(schema, vec![column(0), column(1)], minute.len()),
        previous: vec![],
        failures: vec![],
    }
}

/// What is said of each key: the bits of its scores, `None` for NULL.
type Said = BTreeMap<String, Vec<Option<u64>>>;

fn said(detection: &Detection, known: &mut Detectors, end: i64, minute: &Minute) -> Said {
    let detected = detection.judge(&rows(end, minute), Some(known));
    assert_eq!(detected.hits.len(), minute.len(), "without rules every row is put out");
    let scores = detection.row_schema().scores();
    let of_row = |row: usize| {
        let score = |place: usize| {
            let column = detected.batch.column(place).as_primitive::<Float64Type>();
            column.is_valid(row).then(|| column.value(row).to_bits())
        };
        (minute[row].0.clone(), scores.clone().map(score).collect())
    };
    (0..minute.len()).map(of_row).collect()
}

/// Numbers that look random.
fn noise(seed: u64) -> f64 {
    let mixed =
        (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

fn minutes(count: u64, keys: u64) -> Vec<Minute> {
    let minute = |minute: u64| -> Minute {
        let row = |key: u64| {
            let seed = minute * 1000 + key * 10;
            let spike = if minute % 37 == key { 30.0 } else { 0.0 };
            let x = (noise(seed) > 0.05).then(|| key as f64 * 5.0 + noise(seed + 1) + spike);
            let y = (noise(seed + 2) > 0.05).then(|| noise(seed + 3) * 4.0);
            (format!("u{key}"), (noise(seed + 4) * 12.0) as u64, [x, y])
        };
        (0..keys).filter(|key| noise(minute * 77 + key) > 0.2).map(row).collect()
    };
    (0..count).map(minute).collect()
}

fn owned(minute: &Minute, owns: impl Fn(&str) -> bool) -> Minute {
    minute.iter().filter(|(key, ..)| owns(key)).cloned().collect()
}

/// One worker for each key, which nothing ever happens to.
fn each_alone(detection: &Detection, minutes: &[Minute]) -> Vec<Said> {
    let mut workers: BTreeMap<String, Detectors> = BTreeMap::new();
    let mut all = Vec::new();
    for (number, minute) in (1..).zip(minutes) {
        let mut said_here = Said::new();
        for row in minute {
            let known = workers.entry(row.0.clone()).or_insert_with(|| detection.detectors().unwrap());
            said_here.extend(said(detection, known, number * MINUTE, &vec![row.clone()]));
        }
        all.push(said_here);
    }
    all
}

fn saved(known: &mut Detectors, whole: bool) -> Vec<SavedDetectors> {
    known.begin_save(whole);
    std::iter::from_fn(|| known.save(2)).collect()
}

#[test]
fn a_key_is_judged_by_its_own_rows_whatever_workers_it_moves_between() {
    let detection = all_methods();
    let minutes = minutes(240, 7);
    let expected = each_alone(&detection, &minutes);
    let mut workers = vec![detection.detectors().unwrap()];
    let mut known_scores = 0;
    for (number, minute) in minutes.iter().enumerate() {
        if number % 40 == 39 {
            let chunks: Vec<SavedDetectors> =
                workers.iter_mut().flat_map(|known| saved(known, true)).collect();
            let count = 1 + number / 40 % 3;
            workers = (0..count).map(|_| detection.detectors().unwrap()).collect();
            for (worker, known) in workers.iter_mut().enumerate() {
                let bytes: Vec<Vec<u8>> =
                    chunks.iter().map(|chunk| bincode::serialize(chunk).unwrap()).collect();
                let owns = |key: &[u8]| usize::from(key[1]) % count == worker;
                bytes.iter().for_each(|bytes| known.restore(&bincode::deserialize(bytes).unwrap(), &owns));
            }
        }
        let mut found = Said::new();
        let count = workers.len();
        for (worker, known) in workers.iter_mut().enumerate() {
            let part = owned(minute, |key| usize::from(key.as_bytes()[1]) % count == worker);
            found.extend(said(&detection, known, (number as i64 + 1) * MINUTE, &part));
        }
        assert_eq!(found, expected[number], "minute {number}");
        known_scores += found.values().flatten().flatten().count();
    }
    assert!(known_scores > 3000, "{known_scores}");
}

#[test]
fn snapshots_of_what_has_changed_add_up_to_what_is_known() {
    let detection = all_methods();
    let minutes = minutes(200, 9);
    let mut known = detection.detectors().unwrap();
    let mut chunks: Vec<SavedDetectors> = Vec::new();
    for (number, minute) in minutes.iter().enumerate() {
        // Not all keys all the time, so that snapshots are of some.
        let part = owned(minute, |key| usize::from(key.as_bytes()[1]) % 3 == number / 10 % 3);
        let end = (number as i64 + 1) * MINUTE;
        said(&detection, &mut known, end, &part);
        if number % 10 == 9 {
            if known.begin_save(number == 9) {
                chunks.clear();
            }
            chunks.extend(std::iter::from_fn(|| known.save(2)));
            let mut restored = detection.detectors().unwrap();
            chunks.iter().for_each(|chunk| restored.restore(chunk, &|_| true));
            assert_eq!(restored.len(), known.len());
            // Asked both about the same, on copies that then differ no more.
            let next = &minutes[(number + 1) % minutes.len()];
            let keys = rows(end + MINUTE, next).keys;
            let ask =
                |known: &Detectors| said(&detection, &mut known.of_keys(&keys).unwrap(), end + MINUTE, next);
            assert_eq!(ask(&restored), ask(&known), "minute {number}");
        }
    }
}

#[test]
fn a_key_that_comes_back_too_late_is_new_whether_or_not_it_was_swept() {
    let spec = BaselineSpec { warmup: 3, ..BaselineSpec::default() };
    let detection = detection(vec![(Method::Baseline(spec), 1)]).forgetting(DAY);
    let row = |x: f64| vec![("u1".to_owned(), 5, [Some(x), None])];
    let score = |known: &mut Detectors, end: i64, x: f64| said(&detection, known, end, &row(x))["u1"][0];
    let warm = || {
        let mut known = detection.detectors().unwrap();
        (1..=5).for_each(|minute| {
            assert!(score(&mut known, minute * MINUTE, 4.0 + noise(minute as u64)).is_some() == (minute > 3))
        });
        known
    };
    let last = 5 * MINUTE;
    assert!(score(&mut warm(), last + DAY, 4.0).is_some());
    assert!(score(&mut warm(), last + DAY + 1, 4.0).is_none());
    let mut swept = warm();
    swept.advance(last + DAY);
    assert_eq!(swept.len(), 1, "it may still come back");
    // Beside others that stay, so that the next snapshot is of what has changed.
    let other = |key: &str| vec![(key.to_owned(), 5, [Some(1.0), None])];
    let mut swept = warm();
    said(&detection, &mut swept, last, &other("u2"));
    said(&detection, &mut swept, last + DAY, &other("u3"));
    let mut chunks = saved(&mut swept, true);
    said(&detection, &mut swept, last + DAY + MINUTE, &other("u2"));
    swept.advance(last + DAY + 2 * MINUTE);
    assert_eq!(swept.len(), 2);
    assert!(!swept.begin_save(false));
    chunks.extend(std::iter::from_fn(|| swept.save(2)));
    let mut restored = detection.detectors().unwrap();
    chunks.iter().for_each(|chunk| restored.restore(chunk, &|_| true));
    assert_eq!(restored.len(), 2, "that a key is forgotten is in the snapshot");
    assert!(score(&mut swept, last + DAY + 2 * MINUTE, 4.0).is_none());
}

#[test]
fn rows_of_one_key_that_come_together_are_judged_one_after_the_other_also_over_a_long_silence() {
    let spec = BaselineSpec { warmup: 3, ..BaselineSpec::default() };
    let detection = detection(vec![(Method::Baseline(spec), 1)]).forgetting(DAY);
    let ends: Vec<i64> = (1..=6).chain(2000..2006).map(|minute| minute * MINUTE).collect();
    let minute: Minute =
        (0..ends.len() as u64).map(|row| ("u1".into(), 9, [Some(noise(row)), None])).collect();
    let own = ends.iter().map(|end| Window { start: end - MINUTE, end: *end }.into()).collect();
    let together = Rows { spans: Spans::Own(own), ..rows(0, &minute) };
    let detected = detection.judge(&together, detection.detectors().as_mut());
    let scores = detected.batch.column(detection.row_schema().scores().start).as_primitive::<Float64Type>();
    let mut known = detection.detectors().unwrap();
    let mut none = 0;
    for (row, end) in ends.iter().enumerate() {
        let alone = said(&detection, &mut known, *end, &vec![minute[row].clone()])["u1"][0];
        assert_eq!(scores.is_valid(row).then(|| scores.value(row).to_bits()), alone, "row {row}");
        none += usize::from(alone.is_none());
    }
    assert_eq!(none, 6, "warm-up, twice");
}

#[test]
fn a_row_of_too_few_records_is_neither_judged_nor_learned() {
    let spec = BaselineSpec { warmup: 3, ..BaselineSpec::default() };
    let detection = detection(vec![(Method::Baseline(spec), 1)]);
    let mut known = detection.detectors().unwrap();
    let mut score = |minute: i64, records: u64, x: f64| {
        let row = vec![("u1".to_owned(), records, [Some(x), None])];
        said(&detection, &mut known, minute * MINUTE, &row)["u1"][0].map(f64::from_bits)
    };
    for minute in 1..=9 {
        score(minute, 9, 4.0 + noise(minute as u64));
    }
    assert_eq!(score(10, 1, 1000.0), None);
    assert!(score(11, 9, 4.5).unwrap() < 1.0);
    assert!(score(12, 9, 1000.0).unwrap() > 1.0);
}

#[test]
fn detectors_that_look_at_the_same_keep_their_own_memory_over_a_move_and_when_they_are_asked() {
    let spec = |memory: u8, warmup: u8| BaselineSpec { memory, warmup, ..BaselineSpec::default() };
    let forest = StreamSpec { trees: 5, sample: 32, ..StreamSpec::new(1) };
    let forest = |seed: u64| Method::Forest {
        spec: Box::new(StreamSpec { seed, ..forest.clone() }),
        keys: Chosen::All,
    };
    let detection = detection(vec![
        (Method::Baseline(spec(10, 3)), 1),
        (Method::Baseline(spec(100, 20)), 1),
        (forest(1), 1),
        (forest(2), 1),
    ]);
    let minutes = minutes(120, 3);
    let expected = each_alone(&detection, &minutes);
    let mut known = detection.detectors().unwrap();
    for (number, minute) in minutes.iter().enumerate() {
        let end = (number as i64 + 1) * MINUTE;
        if number % 30 == 29 {
            let mut moved = detection.detectors().unwrap();
            saved(&mut known, true).iter().for_each(|chunk| moved.restore(chunk, &|_| true));
            known = moved;
        }
        let mut asked = known.of_keys(&rows(end, minute).keys).unwrap();
        assert_eq!(said(&detection, &mut asked, end, minute), expected[number], "asked in minute {number}");
        assert_eq!(said(&detection, &mut known, end, minute), expected[number], "minute {number}");
    }
}
