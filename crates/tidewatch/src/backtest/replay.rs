//! A run of a job whose lines come back to this program: the same graph as ever, at full speed, without state.
//!
//! The lines of one sink come through a pipe, in the order in which a file would get them; what all others would get is
//! rendered, since a row that one of them cannot have goes to none, and thrown away.

use std::io::{self, BufRead, BufReader, PipeReader, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use alert::{Mode, SinkKind};
use anyhow::{Context, anyhow};
use dataflow::{Cluster, Control, Job, Summary};

use crate::progress::Progress;
use crate::stream::RunFailure;

/// How jobs are run to be looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    /// Worker threads.
    pub(crate) workers: usize,
    /// Whether this process is there for the run alone, and shows how far it is; else it is a part of a program.
    pub(crate) is_own_process: bool,
    /// Whether nothing is shown.
    pub(crate) quiet: bool,
    /// Whether it is shown in a pipe as well.
    pub(crate) verbose: bool,
}

/// Runs a job to its end and gives each line of that sink to `take`, without the line's end.
///
/// # Errors
/// If the run fails, or `take` does: then the job is stopped.
pub(super) fn replay(
    mut job: Job,
    sink: usize,
    how: How,
    take: impl FnMut(&[u8]) -> anyhow::Result<()> + Send,
) -> Result<Summary, RunFailure> {
    let (lines, mut pipe) = io::pipe().context("make a pipe").map_err(RunFailure::System)?;
    run_free(&mut job, sink, PathBuf::from(format!("/dev/fd/{}", pipe.as_raw_fd())));
    let control = Arc::new(Control::default());
    if how.is_own_process {
        control.take_whole_process();
    }
    let cluster = Cluster { workers: how.workers, process: 0, hosts: Vec::new() };
    let progress = Progress::start(&control, how.quiet || !how.is_own_process, how.verbose);
    let (result, taken) = thread::scope(|scope| {
        let taking = scope.spawn(|| take_all(lines, &control, take));
        let port = dataflow::listen(&job, &cluster);
        let result = port.and_then(|port| dataflow::run(Arc::new(job), cluster, port, Arc::clone(&control)));
        // No line is empty. After a failure a thread may still hold the pipe, which so has no end of its own.
        let ended = pipe.write_all(b"\n").context("write to a pipe");
        drop(pipe);
        (result, taking.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked"))).and(ended))
    });
    progress.stop();
    taken.map_err(RunFailure::System)?;
    let summary = result?;
    if !summary.finished {
        return Err(RunFailure::System(anyhow!("the job was stopped before the end of its data")));
    }
    Ok(summary)
}

/// Takes away what would slow the job down, and what it would leave behind. The lines of `sink` go to `pipe`.
fn run_free(job: &mut Job, sink: usize, pipe: PathBuf) {
    job.state = None;
    job.archive = None;
    for source in &mut job.sources {
        source.rate = None;
    }
    for (number, spec) in job.sinks.iter_mut().enumerate() {
        spec.mode = Mode::AtOnce;
        let path = if number == sink { pipe.clone() } else { PathBuf::from("/dev/null") };
        spec.kind = SinkKind::File { path };
    }
}

/// Gives all lines up to an empty one to `take`. After a failure it reads on, so that nobody waits for it.
fn take_all(
    lines: PipeReader,
    control: &Control,
    mut take: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut lines = BufReader::with_capacity(1 << 16, lines);
    let (mut line, mut taken) = (Vec::new(), Ok(()));
    loop {
        line.clear();
        let read = lines.read_until(b'\n', &mut line).context("read from a pipe")?;
        let Some(line) = line.strip_suffix(b"\n").filter(|line| read > 0 && !line.is_empty()) else {
            return taken;
        };
        if taken.is_ok() {
            taken = take(line);
            if taken.is_err() {
                control.drain();
            }
        }
    }
}
