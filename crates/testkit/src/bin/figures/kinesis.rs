//! Reading a stream of Kinesis, beside a bare client of the same server: the server's own limit.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testkit::kinesis::{Entry, Kinesis, servers};
use testkit::lanes;
use testkit::usage::Usage;
use testkit::workload::repository;

use crate::bench::{Bench, Failure, Median, remove};
use crate::figure::{Figures, Target};

const SHARDS: usize = 4;
/// Bytes of the file that a shard gets at a time.
const CHUNK: usize = 1 << 14;

/// Records a second out of a stream, less what a job on an empty stream takes; and those of the bare client.
pub(crate) fn kinesis(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    // Without servers it says so and has no figures.
    let Some(servers) = servers() else { return Ok(()) };
    let kinesis = servers.kinesalite();
    let events = if bench.quick { 10_000 } else { 100_000 };
    fill(&kinesis, &bench.events(events, 2_000, 5)?)?;
    let drain = bare_client()?;
    let (mut full, mut empty, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.repeat {
        full.push(run(bench, &kinesis, "full", events)?);
        empty.push(run(bench, &kinesis, "empty", 0)?);
        let command = [drain.as_str(), "full", "us-east-1", kinesis.address()];
        bare.push(bench.measure(&with_credentials(command.map(str::to_owned).to_vec()))?);
    }
    let [full, empty, bare] = [full, empty, bare].map(|usages| Median::of(&usages));
    figures.detail("a stream of Kinesis", full.to_json());
    figures.detail("a stream of Kinesis, bare client", bare.to_json());
    let rate = |wall_s: f64| events as f64 / wall_s;
    figures.add("Kinesis, records a second", rate(full.wall_s - empty.wall_s), "/s", Target::None);
    figures.add("Kinesis, records a second of a bare client", rate(bare.wall_s), "/s", Target::None);
    Ok(())
}

fn fill(kinesis: &Kinesis, file: &Path) -> Result<(), Failure> {
    let bytes = std::fs::read(file)?;
    kinesis.create("empty", SHARDS);
    kinesis.create("full", SHARDS);
    for (shard, lines) in kinesis.shards("full").iter().zip(lanes::cut(&bytes, SHARDS, CHUNK)) {
        let entry = |line: &lanes::Line| Entry {
            hash_key: shard.first_key,
            data: bytes[line.bytes.clone()].to_vec(),
        };
        kinesis.put("full", &lines.iter().map(entry).collect::<Vec<_>>());
    }
    Ok(())
}

/// Builds the client and says where it is.
fn bare_client() -> Result<String, Failure> {
    let arguments = ["build", "--release", "--locked", "-q", "-p", "aws", "--example", "drain"];
    let status = Command::new("cargo").args(arguments).current_dir(repository()).status()?;
    if !status.success() {
        return Err("the bare client of Kinesis cannot be built".into());
    }
    Ok(repository().join("target/release/examples/drain").display().to_string())
}

/// Runs the job on a stream once, with a fresh state and output.
fn run(bench: &Bench, kinesis: &Kinesis, stream: &str, events: u64) -> Result<Usage, Failure> {
    let [alerts, report, state] =
        ["alerts.ndjson", "report.json", "state"].map(|name| bench.folder.join(name));
    for path in [&alerts, &report, &state] {
        remove(path)?;
    }
    let config = repository().join("configs/podcast-kinesis.toml");
    let mut command =
        vec![bench.program.display().to_string(), "run".to_owned(), config.display().to_string()];
    command.extend(["--report".to_owned(), report.display().to_string()]);
    let settings = [
        format!("source.events.endpoint={}", kinesis.address()),
        format!("source.events.stream={stream}"),
        "source.events.end=latest".to_owned(),
        "source.events.poll_every=0s".to_owned(),
        format!("sink.alerts.path={}", alerts.display()),
        format!("state.dir={}", state.display()),
    ];
    command.extend(settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]));
    let usage = bench.measure(&with_credentials(command))?;
    let report: Value = serde_json::from_slice(&std::fs::read(&report)?)?;
    if report["read"] != events {
        return Err(format!("{} records of {events} were read of the stream", report["read"]).into());
    }
    Ok(usage)
}

/// The same command with credentials, which the server does not look at.
fn with_credentials(command: Vec<String>) -> Vec<String> {
    let credentials = ["env", "AWS_ACCESS_KEY_ID=tidewatch", "AWS_SECRET_ACCESS_KEY=only-for-tests"];
    credentials.into_iter().map(str::to_owned).chain(command).collect()
}
