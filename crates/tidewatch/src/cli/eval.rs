//! `tidewatch eval`: the values of expressions, record by record, with the compiler and the decoder of a job.
//!
//! A decoder wants the time of an event; records here need none, so each gets one under a name that no other
//! field has.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use alert::{Instants, JsonColumn};
use anyhow::Context;
use clap::Args;
use event::{DataType, Evaluation, Expression, Field, Schema};
use ingest::{DecodeSpec, Decoder, FieldSpec, Piece, TimeSpec, TimeUnit};
use transform::ExpressionError;

use super::{REFUSED, Style, put, say};

/// Where records come from.
type Records = BufReader<Box<dyn Read>>;

/// Name of the time that each record gets.
const TIME: &str = "\\u0000time";
/// Bytes of records that are evaluated together.
const BATCH_BYTES: usize = 1 << 20;

#[derive(Debug, Args)]
pub(super) struct EvalArguments {
    /// Expressions; each record gives a JSON array with the value of each
    #[arg(required = true, allow_hyphen_values = true, value_name = "EXPRESSION")]
    expressions: Vec<String>,
    /// Fields of a record: names and types, as in 'user_id varchar, price decimal(10,2)'
    #[arg(long, value_name = "FIELDS", default_value = "")]
    schema: String,
    /// Records, one JSON object a line; `-` is standard input [default: one record without fields]
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
}

pub(super) fn run(arguments: &EvalArguments, _style: &Style) -> anyhow::Result<ExitCode> {
    let fields = match fields(&arguments.schema) {
        Ok(fields) => fields,
        Err(message) => {
            say(&format!("error: --schema: {message}\nhint: write for instance 'i bigint, s varchar'"));
            return Ok(ExitCode::from(2));
        }
    };
    let schema = Schema::new(fields.clone());
    let mut expressions: Vec<Arc<dyn Expression>> = Vec::with_capacity(arguments.expressions.len());
    for sql in &arguments.expressions {
        match transform::compile(sql, &schema) {
            Ok(expression) => expressions.push(expression),
            Err(error) => {
                say(&underlined(sql, &error));
                return Ok(ExitCode::from(REFUSED));
            }
        }
    }
    let bench = Bench { decoder: decoder(&fields), expressions, texts: &arguments.expressions, records: 0 };
    bench.run(records(arguments.input.as_deref())?)
}

/// The records: a file, standard input, or one record without fields.
fn records(input: Option<&Path>) -> anyhow::Result<Records> {
    let bytes: Box<dyn Read> = match input {
        None => Box::new(&b"{}\n"[..]),
        Some(path) if path.as_os_str() == "-" => Box::new(io::stdin()),
        Some(path) => Box::new(File::open(path).with_context(|| format!("open {}", path.display()))?),
    };
    Ok(BufReader::with_capacity(BATCH_BYTES, bytes))
}

fn decoder(fields: &[Field]) -> Decoder {
    let fields = fields.iter().map(|field| FieldSpec::new(field.name.clone(), field.data_type));
    let time = TimeSpec { range: i64::MIN..i64::MAX, ..TimeSpec::new(&["\0time"], TimeUnit::Micros) };
    Decoder::new(DecodeSpec::new(fields.collect(), time))
}

/// Reads `name type, "a name" decimal(10,2)`.
fn fields(text: &str) -> Result<Vec<Field>, String> {
    let mut fields: Vec<Field> = Vec::new();
    for declared in declarations(text) {
        let (name, rest) = match declared.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or_else(|| format!("`{declared}` lacks a quote"))?,
            None => declared.split_once(char::is_whitespace).unwrap_or((declared, "")),
        };
        if rest.trim().is_empty() {
            return Err(format!("the field `{name}` has no type"));
        }
        let data_type: DataType =
            rest.parse().map_err(|error: event::UnknownType| format!("field `{name}`: {error}"))?;
        if fields.iter().any(|field| field.name == name) {
            return Err(format!("there are two fields `{name}`"));
        }
        fields.push(Field::new(name, data_type));
    }
    Ok(fields)
}

/// The parts between the commas that stand neither in parentheses nor in quotes.
fn declarations(text: &str) -> impl Iterator<Item = &str> {
    let (mut depth, mut quoted) = (0, false);
    let parts = text.split(move |c: char| {
        match c {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0 && !quoted
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

/// An error with the word that it is about.
fn underlined(sql: &str, error: &ExpressionError) -> String {
    let before = &sql[..error.span.start];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = sql[line_start..].lines().next().unwrap_or_default();
    let indent = sql[line_start..error.span.start].chars().count();
    let end = error.span.end.min(line_start + line.len()).max(error.span.start);
    let width = sql[error.span.start..end].chars().count().max(1);
    let help = error.help.as_ref().map_or(String::new(), |help| format!("\nhint: {help}"));
    format!("error: {}\n  {line}\n  {}{}{help}", error.message, " ".repeat(indent), "^".repeat(width))
}

/// What evaluates, and how far it is.
struct Bench<'a> {
    decoder: Decoder,
    expressions: Vec<Arc<dyn Expression>>,
    texts: &'a [String],
    records: u64,
}

impl Bench<'_> {
    fn run(mut self, mut input: Records) -> anyhow::Result<ExitCode> {
        loop {
            let lines = read_lines(&mut input).context("read the records")?;
            if lines.is_empty() {
                return Ok(ExitCode::SUCCESS);
            }
            let (rows, failure) = self.evaluate(lines);
            put(&rows)?;
            if let Some(failure) = failure {
                say(&format!("error: {failure}"));
                return Ok(ExitCode::FAILURE);
            }
        }
    }

    /// The rows of whole lines, up to the first record that fails, and why that does.
    fn evaluate(&mut self, lines: Vec<u8>) -> (String, Option<String>) {
        let (decoded, _) = self.decoder.decode(Piece::new(lines, 0), usize::MAX);
        let batch = &decoded.records.batch;
        let results: Vec<Evaluation> =
            self.expressions.iter().map(|expression| expression.evaluate(batch)).collect();
        let rejected = decoded.rejected.first();
        let mut first = rejected
            .map(|rejected| (rejected.before, format!("{}: {}", rejected.reason.code(), rejected.detail)));
        for (result, sql) in results.iter().zip(self.texts) {
            if let Some(failure) = result.failures.first()
                && first.as_ref().is_none_or(|(row, _)| failure.row < *row)
            {
                first = Some((failure.row, format!("{}\n  {sql}", failure.detail)));
            }
        }
        let rows = first.as_ref().map_or(batch.rows(), |(row, _)| *row);
        let failure =
            first.map(|(row, detail)| format!("record {}: {detail}", self.records + row as u64 + 1));
        self.records += rows as u64;
        (json_rows(&results, rows), failure)
    }
}

/// A JSON array for each of the first rows.
fn json_rows(results: &[Evaluation], rows: usize) -> String {
    let columns: Vec<JsonColumn> =
        results.iter().map(|result| JsonColumn::new(&result.column, Instants::Rfc3339)).collect();
    let mut out = Vec::new();
    for row in 0..rows {
        for (at, column) in columns.iter().enumerate() {
            out.push(if at == 0 { b'[' } else { b',' });
            column.append(row, &mut out);
        }
        out.extend_from_slice(b"]\n");
    }
    String::from_utf8(out).expect("JSON is UTF-8")
}

/// Whole lines, each with its time: as many as there are without waiting, up to a limit.
fn read_lines(input: &mut Records) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    while lines.len() < BATCH_BYTES {
        let mut line = Vec::new();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        with_time(&line, &mut lines)?;
        if lines.last() != Some(&b'\n') {
            lines.push(b'\n');
        }
        // What was typed is answered before the next line is waited for.
        if input.buffer().is_empty() {
            break;
        }
    }
    Ok(lines)
}

/// Appends a line; an object gets a time as its first member.
fn with_time(line: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let start = line.iter().position(|byte| !b" \t\r\n\xef\xbb\xbf".contains(byte)).unwrap_or(line.len());
    if line.get(start) != Some(&b'{') {
        out.extend_from_slice(line);
        return Ok(());
    }
    let rest = &line[start + 1..];
    let empty = rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'}');
    write!(out, "{{\"{TIME}\":0{}", if empty { "" } else { "," })?;
    out.extend_from_slice(rest);
    Ok(())
}
