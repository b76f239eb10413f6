//! What time the server says it is: the `Date` of its last answer, whatever that was.
//!
//! Signatures hold for some minutes around it, so that a server refuses whoever has another time.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};

/// No answer has said it.
const UNKNOWN: i64 = i64::MIN;

/// The second since 1970 that the server said last.
#[derive(Debug, Clone)]
pub(super) struct ServerClock(Arc<AtomicI64>);

impl Default for ServerClock {
    fn default() -> Self {
        ServerClock(Arc::new(AtomicI64::new(UNKNOWN)))
    }
}

impl ServerClock {
    pub(super) fn second(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|second| *second != UNKNOWN)
    }

    fn hear(&self, answer: &HttpResponse) {
        let date = answer.headers().get("date").and_then(|date| date.to_str().ok());
        if let Some(second) = date.and_then(second_of) {
            self.0.store(second, Ordering::Relaxed);
        }
    }
}

/// A date as HTTP writes it.
fn second_of(date: &str) -> Option<i64> {
    Some(jiff::fmt::rfc2822::parse(date.trim()).ok()?.timestamp().as_second())
}

impl HttpConnector for ServerClock {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Listening { client, clock: self.clone() }))
    }
}

/// A client that hears what time it is.
#[derive(Debug)]
struct Listening {
    client: HttpClient,
    clock: ServerClock,
}

impl HttpService for Listening {
    fn call<'life0, 'async_trait>(
        &'life0 self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let answer = self.client.execute(request).await?;
            self.clock.hear(&answer);
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_as_http_writes_it() {
        assert_eq!(second_of("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(second_of("today"), None);
    }
}
