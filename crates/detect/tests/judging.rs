//! Rows of features in, hits and failed rows out, with expressions written by hand.

#![allow(clippy::unwrap_used, reason = "a test may panic in its helpers too")]

use std::fmt;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray};
use detect::{DetectError, Detection, Rule, row_schema_prefix};
use event::{
    Batch, DataType, Detected, Evaluation, Expression, Field, KeyShape, RowFailure, Rows, Schema, Severity,
    Span, Spans, Window,
};

type Value = Box<dyn Fn(&Batch, usize) -> Result<Option<f64>, String> + Send + Sync>;

/// An expression given as a function of a row.
struct Function {
    data_type: DataType,
    columns: Vec<usize>,
    value: Value,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Function")
    }
}

impl Expression for Function {
    fn data_type(&self) -> DataType {
        self.data_type
    }

    fn columns(&self) -> Vec<usize> {
        self.columns.clone()
    }

    fn evaluate(&self, batch: &Batch) -> Evaluation {
        let mut failures = Vec::new();
        let values: Vec<Option<f64>> = (0..batch.rows())
            .map(|row| {
                (self.value)(batch, row).unwrap_or_else(|detail| {
                    failures.push(RowFailure { row, detail });
                    None
                })
            })
            .collect();
        let column: ArrayRef = match self.data_type {
            DataType::Boolean => {
                Arc::new(values.iter().map(|v| v.map(|v| v != 0.0)).collect::<BooleanArray>())
            }
            DataType::Bigint => Arc::new(values.iter().map(|v| v.map(|v| v as i64)).collect::<Int64Array>()),
            _ => Arc::new(values.into_iter().collect::<Float64Array>()),
        };
        Evaluation { column, failures }
    }
}

fn function(
    data_type: DataType,
    columns: &[usize],
    value: impl Fn(&Batch, usize) -> Result<Option<f64>, String> + Send + Sync + 'static,
) -> Arc<dyn Expression> {
    Arc::new(Function { data_type, columns: columns.to_vec(), value: Box::new(value) })
}

fn bigint(batch: &Batch, column: usize, row: usize) -> Option<f64> {
    let column = batch.column(column).as_primitive::<Int64Type>();
    column.is_valid(row).then(|| column.value(row) as f64)
}

fn double(batch: &Batch, column: usize, row: usize) -> Option<f64> {
    let column = batch.column(column).as_primitive::<Float64Type>();
    column.is_valid(row).then(|| column.value(row))
}

fn below(column: usize, bound: f64) -> Arc<dyn Expression> {
    function(DataType::Boolean, &[column], move |batch, row| {
        Ok(double(batch, column, row).map(|v| f64::from(u8::from(v < bound))))
    })
}

fn rule(id: &str, when: Arc<dyn Expression>) -> Rule {
    Rule {
        id: id.into(),
        when,
        score: None,
        threshold: None,
        min_events: 0,
        severity: Severity::Warning,
        escalate: None,
        agreement: None,
        grace: 0,
        life_cycle: None,
    }
}

/// Rows are `user, window_start, window_end, n, half`: `n` is the aggregate, `half` a score, `n / 2`.
/// The score of a row with `n = 13` fails.
const HALF: usize = 4;

fn detection(rules: Vec<Rule>) -> Detection {
    let n = function(DataType::Bigint, &[0], |batch, row| Ok(bigint(batch, 0, row)));
    let half = function(DataType::Double, &[3], |batch, row| match bigint(batch, 3, row) {
        Some(13.0) => Err("unlucky".into()),
        n => Ok(n.map(|n| n / 2.0)),
    });
    Detection::new(
        vec![Field::new("user", DataType::Varchar)],
        KeyShape::new(vec![DataType::Varchar]).unwrap(),
        vec![("n".into(), n)],
        vec![("half".into(), half.into())],
        rules,
    )
    .unwrap()
}

const WINDOW: Window = Window { start: -60_000_000, end: 0 };

fn rows(values: &[Option<i64>]) -> Rows {
    let names: Vec<String> = (0..values.len()).map(|row| format!("u{row:06}")).collect();
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Bigint)]));
    let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
    Rows {
        spans: Spans::Shared(WINDOW),
        keys: BinaryArray::from_iter_values(&names),
        records: values.iter().map(|n| n.unwrap_or(0).max(0) as u64).collect(),
        aggregates: Batch::new(schema, vec![column], values.len()),
        previous: vec![],
        failures: Vec::new(),
    }
}

/// The same, each row with a window of its own: the n-th ends at second n.
fn rows_of_own_windows(values: &[Option<i64>]) -> Rows {
    Rows { spans: Spans::Own((0..values.len()).map(own_span).collect()), ..rows(values) }
}

fn own_span(row: usize) -> Span {
    let end = row as i64 * 1_000_000;
    let window = Window { start: end - 1 - row as i64, end };
    Span { due: end + 5, by_record: row % 2 == 1, sequence: row as u64 % 3, ..Span::from(window) }
}

/// Checks that each row has the window of the row of that name, in its columns too; returns their number.
fn check_own_windows(spans: &Spans, keys: &BinaryArray, batch: &Batch) -> usize {
    let starts = batch.column(1).as_primitive::<TimestampMicrosecondType>();
    let ends = batch.column(2).as_primitive::<TimestampMicrosecondType>();
    let own = spans.own().unwrap();
    assert_eq!((own.len(), batch.rows()), (keys.len(), keys.len()));
    for (row, span) in own.iter().enumerate() {
        let name = std::str::from_utf8(keys.value(row)).unwrap();
        assert_eq!(*span, own_span(name[1..].parse().unwrap()), "{name}");
        assert_eq!((starts.value(row), ends.value(row)), (span.window.start, span.window.end), "{name}");
    }
    own.len()
}

/// `user=half:rule/severity` for each hit.
fn shown(detected: &Detected) -> Vec<String> {
    let hits = detected.hits.iter().map(|hit| {
        let row = hit.row as usize;
        let user = detected.batch.column(0).as_string::<i32>().value(row);
        assert_eq!(user.as_bytes(), detected.keys.value(row));
        let half = double(&detected.batch, HALF, row);
        let half = half.map_or("NULL".into(), |half| half.to_string());
        match hit.verdict {
            Some(verdict) => format!("{user}={half}:{}/{}", verdict.rule, verdict.severity),
            None => format!("{user}={half}"),
        }
    });
    hits.collect()
}

#[test]
fn a_row_is_a_hit_where_the_condition_is_true_and_null_is_not() {
    let detected =
        detection(vec![rule("low", below(HALF, 2.0))]).evaluate(&rows(&[Some(2), None, Some(8), Some(3)]));
    assert_eq!(shown(&detected), ["u000000=1:0/warning", "u000003=1.5:0/warning"]);
    assert_eq!(detected.batch.rows(), 2);
    let starts = detected.batch.column(1).as_primitive::<TimestampMicrosecondType>();
    let ends = detected.batch.column(2).as_primitive::<TimestampMicrosecondType>();
    assert_eq!((starts.value(1), ends.value(1)), (WINDOW.start, WINDOW.end));
    assert!(detected.failed.details.is_empty());
}

#[test]
fn without_rules_every_row_is_a_hit() {
    let detected = detection(vec![]).evaluate(&rows(&[Some(2), None]));
    assert_eq!(shown(&detected), ["u000000=1", "u000001=NULL"]);
}

#[test]
fn rules_rank_by_name_and_a_row_may_be_hit_by_several() {
    let rules = vec![rule("b-loose", below(HALF, 5.0)), rule("a-strict", below(HALF, 2.0))];
    let detected = detection(rules).evaluate(&rows(&[Some(8), Some(2)]));
    assert_eq!(shown(&detected), ["u000000=4:1/warning", "u000001=1:0/warning", "u000001=1:1/warning"]);
    assert_eq!(detected.batch.rows(), 2);
}

#[test]
fn a_rule_wants_its_evidence() {
    let wary = Rule { min_events: 3, ..rule("low", below(HALF, 5.0)) };
    let detected = detection(vec![wary]).evaluate(&rows(&[Some(2), Some(3)]));
    assert_eq!(shown(&detected), ["u000001=1.5:0/warning"]);
}

#[test]
fn a_hit_escalates_and_carries_what_the_rule_compares() {
    let low = Rule {
        score: Some(function(DataType::Double, &[HALF], |batch, row| Ok(double(batch, HALF, row)))),
        threshold: Some(5.0),
        escalate: Some((below(HALF, 2.0), Severity::Critical)),
        ..rule("low", below(HALF, 5.0))
    };
    let detected = detection(vec![low]).evaluate(&rows(&[Some(8), Some(2)]));
    assert_eq!(shown(&detected), ["u000000=4:0/warning", "u000001=1:0/critical"]);
    let verdict = detected.hits[0].verdict.unwrap();
    assert_eq!((verdict.score, verdict.threshold), (Some(4.0), Some(5.0)));
}

#[test]
fn a_row_whose_score_failed_never_alerts() {
    let always = function(DataType::Boolean, &[], |_, _| Ok(Some(1.0)));
    for rules in [vec![], vec![rule("always", always)]] {
        let detected = detection(rules).evaluate(&rows(&[Some(2), Some(13), Some(4)]));
        assert_eq!(detected.hits.len(), 2);
        assert_eq!(detected.failed.details, ["unlucky"]);
        assert_eq!(detected.failed.keys.value(0), b"u000001");
        assert_eq!(bigint(&detected.failed.batch, 3, 0), Some(13.0));
        assert_eq!(double(&detected.failed.batch, HALF, 0), None);
    }
}

#[test]
fn a_row_whose_aggregate_failed_never_alerts_in_whatever_chunk_it_is() {
    let mut rows = rows(&vec![Some(2); 10_000]);
    rows.failures = [3, 8191, 8192, 9999].map(|row| RowFailure { row, detail: format!("sum {row}") }).into();
    let detected = detection(vec![]).evaluate(&rows);
    assert_eq!(detected.hits.len(), 9_996);
    assert_eq!(detected.failed.details, ["sum 3", "sum 8191", "sum 8192", "sum 9999"]);
    assert_eq!(detected.failed.keys.value(2), b"u008192");
    assert_eq!(detected.keys.value(8190), b"u008193");
}

#[test]
fn a_failing_condition_or_escalation_takes_the_row_from_all_rules() {
    let failing = || {
        function(DataType::Boolean, &[3], |batch, row| match bigint(batch, 3, row) {
            Some(7.0) => Err("seven".into()),
            _ => Ok(Some(0.0)),
        })
    };
    let in_condition = vec![rule("a", below(HALF, 9.0)), rule("b", failing())];
    let escalating = Rule { escalate: Some((failing(), Severity::Critical)), ..rule("b", below(HALF, 9.0)) };
    let in_escalation = vec![rule("a", below(HALF, 9.0)), escalating];
    for rules in [in_condition, in_escalation] {
        let detected = detection(rules).evaluate(&rows(&[Some(7), Some(8)]));
        assert!(shown(&detected).iter().all(|hit| hit.starts_with("u000001")), "{:?}", shown(&detected));
        assert_eq!(detected.failed.details, ["seven"]);
        assert_eq!(detected.failed.keys.value(0), b"u000000");
        assert_eq!(double(&detected.failed.batch, HALF, 0), Some(3.5));
    }
}

#[test]
fn the_escalation_of_a_rule_is_not_asked_about_rows_of_another() {
    let unlucky = function(DataType::Boolean, &[3], |_, _| Err("never".into()));
    let rules = vec![
        rule("a", below(HALF, 9.0)),
        Rule { escalate: Some((unlucky, Severity::Critical)), ..rule("b", below(HALF, 2.0)) },
    ];
    let detected = detection(rules).evaluate(&rows(&[Some(8), Some(2)]));
    assert_eq!(shown(&detected), ["u000000=4:0/warning"]);
    assert_eq!(detected.failed.details, ["never"]);
}

#[test]
fn a_condition_may_read_the_key_and_the_window() {
    let when = function(DataType::Boolean, &[0, 2], |batch, row| {
        let user = batch.column(0).as_string::<i32>().value(row);
        let end = batch.column(2).as_primitive::<TimestampMicrosecondType>().value(row);
        Ok(Some(f64::from(u8::from(user == "u000001" && end == WINDOW.end))))
    });
    let detected = detection(vec![rule("that-one", when)]).evaluate(&rows(&[Some(4), Some(6), Some(8)]));
    assert_eq!(shown(&detected), ["u000001=3:0/warning"]);
}

#[test]
fn chunks_do_not_show_in_the_result() {
    let values: Vec<Option<i64>> = (0..20_000).map(|n| Some(if n % 1000 == 13 { 13 } else { n })).collect();
    let low = rule("low", below(HALF, 9_000.0));
    for rules in [vec![], vec![low]] {
        let detection = detection(rules);
        let whole = detection.evaluate(&rows(&values));
        let mut parts = Vec::new();
        let mut failed = 0;
        for part in values.chunks(777) {
            let rows = rows(part);
            let detected = detection.evaluate(&rows);
            parts.extend(detected.hits.iter().map(|hit| double(&detected.batch, HALF, hit.row as usize)));
            failed += detected.failed.details.len();
        }
        let halves: Vec<_> =
            whole.hits.iter().map(|hit| double(&whole.batch, HALF, hit.row as usize)).collect();
        assert_eq!(halves, parts);
        assert_eq!((whole.failed.details.len(), failed), (20, 20));
        assert!(whole.batch.column(0).as_any().is::<StringArray>());
    }
}

#[test]
fn a_condition_sees_the_window_of_its_row_in_whatever_chunk_it_is() {
    let when = function(DataType::Boolean, &[1, 2], |batch, row| {
        let time = |column: usize| batch.column(column).as_primitive::<TimestampMicrosecondType>().value(row);
        Ok(Some(f64::from(u8::from(time(2) - time(1) > 8_192 && time(2) % 2_000_000 == 0))))
    });
    let detected =
        detection(vec![rule("long-and-even", when)]).evaluate(&rows_of_own_windows(&vec![Some(2); 8_200]));
    assert_eq!(
        shown(&detected),
        ["u008192=1:0/warning", "u008194=1:0/warning", "u008196=1:0/warning", "u008198=1:0/warning"]
    );
}

#[test]
fn a_row_keeps_its_own_window_whether_it_is_hit_or_fails() {
    let values: Vec<Option<i64>> = (0..20_000).map(|n| Some(if n % 1000 == 13 { 13 } else { n })).collect();
    let mut rows = rows_of_own_windows(&values);
    rows.failures = [3, 8191, 8192].map(|row| RowFailure { row, detail: "sum".into() }).into();
    let failing = function(DataType::Boolean, &[3], |batch, row| match bigint(batch, 3, row) {
        Some(7.0 | 9000.0) => Err("escalation".into()),
        _ => Ok(Some(0.0)),
    });
    let low = Rule { escalate: Some((failing, Severity::Critical)), ..rule("low", below(HALF, 9_000.0)) };
    for (rules, hits, failed) in [(vec![], 19_977, 23), (vec![low], 17_977, 25)] {
        let detected = detection(rules).evaluate(&rows);
        assert_eq!(detected.hits.len(), hits);
        assert!(check_own_windows(&detected.spans, &detected.keys, &detected.batch) >= hits);
        let Detected { failed: rows, .. } = &detected;
        assert_eq!(check_own_windows(&rows.spans, &rows.keys, &rows.batch), failed);
    }
}

#[test]
fn whose_window_a_row_has_does_not_show_in_what_is_found() {
    let low = Rule { min_events: 3, ..rule("low", below(HALF, 5.0)) };
    let values = [Some(2), Some(13), None, Some(8), Some(40)];
    let detection = detection(vec![low]);
    let (shared, own) =
        (detection.evaluate(&rows(&values)), detection.evaluate(&rows_of_own_windows(&values)));
    assert_eq!(shown(&shared), shown(&own));
    assert_eq!(shared.failed.details, own.failed.details);
    assert_eq!((&shared.spans, &shared.failed.spans), (&Spans::Shared(WINDOW), &Spans::Shared(WINDOW)));
}

#[test]
fn a_composite_key_is_decoded_into_its_fields() {
    let shape = KeyShape::new(vec![DataType::Bigint, DataType::Varchar]).unwrap();
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from(vec![-5])), Arc::new(StringArray::from(vec!["x"]))];
    let keys = shape.encode(&columns);
    let fields = vec![Field::new("show", DataType::Bigint), Field::new("user", DataType::Varchar)];
    let detection = Detection::new(fields, shape, vec![], vec![], vec![]).unwrap();
    let aggregates = Batch::new(Arc::new(Schema::default()), vec![], 1);
    let spans = Spans::Shared(WINDOW);
    let detected = detection.evaluate(&Rows {
        spans,
        keys,
        records: vec![1],
        aggregates,
        previous: vec![],
        failures: vec![],
    });
    assert_eq!(detected.batch.column(0).as_primitive::<Int64Type>().value(0), -5);
    assert_eq!(detected.batch.column(1).as_string::<i32>().value(0), "x");
}

#[test]
fn a_feature_may_read_the_window_of_its_row_behind_the_aggregates() {
    let length = function(DataType::Double, &[1, 2], |batch, row| {
        let edge = |column: usize| batch.column(column).as_primitive::<TimestampMicrosecondType>().value(row);
        Ok(Some((edge(2) - edge(1)) as f64))
    });
    let shape = KeyShape::new(vec![DataType::Varchar]).unwrap();
    let key = vec![Field::new("user", DataType::Varchar)];
    let detection = Detection::new(key, shape, vec![("length".into(), length)], vec![], vec![]).unwrap();
    // More than one chunk.
    let values = vec![Some(1); 10_000];
    for (rows, expected) in [
        (rows(&values), vec![60_000_000.0; values.len()]),
        (rows_of_own_windows(&values), (0..values.len()).map(|row| 1.0 + row as f64).collect()),
    ] {
        let detected = detection.evaluate(&rows);
        assert_eq!(detected.batch.column(3).as_primitive::<Float64Type>().values(), &expected[..]);
    }
}

#[test]
fn no_rows_give_nothing() {
    for rows in [rows(&[]), rows_of_own_windows(&[])] {
        let detected = detection(vec![rule("low", below(HALF, 2.0))]).evaluate(&rows);
        assert!(detected.hits.is_empty() && detected.failed.details.is_empty());
        assert_eq!((detected.batch.rows(), detected.spans), (0, rows.spans));
    }
}

#[test]
fn a_condition_that_is_no_boolean_is_refused() {
    let number = function(DataType::Double, &[], |_, _| Ok(None));
    let key = vec![Field::new("user", DataType::Varchar)];
    let shape = KeyShape::new(vec![DataType::Varchar]).unwrap();
    let refused = Detection::new(key, shape, vec![], vec![], vec![rule("low", number)]).unwrap_err();
    assert_eq!(refused, DetectError::Condition { rule: "low".into(), found: DataType::Double });
    assert_eq!(refused.to_string(), "the condition of rule `low` is a double, not a boolean");
}

#[test]
fn what_rules_are_compiled_against_is_what_they_see() {
    let fields = [Field::new("n", DataType::Bigint), Field::new("half", DataType::Double)];
    let prefix = row_schema_prefix(&[Field::new("user", DataType::Varchar)], &fields);
    assert_eq!(prefix.index_of("half"), Some(HALF));
    assert_eq!(&prefix, detection(vec![]).row_schema().schema().as_ref());
}

#[test]
fn a_key_that_is_new_is_no_hit_until_its_grace_is_over_and_so_is_one_that_was_forgotten() {
    const MINUTE: i64 = 60_000_000;
    let patient = Rule { grace: 3 * MINUTE, ..rule("low", below(HALF, 5.0)) };
    let detection = detection(vec![patient]).forgetting(10 * MINUTE).sliding(Some(MINUTE));
    let hits = |known: &mut detect::Detectors, end: i64| {
        let window = Window { start: (end - 10) * MINUTE, end: end * MINUTE };
        let rows = Rows { spans: Spans::Shared(window), ..rows(&[Some(2)]) };
        detection.judge(&rows, Some(known)).hits.len()
    };
    let mut known = detection.detectors().unwrap();
    // First seen in the minute before the first window ends.
    let found = [1, 2, 3, 4, 5, 14].map(|end| hits(&mut known, end));
    assert_eq!(found, [0, 0, 0, 1, 1, 1]);
    // By way of a checkpoint.
    known.begin_save(true);
    let mut other = detection.detectors().unwrap();
    while let Some(saved) = known.save(10) {
        let bytes = bincode::serialize(&saved).unwrap();
        other.restore(&bincode::deserialize(&bytes).unwrap(), &|_| true);
    }
    let found = [15, 25, 36, 38, 39].map(|end| hits(&mut other, end));
    assert_eq!(found, [1, 1, 0, 0, 1], "forgotten after ten minutes without a row");
}

/// Two detectors of one family and one of another, in columns of their own.
fn witnesses() -> detect::Witnesses {
    use detect::{Detector, Method, Scoring};
    let input =
        || vec![("n".to_owned(), function(DataType::Bigint, &[3], |batch, row| Ok(bigint(batch, 3, row))))];
    let detector = |method| Scoring::Detector(Box::new(Detector::new(method, input())));
    let baseline = detect::baseline::BaselineSpec::default;
    let odd = detector(Method::Baseline(baseline()));
    let loud = detector(Method::Robust(detect::robust::RobustSpec::default()));
    let shift = detector(Method::Cusum(baseline(), detect::cusum::CusumSpec::default()));
    let most = Scoring::Expression(below(4, 1.0));
    let scores = [("odd", odd), ("loud", loud), ("shift", shift), ("most", most)];
    detect::Witnesses::of(4, &scores.map(|(name, scoring)| (name.to_owned(), scoring)))
}

#[test]
fn asked_are_the_detectors_that_a_condition_rests_on_or_all_beside_itself() {
    let families = |columns: &[usize]| {
        let when = function(DataType::Boolean, columns, |_, _| Ok(None));
        witnesses().asked(when.as_ref()).families()
    };
    assert_eq!(families(&[4]), 1);
    assert_eq!(families(&[4, 5]), 1, "baseline and robust are one");
    assert_eq!(families(&[4, 6]), 2);
    assert_eq!(families(&[7, 6, 3]), 2, "through a score");
    assert_eq!(families(&[3]), 3, "two and the condition itself");
}
