//! What checkpoints cost a job.

use std::path::Path;

use testkit::workload::repository;

use crate::bench::{Bench, Failure, Median, Plan};
use crate::figure::{Figures, Target};

/// A checkpoint every second against a job without state.
pub(crate) fn checkpoint(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let (many, users) = if bench.quick { (2_000_000, 100_000) } else { (20_000_000, 1_000_000) };
    let input = bench.events(many, users, 20)?;
    let every_second = Plan::reference(&input).set("state.checkpoint_every", "\"1s\"");
    let none = stateless(bench, &input)?;
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
/// The reference job without a state.
pub(crate) fn stateless<'a>(bench: &Bench, input: &'a Path) -> Result<Plan<'a>, Failure> {
    let config = std::fs::read_to_string(repository().join("configs/podcast-reference.toml"))?;
    let stateless = bench.folder.join("stateless.toml");
    std::fs::write(&stateless, without_table(&config, "state"))?;
    Ok(Plan { config: stateless, state: false, ..Plan::reference(input) })
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_and_its_parts_are_left_out_of_a_config() {
        let config = "a = 1\n[state]\ndir = \"x\"\n[state.more]\nb = 1\n[window]\nsize = 1\n";
        assert_eq!(without_table(config, "state"), "a = 1\n[window]\nsize = 1\n");
    }
}
