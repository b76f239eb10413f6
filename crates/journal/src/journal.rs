//! The journal as its users see it, and what its threads share.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::clock::{self, Clock};
use crate::commit::{Appended, Committer, Done, Order, Times};
use crate::error::{JournalError, Refused};
use crate::format::{HEADER_BYTES, SegmentHeader, is_version_1};
use crate::lines::Lines;
use crate::reader::Reader;
use crate::recovery::{self, Cut, Recovered};
use crate::times;

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

    /// Opens the file of a segment; what is read next is its first frame.
    pub(crate) fn open(dir: &Path, base: u64) -> Result<(PathBuf, File, SegmentHeader), JournalError> {
        let path = dir.join(Segment::file_name(base));
        let mut file = File::open(&path).map_err(JournalError::io("open", &path))?;
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        let head = file.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut bytes);
        head.map_err(JournalError::io("read", &path))?;
        let header = Segment::header(&path, &bytes)?;
        if header.base != base {
            return Err(JournalError::damaged(&path, 16, "it is the file of another offset"));
        }
        Ok((path, file, header))
    }

    /// What the header of a file says that begins with these bytes.
    pub(crate) fn header(path: &Path, bytes: &[u8]) -> Result<SegmentHeader, JournalError> {
        let wrong = || match is_version_1(bytes) {
            true => JournalError::Version { path: path.to_owned(), found: 1 },
            false => JournalError::damaged(path, 0, "its header is not one that was written"),
        };
        SegmentHeader::read(bytes).ok_or_else(wrong)
    }
}

impl Shared {
    /// Nothing that holds the lock can fail half way.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bases of all segments, and the end.
    fn held(&self) -> Result<(Vec<u64>, u64), JournalError> {
        let state = self.state();
        match &state.stopped {
            Some(reason) => Err(JournalError::Stopped { dir: self.dir.clone(), reason: reason.clone() }),
            None => Ok((state.segments.iter().map(|segment| segment.base).collect(), state.end)),
        }
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
    /// If the directory cannot be used or is used by another process, or if what is there is damaged or of an earlier
    /// version, of which nothing is touched then.
    pub fn open(spec: &Spec) -> Result<Journal, JournalError> {
        Journal::open_with(spec, clock::wall())
    }

    /// As [`Journal::open`], with times by that clock. It is asked once for all that is made durable together, by the
    /// journal's thread.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_with(spec: &Spec, clock: Clock) -> Result<Journal, JournalError> {
        let Recovered { identity, segments, end, time, file, recent, memories, cut, lock } =
            recovery::recover(spec)?;
        let state = Mutex::new(State { segments, end, stopped: None, waker: None });
        let shared = Arc::new(Shared { dir: spec.dir.clone(), identity, state });
        let times = Times { clock, last: time };
        let committer = Committer::new(spec, Arc::clone(&shared), times, file, recent, memories);
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

    /// Offset of the first line that it holds which was made durable at that time or later; the end if none was. Times are
    /// microseconds since 1970 by the clock, as it said just before the fsync, and never descend: while a clock that was set
    /// back says less than before, lines have the last time before that. Reads one header of each of a few files, and those
    /// of the frames of one.
    ///
    /// # Errors
    /// If a file cannot be read or is not what was written, or if the journal has stopped.
    pub fn offset_at(&self, time: i64) -> Result<u64, JournalError> {
        loop {
            let (bases, end) = self.shared.held()?;
            match times::offset_at(&self.shared.dir, &bases, end, time) {
                // Trimmed while it was read: then what is left has the answer.
                Err(_) if bases.first().is_some_and(|first| *first < self.first()) => {}
                found => return found,
            }
        }
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
