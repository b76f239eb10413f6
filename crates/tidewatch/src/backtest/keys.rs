//! Keys as they are compared: those of labels, alerts and rows, which each write them in their own way, as one text.

use std::collections::HashMap;

use event::{DataType, Field};
use serde_json::Value;

use super::times::parse_time;

/// What the keys of a job are.
#[derive(Debug, Clone)]
pub(super) struct KeyForm {
    /// Of each field whether it is an instant, which rows write as a number and alerts as text.
    instants: Vec<bool>,
}

impl KeyForm {
    pub(super) fn new(fields: &[Field]) -> Self {
        KeyForm { instants: fields.iter().map(|field| field.data_type == DataType::TimestampTz).collect() }
    }

    /// How many fields a key has.
    pub(super) fn fields(&self) -> usize {
        self.instants.len()
    }

    /// The text of a key of these fields, each as JSON has it. A number is its own text, as is a string.
    pub(super) fn text(&self, fields: &[Value]) -> String {
        let mut parts = fields.iter().zip(&self.instants).map(|(field, instant)| part(field, *instant));
        match fields {
            [_] => parts.next().unwrap_or_default(),
            _ => Value::from_iter(parts).to_string(),
        }
    }

    /// The text of a key that is one value: of a composite key an array, or the text of one, as in an alert's subject.
    pub(super) fn text_of(&self, key: &Value) -> String {
        match key {
            Value::Array(fields) if self.instants.len() > 1 => self.text(fields),
            Value::String(text) if self.instants.len() > 1 => match serde_json::from_str(text) {
                Ok(Value::Array(fields)) => self.text(&fields),
                _ => text.clone(),
            },
            _ => self.text(std::slice::from_ref(key)),
        }
    }
}

fn part(field: &Value, instant: bool) -> String {
    match field {
        Value::String(text) if instant => match parse_time(text) {
            Some(micros) => micros.div_euclid(event::MICROS_PER_MILLI).to_string(),
            None => text.clone(),
        },
        Value::String(text) => text.clone(),
        // No text is the same as this one.
        Value::Null => "\0".to_owned(),
        Value::Number(number) => match number.as_f64() {
            // A label may leave out that a number is a double.
            Some(double) if !number.is_i64() && !number.is_u64() && double.fract() == 0.0 => {
                format!("{double:.0}")
            }
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// The keys of some data, numbered in the order in which they are met.
#[derive(Debug, Default)]
pub(super) struct Keys {
    numbers: HashMap<String, u32>,
    /// A stable hash of each.
    hashes: Vec<u64>,
}

impl Keys {
    /// The number of a key, a new one if it was not met before.
    pub(super) fn number(&mut self, key: String) -> u32 {
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        let number = self.hashes.len() as u32;
        self.hashes.push(event::key_hash(key.as_bytes()));
        self.numbers.insert(key, number);
        number
    }

    /// The hash of a key by its number.
    pub(super) fn hash(&self, number: u32) -> u64 {
        self.hashes[number as usize]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn form(types: &[DataType]) -> KeyForm {
        let fields: Vec<Field> = types.iter().map(|data_type| Field::new("k", *data_type)).collect();
        KeyForm::new(&fields)
    }

    #[test]
    fn a_key_is_the_same_however_it_is_written() {
        let one = form(&[DataType::Bigint]);
        assert_eq!(one.text_of(&json!(42)), one.text_of(&json!("42")));
        assert_eq!(one.text_of(&json!(42)), one.text_of(&json!(42.0)));
        assert_ne!(one.text_of(&json!(42)), one.text_of(&json!(42.5)));
        assert_ne!(one.text_of(&json!(null)), one.text_of(&json!("null")));
        let instant = form(&[DataType::TimestampTz]);
        assert_eq!(instant.text_of(&json!("1970-01-01T00:00:01.5Z")), instant.text_of(&json!(1500)));
    }

    #[test]
    fn a_composite_key_is_an_array_of_its_fields_or_the_text_of_one() {
        let two = form(&[DataType::Varchar, DataType::Bigint]);
        let key = two.text(&[json!("a"), json!(1)]);
        assert_eq!(two.text_of(&json!(["a", 1])), key);
        assert_eq!(two.text_of(&json!("[\"a\",1]")), key);
        assert_ne!(two.text_of(&json!(["a,1", ""])), two.text_of(&json!(["a", "1,"])));
        // A key of one field may look like an array.
        assert_eq!(form(&[DataType::Varchar]).text_of(&json!("[1]")), "[1]");
    }

    #[test]
    fn keys_are_numbered_as_they_are_met() {
        let mut keys = Keys::default();
        let numbers = ["a", "b", "a"].map(|key| keys.number(key.to_owned()));
        assert_eq!(numbers, [0, 1, 0]);
        assert_eq!(keys.hash(1), event::key_hash(b"b"));
    }
}
