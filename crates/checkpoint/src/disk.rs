//! Where blobs lie: a directory, or an object store.
//!
//! [`crate::Store`] knows what is written and when; a [`Disk`] knows how a blob becomes durable.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

/// Durable blobs by name. Names have one `/`: folder and file.
pub trait Disk: Debug + Send + Sync {
    /// Writes a blob that nobody names yet, durably.
    ///
    /// # Errors
    /// If it could not be written. A part of it may be there; it is never to be named then.
    fn write(&self, name: &str, pieces: &[Bytes]) -> io::Result<()>;

    /// Creates a blob durably, all of it or none of it, if there is none of that name.
    ///
    /// # Errors
    /// `AlreadyExists` if there is one; else if it could not be written: then it may be there or not.
    fn commit(&self, name: &str, bytes: Bytes) -> io::Result<()>;

    /// Reads bytes of a blob, all of them without a range.
    ///
    /// # Errors
    /// `NotFound`; `UnexpectedEof` if it is shorter.
    fn read(&self, name: &str, range: Option<(u64, u64)>) -> io::Result<Bytes>;

    /// Its length in bytes.
    ///
    /// # Errors
    /// `NotFound`, or if it cannot be told.
    fn length(&self, name: &str) -> io::Result<u64>;

    /// Files of a folder, in no order.
    ///
    /// # Errors
    /// If they cannot be listed.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Removes a blob; one that is not there is removed already.
    ///
    /// # Errors
    /// If it could not be removed.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Names of the folders in a folder, in no order; none where there is no such folder.
    ///
    /// # Errors
    /// If they cannot be listed.
    fn folders(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Gives a durable blob another name, durably, in a folder that is made if need be. Its old name is gone then, and
    /// to ask for the same once more changes nothing.
    ///
    /// # Errors
    /// `NotFound` if it has neither name; else if it is not known to have the new one for good.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes what was removed from a folder stay removed. Until then a blob may be there again after a crash.
    ///
    /// # Errors
    /// If it is not sure.
    fn settle(&self, _folder: &str) -> io::Result<()> {
        Ok(())
    }

    /// The second since 1970 that whoever keeps the blobs said it is when it last answered; `None` where nobody does.
    fn second(&self) -> Option<i64> {
        None
    }

    /// Where a blob is, for people.
    fn place(&self, name: &str) -> PathBuf;
}

/// The calls to a file system that durability rests on, so that a test can lose or fail any of them.
pub trait Files: Debug + Send + Sync {
    /// Makes a directory and those above it, whose names are then durable.
    ///
    /// # Errors
    /// As the system says.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Creates a file that must not exist, writes it and syncs it. Its name is durable after
    /// [`Files::sync_dir`].
    ///
    /// # Errors
    /// As the system says. A failed sync is never tried again: what is on the disk is unknown then.
    fn write(&self, path: &Path, pieces: &[Bytes]) -> io::Result<()>;

    /// Gives a file a second name, which must not exist.
    ///
    /// # Errors
    /// `AlreadyExists`; else as the system says.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// As the system says.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Reads bytes of a file, all of them without a range.
    ///
    /// # Errors
    /// As the system says; `UnexpectedEof` if it is shorter.
    fn read(&self, path: &Path, range: Option<(u64, u64)>) -> io::Result<Vec<u8>>;

    /// Its length in bytes.
    ///
    /// # Errors
    /// As the system says.
    fn length(&self, path: &Path) -> io::Result<u64>;

    /// Names of the files in a directory.
    ///
    /// # Errors
    /// As the system says.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Names of the directories in a directory.
    ///
    /// # Errors
    /// As the system says.
    fn folders(&self, dir: &Path) -> io::Result<Vec<String>>;
}

/// The file system of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalFiles;

impl LocalFiles {
    /// Makes the name of a directory durable.
    fn sync_parent(self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(parent) if parent == Path::new("") => self.sync_dir(Path::new(".")),
            Some(parent) => self.sync_dir(parent),
            None => Ok(()),
        }
    }
}

impl Files for LocalFiles {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let made: Vec<&Path> = dir.ancestors().take_while(|path| !path.exists()).collect();
        fs::create_dir_all(dir)?;
        made.iter().try_for_each(|path| self.sync_parent(path))?;
        // Also the last that was there: whoever made it may have died before its name was durable. Or it was
        // made long ago, in a place that this process may not open.
        match dir.ancestors().nth(made.len()).map(|path| self.sync_parent(path)) {
            Some(Err(error)) if error.kind() != io::ErrorKind::PermissionDenied => Err(error),
            _ => Ok(()),
        }
    }

    fn write(&self, path: &Path, pieces: &[Bytes]) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let mut writer = io::BufWriter::with_capacity(1 << 16, file);
        pieces.iter().try_for_each(|piece| writer.write_all(piece))?;
        writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_data()
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn read(&self, path: &Path, range: Option<(u64, u64)>) -> io::Result<Vec<u8>> {
        let Some((start, length)) = range else { return fs::read(path) };
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        // Allocates as bytes come: a length is not believed before they are there.
        file.take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let names = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    fn folders(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(names)
    }
}

/// Blobs as files of a directory.
#[derive(Debug)]
pub struct LocalDisk<F = LocalFiles> {
    dir: PathBuf,
    files: F,
    /// Told apart by process and by use, so that drafts of two runs never meet.
    drafts: u64,
}

impl<F: Files> LocalDisk<F> {
    /// Opens a directory, making it and `folders` in it if they are not there.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn open(dir: &Path, folders: &[&str], files: F) -> io::Result<Self> {
        for folder in folders {
            let folder = dir.join(folder);
            files.create_dir(&folder)?;
            // What a process that died has left is seen, but perhaps not there for good.
            files.sync_dir(&folder)?;
        }
        files.sync_dir(dir)?;
        Ok(Self::existing(dir, files))
    }

    /// A directory that is there, with its folders.
    pub fn existing(dir: &Path, files: F) -> Self {
        LocalDisk { dir: dir.to_owned(), files, drafts: crate::store::nonce() }
    }

    fn folder(&self, path: &Path) -> PathBuf {
        path.parent().map_or_else(|| self.dir.clone(), Path::to_owned)
    }
}

impl<F: Files> Disk for LocalDisk<F> {
    fn write(&self, name: &str, pieces: &[Bytes]) -> io::Result<()> {
        let path = self.dir.join(name);
        self.files.write(&path, pieces)?;
        self.files.sync_dir(&self.folder(&path))
    }

    fn commit(&self, name: &str, bytes: Bytes) -> io::Result<()> {
        let path = self.dir.join(name);
        let draft = path.with_extension(format!("draft-{:016x}", self.drafts));
        // What an attempt that failed has left.
        match self.files.remove(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => self.files.write(&draft, &[bytes])?,
        }
        // A link fails where a rename would silently replace.
        if let Err(error) = self.files.link(&draft, &path) {
            // What is left of it is removed by the next attempt, or the next start.
            let _ = self.files.remove(&draft);
            return Err(error);
        }
        // It is there, but perhaps not for good: whatever fails now must not look as if it could be tried
        // again, as a lack of space does.
        let unsure = |error: io::Error| io::Error::other(error.to_string());
        self.files.remove(&draft).map_err(unsure)?;
        self.files.sync_dir(&self.folder(&path)).map_err(unsure)
    }

    fn read(&self, name: &str, range: Option<(u64, u64)>) -> io::Result<Bytes> {
        self.files.read(&self.dir.join(name), range).map(Bytes::from)
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        self.files.length(&self.dir.join(name))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.files.list(&self.dir.join(folder))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match self.files.remove(&self.dir.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn folders(&self, folder: &str) -> io::Result<Vec<String>> {
        match self.files.folders(&self.dir.join(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            listed => listed,
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.dir.join(from), self.dir.join(to));
        let folder = self.folder(&to);
        self.files.create_dir(&folder)?;
        match self.files.link(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // Done before, unless it is nowhere.
            Err(error) if error.kind() == io::ErrorKind::NotFound => drop(self.files.length(&to)?),
            linked => linked?,
        }
        // Only then may the old name go: one of the two outlives any crash.
        self.files.sync_dir(&folder)?;
        match self.files.remove(&from) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn settle(&self, folder: &str) -> io::Result<()> {
        self.files.sync_dir(&self.dir.join(folder))
    }

    fn place(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}
