//! `tidewatch checkpoints`: what a job's state holds, and whether it is whole. Never changes anything.

use std::collections::BTreeMap;
use std::process::ExitCode;

use archive::Archived;
use checkpoint::{Kind, Location, Manifest, Operator, Segment, Store, StoreError};
use clap::{Args, Subcommand};
use detect::cohort::SavedRows;
use detect::{SavedDetectors, SavedEpisodes, SavedModels};
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
    match say_of(&arguments.verb, location, style) {
        Ok(Some(Said { data, whole })) => {
            put(&data)?;
            Ok(if whole { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
        }
        Ok(None) => Ok(refuse(&format!("there is no state in {location}: the job has not been started"))),
        Err(error) if error.is_refusal() => {
            let code = refuse(&error.to_string());
            say("hint: `tidewatch checkpoints list` shows which ones there are, and which can be read");
            Ok(code)
        }
        Err(error) => Err(error.into()),
    }
}

/// `None` where there is no checkpoint: on a disk as in a bucket, which has no folders that tell of a start.
fn say_of(verb: &Verb, location: &Location, style: &Style) -> Result<Option<Said>, StoreError> {
    let Some(store) = location.open_existing()? else { return Ok(None) };
    let (Verb::List(which) | Verb::Show(which) | Verb::Verify(which)) = verb;
    let asked = Asked::of(&store, which)?;
    let Some(last) = asked.numbers.last() else { return Ok(None) };
    match verb {
        Verb::List(_) => list(&store, &asked, style),
        Verb::Show(_) => show(&store, *last, style),
        Verb::Verify(_) => verify(&store, &asked, style),
    }
    .map(Some)
}

/// The checkpoints that are looked at.
struct Asked {
    numbers: Vec<u32>,
    /// Whether it is one, which was asked for by its number.
    by_number: bool,
}

impl Asked {
    fn of(store: &Store, which: &Which) -> Result<Self, StoreError> {
        Ok(match which.number {
            Some(number) => Asked { numbers: vec![number], by_number: true },
            None => Asked { numbers: store.numbers()?, by_number: false },
        })
    }

    /// Whether a checkpoint may be left out, of which something is missing: a job that runs removes the oldest
    /// while they are looked at, which is no damage.
    fn is_gone(&self, store: &Store, number: u32) -> Result<bool, StoreError> {
        Ok(!self.by_number && !store.numbers()?.contains(&number))
    }
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

fn list(store: &Store, asked: &Asked, style: &Style) -> Result<Said, StoreError> {
    let mut looks = Vec::new();
    for number in &asked.numbers {
        match store.manifest(*number) {
            Ok(manifest) => looks.push(Look::Whole(Box::new(manifest))),
            Err(_) if asked.is_gone(store, *number)? => {}
            // Whoever wants to go on from another one has to see which ones there are.
            Err(error @ StoreError::Damaged { .. }) => looks.push(Look::Damaged(*number, error.to_string())),
            Err(error) => return Err(error),
        }
    }
    let whole = looks.iter().all(|look| matches!(look, Look::Whole(_)));
    if style.format == OutputFormat::Json {
        return Ok(Said { whole, ..Said::json(&looks.iter().map(Look::to_json).collect()) });
    }
    let mut data = format!(
        "{:>10} {:24} {:>10} {:>7} {:24} {:>14} {:>12} {:>9}\n",
        "checkpoint", "committed", "generation", "workers", "watermark", "events", "alerts", "MB"
    );
    looks.iter().for_each(|look| data.push_str(&look.to_line()));
    Ok(Said { data, whole })
}

/// What a checkpoint of the list is.
enum Look {
    Whole(Box<Manifest>),
    /// Its number, and what is wrong.
    Damaged(u32, String),
}

impl Look {
    fn to_json(&self) -> Value {
        match self {
            Look::Whole(manifest) => summary(manifest),
            Look::Damaged(number, words) => json!({ "checkpoint": number, "damage": words }),
        }
    }

    fn to_line(&self) -> String {
        match self {
            Look::Damaged(number, words) => format!("{number:>10} damaged: {words}\n"),
            Look::Whole(manifest) => format!(
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
            ),
        }
    }
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

fn show(store: &Store, number: u32, style: &Style) -> Result<Said, StoreError> {
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

fn verify(store: &Store, asked: &Asked, style: &Style) -> Result<Said, StoreError> {
    let mut verified = Vec::new();
    let mut chunks = BTreeMap::new();
    let mut damages = Vec::new();
    for number in &asked.numbers {
        let found = look_at(store, *number)?;
        if !found.damages.is_empty() && asked.is_gone(store, *number)? {
            continue;
        }
        verified.push(*number);
        chunks.extend(found.chunks);
        damages.extend(found.damages.into_iter().map(|words| (*number, words)));
    }
    let whole = damages.is_empty();
    let (count, bytes) = (chunks.len(), chunks.values().sum::<u64>());
    let data = if style.format == OutputFormat::Json {
        let damages = damages.iter().map(|(number, words)| json!({ "checkpoint": number, "damage": words }));
        let damages: Vec<Value> = damages.collect();
        format!(
            "{}\n",
            json!({ "checkpoints": verified, "chunks": count, "bytes": bytes, "damages": damages })
        )
    } else {
        let found = damages.iter().map(|(number, words)| format!("checkpoint {number}: {words}\n"));
        let sum = format!("{} checkpoints, {count} chunks, {:.1} MB: ", verified.len(), bytes as f64 / 1e6);
        let end = if whole { "whole".to_owned() } else { format!("{} damages", damages.len()) };
        format!("{}{sum}{end}\n", found.collect::<String>())
    };
    Ok(Said { data, whole })
}

/// What was found in a checkpoint.
#[derive(Default)]
struct Found {
    /// Length of each chunk that it needs, by segment and offset: checkpoints share them.
    chunks: BTreeMap<(String, u64), u64>,
    damages: Vec<String>,
}

impl Found {
    /// Takes note of a damage. Whatever else goes wrong ends the look.
    fn note<T>(&mut self, result: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        match result {
            Err(error) if error.is_refusal() => {
                self.damages.push(error.to_string());
                Ok(None)
            }
            result => result.map(Some),
        }
    }
}

/// Reads all that a checkpoint needs, and looks whether its segments are as long as a job that goes on from
/// it wants them.
fn look_at(store: &Store, number: u32) -> Result<Found, StoreError> {
    let mut found = Found::default();
    let Some(manifest) = found.note(store.manifest(number))? else { return Ok(found) };
    for segment in &manifest.segments {
        if found.note(store.check_segment(number, segment))?.is_none() {
            continue;
        }
        for (offset, chunk) in segment.live() {
            found.chunks.insert((segment.name.clone(), offset), chunk.length);
            found.note(read(store, &manifest, segment, offset, &chunk))?;
        }
    }
    Ok(found)
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
        Operator::Window | Operator::Branch(_) => {
            store.read_chunk::<ChunkHead>(number, segment, offset, chunk, Kind::State).map(drop)
        }
        Operator::Episodes(_) => {
            store.read_chunk::<SavedEpisodes>(number, segment, offset, chunk, Kind::State).map(drop)
        }
        Operator::Detectors(_) => {
            store.read_chunk::<SavedDetectors>(number, segment, offset, chunk, Kind::State).map(drop)
        }
        Operator::Models(_) => {
            store.read_chunk::<SavedModels>(number, segment, offset, chunk, Kind::State).map(drop)
        }
        Operator::Rows(_) => {
            store.read_chunk::<SavedRows>(number, segment, offset, chunk, Kind::State).map(drop)
        }
        Operator::Outbox => store.read_chunk::<()>(number, segment, offset, chunk, Kind::Outbox).map(drop),
        Operator::Archive => {
            store.read_chunk::<Archived>(number, segment, offset, chunk, Kind::Archive).map(drop)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::path::Path;

    use checkpoint::{Frame, SegmentBuilder, Writer};
    use event::{Counts, Watermark};

    use super::*;
    use crate::cli::Colour;

    const STYLE: Style =
        Style { format: OutputFormat::Json, color: Colour::Never, quiet: false, verbose: false };

    /// Commits a checkpoint with a segment of two chunks, of which the second is no longer needed.
    fn commit(store: &Store, number: u32) {
        let mut builder = SegmentBuilder::new(Operator::Outbox, Writer { worker: 0, peers: 1 });
        builder.push(0, Frame::new(Kind::Outbox, &(), vec![]).unwrap());
        builder.push(1, Frame::new(Kind::Outbox, &(), vec![]).unwrap());
        let (mut segment, pieces) = builder.finish(format!("segment-{number}"));
        store.write_segment(&segment, &pieces).unwrap();
        segment.chunks[1].live = false;
        let manifest = Manifest {
            number,
            follows: number.checked_sub(1),
            generation: 1,
            born: 1,
            peers: 1,
            fence: false,
            committed_at: 0,
            job: "job".into(),
            identity: vec![],
            shards: 8,
            segments: vec![segment],
            sources: vec![],
            watermark: Watermark(5),
            held: vec![],
            capped: vec![],
            counts: Counts::default(),
            sinks: vec![],
            finished: false,
        };
        store.commit(&manifest).unwrap();
    }

    /// What a job that runs does with its oldest checkpoint.
    fn retire(dir: &Path, number: u32) {
        fs::remove_file(dir.join(format!("checkpoints/{number:010}"))).unwrap();
        fs::remove_file(dir.join(format!("segments/segment-{number}"))).unwrap();
    }

    fn asked(numbers: &[u32], by_number: bool) -> Asked {
        Asked { numbers: numbers.to_vec(), by_number }
    }

    #[test]
    fn a_checkpoint_that_a_running_job_removes_while_they_are_read_is_left_out_and_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        (0..3).for_each(|number| commit(&store, number));
        let all = asked(&[0, 1, 2], false);
        retire(dir.path(), 0);
        let said = verify(&store, &all, &STYLE).unwrap();
        assert!(said.whole && said.data.contains(r#""checkpoints":[1,2]"#), "{}", said.data);
        let said = list(&store, &all, &STYLE).unwrap();
        assert_eq!(said.data.matches("committed_at").count(), 2, "{}", said.data);
        // Whoever names it wants to know.
        let said = verify(&store, &asked(&[0], true), &STYLE).unwrap();
        assert!(!said.whole && said.data.contains("there is no checkpoint 0"), "{}", said.data);
        assert!(list(&store, &asked(&[0], true), &STYLE).is_err());
    }

    #[test]
    fn a_segment_that_is_missing_or_cut_is_a_damage_even_where_no_chunk_is_needed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        (0..2).for_each(|number| commit(&store, number));
        let all = asked(&[0, 1], false);
        assert!(verify(&store, &all, &STYLE).unwrap().whole);
        let path = dir.path().join("segments/segment-1");
        let length = fs::metadata(&path).unwrap().len();
        File::options().write(true).open(&path).unwrap().set_len(length - 1).unwrap();
        let said = verify(&store, &all, &STYLE).unwrap();
        assert!(!said.whole && said.data.contains("segment-1 is missing or cut off"), "{}", said.data);
        fs::remove_file(&path).unwrap();
        let said = verify(&store, &all, &STYLE).unwrap();
        assert_eq!(said.data.matches("segment-1").count(), 1, "said once: {}", said.data);
    }
}
