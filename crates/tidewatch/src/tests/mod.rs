//! Configs in, jobs or messages out: what a person who writes a config meets.

mod alerts;
mod archive;
mod bounds;
mod branches;
mod detectors;
mod diagnostics;
mod http;
mod jobs;
mod mesh;
mod objects;
mod overrides;
mod sinks;
mod state;
mod time;
mod topics;
mod typos;
mod webhook;

use std::path::Path;

use dataflow::Job;

use crate::config::{self, Inputs, Reading};
use crate::job;

/// A small, complete job.
const SMALL: &str = r#"name = "small"

[source.events]
type = "file"
path = "events.ndjson"

[event]
key = "user_id"
time = { field = "ts", unit = "ms" }

[event.fields]
event_type = "varchar"
duration_s = "double"

[window]
type = "tumbling"
size = "10m"

[features]
events = "count(*)"
listen_s = "sum(duration_s) FILTER (WHERE event_type = 'listen')"

[score]
engagement = "listen_s / events"

[rules.quiet]
when = "engagement < 0.3"

[sink.alerts]
type = "stdout"
"#;

/// `SMALL` with one part of it replaced.
fn changed(from: &str, to: &str) -> String {
    assert!(SMALL.contains(from), "no {from:?}");
    SMALL.replacen(from, to, 1)
}

fn read(text: &str, sets: &[&str], environment: &[(&str, &str)]) -> Reading {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let environment: Vec<(String, String)> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    config::read(&Inputs { path: Path::new("job.toml"), text, sets: &sets, environment: &environment })
}

fn compile(text: &str, sets: &[&str], environment: &[(&str, &str)]) -> Result<Job, String> {
    let reading = read(text, sets, environment);
    job::compile(&reading).map_err(|diagnostics| {
        let rendered: Vec<String> =
            diagnostics.iter().map(|found| found.render(&reading.sources, false)).collect();
        rendered.join("\n")
    })
}

/// Every message that the config gets, one behind the other.
fn check(text: &str, expected: &str) {
    let found = compile(text, &[], &[]).map(|_| String::new()).unwrap_or_else(|messages| messages);
    assert_eq!(found.trim_end(), expected.trim(), "\n{found}");
}
