//! Reads one section of the tree: each key once, with its default, and at the end what nobody knows.
//!
//! A mistake is noted in [`Findings`] and reading goes on, so that one run names them all.

use std::fmt::Display;

use super::diagnostic::{Code, Diagnostic};
use super::nearest::{nearest, suggestion};
use super::place::{Place, Sources};
use super::secret::hidden;
use super::tree::{Entry, Node, Table, Value};

/// What reading has found: the mistakes, and each setting with where its value came from.
#[derive(Debug, Default)]
pub struct Findings {
    /// The mistakes.
    pub diagnostics: Vec<Diagnostic>,
    /// The settings in the order in which they were read, defaults included.
    pub settings: Vec<Setting>,
    /// Whether a section itself was not known, so that names may be missing everywhere.
    pub unknown_section: bool,
}

/// A setting as `check --print` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its path, as `window.size`.
    pub path: String,
    /// Its value, as TOML.
    pub value: String,
    /// Where it stands; `None` for a default.
    pub place: Option<Place>,
}

/// The texts, and what was found in them.
pub struct Reader<'a> {
    /// The texts.
    pub sources: &'a Sources,
    /// The environment, for secrets.
    pub environment: &'a [(String, String)],
    /// The findings so far.
    pub findings: Findings,
}

impl Reader<'_> {
    /// Notes a mistake.
    pub fn report(&mut self, diagnostic: Diagnostic) {
        self.findings.diagnostics.push(diagnostic);
    }

    /// Notes a setting that was written.
    pub fn record(&mut self, path: String, node: &Node) {
        let place = Some(node.place.clone());
        self.findings.settings.push(Setting { path, value: hidden(&show(&node.value)), place });
    }

    fn record_default(&mut self, path: String, value: impl Display) {
        self.findings.settings.push(Setting { path, value: value.to_string(), place: None });
    }
}

/// One table while it is read.
pub struct Section<'a> {
    path: String,
    /// How messages call it, as "rule `quiet`".
    words: String,
    place: Place,
    entries: &'a [Entry],
    known: Vec<&'static str>,
    /// Keys that must be there and are not, with what there is to say about it.
    missing: Vec<(&'static str, Diagnostic)>,
}

/// What reading a node gives.
pub type Read<T> = Result<T, Diagnostic>;

impl<'a> Section<'a> {
    /// The section of `table`, called `words` in messages; `path` is empty for the whole document.
    pub fn new(table: &'a Table, path: impl Into<String>, words: impl Into<String>, place: Place) -> Self {
        Section {
            path: path.into(),
            words: words.into(),
            place,
            entries: &table.entries,
            known: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// Path of one of its keys; a name that is not a bare key is quoted.
    pub fn path_of(&self, key: &str) -> String {
        let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let quoted = format!("\"{key}\"");
        let key = if !key.is_empty() && key.chars().all(bare) { key } else { &quoted };
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Where the section stands.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The entry of that key, which is known from now on.
    pub fn entry(&mut self, key: &'static str) -> Option<&'a Entry> {
        self.known.push(key);
        self.entries.iter().find(|entry| entry.name == key)
    }

    /// All entries: for sections whose keys are names that the user chooses.
    pub fn entries(&self) -> &'a [Entry] {
        self.entries
    }

    /// The value of a key; `None` if it is not there or does not fit.
    pub fn optional<T>(
        &mut self,
        reader: &mut Reader,
        key: &'static str,
        read: impl FnOnce(&Sources, &Node) -> Read<T>,
    ) -> Option<T> {
        let entry = self.entry(key)?;
        // The keys of a table are recorded one by one.
        if !matches!(entry.node.value, Value::Table(_)) {
            reader.record(self.path_of(key), &entry.node);
        }
        match read(reader.sources, &entry.node) {
            Ok(value) => Some(value),
            Err(diagnostic) => {
                reader.report(diagnostic);
                None
            }
        }
    }

    /// The value of a key, else `default`, which `--print` shows as `shown`.
    pub fn or<T>(
        &mut self,
        reader: &mut Reader,
        key: &'static str,
        (default, shown): (T, &str),
        read: impl FnOnce(&Sources, &Node) -> Read<T>,
    ) -> T {
        if !self.entries.iter().any(|entry| entry.name == key) {
            reader.record_default(self.path_of(key), shown);
        }
        self.optional(reader, key, read).unwrap_or(default)
    }

    /// The value of a key that must be there. `None` only if a mistake was noted, or will be at the end.
    pub fn required<T>(
        &mut self,
        reader: &mut Reader,
        key: &'static str,
        help: &str,
        read: impl FnOnce(&Sources, &Node) -> Read<T>,
    ) -> Option<T> {
        if !self.entries.iter().any(|entry| entry.name == key) {
            self.known.push(key);
            let message = format!("{} has no `{key}`", self.words);
            let diagnostic = Diagnostic::new(Code::MissingKey, self.place.clone(), message).with_help(help);
            self.missing.push((key, diagnostic));
            return None;
        }
        self.optional(reader, key, read)
    }

    /// The table under a key, as a section of its own.
    pub fn section(&mut self, reader: &mut Reader, key: &'static str) -> Option<Section<'a>> {
        let entry = self.entry(key)?;
        let path = self.path_of(key);
        let words = format!("`[{path}]`");
        match as_section(entry, path, words) {
            Ok(section) => Some(section),
            Err(diagnostic) => {
                reader.report(diagnostic);
                None
            }
        }
    }

    /// The tables under a key, one a name: `[sink.NAME]`. `kind` is what messages call one.
    pub fn sections(
        &mut self,
        reader: &mut Reader,
        key: &'static str,
        kind: &str,
    ) -> Vec<(&'a Entry, Section<'a>)> {
        let Some(group) = self.section(reader, key) else {
            return Vec::new();
        };
        let mut sections = Vec::new();
        for entry in group.entries {
            let words = format!("{kind} `{}`", entry.name);
            match as_section(entry, group.path_of(&entry.name), words) {
                Ok(section) => sections.push((entry, section)),
                Err(diagnostic) => reader.report(diagnostic),
            }
        }
        sections
    }

    /// Notes every key that nobody asked for, with the nearest one that is known, and those that are missing.
    pub fn finish(self, reader: &mut Reader) {
        let unknown: Vec<&Entry> = self.entries.iter().filter(|entry| self.is_unknown(entry)).collect();
        self.finish_with(unknown, reader);
    }

    /// The same for a section that was not read to its end: an unknown key may only be one of the missing
    /// ones misspelt.
    pub fn give_up(self, reader: &mut Reader) {
        let misspelt = |entry: &&Entry| {
            let missing = self.missing.iter().map(|(key, _)| *key);
            self.is_unknown(entry) && nearest(&entry.name, missing).is_some()
        };
        let unknown: Vec<&Entry> = self.entries.iter().filter(misspelt).collect();
        self.finish_with(unknown, reader);
    }

    fn finish_with(mut self, unknown: Vec<&Entry>, reader: &mut Reader) {
        let names_missing = self.path.is_empty() || self.path == "event";
        reader.findings.unknown_section |= names_missing && !unknown.is_empty();
        for entry in unknown {
            let (what, of) = match &entry.node.value {
                Value::Table(_) if self.path.is_empty() => ("section", String::new()),
                _ if self.path.is_empty() => ("key", String::new()),
                _ => ("key", format!(" in {}", self.words)),
            };
            let message = format!("unknown {what} `{}`{of}", entry.name);
            let mut diagnostic = Diagnostic::new(Code::UnknownKey, entry.key.clone(), message);
            // Rather one that is not there yet than one that is.
            let absent: Vec<&str> = self.known.iter().copied().filter(|known| !self.has(known)).collect();
            let near = nearest(&entry.name, absent.iter().copied())
                .or_else(|| nearest(&entry.name, self.known.iter().copied()));
            diagnostic.help = match near {
                Some(near) => Some(format!("did you mean `{near}`?")),
                None => suggestion(&entry.name, &absent),
            };
            reader.report(diagnostic);
            // It is not missing but misspelt.
            self.missing.retain(|(key, _)| Some(*key) != near);
        }
        for (_, diagnostic) in self.missing {
            reader.report(diagnostic);
        }
    }

    fn is_unknown(&self, entry: &Entry) -> bool {
        !self.known.contains(&entry.name.as_str())
    }

    fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.name == name)
    }
}

/// The section of an entry whose value is a table.
///
/// # Errors
/// If it is none.
pub fn as_section<'a>(entry: &'a Entry, path: String, words: String) -> Read<Section<'a>> {
    match &entry.node.value {
        Value::Table(table) => Ok(Section::new(table, path, words, entry.key.clone())),
        other => {
            let message = format!("`{path}` is {}, where a table is needed", other.kind());
            Err(Diagnostic::new(Code::WrongType, entry.node.place.clone(), message))
        }
    }
}

/// A value as TOML, on one line.
fn show(value: &Value) -> String {
    match value {
        Value::Text(text) => toml_edit::Value::from(text.text.as_str()).to_string(),
        Value::Integer(integer) => integer.to_string(),
        Value::Float(float) => format!("{float:?}"),
        Value::Boolean(boolean) => boolean.to_string(),
        Value::Datetime(datetime) => datetime.clone(),
        Value::Array(nodes) => {
            let shown: Vec<String> = nodes.iter().map(|node| show(&node.value)).collect();
            format!("[{}]", shown.join(", "))
        }
        Value::Table(table) => {
            let shown =
                table.entries.iter().map(|entry| format!("{} = {}", entry.name, show(&entry.node.value)));
            format!("{{ {} }}", shown.collect::<Vec<_>>().join(", "))
        }
    }
}
