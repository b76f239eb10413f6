//! A client of a bucket: asks, waits, asks again.

use std::fmt;
use std::io;
use std::time::Duration;

use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use tokio::runtime::{Builder, Runtime};

use crate::Bucket;
use crate::clock::ServerClock;
use crate::retry::Retries;

/// A request without an answer is given up after this, and asked again; earlier where less patience is asked
/// for, but every request gets so much.
const REQUEST: Duration = Duration::from_secs(30);
const REQUEST_MIN: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(5);

/// A client of a bucket.
pub struct Client {
    store: AmazonS3,
    clock: ServerClock,
    retries: Retries,
    /// Only taken out to be dropped.
    runtime: Option<Runtime>,
}

/// An object, as a listing has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its length in bytes.
    pub length: u64,
    /// What the server knows its content by, if it says so.
    pub e_tag: Option<String>,
    /// When it was last written, in microseconds since 1970.
    pub modified: i64,
}

impl fmt::Debug for Client {
    /// Without what it knows of secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("place", &self.retries.place).finish_non_exhaustive()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Not even a name server that does not answer is waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Client {
    /// A client of that bucket, with what the environment says of credentials. Asks the server nothing yet.
    ///
    /// # Errors
    /// If an address or a variable of the environment is not understood, or the server may only be talked to
    /// with TLS.
    pub fn open(bucket: &Bucket) -> io::Result<Self> {
        // Whoever came first has chosen the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = ServerClock::default();
        let store = store(bucket, clock.clone())?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(2)
            .thread_name("s3")
            .enable_all()
            .build()?;
        let retries = Retries { patience: bucket.retry_for, place: bucket.to_string() };
        Ok(Client { store, clock, retries, runtime: Some(runtime) })
    }

    /// The second since 1970 that the server said it is when it last answered, also where it refused; `None` before.
    pub fn second(&self) -> Option<i64> {
        self.clock.second()
    }

    /// What requests are made with.
    pub fn store(&self) -> &AmazonS3 {
        &self.store
    }

    /// Asks the server, and again as long as it has no answer. Blocks.
    ///
    /// # Errors
    /// What the server refuses, or that it has been away for too long. Of kind `NotFound` if there is no such object,
    /// `AlreadyExists` if a condition of the request does not hold, `UnexpectedEof` if a range lies behind the end.
    pub fn ask<T, F>(&self, request: impl Fn() -> F) -> io::Result<T>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        self.ask_and_tell(request).0
    }

    /// The same, and whether it was asked again after a request that may have been carried out.
    pub fn ask_and_tell<T, F>(&self, request: impl Fn() -> F) -> (io::Result<T>, bool)
    where
        F: Future<Output = object_store::Result<T>>,
    {
        match &self.runtime {
            Some(runtime) => runtime.block_on(self.retries.run(request)),
            None => (Err(io::ErrorKind::NotConnected.into()), false),
        }
    }

    /// All objects whose keys begin with `prefix` and a slash, those in folders below included; with an empty one all of
    /// the bucket. In the order of their keys.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn list(&self, prefix: &str) -> io::Result<Vec<Listed>> {
        let prefix = Path::parse(prefix).map_err(invalid)?;
        let listed = self.ask(async || self.store.list(Some(&prefix)).try_collect::<Vec<_>>().await)?;
        let mut listed: Vec<Listed> = listed.into_iter().map(Listed::from).collect();
        listed.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(listed)
    }

    /// One object, as it is now.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn look_at(&self, key: &str) -> io::Result<Listed> {
        use object_store::ObjectStoreExt;
        let path = Path::parse(key).map_err(invalid)?;
        Ok(self.ask(async || self.store.head(&path).await)?.into())
    }
}

impl From<object_store::ObjectMeta> for Listed {
    fn from(meta: object_store::ObjectMeta) -> Self {
        let modified = meta.last_modified.timestamp_micros();
        Listed { key: meta.location.to_string(), length: meta.size, e_tag: meta.e_tag, modified }
    }
}

fn store(bucket: &Bucket, clock: ServerClock) -> io::Result<AmazonS3> {
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
            let words = "the server's address is not https; set `s3_allow_http = true` beside it if nobody between \
                         here and there can listen";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
        }
        options = options.with_allow_http(true);
    }
    // Asked again by `Retries`, which knows what may be asked again.
    let once = RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: REQUEST };
    builder.with_client_options(options).with_http_connector(clock).with_retry(once).build().map_err(invalid)
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

/// Something that is not understood, as an error of input and output.
pub fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
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
        assert!(Client::open(&there).unwrap_err().to_string().contains("s3_allow_http"));
        assert!(Client::open(&Bucket { allow_http: true, ..there.clone() }).is_ok());
        assert!(Client::open(&Bucket { endpoint: Some("https://10.0.0.1".into()), ..there }).is_ok());
    }
}
