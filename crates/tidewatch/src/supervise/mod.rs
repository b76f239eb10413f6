//! Supervision: a job with `[state]` runs in a process of its own, which is started again when it dies.
//!
//! The process that the user started only watches. The job itself runs in a child, which dies with it
//! ([`child`]): the same program with the same arguments and a variable that says so. When the child dies,
//! the job goes on from its last checkpoint after a moment that grows from 100 ms to 10 s ([`backoff`]).
//!
//! | The child | Then |
//! |---|---|
//! | ends with 0, 2, 3 or 130 | the same exit code: the job is done, drained, or refused |
//! | is killed, crashes, or fails after it has read something | it is started again |
//! | fails before anything was read since the command was given | exit code 1: what never worked is not repeated |
//! | fails because another process of the job is gone or not ready | it is started again |
//! | fails because another process of the job does not come back | exit code 1 |
//! | ends well, but cannot write its report | exit code 1 |
//! | finds that another run has taken the state over | exit code 1 |
//! | says nothing, or a worker does not move, for `supervise.hang_after` | it is killed, and started again |
//! | has the number of workers of a rescale, and ends before it reads | the old number is started again |
//! | cannot be started, although one could before | tried again after such a moment |
//!
//! Without `[state]` there is nothing to go on from, so that a restart would repeat or lose data: such a job
//! runs in the process that the user started, and so does one with `--no-supervise`.
//!
//! In a job of several processes each has its supervisor. When one dies the others notice over the mesh and
//! end; their supervisors start them again, and they meet again. One that does not come back within
//! `mesh.rejoin_within` is gone together with its supervisor: then all end.
//!
//! What [`suspects`] finds out about records that kill is written to the state ([`poison`]). [`desk`] is
//! where `tidewatch ctl` asks.

mod backoff;
pub(crate) mod child;
pub(crate) mod desk;
mod generation;
pub(crate) mod link;
mod past;
pub(crate) mod poison;
mod rescale;
mod supervisor;
mod suspects;
mod words;

use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::time::Duration;

use checkpoint::Location;
use dataflow::Job;

use crate::{local, signals};
use desk::{Client, Desk, Request};
use link::Message;
use supervisor::Supervisor;
use words::say;

pub(crate) use generation::open_notes;

/// What is supervised, and how.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) job: &'a Job,
    /// The job's state.
    pub(crate) state: &'a Location,
    pub(crate) shards: u32,
    /// Worker threads, at first.
    pub(crate) workers: u32,
    /// Which of how many processes this is.
    pub(crate) process: usize,
    pub(crate) processes: usize,
    pub(crate) hang_after: Duration,
    /// Starts in a row that bring the job no further before it is given up; without, it never is.
    pub(crate) max_restarts: Option<u64>,
    pub(crate) quiet: bool,
    /// Where the report goes if the job is told to stop while none of its processes is there.
    pub(crate) report: Option<&'a Path>,
}

/// What a supervisor hears of.
#[derive(Debug)]
enum Event {
    /// The process of that number tells something.
    Told(u64, Message),
    /// The link to the process of that number is broken.
    Gone(u64),
    /// SIGTERM, or Ctrl-C.
    Signal {
        interrupt: bool,
    },
    Asked(Request, Client),
    /// The report of a job that has no process is written, or could not be.
    Reported(anyhow::Result<()>),
}

/// Runs a job in processes of its own until it is done, refused or given up.
///
/// # Errors
/// If the system refuses the first process, or sockets or threads to watch it.
pub(crate) fn supervise(plan: &Plan) -> anyhow::Result<ExitCode> {
    let (events, inbox) = channel();
    let signals = events.clone();
    let _signals = signals::hand_on(move |interrupt| {
        let _ = signals.send(Event::Signal { interrupt });
    })?;
    // One process of a cluster speaks for all.
    let desk = (plan.process == 0).then(|| {
        let folder = local::make_folder(plan.state)?;
        Desk::open(&folder, events.clone())
    });
    let desk = desk.transpose();
    let desk = desk.unwrap_or_else(|error| {
        let path = desk::place(&local::folder(plan.state));
        say(&format!("warning: `tidewatch ctl` will not reach this job: {}: {error}", path.display()));
        None
    });
    let end = Supervisor::new(plan, events, inbox, desk).run();
    local::leave_folder(plan.state);
    end
}
