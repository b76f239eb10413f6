//! Every aggregate, every kind of key, derived columns and filters: whole jobs on random records, of which
//! some are late and some are filtered out, against the testkit's oracle.

use std::fmt::Write;
use std::path::Path;

use event::AggregateFunction as Function;
use serde_json::{Value as Json, json};
use testkit::job::{Job, json_lines};
use testkit::lanes;
use testkit::oracle::{self, Aggregate, Record, Value};
use testkit::random::{Random, seed};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");

/// Columns that aggregates read, by index among a record's values.
const V: usize = 0;
const N: usize = 1;
const B: usize = 2;
const S: usize = 3;
const W2: usize = 4;

/// A feature: its name, its SQL, and what the oracle computes for it.
fn features() -> Vec<(&'static str, &'static str, Aggregate)> {
    let of = Aggregate::of;
    vec![
        ("rows", "count(*)", Aggregate::count()),
        ("rows_b", "count(*) FILTER (WHERE b)", Aggregate::count().filtered(B)),
        ("count_v", "count(v)", of(Function::Count, V)),
        ("sum_v", "sum(v)", of(Function::Sum, V)),
        ("sum_v_b", "sum(v) FILTER (WHERE b)", of(Function::Sum, V).filtered(B)),
        ("sum_n", "sum(n)", of(Function::Sum, N)),
        ("min_v", "min(v)", of(Function::Min, V)),
        ("max_v", "max(v)", of(Function::Max, V)),
        ("min_n", "min(n) FILTER (WHERE b)", of(Function::Min, N).filtered(B)),
        ("max_n", "max(n)", of(Function::Max, N)),
        ("min_s", "min(s)", of(Function::Min, S)),
        ("max_s", "max(s)", of(Function::Max, S)),
        ("first_s", "first(s)", of(Function::First, S)),
        ("last_s", "last(s) FILTER (WHERE b)", of(Function::Last, S).filtered(B)),
        ("first_v", "first(v)", of(Function::First, V)),
        ("last_n", "last(n)", of(Function::Last, N)),
        ("avg_n", "avg(n)", of(Function::Avg, N)),
        ("avg_w2", "avg(w2)", of(Function::Avg, W2)),
        ("variance_w2", "variance(w2)", of(Function::Variance, W2)),
        ("stddev_w2", "stddev(w2) FILTER (WHERE b)", of(Function::Stddev, W2).filtered(B)),
        ("all_b", "bool_and(b)", of(Function::BoolAnd, B)),
        ("any_b", "bool_or(b)", of(Function::BoolOr, B)),
        ("different_v", "count(DISTINCT v)", of(Function::Count, V).distinct()),
        ("different_s", "count(distinct s) FILTER (WHERE b)", of(Function::Count, S).distinct().filtered(B)),
        ("different_b", "count(DISTINCT b)", of(Function::Count, B).distinct()),
        ("sum_different_v", "sum(DISTINCT v)", of(Function::Sum, V).distinct()),
        ("sum_different_n", "sum(DISTINCT n) FILTER (WHERE b)", of(Function::Sum, N).distinct().filtered(B)),
        ("avg_different_n", "avg(DISTINCT n)", of(Function::Avg, N).distinct()),
        ("max_different_n", "max(DISTINCT n)", of(Function::Max, N).distinct()),
        ("about_different_n", "approx_distinct(n)", of(Function::ApproxDistinct, N)),
        (
            "about_different_s",
            "approx_count_distinct(s) FILTER (WHERE b)",
            of(Function::ApproxDistinct, S).filtered(B),
        ),
        ("p90_n", "approx_percentile(n, 0.9)", of(Function::ApproxPercentile, N).at(0.9)),
        (
            "median_v",
            "approx_quantile(v, 0.5) FILTER (WHERE b)",
            of(Function::ApproxPercentile, V).at(0.5).filtered(B),
        ),
    ]
}

/// How records are keyed.
#[derive(Debug, Clone, Copy)]
enum Key {
    Text,
    Int,
    Both,
}

impl Key {
    fn fields(self) -> &'static [&'static str] {
        match self {
            Key::Text => &["user"],
            Key::Int => &["number"],
            Key::Both => &["number", "user"],
        }
    }

    /// Bytes whose order is that of the values, with the number first.
    fn encode(self, user: &str, number: i64) -> Vec<u8> {
        let number = (number as u64 ^ 1 << 63).to_be_bytes();
        match self {
            Key::Text => user.as_bytes().to_vec(),
            Key::Int => number.to_vec(),
            // The number alone has eight bytes, so no end mark is needed to keep the order.
            Key::Both => [&number, user.as_bytes()].concat(),
        }
    }
}

fn config(key: Key, window: &str) -> String {
    let names = |names: &[&str]| names.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ");
    let mut columns = key.fields().to_vec();
    columns.extend(["window_start", "window_end"]);
    columns.extend(features().iter().map(|(name, ..)| *name));
    let mut text = format!(
        r#"version = 1
name = "oracle"
[source.events]
type = "file"
path = "set by the test"
[event]
key = [{keys}]
time = {{ field = "ts", unit = "ms" }}
[event.fields]
user = "varchar"
number = "bigint"
v = "double"
n = "bigint"
b = "boolean"
s = "varchar"
w = "double"
[time]
out_of_order = "5s"
[transform]
w2 = "w * 2"
[transform.where]
sane = "n IS NULL OR n < 900"
[window]
{window}
[sink.alerts]
type = "file"
path = "set by the test"
format = "plain"
columns = [{columns}]
[features]
"#,
        keys = names(key.fields()),
        columns = names(&columns),
    );
    for (name, sql, _) in features() {
        writeln!(text, "{name} = \"{sql}\"").expect("a string");
    }
    text
}

/// Lines with, of a share of them, times far behind; values that a naive sum gets wrong; NULLs.
fn write_lines(random: &mut Random, count: usize) -> String {
    let padding = "x".repeat(120);
    let mut lines = String::new();
    for i in 0..count as i64 {
        let behind = if random.chance(0.1) { random.below(400_000) } else { random.below(5_000) };
        let optional =
            |random: &mut Random, value: Json| if random.chance(0.15) { Json::Null } else { value };
        let v = *random.pick(&[0.1, 0.2, -0.3, 1e16, -1e16, 1.5, 1e-9, 123_456.789]);
        let n = random.below(1_000) as i64 - 20;
        let b = random.chance(0.5);
        let s = *random.pick(&["", "a", "ä", "b", "ab", "\u{1F600}", "z\"\\"]);
        let w = random.below(2_000) as f64 * 0.5;
        let line = json!({
            "user": random.pick(&["u1", "u2", "u10", "", "ü"]),
            "number": *random.pick(&[-5_i64, 0, 7, i64::MAX]),
            "ts": 1_700_000_000_000 + i * 120 - behind as i64,
            "v": optional(random, json!(v)),
            "n": optional(random, json!(n)),
            "b": optional(random, json!(b)),
            "s": optional(random, json!(s)),
            "w": optional(random, json!(w)),
            "padding": padding,
        });
        writeln!(lines, "{line}").expect("a string");
    }
    lines
}

fn record(line: &[u8], key: Key) -> Record {
    let line: Json = serde_json::from_slice(line).expect("a line of ours");
    let double = |name: &str| line[name].as_f64().map_or(Value::Null, Value::Double);
    let n = line["n"].as_i64();
    let values = vec![
        double("v"),
        n.map_or(Value::Null, Value::Int),
        line["b"].as_bool().map_or(Value::Null, Value::Bool),
        line["s"].as_str().map_or(Value::Null, |s| Value::Text(s.to_owned())),
        line["w"].as_f64().map_or(Value::Null, |w| Value::Double(w * 2.0)),
    ];
    let user = line["user"].as_str().expect("a user");
    let time = line["ts"].as_i64().expect("a time") * 1_000;
    let mut record = Record::new(key.encode(user, line["number"].as_i64().expect("a number")), time, values);
    record.filtered = n.is_some_and(|n| n >= 900);
    record
}

/// Whether an output value is what the oracle says; deviations to 12 digits.
fn agrees(function: Function, expected: &Value, found: &Json) -> bool {
    let rounded = matches!(function, Function::Variance | Function::Stddev);
    match expected {
        Value::Null => found.is_null(),
        Value::Bool(bool) => found.as_bool() == Some(*bool),
        Value::Int(int) if function == Function::ApproxDistinct => {
            // Four standard errors; few values are counted exactly but for a chance of one in hundreds.
            found.as_i64().is_some_and(|f| (f - int).abs() as f64 <= 4.0 * 1.04 / 64.0 * *int as f64 + 1.0)
        }
        Value::Double(double) if function == Function::ApproxPercentile => {
            found.is_f64() && found.as_f64().is_some_and(|f| (f - double).abs() <= 0.01 * double.abs())
        }
        Value::Int(int) => found.as_i64() == Some(*int),
        Value::Text(text) => found.as_str() == Some(text),
        Value::Double(double) if rounded => {
            found.as_f64().is_some_and(|f| (f - double).abs() <= 1e-12 * double.abs())
        }
        Value::Double(double) => found.is_f64() && found.as_f64() == Some(*double),
    }
}

/// Runs a job with `[window]` as given and compares it with the oracle's windows, in seconds.
fn check(key: Key, window: &str, windows: oracle::Windows, random: &mut Random) {
    check_late(key, window, windows, 0, random);
}

/// The same, with windows that take late records for so many seconds.
fn check_late(key: Key, window: &str, windows: oracle::Windows, lateness: i64, random: &mut Random) {
    let folder = tempfile::tempdir().expect("a folder");
    let (config_path, input) = (folder.path().join("job.toml"), folder.path().join("events.ndjson"));
    std::fs::write(&config_path, config(key, window)).expect("write the config");
    let file = write_lines(random, 12_000);
    std::fs::write(&input, &file).expect("write the events");
    let cut = lanes::cut(file.as_bytes(), lanes::LANES, lanes::CHUNK);
    assert!(cut.iter().filter(|lane| !lane.is_empty()).count() > 2, "several lanes are in use");
    let partitions: Vec<Vec<Record>> = cut
        .iter()
        .map(|lane| lane.iter().map(|line| record(&file.as_bytes()[line.bytes.clone()], key)).collect())
        .collect();
    let aggregates: Vec<Aggregate> = features().into_iter().map(|(.., aggregate)| aggregate).collect();
    let [size, slide, offset] = [windows.size, windows.slide, windows.offset].map(|s| s * 1_000_000);
    let windows = oracle::Windows { size, slide, offset, ..windows };
    let expected = oracle::Job { bound: 5_000_000, windows, lateness: lateness * 1_000_000, aggregates }
        .run(&partitions);
    assert!(!expected.late.is_empty() && expected.filtered > 100);

    let run = |workers: usize| {
        let job = Job::new(PROGRAM, &config_path, folder.path().join(workers.to_string()));
        let job = job.on(&input).with_alerts().workers(workers);
        // With a state or without, the answer is the same.
        let job = if workers == 1 { job.with_state() } else { job };
        job.run();
        let report = job.report();
        assert_eq!(report["late"], expected.late.len() as u64, "{key:?}");
        assert_eq!(report["windowed"], expected.windowed, "{key:?}");
        assert_eq!(report["filtered"], expected.filtered, "{key:?}");
        assert_eq!(report["windows"], expected.rows.len() as u64, "{key:?}");
        job.alerts()
    };
    let alerts = run(1);
    check_rows(&alerts, &expected.rows, &format!("{key:?} {window}"));
    assert!(alerts == run(3), "{key:?}: other bytes with three workers");
}

fn check_rows(alerts: &[u8], expected: &[oracle::Row], job: &str) {
    let found = json_lines(alerts);
    assert_eq!(found.len(), expected.len(), "{job}: rows");
    for (row, expected) in found.iter().zip(expected) {
        let place = (row["window_start"].as_i64(), row["window_end"].as_i64());
        assert_eq!(place, (Some(expected.start / 1_000), Some(expected.end / 1_000)), "{job}: {row}");
        for ((name, sql, aggregate), value) in features().iter().zip(&expected.values) {
            let value = value.as_ref().expect("no sum is that large");
            let found = &row[*name];
            assert!(
                agrees(aggregate.function, value, found),
                "{job}: {sql} is {found}, not {value:?}, in {row}"
            );
        }
    }
}

/// How far the clock of Kathmandu is ahead of UTC, ever since 1986.
const KATHMANDU_S: i64 = 5 * 3_600 + 45 * 60;

#[test]
fn sliding_windows_of_text_keys_agree_with_the_oracle() {
    let window = "type = 'sliding'\nsize = '60s'\nslide = '10s'";
    check(Key::Text, window, oracle::Windows::sliding(60, 10), &mut Random::new(seed(1)));
}

#[test]
fn tumbling_windows_of_integer_keys_agree_with_the_oracle() {
    let window = "type = 'tumbling'\nsize = '30s'";
    check(Key::Int, window, oracle::Windows::sliding(30, 30), &mut Random::new(seed(2)));
}

#[test]
fn sliding_windows_of_composite_keys_agree_with_the_oracle() {
    let window = "type = 'sliding'\nsize = '120s'\nslide = '60s'";
    check(Key::Both, window, oracle::Windows::sliding(120, 60), &mut Random::new(seed(3)));
}

#[test]
fn windows_that_end_within_a_slide_agree_with_the_oracle() {
    let window = "type = 'sliding'\nsize = '70s'\nslide = '20s'\noffset = '-7s'";
    let windows = oracle::Windows { offset: -7, ..oracle::Windows::sliding(70, 20) };
    check(Key::Text, window, windows, &mut Random::new(seed(4)));
}

#[test]
fn windows_with_gaps_between_them_agree_with_the_oracle() {
    let window = "type = 'sliding'\nsize = '20s'\nslide = '45s'\noffset = '3s'";
    let windows = oracle::Windows { offset: 3, ..oracle::Windows::sliding(20, 45) };
    check(Key::Int, window, windows, &mut Random::new(seed(5)));
}

#[test]
fn windows_that_grow_agree_with_the_oracle() {
    let window = "type = 'cumulate'\nsize = '120s'\nstep = '15s'";
    let windows = oracle::Windows { grows: true, ..oracle::Windows::sliding(120, 15) };
    check(Key::Both, window, windows, &mut Random::new(seed(6)));
}

#[test]
fn windows_on_the_clock_of_kathmandu_agree_with_the_oracle() {
    let window = "type = 'sliding'\nsize = '90s'\nslide = '35s'\nzone = 'Asia/Kathmandu'";
    let windows = oracle::Windows { offset: -KATHMANDU_S, ..oracle::Windows::sliding(90, 35) };
    check(Key::Text, window, windows, &mut Random::new(seed(7)));
}

#[test]
fn windows_that_allow_for_late_records_are_corrected_as_the_oracle_corrects_them() {
    let window = "type = 'sliding'\nsize = '60s'\nslide = '20s'\nallowed_lateness = '45s'";
    check_late(Key::Text, window, oracle::Windows::sliding(60, 20), 45, &mut Random::new(seed(8)));
}

#[test]
fn a_sum_that_overflows_puts_the_row_into_quarantine_and_not_the_job_to_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let (config_path, input) = (folder.path().join("job.toml"), folder.path().join("events.ndjson"));
    let window = "type = 'tumbling'\nsize = '60s'";
    let config = config(Key::Text, window).replace("sane = \"n IS NULL OR n < 900\"\n", "");
    std::fs::write(&config_path, config).expect("write the config");
    let line = |user: &str, n: i64| json!({"user": user, "number": 0, "ts": 1_700_000_000_000_i64, "n": n});
    let lines = [line("a", i64::MAX), line("a", 1), line("b", 5)].map(|line| format!("{line}\n")).concat();
    write(&input, &lines);
    let job =
        Job::new(PROGRAM, &config_path, folder.path().join("out")).on(&input).with_alerts().with_quarantine();
    job.run();
    let rows = json_lines(&job.alerts());
    assert_eq!(rows.iter().map(|row| row["user"].clone()).collect::<Vec<_>>(), ["b"]);
    let quarantine = job.quarantine();
    assert_eq!(quarantine.len(), 1, "{quarantine:?}");
    assert_eq!(quarantine[0]["reason"], "expression");
    assert_eq!(job.report()["windowed"], 3, "a row of features is no record");
}

const MEANS: &str = r#"
name = "means"
[source.events]
path = "set by the test"
[event]
key = "user"
time = { field = "ts", unit = "ms" }
[event.fields]
n = "bigint"
d = "decimal(38,9)"
e = "decimal(38,30)"
v = "double"
[window]
type = "tumbling"
size = "1m"
[features]
n = "avg(n)"
d = "avg(d)"
e = "avg(e)"
v = "avg(v)"
variance = "variance(v)"
stddev = "stddev(v)"
tenfold = "max(v) * 10"
[sink.alerts]
path = "set by the test"
format = "plain"
columns = ["user", "n", "d", "e", "v", "variance", "stddev", "tenfold"]
"#;

/// A job of `MEANS` on these lines; its rows.
fn means(lines: &str) -> Vec<Json> {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, input) = (folder.path().join("job.toml"), folder.path().join("events.ndjson"));
    write(&config, MEANS);
    write(&input, lines);
    let job = Job::new(PROGRAM, &config, folder.path().join("out")).on(&input).with_alerts();
    job.run();
    json_lines(&job.alerts())
}

/// A decimal of that many digits behind the point, as it is written.
fn decimal(digits: i128, scale: usize) -> String {
    let text = format!("{:0width$}", digits.unsigned_abs(), width = scale + 1);
    let (whole, rest) = text.split_at(text.len() - scale);
    format!("{}{whole}.{rest}", if digits < 0 { "-" } else { "" })
}

#[test]
fn a_mean_is_the_double_nearest_to_the_exact_sum_over_the_count_for_every_type() {
    let mut random = Random::new(seed(4));
    // Of any size, and of either sign.
    let whole = |random: &mut Random, bits: u64| {
        let value = (i128::from(random.bits()) << 64 | i128::from(random.bits())) >> (128 - bits);
        value >> random.below(bits)
    };
    let mut lines = String::new();
    let mut expected = Vec::new();
    for user in 0..300 {
        let count = 1 + random.below(9) as usize;
        let mut values = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..count {
            let (n, d, e) = (whole(&mut random, 64), whole(&mut random, 126), whole(&mut random, 120));
            let v = f64::from_bits(random.bits());
            let v = if v.is_finite() { v } else { f64::MAX };
            let (shown_d, shown_e) = (decimal(d, 9), decimal(e, 30));
            writeln!(
                lines,
                "{{\"user\":\"u{user:03}\",\"ts\":1700000000000,\"n\":{n},\"d\":{shown_d},\"e\":{shown_e},\"v\":{v:e}}}"
            )
            .expect("a string");
            values.0.push(n);
            values.1.push(d);
            values.2.push(e);
            values.3.push(v);
        }
        let digits = oracle::exact::mean_of_digits;
        expected.push([
            digits(&values.0, 0),
            digits(&values.1, 9),
            digits(&values.2, 30),
            oracle::exact::mean(&values.3),
        ]);
    }
    let rows = means(&lines);
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(expected) {
        let found = ["n", "d", "e", "v"].map(|name| row[name].as_f64());
        assert_eq!(found, expected.map(Some), "{row}");
    }
}

#[test]
fn doubles_that_are_too_large_are_infinite_and_what_is_not_too_large_never_is() {
    let line = |user: &str, v: &str| format!("{{\"user\":\"{user}\",\"ts\":1700000000000,\"v\":{v}}}\n");
    let lines = [
        line("apart", "1e200"),
        line("apart", "-1e200"),
        line("equal", "1e308"),
        line("equal", "1e308"),
        line("mixed", "1e80"),
        line("mixed", "3e80"),
        line("mixed", "1"),
    ];
    let rows = means(&lines.concat());
    let about = |row: &Json, name: &str, expected: f64| {
        let found = row[name].as_f64().unwrap_or(f64::NAN);
        assert!((found - expected).abs() <= 1e-12 * expected, "{name} of {row}, not {expected:e}");
    };
    about(&rows[0], "stddev", 2f64.sqrt() * 1e200);
    assert_eq!((&rows[0]["variance"], &rows[0]["v"]), (&json!("Infinity"), &json!(0.0)), "{}", rows[0]);
    assert_eq!((&rows[1]["stddev"], &rows[1]["v"]), (&json!(0.0), &json!(1e308)), "{}", rows[1]);
    assert_eq!(rows[1]["tenfold"], "Infinity", "as DuckDB has it: {}", rows[1]);
    about(&rows[2], "variance", 7.0 / 3.0 * 1e160);
    about(&rows[2], "stddev", (7.0f64 / 3.0).sqrt() * 1e80);
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("write");
}
