//! A job on its way: the calls so far, and the tree that they become.

use std::panic::Location;

use event::Own;

use super::job::{Job, Mistakes};
use super::words::Words;
use crate::config::overrides::apply_set;
use crate::config::tree::Table;
use crate::config::{Code, Diagnostic, Origin, Place, Reading, Sources, read_tree};
use crate::job;

/// Where in a program a call stands.
pub(super) type At = &'static Location<'static>;

/// What a job is called that has no name.
const NAME: &str = "job";

#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    calls: Vec<(Words, At)>,
    /// Settings that come last, as `--set` does.
    sets: Vec<(String, At)>,
    /// The names of sources, sinks and filters, each with its kind.
    named: Vec<(&'static str, String)>,
    /// Aggregates of the program's own, each with the ordinal of its call.
    own: Vec<(Own, usize)>,
}

impl Draft {
    pub(super) fn with(mut self, words: Words, at: At) -> Self {
        self.calls.push((words, at));
        self
    }

    pub(super) fn set(mut self, setting: &str, at: At) -> Self {
        self.sets.push((setting.to_owned(), at));
        self
    }

    /// Adds an aggregate of the program's own.
    pub(super) fn with_own(mut self, own: Own, at: At) -> Self {
        let words = Words::default().call(".with_aggregate").plain(own.name()).end();
        self.own.push((own, self.calls.len()));
        self.with(words, at)
    }

    /// A name of that kind of thing: the one that was given, or `name`, `name_2` and so on.
    pub(super) fn name_of(&mut self, given: Option<String>, name: &'static str) -> String {
        let numbered = |number: usize| match number {
            1 => name.to_owned(),
            _ => format!("{name}_{number}"),
        };
        let is_taken = |of: &String| self.named.iter().any(|(kind, taken)| *kind == name && taken == of);
        let free = (1..).map(numbered).find(|name| !is_taken(name));
        let chosen = given.or(free).unwrap_or_default();
        self.named.push((name, chosen.clone()));
        chosen
    }

    /// Reads and compiles what the calls say, as a config is.
    pub(super) fn build(self) -> Result<Job, Mistakes> {
        let own: Vec<Own> = self.own.iter().map(|(own, _)| own.clone()).collect();
        let reading = self.read();
        match job::compile_with(&reading, &own) {
            Ok(job) => Ok(Job::new(job, reading, own)),
            Err(diagnostics) => Err(Mistakes::new(diagnostics, &reading.sources)),
        }
    }

    /// Names of aggregates that cannot be, or are there twice.
    fn own_mistakes(&self) -> Vec<Diagnostic> {
        let own: Vec<Own> = self.own.iter().map(|(own, _)| own.clone()).collect();
        let mistakes = job::own_mistakes(&own).filter_map(|(number, message)| {
            let (_, source) = self.own.get(number)?;
            let (words, _) = self.calls.get(*source)?;
            let place = Place { source: *source, span: 0..words.text().len() };
            Some(Diagnostic::new(Code::NameTaken, place, message))
        });
        mistakes.collect()
    }

    fn read(self) -> Reading {
        let (mut sources, mut root, mut diagnostics) = (Sources::default(), Table::default(), Vec::new());
        diagnostics.extend(self.own_mistakes());
        for (words, at) in self.calls {
            let source = sources.add(Origin::Call(at), words.text().to_owned());
            for (path, place) in words.put(&mut root, source) {
                let message = format!("`{path}` is there already");
                diagnostics.push(Diagnostic::new(Code::NameTaken, place, message));
            }
        }
        for (setting, at) in self.sets {
            diagnostics.extend(apply_set(&mut root, &mut sources, Origin::Call(at), &setting).err());
        }
        // For secrets that lie there.
        read_tree(&root, sources, diagnostics, &environment(), NAME.as_ref())
    }
}

/// The environment, as far as it is text.
pub(super) fn environment() -> Vec<(String, String)> {
    let variables = std::env::vars_os();
    variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
