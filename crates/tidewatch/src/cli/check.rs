//! `tidewatch check`: is this a job? Opens nothing but the config, unless it is asked to.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::load::{Loaded, Unreadable, read, say_all};
use super::{ConfigArguments, OutputFormat, REFUSED, Style, online, put, say};
use crate::config::{Diagnostic, Sources, print, print_json};

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Print each setting, its value, and where that comes from
    #[arg(long)]
    print: bool,
    /// Try sources, sinks and state: whether they are there and let the job in. Writes no row
    #[arg(long)]
    online: bool,
}

impl CheckArguments {
    pub(super) fn with_sets(mut self, before: Vec<String>) -> Self {
        self.config = self.config.with_sets(before);
        self
    }
}

pub(super) fn run(arguments: CheckArguments, style: &Style) -> anyhow::Result<ExitCode> {
    let Loaded { path, reading, job } = match read(&arguments.config) {
        Ok(loaded) => loaded,
        Err(Unreadable { path, diagnostic }) if style.format == OutputFormat::Json => {
            put(&format!("{}\n", result(&path, &[diagnostic], &Sources::default())))?;
            return Ok(ExitCode::from(REFUSED));
        }
        Err(unreadable) => return Ok(unreadable.say(style)),
    };
    let tried = match &job {
        Ok(job) if arguments.online => Some(online::try_all(job)),
        _ => None,
    };
    let diagnostics = job.err().unwrap_or_default();
    if style.format == OutputFormat::Json {
        let mut result = result(&path, &diagnostics, &reading.sources);
        if arguments.print {
            result["settings"] = print_json(&reading.findings.settings, &reading.sources);
        }
        if let Some(tried) = &tried {
            result["online"] = online::to_json(tried);
        }
        put(&format!("{result}\n"))?;
    } else {
        if arguments.print {
            put(&print(&reading.findings.settings, &reading.sources))?;
        }
        put(&tried.as_deref().map(online::lines).unwrap_or_default())?;
        if !diagnostics.is_empty() {
            say_all(&diagnostics, &reading, style);
        } else if !style.quiet {
            say(&format!("{}: ok", path.display()));
        }
    }
    let is_good = diagnostics.is_empty() && tried.as_deref().is_none_or(online::all_well);
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

/// What was found, for programs.
fn result(path: &Path, diagnostics: &[Diagnostic], sources: &Sources) -> Value {
    json!({
        "config": path.display().to_string(),
        "ok": diagnostics.is_empty(),
        "diagnostics": diagnostics.iter().map(|found| found.to_json(sources)).collect::<Vec<_>>(),
    })
}
