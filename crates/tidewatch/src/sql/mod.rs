//! A job as one SQL statement: a file `job.sql` with its sources and sinks in a header, or `sql = ".."` in a
//! config, in place of `[window]`, `[features]`, `[score]` and `[rules]`; several SELECTs are as many `[branch.NUMBER]`.
//!
//! Stands between the tree of a configuration and its reading: the statement is taken out of the tree, and what it
//! says is put in as the keys that a person would have written, each with its place in the statement. So there is
//! one compiler, and its errors point to the words of the statement.

mod expressions;
mod file;
mod keys;
mod place;
mod union;

use std::ops::Range;

use event::RowSchema;
use transform::{ArgumentValue, ExpressionError, Statement, WindowFunction, parse_statement};

use crate::config::Diagnostic;
use crate::config::diagnostic::Code;
use crate::config::duration::format_duration;
use crate::config::nearest::suggestion;
use crate::config::place::Sources;
use crate::config::tree::{Node, Table, Value};
use crate::config::value::text;
use expressions::{Hidden, Selected};
use keys::Keys;
use place::{Words, from_file, put};
use union::{BRANCH, Select};

pub(crate) use file::{Unread, is_statement, read_file};

/// The key of the statement.
pub(crate) const KEY: &str = "sql";

/// The id of the rule that HAVING is, unless a section of rules names it.
const RULE: &str = "having";
const EDGES: [&str; 2] = [RowSchema::WINDOW_START, RowSchema::WINDOW_END];
/// The names of what a row knows of its window.
const WINDOW: [&str; 4] = [EDGES[0], EDGES[1], RowSchema::WINDOW_DURATION, RowSchema::WINDOW_DURATION_S];

/// Puts what the statement of `root` says in its place. Mistakes are noted; `false` if the statement could not
/// be read, so that half of the job is missing.
pub(crate) fn translate(root: &mut Table, sources: &Sources, diagnostics: &mut Vec<Diagnostic>) -> bool {
    let Some(at) = root.entries.iter().position(|entry| entry.name == KEY) else {
        return true;
    };
    let entry = root.entries.remove(at);
    let statement = match text(sources, &entry.node) {
        Ok(statement) => statement,
        Err(diagnostic) => {
            diagnostics.push(diagnostic);
            return false;
        }
    };
    let words = |text| Words { text, verbatim: statement.verbatim, whole: entry.node.place.clone() };
    match parse_statement(&statement.text) {
        Ok(parsed) if parsed.len() == 1 => {
            let words = words(&parsed[0].text);
            let (statement, select) = (&parsed[0], None);
            Translation { root, sources, diagnostics, words, statement, select }.run()
        }
        Ok(mut parsed) => {
            let text = parsed[0].text.clone();
            union::translate(root, sources, diagnostics, &words(&text), &mut parsed)
        }
        Err(ExpressionError { message, span, help }) => {
            let place = words(&statement.text).place(span);
            diagnostics.push(Diagnostic { code: Code::Expression, message, place: Some(place), help });
            false
        }
    }
}

/// A statement on its way into the tree.
struct Translation<'t, 'a> {
    root: &'t mut Table,
    sources: &'t Sources,
    diagnostics: &'t mut Vec<Diagnostic>,
    words: Words<'t>,
    statement: &'a Statement,
    /// Which of several it is.
    select: Option<Select<'a>>,
}

impl<'a> Translation<'_, 'a> {
    /// `false` if there is no key, or there are two.
    fn run(mut self) -> bool {
        self.refuse_sections();
        self.source();
        self.time();
        let Some(keys) = self.keys() else {
            return false;
        };
        self.null_keys();
        self.rest(&keys);
        true
    }

    /// What there is to say once the key is known.
    fn rest(&mut self, keys: &Keys) {
        self.windows();
        let statement = self.statement;
        if let Some(condition) = &statement.condition {
            let (key, node) =
                (self.words.place(condition.span.clone()), self.words.node(condition.span.clone()));
            match &self.select {
                Some(_) => self.put_own(&["where"], key, node),
                None => self.put(&["transform", "where", "where"], key, node),
            }
        }
        let mut hidden = Hidden::new(statement, keys.names.clone(), keys.derived.clone());
        let columns = self.items(&keys.names, &mut hidden);
        self.rule(&mut hidden);
        for (name, node) in hidden.features(&self.words) {
            let place = node.place.clone();
            self.put_own(&["features", &name], place, node);
        }
        self.sinks(columns);
    }

    /// Sections of the file that the statement stands for.
    fn refuse_sections(&mut self) {
        for (section, help) in
            [("features", "select `expression AS name`"), ("score", "select `expression AS name`")]
        {
            if let Some(entry) = self.root.get(section).filter(|entry| from_file(entry, self.sources)) {
                let message = format!("a job in SQL has no `[{section}]`");
                let diagnostic = Diagnostic::new(Code::Conflict, entry.key.clone(), message);
                self.diagnostics.push(diagnostic.with_help(help));
            }
        }
    }

    /// The stream behind FROM is the one source.
    fn source(&mut self) {
        let table = &self.statement.windows.table;
        let Some(Value::Table(found)) = self.root.get("source").map(|entry| &entry.node.value) else {
            return;
        };
        let names: Vec<&str> = found.entries.iter().map(|entry| entry.name.as_str()).collect();
        if !names.contains(&table.text.as_str()) {
            let mut diagnostic = self.conflict(&table.span, format!("unknown source `{}`", table.text));
            diagnostic.help = suggestion(&table.text, &names);
            self.diagnostics.push(diagnostic);
        } else if let Some(other) = found.entries.iter().find(|entry| entry.name != table.text) {
            let message = format!("FROM reads `{}`, but there is also `[source.{}]`", table.text, other.name);
            let diagnostic = Diagnostic::new(Code::Conflict, other.key.clone(), message);
            self.diagnostics.push(diagnostic.with_help("a job in SQL reads one source; take the other out"));
        }
    }

    /// The time of the windows is that of the events.
    fn time(&mut self) {
        let time = &self.statement.windows.time;
        let Some(field) = self.event("time").and_then(|node| match &node.value {
            Value::Table(table) => table.get("field"),
            _ => None,
        }) else {
            return;
        };
        let Ok(field) = text(self.sources, &field.node) else { return };
        if ![field.text.as_str(), "event_time"].contains(&time.text.as_str()) {
            let message =
                format!("the windows are over `{}`, but `event.time` is `{}`", time.text, field.text);
            let help = format!("write `{}` here, or change `event.time.field`", field.text);
            let diagnostic = self.conflict(&time.span, message).with_help(help);
            self.diagnostics.push(diagnostic);
        }
    }

    fn event(&self, key: &str) -> Option<&Node> {
        match &self.root.get("event")?.node.value {
            Value::Table(table) => table.get(key).map(|entry| &entry.node),
            _ => None,
        }
    }

    /// GROUP BY makes a group of NULL, unless the file says otherwise.
    fn null_keys(&mut self) {
        if self.root.get("event").is_none() || self.event("null_key").is_some() {
            return;
        }
        let group = self.statement.group.clone();
        let (place, node) = (self.words.place(group.clone()), self.words.value("group".to_owned(), &group));
        self.put(&["event", "null_key"], place, node);
    }

    fn windows(&mut self) {
        let windows = &self.statement.windows;
        let kind = match windows.function {
            WindowFunction::Tumble => "tumbling",
            WindowFunction::Hop => "sliding",
            WindowFunction::Cumulate => "cumulate",
            WindowFunction::Session => "session",
            WindowFunction::Count => "count",
            WindowFunction::Each => "each",
            WindowFunction::Global => "global",
        };
        let place = self.words.place(windows.word.clone());
        let node = self.words.value(kind.to_owned(), &windows.word);
        self.put_own(&["window", "type"], place, node);
        for argument in &windows.arguments {
            let place = self.words.place(argument.span.clone());
            let mut node = self.words.value(String::new(), &argument.span);
            match &argument.value {
                ArgumentValue::Micros(micros) => {
                    node = self.words.value(shown_length(*micros), &argument.span);
                }
                ArgumentValue::Text(text) => node = self.words.value(text.clone(), &argument.span),
                ArgumentValue::Number(number) => node.value = Value::Integer(*number),
                ArgumentValue::Truth(truth) => node.value = Value::Boolean(*truth),
                ArgumentValue::Expression => node = self.words.node(argument.span.clone()),
            }
            self.put_own(&["window", argument.name], place, node);
        }
    }

    /// The select list as features and scores, and as the columns of plain rows.
    fn items(&mut self, keys: &[String], hidden: &mut Hidden<'a>) -> Vec<Node> {
        let statement = self.statement;
        let mut columns = Vec::new();
        for (index, item) in statement.items.iter().enumerate() {
            let span = item.part.span.clone();
            match hidden.select(index, &self.words) {
                Selected::Column => columns.push(self.words.node(span)),
                Selected::Key { name, key } => {
                    let name = self.name_of_column(index).unwrap_or(&name.text);
                    columns.push(self.words.value(renamed(&key, name), &span));
                }
                Selected::NotGrouped => {
                    let name = &self.words.text[span.clone()];
                    let message = format!("`{name}` is neither in GROUP BY nor inside of an aggregate");
                    let known: Vec<&str> = keys.iter().map(String::as_str).chain(WINDOW).collect();
                    let mut diagnostic = self.conflict(&span, message);
                    diagnostic.help =
                        suggestion(name, &known).filter(|help| help.starts_with("did")).or_else(|| {
                            Some(format!(
                                "a window holds many values of it: write for instance last({name}) AS name"
                            ))
                        });
                    diagnostic.code = Code::Expression;
                    self.diagnostics.push(diagnostic);
                }
                Selected::Unnamed => {
                    let message = "this column has no name".to_owned();
                    let help = format!("write `{} AS name`", shortened(&self.words.text[span.clone()]));
                    let diagnostic = self.conflict(&span, message).with_help(help);
                    self.diagnostics.push(Diagnostic { code: Code::Expression, ..diagnostic });
                }
                Selected::Named { section, name, node } => {
                    let place = self.words.place(name.span.clone());
                    if let Some(first) = statement.items[..index]
                        .iter()
                        .find(|other| other.name.as_ref().is_some_and(|other| other.text == name.text))
                    {
                        let message = format!("there are two columns `{}`", name.text);
                        let line = first.name.as_ref().map(|first| self.words.place(first.span.clone()));
                        let line = line.map_or(0, |place| self.sources.position(&place).line);
                        let diagnostic = Diagnostic::new(Code::NameTaken, place, message);
                        self.diagnostics.push(diagnostic.with_help(format!("the first is in line {line}")));
                        continue;
                    }
                    self.put_own(&[section, &name.text], place, node);
                    columns.push(match self.name_of_column(index) {
                        Some(column) => self.words.value(renamed(&name.text, column), &span),
                        None => self.words.node(name.span.clone()),
                    });
                }
            }
        }
        columns
    }

    /// HAVING is the rule. A section of rules may say what else there is to say of it.
    fn rule(&mut self, hidden: &mut Hidden<'a>) {
        let rules: Vec<(String, crate::config::Place, bool)> = match self.own_rules() {
            Some(Value::Table(rules)) => rules
                .entries
                .iter()
                .map(|rule| (rule.name.clone(), rule.key.clone(), from_file(rule, self.sources)))
                .collect(),
            _ => Vec::new(),
        };
        let Some(having) = &self.statement.having else {
            for (id, place, _) in rules.into_iter().filter(|(.., in_file)| *in_file) {
                let message = format!("there is `[rules.{id}]`, but no HAVING");
                let help = "a job in SQL has its rule in HAVING, behind GROUP BY";
                self.diagnostics.push(Diagnostic::new(Code::Conflict, place, message).with_help(help));
            }
            return;
        };
        let id = rules.first().map_or(RULE.to_owned(), |(id, ..)| id.clone());
        for (other, place, _) in rules.into_iter().skip(1) {
            let message = format!("HAVING is the rule `{id}`, but there is also `{other}`");
            let help = "a job in SQL has one rule";
            self.diagnostics.push(Diagnostic::new(Code::Conflict, place, message).with_help(help));
        }
        let node = hidden.over_row(having, &self.words);
        let place = self.words.place(having.span.clone());
        self.put_own(&["rules", &id, "when"], place, node);
    }

    /// The rules that are there.
    fn own_rules(&self) -> Option<&Value> {
        let table = match &self.select {
            None => &*self.root,
            Some(select) => match &self.root.get(BRANCH)?.node.value {
                Value::Table(branches) => match &branches.get(&select.name)?.node.value {
                    Value::Table(branch) => branch,
                    _ => return None,
                },
                _ => return None,
            },
        };
        table.get("rules").map(|entry| &entry.node.value)
    }

    /// The name of a column in the rows of all, where the first of several gives it.
    fn name_of_column(&self, index: usize) -> Option<&'a str> {
        let name = self.select.as_ref()?.columns?.get(index)?;
        Some(name.text.as_str())
    }

    /// Sinks have the selected columns, unless they write alerts or have columns of their own.
    fn sinks(&mut self, columns: Vec<Node>) {
        let place = self.words.place(self.statement.select.clone());
        let mut columns = columns;
        if self.select.is_some() && !columns.is_empty() {
            // Sinks have those of each branch.
            let node = Node { place: place.clone(), value: Value::Array(std::mem::take(&mut columns)) };
            self.put_own(&["columns"], place.clone(), node);
        }
        let Some(Value::Table(sinks)) = self.root.get_mut("sink").map(|entry| &mut entry.node.value) else {
            return;
        };
        for sink in sinks.entries.iter_mut().filter(|sink| !crate::config::Rejects::is_reserved(&sink.name)) {
            let Value::Table(table) = &mut sink.node.value else { continue };
            let plain = match table.get("format").map(|entry| &entry.node.value) {
                None => true,
                Some(Value::Text(format)) => format.text == "plain",
                Some(_) => false,
            };
            let mut add = |key: &str, value: Value| {
                if plain && table.get(key).is_none() {
                    place::insert(table, key, place.clone(), Node { place: place.clone(), value });
                }
            };
            add("format", place::made("plain"));
            if !columns.is_empty() {
                add("columns", Value::Array(columns.clone()));
            }
        }
    }

    fn put(&mut self, path: &[&str], key: crate::config::Place, node: Node) {
        self.diagnostics.extend(put(self.root, path, key, node, self.sources).err());
    }

    /// The same where what a SELECT says for itself belongs.
    fn put_own(&mut self, path: &[&str], key: crate::config::Place, node: Node) {
        match &self.select {
            None => self.put(path, key, node),
            Some(select) => {
                let path: Vec<&str> =
                    [BRANCH, &select.name].into_iter().chain(path.iter().copied()).collect();
                self.diagnostics.extend(put(self.root, &path, key, node, self.sources).err());
            }
        }
    }

    fn conflict(&self, span: &Range<usize>, message: String) -> Diagnostic {
        Diagnostic::new(Code::Conflict, self.words.place(span.clone()), message)
    }
}

/// A column under another name.
fn renamed(column: &str, name: &str) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    if column == name { quoted(column) } else { format!("{} AS {}", quoted(column), quoted(name)) }
}

/// A length as a config writes it.
fn shown_length(micros: i64) -> String {
    let length = format_duration(std::time::Duration::from_micros(micros.unsigned_abs()));
    if micros < 0 { format!("-{length}") } else { length }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}..", &text[..end]),
        None => text.to_owned(),
    }
}
