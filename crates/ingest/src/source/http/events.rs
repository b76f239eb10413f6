//! What a request holds, as lines: each an event.
//!
//! Lines are taken as they are: one that is no event goes to quarantine in the job, with its place and the reason, as
//! from any other source. What has to be understood here to find the events, an array or an envelope, is refused as
//! a whole if it cannot be.

use std::borrow::Cow;

use axum::http::header::{CONTENT_TYPE, HeaderMap};
use axum::http::{HeaderValue, StatusCode};
use journal::Lines;
use memchr::memchr_iter;
use percent_encoding::percent_decode;
use serde::Deserialize;
use serde_json::value::RawValue;
use serve::Problem;

use super::id::id_of;

/// What begins the name of a header that holds an attribute of a CloudEvent.
const ATTRIBUTE: &str = "ce-";
/// Mark at the start of a text that says that it is UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// How events stand in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Format {
    /// One a line.
    Lines,
    /// An object, or an array of them.
    Json,
    /// A CloudEvent, or in a batch an array of them.
    CloudEvents { batch: bool },
    /// The data of a CloudEvent whose attributes are headers: its envelope up to there, without the closing bracket.
    Binary(String),
}

impl Format {
    /// What the head of a request says of its body.
    pub(super) fn of(headers: &HeaderMap) -> Result<Format, Problem> {
        let said = headers.get(CONTENT_TYPE).map(|said| said.to_str().unwrap_or("?"));
        let media = said.map(|said| said.split(';').next().unwrap_or("").trim().to_ascii_lowercase());
        let is_json = |media: &str| media == "application/json" || media.ends_with("+json");
        match media.as_deref() {
            Some("application/cloudevents+json") => Ok(Format::CloudEvents { batch: false }),
            Some("application/cloudevents-batch+json") => Ok(Format::CloudEvents { batch: true }),
            _ if headers.contains_key("ce-specversion") => match media.as_deref() {
                Some(media) if !is_json(media) => Err(unknown(media, "the data of a CloudEvent is JSON")),
                _ => Ok(Format::Binary(envelope(headers, said)?)),
            },
            Some("application/json") => Ok(Format::Json),
            None
            | Some("application/x-ndjson" | "application/ndjson" | "application/jsonl" | "text/plain") => {
                Ok(Format::Lines)
            }
            Some(media) => Err(unknown(
                media,
                "it is application/x-ndjson, application/json, application/cloudevents+json or \
                 application/cloudevents-batch+json",
            )),
        }
    }

    /// The events of a body. `fields` are those of an event's id, if there are any.
    pub(super) fn lines(&self, body: &[u8], fields: &[Vec<String>]) -> Result<Lines, Problem> {
        let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
        let mut events = Events { lines: Lines::default(), fields };
        match self {
            Format::Lines => events.push_lines(body),
            Format::Json if first_byte(body) == Some(b'[') => {
                parse::<Vec<&RawValue>>(body)?.into_iter().for_each(|event| events.push_value(event));
            }
            Format::Json => events.push_value(parse(body)?),
            Format::CloudEvents { batch: true } => {
                for (number, event) in (1..).zip(parse::<Vec<&RawValue>>(body)?) {
                    check_envelope(event.get())
                        .map_err(|words| Problem::bad(format!("event {number} {words}")))?;
                    events.push_value(event);
                }
            }
            Format::CloudEvents { batch: false } => {
                let event: &RawValue = parse(body)?;
                check_envelope(event.get()).map_err(|words| Problem::bad(format!("the event {words}")))?;
                events.push_value(event);
            }
            Format::Binary(envelope) => {
                let data = match first_byte(body) {
                    Some(_) => format!(",\"data\":{}", parse::<&RawValue>(body)?.get()),
                    None => String::new(),
                };
                let event = format!("{envelope}{data}}}");
                check_envelope(&event).map_err(|words| Problem::bad(format!("the event {words}")))?;
                events.push_value(parse(event.as_bytes())?);
            }
        }
        Ok(events.lines)
    }
}

/// Events that are found one after another.
struct Events<'a> {
    lines: Lines,
    fields: &'a [Vec<String>],
}

impl Events<'_> {
    /// Adds the lines of a body.
    fn push_lines(&mut self, body: &[u8]) {
        let mut start = 0;
        for end in memchr_iter(b'\n', body).chain([body.len()]) {
            self.push(&body[start..end]);
            start = end + 1;
        }
    }

    /// Adds a line, unless it is blank.
    fn push(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if first_byte(line).is_none() {
            return;
        }
        let id = if self.fields.is_empty() { None } else { id_of(line, self.fields) };
        self.lines.push(line, id);
    }

    /// Adds a value, which may stand on several lines. A line end in it is white space: in text there is none.
    fn push_value(&mut self, value: &RawValue) {
        let text = value.get();
        match text.contains(['\n', '\r']) {
            true => self.push(text.replace(['\n', '\r'], " ").as_bytes()),
            false => self.push(text.as_bytes()),
        }
    }
}

/// The first byte that is not white space.
fn first_byte(bytes: &[u8]) -> Option<u8> {
    bytes.iter().copied().find(|byte| !b" \t\r\n".contains(byte))
}

fn unknown(media: &str, words: &str) -> Problem {
    let words = format!("the content type `{media}` is not taken; {words}");
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, words)
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::bad(format!("the body is not that JSON: {error}")))
}

/// The attributes that every CloudEvent has.
#[derive(Deserialize)]
struct Required<'a> {
    #[serde(borrow, default)]
    specversion: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    source: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
}

/// Checks that this is a CloudEvent of version 1.0; else words for what is wrong.
fn check_envelope(event: &str) -> Result<(), String> {
    let required: Required =
        serde_json::from_str(event).map_err(|error| format!("is not a CloudEvent: {error}"))?;
    if required.specversion.as_deref() != Some("1.0") {
        return Err("has no `specversion` of \"1.0\"".to_owned());
    }
    for (name, value) in [("id", required.id), ("source", required.source), ("type", required.kind)] {
        if value.is_none_or(|value| value.is_empty()) {
            return Err(format!("has no `{name}`"));
        }
    }
    Ok(())
}

/// The envelope of a CloudEvent whose attributes are headers, up to its data.
fn envelope(headers: &HeaderMap, media: Option<&str>) -> Result<String, Problem> {
    let mut attributes = serde_json::Map::new();
    for (name, value) in headers {
        let Some(attribute) = name.as_str().strip_prefix(ATTRIBUTE) else { continue };
        let is_name =
            !attribute.is_empty() && attribute.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let value = decoded(value).filter(|_| is_name && attribute != "data");
        let Some(value) = value else {
            return Err(Problem::bad(format!("the header `{name}` is no attribute of a CloudEvent")));
        };
        if attributes.insert(attribute.to_owned(), value.into()).is_some() {
            return Err(Problem::bad(format!("the header `{name}` is there twice")));
        }
    }
    if let Some(media) = media {
        attributes.insert("datacontenttype".to_owned(), media.into());
    }
    let mut text = serde_json::Value::Object(attributes).to_string();
    text.pop();
    Ok(text)
}

/// What a header says: text, in which what is not printable ASCII is percent-encoded.
fn decoded(value: &HeaderValue) -> Option<String> {
    percent_decode(value.as_bytes()).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests;
