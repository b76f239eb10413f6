//! `[sink.NAME]`, `[sink.quarantine]` and `[sink.late]`: where rows go.

use super::diagnostic::{Code, Diagnostic};
use super::place::Place;
use super::section::{Reader, Section};
use super::target::read_target;
pub use super::target::{TableOptions, Target};
use super::tree::{Node, Value};
use super::value::{Sql, bad_value, boolean, one_of, sql, wrong_type};

/// Name of the sink that takes what does not fit.
pub const QUARANTINE: &str = "quarantine";
/// Name of the sink that takes what is late.
pub const LATE: &str = "late";

/// A sink of alerts.
#[derive(Debug, Clone)]
pub struct Sink {
    /// Its name.
    pub name: String,
    /// Where the section stands.
    pub place: Place,
    /// Where it writes.
    pub target: Target,
    /// When a row is written. Default: `exactly_once` with `[state]`, else `at_once`; standard output always
    /// `at_once`.
    pub mode: Mode,
    /// What a row looks like. Default: `alert`.
    pub format: Format,
}

/// `mode` of a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `"exactly_once"`: a row is written once a checkpoint holds it, and never twice. Needs `[state]`.
    ExactlyOnce,
    /// `"at_once"`: a row is written as soon as it is due; after a crash the same rows may come again, which a
    /// database knows by their names and does not take twice.
    AtOnce,
}

/// `format` of a sink.
#[derive(Debug, Clone)]
pub enum Format {
    /// `"alert"`: CloudEvents 1.0 objects.
    Alert {
        /// Whether they say why they are alerts. Default: true.
        explain: bool,
        /// `muted`: whether those come too that nobody is to be told of. Default: `false`.
        muted: bool,
    },
    /// `"plain"`: rows of `columns`, an ordered list of columns and `expression AS name`, over the key,
    /// `window_start`, `window_end`, features, scores, `rule` and `severity`.
    Plain {
        /// The columns; without them those of each branch.
        columns: Option<Vec<Sql>>,
    },
}

/// The sinks with reserved names, for what does not come into any row.
#[derive(Debug, Clone, Default)]
pub struct Rejects {
    /// `[sink.quarantine]`: records that do not fit. Without it they are only counted.
    pub quarantine: Option<Quarantine>,
    /// `[sink.late]`: records that no window holds. Without it they go to `quarantine`.
    pub late: Option<Quarantine>,
}

impl Rejects {
    /// Whether a sink of that name is one of them.
    pub fn is_reserved(name: &str) -> bool {
        name == QUARANTINE || name == LATE
    }

    /// Those that there are, with their names.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &Quarantine)> {
        let late = self.late.iter().map(|late| (LATE, late));
        self.quarantine.iter().map(|quarantine| (QUARANTINE, quarantine)).chain(late)
    }
}

/// Where quarantine rows go.
#[derive(Debug, Clone)]
pub struct Quarantine {
    /// Where the section stands.
    pub place: Place,
    /// Where it writes.
    pub target: Target,
    /// As for any sink.
    pub mode: Mode,
}

#[derive(Clone, Copy, PartialEq)]
enum FormatKind {
    Alert,
    Plain,
}

const MODES: &[(&str, Mode)] = &[("exactly_once", Mode::ExactlyOnce), ("at_once", Mode::AtOnce)];
const FORMATS: &[(&str, FormatKind)] = &[("alert", FormatKind::Alert), ("plain", FormatKind::Plain)];

/// Reads the sinks, in the order of the file, and those with reserved names. `of_branches` says whether branches have
/// columns.
pub(super) fn read_sinks(
    root: &mut Section,
    reader: &mut Reader,
    state: bool,
    of_branches: bool,
) -> (Vec<Sink>, Rejects) {
    let (mut sinks, mut rejects) = (Vec::new(), Rejects::default());
    for (entry, mut section) in root.sections(reader, "sink", "sink") {
        let place = section.place().clone();
        let Some(target) = read_target(&entry.name, &mut section, reader) else {
            section.give_up(reader);
            continue;
        };
        let mode = read_mode(&mut section, reader, &target, state);
        if Rejects::is_reserved(&entry.name) {
            section.finish(reader);
            let sink = Some(Quarantine { place, target, mode });
            *(if entry.name == LATE { &mut rejects.late } else { &mut rejects.quarantine }) = sink;
            continue;
        }
        let format = read_format(&mut section, reader, of_branches);
        section.finish(reader);
        if let Some(format) = format {
            sinks.push(Sink { name: entry.name.clone(), place, target, mode, format });
        }
    }
    if sinks.is_empty() && reader.findings.diagnostics.is_empty() {
        reader.report(Diagnostic {
            code: Code::MissingKey,
            message: "the job has no sink".to_owned(),
            place: None,
            help: Some("add `[sink.NAME]` with `type = \"stdout\"` or `\"file\"`".to_owned()),
        });
    }
    (sinks, rejects)
}

fn read_mode(section: &mut Section, reader: &mut Reader, target: &Target, state: bool) -> Mode {
    let default = match (state, target) {
        (false, _) | (true, Target::Stdout) => (Mode::AtOnce, "\"at_once\""),
        (true, _) => (Mode::ExactlyOnce, "\"exactly_once\""),
    };
    let mode = section.or(reader, "mode", default, one_of(MODES));
    if mode == Mode::AtOnce && matches!(target, Target::Archive { .. }) {
        let message = "an archive takes rows with checkpoints only";
        let help = if state { "take `mode` out" } else { "add `[state]` with `dir = \"DIR\"`" };
        let place = section.place().clone();
        reader.report(Diagnostic::new(Code::Conflict, place, message).with_help(help));
    }
    if mode == Mode::ExactlyOnce
        && default.0 == Mode::AtOnce
        && let Some(entry) = section.entry("mode")
    {
        let (message, help) = match target {
            Target::Stdout => ("standard output cannot be `exactly_once`", "write to a file instead"),
            _ => ("`exactly_once` needs a state", "add `[state]` with `dir = \"DIR\"`"),
        };
        let place = entry.node.place.clone();
        reader.report(Diagnostic::new(Code::Conflict, place, message).with_help(help));
    }
    mode
}

fn read_format(section: &mut Section, reader: &mut Reader, of_branches: bool) -> Option<Format> {
    let kind = section.or(reader, "format", (FormatKind::Alert, "\"alert\""), one_of(FORMATS));
    if kind == FormatKind::Alert {
        if let Some(entry) = section.entry("columns") {
            let message = "only `format = \"plain\"` has `columns`";
            reader.report(Diagnostic::new(Code::Conflict, entry.key.clone(), message));
        }
        let explain = section.or(reader, "explain", (true, "true"), boolean);
        let muted = section.or(reader, "muted", (false, "false"), boolean);
        return Some(Format::Alert { explain, muted });
    }
    if let Some(entry) = section.entry("explain") {
        let message = "only `format = \"alert\"` has `explain`";
        reader.report(Diagnostic::new(Code::Conflict, entry.key.clone(), message));
    }
    if of_branches && section.entry("columns").is_none() {
        return Some(Format::Plain { columns: None });
    }
    let help = "add `columns = [\"user_id\", \"round(score, 4) AS score\"]`";
    let list = section.required(reader, "columns", help, |_, node| Ok(node.clone()))?;
    read_columns(&list, reader).map(|columns| Format::Plain { columns: Some(columns) })
}

pub(super) fn read_columns(list: &Node, reader: &mut Reader) -> Option<Vec<Sql>> {
    let Value::Array(nodes) = &list.value else {
        reader.report(wrong_type(list, "a list of expressions"));
        return None;
    };
    if nodes.is_empty() {
        reader.report(bad_value(list, "an empty list"));
        return None;
    }
    let mut columns = Vec::new();
    for node in nodes {
        match sql(reader.sources, node) {
            Ok(column) => columns.push(column),
            Err(diagnostic) => reader.report(diagnostic),
        }
    }
    (columns.len() == nodes.len()).then_some(columns)
}
