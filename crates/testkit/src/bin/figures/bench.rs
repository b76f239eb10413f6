//! Runs tidewatch and the limit, each through `measure`, and takes medians.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use testkit::usage::Usage;
use testkit::workload::{self, repository};

pub(crate) type Failure = Box<dyn std::error::Error>;

/// Where everything is, and how often it runs.
#[derive(Debug)]
pub(crate) struct Bench {
    /// The program under test.
    pub(crate) program: PathBuf,
    /// The folder of this program's siblings, `measure` and `load`.
    pub(crate) siblings: PathBuf,
    /// Data and outputs.
    pub(crate) folder: PathBuf,
    /// Runs of each command.
    pub(crate) repeat: usize,
    /// A tenth of the events.
    pub(crate) quick: bool,
}

/// How a job is run.
#[derive(Debug, Clone)]
pub(crate) struct Plan<'a> {
    pub(crate) config: PathBuf,
    /// The file that it reads; `None` if the config itself says where its events come from and its alerts go.
    pub(crate) input: Option<&'a Path>,
    pub(crate) processes: usize,
    pub(crate) workers: usize,
    /// Whether the config has a `[state]`, which then goes to a fresh folder.
    pub(crate) state: bool,
    pub(crate) set: Vec<String>,
    /// Variables of its environment, as `NAME=VALUE`.
    pub(crate) env: Vec<String>,
}

impl<'a> Plan<'a> {
    /// The job of `configs/podcast-reference.toml` with one worker.
    pub(crate) fn reference(input: &'a Path) -> Plan<'a> {
        Plan::of(repository().join("configs/podcast-reference.toml"), input)
    }

    /// The job of a config, which has a `[state]`, with one worker.
    pub(crate) fn of(config: PathBuf, input: &'a Path) -> Plan<'a> {
        Plan { input: Some(input), ..Plan::whole(config) }
    }

    /// The same of a config that names its source and its sink.
    pub(crate) fn whole(config: PathBuf) -> Plan<'a> {
        Plan { config, input: None, processes: 1, workers: 1, state: true, set: Vec::new(), env: Vec::new() }
    }

    pub(crate) fn workers(self, workers: usize) -> Self {
        Plan { workers, ..self }
    }

    pub(crate) fn processes(self, processes: usize) -> Self {
        Plan { processes, ..self }
    }

    pub(crate) fn set(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.set.push(format!("{name}={value}"));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push(format!("{name}={value}"));
        self
    }
}

/// What a run gave.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) usage: Usage,
    pub(crate) report: Value,
    pub(crate) alerts: PathBuf,
    /// What it wrote to standard output.
    pub(crate) stdout: Vec<u8>,
}

impl Bench {
    /// Where the alerts of a run go.
    pub(crate) fn alerts_path(&self) -> PathBuf {
        self.folder.join("alerts.ndjson")
    }

    /// Runs `command` through `measure`.
    pub(crate) fn measure(&self, command: &[String]) -> Result<Usage, Failure> {
        Ok(self.measure_output(command)?.0)
    }

    /// The same, with what it wrote to standard output.
    fn measure_output(&self, command: &[String]) -> Result<(Usage, Vec<u8>), Failure> {
        let file = self.folder.join("usage.json");
        let output = Command::new(self.siblings.join("measure"))
            .arg("--json")
            .arg(&file)
            .arg("--")
            .args(command)
            .current_dir(repository())
            .env("TIDEWATCH_BIN", &self.program)
            .output()?;
        if !output.status.success() {
            return Err(format!("{}: {}", command.join(" "), String::from_utf8_lossy(&output.stderr)).into());
        }
        let usage = serde_json::from_slice(&std::fs::read(&file)?)?;
        let usage = Usage::from_json(&usage).ok_or("measure wrote no usage")?;
        Ok((usage, output.stdout))
    }

    /// Runs the job once, with a fresh state and output.
    pub(crate) fn run(&self, plan: &Plan<'_>) -> Result<Run, Failure> {
        let alerts = self.alerts_path();
        let report = self.folder.join("report.json");
        let state = self.folder.join("state");
        remove(&alerts)?;
        remove(&report)?;
        remove(&state)?;
        let text = |path: &Path| path.display().to_string();
        let mut command = if plan.processes > 1 {
            let script = text(&repository().join("scripts/run-local.sh"));
            vec![
                script,
                "-p".to_owned(),
                plan.processes.to_string(),
                "-w".to_owned(),
                plan.workers.to_string(),
            ]
        } else {
            vec![text(&self.program), "run".to_owned(), "-w".to_owned(), plan.workers.to_string()]
        };
        command.push(text(&plan.config));
        command.extend(["--report".to_owned(), text(&report)]);
        let mut set = Vec::new();
        if let Some(input) = plan.input {
            set.push(format!("source.events.path={}", text(input)));
            set.push(format!("sink.alerts.path={}", text(&alerts)));
        }
        if plan.state {
            set.push(format!("state.dir={}", text(&state)));
        }
        set.extend(plan.set.iter().cloned());
        command.extend(set.into_iter().flat_map(|set| ["--set".to_owned(), set]));
        if !plan.env.is_empty() {
            command.splice(0..0, ["env".to_owned()].into_iter().chain(plan.env.iter().cloned()));
        }
        let (usage, stdout) = self.measure_output(&command)?;
        let report = serde_json::from_slice(&std::fs::read(&report)?)?;
        Ok(Run { usage, report, alerts, stdout })
    }

    /// Runs the hand-written limit once.
    pub(crate) fn limit(&self, input: &Path) -> Result<Run, Failure> {
        self.run_limit(&workload::build().limit, &[], input)
    }

    /// Runs the hand-written limit of other windows once: of that `job`, as its first arguments.
    pub(crate) fn limit_windows(&self, job: &[&str], input: &Path) -> Result<Run, Failure> {
        self.run_limit(&workload::build().limit_windows, job, input)
    }

    fn run_limit(&self, program: &Path, job: &[&str], input: &Path) -> Result<Run, Failure> {
        let alerts = self.folder.join("limit.ndjson");
        let text = |path: &Path| path.display().to_string();
        let mut command = vec![text(program)];
        command.extend(job.iter().map(|argument| (*argument).to_owned()));
        command.extend([text(input), "--alerts".to_owned(), text(&alerts)]);
        let usage = self.measure(&command)?;
        Ok(Run { usage, report: Value::Null, alerts, stdout: Vec::new() })
    }

    /// A config of a group of figures, written where a run finds it.
    pub(crate) fn config(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let file = self.folder.join(name);
        std::fs::write(&file, text)?;
        Ok(file)
    }

    /// Events of the workload's generator, written unless they are there from last time.
    pub(crate) fn events(&self, events: u64, users: u64, seed: u64) -> Result<PathBuf, Failure> {
        self.made(&format!("events-{events}-{users}-{seed}.ndjson"), |part| {
            workload::generate(events, users, seed, &[], part);
            Ok(())
        })
    }

    /// A file that is made unless it is there from last time, as a whole or not at all.
    pub(crate) fn made(
        &self,
        name: &str,
        make: impl FnOnce(&Path) -> Result<(), Failure>,
    ) -> Result<PathBuf, Failure> {
        let file = self.folder.join(name);
        if !file.exists() {
            let part = self.folder.join(format!("{name}.part"));
            make(&part)?;
            std::fs::rename(&part, &file)?;
        }
        Ok(file)
    }
}

/// Bytes of all files below a folder.
pub(crate) fn size(folder: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        // A file may go while the folder is read.
        let metadata = std::fs::metadata(&path);
        bytes += match metadata {
            Ok(metadata) if metadata.is_dir() => size(&path)?,
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        };
    }
    Ok(bytes)
}

/// Fails unless two outputs have the same lines.
pub(crate) fn check_equal(a: &Path, b: &Path) -> Result<(), Failure> {
    let (left, right) = (std::fs::read(a)?, std::fs::read(b)?);
    if left.is_empty() || workload::sorted_lines(&left) != workload::sorted_lines(&right) {
        return Err(format!("{} and {} differ", a.display(), b.display()).into());
    }
    Ok(())
}

/// Removes a file, or a folder with all that is in it, if it is there.
pub(crate) fn remove(path: &Path) -> std::io::Result<()> {
    match path {
        path if path.is_dir() => std::fs::remove_dir_all(path),
        path if path.exists() => std::fs::remove_file(path),
        _ => Ok(()),
    }
}

/// Medians of several runs of one command, each on its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Median {
    pub(crate) wall_s: f64,
    pub(crate) cpu_s: f64,
    pub(crate) memory_bytes_max: f64,
}

impl Median {
    pub(crate) fn of(usages: &[Usage]) -> Median {
        let median = |value: &dyn Fn(&Usage) -> f64| {
            let mut values: Vec<f64> = usages.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
        };
        Median {
            wall_s: median(&|usage| usage.wall.as_secs_f64()),
            cpu_s: median(&|usage| usage.cpu().as_secs_f64()),
            memory_bytes_max: median(&|usage| usage.memory_bytes_max as f64),
        }
    }

    pub(crate) fn to_json(self) -> Value {
        json!({ "wall_s": self.wall_s, "cpu_s": self.cpu_s, "memory_bytes_max": self.memory_bytes_max })
    }
}
