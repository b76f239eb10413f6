//! From a [`Config`] to the job that `dataflow` runs: expressions compiled, specs put together.
//!
//! Every expression is compiled by itself, so that one run names all mistakes; a name whose own expression
//! is wrong is not reported again where it is used. Opens no file and no socket.

mod expressions;
mod input;
mod output;
mod windows;

use std::time::Duration;

use alert::{Output, Renderer};
use dataflow::{Flow, Job, StateSpec};
use detect::Detection;
use event::{Own, SinkId};
use transform::{Transform, TransformSpec, own_name_error};

use crate::config::duration::format_instant;
use crate::config::event::{Event, NullKey};
use crate::config::sink::{LATE, QUARANTINE};
use crate::config::{Code, Config, Diagnostic, Quarantine, Reading, WindowShape, source};
use expressions::Compiler;
use input::Input;
use windows::{window_text, windowing};

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
    let mut compiler = Compiler::new(reading, own);
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
    let features = compiler.features(&config.features, &columns);
    if let Some((window, _)) = &config.window
        && let WindowShape::SessionBy { gap } = &window.shape
    {
        compiler.gap(gap, &columns);
    }
    let key_fields = compiler.key_fields(&config.event, &columns);
    let (row, scores) = compiler.scores(&key_fields, &features, &config.scores);
    let rules = compiler.rules(&config.rules, &row);
    let sinks = compiler.sinks(config, &row);
    if !compiler.diagnostics.is_empty() || !compiler.reading_is_good() {
        return None;
    }

    let texts = Texts::of(config, compiler.own);
    let decode = input.used_by(&texts.transform(&input.schema())?)?;
    let transform = texts.transform(&decode.schema())?;
    let (window, _) = config.window.as_ref()?;
    let window = windowing(window).ok()?;
    let (detection_rules, alert_rules) = rules.into_iter().unzip();
    let (mut sinks, formats): (Vec<_>, Vec<_>) = sinks.into_iter().unzip();
    let mut add = |name: &str, sink: &Option<Quarantine>| {
        sinks.push(output::quarantine_spec(name, sink.as_ref()?));
        Some(SinkId(sinks.len() as u16 - 1))
    };
    let quarantine = add(QUARANTINE, &config.rejects.quarantine);
    let late = add(LATE, &config.rejects.late).or(quarantine);
    let detection = Detection::new(
        transform.key_fields().to_vec(),
        transform.key_shape().clone(),
        transform.features().expressions.clone(),
        scores,
        detection_rules,
    )
    .ok()?
    .recalling(transform.features().lags.clone());
    check_lags(config, &transform, compiler)?;
    let outputs = formats.into_iter().zip(0..).map(|(format, sink)| Output { sink: SinkId(sink), format });
    let row = detection.row_schema().clone();
    let renderer = Renderer::new(&config.name, row, alert_rules, outputs.collect(), quarantine);
    Some(Job {
        name: config.name.clone(),
        sources: config.sources.iter().map(source_spec).collect(),
        watermark: input::watermark(&config.time),
        idle_after: config.time.idle_partition_after,
        drift_max: config.time.max_drift.map(micros),
        identity: identity(config, &decode, &texts, &transform),
        decode,
        transform,
        window,
        detection,
        lag_within: micros(config.lag_within()),
        keys_max: config.limits.keys,
        renderer,
        sinks,
        quarantine,
        late,
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
    features: Vec<(String, String)>,
    gap: Option<String>,
    gap_max: Option<i64>,
    own: &'a [Own],
}

impl<'a> Texts<'a> {
    fn of(config: &Config, own: &'a [Own]) -> Self {
        Texts {
            derived: expressions::texts(&config.transform.derived),
            filters: expressions::texts(&config.transform.filters),
            key: config.event.key.clone(),
            null_keys: config.event.null_key == NullKey::Group,
            features: expressions::texts(&config.features),
            gap: config.window.as_ref().and_then(|(window, _)| match &window.shape {
                WindowShape::SessionBy { gap } => Some(gap.text.clone()),
                _ => None,
            }),
            gap_max: config.window.as_ref().and_then(|(window, _)| windows::longest_gap(window)),
            own,
        }
    }

    /// Cannot fail after each expression was compiled by itself.
    fn transform(&self, input: &event::Schema) -> Option<Transform> {
        let spec = TransformSpec {
            derived: &self.derived,
            filters: &self.filters,
            key: &self.key,
            null_keys: self.null_keys,
            features: &self.features,
            gap: self.gap.as_deref(),
            gap_max: self.gap_max,
            own: self.own,
        };
        Transform::compile(input, &spec).ok()
    }
}

fn source_spec(source: &source::Source) -> ingest::SourceSpec {
    use source::SourceKind;
    let kind = match &source.kind {
        SourceKind::File { path, lanes } => ingest::SourceKind::File { path: path.clone(), lanes: *lanes },
        SourceKind::Stdin => ingest::SourceKind::Stdin,
        SourceKind::Generate(generator) => ingest::SourceKind::Generate(generate_spec(generator)),
    };
    ingest::SourceSpec { name: source.name.clone(), kind, rate: (source.rate > 0.0).then_some(source.rate) }
}

/// The generator's settings. Its clock is event time itself, so that the pace of a run is free to change.
pub fn generate_spec(generator: &source::Generator) -> ingest::GenerateSpec {
    ingest::GenerateSpec {
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

/// What a state rests on. Sinks, rules, scores and rates are free to change.
fn identity(
    config: &Config,
    decode: &ingest::DecodeSpec,
    texts: &Texts,
    transform: &Transform,
) -> Vec<(String, String)> {
    let pairs = |pairs: &[(String, String)]| {
        pairs.iter().map(|(name, sql)| format!("{name} = {sql}")).collect::<Vec<_>>().join("; ")
    };
    let fields =
        decode.fields.iter().map(|field| format!("{} {} {:?}", field.name, field.data_type, field.path));
    let aggregates = transform.features().aggregate_schema.fields().iter().map(|field| field.name.clone());
    // What a feature was rests on it and on those before it, which it may name.
    let last = transform.features().lags.iter().max();
    let lags = texts.features.iter().take(last.map_or(0, |last| last + 1));
    let lags = lags.map(|(name, sql)| format!("for lag {name} = {sql}"));
    let within =
        (!transform.features().lags.is_empty()).then(|| format!("within {}us", micros(config.lag_within())));
    let aggregates = aggregates.chain(lags).chain(within);
    let sources = config.sources.iter().map(|source| match &source.kind {
        source::SourceKind::File { lanes, .. } => format!("{} file {lanes}", source.name),
        source::SourceKind::Stdin => format!("{} stdin", source.name),
        source::SourceKind::Generate(generator) => format!("{} {}", source.name, generated(generator)),
    });
    let window = config.window.as_ref().map(|(window, _)| window_text(window)).unwrap_or_default();
    // Only where there are any, so that other jobs are what they were.
    let own = own_aggregates(transform).map(|own| ("aggregates".to_owned(), own));
    let always = [
        ("sources", sources.collect::<Vec<_>>().join("; ")),
        ("event.key", key_text(&config.event)),
        ("event.time", format!("{:?} {:?}", decode.time.path, decode.time.unit)),
        ("event.fields", fields.collect::<Vec<_>>().join("; ")),
        watermark_text(config, decode),
        ("transform", pairs(&texts.derived)),
        ("transform.where", pairs(&texts.filters)),
        ("window", window),
        ("features", aggregates.collect::<Vec<_>>().join("; ")),
    ]
    .map(|(name, text)| (name.to_owned(), text));
    always.into_iter().chain(own).collect()
}

/// The program's own aggregates that features use, as a state rests on them.
fn own_aggregates(transform: &Transform) -> Option<String> {
    let calls = transform.features().calls.iter();
    let mut own: Vec<String> =
        calls.filter_map(|call| Some(call.aggregate.own.as_ref()?.to_string())).collect();
    own.sort();
    own.dedup();
    (!own.is_empty()).then(|| own.join("; "))
}

fn key_text(event: &Event) -> String {
    let nulls = if event.null_key == NullKey::Group { "with NULL: " } else { "" };
    nulls.to_owned() + &event.key.join(", ")
}

/// What moves watermarks. Times that never fall are times that are out of order by nothing.
fn watermark_text(config: &Config, decode: &ingest::DecodeSpec) -> (&'static str, String) {
    match (&decode.punctuation, input::watermark(&config.time)) {
        (Some(said), _) => ("time.watermark", format!("{:?} {:?}", said.path, said.unit)),
        (None, ingest::WatermarkSpec::Bounded(bound)) => ("time.out_of_order", format!("{bound}us")),
        (None, ingest::WatermarkSpec::Punctuated) => ("time.watermark", "nothing".to_owned()),
    }
}

/// All that makes generated events what they are. Their number too: a job that was finished would not notice
/// that there are more.
fn generated(generator: &source::Generator) -> String {
    let source::Generator { lanes, users, seed, events, density, start, out_of_order, anomalies } = generator;
    let events = events.map_or_else(|| "endless".to_owned(), |events| events.to_string());
    format!(
        "generate {lanes}, users {users}, seed {seed}, events {events}, density {density}, start {}, \
         out_of_order {}us, anomalies {anomalies}",
        format_instant(*start),
        micros(*out_of_order)
    )
}

fn micros(duration: Duration) -> i64 {
    duration.as_micros() as i64
}

/// Rows of a key must come in the order in which they are due where one asks what the one before it was.
fn check_lags(config: &Config, transform: &Transform, compiler: &mut Compiler) -> Option<()> {
    let (window, place) = config.window.as_ref()?;
    let lags = !transform.features().lags.is_empty();
    let refusal = match window.lag_within {
        Some(_) if !lags => {
            Some(("no feature asks for an earlier row", "take `lag_within` out, or write `lag(feature)`"))
        }
        Some(within) if window.slide().is_some_and(|slide| within < slide) => {
            Some(("`lag_within` is shorter than a slide", "no row would recall the one before it"))
        }
        _ if lags && !windows::are_in_order(window) => Some((
            "`lag` needs windows that are put out once, and in order",
            "take `allowed_lateness`, `late`, `early`, `at_end`, `purge` and `stagger` out, or `lag`",
        )),
        _ => None,
    };
    let Some((message, help)) = refusal else { return Some(()) };
    compiler.report(Diagnostic::new(Code::Conflict, place.clone(), message).with_help(help));
    None
}

/// Settings that exclude each other, and names that are taken.
fn check_conflicts(config: &Config, compiler: &mut Compiler) {
    check_stdin(config, compiler);
    check_names(config, compiler);
    output::check_outputs(config, compiler);
    if let Some((window, place)) = &config.window
        && let Err(error) = windowing(window)
    {
        compiler.report(Diagnostic::new(Code::BadValue, place.clone(), error.to_string()));
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

/// Names that stand beside each other in a row must differ.
fn check_names(config: &Config, compiler: &mut Compiler) {
    let mut taken: Vec<(&str, &str)> = vec![
        (event::RowSchema::WINDOW_START, "a column of the window"),
        (event::RowSchema::WINDOW_END, "a column of the window"),
        (event::RowSchema::WINDOW_DURATION, "the length of the window"),
        (event::RowSchema::WINDOW_DURATION_S, "the length of the window"),
        ("rule", "a column of every row"),
        ("severity", "a column of every row"),
    ];
    let key = config.event.key.iter().map(|name| (name.as_str(), &config.event.key_place, "in the key"));
    let features = config.features.iter().map(|named| (named.name.as_str(), &named.key, "a feature"));
    let scores = config.scores.iter().map(|named| (named.name.as_str(), &named.key, "a score"));
    for (name, place, what) in key.chain(features).chain(scores) {
        if let Some((_, other)) = taken.iter().find(|(other, _)| *other == name) {
            let message = format!("`{name}` is already {other}");
            compiler.report(Diagnostic::new(Code::NameTaken, place.clone(), message));
        }
        taken.push((name, what));
    }
}
