//! `[time]`: how event time goes.

use std::ops::Range;
use std::time::Duration;

use super::diagnostic::{Code, Diagnostic};
use super::duration::parse_instant;
use super::event::{TimeField, read_time_field};
use super::place::Sources;
use super::section::{Read, Reader, Section};
use super::tree::{Node, Table, Value};
use super::value::{bad_value, duration, one_of, string, wrong_type};

const DAY: Duration = Duration::from_secs(86_400);

/// `[time]`: how time goes.
#[derive(Debug, Clone)]
pub struct Time {
    /// How far event time has come in a partition. Default: `bounded`.
    pub watermark: Watermark,
    /// Event times that are sane; others go to quarantine and never move the watermark. The end is
    /// exclusive. Default: `["1990-01-01", "2100-01-01"]`.
    pub range: Range<i64>,
    /// After this time without events a partition of an endless source no longer holds the watermark back.
    /// Finite files never fall asleep. Default: off. Range: `1ms` to `1d`.
    pub idle_partition_after: Option<Duration>,
    /// How far a partition may be ahead of the global watermark in event time before it waits for the others.
    /// Default: off, since what is good for one input makes partitions of a sparser one take turns. Range: `1ms`
    /// to `366d`.
    pub max_drift: Option<Duration>,
}

/// `watermark`: how far event time has come in a partition, as its records tell.
#[derive(Debug, Clone)]
pub enum Watermark {
    /// `"bounded"`: the largest time less `out_of_order`, which says how much later than a younger one an event may
    /// come without being late. Larger values keep more windows open. Default: `5s`. Range: `0s` to `30d`.
    Bounded(Duration),
    /// `"monotonic"`: times never fall, so that each says that all before it have come.
    Monotonic,
    /// `{ field = "FIELD", unit = "ms" }`: what records say in a field of their own. After a record with the value
    /// v no event at or below v is to come; one without it, or null, says nothing.
    Punctuated(TimeField),
}

pub(super) fn read_time(root: &mut Section, reader: &mut Reader) -> Time {
    let empty = Table::default();
    let place = root.place().clone();
    let section = root.section(reader, "time");
    let mut section = section.unwrap_or_else(|| Section::new(&empty, "time", "`[time]`", place));
    let time = Time {
        watermark: read_watermark(&mut section, reader),
        range: section.or(
            reader,
            "range",
            (ingest::TimeSpec::DEFAULT_RANGE, "[\"1990-01-01\", \"2100-01-01\"]"),
            read_range,
        ),
        max_drift: section.optional(reader, "max_drift", duration(Duration::from_millis(1)..=366 * DAY)),
        idle_partition_after: section.optional(
            reader,
            "idle_partition_after",
            duration(Duration::from_millis(1)..=DAY),
        ),
    };
    section.finish(reader);
    time
}

fn read_watermark(section: &mut Section, reader: &mut Reader) -> Watermark {
    const WORDS: &[(&str, bool)] = &[("bounded", false), ("monotonic", true)];
    let shown = section.entries().iter().find(|entry| entry.name == "watermark");
    let table = shown.filter(|entry| matches!(entry.node.value, Value::Table(_)));
    let (watermark, words) = if let Some(entry) = table {
        section.entry("watermark");
        let field = read_time_field("watermark", &entry.node, section, reader);
        (field.map(Watermark::Punctuated), "what records say in a field")
    } else {
        let monotonic = section.or(reader, "watermark", (false, "\"bounded\""), |sources, node| {
            one_of(WORDS)(sources, node).map_err(|diagnostic| {
                let help = "write `\"bounded\"`, `\"monotonic\"`, or `{ field = \"FIELD\", unit = \"ms\" }`";
                diagnostic.with_help(help)
            })
        });
        (monotonic.then_some(Watermark::Monotonic), "times that never fall")
    };
    let Some(watermark) = watermark else {
        let default = (Duration::from_secs(5), "\"5s\"");
        let bound = section.or(reader, "out_of_order", default, duration(Duration::ZERO..=30 * DAY));
        return Watermark::Bounded(bound);
    };
    if let Some(entry) = section.entry("out_of_order") {
        let message = format!("`time.out_of_order` has no meaning where the watermark is {words}");
        let diagnostic = Diagnostic::new(Code::Conflict, entry.key.clone(), message);
        reader.report(diagnostic.with_help("take out `out_of_order` or `watermark`"));
    }
    watermark
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
