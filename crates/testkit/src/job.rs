//! A run of the program on a config, with everything that it writes in one folder.
//!
//! The same plan runs as one process or, through `scripts/run-local.sh`, as several.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::process::{Finished, Invocation};
use crate::workload::repository;

/// A job to run. Every change gives a new plan, so that runs that are compared differ in one thing.
#[derive(Debug, Clone)]
pub struct Job {
    program: PathBuf,
    config: PathBuf,
    folder: PathBuf,
    processes: usize,
    workers: usize,
    settings: Vec<(String, String)>,
}

impl Job {
    /// `program run config` with one worker, its outputs in `folder`, which is made.
    ///
    /// # Panics
    /// If the folder cannot be made.
    pub fn new(program: impl AsRef<Path>, config: impl AsRef<Path>, folder: impl Into<PathBuf>) -> Job {
        let folder = folder.into();
        std::fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("create {}: {e}", folder.display()));
        Job {
            program: program.as_ref().to_path_buf(),
            config: repository().join(config),
            folder,
            processes: 1,
            workers: 1,
            settings: Vec::new(),
        }
    }

    /// The workload's job on `input`: `configs/podcast-reference.toml`, with all its outputs set.
    pub fn reference(program: impl AsRef<Path>, folder: impl Into<PathBuf>, input: &Path) -> Job {
        Job::new(program, "configs/podcast-reference.toml", folder).on(input).with_alerts().with_state()
    }

    /// The same with alerts instead of plain rows. Its config is written into `root`, its outputs into the folder of that name in it.
    ///
    /// # Panics
    /// If the config cannot be read or written.
    pub fn reference_alerts(program: impl AsRef<Path>, root: &Path, name: &str, input: &Path) -> Job {
        let config =
            std::fs::read_to_string(repository().join("configs/podcast-reference.toml")).expect("a config");
        let (head, rest) = config.split_once("format = \"plain\"").expect("plain rows");
        let (_, tail) = rest.split_once("\n]\n").expect("columns");
        let path = root.join("alerts.toml");
        std::fs::write(&path, format!("{head}{tail}")).expect("write");
        Job::new(program, path, root.join(name)).on(input).with_alerts().with_state()
    }

    /// Reads that file.
    pub fn on(self, input: &Path) -> Job {
        self.set("source.events.path", input.display())
    }

    /// Writes alerts to [`Job::alerts`].
    pub fn with_alerts(self) -> Job {
        let path = self.alerts_path();
        self.set("sink.alerts.path", path.display())
    }

    /// Keeps its state under the folder.
    pub fn with_state(self) -> Job {
        let path = self.state_path();
        self.set("state.dir", path.display())
    }

    /// Writes what does not fit to [`Job::quarantine`].
    pub fn with_quarantine(self) -> Job {
        let path = self.quarantine_path();
        self.set("sink.quarantine.path", path.display())
    }

    /// `--set name=value`.
    pub fn set(mut self, name: &str, value: impl ToString) -> Job {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// Threads per process.
    pub fn workers(self, workers: usize) -> Job {
        Job { workers, ..self }
    }

    /// Processes, through `scripts/run-local.sh` if there are several.
    pub fn processes(self, processes: usize) -> Job {
        Job { processes, ..self }
    }

    /// The command line of this plan.
    pub fn invocation(&self) -> Invocation {
        let workers = self.workers.to_string();
        let invocation = if self.processes > 1 {
            Invocation::new(repository().join("scripts/run-local.sh"))
                .env("TIDEWATCH_BIN", &self.program)
                .args(["-p", &self.processes.to_string(), "-w", &workers])
                .arg(&self.config)
        } else {
            Invocation::new(&self.program).arg("run").arg(&self.config).args(["-w", &workers])
        };
        self.configured(invocation.arg("--report").arg(self.report_path()))
    }

    /// Another subcommand on this job's config and settings, such as `checkpoints list` or `ctl status`.
    pub fn about(&self, verb: &[&str]) -> Invocation {
        self.configured(Invocation::new(&self.program).args(verb).arg(&self.config))
    }

    /// What such a subcommand says in JSON.
    ///
    /// # Panics
    /// If it fails.
    pub fn ask(&self, verb: &[&str]) -> Value {
        let said = self.about(verb).args(["--format", "json"]).run().expect_code(0).stdout;
        serde_json::from_slice(&said).expect("an answer in JSON")
    }

    fn configured(&self, invocation: Invocation) -> Invocation {
        self.settings.iter().fold(invocation, |invocation, (name, value)| invocation.set(name, value))
    }

    /// Runs it to its end, which must be a good one.
    ///
    /// # Panics
    /// If it is not.
    pub fn run(&self) -> Finished {
        self.invocation().run().expect_code(0)
    }

    /// Where alerts go.
    pub fn alerts_path(&self) -> PathBuf {
        self.folder.join("alerts.ndjson")
    }

    /// Where the state goes.
    pub fn state_path(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Where quarantine rows go.
    pub fn quarantine_path(&self) -> PathBuf {
        self.folder.join("quarantine.ndjson")
    }

    /// Where the report goes.
    pub fn report_path(&self) -> PathBuf {
        self.folder.join("report.json")
    }

    /// The alerts so far; nothing where there is no file yet.
    pub fn alerts(&self) -> Vec<u8> {
        std::fs::read(self.alerts_path()).unwrap_or_default()
    }

    /// The quarantine rows so far.
    ///
    /// # Panics
    /// If a line is not one JSON object.
    pub fn quarantine(&self) -> Vec<Value> {
        json_lines(&std::fs::read(self.quarantine_path()).unwrap_or_default())
    }

    /// The report, after checking that it balances.
    ///
    /// # Panics
    /// If there is none, or a record is not accounted for.
    pub fn report(&self) -> Value {
        let path = self.report_path();
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
        let report: Value = serde_json::from_slice(&bytes).expect("a report in JSON");
        let count = |name: &str| report[name].as_u64().unwrap_or_else(|| panic!("no {name} in {report}"));
        assert_eq!(count("read"), count("accepted") + count("filtered") + count("quarantined"), "{report}");
        let reasons = report["by_reason"].as_object().expect("counts by reason");
        let all: u64 = reasons.values().map(|count| count.as_u64().expect("a count")).sum();
        assert_eq!(all, count("quarantined") + count("rows_quarantined") + count("late"), "{report}");
        assert_eq!(reasons["late"], report["late"], "{report}");
        assert_eq!(count("accepted"), count("windowed") + count("late") + count("deduplicated"), "{report}");
        report
    }
}

/// The values of newline-delimited JSON.
///
/// # Panics
/// If a line is not one JSON value.
pub fn json_lines(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).expect("output in UTF-8");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}
