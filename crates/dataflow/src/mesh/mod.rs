//! The mesh of processes: who may connect, who died, and who has fallen silent.
//!
//! Each pair of processes is joined by one connection: the one with the higher number connects, the other
//! accepts. Before timely sees it, both have greeted and proven that they know the token ([`greeting`],
//! [`handshake`]), under TLS if the job has certificates ([`tls`]); strangers are turned away and never make
//! anybody wait ([`accept`]); who comes before this process can answer waits ([`porch`]). From then on the connection carries frames ([`frame`]) with heartbeats between
//! them ([`heartbeat`]), and a process that dies or hangs ends the run of all others ([`peer`]).
//!
//! Process 0 knows the generation and the checkpoint that the run goes on from; the others take both from it
//! as they meet it, and later ones of another generation do not join them.

mod accept;
mod connect;
mod frame;
mod greeting;
mod handshake;
mod heartbeat;
mod hosts;
mod peer;
mod porch;
mod spec;
mod tls;
mod wire;

#[cfg(test)]
mod tests;

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ring::hmac;

use peer::Bounds;
pub(crate) use peer::Peer;
use porch::Porch;
pub use spec::{MeshSpec, TlsSpec, TokenSpec};

use crate::job::{Cluster, Control, RunError};
use crate::worker::Outcome;
use greeting::Greeting;
use handshake::Refusal;
use tls::{Talk, Tls};
use wire::Until;

/// How long processes wait for one another to start.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a connection may take to become a peer's.
const GREETING: Duration = Duration::from_secs(5);

/// What all processes of a run agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Agreed {
    /// Counts the runs of a job; later ones shut out what is left of earlier ones.
    pub(crate) generation: u64,
    /// The checkpoint that the run goes on from.
    pub(crate) checkpoint: u32,
}

/// A process that is ready to join the others.
pub(crate) struct Mesh {
    hosts: Vec<String>,
    process: usize,
    workers: usize,
    porch: Porch,
    meeting: Meeting,
    timeout: Duration,
    patience: Duration,
    /// How long one that was there before may be gone; none if they have never met.
    absence: Option<Duration>,
}

/// A run's processes, joined.
pub(crate) struct Joined {
    /// One connection to each process, none to this one.
    pub(crate) sockets: Vec<Option<Peer>>,
    pub(crate) agreed: Agreed,
}

/// Reads token and certificates, checks the hosts, and listens. `None` for a process that is alone.
///
/// To be called before anything is read of the state or done to it: what is refused is refused here, and from here
/// on this process counts as one that is there.
///
/// # Errors
/// Refused if a file cannot be read, or a host needs certificates. Failed if the port is taken.
pub(crate) fn open(cluster: &Cluster, spec: &MeshSpec) -> Result<Option<Mesh>, RunError> {
    if cluster.hosts.len() <= 1 {
        return Ok(None);
    }
    let token = spec.token.as_ref().map(spec::TokenSpec::reveal).transpose()?.unwrap_or_default();
    let tls = spec.tls.as_ref().map(Tls::load).transpose()?;
    let loopback_only = tls.is_none() && !spec.insecure;
    if loopback_only {
        hosts::check(&cluster.hosts)?;
    }
    let address = &cluster.hosts[cluster.process];
    let porch = TcpListener::bind(address)
        .and_then(Porch::new)
        .map_err(|error| RunError::Mesh(format!("listen on {address}: {error}")))?;
    Ok(Some(Mesh {
        hosts: cluster.hosts.clone(),
        process: cluster.process,
        workers: cluster.workers,
        porch,
        meeting: Meeting { key: handshake::key(&token), tls, loopback_only, deadline: GREETING },
        timeout: spec.timeout,
        patience: PATIENCE,
        absence: spec.have_met.then_some(spec.rejoin_within),
    }))
}

impl Mesh {
    /// Joins this process with all others, which run the job of that hash. Process 0 says what is agreed on,
    /// the others learn it. `begun` says whether the job has read anything since it was first started.
    ///
    /// # Errors
    /// If somebody does not belong here; [`RunError::Stopped`] if the job is told to stop meanwhile;
    /// [`RunError::Lost`] for what may pass: somebody leaves, is of another generation, or does not come in
    /// time although the job has begun or somebody listens there; [`RunError::Gone`] if one that was there
    /// before does not come back; [`RunError::Mesh`] if nothing says that the one that does not come is where
    /// the host file has it.
    pub(crate) fn join(
        self,
        job: u64,
        known: Option<Agreed>,
        begun: bool,
        outcome: &Arc<Outcome>,
        control: &Control,
    ) -> Result<Joined, RunError> {
        let own = Greeting {
            program: greeting::program(),
            process: self.process as u32,
            processes: self.hosts.len() as u32,
            workers: self.workers as u32,
            timeout: u32::try_from(self.timeout.as_millis()).unwrap_or(u32::MAX),
            cluster: job,
            known,
            nonce: [0; 32],
        };
        let Mesh { hosts, process, mut porch, meeting, timeout, patience, absence, .. } = self;
        let mut joining = Joining {
            own,
            sockets: hosts.iter().map(|_| None).collect(),
            hosts,
            process,
            meeting: Arc::new(meeting),
            timeout,
            until: Instant::now() + patience,
            absence,
            begun,
            outcome,
            control,
        };
        joining.connect_lower()?;
        joining.accept_higher(&mut porch)?;
        let agreed = joining
            .own
            .known
            .ok_or_else(|| RunError::Mesh("process 0 does not know what the run goes on from".to_owned()))?;
        Ok(Joined { sockets: joining.sockets, agreed })
    }
}

/// The state of a process that joins the others.
struct Joining<'a> {
    own: Greeting,
    hosts: Vec<String>,
    process: usize,
    sockets: Vec<Option<Peer>>,
    meeting: Arc<Meeting>,
    timeout: Duration,
    /// When its patience ends.
    until: Instant,
    /// How long one that was there before may be gone; none if they have never met.
    absence: Option<Duration>,
    /// Whether the job has ever read anything, so that the others were once where they are said to be.
    begun: bool,
    outcome: &'a Arc<Outcome>,
    control: &'a Control,
}

impl Joining<'_> {
    fn name(&self, process: usize) -> String {
        format!("process {process} at {}", self.hosts[process])
    }

    /// Takes over a connection whose other end is that process.
    fn add(&mut self, process: usize, met: Met) -> Result<(), RunError> {
        let name = self.name(process);
        let theirs = Duration::from_millis(met.greeting.timeout.into());
        let bounds = Bounds { own: self.timeout, theirs };
        let peer = Peer::new(met.socket, met.session, &name, bounds, self.outcome)
            .map_err(|error| RunError::Lost(format!("join {name}: {error}")))?;
        self.sockets[process] = Some(peer);
        Ok(())
    }

    /// The end of the patience. `is_there` says whether that process was seen to be at its place.
    fn in_vain(&self, words: String, is_there: impl FnOnce() -> bool) -> RunError {
        if self.begun || is_there() { RunError::Lost(words) } else { RunError::Mesh(words) }
    }

    /// Whoever was there before is waited for as long as somebody may be about to start it again: a supervisor
    /// waits for seconds at most. Where nobody has listened for longer, it is gone together with its supervisor.
    fn check_absence(&self, process: usize, last_seen: Instant) -> Result<(), RunError> {
        let gone = last_seen.elapsed();
        if self.absence.is_none_or(|bound| gone < bound) {
            return Ok(());
        }
        let (name, seconds) = (self.name(process), gone.as_secs_f64());
        Err(RunError::Gone(format!("{name} is gone: nobody has listened there for {seconds:.0} s")))
    }
}

/// How two processes meet on a connection.
struct Meeting {
    key: hmac::Key,
    tls: Option<Tls>,
    /// Whether only addresses of this machine may be connected to.
    loopback_only: bool,
    deadline: Duration,
}

/// A connection whose other end is known.
struct Met {
    socket: TcpStream,
    session: Option<rustls::Connection>,
    greeting: Greeting,
}

impl Meeting {
    /// Meets the process at `host` that was connected to.
    fn connect(&self, socket: TcpStream, host: &str, own: &Greeting) -> Result<Met, Refusal> {
        let session = self.tls.as_ref().map(|tls| tls.connect(host)).transpose()?;
        let own = Greeting { nonce: handshake::nonce()?, ..*own };
        let moment = Instant::now() + self.deadline;
        self.meet(socket, moment, session, |stream| handshake::connect(stream, &own, &self.key))
    }

    /// Meets a process that has connected. `claim` says whether its place is free.
    fn accept(
        &self,
        socket: TcpStream,
        own: &Greeting,
        claim: impl FnOnce(&Greeting) -> bool,
    ) -> Result<Met, Refusal> {
        let moment = Instant::now() + self.deadline;
        if !(Until { socket: &socket, moment }.is_spoken_to()?) {
            return Err(Refusal::Wordless);
        }
        let session = self.tls.as_ref().map(Tls::accept).transpose()?;
        let own = Greeting { nonce: handshake::nonce()?, ..*own };
        self.meet(socket, moment, session, |stream| handshake::accept(stream, &own, &self.key, claim))
    }

    fn meet(
        &self,
        socket: TcpStream,
        moment: Instant,
        session: Option<rustls::Connection>,
        greet: impl FnOnce(&mut dyn Duplex) -> Result<Greeting, Refusal>,
    ) -> Result<Met, Refusal> {
        socket.set_nodelay(true)?;
        let mut limited = Until { socket: &socket, moment };
        let (session, greeting) = match session {
            None => (None, greet(&mut limited)?),
            Some(mut session) => {
                let greeting = greet(&mut Talk { session: &mut session, socket: limited })?;
                (Some(session), greeting)
            }
        };
        Ok(Met { socket, session, greeting })
    }
}

/// A stream in both directions.
trait Duplex: std::io::Read + std::io::Write {}

impl<S: std::io::Read + std::io::Write> Duplex for S {}
