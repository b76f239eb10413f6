//! `tidewatch explain`: why an alert is what it is. The alert, the events of its window as their source has them, its features computed once
//! more of these, and what the rules would say of other ones. Never changes a sink or a state.

mod compare;
mod find;
mod report;
mod what_if;

use std::path::PathBuf;
use std::process::ExitCode;

use checkpoint::Manifest;
use clap::Args;
use dataflow::explain::{Asked, Evidence, Row, Said, gather};
use dataflow::{Job, Poison, RunError};
use serde_json::Value;

use super::load::{Loaded, load, say_all};
use super::{ConfigArguments, REFUSED, Style, say};
use crate::supervise::poison;
use compare::Comparison;
use find::Found;
use report::Report;
use what_if::{Assignment, Supposition};

#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    /// The id of an alert, or of an episode, whose latest alarm is meant; its first 8 characters will do. Or `last`
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    config: ConfigArguments,
    /// Look for the alert in this file instead of the job's sinks and checkpoints; `-` is standard input
    #[arg(long, value_name = "FILE")]
    alerts: Option<PathBuf>,
    /// Show no more than so many events, the newest last; all are counted
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    events: usize,
    /// Read no source: show what the alert says, and nothing else
    #[arg(long)]
    no_events: bool,
    /// Say what the rules make of the row if a feature had another value, as in 'exits = 0'. Repeatable: all of them at once
    #[arg(long = "what-if", value_name = "FEATURE=EXPRESSION", value_parser = Assignment::parse)]
    what_if: Vec<Assignment>,
}

impl ExplainArguments {
    pub(super) fn with_sets(self, before: Vec<String>) -> Self {
        ExplainArguments { config: self.config.with_sets(before), ..self }
    }
}

pub(super) fn run(arguments: &ExplainArguments, style: &Style) -> anyhow::Result<ExitCode> {
    let Loaded { reading, job, .. } = match load(&arguments.config, style) {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    let job = match job {
        Ok(job) => job,
        Err(diagnostics) => {
            say_all(&diagnostics, &reading, style);
            return Ok(ExitCode::from(REFUSED));
        }
    };
    let found = match find::find(&arguments.id, arguments.alerts.as_deref(), &job)? {
        Ok(found) => found,
        Err(why) => return Ok(refuse(&why)),
    };
    let asked = match said_of(&found.alert).and_then(|said| Asked::of(&job, &said)) {
        Ok(asked) => asked,
        Err(why) => return Ok(refuse(&format!("the alert does not fit the config: {why}"))),
    };
    let manifest = if arguments.no_events { None } else { newest(&job)? };
    let evidence = match arguments.no_events {
        true => None,
        false => match gather(&job, manifest.as_ref(), &poison(&job)?, &asked, arguments.events) {
            Ok(evidence) => Some(evidence),
            Err(error) if error.is_refusal() => return Ok(refuse(&error.to_string())),
            Err(error) => return Err(error.into()),
        },
    };
    let explained = match explain(&job, &asked, found, evidence, &arguments.what_if) {
        Ok(explained) => explained,
        Err(why) => return Ok(refuse(&why)),
    };
    let checkpoint = manifest.map(|manifest| manifest.number);
    let config = reading.config.as_ref();
    let report = Report { explained: &explained, checkpoint, config, shown: arguments.events };
    report.put(style)?;
    Ok(if explained.is_sound() { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

/// All that is to be said of an alert.
struct Explained {
    found: Found,
    /// None where no source was to be read.
    evidence: Option<Evidence>,
    comparison: Option<Comparison>,
    supposition: Option<Supposition>,
}

impl Explained {
    /// Whether nothing is amiss: all that was sought was read, and gives what the alert says.
    fn is_sound(&self) -> bool {
        let is_read = self.evidence.as_ref().is_none_or(|evidence| evidence.unread.is_empty());
        is_read && !self.comparison.as_ref().is_some_and(Comparison::contradicts)
    }
}

/// # Errors
/// If what is supposed makes no sense.
fn explain(
    job: &Job,
    asked: &Asked,
    found: Found,
    evidence: Option<Evidence>,
    what_if: &[Assignment],
) -> Result<Explained, String> {
    let comparison = evidence.as_ref().map(|evidence| Comparison::of(job, asked, &found.alert, evidence));
    let mut supposition = None;
    if !what_if.is_empty() {
        // Of an alert whose events were not all found nobody knows how many there were: enough, since it was raised.
        let counted = comparison.as_ref().filter(|comparison| comparison.is_equal()).map(|it| it.records);
        let features = &found.alert["data"]["features"];
        let text_of = |name: &str| features.get(name).map(text);
        let row = Row::of_texts(job, asked, counted.unwrap_or(u64::MAX), &text_of)?;
        supposition = Some(Supposition::of(&row, found.alert["data"]["rule"].as_str(), what_if)?);
    }
    Ok(Explained { found, evidence, comparison, supposition })
}

/// The newest checkpoint of the job, if it keeps any.
fn newest(job: &Job) -> Result<Option<Manifest>, RunError> {
    let Some(state) = &job.state else { return Ok(None) };
    let Some(store) = state.location.open_existing()? else { return Ok(None) };
    Ok(store.newest_readable()?)
}

/// The records that end the program, which the job leaves out.
fn poison(job: &Job) -> anyhow::Result<Vec<Poison>> {
    match &job.state {
        Some(state) if state.location.open_existing()?.is_some() => poison::read(&state.location),
        _ => Ok(Vec::new()),
    }
}

/// What an alert object says of its row.
fn said_of(alert: &Value) -> Result<Said<'_>, String> {
    let data = &alert["data"];
    let instant = |edge: &str| data["window"][edge].as_str().ok_or("it has no window".to_owned());
    let key = match &data["key"] {
        Value::Array(values) => values.iter().map(text).collect(),
        value => vec![text(value)],
    };
    Ok(Said {
        branch: data["branch"].as_str(),
        key,
        window: (instant("start")?, instant("end")?),
        is_revised: data.get("revision").is_some(),
    })
}

/// A value of JSON as a text that says nothing but the value; `None` is null.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn refuse(words: &str) -> ExitCode {
    say(&format!("error: {words}"));
    ExitCode::from(REFUSED)
}
