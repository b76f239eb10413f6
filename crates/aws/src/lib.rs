//! The way to Amazon's services: region, credentials, a client with TLS by ring, and what to do about a failure.
//!
//! Below `ingest` and `alert`, which read and write streams of Kinesis through it. Who may come in is found as by any
//! program of Amazon's: environment, profile, web identity, container, instance. Plain `http://` addresses are taken
//! too, for servers on this machine that stand in for Amazon's. One thread drives all connections of a process.

mod backoff;
mod clock;
mod trouble;

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use std::{io, thread};

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, retry::RetryConfig, stalled_stream_protection::StalledStreamProtectionConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use tokio::runtime::{Builder, Handle};

pub use backoff::Backoff;
pub use clock::ServerClock;
pub use trouble::{Trouble, event_trouble, trouble};

/// How long it may take until a connection is made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request may take until its answer is there.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Where a service is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// The region; without it that of the environment or the profile.
    pub region: Option<String>,
    /// Its address, `http://HOST:PORT` or `https://..`; without it that of the environment or the profile, or Amazon's.
    pub endpoint: Option<String>,
}

/// A client of Kinesis, with what it hears of the server's clock.
#[derive(Debug, Clone)]
pub struct Kinesis {
    /// It never tries again by itself: whoever calls decides, with [`trouble`] and [`Backoff`].
    pub client: aws_sdk_kinesis::Client,
    /// The clock of the server.
    pub clock: ServerClock,
}

/// Connects to Kinesis; the client of the same place is made once a process.
///
/// # Errors
/// If no region is known, or the thread cannot be started.
pub fn kinesis(access: &Access) -> Result<Kinesis, Trouble> {
    static CLIENTS: Mutex<Vec<(Access, Kinesis)>> = Mutex::new(Vec::new());
    let mut clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, kinesis)) = clients.iter().find(|(known, _)| known == access) {
        return Ok(kinesis.clone());
    }
    let kinesis = block_on(connect(access.clone()))??;
    clients.push((access.clone(), kinesis.clone()));
    Ok(kinesis)
}

async fn connect(access: Access) -> Result<Kinesis, Trouble> {
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(REQUEST_TIMEOUT)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        // A subscription may have nothing to say for a while; whoever reads it has a time limit of its own.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(region) = access.region {
        loader = loader.region(Region::new(region));
    }
    if let Some(endpoint) = access.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    let shared = loader.load().await;
    if shared.region().is_none() {
        return Err(Trouble::Refused("no region is known: set `region`, or AWS_REGION".to_owned()));
    }
    let clock = ServerClock::default();
    let config = aws_sdk_kinesis::config::Builder::from(&shared).interceptor(clock.clone()).build();
    Ok(Kinesis { client: aws_sdk_kinesis::Client::from_conf(config), clock })
}

/// The runtime of the process: one thread, started when it is first asked for.
///
/// # Errors
/// If the thread cannot be started.
pub fn runtime() -> Result<Handle, Trouble> {
    static RUNTIME: OnceLock<Result<Handle, String>> = OnceLock::new();
    let start = || -> io::Result<Handle> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        thread::Builder::new()
            .name("aws".to_owned())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
        Ok(handle)
    };
    let runtime = RUNTIME.get_or_init(|| start().map_err(|error| error.to_string()));
    runtime.clone().map_err(|words| Trouble::Refused(format!("its thread cannot be started: {words}")))
}

/// Waits for something on the runtime of the process. Not to be called on its thread.
///
/// # Errors
/// As [`runtime`], or if the work was given up because it panicked.
pub fn block_on<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, Trouble> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    runtime()?.spawn(async move {
        let done = work.await;
        // Nobody waits any more: then nobody needs it.
        let _ = sender.send(done);
    });
    receiver.recv().map_err(|_| Trouble::Refused("a request was given up".to_owned()))
}
