//! `[event]` and `[time]`: how to read one event, and how time goes.

use std::ops::Range;
use std::time::Duration;

use event::DataType;

use super::diagnostic::{Code, Diagnostic};
use super::duration::parse_instant;
use super::nearest::suggestion;
use super::place::{Place, Sources};
use super::section::{Read, Reader, Section, as_section};
use super::tree::{Entry, Node, Value};
use super::value::{bad_value, bytes, duration, filled_string, integer, one_of, string, strings, wrong_type};

/// How to read one event: a JSON object.
#[derive(Debug, Clone)]
pub struct Event {
    /// The key: a field, a column of `[transform]`, or a list of them. A field that `[event.fields]` does
    /// not declare is a `varchar`; dots in its name lead into objects.
    pub key: Vec<String>,
    /// Where the key stands.
    pub key_place: Place,
    /// Event time. A field that is not declared is a `bigint`, or a `varchar` for `rfc3339`.
    pub time: Option<TimeField>,
    /// The fields that expressions may name. Only those that the job uses are decoded.
    pub fields: Vec<Field>,
    /// Names of fields that are declared, but wrongly, so that nobody blames those who use them.
    pub broken: Vec<String>,
}

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

/// `[time]`: how time goes.
#[derive(Debug, Clone)]
pub struct Time {
    /// How much later than a younger one an event may come without being late. The watermark of a partition
    /// is its largest time less this. Larger values keep more windows open. Default: `5s`. Range: `0s` to `30d`.
    pub out_of_order: Duration,
    /// Event times that are sane; others go to quarantine and never move the watermark. The end is
    /// exclusive. Default: `["1990-01-01", "2100-01-01"]`.
    pub range: Range<i64>,
    /// After this time without events a partition of an endless source no longer holds the watermark back.
    /// Finite files and the sources of this version never fall asleep. Default: off. Range: `1ms` to `1d`.
    pub idle_partition_after: Option<Duration>,
}

/// `[limits]`: what one record may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest record that is read, in bytes; a longer one goes to quarantine without being held in memory.
    /// Default: `1MiB`. Range: `256B` to `64MiB`.
    pub record_bytes: usize,
    /// Deepest nesting of objects and lists that is read; the record itself is level 1. Default: `100`.
    /// Range: `1` to `10000`.
    pub depth: usize,
}

/// `[flow]`: how much may be under way between sources and sinks. When a bound is reached, the sources wait.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    /// Ticks that a source may be ahead of the sinks; a tick holds at most 1 MiB of each partition of a
    /// worker. Default: `8`. Range: `1` to `1024`.
    pub ticks: usize,
    /// Least time between two ticks of a worker: longer ticks cost less, shorter ones delay less. Default:
    /// `500us`. Range: `0s` to `1s`.
    pub tick: Duration,
    /// Bytes that wait for a sink before the sources do. Default: `8MiB`. Range: `64KiB` to `4GiB`.
    pub sink_bytes: u64,
}

pub(super) fn read_event(root: &mut Section, reader: &mut Reader) -> Event {
    let nowhere = root.place().clone();
    let mut event =
        Event { key: Vec::new(), key_place: nowhere, time: None, fields: Vec::new(), broken: Vec::new() };
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
    event.time = section
        .required(reader, "time", "add `time = { field = \"FIELD\", unit = \"ms\" }`", |_, node| {
            Ok(node.clone())
        })
        .and_then(|node| read_time_field(&node, &section, reader));
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

fn read_time_field(node: &Node, parent: &Section, reader: &mut Reader) -> Option<TimeField> {
    let Value::Table(table) = &node.value else {
        let help = "write `time = { field = \"FIELD\", unit = \"ms\" }`";
        reader.report(wrong_type(node, "a table with `field` and `unit`").with_help(help));
        return None;
    };
    let mut section = Section::new(table, parent.path_of("time"), "`event.time`", node.place.clone());
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

pub(super) fn read_time(root: &mut Section, reader: &mut Reader) -> Time {
    const DAY: Duration = Duration::from_secs(86_400);
    let empty = super::tree::Table::default();
    let place = root.place().clone();
    let section = root.section(reader, "time");
    let mut section = section.unwrap_or_else(|| Section::new(&empty, "time", "`[time]`", place));
    let time = Time {
        out_of_order: section.or(
            reader,
            "out_of_order",
            (Duration::from_secs(5), "\"5s\""),
            duration(Duration::ZERO..=30 * DAY),
        ),
        range: section.or(
            reader,
            "range",
            (ingest::TimeSpec::DEFAULT_RANGE, "[\"1990-01-01\", \"2100-01-01\"]"),
            read_range,
        ),
        idle_partition_after: section.optional(
            reader,
            "idle_partition_after",
            duration(Duration::from_millis(1)..=DAY),
        ),
    };
    section.finish(reader);
    time
}

fn read_range(sources: &Sources, node: &Node) -> Read<Range<i64>> {
    let needed = "a list of two dates, the end exclusive";
    let Value::Array(nodes) = &node.value else {
        return Err(wrong_type(node, needed));
    };
    let [start, end] = nodes.as_slice() else {
        return Err(bad_value(node, format!("expected {needed}")));
    };
    let instant = |node: &Node| {
        let text = match &node.value {
            Value::Datetime(text) => text.clone(),
            _ => string(sources, node)?,
        };
        parse_instant(&text)
            .map_err(|message| bad_value(node, message).with_help("write `\"YYYY-MM-DD\"`, in UTC"))
    };
    let range = instant(start)?..instant(end)?;
    if range.is_empty() {
        return Err(bad_value(node, "the range ends before it starts"));
    }
    Ok(range)
}

pub(super) fn read_limits(root: &mut Section, reader: &mut Reader) -> Limits {
    let empty = super::tree::Table::default();
    let place = root.place().clone();
    let section = root.section(reader, "limits");
    let mut section = section.unwrap_or_else(|| Section::new(&empty, "limits", "`[limits]`", place));
    let record_bytes = section.or(reader, "record_bytes", (1 << 20, "\"1MiB\""), bytes(256..=64 << 20));
    let depth = section.or(reader, "depth", (100, "100"), integer(1..=10_000u32));
    section.finish(reader);
    Limits { record_bytes: record_bytes as usize, depth: depth as usize }
}

pub(super) fn read_flow(root: &mut Section, reader: &mut Reader) -> Flow {
    let empty = super::tree::Table::default();
    let place = root.place().clone();
    let section = root.section(reader, "flow");
    let mut section = section.unwrap_or_else(|| Section::new(&empty, "flow", "`[flow]`", place));
    let tick = (Duration::from_micros(500), "\"500us\"");
    let flow = Flow {
        ticks: section.or(reader, "ticks", (8, "8"), integer(1..=1024u32)) as usize,
        tick: section.or(reader, "tick", tick, duration(Duration::ZERO..=Duration::from_secs(1))),
        sink_bytes: section.or(reader, "sink_bytes", (8 << 20, "\"8MiB\""), bytes(64 << 10..=4 << 30)),
    };
    section.finish(reader);
    flow
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
