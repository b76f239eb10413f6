//! Where a job keeps its state: a directory, or a prefix of a bucket.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bucket::Bucket;

use crate::{Disk, LocalDisk, LocalFiles, Store, StoreError};

/// Where a job keeps its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A directory.
    Dir(PathBuf),
    /// Objects of an S3-compatible store.
    S3(Bucket),
}

impl Location {
    /// Opens the store that is there, or makes an empty one. Asks a server nothing yet.
    ///
    /// # Errors
    /// If the file system refuses, or the address, the credentials or their like cannot be understood, or
    /// this program was built without the feature `s3`.
    pub fn open(&self) -> Result<Store, StoreError> {
        match self {
            Location::Dir(dir) => Store::open(dir),
            Location::S3(bucket) => open_bucket(bucket).map_err(|source| StoreError::Io {
                action: "open",
                path: self.path(),
                source,
            }),
        }
    }

    /// Opens what lies there as bare blobs in `folders`, which are made in a directory that has none. Asks a server
    /// nothing yet.
    ///
    /// # Errors
    /// As [`Location::open`].
    pub fn disk(&self, folders: &[&str]) -> std::io::Result<Arc<dyn Disk>> {
        match self {
            Location::Dir(dir) => Ok(Arc::new(LocalDisk::open(dir, folders, LocalFiles)?)),
            Location::S3(bucket) => bucket_disk(bucket),
        }
    }

    /// Opens the store that is there to look at it, and makes nothing. `None` where no checkpoint ever was: in a
    /// directory that no store has used, or a bucket that holds none.
    ///
    /// # Errors
    /// As [`Location::open`].
    pub fn open_existing(&self) -> Result<Option<Store>, StoreError> {
        match self {
            Location::Dir(dir) => Store::open_existing(dir),
            Location::S3(_) => {
                let store = self.open()?;
                Ok((!store.numbers()?.is_empty()).then_some(store))
            }
        }
    }

    /// The same as a path, as [`Store::dir`] has it; only for people where it is not a directory.
    pub fn path(&self) -> PathBuf {
        match self {
            Location::Dir(dir) => dir.clone(),
            Location::S3(_) => PathBuf::from(self.to_string()),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Dir(dir) => write!(formatter, "{}", dir.display()),
            Location::S3(bucket) => write!(formatter, "{bucket}"),
        }
    }
}

fn open_bucket(bucket: &Bucket) -> std::io::Result<Store> {
    Ok(Store::on(bucket_disk(bucket)?, Location::S3(bucket.clone()).path()))
}

#[cfg(feature = "s3")]
fn bucket_disk(bucket: &Bucket) -> std::io::Result<Arc<dyn Disk>> {
    Ok(Arc::new(crate::S3Disk::open(bucket)?))
}

#[cfg(not(feature = "s3"))]
fn bucket_disk(_bucket: &Bucket) -> std::io::Result<Arc<dyn Disk>> {
    let words =
        "this program was built without `s3`; build it with `--features s3`, or with `--features full`";
    Err(std::io::Error::new(std::io::ErrorKind::Unsupported, words))
}

#[cfg(test)]
mod tests {
    use bucket::Keys;

    use super::*;

    #[test]
    fn it_is_shown_as_it_is_written() {
        let bucket = Bucket::parse("s3://bucket/a/b/").unwrap().unwrap();
        let keys = Some(Keys { access: "somebody".into(), secret: "hunter2".into() });
        let location = Location::S3(Bucket { keys, ..bucket });
        assert_eq!(location.to_string(), "s3://bucket/a/b");
        assert!(!format!("{location:?}").contains("hunter2"));
        assert_eq!(Location::Dir("x/y".into()).to_string(), "x/y");
    }

    #[cfg(not(feature = "s3"))]
    #[test]
    fn a_program_without_the_feature_says_which_one_brings_it() {
        let bucket = Bucket::parse("s3://bucket/a").unwrap().unwrap();
        let words = Location::S3(bucket).open().unwrap_err().to_string();
        assert!(words.contains("--features s3"), "{words}");
    }
}
