//! `[transform]`, `[features]`, `[score]`, `[detectors]` and `[rules.ID]`: what the job computes.

use std::time::Duration;

use event::Severity;

use super::alerts::{Alerts, read_rule_alerts};
use super::diagnostic::{Code, Diagnostic};
use super::place::Place;
use super::section::{Reader, Section};
use super::tree::Value;
use super::value::{Sql, duration, filled_string, integer, one_of, sql, wrong_type};

/// A name and its expression.
#[derive(Debug, Clone)]
pub struct Named {
    /// The name.
    pub name: String,
    /// Where the name stands.
    pub key: Place,
    /// Its expression; `None` if there is none that could be read, which was reported.
    pub sql: Option<Sql>,
}

/// `[transform]`: derived columns of an event, in order; each may use those before it. An event for which
/// an expression fails goes to quarantine.
#[derive(Debug, Clone, Default)]
pub struct Transform {
    /// `NAME = "expression"`.
    pub derived: Vec<Named>,
    /// `[transform.where] NAME = "condition"`: events for which one is not true are left out, and counted.
    pub filters: Vec<Named>,
}

/// `[detectors]`: what scores that are detectors share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// How long after its last row a key is remembered, in event time; a key that comes back later is a new one. Default: `7d`.
    /// Range: `1m` to `366d`.
    pub forget_after: Duration,
}

/// `[rules.ID]`: when a row of features is an anomaly. Rules are judged in the order of their ids.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its id.
    pub id: String,
    /// The condition, over the key, `window_start`, `window_end`, features and scores.
    pub when: Option<Sql>,
    /// Events that the window must hold: less is too little evidence. Default: `0`. Range: from `0`.
    pub min_events: u64,
    /// `info`, `warning` or `critical`. Default: `warning`.
    pub severity: Severity,
    /// `escalate = { when = "condition", severity = ".." }`: where that holds too, the severity is this one.
    pub escalate: Option<(Sql, Severity)>,
    /// Families of detectors whose agreement raises the severity by one step. Default: off. Range: `2` to `6`.
    pub agreement: Option<(usize, Place)>,
    /// What the alert says, as `"{key}: engagement {engagement:.2f}"`. Default: none.
    pub summary: Option<Sql>,
    /// When what it finds is an episode, if the job has `[alerts]`; else each row is put out.
    pub alerts: Option<Alerts>,
}

const SEVERITIES: &[(&str, Severity)] =
    &[("info", Severity::Info), ("warning", Severity::Warning), ("critical", Severity::Critical)];

pub(super) fn read_transform(root: &mut Section, reader: &mut Reader) -> Transform {
    let Some(mut section) = root.section(reader, "transform") else {
        return Transform::default();
    };
    let filters = match section.section(reader, "where") {
        Some(filters) => read_named(&filters, reader, |_| true),
        None => Vec::new(),
    };
    // A table of another name is this one misspelt; everything else is a column.
    let tables = section.entries().iter().filter(|entry| matches!(entry.node.value, Value::Table(_)));
    let misspelt: Vec<&str> =
        tables.map(|entry| entry.name.as_str()).filter(|name| *name != "where").collect();
    for entry in section.entries().iter().filter(|entry| misspelt.contains(&entry.name.as_str())) {
        let message = format!("unknown section `transform.{}`", entry.name);
        reader.report(
            Diagnostic::new(Code::UnknownKey, entry.key.clone(), message)
                .with_help("did you mean `where`? a column is an expression in quotes"),
        );
    }
    let is_column = |name: &str| name != "where" && !misspelt.contains(&name);
    Transform { derived: read_named(&section, reader, is_column), filters }
}

pub(super) fn read_detectors(root: &mut Section, reader: &mut Reader) -> Memory {
    let week = Duration::from_secs(7 * 86_400);
    let Some(mut section) = root.section(reader, "detectors") else { return Memory { forget_after: week } };
    let range = Duration::from_secs(60)..=Duration::from_secs(366 * 86_400);
    let forget_after = section.or(reader, "forget_after", (week, "\"7d\""), duration(range));
    section.finish(reader);
    Memory { forget_after }
}

/// A section in which every key is a name and every value an expression.
pub(super) fn read_expressions(root: &mut Section, reader: &mut Reader, key: &'static str) -> Vec<Named> {
    match root.section(reader, key) {
        Some(section) => read_named(&section, reader, |_| true),
        None => Vec::new(),
    }
}

fn read_named(section: &Section, reader: &mut Reader, wanted: impl Fn(&str) -> bool) -> Vec<Named> {
    let mut named = Vec::new();
    for entry in section.entries().iter().filter(|entry| wanted(&entry.name)) {
        reader.record(section.path_of(&entry.name), &entry.node);
        let sql = match sql(reader.sources, &entry.node) {
            Ok(sql) => Some(sql),
            Err(mut diagnostic) => {
                if diagnostic.code == Code::WrongType {
                    diagnostic = wrong_type(&entry.node, "a SQL expression in quotes");
                }
                reader.report(diagnostic);
                None
            }
        };
        named.push(Named { name: entry.name.clone(), key: entry.key.clone(), sql });
    }
    named
}

pub(super) fn read_rules(root: &mut Section, reader: &mut Reader, alerts: Option<&Alerts>) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (entry, mut section) in root.sections(reader, "rules", "rule") {
        let when = section.required(reader, "when", "add `when = \"score < 0.3\"`", sql);
        let min_events = section.or(reader, "min_events", (0, "0"), integer(0..=u64::MAX));
        let warning = (Severity::Warning, "\"warning\"");
        let severity = section.or(reader, "severity", warning, one_of(SEVERITIES));
        let escalate = section.optional(reader, "escalate", |_, node| Ok(node.clone())).and_then(|node| {
            match &node.value {
                Value::Table(table) => {
                    let words = format!("`escalate` of rule `{}`", entry.name);
                    let path = section.path_of("escalate");
                    let mut inner = Section::new(table, path, words, node.place.clone());
                    let when = inner.required(reader, "when", "add `when = \"score < 0.15\"`", sql);
                    let help = "add `severity = \"critical\"`";
                    let severity = inner.required(reader, "severity", help, one_of(SEVERITIES));
                    inner.finish(reader);
                    Some((when?, severity?))
                }
                _ => {
                    reader.report(wrong_type(&node, "a table with `when` and `severity`"));
                    None
                }
            }
        });
        let agreement = section.optional(reader, "agreement", |sources, node| {
            Ok((integer(2..=6usize)(sources, node)?, node.place.clone()))
        });
        let summary = section.optional(reader, "summary", |sources, node| {
            filled_string(sources, node)?;
            sql(sources, node)
        });
        let alerts = read_rule_alerts(&mut section, reader, alerts);
        section.finish(reader);
        let id = entry.name.clone();
        rules.push(Rule { id, when, min_events, severity, escalate, agreement, summary, alerts });
    }
    rules.sort_by(|a, b| a.id.cmp(&b.id));
    rules
}
