//! The bytes between two processes: a socket, plain or under TLS.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use rustls::Connection;

use super::tls::{Sealed, Session};

/// A connection whose two directions are used by two threads.
pub(super) struct Wire {
    pub(super) socket: TcpStream,
    session: Option<Session>,
}

/// What the reading side keeps between two reads.
#[derive(Default)]
pub(super) struct Reading(Option<Sealed>);

/// What the writing side keeps between two writes.
#[derive(Default)]
pub(super) struct Writing(Vec<u8>);

impl Wire {
    pub(super) fn new(socket: TcpStream, connection: Option<Connection>) -> Wire {
        Wire { socket, session: connection.map(Session::new) }
    }

    /// Reads what there is; 0 at the end. One thread at a time.
    pub(super) fn read(&self, reading: &mut Reading, out: &mut [u8]) -> io::Result<usize> {
        match &self.session {
            None => (&self.socket).read(out),
            Some(session) => session.read(&self.socket, reading.0.get_or_insert_default(), out),
        }
    }

    /// Writes all of a header and what follows it. One thread at a time.
    pub(super) fn write(&self, writing: &mut Writing, header: &[u8], payload: &[u8]) -> io::Result<()> {
        match &self.session {
            None => write_both(&self.socket, header, payload),
            Some(session) => session.write(&self.socket, &mut writing.0, [header, payload]),
        }
    }

    /// Says that nothing more is written.
    pub(super) fn close(&self, writing: &mut Writing) -> io::Result<()> {
        if let Some(session) = &self.session {
            session.close(&self.socket, &mut writing.0)?;
        }
        self.socket.shutdown(Shutdown::Write)
    }
}

/// Both in one call of the system as far as it takes them.
fn write_both(mut socket: &TcpStream, header: &[u8], payload: &[u8]) -> io::Result<()> {
    let mut both = [IoSlice::new(header), IoSlice::new(payload)];
    let mut left = &mut both[..];
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match socket.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A socket that is used until a moment and not longer, however slowly the other side goes on.
pub(super) struct Until<'a> {
    pub(super) socket: &'a TcpStream,
    pub(super) moment: Instant,
}

impl Until<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        match self.moment.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(late()),
            left => Ok(Some(left)),
        }
    }
}

impl Until<'_> {
    /// Waits for a first byte, and takes none. False if the other end has closed instead.
    pub(super) fn is_spoken_to(&self) -> io::Result<bool> {
        self.socket.set_read_timeout(self.left()?)?;
        self.socket.peek(&mut [0]).map(|bytes| bytes > 0).map_err(in_words)
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it did not say who it is in time")
}

/// The system calls a deadline that has passed a read that would block.
fn in_words(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { late() } else { error }
}

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        (&mut &*self.socket).read(buffer).map_err(in_words)
    }
}

impl Write for Until<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        (&mut &*self.socket).write(buffer).map_err(in_words)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
