//! `tidewatch run`: the service.
//!
//! The job runs in this process if it is the one that is supervised, or if nobody is to supervise; else this
//! process is the supervisor ([`crate::supervise`]).

use std::any::Any;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use alert::{SinkError, SinkKind, SinkSpec};
use anyhow::Context;
use checkpoint::{Location, Manifest, Store, StoreError};
use clap::Args;
use dataflow::{Beginning, Cluster, Control, Custody, Job, RunError, Summary};
use event::Counts;
use ingest::SourceKind;

use super::load::{Loaded, load, say_all};
use super::{ConfigArguments, REFUSED, Style, chain, say};
use crate::config::duration::format_instant;
use crate::config::http::Endpoint;
use crate::here::{self, check_dir, check_size, hint, make_state, words};
use crate::progress::Progress;
use crate::same::{is_device_or_pipe, is_same_file};
use crate::supervise::child::{self, Link};
use crate::supervise::link::{Ending, Orders};
use crate::supervise::{self, Plan};
use crate::{report, signals};

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Worker threads per process
    #[arg(short, long, value_name = "COUNT", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    workers: u32,
    /// Run as one of several processes: a file with one `host:port` a line
    #[arg(long, value_name = "FILE", requires = "process")]
    hosts: Option<PathBuf>,
    /// Which line of the host file this process is, from 0
    #[arg(long, value_name = "INDEX", requires = "hosts")]
    process: Option<usize>,
    /// Write the final counts as JSON, at the end and on SIGTERM
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Run in this process: when the job fails, exit with 1 instead of starting it again
    #[arg(long)]
    no_supervise: bool,
    /// Give up after so many starts in a row that bring the job no further [default: never]
    #[arg(long, value_name = "COUNT")]
    max_restarts: Option<u64>,
    /// Go on from this checkpoint; what came after it is given up (see `tidewatch checkpoints list`)
    #[arg(long, value_name = "NUMBER", conflicts_with = "from_scratch")]
    from: Option<u32>,
    /// Begin at the beginning of the input; says what is given up. Outputs must be empty
    #[arg(long)]
    from_scratch: bool,
    /// Refuse a job whose state is a directory: this is one of several machines
    #[arg(long, hide = true)]
    require_shared_state: bool,
}

impl RunArguments {
    pub(super) fn with_sets(mut self, before: Vec<String>) -> Self {
        self.config = self.config.with_sets(before);
        self
    }
}

pub(super) fn run(mut arguments: RunArguments, style: &Style) -> anyhow::Result<ExitCode> {
    let orders = child::orders()?;
    let Loaded { path, reading, job } = match load(&arguments.config, style) {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    let mut job = match job {
        Ok(job) => job,
        Err(diagnostics) => {
            say_all(&diagnostics, &reading, style);
            return Ok(ExitCode::from(REFUSED));
        }
    };
    if let Some(orders) = &orders {
        arguments.workers = orders.workers;
        job.mesh.have_met = orders.have_met;
    }
    let is_again = orders.as_ref().is_some_and(|orders| orders.again);
    if let Some(state) = job.state.as_mut().filter(|_| !is_again) {
        state.from = match arguments.from {
            Some(number) => Beginning::Checkpoint(number),
            None if arguments.from_scratch => Beginning::Scratch,
            None => Beginning::Newest,
        };
    }
    let cluster = match cluster(&arguments) {
        Ok(cluster) => cluster,
        Err(words) => {
            say(&format!("error: {words}"));
            return Ok(ExitCode::from(2));
        }
    };
    // Whoever started this process has looked; a folder that is gone since is no reason to leave the job.
    let report = arguments.report.as_deref().filter(|_| orders.is_none());
    let checked = check_size(&job, &cluster)
        .and_then(|()| check_report(report, &job, &path))
        .and_then(|()| check_state(&job, &arguments));
    if let Err(words) = checked {
        say(&format!("error: {words}"));
        return Ok(ExitCode::from(REFUSED));
    }
    let is_first = cluster.process == 0 && orders.is_none();
    if let Some(state) = job.state.as_ref().filter(|_| is_first) {
        match given_up(&state.location, state.from) {
            Ok(words) => words.iter().for_each(|words| say(words)),
            Err(error) => return Ok(refuse_or_fail(&RunError::Store(error))),
        }
    }
    match (&job.state, &reading.config) {
        (Some(state), Some(config)) if orders.is_none() && !arguments.no_supervise => {
            supervise::supervise(&Plan {
                job: &job,
                state: &state.location,
                shards: state.shards,
                workers: arguments.workers,
                process: cluster.process,
                processes: cluster.hosts.len().max(1),
                hang_after: config.supervise.hang_after,
                max_restarts: arguments.max_restarts,
                quiet: style.quiet,
                report,
            })
        }
        (_, config) => {
            let endpoint = config.as_ref().and_then(|config| config.http.as_ref());
            run_here(job, cluster, orders, endpoint, &arguments, style)
        }
    }
}

/// Runs the job in this process.
fn run_here(
    job: Job,
    cluster: Cluster,
    orders: Option<Orders>,
    endpoint: Option<&Endpoint>,
    arguments: &RunArguments,
    style: &Style,
) -> anyhow::Result<ExitCode> {
    let control = Arc::new(Control::default());
    control.take_whole_process();
    let is_supervised = orders.is_some();
    // Before anything is asked of the state: a store that is away is waited for, which is not to hang.
    let link = is_supervised.then(|| Link::open(&control)).transpose()?;
    let _signals = match is_supervised {
        true => signals::drain_on_termination(&control)?,
        false => signals::drain_on_signals(&control)?,
    };
    let failed = |link: Option<Link>, error: &RunError| {
        if let Some(link) = link {
            link.fail(&words(error), ending(error));
        }
        Ok(refuse_or_fail(error))
    };
    // Before anything is asked of the state as well: where nobody listens for long, a process counts as gone.
    let port = match dataflow::listen(&job, &cluster) {
        Ok(port) => port,
        Err(error) => return failed(link, &error),
    };
    if let Err(error) = make_state(&job, &control) {
        return failed(link, &error);
    }
    match custody(&job, orders.as_ref()) {
        Ok(custody) => control.set_custody(custody),
        Err(error) => {
            if let Some(link) = link {
                link.fail(&chain(&error), Ending::Failed);
            }
            let is_damaged = error.downcast_ref::<StoreError>().is_some_and(StoreError::is_refusal);
            say(&format!("error: {}", chain(&error)));
            return Ok(if is_damaged { ExitCode::from(REFUSED) } else { ExitCode::FAILURE });
        }
    }
    let started = Instant::now();
    let job = Arc::new(job);
    let is_first = cluster.process == 0;
    let answers =
        match endpoint.filter(|_| is_first).map(|endpoint| answer(endpoint, &control, &job)).transpose() {
            Ok(answers) => answers,
            Err(error) => {
                let words = format!("`[http]`: {error:#}");
                if let Some(link) = link {
                    link.fail(&words, Ending::Failed);
                }
                say(&format!("error: {words}"));
                return Ok(ExitCode::FAILURE);
            }
        };
    let progress = Progress::start(&control, style.quiet, style.verbose);
    let result = dataflow::run(Arc::clone(&job), cluster, port, Arc::clone(&control));
    progress.stop();
    drop(answers);
    let summary = match result {
        Ok(summary) => summary,
        Err(error) => return failed(link, &error),
    };
    // The totals of the whole job are known to the first process alone.
    let mut code = ExitCode::SUCCESS;
    if is_first {
        if !style.quiet {
            say(&closing_words(&job, &summary, started));
        }
        remind_of_quarantine(&job, &summary);
        if let Some(path) = &arguments.report
            && let Err(error) = report::write(path, &job.name, &summary)
        {
            say(&format!("error: {}; all else that the job puts out is there", chain(&error)));
            code = ExitCode::FAILURE;
        }
    }
    // The run itself has ended well, whatever became of its report: to start it again would not help.
    if let Some(link) = link {
        link.close(if summary.finished { Ending::Finished } else { Ending::Drained });
    }
    Ok(code)
}

/// Answers questions until what it gives is dropped.
#[cfg(feature = "http")]
fn answer(endpoint: &Endpoint, control: &Arc<Control>, job: &Job) -> anyhow::Result<Box<dyn Any>> {
    Ok(Box::new(crate::endpoint::listen(&endpoint.serve, control, job.transform.key_shape())?))
}

/// Answers nothing: a config that asks for it is refused by a program without HTTP.
#[cfg(not(feature = "http"))]
fn answer(_: &Endpoint, _: &Arc<Control>, _: &Job) -> anyhow::Result<Box<dyn Any>> {
    anyhow::bail!("this program was built without `http`")
}

/// Words for what a start from elsewhere than the newest checkpoint gives up, if it is not refused.
fn given_up(location: &Location, from: Beginning) -> Result<Option<String>, StoreError> {
    if from == Beginning::Newest {
        return Ok(None);
    }
    let store = location.open()?;
    let Some(last) = store.numbers()?.last().copied() else { return Ok(None) };
    let start = match from {
        Beginning::Checkpoint(number) if number == last => return Ok(None),
        Beginning::Checkpoint(number) => format!("goes on from checkpoint {number}"),
        _ => "begins from scratch".to_owned(),
    };
    let start = format!("warning: unless it is refused, this start {start}");
    let Some(newest) = store.newest_readable()? else {
        return Ok(Some(format!(
            "{start}: what the checkpoints hold, none of which can be read, is given up"
        )));
    };
    let what = match from {
        Beginning::Checkpoint(number) if number == newest.number => String::new(),
        Beginning::Checkpoint(number) => {
            let kept = kept_of(&store, &newest, number)?;
            format!(
                ": {} events and {} alerts of the checkpoints up to {} are given up",
                newest.counts.read.saturating_sub(kept.read),
                newest.counts.alerts.saturating_sub(kept.alerts),
                newest.number
            )
        }
        _ => format!(
            ": the state of {} events, {} alerts and {} rows that wait, watermark {}, checkpoint {}, is given up",
            newest.counts.read,
            newest.counts.alerts,
            newest.held.len(),
            report::instant(newest.watermark).map_or_else(|| "none".to_owned(), format_instant),
            newest.number
        ),
    };
    let unread = match newest.number == last {
        true => String::new(),
        false => format!("; what checkpoint {last} holds, which cannot be read, is given up"),
    };
    Ok(Some(format!("{start}{what}{unread}")))
}

/// What of the newest checkpoint's totals a start from another one keeps: those of the last checkpoint that
/// both follow, since a job that went on from an older one has left others aside.
fn kept_of(store: &Store, newest: &Manifest, number: u32) -> Result<Counts, StoreError> {
    let mut kept = store.manifest(number)?;
    let mut other = newest.clone();
    while kept.number != other.number {
        let later = if kept.number > other.number { &mut kept } else { &mut other };
        match later.follows.map(|before| store.readable(before)).transpose()?.flatten() {
            Some(before) => *later = before,
            // The one before is not kept any more, or there is none: they have nothing in common.
            None if later.follows.is_none() => return Ok(Counts::default()),
            None => return Ok(later.counts),
        }
    }
    Ok(kept.counts)
}

/// Which records are left out for ever, which are suspected, and where to note what is in hand.
fn custody(job: &Job, orders: Option<&Orders>) -> anyhow::Result<Custody> {
    let Some(orders) = orders else { return here::custody(job) };
    let notes = supervise::open_notes(&orders.notes).context("open the file for notes")?;
    Ok(Custody::new(Some(notes), here::poison(job)?, orders.suspects()))
}

/// The processes that run the job; words if the host file or the index is wrong.
fn cluster(arguments: &RunArguments) -> Result<Cluster, String> {
    let workers = arguments.workers as usize;
    let (Some(path), Some(process)) = (&arguments.hosts, arguments.process) else {
        return Ok(Cluster { workers, process: 0, hosts: Vec::new() });
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read the host file {}: {error}", path.display()))?;
    let hosts = parse_hosts(&text).map_err(|words| format!("{}:{words}", path.display()))?;
    if process >= hosts.len() {
        let last = hosts.len().saturating_sub(1);
        return Err(format!("{} has the processes 0 to {last}, not {process}", path.display()));
    }
    Ok(Cluster { workers, process, hosts })
}

/// The `host:port` lines of a host file; blank lines and those that start with `#` are none.
fn parse_hosts(text: &str) -> Result<Vec<String>, String> {
    let mut hosts = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let is_port = |port: &str| port.parse::<u16>().is_ok();
        if line.rsplit_once(':').is_none_or(|(host, port)| host.is_empty() || !is_port(port)) {
            return Err(format!("{number}: `{line}` is not `host:port`"));
        }
        hosts.push(line.to_owned());
    }
    match hosts.is_empty() {
        true => Err("1: no process; write one `host:port` a line".to_owned()),
        false => Ok(hosts),
    }
}

/// Several machines may each have a directory of that name of their own; and one can be made in a directory only.
fn check_state(job: &Job, arguments: &RunArguments) -> Result<(), String> {
    match job.state.as_ref().map(|state| &state.location) {
        None if arguments.from.is_some() || arguments.from_scratch => {
            Err("the config has no [state], so there is no checkpoint to begin at".to_owned())
        }
        Some(location @ Location::Dir(_)) if arguments.require_shared_state => Err(format!(
            "the state in {location} is a directory, of which each machine may have its own\n\
             hint: set `state.dir` to `s3://BUCKET/NAME-OF-THE-JOB`; if all machines see the same directory, \
             say so with `run-hosts.sh --shared-dir`"
        )),
        Some(Location::Dir(dir)) => check_dir(dir),
        _ => Ok(()),
    }
}

/// Better now than after hours.
fn check_report(path: Option<&Path>, job: &Job, config: &Path) -> Result<(), String> {
    let Some(path) = path else {
        return Ok(());
    };
    if let Some(whose) = file_of_job(path, job, config) {
        return Err(format!(
            "the report would overwrite {}, which is {whose}\nhint: give it a file of its own",
            path.display()
        ));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => {
            Err(format!("the report cannot be written: there is no folder {}", folder.display()))
        }
        _ if path.is_dir() => Err(format!("the report cannot be written: {} is a folder", path.display())),
        _ => Ok(()),
    }
}

/// What that file is to a job already. A device or a pipe takes whatever comes.
fn file_of_job(path: &Path, job: &Job, config: &Path) -> Option<String> {
    if is_device_or_pipe(path) {
        return None;
    }
    let sources = job.sources.iter().flat_map(|source| {
        let paths = match &source.kind {
            SourceKind::File { paths, .. } => paths.as_slice(),
            SourceKind::Objects { .. }
            | SourceKind::Stdin
            | SourceKind::Generate(_)
            | SourceKind::Archive { .. }
            | SourceKind::Http(_)
            | SourceKind::Kafka { .. }
            | SourceKind::Kinesis(_) => &[],
        };
        paths.iter().map(move |path| (path.as_path(), format!("the source `{}`", source.name)))
    });
    let sinks = job.sinks.iter().filter_map(|sink| match &sink.kind {
        SinkKind::File { path } | SinkKind::Sqlite { path, .. } => {
            Some((path.as_path(), format!("the output of sink `{}`", sink.name)))
        }
        SinkKind::Webhook { receiver, .. } => {
            Some((receiver.undelivered.as_deref()?, format!("what sink `{}` could not deliver", sink.name)))
        }
        SinkKind::Stdout
        | SinkKind::Postgres { .. }
        | SinkKind::Kafka { .. }
        | SinkKind::Kinesis { .. }
        | SinkKind::Archive { .. } => None,
    });
    let mut files = sources.chain(sinks).chain([(config, "the config".to_owned())]);
    let (_, whose) = files.find(|(file, _)| is_same_file(file, path))?;
    Some(whose)
}

/// Says why a run ended, and gives its exit code.
pub(super) fn refuse_or_fail(error: &RunError) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    say(&format!("error: {}", words(error)));
    if let Some(hint) = hint(error) {
        say(&format!("hint: {hint}"));
    }
    if error.is_refusal() { ExitCode::from(REFUSED) } else { ExitCode::FAILURE }
}

/// Whoever read the rows has seen enough, as `head`.
fn is_broken_pipe(error: &RunError) -> bool {
    matches!(error, RunError::Sink(SinkError::BrokenPipe { .. }))
}

/// How a run that failed has ended, for the supervisor.
fn ending(error: &RunError) -> Ending {
    match error {
        // Whoever has seen enough does not want more of it.
        _ if is_broken_pipe(error) => Ending::Finished,
        // To start the job again would only take the state away from the run that has it now.
        RunError::Store(StoreError::Taken { .. }) => Ending::Hopeless,
        // Nor has a device more to give the next time.
        RunError::Sink(SinkError::Device { .. }) => Ending::Hopeless,
        RunError::Panicked(_) => Ending::Panicked,
        RunError::Lost(_) => Ending::Bereft,
        RunError::Mesh(_) => Ending::Alone,
        RunError::Gone(_) => Ending::Forsaken,
        _ => Ending::Failed,
    }
}

fn closing_words(job: &Job, summary: &Summary, started: Instant) -> String {
    let Counts { read, windows, alerts, late, quarantined, .. } = summary.counts;
    let name = &job.name;
    if summary.already_finished {
        return format!("{name}: already finished, nothing to do");
    }
    let seconds = started.elapsed().as_secs_f64();
    let end = match (summary.finished, &job.state) {
        (true, _) => "finished",
        (false, Some(_)) => "drained (the same command goes on from here)",
        (false, None) => "drained",
    };
    let counts =
        format!("{read} events, {windows} windows, {alerts} alerts, {late} late, {quarantined} quarantined");
    format!("{name}: {end} after {seconds:.1} s: {counts}{}", watermark_words(summary))
}

fn watermark_words(summary: &Summary) -> String {
    match report::instant(summary.watermark) {
        Some(watermark) if !summary.finished => format!("; watermark {}", format_instant(watermark)),
        _ => String::new(),
    }
}

/// Nothing is lost in silence: says where to look, if there is nowhere to look.
fn remind_of_quarantine(job: &Job, summary: &Summary) {
    let lost = summary.counts.quarantined + summary.counts.rows_quarantined;
    let writes = |sink: &SinkSpec| sink.name == crate::config::sink::QUARANTINE;
    if lost > 0 && !job.sinks.iter().any(writes) {
        say(&format!(
            "warning: {lost} records were quarantined; see them with `--set sink.quarantine.path=FILE`"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_file_has_one_host_and_port_a_line() {
        let hosts = parse_hosts("# ours\n\n 10.0.0.1:7000 \n[::1]:7001\nbox:1\n");
        assert_eq!(hosts, Ok(vec!["10.0.0.1:7000".to_owned(), "[::1]:7001".to_owned(), "box:1".to_owned()]));
        assert_eq!(parse_hosts("a:1\nb\n"), Err("2: `b` is not `host:port`".to_owned()));
        assert_eq!(parse_hosts("a:99999\n"), Err("1: `a:99999` is not `host:port`".to_owned()));
        assert!(parse_hosts("# nobody\n").is_err());
    }
}
