//! From a [`Config`] to the job that `dataflow` runs: expressions compiled, specs put together.
//!
//! Every expression is compiled by itself, so that one run names all mistakes; a name whose own expression
//! is wrong is not reported again where it is used. Opens no file and no socket.

mod branch;
pub(crate) mod detectors;
mod episodes;
mod expressions;
mod identity;
mod input;
mod output;
mod telling;
mod windows;

use std::time::Duration;

use dataflow::{Flow, Job, StateSpec};
use event::{Own, SinkId};
use transform::{BranchSpec, Transform, TransformSpec, own_name_error};

use crate::config::event::NullKey;
use crate::config::sink::{LATE, QUARANTINE};
use crate::config::{
    Branch, Code, Config, Diagnostic, Place, Quarantine, Reading, Window, WindowShape, source,
};
use branch::Shared;
use expressions::Compiler;
use identity::identity;
use input::Input;

/// Compiles what was read.
///
/// # Errors
/// All mistakes, those of reading included, in the order of their places.
pub fn compile(reading: &Reading) -> Result<Job, Vec<Diagnostic>> {
    compile_with(reading, &[])
}

/// The same with aggregates of the program's own, which features use by their names.
///
/// # Errors
/// As [`compile`].
pub fn compile_with(reading: &Reading, own: &[Own]) -> Result<Job, Vec<Diagnostic>> {
    let mut diagnostics = reading.findings.diagnostics.clone();
    let Some(config) = &reading.config else {
        return Err(diagnostics);
    };
    let mut compiler = Compiler::new(reading, own, &config.models);
    let job = compile_config(config, &mut compiler);
    // With a section misnamed, half of the names would seem to be missing.
    if !reading.findings.unknown_section {
        diagnostics.append(&mut compiler.diagnostics);
    }
    diagnostics.sort_by_key(|diagnostic| {
        diagnostic.place.as_ref().map_or((0, 0), |place| (place.source, place.span.start))
    });
    diagnostics.dedup();
    match job {
        Some(job) if diagnostics.is_empty() => Ok(job),
        _ => Err(diagnostics),
    }
}

/// The aggregates of a program's own that expressions cannot use by their names, by ordinal, and why.
pub(crate) fn own_mistakes(own: &[Own]) -> impl Iterator<Item = (usize, String)> {
    own.iter().enumerate().filter_map(|(number, aggregate)| {
        let name = aggregate.name();
        let is_there = own[..number].iter().any(|other| other.name() == name);
        let twice = || is_there.then(|| format!("there are two aggregates `{name}`"));
        Some((number, own_name_error(name).or_else(twice)?))
    })
}

/// The job; `None` if a mistake was noted, here or before.
fn compile_config(config: &Config, compiler: &mut Compiler) -> Option<Job> {
    check_conflicts(config, compiler);
    let input = Input::of(config, compiler);
    let columns = compiler.derive(&config.transform.derived, input.schema());
    compiler.filters(&config.transform.filters, &columns);
    let key_fields = compiler.key_fields(&config.event, &columns);
    let drafts = compiler.branches(config, &key_fields, &columns);
    let mut sinks = compiler.sinks(config, &key_fields);
    if !compiler.diagnostics.is_empty() || !compiler.reading_is_good() {
        return None;
    }

    let texts = Texts::of(config, compiler.own);
    let decode = input.used_by(&texts.transform(&input.schema())?)?;
    let transform = texts.transform(&decode.schema())?;
    let mut add = |name: &str, sink: &Option<Quarantine>| {
        sinks.push(output::quarantine_spec(name, sink.as_ref()?));
        Some(SinkId(sinks.len() as u16 - 1))
    };
    let quarantine = add(QUARANTINE, &config.rejects.quarantine);
    let late = add(LATE, &config.rejects.late).or(quarantine);
    branch::check_lags(config, &transform, compiler)?;
    let shared = Shared { config, transform: &transform, quarantine };
    let parts = drafts.into_iter().zip(&config.branches).zip(transform.branches()).enumerate();
    let branches = parts
        .map(|(number, ((draft, of), inputs))| draft.finish(number, of, inputs, &shared, compiler))
        .collect::<Option<Vec<_>>>()?;
    Some(Job {
        name: config.name.clone(),
        sources: config.sources.iter().map(|source| source_spec(source, config.state.is_some())).collect(),
        watermark: input::watermark(&config.time),
        idle_after: config.time.idle_partition_after,
        drift_max: config.time.max_drift.map(micros),
        identity: identity(config, &decode, &texts, &transform),
        decode,
        transform,
        branches,
        keys_max: config.limits.keys,
        sinks,
        quarantine,
        late,
        archive: config.archive.as_ref().map(|archive| archive.address.clone()),
        state: config.state.as_ref().map(|state| StateSpec {
            location: state.location.clone(),
            checkpoint_every: state.checkpoint_every,
            shards: state.shards,
            from: dataflow::Beginning::Newest,
        }),
        flow: Flow {
            ticks: config.flow.ticks,
            tick: config.flow.tick,
            sink_bytes: config.flow.sink_bytes as usize,
        },
        mesh: config.mesh.spec(),
    })
}

/// Names and expressions as `transform` takes them.
struct Texts<'a> {
    derived: Vec<(String, String)>,
    filters: Vec<(String, String)>,
    key: Vec<String>,
    null_keys: bool,
    branches: Vec<BranchTexts>,
    own: &'a [Own],
}

struct BranchTexts {
    condition: Option<String>,
    features: Vec<(String, String)>,
    gap: Option<String>,
    gap_max: Option<i64>,
}

impl BranchTexts {
    fn of(branch: &Branch) -> Self {
        let window = branch.window.as_ref().map(|(window, _)| window);
        BranchTexts {
            condition: branch.condition.as_ref().map(|condition| condition.text.clone()),
            features: expressions::texts(&branch.features),
            gap: window.and_then(|window| match &window.shape {
                WindowShape::SessionBy { gap } => Some(gap.text.clone()),
                _ => None,
            }),
            gap_max: window.and_then(windows::longest_gap),
        }
    }
}

impl<'a> Texts<'a> {
    fn of(config: &Config, own: &'a [Own]) -> Self {
        Texts {
            derived: expressions::texts(&config.transform.derived),
            filters: expressions::texts(&config.transform.filters),
            key: config.event.key.clone(),
            null_keys: config.event.null_key == NullKey::Group,
            branches: config.branches.iter().map(BranchTexts::of).collect(),
            own,
        }
    }

    /// Cannot fail after each expression was compiled by itself.
    fn transform(&self, input: &event::Schema) -> Option<Transform> {
        let branches: Vec<BranchSpec> = self
            .branches
            .iter()
            .map(|BranchTexts { condition, features, gap, gap_max }| BranchSpec {
                condition: condition.as_deref(),
                features,
                gap: gap.as_deref(),
                gap_max: *gap_max,
            })
            .collect();
        let spec = TransformSpec {
            derived: &self.derived,
            filters: &self.filters,
            key: &self.key,
            null_keys: self.null_keys,
            branches: &branches,
            own: self.own,
        };
        Transform::compile(input, &spec).ok()
    }
}

fn source_spec(source: &source::Source, has_state: bool) -> ingest::SourceSpec {
    use source::SourceKind;
    let kind = match &source.kind {
        SourceKind::File { paths, lanes, compression } => {
            ingest::SourceKind::File { paths: paths.clone(), lanes: *lanes, compression: *compression }
        }
        SourceKind::Objects { bucket, keys, compression } => {
            let (bucket, keys) = (bucket.clone(), keys.clone());
            ingest::SourceKind::Objects { bucket, keys, compression: *compression }
        }
        SourceKind::Stdin => ingest::SourceKind::Stdin,
        SourceKind::Generate(generator) => ingest::SourceKind::Generate(generate_spec(generator)),
        SourceKind::Archive { address, of } => {
            ingest::SourceKind::Archive { address: address.clone(), of: of.clone() }
        }
        SourceKind::Kafka { topic, isolation, queue_bytes } => ingest::SourceKind::Kafka {
            topic: topic.clone(),
            isolation: *isolation,
            queue_bytes: *queue_bytes,
        },
        SourceKind::Http(http) => ingest::SourceKind::Http(Box::new(http.spec(has_state))),
        SourceKind::Kinesis(kinesis) => ingest::SourceKind::Kinesis(kinesis.clone()),
    };
    ingest::SourceSpec {
        name: source.name.clone(),
        kind,
        format: source.format,
        rate: (source.rate > 0.0).then_some(source.rate),
        start: source.start,
        end: source.end,
    }
}

/// The generator's settings. Its clock is event time itself, so that the pace of a run is free to change.
pub fn generate_spec(generator: &source::Generator) -> ingest::GenerateSpec {
    ingest::GenerateSpec {
        scenario: generator.scenario,
        users: generator.users,
        seed: generator.seed,
        events: generator.events,
        rate: generator.density,
        speed: 1.0,
        lanes: generator.lanes,
        start: generator.start / event::MICROS_PER_MILLI,
        out_of_order_ms: generator.out_of_order.as_millis() as u64,
        anomaly_fraction: generator.anomalies,
    }
}

fn micros(duration: Duration) -> i64 {
    duration.as_micros() as i64
}

/// Settings that exclude each other, and names that are taken.
fn check_conflicts(config: &Config, compiler: &mut Compiler) {
    check_stdin(config, compiler);
    branch::check_names(config, compiler);
    output::check_outputs(config, compiler);
    branch::check_windows(config, compiler);
    telling::check_alerts(config, compiler);
    check_endpoint(config, compiler);
    check_archive(config, compiler);
}

/// Whoever asks what the rules say of a key needs rules, and windows that can be looked into.
fn check_endpoint(config: &Config, compiler: &mut Compiler) {
    let Some(endpoint) = &config.http else { return };
    let is_each = |branch: &Branch| {
        let is_each = |(window, _): &(Window, Place)| matches!(window.shape, WindowShape::Each);
        branch.window.as_ref().is_some_and(is_each)
    };
    let (message, help) = if config.branches.iter().all(is_each) {
        (
            "verdicts are of open windows, and where every event is a row at once none is ever open",
            "set `window.type` to another than \"each\", or take `[http]` out: alerts come with each event",
        )
    } else if config.branches.iter().all(|branch| branch.rules.is_empty()) {
        ("verdicts are what rules say, and the job has none", "add `[rules.ID]`, or take `[http]` out")
    } else {
        return;
    };
    let diagnostic = Diagnostic::new(Code::Conflict, endpoint.place.clone(), message);
    compiler.report(diagnostic.with_help(help));
}

/// What is archived are records as they were read.
fn check_archive(config: &Config, compiler: &mut Compiler) {
    let Some(archive) = &config.archive else { return };
    for source in &config.sources {
        if source.format != ingest::Format::Parquet {
            continue;
        }
        // Only some of its columns are read.
        let message =
            format!("source `{}` holds Parquet, which an archive does not keep: it is one", source.name);
        compiler.report(Diagnostic::new(Code::Conflict, archive.place.clone(), message));
    }
}

fn check_stdin(config: &Config, compiler: &mut Compiler) {
    let mut streams = config.sources.iter().filter(|source| matches!(source.kind, source::SourceKind::Stdin));
    let Some(first) = streams.next() else {
        return;
    };
    if config.state.is_some() {
        let message = "standard input cannot be read again, so a job with `[state]` cannot read it";
        let help = "take `[state]` out, or write the events to a file first";
        compiler.report(Diagnostic::new(Code::Conflict, first.place.clone(), message).with_help(help));
    }
    for second in streams {
        let message = format!("standard input is already the source `{}`", first.name);
        compiler.report(Diagnostic::new(Code::Conflict, second.place.clone(), message));
    }
}
