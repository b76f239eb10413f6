//! Standard input under test: partial lines, long lines, the waker.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use event::{Decoded, Reason};

use super::*;
use crate::{DecodeSpec, TimeSpec, TimeUnit};

const LINE: &[u8] = b"{\"ts\":1700000000000}\n";

/// A reader that gives what a test sends, one read for each.
struct Pipe {
    reads: std::sync::mpsc::Receiver<Vec<u8>>,
    rest: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            self.rest = self.reads.recv().unwrap_or_default();
        }
        let count = self.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        Ok(count)
    }
}

fn pipe() -> (Sender<Vec<u8>>, Stream) {
    let (sender, reads) = channel();
    let spec = DecodeSpec::new(Vec::new(), TimeSpec::new(&["ts"], TimeUnit::Millis));
    let spec = DecodeSpec { record_bytes_max: 2000, ..spec };
    let pipe = Pipe { reads, rest: Vec::new() };
    let stream = Stream::spawn("a test's input", pipe, Format::Json, spec).unwrap();
    (sender, stream)
}

/// Polls until there is something; `None` at the end.
fn wait(stream: &mut Stream) -> Option<Decoded> {
    let start = Instant::now();
    loop {
        match stream.poll(usize::MAX).unwrap() {
            Poll::Decoded(decoded) => return Some(decoded),
            Poll::Finished | Poll::Closed(_) => return None,
            Poll::Pending | Poll::CaughtUp => {
                assert!(start.elapsed() < Duration::from_secs(20), "nothing came")
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn drain(stream: &mut Stream) -> (Vec<u64>, Vec<(u64, Reason)>) {
    let (mut offsets, mut rejected) = (Vec::new(), Vec::new());
    while let Some(decoded) = wait(stream) {
        offsets.extend(&decoded.records.offsets);
        rejected.extend(decoded.rejected.iter().map(|record| (record.offset, record.reason)));
    }
    (offsets, rejected)
}

#[test]
fn a_line_is_handed_on_once_it_is_whole() {
    let (sender, mut stream) = pipe();
    sender.send(LINE[..10].to_vec()).unwrap();
    thread::sleep(Duration::from_millis(20));
    assert!(matches!(stream.poll(usize::MAX).unwrap(), Poll::CaughtUp));
    sender.send([&LINE[10..], &LINE[..3]].concat()).unwrap();
    assert_eq!(wait(&mut stream).unwrap().records.offsets, [0]);
    assert_eq!(stream.position().offset, LINE.len() as u64);
    sender.send(LINE[3..].to_vec()).unwrap();
    assert_eq!(wait(&mut stream).unwrap().records.offsets, [LINE.len() as u64]);
    drop(sender);
    assert!(wait(&mut stream).is_none());
}

#[test]
fn the_last_line_needs_no_newline() {
    let (sender, mut stream) = pipe();
    sender.send([LINE, &LINE[..LINE.len() - 1]].concat()).unwrap();
    drop(sender);
    assert_eq!(drain(&mut stream), (vec![0, LINE.len() as u64], vec![]));
}

#[test]
fn a_huge_line_is_one_rejected_record_in_flat_memory() {
    let (sender, mut stream) = pipe();
    thread::spawn(move || {
        sender.send(LINE.to_vec()).unwrap();
        for _ in 0..2000 {
            sender.send(vec![b'x'; 50_000]).unwrap();
            // The channel of this test has no bound, unlike the one that is tested.
            thread::sleep(Duration::from_micros(50));
        }
        sender.send([b"\n", LINE].concat()).unwrap();
    });
    let (mut offsets, mut rejected) = (Vec::new(), Vec::new());
    while let Some(decoded) = wait(&mut stream) {
        offsets.extend(decoded.records.offsets);
        rejected.extend(decoded.rejected.iter().map(|record| (record.offset, record.reason)));
        assert!(stream.feed.capacity() < 4 << 20);
    }
    let first = LINE.len() as u64;
    assert_eq!(offsets, [0, first + 2000 * 50_000 + 1]);
    assert_eq!(rejected, [(first, Reason::TooLong)]);
}

#[test]
fn a_poll_keeps_to_the_number_of_records_that_it_may_give() {
    let (sender, mut stream) = pipe();
    sender.send(LINE.repeat(5)).unwrap();
    drop(sender);
    let mut sizes = Vec::new();
    loop {
        match stream.poll(2).unwrap() {
            Poll::Decoded(decoded) => sizes.push(decoded.records.batch.rows()),
            Poll::Pending | Poll::CaughtUp => thread::sleep(Duration::from_millis(1)),
            Poll::Finished | Poll::Closed(_) => break,
        }
    }
    assert_eq!(sizes, [2, 2, 1]);
}

#[test]
fn the_waker_is_called_for_bytes_and_for_the_end() {
    let (sender, mut stream) = pipe();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    stream.set_waker(Arc::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    }));
    let wait_for = |count| {
        let start = Instant::now();
        while calls.load(Ordering::SeqCst) < count {
            assert!(start.elapsed() < Duration::from_secs(20), "not called");
            thread::sleep(Duration::from_millis(1));
        }
    };
    wait_for(1);
    sender.send(LINE.to_vec()).unwrap();
    wait_for(2);
    drop(sender);
    wait_for(3);
    assert_eq!(drain(&mut stream).0, [0]);
}
