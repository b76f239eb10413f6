//! Which numbers stand in what judges and in what makes the events.

use std::collections::BTreeSet;
use std::path::Path;

use testkit::workload::repository;

/// Numbers that mean nothing by being the same: halves, quarters, round tens, parts of an hour.
const COMMON: [&str; 12] = ["0.5", "0.25", "0.75", "10", "100", "1000", "12", "24", "20", "30", "15", "60"];

/// The numbers of a text without its comments that have more than one digit and are not among the common ones.
pub(crate) fn of(text: &str) -> BTreeSet<String> {
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

/// The features, scores, rules and alerts of a config, without comments.
pub(crate) fn judging(config: &Path) -> String {
    let text = std::fs::read_to_string(config).expect("a config");
    let mut within = false;
    let mut found = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(header) = line.strip_prefix('[') {
            within = ["features]", "score]", "rules.", "alerts]"].iter().any(|name| header.starts_with(name));
        }
        if within {
            found.push_str(line.split(" # ").next().unwrap_or_default());
            found.push('\n');
        }
    }
    found
}

/// The source of what makes the events of a scenario.
pub(crate) fn scene(name: &str) -> String {
    let folder = repository().join("crates/ingest/src/source/generate/stage");
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).expect("a source file");
    [&format!("{name}.rs"), "plan.rs", "character.rs"].map(read).concat()
}
