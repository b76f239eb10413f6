//! The store of a job's durable state: what is written in which order, what is refused. What is kept is
//! decided in `retention`.
//!
//! ```text
//! segments/NAME                 written once, durable before a manifest names them
//! checkpoints/0000000012        manifests, created and never replaced
//! notes/TOPIC-HASH              what was found out for good; never removed
//! answers/0000000012-NAME       what somebody outside has answered, until no checkpoint needs it
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::{
    Chunk, CodecError, Disk, Frame, Kind, LocalDisk, LocalFiles, Manifest, Segment, StoreError, decode,
    encode,
};

pub(crate) const SEGMENTS: &str = "segments";
pub(crate) const CHECKPOINTS: &str = "checkpoints";
const NOTES: &str = "notes";
pub(crate) const ANSWERS: &str = "answers";

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
        let disk = LocalDisk::open(dir, &[SEGMENTS, CHECKPOINTS, NOTES, ANSWERS], LocalFiles);
        let disk =
            disk.map_err(|source| StoreError::Io { action: "create", path: dir.to_owned(), source })?;
        Ok(Store { disk: Arc::new(disk), dir: dir.to_owned() })
    }

    /// Opens a local directory to look at what is there, and makes nothing; `None` if no store was ever there.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn open_existing(dir: &Path) -> Result<Option<Self>, StoreError> {
        match std::fs::metadata(dir.join(CHECKPOINTS)) {
            Ok(_) => {
                let disk = Arc::new(LocalDisk::existing(dir, LocalFiles));
                Ok(Some(Store { disk, dir: dir.to_owned() }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Io { action: "open", path: dir.to_owned(), source }),
        }
    }

    /// What it lies on.
    pub(crate) fn disk(&self) -> &dyn Disk {
        self.disk.as_ref()
    }

    /// A store on any disk. `dir` is how people call it.
    pub fn on(disk: Arc<dyn Disk>, dir: PathBuf) -> Self {
        Store { disk, dir }
    }

    pub(crate) fn io_error(
        &self,
        action: &'static str,
        name: &str,
    ) -> impl FnOnce(io::Error) -> StoreError + use<> {
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

    /// Removes a segment that nobody will name. If that fails, the next start does it.
    pub fn discard(&self, segment: &Segment) {
        let _ = self.disk.remove(&segment_name(&segment.name));
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
        let mut names = self.list(NOTES)?;
        names.sort();
        let mut notes = Vec::new();
        for name in names {
            let hash = name.strip_prefix(topic).and_then(|rest| rest.strip_prefix('-'));
            let Some(hash) = hash.and_then(|hash| u64::from_str_radix(hash, 16).ok()) else { continue };
            let name = format!("{NOTES}/{name}");
            let note = self.disk.read(&name, None).map_err(self.io_error("read", &name))?;
            let path = self.disk.place(&name);
            if xxhash_rust::xxh3::xxh3_64(&note) != hash {
                return Err(StoreError::Note { path, source: CodecError::Checksum });
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
        let mut numbers: Vec<u32> =
            self.list(CHECKPOINTS)?.iter().filter_map(|name| manifest_number(name)).collect();
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

    /// Reads the manifest of a checkpoint that may be damaged, or gone: then it is `None`.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn readable(&self, number: u32) -> Result<Option<Manifest>, StoreError> {
        match self.manifest(number) {
            Err(StoreError::Damaged { .. } | StoreError::Unknown { .. }) => Ok(None),
            read => read.map(Some),
        }
    }

    /// The newest checkpoint that can be read.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn newest_readable(&self) -> Result<Option<Manifest>, StoreError> {
        for number in self.numbers()?.into_iter().rev() {
            if let Some(manifest) = self.readable(number)? {
                return Ok(Some(manifest));
            }
        }
        Ok(None)
    }

    pub(crate) fn list(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        self.disk.list(folder).map_err(self.io_error("list", folder))
    }

    pub(crate) fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.disk.remove(name).map_err(self.io_error("remove", name))
    }

    pub(crate) fn settle(&self, folder: &str) -> Result<(), StoreError> {
        self.disk.settle(folder).map_err(self.io_error("make durable", folder))
    }
}

pub(crate) fn segment_name(name: &str) -> String {
    format!("{SEGMENTS}/{name}")
}

pub(crate) fn manifest_name(number: u32) -> String {
    format!("{CHECKPOINTS}/{number:010}")
}

/// The number of a file of the folder of manifests, if it is one.
pub(crate) fn manifest_number(name: &str) -> Option<u32> {
    name.parse().ok().filter(|number| format!("{number:010}") == name)
}

/// A number that no other run has.
pub fn nonce() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}
