//! A job that a config describes, run by a program: for aggregates of its own, or to be its master.

use std::path::{Path, PathBuf};

use event::{Own, OwnAggregate};

use super::draft::environment;
use super::job::{Job, Mistakes};
use crate::config::{self, Code, Diagnostic, Inputs, Sources};
use crate::job;

/// A config in TOML, to be read with what a program adds.
#[derive(Debug, Clone)]
#[must_use = "a config does nothing until it is built and run"]
pub struct FromFile {
    path: PathBuf,
    sets: Vec<String>,
    own: Vec<Own>,
}

/// The job of that config. Variables of the environment count as they do for the command.
pub fn from_file(path: impl AsRef<Path>) -> FromFile {
    FromFile { path: path.as_ref().to_path_buf(), sets: Vec::new(), own: Vec::new() }
}

impl FromFile {
    /// Changes a setting, as `--set` does: `window.size=5m`.
    pub fn set(mut self, setting: &str) -> Self {
        self.sets.push(setting.to_owned());
        self
    }

    /// An aggregate of the program's own, which features use by its name.
    pub fn with_aggregate(mut self, aggregate: impl OwnAggregate) -> Self {
        self.own.push(Own::new(aggregate));
        self
    }

    /// Reads, checks and compiles the job. Opens no other file.
    ///
    /// # Errors
    /// All that is wrong, each at its word.
    pub fn build(self) -> Result<Job, Mistakes> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("cannot read the config {}: {error}", self.path.display());
                let unreadable = Diagnostic { code: Code::Unreadable, message, place: None, help: None };
                return Err(Mistakes::new(vec![unreadable], &Sources::default()));
            }
        };
        let inputs = Inputs { path: &self.path, text: &text, sets: &self.sets, environment: &environment() };
        let reading = config::read(&inputs);
        let mistakes = job::own_mistakes(&self.own);
        let mistakes = mistakes.map(|(_, message)| Diagnostic {
            code: Code::NameTaken,
            message,
            place: None,
            help: None,
        });
        let mistakes: Vec<Diagnostic> = mistakes.collect();
        match job::compile_with(&reading, &self.own) {
            Ok(job) if mistakes.is_empty() => Ok(Job::new(job, reading, self.own)),
            compiled => {
                let found = mistakes.into_iter().chain(compiled.err().unwrap_or_default());
                Err(Mistakes::of_file(found.collect(), &reading.sources))
            }
        }
    }
}
