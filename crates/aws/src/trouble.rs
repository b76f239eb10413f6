//! What a failed request means: whether to try again, and what to say.

use std::error::Error;
use std::fmt;

use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};

/// Why a request did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It may go well the next time: too much at a time, a server that has its own trouble, a broken connection.
    Passing(String),
    /// The place in the stream that was asked for is too old to be asked for again: it has to be looked up anew.
    Expired,
    /// What was asked for is not there: a stream, a shard or a consumer. The service does not say which of them.
    Missing(String),
    /// It cannot go well: no permission, no credentials.
    Refused(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Passing(words) | Trouble::Missing(words) | Trouble::Refused(words) => f.write_str(words),
            Trouble::Expired => f.write_str("the iterator has expired"),
        }
    }
}

/// Errors of a client that may pass.
const PASSING: [&str; 14] = [
    "ProvisionedThroughputExceededException",
    "LimitExceededException",
    "ThrottlingException",
    "Throttling",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "SlowDown",
    "KMSThrottlingException",
    "InternalFailureException",
    "InternalFailure",
    "ServiceUnavailable",
    "ResourceInUseException",
    "ExpiredTokenException",
    "RequestTimeout",
];

/// Judges the failure of a request.
pub fn trouble<E>(error: &SdkError<E>) -> Trouble
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    trouble_of(error, status)
}

/// Judges the failure of an event of a stream, which has no status of its own.
pub fn event_trouble<E, R>(error: &SdkError<E, R>) -> Trouble
where
    E: ProvideErrorMetadata + Error + 'static,
    R: fmt::Debug + 'static,
{
    trouble_of(error, None)
}

fn trouble_of<E, R>(error: &SdkError<E, R>, status: Option<u16>) -> Trouble
where
    E: ProvideErrorMetadata + Error + 'static,
    R: fmt::Debug + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            let (code, message) = (service.err().code(), service.err().message());
            let words = match (code, message) {
                (Some(code), Some(message)) => format!("{code}: {message}"),
                (Some(words), None) | (None, Some(words)) => words.to_owned(),
                (None, None) => format!("it answered with {}", status.unwrap_or_default()),
            };
            match code {
                Some("ExpiredIteratorException") => Trouble::Expired,
                Some("ResourceNotFoundException") => Trouble::Missing(words),
                Some(code) if PASSING.contains(&code) => Trouble::Passing(words),
                // An event without a code: what is wrong shows when the stream is asked for again.
                None if status.is_none() => Trouble::Passing(words),
                _ if status.is_some_and(|status| status >= 500 || status == 429) => Trouble::Passing(words),
                _ => Trouble::Refused(words),
            }
        }
        SdkError::ConstructionFailure(_) => Trouble::Refused(chain(error)),
        // Credentials that cannot be had may be had a moment later, as from an instance that has just started.
        _ => Trouble::Passing(chain(error)),
    }
}

/// An error with what caused it, each part once.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        cause = error.source();
    }
    words
}
