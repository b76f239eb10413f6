//! The caps on the alerts of a job, by sink, as the one writer asks them.
//!
//! Each sink of alerts gets the same ones in the same order, but not at the same time: so each has a cap of its own, and all decide
//! alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use alert::{Cap, RollUp};
use event::{CapState, Due, OutputRow, SinkId};

use crate::job::Job;

/// The caps of a job; none in one that has no cap.
pub(crate) struct Caps {
    by_sink: BTreeMap<SinkId, Cap>,
    /// Where rows that are kept back are counted.
    counted_in: Option<SinkId>,
    job: Arc<Job>,
}

impl Caps {
    /// Caps that go on from these states.
    pub(crate) fn new(job: &Arc<Job>, states: Vec<CapState>) -> Self {
        let renderer = job.branches.first().map(|branch| &branch.renderer);
        let limit = renderer.and_then(|renderer| renderer.cap());
        let caps = states.into_iter().filter_map(|state| Some((state.sink, Cap::new(limit?, state))));
        let counted_in = renderer.and_then(|renderer| renderer.counted_in());
        Caps { by_sink: caps.collect(), counted_in, job: Arc::clone(job) }
    }

    /// The sinks whose rows were counted.
    pub(crate) fn sinks(&self) -> Vec<SinkId> {
        self.by_sink.keys().copied().collect()
    }

    /// Whether rows of that sink are counted as kept back.
    pub(crate) fn counts(&self, sink: SinkId) -> bool {
        self.counted_in == Some(sink)
    }

    /// The rows of a sink that speak for what was kept back in minutes that end up to `reached`.
    pub(crate) fn before(&mut self, sink: SinkId, reached: i64) -> Vec<OutputRow> {
        let Some(cap) = self.by_sink.get_mut(&sink) else { return Vec::new() };
        cap.advance(reached).iter().filter_map(|rolled| self.row(sink, rolled)).collect()
    }

    fn row(&self, sink: SinkId, rolled: &RollUp) -> Option<OutputRow> {
        // A branch that is gone since cannot speak.
        let branch = self.job.branches.get(usize::from(rolled.group.branch))?;
        let due = Due {
            due: rolled.end.saturating_sub(1),
            class: 1,
            operator: rolled.group.branch,
            window_end: rolled.end,
            window_start: rolled.start,
            key: Vec::new(),
            rule: 0,
            sequence: 0,
        };
        Some(OutputRow { due, sink, line: branch.renderer.roll_up(rolled), capped: None })
    }

    /// Whether a row goes out. Rows of a sink come in canonical order.
    pub(crate) fn admits(&mut self, row: &OutputRow) -> bool {
        let Some(alert) = &row.capped else { return true };
        let branch = self.job.branches.get(usize::from(alert.group.branch));
        let Some(limit) = branch.and_then(|branch| branch.renderer.cap()) else { return true };
        let cap = self.by_sink.entry(row.sink).or_insert_with(|| Cap::new(limit, CapState::of(row.sink)));
        cap.admits(row.due.due, alert)
    }

    /// Whether nothing is kept back that is still to be spoken of.
    pub(crate) fn are_settled(&self) -> bool {
        self.by_sink.values().all(Cap::is_settled)
    }

    /// What they know, for a checkpoint.
    pub(crate) fn states(&self) -> Vec<CapState> {
        self.by_sink.values().map(|cap| cap.state().clone()).collect()
    }
}
