//! `tidewatch eval` as a person and a script meet it: rows on standard output, words on standard error, and an end
//! at the first record that fails. What expressions mean is the corpus's to check.

use testkit::process::{Finished, Invocation};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");
const FIELDS: &str = "i bigint, f double, s varchar, b boolean, t timestamp";

fn eval<const N: usize>(arguments: [&str; N]) -> Invocation {
    Invocation::new(PROGRAM).arg("eval").args(arguments)
}

/// Evaluates over these lines, in a file.
fn over<const N: usize>(lines: &str, arguments: [&str; N]) -> Finished {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("records.ndjson");
    std::fs::write(&path, lines).expect("write");
    let input = path.to_str().expect("a path in UTF-8");
    eval(["--schema", FIELDS, "--input", input]).args(arguments).run()
}

#[test]
fn every_record_gives_an_array_with_the_value_of_each_expression() {
    let lines = "{\"i\":7,\"f\":1,\"s\":\"h\\u00e9llo\",\"b\":true,\"t\":\"2024-02-29 12:34:56.5\"}\n\n {} \r\n{\"i\":-1,\"more\":[1]}";
    let rows = over(lines, ["i + 1", "f / 2", "upper(s)", "NOT b", "t", "t AT TIME ZONE 'Asia/Seoul'"])
        .expect_code(0)
        .text();
    let expected = [
        r#"[8,0.5,"HÉLLO",false,"2024-02-29T12:34:56.5","2024-02-29T03:34:56.5Z"]"#,
        "[null,null,null,null,null,null]",
        "[0,null,null,null,null,null]",
    ];
    assert_eq!(rows.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn without_an_input_there_is_one_record_without_fields() {
    let finished = eval([
        "1 + 1",
        "-0.0",
        "'nan'::double",
        "1e300 * 1e300",
        "DATE '2024-02-29' + 1",
        "1.5::decimal(5,2)",
    ]);
    assert_eq!(
        finished.run().expect_code(0).text(),
        "[2,-0.0,\"NaN\",\"Infinity\",\"2024-03-01\",\"1.50\"]\n"
    );
    assert_eq!(eval(["--schema", FIELDS, "i", "s IS NULL"]).run().expect_code(0).text(), "[null,true]\n");
    assert_eq!(
        eval(["NULL", "(NULL)", "coalesce(NULL, NULL)"]).run().expect_code(0).text(),
        "[null,null,null]\n"
    );
    let types = "\"a b\" varchar, d decimal(10,2)";
    assert_eq!(eval(["--schema", types, "\"a b\"", "d"]).run().expect_code(0).text(), "[null,null]\n");
}

#[test]
fn a_record_that_fails_ends_it_after_the_rows_before_it() {
    let finished = over("{\"i\":1}\n{\"i\":2}\n{\"i\":3}\n", ["i", "10 // (i - 2)"]).expect_code(1);
    assert_eq!(finished.text(), "[1,-10]\n");
    let words = &finished.stderr;
    assert_eq!(*words, "error: record 2: 10 // 0 is a division by zero\n  10 // (i - 2)\n");
    for (line, why) in
        [("{\"i\":1.0}", "type"), ("nonsense", "malformed"), ("{\"i\":1,\"i\":2}", "duplicate_name")]
    {
        let finished = over(&format!("{{\"i\":1}}\n{line}\n"), ["i"]).expect_code(1);
        let words = &finished.stderr;
        assert!(words.starts_with(&format!("error: record 2: {why}: ")), "{words}");
        assert_eq!(finished.text(), "[1]\n");
    }
}

#[test]
fn an_expression_that_does_not_compile_is_shown_with_the_word_underlined() {
    let finished = eval(["--schema", FIELDS, "i + 1", "lenght(s) > 3"]).run().expect_code(3);
    assert!(finished.stdout.is_empty());
    let words = &finished.stderr;
    let expected =
        "error: unknown function `lenght`\n  lenght(s) > 3\n  ^^^^^^\nhint: did you mean `length`?\n";
    assert_eq!(*words, expected);
    eval(["--schema", "i int3", "i"]).run().expect_code(2);
    eval([]).run().expect_code(2);
    eval(["--input", "missing/file", "1"]).run().expect_code(1);
}
