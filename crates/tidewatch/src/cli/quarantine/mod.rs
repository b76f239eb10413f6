//! `tidewatch quarantine`: what a job could not use, and how to have it again. Never changes a sink or a state.

mod again;
mod list;
mod replay;
mod verdict;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use alert::{Quarantined, SinkError};
use anyhow::Context;
use clap::{Args, Subcommand};
use dataflow::Job;
use event::Reason;

use super::load::load_job;
use super::{ConfigArguments, REFUSED, Style, say};

#[derive(Debug, Args)]
pub(super) struct QuarantineArguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print what the quarantine and late sinks hold, and how much for which reason
    List(list::ListArguments),
    /// Write the records that are there as they were in their source, to be read by a job
    Replay(replay::ReplayArguments),
}

/// Which rows.
#[derive(Debug, Args)]
struct Which {
    #[command(flatten)]
    config: ConfigArguments,
    /// Only rows of this reason. Repeatable
    #[arg(long, value_name = "REASON", value_parser = reason)]
    reason: Vec<&'static str>,
    /// Only records of this partition, as `FILE#lane`
    #[arg(long, value_name = "PARTITION")]
    partition: Option<String>,
    /// Only records from this offset on
    #[arg(long, value_name = "OFFSET")]
    from: Option<u64>,
    /// Take the rows from this file instead of the job's sinks
    #[arg(long, value_name = "FILE")]
    rows: Option<PathBuf>,
}

/// The code of a reason.
fn reason(text: &str) -> Result<&'static str, String> {
    let codes = Reason::ALL.map(Reason::code);
    let found = codes.into_iter().find(|code| *code == text);
    found.ok_or_else(|| format!("the reasons are {}", codes.join(", ")))
}

impl QuarantineArguments {
    pub(super) fn with_sets(mut self, before: Vec<String>) -> Self {
        let which = match &mut self.verb {
            Verb::List(list) => &mut list.which,
            Verb::Replay(replay) => &mut replay.which,
        };
        which.config = which.config.clone().with_sets(before);
        self
    }
}

pub(super) fn run(arguments: &QuarantineArguments, style: &Style) -> anyhow::Result<ExitCode> {
    let which = match &arguments.verb {
        Verb::List(list) => &list.which,
        Verb::Replay(replay) => &replay.which,
    };
    let job = match load_job(&which.config, style) {
        Ok(job) => job,
        Err(code) => return Ok(code),
    };
    let rows = match which.rows(&job) {
        Ok(Some(rows)) => rows,
        Ok(None) => {
            say(
                "error: the config has no [sink.quarantine] and no [sink.late]: what did not fit was only counted",
            );
            say("hint: add `[sink.quarantine]` with `path = \"FILE\"`, and run the job afresh");
            return Ok(ExitCode::from(REFUSED));
        }
        Err(error) => return refuse(error),
    };
    match &arguments.verb {
        Verb::List(list) => list::run(list, &rows, style),
        Verb::Replay(replay) => replay::run(replay, &job, rows, style),
    }
}

/// What cannot be read is refused, as an output is that does not fit.
fn refuse(error: SinkError) -> anyhow::Result<ExitCode> {
    let hint = error.hint();
    if !error.is_refusal() {
        return Err(error).context("read the quarantine");
    }
    say(&format!("error: {error}"));
    hint.iter().for_each(|hint| say(&format!("hint: {hint}")));
    Ok(ExitCode::from(REFUSED))
}

impl Which {
    /// The rows that are asked for; `None` if the job has no sink for any.
    fn rows(&self, job: &Job) -> Result<Option<Vec<Quarantined>>, SinkError> {
        let mut rows = Vec::new();
        if let Some(path) = &self.rows {
            rows = alert::read_quarantine_file("--rows", path)?;
        } else {
            // Late records may go to the same sink.
            let mut sinks: Vec<usize> =
                [job.quarantine, job.late].into_iter().flatten().map(|sink| usize::from(sink.0)).collect();
            sinks.dedup();
            if sinks.is_empty() {
                return Ok(None);
            }
            for sink in sinks {
                rows.extend(alert::read_quarantine(&job.sinks[sink])?);
            }
        }
        rows.retain(|row| self.wants(row));
        Ok(Some(rows))
    }

    fn wants(&self, row: &Quarantined) -> bool {
        (self.reason.is_empty() || self.reason.contains(&row.reason.as_str()))
            && self.partition.as_ref().is_none_or(|partition| row.partition.as_ref() == Some(partition))
            && self.from.is_none_or(|from| row.offset.is_some_and(|offset| offset >= from))
    }
}

/// How many rows there are for each reason.
fn count_by_reason<'a>(reasons: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, u64> {
    let mut counts = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    counts
}

/// Text on one line, without what a terminal would obey, no longer than that.
fn one_line(text: &str, chars_max: usize) -> String {
    let shown = text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c });
    let mut line: String = shown.take(chars_max).collect();
    if text.chars().nth(chars_max).is_some() {
        line.push('\u{2026}');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_record_holds_cannot_move_the_cursor() {
        assert_eq!(one_line("a\x1b[2Jb\nc", 20), "a\u{FFFD}[2Jb\u{FFFD}c");
        assert_eq!(one_line("abcdef", 3), "abc\u{2026}");
        assert_eq!(one_line("abc", 3), "abc");
    }

    #[test]
    fn only_the_reasons_that_there_are_can_be_asked_for() {
        assert_eq!(reason("late"), Ok("late"));
        assert!(reason("lat").unwrap_err().contains("malformed, too_long"));
    }
}
