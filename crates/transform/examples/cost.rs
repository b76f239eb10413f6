//! What expressions cost: the three masks and the score of the podcast job, in ns a row, by size of the batch.
//!
//! `cargo run --release -p transform --example cost`

#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::types::UInt32Type;
use arrow_array::{ArrayRef, DictionaryArray, Float64Array, Int64Array, StringArray, UInt32Array};
use event::{Batch, DataType, Expression, Field, Schema};
use transform::{BranchSpec, Transform, TransformSpec, compile};

const KINDS: [&str; 6] = ["listen", "pause", "resume", "seek", "skip", "exit"];
/// Rows that a measurement goes over, whatever the size of its batches.
const ROWS_MEASURED: usize = 4_000_000;

fn events(rows: usize, coded: bool) -> Batch {
    let schema = Schema::new(vec![
        Field::new("user_id", DataType::Varchar),
        Field::new("event_type", DataType::Varchar),
        Field::new("duration_s", DataType::Double),
    ]);
    let codes: Vec<u32> = (0..rows as u32).map(|row| row.wrapping_mul(2_654_435_761) % 6).collect();
    let kinds: ArrayRef = if coded {
        let texts = Arc::new(StringArray::from(KINDS.to_vec()));
        Arc::new(DictionaryArray::<UInt32Type>::new(UInt32Array::from(codes), texts))
    } else {
        Arc::new(codes.iter().map(|&code| Some(KINDS[code as usize])).collect::<StringArray>())
    };
    let users: StringArray =
        (0..rows).map(|row| Some(format!("user-{:06}", row * 7_919 % 100_000))).collect();
    let durations: Float64Array = (0..rows).map(|row| (row % 6 == 0).then_some(row as f64 * 0.5)).collect();
    Batch::new(Arc::new(schema), vec![Arc::new(users), kinds, Arc::new(durations)], rows)
}

fn features(rows: usize) -> Batch {
    let schema = Schema::new(vec![
        Field::new("listen_s", DataType::Double),
        Field::new("pauses", DataType::Bigint),
        Field::new("exits", DataType::Bigint),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new((0..rows).map(|row| Some(row as f64 * 0.5)).collect::<Float64Array>()),
        Arc::new((0..rows as i64).map(|row| Some(row % 5)).collect::<Int64Array>()),
        Arc::new((0..rows as i64).map(|row| Some(row % 3)).collect::<Int64Array>()),
    ];
    Batch::new(Arc::new(schema), columns, rows)
}

/// Least ns a row of several measurements.
fn measure(rows: usize, mut run: impl FnMut()) -> f64 {
    let times = ROWS_MEASURED / rows / 8 + 1;
    let least = (0..8).map(|_| {
        let start = Instant::now();
        (0..times).for_each(|_| run());
        start.elapsed().as_nanos() as f64 / (times * rows) as f64
    });
    least.fold(f64::INFINITY, f64::min)
}

fn evaluate(expressions: &[Arc<dyn Expression>], batch: &Batch) {
    for expression in expressions {
        black_box(expression.evaluate(black_box(batch)));
    }
}

fn podcast(schema: &Schema) -> Transform {
    let pair = |(name, sql): (&str, &str)| (name.to_owned(), sql.to_owned());
    let features = [
        ("events", "count(*)"),
        ("listen_s", "coalesce(sum(duration_s) FILTER (WHERE event_type = 'listen'), 0)"),
        ("pauses", "count(*) FILTER (WHERE event_type = 'pause')"),
        ("exits", "count(*) FILTER (WHERE event_type = 'exit')"),
    ]
    .map(pair);
    let branches = [BranchSpec { features: &features, ..BranchSpec::default() }];
    let spec =
        TransformSpec { key: &["user_id".to_owned()], branches: &branches, ..TransformSpec::default() };
    Transform::compile(schema, &spec).expect("the job compiles")
}

fn main() {
    println!(
        "{:>6} {:>12} {:>12} {:>8} {:>8} {:>12}",
        "rows", "masks coded", "masks plain", "score", "rounded", "transform"
    );
    for rows in [64, 200, 256, 1024, 8192] {
        let (coded, plain, rows_of_features) = (events(rows, true), events(rows, false), features(rows));
        let masks = ["listen", "pause", "exit"]
            .map(|kind| compile(&format!("event_type = '{kind}'"), coded.schema()).expect("a mask compiles"));
        let score = "(listen_s + 30) / (listen_s + 30 + 20 * pauses + 60 * exits)";
        let compiled = |sql: &str| [compile(sql, rows_of_features.schema()).expect("the score compiles")];
        let (score, rounded) = (compiled(score), compiled(&format!("round({score}, 4)")));
        let transform = podcast(coded.schema());
        println!(
            "{rows:>6} {:>12.2} {:>12.2} {:>8.2} {:>8.2} {:>12.2}",
            measure(rows, || evaluate(&masks, &coded)),
            measure(rows, || evaluate(&masks, &plain)),
            measure(rows, || evaluate(&score, &rows_of_features)),
            measure(rows, || evaluate(&rounded, &rows_of_features)),
            measure(rows, || drop(black_box(transform.apply(black_box(&coded))))),
        );
    }
}
