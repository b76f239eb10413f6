//! Lines into the columns of a table, a chunk at a time.
//!
//! A line is JSON of ours. Texts are made fit for every database: NUL, which PostgreSQL does not take, is
//! U+FFFD, except in the key, which stays different for different keys.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_128;

use super::table::{Kind, Shape};
use crate::instant::append_instant;

/// A chunk has no more rows than this,
const CHUNK_ROWS: usize = 8192;
/// and no more bytes of lines, unless it is one row.
const CHUNK_BYTES: usize = 4 << 20;

/// A longer key is cut and ends with its hash: databases have a bound for what they index.
const KEY_BYTES: usize = 1000;
/// A key that is NULL.
const NULL: &str = "null";
/// How much of it is left.
const KEY_HEAD_BYTES: usize = 900;

/// The values of a column.
#[derive(Debug)]
pub(super) enum Values<'a> {
    /// Texts, instants, JSON.
    Text(Vec<Option<Cow<'a, str>>>),
    Integer(Vec<Option<i64>>),
    Number(Vec<Option<f64>>),
}

/// Some rows.
#[derive(Debug)]
pub(super) struct Chunk<'a> {
    pub(super) rows: usize,
    /// In the order of [`Shape::columns`].
    pub(super) columns: Vec<Values<'a>>,
}

/// The lines as chunks of rows of that shape.
pub(super) fn chunks<'a>(
    shape: &'a Shape,
    mut lines: &'a [u8],
) -> impl Iterator<Item = Result<Chunk<'a>, serde_json::Error>> {
    std::iter::from_fn(move || {
        let mut chunk = Chunk::new(shape);
        let mut bytes = 0;
        while !lines.is_empty() && chunk.rows < CHUNK_ROWS && bytes < CHUNK_BYTES {
            let end = lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |newline| newline + 1);
            let (line, rest) = lines.split_at(end);
            if let Err(error) = chunk.push(shape, line.trim_ascii_end()) {
                return Some(Err(error));
            }
            (lines, bytes) = (rest, bytes + line.len());
        }
        (chunk.rows > 0).then_some(Ok(chunk))
    })
}

impl<'a> Chunk<'a> {
    fn new(shape: &Shape) -> Self {
        let values = |kind| match kind {
            Kind::Text | Kind::Instant | Kind::Json => Values::Text(Vec::new()),
            Kind::Integer => Values::Integer(Vec::new()),
            Kind::Number => Values::Number(Vec::new()),
        };
        Chunk { rows: 0, columns: shape.columns().iter().map(|column| values(column.kind)).collect() }
    }

    fn push(&mut self, shape: &Shape, line: &'a [u8]) -> Result<(), serde_json::Error> {
        let json = std::str::from_utf8(line).map_err(de::Error::custom)?;
        match shape {
            Shape::Alerts => self.push_alert(serde_json::from_str(json)?, json)?,
            Shape::Rows { key, rule } => self.push_row(key, *rule, json)?,
            Shape::Quarantine => self.push_quarantine(serde_json::from_str(json)?, json),
        }
        self.rows += 1;
        Ok(())
    }

    fn push_alert(&mut self, alert: Alert<'a>, json: &'a str) -> Result<(), serde_json::Error> {
        let Alert { id, data } = alert;
        let cells = [
            Cell::Text(Some(id)),
            Cell::Text(Some(printable(data.job))),
            Cell::Text(data.rule.map(printable)),
            Cell::Text(data.severity.map(printable)),
            Cell::Text(Some(key_text(data.key)?)),
            Cell::Text(Some(data.window.start)),
            Cell::Text(Some(data.window.end)),
            Cell::Number(data.score.map(number).transpose()?),
            Cell::Number(data.threshold.map(number).transpose()?),
            Cell::Text(data.summary.map(printable)),
            Cell::Text(Some(Cow::Borrowed(json))),
        ];
        self.push_cells(cells);
        Ok(())
    }

    fn push_row(&mut self, key: &[String], rule: bool, json: &'a str) -> Result<(), serde_json::Error> {
        let Members(members) = serde_json::from_str(json)?;
        let member = |name: &str| match members.iter().find(|(found, _)| found == name) {
            Some((_, value)) => Ok(*value),
            None => Err(de::Error::custom(format!("a plain row has no column `{name}`"))),
        };
        let key = match key {
            [name] => key_text(member(name)?)?,
            names => {
                let values: Result<Vec<&str>, serde_json::Error> =
                    names.iter().map(|name| Ok(member(name)?.get())).collect();
                Cow::Owned(shortened(&format!("[{}]", values?.join(","))).into_owned())
            }
        };
        let edge = |name: &str| -> Result<Cell<'a>, serde_json::Error> {
            let millis: i64 = serde_json::from_str(member(name)?.get())?;
            Ok(Cell::Text(Some(Cow::Owned(instant(millis)))))
        };
        let mut cells = vec![
            Cell::Text(Some(key)),
            edge(event::RowSchema::WINDOW_START)?,
            edge(event::RowSchema::WINDOW_END)?,
        ];
        if rule {
            let rule: Option<Cow<'a, str>> = serde_json::from_str(member("rule")?.get())?;
            cells.push(Cell::Text(Some(printable(rule.unwrap_or_default()))));
        }
        cells.push(Cell::Text(Some(Cow::Borrowed(json))));
        self.push_cells(cells);
        Ok(())
    }

    fn push_quarantine(&mut self, row: Quarantined<'a>, json: &str) {
        self.push_cells([
            Cell::Text(Some(Cow::Owned(format!("{:032x}", xxh3_128(json.as_bytes()))))),
            Cell::Text(Some(row.reason)),
            Cell::Text(Some(printable(row.detail))),
            Cell::Text(row.partition.map(printable)),
            Cell::Integer(row.offset),
            Cell::Text(Some(printable(row.raw))),
        ]);
    }

    fn push_cells(&mut self, cells: impl IntoIterator<Item = Cell<'a>>) {
        for (values, cell) in self.columns.iter_mut().zip(cells) {
            match (values, cell) {
                (Values::Text(values), Cell::Text(value)) => values.push(value),
                (Values::Integer(values), Cell::Integer(value)) => values.push(value),
                (Values::Number(values), Cell::Number(value)) => values.push(value),
                (values, cell) => unreachable!("{cell:?} is no value of {values:?}"),
            }
        }
    }
}

/// The value of one column in one row.
#[derive(Debug)]
enum Cell<'a> {
    Text(Option<Cow<'a, str>>),
    Integer(Option<i64>),
    Number(Option<f64>),
}

#[derive(Deserialize)]
struct Alert<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    data: AlertData<'a>,
}

#[derive(Deserialize)]
struct AlertData<'a> {
    #[serde(borrow)]
    job: Cow<'a, str>,
    rule: Option<Cow<'a, str>>,
    severity: Option<Cow<'a, str>>,
    #[serde(borrow)]
    key: &'a RawValue,
    #[serde(borrow)]
    window: Edges<'a>,
    #[serde(borrow)]
    score: Option<&'a RawValue>,
    #[serde(borrow)]
    threshold: Option<&'a RawValue>,
    summary: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Edges<'a> {
    #[serde(borrow)]
    start: Cow<'a, str>,
    #[serde(borrow)]
    end: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Quarantined<'a> {
    #[serde(borrow)]
    reason: Cow<'a, str>,
    #[serde(borrow)]
    detail: Cow<'a, str>,
    partition: Option<Cow<'a, str>>,
    offset: Option<i64>,
    #[serde(borrow)]
    raw: Cow<'a, str>,
}

/// The members of an object, their values as they are written.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D>(deserializer: D) -> Result<Self, D::Error>
    where
        D: Deserializer<'de>,
    {
        struct Reading;
        impl<'de> Visitor<'de> for Reading {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reading)
    }
}

/// A key as text: a string bare, anything else as JSON.
///
/// A string that holds NUL, starts with a quote, or is `null`, is written as JSON too, so that two keys are never the
/// same text.
fn key_text(raw: &RawValue) -> Result<Cow<'_, str>, serde_json::Error> {
    let json = raw.get();
    if !json.starts_with('"') {
        return Ok(shortened(json));
    }
    let inside = &json[1..json.len() - 1];
    if !inside.contains('\\') && inside.len() <= KEY_BYTES && inside != NULL {
        return Ok(Cow::Borrowed(inside));
    }
    let text: String = serde_json::from_str(json)?;
    if text.contains('\0') || text.starts_with('"') || text == NULL {
        return Ok(shortened(json));
    }
    Ok(Cow::Owned(shortened(&text).into_owned()))
}

/// The same, or of a long key its beginning and its hash, behind a quote that nothing else has.
fn shortened(key: &str) -> Cow<'_, str> {
    if key.len() <= KEY_BYTES {
        return Cow::Borrowed(key);
    }
    let head = &key[..key.floor_char_boundary(KEY_HEAD_BYTES)];
    Cow::Owned(format!("\"{head}~{:032x}", xxh3_128(key.as_bytes())))
}

fn printable(text: Cow<'_, str>) -> Cow<'_, str> {
    match text.contains('\0') {
        true => Cow::Owned(text.replace('\0', "\u{FFFD}")),
        false => text,
    }
}

/// A double as our JSON has it: NaN and infinities are strings.
fn number(raw: &RawValue) -> Result<f64, serde_json::Error> {
    let text = raw.get().trim_matches('"');
    text.parse().map_err(de::Error::custom)
}

fn instant(millis: i64) -> String {
    let mut text = Vec::new();
    append_instant(millis.saturating_mul(event::MICROS_PER_MILLI), &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
