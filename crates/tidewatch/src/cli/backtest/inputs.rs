//! Which config a backtest runs, and which labels it is measured by.

use std::path::Path;
use std::process::ExitCode;

use crate::backtest::{Labels, planted};
use crate::cli::load::{Loaded, load, say_all};
use crate::cli::{ConfigArguments, REFUSED, Style};
use crate::config::Reading;
use crate::config::source::{Source, SourceKind};
use crate::stream::RunFailure;

/// Why there is nothing to show.
pub(super) enum Stop {
    /// All is said.
    Code(ExitCode),
    /// A run was refused or failed.
    Failure(RunFailure),
    /// The system did not let it be done.
    Other(anyhow::Error),
}

impl From<RunFailure> for Stop {
    fn from(failure: RunFailure) -> Self {
        Stop::Failure(failure)
    }
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Stop::Other(error)
    }
}

pub(super) fn refused(words: String) -> Stop {
    Stop::Failure(RunFailure::Refused(words))
}

/// Reads and compiles the config with these settings behind its own, and says what is wrong with it.
pub(super) fn load_with(
    arguments: &ConfigArguments,
    sets: &[String],
    style: &Style,
) -> Result<Reading, Stop> {
    let mut arguments = arguments.clone();
    arguments.sets.extend_from_slice(sets);
    let Loaded { reading, job, .. } = load(&arguments, style).map_err(Stop::Code)?;
    if let Err(diagnostics) = job {
        say_all(&diagnostics, &reading, style);
        return Err(Stop::Code(ExitCode::from(REFUSED)));
    }
    Ok(reading)
}

/// The setting that puts a file in the place of the config's sources. It is cut into as many lanes as the config has for
/// files, since what is late may depend on them.
pub(super) fn source_of(file: &Path, arguments: &ConfigArguments, style: &Style) -> Result<String, Stop> {
    let Some(path) = file.to_str() else {
        return Err(refused(format!("the name of {} is not UTF-8", file.display())));
    };
    let Loaded { reading, .. } = load(arguments, style).map_err(Stop::Code)?;
    let first = reading.config.iter().flat_map(|config| &config.sources).next();
    let name = first.map_or("data", |source| source.name.as_str());
    let lanes = match first {
        Some(Source { kind: SourceKind::File { lanes, .. }, .. }) => format!(", lanes = {lanes}"),
        _ => String::new(),
    };
    let quoted = |text: &str| toml_edit::Value::from(text).to_string();
    let name = toml_edit::Key::new(name).to_string();
    Ok(format!("source={{ {name} = {{ path = {}{lanes} }} }}", quoted(path)))
}

/// The settings that give the generators of a config another seed.
pub(super) fn reseeded(reading: &Reading, seed: u64) -> Result<Vec<String>, Stop> {
    let sources = reading.config.iter().flat_map(|config| &config.sources);
    let set = |source: &Source| match &source.kind {
        SourceKind::Generate(_) => Ok(format!("source.{}.seed={seed}", toml_edit::Key::new(&source.name))),
        _ => Err(refused(format!(
            "the source `{}` is no generator, so it has no seed\n\
             hint: give other events with `--train-data FILE --train-labels FILE`",
            source.name
        ))),
    };
    sources.map(set).collect()
}

/// The labels of that file, or those that the generators of the config have planted.
pub(super) fn read_labels(file: Option<&Path>, reading: &Reading) -> Result<Labels, Stop> {
    if let Some(file) = file {
        return Labels::read(file)
            .map_err(|error| refused(format!("the labels in {}: {error}", file.display())));
    }
    let labels =
        reading.config.as_ref().map(planted).transpose().map_err(|error| refused(error.to_string()))?;
    labels.flatten().ok_or_else(|| {
        let words = "it is not known what went wrong in the data: only a generator says so by itself";
        refused(format!(
            "{words}\nhint: give `--labels FILE`, one {{\"key\", \"kind\", \"from\", \"to\"}} a line"
        ))
    })
}
