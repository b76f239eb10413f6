//! The figures of a version on a machine: what `scripts/bench.sh` calls.
//!
//! Each figure is a number beside what it should reach. Every command is a process of its own, measured
//! from outside; commands that are compared run in turns. Outputs are checked before a number is believed.

#![allow(clippy::print_stdout, reason = "what it prints is its result")]

mod archive;
mod bench;
mod checkpoint;
mod columnar;
mod connector;
mod figure;
mod files;
mod groups;
mod http;
mod journal;
mod kafka;
mod kinesis;
mod latency;
mod limits;
mod objects;
mod outputs;
mod recovery;
mod reference;
mod slices;
mod start;
mod tables;
mod webhook;

use std::path::PathBuf;
use std::process::ExitCode;

use bench::{Bench, Failure};
use figure::Figures;
use groups::GROUPS;
use serde_json::{Value, json};
use testkit::workload::repository;

struct Options {
    json: Option<PathBuf>,
    cold: bool,
    only: Option<Vec<String>>,
    quick: bool,
    repeat: Option<usize>,
}

fn main() -> ExitCode {
    match read_arguments().and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("bench: {e}");
            ExitCode::FAILURE
        }
    }
}

fn read_arguments() -> Result<Options, Failure> {
    let mut options = Options { json: None, cold: false, only: None, quick: false, repeat: None };
    let mut arguments = std::env::args().skip(1);
    let mut base = PathBuf::new();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--quick" => options.quick = true,
            "--cold" => options.cold = true,
            "--json" => options.json = Some(base.join(value()?)),
            "--only" => options.only = Some(value()?.split(',').map(str::to_owned).collect()),
            "--repeat" => options.repeat = Some(value()?.parse()?),
            // The script works in the repository; the caller's paths are relative to elsewhere.
            "--relative-to" => base = PathBuf::from(value()?),
            other => return Err(format!("unknown flag {other}; see --help").into()),
        }
    }
    let is_known = |name: &String| GROUPS.iter().any(|group| group.name == name);
    if let Some(unknown) = options.only.iter().flatten().find(|name| !is_known(name)) {
        let names: Vec<&str> = GROUPS.iter().map(|group| group.name).collect();
        return Err(format!("no figures {unknown}; there are {}", names.join(", ")).into());
    }
    Ok(options)
}

fn run(options: Options) -> Result<(), Failure> {
    let bench = Bench {
        program: program(),
        siblings: std::env::current_exe()?.parent().ok_or("no folder")?.to_path_buf(),
        folder: repository().join("target/bench"),
        repeat: options.repeat.unwrap_or(if options.quick { 3 } else { 5 }),
        quick: options.quick,
    };
    std::fs::create_dir_all(&bench.folder)?;
    let mut figures = Figures::default();
    for group in GROUPS {
        if options.only.as_ref().is_none_or(|only| only.iter().any(|wanted| wanted == group.name)) {
            eprintln!("bench: {} ...", group.name);
            group.run(&bench, &mut figures).map_err(|error| format!("{}: {error}", group.name))?;
        }
    }
    if options.cold {
        eprintln!("bench: a release build from nothing ...");
        start::cold_build(&bench, &mut figures)?;
    }
    if bench.quick {
        println!("quick: fewer events and repeats; these numbers are not for comparing versions");
    }
    print!("{}", figures.to_text());
    if let Some(file) = options.json {
        std::fs::write(&file, format!("{:#}\n", figures.to_json(circumstances(&bench))))
            .map_err(|e| format!("write {}: {e}", file.display()))?;
    }
    Ok(())
}

fn program() -> PathBuf {
    let built = || repository().join("target/release/tidewatch");
    std::env::var_os("TIDEWATCH_BIN").map_or_else(built, PathBuf::from)
}

/// Where and how the numbers came about.
fn circumstances(bench: &Bench) -> Value {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| Some(line.strip_prefix("model name")?.split_once(": ")?.1));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    json!({
        "cpu": model, "cores": cores, "program": bench.program,
        "quick": bench.quick, "repeat": bench.repeat,
    })
}
