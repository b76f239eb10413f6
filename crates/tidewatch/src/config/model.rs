//! `[models.NAME]`: models that were trained elsewhere, which scores ask by their names.

use std::path::PathBuf;
use std::time::Duration;

use inference::{BreakerSpec, EndpointSpec, Kind, ModelSpec, OnnxSpec, Wire};

use super::place::Place;
use super::secret::{optional_secret, whole_secret};
use super::section::{Reader, Section};
use super::target::not_built;
use super::value::{boolean, duration, filled_string, integer, one_of, string};

/// A model, and where its section stands.
#[derive(Debug, Clone)]
pub struct Model {
    /// Where.
    pub place: Place,
    /// What it is.
    pub spec: ModelSpec,
}

#[derive(Clone, Copy, PartialEq)]
enum Type {
    Onnx,
    Http,
}

#[derive(Clone, Copy, PartialEq)]
enum Format {
    Json,
    Csv,
}

const TYPES: &[(&str, Type)] = &[("onnx", Type::Onnx), ("http", Type::Http)];
const FORMATS: &[(&str, Format)] = &[("json", Format::Json), ("csv", Format::Csv)];
/// Longer than what an endpoint takes that is near, shorter than somebody waits who is to be told.
const EXPLAIN_WITHIN: (Duration, &str) = (Duration::from_secs(2), "\"2s\"");
const TYPE_HELP: &str = "add `type = \"onnx\"` and `path = \"FILE.onnx\"`, or `type = \"http\"` and `url`";
const URL_HELP: &str = "write `url = \"https://host/path\"`, or `{ env = \"VARIABLE\" }` if it is a secret";
const TOKEN_HELP: &str = "write `{ env = \"VARIABLE\" }` or `{ file = \"FILE\" }`";

/// Reads all of them, in the order of the file.
pub(super) fn read_models(root: &mut Section, reader: &mut Reader) -> Vec<Model> {
    let mut models = Vec::new();
    for (entry, mut section) in root.sections(reader, "models", "model") {
        let place = section.place().clone();
        let Some(kind) = section.required(reader, "type", TYPE_HELP, one_of(TYPES)) else {
            section.give_up(reader);
            continue;
        };
        check_built(kind, &mut section, reader);
        let kind = match kind {
            Type::Onnx => read_onnx(&mut section, reader).map(Kind::Onnx),
            Type::Http => read_endpoint(&mut section, reader).map(Kind::Http),
        };
        let batch = section.or(reader, "batch", (256, "256"), integer(1..=100_000));
        let second = (Duration::from_secs(1), "\"1s\"");
        let range = Duration::from_millis(1)..=Duration::from_secs(600);
        let timeout = section.or(reader, "timeout", second, duration(range));
        let failures = section.or(reader, "circuit_failures", (5, "5"), integer(1..=1000));
        let half_minute = (Duration::from_secs(30), "\"30s\"");
        let range = Duration::ZERO..=Duration::from_secs(3600);
        let pause = section.or(reader, "circuit_pause", half_minute, duration(range));
        section.finish(reader);
        let breaker = BreakerSpec { failures, pause };
        let name = entry.name.clone();
        let spec = |kind| ModelSpec { name, kind, batch, timeout, breaker };
        models.extend(kind.map(|kind| Model { place, spec: spec(kind) }));
    }
    models
}

fn read_onnx(section: &mut Section, reader: &mut Reader) -> Option<OnnxSpec> {
    let path = section.required(reader, "path", "add `path = \"FILE.onnx\"`", filled_string);
    let library = section.optional(reader, "library", filled_string).map(PathBuf::from);
    let output = section.optional(reader, "output", filled_string);
    let column = section.optional(reader, "column", integer(0..=1_000_000));
    Some(OnnxSpec { path: PathBuf::from(path?), library, output, column })
}

fn read_endpoint(section: &mut Section, reader: &mut Reader) -> Option<EndpointSpec> {
    let url = whole_secret(section, reader, "url", URL_HELP, |_| Ok(()));
    let token = optional_secret(section, reader, "token", TOKEN_HELP, |_| Ok(()));
    let ca = section.optional(reader, "ca", filled_string).map(PathBuf::from);
    let allow_http = section.or(reader, "allow_http", (false, "false"), boolean);
    let format = section.or(reader, "format", (Format::Json, "\"json\""), one_of(FORMATS));
    let wire = match format {
        Format::Csv => Wire::Csv,
        Format::Json => {
            let rows = ("instances".to_owned(), "\"instances\"");
            let rows = section.or(reader, "rows", rows, filled_string);
            let answers = ("predictions".to_owned(), "\"predictions\"");
            Wire::Json { rows, answers: section.or(reader, "answers", answers, string) }
        }
    };
    let range = Duration::ZERO..=Duration::from_secs(60);
    let explain_within = section.or(reader, "explain_within", EXPLAIN_WITHIN, duration(range));
    Some(EndpointSpec { url: url?, token, ca, allow_http, wire, explain_within })
}

/// What is heavy to build is a feature of cargo.
fn check_built(kind: Type, section: &mut Section, reader: &mut Reader) {
    let feature = match kind {
        Type::Onnx if !cfg!(feature = "onnx") => "onnx",
        Type::Http if !cfg!(feature = "inference") => "inference",
        _ => return,
    };
    if let Some(entry) = section.entry("type") {
        reader.report(not_built(feature, entry.node.place.clone()));
    }
}
