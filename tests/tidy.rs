//! The mechanical invariants of the repository, so that they stay true by themselves: who depends on whom,
//! what pure crates do not touch, what every file has. Each check collects all offences before it fails.

use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::workload::repository;

/// The layers of docs/ARCHITECTURE.md: each crate with the crates of ours that it may depend on.
const LAYERS: [(&str, &[&str]); 19] = [
    ("event", &[]),
    ("aws", &[]),
    ("bucket", &[]),
    ("journal", &[]),
    ("tls", &[]),
    ("kafka", &["event"]),
    ("serve", &["event"]),
    ("ingest", &["event", "aws", "bucket", "journal", "kafka", "serve"]),
    ("transform", &["event"]),
    ("keys", &["event"]),
    ("window", &["event", "keys"]),
    ("detect", &["event", "keys"]),
    ("inference", &["event", "tls", "detect"]),
    ("alert", &["event", "aws", "kafka", "tls"]),
    ("checkpoint", &["event", "bucket"]),
    ("archive", &["event", "ingest", "alert", "checkpoint"]),
    ("dataflow", &["event", "ingest", "transform", "window", "detect", "alert", "checkpoint", "archive"]),
    (
        "tidewatch",
        &[
            "event",
            "kafka",
            "serve",
            "ingest",
            "transform",
            "window",
            "detect",
            "inference",
            "alert",
            "checkpoint",
            "archive",
            "dataflow",
        ],
    ),
    ("testkit", &["event"]),
];

/// The crates that do no IO, start no threads and read no clock.
const PURE: [&str; 4] = ["keys", "transform", "window", "detect"];

/// A source file past this limit has a second subject.
const LINES_MAX: usize = 600;

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(&repository().join(folder), extension, &mut found);
    found.sort();
    found
}

fn walk(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                walk(&path, extension, found);
            }
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(repository()).unwrap_or(path).display().to_string()
}

fn none(offences: &[String]) {
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
}

/// The lines of a source file that ship, with their numbers: no comments, no tests (which stand last).
fn shipped(text: &str) -> Vec<(usize, &str)> {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|pair| {
        pair[0].trim() == "#[cfg(test)]" && pair[1].trim_start().starts_with("mod ") && pair[1].ends_with('{')
    });
    let shipped = &lines[..tests.unwrap_or(lines.len())];
    let numbered = shipped.iter().enumerate().map(|(i, line)| (i + 1, *line));
    numbered.filter(|(_, line)| !line.trim_start().starts_with("//")).collect()
}

/// Sources of a crate that ship: neither tests in a file of their own nor examples.
fn sources(name: &str) -> Vec<PathBuf> {
    let all = files(&format!("crates/{name}/src"), "rs");
    all.into_iter().filter(|path| !is_test_file(path)).collect()
}

fn is_test_file(path: &Path) -> bool {
    let text = shown(path);
    text.ends_with("tests.rs") || text.contains("/tests/")
}

/// The dependencies of a crate, as (table, name).
fn dependencies(name: &str) -> Vec<(String, String)> {
    let manifest = read(&repository().join("crates").join(name).join("Cargo.toml"));
    let mut table = String::new();
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            table = header.trim_matches(['[', ']']).to_owned();
            // [dependencies.NAME] is a dependency as well.
            if let Some((before, dependency)) = table.clone().rsplit_once('.')
                && before.ends_with("dependencies")
            {
                found.push((before.to_owned(), dependency.to_owned()));
            }
        } else if table.ends_with("dependencies")
            && let Some(dependency) = line.split(['.', '=', ' ', '#']).next().filter(|d| !d.is_empty())
        {
            found.push((table.clone(), dependency.to_owned()));
        }
    }
    found
}

#[test]
fn crates_depend_only_downwards_and_never_on_their_siblings() {
    let mut offences = Vec::new();
    for (name, allowed) in LAYERS {
        for (table, dependency) in dependencies(name) {
            let ours = LAYERS.iter().any(|(other, _)| *other == dependency);
            let test_only = table.ends_with("dev-dependencies") && dependency == "testkit";
            if ours && !test_only && !allowed.contains(&dependency.as_str()) {
                offences.push(format!("crates/{name}: [{table}] {dependency}"));
            }
        }
    }
    let known = std::fs::read_dir(repository().join("crates")).expect("crates/").flatten();
    for folder in known.filter(|entry| entry.path().join("Cargo.toml").exists()) {
        let name = folder.file_name().to_string_lossy().into_owned();
        if !LAYERS.iter().any(|(layer, _)| *layer == name) {
            offences.push(format!("crates/{name}: has no layer in tests/tidy.rs"));
        }
    }
    none(&offences);
}

#[test]
fn only_dataflow_knows_timely_and_differential_dataflow() {
    let mut offences = Vec::new();
    for (name, _) in LAYERS.iter().filter(|(name, _)| *name != "dataflow") {
        let engine = ["timely", "timely_communication", "differential-dataflow"];
        for (table, dependency) in dependencies(name) {
            if engine.contains(&dependency.as_str()) {
                offences.push(format!("crates/{name}: [{table}] {dependency}"));
            }
        }
    }
    none(&offences);
}

#[test]
fn pure_crates_do_no_io_start_no_threads_and_read_no_clock() {
    const FORBIDDEN: [&str; 12] = [
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "std::io",
        "Instant",
        "SystemTime",
        "File::",
        "println!",
        "eprintln!",
        "rayon",
    ];
    let mut offences = Vec::new();
    for path in PURE.iter().flat_map(|name| sources(name)) {
        for (number, line) in shipped(&read(&path)) {
            if let Some(word) = FORBIDDEN.iter().find(|word| line.contains(*word)) {
                offences.push(format!("{}:{number}: {word}: {}", shown(&path), line.trim()));
            }
        }
    }
    none(&offences);
}

/// The files that may read the clock that may jump, each in one place: to show a time, never to wait for one.
const SHOW_A_TIME: [&str; 6] = [
    "crates/alert/src/sink/webhook/signature.rs",
    "crates/dataflow/src/vitals.rs",
    "crates/dataflow/src/world.rs",
    "crates/journal/src/clock.rs",
    "crates/tidewatch/src/cli/online.rs",
    "crates/tidewatch/src/supervise/rescale.rs",
];

#[test]
fn the_clock_that_may_jump_is_read_only_where_a_time_is_shown() {
    let mut offences = Vec::new();
    for path in LAYERS.iter().filter(|(name, _)| *name != "testkit").flat_map(|(name, _)| sources(name)) {
        let (name, text) = (shown(&path), read(&path));
        let may_show = SHOW_A_TIME.contains(&name.as_str());
        let mut readings = 0;
        for (number, line) in shipped(&text) {
            readings += line.matches("SystemTime::now").count();
            let names_it = line.contains("SystemTime") && (!may_show || readings > 1);
            let waits = line.contains(".wall()") && !line.contains("committed_at:") && !may_show;
            if names_it || waits {
                offences.push(format!("{name}:{number}: take a clock that never jumps: {}", line.trim()));
            }
        }
    }
    none(&offences);
}

#[test]
fn nothing_in_pure_crates_walks_a_hash_map() {
    let mut offences = Vec::new();
    for path in PURE.iter().flat_map(|name| sources(name)) {
        let text = read(&path);
        let lines = shipped(&text);
        let maps: Vec<&str> = lines.iter().filter_map(|(_, line)| hash_map_name(line)).collect();
        for (number, line) in &lines {
            let walked = maps.iter().find(|name| {
                ["iter()", "iter_mut()", "keys()", "values()", "values_mut()", "drain()", "into_iter()"]
                    .iter()
                    .any(|walk| line.contains(&format!("{name}.{walk}")))
                    || line.contains(&format!("in &{name} "))
                    || line.contains(&format!("in &self.{name} "))
                    || line.contains(&format!("in {name} "))
            });
            if let Some(name) = walked {
                offences.push(format!("{}:{number}: {name} is a hash map: {}", shown(&path), line.trim()));
            }
        }
    }
    none(&offences);
}

/// The name that a line gives to a hash map or set: `name: HashMap<..>` or `let name = HashMap::..`.
fn hash_map_name(line: &str) -> Option<&str> {
    let at = ["HashMap", "HashSet"].iter().find_map(|word| line.find(word))?;
    let before = line[..at].trim_end().trim_end_matches(['&', ' ']);
    let before = before.strip_suffix("mut").unwrap_or(before).trim_end_matches(['&', ' ']);
    let before = before.strip_suffix([':', '='])?.trim_end();
    let name = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    (!name.is_empty()).then_some(name)
}

#[test]
fn every_source_file_says_first_what_it_is() {
    let paths = [files("crates", "rs"), files("tests", "rs")].concat();
    let silent = paths.iter().filter(|path| !read(path).starts_with("//!"));
    none(&silent.map(|path| format!("{}: does not start with //!", shown(path))).collect::<Vec<_>>());
}

#[test]
fn no_source_file_is_long_and_none_is_named_after_nothing() {
    const EMPTY_NAMES: [&str; 6] = ["util.rs", "utils.rs", "common.rs", "helpers.rs", "misc.rs", "types.rs"];
    let mut offences = Vec::new();
    for path in files("crates", "rs") {
        let lines = read(&path).lines().count();
        if lines > LINES_MAX {
            offences.push(format!("{}: {lines} lines, look for the second subject", shown(&path)));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if EMPTY_NAMES.contains(&name.as_str()) {
            offences.push(format!("{}: says nothing of what is in it", shown(&path)));
        }
    }
    none(&offences);
}

#[test]
fn the_front_page_of_every_crate_has_an_example_and_no_logic() {
    let mut offences = Vec::new();
    for (name, _) in LAYERS {
        let path = repository().join("crates").join(name).join("src/lib.rs");
        let text = read(&path);
        if !text.lines().any(|line| line.starts_with("//! ```")) {
            offences.push(format!("{}: no example", shown(&path)));
        }
        for (number, line) in shipped(&text) {
            let line = line.trim_start();
            let logic = [
                "fn ",
                "pub fn ",
                "impl ",
                "struct ",
                "pub struct ",
                "enum ",
                "pub enum ",
                "trait ",
                "pub trait ",
            ];
            if logic.iter().any(|start| line.starts_with(start)) {
                offences.push(format!("{}:{number}: {line}", shown(&path)));
            }
        }
    }
    none(&offences);
}

#[test]
fn what_ships_neither_unwraps_nor_leaves_work_undone() {
    // In halves, so that this file does not offend itself.
    let words = [
        ".unwrap()",
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        "unimplemented!(",
        "dbg!(",
    ];
    let mut offences = Vec::new();
    let paths = LAYERS.iter().flat_map(|(name, _)| sources(name));
    for path in paths {
        let text = read(&path);
        for (number, line) in shipped(&text) {
            if let Some(word) = words.iter().find(|word| line.contains(*word)) {
                offences.push(format!("{}:{number}: {word}", shown(&path)));
            }
        }
        for (number, line) in text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("//"))
        {
            if words[1..3].iter().any(|word| line.contains(word)) {
                offences.push(format!("{}:{}: {}", shown(&path), number + 1, line.trim()));
            }
        }
    }
    none(&offences);
}

#[test]
fn there_is_no_unsafe_code() {
    let manifest = read(&repository().join("Cargo.toml"));
    assert!(manifest.contains("unsafe_code = "), "the lint is in the workspace's manifest");
    let mut offences = Vec::new();
    for (name, _) in LAYERS {
        let manifest = read(&repository().join("crates").join(name).join("Cargo.toml"));
        if !manifest.contains("[lints]\nworkspace = true") {
            offences.push(format!("crates/{name}: does not take the workspace's lints"));
        }
    }
    for path in files("crates", "rs") {
        let allowed = read(&path).lines().any(|line| line.contains("allow(unsafe_code"));
        offences.extend(allowed.then(|| format!("{}: allows unsafe code", shown(&path))));
    }
    none(&offences);
}

#[test]
fn every_script_is_strict_executable_and_explains_itself() {
    use std::os::unix::fs::PermissionsExt;
    let mut scripts = files("scripts", "sh");
    scripts.push(repository().join(".ci/run"));
    let mut offences = Vec::new();
    for script in scripts {
        let name = shown(&script);
        if !read(&script).lines().any(|line| line == "set -euo pipefail") {
            offences.push(format!("{name}: no set -euo pipefail"));
        }
        let mode = script.metadata().expect("a file").permissions().mode();
        if mode & 0o111 != 0o111 {
            offences.push(format!("{name}: not executable"));
            continue;
        }
        let help = Command::new(&script).arg("--help").output().expect("start a script");
        if !help.status.success() || !String::from_utf8_lossy(&help.stdout).contains("Usage") {
            offences.push(format!("{name}: --help does not help"));
        }
    }
    none(&offences);
}

/// Everything that people read.
fn pages() -> Vec<PathBuf> {
    let mut pages = files("docs", "md");
    let root = std::fs::read_dir(repository()).expect("the repository").flatten().map(|entry| entry.path());
    pages.extend(root.filter(|path| path.extension().is_some_and(|e| e == "md")));
    pages
}

#[test]
fn every_script_and_config_that_a_page_names_exists() {
    let mut offences = Vec::new();
    for page in pages() {
        let text = read(&page);
        let words = text.split(|c: char| !c.is_alphanumeric() && !"/._-".contains(c));
        for word in words.map(|word| word.trim_start_matches("./").trim_end_matches('.')) {
            let named = (word.starts_with("scripts/") && word.ends_with(".sh"))
                || (word.starts_with("configs/") && word.ends_with(".toml"));
            if named && !repository().join(word).exists() {
                offences.push(format!("{}: {word}", shown(&page)));
            }
        }
    }
    none(&offences);
}

#[test]
fn every_test_and_planted_mistake_that_the_page_of_traps_names_exists() {
    let sources: String =
        ["crates", "tests"].iter().flat_map(|folder| files(folder, "rs")).map(|p| read(&p)).collect();
    let plants = read(&repository().join("crates/dataflow/src/plant.rs"));
    let page = read(&repository().join("docs/traps.md"));
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| #"));
    let (mut offences, mut tests) = (Vec::new(), 0);
    for word in rows.flat_map(|row| row.split('`').skip(1).step_by(2)) {
        let is_test = word.chars().next().is_some_and(char::is_lowercase);
        tests += usize::from(is_test);
        let exists = match is_test {
            true => sources.contains(&format!("fn {word}(")),
            false => plants.contains(&format!("    {word},\n")),
        };
        if !exists {
            offences.push(word.to_owned());
        }
    }
    assert!(tests > 21, "{tests} tests are named");
    none(&offences);
}

#[test]
fn every_link_between_pages_resolves() {
    let mut offences = Vec::new();
    for page in pages() {
        let text = read(&page);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()) {
            let file = target.split('#').next().unwrap_or_default();
            let elsewhere = file.is_empty() || file.contains("://") || file.starts_with("mailto:");
            let folder = page.parent().expect("a folder");
            if !elsewhere && !folder.join(file).exists() {
                offences.push(format!("{}: {target}", shown(&page)));
            }
        }
    }
    none(&offences);
}

#[test]
fn the_searches_of_this_file_find_what_they_look_for() {
    assert_eq!(hash_map_name("    counts: HashMap<String, u64>,"), Some("counts"));
    assert_eq!(hash_map_name("let mut seen = HashSet::new();"), Some("seen"));
    assert_eq!(hash_map_name("fn f(index: &mut HashMap<u8, u8>) {"), Some("index"));
    assert_eq!(hash_map_name("use std::collections::HashMap;"), None);
    let text = "a\n// b\n    #[cfg(test)]\n    mod tests {\nc\n";
    assert_eq!(shipped(text), [(1, "a")]);
}
