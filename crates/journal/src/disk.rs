//! Files that are there wholly or not at all, and directories that remember them.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::error::JournalError;

/// Creates a file with these bytes, durable under its name. A crash leaves no half of it under that name.
pub(crate) fn create(dir: &Path, name: &str, bytes: &[u8]) -> Result<File, JournalError> {
    let (path, temporary) = (dir.join(name), dir.join(format!("{name}.tmp")));
    let created = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &path)
    });
    if let Err(source) = created {
        // What is left of it is removed at the next start, if not now.
        let _ = std::fs::remove_file(&temporary);
        return Err(JournalError::Io { what: "create", path, source });
    }
    sync_dir(dir)?;
    File::options().read(true).write(true).open(&path).map_err(JournalError::io("open", &path))
}

/// Removes a file, durably.
pub(crate) fn remove(dir: &Path, name: &str) -> Result<(), JournalError> {
    let path = dir.join(name);
    std::fs::remove_file(&path).map_err(JournalError::io("remove", &path))?;
    sync_dir(dir)
}

pub(crate) fn sync_dir(dir: &Path) -> Result<(), JournalError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(JournalError::io("sync", dir))
}
