//! The jobs that a backtest runs: that of a config with a sink of alerts added, and the same without rules.

use dataflow::Job;
use event::{Own, RowSchema};

use super::rows::Shape;
use crate::config::sink::{Format, Mode, Target};
use crate::config::{Branch, Config, Findings, Place, Reading, Sink, Sql, WindowShape};
use crate::job::compile_with;
use crate::stream::{Mistakes, RunFailure};

/// Name of the sink that is added.
const SINK: &str = "backtest";
/// Where what is added stands.
const NOWHERE: Place = Place { source: 0, span: 0..0 };

/// The job as it is.
///
/// # Errors
/// If the config has mistakes.
pub(super) fn compiled(reading: &Reading, own: &[Own]) -> Result<Job, RunFailure> {
    compile_with(reading, own).map_err(|diagnostics| {
        RunFailure::Refused(Mistakes::of_file(diagnostics, &reading.sources).to_string())
    })
}

/// Branch and id of each rule; the branch of a job without branches is empty.
pub(super) fn rules(reading: &Reading) -> Vec<(String, String)> {
    let branches = reading.config.iter().flat_map(|config| &config.branches);
    let of = |branch: &Branch| {
        let name = branch.name.clone().unwrap_or_default();
        branch.rules.iter().map(move |rule| (name.clone(), rule.id.clone())).collect::<Vec<_>>()
    };
    branches.flat_map(of).collect()
}

/// What has no rules, in words: the job, or one of its branches.
pub(super) fn without_rules(reading: &Reading) -> Option<String> {
    let branches = reading.config.iter().flat_map(|config| &config.branches);
    let silent = branches.into_iter().find(|branch| branch.rules.is_empty())?;
    Some(silent.name.as_ref().map_or("the job".to_owned(), |name| format!("branch `{name}`")))
}

/// The job with a sink of alerts behind its own, and the number of that sink.
///
/// # Errors
/// If some branch has no rules, so that it has no alerts.
pub(super) fn of_alerts(reading: &Reading, own: &[Own]) -> Result<(Job, usize), RunFailure> {
    let mut number = 0;
    let job = changed(reading, own, |config| {
        number = config.sinks.len();
        // As the job's own sink of alerts has them, if there is one.
        let shown = config.sinks.iter().map(|sink| sink.format.clone());
        let shown = shown.into_iter().find(|format| matches!(format, Format::Alert { .. }));
        config.sinks.push(sink(shown.unwrap_or(Format::Alert { explain: true, muted: false })));
    })?;
    Ok((job, number))
}

/// The job without its rules, so that it puts out every row, to its only sink: the fields of the key, start and end of the
/// window in milliseconds, the number of the branch, and all features and scores that are numbers, as doubles. Branches with
/// fewer of them have NULL in their place.
///
/// # Errors
/// If the config has mistakes.
pub(super) fn of_rows(reading: &Reading, own: &[Own]) -> Result<(Job, Vec<Shape>), RunFailure> {
    let job = compiled(reading, own)?;
    let names: Vec<Vec<String>> =
        job.branches.iter().map(|branch| numbers(branch.detection.row_schema())).collect();
    let width = names.iter().map(Vec::len).max().unwrap_or_default();
    let keys: Vec<String> = job.transform.key_fields().iter().map(|field| field.name.clone()).collect();
    let mut shapes = Vec::new();
    let job = changed(reading, own, |config| {
        config.sinks = vec![sink(Format::Plain { columns: None })];
        config.rejects = Default::default();
        config.telling = None;
        config.http = None;
        for (number, (branch, names)) in config.branches.iter_mut().zip(&names).enumerate() {
            let (overlap, longest) = (overlap(branch), longest(branch));
            shapes.push(Shape { columns: names.clone(), overlap, longest });
            branch.rules.clear();
            branch.columns = Some(selection(&keys, number, names, width));
        }
    })?;
    Ok((job, shapes))
}

/// For how many microseconds an episode of a rule lasts at most; as long as may be where each row is put out.
fn longest(branch: &Branch) -> i64 {
    let of_rules = branch.rules.iter().map(|rule| rule.alerts.as_ref().map(|alerts| alerts.longest));
    let longest = of_rules.collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
    longest.map_or(i64::MAX, |longest| i64::try_from(longest.as_micros()).unwrap_or(i64::MAX))
}

/// Names of the features and scores that are numbers.
fn numbers(row: &RowSchema) -> Vec<String> {
    let fields = &row.schema().fields()[row.features().start..row.scores().end];
    fields.iter().filter(|field| field.data_type.is_numeric()).map(|field| field.name.clone()).collect()
}

fn selection(keys: &[String], branch: usize, names: &[String], width: usize) -> Vec<Sql> {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let keys = keys.iter().enumerate().map(|(number, name)| format!("{} AS k{number}", quoted(name)));
    let window = [RowSchema::WINDOW_START, RowSchema::WINDOW_END].map(|name| format!("{name} AS {name}"));
    let branch = format!("CAST({branch} AS DOUBLE) AS branch");
    let names = names.iter().map(|name| quoted(name));
    let names = names.chain(std::iter::repeat("NULL".to_owned())).take(width).enumerate();
    let numbers = names.map(|(number, name)| format!("CAST({name} AS DOUBLE) AS c{number}"));
    let texts = keys.chain(window).chain([branch]).chain(numbers);
    texts.map(|text| Sql { text, place: NOWHERE, verbatim: None }).collect()
}

/// By how many microseconds neighbouring windows overlap.
fn overlap(branch: &Branch) -> i64 {
    match branch.window.as_ref().map(|(window, _)| &window.shape) {
        Some(WindowShape::Shared(shared)) if !shared.grows => {
            shared.size.saturating_sub(shared.slide).as_micros() as i64
        }
        _ => 0,
    }
}

fn sink(format: Format) -> Sink {
    Sink { name: SINK.to_owned(), place: NOWHERE, target: Target::Stdout, mode: Mode::AtOnce, format }
}

/// The job of the config after a change, without what is no part of the answer.
fn changed(reading: &Reading, own: &[Own], change: impl FnOnce(&mut Config)) -> Result<Job, RunFailure> {
    let mut config = reading.config.clone();
    if let Some(config) = &mut config {
        (config.state, config.archive, config.http) = (None, None, None);
        change(config);
    }
    let findings = Findings { diagnostics: reading.findings.diagnostics.clone(), ..Findings::default() };
    compiled(&Reading { sources: reading.sources.clone(), config, findings }, own)
}
