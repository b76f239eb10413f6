//! A run of a job in this process: what the command and a program that brings its own job have in common.

use std::path::Path;
use std::sync::Arc;

use dataflow::{Cluster, Control, Custody, Job, Poison, RunError};

use crate::supervise;

/// Each worker needs a shard of its own.
///
/// # Errors
/// In words, with what to do.
pub(crate) fn check_size(job: &Job, cluster: &Cluster) -> Result<(), String> {
    let peers = cluster.workers * cluster.hosts.len().max(1);
    match &job.state {
        Some(state) if peers > state.shards as usize => Err(format!(
            "{peers} workers are more than the {} shards of the state, which they share\n\
             hint: run fewer workers, or start a new state with a larger `state.shards`",
            state.shards
        )),
        _ => Ok(()),
    }
}

/// A state can be made in a directory only.
///
/// # Errors
/// In words, with what to do.
pub(crate) fn check_dir(dir: &Path) -> Result<(), String> {
    match not_a_directory(dir) {
        Some(part) => Err(format!(
            "the state cannot be in {}: {} is not a directory\n\
             hint: set `state.dir` to a directory, or to where one can be made",
            dir.display(),
            part.display()
        )),
        None => Ok(()),
    }
}

/// What is in the way of a directory of that path.
fn not_a_directory(dir: &Path) -> Option<&Path> {
    let (part, there) = dir.ancestors().find_map(|part| Some((part, part.metadata().ok()?)))?;
    (!there.is_dir()).then_some(part)
}

/// Makes the folders of the state, for which there may be no space at first.
///
/// # Errors
/// If they cannot be made.
pub(crate) fn make_state(job: &Job, control: &Arc<Control>) -> Result<(), RunError> {
    let Some(state) = &job.state else { return Ok(()) };
    dataflow::once_there_is_space(control, || Ok(state.location.open().map(drop)?))
}

/// The records of the job that are left out for ever.
///
/// # Errors
/// If the notes of the state cannot be read.
pub(crate) fn poison(job: &Job) -> anyhow::Result<Vec<Poison>> {
    job.state.as_ref().map_or(Ok(Vec::new()), |state| supervise::poison::read(&state.location))
}

/// What a process that nobody supervises heeds.
///
/// # Errors
/// If the notes of the state cannot be read.
pub(crate) fn custody(job: &Job) -> anyhow::Result<Custody> {
    Ok(Custody::new(None, poison(job)?, Vec::new()))
}

/// An error with its causes, on one line.
pub(crate) fn words(error: &RunError) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_words = inner.to_string();
        // Some messages hold their cause already.
        if !words.contains(&inner_words) {
            words = format!("{words}: {inner_words}");
        }
        cause = inner.source();
    }
    words
}

/// What to do about it, if that is known.
pub(crate) fn hint(error: &RunError) -> Option<String> {
    match error {
        RunError::Source(error) => error.hint().map(str::to_owned),
        RunError::Sink(error) => error.hint(),
        RunError::Store(error) if error.is_refusal() => Some(
            "`tidewatch checkpoints list` shows what there is; `--from-scratch` needs an empty output"
                .to_owned(),
        ),
        RunError::Store(error) if error.is_full() => {
            Some("make space and give the same command again: it goes on from the last checkpoint".to_owned())
        }
        RunError::Identity { name, .. } => Some(format!(
            "set `{name}` back, or start with another `state.dir` and an empty output; under a state rules, \
             thresholds, scores, rates, workers and the mode of a sink may change, and sinks may be added"
        )),
        RunError::Gone(_) => Some(
            "start all processes again, each with the same command: they go on from the last checkpoint; \
             `mesh.rejoin_within` says how long one is waited for"
                .to_owned(),
        ),
        _ => None,
    }
}
