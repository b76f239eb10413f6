//! A job on its way: the calls so far, and the tree that they become.

use std::panic::Location;

use super::job::{Job, Mistakes};
use super::words::Words;
use crate::config::overrides::apply_set;
use crate::config::tree::Table;
use crate::config::{Code, Diagnostic, Origin, Reading, Sources, read_tree};
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
        let reading = self.read();
        match job::compile(&reading) {
            Ok(job) => Ok(Job::new(job)),
            Err(diagnostics) => Err(Mistakes::new(diagnostics, &reading.sources)),
        }
    }

    fn read(self) -> Reading {
        let (mut sources, mut root, mut diagnostics) = (Sources::default(), Table::default(), Vec::new());
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
        let environment: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        read_tree(&root, sources, diagnostics, &environment, NAME.as_ref())
    }
}
