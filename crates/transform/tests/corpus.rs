//! The corpus of expressions (`tests/expressions/`): what DuckDB answers for every function and operator over
//! edge values, and for expressions as people write them.
//!
//! Each is evaluated over the whole table, over each row alone, and with the texts coded as a dictionary: the
//! answer must be the same, and a row for which DuckDB fails must be the only one that fails. Where we mean to
//! differ the corpus says why, and then we must.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::builder::StringDictionaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ArrayRef, StringArray};
use event::{Batch, DataType, Expression, Field, Schema};

/// A cell or an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cell {
    Text(String),
    Null,
    Failed,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/expressions")
}

fn unescaped(text: &str) -> String {
    let (mut plain, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next().unwrap() {
                'n' => '\n',
                't' => '\t',
                other => other,
            },
            c => c,
        });
    }
    plain
}

/// The cells of a line; a separator behind a backslash is none.
fn cells(line: &str) -> Vec<Cell> {
    let (mut raw, mut escaped) = (vec![String::new()], false);
    for c in line.chars() {
        if c == '|' && !escaped {
            raw.push(String::new());
            continue;
        }
        escaped = c == '\\' && !escaped;
        raw.last_mut().unwrap().push(c);
    }
    let cell = |raw: String| match raw.as_str() {
        "~" => Cell::Null,
        "!" => Cell::Failed,
        text => Cell::Text(unescaped(text)),
    };
    raw.into_iter().map(cell).collect()
}

fn coded(texts: &StringArray) -> ArrayRef {
    let mut column = StringDictionaryBuilder::<UInt32Type>::new();
    texts.iter().for_each(|text| column.append_option(text));
    Arc::new(column.finish())
}

/// The table, once with plain and once with coded texts.
fn table(lines: &str) -> (Batch, Batch) {
    let (mut fields, mut plain) = (Vec::new(), Vec::new());
    for line in lines.lines() {
        let [name, data_type, values] = line.splitn(3, '\t').collect::<Vec<_>>().try_into().unwrap();
        let data_type: DataType = data_type.parse().unwrap();
        let texts: StringArray = cells(values)
            .into_iter()
            .map(|cell| if let Cell::Text(text) = cell { Some(text) } else { None })
            .collect();
        let (rows, texts): (usize, ArrayRef) = (texts.len(), Arc::new(texts));
        let schema = Schema::new(vec![Field::new("x", DataType::Varchar)]);
        let cast = transform::compile(&format!("CAST(x AS {data_type})"), &schema).unwrap();
        let result = cast.evaluate(&Batch::new(Arc::new(schema), vec![texts], rows));
        assert_eq!(result.failures, [], "{line}");
        fields.push(Field::new(name, data_type));
        plain.push(result.column);
    }
    let schema = Arc::new(Schema::new(fields));
    let dictionaries =
        plain.iter().map(|column| column.as_string_opt().map_or(Arc::clone(column), coded)).collect();
    let rows = plain[0].len();
    (Batch::new(Arc::clone(&schema), plain, rows), Batch::new(schema, dictionaries, rows))
}

fn answers(expression: &dyn Expression, batch: &Batch) -> Vec<Cell> {
    let result = expression.evaluate(batch);
    let texts = result.column.as_string::<i32>();
    let cell = |text: Option<&str>| text.map_or(Cell::Null, |text| Cell::Text(text.to_owned()));
    let mut answers: Vec<Cell> = texts.iter().map(cell).collect();
    for failure in result.failures {
        assert_eq!(answers[failure.row], Cell::Null, "a row that failed holds NULL");
        answers[failure.row] = Cell::Failed;
    }
    answers
}

fn kind(sql: &str, schema: &Schema) -> Option<String> {
    let data_type = transform::compile(sql, schema).ok()?.data_type();
    Some(data_type.to_string().split('(').next().unwrap().to_owned())
}

/// What is wrong with our answers, if anything.
fn judge(sql: &str, wanted_kind: &str, expected: &[Cell], (plain, coded): &(Batch, Batch)) -> Option<String> {
    let expression = match transform::compile(&format!("CAST(({sql}) AS varchar)"), plain.schema()) {
        Ok(expression) => expression,
        // What fails for every row because it is constant is refused when it is compiled.
        Err(_) if expected.iter().all(|answer| *answer == Cell::Failed) => return None,
        Err(error) => return Some(format!("{sql}: {error}")),
    };
    let found_kind = kind(sql, plain.schema());
    if found_kind.as_ref().is_some_and(|found| found != wanted_kind) && wanted_kind != "null" {
        return Some(format!("{sql}: a {}, expected a {wanted_kind}", found_kind.unwrap()));
    }
    let single =
        (0..plain.rows()).flat_map(|row| answers(expression.as_ref(), &coded.slice(row, 1))).collect();
    let ways = [answers(expression.as_ref(), plain), answers(expression.as_ref(), coded), single];
    for (way, found) in ["plain", "coded", "single"].iter().zip(ways) {
        let wrong: Vec<usize> = (0..expected.len()).filter(|&row| found[row] != expected[row]).collect();
        if wrong.is_empty() {
            continue;
        }
        let mut report = format!("{sql} ({way}; {} rows)", wrong.len());
        for row in wrong.into_iter().take(4) {
            let inputs: Vec<String> = transform_inputs(plain, row);
            let (expected, found) = (&expected[row], &found[row]);
            report += &format!("\n    {}: expected {expected:?}, found {found:?}", inputs.join(", "));
        }
        return Some(report);
    }
    None
}

/// The cells of a row, for a report.
fn transform_inputs(batch: &Batch, row: usize) -> Vec<String> {
    let fields = batch.schema().fields().iter();
    let name = |field: &Field| format!("CAST(\"{}\" AS varchar)", field.name);
    let cast = |field: &Field| transform::compile(&name(field), batch.schema()).unwrap();
    fields.map(|field| format!("{:?}", answers(cast(field).as_ref(), &batch.slice(row, 1))[0])).collect()
}

/// The mistakes of one file, and its number of cases.
fn check(name: &str) -> (usize, Vec<String>) {
    let file = std::fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap();
    let (columns, cases) = file.split_once("\n\n").unwrap();
    let table = table(columns);
    let (mut wrong, mut count, mut reason) = (Vec::new(), 0, None);
    for line in cases.lines() {
        if let Some(text) = line.strip_prefix("# ") {
            reason = Some(text);
            continue;
        }
        let [sql, kind, expected] = line.splitn(3, '\t').collect::<Vec<_>>().try_into().unwrap();
        let found = judge(&unescaped(sql), kind, &cells(expected), &table);
        match (found, reason.take()) {
            (Some(_), Some(_)) | (None, None) => {}
            (Some(found), None) => wrong.push(format!("{name}: {found}")),
            (None, Some(reason)) => wrong.push(format!("{name}: {sql} is marked as different: {reason}")),
        }
        count += 1;
    }
    (count, wrong)
}

#[test]
fn every_expression_of_the_corpus_has_duckdbs_answer() {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".txt").map(str::to_owned))
        .collect();
    names.sort();
    let results: Vec<(usize, Vec<String>)> = names.iter().map(|name| check(name)).collect();
    let count: usize = results.iter().map(|(count, _)| count).sum();
    let wrong: Vec<String> = results.into_iter().flat_map(|(_, wrong)| wrong).collect();
    assert!(wrong.is_empty(), "{} of {count} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 1_500, "{count} cases");
}

#[test]
fn every_function_that_the_page_names_is_there() {
    let page = std::fs::read_to_string(folder().join("../../docs/sql.md")).unwrap();
    let section = page.split("## Functions").nth(1).unwrap().split("## Differences").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| "));
    let words = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    let names: Vec<&str> = words.map(|word| word.split('(').next().unwrap()).collect();
    assert!(names.len() > 80, "{} functions are named", names.len());
    let unknown = names.iter().filter(|name| {
        let error = transform::compile(&format!("{name}()"), &Schema::default()).err();
        error.is_some_and(|error| error.message.starts_with("unknown function"))
    });
    assert_eq!(unknown.collect::<Vec<_>>(), [&""; 0]);
}
