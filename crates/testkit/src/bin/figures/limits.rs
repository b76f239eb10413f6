//! Sessions, count windows and many features, each beside a loop that is written for that job alone.
//!
//! The limits are those of `tests/workload/limit_windows/`; every row of theirs must be one of tidewatch's.

use serde_json::json;

use crate::bench::{Bench, Failure, Median, Plan, check_equal};
use crate::figure::{Figures, Target};
use crate::reference::reference_events;

/// A job and its limit.
struct Pair<'a> {
    name: &'a str,
    /// Name and text of its config.
    config: (&'a str, &'a str),
    set: &'a [(&'a str, &'a str)],
    /// First arguments of the limit.
    limit: &'a [&'a str],
    /// What the ratio of their CPU should be, at the most.
    ratio_max: f64,
}

/// Sessions. Their rows are many, and each is written.
pub(crate) fn session(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let sessions = Pair {
        name: "sessions, gap 2 min",
        config: ("session.toml", include_str!("session.toml")),
        set: &[],
        limit: &["session", "120"],
        ratio_max: 2.0,
    };
    compare(bench, figures, &sessions)
}

/// Count windows, tumbling and sliding.
pub(crate) fn count(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let config = ("count.toml", include_str!("count.toml"));
    // With one lane the order of events is that of the file, as the limit has it. Lanes have an order that does
    // not depend on who reads them, which a loop over the file does not know.
    let lanes = ("source.events.lanes", "1");
    let tumbling =
        Pair { name: "windows of 100 events", config, set: &[lanes], limit: &["count"], ratio_max: 2.0 };
    compare(bench, figures, &tumbling)?;
    let sliding = Pair {
        name: "windows of 100 events, every 10",
        set: &[lanes, ("window.slide", "10")],
        limit: &["sliding"],
        ..tumbling
    };
    compare(bench, figures, &sliding)
}

/// The reference job with four times its features.
pub(crate) fn features(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let features = Pair {
        name: "16 features",
        config: ("features.toml", include_str!("features.toml")),
        set: &[],
        limit: &["features"],
        ratio_max: 2.5,
    };
    compare(bench, figures, &features)
}

/// Runs a job and its limit in turns, over the events of the reference job.
fn compare(bench: &Bench, figures: &mut Figures, pair: &Pair<'_>) -> Result<(), Failure> {
    let (events, input) = reference_events(bench)?;
    let mut plan = Plan::of(bench.config(pair.config.0, pair.config.1)?, &input);
    for (name, value) in pair.set {
        plan = plan.set(name, value);
    }
    let (mut usages, mut limits, mut rows) = (Vec::new(), Vec::new(), None);
    for _ in 0..bench.repeat {
        let limit = bench.limit_windows(pair.limit, &input)?;
        let run = bench.run(&plan)?;
        check_equal(&run.alerts, &limit.alerts)?;
        rows = run.report["windows"].as_f64();
        usages.push(run.usage);
        limits.push(limit.usage);
    }
    let rows = rows.ok_or("the report has no number of windows")?;
    let (job, limit) = (Median::of(&usages), Median::of(&limits));
    let name = pair.name;
    let details = json!({ "rows": rows, "job": job.to_json(), "limit": limit.to_json() });
    figures.detail(name, details);
    let us = |seconds: f64| seconds / events as f64 * 1e6;
    figures.add(format!("{name}: rows per event"), rows / events as f64, "", Target::None);
    figures.add(format!("{name}: CPU per event, the limit"), us(limit.cpu_s), "us", Target::None);
    figures.add(format!("{name}: CPU per event"), us(job.cpu_s), "us", Target::None);
    figures.add(format!("{name}: wall per event, the limit"), us(limit.wall_s), "us", Target::None);
    figures.add(format!("{name}: wall per event"), us(job.wall_s), "us", Target::None);
    let over = format!("{name}: CPU over the limit's");
    figures.add(over, job.cpu_s / limit.cpu_s, "", Target::AtMost(pair.ratio_max));
    figures.add(format!("{name}: peak memory"), job.memory_bytes_max / 1e6, "MB", Target::None);
    Ok(())
}
