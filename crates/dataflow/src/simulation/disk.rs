//! A simulated disk under the shipped `LocalDisk`: it keeps what was synced, and of the rest what it likes.
//!
//! A process that is killed loses nothing that it has written; a machine that loses its power loses each name
//! that was not synced, or keeps it, and tears files that were not synced. Any operation can be the last one
//! before a crash, and can be made to fail.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use checkpoint::Files;

use super::host::{Host, lock};
use super::random::Random;
use crate::plant::Plant;

/// What a host asks of the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Write,
    Sync,
    Link,
    Remove,
    SyncDir,
    Deliver,
}

/// What is to go wrong on a host, and when: counted in operations from now on.
#[derive(Debug, Default, Clone)]
pub(crate) struct Fault {
    /// The operation during which the host dies, among those of a kind, or of any.
    pub(crate) dies_in: Option<(u64, Option<Operation>)>,
    /// The operation that fails, among those of a kind, or of any.
    pub(crate) fails_in: Option<(u64, Option<Operation>)>,
    /// Whether it fails for want of space.
    pub(crate) by_space: bool,
    /// Whether the host died in an operation.
    pub(crate) has_died_midway: bool,
    /// Whether the host has died in the operation that goes on.
    dying: bool,
    /// Whether an operation has failed.
    pub(crate) has_failed: bool,
}

/// A manifest that came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) number: u64,
    pub(crate) host: u64,
    pub(crate) hash: u64,
}

/// The disk.
#[derive(Debug, Default)]
pub(crate) struct SimulatedDisk {
    files: BTreeMap<u64, File>,
    /// What a process sees.
    names: BTreeMap<PathBuf, u64>,
    /// What outlives the power.
    durable: BTreeMap<PathBuf, u64>,
    /// Changes of names since they were last synced.
    pending: Vec<(PathBuf, Option<u64>)>,
    next: u64,
    pub(crate) committed: Vec<Committed>,
    /// Operations so far, by all hosts.
    pub(crate) operations: u64,
}

#[derive(Debug, Clone)]
struct File {
    data: Vec<u8>,
    synced: bool,
    /// Who made it.
    host: u64,
}

impl File {
    fn tear(&mut self, random: &mut Random) {
        let kept = random.below(self.data.len() as u64 + 1) as usize;
        match random.below(4) {
            0 => self.data.clear(),
            1 => self.data.truncate(kept),
            2 => self.data[kept..].fill(0),
            _ => {}
        }
    }
}

impl SimulatedDisk {
    fn name(&mut self, path: &Path, file: Option<u64>) {
        match file {
            Some(file) => self.names.insert(path.to_owned(), file),
            None => self.names.remove(path),
        };
        self.pending.push((path.to_owned(), file));
    }

    fn find(&self, path: &Path) -> io::Result<&File> {
        let file = self.names.get(path).and_then(|file| self.files.get(file));
        file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The files below a directory, by their names there.
    pub(crate) fn below(&self, dir: &str) -> Vec<(String, Vec<u8>)> {
        let below = self.names.iter().filter_map(|(path, file)| {
            let name = path.strip_prefix(dir).ok()?.to_string_lossy().into_owned();
            Some((name, self.files.get(file)?.data.clone()))
        });
        below.collect()
    }

    /// Whether nothing but manifests was removed from the directory since it was synced.
    fn only_removed(&self, dir: &Path) -> bool {
        let mut changes = self.pending.iter().filter(|(path, _)| path.parent() == Some(dir)).peekable();
        let is_manifest = |path: &Path| path.extension().is_none();
        changes.peek().is_some() && changes.all(|(path, file)| file.is_none() && is_manifest(path))
    }

    /// The power fails.
    pub(crate) fn lose_power(&mut self, random: &mut Random) {
        for (path, file) in std::mem::take(&mut self.pending) {
            if random.one_in(2) {
                match file {
                    Some(file) => self.durable.insert(path, file),
                    None => self.durable.remove(&path),
                };
            }
        }
        for file in self.files.values_mut().filter(|file| !file.synced) {
            file.tear(random);
            file.synced = true;
        }
        self.names = self.durable.clone();
    }
}

impl Host {
    /// Whether an operation may go on.
    ///
    /// # Errors
    /// If the host is dead or dies in it, if there is no space, or if it is to fail.
    pub(crate) fn operate(&self, operation: Operation) -> io::Result<()> {
        let mut fault = lock(&self.fault);
        fault.dying = false;
        if self.is_dead() {
            return Err(io::Error::other("this host is dead"));
        }
        lock(&self.outside.disk).operations += 1;
        if let Some((left, kind)) = &mut fault.dies_in
            && kind.is_none_or(|kind| kind == operation)
        {
            *left = left.saturating_sub(1);
            if *left == 0 {
                fault.dying = true;
                fault.has_died_midway = true;
                self.kill();
                return Err(io::Error::other("this host dies"));
            }
        }
        if let Some((left, kind)) = &mut fault.fails_in
            && kind.is_none_or(|kind| kind == operation)
        {
            *left = left.saturating_sub(1);
            if *left == 0 {
                fault.fails_in = None;
                fault.has_failed = true;
                return Err(match fault.by_space {
                    true => io::ErrorKind::StorageFull.into(),
                    false => io::Error::other("input/output error"),
                });
            }
        }
        let needs_space = matches!(operation, Operation::Write | Operation::Link);
        if needs_space && self.outside.full.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// Whether it was the last operation in which it died.
    pub(crate) fn dies_now(&self) -> bool {
        lock(&self.fault).dying
    }
}

/// The calls of one host to the disk.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedFiles {
    pub(crate) host: Arc<Host>,
}

impl SimulatedFiles {
    /// Writes bytes to a new file, or as many as come to be written.
    fn create(&self, path: &Path, bytes: Vec<u8>) -> io::Result<u64> {
        let written = self.host.operate(Operation::Write);
        let has_effect = !self.host.is_dead() || self.host.dies_now();
        if !has_effect {
            return written.map(|()| 0);
        }
        let mut disk = lock(&self.host.outside.disk);
        if disk.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let mut data = bytes;
        if written.is_err() {
            let kept = self.host.outside.random().below(data.len() as u64 + 1);
            data.truncate(kept as usize);
        }
        let number = disk.next;
        disk.next += 1;
        disk.files.insert(number, File { data, synced: false, host: self.host.number });
        disk.name(path, Some(number));
        written.map(|()| number)
    }

    fn sync(&self, file: u64) -> io::Result<()> {
        if self.host.has(Plant::SkipSync) {
            return Ok(());
        }
        let synced = self.host.operate(Operation::Sync);
        let mut disk = lock(&self.host.outside.disk);
        let Some(file) = disk.files.get_mut(&file) else { return synced };
        if synced.is_ok() {
            file.synced = true;
        } else if !self.host.is_dead() {
            // What could not be written is gone from memory too.
            file.tear(&mut self.host.outside.random());
        }
        synced
    }
}

impl Files for SimulatedFiles {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, path: &Path, pieces: &[Bytes]) -> io::Result<()> {
        let file = self.create(path, pieces.concat())?;
        match self.sync(file) {
            Err(_) if self.host.has(Plant::BelieveFailedSync) && !self.host.is_dead() => self.sync(file),
            synced => synced,
        }
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        // Not under the lock: it does something on the disk.
        let rival = lock(&self.host.rival).take();
        rival.into_iter().for_each(|act| act());
        self.host.operate(Operation::Link)?;
        let mut disk = lock(&self.host.outside.disk);
        if disk.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = *disk.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        disk.name(to, Some(file));
        let number = to.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        let hash = event::key_hash(&disk.files[&file].data);
        disk.committed.extend(number.map(|number| Committed { number, host: self.host.number, hash }));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.host.operate(Operation::Remove)?;
        let mut disk = lock(&self.host.outside.disk);
        disk.find(path)?;
        disk.name(path, None);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // Only what was removed makes a directory of manifests be synced when no new one was linked.
        let settles = lock(&self.host.outside.disk).only_removed(dir);
        let skips = match self.host.opening.load(Ordering::Relaxed) {
            true => self.host.has(Plant::SkipSyncAtOpen),
            false => self.host.has(Plant::SkipSyncDir) || (self.host.has(Plant::SkipSettle) && settles),
        };
        if skips {
            return Ok(());
        }
        self.host.operate(Operation::SyncDir)?;
        let mut disk = lock(&self.host.outside.disk);
        let (now, later) =
            std::mem::take(&mut disk.pending).into_iter().partition(|(path, _)| path.parent() == Some(dir));
        disk.pending = later;
        let now: Vec<(PathBuf, Option<u64>)> = now;
        for (path, file) in now {
            match file {
                Some(file) => disk.durable.insert(path, file),
                None => disk.durable.remove(&path),
            };
        }
        Ok(())
    }

    fn read(&self, path: &Path, range: Option<(u64, u64)>) -> io::Result<Vec<u8>> {
        let disk = lock(&self.host.outside.disk);
        let data = &disk.find(path)?.data;
        let Some((start, length)) = range else { return Ok(data.clone()) };
        let bytes = data.get(start as usize..(start + length) as usize);
        bytes.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        Ok(lock(&self.host.outside.disk).find(path)?.data.len() as u64)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let disk = lock(&self.host.outside.disk);
        let is_blind =
            |file: &u64| self.host.has(Plant::SkipLook) && disk.files[file].host > self.host.number;
        let below = disk.names.iter().filter(|(path, file)| path.parent() == Some(dir) && !is_blind(file));
        Ok(below.filter_map(|(path, _)| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn folders(&self, dir: &Path) -> io::Result<Vec<String>> {
        let disk = lock(&self.host.outside.disk);
        let below = disk.names.keys().filter_map(|path| path.strip_prefix(dir).ok());
        let mut names: Vec<String> = below
            .filter(|below| below.components().count() > 1)
            .filter_map(|below| Some(below.components().next()?.as_os_str().to_string_lossy().into_owned()))
            .collect();
        names.dedup();
        Ok(names)
    }
}
