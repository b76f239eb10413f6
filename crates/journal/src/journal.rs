//! The journal as its users see it, and what its threads share.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::commit::{Appended, Committer, Done, Order};
use crate::error::{JournalError, Refused};
use crate::lines::Lines;
use crate::reader::Reader;
use crate::recovery::{self, Cut, Recovered};

/// Where a journal is, and its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Its directory, which is made if it is not there. It belongs to one journal.
    pub dir: PathBuf,
    /// Bytes of its files beyond which nothing is appended. An eighth of it is trimmed at a time, so more than that
    /// at once does not fit well.
    pub bytes_max: u64,
    /// Number of ids that are remembered; 0: none, and nothing is a duplicate.
    pub ids_max: usize,
}

impl Spec {
    /// Bytes of a segment's file beyond which the next one is begun.
    pub(crate) fn segment_bytes(&self) -> u64 {
        const SEGMENT_BYTES_MAX: u64 = 64 << 20;
        (self.bytes_max / 8).min(SEGMENT_BYTES_MAX)
    }
}

/// Called when something can be read that could not be before, or the journal has stopped; by a thread of its own.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// What all threads know.
pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) identity: u64,
    state: Mutex<State>,
}

pub(crate) struct State {
    /// In the order of their offsets. The last one is written to; there always is one.
    pub(crate) segments: VecDeque<Segment>,
    /// Behind the last durable line.
    pub(crate) end: u64,
    /// Why nothing more is written or read.
    pub(crate) stopped: Option<String>,
    pub(crate) waker: Option<Waker>,
}

/// A file of frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Offset of its first line.
    pub(crate) base: u64,
    /// Durable bytes of the file.
    pub(crate) bytes: u64,
    /// Numbers of its ids.
    pub(crate) ids: Range<u64>,
}

impl Segment {
    pub(crate) fn file_name(base: u64) -> String {
        format!("{base:020}.log")
    }

    pub(crate) fn ids_file_name(base: u64) -> String {
        format!("{base:020}.ids")
    }
}

impl Shared {
    /// Nothing that holds the lock can fail half way.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn first(&self) -> u64 {
        self.segments.front().map_or(self.end, |segment| segment.base)
    }

    /// Bytes of all files of lines.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

/// An open journal. Dropped, it writes what was handed in before, answers, and ends.
pub struct Journal {
    shared: Arc<Shared>,
    orders: Sender<Order>,
    committer: Option<JoinHandle<()>>,
    cut: Option<Cut>,
}

impl Journal {
    /// Opens a journal, or begins one where there is none. Reads all that it holds, once, to know that it is
    /// whole; what a crash has torn is cut off, [`Journal::cut`] says so.
    ///
    /// # Errors
    /// If the directory cannot be used or is used by another process, or if what is there is damaged.
    pub fn open(spec: &Spec) -> Result<Journal, JournalError> {
        let Recovered { identity, segments, end, file, recent, memories, cut, lock } =
            recovery::recover(spec)?;
        let state = Mutex::new(State { segments, end, stopped: None, waker: None });
        let shared = Arc::new(Shared { dir: spec.dir.clone(), identity, state });
        let committer = Committer::new(spec, Arc::clone(&shared), file, recent, memories);
        let (orders, incoming) = channel();
        let thread = thread::Builder::new().name("journal".to_owned());
        let committer = thread
            .spawn(move || {
                committer.run(&incoming);
                drop(lock);
            })
            .map_err(JournalError::io("start the thread of the journal in", &spec.dir))?;
        Ok(Journal { shared, orders, committer: Some(committer), cut })
    }

    /// A number that no other journal has.
    pub fn identity(&self) -> u64 {
        self.shared.identity
    }

    /// What a crash had torn.
    pub fn cut(&self) -> Option<&Cut> {
        self.cut.as_ref()
    }

    /// Offset of the first line that it holds. Offsets count the bytes of all lines, with their newlines, since the
    /// journal was begun.
    pub fn first(&self) -> u64 {
        self.shared.state().first()
    }

    /// Offset behind the last durable line.
    pub fn end(&self) -> u64 {
        self.shared.state().end
    }

    /// Reads from an offset on that is the start of a line.
    ///
    /// # Errors
    /// If the journal does not hold it.
    pub fn read_from(&self, offset: u64) -> Result<Reader, JournalError> {
        Reader::at(Arc::clone(&self.shared), offset)
    }

    /// Removes what lies wholly before that offset, some time later and a file at a time.
    pub fn trim(&self, offset: u64) {
        // A journal that has stopped trims nothing, and says so to its reader.
        let _ = self.orders.send(Order::Trim(offset));
    }

    /// Whom to call when there is more to read.
    pub fn set_waker(&self, waker: Waker) {
        self.shared.state().waker = Some(waker);
    }

    /// For whoever appends.
    pub fn appender(&self) -> Appender {
        Appender { orders: self.orders.clone() }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::End);
        if let Some(committer) = self.committer.take() {
            // Its panic, if it had one, was seen when it happened.
            let _ = committer.join();
        }
    }
}

/// Appends to a journal, from any thread.
#[derive(Clone)]
pub struct Appender {
    orders: Sender<Order>,
}

impl Appender {
    /// Hands lines in. `done` is called once they are durable, or will not be; by the journal's thread, so it must be
    /// quick. Lines that are handed in together become durable together.
    pub fn append(&self, lines: Lines, done: impl FnOnce(Result<Appended, Refused>) + Send + 'static) {
        let done: Done = Box::new(done);
        if let Err(unsent) = self.orders.send(Order::Append(lines, done))
            && let Order::Append(_, done) = unsent.0
        {
            done(Err(Refused::Stopped));
        }
    }
}
