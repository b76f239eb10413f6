//! Makes requests, one at a time, and says what came of each.
//!
//! The client is asynchronous; a runtime of its own drives it while the sink is called. Redirects are not left
//! to it: each is looked at like the address in the config. Nor are proxies used, behind which nobody sees
//! where a request goes.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use event::Probe;
use jiff::fmt::rfc2822;
use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT,
};
use reqwest::{Response, StatusCode, Url, redirect};
use tokio::runtime::Runtime;

use super::super::secret::reveal;
use super::address::{self, NotPublic, Resolver};
use super::request::Request;
use super::signature::{Signer, timestamp};
use crate::sink::SinkError;
use crate::sink::receiver::{Reach, Receiver};

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 16 << 10;
/// Characters of an answer that are shown.
const ANSWER_CHARS_MAX: usize = 200;
/// A connection must be there within this time, or that of the whole request if it is shorter.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// What came of a request.
#[derive(Debug)]
pub(super) enum Answer {
    /// The receiver has it.
    Taken,
    /// Nobody knows whether the receiver has it, or it says that it cannot have it now.
    Away {
        words: String,
        /// The pause that it asked for.
        asked: Option<Duration>,
    },
    /// The receiver will not have it as it is; or it is not to be sent there.
    Refused {
        /// The status of the answer, if there was one.
        status: Option<u16>,
        words: String,
        asked: Option<Duration>,
    },
}

pub(super) struct Client {
    runtime: Runtime,
    client: reqwest::Client,
    url: Url,
    host: String,
    reach: Arc<Reach>,
    redirects: u32,
    signer: Option<Signer>,
    token: Option<HeaderValue>,
}

impl Client {
    /// The client of a receiver; reads the secrets, connects to nobody.
    ///
    /// # Errors
    /// If a secret cannot be read, or a setting cannot be; in words that show none of them.
    pub(super) fn new(sink: &str, receiver: &Receiver) -> Result<Self, SinkError> {
        let refused = |words: String| SinkError::Refused {
            sink: sink.to_owned(),
            database: "the receiver's address".to_owned(),
            words,
        };
        let url = parse(&reveal(&receiver.url, sink)?).map_err(refused)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        address::check(&url, &host, &receiver.reach).map_err(refused)?;
        let secret = receiver.secret.as_ref().map(|secret| reveal(secret, sink)).transpose()?;
        let signer = secret.map(|secret| Signer::new(&secret)).transpose().map_err(refused)?;
        let token = receiver.token.as_ref().map(|token| reveal(token, sink)).transpose()?;
        let token = token.map(|token| bearer(&token)).transpose().map_err(refused)?;
        let tls = tls::client(receiver.ca.as_deref()).map_err(refused)?;
        let reach = Arc::new(receiver.reach.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(|error| refused(error.to_string()))?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Resolver::new(Arc::clone(&reach)))
            .timeout(receiver.timeout)
            .connect_timeout(receiver.timeout.min(CONNECT_WITHIN))
            .build()
            .map_err(|error| refused(words_of(&error)))?;
        Ok(Client { runtime, client, url, host, reach, redirects: receiver.redirects, signer, token })
    }

    /// How messages call the receiver: not by its path, which may be its secret.
    pub(super) fn describe(&self) -> String {
        origin(&self.url)
    }

    /// Makes a request, and follows where its answer points as far as that is allowed.
    pub(super) fn post(&self, request: &Request) -> Answer {
        self.runtime.block_on(async {
            let mut url = self.url.clone();
            for hop in 0..=self.redirects {
                let response = match self.send(url.clone(), request).await {
                    Ok(response) => response,
                    Err(error) => return failure(&error),
                };
                if !response.status().is_redirection() {
                    return answer(response).await;
                }
                match self.next(&response, &url, hop) {
                    Ok(next) => url = next,
                    Err(words) => return refused(&response, words),
                }
            }
            // Not reached: the last hop is refused.
            Answer::Refused { status: None, words: "too many redirects".to_owned(), asked: None }
        })
    }

    /// Asks the receiver for nothing (`HEAD`, without a path that could be its secret, a signature or a token): any
    /// answer shows that its name leads somewhere and that it speaks TLS with a certificate that is believed.
    pub(super) fn probe(&self) -> Probe {
        let answer = self.runtime.block_on(async { self.client.head(self.describe()).send().await });
        let clock = answer.as_ref().ok().and_then(|response| second(text_of(response.headers(), DATE)?));
        let outcome = match answer {
            Ok(response) => Ok(format!("it answers, with HTTP {}", response.status().as_u16())),
            Err(error) => Err(words_of(&error)),
        };
        Probe { clock, ..Probe::new(format!("connect to {}", self.describe()), outcome) }
    }

    async fn send(&self, url: Url, request: &Request) -> Result<Response, reqwest::Error> {
        let headers = self.headers(request);
        let mut builder = self.client.post(url.clone()).headers(headers).body(request.body.clone());
        // Whoever is pointed to must not learn what only the receiver is to know.
        if let Some(token) = self.token.clone().filter(|_| origin(&url) == origin(&self.url)) {
            builder = builder.header(AUTHORIZATION, token);
        }
        builder.send().await
    }

    fn headers(&self, request: &Request) -> HeaderMap {
        let timestamp = timestamp();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(request.content_type));
        let agent = concat!("tidewatch/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        headers.insert("webhook-timestamp", HeaderValue::from(timestamp));
        // An id of ours has nothing in it that a header cannot have.
        if let Ok(id) = HeaderValue::from_str(&request.id) {
            headers.insert("webhook-id", id.clone());
            headers.insert("idempotency-key", id);
        }
        let signature = self.signer.as_ref().map(|signer| signer.sign(&request.id, timestamp, &request.body));
        if let Some(Ok(signature)) = signature.map(|signature| HeaderValue::from_str(&signature)) {
            headers.insert("webhook-signature", signature);
        }
        headers
    }

    /// Where a redirect is to be followed to, or why it is not.
    fn next(&self, response: &Response, from: &Url, hop: u32) -> Result<Url, String> {
        let status = response.status();
        let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let Some(Ok(url)) = location.map(|location| from.join(location)) else {
            return Err(format!("HTTP {} points nowhere", status.as_u16()));
        };
        let to = origin(&url);
        if !matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
            return Err(format!("HTTP {} to {to} would lose the body", status.as_u16()));
        }
        if hop == self.redirects {
            return Err(format!("HTTP {} to {to} is not followed", status.as_u16()));
        }
        address::check(&url, &self.host, &self.reach)
            .map_err(|words| format!("HTTP {} is not followed: {words}", status.as_u16()))?;
        Ok(url)
    }
}

/// Reads an address.
///
/// # Errors
/// If it is none, in words that do not show it.
pub(super) fn parse(url: &str) -> Result<Url, String> {
    let url: Url = url.trim().parse().map_err(|error| format!("not an address: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err("the address does not begin with `https://` and a host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the address has a user or a password in it; use `token`".to_owned());
    }
    Ok(url)
}

fn bearer(token: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| "`token` has characters that no header can have".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// Scheme, host and port.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// What an answer means that is no redirect.
async fn answer(mut response: Response) -> Answer {
    let (status, asked) = (response.status(), asked(response.headers()));
    let body = beginning(&mut response).await;
    if status.is_success() {
        return Answer::Taken;
    }
    let words = match shown(&body) {
        nothing if nothing.is_empty() => format!("HTTP {status}"),
        body => format!("HTTP {status}: {body}"),
    };
    let again = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    match status.is_server_error() || again.contains(&status) {
        true => Answer::Away { words, asked },
        false => Answer::Refused { status: Some(status.as_u16()), words, asked },
    }
}

fn refused(response: &Response, words: String) -> Answer {
    Answer::Refused { status: Some(response.status().as_u16()), words, asked: asked(response.headers()) }
}

/// The first bytes of an answer; what cannot be read is left out. Its status has been said already.
async fn beginning(response: &mut Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= ANSWER_BYTES_MAX {
            break;
        }
    }
    body
}

/// An answer on one line.
fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || c.is_control()).collect();
    let line: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    line.join(" ").chars().take(ANSWER_CHARS_MAX).collect()
}

/// The pause that an answer asks for: seconds, or a date, which is held against the answer's own.
fn asked(headers: &HeaderMap) -> Option<Duration> {
    let after = text_of(headers, RETRY_AFTER)?.trim();
    if let Ok(seconds) = after.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let pause = second(after)?.saturating_sub(second(text_of(headers, DATE)?)?);
    Some(Duration::from_secs(u64::try_from(pause).unwrap_or(0)))
}

fn text_of(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The second since 1970 of a date in a header.
fn second(date: &str) -> Option<i64> {
    Some(rfc2822::parse(date.trim()).ok()?.timestamp().as_second())
}

/// What a request means that got no answer.
fn failure(error: &reqwest::Error) -> Answer {
    let words = words_of(error);
    let not_public = causes(error).any(|cause| cause.is::<NotPublic>());
    match not_public || error.is_builder() {
        true => Answer::Refused { status: None, words, asked: None },
        false => Answer::Away { words, asked: None },
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause: &&'a (dyn Error + 'static)| (*cause).source())
}

/// The last cause, which says most; what the client itself says would show the address.
fn words_of(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let without_url = "the request could not be made".to_owned();
    causes(error).skip(1).last().map_or(without_url, ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_shown_on_one_short_line() {
        assert_eq!(shown(b" no\r\n\x1b[31m such \xff user\n"), "no [31m such \u{FFFD} user");
        assert_eq!(shown("\u{E4}".repeat(300).as_bytes()).chars().count(), 200);
    }

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_by_a_date_against_that_of_the_answer() {
        let check = |after: &str, date: Option<&str>, expected: Option<u64>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, after.parse().unwrap());
            date.map(|date| headers.insert(DATE, date.parse().unwrap()));
            assert_eq!(asked(&headers), expected.map(Duration::from_secs), "{after}");
        };
        check("120", None, Some(120));
        check("Sun, 06 Nov 1994 08:50:37 GMT", Some("Sun, 06 Nov 1994 08:49:37 GMT"), Some(60));
        check("Sun, 06 Nov 1994 08:48:37 GMT", Some("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0));
        check("Sun, 06 Nov 1994 08:50:37 GMT", None, None);
        check("soon", None, None);
        check("-3", None, None);
        assert_eq!(asked(&HeaderMap::new()), None);
    }

    #[test]
    fn an_address_that_cannot_be_is_refused_in_words_that_do_not_show_it() {
        for bad in ["", "hooks/hunter2", "ftp://h/hunter2", "https://u:hunter2@h/"] {
            let error = parse(bad).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert_eq!(origin(&parse(" https://h:8443/hunter2?x#y\n").unwrap()), "https://h:8443");
    }
}
