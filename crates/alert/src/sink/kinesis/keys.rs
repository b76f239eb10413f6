//! The partition key of a row: its key as text, so that rows of one key come to one shard.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_128;

use super::super::table::Shape;

/// Characters of a partition key at most.
const CHARS_MAX: usize = 256;
/// What stands for an empty key, which Kinesis does not take.
const EMPTY: &str = "-";

#[derive(Deserialize)]
struct Alert<'a> {
    #[serde(borrow)]
    data: AlertData<'a>,
}

#[derive(Deserialize)]
struct AlertData<'a> {
    #[serde(borrow)]
    key: &'a RawValue,
}

#[derive(Deserialize)]
struct Quarantined<'a> {
    #[serde(borrow)]
    partition: Option<Cow<'a, str>>,
}

/// The partition key of a row. A plain row that does not show its key has none to share, and one of its own.
pub(super) fn partition_key(shape: &Shape, row: &str) -> Result<String, serde_json::Error> {
    let key = match shape {
        Shape::Alerts => text(serde_json::from_str::<Alert>(row)?.data.key)?,
        Shape::Quarantine => {
            serde_json::from_str::<Quarantined>(row)?.partition.unwrap_or_default().into_owned()
        }
        Shape::Rows { key, .. } => {
            let columns: BTreeMap<Cow<str>, &RawValue> = serde_json::from_str(row)?;
            let values: Option<Vec<&RawValue>> =
                key.iter().map(|name| columns.get(name.as_str()).copied()).collect();
            match values.as_deref() {
                None => format!("{:032x}", xxh3_128(row.as_bytes())),
                Some([value]) => text(value)?,
                Some(values) => {
                    format!("[{}]", values.iter().map(|value| value.get()).collect::<Vec<_>>().join(","))
                }
            }
        }
    };
    Ok(match key.chars().count() {
        0 => EMPTY.to_owned(),
        1..=CHARS_MAX => key,
        _ => format!("{:032x}", xxh3_128(key.as_bytes())),
    })
}

/// A string bare, anything else as JSON.
fn text(value: &RawValue) -> Result<String, serde_json::Error> {
    match value.get().starts_with('"') {
        true => serde_json::from_str(value.get()),
        false => Ok(value.get().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(key: &[&str]) -> Shape {
        Shape::Rows { key: key.iter().map(|name| (*name).to_owned()).collect(), rule: false }
    }

    #[test]
    fn a_row_goes_by_its_key_whatever_it_looks_like() {
        let long = "k".repeat(257);
        for (shape, row, key) in [
            (Shape::Alerts, r#"{"id":"x","data":{"key":"a\"b","job":"j"}}"#, "a\"b"),
            (Shape::Alerts, r#"{"data":{"key":["a",1]}}"#, "[\"a\",1]"),
            (Shape::Quarantine, r#"{"reason":"late","partition":"p#1","offset":3}"#, "p#1"),
            (Shape::Quarantine, r#"{"reason":"late","partition":null}"#, "-"),
            (rows(&["user"]), r#"{"n":1,"user":""}"#, "-"),
            (rows(&["user"]), r#"{"user":12,"n":1}"#, "12"),
            (rows(&["a", "b"]), r#"{"b":null,"a":"x"}"#, "[\"x\",null]"),
            (rows(&["user"]), &format!("{{\"user\":\"{}\"}}", &long[1..]), &long[1..]),
        ] {
            assert_eq!(partition_key(&shape, row).unwrap(), key, "{row}");
        }
        let too_long = partition_key(&rows(&["user"]), &format!("{{\"user\":\"{long}\"}}")).unwrap();
        assert_eq!(too_long.len(), 32);
        let hidden = |row| partition_key(&rows(&["user"]), row).unwrap();
        assert_ne!(hidden(r#"{"n":1}"#), hidden(r#"{"n":2}"#));
    }
}
