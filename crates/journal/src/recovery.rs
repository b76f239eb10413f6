//! What is there when a journal is opened: whole segments, ids of those that are gone, and perhaps a torn end.

use std::collections::VecDeque;
use std::fs::{File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::disk;
use crate::error::JournalError;
use crate::format::{Frame, HEADER_BYTES, SegmentHeader, holds_a_frame, read_ids};
use crate::journal::{Segment, Spec};
use crate::recent::Recent;

/// How long to wait for a process that was killed and has not let go yet.
const ENDING: Duration = Duration::from_secs(1);

/// The end of a journal that a crash had torn, and that was cut off. Nobody was told that it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The file.
    pub path: PathBuf,
    /// How many bytes were cut off.
    pub bytes: u64,
}

/// A file that remembers the ids of a segment that is gone.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) base: u64,
    /// Numbers of its ids.
    pub(crate) ids: Range<u64>,
}

pub(crate) struct Recovered {
    pub(crate) identity: u64,
    pub(crate) segments: VecDeque<Segment>,
    pub(crate) end: u64,
    /// Of the last frame, also where that was trimmed; 0 if there was none.
    pub(crate) time: i64,
    /// The last segment.
    pub(crate) file: File,
    pub(crate) recent: Recent,
    pub(crate) memories: VecDeque<Memory>,
    pub(crate) cut: Option<Cut>,
    /// Held as long as the journal is open.
    pub(crate) lock: File,
}

/// Bases of the files that are there, ascending.
struct Found {
    segments: Vec<u64>,
    memories: Vec<u64>,
}

pub(crate) fn recover(spec: &Spec) -> Result<Recovered, JournalError> {
    let dir = &spec.dir;
    std::fs::create_dir_all(dir).map_err(JournalError::io("make", dir))?;
    let lock = lock(dir)?;
    let found = find(dir)?;
    let [first, ..] = found.segments.as_slice() else {
        return begin(spec, &found, lock);
    };
    // One of another version is refused before anything is changed.
    Segment::open(dir, *first)?;
    let last = found.segments.last().copied().unwrap_or(*first);
    let mut recovery =
        Recovery { dir, identity: None, recent: Recent::new(spec.ids_max), reached: None, cut: None };
    let mut memories = VecDeque::new();
    for base in found.memories {
        // Its segment is still there: it was not removed in time, and has all of them.
        if found.segments.contains(&base) || spec.ids_max == 0 {
            disk::remove(dir, &Segment::ids_file_name(base))?;
        } else {
            memories.push_back(recovery.read_memory(base)?);
        }
    }
    let mut segments = VecDeque::with_capacity(found.segments.len());
    for base in found.segments {
        segments.push_back(recovery.read_segment(base, base == last)?);
    }
    let Recovery { identity, recent, reached, cut, .. } = recovery;
    let path = dir.join(Segment::file_name(last));
    let file = File::options().read(true).write(true).open(&path).map_err(JournalError::io("open", &path))?;
    if let Some(segment) = segments.back().filter(|_| cut.is_some()) {
        file.set_len(segment.bytes).map_err(JournalError::io("cut", &path))?;
    }
    // What was written and not yet synced when a process was killed is whole, but may not be durable.
    file.sync_all().map_err(JournalError::io("sync", &path))?;
    disk::sync_dir(dir)?;
    let (identity, (end, time)) = (identity.unwrap_or_default(), reached.unwrap_or((last, 0)));
    Ok(Recovered { identity, segments, end, time, file, recent, memories, cut, lock })
}

/// Takes the directory for this process, until the lock is dropped or the process ends, however it ends.
fn lock(dir: &Path) -> Result<File, JournalError> {
    let path = dir.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(JournalError::io("open", &path))?;
    let asked = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if asked.elapsed() < ENDING => thread::sleep(ENDING / 50),
            Err(TryLockError::WouldBlock) => return Err(JournalError::InUse { dir: dir.to_owned() }),
            Err(TryLockError::Error(source)) => {
                return Err(JournalError::Io { what: "lock", path, source });
            }
        }
    }
}

fn find(dir: &Path) -> Result<Found, JournalError> {
    let failed = || JournalError::io("list", dir);
    let mut found = Found { segments: Vec::new(), memories: Vec::new() };
    for entry in std::fs::read_dir(dir).map_err(failed())? {
        let name = entry.map_err(failed())?.file_name().to_string_lossy().into_owned();
        let base = |base: &str| base.parse::<u64>().ok();
        if let Some(base) = name.strip_suffix(".log").and_then(base) {
            found.segments.push(base);
        } else if let Some(base) = name.strip_suffix(".ids").and_then(base) {
            found.memories.push(base);
        } else if name.ends_with(".tmp") {
            disk::remove(dir, &name)?;
        }
    }
    found.segments.sort_unstable();
    found.memories.sort_unstable();
    Ok(found)
}

/// Begins a journal where there is none.
fn begin(spec: &Spec, found: &Found, lock: File) -> Result<Recovered, JournalError> {
    if let Some(base) = found.memories.first() {
        let path = spec.dir.join(Segment::ids_file_name(*base));
        return Err(JournalError::damaged(&path, 0, "the files of lines that belong to it are missing"));
    }
    // A random number, as std has it for hash maps.
    let identity = RandomState::new().hash_one(std::process::id());
    let header = SegmentHeader { identity, base: 0, time_before: 0 };
    let file = disk::create(&spec.dir, &Segment::file_name(0), &header.write())?;
    let segment = Segment { base: 0, bytes: HEADER_BYTES as u64, ids: 0..0 };
    Ok(Recovered {
        identity,
        segments: VecDeque::from([segment]),
        end: 0,
        time: 0,
        file,
        recent: Recent::new(spec.ids_max),
        memories: VecDeque::new(),
        cut: None,
        lock,
    })
}

/// What was found so far.
struct Recovery<'a> {
    dir: &'a Path,
    identity: Option<u64>,
    recent: Recent,
    /// The offset behind the last line, and the time of its frame.
    reached: Option<(u64, i64)>,
    cut: Option<Cut>,
}

impl Recovery<'_> {
    fn read(&self, name: &str) -> Result<(PathBuf, Vec<u8>), JournalError> {
        let path = self.dir.join(name);
        let bytes = std::fs::read(&path).map_err(JournalError::io("read", &path))?;
        Ok((path, bytes))
    }

    /// Checks that a file belongs to the same journal as the others.
    fn belongs(&mut self, path: &Path, identity: u64) -> Result<(), JournalError> {
        if *self.identity.get_or_insert(identity) == identity {
            return Ok(());
        }
        Err(JournalError::damaged(path, 8, "it belongs to another journal than the files before it"))
    }

    fn read_memory(&mut self, base: u64) -> Result<Memory, JournalError> {
        let (path, bytes) = self.read(&Segment::ids_file_name(base))?;
        let damaged = || JournalError::damaged(&path, 0, "its checksum does not fit");
        let (identity, ids) = read_ids(&bytes).ok_or_else(damaged)?;
        self.belongs(&path, identity)?;
        let first = self.recent.next();
        ids.into_iter().for_each(|id| {
            self.recent.add(id);
        });
        let ids = first..self.recent.next();
        self.recent.settle();
        Ok(Memory { base, ids })
    }

    fn read_segment(&mut self, base: u64, is_last: bool) -> Result<Segment, JournalError> {
        let (path, bytes) = self.read(&Segment::file_name(base))?;
        let damaged = |at, what| Err(JournalError::damaged(&path, at, what));
        let SegmentHeader { identity, base: said, time_before } = Segment::header(&path, &bytes)?;
        self.belongs(&path, identity)?;
        if said != base || self.reached.is_some_and(|reached| reached != (base, time_before)) {
            return damaged(16, "it does not go on where the file before it ends");
        }
        let (first, mut at, mut end, mut time) = (self.recent.next(), HEADER_BYTES, base, time_before);
        while at < bytes.len() {
            let frame = Frame::read(identity, &bytes[at..])
                .filter(|frame| frame.header.offset == end && frame.header.time >= time);
            let Some(frame) = frame else {
                if !is_last || holds_a_frame(identity, &bytes[at..]) {
                    return damaged(at, "this is no frame that was written");
                }
                self.cut = Some(Cut { path: path.clone(), bytes: (bytes.len() - at) as u64 });
                break;
            };
            frame.ids().for_each(|id| {
                self.recent.add(id);
            });
            // Frame by frame, as when they were written: the same ids are known as then.
            self.recent.settle();
            at += frame.header.frame_bytes();
            (end, time) = (frame.header.end(), frame.header.time);
        }
        self.reached = Some((end, time));
        Ok(Segment { base, bytes: at as u64, ids: first..self.recent.next() })
    }
}
