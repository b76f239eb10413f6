//! Counts what all workers tell of their rows, cohort by cohort, and says what each is like: the part of a job that is kept in
//! differential dataflow, where a corrected row takes back what it was and puts in what it is.
//!
//! Changes have two times: the epoch, which says when they can be counted, and when their row is due. What falls into one epoch
//! follows batching; an answer is therefore about one due time, and rows are judged by those that are due no later. A window end of
//! which no row can be corrected any more is taken back change by change, each at its own time, so that nothing of it is left.

use std::sync::Arc;

use detect::cohort::{Answer, Change, Group, Member};
use differential_dataflow::AsCollection;
use event::Epoch;
use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;
use timely::dataflow::operators::Leave;
use timely::dataflow::operators::vec::Map;

use crate::worker::Here;

/// A change, as an update of a collection: in which epoch, and by how much.
pub(crate) type Update = (Told, u64, isize);

/// What is told of rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Told {
    branch: u16,
    /// When the rows are due.
    due: i64,
    group: Group,
    member: Member,
}

impl Told {
    /// A change as an update of an epoch.
    pub(crate) fn update(branch: usize, change: Change, epoch: u64) -> Update {
        let Change { group, member, due, diff } = change;
        (Told { branch: branch as u16, due, group, member }, epoch, diff)
    }
}

/// What has changed of a cohort by when rows are due.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Answered {
    pub(crate) branch: u16,
    epoch: u64,
    pub(crate) due: i64,
    pub(crate) group: Group,
    pub(crate) answer: Answer,
    /// Whether it is what the cohort is like now; else it is that no more.
    pub(crate) is_new: bool,
}

impl Answered {
    /// The epoch of the rows that it rests on.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epoch)
    }
}

/// The same, on its way to a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Answering {
    /// Every worker gets one.
    pub(crate) to: u32,
    pub(crate) answered: Answered,
}

/// Builds the operators.
pub(crate) fn cohorts<'scope>(
    here: &Here,
    told: StreamVec<'scope, u64, Update>,
) -> StreamVec<'scope, u64, Answering> {
    let scope = told.scope();
    let (job, peers) = (Arc::clone(&here.job), here.peers as u32);
    let answered =
        scope.iterative::<i64, _, _>(|by_due| {
            let answers = told
                .as_collection()
                .enter_at(by_due, |told| told.due)
                .map(|told| ((told.branch, told.group), told.member))
                .reduce_named("Cohorts", move |(branch, group), members, answers| {
                    let members = members.iter().map(|(member, count)| (*member, *count));
                    answers.push((job.branches[usize::from(*branch)].detection.combine(group, members), 1));
                });
            let answered = answers.inner.map(|(((branch, group), answer), time, diff): (_, _, isize)| {
                Answered { branch, epoch: time.outer, due: time.inner, group, answer, is_new: diff > 0 }
            });
            answered.leave(scope)
        });
    answered.flat_map(move |answered| {
        let to_each = move |to| Answering { to, answered: answered.clone() };
        (0..peers).map(to_each)
    })
}
