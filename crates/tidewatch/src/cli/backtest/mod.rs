//! `tidewatch backtest`: what the alerts of a job are worth, on data of which it is known what went wrong.
//!
//! The measuring is [`crate::backtest`]'s; here is which data, which labels and which settings, and how it is shown.

mod choice;
mod inputs;
mod out;
mod sweep;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use self::choice::{Chosen, Tried};
use self::inputs::{Stop, load_with, read_labels, reseeded, source_of};
use self::out::Out;
use super::run::refuse_or_fail;
use super::{ConfigArguments, OutputFormat, REFUSED, Style, put, say};
use crate::backtest::{Backtest, Fitted, How, Labels, Report};
use crate::stream::RunFailure;

#[derive(Debug, Args)]
pub(super) struct BacktestArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Worker threads
    #[arg(short, long, value_name = "COUNT", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    workers: u32,
    /// Read these events in place of the config's sources: CSV or Parquet by its name, else lines of JSON
    #[arg(long, value_name = "FILE", requires = "labels")]
    data: Option<PathBuf>,
    /// What went wrong in the data, one JSON object a line [default: what the config's generator has planted]
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Try other values of a setting, as in a.b=1,2 or a.b='x < {0.1..0.5/0.1}'. Repeatable: all combinations
    #[arg(long = "sweep", value_name = "PATH=VALUES")]
    sweeps: Vec<String>,
    /// Choose the setting with the best recall that has this precision; exit code 3 if none has
    #[arg(long, value_name = "SHARE", value_parser = share)]
    min_precision: Option<f64>,
    /// Keep the alerts and the report in this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Find the naive threshold on these events rather than on the data itself
    #[arg(long, value_name = "FILE", requires = "train_labels")]
    train_data: Option<PathBuf>,
    /// What went wrong in those
    #[arg(long, value_name = "FILE", requires = "train_data")]
    train_labels: Option<PathBuf>,
    /// Find it on the events of the config's generator with this seed
    #[arg(long, value_name = "SEED", conflicts_with_all = ["train_data", "data"])]
    train_seed: Option<u64>,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a number from 0 to 1 is needed".to_owned()),
    }
}

impl BacktestArguments {
    pub(super) fn with_sets(mut self, before: Vec<String>) -> Self {
        self.config = self.config.with_sets(before);
        self
    }

    fn how(&self, style: &Style) -> How {
        How {
            workers: self.workers as usize,
            is_own_process: true,
            quiet: style.quiet,
            verbose: style.verbose,
        }
    }
}

pub(super) fn run(arguments: BacktestArguments, style: &Style) -> anyhow::Result<ExitCode> {
    match backtest(&arguments, style) {
        Ok(code) | Err(Stop::Code(code)) => Ok(code),
        Err(Stop::Failure(RunFailure::Refused(words))) => {
            say(&format!("error: {words}"));
            Ok(ExitCode::from(REFUSED))
        }
        Err(Stop::Failure(RunFailure::Failed(error))) => Ok(refuse_or_fail(&error)),
        Err(Stop::Failure(RunFailure::System(error)) | Stop::Other(error)) => Err(error),
    }
}

fn backtest(arguments: &BacktestArguments, style: &Style) -> Result<ExitCode, Stop> {
    let settings = sweep::settings(&arguments.sweeps).map_err(|words| {
        say(&format!("error: --sweep: {words}"));
        Stop::Code(ExitCode::from(2))
    })?;
    let settings = if arguments.sweeps.is_empty() { Vec::new() } else { settings };
    let (config, how) = (&arguments.config, arguments.how(style));
    let data =
        arguments.data.iter().map(|file| source_of(file, config, style)).collect::<Result<Vec<_>, _>>()?;
    // Everything is read and compiled before anything runs.
    let reading = load_with(config, &data, style)?;
    let job = Backtest::new(&reading, &[], how)?;
    let labels = read_labels(arguments.labels.as_deref(), &reading)?;
    let mut others = Vec::new();
    for setting in &settings {
        let sets = setting.iter().map(|(path, value)| format!("{path}={value}"));
        let sets: Vec<String> = data.iter().cloned().chain(sets).collect();
        others.push(load_with(config, &sets, style)?);
    }
    let others =
        others.iter().map(|reading| Backtest::new(reading, &[], how)).collect::<Result<Vec<_>, _>>()?;
    let mut out = arguments.out.as_deref().map(Out::open).transpose()?;

    let mut found = job.alerts(&labels, &mut |alert| out.as_mut().map_or(Ok(()), |out| out.take(alert)))?;
    let fitted = train(arguments, style, &reading)?;
    let (report, watched) = job.report(&mut found, fitted)?;
    let mut tried = vec![Tried { set: Vec::new(), total: report.total.clone() }];
    for (number, (set, other)) in settings.into_iter().zip(&others).enumerate() {
        if style.verbose {
            say(&format!("setting {} of {}", number + 1, others.len()));
        }
        let total = other.alerts(&labels, &mut |_| Ok(()))?.total(&watched);
        tried.push(Tried { set, total });
    }
    let chosen = Chosen::of(&tried, arguments.min_precision);
    let json = to_json(&report, &tried, &chosen)?;
    if let Some(out) = out {
        out.finish(&json)?;
    }
    put(&match style.format {
        OutputFormat::Json => format!("{json}\n"),
        OutputFormat::Table => table::text(&report, &tried, &chosen),
    })?;
    remark(&report, &labels, style);
    Ok(verdict(&chosen))
}

/// Where the naive threshold is found.
fn train(
    arguments: &BacktestArguments,
    style: &Style,
    reading: &crate::config::Reading,
) -> Result<Fitted, Stop> {
    let (sets, labels) = match (&arguments.train_data, arguments.train_seed) {
        (Some(file), _) => {
            (vec![source_of(file, &arguments.config, style)?], arguments.train_labels.as_deref())
        }
        (None, Some(seed)) => (reseeded(reading, seed)?, None),
        (None, None) => return Ok(Fitted::Here),
    };
    let reading = load_with(&arguments.config, &sets, style)?;
    let training = Backtest::new(&reading, &[], arguments.how(style))?;
    Ok(training.train(&read_labels(labels, &reading)?)?)
}

/// The report, with what was tried if there is more than the job itself, and which is best.
fn to_json(report: &Report, tried: &[Tried], chosen: &Chosen) -> anyhow::Result<Value> {
    let mut json = serde_json::to_value(report)?;
    if tried.len() > 1 {
        json["sweep"] = tried[1..].iter().map(Tried::to_json).collect();
    }
    if tried.len() > 1 || chosen.precision_min.is_some() {
        json["best"] = chosen.number.map_or(json!(null), |number| tried[number].to_json());
    }
    Ok(json)
}

/// What may be wrong with the labels.
fn remark(report: &Report, labels: &Labels, style: &Style) {
    let unseen = report.data.labelled_keys_without_rows;
    if labels.labels.is_empty() {
        say("warning: there is no label, so every alert counts as false");
    } else if unseen == report.data.labelled_keys {
        say("warning: no key of a label has a row; keys of labels are written as alerts have them");
    } else if unseen > 0 && !style.quiet {
        say(&format!("{unseen} keys of labels have no row, so nothing can be found of them"));
    }
}

/// Whether the precision is reached that was asked for.
fn verdict(chosen: &Chosen) -> ExitCode {
    match (chosen.precision_min, chosen.number) {
        (Some(min), None) => {
            say(&format!("error: nothing has a precision of {min}"));
            ExitCode::from(REFUSED)
        }
        _ => ExitCode::SUCCESS,
    }
}
