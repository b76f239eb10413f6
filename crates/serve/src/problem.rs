//! Why a request is refused, as its client hears it.

use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// A refusal. Nothing of the request was taken in, unless `words` say that this is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, in a number.
    pub status: StatusCode,
    /// The same in words.
    pub words: String,
}

impl Problem {
    /// Seconds after which to come again.
    const RETRY_AFTER_S: u32 = 1;

    /// A refusal with these words.
    pub fn new(status: StatusCode, words: impl Into<String>) -> Self {
        Problem { status, words: words.into() }
    }

    /// The request itself is wrong.
    pub fn bad(words: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, words)
    }

    /// The job is told to stop.
    pub fn draining() -> Self {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the job is told to stop")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error": self.words }).to_string();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from(Problem::RETRY_AFTER_S));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        // Of its body much may still be under way, which nobody reads.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }
}
