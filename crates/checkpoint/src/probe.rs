//! Whether a state can be kept where the config says, tried with a file or object that is taken away again.

use std::io;
use std::path::Path;
use std::time::Duration;

use bucket::Bucket;
use bytes::Bytes;
use event::Probe;

use crate::location::Location;
use crate::store::nonce;
use crate::{LocalDisk, LocalFiles, Store};

/// A server that is away is waited for no longer than this.
const PATIENCE: Duration = Duration::from_secs(5);

impl Location {
    /// What there is to be found out before a job keeps its state here. Nothing stays that was not there before.
    pub fn probe(&self) -> Vec<Probe> {
        match self {
            Location::Dir(dir) => vec![probe_dir(dir)],
            Location::S3(bucket) => {
                let hasty = Bucket { retry_for: bucket.retry_for.min(PATIENCE), ..bucket.clone() };
                match Location::S3(hasty).open() {
                    Ok(store) => store.probe(),
                    Err(error) => vec![Probe::new("open the bucket", Err(words(&error)))],
                }
            }
        }
    }
}

/// An error with its causes.
fn words(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A directory that is there must take a file; one that is not must be one that can be made.
fn probe_dir(dir: &Path) -> Probe {
    let what = format!("write into {}", dir.display());
    let there = dir.ancestors().map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir });
    let Some(there) = there.clone().find(|dir| dir.exists()) else {
        return Probe::new(what, Err("no folder above it exists".to_owned()));
    };
    let name = format!(".probe-{:016x}", nonce());
    let disk = LocalDisk::existing(there, LocalFiles);
    let tried = try_on(&disk, &name);
    let found = match there == dir {
        true => "it is there".to_owned(),
        false => "it is not there yet, and can be made".to_owned(),
    };
    Probe::new(what, tried.map(|()| found).map_err(|error| error.to_string()))
}

/// Creates, reads, and removes a blob.
fn try_on(disk: &dyn crate::Disk, name: &str) -> io::Result<()> {
    let bytes = Bytes::from_static(b"tidewatch check --online");
    disk.commit(name, bytes.clone())?;
    let read = disk.read(name, None);
    let again = disk.commit(name, Bytes::from_static(b"again"));
    disk.remove(name)?;
    if read? != bytes {
        return Err(io::Error::other("what was read is not what was written"));
    }
    match again {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        // Two runs could commit the same checkpoint.
        Ok(()) => Err(io::Error::other("it lets an object be created twice: it ignores `If-None-Match`")),
    }
}

impl Store {
    fn probe(&self) -> Vec<Probe> {
        let name = format!("probe-{:016x}", nonce());
        let tried = try_on(self.disk(), &name).map_err(|error| words(&error));
        let found = tried.map(|()| format!("in {}", self.dir().display()));
        let clock = self.disk().second();
        vec![Probe { clock, ..Probe::new("create, read and delete an object", found) }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_tried_without_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("a/b");
        let found = Location::Dir(state.clone()).probe();
        assert!(found[0].outcome.as_ref().unwrap().contains("can be made"), "{found:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        std::fs::create_dir_all(&state).unwrap();
        assert!(Location::Dir(state.clone()).probe()[0].outcome.as_ref().unwrap().contains("is there"));
        assert_eq!(std::fs::read_dir(&state).unwrap().count(), 0);
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(Location::Dir(file.join("state")).probe()[0].outcome.is_err());
    }
}
