//! The partitions of a job: which there are when a run begins, who reads which, and what is known of each.
//!
//! A partition's *ordinal* is made of the place of its source in the config and its number there, so that it stays the
//! same whatever comes and goes. Sources that grow are asked for their partitions at the job's first start; from then
//! on checkpoints say which there are, and those that come are found while it runs ([`crate::nursery`]).

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use checkpoint::{Kind, Manifest, SourceState, Stage, decode, encode};
use event::Watermark;
use ingest::{PartitionInfo, Position, SourceSpec, Start};
use serde::{Deserialize, Serialize};

use crate::job::{Job, RunError};
use crate::world::World;

/// How many partitions a source can have.
const NUMBERS: u32 = 1 << 20;

/// A partition of the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    /// The place of its source in the config.
    pub(crate) source: u32,
    pub(crate) info: PartitionInfo,
}

impl Member {
    /// A partition of the source at that place.
    ///
    /// # Errors
    /// If its number is too large.
    pub(crate) fn new(source: usize, info: PartitionInfo) -> Result<Self, RunError> {
        if info.number.max(info.series) >= NUMBERS {
            let words = format!("partition {} has the number {}, beyond {NUMBERS}", info.id, info.number);
            return Err(RunError::Snapshot(words));
        }
        Ok(Member { source: source as u32, info })
    }

    /// Gives it its place among all partitions of the job.
    pub(crate) fn ordinal(&self) -> u32 {
        ordinal(self.source, self.info.number)
    }

    /// The ordinals of those that it goes on from.
    pub(crate) fn parents(&self) -> impl Iterator<Item = u32> {
        self.info.parents.iter().map(|parent| ordinal(self.source, *parent))
    }

    /// The worker that reads it.
    pub(crate) fn owner(&self, peers: usize) -> usize {
        (self.source as usize + self.info.number as usize) % peers
    }

    /// What every worker knows of it.
    fn known(&self, is_over: bool) -> Known {
        Known { name: self.info.id.clone(), series: ordinal(self.source, self.info.series), is_over }
    }

    /// What a checkpoint says of it.
    ///
    /// # Errors
    /// If the position cannot be encoded.
    pub(crate) fn state(
        &self,
        job: &Job,
        position: &Position,
        watermark: Watermark,
        stage: Stage,
        index: Vec<u8>,
    ) -> Result<SourceState, RunError> {
        let position =
            encode(Kind::Position, position).map_err(|error| RunError::Snapshot(error.to_string()))?;
        Ok(SourceState {
            source: job.sources[self.source as usize].name.clone(),
            partition: self.info.id.clone(),
            number: self.info.number,
            parents: self.info.parents.clone(),
            position,
            watermark,
            stage,
            index,
        })
    }
}

/// The ordinal of the partition of that number of the source at that place in the config.
pub(crate) fn ordinal(source: u32, number: u32) -> u32 {
    source * NUMBERS + number
}

/// The partitions of a job as a run begins, by ordinal, each with where it is.
pub(crate) type Members = BTreeMap<u32, (Member, SourceState)>;

/// All partitions: as the checkpoint has them, or as they are found if there is none.
///
/// # Errors
/// If a source cannot be asked, or is not what it was.
pub(crate) fn members(job: &Job, manifest: Option<&Manifest>, world: &World) -> Result<Members, RunError> {
    let mut members = Members::new();
    for (place, spec) in job.sources.iter().enumerate() {
        let of_source = match manifest {
            None if spec.start == Start::Checkpoint => {
                return Err(RunError::NoCheckpoint(spec.name.clone()));
            }
            None => first_members(job, place, world)?,
            Some(manifest) if world.grows(spec) => kept_members(job, place, manifest, world)?,
            Some(manifest) => known_members(job, place, manifest, world)?,
        };
        members.extend(of_source.into_iter().map(|(member, state)| (member.ordinal(), (member, state))));
    }
    Ok(members)
}

/// The partitions of the source at that place in the config.
pub(crate) fn of_source(members: &Members, place: usize) -> Vec<PartitionInfo> {
    let own = members.values().filter(|(member, _)| member.source as usize == place);
    own.map(|(member, _)| member.info.clone()).collect()
}

type OfSource = Vec<(Member, SourceState)>;

/// The partitions of a source that nothing was read of.
fn first_members(job: &Job, place: usize, world: &World) -> Result<OfSource, RunError> {
    let infos = world.partitions(&job.sources[place])?;
    let numbers: Vec<u32> = infos.iter().map(|info| info.number).collect();
    let members = infos.into_iter().map(|info| {
        let waits = info.parents.iter().any(|parent| numbers.contains(parent));
        let member = Member::new(place, info)?;
        let stage = if waits { Stage::Unborn } else { Stage::Awake };
        let state = member.state(job, &member.info.start, Watermark::NONE, stage, Vec::new())?;
        Ok((member, state))
    });
    members.collect()
}

/// The partitions of a source whose partitions are always the same.
fn known_members(job: &Job, place: usize, manifest: &Manifest, world: &World) -> Result<OfSource, RunError> {
    // Where it begins the checkpoint knows, and nobody has to find that out again.
    let spec = &SourceSpec { start: Start::Earliest, ..job.sources[place].clone() };
    let members = world.partitions(spec)?.into_iter().map(|info| {
        let own = |state: &&SourceState| state.source == spec.name && state.partition == info.id;
        match manifest.sources.iter().find(own) {
            Some(state) => Ok((Member::new(place, info)?, state.clone())),
            None => Err(RunError::Snapshot(format!(
                "checkpoint {} has no position for partition {}; \
                 the source must stay as it was when the job was first started",
                manifest.number, info.id
            ))),
        }
    });
    members.collect()
}

/// The partitions of a source as the checkpoint has them.
fn kept_members(job: &Job, place: usize, manifest: &Manifest, world: &World) -> Result<OfSource, RunError> {
    let spec = &job.sources[place];
    let own = manifest.sources.iter().filter(|state| state.source == spec.name);
    let members = own.map(|state| {
        let start = decode(Kind::Position, &state.position)
            .map_err(|error| RunError::Snapshot(format!("position of {}: {error}", state.partition)))?;
        let (id, number, parents) = (state.partition.clone(), state.number, state.parents.clone());
        let info = PartitionInfo { id, number, series: number, start, parents };
        Ok((Member::new(place, info)?, state.clone()))
    });
    let members: OfSource = members.collect::<Result<_, RunError>>()?;
    // Of a source that grows none may have come yet.
    match members.is_empty() && !world.takes_in_newcomers(spec) {
        true => Err(RunError::Snapshot(format!(
            "checkpoint {} knows nothing of source `{}`; the source must stay as it was when the job was first started",
            manifest.number, spec.name
        ))),
        false => Ok(members),
    }
}

/// What every worker knows of a partition.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) name: String,
    /// Ordinal of the first partition with which it shares one sequence of offsets.
    pub(crate) series: u32,
    /// Whether it was at its end before this run began, so that nobody reads it.
    pub(crate) is_over: bool,
}

/// What the workers of a process know of all partitions, those included that are found while the job runs.
#[derive(Debug, Default)]
pub(crate) struct Register(RwLock<BTreeMap<u32, Known>>);

impl Register {
    /// Knows these.
    pub(crate) fn of(members: &Members) -> Self {
        let known = members
            .iter()
            .map(|(ordinal, (member, state))| (*ordinal, member.known(state.stage == Stage::Finished)));
        Register(RwLock::new(known.collect()))
    }

    /// Learns of one more; nothing new is no harm.
    pub(crate) fn learn(&self, member: &Member) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(member.ordinal()).or_insert_with(|| member.known(false));
    }

    /// Whether each was at its end before this run began.
    pub(crate) fn are_all_over(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().all(|known| known.is_over)
    }

    /// What is known of one.
    pub(crate) fn known(&self, ordinal: u32) -> Option<Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&ordinal).cloned()
    }

    /// The ordinal of the first partition with which it shares one sequence of offsets: its own, unless it is known
    /// to be another.
    pub(crate) fn series(&self, ordinal: u32) -> u32 {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&ordinal).map_or(ordinal, |known| known.series)
    }
}
