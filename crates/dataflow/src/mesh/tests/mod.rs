//! Processes that meet over real sockets of this machine, with strangers among them.

mod fuzz;
mod liveness;
mod meeting;
mod secure;
mod strangers;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::greeting::Greeting;
use super::{Agreed, Joined, Mesh, MeshSpec, Peer, TlsSpec, TokenSpec, open};
use crate::job::{Cluster, Control, RunError};
use crate::worker::Outcome;

const JOB: u64 = 42;
const LEADER: Option<Agreed> = Some(Agreed { generation: 7, checkpoint: 3 });
/// Long enough for a busy machine, and shorter than any deadline that a stranger could make a peer wait for.
const SOON: Duration = Duration::from_secs(3);

/// Addresses that were free a moment ago.
fn hosts(count: usize) -> Vec<String> {
    let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect()
}

/// A process of a cluster, in a thread.
#[derive(Clone)]
struct Process {
    hosts: Vec<String>,
    process: usize,
    workers: usize,
    spec: MeshSpec,
    job: u64,
    known: Option<Agreed>,
    begun: bool,
    patience: Duration,
    control: Arc<Control>,
    outcome: Arc<Outcome>,
}

impl Process {
    fn new(hosts: &[String], process: usize) -> Process {
        Process {
            hosts: hosts.to_vec(),
            process,
            workers: 1,
            spec: MeshSpec::default(),
            job: JOB,
            known: LEADER.filter(|_| process == 0),
            begun: false,
            patience: Duration::from_secs(20),
            control: Arc::default(),
            outcome: Arc::default(),
        }
    }

    /// All processes of a cluster.
    fn all(count: usize) -> Vec<Process> {
        let hosts = hosts(count);
        (0..count).map(|process| Process::new(&hosts, process)).collect()
    }

    fn token(mut self, folder: &Path, token: &str) -> Process {
        let path = folder.join(token);
        std::fs::write(&path, token).unwrap();
        self.spec.token = Some(TokenSpec::File(path));
        self
    }

    fn open(&self) -> Mesh {
        let cluster = Cluster { workers: self.workers, process: self.process, hosts: self.hosts.clone() };
        let mesh = open(&cluster, &self.spec).unwrap_or_else(|error| panic!("{error}")).unwrap();
        Mesh { patience: self.patience, ..mesh }
    }

    fn join(self) -> Result<Joined, RunError> {
        self.open().join(self.job, self.known, self.begun, &self.outcome, &self.control)
    }

    fn start(&self) -> JoinHandle<Result<Joined, RunError>> {
        let process = self.clone();
        thread::spawn(move || process.join())
    }
}

/// The words of a process that could not join.
fn words(result: Result<Joined, RunError>) -> String {
    match result {
        Ok(_) => panic!("it has joined"),
        Err(error) => error.to_string(),
    }
}

/// Waits for a thread, but not for ever.
fn outcome_of<T>(started: JoinHandle<T>) -> T {
    let asked = Instant::now();
    while !started.is_finished() {
        assert!(asked.elapsed() < Duration::from_secs(30), "it hangs");
        thread::sleep(Duration::from_millis(2));
    }
    started.join().unwrap()
}

fn joined(started: JoinHandle<Result<Joined, RunError>>) -> Joined {
    outcome_of(started).unwrap_or_else(|error| panic!("{error}"))
}

fn peer(joined: &mut Joined, process: usize) -> Peer {
    joined.sockets[process].take().unwrap_or_else(|| panic!("no connection to process {process}"))
}

/// Connects to a process as soon as it listens.
fn visit(host: &str) -> TcpStream {
    for _ in 0..1000 {
        if let Ok(socket) = TcpStream::connect(host) {
            return socket;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("nobody listens on {host}");
}

/// What process 1 of two says.
fn greeting_of_process_1() -> Greeting {
    Greeting {
        program: super::greeting::program(),
        process: 1,
        processes: 2,
        workers: 1,
        timeout: 60_000,
        cluster: JOB,
        known: None,
        nonce: [1; 32],
    }
}

/// Sends some bytes from one end to the other.
fn check_that_they_hear_each_other(one: &Peer, other: &Peer) {
    for (from, to) in [(one, other), (other, one)] {
        let (mut from, mut to) = (from.clone(), to.clone());
        from.write_all(b"words").unwrap();
        let mut heard = [0; 5];
        to.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"words");
    }
}
