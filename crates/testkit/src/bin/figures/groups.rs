//! The figures by group: each group runs what its figures need.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::usage::Usage;
use testkit::workload::repository;

use crate::bench::{Bench, Failure, Median, Plan, check_equal};
use crate::figure::{Figures, Target};
use crate::kinesis::kinesis;
use crate::limits::{count, features, session};
use crate::recovery::recovery;
use crate::slices::{sparse, windows};

/// The groups, in the order in which they run.
pub(crate) const NAMES: &[&str] = &[
    "reference",
    "session",
    "count",
    "features",
    "scale",
    "keys",
    "windows",
    "sparse",
    "latency",
    "checkpoint",
    "recovery",
    "kinesis",
    "start",
    // Built and run only where it is asked for.
    #[cfg(feature = "kafka")]
    "kafka",
];

/// Runs one of [`NAMES`].
pub(crate) fn run(name: &str, bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    match name {
        "reference" => reference(bench, figures),
        "session" => session(bench, figures),
        "count" => count(bench, figures),
        "features" => features(bench, figures),
        "scale" => scale(bench, figures),
        "keys" => keys(bench, figures),
        "windows" => windows(bench, figures),
        "sparse" => sparse(bench, figures),
        "latency" => latency(bench, figures),
        "checkpoint" => checkpoint(bench, figures),
        "recovery" => recovery(bench, figures),
        "kinesis" => kinesis(bench, figures),
        "start" => start(bench, figures),
        #[cfg(feature = "kafka")]
        "kafka" => crate::kafka::kafka(bench, figures),
        other => Err(format!("no figures {other}").into()),
    }
}

/// Events and users of the file that most figures use: seed 5.
fn reference_size(bench: &Bench) -> (u64, u64) {
    if bench.quick { (500_000, 10_000) } else { (5_000_000, 100_000) }
}

pub(crate) fn reference_events(bench: &Bench) -> Result<(u64, PathBuf), Failure> {
    let (events, users) = reference_size(bench);
    Ok((events, bench.events(events, users, 5)?))
}

/// Against the hand-written limit, for more workers, for processes instead of threads; memory.
fn reference(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let (events, input) = reference_events(bench)?;
    let one = Plan::reference(&input);
    let plans =
        [("1 worker", one.clone()), ("2 workers", one.clone().workers(2)), ("2 processes", one.processes(2))];
    let mut limits = Vec::new();
    let mut usages: [Vec<Usage>; 3] = Default::default();
    for _ in 0..bench.repeat {
        let limit = bench.limit(&input)?;
        limits.push(limit.usage);
        for (usages, (_, plan)) in usages.iter_mut().zip(&plans) {
            let run = bench.run(plan)?;
            check_equal(&run.alerts, &limit.alerts)?;
            usages.push(run.usage);
        }
    }
    let limit = Median::of(&limits);
    let [one, two, processes] = usages.map(|usages| Median::of(&usages));
    let count = events as f64;
    figures.detail("limit", limit.to_json());
    for ((name, _), median) in plans.iter().zip([one, two, processes]) {
        figures.add(format!("events/s, {name}"), count / median.wall_s, "", Target::None);
        figures.detail(*name, median.to_json());
    }
    let us = |median: Median| median.cpu_s / count * 1e6;
    figures.add("CPU per event, the hand-written limit", us(limit), "us", Target::None);
    figures.add("CPU per event, 1 worker", us(one), "us", Target::None);
    figures.add("CPU per event, 1 worker, over the limit", one.cpu_s / limit.cpu_s, "", Target::AtMost(1.25));
    figures.add("events/s of 2 workers over those of 1", one.wall_s / two.wall_s, "", Target::AtLeast(1.7));
    figures.add(
        "events/s of 2 processes over those of 2 threads",
        two.wall_s / processes.wall_s,
        "",
        Target::AtLeast(0.85),
    );
    let memory = one.memory_bytes_max.max(two.memory_bytes_max) / 1e6;
    figures.add("peak memory", memory, "MB", Target::AtMost(400.0));
    Ok(())
}

/// Many more keys than the cache holds.
fn scale(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let (events, input) = reference_events(bench)?;
    let (many, users) = if bench.quick { (2_000_000, 100_000) } else { (20_000_000, 1_000_000) };
    let large = bench.events(many, users, 20)?;
    let (mut small_runs, mut large_runs) = (Vec::new(), Vec::new());
    let limit = bench.limit(&large)?;
    for _ in 0..bench.repeat.div_ceil(2) {
        small_runs.push(bench.run(&Plan::reference(&input))?.usage);
        let run = bench.run(&Plan::reference(&large))?;
        check_equal(&run.alerts, &limit.alerts)?;
        large_runs.push(run.usage);
    }
    let (small, large) = (Median::of(&small_runs), Median::of(&large_runs));
    let name = format!("{many} events, {users} users");
    figures.detail(name.clone(), large.to_json());
    figures.detail("limit on the larger file", limit.usage.to_json());
    figures.add(format!("peak memory, {name}"), large.memory_bytes_max / 1e6, "MB", Target::None);
    figures.add(
        format!("CPU per event, {name}, over that of {events}"),
        (large.cpu_s / many as f64) / (small.cpu_s / events as f64),
        "",
        Target::AtMost(2.0),
    );
    Ok(())
}

/// As many distinct keys as events, all alive at once.
fn keys(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let count: u64 = if bench.quick { 1_000_000 } else { 10_000_000 };
    let input = bench.folder.join(format!("keys-{count}.ndjson"));
    if !input.exists() {
        let part = input.with_extension("part");
        write_distinct_keys(&part, count)?;
        std::fs::rename(&part, &input)?;
    }
    let run = bench.run(&Plan::reference(&input))?;
    let windowed = run.report["windowed"].as_u64();
    if windowed != Some(count) {
        return Err(format!("{count} keys: the report says windowed = {windowed:?}").into());
    }
    let (small, _) = start_runs(bench, 1)?;
    let memory = run.usage.memory_bytes_max.saturating_sub(small[0].memory_bytes_max) as f64;
    figures.detail(format!("{count} keys"), run.usage.to_json());
    figures.add(format!("{count} distinct keys: wall time"), run.usage.wall.as_secs_f64(), "s", Target::None);
    figures.add(
        format!("{count} distinct keys: memory per key"),
        memory / count as f64,
        "bytes",
        Target::None,
    );
    Ok(())
}

/// One event a key within two minutes of event time, keys in an order that is far from theirs.
fn write_distinct_keys(file: &Path, count: u64) -> Result<(), Failure> {
    let mut out = BufWriter::with_capacity(1 << 20, std::fs::File::create(file)?);
    for i in 0..count {
        // A step that shares no factor with a power of ten visits every key once.
        let user = i.wrapping_mul(7_368_787) % count;
        let time = 1_700_000_000_000 + i * 120_000 / count;
        writeln!(
            out,
            "{{\"user_id\":\"user-{user:08}\",\"event_type\":\"listen\",\"ts\":{time},\"duration_s\":1.5}}"
        )?;
    }
    Ok(out.flush()?)
}

/// From the write of the event that lets the watermark pass to the read of the alert.
fn latency(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let config = bench.config("latency.toml", include_str!("latency.toml"))?;
    let result = bench.folder.join("latency.json");
    let output = Command::new(bench.siblings.join("load"))
        .args(["--rate", "50000", "--seconds", if bench.quick { "8" } else { "30" }, "--json"])
        .arg(&result)
        .arg("--")
        .arg(&bench.program)
        .arg("run")
        .arg(&config)
        .args(["-w", "2"])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let load: Value = serde_json::from_slice(&std::fs::read(&result)?)?;
    let number = |name: &str| load[name].as_f64().unwrap_or(f64::NAN);
    figures.add(
        "events/s that the load program wrote",
        number("events_per_s"),
        "",
        Target::AtLeast(49_000.0),
    );
    figures.add("event to alert, 50 k events/s, 2 workers: p50", number("p50_ms"), "ms", Target::AtMost(2.0));
    figures.add(
        "event to alert, 50 k events/s, 2 workers: p99",
        number("p99_ms"),
        "ms",
        Target::AtMost(10.0),
    );
    figures.detail("latency", load);
    Ok(())
}

/// A checkpoint every second against a job without state.
fn checkpoint(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let (many, users) = if bench.quick { (2_000_000, 100_000) } else { (20_000_000, 1_000_000) };
    let input = bench.events(many, users, 20)?;
    let config = std::fs::read_to_string(repository().join("configs/podcast-reference.toml"))?;
    let stateless = bench.folder.join("stateless.toml");
    std::fs::write(&stateless, without_table(&config, "state"))?;
    let every_second = Plan::reference(&input).set("state.checkpoint_every", "\"1s\"");
    let none = Plan { config: stateless, state: false, ..Plan::reference(&input) };
    for (workers, name) in [(1, "1 worker"), (2, "2 workers")] {
        let (every_second, none) = (every_second.clone().workers(workers), none.clone().workers(workers));
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..bench.repeat {
            with.push(bench.run(&every_second)?.usage);
            without.push(bench.run(&none)?.usage);
        }
        let (with, without) = (Median::of(&with), Median::of(&without));
        figures.detail(format!("checkpoint every second, {name}"), with.to_json());
        figures.detail(format!("no checkpoints, {name}"), without.to_json());
        // A run that ends within the second has no checkpoint but the last one: its ratio says nothing.
        let checkpoints = with.wall_s.floor();
        let target = |target| if checkpoints >= 2.0 { target } else { Target::None };
        let every_second = format!("a checkpoint every second over none, {users} users, {name}");
        figures.add(format!("checkpoints of that run, {name}, about"), checkpoints, "", Target::None);
        let cpu = with.cpu_s / without.cpu_s;
        figures.add(format!("CPU per event, {every_second}"), cpu, "", target(Target::AtMost(1.1)));
        let speed = without.wall_s / with.wall_s;
        figures.add(format!("events/s, {every_second}"), speed, "", target(Target::AtLeast(0.95)));
    }
    Ok(())
}

/// The config without one of its tables.
fn without_table(config: &str, table: &str) -> String {
    let mut inside = false;
    let mut kept = String::new();
    for line in config.lines() {
        let line_start = line.trim_start();
        if line_start.starts_with('[') {
            let name = line_start.trim_start_matches('[').split([']', '.']).next().unwrap_or_default();
            inside = name.trim() == table;
        }
        if !inside {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// The whole life of a job with one record: an upper bound of the time to the first record decoded.
fn start(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let (usages, decoded) = start_runs(bench, bench.repeat)?;
    if !decoded {
        return Err("a job with one record did not read one record".into());
    }
    let median = Median::of(&usages);
    figures.detail("one record", median.to_json());
    figures.add("process start to end of a job with one record", median.wall_s, "s", Target::AtMost(0.2));
    Ok(())
}

fn start_runs(bench: &Bench, repeat: usize) -> Result<(Vec<Usage>, bool), Failure> {
    let input = bench.folder.join("one.ndjson");
    let line = r#"{"user_id":"user-000001","event_type":"listen","ts":1700000000000,"duration_s":1.5}"#;
    std::fs::write(&input, format!("{line}\n"))?;
    let mut usages = Vec::new();
    let mut decoded = true;
    for _ in 0..repeat.max(1) {
        let run = bench.run(&Plan::reference(&input))?;
        decoded &= run.report["windowed"].as_u64() == Some(1);
        usages.push(run.usage);
    }
    Ok((usages, decoded))
}

/// What a newcomer pays before the first alert.
pub(crate) fn cold_build(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let target = bench.folder.join("cold");
    if target.exists() {
        std::fs::remove_dir_all(&target)?;
    }
    let target_text = target.display().to_string();
    let command =
        ["cargo", "build", "--release", "--locked", "-p", "tidewatch", "--target-dir", &target_text];
    let usage = bench.measure(&command.map(str::to_owned))?;
    std::fs::remove_dir_all(&target)?;
    figures.detail("cold release build", usage.to_json());
    figures.add("cold release build: CPU", usage.cpu().as_secs_f64() / 60.0, "min", Target::None);
    figures.add("cold release build: wall", usage.wall.as_secs_f64() / 60.0, "min", Target::AtMost(7.0));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_and_its_parts_are_left_out_of_a_config() {
        let config = "a = 1\n[state]\ndir = \"x\"\n[state.more]\nb = 1\n[window]\nsize = 1\n";
        assert_eq!(without_table(config, "state"), "a = 1\n[window]\nsize = 1\n");
    }
}
