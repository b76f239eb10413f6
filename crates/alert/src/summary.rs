//! The sentence of an alert: a template with the names of a row's columns in braces.
//!
//! `{key}: engagement {engagement:.2f} ({pauses} pauses)`. Parsed once, when the config is read, with
//! errors that name the nearest name; `{{` and `}}` are braces.

use std::io::Write;

use event::{RowSchema, Verdict};

use crate::json::{JsonColumn, Values, append_bigint, append_decimal};
use crate::object::append_key_text;

/// A template that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SummaryError {
    /// An opening brace without a closing one.
    #[error("the brace at character {at} of the summary is not closed; write `{{{{` for a brace")]
    Unclosed {
        /// Characters before it, plus one.
        at: usize,
    },
    /// A closing brace without an opening one.
    #[error("the brace at character {at} of the summary closes nothing; write `}}}}` for a brace")]
    Unopened {
        /// Characters before it, plus one.
        at: usize,
    },
    /// A name that is no column and no word of the alert.
    #[error("unknown name `{name}` in the summary; did you mean `{nearest}`?")]
    UnknownName {
        /// What stands there.
        name: String,
        /// The known name that is most like it.
        nearest: String,
    },
    /// What stands behind the colon is no format.
    #[error("unknown format `{format}` in the summary; `:.2f` writes a number with two decimals")]
    Format {
        /// What stands there.
        format: String,
    },
    /// A number's format on something else.
    #[error("`{name}` in the summary is no number and cannot have decimals")]
    NotANumber {
        /// The name in front of the format.
        name: String,
    },
}

/// A parsed template.
#[derive(Debug, Clone)]
pub struct Summary {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Value { of: Value, decimals: Option<u8> },
}

#[derive(Debug, Clone, Copy)]
enum Value {
    Column(usize),
    Key,
    Rule,
    Severity,
    Score,
    Threshold,
}

/// What a template can name besides columns. A column of the same name goes first.
const WORDS: [(&str, Value); 5] = [
    ("key", Value::Key),
    ("rule", Value::Rule),
    ("severity", Value::Severity),
    ("score", Value::Score),
    ("threshold", Value::Threshold),
];

/// More decimals than a double has in any place that matters.
const DECIMALS_MAX: u8 = 17;

impl Summary {
    /// Parses a template over the columns of `row` and `key`, `rule`, `severity`, `score`, `threshold`.
    ///
    /// # Errors
    /// On a brace without its other, an unknown name, or a format that does not fit.
    pub fn parse(template: &str, row: &RowSchema) -> Result<Summary, SummaryError> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = template;
        while let Some(place) = rest.find(['{', '}']) {
            text.push_str(&rest[..place]);
            let (brace, behind) = rest[place..].split_at(1);
            let at = template[..template.len() - rest.len() + place].chars().count() + 1;
            if let Some(behind) = behind.strip_prefix(brace) {
                text.push_str(brace);
                rest = behind;
                continue;
            }
            if brace == "}" {
                return Err(SummaryError::Unopened { at });
            }
            let (inner, behind) = behind.split_once('}').ok_or(SummaryError::Unclosed { at })?;
            if inner.contains('{') {
                return Err(SummaryError::Unclosed { at });
            }
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(placeholder(inner, row)?);
            rest = behind;
        }
        text.push_str(rest);
        pieces.push(Piece::Text(text));
        Ok(Summary { pieces })
    }

    /// Appends the sentence for a row. Not JSON: without quotes or escapes.
    pub(crate) fn append(
        &self,
        columns: &[JsonColumn<'_>],
        keys: usize,
        row: usize,
        rule: &str,
        verdict: &Verdict,
        out: &mut Vec<u8>,
    ) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Value { of, decimals } => match *of {
                    Value::Column(column) => append_column(&columns[column], row, *decimals, out),
                    Value::Key => append_key_text(&columns[..keys], row, out),
                    Value::Rule => out.extend_from_slice(rule.as_bytes()),
                    Value::Severity => out.extend_from_slice(verdict.severity.name().as_bytes()),
                    Value::Score => append_number(verdict.score, *decimals, out),
                    Value::Threshold => append_number(verdict.threshold, *decimals, out),
                },
            }
        }
    }
}

/// What stands between two braces: a name, and perhaps a format.
fn placeholder(inner: &str, row: &RowSchema) -> Result<Piece, SummaryError> {
    let inner = inner.trim();
    if let Some(of) = value(inner, row) {
        return Ok(Piece::Value { of, decimals: None });
    }
    let (name, format) = match inner.rsplit_once(':') {
        Some((name, format)) => (name.trim(), Some(format.trim())),
        None => (inner, None),
    };
    let Some(of) = value(name, row) else {
        return Err(SummaryError::UnknownName { name: name.to_owned(), nearest: nearest(name, row) });
    };
    let Some(format) = format else { return Ok(Piece::Value { of, decimals: None }) };
    let decimals = format
        .strip_prefix('.')
        .and_then(|format| format.strip_suffix('f'))
        .and_then(|digits| digits.parse().ok())
        .filter(|decimals| *decimals <= DECIMALS_MAX)
        .ok_or_else(|| SummaryError::Format { format: format.to_owned() })?;
    let number = match of {
        Value::Column(column) => row.schema().fields()[column].data_type.is_numeric(),
        Value::Score | Value::Threshold => true,
        Value::Key | Value::Rule | Value::Severity => false,
    };
    if !number {
        return Err(SummaryError::NotANumber { name: name.to_owned() });
    }
    Ok(Piece::Value { of, decimals: Some(decimals) })
}

fn value(name: &str, row: &RowSchema) -> Option<Value> {
    let word = || WORDS.iter().find(|(word, _)| *word == name).map(|(_, value)| *value);
    row.schema().index_of(name).map(Value::Column).or_else(word)
}

/// The known name with the fewest letters to change.
fn nearest(name: &str, row: &RowSchema) -> String {
    let columns = row.schema().fields().iter().map(|field| field.name.as_str());
    let known = columns.chain(WORDS.iter().map(|(word, _)| *word));
    known.min_by_key(|known| edits(name, known)).unwrap_or_default().to_owned()
}

/// Letters to insert, remove or replace to make one of the other (Levenshtein's distance).
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

fn append_column(column: &JsonColumn<'_>, row: usize, decimals: Option<u8>, out: &mut Vec<u8>) {
    let Some(decimals) = decimals.filter(|_| !column.is_null(row)) else {
        return column.append_text(row, out);
    };
    match column.values {
        Values::Double(values) => append_number(Some(values.value(row)), Some(decimals), out),
        Values::Bigint(values) => {
            append_bigint(values.value(row), out);
            append_zeros(decimals, out);
        }
        Values::Decimal(values, scale) => append_rounded(values.value(row), scale, decimals, out),
        _ => column.append_text(row, out),
    }
}

fn append_number(value: Option<f64>, decimals: Option<u8>, out: &mut Vec<u8>) {
    // A vector takes every write.
    let _ = match (value, decimals) {
        (None, _) => write!(out, "null"),
        (Some(value), _) if value.is_nan() => write!(out, "NaN"),
        (Some(value), _) if value.is_infinite() => {
            write!(out, "{}", if value > 0.0 { "Infinity" } else { "-Infinity" })
        }
        (Some(value), Some(decimals)) => write!(out, "{value:.*}", usize::from(decimals)),
        (Some(value), None) => {
            crate::json::append_double(value, out);
            Ok(())
        }
    };
}

/// Appends a decimal rounded half away from zero.
fn append_rounded(unscaled: i128, scale: u8, decimals: u8, out: &mut Vec<u8>) {
    if scale <= decimals {
        append_decimal(unscaled, scale, out);
        if scale == 0 {
            append_zeros(decimals, out);
        } else {
            out.resize(out.len() + usize::from(decimals - scale), b'0');
        }
        return;
    }
    let unit = 10_i128.pow(u32::from(scale - decimals));
    let (whole, rest) = (unscaled / unit, unscaled % unit);
    let up = if rest.unsigned_abs() >= unit.unsigned_abs() / 2 { rest.signum() } else { 0 };
    append_decimal(whole + up, decimals, out);
}

fn append_zeros(decimals: u8, out: &mut Vec<u8>) {
    if decimals > 0 {
        out.push(b'.');
        out.resize(out.len() + usize::from(decimals), b'0');
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Decimal128Array, Float64Array, Int64Array, StringArray};
    use event::{DataType, Field, Severity};

    use super::*;
    use crate::json::Instants;

    fn row() -> RowSchema {
        RowSchema::new(
            &[Field::new("user_id", DataType::Varchar)],
            &[
                Field::new("pauses", DataType::Bigint),
                Field::new("paid", DataType::Decimal { precision: 9, scale: 2 }),
            ],
            &[Field::new("engagement", DataType::Double)],
        )
    }

    fn summary(template: &str) -> String {
        let instant = || {
            Arc::new(
                arrow_array::TimestampMicrosecondArray::from(vec![0])
                    .with_data_type(DataType::TimestampTz.arrow()),
            ) as ArrayRef
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec!["a \"b\""])),
            instant(),
            instant(),
            Arc::new(Int64Array::from(vec![7])),
            Arc::new(Decimal128Array::from(vec![-1_250]).with_precision_and_scale(9, 2).unwrap()),
            Arc::new(Float64Array::from(vec![0.126])),
        ];
        let columns: Vec<_> = columns.iter().map(|c| JsonColumn::new(c, Instants::Rfc3339)).collect();
        let verdict = Verdict { rule: 0, severity: Severity::Critical, score: Some(0.126), threshold: None };
        let mut out = Vec::new();
        Summary::parse(template, &row()).unwrap().append(&columns, 1, 0, "low", &verdict, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn refused(template: &str) -> String {
        Summary::parse(template, &row()).unwrap_err().to_string()
    }

    #[test]
    fn names_become_the_values_of_the_row() {
        assert_eq!(
            summary("{key}: engagement {engagement:.2f} ({pauses} pauses)"),
            "a \"b\": engagement 0.13 (7 pauses)"
        );
        assert_eq!(summary("{rule}/{severity} {score} {threshold}"), "low/critical 0.126 null");
        assert_eq!(summary("{window_end} {user_id}"), "1970-01-01T00:00:00Z a \"b\"");
        assert_eq!(summary(""), "");
    }

    #[test]
    fn double_braces_are_braces() {
        assert_eq!(summary("{{{pauses}}} {{pauses}}"), "{7} {pauses}");
    }

    #[test]
    fn decimals_are_kept_and_rounded_in_every_number() {
        assert_eq!(summary("{pauses:.2f} {pauses:.0f}"), "7.00 7");
        assert_eq!(summary("{paid} {paid:.3f} {paid:.1f} {paid:.0f}"), "-12.50 -12.500 -12.5 -13");
        assert_eq!(summary("{engagement:.0f} {score:.1f} {threshold:.1f}"), "0 0.1 null");
    }

    #[test]
    fn a_mistake_is_named_with_the_nearest_name() {
        assert_eq!(refused("{pause}"), "unknown name `pause` in the summary; did you mean `pauses`?");
        assert_eq!(
            refused("{engagment:.2f}"),
            "unknown name `engagment` in the summary; did you mean `engagement`?"
        );
        assert_eq!(
            refused("é {key"),
            "the brace at character 3 of the summary is not closed; write `{{` for a brace"
        );
        assert_eq!(
            refused("key}"),
            "the brace at character 4 of the summary closes nothing; write `}}` for a brace"
        );
        assert_eq!(refused("{key {rule}"), refused("{key"));
        assert_eq!(
            refused("{engagement:x}"),
            "unknown format `x` in the summary; `:.2f` writes a number with two decimals"
        );
        assert_eq!(
            refused("{user_id:.2f}"),
            "`user_id` in the summary is no number and cannot have decimals"
        );
    }
}
