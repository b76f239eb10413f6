//! Nodes of the tree that are words of the statement, and where they go.

use std::ops::Range;

use crate::config::Diagnostic;
use crate::config::diagnostic::Code;
use crate::config::place::{Origin, Place, Sources};
use crate::config::tree::{Entry, Node, Table, Text, Value};

/// The statement, and where its bytes stand.
#[derive(Clone)]
pub(super) struct Words<'a> {
    pub(super) text: &'a str,
    /// Byte of the source where it stands word for word, if it does.
    pub(super) verbatim: Option<usize>,
    pub(super) whole: Place,
}

impl Words<'_> {
    pub(super) fn place(&self, span: Range<usize>) -> Place {
        match self.verbatim {
            Some(start) => Place { source: self.whole.source, span: start + span.start..start + span.end },
            None => self.whole.clone(),
        }
    }

    /// These bytes, as an expression.
    pub(super) fn node(&self, span: Range<usize>) -> Node {
        self.rewritten(self.text[span.clone()].to_owned(), &span)
    }

    /// What stands for these bytes and is as long as they are.
    pub(super) fn rewritten(&self, text: String, span: &Range<usize>) -> Node {
        let verbatim = self.verbatim.filter(|_| text.len() == span.len()).map(|start| start + span.start);
        Node { place: self.place(span.clone()), value: Value::Text(Text { text, verbatim }) }
    }

    /// What these bytes mean.
    pub(super) fn value(&self, text: String, span: &Range<usize>) -> Node {
        Node { place: self.place(span.clone()), value: Value::Text(Text { text, verbatim: None }) }
    }
}

/// A word that the statement does not hold.
pub(super) fn made(text: &str) -> Value {
    Value::Text(Text { text: text.to_owned(), verbatim: None })
}

/// Whether an entry was written in the file, not in an override.
pub(super) fn from_file(entry: &Entry, sources: &Sources) -> bool {
    matches!(sources.get(entry.key.source).origin, Origin::File(_))
}

pub(super) fn insert(table: &mut Table, name: &str, key: Place, node: Node) {
    table.entries.push(Entry { name: name.to_owned(), key, node });
}

/// Puts a node where the path leads. An override that is there already stays; what the file says there is said
/// twice.
pub(super) fn put(
    root: &mut Table,
    path: &[&str],
    key: Place,
    node: Node,
    sources: &Sources,
) -> Result<(), Diagnostic> {
    let mut table = root;
    let Some((name, sections)) = path.split_last() else { return Ok(()) };
    for section in sections {
        if table.get(section).is_none() {
            let empty = Node { place: key.clone(), value: Value::Table(Table::default()) };
            insert(table, section, key.clone(), empty);
        }
        match table.get_mut(section).map(|entry| &mut entry.node.value) {
            Some(Value::Table(inner)) => table = inner,
            // Whoever reads the section says that it is none.
            _ => return Ok(()),
        }
    }
    match table.get(name) {
        None => insert(table, name, key, node),
        Some(entry) if from_file(entry, sources) => {
            let shown = path.join(".");
            let message = format!("`{shown}` is there, and the statement says it too");
            let help = "take one of them out".to_owned();
            return Err(Diagnostic::new(Code::Conflict, entry.key.clone(), message).with_help(help));
        }
        Some(_) => {}
    }
    Ok(())
}
