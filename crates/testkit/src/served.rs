//! A server for tests that a script of `scripts/` runs as long as its standard input is open: it ends with
//! whoever started it, however that ends.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::workload::repository;

/// Exit code of a script where there is no such server.
const MISSING: i32 = 3;

/// A server that runs.
#[derive(Debug)]
pub struct Served {
    path: PathBuf,
    script: Child,
    folder: PathBuf,
    answer: String,
}

/// Starts `scripts/NAME serve FOLDER`. `None`, with words, where there is no such server: `what` it is.
///
/// # Panics
/// If it cannot be started; with `CI=true` also if it cannot be installed.
pub fn serve(name: &str, what: &str) -> Option<Served> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("tidewatch-{name}-{}-{number}", std::process::id()));
    let path = repository().join("scripts").join(name);
    let mut script = Command::new(&path);
    script.arg("serve").arg(&folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut script = script.spawn().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut answer = String::new();
    let stdout = script.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut answer).expect("what the script says");
    if answer.trim().is_empty() {
        let code = script.wait().expect("the end of the script").code();
        let must_be = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(code == Some(MISSING) && !must_be, "{} ended with {code:?}", path.display());
        crate::left_out::announce(&format!("tests with {what}, which cannot be had here"));
        return None;
    }
    Some(Served { path, script, folder, answer: answer.trim().to_owned() })
}

impl Served {
    /// What the script has said: where the server is.
    pub fn answer(&self) -> &str {
        &self.answer
    }

    /// The folder that the server has for itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs the script once more, with another verb for the same folder.
    ///
    /// # Panics
    /// If it fails.
    pub fn control(&self, verb: &str) {
        let done = Command::new(&self.path).arg(verb).arg(&self.folder).status();
        assert!(done.expect("the script").success(), "cannot {verb} the server");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // The script stops the server at the end of its input.
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}
