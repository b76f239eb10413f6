//! Heartbeats: a process that hangs or a network that swallows is noticed within a bound.
//!
//! One side: a thread for each peer writes a heartbeat whenever nothing else was written for a while. Other
//! side: the thread that reads waits in slices of the bound, and gives up after that many silent ones.
//! Slices are counted rather than a clock compared: if this process itself was stopped or had no processor,
//! only one slice has passed for it, and what came meanwhile lies ready to be read.

use std::io::{self, Read};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use super::frame::FrameWriter;
use super::wire::{Reading, Wire};

/// Parts of the bound in which the reader waits.
const SLICES: u32 = 8;
/// Between two heartbeats, however short the bound is that a peer claims to need.
const SHORTEST: Duration = Duration::from_millis(10);
/// Heartbeats within the bound. An idle peer is heard at least every second one.
const BEATS: u32 = 5;

/// Reads, and says when nothing was heard for too long.
pub(super) struct Listener {
    wire: Arc<Wire>,
    reading: Reading,
    timeout: Duration,
}

impl Listener {
    pub(super) fn new(wire: Arc<Wire>, timeout: Duration) -> io::Result<Listener> {
        wire.socket.set_read_timeout(Some(slice(timeout)))?;
        Ok(Listener { wire, reading: Reading::default(), timeout })
    }
}

impl Read for Listener {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut silent = 0;
        loop {
            match self.wire.read(&mut self.reading, buffer) {
                // A stopped process that goes on is told so; timely would take it for a failure.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    silent += 1;
                    if silent >= SLICES {
                        return Err(silence(self.timeout));
                    }
                }
                read => return read,
            }
        }
    }
}

/// How long one read waits.
pub(super) fn slice(timeout: Duration) -> Duration {
    timeout / SLICES
}

fn silence(timeout: Duration) -> io::Error {
    let words = format!("nothing heard for {} s", timeout.as_secs_f64());
    io::Error::new(io::ErrorKind::TimedOut, words)
}

/// Writes heartbeats until the connection is closed. `lost` is told if they cannot be written.
pub(super) fn keep_beating(
    writer: &Arc<FrameWriter>,
    timeout: Duration,
    lost: impl FnOnce(io::Error) + Send + 'static,
) -> io::Result<()> {
    let writer = Arc::downgrade(writer);
    let beat = move || {
        if let Err(error) = beat_on(&writer, (timeout / BEATS).max(SHORTEST)) {
            lost(error);
        }
    };
    thread::Builder::new().name("mesh:beat".to_owned()).stack_size(128 << 10).spawn(beat)?;
    Ok(())
}

fn beat_on(writer: &Weak<FrameWriter>, every: Duration) -> io::Result<()> {
    while let Some(writer) = writer.upgrade() {
        if !writer.beat()? {
            break;
        }
        drop(writer);
        thread::sleep(every);
    }
    Ok(())
}
