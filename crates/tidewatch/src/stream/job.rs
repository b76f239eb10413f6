//! A job that was built, and its run in this process.

use std::fmt;
use std::sync::Arc;

use checkpoint::Location;
use dataflow::{Beginning, Cluster, Control, Progress, RunError, Summary};
use event::Own;

use crate::backtest::{Backtest, Fitted, How, Labels, Report};
use crate::config::{Code, Diagnostic, Reading, Sources};
use crate::{here, signals};

/// A job, checked and compiled.
#[derive(Debug)]
#[must_use = "a job does nothing until it is run"]
pub struct Job {
    inner: dataflow::Job,
    control: Arc<Control>,
    /// What it was made of.
    reading: Reading,
    own: Vec<Own>,
}

/// What is wrong with a job, all of it. Shows itself as `tidewatch check` does, to [`fmt::Debug`] as well.
#[derive(Clone, PartialEq, Eq)]
pub struct Mistakes {
    /// Each mistake: its code, what is wrong, and what to do.
    pub diagnostics: Vec<Diagnostic>,
    rendered: Vec<String>,
}

/// What a mistake of a config is helped by, and what one in Rust is.
const HELP: [(&str, &str); 3] = [
    ("add `time = ", "add `.time(\"FIELD\", Millis)`"),
    ("add `[sink.NAME]`", "add `.alert_to(stdout())`"),
    ("add `when = ", "add `.when(\"score < 0.3\")`"),
];

impl Mistakes {
    pub(super) fn new(mut diagnostics: Vec<Diagnostic>, sources: &Sources) -> Self {
        for diagnostic in diagnostics.iter_mut().filter(|found| found.code == Code::MissingKey) {
            let written = diagnostic.help.as_deref().unwrap_or_default();
            if let Some((_, help)) = HELP.iter().find(|(toml, _)| written.starts_with(toml)) {
                diagnostic.help = Some((*help).to_owned());
            }
        }
        Self::of_file(diagnostics, sources)
    }

    /// Those of a config, in its own words.
    pub(crate) fn of_file(diagnostics: Vec<Diagnostic>, sources: &Sources) -> Self {
        let rendered = diagnostics.iter().map(|found| found.render(sources, false)).collect();
        Mistakes { diagnostics, rendered }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rendered.join("\n\n"))
    }
}

impl fmt::Debug for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}

impl std::error::Error for Mistakes {}

/// How a job is run: [`workers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    workers: usize,
    from: Beginning,
    on_signals: bool,
}

/// In so many threads of this process.
pub fn workers(count: usize) -> Run {
    Run { workers: count.max(1), from: Beginning::Newest, on_signals: false }
}

impl Run {
    /// Goes on from that checkpoint of its state; what came after it is given up. Default: from the newest.
    #[must_use]
    pub fn from_checkpoint(self, number: u32) -> Self {
        Run { from: Beginning::Checkpoint(number), ..self }
    }

    /// Begins at the beginning of its input, and gives its state up. What it puts out must be empty.
    #[must_use]
    pub fn from_scratch(self) -> Self {
        Run { from: Beginning::Scratch, ..self }
    }

    /// SIGTERM and Ctrl-C drain the job; a second Ctrl-C ends the program. Only for a program that has no handlers of
    /// its own.
    #[must_use]
    pub fn drained_by_signals(self) -> Self {
        Run { on_signals: true, ..self }
    }
}

/// A hand on a job that runs in another thread.
#[derive(Debug, Clone)]
pub struct Handle {
    control: Arc<Control>,
}

impl Handle {
    /// Asks the job to stop reading, take a checkpoint if it keeps a state, close no window, and end. The next run
    /// goes on from there.
    pub fn drain(&self) {
        self.control.drain();
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.control.progress()
    }
}

/// Why a run did not end well.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunFailure {
    /// What the run was told to do does not fit the job.
    Refused(String),
    /// It failed, or its state or output was refused.
    Failed(RunError),
    /// What it needs of the system, as handlers of signals, is not to be had.
    System(anyhow::Error),
}

impl fmt::Display for RunFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunFailure::Refused(words) => f.write_str(words),
            RunFailure::Failed(error) => match here::hint(error) {
                Some(hint) => write!(f, "{}\nhint: {hint}", here::words(error)),
                None => f.write_str(&here::words(error)),
            },
            RunFailure::System(error) => write!(f, "{error:#}"),
        }
    }
}

impl std::error::Error for RunFailure {}

impl From<RunError> for RunFailure {
    fn from(error: RunError) -> Self {
        RunFailure::Failed(error)
    }
}

impl Job {
    /// A job, and what it was compiled from.
    pub(super) fn new(inner: dataflow::Job, reading: Reading, own: Vec<Own>) -> Self {
        Job { inner, control: Arc::default(), reading, own }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// What a state of it rests on, and may not change: names and values.
    pub fn identity(&self) -> &[(String, String)] {
        &self.inner.identity
    }

    /// A hand on it for other threads, from before it runs.
    pub fn handle(&self) -> Handle {
        Handle { control: Arc::clone(&self.control) }
    }

    /// Runs the job in this process, until its input ends or it is asked to drain. Blocks.
    ///
    /// Nobody supervises it: a program that wants to go on after a crash is started again and runs the same job, which
    /// goes on from its last checkpoint. Totals are since the job was first started.
    ///
    /// # Errors
    /// If the run does not fit the job, a source, a sink or the state fails or is refused, or a thread panicked. Its
    /// threads may still be there then: a program should say so and exit.
    pub fn run(self, run: Run) -> Result<Summary, RunFailure> {
        let Job { mut inner, control, .. } = self;
        let cluster = Cluster { workers: run.workers, process: 0, hosts: Vec::new() };
        if let Some(state) = &mut inner.state {
            state.from = run.from;
        } else if run.from != Beginning::Newest {
            let words = "the job keeps no state, so there is no checkpoint to begin at";
            return Err(RunFailure::Refused(words.to_owned()));
        }
        here::check_size(&inner, &cluster).map_err(RunFailure::Refused)?;
        if let Some(Location::Dir(dir)) = inner.state.as_ref().map(|state| &state.location) {
            here::check_dir(dir).map_err(RunFailure::Refused)?;
        }
        let watch = run.on_signals.then(|| signals::drain_on_signals(&control)).transpose();
        let _watch = watch.map_err(|error| RunFailure::System(error.into()))?;
        let port = dataflow::listen(&inner, &cluster)?;
        here::make_state(&inner, &control)?;
        control.set_custody(here::custody(&inner).map_err(RunFailure::System)?);
        Ok(dataflow::run(Arc::new(inner), cluster, port, control)?)
    }

    /// Runs the job in this process over data of which it is known what went wrong, and says what its alerts are worth. Blocks.
    /// Neither its state nor its sinks are touched, and it reads its data twice, as fast as it goes.
    ///
    /// # Errors
    /// If the job has no rules, its data no end, or a run fails.
    pub fn backtest(&self, labels: &Labels, run: Run) -> Result<Report, RunFailure> {
        let how = How { workers: run.workers, is_own_process: false, quiet: true, verbose: false };
        let backtest = Backtest::new(&self.reading, &self.own, how)?;
        let mut found = backtest.alerts(labels, &mut |_| Ok(()))?;
        let (report, _) = backtest.report(&mut found, Fitted::Here)?;
        Ok(report)
    }
}
