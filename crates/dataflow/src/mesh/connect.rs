//! Connects to the processes with lower numbers, which may not be there yet.

use std::io;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::greeting::Misfit;
use super::handshake::Refusal;
use super::{Joining, Met, hosts};
use crate::job::RunError;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(5);
/// How long one try to connect may take; a stop is noticed after it.
const TRY: Duration = Duration::from_secs(2);

impl Joining<'_> {
    /// Joins the processes with lower numbers, process 0 first: it knows what is agreed on.
    pub(super) fn connect_lower(&mut self) -> Result<(), RunError> {
        for process in 0..self.process {
            let met = self.reach(process)?;
            if process == 0 {
                self.own.known = self.own.known.or(met.greeting.known);
            }
            self.add(process, met)?;
        }
        Ok(())
    }

    /// Tries to meet that process until it is there.
    fn reach(&self, process: usize) -> Result<Met, RunError> {
        let mut last_seen = Instant::now();
        loop {
            if self.control.is_draining() {
                return Err(RunError::Stopped);
            }
            let socket = self.reach_out(process);
            let is_absent = socket.is_err();
            if !is_absent {
                last_seen = Instant::now();
            }
            let refusal = match self.meet_at(process, socket) {
                Ok(met) if met.greeting.process as usize == process => return Ok(met),
                Ok(met) => {
                    let (name, found) = (self.name(process), met.greeting.process);
                    let words =
                        format!("{name} says that it is process {found}; start all with the same host file");
                    return Err(RunError::MeshRefused(words));
                }
                Err(refusal) => refusal,
            };
            match verdict(&refusal) {
                Verdict::Refused => return Err(RunError::MeshRefused(self.words(process, &refusal))),
                Verdict::Over => return Err(RunError::Lost(refusal.to_string())),
                Verdict::Again if is_absent && self.absence.is_some() => {
                    self.check_absence(process, last_seen)?;
                    thread::sleep(PAUSE);
                }
                Verdict::Again if Instant::now() >= self.until => {
                    return Err(self.in_vain(self.words(process, &refusal), || is_busy(&refusal)));
                }
                Verdict::Again => thread::sleep(PAUSE),
            }
        }
    }

    fn words(&self, process: usize, refusal: &Refusal) -> String {
        match refusal {
            Refusal::Misfit(misfit) => misfit.to_string(),
            refusal => format!("cannot join {}: {refusal}", self.name(process)),
        }
    }

    fn meet_at(&self, process: usize, socket: io::Result<TcpStream>) -> Result<Met, Refusal> {
        self.meeting.connect(socket.map_err(Refusal::Broken)?, &self.hosts[process], &self.own)
    }

    /// Connects to whoever listens where that process should.
    fn reach_out(&self, process: usize) -> io::Result<TcpStream> {
        let addresses = hosts::addresses(&self.hosts[process], self.meeting.loopback_only)?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no such host");
        for address in addresses {
            match TcpStream::connect_timeout(&address, TRY) {
                // A port that nobody listens on may be connected to itself.
                Ok(socket) if socket.local_addr()? == socket.peer_addr()? => {}
                Ok(socket) => return Ok(socket),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Whether somebody listens where that process should: it does before it asks anything of the state, lets
    /// everybody in ([`super::porch`]), and comes once it has what it waits for.
    pub(super) fn listens(&self, process: usize) -> bool {
        self.reach_out(process).is_ok()
    }
}

/// Whether it is there, and only not ready: it listens before it asks anything of the state, but answers nobody
/// before it has what it waits for, as a database; or it was left over by another generation, and is started again.
fn is_busy(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Silent | Refusal::Misfit(Misfit::Older { .. }))
}

/// What a refusal means to the one that connects.
enum Verdict {
    /// It may pass: the other is not there yet, or goes, or is started again.
    Again,
    /// This process is left over: another generation goes on.
    Over,
    /// Nothing changes by itself.
    Refused,
}

fn verdict(refusal: &Refusal) -> Verdict {
    match refusal {
        Refusal::Broken(_)
        | Refusal::Silent
        | Refusal::HungUp
        | Refusal::Wordless
        | Refusal::Stranger
        | Refusal::Taken(_) => Verdict::Again,
        Refusal::Certificate(_) | Refusal::Version(_) | Refusal::Token => Verdict::Refused,
        Refusal::Misfit(Misfit::Older { .. }) => Verdict::Again,
        Refusal::Misfit(Misfit::Newer { .. } | Misfit::Checkpoint { .. }) => Verdict::Over,
        Refusal::Misfit(Misfit::Shape { .. } | Misfit::Program { .. } | Misfit::Job { .. }) => {
            Verdict::Refused
        }
    }
}
