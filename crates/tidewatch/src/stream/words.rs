//! Calls as words: the text in which a mistake is shown, and the settings that the calls stand for, each with its
//! place in that text.
//!
//! So a job in Rust becomes the same tree as one in TOML, and an error points to a word of an expression in either.

use std::ops::Range;
use std::time::Duration;

use crate::config::Place;
use crate::config::duration::format_duration;
use crate::config::tree::{Entry, Node, Table, Text, Value};

/// One call, or a chain of them, and what they set. Places count in `text`, of whatever source.
#[derive(Debug, Clone, Default)]
pub(super) struct Words {
    text: String,
    settings: Vec<Setting>,
}

/// A value under the names that lead to it.
#[derive(Debug, Clone)]
struct Setting {
    path: Vec<String>,
    /// Where its name stands.
    key: Range<usize>,
    node: Node,
}

/// A call whose arguments are being written.
pub(super) struct Call {
    words: Words,
    name: Range<usize>,
    arguments: usize,
}

impl Words {
    /// Begins a call: `name(`.
    pub(super) fn call(mut self, name: &str) -> Call {
        let start = self.text.len();
        self.text.push_str(name);
        let name = start + usize::from(name.starts_with('.'))..self.text.len();
        self.text.push('(');
        Call { words: self, name, arguments: 0 }
    }

    /// The words as they are shown.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Puts what is set into a tree, as words of the source of that ordinal. Returns what is there already, with the
    /// place at which it is said again.
    pub(super) fn put(self, root: &mut Table, source: usize) -> Vec<(String, Place)> {
        let mut twice: Vec<(Vec<String>, Place)> = Vec::new();
        for Setting { path, key, node } in self.settings {
            // What lies in a section that is there already is not named by itself.
            if twice.iter().any(|(section, _)| path.starts_with(section)) {
                continue;
            }
            let key = Place { source, span: key };
            if !put(root, &path, &key, moved(node, source, 0)) {
                twice.push((path, key));
            }
        }
        twice.into_iter().map(|(path, key)| (path.join("."), key)).collect()
    }
}

impl Call {
    /// A text that is a setting.
    pub(super) fn text(self, path: &[&str], text: &str) -> Self {
        let name = self.name.clone();
        self.under(path, name, |words| words.quoted(text))
    }

    /// A name and the text that it has, in a section in which names are free.
    pub(super) fn named(mut self, section: &[&str], name: &str, text: &str) -> Self {
        self.next();
        let key = self.words.quoted(name).place.span;
        let path: Vec<&str> = section.iter().copied().chain([name]).collect();
        self.under(&path, key, |words| words.quoted(text))
    }

    /// A list of texts that is a setting; one alone is written as it is.
    pub(super) fn texts(self, path: &[&str], texts: &[String]) -> Self {
        let name = self.name.clone();
        self.under(path, name, |words| {
            let start = words.text.len();
            let is_list = texts.len() != 1;
            words.text.push_str(if is_list { "[" } else { "" });
            let mut nodes = Vec::with_capacity(texts.len());
            for text in texts {
                words.text.push_str(if nodes.is_empty() { "" } else { ", " });
                nodes.push(words.quoted(text));
            }
            words.text.push_str(if is_list { "]" } else { "" });
            words.node(start, Value::Array(nodes))
        })
    }

    /// A length of time that is a setting.
    pub(super) fn duration(self, path: &[&str], duration: Duration) -> Self {
        self.written(path, &shown(duration), None)
    }

    /// A whole number that is a setting.
    pub(super) fn integer(self, path: &[&str], number: u64) -> Self {
        // What no setting can be is refused by whoever reads it.
        let value = i64::try_from(number).map_or(Value::Float(number as f64), Value::Integer);
        self.written(path, &number.to_string(), Some(value))
    }

    /// A number that is a setting.
    pub(super) fn number(self, path: &[&str], number: f64) -> Self {
        self.written(path, &format!("{number:?}"), Some(Value::Float(number)))
    }

    /// A word of Rust that stands for a text which is a setting.
    pub(super) fn word(self, path: &[&str], word: &str, text: &str) -> Self {
        self.written(path, word, Some(verbatim(text, None)))
    }

    /// What is shown as it is set, without quotes; or as `value`.
    pub(super) fn written(self, path: &[&str], shown: &str, value: Option<Value>) -> Self {
        let name = self.name.clone();
        self.under(path, name, |words| {
            let start = words.text.len();
            words.text.push_str(shown);
            words.node(start, value.unwrap_or_else(|| verbatim(shown, Some(start))))
        })
    }

    /// What the call says by its name alone.
    pub(super) fn implied(mut self, path: &[&str], value: Value) -> Self {
        let node = Node { place: here(self.name.clone()), value };
        self.words.settings.push(Setting { path: owned(path), key: self.name.clone(), node });
        self
    }

    /// The same, a text.
    pub(super) fn implied_text(self, path: &[&str], text: &str) -> Self {
        self.implied(path, verbatim(text, None))
    }

    /// What is only shown: it was said where it was made.
    pub(super) fn shown(mut self, text: &str) -> Self {
        self.next();
        self.words.quoted(text);
        self
    }

    /// A word that is only shown.
    pub(super) fn plain(mut self, word: &str) -> Self {
        self.next();
        self.words.text.push_str(word);
        self
    }

    /// Words as an argument, whose settings come to lie in a section.
    pub(super) fn inner(mut self, section: &[&str], inner: Words) -> Self {
        self.next();
        let start = self.words.text.len();
        self.words.text.push_str(&inner.text);
        let whole = start..self.words.text.len();
        if !section.is_empty() {
            let node = Node { place: here(whole.clone()), value: Value::Table(Table::default()) };
            self.words.settings.push(Setting { path: owned(section), key: whole, node });
        }
        for Setting { path, key, node } in inner.settings {
            let path = section.iter().map(|name| (*name).to_owned()).chain(path).collect();
            let key = key.start + start..key.end + start;
            self.words.settings.push(Setting { path, key, node: moved(node, 0, start) });
        }
        self
    }

    /// Ends the call.
    pub(super) fn end(mut self) -> Words {
        self.words.text.push(')');
        self.words
    }

    fn under(mut self, path: &[&str], key: Range<usize>, write: impl FnOnce(&mut Words) -> Node) -> Self {
        self.next();
        let node = write(&mut self.words);
        self.words.settings.push(Setting { path: owned(path), key, node });
        self
    }

    fn next(&mut self) {
        self.words.text.push_str(if self.arguments > 0 { ", " } else { "" });
        self.arguments += 1;
    }
}

impl Words {
    /// A text in quotes, in which it stands as it is.
    fn quoted(&mut self, text: &str) -> Node {
        let hashes = if text.contains(['"', '\\']) { "#" } else { "" };
        let raw = if hashes.is_empty() { "" } else { "r#" };
        self.text.push_str(&format!("{raw}\""));
        let start = self.text.len();
        self.text.push_str(text);
        let node = self.node(start, verbatim(text, Some(start)));
        self.text.push_str(&format!("\"{hashes}"));
        node
    }

    fn node(&self, start: usize, value: Value) -> Node {
        Node { place: here(start..self.text.len()), value }
    }
}

/// A length of time as configs write it. One that no config can hold is still too long.
pub(super) fn shown(duration: Duration) -> String {
    match i64::try_from(duration.as_micros()) {
        Ok(_) => format_duration(duration),
        Err(_) => format!("{}s", duration.as_secs()),
    }
}

fn verbatim(text: &str, verbatim: Option<usize>) -> Value {
    Value::Text(Text { text: text.to_owned(), verbatim })
}

fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|name| (*name).to_owned()).collect()
}

fn here(span: Range<usize>) -> Place {
    Place { source: 0, span }
}

/// A node that stands so many bytes further on, in the source of that ordinal.
fn moved(node: Node, source: usize, by: usize) -> Node {
    let place = |place: Place| Place { source, span: place.span.start + by..place.span.end + by };
    let value = match node.value {
        Value::Text(Text { text, verbatim }) => {
            Value::Text(Text { text, verbatim: verbatim.map(|at| at + by) })
        }
        Value::Array(nodes) => Value::Array(nodes.into_iter().map(|node| moved(node, source, by)).collect()),
        Value::Table(Table { entries }) => {
            let entries = entries.into_iter().map(|Entry { name, key, node }| Entry {
                name,
                key: place(key),
                node: moved(node, source, by),
            });
            Value::Table(Table { entries: entries.collect() })
        }
        value => value,
    };
    Node { place: place(node.place), value }
}

/// Puts a node where the path leads; returns whether there was none yet.
fn put(root: &mut Table, path: &[String], key: &Place, node: Node) -> bool {
    let Some((name, sections)) = path.split_last() else { return true };
    let mut table = root;
    for section in sections {
        if table.get(section).is_none() {
            let empty = Node { place: key.clone(), value: Value::Table(Table::default()) };
            table.entries.push(Entry { name: section.clone(), key: key.clone(), node: empty });
        }
        match table.get_mut(section).map(|entry| &mut entry.node.value) {
            Some(Value::Table(inner)) => table = inner,
            _ => return false,
        }
    }
    if table.get(name).is_some() {
        return false;
    }
    table.entries.push(Entry { name: name.clone(), key: key.clone(), node });
    true
}
