//! A real PostgreSQL server for tests, through `scripts/postgres.sh`.
//!
//! One server for all tests of a program that run at the same time; it ends with the last of them, and with
//! the program however that ends. Each test makes a database of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::workload::repository;

/// Exit code of the script where there is no PostgreSQL.
const MISSING: i32 = 3;

/// A server of this program's own.
#[derive(Debug)]
pub struct Server {
    script: Child,
    folder: PathBuf,
    /// Its address without a database: `postgres://USER@127.0.0.1:PORT`.
    address: String,
}

/// A database of one test.
#[derive(Debug, Clone)]
pub struct Database {
    server: Arc<Server>,
    name: String,
}

/// A new database on the server; `None`, with words, where there is no PostgreSQL.
///
/// # Panics
/// If the server cannot be started; with `CI=true` also if it cannot be installed.
pub fn database() -> Option<Database> {
    static SERVER: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let mut shared = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    let server = match shared.upgrade() {
        Some(server) => server,
        None => {
            let server = Arc::new(Server::start()?);
            *shared = Arc::downgrade(&server);
            server
        }
    };
    Some(new_database(server, NUMBER.fetch_add(1, Ordering::Relaxed)))
}

/// The same on a server that no other test uses, which may be restarted and stopped.
///
/// # Panics
/// As [`database`].
pub fn database_alone() -> Option<Database> {
    Some(new_database(Arc::new(Server::start()?), 0))
}

fn new_database(server: Arc<Server>, number: u32) -> Database {
    let name = format!("test{number}");
    server.query("postgres", &format!("CREATE DATABASE {name}"));
    Database { server, name }
}

impl Server {
    fn start() -> Option<Server> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let must_be = std::env::var("CI").is_ok_and(|value| value == "true");
        if must_be {
            let installed = script().arg("install").status().expect("scripts/postgres.sh");
            assert!(installed.success(), "CI has no PostgreSQL and cannot install it");
        }
        // Not in a folder of the test, which the server's user may not enter.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = Path::new("/tmp").join(format!("tidewatch-postgres-{}-{number}", std::process::id()));
        let mut script = script();
        script.arg("serve").arg(&folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut script = script.spawn().expect("scripts/postgres.sh");
        let mut address = String::new();
        let stdout = script.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut address).expect("the address of the server");
        let Some(address) = address.trim().strip_suffix("/postgres") else {
            let code = script.wait().expect("the end of the script").code();
            assert!(code == Some(MISSING) && !must_be, "scripts/postgres.sh ended with {code:?}");
            crate::left_out::announce("tests with PostgreSQL, which is not installed here");
            return None;
        };
        Some(Server { address: address.to_owned(), script, folder })
    }

    fn query(&self, database: &str, sql: &str) -> Vec<String> {
        let done = script().arg("query").arg(&self.folder).args([database, sql]).output().expect("a query");
        assert!(done.status.success(), "{sql}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
    }
}

fn script() -> Command {
    Command::new(repository().join("scripts/postgres.sh"))
}

impl Drop for Server {
    fn drop(&mut self) {
        // The script stops the server at the end of its input.
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}

impl Database {
    /// Its address.
    pub fn url(&self) -> String {
        format!("{}/{}", self.server.address, self.name)
    }

    /// The rows of a query, columns divided by `|`, NULL as nothing.
    ///
    /// # Panics
    /// If it fails.
    pub fn query(&self, sql: &str) -> Vec<String> {
        self.server.query(&self.name, sql)
    }

    /// Ends the connections of others to it.
    pub fn disconnect_all(&self) -> usize {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        self.query(sql).len()
    }

    /// Lets the server crash and start again, as a power cut would.
    ///
    /// # Panics
    /// If it does not.
    pub fn restart(&self) {
        self.control("restart");
    }

    /// Lets the server crash; [`Database::restart`] starts it again.
    ///
    /// # Panics
    /// If it does not.
    pub fn crash(&self) {
        self.control("crash");
    }

    /// Lets the server speak TLS with that certificate and key, in PEM, from a moment later on.
    ///
    /// # Panics
    /// If it does not.
    pub fn speak_tls(&self, certificate: &Path, key: &Path) {
        let done = script().arg("tls").arg(&self.server.folder).args([certificate, key]).status();
        assert!(done.expect("scripts/postgres.sh").success(), "the server has no TLS");
    }

    fn control(&self, verb: &str) {
        let done = script().arg(verb).arg(&self.server.folder).status().expect("scripts/postgres.sh");
        assert!(done.success(), "cannot {verb} the server");
    }
}
