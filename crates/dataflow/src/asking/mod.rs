//! Has models asked about rows, beside the worker, and records what they answer before anything rests on it.
//!
//! A lane of its own asks, one order after the other: about the rows of windows, and about rows that there were not, to say why alerts
//! are alerts. What the run before recorded and did not come to a checkpoint with is answered
//! from the record, so that what was put out at once on the strength of an answer is put out again as it was. A job without state, which
//! goes on from nothing, records nothing.

mod order;
mod reasons;
mod responders;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Instant;

use checkpoint::{Answers, Store};
use detect::Inquiry;
use event::{Detected, Shard};

pub(crate) use order::Order;
use reasons::Recall;
pub(crate) use responders::Responders;

use crate::job::{Job, RunError};
use crate::space::Patience;
use crate::worker::Here;
use crate::world::{After, Lane, World};

/// What was found in branches of a job.
type Found = Vec<(usize, Detected)>;

/// What the lane is to do, and has done.
enum Work {
    Judge(Order),
    Explain(Found),
}

/// Work of an interval.
struct Task {
    number: u64,
    interval: u32,
    since: Instant,
    work: Work,
    /// What is to be recorded, once all were asked.
    fresh: Option<Answers>,
}

/// The worker's end of the lane.
pub(crate) struct Asking {
    tasks: Option<Lane<Task>>,
    done: Receiver<Result<Work, RunError>>,
    answered: VecDeque<Order>,
    explained: VecDeque<Found>,
    world: World,
    sent: u64,
}

/// Where answers are recorded.
pub(crate) struct Record {
    pub(crate) store: Store,
    /// Which start of the job began from nothing. What was said in the life of another one is not for this.
    pub(crate) born: u64,
}

impl Record {
    /// What is recorded of the keys of a worker.
    fn known(&self, here: &Here) -> Result<HashMap<u128, f64>, RunError> {
        let shards = here.job.state.as_ref().map_or(crate::SHARDS, |state| state.shards);
        let is_ours =
            |mark: u128| Shard::of((mark >> 64) as u64, shards).worker(shards, here.peers) == here.worker;
        let mut known = HashMap::new();
        for Answers { marks, answers, .. } in self.store.recorded(self.born)? {
            known.extend(marks.into_iter().zip(answers).filter(|(mark, _)| is_ours(*mark)));
        }
        Ok(known)
    }
}

/// What the lane knows.
struct Desk {
    job: Arc<Job>,
    world: World,
    known: HashMap<u128, f64>,
    responders: Responders,
}

impl Desk {
    /// Asks. Gives what is to be recorded.
    fn ask(&mut self, work: &mut Work, since: Instant) -> Answers {
        let Desk { job, world, known, responders } = self;
        match work {
            Work::Judge(order) => order.ask(known, responders),
            Work::Explain(found) => Recall::new(known, responders, (world, since)).explain(job, found),
        }
    }
}

impl Asking {
    /// Starts the lane. `activate` is called when an order is answered.
    ///
    /// # Errors
    /// If what the run before recorded cannot be read.
    pub(crate) fn spawn(
        record: Option<Record>,
        here: &Here,
        activate: Box<dyn Fn() + Send>,
    ) -> Result<Self, RunError> {
        let known = record.as_ref().map(|record| record.known(here)).transpose()?.unwrap_or_default();
        let (send, done) = channel();
        let mut patience = Patience::new(here);
        let (job, world) = (Arc::clone(&here.job), here.world.clone());
        let mut desk = Desk { job, world, known, responders: Responders::default() };
        let name = format!("{:03}-{:016x}", here.worker, here.nonce);
        let work = move |task: &mut Task| {
            let Task { number, interval, since, work, fresh } = task;
            let fresh = fresh.get_or_insert_with(|| desk.ask(work, *since));
            let recorded = match &record {
                Some(Record { store, born }) if !fresh.marks.is_empty() => {
                    fresh.born = *born;
                    store.record(*interval, &format!("{name}-{number}"), fresh)
                }
                _ => Ok(()),
            };
            let result = match recorded {
                Err(error) => match patience.after(error.into()) {
                    Ok(again) => return again,
                    Err(error) => Err(error),
                },
                Ok(()) => Ok(std::mem::replace(work, Work::Explain(Vec::new()))),
            };
            patience.over();
            let failed = result.is_err();
            let is_gone = send.send(result).is_err();
            activate();
            if failed || is_gone { After::Stop } else { After::Done }
        };
        let tasks = here.world.lane(&format!("models-{}", here.worker), work);
        if let Err(error) = &tasks {
            here.outcome.fail(RunError::Died(format!("cannot start a thread: {error}")));
        }
        let (answered, explained) = (VecDeque::new(), VecDeque::new());
        Ok(Asking { tasks: tasks.ok(), done, answered, explained, world: here.world.clone(), sent: 0 })
    }

    /// Sends questions. They are answered in the order in which they were sent.
    pub(crate) fn send(&mut self, interval: u32, inquiries: Vec<(usize, Inquiry)>) {
        self.give(interval, Work::Judge(Order::new(inquiries)));
    }

    /// Has it said of what was found in branches why. It comes back in the order in which it was sent.
    pub(crate) fn explain(&mut self, interval: u32, found: Found) {
        self.give(interval, Work::Explain(found));
    }

    fn give(&mut self, interval: u32, work: Work) {
        let task = Task { number: self.sent, interval, since: self.world.now(), work, fresh: None };
        self.sent += 1;
        // Without the lane the run has failed already.
        if let Some(tasks) = &self.tasks {
            tasks.send(task);
        }
    }

    /// The next questions that are answered, if they are by now.
    ///
    /// # Errors
    /// If the answers could not be recorded.
    pub(crate) fn answered(&mut self) -> Result<Option<Order>, RunError> {
        self.take_done()?;
        Ok(self.answered.pop_front())
    }

    /// What was found next of which it is said why, if it is by now.
    ///
    /// # Errors
    /// If the answers could not be recorded.
    pub(crate) fn explained(&mut self) -> Result<Option<Found>, RunError> {
        self.take_done()?;
        Ok(self.explained.pop_front())
    }

    fn take_done(&mut self) -> Result<(), RunError> {
        loop {
            match self.done.try_recv() {
                Ok(Ok(Work::Judge(order))) => self.answered.push_back(order),
                Ok(Ok(Work::Explain(found))) => self.explained.push_back(found),
                Ok(Err(error)) => return Err(error),
                Err(TryRecvError::Empty) => return Ok(()),
                // What was done before is taken first.
                Err(TryRecvError::Disconnected)
                    if !(self.answered.is_empty() && self.explained.is_empty()) =>
                {
                    return Ok(());
                }
                Err(TryRecvError::Disconnected) => {
                    return Err(RunError::Died("the thread that asks models died".into()));
                }
            }
        }
    }
}
