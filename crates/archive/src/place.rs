//! Where an archive lies, and how a file comes to be visible in it: staged, named by a checkpoint, shown.
//!
//! Every step may be taken again after a crash. What is visible always is what committed checkpoints have read: files
//! of those that a start gives up are removed by it, before anything new is read.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use checkpoint::{Bucket, Disk, Location, StoreError};
use event::Probe;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::ArchiveError;
use crate::seal::Seal;

const STAGED: &str = "staged";
const EVENTS: &str = "events";
const ROWS: &str = "rows";
pub(crate) const ENDING: &str = ".parquet";

/// The files of an archive.
#[derive(Debug, Clone)]
pub struct Archive {
    disk: Arc<dyn Disk>,
    place: PathBuf,
    /// The folder of what is visible.
    shown: String,
}

/// A file that is durable, and perhaps visible already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedFile {
    /// Its name: begins with the number of the interval whose records it holds.
    pub name: String,
    /// The date of its records.
    pub date: String,
    /// How many those are.
    pub rows: u64,
    /// Bytes of the file.
    pub length: u64,
    /// Hash of its bytes.
    pub checksum: u64,
}

/// What a checkpoint says of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archived {
    /// The archive's address.
    pub address: String,
    /// The files of its interval.
    pub files: Vec<StagedFile>,
}

impl StagedFile {
    /// What the next file of a worker is called: `nonce` differs from run to run, `count` from file to file.
    pub(crate) fn name(interval: u32, worker: u32, nonce: u64, count: u64, seal: Seal) -> String {
        format!("{interval:010}-{worker:03}-{nonce:016x}-{count:04}-{}", seal.text())
    }

    /// A file of these bytes.
    pub(crate) fn new(name: String, date: String, rows: u64, bytes: &[u8]) -> Self {
        StagedFile { name, date, rows, length: bytes.len() as u64, checksum: xxh3_64(bytes) }
    }

    fn staged(&self) -> String {
        format!("{STAGED}/{}@{}", self.name, self.date)
    }

    fn visible(&self, shown: &str) -> String {
        format!("{shown}/date={}/{}{ENDING}", self.date, self.name)
    }
}

/// The interval that a file is of, by its name.
fn interval(name: &str) -> Option<u32> {
    name.split(['-', '.']).next()?.parse().ok()
}

impl Archive {
    /// Opens the archive at an address: a directory, which is made if need be, or `s3://BUCKET/PREFIX`, with what the
    /// environment says of the server and its keys.
    ///
    /// # Errors
    /// If the directory cannot be made, or the address is not understood.
    pub fn open(address: &str) -> Result<Self, ArchiveError> {
        Self::open_with(address, &[STAGED, EVENTS], EVENTS.to_owned())
    }

    /// Opens the part of an archive that has the rows of a sink.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn open_rows(address: &str, sink: &str) -> Result<Self, ArchiveError> {
        let shown = format!("{ROWS}/sink={sink}");
        Self::open_with(address, &[STAGED, &shown], shown.clone())
    }

    /// The same to read it: makes nothing.
    ///
    /// # Errors
    /// If the address is not understood.
    pub fn look_at(address: &str) -> Result<Self, ArchiveError> {
        Self::open_with(address, &[], EVENTS.to_owned())
    }

    fn open_with(address: &str, folders: &[&str], shown: String) -> Result<Self, ArchiveError> {
        let failed = |source| StoreError::Io { action: "open the archive", path: address.into(), source };
        let location = match Bucket::parse(address) {
            None => Location::Dir(address.into()),
            Some(bucket) => {
                let unclear = |words| failed(io::Error::new(io::ErrorKind::InvalidInput, words));
                Location::S3(bucket.map_err(unclear)?)
            }
        };
        let disk = match (&location, folders) {
            // Not even the directory.
            (Location::Dir(dir), []) => {
                Arc::new(checkpoint::LocalDisk::existing(dir, checkpoint::LocalFiles))
            }
            _ => location.disk(folders).map_err(failed)?,
        };
        Ok(Archive { disk, place: location.path(), shown })
    }

    /// An archive on any disk. `place` is how people call it.
    pub fn on(disk: Arc<dyn Disk>, place: PathBuf) -> Self {
        Archive { disk, place, shown: EVENTS.to_owned() }
    }

    /// Where it is, for people.
    pub fn place(&self) -> &PathBuf {
        &self.place
    }

    fn failed(&self, action: &'static str, name: &str) -> impl FnOnce(io::Error) -> ArchiveError + use<> {
        let path = self.disk.place(name);
        move |source| StoreError::Io { action, path, source }.into()
    }

    /// Writes a file that no checkpoint names yet, durably.
    ///
    /// # Errors
    /// If it could not be written: it is to be written again under another name, as what is there is not to be believed.
    pub fn stage(&self, file: &StagedFile, bytes: &Bytes) -> Result<(), ArchiveError> {
        let name = file.staged();
        self.disk.write(&name, std::slice::from_ref(bytes)).map_err(|error| {
            // It only takes space, which may be what is missing.
            let _ = self.disk.remove(&name);
            self.failed("write", &name)(error)
        })
    }

    /// Removes a file that nobody will name. If that fails, the next start does it.
    pub fn discard(&self, file: &StagedFile) {
        let _ = self.disk.remove(&file.staged());
    }

    /// Makes the files visible that checkpoint `number` names. Those that are visible stay so.
    ///
    /// # Errors
    /// If one is lost, or not known to be visible for good.
    pub fn show(&self, number: u32, files: &[StagedFile]) -> Result<(), ArchiveError> {
        files.iter().try_for_each(|file| {
            let (from, to) = (file.staged(), file.visible(&self.shown));
            let lost = || ArchiveError::Lost { path: self.disk.place(&to), wanted: file.length, number };
            match self.disk.rename(&from, &to) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(lost()),
                Err(error) => Err(self.failed("show", &to)(error)),
                Ok(()) => Ok(()),
            }
        })
    }

    /// Stages and shows a file whose name and bytes follow from what it holds: one that is visible already stays.
    ///
    /// # Errors
    /// If it could not be written, or another one of that name is visible.
    pub fn put(&self, number: u32, file: &StagedFile, bytes: &Bytes) -> Result<(), ArchiveError> {
        let name = file.visible(&self.shown);
        match self.disk.read(&name, None) {
            Ok(found) if found == *bytes => return Ok(()),
            Ok(_) => return Err(self.unfit(&name, "it has other rows than the checkpoint of its number")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(self.failed("read", &name)(error)),
        }
        // What an attempt that failed has left.
        self.disk.remove(&file.staged()).map_err(self.failed("remove", &name))?;
        self.stage(file, bytes)?;
        self.show(number, std::slice::from_ref(file))
    }

    /// The newest interval of which anything is visible.
    ///
    /// # Errors
    /// If it cannot be listed.
    pub fn newest(&self) -> Result<Option<u32>, ArchiveError> {
        let visible = self.visible()?;
        Ok(visible.iter().filter_map(|path| interval(path.rsplit('/').next()?)).max())
    }

    /// Whether nothing is visible.
    ///
    /// # Errors
    /// If it cannot be listed.
    pub fn is_empty(&self) -> Result<bool, ArchiveError> {
        Ok(self.visible()?.is_empty())
    }

    /// The visible files, in the order of their intervals.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub fn visible(&self) -> Result<Vec<String>, ArchiveError> {
        let folders = self.disk.folders(&self.shown).map_err(self.failed("list", &self.shown))?;
        let mut names = Vec::new();
        for folder in folders.iter().filter(|folder| folder.starts_with("date=")) {
            let folder = format!("{}/{folder}", self.shown);
            let files = self.disk.list(&folder).map_err(self.failed("list", &folder))?;
            let files = files.into_iter().filter(|name| name.ends_with(ENDING) && interval(name).is_some());
            names.extend(files.map(|name| (name.clone(), format!("{folder}/{name}"))));
        }
        names.sort();
        Ok(names.into_iter().map(|(_, path)| path).collect())
    }

    /// Files that were staged and never shown.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub fn leftovers(&self) -> Result<Vec<String>, ArchiveError> {
        match self.disk.list(STAGED) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            listed => listed.map_err(self.failed("list", STAGED)),
        }
    }

    /// Removes what runs before have left, and what is visible of the intervals that this start gives up. Only for a run
    /// that has fenced the state since it listed `leftovers`.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn sweep(&self, leftovers: &[String], given_up: Range<u32>) -> Result<(), ArchiveError> {
        // First: a run that is thought dead and goes on shows nothing of it any more.
        let staged: Vec<String> = leftovers.iter().map(|name| format!("{STAGED}/{name}")).collect();
        self.remove(&staged)?;
        if given_up.is_empty() {
            return Ok(());
        }
        let is_given_up = |path: &String| {
            let name = path.rsplit('/').next().unwrap_or_default();
            interval(name).is_some_and(|number| given_up.contains(&number))
        };
        self.remove(&self.visible()?.into_iter().filter(is_given_up).collect::<Vec<_>>())
    }

    /// Removes files for good: records that come again must not meet what a crash has brought back.
    fn remove(&self, names: &[String]) -> Result<(), ArchiveError> {
        for name in names {
            self.disk.remove(name).map_err(self.failed("remove", name))?;
        }
        let folders: BTreeSet<&str> =
            names.iter().filter_map(|name| Some(name.rsplit_once('/')?.0)).collect();
        let settle = |folder: &&str| self.disk.settle(folder).map_err(self.failed("make durable", folder));
        folders.iter().try_for_each(settle)
    }

    /// All bytes of a file.
    #[cfg(feature = "parquet")]
    pub(crate) fn read_all(&self, name: &str) -> Result<Bytes, ArchiveError> {
        self.disk.read(name, None).map_err(self.failed("read", name))
    }

    /// Bytes of a file from `start` on.
    #[cfg(feature = "parquet")]
    pub(crate) fn read(&self, name: &str, start: u64, length: u64) -> Result<Bytes, ArchiveError> {
        self.disk.read(name, Some((start, length))).map_err(self.failed("read", name))
    }

    /// Length of a file.
    #[cfg(feature = "parquet")]
    pub(crate) fn length(&self, name: &str) -> Result<u64, ArchiveError> {
        self.disk.length(name).map_err(self.failed("look at", name))
    }

    /// A file that is not what it should be.
    pub(crate) fn unfit(&self, name: &str, words: impl ToString) -> ArchiveError {
        ArchiveError::File { path: self.disk.place(name), words: words.to_string() }
    }
}

/// Whether an archive can be looked at. Makes nothing.
pub fn probe(address: &str) -> Probe {
    let archive = Archive::look_at(address);
    let found = archive.as_ref().map_err(ToString::to_string);
    let found = found.and_then(|archive| archive.visible().map_err(|error| error.to_string()));
    let found = found.map(|files| format!("{} files of events", files.len()));
    let clock = archive.ok().and_then(|archive| archive.disk.second());
    Probe { clock, ..Probe::new(format!("list {address}"), found) }
}
