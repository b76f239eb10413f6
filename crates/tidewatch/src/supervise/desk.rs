//! `STATE/control.sock`: where `tidewatch ctl` talks to the supervisor of a running job.
//!
//! A connection is one request, a line of JSON, and its answers, of which the last says how it ended. Only
//! the user who runs the job may connect (mode 0600). A newer run of the same job takes the name over, so
//! whether the name is still ours tells whether the state is.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Event;
use super::link;

/// A client that does not read, or says nothing, is given up after this.
const PATIENCE: Duration = Duration::from_secs(2);
const REQUEST_BYTES_MAX: u64 = 4096;

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// How the job is.
    Status,
    /// Go on with another number of worker threads.
    Rescale(u32),
    /// Take a checkpoint and end.
    Drain,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// Something on the way, in words.
    Word(String),
    /// It was done; what there is to know, for programs and in words.
    Done {
        /// For programs.
        data: serde_json::Value,
        /// In words.
        words: String,
    },
    /// It is not done, and why.
    Refused(String),
    /// It did not come to an end.
    Failed(String),
}

/// Whom to answer.
#[derive(Debug)]
pub(crate) struct Client(UnixStream);

impl Client {
    /// Answers. A client that has gone away is not missed.
    pub(crate) fn answer(&self, answer: &Answer) {
        let _ = link::write(&self.0, answer);
    }
}

const SOCKET: &str = "control.sock";

/// Where the socket of a job lies.
pub(crate) fn place(state: &Path) -> PathBuf {
    state.join(SOCKET)
}

/// Bytes of a path that every system takes as the address of a socket.
const ADDRESS_BYTES_MAX: usize = 100;

/// A name of a file that is short enough for the address of a socket, however deep its folder lies.
struct Near {
    path: PathBuf,
    /// Held open while the name is used, which names it by its number.
    _folder: Option<File>,
}

impl Near {
    /// The name of a file in a folder.
    fn to(folder: &Path, name: &str) -> io::Result<Self> {
        let path = folder.join(name);
        // Elsewhere the system says itself that the path is too long.
        if path.as_os_str().len() <= ADDRESS_BYTES_MAX || !cfg!(target_os = "linux") {
            return Ok(Near { path, _folder: None });
        }
        let folder = File::open(folder)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()));
        Ok(Near { path, _folder: Some(folder) })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// The socket, as long as the job runs.
#[derive(Debug)]
pub(super) struct Desk {
    path: PathBuf,
    inode: u64,
}

impl Desk {
    /// Opens the socket and hands requests on as events.
    ///
    /// # Errors
    /// If the state's directory or the system refuses.
    pub(super) fn open(state: &Path, events: Sender<Event>) -> io::Result<Self> {
        fs::create_dir_all(state)?;
        let path = place(state);
        // Made beside and renamed, so that it is never there with other rights, nor missing.
        let name = format!("control.{}", std::process::id());
        let draft = state.join(&name);
        let _ = fs::remove_file(&draft);
        let listener = UnixListener::bind(Near::to(state, &name)?.path())?;
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o600))?;
        let inode = fs::metadata(&draft)?.ino();
        fs::rename(&draft, &path)?;
        std::thread::Builder::new().name("control".to_owned()).spawn(move || {
            for client in listener.incoming().flatten() {
                if let Some((request, client)) = receive(client) {
                    let _ = events.send(Event::Asked(request, client));
                }
            }
        })?;
        Ok(Desk { path, inode })
    }

    /// Whether no other run has taken the state over.
    pub(super) fn is_ours(&self) -> bool {
        fs::metadata(&self.path).map_or(true, |metadata| metadata.ino() == self.inode)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if self.is_ours() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn receive(socket: UnixStream) -> Option<(Request, Client)> {
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    socket.set_write_timeout(Some(PATIENCE)).ok()?;
    let mut line = String::new();
    BufReader::new((&socket).take(REQUEST_BYTES_MAX)).read_line(&mut line).ok()?;
    let client = Client(socket);
    match serde_json::from_str(&line) {
        Ok(request) => Some((request, client)),
        Err(error) => {
            client.answer(&Answer::Refused(format!("not understood: {error}")));
            None
        }
    }
}

/// Asks the supervisor of a job, and hands each answer on as it comes.
///
/// # Errors
/// If there is nobody to ask, or the connection breaks.
pub(crate) fn ask(state: &Path, request: Request, mut take: impl FnMut(Answer)) -> io::Result<()> {
    let socket = UnixStream::connect(Near::to(state, SOCKET)?.path())?;
    link::write(&socket, &request)?;
    link::read(socket, &mut take);
    Ok(())
}
