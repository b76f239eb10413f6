//! Overrides: `--set PATH=VALUE` and environment variables `TIDEWATCH__A__B`.
//!
//! The value is read as TOML, else taken as a string. Tables that are missing on the way are made. The
//! environment comes before the file, `--set` before the environment, and of two `--set` the later wins.

use super::diagnostic::{Code, Diagnostic};
use super::place::{Origin, Place, Sources};
use super::tree::{Entry, Node, Table, Value, parse_value};

/// What the names of the environment variables start with.
pub(super) const PREFIX: &str = "TIDEWATCH__";

/// One part of a path, and where it stands.
struct Part {
    name: String,
    place: Place,
}

/// Applies a `--set` argument, or what a program sets in its place.
///
/// # Errors
/// If there is no `=`, the path is not one, or leads through something that is no table.
pub(crate) fn apply_set(
    root: &mut Table,
    sources: &mut Sources,
    origin: Origin,
    argument: &str,
) -> Result<(), Diagnostic> {
    let source = sources.add(origin, argument.to_owned());
    let (parts, value_start) = parse_path(argument, source)?;
    let node = parse_value(sources, source, value_start);
    insert(root, &parts, node)
}

/// Applies an environment variable whose name starts with [`PREFIX`].
///
/// Its parts are split at `__` and meet the names of the file without regard to case, `-` and `_`.
///
/// # Errors
/// If a part is empty, or the path leads through something that is no table.
pub(super) fn apply_variable(
    root: &mut Table,
    sources: &mut Sources,
    name: &str,
    value: &str,
) -> Result<(), Diagnostic> {
    let source = sources.add(Origin::Environment(name.to_owned()), format!("{name}={value}"));
    let mut parts = Vec::new();
    let mut start = PREFIX.len();
    for part in name[PREFIX.len()..].split("__") {
        let place = Place { source, span: start..start + part.len() };
        if part.is_empty() {
            let whole = Place { source, span: 0..name.len() };
            return Err(Diagnostic::new(Code::BadOverride, whole, format!("`{name}` has an empty part"))
                .with_help("write `TIDEWATCH__SECTION__KEY`"));
        }
        start += part.len() + 2;
        parts.push(Part { name: part.to_owned(), place });
    }
    resolve_case(root, &mut parts);
    let node = parse_value(sources, source, name.len() + 1);
    insert(root, &parts, node)
}

/// Puts the names of `root` in place of parts that are the same but for case, `-` and `_`.
fn resolve_case(root: &Table, parts: &mut [Part]) {
    let fold = |name: &str| name.replace('-', "_").to_ascii_lowercase();
    let mut table = Some(root);
    for part in parts {
        let folded = fold(&part.name);
        let entry = table.and_then(|table| table.entries.iter().find(|entry| fold(&entry.name) == folded));
        part.name = entry.map_or(folded, |entry| entry.name.clone());
        table = match entry.map(|entry| &entry.node.value) {
            Some(Value::Table(table)) => Some(table),
            _ => None,
        };
    }
}

fn insert(root: &mut Table, parts: &[Part], node: Node) -> Result<(), Diagnostic> {
    let Some((part, rest)) = parts.split_first() else {
        return Ok(());
    };
    if rest.is_empty() {
        match root.get_mut(&part.name) {
            Some(entry) => (entry.key, entry.node) = (part.place.clone(), node),
            None => {
                root.entries.push(Entry { name: part.name.clone(), key: part.place.clone(), node });
            }
        }
        return Ok(());
    }
    if root.get(&part.name).is_none() {
        let table = Node { place: part.place.clone(), value: Value::Table(Table::default()) };
        root.entries.push(Entry { name: part.name.clone(), key: part.place.clone(), node: table });
    }
    match root.get_mut(&part.name).map(|entry| &mut entry.node.value) {
        Some(Value::Table(table)) => insert(table, rest, node),
        Some(other) => {
            let message = format!("`{}` is {}, not a table", part.name, other.kind());
            Err(Diagnostic::new(Code::BadOverride, part.place.clone(), message))
        }
        None => Ok(()),
    }
}

/// The parts of the path before the first `=` outside quotes, and where the value starts.
fn parse_path(argument: &str, source: usize) -> Result<(Vec<Part>, usize), Diagnostic> {
    let refuse = |span: std::ops::Range<usize>, message: &str| {
        Err(Diagnostic::new(Code::BadOverride, Place { source, span }, message)
            .with_help("write PATH=VALUE, as in `window.size=5m`"))
    };
    let mut parts = Vec::new();
    let mut at = 0;
    loop {
        let rest = &argument[at..];
        let (name, length) = match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => match rest[1..].find(quote) {
                Some(length) => (&rest[1..=length], length + 2),
                None => return refuse(at..argument.len(), "a quote that is not closed"),
            },
            _ => {
                let bare = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
                let length = rest.find(|c| !bare(c)).unwrap_or(rest.len());
                (&rest[..length], length)
            }
        };
        if length == 0 && rest.is_empty() {
            return refuse(0..argument.len(), "no `=`");
        }
        if length == 0 {
            return refuse(at..at + 1, "a path has names with dots between them");
        }
        let place = Place { source, span: at..at + length };
        parts.push(Part { name: name.to_owned(), place });
        at += length;
        match argument[at..].chars().next() {
            Some('.') => at += 1,
            Some('=') => return Ok((parts, at + 1)),
            Some(other) => {
                return refuse(at..at + other.len_utf8(), "a path has names with dots between them");
            }
            None => return refuse(0..argument.len(), "no `=`"),
        }
    }
}
