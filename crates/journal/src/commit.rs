//! The thread that writes: one frame and one fsync for all that wait.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use crate::clock::Clock;
use crate::disk;
use crate::error::{JournalError, Refused};
use crate::format::{FRAME_HEADER_BYTES, HEADER_BYTES, ID_BYTES, SegmentHeader, write_frame, write_ids};
use crate::journal::{Segment, Shared, Spec};
use crate::lines::Lines;
use crate::recent::Recent;
use crate::recovery::Memory;

/// Bytes of lines beyond which a frame takes in no further request.
const GROUP_BYTES: usize = 4 << 20;

/// What became of lines that are durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Lines that were appended.
    pub appended: u64,
    /// Lines whose ids were there before, just now or long ago: those are durable too.
    pub duplicates: u64,
}

pub(crate) type Done = Box<dyn FnOnce(Result<Appended, Refused>) + Send>;

pub(crate) enum Order {
    Append(Lines, Done),
    Trim(u64),
    End,
}

/// What is written together.
#[derive(Default)]
struct Group {
    lines: Vec<u8>,
    ids: Vec<u128>,
    /// Number of the first of the ids.
    first_id: u64,
    waiting: Vec<(Appended, Done)>,
}

impl Group {
    fn file_bytes(&self) -> u64 {
        (FRAME_HEADER_BYTES + self.ids.len() * ID_BYTES + self.lines.len()) as u64
    }
}

/// When groups are made durable.
pub(crate) struct Times {
    pub(crate) clock: Clock,
    /// Of the last frame that is durable; 0 before the first.
    pub(crate) last: i64,
}

impl Times {
    /// The time of a frame that is written now.
    fn now(&self) -> i64 {
        (self.clock)().max(self.last)
    }
}

/// Owns the files.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    bytes_max: u64,
    segment_bytes: u64,
    times: Times,
    /// The last segment.
    file: File,
    recent: Recent,
    /// Ids of segments that are gone, oldest first.
    memories: VecDeque<Memory>,
    frame: Vec<u8>,
}

impl Committer {
    pub(crate) fn new(
        spec: &Spec,
        shared: Arc<Shared>,
        times: Times,
        file: File,
        recent: Recent,
        memories: VecDeque<Memory>,
    ) -> Self {
        let (bytes_max, segment_bytes) = (spec.bytes_max, spec.segment_bytes());
        Committer { shared, bytes_max, segment_bytes, times, file, recent, memories, frame: Vec::new() }
    }

    /// Works until it is told to end, or nobody can tell it anything any more.
    pub(crate) fn run(mut self, orders: &Receiver<Order>) {
        let mut goes_on = true;
        while goes_on {
            let mut group = Group { first_id: self.recent.next(), ..Group::default() };
            let mut next = orders.recv().ok();
            goes_on = next.is_some();
            while let Some(order) = next.take() {
                match order {
                    Order::Append(lines, done) => self.take_in(&mut group, &lines, done),
                    // At once: whoever comes after it finds the room.
                    Order::Trim(offset) => self.trim(offset),
                    Order::End => goes_on = false,
                }
                if goes_on && group.lines.len() < GROUP_BYTES {
                    next = orders.try_recv().ok();
                }
            }
            self.commit(group);
        }
    }

    /// Adds lines to a group, or refuses them.
    fn take_in(&mut self, group: &mut Group, lines: &Lines, done: Done) {
        if self.shared.state().stopped.is_some() {
            return done(Err(Refused::Stopped));
        }
        let (ids, bytes, before) = (group.ids.len(), group.lines.len(), self.recent.next());
        let mut appended = Appended { appended: 0, duplicates: 0 };
        for (line, id) in lines.iter() {
            let id = id.filter(|_| self.recent.remembers());
            if id.is_some_and(|id| !self.recent.add(id)) {
                appended.duplicates += 1;
                continue;
            }
            appended.appended += 1;
            group.lines.extend_from_slice(line);
            group.ids.extend(id);
        }
        let is_too_much = self.shared.state().bytes() + group.file_bytes() > self.bytes_max;
        if appended.appended > 0 && is_too_much {
            group.ids.truncate(ids);
            group.lines.truncate(bytes);
            self.recent.take_back(before);
            return done(Err(Refused::Full));
        }
        group.waiting.push((appended, done));
    }

    /// Makes a group durable, and answers.
    fn commit(&mut self, group: Group) {
        let written = if group.lines.is_empty() { Ok(()) } else { self.write(&group) };
        let refused = match written {
            Ok(()) => None,
            Err(error) if error.is_no_space() => Some(Refused::NoSpace(error.to_string())),
            Err(error) => {
                self.stop(&error);
                Some(Refused::Stopped)
            }
        };
        if refused.is_some() {
            self.recent.take_back(group.first_id);
        }
        self.recent.settle();
        for (appended, done) in group.waiting {
            done(refused.clone().map_or(Ok(appended), Err));
        }
    }

    fn write(&mut self, group: &Group) -> Result<(), JournalError> {
        let (mut segment, end) = self.last_segment();
        if segment.bytes >= self.segment_bytes {
            segment = self.begin_segment(end)?;
        }
        let time = self.times.now();
        self.frame.clear();
        write_frame(self.shared.identity, (end, time), &group.ids, &group.lines, &mut self.frame);
        let path = self.path_of(&segment);
        if let Err(source) = self.file.write_all_at(&self.frame, segment.bytes) {
            // Half a frame in the middle would be damage.
            self.file.set_len(segment.bytes).map_err(stopping("cut", &path))?;
            return Err(JournalError::Io { what: "write to", path, source });
        }
        self.file.sync_data().map_err(stopping("sync", &path))?;
        self.times.last = time;
        let waker = {
            let mut state = self.shared.state();
            if let Some(last) = state.segments.back_mut() {
                last.bytes += self.frame.len() as u64;
                last.ids.end = self.recent.next();
            }
            state.end = end + group.lines.len() as u64;
            state.waker.clone()
        };
        if let Some(waker) = waker {
            waker();
        }
        Ok(())
    }

    fn last_segment(&self) -> (Segment, u64) {
        let state = self.shared.state();
        let none = Segment { base: state.end, bytes: u64::MAX, ids: 0..0 };
        (state.segments.back().cloned().unwrap_or(none), state.end)
    }

    fn path_of(&self, segment: &Segment) -> PathBuf {
        self.shared.dir.join(Segment::file_name(segment.base))
    }

    /// Begins the next segment. The ids that come with its first lines are those that are not in the last one.
    fn begin_segment(&mut self, base: u64) -> Result<Segment, JournalError> {
        let header = SegmentHeader { identity: self.shared.identity, base, time_before: self.times.last };
        self.file = disk::create(&self.shared.dir, &Segment::file_name(base), &header.write())?;
        let mut state = self.shared.state();
        let ids = state.segments.back().map_or(0, |last| last.ids.end);
        let segment = Segment { base, bytes: HEADER_BYTES as u64, ids: ids..ids };
        state.segments.push_back(segment.clone());
        Ok(segment)
    }

    /// Removes the segments that nobody needs. Where there is no space for their ids they stay until the next time.
    fn trim(&mut self, offset: u64) {
        while let Some(segment) = self.first_before(offset) {
            let remembered = match self.remember(&segment) {
                Ok(remembered) => remembered,
                Err(error) if error.is_no_space() => break,
                Err(error) => return self.stop(&error),
            };
            // Whoever finds a file gone sees that the journal does not hold it any more.
            self.shared.state().segments.pop_front();
            if let Err(error) = disk::remove(&self.shared.dir, &Segment::file_name(segment.base)) {
                return self.stop(&error);
            }
            self.memories.extend(remembered);
        }
        while self.memories.front().is_some_and(|memory| memory.ids.end <= self.recent.first()) {
            let Some(memory) = self.memories.pop_front() else { return };
            if let Err(error) = disk::remove(&self.shared.dir, &Segment::ids_file_name(memory.base)) {
                return self.stop(&error);
            }
        }
    }

    /// The first segment, if it lies wholly before that offset and is not written to any more.
    fn first_before(&self, offset: u64) -> Option<Segment> {
        let state = self.shared.state();
        let is_over = state.stopped.is_none() && state.segments.get(1)?.base <= offset;
        is_over.then(|| state.segments.front().cloned()).flatten()
    }

    /// Saves the ids of a segment that is to be removed, if any are still known. Whatever happens before it is gone,
    /// they are there once or twice.
    fn remember(&self, segment: &Segment) -> Result<Option<Memory>, JournalError> {
        let mut ids = self.recent.numbered(&segment.ids).peekable();
        if ids.peek().is_none() {
            return Ok(None);
        }
        let bytes = write_ids(self.shared.identity, segment.base, ids);
        disk::create(&self.shared.dir, &Segment::ids_file_name(segment.base), &bytes)?;
        Ok(Some(Memory { base: segment.base, ids: segment.ids.clone() }))
    }

    /// Ends all writing and reading: what the disk holds is not known.
    fn stop(&self, error: &JournalError) {
        let waker = {
            let mut state = self.shared.state();
            state.stopped.get_or_insert_with(|| error.to_string());
            state.waker.clone()
        };
        if let Some(waker) = waker {
            waker();
        }
    }
}

/// A failure after which it is not known what the disk holds, whatever kind the operating system gives it.
fn stopping(what: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> JournalError {
    move |source| {
        let source = io::Error::other(source.to_string());
        JournalError::Io { what, path: path.to_owned(), source }
    }
}
