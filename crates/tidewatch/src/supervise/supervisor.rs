//! The supervisor: one process of the job after the other, and what is asked meanwhile.

use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::Context;
use dataflow::{Poison, partition_names};

use super::backoff::Backoff;
use super::desk::{Answer, Client, Desk, Request};
use super::generation::{End, Generation};
use super::link::Ending;
use super::past::Past;
use super::rescale::Rescale;
use super::suspects::Suspects;
use super::words::{self, say};
use super::{Event, Plan, poison};
use crate::{report, signals};

/// How often it looks whether its child hangs.
const LOOK: Duration = Duration::from_millis(100);

/// A job that is supervised.
pub(super) struct Supervisor<'a> {
    plan: &'a Plan<'a>,
    events: Sender<Event>,
    inbox: Receiver<Event>,
    desk: Option<Desk>,
    workers: u32,
    /// Whether the job was told to stop.
    stopping: bool,
    interrupts: u32,
    rescale: Option<Rescale>,
    suspects: Suspects,
    /// Records, by number of their partition and offset, that are yet to be noted as poison.
    poison: Vec<(u32, u64)>,
    backoff: Backoff,
    past: Past,
    /// Whether there was ever a process: what never worked is not tried again.
    has_started: bool,
    /// Counts the processes, and the attempts to start one.
    starts: u64,
    /// When the last process died, until the next one reads.
    died: Option<Instant>,
}

/// What follows from the end of a process.
enum Next {
    Leave(u8),
    Again(Duration),
}

impl<'a> Supervisor<'a> {
    pub(super) fn new(
        plan: &'a Plan<'a>,
        events: Sender<Event>,
        inbox: Receiver<Event>,
        desk: Option<Desk>,
    ) -> Self {
        Supervisor {
            plan,
            events,
            inbox,
            desk,
            workers: plan.workers,
            stopping: false,
            interrupts: 0,
            rescale: None,
            suspects: Suspects::default(),
            poison: Vec::new(),
            backoff: Backoff::default(),
            past: Past::default(),
            has_started: false,
            starts: 0,
            died: None,
        }
    }

    /// Runs the job to its end.
    ///
    /// # Errors
    /// If the system refuses the first process, or what there is to watch it.
    pub(super) fn run(mut self) -> anyhow::Result<ExitCode> {
        loop {
            let next = match self.start() {
                Ok(generation) => match self.watch(generation)? {
                    Some(end) => self.judge(&end),
                    None => Next::Leave(signals::INTERRUPTED),
                },
                Err(error) if !self.has_started => return Err(error),
                Err(error) => self.start_later(&error),
            };
            let left = match next {
                Next::Leave(code) => Some(code),
                Next::Again(delay) => self.wait(delay),
            };
            if let Some(code) = left {
                if let Some(rescale) = self.rescale.take() {
                    rescale.fail("the job has ended");
                }
                return Ok(ExitCode::from(code));
            }
        }
    }

    /// Starts a process. Records that are poison are noted before, or it would die of them as well.
    fn start(&mut self) -> anyhow::Result<Generation> {
        self.put_away()?;
        self.starts += 1;
        let (past, events) = (&self.past, self.events.clone());
        let generation = Generation::start(self.starts, self.workers, past, &self.suspects, events)?;
        self.has_started = true;
        Ok(generation)
    }

    /// Watches a process to its end; `None` if the user does not want to wait for that.
    fn watch(&mut self, mut generation: Generation) -> anyhow::Result<Option<End>> {
        let number = self.starts;
        loop {
            match self.inbox.recv_timeout(LOOK) {
                Ok(Event::Told(of, message)) if of == number => {
                    generation.told(message);
                    self.hear(&generation);
                }
                Ok(Event::Gone(of)) if of == number => break,
                Ok(Event::Told(..) | Event::Gone(_) | Event::Reported(_))
                | Err(RecvTimeoutError::Timeout) => {}
                Ok(Event::Signal { interrupt }) => {
                    if self.is_to_leave(interrupt) {
                        generation.kill();
                        let _ = generation.reap();
                        return Ok(None);
                    }
                    generation.drain();
                }
                Ok(Event::Asked(request, client)) => self.serve(request, client, Some(&generation)),
                Err(RecvTimeoutError::Disconnected) => anyhow::bail!("nobody is left to tell how the job is"),
            }
            if let Some(why) = generation.hangs(self.plan.hang_after) {
                say(&format!("error: worker process {} hangs, {why}: killing it", generation.process_id()));
                generation.kill();
                break;
            }
        }
        generation.reap().map(Some).context("wait for the worker process")
    }

    /// Takes note of a signal, which tells the job to stop. Whether the user does not want to wait for that.
    fn is_to_leave(&mut self, interrupt: bool) -> bool {
        self.stopping = true;
        self.interrupts += u32::from(interrupt);
        self.interrupts >= 2
    }

    /// Looks whether a process has begun to read.
    fn hear(&mut self, generation: &Generation) {
        if generation.beat().is_some_and(|beat| beat.from.is_some()) {
            self.past.begins();
        }
        let Some((beat, at)) = generation.beat().and_then(|beat| Some((beat, beat.reading_at?))) else {
            return;
        };
        self.past.reads();
        if let Some(died) = self.died.take()
            && !self.plan.quiet
        {
            let from = beat.from.map(|number| format!(", from checkpoint {number}")).unwrap_or_default();
            say(&format!("reading again after {:.2} s{from}", died.elapsed().as_secs_f64()));
        }
        if let Some(rescale) = self.rescale.take_if(|rescale| rescale.has_stopped()) {
            rescale.finish(at, beat.load_us, self.plan.quiet);
        }
    }

    /// Decides what follows from the end of a process.
    fn judge(&mut self, end: &End) -> Next {
        let code = end.status.code();
        let rescales = self.rescale.is_some() && !self.stopping;
        let is_drained = match (code, end.ending) {
            (Some(0), ending) => ending != Some(Ending::Finished),
            // It could not write its report.
            (Some(1), ending) => ending == Some(Ending::Drained),
            _ => false,
        };
        if rescales && is_drained {
            self.go_on_rescaled(end);
            return Next::Again(Duration::ZERO);
        }
        match (code, end.ending) {
            // The process with the new number has not read anything, or the rescale would be over.
            (code, ending)
                if self.has_changed_workers()
                    && rescales
                    && !matches!(code, Some(0 | 2 | 3 | 130))
                    && ending != Some(Ending::Hopeless) =>
            {
                let why = end.failure.clone().unwrap_or_else(|| words::death(end));
                self.take_back(&why);
                return self.start_over(end);
            }
            // Ctrl-C reaches a child that has just been started before it is deaf to it.
            (None, _) if self.stopping && end.beat.is_none() => return Next::Leave(self.stop()),
            (Some(code @ (0 | 2 | 3 | 130)), _) => return Next::Leave(code as u8),
            (Some(_), Some(Ending::Finished | Ending::Drained)) => return Next::Leave(1),
            _ => {}
        }
        let may_pass =
            self.past.may_pass(end.ending) || (code.is_none() && end.ending != Some(Ending::Hopeless));
        if self.stopping || !may_pass {
            if code.is_none() {
                let then = "it was told to stop; the same command goes on from the last checkpoint";
                say(&format!("error: {}; {then}", words::death(end)));
            }
            return Next::Leave(1);
        }
        self.start_over(end)
    }

    /// After a death: finds what there is to find, and decides when to start again.
    fn start_over(&mut self, end: &End) -> Next {
        if self.rescale.is_some() {
            self.go_on_rescaled(end);
        }
        let committed = end.beat.as_ref().is_some_and(|beat| beat.committed > beat.from);
        let checkpoint = end.beat.as_ref().and_then(|beat| beat.committed);
        let from = checkpoint.map(|number| format!(" from checkpoint {number} or later")).unwrap_or_default();
        let next = self.again_after(end.ran, committed, &words::death(end), &format!("going on{from}"));
        self.poison.extend(self.suspects.died(end.ending, end.in_hand.clone()));
        if matches!(next, Next::Again(_))
            && let Err(error) = self.put_away()
        {
            say(&format!("error: {error:#}; tried again before the next start"));
        }
        next
    }

    /// After a start that failed, as while there is no memory, no process, no space, or the state is away.
    fn start_later(&mut self, error: &anyhow::Error) -> Next {
        if self.has_changed_workers() {
            self.take_back(&format!("{error:#}"));
        }
        self.again_after(Duration::ZERO, false, &format!("{error:#}"), "trying again")
    }

    /// Decides whether, and after which delay, the next process is started, and says so.
    fn again_after(&mut self, ran: Duration, committed: bool, what: &str, then: &str) -> Next {
        self.died.get_or_insert_with(Instant::now);
        let delay = self.backoff.after(ran, committed);
        let in_vain = self.backoff.in_vain();
        let given_up = if self.plan.max_restarts.is_some_and(|max| in_vain > max) {
            format!("given up after {} starts in a row that brought the job no further", in_vain - 1)
        } else if self.desk.as_ref().is_some_and(|desk| !desk.is_ours()) {
            "another run has taken over the state, so it is not started again".to_owned()
        } else {
            say(&format!("error: {what}; {then} in {:.1} s", delay.as_secs_f64()));
            return Next::Again(delay);
        };
        say(&format!("error: {what}; {given_up}"));
        Next::Leave(1)
    }

    /// Writes down which records are not to be read any more; those that cannot be noted now are kept.
    fn put_away(&mut self) -> anyhow::Result<()> {
        if self.poison.is_empty() {
            return Ok(());
        }
        let names = partition_names(self.plan.job).context("name the partitions")?;
        while let Some((partition, offset)) = self.poison.last().copied() {
            let Some(partition) = names.get(&partition).cloned() else {
                say(&format!(
                    "error: the record at offset {offset} of a file or object that no checkpoint knows ended the process \
                     three times; it is not left out, since which one it is in cannot be told"
                ));
                self.poison.pop();
                continue;
            };
            let what = format!("the record at offset {offset} of {partition}");
            poison::add(self.plan.state, &Poison { partition, offset })
                .with_context(|| format!("note that {what} is to be left out"))?;
            say(&format!("error: {what} ended the process three times; it goes to quarantine from now on"));
            self.poison.pop();
        }
        Ok(())
    }

    /// Waits before a start. The exit code, if the job is told to stop meanwhile.
    fn wait(&mut self, delay: Duration) -> Option<u8> {
        let until = Instant::now() + delay;
        loop {
            // A signal may have come when nobody was there to drain.
            if self.stopping {
                return Some(self.stop());
            }
            match self.inbox.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Event::Signal { interrupt }) if self.is_to_leave(interrupt) => {
                    return Some(signals::INTERRUPTED);
                }
                Ok(Event::Asked(request, client)) => self.serve(request, client, None),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    /// Ends a job that was told to stop while no process was there to say how far it is: the newest checkpoint
    /// knows. Returns the exit code.
    ///
    /// What that checkpoint puts out may not be delivered yet, not even if it is the last one of the job.
    fn stop(&mut self) -> u8 {
        if !self.plan.quiet {
            say(&format!(
                "{}: stopped while no process of it was there; the same command goes on from the last checkpoint, \
                 and delivers what is missing",
                self.plan.job.name
            ));
        }
        let Some(path) = self.plan.report.filter(|_| self.plan.process == 0) else { return 0 };
        let reported = match self.report(path) {
            Ok(()) => self.reported(),
            Err(error) => Some(Err(error)),
        };
        match reported {
            Some(Ok(())) => 0,
            Some(Err(error)) => {
                say(&format!("error: {error:#}; the same command goes on from the last checkpoint"));
                1
            }
            None => signals::INTERRUPTED,
        }
    }

    /// Has the report written by a thread: a state that is away may take a while, in which signals are heard.
    fn report(&self, path: &Path) -> anyhow::Result<()> {
        let (path, job, state) = (path.to_owned(), self.plan.job.name.clone(), self.plan.state.clone());
        let events = self.events.clone();
        let write = move || {
            let _ = events.send(Event::Reported(report::write_at_rest(&path, &job, &state)));
        };
        std::thread::Builder::new().name("report".to_owned()).spawn(write).context("start a thread")?;
        Ok(())
    }

    /// Waits for the report; `None` if the user does not.
    fn reported(&mut self) -> Option<anyhow::Result<()>> {
        loop {
            match self.inbox.recv() {
                Ok(Event::Reported(result)) => return Some(result),
                Ok(Event::Signal { interrupt }) if self.is_to_leave(interrupt) => return None,
                Ok(Event::Asked(request, client)) => self.serve(request, client, None),
                Ok(_) => {}
                Err(error) => return Some(Err(error.into())),
            }
        }
    }

    /// Answers `tidewatch ctl`. Between two processes there is none.
    fn serve(&mut self, request: Request, client: Client, generation: Option<&Generation>) {
        match (request, generation) {
            (Request::Status, _) => client.answer(&self.status(generation)),
            (Request::Drain, Some(generation)) => {
                self.stopping = true;
                generation.drain();
                client.answer(&words::done("drains: takes a checkpoint and ends"));
            }
            (Request::Rescale(workers), Some(generation)) => self.rescale(workers, client, generation),
            (_, None) if self.stopping => {
                client.answer(&Answer::Refused("the job is about to end".to_owned()))
            }
            (_, None) => {
                client.answer(&Answer::Refused("the job is being started again; ask later".to_owned()))
            }
        }
    }

    fn rescale(&mut self, workers: u32, client: Client, generation: &Generation) {
        let refusal = match self.plan {
            Plan { processes, .. } if *processes > 1 => Some(format!(
                "the job runs as {processes} processes, and only a job of one can be rescaled while it runs; \
                 stop it and start all of them with another `-w`"
            )),
            Plan { shards, .. } if workers > *shards => {
                Some(format!("{workers} workers are more than the {shards} shards of the state"))
            }
            _ if self.rescale.is_some() => Some("the job is being rescaled already".to_owned()),
            _ if self.stopping => Some("the job is about to end".to_owned()),
            _ => None,
        };
        match refusal {
            Some(words) => client.answer(&Answer::Refused(words)),
            None => {
                client.answer(&Answer::Word(format!("from {} to {workers} workers: draining", self.workers)));
                self.rescale = Some(Rescale::new(self.workers, workers, client));
                generation.drain();
            }
        }
    }

    /// Whether a rescale is under way whose old process has ended.
    fn has_changed_workers(&self) -> bool {
        self.rescale.as_ref().is_some_and(Rescale::has_stopped)
    }

    /// Goes back to the number of workers from before a rescale that failed.
    fn take_back(&mut self, why: &str) {
        if let Some(rescale) = self.rescale.take() {
            self.workers = rescale.before();
            rescale.take_back(why);
        }
    }

    fn go_on_rescaled(&mut self, end: &End) {
        if let Some(rescale) = &mut self.rescale {
            self.workers = rescale.workers();
            rescale.stopped(end.beat.as_ref().and_then(|beat| beat.stopped_at));
        }
    }

    fn status(&self, generation: Option<&Generation>) -> Answer {
        let status = words::Status {
            job: &self.plan.job.name,
            workers: self.workers,
            restarts: self.starts.saturating_sub(1),
            process: generation.map(|generation| (generation.process_id(), generation.ran())),
            beat: generation.and_then(Generation::beat),
        };
        status.answer()
    }
}
