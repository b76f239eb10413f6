//! The reference job: against the hand-written limit, on more workers and processes, with many more keys.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use testkit::usage::Usage;

use crate::bench::{Bench, Failure, Median, Plan, check_equal};
use crate::checkpoint::stateless;
use crate::figure::{Figures, Target};
use crate::start::start_runs;

/// Events and users of the file that most figures use: seed 5.
fn reference_size(bench: &Bench) -> (u64, u64) {
    if bench.quick { (500_000, 10_000) } else { (5_000_000, 100_000) }
}

pub(crate) fn reference_events(bench: &Bench) -> Result<(u64, PathBuf), Failure> {
    let (events, users) = reference_size(bench);
    Ok((events, bench.events(events, users, 5)?))
}

/// Against the hand-written limit, for more workers, for processes instead of threads; memory.
pub(crate) fn reference(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
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
pub(crate) fn scale(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
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

/// As many distinct keys as events, all alive at once: without a state, and with snapshots of it.
pub(crate) fn keys(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let count: u64 = if bench.quick { 1_000_000 } else { 10_000_000 };
    let input = bench.made(&format!("keys-{count}.ndjson"), |part| write_distinct_keys(part, count))?;
    let (small, _) = start_runs(bench, 1)?;
    for (plan, how) in [(stateless(bench, &input)?, "no state"), (Plan::reference(&input), "with a state")] {
        let run = bench.run(&plan)?;
        let windowed = run.report["windowed"].as_u64();
        if windowed != Some(count) {
            return Err(format!("{count} keys: the report says windowed = {windowed:?}").into());
        }
        let memory = run.usage.memory_bytes_max.saturating_sub(small[0].memory_bytes_max) as f64;
        let name = format!("{count} distinct keys, {how}");
        figures.detail(name.clone(), run.usage.to_json());
        figures.add(format!("{name}: wall time"), run.usage.wall.as_secs_f64(), "s", Target::None);
        figures.add(format!("{name}: memory per key"), memory / count as f64, "bytes", Target::None);
    }
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
