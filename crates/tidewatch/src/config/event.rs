//! `[event]`: how to read one event.

use event::DataType;

use super::diagnostic::{Code, Diagnostic};
use super::nearest::suggestion;
use super::place::{Place, Sources};
use super::section::{Read, Reader, Section, as_section};
use super::tree::{Entry, Node, Value};
use super::value::{bad_value, filled_string, one_of, string, strings, wrong_type};

/// How to read one event: a JSON object.
#[derive(Debug, Clone)]
pub struct Event {
    /// The key: a field, a column of `[transform]`, or a list of them. A field that `[event.fields]` does
    /// not declare is a `varchar`; dots in its name lead into objects.
    pub key: Vec<String>,
    /// Where the key stands.
    pub key_place: Place,
    /// What becomes of an event whose key is NULL, or has a NULL in it. Default: `quarantine`; of a job in SQL
    /// `group`.
    pub null_key: NullKey,
    /// Event time. A field that is not declared is a `bigint`, or a `varchar` for `rfc3339`; one that is may
    /// also be a `double`, or a `timestamptz` for `rfc3339`.
    pub time: Option<TimeField>,
    /// The fields that expressions may name. Only those that the job uses are decoded.
    pub fields: Vec<Field>,
    /// Names of fields that are declared, but wrongly, so that nobody blames those who use them.
    pub broken: Vec<String>,
}

/// What becomes of an event whose key is NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NullKey {
    /// It goes to quarantine.
    Quarantine,
    /// NULL is a key as any other, as GROUP BY has it.
    Group,
}

const NULL_KEYS: &[(&str, NullKey)] = &[("quarantine", NullKey::Quarantine), ("group", NullKey::Group)];

/// `time = { field = "ts", unit = "ms" }`.
#[derive(Debug, Clone)]
pub struct TimeField {
    /// The field.
    pub field: String,
    /// How it is written: `s`, `ms`, `us`, `ns` since the Unix epoch, or `rfc3339`, which also takes
    /// `YYYY-MM-DD HH:MM:SS[.f]` as UTC. Below a microsecond is floored.
    pub unit: TimeUnit,
    /// Where it stands.
    pub place: Place,
}

/// How event time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds since the Unix epoch.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
    /// Text.
    Rfc3339,
}

const UNITS: &[(&str, TimeUnit)] = &[
    ("s", TimeUnit::Seconds),
    ("ms", TimeUnit::Millis),
    ("us", TimeUnit::Micros),
    ("ns", TimeUnit::Nanos),
    ("rfc3339", TimeUnit::Rfc3339),
];

/// A field of an event: `duration_s = "double"`, or `duration_s = { path = "payload.duration", type = "double" }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name that expressions use.
    pub name: String,
    /// Names that lead to the value, from the outermost object inwards. Default: the name itself.
    pub path: Vec<String>,
    /// `varchar`, `bigint`, `double`, `boolean`, `decimal(p,s)`, `date`, `timestamp` or `timestamptz`.
    pub data_type: DataType,
}

pub(super) fn read_event(root: &mut Section, reader: &mut Reader) -> Event {
    let nowhere = root.place().clone();
    let mut event = Event {
        key: Vec::new(),
        key_place: nowhere,
        null_key: NullKey::Quarantine,
        time: None,
        fields: Vec::new(),
        broken: Vec::new(),
    };
    let Some(mut section) = root.section(reader, "event") else {
        if root.entries().iter().all(|entry| entry.name != "event") {
            reader.report(Diagnostic {
                code: Code::MissingKey,
                message: "the job has no `[event]`".to_owned(),
                place: None,
                help: Some("add `[event]` with `key` and `time`".to_owned()),
            });
        }
        return event;
    };
    if let Some(key) = section.required(reader, "key", "add `key = \"FIELD\"`", strings) {
        event.key = key;
    }
    if let Some(entry) = section.entries().iter().find(|entry| entry.name == "key") {
        event.key_place = entry.node.place.clone();
    }
    if let Some(null_key) = section.optional(reader, "null_key", one_of(NULL_KEYS)) {
        event.null_key = null_key;
    }
    event.time = section
        .required(reader, "time", "add `time = { field = \"FIELD\", unit = \"ms\" }`", |_, node| {
            Ok(node.clone())
        })
        .and_then(|node| read_time_field("time", &node, &section, reader));
    if let Some(fields) = section.section(reader, "fields") {
        for entry in fields.entries() {
            reader.record(fields.path_of(&entry.name), &entry.node);
            match read_field(entry, &fields, reader) {
                Some(field) => event.fields.push(field),
                None => event.broken.push(entry.name.clone()),
            }
        }
    }
    section.finish(reader);
    event
}

/// A field that holds an instant, under that key of the section.
pub(super) fn read_time_field(
    key: &str,
    node: &Node,
    parent: &Section,
    reader: &mut Reader,
) -> Option<TimeField> {
    let Value::Table(table) = &node.value else {
        let help = format!("write `{key} = {{ field = \"FIELD\", unit = \"ms\" }}`");
        reader.report(wrong_type(node, "a table with `field` and `unit`").with_help(help));
        return None;
    };
    let path = parent.path_of(key);
    let words = format!("`{path}`");
    let mut section = Section::new(table, path, words, node.place.clone());
    let field = section.required(reader, "field", "add `field = \"FIELD\"`", filled_string);
    let units = "add `unit = \"s\"`, `\"ms\"`, `\"us\"`, `\"ns\"` or `\"rfc3339\"`";
    let unit = section.required(reader, "unit", units, one_of(UNITS));
    section.finish(reader);
    Some(TimeField { field: field?, unit: unit?, place: node.place.clone() })
}

fn read_field(entry: &Entry, fields: &Section, reader: &mut Reader) -> Option<Field> {
    let name = entry.name.clone();
    let Value::Table(table) = &entry.node.value else {
        let data_type = read_or_report(reader, &entry.node, read_type)?;
        return Some(Field { path: vec![name.clone()], name, data_type });
    };
    let says_nothing = table.entries.iter().all(|inner| inner.name != "type" && inner.name != "path");
    if says_nothing && let Some(inner) = table.entries.first() {
        let message = format!("field `{name}` has neither `type` nor `path`");
        let help = format!("write `{} = {{ path = \"{name}.{}\", type = \"..\" }}`", inner.name, inner.name);
        reader.report(Diagnostic::new(Code::MissingKey, entry.key.clone(), message).with_help(help));
        return None;
    }
    let section = as_section(entry, fields.path_of(&name), format!("field `{name}`"));
    let mut section = match section {
        Ok(section) => section,
        Err(diagnostic) => {
            reader.report(diagnostic);
            return None;
        }
    };
    let data_type = section.required(reader, "type", "add `type = \"..\"`", read_type);
    let path = section.optional(reader, "path", |sources, node| {
        let text = filled_string(sources, node)?;
        parse_path(&text).ok_or_else(|| {
            bad_value(node, format!("`{text}` is not a path"))
                .with_help("dots part names; a name that holds a dot is quoted: `a.\"b.c\"`")
        })
    });
    section.finish(reader);
    Some(Field { path: path.unwrap_or_else(|| vec![name.clone()]), name, data_type: data_type? })
}

fn read_or_report<T>(
    reader: &mut Reader,
    node: &Node,
    read: impl FnOnce(&Sources, &Node) -> Read<T>,
) -> Option<T> {
    match read(reader.sources, node) {
        Ok(value) => Some(value),
        Err(diagnostic) => {
            reader.report(diagnostic);
            None
        }
    }
}

fn read_type(sources: &Sources, node: &Node) -> Read<DataType> {
    const NAMES: [&str; 8] =
        ["varchar", "bigint", "double", "boolean", "decimal(p,s)", "date", "timestamp", "timestamptz"];
    let name = string(sources, node)?;
    name.parse().map_err(|_| {
        let mut diagnostic = bad_value(node, format!("unknown type `{name}`"));
        diagnostic.help = suggestion(&name, &NAMES);
        diagnostic
    })
}

/// The names of a path: dots part them, a quoted name may hold dots.
pub fn parse_path(text: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = text;
    loop {
        let (name, after) = match rest.chars().next()? {
            quote @ ('"' | '\'') => rest[1..].split_once(quote)?,
            _ => rest.split_at(rest.find('.').unwrap_or(rest.len())),
        };
        if name.is_empty() {
            return None;
        }
        names.push(name.to_owned());
        match after.strip_prefix('.') {
            Some(after) => rest = after,
            None => return after.is_empty().then_some(names),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_part_the_names_of_a_path_unless_they_are_quoted() {
        let path = |text: &str| parse_path(text).map(|names| names.join("|"));
        assert_eq!(path("a"), Some("a".to_owned()));
        assert_eq!(path("payload.duration"), Some("payload|duration".to_owned()));
        assert_eq!(path("a.\"b.c\".d"), Some("a|b.c|d".to_owned()));
        assert_eq!(path("'x y'"), Some("x y".to_owned()));
        for bad in ["", ".", "a.", ".a", "a..b", "\"a", "\"a\"b"] {
            assert_eq!(path(bad), None, "{bad}");
        }
    }
}
