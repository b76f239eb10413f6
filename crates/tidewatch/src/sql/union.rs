//! Several SELECTs with `UNION ALL` in between: each is a branch of the job, over the same events and by the same key.

use transform::{Name, Statement};

use super::Translation;
use super::keys::Keys;
use super::place::Words;
use crate::config::Diagnostic;
use crate::config::place::Sources;
use crate::config::tree::{Table, Value};

/// The key of the sections that branches are.
pub(super) const BRANCH: &str = "branch";

/// One of several SELECTs.
pub(super) struct Select<'a> {
    /// Its number from 1, which is the name of the branch.
    pub(super) name: String,
    /// The names of the columns, behind the first, which has them.
    pub(super) columns: Option<&'a [Name]>,
}

/// Puts what the SELECTs say where branches belong. Mistakes are noted; `false` if half of the job is missing.
pub(super) fn translate(
    root: &mut Table,
    sources: &Sources,
    diagnostics: &mut Vec<Diagnostic>,
    words: &Words,
    statements: &mut [Statement],
) -> bool {
    let Some((first, others)) = statements.split_first_mut() else { return false };
    let names: Option<Vec<Name>> =
        first.items.iter().map(|item| item.name.as_ref().or(item.part.name()).cloned()).collect();
    others.iter_mut().for_each(|other| take_names(other, names.as_deref().unwrap_or_default()));
    let mut keys: Option<Keys> = None;
    for (number, statement) in std::iter::once(&*first).chain(&*others).enumerate() {
        let columns = names.as_deref().filter(|_| number > 0);
        let select = Some(Select { name: (number + 1).to_string(), columns });
        let words = words.clone();
        let (root, diagnostics) = (&mut *root, &mut *diagnostics);
        let mut translation = Translation { root, sources, diagnostics, words, statement, select };
        if number == 0 {
            translation.refuse_sections();
        }
        translation.source();
        translation.time();
        let found = match &keys {
            None => translation.keys(),
            Some(keys) => translation.same_keys(keys).then(|| keys.clone()),
        };
        let Some(found) = found else { return false };
        if number == 0 {
            translation.null_keys();
        } else if statement.items.len() != first.items.len() {
            let (found, wanted) = (statement.items.len(), first.items.len());
            let message = format!("this SELECT has {found} columns, and the first has {wanted}");
            let diagnostic = translation.conflict(&statement.select, message);
            let help = "the rows of all go to the same sinks, so they have the same columns";
            translation.diagnostics.push(diagnostic.with_help(help));
            return false;
        }
        translation.rest(&found);
        keys = Some(found);
    }
    in_order(root, statements.len());
    true
}

/// Expressions without a name are called as those of the first SELECT.
fn take_names(statement: &mut Statement, names: &[Name]) {
    for (item, name) in statement.items.iter_mut().zip(names) {
        if item.name.is_none() {
            item.name = Some(Name { span: item.part.span.clone(), ..name.clone() });
        }
    }
}

/// Branches have the order of the SELECTs, whatever an override has named before.
fn in_order(root: &mut Table, selects: usize) {
    if let Some(Value::Table(branches)) = root.get_mut(BRANCH).map(|entry| &mut entry.node.value) {
        let number = |name: &str| (1..=selects).find(|number| number.to_string() == name);
        branches.entries.sort_by_key(|entry| number(&entry.name).unwrap_or(usize::MAX));
    }
}
