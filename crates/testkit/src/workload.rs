//! The programs of `tests/workload/`: generator, reference, limits. Built once, shared by all tests.
//!
//! They are files without dependencies, compiled by `rustc` alone, so that they share nothing with the
//! workspace.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where the built programs lie.
#[derive(Debug, Clone)]
pub struct Programs {
    /// Writes podcast events.
    pub generator: PathBuf,
    /// Computes the expected alerts.
    pub reference: PathBuf,
    /// The hand-written limit.
    pub limit: PathBuf,
    /// Those of other windows.
    pub limit_windows: PathBuf,
}

/// The limits may use all that this machine has.
const NATIVE: &[&str] = &["-C", "target-cpu=native"];

/// The root of the repository.
pub fn repository() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        crates.and_then(Path::parent).expect("testkit lies in crates/").to_path_buf()
    })
}

/// Builds the programs into `target/workload/`, unless they are newer than their sources.
///
/// The compiler is `RUSTC`, or `rustc` of the path. Tests that run at the same time take turns.
///
/// # Panics
/// If one does not compile.
pub fn build() -> &'static Programs {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let folder = repository().join("target/workload");
        std::fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("create {}: {e}", folder.display()));
        let lock = File::create(folder.join("lock")).expect("a lock file");
        lock.lock().expect("the lock");
        Programs {
            generator: compile(&folder, "gen", "gen.rs", &[]),
            reference: compile(&folder, "reference", "reference.rs", &[]),
            limit: compile(&folder, "limit", "limit.rs", NATIVE),
            limit_windows: compile(&folder, "limit_windows", "limit_windows/main.rs", NATIVE),
        }
    })
}

fn compile(folder: &Path, name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let source = repository().join("tests/workload").join(source);
    let program = folder.join(name);
    let modified = |path: &Path| path.metadata().and_then(|meta| meta.modified()).ok();
    let newest = parts(&source).iter().filter_map(|part| modified(part)).max();
    if modified(&program) > newest {
        return program;
    }
    // A test that is killed while it compiles leaves no half program behind.
    let fresh = folder.join(format!("{name}.new"));
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(&compiler)
        .args(["-O", "--edition", "2021", "--cap-lints", "allow"])
        .args(flags)
        .arg(&source)
        .arg("-o")
        .arg(&fresh)
        .output()
        .unwrap_or_else(|e| panic!("start {}: {e}", compiler.display()));
    assert!(output.status.success(), "{}:\n{}", source.display(), String::from_utf8_lossy(&output.stderr));
    std::fs::rename(&fresh, &program).unwrap_or_else(|e| panic!("rename {}: {e}", fresh.display()));
    program
}

/// The files of a program: that file, or all beside one that is the `main.rs` of a folder.
fn parts(source: &Path) -> Vec<PathBuf> {
    let folder = source.parent().filter(|_| source.ends_with("main.rs"));
    let beside = folder.map(|folder| std::fs::read_dir(folder).expect("the folder of a program"));
    let beside = beside.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    beside.chain([source.to_path_buf()]).collect()
}

/// Runs the generator: `events` of `users` from `seed` into `out`, with `more` of its flags.
///
/// # Panics
/// If it fails.
pub fn generate(events: u64, users: u64, seed: u64, more: &[&str], out: &Path) {
    let output = Command::new(&build().generator)
        .args(["--events", &events.to_string(), "--users", &users.to_string(), "--seed", &seed.to_string()])
        .args(more)
        .arg("--out")
        .arg(out)
        .output()
        .expect("start the generator");
    assert!(output.status.success(), "generator: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs the reference over `file`, its alerts to `alerts`; gives the line that it prints.
///
/// # Panics
/// If it fails.
pub fn reference(file: &Path, alerts: &Path) -> String {
    let output = Command::new(&build().reference)
        .arg(file)
        .arg("--alerts")
        .arg(alerts)
        .output()
        .expect("start the reference");
    assert!(output.status.success(), "reference: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The lines of an output in order: for outputs that are equal but for their order.
pub fn sorted_lines(output: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = output.split_inclusive(|&byte| byte == b'\n').collect();
    lines.sort_unstable();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_finds_the_known_alerts_of_the_known_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("events.ndjson");
        let alerts = folder.path().join("alerts.ndjson");
        generate(100_000, 2_000, 1, &[], &file);
        assert_eq!(
            reference(&file, &alerts),
            "events=100000 users=2000 windows=126053 alerts=845 checksum=2c84df2831c4cde6"
        );
        let mut limit = Command::new(&build().limit);
        let limit_alerts = folder.path().join("limit.ndjson");
        assert!(
            limit.arg(&file).arg("--alerts").arg(&limit_alerts).output().expect("the limit").status.success()
        );
        let read = |path: &Path| std::fs::read(path).expect("alerts");
        assert_eq!(sorted_lines(&read(&alerts)), sorted_lines(&read(&limit_alerts)));
    }
}
