//! Where a job keeps its state: a directory, or a prefix of a bucket.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::{Disk, LocalDisk, LocalFiles, Store, StoreError};

const SCHEME: &str = "s3://";

/// Where a job keeps its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A directory.
    Dir(PathBuf),
    /// Objects of an S3-compatible store.
    S3(Bucket),
}

/// A part of a bucket, and how to get there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What all names of the job's objects begin with, without a slash at either end.
    pub prefix: String,
    /// Address of the server; without, `AWS_ENDPOINT_URL`, else that of Amazon for the region.
    pub endpoint: Option<String>,
    /// Region; without, `AWS_REGION`, else `us-east-1`.
    pub region: Option<String>,
    /// Whether a server may be talked to without TLS. One on this machine always may.
    pub allow_http: bool,
    /// How long a server that is away is waited for before a call fails.
    pub retry_for: Duration,
    /// Without: what the environment says (`AWS_ACCESS_KEY_ID` and its like), else the machine's role.
    pub keys: Option<Keys>,
}

/// Who asks a server, and how it knows.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The name.
    pub access: String,
    /// The secret.
    pub secret: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keys").field("access", &self.access).finish_non_exhaustive()
    }
}

impl Bucket {
    /// How long a server that is away is waited for, unless the user says otherwise.
    pub const RETRY_FOR: Duration = Duration::from_secs(60);

    /// Reads `s3://BUCKET/PREFIX`. `None` if it does not begin like that.
    ///
    /// # Errors
    /// Why it is no such address, in words.
    pub fn parse(address: &str) -> Option<Result<Bucket, String>> {
        let (name, prefix) = {
            let rest = address.strip_prefix(SCHEME)?;
            rest.split_once('/').unwrap_or((rest, ""))
        };
        let prefix = prefix.trim_end_matches('/');
        let word = |c: char| c.is_ascii_alphanumeric() || "-_.=".contains(c);
        let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(word);
        Some(if name.len() < 3 || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            Err(format!("`{name}` is no name of a bucket"))
        } else if prefix.is_empty() {
            Err("no prefix, which keeps the job apart from others in that bucket".to_owned())
        } else if let Some(part) = prefix.split('/').find(|part| !is_part(part)) {
            Err(format!("`{part}` cannot be a part of the prefix: letters, digits, `-`, `_`, `.`, `=` can"))
        } else {
            Ok(Bucket {
                name: name.to_owned(),
                prefix: prefix.to_owned(),
                endpoint: None,
                region: None,
                allow_http: false,
                retry_for: Self::RETRY_FOR,
                keys: None,
            })
        })
    }
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
            Location::S3(bucket) => write!(formatter, "{SCHEME}{}/{}", bucket.name, bucket.prefix),
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
    use super::*;

    #[test]
    fn an_address_has_a_bucket_and_a_prefix_that_keeps_jobs_apart() {
        let parse = |text: &str| {
            Bucket::parse(text).map(|read| read.map(|b| (b.name, b.prefix)).map_err(|words| words.len() > 10))
        };
        let good = |name: &str, prefix: &str| Some(Ok((name.to_owned(), prefix.to_owned())));
        assert_eq!(parse("state"), None);
        assert_eq!(parse("/s3://x"), None);
        assert_eq!(parse("s3://bucket/job"), good("bucket", "job"));
        assert_eq!(parse("s3://my.bucket-1/team=a/job_2/"), good("my.bucket-1", "team=a/job_2"));
        for bad in ["s3://", "s3://bucket", "s3://bucket/", "s3:///job", "s3://b u/job", "s3://u:p@host/job"]
        {
            assert_eq!(parse(bad), Some(Err(true)), "{bad}");
        }
        for bad in
            ["s3://bucket/../x", "s3://bucket/a//b", "s3://bucket//a", "s3://bucket/a b", "s3://bucket/ä"]
        {
            assert_eq!(parse(bad), Some(Err(true)), "{bad}");
        }
    }

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
