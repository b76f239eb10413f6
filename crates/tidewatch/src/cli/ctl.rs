//! `tidewatch ctl`: asks a job that runs.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::load::load_job;
use super::{ConfigArguments, OutputFormat, REFUSED, Style, put, say};
use crate::local;
use crate::supervise::desk::{Answer, Request, ask, place};

#[derive(Debug, Args)]
pub(super) struct CtlArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print how a running job is
    Status {
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Go on with another number of worker threads, and print for how long nothing was read
    Rescale {
        /// Worker threads
        #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1024))]
        workers: u32,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Let a running job take a checkpoint and end, as SIGTERM does
    Drain {
        #[command(flatten)]
        config: ConfigArguments,
    },
}

pub(super) fn run(arguments: CtlArguments, before: Vec<String>, style: &Style) -> anyhow::Result<ExitCode> {
    let (request, config) = match arguments.what {
        What::Status { config } => (Request::Status, config),
        What::Rescale { workers, config } => (Request::Rescale(workers), config),
        What::Drain { config } => (Request::Drain, config),
    };
    let job = match load_job(&config.with_sets(before), style) {
        Ok(job) => job,
        Err(code) => return Ok(code),
    };
    match &job.state {
        Some(state) => ask_supervisor(&local::folder(&state.location), request, style),
        None => {
            say("error: the job has no `[state]`, so nobody supervises it and there is nobody to ask");
            Ok(ExitCode::from(REFUSED))
        }
    }
}

fn ask_supervisor(state: &Path, request: Request, style: &Style) -> anyhow::Result<ExitCode> {
    let mut last = None;
    let asked = ask(state, request, |answer| match answer {
        Answer::Word(words) if !style.quiet => say(&words),
        Answer::Word(_) => {}
        answer => last = Some(answer),
    });
    if let Err(error) = asked {
        let nobody = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused].contains(&error.kind());
        let why = if nobody { "no such job runs on this machine".to_owned() } else { error.to_string() };
        say(&format!("error: cannot ask the job at {}: {why}", place(state).display()));
        return Ok(ExitCode::FAILURE);
    }
    match last {
        Some(Answer::Done { data, words }) => {
            let json = style.format == OutputFormat::Json && !data.is_null();
            put(&format!("{}\n", if json { data.to_string() } else { words }))?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Answer::Refused(words)) => {
            say(&format!("error: {words}"));
            Ok(ExitCode::from(REFUSED))
        }
        Some(Answer::Failed(words) | Answer::Word(words)) => {
            say(&format!("error: {words}"));
            Ok(ExitCode::FAILURE)
        }
        None => {
            say("error: the job ended before it answered");
            Ok(ExitCode::FAILURE)
        }
    }
}
