//! `tidewatch checkpoints`: what a job's state holds, and whether it is whole. Never changes anything.

use std::process::ExitCode;

use checkpoint::{Kind, Location, Manifest, Operator, Segment, Store, StoreError};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use window::ChunkHead;

use super::load::load_job;
use super::{ConfigArguments, OutputFormat, REFUSED, Style, put, say};
use crate::config::duration::format_instant;
use crate::report;

#[derive(Debug, Args)]
pub(super) struct CheckpointsArguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// One line for each checkpoint, oldest first
    List(Which),
    /// All that one checkpoint says
    Show(Which),
    /// Read every byte that the checkpoints need, and check it
    Verify(Which),
}

#[derive(Debug, Args)]
struct Which {
    #[command(flatten)]
    config: ConfigArguments,
    /// Only this checkpoint [show: default the newest; verify: default all]
    #[arg(long, value_name = "NUMBER")]
    number: Option<u32>,
}

impl CheckpointsArguments {
    pub(super) fn with_sets(mut self, before: Vec<String>) -> Self {
        let (Verb::List(which) | Verb::Show(which) | Verb::Verify(which)) = &mut self.verb;
        which.config = which.config.clone().with_sets(before);
        self
    }
}

pub(super) fn run(arguments: CheckpointsArguments, style: &Style) -> anyhow::Result<ExitCode> {
    let (Verb::List(which) | Verb::Show(which) | Verb::Verify(which)) = &arguments.verb;
    let job = match load_job(&which.config, style) {
        Ok(job) => job,
        Err(code) => return Ok(code),
    };
    let Some(state) = &job.state else {
        return Ok(refuse("the config has no [state], so the job has no checkpoints"));
    };
    let location = &state.location;
    // To open a directory would make it.
    if matches!(location, Location::Dir(dir) if !dir.is_dir()) {
        return Ok(refuse_absent(location));
    }
    let result = location.open().and_then(|store| {
        let numbers = match which.number {
            Some(number) => vec![number],
            None => store.numbers()?,
        };
        match arguments.verb {
            Verb::List(_) => list(&store, &numbers, style),
            Verb::Show(_) => show(&store, numbers.last().copied(), style),
            Verb::Verify(_) => verify(&store, &numbers, style),
        }
    });
    match result {
        Ok(Said { data, whole }) => {
            put(&data)?;
            Ok(if whole { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
        }
        Err(error) if error.is_refusal() => Ok(refuse(&error.to_string())),
        Err(error) => Err(error.into()),
    }
}

fn refuse_absent(location: &Location) -> ExitCode {
    refuse(&format!("there is no state in {location}: the job has not been started"))
}

fn refuse(words: &str) -> ExitCode {
    say(&format!("error: {words}"));
    ExitCode::from(REFUSED)
}

/// What goes to standard output, and whether all is well.
struct Said {
    data: String,
    whole: bool,
}

impl Said {
    fn json(value: &Value) -> Self {
        Said { data: format!("{value}\n"), whole: true }
    }
}

fn list(store: &Store, numbers: &[u32], style: &Style) -> Result<Said, StoreError> {
    let manifests = numbers.iter().map(|number| store.manifest(*number));
    let manifests = manifests.collect::<Result<Vec<_>, _>>()?;
    if style.format == OutputFormat::Json {
        return Ok(Said::json(&manifests.iter().map(summary).collect()));
    }
    let mut data = format!(
        "{:>10} {:24} {:>10} {:>7} {:24} {:>14} {:>12} {:>9}\n",
        "checkpoint", "committed", "generation", "workers", "watermark", "events", "alerts", "MB"
    );
    for manifest in &manifests {
        data.push_str(&format!(
            "{:>10} {:24} {:>10} {:>7} {:24} {:>14} {:>12} {:>9.1}{}\n",
            manifest.number,
            format_instant(manifest.committed_at),
            manifest.generation,
            manifest.peers,
            watermark(manifest),
            manifest.counts.read,
            manifest.counts.alerts,
            bytes(&manifest.segments) as f64 / 1e6,
            remark(manifest),
        ));
    }
    Ok(Said { data, whole: true })
}

fn watermark(manifest: &Manifest) -> String {
    report::instant(manifest.watermark).map_or_else(|| "-".to_owned(), format_instant)
}

fn bytes(segments: &[Segment]) -> u64 {
    segments.iter().map(Segment::length).sum()
}

fn remark(manifest: &Manifest) -> &'static str {
    match manifest {
        Manifest { finished: true, .. } => "  finished",
        Manifest { fence: true, number, follows, .. } if *follows != number.checked_sub(1) => {
            "  start from an older one"
        }
        Manifest { fence: true, .. } => "  start of a generation",
        Manifest { follows: None, .. } => "  start from scratch",
        _ => "",
    }
}

fn summary(manifest: &Manifest) -> Value {
    json!({
        "checkpoint": manifest.number,
        "committed_at": format_instant(manifest.committed_at),
        "generation": manifest.generation,
        "workers": manifest.peers,
        "watermark": report::instant(manifest.watermark).map(format_instant),
        "counts": manifest.counts,
        "bytes": bytes(&manifest.segments),
        "segments": manifest.segments.len(),
        "follows": manifest.follows,
        "starts_generation": manifest.fence,
        "finished": manifest.finished,
    })
}

fn show(store: &Store, number: Option<u32>, style: &Style) -> Result<Said, StoreError> {
    let Some(number) = number else {
        return Ok(Said { data: "no checkpoint yet\n".to_owned(), whole: true });
    };
    let manifest = store.manifest(number)?;
    if style.format == OutputFormat::Json {
        return Ok(Said::json(&details(&manifest)));
    }
    let Value::Object(details) = details(&manifest) else { return Ok(Said::json(&Value::Null)) };
    let mut data = String::new();
    for (name, value) in details {
        match value {
            Value::Array(values) => {
                data.push_str(&format!("{name} ({})\n", values.len()));
                values.iter().for_each(|value| data.push_str(&format!("  {}\n", words(value))));
            }
            value => data.push_str(&format!("{name:<18} {}\n", words(&value))),
        }
    }
    Ok(Said { data, whole: true })
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{name}={}", words(value)));
            fields.collect::<Vec<_>>().join(" ")
        }
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

fn details(manifest: &Manifest) -> Value {
    let mut details = summary(manifest);
    let partitions = manifest.sources.iter().map(|source| {
        json!({
            "partition": source.partition,
            "watermark": report::instant(source.watermark).map(format_instant),
            "finished": source.watermark == event::Watermark::FINISHED,
        })
    });
    let sinks = manifest.sinks.iter().map(
        |sink| json!({ "sink": sink.name, "target": sink.target, "before": sink.start, "bytes": sink.length }),
    );
    let segments = manifest.segments.iter().map(|segment| {
        json!({
            "segment": segment.name,
            "bytes": segment.length(),
            "needed": segment.live().map(|(_, chunk)| chunk.length).sum::<u64>(),
        })
    });
    let identity = manifest.identity.iter().map(|(name, value)| json!({ "name": name, "value": value }));
    details["job"] = json!(manifest.job);
    details["shards"] = json!(manifest.shards);
    details["rows_waiting"] = json!(manifest.held.len());
    details["partitions"] = partitions.collect();
    details["sinks"] = sinks.collect();
    details["segments"] = segments.collect();
    details["identity"] = identity.collect();
    details
}

fn verify(store: &Store, numbers: &[u32], style: &Style) -> Result<Said, StoreError> {
    let mut damages = Vec::new();
    let (mut chunks, mut bytes) = (0u64, 0u64);
    let mut seen = std::collections::BTreeSet::new();
    for number in numbers {
        let manifest = match store.manifest(*number) {
            Ok(manifest) => manifest,
            Err(error) if error.is_refusal() => {
                damages.push((*number, error.to_string()));
                continue;
            }
            Err(error) => return Err(error),
        };
        for segment in &manifest.segments {
            for (offset, chunk) in segment.live() {
                let error = read(store, &manifest, segment, offset, &chunk).err();
                if seen.insert((segment.name.clone(), offset)) {
                    chunks += 1;
                    bytes += chunk.length;
                }
                damages.extend(error.map(|error| (*number, error.to_string())));
            }
        }
    }
    let whole = damages.is_empty();
    let data = if style.format == OutputFormat::Json {
        let damages = damages.iter().map(|(number, words)| json!({ "checkpoint": number, "damage": words }));
        let damages: Vec<Value> = damages.collect();
        format!(
            "{}\n",
            json!({ "checkpoints": numbers, "chunks": chunks, "bytes": bytes, "damages": damages })
        )
    } else {
        let found = damages.iter().map(|(number, words)| format!("checkpoint {number}: {words}\n"));
        let count = numbers.len();
        let sum = format!("{count} checkpoints, {chunks} chunks, {:.1} MB: ", bytes as f64 / 1e6);
        let end = if whole { "whole".to_owned() } else { format!("{} damages", damages.len()) };
        format!("{}{sum}{end}\n", found.collect::<String>())
    };
    Ok(Said { data, whole })
}

fn read(
    store: &Store,
    manifest: &Manifest,
    segment: &Segment,
    offset: u64,
    chunk: &checkpoint::Chunk,
) -> Result<(), StoreError> {
    let number = manifest.number;
    match segment.operator {
        Operator::Window => {
            store.read_chunk::<ChunkHead>(number, segment, offset, chunk, Kind::State).map(drop)
        }
        Operator::Outbox => store.read_chunk::<()>(number, segment, offset, chunk, Kind::Outbox).map(drop),
    }
}
