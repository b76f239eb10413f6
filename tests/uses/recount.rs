//! What alerts are worth, counted in the plainest way from the lines of alerts and those of the truth.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use testkit::job::json_lines;
use testkit::process::Invocation;

use super::{PROGRAM, config};

#[derive(Debug, Default)]
pub(crate) struct Recount {
    pub(crate) incidents: u64,
    pub(crate) found: u64,
    pub(crate) episodes: u64,
    /// Episodes that find something.
    pub(crate) good: u64,
    pub(crate) alerts: u64,
}

/// What goes wrong in the events of a config with that seed, as `gen` tells it of the settings that stand in the config.
pub(crate) fn truth(name: &str, seed: u64) -> Vec<Value> {
    let text = std::fs::read_to_string(config(name)).expect("a config");
    let setting = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='));
        let value = line.unwrap_or_else(|| panic!("no {name}")).split('#').next().unwrap_or_default();
        value.trim().trim_matches('"').replace('_', "")
    };
    let gen_truth = Invocation::new(PROGRAM).args(["gen", "--seed", &seed.to_string()]);
    let settings = ["scenario", "users", "events", "density", "anomalies"];
    let gen_truth = settings
        .iter()
        .fold(gen_truth, |invocation, name| invocation.args([&format!("--{name}"), &setting(name)]));
    json_lines(&gen_truth.args(["--out", "/dev/null", "--truth", "-"]).run().expect_code(0).stdout)
}

/// Counts what alerts of episodes find: an episode lasts from the window that opened it to the last one that it names.
pub(crate) fn of(alerts: &Path, truth: &[Value]) -> Recount {
    let millis = |text: &Value| {
        let instant: jiff::Timestamp = text.as_str().expect("a time").parse().expect("an instant");
        instant.as_millisecond()
    };
    let mut counted = Recount { incidents: truth.len() as u64, ..Recount::default() };
    // Of each episode its key, and the spans for which it was open.
    let mut episodes: BTreeMap<String, (String, Vec<(i64, i64)>)> = BTreeMap::new();
    for alert in json_lines(&std::fs::read(alerts).expect("alerts")) {
        let data = &alert["data"];
        let text = |name: &str| data[name].as_str().expect("a text").to_owned();
        let (from, to) = (millis(&data["window"]["start"]), millis(&data["window"]["end"]));
        // A roll-up is about a group, whose value is its key, and its windows are minutes.
        let (_, spans) = episodes.entry(text("episode")).or_insert_with(|| (text("key"), Vec::new()));
        match text("state").as_str() {
            "opened" | "reopened" => {
                counted.alerts += 1;
                spans.push((from, to));
            }
            // A roll-up says nothing of the minutes since the one before it.
            "updated" if alert["type"] == "tidewatch.rollup" => spans.push((from, to)),
            _ => spans.last_mut().expect("it was opened before").1 = to,
        }
    }
    counted.episodes = episodes.len() as u64;
    let finds = |(key, spans): &(String, Vec<(i64, i64)>), incident: &Value| {
        let time = |name: &str| incident[name].as_i64().expect("a time");
        let overlaps = |span: &(i64, i64)| span.0 <= time("to") && time("from") < span.1;
        incident["key"] == key.as_str() && spans.iter().any(overlaps)
    };
    counted.good = episodes.values().filter(|it| truth.iter().any(|of| finds(it, of))).count() as u64;
    counted.found = truth.iter().filter(|of| episodes.values().any(|it| finds(it, of))).count() as u64;
    counted
}
