//! DuckDB's answers for some 350 expressions over a small table (`answers/duckdb.txt`, made by `answers/write.py`).
//!
//! Each is evaluated over the whole table, over each row alone, and with the texts coded as a dictionary: the
//! answer must be the same, and a row for which DuckDB fails must be the only one that fails.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow_array::builder::StringDictionaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ArrayRef, StringArray};
use event::{Batch, DataType, Expression, Field, Schema};

/// Where we mean to differ: DuckDB adds whole seconds and microseconds of an instant before 1970 as doubles.
const DIFFERENT: &[&str] = &["epoch(z)"];

fn cells(text: &str) -> StringArray {
    text.split('|').map(|cell| (cell != "NULL").then_some(cell)).collect()
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
        let [name, data_type, values] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let data_type: DataType = data_type.parse().unwrap();
        let texts: ArrayRef = Arc::new(cells(values));
        let schema = Schema::new(vec![Field::new("x", DataType::Varchar)]);
        let cast = transform::compile(&format!("CAST(x AS {data_type})"), &schema).unwrap();
        let rows = texts.len();
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

/// The answers as the file writes them: text, `NULL` or `!`.
fn answers(expression: &dyn Expression, batch: &Batch) -> Vec<String> {
    let result = expression.evaluate(batch);
    let texts = result.column.as_string::<i32>();
    let mut answers: Vec<String> = texts.iter().map(|text| text.unwrap_or("NULL").to_owned()).collect();
    for failure in result.failures {
        assert_eq!(answers[failure.row], "NULL", "a row that failed holds NULL");
        answers[failure.row] = "!".to_owned();
    }
    answers
}

#[test]
fn every_expression_has_duckdbs_answer() {
    let file = include_str!("answers/duckdb.txt");
    let (columns, expressions) = file.split_once("\n\n").unwrap();
    let (plain, coded) = table(columns);
    let mut wrong = Vec::new();
    for line in expressions.lines() {
        let (sql, expected) = line.split_once('\t').unwrap();
        if DIFFERENT.contains(&sql) {
            continue;
        }
        let expected: Vec<String> = expected.split('|').map(str::to_owned).collect();
        let expression = match transform::compile(&format!("CAST(({sql}) AS varchar)"), plain.schema()) {
            Ok(expression) => expression,
            // What fails for every row because it is constant is refused when it is compiled.
            Err(_) if expected.iter().all(|answer| answer == "!") => continue,
            Err(error) => {
                wrong.push(format!("{sql}: {error}"));
                continue;
            }
        };
        let single =
            (0..plain.rows()).flat_map(|row| answers(expression.as_ref(), &coded.slice(row, 1))).collect();
        let ways = [answers(expression.as_ref(), &plain), answers(expression.as_ref(), &coded), single];
        for (way, found) in ["plain", "coded", "single"].iter().zip(ways) {
            if found != expected {
                wrong.push(format!(
                    "{sql} ({way})\n  expected {}\n     found {}",
                    expected.join("|"),
                    found.join("|")
                ));
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
