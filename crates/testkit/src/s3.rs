//! A real S3 server for tests, through `scripts/s3.sh`.
//!
//! One server for all tests of a program that run at the same time; it ends with the last of them, and with
//! the program however that ends. Each test takes a prefix of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::process::Invocation;
use crate::workload::repository;

/// Exit code of the script where there is no server.
const MISSING: i32 = 3;

/// The bucket that is there.
pub const BUCKET: &str = "tidewatch";
/// Who may use it, and the secret.
pub const KEYS: (&str, &str) = ("tidewatch", "only-for-tests");

/// A server of this program's own.
#[derive(Debug)]
pub struct Server {
    script: Child,
    folder: PathBuf,
    address: String,
}

/// The server that tests share; `None`, with words, where there is none.
///
/// # Panics
/// If it cannot be started; with `CI=true` also if it cannot be installed.
pub fn server() -> Option<Arc<Server>> {
    static SERVER: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let mut shared = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(server) = shared.upgrade() {
        return Some(server);
    }
    let server = Arc::new(server_alone()?);
    *shared = Arc::downgrade(&server);
    Some(server)
}

/// A server that no other test uses, which may be paused.
///
/// # Panics
/// As [`server`].
pub fn server_alone() -> Option<Server> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("tidewatch-s3-{}-{number}", std::process::id()));
    let mut script = script();
    script.arg("serve").arg(&folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut script = script.spawn().expect("scripts/s3.sh");
    let mut address = String::new();
    let stdout = script.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut address).expect("the address of the server");
    if address.trim().is_empty() {
        let code = script.wait().expect("the end of the script").code();
        let must_be = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(code == Some(MISSING) && !must_be, "scripts/s3.sh ended with {code:?}");
        eprintln!("LEFT OUT: tests with an S3 server, which cannot be had here");
        return None;
    }
    Some(Server { address: address.trim().to_owned(), script, folder })
}

fn script() -> Command {
    Command::new(repository().join("scripts/s3.sh"))
}

impl Server {
    /// Its address: `http://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The folder that it has for itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What a program needs to know of it.
    pub fn environment(&self) -> [(&'static str, &str); 3] {
        [
            ("AWS_ENDPOINT_URL", &self.address),
            ("AWS_ACCESS_KEY_ID", KEYS.0),
            ("AWS_SECRET_ACCESS_KEY", KEYS.1),
        ]
    }

    /// A command that knows it.
    pub fn known_to(&self, invocation: Invocation) -> Invocation {
        self.environment().iter().fold(invocation, |invocation, (name, value)| invocation.env(name, value))
    }

    /// Lets it answer no more, until [`Server::resume`].
    ///
    /// # Panics
    /// If that fails.
    pub fn pause(&self) {
        self.control("pause");
    }

    /// Lets it go on with the same objects.
    ///
    /// # Panics
    /// If that fails.
    pub fn resume(&self) {
        self.control("resume");
    }

    fn control(&self, verb: &str) {
        let done = script().arg(verb).arg(&self.folder).status().expect("scripts/s3.sh");
        assert!(done.success(), "cannot {verb} the server");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The script stops the server at the end of its input.
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}
