//! What a window of many slices costs: time a row, and memory where most keys are in few of them.

use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::json;
use testkit::usage::Usage;

use crate::bench::{Bench, Failure, Median, Plan, Run};
use crate::figure::{Figures, Target};
use crate::reference::reference_events;

/// Slices of a window in the last two figures: a day of minutes.
const SLICES: u64 = 1440;
/// Slices in which each key of the sparse input has an event.
const SLICES_OF_KEY: u64 = 3;
/// The least that an accumulator of the reference job takes: four counts or sums.
const ROW_BYTES: u64 = 32;

/// CPU = a x events + b x rows, over windows of several sizes that slide by a minute. Their rule never holds: how
/// many rows are alerts differs from size to size, and one costs as much as a hundred that are none.
pub(crate) fn windows(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let (events, input) = reference_events(bench)?;
    let sizes = [5, 10, 60, 288, SLICES];
    let of_size = |minutes: u64| Plan::reference(&input).set("window.size", format!("\"{minutes}m\""));
    let mut usages: [Vec<Usage>; 5] = Default::default();
    let mut rows = [0.0; 5];
    for _ in 0..bench.repeat {
        for (of, minutes) in sizes.iter().enumerate() {
            let run = bench.run(&of_size(*minutes).set("rules.low-engagement.when", "score < 0"))?;
            rows[of] = number(&run, "windows")?;
            usages[of].push(run.usage);
        }
    }
    let medians = usages.map(|usages| Median::of(&usages));
    let points: Vec<(f64, f64)> = rows.into_iter().zip(medians.iter().map(|median| median.cpu_s)).collect();
    let (per_row, fixed) = fit(&points);
    figures.add("CPU = a x events + b x rows: a", fixed / events as f64 * 1e9, "ns", Target::None);
    figures.add("CPU = a x events + b x rows: b", per_row * 1e9, "ns", Target::AtMost(40.0));
    for ((minutes, median), (rows, cpu)) in sizes.iter().zip(medians).zip(points) {
        let name = format!("window of {minutes} slices");
        let residual = cpu / (fixed + per_row * rows) - 1.0;
        figures.add(format!("{name}: rows"), rows / 1e6, "M", Target::None);
        figures.add(format!("{name}: CPU"), cpu, "s", Target::None);
        figures.add(format!("{name}: CPU off the fit by"), residual * 100.0, "%", Target::None);
        figures.add(format!("{name}: peak memory"), median.memory_bytes_max / 1e6, "MB", Target::None);
        figures.detail(name, json!({ "rows": rows, "usage": median.to_json(), "residual": residual }));
    }
    let with_alerts = bench.run(&of_size(SLICES))?;
    alerts(&with_alerts, medians[medians.len() - 1].cpu_s, figures)
}

/// What an alert costs beyond its row: `cpu_s` is that of the same job without alerts.
fn alerts(run: &Run, cpu_s: f64, figures: &mut Figures) -> Result<(), Failure> {
    let alerts = number(run, "alerts")?;
    let name = format!("window of {SLICES} slices, with {:.1} M alerts", alerts / 1e6);
    let us = (run.usage.cpu().as_secs_f64() - cpu_s) / alerts * 1e6;
    figures.detail(name.clone(), run.usage.to_json());
    figures.add(format!("{name}: CPU per alert"), us, "us", Target::None);
    figures.add(format!("{name}: peak memory"), run.usage.memory_bytes_max as f64 / 1e6, "MB", Target::None);
    Ok(())
}

fn number(run: &Run, name: &str) -> Result<f64, Failure> {
    run.report[name].as_f64().ok_or_else(|| format!("the report has no number of {name}").into())
}

/// Slope and intercept of the line with the least squares of relative errors: the largest run, which takes many
/// times as long as the smallest, must not say alone what the line is.
fn fit(points: &[(f64, f64)]) -> (f64, f64) {
    let sum =
        |term: &dyn Fn(f64, f64) -> f64| points.iter().map(|(x, y)| term(*x, *y) / (y * y)).sum::<f64>();
    let weight = sum(&|_, _| 1.0);
    let (mean_x, mean_y) = (sum(&|x, _| x) / weight, sum(&|_, y| y) / weight);
    let slope = sum(&|x, y| (x - mean_x) * (y - mean_y)) / sum(&|x, _| (x - mean_x).powi(2));
    (slope, mean_y - slope * mean_x)
}

/// Memory of a day of minutes where each key has events in three of them: that of what there is, not of all keys
/// times all slices. Once while windows close as the events come, and once while none may close before the last
/// event, so that all slices take events until then.
pub(crate) fn sparse(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let keys: u64 = if bench.quick { 100_000 } else { 1_000_000 };
    let input = bench.made(&format!("sparse-{keys}.ndjson"), |part| write_sparse_keys(part, keys))?;
    let dense = (keys * SLICES * ROW_BYTES) as f64;
    for (how, out_of_order) in [("in order", "5s"), ("in any order", "2d")] {
        let plan = Plan::reference(&input).set("window.size", "24h").set("time.out_of_order", out_of_order);
        let run = bench.run(&plan)?;
        // A key is in the windows of its first slice, and in one more for each further minute up to its last.
        let rows = keys * (SLICES + 2 * (SLICES_OF_KEY - 1));
        if run.report["windows"].as_u64() != Some(rows) {
            return Err(format!("{keys} keys: {} rows and not {rows}", run.report["windows"]).into());
        }
        let memory = run.usage.memory_bytes_max as f64;
        let name = format!("{keys} keys in {SLICES_OF_KEY} of {SLICES} slices, {how}");
        figures.detail(name.clone(), run.usage.to_json());
        figures.add(
            format!("{name}: CPU per row"),
            run.usage.cpu().as_secs_f64() / rows as f64 * 1e9,
            "ns",
            Target::None,
        );
        figures.add(format!("{name}: peak memory"), memory / 1e6, "MB", Target::None);
        figures.add(format!("{name}: over dense rows"), memory / dense, "", Target::AtMost(0.02));
    }
    Ok(())
}

/// Events of a day, one a key in each of some slices that lie two minutes apart; keys in an order that is far from
/// theirs.
fn write_sparse_keys(file: &Path, keys: u64) -> Result<(), Failure> {
    const MINUTE: u64 = 60_000;
    let mut out = BufWriter::with_capacity(1 << 20, std::fs::File::create(file)?);
    let lag = 2 * keys / SLICES;
    for i in 0..keys + (SLICES_OF_KEY - 1) * lag {
        for slice in 0..SLICES_OF_KEY {
            let Some(key) = i.checked_sub(slice * lag).filter(|key| *key < keys) else { continue };
            // A step that shares no factor with a power of ten visits every key once.
            let user = key.wrapping_mul(7_368_787) % keys;
            let time = 1_700_000_000_000 + key * SLICES * MINUTE / keys + slice * 2 * MINUTE;
            writeln!(
                out,
                "{{\"user_id\":\"user-{user:08}\",\"event_type\":\"listen\",\"ts\":{time},\"duration_s\":1.5}}"
            )?;
        }
    }
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_through_the_points_is_found() {
        let (slope, intercept) = fit(&[(1.0, 5.0), (2.0, 7.0), (4.0, 11.0)]);
        assert!((slope - 2.0).abs() < 1e-9 && (intercept - 3.0).abs() < 1e-9);
    }
}
