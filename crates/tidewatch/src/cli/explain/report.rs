//! What is said of an alert: for people, and as JSON.

use dataflow::explain::{Amount, Event, Evidence, Fate};
use serde_json::{Map, Value, json};

use super::super::{OutputFormat, Style, put};
use super::compare::Comparison;
use super::what_if::Supposition;
use super::{Explained, text};
use crate::config::Config;

/// What this shows of an alert's data in words of its own; anything else is shown as it is.
const KNOWN: [&str; 16] = [
    "job",
    "branch",
    "rule",
    "severity",
    "key",
    "window",
    "early",
    "revision",
    "state",
    "windows",
    "features",
    "score",
    "scores",
    "threshold",
    "summary",
    "episode",
];
/// Characters of a record that a table shows.
const RAW_CHARS: usize = 120;

pub(super) struct Report<'a> {
    pub(super) explained: &'a Explained,
    /// Number of the checkpoint by whose index sources were read.
    pub(super) checkpoint: Option<u32>,
    /// For the texts of scores and conditions.
    pub(super) config: Option<&'a Config>,
    /// The most events to be shown.
    pub(super) shown: usize,
}

impl Report<'_> {
    pub(super) fn put(&self, style: &Style) -> anyhow::Result<()> {
        match style.format {
            OutputFormat::Json => put(&format!("{}\n", self.json())),
            OutputFormat::Table => put(&self.words()),
        }
    }

    fn alert(&self) -> &Value {
        &self.explained.found.alert
    }

    /// The events that are shown.
    fn shown<'e>(&self, evidence: &'e Evidence) -> &'e [Event] {
        &evidence.events[evidence.events.len().saturating_sub(self.shown)..]
    }

    fn json(&self) -> Value {
        let Explained { found, evidence, comparison, supposition } = self.explained;
        let mut said = Map::new();
        said.insert("alert".to_owned(), found.alert.clone());
        said.insert("found_in".to_owned(), json!(found.place));
        if let Some(note) = &found.note {
            said.insert("note".to_owned(), json!(note));
        }
        if let Some(evidence) = evidence {
            said.insert("events".to_owned(), self.events_json(evidence));
        }
        if let Some(comparison) = comparison {
            said.insert("recomputed".to_owned(), comparison_json(comparison));
        }
        if let Some(supposition) = supposition {
            said.insert("what_if".to_owned(), supposition_json(supposition));
        }
        Value::Object(said)
    }

    fn events_json(&self, evidence: &Evidence) -> Value {
        let amount = |amount: &Amount| json!({ "records": amount.records, "bytes": amount.bytes });
        let shown = self.shown(evidence);
        let event = |event: &Event| {
            json!({
                "time": alert::instant(event.time),
                "partition": &*event.partition,
                "offset": event.offset,
                "held": match event.fate {
                    Fate::Held => json!(true),
                    Fate::Late => json!(false),
                    Fate::Undecided => Value::Null,
                },
                "record": String::from_utf8_lossy(&event.raw),
            })
        };
        let unread = evidence.unread.iter().map(|(what, why)| json!({ "partition": what, "why": why }));
        json!({
            "held": evidence.count(Fate::Held),
            "late": evidence.count(Fate::Late),
            "undecided": evidence.count(Fate::Undecided),
            "left_out": evidence.events.len() - shown.len(),
            "shown": shown.iter().map(event).collect::<Vec<_>>(),
            "read": amount(&evidence.read),
            "of": evidence.known.as_ref().map(amount),
            "partitions_read": evidence.partitions.0,
            "partitions": evidence.partitions.1,
            "checkpoint": self.checkpoint,
            "unread": unread.collect::<Vec<_>>(),
        })
    }

    fn words(&self) -> String {
        let mut words = Words(String::new());
        self.head(&mut words);
        if let Some(evidence) = &self.explained.evidence {
            self.events(evidence, &mut words);
        }
        if let Some(comparison) = &self.explained.comparison {
            recomputed(comparison, &mut words);
        }
        if let Some(supposition) = &self.explained.supposition {
            supposed(supposition, &mut words);
        }
        words.0
    }

    /// What the alert says.
    fn head(&self, words: &mut Words) {
        let (alert, found) = (self.alert(), &self.explained.found);
        let data = &alert["data"];
        let severity = shown_text(&data["severity"]).to_uppercase();
        let state = data["state"].as_str().map_or(String::new(), |state| format!("  {state}"));
        let key = match &data["key"] {
            Value::Array(_) => data["key"].to_string(),
            key => shown_text(key),
        };
        words.line(&format!("{severity} {}  {key}{state}", shown_text(&data["rule"])));
        if let Some(summary) = data["summary"].as_str() {
            words.line(&format!("  {summary}"));
        }
        let (start, end) = (shown_text(&data["window"]["start"]), shown_text(&data["window"]["end"]));
        let early = if data.get("early").is_some() { "  early" } else { "" };
        let revision = data.get("revision").map_or(String::new(), |number| format!("  revision {number}"));
        words.line(&format!("  window {start} .. {end}{early}{revision}"));
        words.line(&format!("  id {}  episode {}", shown_text(&alert["id"]), shown_text(&data["episode"])));
        words.line(&format!("  found in {}", found.place));
        found.note.iter().for_each(|note| words.line(&format!("  note: {note}")));
        words.line(&format!(
            "  score {}  threshold {}",
            shown_text(&data["score"]),
            shown_text(&data["threshold"])
        ));
        if let Some(when) = self.condition() {
            words.line(&format!("  rule {}: {when}", shown_text(&data["rule"])));
        }
        words.members("features", &data["features"]);
        for (name, value) in data["scores"].as_object().into_iter().flatten() {
            let formula = self.formula(name).map_or(String::new(), |formula| format!("  = {formula}"));
            words.line(&format!("  {name} {}{formula}", shown_text(value)));
        }
        let others =
            data.as_object().into_iter().flatten().filter(|(name, _)| !KNOWN.contains(&name.as_str()));
        for (name, value) in others {
            words.line(&format!("{name}: {value}"));
        }
    }

    /// The branch of the config that the alert is of.
    fn branch(&self) -> Option<&crate::config::Branch> {
        let name = self.alert()["data"]["branch"].as_str();
        self.config?.branches.iter().find(|branch| branch.name.as_deref() == name)
    }

    /// The condition of the rule, as the config has it now.
    fn condition(&self) -> Option<String> {
        let rule = self.alert()["data"]["rule"].as_str()?;
        let rule = self.branch()?.rules.iter().find(|known| known.id == rule)?;
        let least =
            if rule.min_events > 1 { format!(", min_events {}", rule.min_events) } else { String::new() };
        Some(format!("{}{least}", one_line(&rule.when.as_ref()?.text, 400)))
    }

    /// The text of a score.
    fn formula(&self, name: &str) -> Option<String> {
        let score = self.branch()?.scores.iter().find(|score| score.name == name)?;
        Some(one_line(&score.sql.as_ref()?.text, 400))
    }

    fn events(&self, evidence: &Evidence, words: &mut Words) {
        let (held, late) = (evidence.count(Fate::Held), evidence.count(Fate::Late));
        let undecided = evidence.count(Fate::Undecided);
        let mut head = format!("events {held}");
        if late > 0 {
            head.push_str(&format!(", and {late} that came too late for the window"));
        }
        if undecided > 0 {
            head.push_str(&format!(", and {undecided} of which nobody can say whether the window held them"));
        }
        let shown = self.shown(evidence);
        let left_out = evidence.events.len() - shown.len();
        if left_out > 0 {
            head.push_str(&format!("; the last {}, and {left_out} before them are left out", shown.len()));
        }
        words.line(&head);
        for event in shown {
            let mark = match event.fate {
                Fate::Held => "",
                Fate::Late => "late  ",
                Fate::Undecided => "late?  ",
            };
            let (time, record) =
                (alert::instant(event.time), String::from_utf8_lossy(&event.raw).into_owned());
            let record = one_line(&record, RAW_CHARS);
            words.line(&format!("  {time}  {}@{}  {mark}{record}", event.partition, event.offset));
        }
        let (read, bytes) = (evidence.read.records, size(evidence.read.bytes));
        let (partitions, all) = evidence.partitions;
        words.line(&match (&evidence.known, self.checkpoint) {
            (Some(known), Some(number)) => format!(
                "read {bytes} of {}: {read} of {} records, {partitions} of {all} partitions, by the index of checkpoint {number}",
                size(known.bytes),
                known.records
            ),
            _ => format!("read {bytes}, {read} records: all that there is, since the job has no checkpoint"),
        });
        for (what, why) in &evidence.unread {
            words.line(&format!("warning: {what} could not be read: {why}"));
        }
    }
}

fn recomputed(comparison: &Comparison, words: &mut Words) {
    let doubt = comparison.doubt.map_or(String::new(), |doubt| format!(" ({doubt})"));
    match &comparison.features {
        Err(why) => words.line(&format!("features recomputed: not, since {why}{doubt}")),
        Ok(_) if comparison.is_equal() => {
            words.line(&format!("features recomputed from {} events: equal", comparison.records));
        }
        Ok(_) => {
            words.line(&format!("features recomputed from {} events: different{doubt}", comparison.records));
            for (name, said, own) in &comparison.differences {
                words.line(&format!("  {name}  the alert says {said}, the events give {own}"));
            }
        }
    }
}

fn supposed(supposition: &Supposition, words: &mut Words) {
    let verdict = match (&supposition.judged.failure, supposition.fires()) {
        (Some(why), _) => format!("nobody can say: {why}"),
        (None, true) => "it would have fired".to_owned(),
        (None, false) => "it would NOT have fired".to_owned(),
    };
    let rule = supposition.rule.as_deref().unwrap_or("every row is put out");
    words.line(&format!("what if {}: {rule}: {verdict}", supposition.words));
    for (name, value) in &supposition.judged.scores {
        words.line(&format!("  {name} {value}"));
    }
    for found in supposition.judged.found.iter().filter(|found| found.rule.is_some()) {
        let severity = found.severity.map_or("", |severity| severity.name());
        words.line(&format!("  {} finds it: {severity}", found.rule.as_deref().unwrap_or_default()));
    }
    if let Some(least) = supposition.assumed {
        words.line(&format!("  taken for granted: the rule's {least} events are there"));
    }
}

fn comparison_json(comparison: &Comparison) -> Value {
    let difference = |(name, said, own): &(String, Value, Value)| json!({ "feature": name, "alert": said, "recomputed": own });
    let features =
        comparison.features.as_ref().map(|features| features.iter().cloned().collect::<Map<_, _>>());
    json!({
        "records": comparison.records,
        "features": features.as_ref().ok(),
        "equal": comparison.is_equal(),
        "differences": comparison.differences.iter().map(difference).collect::<Vec<_>>(),
        "why": features.as_ref().err(),
        "doubt": comparison.doubt,
    })
}

fn supposition_json(supposition: &Supposition) -> Value {
    let value = |(name, json): &(String, String)| {
        (name.clone(), serde_json::from_str(json).unwrap_or_else(|_| Value::String(json.clone())))
    };
    let found = supposition.judged.found.iter().map(|found| {
        let severity = found.severity.map(|severity| severity.name());
        json!({ "rule": found.rule, "severity": severity, "score": found.score, "threshold": found.threshold })
    });
    json!({
        "supposed": supposition.words,
        "features": supposition.features.iter().map(value).collect::<Map<_, _>>(),
        "scores": supposition.judged.scores.iter().map(value).collect::<Map<_, _>>(),
        "fires": supposition.judged.failure.is_none().then(|| supposition.fires()),
        "found": found.collect::<Vec<_>>(),
        "failure": supposition.judged.failure,
        "min_events_assumed": supposition.assumed,
    })
}

/// Lines for people.
struct Words(String);

impl Words {
    /// Adds a line, without what a terminal would obey.
    fn line(&mut self, text: &str) {
        self.0.extend(text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }));
        self.0.push('\n');
    }

    /// Adds the members of an object, one a line.
    fn members(&mut self, name: &str, object: &Value) {
        let Some(members) = object.as_object().filter(|members| !members.is_empty()) else { return };
        self.line(name);
        let width = members.keys().map(|name| name.chars().count()).max().unwrap_or_default();
        members
            .iter()
            .for_each(|(name, value)| self.line(&format!("  {name:<width$}  {}", shown_text(value))));
    }
}

/// A value as people read it.
fn shown_text(value: &Value) -> String {
    text(value).unwrap_or_else(|| "-".to_owned())
}

/// Text on one line, no longer than that.
fn one_line(text: &str, chars_max: usize) -> String {
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((cut, _)) = line.char_indices().nth(chars_max) {
        line.truncate(cut);
        line.push('\u{2026}');
    }
    line
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}
