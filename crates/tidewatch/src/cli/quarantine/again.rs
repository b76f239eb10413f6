//! Where the records of quarantine rows still are: in the sources of the job, archives among them, with what its
//! checkpoints know of places there.

use std::collections::BTreeMap;

use alert::Quarantined;
use checkpoint::{Kind, Manifest, StoreError, decode};
use dataflow::Job;
use event::Reason;
use ingest::{IngestError, PartitionInfo, Position, Sought, SourceKind, SourceSpec};

use super::super::say;

/// All partitions of a source.
///
/// # Errors
/// If it cannot be read.
pub(super) fn partitions(source: &SourceSpec) -> Result<Vec<PartitionInfo>, IngestError> {
    match &source.kind {
        #[cfg(feature = "archive")]
        SourceKind::Archive { address, of } => archive::partitions(address, of.as_deref(), None),
        _ => ingest::partitions_now(source),
    }
}

/// Records by offset, or why there is none.
pub(super) type Again = BTreeMap<u64, Result<Vec<u8>, String>>;

/// What a partition has where the records of these rows begin, or why there is none; and why it could not be read on,
/// which is so of those that are not among them.
pub(super) fn read(
    job: &Job,
    source: &SourceSpec,
    info: &PartitionInfo,
    known: &Known,
    rows: &BTreeMap<u64, Quarantined>,
) -> (Again, Option<String>) {
    let mut again = Again::new();
    let mut give =
        |offset, record: Result<&[u8], String>| drop(again.insert(offset, record.map(<[u8]>::to_vec)));
    let sought: Vec<Sought<'_>> = rows.iter().map(|(offset, row)| sought(*offset, row)).collect();
    let read = match &source.kind {
        #[cfg(feature = "archive")]
        SourceKind::Archive { address, of } => {
            archived(job, (address, of.as_deref()), info, &sought, &mut give)
        }
        _ => ingest::read_again(
            source,
            &job.decode,
            info,
            known.of_partition(source, info),
            &sought,
            &mut give,
        ),
    };
    let failure = read.err().map(|error| error.to_string());
    (again, failure)
}

/// What a row says of its record. Only the source itself says where it stands, not a record that is late.
fn sought(offset: u64, row: &Quarantined) -> Sought<'_> {
    let is_of_source = row.reason != Reason::Late.code();
    Sought { offset, detail: if is_of_source { &row.detail } else { "" } }
}

#[cfg(feature = "archive")]
fn archived(
    job: &Job,
    (address, of): (&str, Option<&str>),
    info: &PartitionInfo,
    sought: &[Sought<'_>],
    give: &mut ingest::Give<'_>,
) -> Result<(), IngestError> {
    let offsets: Vec<u64> = sought.iter().map(|sought| sought.offset).collect();
    let end = info.start.archive_end().unwrap_or(u64::MAX);
    let mut open = |decode: &ingest::DecodeSpec, offset| {
        archive::open(address, of, decode, info, &Position::archived(offset, end))
    };
    ingest::read_archived_again(&job.decode, &offsets, &mut open, give)
}

/// Places that partitions had, as the checkpoints say that there are.
#[derive(Default)]
pub(super) struct Known(BTreeMap<(String, String), Vec<Position>>);

impl Known {
    /// What the job's checkpoints know, if it has a source that needs it.
    pub(super) fn of(job: &Job) -> Self {
        let mut known = Known::default();
        if !job.sources.iter().any(|source| matches!(source.kind, SourceKind::Kinesis(_))) {
            return known;
        }
        let Some(state) = &job.state else { return known };
        let manifests = manifests(&state.location).unwrap_or_else(|error| {
            say(&format!("warning: the state cannot be read, which says where records stood: {error}"));
            Vec::new()
        });
        for source in manifests.into_iter().flat_map(|manifest| manifest.sources) {
            // What another version has written helps nobody, and does no harm.
            if let Ok(position) = decode(Kind::Position, &source.position) {
                known.0.entry((source.source, source.partition)).or_default().push(position);
            }
        }
        known
    }

    fn of_partition(&self, source: &SourceSpec, info: &PartitionInfo) -> &[Position] {
        self.0.get(&(source.name.clone(), info.id.clone())).map_or(&[], Vec::as_slice)
    }
}

/// The checkpoints that there are; a job that runs may take one away meanwhile.
fn manifests(location: &checkpoint::Location) -> Result<Vec<Manifest>, StoreError> {
    let Some(store) = location.open_existing()? else { return Ok(Vec::new()) };
    let mut manifests = Vec::new();
    for number in store.numbers()? {
        match store.manifest(number) {
            Ok(manifest) => manifests.push(manifest),
            Err(error) if store.numbers()?.contains(&number) => return Err(error),
            Err(_) => {}
        }
    }
    Ok(manifests)
}
