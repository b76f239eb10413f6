//! Blobs as objects of an S3-compatible store.
//!
//! Commits are puts that fail where there is an object of that name (`If-None-Match: *`), which the server
//! decides: of any number of runs one wins. Everything else may be asked twice without harm.
//!
//! A server that is away, or has no time, is asked again for [`Bucket::retry_for`], less and less often, and
//! people are told once. Then the call fails, and with it the run. What a server refuses (no such bucket, no
//! right to write) fails at once.
//!
//! Calls block; behind them is a small runtime of this disk's own.

mod ahead;
mod retry;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt,
    PutMode, PutPayload, RetryConfig,
};
use tokio::runtime::{Builder, Runtime};

use crate::Disk;
use crate::location::{Bucket, Location};
use ahead::Ahead;
use retry::Retries;

/// Objects beyond this are written in parts, so that no request takes long; twice what S3 needs at least.
const PART: usize = 10 << 20;
/// Most parts that S3 takes.
const PARTS_MAX: usize = 10_000;
/// Parts that are written at the same time.
const PARTS_AT_ONCE: usize = 4;
/// A request without an answer is given up after this, and asked again; earlier where less patience is asked
/// for, but every request gets so much.
const REQUEST: Duration = Duration::from_secs(30);
const REQUEST_MIN: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(5);

/// Blobs as objects below a prefix of a bucket.
pub struct S3Disk {
    store: Arc<AmazonS3>,
    prefix: Path,
    /// For people: `s3://BUCKET/PREFIX`.
    place: String,
    retries: Retries,
    ahead: Ahead,
    /// Only taken out to be dropped.
    runtime: Option<Runtime>,
}

impl fmt::Debug for S3Disk {
    /// Without the client, which knows secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("S3Disk").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Drop for S3Disk {
    fn drop(&mut self) {
        // Not even a name server that does not answer is waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl S3Disk {
    /// A disk in that bucket, with what the environment says of credentials. Asks the server nothing yet.
    ///
    /// # Errors
    /// If an address or a variable of the environment is not understood, or the server may only be talked to
    /// with TLS.
    pub fn open(bucket: &Bucket) -> io::Result<Self> {
        // Whoever came first has chosen the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let store = client(bucket)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(2)
            .thread_name("s3")
            .enable_all()
            .build()?;
        let place = Location::S3(bucket.clone()).to_string();
        Ok(S3Disk {
            store: Arc::new(store),
            prefix: Path::parse(&bucket.prefix).map_err(invalid)?,
            retries: Retries { patience: bucket.retry_for, place: place.clone() },
            place,
            ahead: Ahead::default(),
            runtime: Some(runtime),
        })
    }

    /// The object of a blob.
    fn path(&self, name: &str) -> io::Result<Path> {
        Path::parse(format!("{}/{name}", self.prefix)).map_err(invalid)
    }

    /// Asks the server, and again as long as it has no answer.
    fn ask<T, F>(&self, request: impl Fn() -> F) -> io::Result<T>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let Some(runtime) = &self.runtime else { return Err(io::ErrorKind::NotConnected.into()) };
        runtime.block_on(self.retries.run(request)).0
    }

    fn get(&self, name: &str, range: Option<GetRange>) -> io::Result<Bytes> {
        let path = self.path(name)?;
        self.ask(async || {
            let options = GetOptions { range: range.clone(), ..GetOptions::default() };
            self.store.get_opts(&path, options).await?.bytes().await
        })
    }
}

impl Disk for S3Disk {
    fn write(&self, name: &str, pieces: &[Bytes]) -> io::Result<()> {
        self.ahead.clear();
        let path = self.path(name)?;
        let length: usize = pieces.iter().map(Bytes::len).sum();
        if length <= PART {
            return self
                .ask(async || self.store.put(&path, pieces.iter().cloned().collect()).await.map(drop));
        }
        let parts = cut(pieces, PART.max(length.div_ceil(PARTS_MAX)));
        // From the beginning again if it fails: what is there of an upload that is not completed is no object.
        self.ask(async || {
            let mut upload = self.store.put_multipart(&path).await?;
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
        let Some(runtime) = &self.runtime else { return Err(io::ErrorKind::NotConnected.into()) };
        let put = || {
            let payload = PutPayload::from_bytes(bytes.clone());
            self.store.put_opts(&path, payload, PutMode::Create.into())
        };
        let (put, asked_again) = runtime.block_on(self.retries.run(put));
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
        self.ask(async || Ok(self.store.head(&path).await?.size))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let path = self.path(folder)?;
        let listed = self.ask(async || self.store.list_with_delimiter(Some(&path)).await)?;
        let names = listed.objects.iter().filter_map(|object| object.location.filename());
        Ok(names.map(str::to_owned).collect())
    }

    fn folders(&self, folder: &str) -> io::Result<Vec<String>> {
        let path = self.path(folder)?;
        let listed = self.ask(async || self.store.list_with_delimiter(Some(&path)).await)?;
        let names = listed.common_prefixes.iter().filter_map(|prefix| prefix.parts().next_back());
        Ok(names.map(|name| name.as_ref().to_owned()).collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (old, new) = (self.path(from)?, self.path(to)?);
        match self.ask(async || self.store.copy(&old, &new).await) {
            // Done before, unless it is nowhere.
            Err(error) if error.kind() == io::ErrorKind::NotFound => drop(self.length(to)?),
            copied => copied?,
        }
        self.remove(from)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path(name)?;
        match self.ask(async || self.store.delete(&path).await) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn place(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("{}/{name}", self.place))
    }
}

fn client(bucket: &Bucket) -> io::Result<AmazonS3> {
    use AmazonS3ConfigKey::{Endpoint, S3Endpoint};
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(&bucket.name);
    if let Some(endpoint) = &bucket.endpoint {
        builder = builder.with_config(S3Endpoint, endpoint);
    }
    if let Some(region) = &bucket.region {
        builder = builder.with_region(region);
    }
    if let Some(keys) = &bucket.keys {
        builder = builder.with_access_key_id(&keys.access).with_secret_access_key(&keys.secret);
    }
    let endpoint = builder.get_config_value(&S3Endpoint).or_else(|| builder.get_config_value(&Endpoint));
    let timeout = bucket.retry_for.clamp(REQUEST_MIN, REQUEST);
    let mut options = ClientOptions::new().with_timeout(timeout).with_connect_timeout(CONNECT);
    let allows = std::env::var("AWS_ALLOW_HTTP").is_ok_and(|value| value == "true" || value == "1");
    if let Some(endpoint) = endpoint.filter(|endpoint| endpoint.starts_with("http://")) {
        if !(allows || bucket.allow_http || is_here(&endpoint)) {
            let words = "the server's address is not https; set `state.s3_allow_http = true` if nobody between \
                         here and there can listen";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
        }
        options = options.with_allow_http(true);
    }
    // Asked again by `Retries`, which knows what may be asked again.
    let once = RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: REQUEST };
    builder.with_client_options(options).with_retry(once).build().map_err(invalid)
}

/// Whether an address is on this machine.
fn is_here(endpoint: &str) -> bool {
    let host = endpoint.trim_start_matches("http://").split(['/', '?']).next().unwrap_or_default();
    let host =
        host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(host, _)| host);
    host == "localhost"
        || host == "[::1]"
        || host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
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
    fn only_a_server_on_this_machine_is_talked_to_without_tls() {
        for here in ["http://127.0.0.1:9000", "http://localhost", "http://[::1]:9000/", "http://127.9.9.9/x"]
        {
            assert!(is_here(here), "{here}");
        }
        for there in [
            "http://10.0.0.1:9000",
            "http://localhost.example",
            "http://127.0.0.1.example:80",
            "http://[::2]:1",
        ] {
            assert!(!is_here(there), "{there}");
        }
        let bucket = Bucket::parse("s3://bucket/job").unwrap().unwrap();
        let there =
            Bucket { endpoint: Some("http://10.0.0.1:9000".into()), region: Some("x".into()), ..bucket };
        assert!(S3Disk::open(&there).unwrap_err().to_string().contains("s3_allow_http"));
        assert!(S3Disk::open(&Bucket { allow_http: true, ..there.clone() }).is_ok());
        assert!(S3Disk::open(&Bucket { endpoint: Some("https://10.0.0.1".into()), ..there }).is_ok());
    }

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
