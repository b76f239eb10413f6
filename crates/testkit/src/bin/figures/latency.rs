//! How long an alert takes, seen from outside by the program `load`.

use std::process::Command;

use serde_json::Value;

use crate::bench::{Bench, Failure};
use crate::figure::{Figures, Target};

/// From the write of the event that lets the watermark pass to the read of the alert.
pub(crate) fn latency(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
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
