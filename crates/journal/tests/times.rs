//! Journals under clocks that a test sets, also back, against a list of frames and their times that says where each time
//! begins.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::channel;

use journal::{Journal, JournalError, Lines, Look, Spec};
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Of a segment, and of a frame, which has a line as well.
const HEADER_BYTES: u64 = 40;
const FRAME_HEADER_BYTES: usize = 40;

/// A clock that is set by hand.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicI64>);

impl Clock {
    fn set(&self, time: i64) {
        self.0.store(time, Ordering::SeqCst);
    }

    fn open(&self, dir: &Path) -> Journal {
        let clock = self.clone();
        // Small, so that a segment holds a few frames.
        let spec = Spec { dir: dir.to_owned(), bytes_max: 8 << 10, ids_max: 3 };
        Journal::open_with(&spec, Arc::new(move || clock.0.load(Ordering::SeqCst))).expect("open")
    }
}

/// Whether a line of that length was appended.
fn append(journal: &Journal, length: usize) -> bool {
    let mut lines = Lines::default();
    lines.push(&vec![b'x'; length], None);
    let (sender, answers) = channel();
    journal.appender().append(lines, move |answer| sender.send(answer.is_ok()).expect("somebody waits"));
    answers.recv().expect("an answer")
}

/// Trims, and comes back when that is done.
fn trim(journal: &Journal, offset: u64) {
    journal.trim(offset);
    let (sender, answers) = channel();
    let done = move |answer: Result<_, _>| sender.send(answer.is_ok()).expect("somebody waits");
    journal.appender().append(Lines::default(), done);
    assert!(answers.recv().expect("an answer"));
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|found| found == "log")).collect();
    files.sort();
    files
}

/// The offset in the name of a segment.
fn base(path: &Path) -> u64 {
    path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.parse().ok()).expect("an offset")
}

/// All frames that were ever made durable.
#[derive(Debug, Default)]
struct Model {
    /// Offset and time of each.
    frames: Vec<(u64, i64)>,
    end: u64,
}

impl Model {
    fn last(&self) -> i64 {
        self.frames.last().map_or(0, |(_, time)| *time)
    }

    fn append(&mut self, length: usize, clock: i64) {
        self.frames.push((self.end, clock.max(self.last())));
        self.end += length as u64 + 1;
    }

    /// The last frame is not there any more.
    fn lose(&mut self) {
        if let Some((offset, _)) = self.frames.pop() {
            self.end = offset;
        }
    }

    /// The first line that is held from `first` on and came at that time or later.
    fn offset_at(&self, first: u64, time: i64) -> u64 {
        let late = self.frames.iter().find(|(offset, at)| *offset >= first && *at >= time);
        late.map_or(self.end, |(offset, _)| *offset)
    }

    /// Times around each that there is.
    fn times(&self) -> BTreeSet<i64> {
        let around = self.frames.iter().flat_map(|(_, time)| [time - 1, *time, time + 1]);
        [i64::MIN, -1, 0, i64::MAX].into_iter().chain(around).collect()
    }

    fn check(&self, journal: &Journal, dir: &Path) {
        let (first, look) = (journal.first(), Look::at(dir).expect("a look"));
        for time in self.times() {
            let expected = self.offset_at(first, time);
            assert_eq!(
                journal.offset_at(time).expect("read"),
                expected,
                "at {time} of {self:?} from {first} on"
            );
            let seen = look.offset_at(time).expect("read");
            assert_eq!(seen, Some((journal.identity(), expected)), "at {time} of {self:?} from {first} on");
        }
    }

    /// Before anybody has opened it, and cut off what is torn.
    fn check_torn(&self, dir: &Path) {
        let (first, look) = (base(&segments(dir)[0]), Look::at(dir).expect("a look"));
        for time in self.times() {
            let seen = look.offset_at(time).expect("read").map(|(_, offset)| offset);
            assert_eq!(
                seen,
                Some(self.offset_at(first, time)),
                "torn, at {time} of {self:?} from {first} on"
            );
        }
    }
}

#[test]
fn a_time_begins_with_the_first_line_that_was_made_durable_then_or_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::default();
    let journal = clock.open(folder.path());
    assert_eq!(journal.offset_at(0).expect("read"), 0, "the end of nothing");
    for time in [100, 200, 200, 300] {
        clock.set(time);
        assert!(append(&journal, 9));
    }
    for (time, offset) in [
        (i64::MIN, 0),
        (0, 0),
        (99, 0),
        (100, 0),
        (101, 10),
        (199, 10),
        (200, 10),
        (201, 30),
        (300, 30),
        (301, 40),
    ] {
        assert_eq!(journal.offset_at(time).expect("read"), offset, "at {time}");
    }
}

#[test]
fn while_a_clock_was_set_back_lines_have_the_last_time_before_that() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::default();
    let mut journal = clock.open(folder.path());
    // Before 1970, and then as a clock goes that is set right, is wrong by a lot, and is set right again.
    for time in [-50, 100, 900, 101, 102] {
        clock.set(time);
        assert!(append(&journal, 9));
        drop(journal);
        journal = clock.open(folder.path());
    }
    for (time, offset) in [(0, 0), (1, 10), (100, 10), (101, 20), (900, 20), (901, 50)] {
        assert_eq!(journal.offset_at(time).expect("read"), offset, "at {time}: never behind what came then");
    }
}

#[test]
fn the_last_time_is_known_where_nothing_is_left_but_a_segment_without_a_frame() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::default();
    let journal = clock.open(folder.path());
    let (mut time, mut model) = (1_000, Model::default());
    // Until a second segment has its first frame.
    while segments(folder.path()).len() < 2 {
        time += 10;
        clock.set(time);
        assert!(append(&journal, 100));
        model.append(100, time);
    }
    trim(&journal, journal.end());
    drop(journal);
    let [last] = segments(folder.path()).try_into().expect("one segment");
    // As if the process had been killed after it had begun the file.
    OpenOptions::new().write(true).open(&last).expect("open").set_len(HEADER_BYTES).expect("cut");
    model.lose();
    assert_eq!(model.last(), time - 10);
    clock.set(5);
    let journal = clock.open(folder.path());
    assert_eq!((journal.first(), journal.end()), (model.end, model.end));
    model.check(&journal, folder.path());
    assert!(append(&journal, 100));
    model.append(100, 5);
    model.check(&journal, folder.path());
    assert_eq!(
        journal.offset_at(time - 10).expect("read"),
        journal.first(),
        "it has the time of the one before"
    );
    assert_eq!(journal.offset_at(time - 9).expect("read"), journal.end());
}

/// What happens to a journal.
#[derive(Debug, Clone)]
enum Deed {
    /// The clock jumps by so much, and a line of that length is appended.
    Append(i64, usize),
    /// Trims up to that share of what was ever appended.
    Trim(u8),
    Reopen,
    /// Is killed while it writes: that many bytes behind the last frame, or the last frame without as many.
    Tear(usize),
    Cut(u64),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        12 => (-30..60i64, 0..400usize).prop_map(|(jump, length)| Deed::Append(jump, length)),
        2 => any::<u8>().prop_map(Deed::Trim),
        1 => Just(Deed::Reopen),
        1 => (1..=FRAME_HEADER_BYTES).prop_map(Deed::Tear),
        1 => (1..=FRAME_HEADER_BYTES as u64).prop_map(Deed::Cut),
    ];
    prop::collection::vec(deed, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_happens_each_time_begins_where_the_list_of_frames_says(deeds in deeds()) {
        let folder = tempfile::tempdir().expect("a folder");
        let (clock, dir) = (Clock::default(), folder.path());
        clock.set(20);
        let (mut journal, mut model) = (clock.open(dir), Model::default());
        for deed in deeds {
            match deed {
                Deed::Append(jump, length) => {
                    let now = clock.0.load(Ordering::SeqCst) + jump;
                    clock.set(now);
                    if append(&journal, length) {
                        model.append(length, now);
                    }
                }
                Deed::Trim(share) => {
                    trim(&journal, model.end * u64::from(share) / 255);
                    model.check(&journal, dir);
                }
                Deed::Reopen => {
                    model.check(&journal, dir);
                    drop(journal);
                    journal = clock.open(dir);
                }
                Deed::Tear(count) => {
                    drop(journal);
                    let last = segments(dir).pop().expect("a segment");
                    let mut bytes = std::fs::read(&last).expect("bytes");
                    // What is torn may look like the head of the first frame.
                    let head: Vec<u8> = bytes.iter().copied().skip(HEADER_BYTES as usize).take(count).collect();
                    bytes.extend(head.iter().chain(std::iter::repeat_n(&b'\xF5', count - head.len())));
                    std::fs::write(&last, bytes).expect("write");
                    model.check_torn(dir);
                    journal = clock.open(dir);
                    prop_assert!(journal.cut().is_some());
                }
                Deed::Cut(count) => {
                    drop(journal);
                    let last = segments(dir).pop().expect("a segment");
                    let length = std::fs::metadata(&last).expect("a file").len();
                    if length > HEADER_BYTES {
                        let file = OpenOptions::new().write(true).open(&last).expect("open");
                        file.set_len(length - count).expect("cut");
                        model.lose();
                    }
                    model.check_torn(dir);
                    journal = clock.open(dir);
                }
            }
            prop_assert_eq!(journal.end(), model.end);
        }
        model.check(&journal, dir);
    }
}

#[test]
fn a_journal_of_version_1_is_refused_and_nothing_of_it_is_touched() {
    let folder = tempfile::tempdir().expect("a folder");
    let identity: u64 = 0x0123_4567_89AB_CDEF;
    // As that version wrote a segment: magic, identity, offset, checksum; what follows was never looked at.
    let mut bytes = [&b"TWJRNL01"[..], &identity.to_le_bytes(), &0u64.to_le_bytes()].concat();
    bytes.extend(xxh3_64_with_seed(&bytes, identity).to_le_bytes());
    bytes.extend(b"\xF5TWF and what was acknowledged");
    let (log, ids) = (format!("{:020}.log", 0), format!("{:020}.ids", 0));
    std::fs::write(folder.path().join(&log), &bytes).expect("write");
    std::fs::write(folder.path().join(&ids), "ids").expect("write");
    for ids_max in [0, 10] {
        let spec = Spec { dir: folder.path().to_owned(), bytes_max: 1 << 20, ids_max };
        let Err(refused) = Journal::open(&spec) else { panic!("it is opened") };
        assert!(
            refused.is_refusal() && matches!(refused, JournalError::Version { found: 1, .. }),
            "{refused}"
        );
        let words = refused.to_string();
        assert!(
            words.contains(&log) && words.contains("version 1") && words.contains("version 2"),
            "{words}"
        );
        assert_eq!(std::fs::read(folder.path().join(&log)).expect("read"), bytes);
        assert_eq!(std::fs::read(folder.path().join(&ids)).expect("read"), b"ids");
    }
    let mut look = Look::at(folder.path()).expect("a look");
    assert!(matches!(look.end(), Err(JournalError::Version { .. })));
    assert!(matches!(look.offset_at(0), Err(JournalError::Version { .. })));
    assert!(matches!(look.line(0), Err(JournalError::Version { .. })));
}
