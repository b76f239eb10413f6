//! What personal baselines cost when a window of many keys closes: ns a key and feature, and bytes a key.
//!
//! `cargo run --release -p detect --example baseline_cost`
//!
//! The limit is written by hand: 10 ns for a million keys with 8 features. Once the columns alone, and once as a job has them: with a
//! table of keys, values taken from columns of features, scores as a column, and a rule that finds nothing.

#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::Instant;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, Float64Array};
use detect::baseline::{BaselineColumns, BaselineSpec, Deviations, Dues};
use detect::{Detection, Detector, Method, Rule, Scoring, SlotState};
use event::{
    Batch, DataType, Evaluation, Expression, Field, KeyShape, Rows, Schema, Severity, Spans, Window,
};

const KEYS: usize = 1_000_000;
const FEATURES: usize = 8;
/// Rows that come at a time, as the engine hands them on.
const ROWS: usize = 8_192;
const LIMIT_NS: f64 = 10.0;

fn random(number: u64) -> u64 {
    let z = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z ^ (z >> 27)
}

/// Keys in order have places in none.
fn shuffled() -> Vec<u32> {
    let mut slots: Vec<u32> = (0..KEYS as u32).collect();
    for place in (1..KEYS).rev() {
        slots.swap(place, (random(place as u64) % (place as u64 + 1)) as usize);
    }
    slots
}

fn values(window: u64) -> Vec<Vec<f64>> {
    let value = |row: usize, feature: usize| random((row * FEATURES + feature) as u64 * 31 + window) % 1000;
    (0..FEATURES).map(|feature| (0..KEYS).map(|row| 50.0 + value(row, feature) as f64).collect()).collect()
}

fn main() {
    let (costs, bytes) = columns_alone();
    // Others share the machine: portions during which they ran say nothing.
    let (least, quarter) = (costs[0], costs[costs.len() / 4]);
    println!(
        "{KEYS} keys x {FEATURES} features: {quarter:.2} ns a key and feature in the quickest quarter, at least \
         {least:.2} (limit {LIMIT_NS}), {bytes:.1} bytes a key"
    );
    let costs = as_a_job_has_them();
    let (least, quarter) = (costs[0], costs[costs.len() / 4]);
    println!(
        "as a job has them: {quarter:.2} ns in the quickest quarter, at least {least:.2} (limit {LIMIT_NS})"
    );
}

fn columns_alone() -> (Vec<f64>, f64) {
    let slots = shuffled();
    let mut baselines = BaselineColumns::new(BaselineSpec::default(), FEATURES).expect("baselines");
    baselines.grow(KEYS);
    let mut out = Deviations::default();
    let mut costs = Vec::new();
    for window in 0..24_u64 {
        let columns = values(window);
        for first in (0..KEYS).step_by(ROWS) {
            let rows = first..KEYS.min(first + ROWS);
            // Features of a window that closes have just been computed.
            let columns: Vec<Vec<f64>> = columns.iter().map(|column| column[rows.clone()].to_vec()).collect();
            let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
            let start = Instant::now();
            baselines.observe(&slots[rows.clone()], Dues::Shared(window as i64), &columns, &mut out);
            // The first windows are warm-up.
            if window >= 12 {
                costs.push(start.elapsed().as_secs_f64() * 1e9 / (rows.len() * FEATURES) as f64);
            }
        }
    }
    costs.sort_by(f64::total_cmp);
    (costs, baselines.bytes() as f64 / KEYS as f64)
}

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

/// Whether the column of that place is beyond all that there is.
#[derive(Debug)]
struct Never(usize);

impl Expression for Never {
    fn data_type(&self) -> DataType {
        DataType::Boolean
    }

    fn columns(&self) -> Vec<usize> {
        vec![self.0]
    }

    fn evaluate(&self, batch: &Batch) -> Evaluation {
        let column = batch.column(self.0).as_primitive::<Float64Type>();
        let column = BooleanArray::from_unary(column, |value| value > 1e9);
        Evaluation { column: Arc::new(column), failures: Vec::new() }
    }
}

fn detection() -> Detection {
    let column = |place: usize| (format!("f{place}"), Arc::new(Column(place)) as Arc<dyn Expression>);
    let inputs = (3..3 + FEATURES).map(column).collect();
    let detector = Detector::new(Method::Baseline(BaselineSpec::default()), inputs);
    let rule = Rule {
        id: "odd".into(),
        when: Arc::new(Never(3 + FEATURES)),
        score: None,
        threshold: None,
        min_events: 0,
        severity: Severity::Warning,
        escalate: None,
        agreement: None,
        grace: 0,
        life_cycle: None,
    };
    Detection::new(
        vec![Field::new("user", DataType::Varchar)],
        KeyShape::new(vec![DataType::Varchar]).expect("a shape"),
        (0..FEATURES).map(column).collect(),
        vec![("odd".into(), Scoring::Detector(Box::new(detector)))],
        vec![rule],
    )
    .expect("a detection")
}

fn as_a_job_has_them() -> Vec<f64> {
    let detection = detection();
    let mut known = detection.detectors().expect("a detector");
    let fields = (0..FEATURES).map(|place| Field::new(format!("f{place}"), DataType::Double)).collect();
    let schema = Arc::new(Schema::new(fields));
    let names: Vec<String> = shuffled().iter().map(|slot| format!("user-{slot:06}")).collect();
    let keys: Vec<BinaryArray> =
        names.chunks(ROWS).map(|names| BinaryArray::from_iter_values(names.iter())).collect();
    let mut costs = Vec::new();
    for window in 0..24_u64 {
        let columns = values(window);
        for (number, keys) in keys.iter().enumerate() {
            let rows = number * ROWS..number * ROWS + arrow_array::Array::len(keys);
            let column =
                |column: &Vec<f64>| Arc::new(Float64Array::from(column[rows.clone()].to_vec())) as ArrayRef;
            let end = (window as i64 + 1) * 60_000_000;
            let rows = Rows {
                spans: Spans::Shared(Window { start: end - 60_000_000, end }),
                keys: keys.clone(),
                records: vec![5; rows.len()],
                aggregates: Batch::new(Arc::clone(&schema), columns.iter().map(column).collect(), rows.len()),
                previous: vec![],
                failures: vec![],
            };
            let start = Instant::now();
            let detected = detection.judge(&rows, Some(&mut known));
            if window >= 12 {
                costs.push(start.elapsed().as_secs_f64() * 1e9 / (rows.records.len() * FEATURES) as f64);
            }
            assert!(detected.hits.is_empty());
        }
    }
    costs.sort_by(f64::total_cmp);
    costs
}
