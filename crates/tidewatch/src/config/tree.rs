//! The configuration as a tree of values that know where they stand.
//!
//! Made from the file by `toml_edit`, then changed by overrides; a value keeps the place of the text that
//! set it last.

use std::ops::Range;

use toml_edit::{Document, Item, TomlError, Value as TomlValue};

use super::place::{Place, Sources};

/// A value and its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it stands.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// The kinds of values that TOML has.
#[derive(Debug, Clone)]
pub enum Value {
    /// A string.
    Text(Text),
    /// A whole number.
    Integer(i64),
    /// A number with a point.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A date or time, as it was written.
    Datetime(String),
    /// A list.
    Array(Vec<Node>),
    /// A table.
    Table(Table),
}

/// A string, and where its characters stand if they stand there as they are.
#[derive(Debug, Clone)]
pub struct Text {
    /// Its characters, escapes decoded.
    pub text: String,
    /// Byte of the source where `text` stands word for word; `None` if it has escapes.
    pub verbatim: Option<usize>,
}

/// Names and values, in the order in which they were written.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// The entries, each name once.
    pub entries: Vec<Entry>,
}

/// A name and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name, quotes decoded.
    pub name: String,
    /// Where the name stands.
    pub key: Place,
    /// The value.
    pub node: Node,
}

impl Table {
    /// The entry of that name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.name == name)
    }
}

impl Value {
    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "a string",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number with a point",
            Value::Boolean(_) => "a boolean",
            Value::Datetime(_) => "a date",
            Value::Array(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

/// Reads the text of that ordinal as a TOML document.
///
/// # Errors
/// The syntax error that `toml_edit` reports.
pub fn parse_document(sources: &Sources, source: usize) -> Result<Table, TomlError> {
    parse_text(sources.get(source).text.as_str(), source)
}

fn parse_text(text: &str, source: usize) -> Result<Table, TomlError> {
    let document = Document::parse(text)?;
    let here = Spans { source, text, shift: 0 };
    Ok(here.table(document.as_table().iter(), |name| {
        document.as_table().get_key_value(name).and_then(|(key, _)| key.span())
    }))
}

/// Reads a part of the text of that ordinal as a TOML document.
///
/// # Errors
/// The syntax error that `toml_edit` reports.
pub fn parse_part(sources: &Sources, source: usize, part: Range<usize>) -> Result<Table, TomlError> {
    let whole = sources.get(source).text.as_str();
    // With blanks in place of the rest every byte and every line is where it was.
    let blank =
        |text: &str| -> String { text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect() };
    let text = [&blank(&whole[..part.start]), &whole[part.clone()], &blank(&whole[part.end..])].concat();
    parse_text(&text, source)
}

/// Reads the rest of an override's text, from byte `start` on, as a TOML value, else as a string.
pub fn parse_value(sources: &Sources, source: usize, start: usize) -> Node {
    const PREFIX: &str = "v = ";
    let text = sources.get(source).text.as_str();
    let raw = &text[start..];
    let place = Place { source, span: start..text.len() };
    // Only a text that is one value and nothing more may count as TOML: no second key, no header.
    let document = format!("{PREFIX}{raw}");
    if let Ok(document) = Document::parse(document.as_str())
        && document.len() == 1
        && let Some(Item::Value(value)) = document.get("v")
    {
        let here = Spans { source, text, shift: start as isize - PREFIX.len() as isize };
        return Node { place, value: here.value(value) };
    }
    Node { place, value: Value::Text(Text { text: raw.to_owned(), verbatim: Some(start) }) }
}

/// Where `toml_edit`'s spans lie: in which text, and moved by how much.
struct Spans<'a> {
    source: usize,
    text: &'a str,
    shift: isize,
}

impl Spans<'_> {
    fn place(&self, span: Option<Range<usize>>) -> Option<Place> {
        let moved = |at: usize| at.saturating_add_signed(self.shift);
        span.map(|span| Place { source: self.source, span: moved(span.start)..moved(span.end) })
    }

    fn nowhere(&self) -> Place {
        Place { source: self.source, span: 0..0 }
    }

    fn table<'i>(
        &self,
        items: impl Iterator<Item = (&'i str, &'i Item)>,
        key_span: impl Fn(&str) -> Option<Range<usize>>,
    ) -> Table {
        let entries = items.map(|(name, item)| {
            let key = self.place(key_span(name)).unwrap_or_else(|| self.nowhere());
            Entry { name: name.to_owned(), node: self.node(item, &key), key }
        });
        Table { entries: entries.collect() }
    }

    fn node(&self, item: &Item, key: &Place) -> Node {
        let place = self.place(item.span()).unwrap_or_else(|| key.clone());
        let value = match item {
            Item::Value(value) => self.value(value),
            Item::Table(table) => Value::Table(
                self.table(table.iter(), |name| table.get_key_value(name).and_then(|(key, _)| key.span())),
            ),
            Item::ArrayOfTables(tables) => {
                let nodes = tables.iter().map(|table| self.node(&Item::Table(table.clone()), key));
                Value::Array(nodes.collect())
            }
            Item::None => Value::Table(Table::default()),
        };
        Node { place, value }
    }

    fn value(&self, value: &TomlValue) -> Value {
        match value {
            TomlValue::String(string) => Value::Text(self.text(string.value(), value.span())),
            TomlValue::Integer(integer) => Value::Integer(*integer.value()),
            TomlValue::Float(float) => Value::Float(*float.value()),
            TomlValue::Boolean(boolean) => Value::Boolean(*boolean.value()),
            TomlValue::Datetime(datetime) => Value::Datetime(datetime.value().to_string()),
            TomlValue::Array(array) => {
                let nodes = array.iter().map(|value| Node {
                    place: self.place(value.span()).unwrap_or_else(|| self.nowhere()),
                    value: self.value(value),
                });
                Value::Array(nodes.collect())
            }
            TomlValue::InlineTable(table) => {
                let entries = table.iter().map(|(name, value)| {
                    let key = table.get_key_value(name).and_then(|(key, _)| key.span());
                    let key = self.place(key).unwrap_or_else(|| self.nowhere());
                    let place = self.place(value.span()).unwrap_or_else(|| key.clone());
                    Entry { name: name.to_owned(), key, node: Node { place, value: self.value(value) } }
                });
                Value::Table(Table { entries: entries.collect() })
            }
        }
    }

    fn text(&self, text: &str, span: Option<Range<usize>>) -> Text {
        let verbatim = self.place(span).and_then(|place| {
            let raw = self.text.get(place.span.clone())?;
            let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 };
            // A newline right behind three quotes belongs to the quotes.
            let newline = match raw.get(quotes..) {
                Some(rest) if quotes == 3 && rest.starts_with("\r\n") => 2,
                Some(rest) if quotes == 3 && rest.starts_with('\n') => 1,
                _ => 0,
            };
            let start = quotes + newline;
            let inner = raw.get(start..raw.len().saturating_sub(quotes))?;
            (inner == text).then_some(place.span.start + start)
        });
        Text { text: text.to_owned(), verbatim }
    }
}
