//! The local directory that holds segments and manifests.
//!
//! ```text
//! DIR/segments/NAME                 written once, synced before a manifest names them
//! DIR/checkpoints/0000000012        manifests, created and never replaced
//! ```

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::{Block, CodecError, Kind, Manifest, Segment, decode, encode};

/// Checkpoints that are kept; more than a sink could need to catch up.
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
    /// Somebody else committed that checkpoint: two runs share one directory.
    #[error(
        "checkpoint {number} was already committed by another run in {dir}; only one run may use a state directory"
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
        matches!(self, StoreError::Damaged { .. } | StoreError::Part { .. })
    }
}

fn io_error<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError::Io { action, path: path.to_owned(), source }
}

/// A directory of durable state.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// Opens a directory, making it if it is not there.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let store = Store { dir: dir.to_owned() };
        for dir in [store.segments(), store.checkpoints()] {
            fs::create_dir_all(&dir).map_err(io_error("create", &dir))?;
        }
        Ok(store)
    }

    fn segments(&self) -> PathBuf {
        self.dir.join("segments")
    }

    fn checkpoints(&self) -> PathBuf {
        self.dir.join("checkpoints")
    }

    fn manifest_path(&self, number: u32) -> PathBuf {
        self.checkpoints().join(format!("{number:010}"))
    }

    /// Writes a segment durably: under another name, synced, then renamed, then the folder synced.
    ///
    /// # Errors
    /// If the file system refuses. A failed sync is never tried again: what is on the disk is unknown.
    pub fn write_segment(&self, segment: &Segment, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.segments().join(&segment.name);
        write_durably(&path, bytes)?;
        sync_dir(&self.segments())
    }

    /// Reads one block of a segment and checks it.
    ///
    /// # Errors
    /// If the file is missing, cut off or damaged.
    pub fn read_block<T: serde::de::DeserializeOwned>(
        &self,
        number: u32,
        segment: &Segment,
        block: &Block,
        kind: Kind,
    ) -> Result<T, StoreError> {
        let path = self.segments().join(&segment.name);
        let part = |_| StoreError::Part { path: path.clone(), number };
        let mut file = File::open(&path).map_err(part)?;
        let found = file.metadata().map_err(part)?.len();
        if found != segment.length() {
            return Err(StoreError::Part { path, number });
        }
        let mut bytes = vec![0; block.length as usize];
        file.seek(SeekFrom::Start(block.offset)).map_err(part)?;
        file.read_exact(&mut bytes).map_err(part)?;
        decode(kind, &bytes).map_err(|source| StoreError::Damaged { path, source })
    }

    /// Commits a checkpoint: creates its manifest, which must not exist.
    ///
    /// # Errors
    /// `Taken` if another run committed that number; else if the file system refuses.
    pub fn commit(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let path = self.manifest_path(manifest.number);
        let damaged = |source| StoreError::Damaged { path: path.clone(), source };
        let bytes = encode(Kind::Manifest, manifest).map_err(damaged)?;
        let draft = path.with_extension(format!("draft-{}", std::process::id()));
        write_file(&draft, &bytes)?;
        // A link fails where a rename would silently replace.
        let linked = fs::hard_link(&draft, &path);
        fs::remove_file(&draft).map_err(io_error("remove", &draft))?;
        match linked {
            Ok(()) => sync_dir(&self.checkpoints()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(StoreError::Taken { number: manifest.number, dir: self.dir.clone() })
            }
            Err(error) => Err(io_error("create", &path)(error)),
        }
    }

    /// Numbers of the committed checkpoints, ascending.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn numbers(&self) -> Result<Vec<u32>, StoreError> {
        let dir = self.checkpoints();
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&dir).map_err(io_error("list", &dir))? {
            let name = entry.map_err(io_error("list", &dir))?.file_name();
            numbers.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Reads the manifest of a checkpoint.
    ///
    /// # Errors
    /// If it is not there or damaged.
    pub fn manifest(&self, number: u32) -> Result<Manifest, StoreError> {
        let path = self.manifest_path(number);
        let bytes = fs::read(&path).map_err(io_error("read", &path))?;
        decode(Kind::Manifest, &bytes).map_err(|source| StoreError::Damaged { path, source })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Removes segments that no checkpoint names, and drafts: what runs that died have left. Only for a run
    /// that has the directory to itself.
    ///
    /// # Errors
    /// If the file system refuses, or a manifest cannot be read.
    pub fn sweep(&self) -> Result<(), StoreError> {
        let retained = self.retained()?;
        let named = |name: &str| retained.checkpoints.iter().any(|(_, names)| names.contains(name));
        let number = |name: &str| name.parse::<u32>().is_ok();
        self.remove_others(&self.segments(), &named)?;
        self.remove_others(&self.checkpoints(), &number)
    }

    fn remove_others(&self, dir: &Path, keep: &dyn Fn(&str) -> bool) -> Result<(), StoreError> {
        for entry in fs::read_dir(dir).map_err(io_error("list", dir))? {
            let entry = entry.map_err(io_error("list", dir))?;
            if !entry.file_name().to_str().is_some_and(keep) {
                let path = entry.path();
                fs::remove_file(&path).map_err(io_error("remove", &path))?;
            }
        }
        Ok(())
    }

    /// The checkpoints that are there, with the segments that they need.
    ///
    /// # Errors
    /// If a manifest cannot be read.
    pub fn retained(&self) -> Result<Retained, StoreError> {
        let numbers = self.numbers()?;
        let manifests = numbers.into_iter().map(|number| self.manifest(number));
        let checkpoints = manifests.map(|manifest| manifest.map(|m| needs(&m))).collect::<Result<_, _>>()?;
        Ok(Retained { checkpoints })
    }

    /// Notes a checkpoint that was committed, and removes those beyond the newest few, with the segments
    /// that none of the others needs.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn retain(&self, retained: &mut Retained, manifest: &Manifest) -> Result<(), StoreError> {
        retained.checkpoints.push_back(needs(manifest));
        while retained.checkpoints.len() > KEEP {
            let Some((number, names)) = retained.checkpoints.pop_front() else { break };
            let path = self.manifest_path(number);
            fs::remove_file(&path).map_err(io_error("remove", &path))?;
            for name in
                names.iter().filter(|name| !retained.checkpoints.iter().any(|(_, n)| n.contains(*name)))
            {
                let path = self.segments().join(name);
                fs::remove_file(&path).map_err(io_error("remove", &path))?;
            }
        }
        Ok(())
    }
}

/// The checkpoints of a store, and which segments they need, oldest first.
#[derive(Debug, Default)]
pub struct Retained {
    checkpoints: VecDeque<(u32, BTreeSet<String>)>,
}

fn needs(manifest: &Manifest) -> (u32, BTreeSet<String>) {
    (manifest.number, manifest.segments.iter().map(|segment| segment.name.clone()).collect())
}

fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let draft = path.with_extension("draft");
    write_file(&draft, bytes)?;
    fs::rename(&draft, path).map_err(io_error("rename to", path))
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut file = File::create(path).map_err(io_error("create", path))?;
    file.write_all(bytes).map_err(io_error("write", path))?;
    file.sync_all().map_err(io_error("sync", path))
}

fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    let file = File::open(dir).map_err(io_error("open", dir))?;
    file.sync_all().map_err(io_error("sync", dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::{Counts, Watermark};

    fn manifest(number: u32, segment: &Segment) -> Manifest {
        Manifest {
            number,
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
        let mut builder = crate::SegmentBuilder::new(crate::Operator::Window);
        builder.push(event::Shard(3), &encode(Kind::Shard, "state").unwrap());
        let (segment, bytes) = builder.finish(name.to_owned());
        store.write_segment(&segment, &bytes).unwrap();
        segment
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
        let state: String =
            store.read_block(4, &shared, &shared.blocks().next().unwrap(), Kind::Shard).unwrap();
        assert_eq!(state, "state");
        assert!(!dir.path().join("segments/own").exists());
    }

    #[test]
    fn a_damaged_or_missing_part_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let part = segment(&store, "part");
        let path = dir.path().join("segments/part");
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, &bytes).unwrap();
        let error =
            store.read_block::<String>(1, &part, &part.blocks().next().unwrap(), Kind::Shard).unwrap_err();
        assert!(error.is_refusal() && error.to_string().contains("segments/part"), "{error}");
        fs::remove_file(&path).unwrap();
        let error =
            store.read_block::<String>(1, &part, &part.blocks().next().unwrap(), Kind::Shard).unwrap_err();
        assert!(error.is_refusal() && error.to_string().contains("segments/part"), "{error}");
    }
}
