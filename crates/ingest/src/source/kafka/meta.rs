//! What a message has besides its value, as a member of its record: `@kafka.key`, `@kafka.timestamp`,
//! `@kafka.headers.NAME`.
//!
//! Put in front of the record's own members, and only what the job reads; so they are decoded, checked and
//! quarantined as anything else. A record that is no object stays as it is.

use std::collections::BTreeMap;

use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers};
use serde_json::{Value, json};

use crate::DecodeSpec;

/// The member of a record.
const MEMBER: &str = "@kafka";

/// What a job reads of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    key: bool,
    timestamp: bool,
    headers: Vec<String>,
}

impl Meta {
    /// What the fields of a job ask for; `None` if they do not.
    pub(super) fn of(decode: &DecodeSpec) -> Option<Self> {
        let mut meta = Meta::default();
        let times = [Some(&decode.time), decode.punctuation.as_ref()].into_iter().flatten();
        let paths = decode.fields.iter().map(|field| &field.path).chain(times.map(|time| &time.path));
        for path in paths {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            match path[..] {
                [MEMBER, "key"] => meta.key = true,
                [MEMBER, "timestamp"] => meta.timestamp = true,
                [MEMBER, "headers", name] => meta.headers.push(name.to_owned()),
                _ => {}
            }
        }
        meta.headers.sort();
        meta.headers.dedup();
        (meta != Meta::default()).then_some(meta)
    }

    /// The record of a message, with what is asked for.
    pub(super) fn record(&self, message: &BorrowedMessage<'_>, value: &[u8]) -> Vec<u8> {
        let mut member = serde_json::Map::new();
        if self.key {
            member.insert("key".to_owned(), json!(text(message.key())));
        }
        if self.timestamp {
            member.insert("timestamp".to_owned(), json!(message.timestamp().to_millis()));
        }
        if !self.headers.is_empty() {
            // Of several of one name the last one counts.
            let mut headers = BTreeMap::new();
            for header in message.headers().into_iter().flat_map(Headers::iter) {
                if self.headers.iter().any(|name| name == header.key) {
                    headers.insert(header.key.to_owned(), text(header.value));
                }
            }
            member.insert("headers".to_owned(), json!(headers));
        }
        with_member(value, &Value::Object(member))
    }
}

fn text(bytes: Option<&[u8]>) -> Option<&str> {
    bytes.and_then(|bytes| std::str::from_utf8(bytes).ok())
}

/// An object with one more member, in front.
fn with_member(value: &[u8], member: &Value) -> Vec<u8> {
    let value = value.trim_ascii();
    let Some(rest) = value.strip_prefix(b"{") else { return value.to_vec() };
    let comma = if rest.trim_ascii_start().starts_with(b"}") { "" } else { "," };
    [format!("{{\"{MEMBER}\":{member}{comma}").as_bytes(), rest].concat()
}

#[cfg(test)]
mod tests {
    use event::DataType;

    use super::*;
    use crate::{FieldSpec, TimeSpec, TimeUnit};

    #[test]
    fn only_what_fields_and_times_ask_for_is_put_in() {
        let field = |path: &[&str]| FieldSpec {
            path: path.iter().map(|name| (*name).to_owned()).collect(),
            ..FieldSpec::new("f", DataType::Varchar)
        };
        let of = |paths: &[&[&str]], time: &[&str]| {
            let fields = paths.iter().map(|path| field(path)).collect();
            Meta::of(&DecodeSpec::new(fields, TimeSpec::new(time, TimeUnit::Millis)))
        };
        assert_eq!(of(&[&["key"], &["@kafka"], &["a", "@kafka", "key"]], &["ts"]), None);
        let headers = vec!["a.b".to_owned(), "c".to_owned()];
        assert_eq!(
            of(&[&["@kafka", "headers", "c"], &["@kafka", "headers", "a.b"]], &["@kafka", "timestamp"]),
            Some(Meta { key: false, timestamp: true, headers })
        );
    }

    #[test]
    fn a_member_stands_in_front_of_those_of_an_object_and_nothing_else_is_changed() {
        let check = |value: &str, expected: &str| {
            let found = with_member(value.as_bytes(), &json!({ "key": "k" }));
            assert_eq!(String::from_utf8(found).unwrap(), expected);
        };
        check(r#"{"a":1}"#, r#"{"@kafka":{"key":"k"},"a":1}"#);
        check(" {\n \"a\":1}\n", "{\"@kafka\":{\"key\":\"k\"},\n \"a\":1}");
        check("{ }", r#"{"@kafka":{"key":"k"} }"#);
        for other in ["", "no json", "[1]", "\"{\""] {
            check(other, other);
        }
    }
}
