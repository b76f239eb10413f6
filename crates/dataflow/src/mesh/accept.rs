//! Accepts the processes with higher numbers, and turns everybody else away.
//!
//! Each connection is met by a thread of its own, with a deadline: one that says nothing or nonsense makes
//! nobody wait. There are at most [`PENDING`] of them; one more takes the place of the oldest, so that many
//! silent connections do not keep a peer out, which tries again if it was the oldest.

use std::collections::VecDeque;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::greeting::{Greeting, Misfit};
use super::handshake::Refusal;
use super::porch::Porch;
use super::{Joining, Meeting, Met};
use crate::job::RunError;

/// Connections that have not said yet who they are.
pub(super) const PENDING: usize = 64;
/// Between two looks for connections.
const PAUSE: Duration = Duration::from_millis(5);
/// Between two looks at whether those that have joined are still there.
const LOOK: Duration = Duration::from_millis(200);
/// Between two looks whether the one that is missing is at its place.
const LOOK_OUT: Duration = Duration::from_secs(1);
/// How long one of these looks waits.
const GLANCE: Duration = Duration::from_millis(1);

impl Joining<'_> {
    /// Joins the processes with higher numbers, in the order in which they come.
    pub(super) fn accept_higher(&mut self, porch: &mut Porch) -> Result<(), RunError> {
        let failed = |error: io::Error| RunError::Mesh(format!("accept a process: {error}"));
        let mut door = Door::new(self.own, self.hosts.len());
        for visitor in porch.close() {
            door.meet(visitor.socket, visitor.from, Arc::clone(&self.meeting)).map_err(failed)?;
        }
        let listener = porch.listener();
        let mut looked = Instant::now();
        let mut watched = Watched::of(self.process);
        while let Some(missing) = (self.process + 1..self.hosts.len()).find(|at| self.sockets[*at].is_none())
        {
            if self.control.is_draining() {
                return Err(RunError::Stopped);
            }
            let came = door.let_in(listener, &self.meeting).map_err(failed)?;
            while let Some((from, result)) = door.next_result() {
                self.judge(from, result, &mut door)?;
            }
            if looked.elapsed() >= LOOK {
                self.look_for_those_who_left()?;
                looked = Instant::now();
            }
            if self.absence.is_some() {
                self.look_for_the_absent(missing, &mut watched)?;
            }
            // How long one may be gone that was there before has a bound of its own.
            if Instant::now() >= self.until && !watched.is_absent {
                let words =
                    format!("{} did not connect in time{}", self.name(missing), door.turned_away_words());
                return Err(self.in_vain(words, || self.listens(missing)));
            }
            if !came {
                thread::sleep(PAUSE);
            }
        }
        Ok(())
    }

    fn judge(
        &mut self,
        from: SocketAddr,
        result: Result<Met, Refusal>,
        door: &mut Door,
    ) -> Result<(), RunError> {
        match result {
            Ok(met) => self.add(met.greeting.process as usize, met),
            Err(Refusal::Misfit(misfit @ (Misfit::Newer { .. } | Misfit::Checkpoint { .. }))) => {
                Err(RunError::Lost(misfit.to_string()))
            }
            // Whoever only looked whether somebody is here, as processes of this job do.
            Err(Refusal::Wordless) => Ok(()),
            // Those who belong here come again or came already.
            Err(refusal) => {
                door.turned_away += 1;
                door.last = format!("the last from {from}: {refusal}");
                Ok(())
            }
        }
    }

    /// Looks now and then whether somebody is where the missing process should be, which will connect then.
    fn look_for_the_absent(&self, missing: usize, watched: &mut Watched) -> Result<(), RunError> {
        if watched.process != missing {
            *watched = Watched::of(missing);
        }
        if watched.looked.is_none_or(|looked| looked.elapsed() >= LOOK_OUT) {
            watched.is_absent = !self.listens(missing);
            let now = Instant::now();
            watched.looked = Some(now);
            if !watched.is_absent {
                watched.last_seen = now;
            }
        }
        self.check_absence(missing, watched.last_seen)
    }

    /// Whoever has joined and died while others are awaited would be awaited for ever by nobody.
    fn look_for_those_who_left(&self) -> Result<(), RunError> {
        for (process, peer) in self.sockets.iter().enumerate() {
            let Some(peer) = peer else { continue };
            if peer.has_left(GLANCE, self.timeout).unwrap_or(true) {
                let name = self.name(process);
                return Err(RunError::Lost(format!("lost {name}: it left while others were awaited")));
            }
        }
        self.outcome.take().map_or(Ok(()), Err)
    }
}

/// The process that is missing, when somebody last looked for it, and when it was seen at its place.
struct Watched {
    process: usize,
    looked: Option<Instant>,
    is_absent: bool,
    last_seen: Instant,
}

impl Watched {
    fn of(process: usize) -> Self {
        Watched { process, looked: None, is_absent: false, last_seen: Instant::now() }
    }
}

/// Where connections wait until they have said who they are.
struct Door {
    own: Greeting,
    waiting: Arc<Mutex<Waiting>>,
    number: u64,
    results: (Sender<Answer>, Receiver<Answer>),
    turned_away: u64,
    /// Of those turned away.
    last: String,
}

type Answer = (SocketAddr, Result<Met, Refusal>);

/// Who waits, and for whom a place is kept.
struct Waiting {
    /// Oldest first.
    connections: VecDeque<(u64, TcpStream)>,
    /// By process.
    free: Vec<bool>,
}

impl Waiting {
    fn add(&mut self, number: u64, socket: TcpStream) {
        if self.connections.len() >= PENDING
            && let Some((_, oldest)) = self.connections.pop_front()
        {
            // It may have gone by itself.
            let _ = oldest.shutdown(Shutdown::Both);
        }
        self.connections.push_back((number, socket));
    }

    fn remove(&mut self, number: u64) {
        self.connections.retain(|(waiting, _)| *waiting != number);
    }

    /// Gives a process its place, if it is free. From then on nothing pushes it out.
    fn claim(&mut self, number: u64, process: u32) -> bool {
        let claimed = self.free.get_mut(process as usize).is_some_and(std::mem::take);
        if claimed {
            self.remove(number);
        }
        claimed
    }
}

impl Door {
    fn new(own: Greeting, processes: usize) -> Door {
        let free = (0..processes).map(|process| process > own.process as usize).collect();
        let waiting = Waiting { connections: VecDeque::new(), free };
        Door {
            own,
            waiting: Arc::new(Mutex::new(waiting)),
            number: 0,
            results: channel(),
            turned_away: 0,
            last: String::new(),
        }
    }

    /// Lets a connection in, if there is one.
    fn let_in(&mut self, listener: &TcpListener, meeting: &Arc<Meeting>) -> io::Result<bool> {
        match listener.accept() {
            Ok((socket, from)) => self.meet(socket, from, Arc::clone(meeting)).map(|()| true),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => Ok(false),
                // It was gone before it was let in.
                io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => Ok(true),
                _ => Err(error),
            },
        }
    }

    fn meet(&mut self, socket: TcpStream, from: SocketAddr, meeting: Arc<Meeting>) -> io::Result<()> {
        socket.set_nonblocking(false)?;
        let number = self.number;
        self.number += 1;
        lock(&self.waiting).add(number, socket.try_clone()?);
        let (own, waiting, answer) = (self.own, Arc::clone(&self.waiting), self.results.0.clone());
        let meet = move || {
            let claim = |greeting: &Greeting| lock(&waiting).claim(number, greeting.process);
            let met = meeting.accept(socket, &own, claim);
            lock(&waiting).remove(number);
            // Once all are there nobody waits for an answer.
            let _ = answer.send((from, met));
        };
        thread::Builder::new().name("mesh:greet".to_owned()).stack_size(512 << 10).spawn(meet)?;
        Ok(())
    }

    fn next_result(&mut self) -> Option<Answer> {
        self.results.1.try_recv().ok()
    }

    fn turned_away_words(&self) -> String {
        match self.turned_away {
            0 => String::new(),
            count => format!("; {count} connections were turned away, {}", self.last),
        }
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
