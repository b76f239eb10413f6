//! `tidewatch gen`: the events of `type = "generate"` as a file, and the anomalies that were planted.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use ingest::{IngestError, Scenario};

use crate::config::source::Generator;
use crate::job::generate_spec;

#[derive(Debug, Args)]
pub(super) struct GenerateArguments {
    /// Whose events: alike, podcast, iot, payments, games, ads
    #[arg(long, value_name = "NAME", default_value = "alike", value_parser = scenario)]
    scenario: Scenario,
    /// Number of events
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    events: u64,
    /// Number of users
    #[arg(long, value_name = "COUNT", default_value_t = 1000,
          value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    users: u64,
    /// Another seed gives other events
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Events in a second of event time
    #[arg(long, value_name = "COUNT", default_value_t = 333.0)]
    density: f64,
    /// Share of the users for whom something goes wrong in each period
    #[arg(long, value_name = "SHARE", default_value_t = 0.03)]
    anomalies: f64,
    /// Where events go; `-` is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    out: PathBuf,
    /// Where the list of planted anomalies goes, one JSON object a line
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
}

pub(super) fn run(arguments: &GenerateArguments) -> anyhow::Result<ExitCode> {
    let spec = generate_spec(&Generator {
        scenario: arguments.scenario,
        users: arguments.users,
        seed: arguments.seed,
        events: Some(arguments.events),
        density: arguments.density,
        anomalies: arguments.anomalies,
        ..Generator::default()
    });
    write(&arguments.out, |out| ingest::write_events(&spec, out))?;
    if let Some(truth) = &arguments.truth {
        write(truth, |out| ingest::write_truth(&spec, out))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn scenario(name: &str) -> Result<Scenario, String> {
    let found = Scenario::ALL.into_iter().find(|scenario| scenario.name() == name);
    found.ok_or_else(|| format!("scenarios are {}", Scenario::ALL.map(Scenario::name).join(", ")))
}

fn write(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<(), IngestError>) -> anyhow::Result<()> {
    let mut out: Box<dyn Write> = match path.as_os_str() == "-" {
        true => Box::new(io::stdout().lock()),
        false => {
            let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
            Box::new(BufWriter::new(file))
        }
    };
    let written = write(&mut out).and_then(|()| out.flush().map_err(IngestError::Write));
    match written {
        // A reader that has seen enough, as `head`.
        Err(IngestError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.with_context(|| format!("write {}", path.display())),
    }
}

impl Default for Generator {
    fn default() -> Self {
        Generator {
            scenario: Scenario::Alike,
            users: 1000,
            seed: 7,
            events: None,
            density: 333.0,
            lanes: 4,
            start: 1_700_000_000_000_000,
            out_of_order: Duration::from_secs(4),
            anomalies: 0.03,
        }
    }
}
