//! GROUP BY: the key of the job, and the columns that are made for expressions in it.

use transform::{Name, Part, SelectItem};

use super::{EDGES, Translation};
use crate::config::tree::{Node, Value};

/// The key of a statement.
#[derive(Clone)]
pub(super) struct Keys {
    /// Its names, in order.
    pub(super) names: Vec<String>,
    pub(super) derived: Vec<Derived>,
}

/// A part of the key that is an expression.
#[derive(Clone)]
pub(super) struct Derived {
    /// The column that is made for it.
    pub(super) name: String,
    /// What it is made of.
    words: String,
}

impl Derived {
    /// Whether an expression is the one that the column is made of.
    pub(super) fn is(&self, part: &Part) -> bool {
        part.words == self.words
    }
}

/// What a part of GROUP BY is.
enum Key<'a> {
    Column(&'a Name),
    Expression(&'a Part),
    /// The name of a selected expression.
    Alias(&'a Name, &'a SelectItem),
}

impl<'a> Translation<'_, 'a> {
    /// The key. Its names become `event.key`, or agree with it; its expressions become derived columns.
    pub(super) fn keys(&mut self) -> Option<Keys> {
        self.check_edges();
        let parts = self.parts_of_key();
        if parts.is_empty() {
            let help =
                "group by a field too; one that is constant, under [transform], is all events together";
            let diagnostic = self.conflict(&self.statement.group, "GROUP BY names no key".to_owned());
            self.diagnostics.push(diagnostic.with_help(help));
            return None;
        }
        let mut keys = Keys { names: Vec::new(), derived: Vec::new() };
        let mut named: Vec<Name> = Vec::new();
        for key in parts {
            let (name, part) = match key {
                Key::Column(name) => (name.clone(), None),
                Key::Alias(name, item) => (name.clone(), Some(&item.part)),
                Key::Expression(part) => {
                    let known = keys.derived.iter().find(|derived| derived.is(part));
                    let known = known.map(|derived| derived.name.clone());
                    let text = known.unwrap_or_else(|| self.name_of_key(part, &keys.names));
                    (Name { text, span: part.span.clone(), plain: false }, Some(part))
                }
            };
            if keys.names.contains(&name.text) {
                let diagnostic = self.conflict(&name.span, format!("`{}` is there twice", name.text));
                self.diagnostics.push(diagnostic);
                continue;
            }
            if let Some(part) = part {
                if let Some(call) = part.aggregates.first() {
                    let message = format!("`{}` holds an aggregate: GROUP BY comes before it", name.text);
                    let diagnostic = self.conflict(&name.span, message);
                    let help = format!("group by what `{}` is over", call.function);
                    self.diagnostics.push(diagnostic.with_help(help));
                    continue;
                }
                let (place, node) = (self.words.place(part.span.clone()), self.words.node(part.span.clone()));
                self.put(&["transform", &name.text], place, node);
                keys.derived.push(Derived { name: name.text.clone(), words: part.words.clone() });
            }
            keys.names.push(name.text.clone());
            named.push(name);
        }
        self.agree(keys, &named)
    }

    /// Whether this SELECT has the key that the first one has, as it must.
    pub(super) fn same_keys(&mut self, keys: &Keys) -> bool {
        self.check_edges();
        let made_of = |part: &Part| {
            let derived = keys.derived.iter().find(|derived| derived.is(part));
            derived.map(|derived| derived.name.clone())
        };
        let named = |key: Key<'a>| match key {
            Key::Column(name) => name.clone(),
            Key::Alias(name, item) => {
                let text = made_of(&item.part).unwrap_or_else(|| name.text.clone());
                Name { text, ..name.clone() }
            }
            Key::Expression(part) => {
                let text = made_of(part).unwrap_or_else(|| self.words.text[part.span.clone()].to_owned());
                Name { text, span: part.span.clone(), plain: false }
            }
        };
        let named: Vec<Name> = self.parts_of_key().into_iter().map(named).collect();
        if named.is_empty() {
            let diagnostic = self.conflict(&self.statement.group, "GROUP BY names no key".to_owned());
            self.diagnostics.push(diagnostic.with_help("all SELECTs have the same key"));
            return false;
        }
        if let Some(partition) = &self.statement.windows.partition {
            self.same_names(partition, &keys.names, "GROUP BY");
        }
        self.same_names(&named, &keys.names, "the key of the first SELECT")
    }

    fn check_edges(&mut self) {
        let statement = self.statement;
        let named = || statement.keys.iter().filter_map(Part::name);
        for edge in EDGES {
            if !named().any(|name| name.text == edge) {
                let near = named().find(|name| name.text.eq_ignore_ascii_case(edge));
                let span = near.map_or(&statement.group, |name| &name.span);
                let help =
                    format!("each row is of one window: write GROUP BY .., {}, {}", EDGES[0], EDGES[1]);
                let diagnostic = self.conflict(span, format!("GROUP BY lacks `{edge}`")).with_help(help);
                self.diagnostics.push(diagnostic);
            }
        }
    }

    /// What is grouped by, the window left out.
    fn parts_of_key(&self) -> Vec<Key<'a>> {
        let statement = self.statement;
        let of_window = |part: &Part| {
            part.name().is_some_and(|name| EDGES.iter().any(|edge| name.text.eq_ignore_ascii_case(edge)))
        };
        let parts = statement.keys.iter().filter(|part| !of_window(part));
        let key = |part: &'a Part| {
            let Some(name) = part.name() else { return Key::Expression(part) };
            let alias = |item: &&SelectItem| {
                let is_itself = item.part.name().is_some_and(|of| of.text == name.text);
                !is_itself && item.name.as_ref().is_some_and(|alias| alias.text == name.text)
            };
            // Of several, the first has put the key there.
            let is_later = self.select.as_ref().is_some_and(|select| select.columns.is_some());
            let declared = !is_later && self.event("key").is_some() || self.is_column(&name.text);
            match statement.items.iter().find(alias).filter(|_| !declared) {
                Some(item) => Key::Alias(name, item),
                None => Key::Column(name),
            }
        };
        parts.map(key).collect()
    }

    /// The name of the column that an expression of the key becomes: that under which it is selected, or one of ours.
    fn name_of_key(&self, part: &Part, keys: &[String]) -> String {
        let items = || self.statement.items.iter();
        let selected = items().filter(|item| item.part.words == part.words);
        let aliases = selected.filter_map(|item| item.name.as_ref()).map(|name| name.text.clone());
        let free = |name: &String| !self.is_column(name) && !keys.contains(name);
        let ours = (1..)
            .map(|number| format!("key_{number}"))
            .filter(|name| items().all(|item| item.name.as_ref().is_none_or(|alias| alias.text != *name)));
        aliases.chain(ours).find(free).unwrap_or_default()
    }

    /// Puts the key where it belongs, unless it is there: then both agree.
    fn agree(&mut self, keys: Keys, named: &[Name]) -> Option<Keys> {
        let (first, last) = (named.first()?, named.last()?);
        if let Some(partition) = &self.statement.windows.partition {
            self.same_names(partition, &keys.names, "GROUP BY");
        }
        match self.event("key").map(|node| crate::config::value::strings(self.sources, node)) {
            Some(Ok(declared)) => {
                // With two keys, half of the names would seem to be missing.
                let agree = self.same_names(named, &declared, "`event.key`");
                agree.then_some(Keys { names: declared, ..keys })
            }
            Some(Err(_)) => Some(keys),
            None => {
                let nodes =
                    named.iter().map(|name| self.words.value(name.text.clone(), &name.span)).collect();
                let place = self.words.place(first.span.start..last.span.end);
                let list = Node { place: place.clone(), value: Value::Array(nodes) };
                // Without the section there is more to say than this.
                if self.root.get("event").is_some() {
                    self.put(&["event", "key"], place, list);
                }
                Some(keys)
            }
        }
    }

    /// Whether a field or a derived column has that name.
    fn is_column(&self, name: &str) -> bool {
        let has = |node: Option<&Node>| match node.map(|node| &node.value) {
            Some(Value::Table(table)) => table.get(name).is_some(),
            _ => false,
        };
        has(self.event("fields")) || has(self.root.get("transform").map(|entry| &entry.node))
    }

    /// Whether names are those of `others`, in any order, as they must be.
    fn same_names(&mut self, names: &[Name], others: &[String], of: &str) -> bool {
        let listed = others.join("`, `");
        if let Some(name) = names.iter().find(|name| !others.contains(&name.text)) {
            let message = format!("`{}` is not in {of}, which is `{listed}`", name.text);
            let diagnostic = self.conflict(&name.span, message).with_help("both name the key of the job");
            self.diagnostics.push(diagnostic);
        } else if let (Some(other), [.., last]) =
            (others.iter().find(|other| !names.iter().any(|name| name.text == **other)), names)
        {
            let message = format!("`{other}` is missing, which is in {of}");
            let diagnostic = self.conflict(&last.span, message).with_help("both name the key of the job");
            self.diagnostics.push(diagnostic);
        } else {
            return true;
        }
        false
    }
}
