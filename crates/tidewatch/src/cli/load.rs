//! Reads and compiles the config that a verb is given.

use std::path::PathBuf;
use std::process::ExitCode;

use dataflow::Job;

use super::{ConfigArguments, REFUSED, Style, say};
use crate::config::{self, Code, Diagnostic, Inputs, Reading, Sources, diagnostic};
use crate::job;

/// A config that was read, and the job or what is wrong with it.
pub(super) struct Loaded {
    pub(super) path: PathBuf,
    pub(super) reading: Reading,
    pub(super) job: Result<Job, Vec<Diagnostic>>,
}

/// Reads and compiles.
///
/// # Errors
/// What is wrong, if there is no such file.
pub(super) fn read(arguments: &ConfigArguments) -> Result<Loaded, Unreadable> {
    let path = arguments.config.clone().unwrap_or_else(|| PathBuf::from("tidewatch.toml"));
    let text = match std::fs::read(&path) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let text = match text {
        Ok(text) => text,
        Err(why) => return Err(Unreadable::new(path, &why, arguments.config.is_none())),
    };
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let inputs = Inputs { path: &path, text: &text, sets: &arguments.sets, environment: &environment };
    let reading = config::read(&inputs);
    let job = job::compile(&reading);
    Ok(Loaded { path, reading, job })
}

/// A config of which there is nothing to read.
pub(super) struct Unreadable {
    pub(super) path: PathBuf,
    pub(super) diagnostic: Diagnostic,
}

impl Unreadable {
    fn new(path: PathBuf, why: &str, by_default: bool) -> Self {
        let help = by_default.then(|| {
            "name a config, as in `tidewatch run CONFIG`, or go to the folder of a `tidewatch.toml`"
                .to_owned()
        });
        let message = format!("cannot read the config {}: {why}", path.display());
        let diagnostic = Diagnostic { code: Code::Unreadable, message, place: None, help };
        Unreadable { path, diagnostic }
    }

    /// Says so, for people.
    pub(super) fn say(&self, style: &Style) -> ExitCode {
        say(&self.diagnostic.render(&Sources::default(), style.colour()));
        ExitCode::from(REFUSED)
    }
}

/// Reads and compiles, and says so if it cannot.
///
/// # Errors
/// The exit code, if there is no such file.
pub(super) fn load(arguments: &ConfigArguments, style: &Style) -> Result<Loaded, ExitCode> {
    read(arguments).map_err(|unreadable| unreadable.say(style))
}

/// The job, for verbs that need a good one.
///
/// # Errors
/// The exit code, if the config is not good; what is wrong was said already.
pub(super) fn load_job(arguments: &ConfigArguments, style: &Style) -> Result<Job, ExitCode> {
    let Loaded { reading, job, .. } = load(arguments, style)?;
    job.map_err(|diagnostics| {
        say_all(&diagnostics, &reading, style);
        ExitCode::from(REFUSED)
    })
}

/// Says what is wrong, for people.
pub(super) fn say_all(diagnostics: &[Diagnostic], reading: &Reading, style: &Style) {
    for diagnostic in diagnostics {
        say(&format!("{}\n", diagnostic.render(&reading.sources, style.colour())));
    }
    say(&diagnostic::summary(diagnostics.len()));
}
