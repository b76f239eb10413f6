//! Where a job goes on: the last checkpoint, if it fits, and what each worker takes from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use alert::{Deliverer, Delivery, SinkSpec};
use archive::{Archive, ArchiveError, Archived};
use checkpoint::{Kind, Manifest, Operator, Segment, SourceState, Store, StoreError, Writer, decode};
use event::{CapState, OutputRow, Shard, SinkId, Watermark, key_hash};
use ingest::{PartitionWatermark, Position, WatermarkSpec};
use window::{ASIDES, ChunkHead, KEYS};

use crate::branches::Kept;
use crate::delivery::{Before, OpenSink};
use crate::followed::{Followed, SavedKeys};
use crate::job::{Beginning, Job, RunError, Summary};
use crate::plant::Plant;
use crate::world::World;

/// A job's state as it was found.
#[derive(Debug, Clone)]
pub(crate) struct Recovery {
    pub(crate) store: Option<Store>,
    /// Where what is read is archived.
    pub(crate) archive: Option<Archive>,
    /// The checkpoint that the job goes on from.
    pub(crate) manifest: Option<Arc<Manifest>>,
    /// The newest checkpoint that there is.
    pub(crate) newest: Option<u32>,
    /// Which start of the job this is, counted from 1; 0 if it keeps no state.
    pub(crate) generation: u64,
    pub(crate) world: World,
}

/// Finds the checkpoint to go on from, and checks that it belongs to the job and that its parts are there.
pub(crate) fn recover(job: &Job, from: Beginning, world: &World) -> Result<Recovery, RunError> {
    let world = world.clone();
    let Some(state) = &job.state else {
        return Ok(Recovery {
            store: None,
            archive: None,
            manifest: None,
            newest: None,
            generation: 0,
            world,
        });
    };
    if let Some(source) = job.sources.iter().find(|source| !source.kind.is_repeatable()) {
        return Err(RunError::NotRepeatable(source.name.clone()));
    }
    let store = world.open_store(&state.location)?;
    let newest = store.numbers()?.last().copied();
    let number = match from {
        Beginning::Newest => newest,
        Beginning::Checkpoint(number) => Some(number),
        Beginning::Scratch => None,
    };
    let manifest = number.map(|number| store.manifest(number).map(Arc::new)).transpose()?;
    if let Some(manifest) = &manifest {
        check_identity(job, manifest)?;
        manifest.segments.iter().try_for_each(|segment| store.check_segment(manifest.number, segment))?;
    }
    let generation = match (&manifest, newest) {
        (Some(manifest), Some(newest)) if newest == manifest.number => manifest.generation + 1,
        (_, newest) => next_generation(&store, newest)?,
    };
    let archive = job.archive.as_deref().map(|address| world.open_archive(address)).transpose()?;
    Ok(Recovery { store: Some(store), archive, manifest, newest, generation, world })
}

/// The number of the newest checkpoint, if there is any.
pub(crate) fn newest_number(job: &Job, world: &World) -> Result<Option<u32>, RunError> {
    let Some(state) = &job.state else { return Ok(None) };
    Ok(world.open_store(&state.location)?.numbers()?.last().copied())
}

/// A generation that is later than all before it, even if the newest manifests cannot be read: each
/// generation takes a number, so there are no more of them than numbers.
fn next_generation(store: &Store, newest: Option<u32>) -> Result<u64, StoreError> {
    let Some(newest) = newest else { return Ok(1) };
    let (number, generation) =
        store.newest_readable()?.map_or((0, 1), |manifest| (manifest.number, manifest.generation));
    Ok(generation + u64::from(newest.saturating_sub(number)) + 1)
}

/// What another process than the first finds before the first has told it anything: the totals, if there is
/// nothing to do.
///
/// The first may have fenced the state already, or not. So this looks only at what the first would find in
/// any case, and leaves to it what else there is to refuse.
pub(crate) fn find_finished(job: &Job, world: &World) -> Result<Option<Summary>, RunError> {
    let from = job.state.as_ref().map(|state| state.from).unwrap_or_default();
    let found = match from {
        // Nothing is finished that begins anew.
        Beginning::Scratch => return Ok(None),
        Beginning::Newest | Beginning::Checkpoint(_) => recover(job, from, world),
    };
    match (found, from) {
        (Ok(recovery), _) => Ok(recovery.finished()),
        // The first process has begun meanwhile, and removed what it does not need.
        (Err(RunError::Store(StoreError::Unknown { .. })), _) => Ok(None),
        (Err(RunError::Store(StoreError::Part { .. })), Beginning::Checkpoint(_)) => Ok(None),
        (Err(error), _) => Err(error),
    }
}

/// Whether a checkpoint is of this job.
///
/// # Errors
/// What it was made with, and what the job now has.
pub(crate) fn check_identity(job: &Job, manifest: &Manifest) -> Result<(), RunError> {
    let Some(state) = &job.state else { return Ok(()) };
    let differs = |name: &str, found: &str, wanted: &str| RunError::Identity {
        dir: state.location.path(),
        name: name.to_owned(),
        found: found.to_owned(),
        wanted: wanted.to_owned(),
    };
    // Alerts are named after the job, and databases know by that name what they were given.
    if manifest.job != job.name {
        return Err(differs("name", &manifest.job, &job.name));
    }
    if manifest.shards != state.shards {
        let (found, wanted) = (manifest.shards.to_string(), state.shards.to_string());
        return Err(differs("state.shards", &found, &wanted));
    }
    for (name, wanted) in &job.identity {
        let found = manifest.identity.iter().find(|(found, _)| found == name);
        let found = found.map_or("nothing", |(_, value)| value);
        if found != wanted {
            return Err(differs(name, found, wanted));
        }
    }
    let gone =
        manifest.identity.iter().find(|(name, _)| job.identity.iter().all(|(wanted, _)| wanted != name));
    match gone {
        Some((name, found)) => Err(differs(name, found, "nothing")),
        None => Ok(()),
    }
}

impl Recovery {
    /// The totals of a job that is finished.
    pub(crate) fn finished(&self) -> Option<Summary> {
        let manifest = self.manifest.as_ref().filter(|manifest| manifest.finished)?;
        let (counts, watermark) = (manifest.counts, manifest.watermark);
        Some(Summary { counts, finished: true, watermark, already_finished: true })
    }

    /// Number of the interval that is read first.
    pub(crate) fn first_interval(&self) -> u32 {
        self.manifest.as_ref().map_or(1, |manifest| manifest.number + 1)
    }

    /// Number of the checkpoint that the job goes on from.
    pub(crate) fn checkpoint(&self) -> u32 {
        self.manifest.as_ref().map_or(0, |manifest| manifest.number)
    }

    /// Where a partition is read on, and its watermark.
    pub(crate) fn partition(
        &self,
        state: &SourceState,
        spec: WatermarkSpec,
    ) -> Result<(Position, PartitionWatermark), RunError> {
        let position = decode(Kind::Position, &state.position)
            .map_err(|error| RunError::Snapshot(format!("position of {}: {error}", state.partition)))?;
        if self.world.has(Plant::ForgetWatermark) {
            return Ok((position, PartitionWatermark::new(spec)));
        }
        Ok((position, PartitionWatermark::resume(spec, state.watermark)))
    }

    /// Gives the windows of each branch the keys that a worker holds.
    pub(crate) fn restore(&self, branches: &mut [Kept], worker: usize, peers: usize) -> Result<(), RunError> {
        let (Some(store), Some(manifest)) = (&self.store, &self.manifest) else { return Ok(()) };
        let stale = self.stale_segments(store, manifest)?;
        let mut chains: BTreeMap<(usize, Writer), Vec<&Segment>> = BTreeMap::new();
        let shared = |segment: &&Segment| segment.writer.shares_with(worker, peers, manifest.shards);
        for segment in manifest.segments.iter().chain(&stale).filter(shared) {
            if let Some(branch) = segment.operator.branch() {
                chains.entry((branch, segment.writer)).or_default().push(segment);
            }
        }
        branches.iter_mut().for_each(|kept| kept.windows.restore_closed(manifest.watermark));
        let owns = |hash: u64| Shard::of(hash, manifest.shards).worker(manifest.shards, peers) == worker;
        for ((branch, _), chain) in chains {
            let Some(kept) = branches.get_mut(branch) else {
                return Err(RunError::Snapshot(format!("it has windows of a branch {branch}")));
            };
            self.restore_chain(store, manifest, &chain, kept, &owns)?;
        }
        Ok(())
    }

    /// Gives what each branch follows the keys that a worker holds. What was kept of branches that put out no episodes, or have no
    /// detectors, by now is left out.
    pub(crate) fn restore_followed(
        &self,
        followed: &mut [Followed],
        worker: usize,
        peers: usize,
    ) -> Result<(), RunError> {
        let (Some(store), Some(manifest)) = (&self.store, &self.manifest) else { return Ok(()) };
        if self.world.has(Plant::ForgetEpisodes) {
            return Ok(());
        }
        let owns =
            |key: &[u8]| Shard::of(key_hash(key), manifest.shards).worker(manifest.shards, peers) == worker;
        for segment in &manifest.segments {
            let branch = match segment.operator {
                Operator::Models(branch) => branch,
                Operator::Episodes(branch) | Operator::Detectors(branch) | Operator::Rows(branch)
                    if segment.writer.shares_with(worker, peers, manifest.shards) =>
                {
                    branch
                }
                _ => continue,
            };
            let Some(followed) = followed.get_mut(usize::from(branch)) else { continue };
            for (offset, chunk) in segment.live() {
                let (number, kind) = (manifest.number, Kind::State);
                let saved = match segment.operator {
                    Operator::Episodes(_) => {
                        SavedKeys::Episodes(store.read_chunk(number, segment, offset, &chunk, kind)?.0)
                    }
                    Operator::Models(_) => {
                        SavedKeys::Models(store.read_chunk(number, segment, offset, &chunk, kind)?.0)
                    }
                    Operator::Rows(_) => {
                        SavedKeys::Rows(store.read_chunk(number, segment, offset, &chunk, kind)?.0)
                    }
                    _ => SavedKeys::Known(store.read_chunk(number, segment, offset, &chunk, kind)?.0),
                };
                followed.restore(saved, &owns);
            }
        }
        Ok(())
    }

    /// Takes in what one worker wrote of one branch.
    fn restore_chain(
        &self,
        store: &Store,
        manifest: &Manifest,
        chain: &[&Segment],
        kept: &mut Kept,
        owns: &dyn Fn(u64) -> bool,
    ) -> Result<(), RunError> {
        let mut restoration = kept.windows.restore(owns);
        let forgets = self.world.has(Plant::ForgetTimer);
        // Rows name keys that a later segment may hold.
        for keys in [true, false] {
            for segment in chain {
                for (offset, chunk) in segment.live().filter(|(_, c)| (c.label == KEYS) == keys) {
                    if forgets && chunk.label == ASIDES {
                        continue;
                    }
                    let (head, parts) =
                        store.read_chunk(manifest.number, segment, offset, &chunk, Kind::State)?;
                    let taken = match (head, kept.recall.as_mut()) {
                        (ChunkHead::Recall(head), Some(recall)) => recall.restore(head, owns),
                        (head, _) => restoration.take(head, &parts),
                    };
                    taken.map_err(|error| RunError::Snapshot(format!("{}: {error}", segment.name)))?;
                }
            }
        }
        restoration.finish().map_err(|error| RunError::Snapshot(error.to_string()))
    }

    /// Segments that no manifest names for this checkpoint: none, unless that mistake is planted.
    fn stale_segments(&self, store: &Store, manifest: &Manifest) -> Result<Vec<Segment>, RunError> {
        if !self.world.has(Plant::StaleParts) {
            return Ok(Vec::new());
        }
        let mut stale = Vec::new();
        for number in store.numbers()?.into_iter().filter(|number| *number < manifest.number) {
            let segments = store.manifest(number)?.segments.into_iter();
            stale.extend(segments.filter(|segment| {
                segment.operator.is_keyed() && !manifest.segments.iter().any(|s| s.name == segment.name)
            }));
        }
        Ok(stale)
    }

    /// Begins a generation: commits a checkpoint that says what the one before it says, before anything is
    /// read or put out. From then on nobody of an older generation can commit. The first of a job says where
    /// its partitions begin and what its sinks are. Removes what runs that died have left behind.
    pub(crate) fn fence(
        &mut self,
        job: &Job,
        peers: usize,
        sinks: &[OpenSink],
        sources: &BTreeMap<u32, SourceState>,
    ) -> Result<(), RunError> {
        let (Some(store), Some(state)) = (&self.store, &job.state) else { return Ok(()) };
        let before = self.manifest.as_deref();
        if before.is_some() && self.world.has(Plant::SkipFence) {
            return Ok(());
        }
        let segments = before.map(|manifest| manifest.segments.as_slice()).unwrap_or_default();
        let segments = segments.iter().filter(|segment| segment.operator.is_keyed());
        let manifest = Manifest {
            number: self.newest.map_or(0, |newest| newest + 1),
            generation: self.generation,
            born: before.map_or(self.generation, |manifest| manifest.born),
            peers: peers as u32,
            fence: before.is_some(),
            follows: before.map(|manifest| match manifest.follows {
                // Nothing was put out since, and fences are not kept.
                Some(repeated) if manifest.fence => repeated,
                _ => manifest.number,
            }),
            committed_at: self.world.wall(),
            job: job.name.clone(),
            identity: job.identity.clone(),
            shards: state.shards,
            segments: segments.cloned().collect(),
            sources: sources.values().cloned().collect(),
            watermark: self.watermark(),
            held: self.held(job),
            capped: self.capped(job),
            counts: before.map(|manifest| manifest.counts).unwrap_or_default(),
            sinks: sinks.iter().map(|open| open.state(0)).collect(),
            finished: false,
        };
        // All is read before the fence: what cannot be read must not be found out when it has given something up.
        let survey = store.survey()?;
        let leftovers = self.archive.as_ref().map(Archive::leftovers).transpose()?;
        store.commit(&manifest)?;
        store.sweep(&survey)?;
        if let (Some(archive), Some(leftovers)) = (&self.archive, leftovers) {
            // Nothing between the two was kept.
            let given_up = manifest.follows.map_or(0, |follows| follows + 1)..manifest.number;
            archive.sweep(&leftovers, given_up)?;
        }
        self.newest = Some(manifest.number);
        self.manifest = Some(Arc::new(manifest));
        Ok(())
    }

    /// Rows that wait for their turn, for the sinks that the job has now.
    pub(crate) fn held(&self, job: &Job) -> Vec<OutputRow> {
        let forgets = self.world.has(Plant::ForgetHeld);
        let Some(manifest) = self.manifest.as_ref().filter(|_| !forgets) else { return Vec::new() };
        let renumbered = manifest.held.iter().filter_map(|row| {
            let name = &manifest.sinks.get(usize::from(row.sink.0))?.name;
            let sink = job.sinks.iter().position(|spec| spec.name == *name)?;
            Some(OutputRow { sink: SinkId(sink as u16), ..row.clone() })
        });
        renumbered.collect()
    }

    /// What caps know, of the sinks that the job has now.
    pub(crate) fn capped(&self, job: &Job) -> Vec<CapState> {
        let Some(manifest) = &self.manifest else { return Vec::new() };
        let renumbered = manifest.capped.iter().filter_map(|state| {
            let name = &manifest.sinks.get(usize::from(state.sink.0))?.name;
            let sink = job.sinks.iter().position(|spec| spec.name == *name)?;
            Some(CapState { sink: SinkId(sink as u16), ..state.clone() })
        });
        renumbered.collect()
    }

    /// The watermark that the windows had applied.
    pub(crate) fn watermark(&self) -> Watermark {
        self.manifest.as_ref().map_or(Watermark::NONE, |manifest| manifest.watermark)
    }

    /// Shows what the last checkpoints have archived.
    ///
    /// # Errors
    /// If the archive refuses, or has files although no checkpoint knows of it.
    pub(crate) fn show_archived(&self) -> Result<(), RunError> {
        let (Some(store), false) = (&self.store, self.archive.is_none() && self.manifest.is_none()) else {
            return Ok(());
        };
        let mut known = false;
        for manifest in self.last_manifests()? {
            let segments = manifest.segments.iter().filter(|segment| segment.operator == Operator::Archive);
            for (segment, (offset, chunk)) in
                segments.flat_map(|segment| segment.live().map(move |c| (segment, c)))
            {
                let (archived, _): (Archived, _) =
                    store.read_chunk(manifest.number, segment, offset, &chunk, Kind::Archive)?;
                known = true;
                if self.world.has(Plant::ForgetToShow) {
                    continue;
                }
                // Where it was then: what was committed is shown there even if the job archives no more.
                self.world.open_archive(&archived.address)?.show(manifest.number, &archived.files)?;
            }
        }
        match &self.archive {
            Some(archive) if !known && !archive.is_empty()? => {
                Err(ArchiveError::NotEmpty { place: archive.place().clone() }.into())
            }
            _ => Ok(()),
        }
    }

    /// Opens the job's sinks, each as far as it got.
    pub(crate) fn open_sinks(&self, job: &Job) -> Result<Vec<OpenSink>, RunError> {
        let manifests = self.last_manifests()?;
        job.sinks.iter().map(|spec| self.open_sink(job, spec, &manifests)).collect()
    }

    /// The checkpoints whose outboxes are still there, up to the one that the job goes on from, oldest first.
    ///
    /// What does not follow one another belongs to another history: that before a start from another
    /// checkpoint or from scratch, one that a loss of power has brought back, one that cannot be read.
    fn last_manifests(&self) -> Result<Vec<Manifest>, RunError> {
        let (Some(store), Some(manifest)) = (&self.store, &self.manifest) else { return Ok(Vec::new()) };
        let trusts = self.world.has(Plant::TrustGaps);
        let mut manifests = vec![Manifest::clone(manifest)];
        for number in store.numbers()?.into_iter().rev().filter(|number| *number < manifest.number) {
            let after = &manifests[manifests.len() - 1];
            if after.follows != Some(number) && !trusts {
                continue;
            }
            match store.readable(number)? {
                Some(before) if trusts || is_followed(&before, after) => manifests.push(before),
                _ => break,
            }
        }
        manifests.reverse();
        Ok(manifests)
    }

    fn open_sink(&self, job: &Job, spec: &SinkSpec, manifests: &[Manifest]) -> Result<OpenSink, RunError> {
        let target = spec.kind.target();
        let deliverer = Deliverer { job: job.name.clone(), generation: self.generation };
        let before = self.before(spec, &target, manifests)?;
        let sink = self.world.open_sink(spec, &deliverer, &before)?;
        Ok(OpenSink { name: spec.name.clone(), target, mode: spec.mode, sink })
    }

    /// What the last checkpoints say of a sink.
    fn before(&self, spec: &SinkSpec, target: &str, manifests: &[Manifest]) -> Result<Before, RunError> {
        let Some(store) = &self.store else { return Ok(Before::Nothing) };
        let mut before = Before::Nothing;
        for manifest in manifests {
            let known = manifest.sinks.iter().enumerate().find(|(_, sink)| sink.name == spec.name);
            let Some((index, sink)) = known else { continue };
            if sink.target != target {
                return Err(RunError::Identity {
                    dir: store.dir().to_owned(),
                    name: format!("sink.{}", spec.name),
                    found: sink.target.clone(),
                    wanted: target.to_owned(),
                });
            }
            // What was put out before it delivered at once is part of what it holds.
            let Some(start) = sink.start else {
                before = Before::AtOnce(manifest.number);
                continue;
            };
            let outboxes = manifest.segments.iter().filter(|segment| segment.operator == Operator::Outbox);
            let mut chunks = outboxes.flat_map(|segment| segment.live().map(move |place| (segment, place)));
            let chunk = chunks.find(|(_, (_, chunk))| chunk.label == index as i64);
            let mut bytes = Vec::new();
            if let Some((segment, (offset, chunk))) = chunk {
                let ((), parts) = store.read_chunk(manifest.number, segment, offset, &chunk, Kind::Outbox)?;
                bytes = parts.concat();
            }
            let delivery = Delivery { number: manifest.number, start, bytes };
            match &mut before {
                Before::Deliveries(deliveries) => deliveries.push(delivery),
                before => *before = Before::Deliveries(vec![delivery]),
            }
        }
        Ok(before)
    }
}

/// Whether a checkpoint is the one that the other follows, and not another of that number: a run that was
/// long thought dead may have taken it once it was free again. Only a fence follows another generation.
fn is_followed(before: &Manifest, after: &Manifest) -> bool {
    after.fence || before.generation == after.generation
}

#[cfg(test)]
mod tests {
    use event::Counts;

    use super::*;

    fn manifest(number: u32, follows: Option<u32>, generation: u64, fence: bool) -> Manifest {
        Manifest {
            number,
            generation,
            born: 1,
            peers: 1,
            fence,
            follows,
            committed_at: 0,
            job: "job".to_owned(),
            identity: Vec::new(),
            shards: 8,
            segments: Vec::new(),
            sources: Vec::new(),
            watermark: Watermark::NONE,
            held: Vec::new(),
            capped: Vec::new(),
            counts: Counts::default(),
            sinks: Vec::new(),
            finished: false,
        }
    }

    /// The history of the last of these checkpoints, and the generation of the next start.
    fn check(manifests: &[Manifest], damaged: Option<u32>, history: &[u32], next: u64) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        manifests.iter().for_each(|manifest| store.commit(manifest).unwrap());
        if let Some(number) = damaged {
            std::fs::write(dir.path().join(format!("checkpoints/{number:010}")), "no manifest").unwrap();
        }
        let last = manifests.last().unwrap();
        assert_eq!(next_generation(&store, Some(last.number)).unwrap(), next);
        let manifest = Some(Arc::new(last.clone()));
        let recovery = Recovery {
            store: Some(store),
            archive: None,
            manifest,
            newest: None,
            generation: 9,
            world: World::Real,
        };
        let found = recovery.last_manifests().unwrap();
        assert_eq!(found.iter().map(|manifest| manifest.number).collect::<Vec<_>>(), history);
    }

    #[test]
    fn a_history_goes_back_over_fences_as_far_as_each_checkpoint_follows_the_one_before() {
        let real = |number: u32, generation| manifest(number, number.checked_sub(1), generation, false);
        let fence = |number, follows, generation| manifest(number, Some(follows), generation, true);
        let whole = [real(6, 1), real(7, 1), fence(8, 7, 2), real(9, 2), fence(12, 9, 5)];
        check(&whole, None, &[6, 7, 8, 9, 12], 6);
        check(&whole, Some(7), &[8, 9, 12], 6);
        // Whoever committed what cannot be read has not had more generations than numbers.
        check(&whole, Some(12), &[6, 7, 8, 9, 12], 2 + 3 + 1);
        // What was given up by a start from 6 does not belong to it, nor what was there before one from scratch.
        check(&[real(6, 1), real(7, 1), real(8, 1), fence(9, 6, 2)], None, &[6, 9], 3);
        check(&[real(6, 1), manifest(7, None, 2, false), real(8, 2)], None, &[7, 8], 3);
        // The fence 8 was removed, and one of its forerunners has taken its number since.
        check(&[real(7, 1), real(8, 1), real(9, 2), real(10, 2)], None, &[9, 10], 3);
    }
}
