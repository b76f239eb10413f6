//! The limit of events over HTTP: a server that is written for this alone. It appends the body of each request to a file as
//! it is, and answers 200 once an fsync covers it, one for all that wait. It looks into no event, refuses nobody, forgets
//! nothing, and keeps no file short.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A server that runs as long as this process does.
pub(crate) struct Journal {
    pub(crate) address: SocketAddr,
}

struct Log {
    file: File,
    state: Mutex<State>,
    /// Somebody's fsync is over.
    synced: Condvar,
}

/// Bodies, counted.
#[derive(Default)]
struct State {
    written: u64,
    durable: u64,
    is_syncing: bool,
}

impl Journal {
    /// Starts one on a free port.
    pub(crate) fn start(file: &Path) -> io::Result<Journal> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let log =
            Arc::new(Log { file: File::create(file)?, state: Mutex::default(), synced: Condvar::new() });
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = Arc::clone(&log);
                // A client that goes away is no failure.
                std::thread::spawn(move || serve(&stream, &log));
            }
        });
        Ok(Journal { address })
    }
}

fn serve(mut stream: &TcpStream, log: &Log) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(1 << 16, stream);
    let (mut line, mut body) = (String::new(), Vec::new());
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            match line.trim_end().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().map_err(io::Error::other)?,
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        log.append(&body)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}

impl Log {
    /// Appends a body, and comes back once it is durable.
    fn append(&self, body: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        (&self.file).write_all(body)?;
        state.written += 1;
        let own = state.written;
        while state.durable < own {
            if state.is_syncing {
                state = self.synced.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let written = state.written;
            state.is_syncing = true;
            drop(state);
            let done = self.file.sync_data();
            state = self.lock();
            state.is_syncing = false;
            self.synced.notify_all();
            done?;
            state.durable = written;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
