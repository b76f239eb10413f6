//! The id of an event: fields of it, hashed.

use std::fmt;

use ring::digest::{Context, SHA256};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The id of an event whose id is in these fields together; `None` if it has none, or is not JSON: that one goes to
/// quarantine, and may come again mended.
///
/// 128 bits of SHA-256: whoever posts events cannot make one that is taken for another's.
pub(super) fn id_of(event: &[u8], fields: &[Vec<String>]) -> Option<u128> {
    let mut hash = Context::new(&SHA256);
    for path in fields {
        let mut json = serde_json::Deserializer::from_slice(event);
        let value = Find(path).deserialize(&mut json).ok()??;
        json.end().ok()?;
        hash.update(&(value.len() as u64).to_le_bytes());
        hash.update(value.as_bytes());
    }
    let (id, _) = hash.finish().as_ref().split_first_chunk().map(|(id, rest)| (*id, rest.len()))?;
    Some(u128::from_le_bytes(id))
}

/// Looks for the value at a path. Text and the number that is written like it are not the same.
struct Find<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for Find<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Find<'_> {
    /// What stands there is the id, if this is the end of the path.
    fn found(&self, value: impl FnOnce() -> String) -> Option<String> {
        self.0.is_empty().then(value)
    }
}

impl<'de> Visitor<'de> for Find<'_> {
    type Value = Option<String>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.found(|| format!("\"{text}")))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(self.found(|| number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(self.found(|| number.to_string()))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let Some((first, rest)) = self.0.split_first() else {
            while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(None);
        };
        let mut found = None;
        while let Some(is_first) = fields.next_key_seed(Is(first))? {
            if is_first && found.is_none() {
                found = fields.next_value_seed(Find(rest))?;
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Whether a name is this one. Names are many and none is kept.
struct Is<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(event: &str, fields: &[&str]) -> Option<u128> {
        let fields: Vec<Vec<String>> =
            fields.iter().map(|field| field.split('.').map(str::to_owned).collect()).collect();
        id_of(event.as_bytes(), &fields)
    }

    #[test]
    fn the_same_id_is_the_same_however_it_is_written() {
        let one = id(r#"{"id":"ab","x":1}"#, &["id"]);
        assert!(one.is_some());
        assert_eq!(one, id(r#" { "x" : [{"id":"z"}], "id" : "a\u0062" } "#, &["id"]));
        assert_eq!(one, id(r#"{"data":{"id":"ab"},"id":"other"}"#, &["data.id"]));
        assert_ne!(one, id(r#"{"id":"ac"}"#, &["id"]));
        assert_ne!(id(r#"{"id":"7"}"#, &["id"]), id(r#"{"id":7}"#, &["id"]));
        assert_eq!(id(r#"{"id":-7}"#, &["id"]), id(r#"{"id":-7 }"#, &["id"]));
    }

    #[test]
    fn several_fields_are_one_id_and_do_not_run_into_each_other() {
        let one = id(r#"{"source":"a","id":"bc"}"#, &["source", "id"]);
        assert!(one.is_some());
        assert_ne!(one, id(r#"{"source":"ab","id":"c"}"#, &["source", "id"]));
        assert_eq!(id(r#"{"source":"a"}"#, &["source", "id"]), None);
    }

    #[test]
    fn what_has_no_id_or_is_not_json_has_none() {
        for event in [
            "",
            "x",
            "[]",
            "7",
            "{}",
            r#"{"id":null}"#,
            r#"{"id":1.5}"#,
            r#"{"id":true}"#,
            r#"{"id":["a"]}"#,
            r#"{"id":{"id":"a"}}"#,
            r#"{"id":"a""#,
            r#"{"id":"a"} x"#,
            r#"{"id":"a","#,
            r#"{"id":"a"}{}"#,
        ] {
            assert_eq!(id(event, &["id"]), None, "{event}");
        }
        let deep = format!("{{\"id\":\"a\",\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(id(&deep, &["id"]), id(r#"{"id":"a"}"#, &["id"]), "depth is judged elsewhere");
    }
}
