//! The sinks of a job: the columns of plain rows compiled, paths that would collide refused.

use std::borrow::Cow;
use std::path::Path;

use alert::{Format, SinkKind, SinkSpec, plain_schema};
use event::{RowSchema, Schema};
use transform::compile_column;

use super::expressions::Compiler;
use crate::config::sink::{self, Mode, QUARANTINE, Quarantine, Target};
use crate::config::{Code, Config, Diagnostic, Place, Sql, source};

impl Compiler<'_> {
    /// The sinks, in the order of the config, and what a row of each looks like.
    pub(super) fn sinks(&mut self, config: &Config, row: &RowSchema) -> Vec<(SinkSpec, Format)> {
        let schema = plain_schema(row.schema());
        let mut sinks = Vec::new();
        for sink in &config.sinks {
            let format = match &sink.format {
                sink::Format::Alert if config.rules.is_empty() => {
                    let message = format!("sink `{}` writes alerts, but the job has no rules", sink.name);
                    let help = "add `[rules.ID]`, or set `format = \"plain\"` for every row of features";
                    self.report(Diagnostic::new(Code::Conflict, sink.place.clone(), message).with_help(help));
                    continue;
                }
                sink::Format::Alert => Format::Alert,
                sink::Format::Plain { columns } => self.plain(columns, &schema),
            };
            sinks.push((sink_spec(&sink.name, &sink.target, sink.mode), format));
        }
        sinks
    }

    fn plain(&mut self, columns: &[Sql], schema: &Schema) -> Format {
        let mut compiled: Vec<(String, _)> = Vec::new();
        for column in columns {
            match compile_column(&bare_name_quoted(&column.text, schema), schema) {
                Ok((name, _)) if compiled.iter().any(|(other, _)| *other == name) => {
                    let message = format!("there are two columns `{name}`");
                    let place = column.within(0..column.text.len());
                    self.report(Diagnostic::new(Code::NameTaken, place, message));
                }
                Ok(column) => compiled.push(column),
                Err(error) => self.expression_error(column, error),
            }
        }
        Format::Plain { columns: compiled }
    }
}

/// A column that is no more than a name is that column, even if SQL would read the name as something else,
/// as it does with `user` or `payload.user`.
fn bare_name_quoted<'a>(text: &'a str, schema: &Schema) -> Cow<'a, str> {
    match schema.index_of(text.trim()) {
        Some(_) => Cow::Owned(format!("\"{}\"", text.trim().replace('"', "\"\""))),
        None => Cow::Borrowed(text),
    }
}

pub(super) fn quarantine_spec(quarantine: &Quarantine) -> SinkSpec {
    sink_spec(QUARANTINE, &quarantine.target, quarantine.mode)
}

fn sink_spec(name: &str, target: &Target, mode: Mode) -> SinkSpec {
    let kind = match target {
        Target::Stdout => SinkKind::Stdout,
        Target::File(path) => SinkKind::File { path: path.clone() },
    };
    let mode = match mode {
        Mode::ExactlyOnce => alert::Mode::ExactlyOnce,
        Mode::AtOnce => alert::Mode::AtOnce,
    };
    SinkSpec { name: name.to_owned(), kind, mode }
}

/// A file can be written by one sink only, and not while it is read.
pub(super) fn check_paths(config: &Config, compiler: &mut Compiler) {
    let mut taken: Vec<(&Path, String)> = Vec::new();
    for source in &config.sources {
        if let source::SourceKind::File { path, .. } = &source.kind {
            taken.push((path, format!("the source `{}`", source.name)));
        }
    }
    let sinks = config.sinks.iter().map(|sink| (sink.name.as_str(), &sink.target, &sink.place));
    let quarantine = config.quarantine.iter().map(|q| (QUARANTINE, &q.target, &q.place));
    for (name, target, place) in sinks.chain(quarantine) {
        let Target::File(path) = target else { continue };
        // What lies there is a device or a pipe: lines of several writers may mix in it.
        if path.starts_with("/dev") {
            continue;
        }
        if let Some((_, other)) = taken.iter().find(|(other, _)| other == path) {
            let message = format!("sink `{name}` has the file of {other}");
            compiler.report(conflict(place, message));
        }
        taken.push((path, format!("sink `{name}`")));
    }
}

fn conflict(place: &Place, message: String) -> Diagnostic {
    Diagnostic::new(Code::Conflict, place.clone(), message).with_help("give each its own `path`")
}
