//! The mesh of processes: who may connect, and who died.
//!
//! Each pair of processes is joined by one socket: the one with the higher number connects, the other
//! accepts. A greeting says who is there before timely sees the socket, so that a stranger or a process of
//! another run is turned away.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use timely::communication::allocator::zero_copy::stream::Stream;

use crate::job::{Cluster, Control, RunError};
use crate::worker::Outcome;

/// How long processes wait for one another to start.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a peer that has connected may take to say who it is.
const GREETING: Duration = Duration::from_secs(5);
const MAGIC: [u8; 8] = *b"tidewtch";
const VERSION: u32 = 1;
const LENGTH: usize = 8 + 4 + 4 + 4 + 4 + 8 + 8;

/// What processes tell one another before they trust the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub(crate) process: u32,
    pub(crate) processes: u32,
    pub(crate) workers: u32,
    /// Hash of the job: all must run the same.
    pub(crate) job: u64,
    /// The interval that is read first: all must have found the same checkpoint.
    pub(crate) first_interval: u64,
}

impl Greeting {
    fn to_bytes(self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..8].copy_from_slice(&MAGIC);
        for (place, number) in [VERSION, self.process, self.processes, self.workers].iter().enumerate() {
            bytes[8 + 4 * place..12 + 4 * place].copy_from_slice(&number.to_le_bytes());
        }
        bytes[24..32].copy_from_slice(&self.job.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.first_interval.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; LENGTH]) -> Option<Greeting> {
        let short = |at: usize| bytes[at..].first_chunk::<4>().map(|b| u32::from_le_bytes(*b));
        let long = |at: usize| bytes[at..].first_chunk::<8>().map(|b| u64::from_le_bytes(*b));
        if bytes[..8] != MAGIC || short(8)? != VERSION {
            return None;
        }
        Some(Greeting {
            process: short(12)?,
            processes: short(16)?,
            workers: short(20)?,
            job: long(24)?,
            first_interval: long(32)?,
        })
    }

    /// What makes a peer unfit; `None` if it fits.
    fn misfit(&self, peer: &Greeting) -> Option<String> {
        if peer.processes != self.processes || peer.workers != self.workers {
            return Some(format!(
                "process {} runs {} x {} workers, this one {} x {}; start all with the same host file and -w",
                peer.process, peer.processes, peer.workers, self.processes, self.workers
            ));
        }
        if peer.job != self.job {
            return Some(format!(
                "process {} runs another job; start all with the same config",
                peer.process
            ));
        }
        (peer.first_interval != self.first_interval).then(|| {
            format!(
                "process {} goes on from another checkpoint; `state.dir` must be a path that all processes share",
                peer.process
            )
        })
    }
}

/// Joins this process with all others: one socket for each, none for itself.
pub(crate) fn join(
    cluster: &Cluster,
    own: Greeting,
    outcome: &Arc<Outcome>,
    control: &Control,
) -> Result<Vec<Option<Peer>>, RunError> {
    let mesh = |action: &str, error: io::Error| RunError::Mesh(format!("{action}: {error}"));
    let address = &cluster.hosts[cluster.process];
    let listener =
        TcpListener::bind(address).map_err(|error| mesh(&format!("listen on {address}"), error))?;
    let until = Instant::now() + PATIENCE;
    let mut peers: Vec<Option<Peer>> = cluster.hosts.iter().map(|_| None).collect();
    for (index, host) in cluster.hosts.iter().enumerate().take(cluster.process) {
        let socket = connect(host, until, control)
            .map_err(|error| mesh(&format!("reach process {index} at {host}"), error))?;
        let socket = socket.ok_or(RunError::Stopped)?;
        let greeting = exchange(&socket, own)
            .map_err(|error| mesh(&format!("greet process {index} at {host}"), error))?;
        if let Some(misfit) = own.misfit(&greeting) {
            return Err(RunError::Mesh(misfit));
        }
        peers[index] = Some(Peer::new(socket, index, host, outcome));
    }
    accept_rest(cluster, own, &listener, until, (outcome, control), &mut peers)?;
    Ok(peers)
}

fn accept_rest(
    cluster: &Cluster,
    own: Greeting,
    listener: &TcpListener,
    until: Instant,
    (outcome, control): (&Arc<Outcome>, &Control),
    peers: &mut [Option<Peer>],
) -> Result<(), RunError> {
    let failed = |error: io::Error| RunError::Mesh(format!("accept a process: {error}"));
    listener.set_nonblocking(true).map_err(failed)?;
    while let Some(missing) = (cluster.process + 1..peers.len()).find(|index| peers[*index].is_none()) {
        if control.is_draining() {
            return Err(RunError::Stopped);
        }
        match listener.accept() {
            Ok((socket, _)) => {
                socket.set_nonblocking(false).map_err(failed)?;
                // A stranger is turned away; those who belong here come again or came already.
                let Ok(greeting) = exchange(&socket, own) else { continue };
                if let Some(misfit) = own.misfit(&greeting) {
                    return Err(RunError::Mesh(misfit));
                }
                let index = greeting.process as usize;
                if index > cluster.process && index < peers.len() && peers[index].is_none() {
                    peers[index] = Some(Peer::new(socket, index, &cluster.hosts[index], outcome));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if Instant::now() >= until {
                    let host = &cluster.hosts[missing];
                    return Err(RunError::Mesh(format!(
                        "process {missing} at {host} did not connect in time"
                    )));
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

/// A socket to a process, which may not be there yet; `None` if the job is told to stop before it is.
fn connect(host: &str, until: Instant, control: &Control) -> io::Result<Option<TcpStream>> {
    loop {
        if control.is_draining() {
            return Ok(None);
        }
        let error = match host.to_socket_addrs()?.next().map(TcpStream::connect) {
            Some(Ok(socket)) => return Ok(Some(socket)),
            Some(Err(error)) => error,
            None => io::Error::new(io::ErrorKind::NotFound, "no such host"),
        };
        if Instant::now() >= until {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Says who this is and hears who the other is, within a deadline.
fn exchange(mut socket: &TcpStream, own: Greeting) -> io::Result<Greeting> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(GREETING))?;
    socket.set_write_timeout(Some(GREETING))?;
    socket.write_all(&own.to_bytes())?;
    let mut bytes = [0; LENGTH];
    socket.read_exact(&mut bytes)?;
    socket.set_read_timeout(None)?;
    socket.set_write_timeout(None)?;
    Greeting::from_bytes(&bytes)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a tidewatch of this version"))
}

/// The socket to another process, which knows whose it is when it breaks.
pub(crate) struct Peer {
    socket: TcpStream,
    name: Arc<str>,
    outcome: Arc<Outcome>,
}

impl Peer {
    fn new(socket: TcpStream, index: usize, host: &str, outcome: &Arc<Outcome>) -> Self {
        let name = format!("process {index} at {host}").into();
        Peer { socket, name, outcome: Arc::clone(outcome) }
    }

    /// A connection that breaks means that the peer died: timely has no way to go on without it.
    fn watch(&self, result: io::Result<usize>, ended: bool) -> io::Result<usize> {
        match &result {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.outcome.fail(RunError::Died(format!("lost {}: {error}", self.name)));
            }
            Ok(0) if ended => self.outcome.lost(&self.name),
            _ => {}
        }
        result
    }
}

impl Read for Peer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.socket.read(buffer);
        self.watch(result, true)
    }
}

impl Write for Peer {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let result = self.socket.write(buffer);
        self.watch(result, false)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

impl Stream for Peer {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Peer {
            socket: self.socket.try_clone()?,
            name: Arc::clone(&self.name),
            outcome: Arc::clone(&self.outcome),
        })
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.socket.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Greeting = Greeting { process: 1, processes: 2, workers: 3, job: 4, first_interval: 5 };

    #[test]
    fn a_greeting_reads_back_and_a_strangers_bytes_do_not() {
        assert_eq!(Greeting::from_bytes(&OWN.to_bytes()), Some(OWN));
        assert_eq!(Greeting::from_bytes(&[0; LENGTH]), None);
    }

    #[test]
    fn a_peer_with_another_job_or_checkpoint_is_refused_with_words() {
        assert_eq!(OWN.misfit(&OWN), None);
        assert!(OWN.misfit(&Greeting { job: 9, ..OWN }).unwrap().contains("same config"));
        assert!(OWN.misfit(&Greeting { first_interval: 9, ..OWN }).unwrap().contains("state.dir"));
        assert!(OWN.misfit(&Greeting { workers: 1, ..OWN }).unwrap().contains("-w"));
    }
}
