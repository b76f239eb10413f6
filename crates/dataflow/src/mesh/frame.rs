//! Frames: what timely writes, between heartbeats.
//!
//! A frame is its length, four bytes, and as many bytes of timely's stream. A heartbeat is a frame of length
//! 0. Whatever timely writes at once is one frame.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::wire::{Wire, Writing};

/// Longer writes become several frames.
const LONGEST: usize = 1 << 30;
/// Read ahead, so that small frames do not cost a call of the system each. Longer ones pass by it.
const AHEAD: usize = 4 << 10;

/// Takes frames apart.
pub(super) struct FrameReader<R> {
    inner: BufReader<R>,
    /// Bytes that the frame still has.
    left: usize,
}

impl<R: Read> FrameReader<R> {
    pub(super) fn new(inner: R) -> Self {
        FrameReader { inner: BufReader::with_capacity(AHEAD, inner), left: 0 }
    }

    /// The length of the next frame that has data; `None` at the end of the stream.
    fn next_frame(&mut self) -> io::Result<Option<usize>> {
        loop {
            let mut header = [0; 4];
            let mut filled = 0;
            while filled < header.len() {
                let available = self.inner.fill_buf()?;
                if available.is_empty() {
                    return Ok(None);
                }
                let taken = available.len().min(header.len() - filled);
                header[filled..filled + taken].copy_from_slice(&available[..taken]);
                self.inner.consume(taken);
                filled += taken;
            }
            match u32::from_le_bytes(header) as usize {
                0 => {}
                length => return Ok(Some(length)),
            }
        }
    }
}

/// An end in the middle of a frame is an end: timely knows whether it was one in the middle of its stream.
impl<R: Read> Read for FrameReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            match self.next_frame()? {
                None => return Ok(0),
                Some(length) => self.left = length,
            }
        }
        let most = buffer.len().min(self.left);
        let read = self.inner.read(&mut buffer[..most])?;
        self.left -= read;
        Ok(read)
    }
}

/// Puts frames together; timely's thread and the one of the heartbeats share it.
pub(super) struct FrameWriter {
    pub(super) wire: Arc<Wire>,
    state: Mutex<State>,
    /// Whether there was a frame since the last beat was due.
    busy: AtomicBool,
}

#[derive(Default)]
struct State {
    writing: Writing,
    closed: bool,
}

impl FrameWriter {
    pub(super) fn new(wire: Arc<Wire>) -> Self {
        FrameWriter { wire, state: Mutex::default(), busy: AtomicBool::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes data, all of it or as much as a frame takes.
    pub(super) fn write(&self, data: &[u8]) -> io::Result<usize> {
        let data = &data[..data.len().min(LONGEST)];
        if data.is_empty() {
            return Ok(0);
        }
        let mut state = self.lock();
        self.wire.write(&mut state.writing, &(data.len() as u32).to_le_bytes(), data)?;
        self.busy.store(true, Ordering::Relaxed);
        Ok(data.len())
    }

    /// Writes a heartbeat unless there was data; `false` once nothing is written any more.
    pub(super) fn beat(&self) -> io::Result<bool> {
        if self.busy.swap(false, Ordering::Relaxed) {
            return Ok(true);
        }
        let mut state = self.lock();
        if !state.closed {
            self.wire.write(&mut state.writing, &0u32.to_le_bytes(), &[])?;
        }
        Ok(!state.closed)
    }

    /// Says that nothing more is written.
    pub(super) fn close(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.closed = true;
        self.wire.close(&mut state.writing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes as a slow network may: few at a time.
    struct Crumbs<'a>(&'a [u8], usize);

    impl Read for Crumbs<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(self.1);
            (&mut self.0).take(most as u64).read(buffer)
        }
    }

    fn frames(parts: &[&[u8]]) -> Vec<u8> {
        parts.iter().flat_map(|part| [&(part.len() as u32).to_le_bytes()[..], part].concat()).collect()
    }

    fn data_of(bytes: &[u8], crumb: usize) -> Vec<u8> {
        let mut data = Vec::new();
        FrameReader::new(Crumbs(bytes, crumb)).read_to_end(&mut data).unwrap();
        data
    }

    #[test]
    fn heartbeats_between_and_behind_frames_are_no_data_however_the_bytes_come() {
        let long = vec![7; 3 * AHEAD];
        let bytes = frames(&[b"", b"one", b"", b"", &long, b"two", b""]);
        let expected = [b"one", &long[..], b"two"].concat();
        for crumb in [1, 3, 5, AHEAD, usize::MAX] {
            assert!(data_of(&bytes, crumb) == expected, "{crumb} bytes at a time");
        }
    }

    #[test]
    fn a_stream_that_ends_within_a_frame_or_a_header_ends_there() {
        assert_eq!(data_of(&frames(&[b"data"])[..6], 9), b"da");
        assert_eq!(data_of(&frames(&[b"data"])[..2], 9), b"");
        assert_eq!(data_of(&u32::MAX.to_le_bytes(), 9), b"", "a huge length takes no memory");
    }
}
