//! `[time]`: how event time goes.

use std::ops::Range;
use std::time::Duration;

use super::duration::parse_instant;
use super::place::Sources;
use super::section::{Read, Reader, Section};
use super::tree::{Node, Table, Value};
use super::value::{bad_value, duration, string, wrong_type};

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

pub(super) fn read_time(root: &mut Section, reader: &mut Reader) -> Time {
    const DAY: Duration = Duration::from_secs(86_400);
    let empty = Table::default();
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
