//! A row fails by itself: neither others of its batch nor branches that it does not take matter.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, StringArray};
use event::{Batch, DataType, Field, Schema};

fn batch() -> Batch {
    let schema = Schema::new(vec![Field::new("n", DataType::Bigint), Field::new("s", DataType::Varchar)]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![Some(1), Some(i64::MAX), None, Some(4), Some(i64::MIN)])),
        Arc::new(StringArray::from(vec![Some("1"), Some("x"), Some("3"), None, Some("")])),
    ];
    Batch::new(Arc::new(schema), columns, 5)
}

/// Values as text, failures as their words.
fn check(sql: &str, expected: [&str; 5]) {
    let batch = batch();
    let result = transform::compile(sql, batch.schema()).unwrap().evaluate(&batch);
    let numbers = result.column.as_primitive::<Int64Type>();
    let mut found: Vec<String> =
        numbers.iter().map(|value| value.map_or("NULL".to_owned(), |value| value.to_string())).collect();
    for failure in result.failures {
        found[failure.row] = failure.detail;
    }
    assert_eq!(found, expected, "{sql}");
}

#[test]
fn an_overflow_fails_its_row_and_no_other() {
    check(
        "n + 1",
        ["2", "9223372036854775807 + 1 does not fit a bigint", "NULL", "5", "-9223372036854775807"],
    );
    check(
        "n * 2 * 2",
        [
            "4",
            "9223372036854775807 * 2 does not fit a bigint",
            "NULL",
            "16",
            "-9223372036854775808 * 2 does not fit a bigint",
        ],
    );
    check("CAST(s AS bigint)", ["1", "'x' is not a bigint", "3", "NULL", "'' is not a bigint"]);
    check("TRY_CAST(s AS bigint)", ["1", "NULL", "3", "NULL", "NULL"]);
}

#[test]
fn the_first_failure_of_a_row_is_told() {
    let detail = "'x' is not a bigint";
    check("CAST(s AS bigint) + (n + 1)", ["3", detail, "NULL", "NULL", "'' is not a bigint"]);
}

#[test]
fn division_of_whole_numbers_by_zero_fails_its_row() {
    let zero = " // 0 is a division by zero";
    let [one, most, four, least] =
        ["1", "9223372036854775807", "4", "-9223372036854775808"].map(|n| format!("{n}{zero}"));
    check("n // 0", [&one, &most, "NULL", &four, &least]);
}

#[test]
fn a_branch_that_is_not_taken_does_not_fail() {
    let least = "-9223372036854775807";
    check("CASE WHEN n < 9223372036854775807 THEN n + 1 ELSE 0 END", ["2", "0", "0", "5", least]);
    check(
        "CASE WHEN s = 'x' OR s = '' THEN 0 WHEN CAST(s AS bigint) > 1 THEN 1 ELSE 2 END",
        ["2", "0", "1", "2", "0"],
    );
    check(
        "CASE s WHEN 'x' THEN -1 WHEN '' THEN -2 ELSE CAST(s AS bigint) END",
        ["1", "-1", "3", "NULL", "-2"],
    );
    check("coalesce(n, CAST(s AS bigint))", ["1", "9223372036854775807", "3", "4", "-9223372036854775808"]);
    check("CAST(s <> 'x' AND s <> '' AND CAST(s AS bigint) = 1 AS bigint)", ["1", "0", "0", "NULL", "0"]);
    check("CAST(s = 'x' OR s = '' OR CAST(s AS bigint) = 1 AS bigint)", ["1", "1", "0", "NULL", "1"]);
    check(
        "CAST(CAST(s AS bigint) = 1 AND FALSE AS bigint)",
        ["0", "'x' is not a bigint", "0", "0", "'' is not a bigint"],
    );
}

#[test]
fn an_empty_batch_is_no_special_case() {
    let batch = batch().slice(2, 0);
    for sql in ["CASE WHEN n > 0 THEN n END", "n + 1", "s = 'x' AND n > 0", "coalesce(n, 1)", "lower(s)", "1"]
    {
        let result = transform::compile(sql, batch.schema()).unwrap().evaluate(&batch);
        assert_eq!((result.column.len(), result.failures.len()), (0, 0), "{sql}");
    }
}
