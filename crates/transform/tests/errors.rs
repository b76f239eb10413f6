//! What is said about an expression that cannot be compiled, and where it points.

use event::{DataType, Field, Schema};

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("duration_s", DataType::Double),
        Field::new("event_type", DataType::Varchar),
        Field::new("pauses", DataType::Bigint),
        Field::new("price", DataType::Decimal { precision: 10, scale: 2 }),
        Field::new("ts", DataType::TimestampTz),
        Field::new("born", DataType::Date),
        Field::new("ok", DataType::Boolean),
        Field::new("a.b", DataType::Bigint),
    ])
}

/// The message, the help, and the text underlined with `^`.
fn check(sql: &str, underline: &str, message: &str, help: &str) {
    let error = match transform::compile(sql, &schema()) {
        Ok(expression) => panic!("{sql} compiles: {expression:?}"),
        Err(error) => error,
    };
    let start = sql[..error.span.start].chars().count();
    let length = sql[error.span.clone()].chars().count();
    let found = format!("{}{}", " ".repeat(start), "^".repeat(length));
    assert_eq!(
        (error.message.as_str(), error.help.as_deref().unwrap_or_default(), found.as_str()),
        (message, help, underline),
        "{sql}"
    );
}

#[test]
fn an_unknown_name_points_to_the_word_and_suggests_the_nearest() {
    check("1 + duraton_s", "    ^^^^^^^^^", "unknown column `duraton_s`", "did you mean `duration_s`?");
    check(
        "ok AND\n Event_Type = 'x'",
        "        ^^^^^^^^^^",
        "unknown column `Event_Type`",
        "did you mean `event_type`?",
    );
    check("'ä' = evnt_type", "      ^^^^^^^^^", "unknown column `evnt_type`", "did you mean `event_type`?");
    check("ruond(pauses)", "^^^^^", "unknown function `ruond`", "did you mean `round`?");
    check("frobnicate(pauses)", "^^^^^^^^^^", "unknown function `frobnicate`", "");
    check("date_trunc('hor', ts)", "           ^^^^^", "unknown part `hor`", "did you mean `hour`?");
    check(
        "event_type = \"listen\"",
        "             ^^^^^^^^",
        "unknown column `listen`",
        "double quotes name a column; a text is written 'listen'",
    );
    check("a.b > 1", "^^^", "unknown column `a.b`", "a name with a dot is quoted: \"a.b\"");
}

#[test]
fn kinds_of_values_are_not_mixed_in_silence() {
    check(
        "event_type = 5",
        "             ^",
        "a varchar cannot be compared with a bigint",
        "write '5' in quotes",
    );
    check("'5' < pauses", "^^^", "a varchar cannot be compared with a bigint", "write 5 without quotes");
    check(
        "ts > event_type",
        "     ^^^^^^^^^^",
        "a timestamptz cannot be compared with a varchar",
        "CAST(.. AS timestamptz) converts it",
    );
    check("ts > 'yesterday'", "     ^^^^^^^^^^^", "'yesterday' is not a timestamptz", "");
    check(
        "pauses IN (1, 'x')",
        "              ^^^",
        "a bigint cannot be compared with a varchar",
        "CAST(.. AS bigint) reads a number out of a text",
    );
    check(
        "event_type + 1",
        "^^^^^^^^^^",
        "`+` needs numbers, found a varchar",
        "`||` joins texts; CAST(.. AS double) reads a number out of a text",
    );
    check(
        "ts - ts",
        "^^^^^^^",
        "an interval is no value of a column",
        "add it to a time, compare it with another, or take its length with epoch(..)",
    );
    check(
        "ts * 2",
        "^^",
        "`*` needs numbers, found a timestamptz",
        "an interval can be added to a time, as in `ts + INTERVAL '10 minutes'`",
    );
    check(
        "event_type || pauses",
        "              ^^^^^^",
        "`||` joins varchar values, found a bigint",
        "CAST(.. AS varchar) converts it",
    );
    check(
        "lower(pauses)",
        "      ^^^^^^",
        "`lower` needs a varchar, found a bigint",
        "CAST(.. AS varchar) converts it",
    );
    check(
        "NOT pauses",
        "    ^^^^^^",
        "expected a boolean condition, found a bigint",
        "compare it with something, as in `x > 0`",
    );
    check(
        "coalesce(pauses, 'none')",
        "                 ^^^^^^",
        "the arguments of coalesce must be of one type: the first is a bigint, this is a varchar",
        "CAST(.. AS bigint) reads a number out of a text",
    );
    check(
        "CASE WHEN ok THEN 1 ELSE born END",
        "                         ^^^^",
        "the results of CASE must be of one type: the first is a bigint, this is a date",
        "",
    );
    check("CAST(ok AS date)", "     ^^", "a boolean cannot be cast to date", "");
}

#[test]
fn what_sql_has_and_we_do_not_is_named() {
    check(
        "sum(pauses)",
        "^^^",
        "the aggregate `sum` cannot stand here",
        "aggregates are for features; here is one row at a time",
    );
    check(
        "lower(DISTINCT event_type)",
        "      ^^^^^^^^",
        "`lower` does not take DISTINCT",
        "only aggregates do",
    );
    check("abs(*)", "^^^", "`abs`: `*` is only for count(*)", "");
    check("round(1, 2, 3)", "^^^^^^^^^^^^^", "`round` takes 1 to 2 arguments, not 3", "");
    check(
        "INTERVAL '1 day'",
        "         ^^^^^^^",
        "an interval is no value of a column",
        "add it to a time, compare it with another, or take its length with epoch(..)",
    );
    check(
        "ts + INTERVAL '1 dya'",
        "              ^^^^^^^",
        "this interval is not understood",
        "write for instance INTERVAL '1 day 2 hours' or INTERVAL 10 MINUTE",
    );
    check(
        "pauses::float",
        "^^^^^^",
        "unknown type `float`; the types are varchar, bigint, double, boolean, decimal(p,s), date, timestamp, timestamptz",
        "whole numbers are bigint, others double",
    );
    check(
        "DATE '2024-02-30'",
        "     ^^^^^^^^^^^^",
        "'2024-02-30' is not a date",
        "dates are written YYYY-MM-DD, times YYYY-MM-DD HH:MM:SS[.f]",
    );
    check(
        "pauses AS p",
        "          ^",
        "a name with AS cannot stand here: the expression has one already",
        "",
    );
}

#[test]
fn what_does_not_parse_points_to_the_word() {
    check("pauses >", "        ", "expected an expression, found: the end", "");
    check("pauses > > 1", "         ^", "expected an expression, found: >", "");
    check("pauses 5", "       ^", "expected the end of the expression, found `5`", "");
    check("", "", "the expression is empty", "");
    check("event_type = 'x", "             ^^", "unterminated string literal", "");
}

#[test]
fn a_constant_that_cannot_be_computed_is_refused_when_it_is_compiled() {
    check("pauses + CAST('x' AS bigint)", "              ^^^", "'x' is not a bigint", "");
    check(
        "9223372036854775807 + 1",
        "^^^^^^^^^^^^^^^^^^^^^^^",
        "9223372036854775807 + 1 does not fit a bigint",
        "",
    );
    check(
        "pauses > 9223372036854775808",
        "         ^^^^^^^^^^^^^^^^^^^",
        "9223372036854775808 does not fit a bigint",
        "write 9223372036854775808.0 for a double",
    );
}

#[test]
fn a_hostile_expression_is_an_error_and_no_overflow_of_the_stack() {
    let messages = [
        format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("{}1{}", "(".repeat(40), ")".repeat(39)),
        format!("1{}", " + 1".repeat(10_000)),
        format!("pauses{}", " + pauses".repeat(900)),
        format!("{}ok", "NOT ".repeat(10_000)),
        format!("{}pauses", "- ".repeat(1_900)),
        format!("ok{}", " IS NULL".repeat(900)),
        format!("1{}", "::bigint".repeat(900)),
        format!("'{}'", "x".repeat(100_000)),
        "CASE WHEN ".repeat(1_000),
        format!("{}1", "CASE WHEN ok THEN ".repeat(100)),
        format!("{}pauses{}", "abs(".repeat(500), ")".repeat(500)),
    ];
    for sql in messages {
        let error = transform::compile(&sql, &schema()).unwrap_err();
        assert!(error.span.end <= sql.len(), "{}", error.message);
    }
}

#[test]
fn a_long_chain_of_conditions_and_a_long_list_compile() {
    let chain = vec!["pauses = 1"; 400].join(" OR ");
    transform::compile(&chain, &schema()).unwrap();
    let list = (0..5_000).map(|n| format!("'{n}'")).collect::<Vec<_>>().join(", ");
    transform::compile(&format!("event_type IN ({list})"), &schema()).unwrap();
}
