//! Blobs as objects of an S3-compatible store.
//!
//! Commits are puts that fail where there is an object of that name (`If-None-Match: *`), which the server
//! decides: of any number of runs one wins. Everything else may be asked twice without harm.
//!
//! How a server is reached, and for how long one that is away is asked again, is up to [`bucket::Client`].

mod ahead;

use std::fmt;
use std::io;
use std::path::PathBuf;

use bucket::{Bucket, Client, invalid};
use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutPayload};

use crate::Disk;
use ahead::Ahead;

/// Objects beyond this are written in parts, so that no request takes long; twice what S3 needs at least.
const PART: usize = 10 << 20;
/// Most parts that S3 takes.
const PARTS_MAX: usize = 10_000;
/// Parts that are written at the same time.
const PARTS_AT_ONCE: usize = 4;

/// Blobs as objects below a prefix of a bucket.
pub struct S3Disk {
    client: Client,
    prefix: Path,
    /// For people: `s3://BUCKET/PREFIX`.
    place: String,
    ahead: Ahead,
}

impl fmt::Debug for S3Disk {
    /// Without the client, which knows secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("S3Disk").field("place", &self.place).finish_non_exhaustive()
    }
}

impl S3Disk {
    /// A disk in that bucket, with what the environment says of credentials. Asks the server nothing yet.
    ///
    /// # Errors
    /// If an address or a variable of the environment is not understood, or the server may only be talked to
    /// with TLS.
    pub fn open(bucket: &Bucket) -> io::Result<Self> {
        Ok(S3Disk {
            client: Client::open(bucket)?,
            prefix: Path::parse(&bucket.prefix).map_err(invalid)?,
            place: bucket.to_string(),
            ahead: Ahead::default(),
        })
    }

    /// The object of a blob.
    fn path(&self, name: &str) -> io::Result<Path> {
        Path::parse(format!("{}/{name}", self.prefix)).map_err(invalid)
    }

    fn get(&self, name: &str, range: Option<GetRange>) -> io::Result<Bytes> {
        let path = self.path(name)?;
        self.client.ask(async || {
            let options = GetOptions { range: range.clone(), ..GetOptions::default() };
            self.client.store().get_opts(&path, options).await?.bytes().await
        })
    }
}

impl Disk for S3Disk {
    fn write(&self, name: &str, pieces: &[Bytes]) -> io::Result<()> {
        self.ahead.clear();
        let path = self.path(name)?;
        let length: usize = pieces.iter().map(Bytes::len).sum();
        if length <= PART {
            return self.client.ask(async || {
                self.client.store().put(&path, pieces.iter().cloned().collect()).await.map(drop)
            });
        }
        let parts = cut(pieces, PART.max(length.div_ceil(PARTS_MAX)));
        // From the beginning again if it fails: what is there of an upload that is not completed is no object.
        self.client.ask(async || {
            let mut upload = self.client.store().put_multipart(&path).await?;
            let written = write_parts(upload.as_mut(), &parts).await;
            if written.is_err() {
                // The rules of the bucket may clear away what a server that is gone cannot.
                let _ = upload.abort().await;
            }
            written
        })
    }

    fn commit(&self, name: &str, bytes: Bytes) -> io::Result<()> {
        let path = self.path(name)?;
        let put = || {
            let payload = PutPayload::from_bytes(bytes.clone());
            self.client.store().put_opts(&path, payload, PutMode::Create.into())
        };
        let (put, asked_again) = self.client.ask_and_tell(put);
        match put {
            // A request whose answer was lost may have been carried out: then what is there is ours. Bytes
            // alone do not tell, so only where that can be.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && asked_again => {
                if self.get(name, None)? == bytes { Ok(()) } else { Err(error) }
            }
            put => put.map(drop),
        }
    }

    fn read(&self, name: &str, range: Option<(u64, u64)>) -> io::Result<Bytes> {
        let Some((start, length)) = range else { return self.get(name, None) };
        if start.checked_add(length).is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.ahead.read(name, start, length, |start, length| {
            self.get(name, Some(GetRange::Bounded(start..start + length)))
        })
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        let path = self.path(name)?;
        self.client.ask(async || Ok(self.client.store().head(&path).await?.size))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let path = self.path(folder)?;
        let listed = self.client.ask(async || self.client.store().list_with_delimiter(Some(&path)).await)?;
        let names = listed.objects.iter().filter_map(|object| object.location.filename());
        Ok(names.map(str::to_owned).collect())
    }

    fn folders(&self, folder: &str) -> io::Result<Vec<String>> {
        let path = self.path(folder)?;
        let listed = self.client.ask(async || self.client.store().list_with_delimiter(Some(&path)).await)?;
        let names = listed.common_prefixes.iter().filter_map(|prefix| prefix.parts().next_back());
        Ok(names.map(|name| name.as_ref().to_owned()).collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (old, new) = (self.path(from)?, self.path(to)?);
        match self.client.ask(async || self.client.store().copy(&old, &new).await) {
            // Done before, unless it is nowhere.
            Err(error) if error.kind() == io::ErrorKind::NotFound => drop(self.length(to)?),
            copied => copied?,
        }
        self.remove(from)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path(name)?;
        match self.client.ask(async || self.client.store().delete(&path).await) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn second(&self) -> Option<i64> {
        self.client.second()
    }

    fn place(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("{}/{name}", self.place))
    }
}

/// The same bytes in parts of `size`, the last one shorter. Copies none.
fn cut(pieces: &[Bytes], size: usize) -> Vec<PutPayload> {
    let mut parts = Vec::new();
    let (mut part, mut room) = (Vec::new(), size);
    for piece in pieces {
        let mut rest = piece.clone();
        while !rest.is_empty() {
            let taken = rest.split_to(room.min(rest.len()));
            room -= taken.len();
            part.push(taken);
            if room == 0 {
                parts.push(std::mem::take(&mut part).into_iter().collect());
                room = size;
            }
        }
    }
    if !part.is_empty() {
        parts.push(part.into_iter().collect());
    }
    parts
}

async fn write_parts(upload: &mut dyn MultipartUpload, parts: &[PutPayload]) -> object_store::Result<()> {
    for parts in parts.chunks(PARTS_AT_ONCE) {
        let mut under_way = tokio::task::JoinSet::new();
        for part in parts {
            under_way.spawn(upload.put_part(part.clone()));
        }
        while let Some(written) = under_way.join_next().await {
            written??;
        }
    }
    upload.complete().await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_as_long_as_wanted_and_hold_all_bytes_in_order() {
        let pieces = [&b"ab"[..], b"", b"cdefg", b"h"].map(Bytes::from_static);
        let parts = |size| -> Vec<Vec<u8>> {
            cut(&pieces, size)
                .iter()
                .map(|part| part.iter().flat_map(|bytes| bytes.to_vec()).collect())
                .collect()
        };
        assert_eq!(parts(3), [&b"abc"[..], b"def", b"gh"]);
        assert_eq!(parts(4), [&b"abcd"[..], b"efgh"]);
        assert_eq!(parts(100), [&b"abcdefgh"[..]]);
    }
}
