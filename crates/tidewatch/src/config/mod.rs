//! The configuration: TOML in, a checked description of the job out, with errors that point to the word.
//!
//! Three steps, each of which notes every mistake it finds and goes on: the texts become a tree
//! ([`tree`], `substitute`, `overrides`), the tree becomes a [`Config`] (a file for each group of
//! sections), and [`crate::job`] compiles its expressions. A value comes from `--set`, else the environment
//! (`TIDEWATCH__A__B`), else the file, else the default.
//!
//! The sections are read by hand rather than by serde: serde stops at the first mistake.

pub mod alerts;
pub mod archive;
mod bounds;
pub mod branch;
pub mod cap;
pub mod detection;
pub mod diagnostic;
pub mod duration;
pub mod event;
pub mod http;
pub mod kafka;
pub mod kinesis;
mod limits;
pub mod mesh;
pub mod model;
pub mod mute;
pub mod nearest;
mod objects;
pub(crate) mod overrides;
pub mod place;
mod print;
mod secret;
pub mod section;
pub mod sink;
pub mod source;
pub mod state;
mod substitute;
pub mod supervise;
mod target;
pub mod time;
pub mod tree;
pub mod value;
mod webhook;
pub mod window;

use std::path::Path;

use crate::sql;

pub use archive::Archive;
pub use branch::Branch;
pub use detection::{Named, Rule, Transform};
pub use diagnostic::{Code, Diagnostic};
pub use event::Event;
pub use limits::{Flow, Limits};
pub use mesh::Mesh;
pub use place::{Origin, Place, Sources};
pub use print::{print, print_json};
pub use section::{Findings, Setting};
pub use sink::{Quarantine, Rejects, Sink};
pub use source::Source;
pub use state::State;
pub use supervise::Supervise;
pub use time::Time;
pub use value::Sql;
pub use window::{EarlyRows, Firing, LateRows, SharedWindow, Window, WindowShape};

use section::{Reader, Section};
use tree::{Table, Value};
use value::{filled_string, integer};

/// A job, as its file describes it. Expressions are still text.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the job: a part of every alert's id. Default: the file's name without its ending.
    pub name: String,
    /// `[source.NAME]`
    pub sources: Vec<Source>,
    /// `[event]`
    pub event: Event,
    /// `[time]`
    pub time: Time,
    /// `[limits]`
    pub limits: Limits,
    /// `[flow]`
    pub flow: Flow,
    /// `[transform]`
    pub transform: Transform,
    /// `[detectors]`
    pub detectors: detection::Memory,
    /// `[models.NAME]`
    pub models: Vec<model::Model>,
    /// `[alerts]`
    pub telling: Option<alerts::Telling>,
    /// The windows and what becomes of their rows: one branch, or each `[branch.NAME]`. Never empty.
    pub branches: Vec<Branch>,
    /// `[sink.NAME]`
    pub sinks: Vec<Sink>,
    /// `[sink.quarantine]`, `[sink.late]`
    pub rejects: Rejects,
    /// `[mesh]`
    pub mesh: Mesh,
    /// `[supervise]`
    pub supervise: Supervise,
    /// `[http]`
    pub http: Option<http::Endpoint>,
    /// `[state]`
    pub state: Option<State>,
    /// `[archive]`
    pub archive: Option<Archive>,
}

/// What a configuration is read from.
#[derive(Debug, Clone)]
pub struct Inputs<'a> {
    /// The file, for messages.
    pub path: &'a Path,
    /// What is in it.
    pub text: &'a str,
    /// The `--set` arguments, in order.
    pub sets: &'a [String],
    /// The environment.
    pub environment: &'a [(String, String)],
}

/// A configuration that was read, right or wrong.
#[derive(Debug)]
pub struct Reading {
    /// The texts, for messages.
    pub sources: Sources,
    /// What was understood. Where mistakes were noted, defaults stand in.
    pub config: Option<Config>,
    /// The mistakes, and the settings with where they come from.
    pub findings: Findings,
}

/// Reads a configuration. It is good if there are no diagnostics.
pub fn read(inputs: &Inputs) -> Reading {
    let mut sources = Sources::default();
    let file = sources.add(Origin::File(inputs.path.to_owned()), inputs.text.to_owned());
    let parsed = if sql::is_statement(inputs.path) {
        sql::read_file(&sources, file)
    } else {
        tree::parse_document(&sources, file).map_err(sql::Unread::Toml)
    };
    let unread = |sources, diagnostics| Reading {
        sources,
        config: None,
        findings: Findings { diagnostics, ..Findings::default() },
    };
    let mut diagnostics = Vec::new();
    let mut root = match parsed {
        Ok(root) => root,
        Err(sql::Unread::Header(diagnostic)) => return unread(sources, vec![diagnostic]),
        Err(sql::Unread::Toml(error)) => {
            let place = Place { source: file, span: error.span().unwrap_or(0..0) };
            let message = format!("not TOML: {}", error.message().trim().replace('\n', ", "));
            return unread(sources, vec![Diagnostic::new(Code::Syntax, place, message)]);
        }
    };
    let variable = |name: &str| {
        inputs.environment.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone())
    };
    substitute::substitute(&mut root, &variable, &mut diagnostics);
    let mut root = override_all(root, &mut sources, inputs, &mut diagnostics);
    if !sql::translate(&mut root, &sources, &mut diagnostics) {
        return unread(sources, diagnostics);
    }
    read_tree(&root, sources, diagnostics, inputs.environment, inputs.path)
}

/// Reads a tree, whose first text is where the job itself stands. `path` names the job, unless it has a name.
pub(crate) fn read_tree(
    root: &Table,
    sources: Sources,
    diagnostics: Vec<Diagnostic>,
    environment: &[(String, String)],
    path: &Path,
) -> Reading {
    let findings = Findings { diagnostics, ..Findings::default() };
    let mut reader = Reader { sources: &sources, environment, findings };
    let config = read_root(root, &mut reader, path);
    let findings = reader.findings;
    Reading { sources, config: Some(config), findings }
}

fn override_all(
    mut root: Table,
    sources: &mut Sources,
    inputs: &Inputs,
    diagnostics: &mut Vec<Diagnostic>,
) -> Table {
    let mut variables: Vec<&(String, String)> =
        inputs.environment.iter().filter(|(name, _)| name.starts_with(overrides::PREFIX)).collect();
    variables.sort();
    for (name, value) in variables {
        diagnostics.extend(overrides::apply_variable(&mut root, sources, name, value).err());
    }
    for (index, argument) in inputs.sets.iter().enumerate() {
        diagnostics.extend(overrides::apply_set(&mut root, sources, Origin::Set(index + 1), argument).err());
    }
    root
}

fn read_root(table: &Table, reader: &mut Reader, path: &Path) -> Config {
    let mut root = Section::new(table, "", "the job", Place { source: 0, span: 0..0 });
    root.or(reader, "version", (1, "1"), |sources, node| match node.value {
        Value::Integer(1) => Ok(1),
        _ => integer(1..=1i64)(sources, node)
            .map_err(|diagnostic| diagnostic.with_help("this program reads `version = 1`")),
    });
    let stem = path.file_stem().map_or("job".into(), |stem| stem.to_string_lossy());
    let shown = toml_edit::Value::from(&*stem).to_string();
    let name = root.or(reader, "name", (stem.to_string(), &shown), filled_string);
    // In the order in which `--print` shows them: the order in which an event travels.
    let sources = source::read_sources(&mut root, reader);
    let event = event::read_event(&mut root, reader);
    let time = time::read_time(&mut root, reader);
    let limits = limits::read_limits(&mut root, reader);
    let flow = limits::read_flow(&mut root, reader);
    let transform = detection::read_transform(&mut root, reader);
    let detectors = detection::read_detectors(&mut root, reader);
    let models = model::read_models(&mut root, reader);
    let telling = alerts::read_alerts(&mut root, reader);
    let episodes = telling.as_ref().and_then(|telling| telling.episodes.as_ref());
    let branches = branch::read_branches(&mut root, reader, episodes);
    let mesh = mesh::read_mesh(&mut root, reader);
    let supervise = supervise::read_supervise(&mut root, reader);
    let http = http::read_endpoint(&mut root, reader);
    let state = state::read_state(&mut root, reader);
    // A state with a mistake in it is still one.
    let has_state = table.get("state").is_some();
    let archive = archive::read_archive(&mut root, reader, has_state);
    let has_columns = branches.iter().any(|branch| branch.columns.is_some());
    let (sinks, rejects) = sink::read_sinks(&mut root, reader, has_state, has_columns);
    root.finish(reader);
    Config {
        name,
        sources,
        event,
        time,
        limits,
        flow,
        transform,
        detectors,
        models,
        telling,
        branches,
        sinks,
        rejects,
        mesh,
        supervise,
        http,
        state,
        archive,
    }
}
