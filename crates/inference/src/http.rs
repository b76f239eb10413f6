//! Models behind an HTTP endpoint: rows are posted, answers come back in the same order.
//!
//! The client is asynchronous; a runtime of its own drives it while somebody asks. It follows no redirect and uses no proxy: rows go
//! where the config says, or nowhere. Nothing is asked twice, since whoever waits for the answer has something to put in its place.

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use event::Secret;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use reqwest::{Url, redirect};
use tokio::runtime::Runtime;
use xxhash_rust::xxh3::xxh3_128;

use crate::model::{Ask, Prepared, Words};
use crate::{EndpointSpec, ModelSpec, Wire};

/// For how long a connection is kept for the next question: less than any server does.
const IDLE: Duration = Duration::from_secs(1);
/// Bytes of an answer beyond those that its rows may take.
const ANSWER_BYTES: usize = 64 << 10;
/// Bytes of an answer about one row.
const ROW_BYTES: usize = 1 << 10;
/// Characters of an answer that are shown.
const SHOWN_MAX: usize = 200;

/// Looks whether the endpoint can be asked. Asks nobody.
pub(crate) fn prepare(endpoint: &EndpointSpec, spec: &ModelSpec, inputs: usize) -> Result<Prepared, Words> {
    let url = address(&reveal(&endpoint.url, "url")?, endpoint.allow_http)?;
    let token = endpoint.token.as_ref().map(|token| bearer(&reveal(token, "token")?)).transpose()?;
    // Where it is and how it is asked; not what lets somebody in.
    let identity = xxh3_128(format!("{url} {:?} {inputs}", endpoint.wire).as_bytes());
    let (wire, ca, timeout) = (endpoint.wire.clone(), endpoint.ca.clone(), spec.timeout);
    // Once here, so that a file of certificates that cannot be read is found before anything runs.
    tls::client(ca.as_deref())?;
    let opens = move || -> Result<Box<dyn Ask>, Words> {
        let client = client(tls::client(ca.as_deref())?, timeout)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let (url, token, wire) = (url.clone(), token.clone(), wire.clone());
        Ok(Box::new(Endpoint { runtime, client, url, token, wire, timeout }))
    };
    Ok(Prepared { identity, opens: Box::new(opens) })
}

fn client(tls: impl std::any::Any, timeout: Duration) -> Result<reqwest::Client, Words> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .no_proxy()
        // Nobody watches a connection between two questions: one that the other side has closed meanwhile would cost a batch.
        .pool_idle_timeout(IDLE)
        .timeout(timeout)
        .build()
        .map_err(|error| words_of(&error))
}

fn reveal(secret: &Secret, key: &str) -> Result<String, Words> {
    match secret {
        Secret::Text(text) => Ok(text.trim().to_owned()),
        Secret::File(path) => std::fs::read_to_string(path)
            .map(|text| text.trim().to_owned())
            .map_err(|error| format!("cannot read `{key}` from `{}`: {error}", path.display())),
    }
}

/// An address to which rows may go, in words that do not show it.
fn address(url: &str, allow_http: bool) -> Result<Url, Words> {
    let url: Url = url.parse().map_err(|error| format!("`url` is no address: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("`url` has a user or a password in it; use `token`".to_owned());
    }
    let host = url.host_str().unwrap_or_default();
    let is_here = host == "localhost"
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if allow_http || is_here => Ok(url),
        "http" => Err(format!("`{host}` would be asked without TLS; `allow_http = true` allows it")),
        _ => Err("`url` does not begin with `https://` and a host".to_owned()),
    }
}

fn bearer(token: &str) -> Result<HeaderValue, Words> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| "`token` has characters that no header can have".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

struct Endpoint {
    runtime: Runtime,
    client: reqwest::Client,
    url: Url,
    token: Option<HeaderValue>,
    wire: Wire,
    timeout: Duration,
}

impl Ask for Endpoint {
    fn ask(&mut self, columns: &[Vec<f64>], within: Option<Duration>) -> Result<Vec<f64>, Words> {
        let rows = columns.first().map_or(0, Vec::len);
        let mut request = self.request(self.wire.write(columns));
        if let Some(within) = within.filter(|within| *within < self.timeout) {
            request = request.timeout(within);
        }
        let answer = self.runtime.block_on(post(request, rows))?;
        self.wire.read(&answer, rows)
    }
}

impl Endpoint {
    fn request(&self, body: String) -> reqwest::RequestBuilder {
        let content_type = self.wire.content_type();
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, content_type)
            .header(ACCEPT, content_type)
            .header(USER_AGENT, concat!("tidewatch/", env!("CARGO_PKG_VERSION")))
            .body(body);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        request
    }
}

/// The body of an answer that is a good one.
async fn post(request: reqwest::RequestBuilder, rows: usize) -> Result<Vec<u8>, Words> {
    let mut response = request.send().await.map_err(|error| words_of(&error))?;
    let (status, bytes_max) = (response.status(), ANSWER_BYTES + rows * ROW_BYTES);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| words_of(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > bytes_max {
            return Err(format!("the answer is longer than {bytes_max} bytes"));
        }
    }
    match status.is_success() {
        true => Ok(body),
        false => Err(format!("HTTP {status}: {}", shown(&body)).trim_end_matches([':', ' ']).to_owned()),
    }
}

/// An answer on one short line.
fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || c.is_control()).collect();
    let line: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    line.join(" ").chars().take(SHOWN_MAX).collect()
}

/// The last cause, which says most; what the client itself says would show the address.
fn words_of(error: &reqwest::Error) -> Words {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause = error.source();
    let mut words = "the request could not be made".to_owned();
    while let Some(found) = cause {
        words = found.to_string();
        cause = found.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_to_another_machine_with_tls_alone_unless_that_is_asked_for() {
        for (url, allow_http, is_good) in [
            ("https://models.example.com/x", false, true),
            ("http://models.example.com/x", false, false),
            ("http://models.example.com/x", true, true),
            ("http://127.0.0.1:8080/x", false, true),
            ("http://[::1]:8080/x", false, true),
            ("http://localhost/x", false, true),
            ("https://user:hunter2@models.example.com/", false, false),
            ("ftp://models.example.com/", true, false),
            ("models", true, false),
        ] {
            let found = address(url, allow_http);
            assert_eq!(found.is_ok(), is_good, "{url}");
            assert!(found.err().is_none_or(|words| !words.contains("hunter2")));
        }
    }
}
