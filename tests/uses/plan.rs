//! What a config says, read as text: which events it is tried on, and which numbers stand in it.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use testkit::job::{Job, json_lines};
use testkit::process::Invocation;
use testkit::workload::repository;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewatch");
/// What a naive threshold is fitted to, as the config's thresholds were.
pub const TRAINING_SEED: u64 = 101;
/// What both are then measured on.
pub const SEEDS: [u64; 2] = [202, 303];

/// A config of the repository.
pub struct Plan {
    pub name: String,
    pub text: String,
}

/// Something that was planted. Times are milliseconds.
pub struct Planted {
    pub key: String,
    pub kind: String,
    pub from: i64,
    pub to: i64,
}

impl Plan {
    pub fn read(name: &str) -> Plan {
        let path = repository().join("configs").join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
        Plan { name: name.to_owned(), text }
    }

    /// The value behind `name =`, as it is written.
    pub fn setting(&self, name: &str) -> String {
        let line = self.text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='));
        let value = line.unwrap_or_else(|| panic!("{} has no {name}", self.name));
        value.split('#').next().unwrap_or_default().trim().trim_matches('"').replace('_', "")
    }

    /// The lines of a section, or of all whose names begin so, with their headers.
    pub fn section(&self, name: &str) -> String {
        let mut within = false;
        let mut found = String::new();
        for line in self.text.lines() {
            if let Some(header) = line.strip_prefix('[') {
                within = header.starts_with(name);
            }
            if within {
                found.push_str(line.split(" # ").next().unwrap_or_default());
                found.push('\n');
            }
        }
        found
    }

    /// The config without what judges.
    pub fn without_rules(&self) -> String {
        let (alerts, rules) = (self.section("alerts]"), self.section("rules."));
        let judging: BTreeSet<&str> =
            alerts.lines().chain(rules.lines()).filter(|line| !line.is_empty()).collect();
        let kept = |line: &&str| !judging.contains(line.split(" # ").next().unwrap_or_default());
        self.text.lines().filter(kept).map(|line| format!("{line}\n")).collect()
    }

    /// Names of the columns of a section.
    pub fn names(&self, section: &str) -> Vec<String> {
        let names = self.section(section);
        names.lines().filter_map(|line| Some(line.split_once(" = ")?.0.to_owned())).collect()
    }

    /// Scores, rules and their life, which judge.
    pub fn judging(&self) -> String {
        ["score]", "rules.", "alerts]"].map(|name| self.section(name)).concat()
    }

    /// What makes the events, without its tests.
    pub fn scene(&self) -> String {
        let folder = repository().join("crates/ingest/src/source/generate/stage");
        let files = [format!("{}.rs", self.setting("scenario")), "plan.rs".into(), "character.rs".into()];
        let read = |file: &String| std::fs::read_to_string(folder.join(file)).expect("a scene");
        files.iter().map(read).collect::<Vec<_>>().concat()
    }

    /// What goes wrong for keys in the events of a seed. Outages are those of cohorts, which no key is.
    pub fn truth(&self, seed: u64) -> Vec<Planted> {
        let truth = Invocation::new(PROGRAM)
            .args(["gen", "--scenario", &self.setting("scenario"), "--users", &self.setting("users")])
            .args(["--events", &self.setting("events"), "--density", &self.setting("density")])
            .args(["--anomalies", &self.setting("anomalies"), "--seed", &seed.to_string()])
            .args(["--out", "/dev/null", "--truth", "-"])
            .run()
            .expect_code(0);
        let text = |line: &Value, name: &str| line[name].as_str().expect("a text").to_owned();
        let time = |line: &Value, name: &str| line[name].as_i64().expect("a time");
        let planted = |line: &Value| Planted {
            key: text(line, "key"),
            kind: text(line, "kind"),
            from: time(line, "from"),
            to: time(line, "to"),
        };
        json_lines(&truth.stdout).iter().map(planted).filter(|planted| planted.kind != "outage").collect()
    }

    /// A run of it, or of what is left of it, that writes these columns to a file.
    pub fn run(&self, text: &str, seed: u64, columns: &[String], folder: &Path) -> Vec<Value> {
        let folder = tempfile::tempdir_in(folder).expect("a folder");
        let config = folder.path().join("config.toml");
        std::fs::write(&config, text).expect("write");
        let columns = serde_json::to_string(columns).expect("names");
        let job = Job::new(PROGRAM, &config, folder.path().join("out")).workers(2).with_alerts();
        let job = job
            .set("source.events.seed", seed)
            .set("source.events.rate", 0)
            .set("sink.alerts.type", "\"file\"")
            .set("sink.alerts.format", "\"plain\"")
            .set("sink.alerts.columns", columns);
        job.run();
        json_lines(&job.alerts())
    }
}

/// The numbers in a text that say something: not a count on one hand, a round ten, or a quarter.
pub fn numbers(text: &str) -> BTreeSet<String> {
    const COMMON: [&str; 12] =
        ["0.5", "0.25", "0.75", "10", "100", "1000", "12", "24", "20", "30", "15", "60"];
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let is_number = |c: char| c.is_ascii_digit() || c == '.' || c == '_';
    let mut found = BTreeSet::new();
    for line in code {
        let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '_'));
        let numbers = words.filter(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        for number in numbers.filter(|word| word.chars().all(is_number)) {
            let number = number.replace('_', "");
            let short = number.strip_suffix(".0").unwrap_or(&number).to_owned();
            if short.len() > 1 && !COMMON.contains(&short.as_str()) {
                found.insert(short);
            }
        }
    }
    found
}
