//! `tidewatch bench`: what a job costs on this machine.
//!
//! The job runs as it is, but at full speed, without state, and with its rows written to nowhere.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use alert::{Mode, SinkKind};
use clap::Args;
use dataflow::{Cluster, Control, Job, Summary};
use ingest::SourceKind;
use serde_json::json;

use super::load::load_job;
use super::run::refuse_or_fail;
use super::{ConfigArguments, OutputFormat, Style, put};
use crate::progress::Progress;
use crate::{signals, usage};

#[derive(Debug, Args)]
pub(super) struct BenchArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Worker threads
    #[arg(short, long, value_name = "COUNT", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    workers: u32,
    /// Events of a generator that would not end
    #[arg(long, value_name = "COUNT", default_value_t = 2_000_000)]
    events: u64,
}

impl BenchArguments {
    pub(super) fn with_sets(mut self, before: Vec<String>) -> Self {
        self.config = self.config.with_sets(before);
        self
    }
}

pub(super) fn run(arguments: BenchArguments, style: &Style) -> anyhow::Result<ExitCode> {
    let mut job = match load_job(&arguments.config, style) {
        Ok(job) => job,
        Err(code) => return Ok(code),
    };
    run_free(&mut job, arguments.events);
    let name = job.name.clone();
    let control = Arc::new(Control::default());
    control.take_whole_process();
    let _signals = signals::drain_on_signals(&control)?;
    let workers = arguments.workers as usize;
    let cluster = Cluster { workers, process: 0, hosts: Vec::new() };
    let progress = Progress::start(&control, style.quiet, style.verbose);
    let (started, cpu_before) = (Instant::now(), usage::cpu_seconds());
    let port = dataflow::listen(&job, &cluster);
    let result = port.and_then(|port| dataflow::run(Arc::new(job), cluster, port, control));
    let (seconds, cpu_after) = (started.elapsed().as_secs_f64(), usage::cpu_seconds());
    progress.stop();
    let cpu = cpu_before.zip(cpu_after).map(|(before, after)| after - before);
    match result {
        Ok(summary) => {
            let measured = Measured { name, workers, seconds, cpu, peak: usage::peak_bytes(), summary };
            put(&match style.format {
                OutputFormat::Json => format!("{}\n", measured.to_json()),
                OutputFormat::Table => measured.to_table(),
            })?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Ok(refuse_or_fail(&error)),
    }
}

/// Takes away what would slow the job down, and what it would leave behind.
fn run_free(job: &mut Job, events: u64) {
    job.state = None;
    for source in &mut job.sources {
        source.rate = None;
        if let SourceKind::Generate(generate) = &mut source.kind {
            generate.events.get_or_insert(events);
        }
    }
    for sink in &mut job.sinks {
        sink.mode = Mode::AtOnce;
        sink.kind = SinkKind::File { path: PathBuf::from("/dev/null") };
    }
}

struct Measured {
    name: String,
    workers: usize,
    seconds: f64,
    /// Seconds of all threads, where the system tells.
    cpu: Option<f64>,
    /// Largest memory of the process in bytes, where the system tells.
    peak: Option<u64>,
    summary: Summary,
}

impl Measured {
    fn events_per_second(&self) -> f64 {
        self.summary.counts.read as f64 / self.seconds
    }

    fn cpu_us_per_event(&self) -> Option<f64> {
        let events = self.summary.counts.read;
        self.cpu.filter(|_| events > 0).map(|cpu| cpu * 1e6 / events as f64)
    }

    fn to_json(&self) -> serde_json::Value {
        let counts = &self.summary.counts;
        json!({
            "job": self.name,
            "workers": self.workers,
            "events": counts.read,
            "windows": counts.windows,
            "alerts": counts.alerts,
            "seconds": self.seconds,
            "events_per_second": self.events_per_second(),
            "cpu_seconds": self.cpu,
            "cpu_us_per_event": self.cpu_us_per_event(),
            "peak_memory_bytes": self.peak,
        })
    }

    fn to_table(&self) -> String {
        let counts = &self.summary.counts;
        let or_unknown = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
        let rows = [
            ("job", self.name.clone()),
            ("workers", self.workers.to_string()),
            ("events", counts.read.to_string()),
            ("windows", counts.windows.to_string()),
            ("alerts", counts.alerts.to_string()),
            ("seconds", format!("{:.2}", self.seconds)),
            ("events/s", format!("{:.0}", self.events_per_second())),
            ("CPU us/event", or_unknown(self.cpu_us_per_event().map(|cpu| format!("{cpu:.3}")))),
            ("peak memory", or_unknown(self.peak.map(|peak| format!("{:.0} MB", peak as f64 / 1e6)))),
        ];
        rows.iter().map(|(name, value)| format!("{name:<14}{value:>16}\n")).collect()
    }
}
