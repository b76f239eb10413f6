//! The decoder against serde_json: any JSON, written in any way, has the same fields for both.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use event::{DataType, Reason};
use ingest::{DecodeSpec, Decoder, FieldSpec, Piece, TimeSpec, TimeUnit};
use proptest::prelude::*;
use serde_json::{Map, Value};

fn spec() -> DecodeSpec {
    let inner = |field: FieldSpec| FieldSpec { path: vec!["in".to_owned(), field.path[0].clone()], ..field };
    DecodeSpec::new(
        vec![
            FieldSpec::new("text", DataType::Varchar),
            FieldSpec::new("code", DataType::Varchar).dictionary(),
            FieldSpec::new("whole", DataType::Bigint),
            FieldSpec::new("real", DataType::Double),
            inner(FieldSpec::new("word", DataType::Varchar)),
        ],
        TimeSpec::new(&["ts"], TimeUnit::Millis),
    )
}

const NAMES: [&str; 8] = ["text", "code", "whole", "real", "in", "word", "other", "ü"];

/// Any text, often one with characters that are written as escapes.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z0-9 _-]{0,20}",
        1 => "\\PC{0,12}",
        1 => prop::collection::vec(any::<char>(), 0..10).prop_map(String::from_iter),
    ]
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::from),
        (-2000i64..2000).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-10_000i64..10_000).prop_map(|halves| Value::from(halves as f64 / 2.0)),
        (-100_000i64..100_000).prop_map(|cents| Value::from(cents as f64 / 100.0)),
        any::<f64>().prop_filter_map("finite", |x| x.is_finite().then(|| Value::from(x))),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        3 => number(),
        3 => text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let members = prop::collection::btree_map(prop::sample::select(&NAMES[..]), inner.clone(), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            members.prop_map(|map| {
                Value::from(
                    map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>(),
                )
            }),
        ]
    })
}

/// Members of a record in the order in which they are written.
fn members() -> impl Strategy<Value = Vec<(String, Value)>> {
    prop::collection::btree_map(prop::sample::select(&NAMES[..]), value(), 0..7)
        .prop_map(|map| {
            let mut members: Vec<(String, Value)> = map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
            members.push(("ts".to_owned(), Value::from(1_700_000_000_000i64)));
            members
        })
        .prop_shuffle()
}

/// Writes JSON with blanks and escapes that a stream of bits asks for.
struct Writer {
    bits: u64,
}

impl Writer {
    fn bit(&mut self) -> bool {
        self.bits = self.bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.bits >> 62 == 3
    }

    fn blank(&mut self, out: &mut String) {
        while self.bit() {
            out.push(if self.bit() { '\t' } else { ' ' });
        }
    }

    fn text(&mut self, text: &str, out: &mut String) {
        out.push('"');
        for character in text.chars() {
            if self.bit() {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            } else {
                let quoted = Value::from(character.to_string()).to_string();
                out.push_str(&quoted[1..quoted.len() - 1]);
            }
        }
        out.push('"');
    }

    fn members<'a>(&mut self, members: impl Iterator<Item = (&'a String, &'a Value)>, out: &mut String) {
        out.push('{');
        self.blank(out);
        for (place, (name, value)) in members.enumerate() {
            if place > 0 {
                out.push(',');
                self.blank(out);
            }
            self.text(name, out);
            self.blank(out);
            out.push(':');
            self.blank(out);
            self.value(value, out);
            self.blank(out);
        }
        out.push('}');
    }

    fn value(&mut self, value: &Value, out: &mut String) {
        match value {
            Value::String(text) => self.text(text, out),
            Value::Object(map) => self.members(map.iter(), out),
            Value::Array(items) => {
                out.push('[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        out.push(',');
                    }
                    self.blank(out);
                    self.value(item, out);
                }
                out.push(']');
            }
            other => out.push_str(&other.to_string()),
        }
    }
}

/// Whether the value fits the column, by serde_json.
fn fits(value: Option<&Value>, kind: DataType) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(_)) => kind == DataType::Varchar,
        Some(Value::Number(number)) => match kind {
            DataType::Bigint => number.is_i64(),
            kind => kind == DataType::Double,
        },
        _ => false,
    }
}

fn inner(record: &Map<String, Value>) -> Option<&Value> {
    record.get("in")?.as_object()?.get("word")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_read_the_same_fields(records in prop::collection::vec((members(), any::<u64>()), 1..12)) {
        let mut lines = String::new();
        let mut expected: Vec<Option<Map<String, Value>>> = Vec::new();
        for (members, bits) in &records {
            let mut writer = Writer { bits: *bits };
            let mut line = String::new();
            writer.members(members.iter().map(|(name, value)| (name, value)), &mut line);
            let record: Map<String, Value> = serde_json::from_str(&line).unwrap();
            let all_fit = fits(record.get("text"), DataType::Varchar)
                && fits(record.get("code"), DataType::Varchar)
                && fits(record.get("whole"), DataType::Bigint)
                && fits(record.get("real"), DataType::Double)
                && fits(inner(&record), DataType::Varchar);
            expected.push(all_fit.then_some(record));
            lines += &line;
            lines.push('\n');
        }
        let (decoded, _) = Decoder::new(spec()).decode(Piece::new(lines.into_bytes(), 0), usize::MAX);
        let rejected = expected.iter().filter(|record| record.is_none()).count();
        prop_assert_eq!(decoded.rejected.len(), rejected);
        prop_assert!(decoded.rejected.iter().all(|record| record.reason == Reason::Type));
        let columns = decoded.records.batch.columns();
        for (row, record) in expected.iter().flatten().enumerate() {
            let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
            let plain = |column: usize| {
                let column = columns[column].as_string::<i32>();
                column.is_valid(row).then(|| column.value(row).to_owned())
            };
            prop_assert_eq!(plain(0), text(record.get("text")));
            prop_assert_eq!(plain(4), text(inner(record)));
            let codes = columns[1].as_any_dictionary();
            let code = codes.is_valid(row).then(|| {
                codes.values().as_string::<i32>().value(codes.normalized_keys()[row]).to_owned()
            });
            prop_assert_eq!(code, text(record.get("code")));
            let whole = columns[2].as_primitive::<Int64Type>();
            let whole = whole.is_valid(row).then(|| whole.value(row));
            prop_assert_eq!(whole, record.get("whole").and_then(Value::as_i64));
            let real = columns[3].as_primitive::<Float64Type>();
            let real = real.is_valid(row).then(|| real.value(row).to_bits());
            prop_assert_eq!(real, record.get("real").and_then(Value::as_f64).map(f64::to_bits));
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        decode_any(bytes);
    }

    #[test]
    fn any_damage_to_a_record_is_read_without_a_panic(
        members in members(),
        bits in any::<u64>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut line = String::new();
        Writer { bits }.members(members.iter().map(|(name, value)| (name, value)), &mut line);
        let good = line.clone() + "\n";
        let mut bytes = line.into_bytes();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        decode_any([good.as_bytes(), &bytes, b"\n", good.as_bytes()].concat());
    }
}

/// Decodes bytes; each line that is not blank is one record, accepted or not.
fn decode_any(bytes: Vec<u8>) {
    let is_blank = |line: &&[u8]| line.iter().all(|byte| b" \t\r".contains(byte));
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !is_blank(line)).count();
    let marked = bytes.starts_with(b"\xEF\xBB\xBF");
    let (decoded, rest) = Decoder::new(spec()).decode(Piece::new(bytes, 0), usize::MAX);
    assert!(rest.is_none());
    assert!(marked || decoded.records.batch.rows() + decoded.rejected.len() == lines);
}
