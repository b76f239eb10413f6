//! What a state rests on, as names and texts: a state of another job is refused by what differs.

use ingest::{Compression, End, Format, Scenario};
use transform::{BranchInputs, Transform};

use super::windows::window_text;
use super::{BranchTexts, Texts, input, micros};
use crate::config::duration::format_instant;
use crate::config::event::{Event, NullKey};
use crate::config::{Branch, Config, source};

/// What a state rests on. Sinks, rules, scores and rates are free to change.
pub(super) fn identity(
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
    let sources = config.sources.iter().map(|source| match &source.kind {
        source::SourceKind::File { paths, lanes, compression } => {
            // What is so by default is not said, so that other jobs are what they were.
            let format = (source.format != Format::Json).then(|| format!(" {:?}", source.format));
            let packed = (*compression != Compression::Auto).then(|| format!(" {compression:?}"));
            let spec = super::source_spec(source, true);
            // Whether files that come later are read may change: those that are known are the same.
            let is_followed = source.end == End::Never && !spec.kind.can_be_watched();
            let follows = if is_followed { " followed" } else { "" };
            let [format, packed] = [format, packed].map(Option::unwrap_or_default);
            // Which files a set has is found once, so that it must stay the same set.
            let set = spec.kind.grows().then(|| format!(" of {paths:?}"));
            let set = set.unwrap_or_default();
            format!("{} file {lanes}{format}{packed}{follows}{set}", source.name)
        }
        // Its server is free, as are the credentials.
        source::SourceKind::Objects { bucket, keys, compression } => {
            let (name, bucket, format) = (&source.name, &bucket.name, source.format);
            format!("{name} objects of {bucket} {keys:?} {format:?} {compression:?}")
        }
        source::SourceKind::Stdin => format!("{} stdin", source.name),
        source::SourceKind::Archive { of, .. } => {
            format!("{} archive {}", source.name, of.as_deref().unwrap_or_default())
        }
        // Which of its brokers are named is free, and so are the credentials.
        source::SourceKind::Kafka { topic, isolation, .. } => {
            format!("{} kafka {} {isolation:?}", source.name, topic.name)
        }
        source::SourceKind::Http(_) => format!("{} http", source.name),
        source::SourceKind::Generate(generator) => format!("{} {}", source.name, generated(generator)),
        source::SourceKind::Kinesis(kinesis) => {
            format!("{} kinesis {}{}", source.name, kinesis.stream, end_text(source.end))
        }
    });
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
    ]
    .map(|(name, text)| (name.to_owned(), text));
    let parts = config.branches.iter().zip(&texts.branches).zip(transform.branches());
    let branches = parts.flat_map(|((branch, texts), inputs)| of_branch(branch, texts, inputs));
    let names = config.branches.iter().filter_map(|branch| branch.name.clone()).collect::<Vec<_>>();
    let names = (!names.is_empty()).then(|| ("branches".to_owned(), names.join("; ")));
    always.into_iter().chain(names).chain(branches).chain(own).collect()
}

/// Where the shards of a stream end is found at the first start, if it is asked for then.
fn end_text(end: End) -> &'static str {
    match end {
        End::Latest => " to where it ended",
        End::Never => "",
    }
}

/// What the state of a branch rests on.
fn of_branch(branch: &Branch, texts: &BranchTexts, inputs: &BranchInputs) -> Vec<(String, String)> {
    let features = inputs.features();
    let aggregates = features.aggregate_schema.fields().iter().map(|field| field.name.clone());
    // What a feature was rests on it and on those before it, which it may name.
    let last = features.lags.iter().max();
    let lags = texts.features.iter().take(last.map_or(0, |last| last + 1));
    let lags = lags.map(|(name, sql)| format!("for lag {name} = {sql}"));
    let within = (!features.lags.is_empty()).then(|| format!("within {}us", micros(branch.lag_within())));
    let aggregates = aggregates.chain(lags).chain(within).collect::<Vec<_>>().join("; ");
    let window = branch.window.as_ref().map(|(window, _)| window_text(window)).unwrap_or_default();
    let path = |key: &str| match &branch.name {
        Some(name) => format!("branch.{name}.{key}"),
        None => key.to_owned(),
    };
    let condition =
        branch.name.as_ref().map(|_| (path("where"), texts.condition.clone().unwrap_or_default()));
    condition.into_iter().chain([(path("window"), window), (path("features"), aggregates)]).collect()
}

/// The program's own aggregates that features use, as a state rests on them.
fn own_aggregates(transform: &Transform) -> Option<String> {
    let calls = transform.branches().iter().flat_map(|branch| &branch.features().calls);
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
    let source::Generator { scenario, lanes, users, seed, events, density, start, out_of_order, anomalies } =
        generator;
    // States are older than scenarios.
    let scenario = match scenario {
        Scenario::Alike => String::new(),
        other => format!(", scenario {}", other.name()),
    };
    let events = events.map_or_else(|| "endless".to_owned(), |events| events.to_string());
    format!(
        "generate {lanes}, users {users}, seed {seed}, events {events}, density {density}, start {}, \
         out_of_order {}us, anomalies {anomalies}{scenario}",
        format_instant(*start),
        micros(*out_of_order)
    )
}
