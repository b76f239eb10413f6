//! `[alerts.cap]`: how many alerts go out in a minute before one speaks for the rest.

use std::time::Duration;

use super::place::Place;
use super::section::{Reader, Section};
use super::tree::{Node, Value};
use super::value::{duration, integer, string, strings};

const DAY: Duration = Duration::from_secs(86_400);

/// How many alerts of a rule go out in a minute of event time.
#[derive(Debug, Clone)]
pub struct Cap {
    /// Where the section stands.
    pub place: Place,
    /// So many of each group; with `0` each is only told in a roll-up. Range: `0` to `1000000`.
    pub per_minute: u32,
    /// How long after a roll-up the next one of its group is about the same. Default: `10m`. Range: `0s` to `30d`.
    pub cooldown: Duration,
    /// The columns of a row that make a group, each with its place. Default: none, all alerts of a rule are one.
    pub by: Vec<(String, Place)>,
    /// Of which rules. Default: of all.
    pub rules: Vec<String>,
}

pub(super) fn read_cap(alerts: &mut Section, reader: &mut Reader) -> Option<Cap> {
    let mut section = alerts.section(reader, "cap")?;
    let place = section.place().clone();
    let per_minute =
        section.required(reader, "per_minute", "add `per_minute = 20`", integer(0..=1_000_000u32));
    let ten_minutes = (Duration::from_secs(600), "\"10m\"");
    let cooldown = section.or(reader, "cooldown", ten_minutes, duration(Duration::ZERO..=30 * DAY));
    let by = section.optional(reader, "by", |sources, node| {
        let name = |node: &Node| Ok((string(sources, node)?, node.place.clone()));
        match &node.value {
            Value::Array(nodes) => nodes.iter().map(name).collect(),
            _ => name(node).map(|one| vec![one]),
        }
    });
    let rules = section.optional(reader, "rules", strings).unwrap_or_default();
    section.finish(reader);
    Some(Cap { place, per_minute: per_minute?, cooldown, by: by.unwrap_or_default(), rules })
}
