//! Topics of Apache Kafka: how fast a job reads one and writes one, beside a bare client that does nothing else.
//!
//! Against a broker of its own on this machine, which takes its part of the cores: the ratios say more than the rates.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;
use testkit::kafka::{Broker, broker_alone};
use testkit::usage::Usage;
use testkit::workload::repository;

use crate::bench::{Bench, Failure, Median, remove};
use crate::figure::{Figures, Target};
use crate::groups::reference_events;

/// Partitions of the topics.
const PARTITIONS: usize = 4;

/// The source and the sink.
pub(crate) fn kafka(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let broker = broker_alone().ok_or("there is no broker here")?;
    let (_, input) = reference_events(bench)?;
    let bytes = std::fs::read(&input)?;
    // A broker on a disk of its own would take more; this is about what stands before it.
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    source(bench, figures, &broker, &lines)?;
    sink(bench, figures, &broker, &input)
}

/// Reads all events of a topic, by a bare consumer and by the reference job, in turns.
fn source(bench: &Bench, figures: &mut Figures, broker: &Broker, lines: &[&[u8]]) -> Result<(), Failure> {
    broker.create("events", PARTITIONS);
    for partition in 0..PARTITIONS {
        let own = lines.iter().skip(partition).step_by(PARTITIONS).map(|line| Some(*line));
        broker.write("events", partition, own);
    }
    let mut bare = Vec::new();
    let mut usages = Vec::new();
    for _ in 0..bench.repeat {
        let begun = Instant::now();
        let count = broker.count("events");
        bare.push(begun.elapsed().as_secs_f64());
        if count != lines.len() {
            return Err(format!("a bare consumer read {count} messages of {}", lines.len()).into());
        }
        let alerts = bench.folder.join("alerts.ndjson");
        remove(&alerts)?;
        let from = format!("{}end = \"latest\"\n", topic(broker, "events"));
        usages.push(run(bench, &job(bench, &from, &file(&alerts))?)?);
    }
    report(figures, "read from a topic", lines.len(), &bare, &usages);
    Ok(())
}

fn topic(broker: &Broker, name: &str) -> String {
    format!("type = \"kafka\"\nbrokers = \"{}\"\ntopic = \"{name}\"\n", broker.address())
}

fn file(path: &Path) -> String {
    format!("type = \"file\"\npath = \"{}\"\n", path.display())
}

/// The reference job with another source and another sink.
fn job(bench: &Bench, source: &str, sink: &str) -> Result<PathBuf, Failure> {
    let text = std::fs::read_to_string(repository().join("configs/podcast-reference.toml"))?;
    let text = between(&text, "[source.events]\n", "[event]", source)?;
    bench.config("kafka.toml", &between(&text, "[sink.alerts]\n", "format =", sink)?)
}

/// The text with what stands between two others replaced.
fn between(text: &str, from: &str, to: &str, new: &str) -> Result<String, Failure> {
    let (head, rest) = text.split_once(from).ok_or_else(|| format!("the config has no {from:?}"))?;
    let at = rest.find(to).ok_or_else(|| format!("the config has no {to:?}"))?;
    Ok(format!("{head}{from}{new}{}", &rest[at..]))
}

/// Writes a row for each window that closes, by a bare producer and by a job.
fn sink(bench: &Bench, figures: &mut Figures, broker: &Broker, input: &Path) -> Result<(), Failure> {
    let rows = bench.folder.join("rows.ndjson");
    remove(&rows)?;
    let to_file = run(bench, &job(bench, &file(input), &file(&rows))?)?;
    let bytes = std::fs::read(&rows)?;
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let (mut bare, mut usages) = (Vec::new(), Vec::new());
    for repeat in 0..bench.repeat {
        let (alone, written) = (format!("bare-{repeat}"), format!("rows-{repeat}"));
        broker.create(&alone, 1);
        broker.create(&written, 1);
        let begun = Instant::now();
        broker.write(&alone, 0, lines.iter().map(|line| Some(*line)));
        bare.push(begun.elapsed().as_secs_f64());
        // A group of its own: the state is a fresh one each time.
        let to = format!("{}transactional_id = \"{written}\"\n", topic(broker, &written));
        usages.push(run(bench, &job(bench, &file(input), &to)?)?);
        if broker.count(&written) != lines.len() {
            return Err(format!("{written} has not the {} rows of the file", lines.len()).into());
        }
    }
    figures.detail("rows into a file", Median::of(&[to_file]).to_json());
    report(figures, "rows into a topic", lines.len(), &bare, &usages);
    Ok(())
}

/// Runs a job with one worker, with a fresh state, every row of it an alert.
fn run(bench: &Bench, config: &Path) -> Result<Usage, Failure> {
    let state = bench.folder.join("state");
    remove(&state)?;
    let mut command = vec![bench.program.display().to_string(), "run".to_owned()];
    command.push(config.display().to_string());
    let set = [format!("state.dir={}", state.display()), "rules.low-engagement.when=score >= 0".to_owned()];
    command.extend(set.into_iter().flat_map(|set| ["--set".to_owned(), set]));
    bench.measure(&command)
}

fn report(figures: &mut Figures, what: &str, count: usize, bare: &[f64], usages: &[Usage]) {
    let mut bare = bare.to_vec();
    bare.sort_by(f64::total_cmp);
    let (bare, job) = (bare[bare.len() / 2], Median::of(usages));
    let count = count as f64;
    figures.detail(what, json!({ "messages": count, "bare_wall_s": bare, "job": job.to_json() }));
    figures.add(format!("{what}: messages/s, a bare client"), count / bare, "", Target::None);
    figures.add(format!("{what}: messages/s, the job"), count / job.wall_s, "", Target::None);
    figures.add(format!("{what}: the job over the bare client"), bare / job.wall_s, "", Target::None);
    figures.add(format!("{what}: CPU per message"), job.cpu_s / count * 1e6, "us", Target::None);
}
