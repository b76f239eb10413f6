//! A client for a place: where the service is, and who asks.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::{ServerClock, Trouble, block_on};

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
    /// It never tries again by itself: whoever calls decides, with [`trouble`](crate::trouble) and [`Backoff`](crate::Backoff).
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
    let http =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
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
