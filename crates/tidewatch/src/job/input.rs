//! The columns that events have, and which of them are decoded.

use event::{DataType, Field, Schema};
use ingest::{DecodeSpec, FieldSpec, TimeSpec, WatermarkSpec};
use transform::Transform;

use super::expressions::Compiler;
use super::micros;
use crate::config::event::{NullKey, TimeField, TimeUnit, parse_path};
use crate::config::time::{Time, Watermark};
use crate::config::{Code, Config, Diagnostic, Place};

/// All fields that expressions may name: those declared, the time, the key.
pub(super) struct Input {
    fields: Vec<FieldSpec>,
    key: Vec<String>,
    time: Option<TimeSpec>,
    punctuation: Option<TimeSpec>,
    limits: crate::config::Limits,
}

impl Input {
    pub(super) fn of(config: &Config, compiler: &mut Compiler) -> Self {
        let event = &config.event;
        compiler.broken.extend(event.broken.iter().cloned());
        let mut fields: Vec<FieldSpec> = event
            .fields
            .iter()
            .map(|field| FieldSpec {
                path: field.path.clone(),
                ..FieldSpec::new(field.name.clone(), field.data_type)
            })
            .collect();
        let time = config.event.time.as_ref().and_then(|time| {
            let (field, spec) = instant(config, time, &fields, compiler)?;
            if fields.iter().all(|other| other.name != field.name) {
                fields.push(field);
            }
            Some(spec)
        });
        let required = event.null_key == NullKey::Quarantine;
        for name in &event.key {
            let derived = config.transform.derived.iter().any(|derived| derived.name == *name);
            let broken = event.broken.contains(name);
            if !derived && !broken {
                match fields.iter_mut().find(|field| field.name == *name) {
                    Some(field) => field.required = required,
                    None => match parse_path(name) {
                        Some(path) => {
                            let field = FieldSpec { path, ..FieldSpec::new(name.clone(), DataType::Varchar) };
                            fields.push(FieldSpec { required, ..field });
                        }
                        None => compiler.report(Diagnostic::new(
                            Code::BadValue,
                            event.key_place.clone(),
                            format!("`{name}` is not the path of a field"),
                        )),
                    },
                }
            }
        }
        // Nobody but the watermark asks for it, unless it is declared.
        let punctuation = match &config.time.watermark {
            Watermark::Punctuated(said) => instant(config, said, &fields, compiler).map(|(_, spec)| spec),
            Watermark::Bounded(_) | Watermark::Monotonic => None,
        };
        Input { fields, punctuation, key: event.key.clone(), time, limits: config.limits }
    }

    /// The columns of all fields, and of event time.
    pub(super) fn schema(&self) -> Schema {
        let fields = self.fields.iter().map(|field| Field::new(field.name.clone(), field.data_type));
        let mut schema = Schema::new(fields.collect());
        if schema.index_of(DecodeSpec::EVENT_TIME).is_none() {
            schema.push(Field::new(DecodeSpec::EVENT_TIME, DataType::TimestampTz));
        }
        schema
    }

    /// What to decode for a transformation compiled against [`Input::schema`]: only the fields that it
    /// reads. Text that only expressions read is dictionary-coded; there are mostly few different values.
    pub(super) fn used_by(&self, transform: &Transform) -> Option<DecodeSpec> {
        let columns = transform.input_columns();
        let used = columns.iter().filter_map(|&column| self.fields.get(column)).cloned().map(|field| {
            let coded = field.data_type == DataType::Varchar && !self.key.contains(&field.name);
            if coded { field.dictionary() } else { field }
        });
        let mut decode = DecodeSpec::new(used.collect(), self.time.clone()?);
        decode.punctuation = self.punctuation.clone();
        decode.event_time = columns.contains(&self.fields.len());
        decode.record_bytes_max = self.limits.record_bytes;
        decode.depth_max = self.limits.depth;
        Some(decode)
    }
}

/// How the watermark of a partition follows its records.
pub(super) fn watermark(time: &Time) -> WatermarkSpec {
    match time.watermark {
        Watermark::Bounded(bound) => WatermarkSpec::Bounded(micros(bound)),
        Watermark::Monotonic => WatermarkSpec::Bounded(0),
        Watermark::Punctuated(_) => WatermarkSpec::Punctuated,
    }
}

/// A field that holds an instant, declared or not, and how it is read.
fn instant(
    config: &Config,
    time: &TimeField,
    fields: &[FieldSpec],
    compiler: &mut Compiler,
) -> Option<(FieldSpec, TimeSpec)> {
    let unit = match time.unit {
        TimeUnit::Seconds => ingest::TimeUnit::Seconds,
        TimeUnit::Millis => ingest::TimeUnit::Millis,
        TimeUnit::Micros => ingest::TimeUnit::Micros,
        TimeUnit::Nanos => ingest::TimeUnit::Nanos,
        TimeUnit::Rfc3339 => ingest::TimeUnit::Rfc3339,
    };
    let is_text = time.unit == TimeUnit::Rfc3339;
    let declared = fields.iter().find(|field| field.name == time.field).cloned();
    let field = match declared {
        Some(field) => field,
        None if config.event.broken.contains(&time.field) => return None,
        None => {
            let Some(path) = parse_path(&time.field) else {
                let message = format!("`{}` is not the path of a field", time.field);
                compiler.report(Diagnostic::new(Code::BadValue, time.place.clone(), message));
                return None;
            };
            let data_type = if is_text { DataType::Varchar } else { DataType::Bigint };
            FieldSpec { path, ..FieldSpec::new(time.field.clone(), data_type) }
        }
    };
    if !fits(field.data_type, is_text) {
        compiler.report(misfit(&field, is_text, &time.place));
    }
    let spec = TimeSpec {
        path: field.path.clone(),
        unit,
        fractional: field.data_type == DataType::Double,
        range: config.time.range.clone(),
    };
    Some((field, spec))
}

/// Whether a field of that type can hold event time, written as text or as a number.
fn fits(data_type: DataType, is_text: bool) -> bool {
    match data_type {
        // Text that is an instant is the same instant as a column.
        DataType::Varchar | DataType::TimestampTz => is_text,
        DataType::Bigint | DataType::Double => !is_text,
        _ => false,
    }
}

fn misfit(field: &FieldSpec, is_text: bool, place: &Place) -> Diagnostic {
    let needed = if is_text { "a timestamptz or a varchar" } else { "a bigint or a double" };
    let message =
        format!("the time field `{}` is a {}; this unit needs {needed}", field.name, field.data_type);
    let diagnostic = Diagnostic::new(Code::Conflict, place.clone(), message);
    match (field.data_type, is_text) {
        (DataType::Timestamp, true) => {
            diagnostic.with_help("event time is an instant, and a timestamp has no zone")
        }
        (DataType::Timestamp | DataType::TimestampTz, false) => diagnostic.with_help(
            "in JSON such a time is text; for a number leave the field out, expressions have `event_time`",
        ),
        _ => diagnostic,
    }
}
