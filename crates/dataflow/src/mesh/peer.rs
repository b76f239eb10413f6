//! The connection to another process as timely sees it: a stream that knows whose it is when it breaks.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::Connection;
use timely::communication::allocator::zero_copy::stream::Stream;

use super::frame::{FrameReader, FrameWriter};
use super::heartbeat::{Listener, keep_beating};
use super::wire::Wire;
use crate::job::RunError;
use crate::worker::Outcome;

/// The connection to another process. Its clones are one connection: timely reads with one, writes with
/// another.
#[derive(Clone)]
pub(crate) struct Peer {
    reader: Arc<Mutex<FrameReader<Listener>>>,
    writer: Arc<FrameWriter>,
    whose: Whose,
}

/// How long each end bears silence. Beats are as frequent as the less patient one needs them.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) own: Duration,
    pub(super) theirs: Duration,
}

/// Who is lost when a connection breaks, and who is to know.
#[derive(Clone)]
struct Whose {
    name: Arc<str>,
    outcome: Arc<Outcome>,
}

impl Whose {
    fn fail(&self, error: &io::Error) {
        self.outcome.fail(RunError::Lost(format!("lost {}: {error}", self.name)));
    }
}

impl Peer {
    /// Takes a connection over once both ends know each other; heartbeats begin.
    pub(super) fn new(
        socket: TcpStream,
        connection: Option<Connection>,
        name: &str,
        bounds: Bounds,
        outcome: &Arc<Outcome>,
    ) -> io::Result<Peer> {
        socket.set_nodelay(true)?;
        socket.set_write_timeout(None)?;
        let wire = Arc::new(Wire::new(socket, connection));
        let reader = FrameReader::new(Listener::new(Arc::clone(&wire), bounds.own)?);
        let writer = Arc::new(FrameWriter::new(wire));
        let whose = Whose { name: name.into(), outcome: Arc::clone(outcome) };
        let told = whose.clone();
        keep_beating(&writer, bounds.theirs.min(bounds.own), move |error| told.fail(&error))?;
        Ok(Peer { reader: Arc::new(Mutex::new(reader)), writer, whose })
    }

    /// Whether the other end has closed, as far as one can tell without reading. Only until timely reads.
    pub(super) fn has_left(&self, wait: Duration, timeout: Duration) -> io::Result<bool> {
        let socket = &self.writer.wire.socket;
        socket.set_read_timeout(Some(wait))?;
        let peeked = socket.peek(&mut [0]);
        socket.set_read_timeout(Some(super::heartbeat::slice(timeout)))?;
        Ok(match peeked {
            Ok(bytes) => bytes == 0,
            Err(error) => matches!(error.kind(), io::ErrorKind::ConnectionReset),
        })
    }

    /// A connection that breaks means that the peer died: timely has no way to go on without it.
    fn watch<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::Interrupted
        {
            self.whose.fail(error);
        }
        result
    }
}

impl Read for Peer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.lock().unwrap_or_else(PoisonError::into_inner).read(buffer);
        if matches!(read, Ok(0)) {
            self.whose.outcome.lost(&self.whose.name);
        }
        self.watch(read)
    }
}

impl Write for Peer {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.watch(self.writer.write(buffer))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Peer {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(self.clone())
    }

    /// Always blocking, which is what timely asks for: a read waits for the next heartbeat.
    fn set_nonblocking(&self, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match how {
            Shutdown::Read => self.writer.wire.socket.shutdown(how),
            Shutdown::Write => self.writer.close(),
            Shutdown::Both => self.writer.close().and_then(|()| self.writer.wire.socket.shutdown(how)),
        }
    }
}
