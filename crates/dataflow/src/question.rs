//! Questions to a running job: what is known of a key by now, and what the rules say of it.
//!
//! Whoever asks is on another thread ([`Control::ask`](crate::Control::ask)); worker 0 takes the questions along with its
//! marks, each to the worker of the key's shard, which looks into its open windows when it applies the mark, and judges what it
//! finds like rows of closed ones, without learning it. The answer goes back to worker 0 by way of everything else that is put out. So the answer is as new as the watermark, with
//! any number of workers and processes, and nothing is locked.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use event::{Rows, Shard, Window, key_hash};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::asking::Responders;
use crate::branches::Kept;
use crate::followed::Followed;
use crate::job::Job;

/// Questions that wait at most; whoever asks one more is sent away.
const QUESTIONS_MAX: usize = 4096;

/// What somebody wants to know of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Question {
    number: u64,
    /// The key, encoded.
    key: ByteBuf,
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Of each branch the open window of the key that holds most of it, and how many records that holds; none of branches
    /// that have no record of it.
    pub windows: Vec<(Window, u64)>,
    /// The alerts that there would be if nothing more came, as objects of JSON.
    pub alerts: Vec<ByteBuf>,
    /// Rows for which an expression failed, so that no rule could judge them: why.
    pub failures: Vec<String>,
}

/// What the windows say to a question: the row of the open one that holds most of the key, of each branch that has one.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    number: u64,
    open: Vec<(usize, Rows)>,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    number: u64,
    finding: Finding,
}

/// Questions and whoever waits for their answers.
#[derive(Default)]
pub(crate) struct Desk(Mutex<Open>);

/// Takes the answer.
type Take = Box<dyn FnOnce(Finding) + Send>;

#[derive(Default)]
struct Open {
    /// Whether somebody may ask.
    is_manned: bool,
    next: u64,
    asked: Vec<Question>,
    waiting: BTreeMap<u64, Take>,
}

/// There are too many questions at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many questions at once")]
pub struct TooMany;

impl std::fmt::Debug for Desk {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Desk({} waiting)", self.open().waiting.len())
    }
}

impl Desk {
    /// Puts a question, whose number it gives.
    pub(crate) fn ask(&self, key: &[u8], take: Take) -> Result<u64, TooMany> {
        let mut open = self.open();
        if open.waiting.len() >= QUESTIONS_MAX {
            return Err(TooMany);
        }
        let number = open.next;
        open.next += 1;
        open.asked.push(Question { number, key: ByteBuf::from(key) });
        open.waiting.insert(number, take);
        Ok(number)
    }

    /// Nobody waits for that answer any more.
    pub(crate) fn forget(&self, number: u64) {
        let mut open = self.open();
        open.waiting.remove(&number);
        open.asked.retain(|question| question.number != number);
    }

    /// Somebody may ask from now on.
    pub(crate) fn open_up(&self) {
        self.open().is_manned = true;
    }

    /// Whether somebody may ask.
    pub(crate) fn is_manned(&self) -> bool {
        self.open().is_manned
    }

    /// Whether questions wait to be taken.
    pub(crate) fn is_asked(&self) -> bool {
        !self.open().asked.is_empty()
    }

    /// The questions that were put since the last call, by the worker that is to answer them.
    pub(crate) fn take(&self, shards: u32, peers: usize) -> BTreeMap<u32, Vec<Question>> {
        let asked = std::mem::take(&mut self.open().asked);
        let mut by_worker: BTreeMap<u32, Vec<Question>> = BTreeMap::new();
        for question in asked {
            let worker = Shard::of(key_hash(&question.key), shards).worker(shards, peers);
            by_worker.entry(worker as u32).or_default().push(question);
        }
        by_worker
    }

    /// Gives an answer to whoever still waits for it.
    pub(crate) fn answer(&self, answer: Answer) {
        let waiting = self.open().waiting.remove(&answer.number);
        // Whoever has left does not want it.
        if let Some(take) = waiting {
            take(answer.finding);
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Question {
    /// Looks into the open windows of all branches.
    pub(crate) fn look(&self, kept: &[Kept]) -> Asked {
        let hash = key_hash(&self.key);
        let open = kept.iter().map(|kept| kept.peek(&self.key, hash)).enumerate();
        Asked { number: self.number, open: open.filter_map(|(branch, rows)| Some((branch, rows?))).collect() }
    }
}

impl Asked {
    /// Lets the rules judge what is there, by what is known of the key, and by what models say that are on this machine.
    pub(crate) fn answer(&self, job: &Job, followed: &[Followed], models: &mut Responders) -> Answer {
        let mut finding = Finding { windows: Vec::new(), alerts: Vec::new(), failures: Vec::new() };
        for (number, rows) in &self.open {
            let branch = &job.branches[*number];
            finding.windows.push((rows.spans.of(0).window, rows.records[0]));
            let detected = followed[*number].consider(branch, rows, models);
            finding.alerts.extend(branch.renderer.objects(&detected).into_iter().map(ByteBuf::from));
            finding.failures.extend(detected.failed.details);
        }
        Answer { number: self.number, finding }
    }
}
