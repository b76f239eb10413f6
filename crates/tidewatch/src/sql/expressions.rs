//! What a selected expression becomes: a column of the key or the window, a feature, or a score over features.
//!
//! An expression over aggregates alone is a feature as it is written. One that also names the key, the window or a
//! score is a score, as is a call of a detector, and each aggregate in it a feature of its own, whose name takes its place, with blanks up to
//! the length of what stood there: so every word stays where it was, and errors point to it.

use transform::{AggregateWords, Name, Part, Statement};

use super::WINDOW;
use super::keys::Derived;
use super::place::Words;
use crate::config::tree::Node;
use crate::job::detectors::{FURTHER, is_detector};

/// Columns of every row.
const ALWAYS: [&str; 4] = ["rule", "severity", "revision", "early"];

/// What an item of the select list is.
pub(super) enum Selected<'a> {
    /// A column of the row.
    Column,
    /// A part of the key that is an expression, under the name that the column has.
    Key { name: &'a Name, key: String },
    /// A name that is neither a column of the row nor that of an earlier item.
    NotGrouped,
    /// An expression without a name.
    Unnamed,
    /// A feature or a score.
    Named {
        /// `features` or `score`.
        section: &'static str,
        name: &'a Name,
        node: Node,
    },
}

/// The names of a statement, and the aggregates that need one.
pub(super) struct Hidden<'a> {
    statement: &'a Statement,
    keys: Vec<String>,
    /// Those of the keys that are expressions.
    derived: Vec<Derived>,
    /// Names of items so far that are features, and of those that are scores.
    features: Vec<&'a str>,
    scores: Vec<String>,
    /// Aggregates with the names they have got.
    named: Vec<(&'a AggregateWords, String)>,
}

impl<'a> Hidden<'a> {
    pub(super) fn new(statement: &'a Statement, keys: Vec<String>, derived: Vec<Derived>) -> Self {
        Hidden { statement, keys, derived, features: Vec::new(), scores: Vec::new(), named: Vec::new() }
    }

    /// What the item of that number becomes; the items before it have been asked for.
    pub(super) fn select(&mut self, index: usize, words: &Words) -> Selected<'a> {
        let item = &self.statement.items[index];
        let part = &item.part;
        if let Some(derived) = self.derived.iter().find(|derived| derived.is(part))
            && let Some(name) = item.name.as_ref().or(part.name())
        {
            return Selected::Key { name, key: derived.name.clone() };
        }
        let single = part.name().map(|name| name.text.as_str());
        if let Some(single) = single {
            let of_row = self.is_of_row(single) || ALWAYS.contains(&single);
            let renamed = item.name.as_ref().is_some_and(|name| name.text != single);
            if !of_row && !self.features.contains(&single) && !self.is_score(single) {
                return Selected::NotGrouped;
            }
            if !renamed && (of_row || item.name.is_none()) {
                return Selected::Column;
            }
        }
        let Some(name) = &item.name else {
            return Selected::Unnamed;
        };
        let over_row = part.names.iter().map(|name| name.text.as_str()).any(|name| {
            self.is_of_row(name)
                || self.is_score(name)
                || part.aggregates.is_empty() && self.features.contains(&name)
        });
        let detects = calls_detector(&words.text[part.span.clone()]);
        if over_row || detects {
            let node = self.over_row(part, words);
            self.scores.push(name.text.clone());
            if detects {
                // The further columns that a detector may have can be selected too.
                self.scores.extend(FURTHER.iter().map(|column| format!("{}{column}", name.text)));
            }
            Selected::Named { section: "score", name, node }
        } else {
            self.features.push(&name.text);
            Selected::Named { section: "features", name, node: words.node(part.span.clone()) }
        }
    }

    fn is_score(&self, name: &str) -> bool {
        self.scores.iter().any(|score| score == name)
    }

    fn is_of_row(&self, name: &str) -> bool {
        WINDOW.contains(&name) || self.keys.iter().any(|key| key == name)
    }

    /// An expression over rows of features: names in place of its aggregates.
    pub(super) fn over_row(&mut self, part: &'a Part, words: &Words) -> Node {
        let mut text = String::new();
        let mut at = part.span.start;
        for call in &part.aggregates {
            let name = self.name_of(call, words);
            text.push_str(&words.text[at..call.span.start]);
            text.push_str(&name);
            text.extend(std::iter::repeat_n(' ', call.span.len().saturating_sub(name.len())));
            at = call.span.end;
        }
        text.push_str(&words.text[at..part.span.end]);
        words.rewritten(text, &part.span)
    }

    /// The name of a feature that is that aggregate and nothing else.
    fn name_of(&mut self, call: &'a AggregateWords, words: &Words) -> String {
        let written = &words.text[call.span.clone()];
        let same = |span: &std::ops::Range<usize>| words.text[span.clone()] == *written;
        let selected = self.statement.items.iter().find_map(|item| {
            let name = item.name.as_ref().filter(|name| name.plain && name.text.len() <= written.len())?;
            same(&item.part.span).then(|| name.text.clone())
        });
        if let Some(selected) = selected {
            return selected;
        }
        if let Some((_, name)) = self.named.iter().find(|(other, _)| same(&other.span)) {
            return name.clone();
        }
        let taken = |name: &str| {
            let mut items = self.statement.items.iter().filter_map(|item| item.name.as_ref());
            items.any(|item| item.text == name)
                || self.is_of_row(name)
                || self.named.iter().any(|(_, other)| other == name)
        };
        let names = (1..).map(|number| format!("{}_{number}", call.function));
        let name = names.into_iter().find(|name| !taken(name)).unwrap_or_default();
        self.named.push((call, name.clone()));
        name
    }

    /// The features that were made for aggregates.
    pub(super) fn features(self, words: &Words) -> Vec<(String, Node)> {
        self.named.into_iter().map(|(call, name)| (name, words.node(call.span.clone()))).collect()
    }
}

/// Whether an expression is a call of a detector, which is a score whatever it looks at.
fn calls_detector(text: &str) -> bool {
    text.split_once('(').is_some_and(|(name, _)| is_detector(&name.trim().to_ascii_lowercase()))
}
