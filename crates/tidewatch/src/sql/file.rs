//! A file `job.sql`: a header in a comment, then the statement.
//!
//! The header is TOML, the same sections as in a config, so that a connector is described in one way only. It is a
//! comment, so that the file is SQL to every editor and every other tool.

use std::ops::Range;
use std::path::Path;

use toml_edit::TomlError;

use super::KEY;
use crate::config::Diagnostic;
use crate::config::diagnostic::Code;
use crate::config::place::{Place, Sources};
use crate::config::tree::{Entry, Node, Table, Text, Value, parse_part};

const OPEN: &str = "/*toml";
const CLOSE: &str = "*/";
const HELP: &str = "begin the file with `/*toml`, the sections `[source.NAME]`, `[event]`, `[sink.NAME]`, \
                    and `*/` on a line of its own";

/// Whether a config of that name is a statement.
pub(crate) fn is_statement(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("sql"))
}

/// What is wrong with a header.
pub(crate) enum Unread {
    /// It is not TOML.
    Toml(TomlError),
    /// It is not a header.
    Header(Diagnostic),
}

/// Reads the file as the tree of its header, with the statement under the key `sql`.
///
/// # Errors
/// If there is no header, or it is not TOML.
pub(crate) fn read_file(sources: &Sources, source: usize) -> Result<Table, Unread> {
    let text = sources.get(source).text.as_str();
    let refuse = |span: Range<usize>, message: &str| {
        Unread::Header(Diagnostic::new(Code::MissingKey, Place { source, span }, message).with_help(HELP))
    };
    let open = beginning(text);
    if !text[open..].starts_with(OPEN) {
        let end = text[open..].find('\n').map_or(text.len(), |newline| open + newline);
        return Err(refuse(open..end, "no header that names source and sinks"));
    }
    let start = open + OPEN.len();
    let Some(end) = closing(text, start) else {
        return Err(refuse(open..start, "the header has no end"));
    };
    let mut root = parse_part(sources, source, start..end).map_err(Unread::Toml)?;
    if let Some(entry) = root.get(KEY) {
        let message = "the statement stands behind the header";
        return Err(Unread::Header(Diagnostic::new(Code::Conflict, entry.key.clone(), message)));
    }
    let start = end + CLOSE.len();
    if let Some(second) = text[start..].find(OPEN) {
        let second = start + second;
        return Err(refuse(second..second + OPEN.len(), "a second header"));
    }
    let blank = text[start..].len() - text[start..].trim_start().len();
    let place = Place { source, span: start + blank..text.len() };
    let statement = Text { text: text[start..].to_owned(), verbatim: Some(start) };
    let node = Node { place: place.clone(), value: Value::Text(statement) };
    root.entries.push(Entry { name: KEY.to_owned(), key: place, node });
    Ok(root)
}

/// Where the text begins, behind blanks and lines of comment.
fn beginning(text: &str) -> usize {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start_matches('\u{feff}').trim();
        if !trimmed.is_empty() && !trimmed.starts_with("--") {
            return at + line.len() - line.trim_start_matches('\u{feff}').trim_start().len();
        }
        at += line.len();
    }
    at
}

/// Where the line is that is no more than the end of the header.
fn closing(text: &str, start: usize) -> Option<usize> {
    let mut at = start;
    for line in text[start..].split_inclusive('\n') {
        if line.trim_start().starts_with(CLOSE) {
            return Some(at + line.len() - line.trim_start().len());
        }
        at += line.len();
    }
    None
}
