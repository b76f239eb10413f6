//! The supervisor: one process of the job after the other, and what is asked meanwhile.

use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::Context;
use dataflow::{Poison, partition_names};

use super::backoff::Backoff;
use super::desk::{Answer, Client, Desk, Request};
use super::generation::{End, Generation};
use super::link::Ending;
use super::rescale::Rescale;
use super::suspects::Suspects;
use super::words::{self, say, say_death};
use super::{Event, Plan, poison};
use crate::signals;

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
    backoff: Backoff,
    /// Whether any process has read something since the command was given.
    has_read: bool,
    /// Whether any has fenced the state: the next goes on from there, whatever the command says.
    has_begun: bool,
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
            backoff: Backoff::default(),
            has_read: false,
            has_begun: false,
            starts: 0,
            died: None,
        }
    }

    /// Runs the job to its end.
    ///
    /// # Errors
    /// If the system refuses processes, sockets or threads.
    pub(super) fn run(mut self) -> anyhow::Result<ExitCode> {
        loop {
            let next = match self.watch()? {
                Some(end) => self.judge(&end)?,
                None => Next::Leave(signals::INTERRUPTED),
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

    /// Starts a process and watches it to its end; `None` if the user does not want to wait for that.
    fn watch(&mut self) -> anyhow::Result<Option<End>> {
        let number = self.starts;
        self.starts += 1;
        let mut generation =
            Generation::start(number, self.workers, self.has_begun, &self.suspects, self.events.clone())?;
        loop {
            match self.inbox.recv_timeout(LOOK) {
                Ok(Event::Told(of, message)) if of == number => {
                    generation.told(message);
                    self.hear(&generation);
                }
                Ok(Event::Gone(of)) if of == number => break,
                Ok(Event::Told(..) | Event::Gone(_)) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Event::Signal { interrupt }) => {
                    self.stopping = true;
                    self.interrupts += u32::from(interrupt);
                    if self.interrupts >= 2 {
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

    /// Looks whether a process has begun to read.
    fn hear(&mut self, generation: &Generation) {
        self.has_begun |= generation.beat().is_some_and(|beat| beat.from.is_some());
        let Some((beat, at)) = generation.beat().and_then(|beat| Some((beat, beat.reading_at?))) else {
            return;
        };
        self.has_read = true;
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
    fn judge(&mut self, end: &End) -> anyhow::Result<Next> {
        let code = end.status.code();
        match code {
            Some(0) if self.rescale.is_some() && !self.stopping && end.ending != Some(Ending::Finished) => {
                self.go_on_rescaled(end);
                return Ok(Next::Again(Duration::ZERO));
            }
            // Ctrl-C reaches a child that has just been started before it is deaf to it.
            None if self.stopping && end.beat.is_none() => return Ok(Next::Leave(0)),
            Some(code @ (0 | 2 | 3 | 130)) => return Ok(Next::Leave(code as u8)),
            _ => {}
        }
        // What fails before anything was read will not be better next time, unless another process was to blame.
        let is_barren = code.is_some() && !self.has_read && end.ending != Some(Ending::Bereft);
        if self.stopping || end.ending == Some(Ending::Hopeless) || is_barren {
            if code.is_none() {
                say_death(end, "it was told to stop; the same command goes on from the last checkpoint");
            }
            return Ok(Next::Leave(1));
        }
        self.start_over(end)
    }

    /// After a death: finds what there is to find, and decides when to start again.
    fn start_over(&mut self, end: &End) -> anyhow::Result<Next> {
        self.died.get_or_insert_with(Instant::now);
        if self.rescale.is_some() {
            self.go_on_rescaled(end);
        }
        let committed = end.beat.as_ref().is_some_and(|beat| beat.committed > beat.from);
        let delay = self.backoff.after(end.ran, committed);
        let in_vain = self.backoff.in_vain();
        if self.plan.max_restarts.is_some_and(|max| in_vain > max) {
            let times = in_vain - 1;
            say_death(
                end,
                &format!("given up after {times} starts in a row that brought the job no further"),
            );
            return Ok(Next::Leave(1));
        }
        if self.desk.as_ref().is_some_and(|desk| !desk.is_ours()) {
            say_death(end, "another run has taken over the state, so it is not started again");
            return Ok(Next::Leave(1));
        }
        let poison = self.suspects.died(end.in_hand.clone());
        let checkpoint = end.beat.as_ref().and_then(|beat| beat.committed);
        let from = checkpoint.map(|number| format!(" from checkpoint {number} or later")).unwrap_or_default();
        say_death(end, &format!("going on{from} in {:.1} s", delay.as_secs_f64()));
        self.put_away(&poison)?;
        Ok(Next::Again(delay))
    }

    /// Writes down which records are not to be read any more.
    fn put_away(&self, records: &[(u32, u64)]) -> anyhow::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let names = partition_names(self.plan.job).context("name the partitions")?;
        for (partition, offset) in records {
            let Some(partition) = names.get(*partition as usize).cloned() else { continue };
            say(&format!(
                "error: the record at offset {offset} of {partition} ended the process three times; \
                 it goes to quarantine from now on"
            ));
            poison::add(self.plan.state, &Poison { partition, offset: *offset })?;
        }
        Ok(())
    }

    /// Waits before a start. The exit code, if the job is told to stop meanwhile.
    fn wait(&mut self, delay: Duration) -> Option<u8> {
        let until = Instant::now() + delay;
        loop {
            // A signal may have come when nobody was there to drain.
            if self.stopping {
                return Some(0);
            }
            match self.inbox.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Event::Signal { .. }) => self.stopping = true,
                Ok(Event::Asked(request, client)) => self.serve(request, client, None),
                Ok(_) => {}
                Err(_) => return None,
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
