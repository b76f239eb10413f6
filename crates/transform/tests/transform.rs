//! Records on their way: derived columns, filters, keys, inputs of aggregates, and those that fail.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow_array::builder::StringDictionaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt32Type};
use arrow_array::{Array, ArrayRef, Float64Array, StringArray};
use event::{Batch, DataType, Field, Schema, key_hash};
use proptest::prelude::*;
use transform::{BranchSpec, Transform, TransformSpec, Transformed};

/// user, kind, duration, amount
type Row<'a> = (Option<&'a str>, Option<&'a str>, Option<f64>, Option<&'a str>);

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, sql)| (name.to_string(), sql.to_string())).collect()
}

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("user_id", DataType::Varchar),
        Field::new("event_type", DataType::Varchar),
        Field::new("duration_s", DataType::Double),
        Field::new("amount", DataType::Varchar),
        Field::new("unused", DataType::Double),
    ])
}

fn batch(rows: &[Row], coded: bool) -> Batch {
    let text = |texts: Vec<Option<&str>>| -> ArrayRef {
        if !coded {
            return Arc::new(StringArray::from(texts));
        }
        let mut column = StringDictionaryBuilder::<UInt32Type>::new();
        texts.into_iter().for_each(|text| column.append_option(text));
        Arc::new(column.finish())
    };
    let columns = vec![
        Arc::new(StringArray::from(rows.iter().map(|row| row.0).collect::<Vec<_>>())) as ArrayRef,
        text(rows.iter().map(|row| row.1).collect()),
        Arc::new(Float64Array::from(rows.iter().map(|row| row.2).collect::<Vec<_>>())),
        text(rows.iter().map(|row| row.3).collect()),
        Arc::new(Float64Array::from(vec![None; rows.len()])),
    ];
    Batch::new(Arc::new(schema()), columns, rows.len())
}

fn job(derived: &[(&str, &str)], filters: &[(&str, &str)], features: &[(&str, &str)]) -> Transform {
    let (derived, filters, features) = (pairs(derived), pairs(filters), pairs(features));
    let key = ["user_id".to_owned()];
    let branches = [BranchSpec { features: &features, ..BranchSpec::default() }];
    let (derived, filters, key, branches) = (&derived[..], &filters[..], &key[..], &branches[..]);
    let spec = TransformSpec { derived, filters, key, branches, ..TransformSpec::default() };
    Transform::compile(&schema(), &spec).unwrap()
}

fn keys(transformed: &Transformed) -> Vec<&str> {
    transformed.keys.iter().map(|key| std::str::from_utf8(key.unwrap()).unwrap()).collect()
}

fn failures(transformed: &Transformed) -> Vec<(usize, &str)> {
    transformed.failures.iter().map(|failure| (failure.row, failure.detail.as_str())).collect()
}

const ROWS: &[Row] = &[
    (Some("a"), Some("listen"), Some(1.5), Some("1")),
    (Some("b"), Some("pause"), None, Some("x")),
    (None, Some("listen"), Some(2.0), Some("2")),
    (Some("d"), None, Some(3.0), Some("3")),
    (Some("e"), Some("listen"), Some(4.0), Some("y")),
    (Some("f"), Some("seek"), None, Some("z")),
];

#[test]
fn without_filters_and_failures_every_row_is_kept_as_it_stands() {
    for coded in [false, true] {
        let transform = job(
            &[],
            &[],
            &[("n", "count(*) FILTER (WHERE event_type = 'listen')"), ("d", "sum(duration_s)")],
        );
        let transformed = transform.apply(&batch(&ROWS[..2], coded));
        assert_eq!((failures(&transformed), &transformed.kept, transformed.filtered), (vec![], &None, 0));
        assert_eq!(keys(&transformed), ["a", "b"]);
        assert_eq!(transformed.hashes, [key_hash(b"a"), key_hash(b"b")]);
        let [mask, durations] = &transformed.inputs[..] else { panic!("a mask and an argument") };
        assert_eq!(mask.as_boolean().iter().collect::<Vec<_>>(), [Some(true), Some(false)]);
        assert_eq!(durations.as_primitive::<Float64Type>().iter().collect::<Vec<_>>(), [Some(1.5), None]);
    }
}

#[test]
fn filtered_and_failed_rows_are_in_nothing_else() {
    for coded in [false, true] {
        let transform = job(
            &[("kind", "lower(event_type)")],
            &[("known", "kind <> 'seek'")],
            &[("s", "sum(CAST(amount AS bigint)) FILTER (WHERE kind = 'listen')"), ("k", "last(kind)")],
        );
        let transformed = transform.apply(&batch(ROWS, coded));
        // b is not summed, so that its amount does not matter; d is filtered, for its kind is NULL.
        assert_eq!(failures(&transformed), [(2, "the key `user_id` is NULL"), (4, "'y' is not a bigint")]);
        assert_eq!(transformed.kept, Some(vec![0, 1]));
        assert_eq!((transformed.filtered, keys(&transformed)), (2, vec!["a", "b"]));
        let [mask, amounts, kinds] = &transformed.inputs[..] else { panic!("three inputs") };
        assert_eq!(mask.as_boolean().iter().collect::<Vec<_>>(), [Some(true), Some(false)]);
        assert_eq!(amounts.as_primitive::<Int64Type>().value(0), 1);
        assert_eq!(kinds.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("listen"), Some("pause")]);
    }
}

#[test]
fn a_later_filter_does_not_fail_what_an_earlier_one_left_out() {
    let transform = job(
        &[],
        &[("digits", "amount < 'a'"), ("small", "CAST(amount AS bigint) < 3")],
        &[("n", "count(*)")],
    );
    let rows = [ROWS[0], ROWS[1], ROWS[3], ROWS[5]];
    let transformed = transform.apply(&batch(&rows, true));
    assert_eq!(
        (failures(&transformed), &transformed.kept, transformed.filtered),
        (vec![], &Some(vec![0]), 3)
    );
}

#[test]
fn a_failed_derived_column_takes_its_row_out() {
    let transform =
        job(&[("n", "CAST(amount AS bigint)"), ("m", "n + 1")], &[("all", "m > 0")], &[("s", "sum(m)")]);
    let transformed = transform.apply(&batch(&[ROWS[0], ROWS[1], ROWS[3], ROWS[4]], true));
    assert_eq!(failures(&transformed), [(1, "'x' is not a bigint"), (3, "'y' is not a bigint")]);
    assert_eq!((transformed.kept, transformed.filtered), (Some(vec![0, 2]), 0));
    assert_eq!(transformed.inputs[0].as_primitive::<Int64Type>().values(), &[2, 4]);
}

#[test]
fn only_the_fields_that_are_read_are_asked_for() {
    let transform = job(&[("x", "duration_s * 2")], &[], &[("n", "count(*)")]);
    assert_eq!(transform.input_columns(), [0, 2]);
    assert_eq!(transform.key_fields(), [Field::new("user_id", DataType::Varchar)]);
}

#[test]
fn a_derived_column_hides_the_field_that_it_was_made_from() {
    let transform = job(&[("duration_s", "duration_s * 10")], &[], &[("s", "sum(duration_s)")]);
    let transformed = transform.apply(&batch(&ROWS[..1], false));
    assert_eq!(transformed.inputs[0].as_primitive::<Float64Type>().values(), &[15.0]);
}

#[test]
fn a_column_that_two_aggregates_read_is_made_once() {
    let listens = "FILTER (WHERE event_type = 'listen')";
    let (sum, count) = (format!("sum(duration_s) {listens}"), format!("count(*) {listens}"));
    let transform = job(&[], &[], &[("s", &sum), ("n", &count), ("m", "max(duration_s)")]);
    let inputs = transform.apply(&batch(ROWS.split_at(2).0, true)).inputs;
    assert_eq!(inputs.len(), 2);
    let inputs = transform.branches()[0].inputs(&inputs);
    assert_eq!(inputs.len(), 4);
    assert!(Arc::ptr_eq(&inputs[0], &inputs[2]) && Arc::ptr_eq(&inputs[1], &inputs[3]));
}

#[test]
fn branches_share_columns_and_do_not_fail_outside_of_their_conditions() {
    let (key, common) = (["user_id".to_owned()], pairs(&[("s", "sum(duration_s)"), ("n", "count(*)")]));
    let own = pairs(&[
        ("s", "sum(CAST(amount AS bigint))"),
        ("d", "max(duration_s) FILTER (WHERE CAST(amount AS bigint) > 1)"),
    ]);
    let branches = [
        BranchSpec { condition: Some("duration_s < 4"), features: &common, ..BranchSpec::default() },
        BranchSpec {
            condition: Some("event_type = 'listen' AND amount < 'x'"),
            features: &own,
            gap: Some("CAST(amount AS double)"),
            ..BranchSpec::default()
        },
    ];
    let spec = TransformSpec { key: &key, branches: &branches, ..TransformSpec::default() };
    let transform = Transform::compile(&schema(), &spec).unwrap();
    let rows = [
        (Some("a"), Some("listen"), Some(1.5), Some("1")),
        (Some("b"), Some("pause"), Some(2.0), Some("x")),
        // In no branch, so that neither its key nor its amount matters.
        (None, Some("seek"), None, Some("?")),
        (Some("d"), Some("listen"), None, Some("0")),
        (Some("e"), Some("listen"), Some(9.0), Some("2")),
        (Some("f"), Some("listen"), Some(3.0), Some("!")),
    ];
    let transformed = transform.apply(&batch(&rows, true));
    assert_eq!(
        failures(&transformed),
        [(3, "the gap of the session is not above zero"), (5, "'!' is not a bigint")]
    );
    assert_eq!((transformed.filtered, keys(&transformed)), (1, vec!["a", "b", "e"]));
    let inputs = &transformed.inputs;
    // A mask for each, the duration that both read, a filter, an amount, and the gaps.
    assert_eq!(inputs.len(), 6);
    let [first, second] = transform.branches() else { panic!("two branches") };
    let mask = |branch: &transform::BranchInputs| branch.mask(inputs).unwrap().iter().collect::<Vec<_>>();
    assert_eq!((mask(first), mask(second)), (vec![true, true, false], vec![true, false, true]));
    assert_eq!(first.inputs(inputs)[0].as_primitive::<Float64Type>().values(), &[1.5, 2.0, 9.0]);
    assert!(Arc::ptr_eq(&first.inputs(inputs)[0], &second.inputs(inputs)[2]));
    let amounts = second.inputs(inputs)[0].as_primitive::<Int64Type>().iter().collect::<Vec<_>>();
    assert_eq!(amounts, [Some(1), None, Some(2)]);
    let gaps = second.gaps(inputs).unwrap();
    assert_eq!((first.gaps(inputs), gaps[0], gaps[2]), (None, 1_000_000, 2_000_000));
}

#[test]
fn what_is_wrong_is_named() {
    let compile = |derived: &[(&str, &str)], filters: &[(&str, &str)], key: &str| {
        let (derived, filters, key) = (pairs(derived), pairs(filters), [key.to_owned()]);
        let spec =
            TransformSpec { derived: &derived, filters: &filters, key: &key, ..TransformSpec::default() };
        Transform::compile(&schema(), &spec).unwrap_err().to_string()
    };
    assert_eq!(compile(&[("x", "1 +")], &[], "user_id"), "x: expected an expression, found: the end");
    assert_eq!(
        compile(&[], &[("f", "duration_s")], "user_id"),
        "f: expected a boolean condition, found a double\nhint: compare it with something, as in `x > 0`"
    );
    assert_eq!(
        compile(&[], &[], "user"),
        "key user: unknown column `user`\nhint: known are `user_id`, `event_type`, \
        `duration_s`, `amount`, `unused`"
    );
    assert!(compile(&[], &[], "duration_s").contains("cannot be a key"));
}

#[test]
fn a_dictionary_of_more_texts_than_rows_or_of_none_is_no_special_case() {
    let transform =
        job(&[("k", "upper(event_type)")], &[("f", "amount IS NULL OR amount <> 'x'")], &[("l", "last(k)")]);
    let whole = batch(ROWS, true);
    let one = transform.apply(&whole.slice(4, 1));
    assert_eq!(one.inputs[0].as_string::<i32>().value(0), "LISTEN");
    let none = transform.apply(&batch(&[(Some("a"), None, None, None)], true));
    assert!(none.inputs[0].is_null(0) && none.failures.is_empty());
    let empty = transform.apply(&whole.slice(0, 0));
    assert_eq!((empty.keys.len(), empty.kept, empty.inputs[0].len()), (0, None, 0));
}

fn text() -> impl Strategy<Value = Option<&'static str>> {
    prop_oneof![
        1 => Just(None),
        5 => prop::sample::select(vec!["", "listen", "pause", "Pause", "12", "-3", "x", "straße"]).prop_map(Some),
    ]
}

proptest! {
    #[test]
    fn plain_and_coded_texts_give_the_same(
        texts in prop::collection::vec((text(), text()), 1..40),
        start in 0usize..10,
    ) {
        let rows: Vec<_> = texts.iter().map(|(a, b)| (Some("k"), *a, Some(1.0), *b)).collect();
        let transform = job(
            &[("low", "lower(event_type)"), ("n", "coalesce(TRY_CAST(amount AS bigint), length(low), 0)")],
            &[("f", "event_type IS NULL OR low LIKE '%s%' OR low IN ('12', amount)"), ("g", "event_type <> 'x' OR n > 0")],
            &[
                ("a", "sum(CAST(amount AS bigint)) FILTER (WHERE event_type = 'listen' OR event_type IS NULL)"),
                ("b", "count(*) FILTER (WHERE event_type IS DISTINCT FROM amount)"),
                ("c", "last(event_type || coalesce(amount, '?'))"),
                ("d", "max(CASE event_type WHEN 'pause' THEN 1 WHEN 'Pause' THEN 2 END)"),
                ("e", "first(CASE WHEN amount IS NULL THEN 'none' ELSE event_type END)"),
                ("h", "last(coalesce(event_type, 'none'))"),
            ],
        );
        let start = start.min(rows.len() - 1);
        let [plain, coded] = [false, true].map(|coded| batch(&rows, coded).slice(start, rows.len() - start));
        let (plain, coded) = (transform.apply(&plain), transform.apply(&coded));
        prop_assert_eq!(&plain.failures, &coded.failures);
        prop_assert_eq!(&plain.kept, &coded.kept);
        prop_assert_eq!(plain.filtered, coded.filtered);
        prop_assert_eq!(&plain.keys, &coded.keys);
        prop_assert_eq!(&plain.inputs, &coded.inputs);
    }
}
