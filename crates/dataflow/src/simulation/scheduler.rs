//! Decides, by the seed, what happens next: a worker steps, a lane goes on, time passes, something fails.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::disk::{Committed, Operation};
use super::host::{GATES, Host, Outside, lock};
use super::random::Random;
use super::trace::Trace;
use super::workers::{Started, Workers};
use super::{Look, Run, Scenario};
use crate::job::RunError;

/// Decisions after which a run is taken to hang.
const DECISIONS_MAX: u64 = 200_000;
/// Starts in a row that may fail, as they do while a disk is full.
const STARTS_MAX: u64 = 200;
const WORKERS_MAX: u64 = 4;

/// How a run is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interruption {
    /// The process is killed.
    Kill,
    /// The machine loses its power.
    Power,
    /// Either, in the middle of an operation on the disk or the sink.
    Midway,
    /// The process is told to stop.
    Drain,
    /// The process stands still, and the next generation starts beside it.
    Zombie,
    /// An operation on the disk fails.
    Fails,
}

/// What is left of an older generation.
struct Leftover {
    workers: Workers,
    /// Decisions until it ends.
    left: u64,
    /// With how many of them left it wakes up. Whoever sleeps long finds numbers free again that it knows.
    wakes_at: u64,
}

pub(super) struct Scheduler<'a> {
    scenario: &'a Scenario,
    outside: Arc<Outside>,
    random: Random,
    trace: Trace,
    run: Run,
    live: Option<Workers>,
    zombie: Option<Leftover>,
    /// Decisions until the next interruption.
    until: u64,
    /// Decisions until the disk has space again.
    full: u64,
    /// Whether the power fails with the host that dies next.
    loses_power: bool,
    /// Whether the last host died in the middle of an operation and left it as it was.
    fragile: bool,
    workers: u64,
    hosts: u64,
    starts: u64,
    /// Bytes that readers had seen when they were last looked at.
    seen: u64,
    committed: usize,
    /// Host and number of manifests that came to be after later ones.
    strays: Vec<(u64, u64)>,
    last: Option<Committed>,
}

impl<'a> Scheduler<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> Self {
        let mut scheduler = Scheduler {
            scenario,
            outside: Arc::new(Outside::new(scenario)),
            random: Random::new(scenario.seed ^ 0x5EED),
            trace: Trace::new(scenario.verbose),
            run: Run::default(),
            live: None,
            zombie: None,
            until: 0,
            full: 0,
            loses_power: false,
            fragile: false,
            workers: 0,
            hosts: 0,
            starts: 0,
            seen: 0,
            committed: 0,
            strays: Vec::new(),
            last: None,
        };
        scheduler.plan();
        scheduler
    }

    pub(super) fn run(mut self, look: &mut Look<'_>) -> Run {
        while self.run.finding.is_none() {
            self.run.decisions += 1;
            if self.run.decisions > DECISIONS_MAX {
                self.find("it does not come to an end".to_owned());
                break;
            }
            let goes_on = self.decide();
            self.observe(look);
            if !goes_on {
                break;
            }
        }
        // What is still there ends before the outputs are taken.
        (self.live, self.zombie) = (None, None);
        self.run.outputs = lock(&self.outside.readers).iter().map(|reader| reader.seen.clone()).collect();
        self.run.operations = lock(&self.outside.disk).operations;
        self.run.wakings = lock(&self.outside.wakings).all();
        self.run.generations = self.hosts;
        self.run.archived = lock(&self.outside.disk).below("/archive/events");
        self.run.said = lock(&self.outside.said).clone();
        self.run.trace = self.trace.hash();
        self.run.lines = self.trace.into_lines();
        self.run
    }

    fn find(&mut self, words: String) {
        self.run.finding.get_or_insert(words);
    }

    fn interruptions(&self) -> u64 {
        self.run.crashes + self.run.drains + self.run.zombies + self.run.failures
    }

    /// Opens the gate of the sources as far as the next interruption, and sets its time.
    fn plan(&mut self) {
        let (done, planned) = (self.interruptions(), self.scenario.interruptions);
        let gate = if done < planned { GATES * (done + 1) / (planned + 1) } else { GATES };
        self.outside.gate.store(gate, Ordering::Relaxed);
        self.until = if done < planned { 20 + self.random.below(400) } else { u64::MAX };
    }

    /// Does one thing. Returns whether there is more to do.
    fn decide(&mut self) -> bool {
        self.outside.pass(Duration::from_micros(self.random.below(200)));
        self.refill();
        let Some(live) = &self.live else { return self.start() };
        if live.active().is_empty() {
            return self.end_well();
        }
        self.until -= 1;
        if self.until == 0 {
            self.interrupt();
        } else {
            self.go_on();
        }
        self.look_after();
        true
    }

    /// The disk fills up, and has space again.
    fn refill(&mut self) {
        let never = self.run.fulls == 0 && self.run.checkpoints > 2;
        if self.full > 0 {
            self.full -= 1;
            let samples = self.scenario.full_for.is_some() && self.full.is_multiple_of(200);
            if let Some(live) = self.live.as_ref().filter(|_| samples) {
                self.run.read_while_full.push(live.control.progress().read);
            }
        } else if let Some(decisions) = self.scenario.full_for.filter(|_| never) {
            self.full = decisions;
            self.run.fulls += 1;
        } else if self.scenario.faults && self.random.one_in(900) {
            self.full = 1 + self.random.below(150);
            self.run.fulls += 1;
            self.trace.note("full", self.full, 0);
        }
        self.outside.full.store(self.full > 0, Ordering::Relaxed);
    }

    /// Starts a generation with any number of workers.
    fn start(&mut self) -> bool {
        // After each interruption another number, so that each is a crash or a rescale.
        let mut workers = 1 + self.random.below(WORKERS_MAX - u64::from(self.workers > 0));
        workers += u64::from(self.workers > 0 && workers >= self.workers);
        let bytes = self.random.one_in(2);
        self.hosts += 1;
        let host = Host::new(&self.outside, self.hosts);
        let fragile = std::mem::take(&mut self.fragile);
        if self.starts == 0 && self.hosts > 1 && (self.random.one_in(6) || (fragile && self.random.one_in(2)))
        {
            lock(&host.fault).dies_in = Some((1 + self.random.below(12), None));
            self.loses_power = fragile || self.random.one_in(2);
        }
        if self.hosts == 1
            && let Some((operation, full)) = self.scenario.fails_at
        {
            lock(&host.fault).fails_in = Some((operation, None));
            lock(&host.fault).by_space = full;
        }
        self.let_zombie_race(&host);
        self.trace.note("start", self.hosts, workers * 2 + u64::from(bytes));
        match Workers::start(&self.scenario.job, &host, workers as usize, bytes) {
            Ok(Started::Finished(summary)) => {
                self.run.counts = summary.counts;
                return false;
            }
            Ok(Started::Workers(live)) => {
                // Whoever was older has done this before the new generation had fenced the state.
                self.observe_commits();
                self.run.rescales += u64::from(self.workers != 0 && self.workers != workers);
                self.workers = workers;
                self.live = Some(live);
                self.starts = 0;
                self.look_after();
            }
            Err(error) => {
                // Who commits before a start does makes it look again, and does not end it.
                let expected = host.is_dead() || (self.is_expected(&host, &error) && !is_taken(&error));
                host.kill();
                host.clear();
                self.lose_power(true);
                self.starts += 1;
                if !expected || self.starts > STARTS_MAX {
                    self.find(format!("a start failed: {}", words(&error)));
                }
            }
        }
        true
    }

    /// May have what is left of the last generation go on just before the next one fences the state.
    fn let_zombie_race(&mut self, host: &Host) {
        let Some(zombie) = self.zombie.as_ref().filter(|_| self.random.one_in(2)) else { return };
        let (zombie, steps) = (Arc::clone(&zombie.workers.host), 1 + self.random.below(8));
        let mut random = Random::new(self.random.bits());
        self.trace.note("race", zombie.number, steps);
        let race = move || {
            for _ in 0..steps {
                let lanes = zombie.busy_lanes();
                if lanes.is_empty() {
                    return;
                }
                zombie.run_lane(lanes[random.below(lanes.len() as u64) as usize]);
            }
        };
        *lock(&host.rival) = Some(Box::new(race));
    }

    /// The generation has ended by itself: the job is finished, or was told to stop.
    fn end_well(&mut self) -> bool {
        let Some(live) = self.live.take() else { return true };
        match live.summary() {
            // Started once more, a finished job has nothing to do.
            Some(summary) => self.trace.note("ended", u64::from(summary.finished), summary.counts.read),
            None => self.find("a generation ended without its totals".to_owned()),
        }
        true
    }

    fn interrupt(&mut self) {
        use Interruption::{Drain, Fails, Kill, Midway, Power, Zombie};
        let mut kinds = vec![Kill, Power, Power, Midway, Midway, Drain, Zombie];
        if self.scenario.faults {
            kinds.push(Fails);
        }
        let kind = kinds[self.random.below(kinds.len() as u64) as usize];
        self.trace.note("interrupt", kind as u64, 0);
        let Some(live) = &self.live else { return };
        match kind {
            Kill | Power => {
                self.loses_power = kind == Power;
                live.host.kill();
            }
            Midway => {
                self.loses_power = self.random.one_in(2);
                // Names that are made and not synced are where most can go wrong.
                lock(&live.host.fault).dies_in = Some(match self.random.below(3) {
                    0 => (1 + self.random.below(4), Some(Operation::SyncDir)),
                    _ => (1 + self.random.below(25), None),
                });
                // It dies when it comes to that.
                self.until = 3_000;
                return;
            }
            Drain => {
                live.control.drain();
                self.run.drains += 1;
            }
            Zombie => {
                self.run.zombies += 1;
                let awake = 10 + self.random.below(300);
                let asleep = if self.random.one_in(2) { self.random.below(600) } else { 0 };
                let zombie = |workers| Leftover { workers, left: awake + asleep, wakes_at: awake };
                self.zombie = self.live.take().map(zombie);
            }
            Fails => {
                let all = [Operation::Write, Operation::Sync, Operation::Link, Operation::Remove];
                let operation = all[self.random.below(4) as usize];
                lock(&live.host.fault).fails_in = Some((1 + self.random.below(4), Some(operation)));
                self.until = 3_000;
                return;
            }
        }
        if kind == Zombie || kind == Drain {
            self.plan();
        }
    }

    /// A worker steps, a lane goes on, or time jumps; of an older generation too, if there is one.
    fn go_on(&mut self) {
        let is_awake = self.zombie.as_ref().is_some_and(|zombie| zombie.left <= zombie.wakes_at);
        let of_zombie = is_awake && self.random.one_in(3);
        let roll = self.random.below(100);
        if roll < 3 {
            let micros = if self.random.one_in(10) { 30_000_000 } else { 20_000 };
            let time = self.random.below(micros);
            self.trace.note("time", time, 0);
            self.outside.pass(Duration::from_micros(time));
            return;
        }
        let random = &mut self.random;
        let chosen = match (&mut self.zombie, &mut self.live) {
            (Some(zombie), _) if of_zombie => Some(&mut zombie.workers),
            (_, live) => live.as_mut(),
        };
        let Some(workers) = chosen else { return };
        let (lanes, active) = (workers.host.busy_lanes(), workers.active());
        if !lanes.is_empty() && (roll < 35 || active.is_empty()) {
            let lane = lanes[random.below(lanes.len() as u64) as usize];
            self.trace.note("lane", workers.host.number, lane as u64);
            workers.host.run_lane(lane);
        } else if !active.is_empty() {
            let worker = active[random.below(active.len() as u64) as usize];
            let times = 1 + random.below(3);
            self.trace.note("step", workers.host.number, worker as u64 * 8 + times);
            workers.step(worker, times);
        }
    }

    /// Notices who has died, or failed.
    fn look_after(&mut self) {
        if let Some(Leftover { workers, left, .. }) = &mut self.zombie {
            *left = left.saturating_sub(1);
            if *left == 0 || workers.failure().is_some() || workers.host.is_dead() {
                self.trace.note("zombie ends", *left, 0);
                self.zombie = None;
            }
        }
        let Some(live) = &self.live else { return };
        if live.host.is_dead() {
            self.run.crashes += 1;
            self.fragile = lock(&live.host.fault).has_died_midway && !self.loses_power;
            self.live = None;
            self.trace.note("dead", self.hosts, u64::from(self.loses_power));
            self.lose_power(false);
            self.plan();
            return;
        }
        if let Some(error) = live.failure() {
            let expected = self.is_expected(&live.host, &error);
            self.trace.note("failed", live.host.number, 0);
            self.run.failures += u64::from(lock(&live.host.fault).has_failed);
            self.live = None;
            if !expected {
                self.find(format!("a generation failed: {}", words(&error)));
            }
            self.plan();
        }
    }

    /// All machines share the power.
    fn lose_power(&mut self, at_start: bool) {
        if !std::mem::take(&mut self.loses_power) {
            return;
        }
        self.zombie = None;
        self.trace.note("power", u64::from(at_start), 0);
        let mut random = self.random.clone();
        lock(&self.outside.disk).lose_power(&mut random);
        self.random = random;
    }

    /// Whether somebody made it fail: a fault, a full disk, or another generation.
    fn is_expected(&self, host: &Host, error: &RunError) -> bool {
        lock(&host.fault).has_failed || error.is_full() || (is_taken(error) && self.run.zombies > 0)
    }

    /// Looks at the manifests that came to be.
    fn observe_commits(&mut self) {
        let committed: Vec<Committed> = lock(&self.outside.disk).committed[self.committed..].to_vec();
        self.committed += committed.len();
        for commit in committed {
            self.run.checkpoints += 1;
            self.trace.note("commit", commit.number, commit.hash);
            let newest = self.live.as_ref().map(|live| live.host.number).max(self.last.map(|last| last.host));
            let is_late = newest.is_some_and(|newest| commit.host < newest);
            if is_late && self.last.is_some_and(|last| last.number > commit.number) {
                // It could only make what nobody will use.
                self.strays.push((commit.host, commit.number));
                continue;
            }
            if is_late {
                self.find(format!("checkpoint {} was committed by an older generation", commit.number));
            }
            if self.last.is_some_and(|last| last.number >= commit.number) && !self.may_repeat(commit) {
                self.find(format!("checkpoint {} was committed after a later one", commit.number));
            }
            self.last = Some(commit);
        }
    }

    /// Looks at what has changed outside.
    fn observe(&mut self, look: &mut Look<'_>) {
        self.observe_commits();
        let delivered = std::mem::take(&mut *lock(&self.outside.delivered));
        for delivered in delivered {
            if self.strays.contains(&delivered) {
                self.find(format!("checkpoint {} was delivered by an older generation", delivered.1));
            }
        }
        let readers = lock(&self.outside.readers).clone();
        let seen = readers.iter().map(|reader| reader.seen.len() as u64).sum();
        if seen != self.seen {
            self.seen = seen;
            self.trace.note(
                "seen",
                seen,
                readers.iter().map(|r| event::key_hash(&r.seen)).fold(0, u64::wrapping_add),
            );
            let seen: Vec<&[u8]> = readers.iter().map(|reader| reader.seen.as_slice()).collect();
            if let Err(words) = look(&seen) {
                self.find(words);
            }
        }
        if let Some(reader) = readers.iter().find(|reader| reader.changed_at.is_some()) {
            self.find(format!("what was in {} is to be changed", reader.name));
        }
    }

    /// A number comes again if the power failed before it was durable.
    fn may_repeat(&self, commit: Committed) -> bool {
        self.last.is_some_and(|last| last.number == commit.number && last.host < commit.host)
    }
}

/// Whether somebody else has committed what this one was to commit.
fn is_taken(error: &RunError) -> bool {
    matches!(error, RunError::Store(checkpoint::StoreError::Taken { .. }))
}

fn words(error: &RunError) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        words.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    words
}
