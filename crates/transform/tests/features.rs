//! Features taken apart into aggregates and expressions over them; columns and comparisons for sinks and alerts.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, TimestampMicrosecondArray};
use event::{AggregateFunction, Batch, DataType, Field, RowSchema, Schema};
use transform::{Features, NamedError, compile_column, compile_comparison, compile_features};

fn schema() -> Schema {
    Schema::new(vec![Field::new("event_type", DataType::Varchar), Field::new("duration_s", DataType::Double)])
}

fn features(list: &[(&str, &str)]) -> Result<Features, NamedError> {
    let list: Vec<(String, String)> = list.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
    compile_features(&list, &schema())
}

const PODCAST: &[(&str, &str)] = &[
    ("events", "count(*)"),
    ("listen_s", "coalesce(sum(duration_s) FILTER (WHERE event_type = 'listen'), 0)"),
    ("pauses", "count(*) FILTER (WHERE event_type = 'pause')"),
    ("exits", "COUNT(*) FILTER (WHERE event_type = 'exit')"),
    ("score", "(listen_s + 30) / (listen_s + 30 + 20 * pauses + 60 * exits)"),
    ("mean_s", "sum(duration_s) FILTER (WHERE event_type = 'listen') / count()"),
];

#[test]
fn the_aggregates_of_the_podcast_job_are_found_once_each() {
    let features = features(PODCAST).unwrap();
    let names: Vec<&str> =
        features.aggregate_schema.fields().iter().map(|field| field.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "count(*)",
            "sum(duration_s) FILTER (WHERE event_type = 'listen')",
            "count(*) FILTER (WHERE event_type = 'pause')",
            "count(*) FILTER (WHERE event_type = 'exit')",
        ]
    );
    assert_eq!(features.calls.len(), 4);
    let sum = &features.calls[1];
    assert_eq!(sum.aggregate.function, AggregateFunction::Sum);
    assert_eq!((sum.aggregate.argument, sum.aggregate.filtered), (Some(DataType::Double), true));
    assert_eq!(sum.argument.as_ref().unwrap().columns(), [1]);
    assert_eq!(sum.filter.as_ref().unwrap().columns(), [0]);
    assert_eq!(features.aggregate_schema.fields()[1].data_type, DataType::Double);
}

#[test]
fn calls_that_compute_something_else_have_other_names_and_those_that_do_not_are_one() {
    let features = features(&[
        ("a", "count(event_type) + count(DISTINCT event_type)"),
        ("b", "count(distinct event_type) + approx_count_distinct(event_type)"),
        ("c", "approx_percentile(duration_s, 0.5) + approx_quantile(duration_s, .50)"),
        ("d", "approx_percentile(duration_s, 9.5e-1) + max(DISTINCT duration_s) + max(duration_s)"),
        ("e", "sum(DISTINCT duration_s) FILTER (WHERE event_type = 'x')"),
        ("f", "approx_percentile(duration_s, 1) + approx_percentile(duration_s, -0.0)"),
    ])
    .unwrap();
    let names: Vec<&str> =
        features.aggregate_schema.fields().iter().map(|field| field.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "count(event_type)",
            "count(DISTINCT event_type)",
            "approx_distinct(event_type)",
            "approx_percentile(duration_s, 0.5)",
            "approx_percentile(duration_s, 0.95)",
            "max(duration_s)",
            "sum(DISTINCT duration_s) FILTER (WHERE event_type = 'x')",
            "approx_percentile(duration_s, 1)",
            "approx_percentile(duration_s, 0)",
        ]
    );
    let fraction = features.calls[4].aggregate.fraction.unwrap();
    assert_eq!(fraction.value(), 0.95);
    assert!(features.calls[6].aggregate.distinct && !features.calls[5].aggregate.distinct);
}

#[test]
fn the_window_is_known_beside_aggregates_and_a_feature_of_its_name_comes_first() {
    let list = [
        ("rate", "sum(duration_s) / window_duration_s"),
        ("hour", "date_part('hour', window_end)"),
        ("whole", "window_duration = window_end - window_start AND window_duration > INTERVAL '1 minute'"),
        ("late", "greatest(max(duration_s), 1.0) + epoch(window_duration)"),
        ("window_duration_s", "-1.0"),
        ("own", "window_duration_s + count(*)"),
    ];
    let features = features(&list).unwrap();
    let minutes = |minute: i64| minute * 60_000_000;
    let edges = |edges: [i64; 2]| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(edges.map(minutes).to_vec()).with_timezone("UTC"))
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Float64Array::from(vec![Some(120.0), None])),
        Arc::new(Float64Array::from(vec![0.5, 2.0])),
        Arc::new(Int64Array::from(vec![3, 4])),
        edges([60, -1]),
        edges([62, 0]),
    ];
    let fields = features.aggregate_schema.fields().iter().cloned().chain(RowSchema::window_fields());
    let rows = Batch::new(Arc::new(Schema::new(fields.collect())), columns, 2);
    let texts = |name: &str| {
        let (_, expression) = features.expressions.iter().find(|(known, _)| known == name).unwrap();
        let column = expression.evaluate(&rows).column;
        let text = |row| match expression.data_type() {
            _ if column.is_null(row) => "NULL".to_owned(),
            DataType::Double => column.as_primitive::<Float64Type>().value(row).to_string(),
            DataType::Bigint => column.as_primitive::<Int64Type>().value(row).to_string(),
            _ => column.as_boolean().value(row).to_string(),
        };
        [text(0), text(1)].join(" ")
    };
    assert_eq!(texts("rate"), "1 NULL");
    assert_eq!(texts("hour"), "1 0");
    assert_eq!(texts("whole"), "true false");
    assert_eq!(texts("late"), "121 62");
    assert_eq!(texts("own"), "2 3");
}

#[test]
fn the_word_that_is_refused_is_underlined() {
    let sql = "1 + stddev ( distinct duration_s )";
    let NamedError { error, .. } = features(&[("a", sql)]).unwrap_err();
    assert_eq!(&sql[error.span], "distinct");
}

#[test]
fn a_later_feature_uses_an_earlier_one_by_name() {
    let features = features(PODCAST).unwrap();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![4, 1])),
        Arc::new(Float64Array::from(vec![Some(12.5), None])),
        Arc::new(Int64Array::from(vec![2, 0])),
        Arc::new(Int64Array::from(vec![1, 1])),
    ];
    let rows = Batch::new(Arc::new(features.aggregate_schema.clone()), columns, 2);
    let score = features.expressions.iter().find(|(name, _)| name == "score").unwrap().1.evaluate(&rows);
    let expected = [42.5 / (42.5 + 40.0 + 60.0), 30.0 / 90.0];
    assert_eq!(score.column.as_primitive::<Float64Type>().values(), &expected);
}

#[test]
fn a_wrong_feature_is_named_and_told_why() {
    let check = |list: &[(&str, &str)], name: &str, message: &str, help: &str| {
        let NamedError { name: found, error } = features(list).unwrap_err();
        let found = (found.as_str(), error.message.as_str(), error.help.as_deref().unwrap_or_default());
        assert_eq!(found, (name, message, help));
    };
    check(
        &[("a", "duration_s / count(*)")],
        "a",
        "the column `duration_s` stands outside of an aggregate",
        "a window holds many values of it: write for instance sum(duration_s) or last(duration_s)",
    );
    check(
        &[("a", "count(*)"), ("b", "sum(count(*))")],
        "b",
        "the aggregate `count` stands inside another aggregate",
        "",
    );
    check(
        &[("a", "sum(event_type)")],
        "a",
        "`sum` is not defined on a varchar",
        "CAST(.. AS double) converts it",
    );
    check(&[("a", "sum(duration)")], "a", "unknown column `duration`", "did you mean `duration_s`?");
    check(
        &[("pauses", "count(*)"), ("b", "2 * pausse")],
        "b",
        "unknown column or feature `pausse`",
        "did you mean `pauses`?",
    );
    check(&[("a", "sum(duration_s, 1)")], "a", "`sum` takes one argument", "");
    check(&[("a", "sum(*)")], "a", "`sum` takes one argument", "");
    check(
        &[("a", "stddev(DISTINCT duration_s)")],
        "a",
        "`stddev` does not take DISTINCT",
        "count, sum, avg, min and max do",
    );
    check(
        &[("a", "count(DISTINCT *)")],
        "a",
        "DISTINCT needs a value that can differ",
        "count(*) counts records: name a column",
    );
    check(&[("a", "count(DISTINCT event_type, duration_s)")], "a", "`count` takes one argument", "");
    check(
        &[("a", "approx_percentile(duration_s)")],
        "a",
        "`approx_percentile` takes two arguments",
        "approx_percentile(x, 0.95)",
    );
    for fraction in ["1.01", "-0.1", "NULL", "duration_s", "'half'", "0.0/0.0"] {
        check(
            &[("a", &format!("approx_quantile(duration_s, {fraction})"))],
            "a",
            "expected a number from 0 to 1 that is written out",
            "the part of the values that lies below the result, as 0.95",
        );
    }
    check(
        &[("a", "count(*) OVER ()")],
        "a",
        "`count`: OVER is not supported",
        "the windows of the job are over all features",
    );
    check(&[("a", "count(*)"), ("a", "count(*)")], "a", "there are two features `a`", "");
}

#[test]
fn features_that_double_each_other_are_bounded() {
    let mut list = vec![("f0".to_owned(), "count(*)".to_owned())];
    for n in 1..60 {
        list.push((format!("f{n}"), format!("f{} + f{}", n - 1, n - 1)));
    }
    let error = compile_features(&list, &schema()).unwrap_err();
    assert!(error.error.message.contains("steps"), "{error}");
}

#[test]
fn a_column_of_a_sink_has_a_name() {
    let (name, expression) = compile_column("round(duration_s, 1) AS \"how long\"", &schema()).unwrap();
    assert_eq!((name.as_str(), expression.data_type()), ("how long", DataType::Double));
    assert_eq!(compile_column("duration_s", &schema()).unwrap().0, "duration_s");
    let error = compile_column("duration_s + 1", &schema()).unwrap_err();
    assert_eq!(error.help.as_deref(), Some("write `.. AS name` behind the expression"));
}

#[test]
fn a_rule_that_is_one_comparison_has_a_threshold() {
    let threshold = |sql| compile_comparison(sql, &schema()).unwrap().map(|comparison| comparison.threshold);
    assert_eq!(threshold("duration_s < 0.3"), Some(0.3));
    assert_eq!(threshold("(-2 <= (duration_s * 2))"), Some(-2.0));
    assert_eq!(threshold("duration_s <> 5"), Some(5.0));
    assert_eq!(threshold("duration_s < 0.3 AND duration_s > 0"), None);
    assert_eq!(threshold("event_type = 'exit'"), None);
    assert_eq!(threshold("duration_s < duration_s"), None);
    assert!(compile_comparison("event_type < 5", &schema()).is_err());
    let comparison = compile_comparison("0.3 > duration_s", &schema()).unwrap().unwrap();
    assert_eq!(comparison.left.columns(), [1]);
}
