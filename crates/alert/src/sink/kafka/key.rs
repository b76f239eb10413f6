//! The key of a message: that of its row, so that a key's rows are in one partition, in order.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::sink::table::Shape;

/// The key of the message that a line is. A text is its characters; anything else is JSON; several columns are an
/// array. `None` where the row has none.
pub(super) fn key_of(shape: &Shape, line: &[u8]) -> Result<Option<String>, serde_json::Error> {
    match shape {
        Shape::Alerts => {
            let Alert { data } = serde_json::from_slice(line)?;
            text(data.key).map(Some)
        }
        Shape::Rows { key, .. } => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_slice(line)?;
            let values: Option<Vec<&RawValue>> = key.iter().map(|name| members.get(name).copied()).collect();
            match values.as_deref() {
                None => Ok(None),
                Some([value]) => text(value).map(Some),
                Some(values) => {
                    let values: Vec<&str> = values.iter().map(|value| value.get()).collect();
                    Ok(Some(format!("[{}]", values.join(","))))
                }
            }
        }
        Shape::Quarantine => {
            let Quarantined { partition } = serde_json::from_slice(line)?;
            Ok(partition.map(Cow::into_owned))
        }
    }
}

fn text(value: &RawValue) -> Result<String, serde_json::Error> {
    match value.get() {
        text if text.starts_with('"') => serde_json::from_str(text),
        json => Ok(json.to_owned()),
    }
}

#[derive(Deserialize)]
struct Alert<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    key: &'a RawValue,
}

#[derive(Deserialize)]
struct Quarantined<'a> {
    #[serde(borrow)]
    partition: Option<Cow<'a, str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(shape: &Shape, line: &str, expected: Option<&str>) {
        assert_eq!(key_of(shape, line.as_bytes()).unwrap().as_deref(), expected, "{line}");
    }

    #[test]
    fn a_message_has_the_key_of_its_row() {
        let rows = |names: &[&str]| Shape::Rows {
            key: names.iter().map(|name| (*name).to_owned()).collect(),
            rule: false,
        };
        check(&rows(&["user"]), r#"{"n":1,"user":"a\"ö"}"#, Some("a\"ö"));
        check(&rows(&["user"]), r#"{"user":12}"#, Some("12"));
        check(&rows(&["user"]), r#"{"user":""}"#, Some(""));
        check(&rows(&["a", "b"]), r#"{"b":2,"a":"x"}"#, Some(r#"["x",2]"#));
        check(&Shape::Alerts, r#"{"id":"1","data":{"key":"u","score":1.5}}"#, Some("u"));
        check(&Shape::Alerts, r#"{"id":"1","data":{"key":["u",3]}}"#, Some(r#"["u",3]"#));
        check(&Shape::Quarantine, r#"{"reason":"type","partition":"t/3"}"#, Some("t/3"));
        check(&Shape::Quarantine, r#"{"reason":"type","partition":null}"#, None);
    }
}
