//! Commits checkpoints one after the other, and delivers what they hold, on a lane of its own.
//!
//! The order is the promise: what was put out at once is durable, then the outbox, then the manifest that
//! names it, and only then do the other sinks get their lines. A step for which there is no space is taken
//! again ([`crate::space`]); the steps before it are not.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use archive::{Archive, Archived, StagedFile};
use bytes::Bytes;
use checkpoint::{
    Frame, Kind, Manifest, Operator, Retained, Segment, SegmentBuilder, SinkState, SourceState, Store,
    StoreError, Writer,
};

use crate::delivery::{Activate, Cut, Failure, OpenSink, Order, Plan, note, start};
use crate::job::{Job, RunError};
use crate::plant::Plant;
use crate::space::Patience;
use crate::worker::Here;
use crate::world::{After, Lane, World};

/// A checkpoint on its way.
struct Checkpoint {
    cut: Cut,
    segments: Vec<Segment>,
    sources: Vec<SourceState>,
    outbox: Vec<Bytes>,
    /// Once the outbox is durable.
    manifest: Option<Manifest>,
    committed: bool,
    /// Sinks that have what it puts out.
    delivered: usize,
}

/// What was done for a checkpoint.
enum Step {
    /// A part of it; there is more to do.
    Taken,
    /// All of it.
    Last,
}

/// The lane that commits, as the writer of sinks sees it.
pub(crate) struct Committer {
    orders: Option<Lane<Checkpoint>>,
    committed: Receiver<u32>,
}

impl Committer {
    pub(crate) fn start(here: &Here, mut work: Committing, activate: Activate, failure: Failure) -> Self {
        let (done, committed) = channel();
        let mut patience = Patience::new(here);
        let work = move |checkpoint: &mut Checkpoint| {
            let after = match work.advance(checkpoint) {
                // A step at a time, so that whoever simulates a crash can have it between two.
                Ok(Step::Taken) => return After::Again(Duration::ZERO),
                Ok(Step::Last) => {
                    patience.over();
                    // Nobody listens any more once the run has failed.
                    let _ = done.send(checkpoint.cut.number);
                    After::Done
                }
                Err(error) => patience.after(error).unwrap_or_else(|error| {
                    note(&failure, error);
                    After::Stop
                }),
            };
            activate();
            after
        };
        Committer { orders: start(here, "commit", work), committed }
    }

    /// Has a cut committed.
    pub(crate) fn commit(&self, mut cut: Cut, segments: Vec<Segment>, sources: Vec<SourceState>) {
        let outbox = std::mem::take(&mut cut.outbox).into_iter().map(Bytes::from).collect();
        let Some(orders) = &self.orders else { return };
        let (manifest, committed, delivered) = (None, false, 0);
        orders.send(Checkpoint { cut, segments, sources, outbox, manifest, committed, delivered });
    }

    /// Numbers of the checkpoints that were committed since the last call.
    pub(crate) fn committed(&self) -> Vec<u32> {
        self.committed.try_iter().collect()
    }
}

/// What is needed to commit.
pub(crate) struct Committing {
    job: Arc<Job>,
    world: World,
    plan: Plan,
    store: Store,
    archive: Option<Archive>,
    /// The checkpoints that are kept, once the first of this run was committed. Read on this lane: a worker
    /// that waits for a store that is away would be taken for one that hangs.
    retained: Option<Retained>,
    sinks: Vec<(usize, OpenSink)>,
    /// How the last checkpoint described each sink.
    states: Vec<SinkState>,
    syncs: Vec<Lane<Order>>,
}

impl Committing {
    /// `sinks` are those that deliver exactly once, `states` describes all, `syncs` are the lanes of the
    /// others.
    pub(crate) fn new(
        here: &Here,
        plan: Plan,
        (store, archive): (Store, Option<Archive>),
        sinks: Vec<(usize, OpenSink)>,
        states: Vec<SinkState>,
        syncs: Vec<Lane<Order>>,
    ) -> Self {
        let (job, world) = (Arc::clone(&here.job), here.world.clone());
        Committing { job, world, plan, store, archive, retained: None, sinks, states, syncs }
    }

    /// Takes the next step that a checkpoint needs.
    fn advance(&mut self, checkpoint: &mut Checkpoint) -> Result<Step, RunError> {
        let Some(manifest) = &checkpoint.manifest else {
            let is_empty = checkpoint.outbox.iter().all(Bytes::is_empty) && !checkpoint.cut.finished;
            if is_empty && self.world.has(Plant::SkipEmpty) {
                return Ok(Step::Last);
            }
            self.sync_live()?;
            let number = checkpoint.cut.number;
            let outbox = self.write_outbox(number, &checkpoint.outbox)?;
            let archived = self.write_archived(number, &checkpoint.cut.archived).inspect_err(|_| {
                // Written again by the next attempt.
                outbox.iter().for_each(|segment| self.store.discard(segment));
            })?;
            checkpoint.segments.extend(outbox.into_iter().chain(archived));

            checkpoint.manifest = Some(self.describe(checkpoint));
            if let Some(archive) = self.archive.as_ref().filter(|_| self.world.has(Plant::ShowEarly)) {
                archive.show(number, &checkpoint.cut.archived)?;
            }
            if self.world.has(Plant::OutputBeforeCommit) {
                self.deliver(checkpoint)?;
            }
            return Ok(Step::Taken);
        };
        if !checkpoint.committed {
            self.store.commit(manifest)?;
            checkpoint.committed = true;
            return Ok(Step::Taken);
        }
        let manifest = manifest.clone();
        self.deliver(checkpoint)?;
        let is_first = self.retained.is_none();
        let retained = match &mut self.retained {
            Some(retained) => retained,
            unread => unread.insert(self.store.retained()?),
        };
        self.store.retain(retained, &manifest)?;
        // A job that asks no model any more has left some.
        if self.job.asks_models() || is_first {
            self.store.forget_answers(retained)?;
        }
        Ok(Step::Last)
    }

    fn describe(&mut self, checkpoint: &Checkpoint) -> Manifest {
        for (index, open) in &self.sinks {
            self.states[*index] = open.state(checkpoint.outbox[*index].len() as u64);
        }
        let cut = &checkpoint.cut;
        Manifest {
            number: cut.number,
            generation: self.plan.generation,
            born: self.plan.born,
            peers: self.plan.peers,
            fence: false,
            follows: cut.number.checked_sub(1),
            committed_at: self.world.wall(),
            job: self.job.name.clone(),
            identity: self.job.identity.clone(),
            shards: self.job.state.as_ref().map_or(crate::SHARDS, |state| state.shards),
            segments: checkpoint.segments.clone(),
            sources: checkpoint.sources.clone(),
            watermark: cut.watermark,
            held: cut.held.clone(),
            capped: cut.capped.clone(),
            counts: cut.counts,
            sinks: self.states.clone(),
            finished: cut.finished,
        }
    }

    fn deliver(&mut self, checkpoint: &mut Checkpoint) -> Result<(), RunError> {
        let (number, twice) = (checkpoint.cut.number, self.world.has(Plant::DeliverTwice));
        if let Some(archive) = &self.archive {
            archive.show(number, &checkpoint.cut.archived)?;
        }
        for (index, open) in self.sinks.iter_mut().skip(checkpoint.delivered) {
            open.sink.deliver(number, &checkpoint.outbox[*index])?;
            if twice {
                open.sink.deliver(number, &checkpoint.outbox[*index])?;
            }
            checkpoint.delivered += 1;
        }
        Ok(())
    }

    /// Has what was put out at once made durable.
    fn sync_live(&self) -> Result<(), RunError> {
        let (done, finished) = channel();
        self.syncs.iter().for_each(|orders| orders.send(Order::Sync(done.clone())));
        drop(done);
        self.syncs.iter().for_each(Lane::help);
        // Ends when every sink has answered, or is gone with its failure.
        if finished.iter().count() < self.syncs.len() {
            return Err(RunError::Died(
                "a sink has failed; its lines are not to be counted as put out".into(),
            ));
        }
        Ok(())
    }

    /// Writes which files of the archive belong to a checkpoint: also if there are none, so that the checkpoint says that
    /// there is an archive.
    fn write_archived(&self, number: u32, files: &[StagedFile]) -> Result<Option<Segment>, StoreError> {
        let Some(address) = self.job.archive.clone().filter(|_| self.archive.is_some()) else {
            return Ok(None);
        };
        let name = format!("{number:010}-archive-{:016x}", self.world.nonce());
        let mut builder =
            SegmentBuilder::new(Operator::Archive, Writer { worker: 0, peers: self.plan.peers });
        let frame = Frame::new(Kind::Archive, &Archived { address, files: files.to_vec() }, Vec::new())
            .map_err(|source| StoreError::Damaged { path: name.clone().into(), source })?;
        builder.push(0, frame);
        let (segment, pieces) = builder.finish(name);
        self.store.write_segment(&segment, &pieces)?;
        Ok(Some(segment))
    }

    /// Writes what sinks are to be given, under a name that no attempt before had.
    fn write_outbox(&self, number: u32, outbox: &[Bytes]) -> Result<Option<Segment>, StoreError> {
        let name = format!("{number:010}-outbox-{:016x}", self.world.nonce());
        let mut builder = SegmentBuilder::new(Operator::Outbox, Writer { worker: 0, peers: self.plan.peers });
        for (index, lines) in outbox.iter().enumerate().filter(|(_, lines)| !lines.is_empty()) {
            let frame = Frame::new(Kind::Outbox, &(), vec![lines.clone()])
                .map_err(|source| StoreError::Damaged { path: name.clone().into(), source })?;
            builder.push(index as i64, frame);
        }
        if builder.is_empty() {
            return Ok(None);
        }
        let (segment, pieces) = builder.finish(name);
        self.store.write_segment(&segment, &pieces)?;
        Ok(Some(segment))
    }
}
