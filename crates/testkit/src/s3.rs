//! A real S3 server for tests, through `scripts/s3.sh`.
//!
//! One server for all tests of a program that run at the same time; it ends with the last of them, and with
//! the program however that ends. Each test takes a prefix of its own.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::process::Invocation;
use crate::served::{Served, serve};
use crate::workload::repository;

/// The bucket that is there.
pub const BUCKET: &str = "tidewatch";
/// Who may use it, and the secret.
pub const KEYS: (&str, &str) = ("tidewatch", "only-for-tests");

/// A server of this program's own.
#[derive(Debug)]
pub struct Server(Served);

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
    serve("s3.sh", "an S3 server").map(Server)
}

impl Server {
    /// Its address: `http://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        self.0.answer()
    }

    /// Whether it is the full server. The one for machines without Go does not look at who asks, and hangs
    /// while it is paused, where this one refuses connections.
    pub fn is_full(&self) -> bool {
        repository().join("target/s3/versitygw").exists()
    }

    /// What a program needs to know of it.
    pub fn environment(&self) -> [(&'static str, &str); 3] {
        [
            ("AWS_ENDPOINT_URL", self.address()),
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
        self.0.control("pause");
    }

    /// Lets it go on with the same objects.
    ///
    /// # Panics
    /// If that fails.
    pub fn resume(&self) {
        self.0.control("resume");
    }
}
