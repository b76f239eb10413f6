//! The store of a job's durable state: what is written in which order, what is kept, what is refused.
//!
//! ```text
//! segments/NAME                 written once, durable before a manifest names them
//! checkpoints/0000000012        manifests, created and never replaced
//! notes/TOPIC-HASH              what was found out for good; never removed
//! ```

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::{Chunk, CodecError, Disk, Frame, Kind, LocalDisk, LocalFiles, Manifest, Segment, decode, encode};

const SEGMENTS: &str = "segments";
const CHECKPOINTS: &str = "checkpoints";
const NOTES: &str = "notes";
/// Checkpoints that are kept, fences not counted; more than a sink could need to catch up.
const KEEP: usize = 3;

/// Why durable state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system said no.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is damaged, or of another version.
    #[error(
        "{path}: {source}; restore this file, or start from an older checkpoint by removing newer manifests"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: CodecError,
    },
    /// A file that a manifest names is not there, or shorter than it was.
    #[error(
        "{path} is missing or cut off, but checkpoint {number} needs it; restore it, or start with an empty state"
    )]
    Part {
        /// Which file.
        path: PathBuf,
        /// Which checkpoint.
        number: u32,
    },
    /// There is no such checkpoint.
    #[error("there is no checkpoint {number} in {dir}; `tidewatch checkpoints list` shows those that are")]
    Unknown {
        /// Which checkpoint.
        number: u32,
        /// Where.
        dir: PathBuf,
    },
    /// Somebody else committed that checkpoint: a newer generation has taken over.
    #[error(
        "checkpoint {number} was already committed by another run in {dir}, which has taken over; \
         only one run may use a state directory"
    )]
    Taken {
        /// Which checkpoint.
        number: u32,
        /// Where.
        dir: PathBuf,
    },
}

impl StoreError {
    /// Whether the state is refused, as opposed to a failure of the run.
    pub fn is_refusal(&self) -> bool {
        matches!(self, StoreError::Damaged { .. } | StoreError::Part { .. } | StoreError::Unknown { .. })
    }

    /// Whether there was no space, which may come back.
    pub fn is_full(&self) -> bool {
        matches!(self, StoreError::Io { source, .. } if is_full(source))
    }
}

/// Whether the system says that there is no space, or that a quota is used up.
pub fn is_full(error: &io::Error) -> bool {
    [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded].contains(&error.kind())
}

/// The durable state of one job.
#[derive(Debug, Clone)]
pub struct Store {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

impl Store {
    /// Opens a local directory, making it if it is not there.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let disk = LocalDisk::open(dir, &[SEGMENTS, CHECKPOINTS, NOTES], LocalFiles);
        let disk =
            disk.map_err(|source| StoreError::Io { action: "create", path: dir.to_owned(), source })?;
        Ok(Store { disk: Arc::new(disk), dir: dir.to_owned() })
    }

    /// A store on any disk. `dir` is how people call it.
    pub fn on(disk: Arc<dyn Disk>, dir: PathBuf) -> Self {
        Store { disk, dir }
    }

    fn io_error(&self, action: &'static str, name: &str) -> impl FnOnce(io::Error) -> StoreError + use<> {
        let path = self.disk.place(name);
        move |source| StoreError::Io { action, path, source }
    }

    /// Writes a segment durably.
    ///
    /// # Errors
    /// If it could not be written. A failed sync is never tried again: what is on the disk is unknown.
    pub fn write_segment(&self, segment: &Segment, pieces: &[Bytes]) -> Result<(), StoreError> {
        let name = segment_name(&segment.name);
        self.disk.write(&name, pieces).map_err(|error| {
            // A part of a segment that nobody will name only takes space, which may be what is missing.
            let _ = self.disk.remove(&name);
            self.io_error("write", &name)(error)
        })
    }

    /// Reads a chunk of a segment and checks it: the value and the parts of its frame.
    ///
    /// # Errors
    /// If the file is missing, cut off or damaged.
    pub fn read_chunk<T: DeserializeOwned>(
        &self,
        number: u32,
        segment: &Segment,
        offset: u64,
        chunk: &Chunk,
        kind: Kind,
    ) -> Result<(T, Vec<Bytes>), StoreError> {
        let name = segment_name(&segment.name);
        let path = self.disk.place(&name);
        let bytes =
            self.disk.read(&name, Some((offset, chunk.length))).map_err(self.part_error(number, &name))?;
        match Frame::read(kind, &bytes) {
            Ok((value, parts, checksum)) if checksum == chunk.checksum => Ok((value, parts)),
            Ok(_) => Err(StoreError::Damaged { path, source: CodecError::Checksum }),
            Err(source) => Err(StoreError::Damaged { path, source }),
        }
    }

    /// Checks that a segment is there, as long as it should be.
    ///
    /// # Errors
    /// If it is missing, or of another length.
    pub fn check_segment(&self, number: u32, segment: &Segment) -> Result<(), StoreError> {
        let name = segment_name(&segment.name);
        match self.disk.length(&name) {
            Ok(length) if length == segment.length() => Ok(()),
            Ok(_) => Err(StoreError::Part { path: self.disk.place(&name), number }),
            Err(error) => Err(self.part_error(number, &name)(error)),
        }
    }

    /// A part that is not there, or cut off, is refused; a disk or a server that fails may be well again.
    fn part_error(&self, number: u32, name: &str) -> impl FnOnce(io::Error) -> StoreError + use<> {
        let path = self.disk.place(name);
        move |source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => StoreError::Part { path, number },
            _ => StoreError::Io { action: "read", path, source },
        }
    }

    /// Notes something for good, durably. The same note again changes nothing.
    ///
    /// # Errors
    /// If it could not be written.
    pub fn note(&self, topic: &str, note: &[u8]) -> Result<(), StoreError> {
        let name = format!("{NOTES}/{topic}-{:016x}", xxhash_rust::xxh3::xxh3_64(note));
        match self.disk.commit(&name, Bytes::copy_from_slice(note)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            noted => noted.map_err(self.io_error("write", &name)),
        }
    }

    /// The notes on a topic, each with where it is.
    ///
    /// # Errors
    /// If they cannot be listed or read, or one is damaged.
    pub fn notes(&self, topic: &str) -> Result<Vec<(PathBuf, Bytes)>, StoreError> {
        let mut names = self.disk.list(NOTES).map_err(self.io_error("list", NOTES))?;
        names.sort();
        let mut notes = Vec::new();
        for name in names {
            let hash = name.strip_prefix(topic).and_then(|rest| rest.strip_prefix('-'));
            let Some(hash) = hash.and_then(|hash| u64::from_str_radix(hash, 16).ok()) else { continue };
            let name = format!("{NOTES}/{name}");
            let note = self.disk.read(&name, None).map_err(self.io_error("read", &name))?;
            let path = self.disk.place(&name);
            if xxhash_rust::xxh3::xxh3_64(&note) != hash {
                return Err(StoreError::Damaged { path, source: CodecError::Checksum });
            }
            notes.push((path, note));
        }
        Ok(notes)
    }

    /// Commits a checkpoint: creates its manifest, which must not exist.
    ///
    /// # Errors
    /// `Taken` if another run committed that number; else if it could not be written.
    pub fn commit(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let name = manifest_name(manifest.number);
        let damaged = |source| StoreError::Damaged { path: self.disk.place(&name), source };
        let bytes = encode(Kind::Manifest, manifest).map_err(damaged)?;
        self.disk.commit(&name, bytes.into()).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                StoreError::Taken { number: manifest.number, dir: self.dir.clone() }
            }
            _ => self.io_error("create", &name)(error),
        })?;
        // A number is free again once its checkpoint was removed, which only later ones cause. So whoever finds
        // a later one has come too late, even if it could create its own.
        match self.numbers()?.last() {
            Some(newest) if *newest > manifest.number => {
                Err(StoreError::Taken { number: manifest.number, dir: self.dir.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Numbers of the committed checkpoints, ascending.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub fn numbers(&self) -> Result<Vec<u32>, StoreError> {
        let names = self.disk.list(CHECKPOINTS).map_err(self.io_error("list", CHECKPOINTS))?;
        let mut numbers: Vec<u32> = names.iter().filter_map(|name| manifest_number(name)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Reads the manifest of a checkpoint.
    ///
    /// # Errors
    /// If it is not there or damaged.
    pub fn manifest(&self, number: u32) -> Result<Manifest, StoreError> {
        let name = manifest_name(number);
        let bytes = self.disk.read(&name, None).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::Unknown { number, dir: self.dir.clone() },
            _ => self.io_error("read", &name)(error),
        })?;
        decode(Kind::Manifest, &bytes)
            .map_err(|source| StoreError::Damaged { path: self.disk.place(&name), source })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Removes segments that no checkpoint names, and drafts: what runs that died have left. Only for a run
    /// that has the store to itself.
    ///
    /// # Errors
    /// If the store cannot be listed or a manifest cannot be read, or nothing can be removed.
    pub fn sweep(&self) -> Result<(), StoreError> {
        let retained = self.retained()?;
        self.remove_others(SEGMENTS, &|name| retained.needs(name))?;
        self.remove_others(CHECKPOINTS, &|name| manifest_number(name).is_some())
    }

    fn remove_others(&self, folder: &str, keep: &dyn Fn(&str) -> bool) -> Result<(), StoreError> {
        let names = self.disk.list(folder).map_err(self.io_error("list", folder))?;
        for name in names.iter().filter(|name| !keep(name)) {
            self.remove(&format!("{folder}/{name}"))?;
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.disk.remove(name).map_err(self.io_error("remove", name))
    }

    /// The checkpoints that are there, with the segments that they need.
    ///
    /// # Errors
    /// If a manifest cannot be read.
    pub fn retained(&self) -> Result<Retained, StoreError> {
        let manifests = self.numbers()?.into_iter().map(|number| self.manifest(number));
        let kept = manifests.map(|manifest| manifest.map(|m| Kept::of(&m))).collect::<Result<_, _>>()?;
        Ok(Retained { kept, gone: BTreeSet::new() })
    }

    /// Notes a checkpoint that was committed, and removes those beyond the newest few, with the segments
    /// that none of the others needs. What fails can be tried again.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn retain(&self, retained: &mut Retained, manifest: &Manifest) -> Result<(), StoreError> {
        if retained.kept.back().is_none_or(|newest| newest.number < manifest.number) {
            retained.kept.push_back(Kept::of(manifest));
        }
        while retained.kept.iter().filter(|kept| !kept.fence).count() > KEEP {
            let Some(oldest) = retained.kept.front() else { break };
            // First the manifests, and for good, so that none ever names what is gone.
            self.remove(&manifest_name(oldest.number))?;
            retained.gone.extend(retained.kept.pop_front().into_iter().flat_map(|oldest| oldest.segments));
        }
        let Retained { kept, gone } = retained;
        gone.retain(|name| !kept.iter().any(|kept| kept.segments.contains(name)));
        if !gone.is_empty() {
            self.settle(CHECKPOINTS)?;
        }
        while let Some(name) = gone.first() {
            self.remove(&segment_name(name))?;
            gone.pop_first();
        }
        Ok(())
    }

    fn settle(&self, folder: &str) -> Result<(), StoreError> {
        self.disk.settle(folder).map_err(self.io_error("make durable", folder))
    }
}

fn segment_name(name: &str) -> String {
    format!("{SEGMENTS}/{name}")
}

fn manifest_name(number: u32) -> String {
    format!("{CHECKPOINTS}/{number:010}")
}

/// The number of a file of the folder of manifests, if it is one.
fn manifest_number(name: &str) -> Option<u32> {
    name.parse().ok().filter(|number| format!("{number:010}") == name)
}

/// The checkpoints of a store, and which segments they need, oldest first.
#[derive(Debug, Default)]
pub struct Retained {
    kept: VecDeque<Kept>,
    /// Segments of checkpoints that were removed, which are to be removed as well unless others need them.
    gone: BTreeSet<String>,
}

#[derive(Debug)]
struct Kept {
    number: u32,
    fence: bool,
    segments: BTreeSet<String>,
}

impl Kept {
    fn of(manifest: &Manifest) -> Self {
        let segments = manifest.segments.iter().map(|segment| segment.name.clone()).collect();
        Kept { number: manifest.number, fence: manifest.fence, segments }
    }
}

impl Retained {
    fn needs(&self, name: &str) -> bool {
        self.kept.iter().any(|kept| kept.segments.contains(name))
    }
}

/// A number that no other run has.
pub fn nonce() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Operator, SegmentBuilder, Writer};
    use event::{Counts, Watermark};
    use std::fs;

    fn manifest(number: u32, segment: &Segment) -> Manifest {
        Manifest {
            number,
            generation: 1,
            peers: 1,
            fence: false,
            follows: number.checked_sub(1),
            committed_at: 0,
            job: "job".into(),
            identity: vec![],
            shards: 8,
            segments: vec![segment.clone()],
            sources: vec![],
            watermark: Watermark(5),
            held: vec![],
            counts: Counts::default(),
            sinks: vec![],
            finished: false,
        }
    }

    fn segment(store: &Store, name: &str) -> Segment {
        let mut builder = SegmentBuilder::new(Operator::Window, Writer { worker: 0, peers: 1 });
        let parts = vec![Bytes::from(format!("bulk of {name}"))];
        builder.push(3, Frame::new(Kind::State, "state", parts).unwrap());
        let (segment, pieces) = builder.finish(name.to_owned());
        store.write_segment(&segment, &pieces).unwrap();
        segment
    }

    fn read(store: &Store, segment: &Segment) -> Result<(String, Vec<Bytes>), StoreError> {
        let (offset, chunk) = segment.live().next().unwrap();
        store.read_chunk(1, segment, offset, &chunk, Kind::State)
    }

    #[test]
    fn a_checkpoint_is_committed_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let part = segment(&store, "a");
        store.commit(&manifest(0, &part)).unwrap();
        assert!(matches!(store.commit(&manifest(0, &part)), Err(StoreError::Taken { number: 0, .. })));
        assert_eq!(store.manifest(0).unwrap(), manifest(0, &part));
    }

    #[test]
    fn a_number_whose_checkpoint_was_removed_is_not_free_for_whoever_slept_so_long() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let part = segment(&store, "a");
        for number in [4, 5, 6] {
            store.commit(&manifest(number, &part)).unwrap();
        }
        assert!(matches!(store.commit(&manifest(3, &part)), Err(StoreError::Taken { number: 3, .. })));
    }

    #[test]
    fn old_checkpoints_go_and_the_segments_that_newer_ones_share_stay() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let shared = segment(&store, "shared");
        let own = segment(&store, "own");
        store.commit(&manifest(0, &own)).unwrap();
        for number in 1..5 {
            store.commit(&manifest(number, &shared)).unwrap();
        }
        let mut retained = store.retained().unwrap();
        store.commit(&manifest(5, &shared)).unwrap();
        store.retain(&mut retained, &manifest(5, &shared)).unwrap();
        assert_eq!(store.numbers().unwrap(), [3, 4, 5]);
        assert_eq!(read(&store, &shared).unwrap().0, "state");
        assert!(!dir.path().join("segments/own").exists());
    }

    #[test]
    fn fences_do_not_push_out_the_checkpoints_before_them() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let part = segment(&store, "a");
        let mut retained = Retained::default();
        for number in 0..8 {
            let manifest = Manifest { fence: number >= 3, ..manifest(number, &part) };
            store.commit(&manifest).unwrap();
            store.retain(&mut retained, &manifest).unwrap();
        }
        assert_eq!(store.numbers().unwrap().len(), 8);
        store.commit(&manifest(8, &part)).unwrap();
        store.retain(&mut retained, &manifest(8, &part)).unwrap();
        assert_eq!(store.numbers().unwrap().len(), 8);
    }

    #[test]
    fn a_damaged_cut_off_missing_or_swapped_part_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let part = segment(&store, "part");
        let other = segment(&store, "trap");
        let path = dir.path().join("segments/part");
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(read(&store, &part).unwrap_err().to_string().contains("segments/part"));
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert!(matches!(read(&store, &part), Err(StoreError::Part { number: 1, .. })));
        assert!(store.check_segment(1, &part).is_err());
        fs::copy(dir.path().join("segments/trap"), &path).unwrap();
        assert!(matches!(read(&store, &part), Err(StoreError::Damaged { .. })), "whole, but another");
        assert!(read(&store, &other).is_ok());
        fs::remove_file(&path).unwrap();
        assert!(matches!(read(&store, &part), Err(StoreError::Part { .. })));
    }

    #[test]
    fn notes_stay_whole_whatever_is_swept_and_a_damaged_one_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let notes = |topic| store.notes(topic).map(|notes| notes.into_iter().map(|(_, note)| note).collect());
        for note in ["one", "two", "one"] {
            store.note("topic", note.as_bytes()).unwrap();
        }
        fs::write(dir.path().join("notes/topic-1.draft-7"), "half").unwrap();
        store.sweep().unwrap();
        let mut found: Vec<Bytes> = notes("topic").unwrap();
        found.sort();
        assert_eq!(found, ["one", "two"]);
        assert_eq!(notes("top").unwrap(), Vec::<Bytes>::new());
        let (path, _) = store.notes("topic").unwrap().remove(0);
        fs::write(&path, "three").unwrap();
        assert!(notes("topic").unwrap_err().to_string().contains(&path.display().to_string()));
    }

    #[test]
    fn what_dead_runs_left_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let part = segment(&store, "part");
        segment(&store, "orphan");
        store.commit(&manifest(0, &part)).unwrap();
        fs::write(dir.path().join("checkpoints/0000000001.draft-1"), "x").unwrap();
        store.sweep().unwrap();
        let left = |folder| fs::read_dir(dir.path().join(folder)).unwrap().count();
        assert_eq!((left("segments"), left("checkpoints")), (1, 1));
        assert!(read(&store, &part).is_ok());
    }
}
