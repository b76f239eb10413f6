//! The command line: what can be said, and which exit code says what came of it.
//!
//! One file for each verb. Data goes to standard output, words to standard error. Exit codes: 0 done or
//! drained, 1 the run failed, 2 wrong usage, 3 something was refused, 130 a second Ctrl-C.

mod backtest;
mod bench;
mod check;
mod checkpoints;
mod completions;
mod ctl;
mod eval;
mod explain;
mod generate;
mod load;
mod online;
mod quarantine;
mod run;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Watches keyed event streams: windows of event time, features, scores, alerts
#[derive(Debug, Parser)]
#[command(name = "tidewatch", version, about, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// Set a value of the config; VALUE is TOML, else a string. Repeatable
    #[arg(long = "set", id = "set_before", value_name = "PATH=VALUE")]
    sets: Vec<String>,
    #[command(flatten)]
    style: Style,
}

const EXIT_CODES: &str = "Exit codes: 0 done or drained, 1 the run failed, 2 wrong usage, \
3 config, state or output refused, 130 a second Ctrl-C";

/// How the program talks.
#[derive(Debug, Clone, Args)]
struct Style {
    /// How data is written to standard output
    #[arg(long, global = true, value_enum, default_value_t = OutputFormat::Table)]
    format: OutputFormat,
    /// Whether messages have colours
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto)]
    color: Colour,
    /// Say nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Show progress in a pipe too, a line every ten seconds
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// For people
    Table,
    /// For programs
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Everywhere
    Always,
    /// Nowhere
    Never,
}

impl Style {
    /// Whether messages on standard error have colours.
    fn colour(&self) -> bool {
        match self.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        }
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a job until its input ends or it is told to stop
    Run(run::RunArguments),
    /// Check a config without opening anything; with --online try what it names
    Check(check::CheckArguments),
    /// Write podcast events that are made up, and what is wrong in them
    Gen(generate::GenerateArguments),
    /// Run a job as fast as it goes, without its outputs, and print what it costs
    Bench(bench::BenchArguments),
    /// Run a job over data of which it is known what went wrong, and say what its alerts are worth
    Backtest(backtest::BacktestArguments),
    /// Look at what a job has saved: list, show, verify
    Checkpoints(checkpoints::CheckpointsArguments),
    /// Ask a job that runs: status, rescale, drain
    Ctl(ctl::CtlArguments),
    /// Look at what a job could not use, and have it again: list, replay
    Quarantine(quarantine::QuarantineArguments),
    /// Say why an alert is what it is: its events, read again, and what other ones would have given
    Explain(explain::ExplainArguments),
    /// Evaluate SQL expressions over records, and print their values
    Eval(eval::EvalArguments),
    /// Print what a shell needs to complete this command line
    Completions(completions::CompletionsArguments),
}

/// Which config, and what is different from it.
#[derive(Debug, Clone, Args)]
struct ConfigArguments {
    /// The config file [default: ./tidewatch.toml]
    config: Option<std::path::PathBuf>,
    /// Set a value of the config; VALUE is TOML, else a string. Repeatable
    #[arg(long = "set", value_name = "PATH=VALUE")]
    sets: Vec<String>,
}

/// Exit code of whatever is refused before it has done anything.
const REFUSED: u8 = 3;

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            // Help that was not asked for is wrong usage.
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let Arguments { verb, sets, style } = arguments;
    let result = match verb {
        Verb::Run(run) => run::run(run.with_sets(sets), &style),
        Verb::Check(check) => check::run(check.with_sets(sets), &style),
        Verb::Gen(generate) => generate::run(&generate),
        Verb::Bench(bench) => bench::run(bench.with_sets(sets), &style),
        Verb::Backtest(backtest) => backtest::run(backtest.with_sets(sets), &style),
        Verb::Checkpoints(verbs) => checkpoints::run(verbs.with_sets(sets), &style),
        Verb::Ctl(ctl) => ctl::run(ctl, sets, &style),
        Verb::Quarantine(verbs) => quarantine::run(&verbs.with_sets(sets), &style),
        Verb::Explain(explain) => explain::run(&explain.with_sets(sets), &style),
        Verb::Eval(eval) => eval::run(&eval, &style),
        Verb::Completions(completions) => completions::run(&completions),
    };
    result.unwrap_or_else(|error| {
        say(&format!("error: {}", chain(&error)));
        ExitCode::FAILURE
    })
}

impl ConfigArguments {
    /// What was set before the verb comes first.
    fn with_sets(mut self, mut before: Vec<String>) -> Self {
        before.append(&mut self.sets);
        self.sets = before;
        self
    }
}

/// An error with its causes, on one line.
fn chain(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Words for people, to standard error. When nobody listens there is nobody to tell.
fn say(words: &str) {
    let _ = writeln!(io::stderr(), "{words}");
}

/// Data, to standard output. A reader that has seen enough is no error.
fn put(data: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(data.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::from(error).context("write to standard output"))
        }
        _ => Ok(()),
    }
}
