//! Where a job goes on: the last checkpoint, if it fits, and what each worker takes from it.

use std::sync::Arc;

use alert::{Delivery, Mode, SinkKind, SinkSpec, open_fresh, resume_at_once, resume_exactly_once};
use checkpoint::{Kind, Manifest, Operator, SourceState, Store, decode};
use event::{Counts, OutputRow, SinkId, Watermark};
use ingest::{PartitionInfo, PartitionWatermark, Position};
use serde_bytes::ByteBuf;
use window::{ShardSnapshot, Windows};

use crate::delivery::OpenSink;
use crate::job::{Job, RunError};

/// A job's state as it was found.
#[derive(Debug, Clone)]
pub(crate) struct Recovery {
    pub(crate) store: Option<Store>,
    /// The last committed checkpoint.
    pub(crate) manifest: Option<Arc<Manifest>>,
}

/// Finds the last checkpoint and checks that it belongs to the job.
pub(crate) fn recover(job: &Job) -> Result<Recovery, RunError> {
    let Some(state) = &job.state else {
        return Ok(Recovery { store: None, manifest: None });
    };
    if let Some(source) = job.sources.iter().find(|source| !source.kind.is_repeatable()) {
        return Err(RunError::NotRepeatable(source.name.clone()));
    }
    let store = Store::open(&state.dir)?;
    let manifest = match store.numbers()?.last() {
        Some(number) => Some(Arc::new(store.manifest(*number)?)),
        None => None,
    };
    if let Some(manifest) = &manifest {
        check_identity(job, manifest)?;
    }
    Ok(Recovery { store: Some(store), manifest })
}

fn check_identity(job: &Job, manifest: &Manifest) -> Result<(), RunError> {
    let Some(state) = &job.state else { return Ok(()) };
    let differs = |name: &str, found: &str, wanted: &str| RunError::Identity {
        dir: state.dir.clone(),
        name: name.to_owned(),
        found: found.to_owned(),
        wanted: wanted.to_owned(),
    };
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
    /// Number of the interval that is read first.
    pub(crate) fn first_interval(&self) -> u32 {
        self.manifest.as_ref().map_or(1, |manifest| manifest.number + 1)
    }

    /// Where a partition is read on, and its watermark.
    pub(crate) fn partition(
        &self,
        info: &PartitionInfo,
        bound: i64,
    ) -> Result<(Position, PartitionWatermark), RunError> {
        let Some(manifest) = &self.manifest else {
            return Ok((info.start.clone(), PartitionWatermark::new(bound)));
        };
        let state = manifest.sources.iter().find(|state| state.partition == info.id).ok_or_else(|| {
            RunError::Snapshot(format!(
                "checkpoint {} has no position for partition {}; \
                 the source must stay as it was when the job was first started",
                manifest.number, info.id
            ))
        })?;
        let position = decode(Kind::Position, &state.position)
            .map_err(|error| RunError::Snapshot(format!("position of {}: {error}", info.id)))?;
        Ok((position, PartitionWatermark::resume(bound, state.watermark)))
    }

    /// Gives windows the shards that a worker holds.
    pub(crate) fn restore(&self, windows: &mut Windows, worker: usize, peers: usize) -> Result<(), RunError> {
        let (Some(store), Some(manifest)) = (&self.store, &self.manifest) else { return Ok(()) };
        windows.restore_closed(manifest.watermark);
        for segment in &manifest.segments {
            if segment.operator != Operator::Window {
                continue;
            }
            for block in segment.blocks() {
                if block.shard.worker(manifest.shards, peers) == worker {
                    let snapshot: ShardSnapshot =
                        store.read_block(manifest.number, segment, &block, Kind::Shard)?;
                    windows
                        .restore(block.shard, snapshot)
                        .map_err(|error| RunError::Snapshot(error.to_string()))?;
                }
            }
        }
        Ok(())
    }

    /// Commits checkpoint 0 of a job that has none: where its partitions begin and what its sinks are, before
    /// anything is read or put out. Removes what a run that died has left behind.
    pub(crate) fn begin(
        &self,
        job: &Job,
        sinks: &[OpenSink],
        sources: &[SourceState],
    ) -> Result<(), RunError> {
        let (Some(store), Some(state)) = (&self.store, &job.state) else { return Ok(()) };
        store.sweep()?;
        if self.manifest.is_some() {
            return Ok(());
        }
        let sinks = sinks.iter().map(|open| open.state(0)).collect();
        let manifest = Manifest {
            number: 0,
            job: job.name.clone(),
            identity: job.identity.clone(),
            shards: state.shards,
            segments: Vec::new(),
            sources: sources.to_vec(),
            watermark: Watermark::NONE,
            held: Vec::new(),
            counts: Counts::default(),
            sinks,
            finished: false,
        };
        Ok(store.commit(&manifest)?)
    }

    /// Rows that wait for their turn, for the sinks that the job has now.
    pub(crate) fn held(&self, job: &Job) -> Vec<OutputRow> {
        let Some(manifest) = &self.manifest else { return Vec::new() };
        let renumbered = manifest.held.iter().filter_map(|row| {
            let name = &manifest.sinks.get(usize::from(row.sink.0))?.name;
            let sink = job.sinks.iter().position(|spec| spec.name == *name)?;
            Some(OutputRow { sink: SinkId(sink as u16), ..row.clone() })
        });
        renumbered.collect()
    }

    /// The watermark that the windows had applied.
    pub(crate) fn watermark(&self) -> Watermark {
        self.manifest.as_ref().map_or(Watermark::NONE, |manifest| manifest.watermark)
    }

    /// Opens the job's sinks, each as far as it got.
    pub(crate) fn open_sinks(&self, job: &Job) -> Result<Vec<OpenSink>, RunError> {
        let manifests = self.last_manifests()?;
        job.sinks.iter().map(|spec| self.open_sink(spec, &manifests)).collect()
    }

    /// The checkpoints whose outboxes are still there, oldest first.
    fn last_manifests(&self) -> Result<Vec<Manifest>, RunError> {
        let Some(store) = &self.store else { return Ok(Vec::new()) };
        let numbers = store.numbers()?;
        Ok(numbers.into_iter().map(|number| store.manifest(number)).collect::<Result<_, _>>()?)
    }

    fn open_sink(&self, spec: &SinkSpec, manifests: &[Manifest]) -> Result<OpenSink, RunError> {
        let target = match &spec.kind {
            SinkKind::Stdout => "standard output".to_owned(),
            SinkKind::File { path } => path.display().to_string(),
        };
        let deliveries = self.deliveries(spec, &target, manifests)?;
        let sink = match spec.mode {
            _ if deliveries.is_empty() => open_fresh(spec)?,
            Mode::AtOnce => resume_at_once(spec)?,
            Mode::ExactlyOnce => resume_exactly_once(spec, &deliveries)?,
        };
        Ok(OpenSink { name: spec.name.clone(), target, mode: spec.mode, sink })
    }

    /// What the last checkpoints put out to a sink, oldest first.
    fn deliveries(
        &self,
        spec: &SinkSpec,
        target: &str,
        manifests: &[Manifest],
    ) -> Result<Vec<Delivery>, RunError> {
        let Some(store) = &self.store else { return Ok(Vec::new()) };
        let mut deliveries = Vec::new();
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
            let outboxes = manifest.segments.iter().filter(|segment| segment.operator == Operator::Outbox);
            let mut blocks = outboxes.flat_map(|segment| segment.blocks().map(move |block| (segment, block)));
            let block = blocks.find(|(_, block)| block.shard.0 as usize == index);
            let bytes = match block {
                Some((segment, block)) => {
                    store.read_block::<ByteBuf>(manifest.number, segment, &block, Kind::Outbox)?.into_vec()
                }
                None => Vec::new(),
            };
            deliveries.push(Delivery { start: sink.start, bytes });
        }
        Ok(deliveries)
    }
}
