//! Journals that are killed, torn, damaged, trimmed and full, against a list of lines that says what they must hold.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;

use journal::{Appended, Journal, JournalError, Lines, Refused, Spec};
use proptest::prelude::*;

/// Small, so that a segment holds a few frames: an eighth of it.
const BYTES_MAX: u64 = 8 << 10;
/// Of a segment, and of a frame.
const HEADER_BYTES: usize = 40;
const FRAME_HEADER_BYTES: usize = 40;

fn spec(dir: &Path, ids_max: usize) -> Spec {
    Spec { dir: dir.to_owned(), bytes_max: BYTES_MAX, ids_max }
}

fn lines(all: &[(&str, Option<u128>)]) -> Lines {
    let mut lines = Lines::default();
    all.iter().for_each(|(line, id)| lines.push(line.as_bytes(), *id));
    lines
}

fn append(journal: &Journal, lines: Lines) -> Result<Appended, Refused> {
    let (sender, answers) = channel();
    journal.appender().append(lines, move |answer| sender.send(answer).expect("somebody waits"));
    answers.recv().expect("an answer")
}

/// All that can be read from an offset on.
fn read(journal: &Journal, from: u64) -> Result<Vec<u8>, JournalError> {
    let mut reader = journal.read_from(from)?;
    let mut all = Vec::new();
    while let Some(chunk) = reader.read(300)? {
        assert_eq!(chunk.offset, from + all.len() as u64, "chunks follow one another");
        assert_eq!(chunk.bytes.last(), Some(&b'\n'), "chunks are whole lines");
        all.extend(chunk.bytes);
        assert_eq!(reader.offset(), from + all.len() as u64);
    }
    Ok(all)
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let path = entry.expect("an entry").path();
        std::fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("copy");
    }
}

#[test]
fn what_was_acknowledged_is_there_after_any_restart_in_order_and_readable_from_each_line_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut all = Vec::new();
    for start in 0..3 {
        let journal = Journal::open(&spec(folder.path(), 0)).expect("open");
        assert_eq!((journal.first(), journal.end()), (0, all.len() as u64));
        assert!(journal.cut().is_none());
        for number in 0..40 {
            let line = format!("start {start} line {number}");
            append(&journal, lines(&[(&line, None), ("", None)])).expect("appended");
            all.extend_from_slice(format!("{line}\n\n").as_bytes());
        }
        let starts = all.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        for from in std::iter::once(0).chain(starts) {
            assert_eq!(read(&journal, from as u64).expect("read"), all[from..], "from {from} on");
        }
    }
    assert!(files(folder.path(), "log").len() > 2, "several segments");
}

#[test]
fn all_that_wait_become_durable_together_and_each_is_answered_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(&spec(folder.path(), 1000)).expect("open");
    let (sender, answers) = channel();
    let threads: Vec<_> = (0..4)
        .map(|client| {
            let (appender, sender) = (journal.appender(), sender.clone());
            std::thread::spawn(move || {
                for number in 0..50u128 {
                    // Every client sends the same lines.
                    let sender = sender.clone();
                    let done = move |answer| sender.send(answer).expect("somebody counts");
                    appender.append(lines(&[(&format!("{number}"), Some(number))]), done);
                }
                client
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| assert!(thread.join().expect("a client") < 4));
    drop((journal, sender));
    let answers: Vec<Appended> = answers.iter().map(|answer| answer.expect("appended")).collect();
    let sum = |count: fn(&Appended) -> u64| answers.iter().map(count).sum::<u64>();
    assert_eq!((answers.len(), sum(|a| a.appended), sum(|a| a.duplicates)), (200, 50, 150));
    let journal = Journal::open(&spec(folder.path(), 1000)).expect("open");
    let mut found: Vec<u64> = String::from_utf8(read(&journal, 0).expect("read"))
        .expect("text")
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();
    found.sort_unstable();
    assert_eq!(found, (0..50).collect::<Vec<u64>>(), "each line once");
}

/// A journal of one segment with three frames; returns its lines, and the bytes of its file.
fn three_frames(dir: &Path) -> ([&'static str; 3], Vec<u8>) {
    let journal = Journal::open(&spec(dir, 10)).expect("open");
    let frames = ["one\n", "two\nand more\n", "three\n"];
    for (id, frame) in frames.iter().enumerate() {
        let mut lines = Lines::default();
        frame.lines().enumerate().for_each(|(at, line)| {
            lines.push(line.as_bytes(), Some((10 * id + at) as u128));
        });
        append(&journal, lines).expect("appended");
    }
    drop(journal);
    let [file] = files(dir, "log").try_into().expect("one segment");
    (frames, std::fs::read(file).expect("bytes"))
}

/// Behind which byte of the file each frame ends: the header, and then three frames.
fn ends(frames: &[&str]) -> Vec<usize> {
    let mut end = HEADER_BYTES;
    let each = frames.iter().map(|frame| {
        end += FRAME_HEADER_BYTES + 16 * frame.lines().count() + frame.len();
        end
    });
    std::iter::once(HEADER_BYTES).chain(each).collect()
}

#[test]
fn a_file_that_is_torn_at_any_byte_loses_what_was_torn_and_nothing_else_and_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (frames, bytes) = three_frames(&folder.path().join("whole"));
    let ends = ends(&frames);
    assert_eq!(ends[3], bytes.len());
    for length in HEADER_BYTES..=bytes.len() {
        let dir = folder.path().join(format!("torn-{length}"));
        copy(&folder.path().join("whole"), &dir);
        let file = files(&dir, "log").remove(0);
        OpenOptions::new().write(true).open(&file).expect("open").set_len(length as u64).expect("cut");
        let whole = ends.iter().filter(|end| **end <= length).count() - 1;
        let journal = Journal::open(&spec(&dir, 10)).expect("open");
        let torn = (length - ends[whole]) as u64;
        assert_eq!(journal.cut().map_or(0, |cut| cut.bytes), torn, "torn at {length}");
        let mut expected = frames[..whole].concat();
        assert_eq!(read(&journal, 0).expect("read"), expected.as_bytes(), "torn at {length}");
        // Nobody was told that the last one is there: it comes again, and is new.
        let again = append(&journal, lines(&[("three", Some(20))])).expect("appended");
        assert_eq!(again.appended, u64::from(whole < 3), "torn at {length}");
        if whole < 3 {
            expected.push_str("three\n");
        }
        drop(journal);
        let journal = Journal::open(&spec(&dir, 10)).expect("open again");
        assert!(journal.cut().is_none());
        assert_eq!(read(&journal, 0).expect("read"), expected.as_bytes());
    }
}

#[test]
fn a_flipped_bit_is_refused_or_takes_the_last_frame_with_it_but_is_never_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let (frames, bytes) = three_frames(&folder.path().join("whole"));
    let ends = ends(&frames);
    let dir = folder.path().join("flipped");
    for bit in 0..bytes.len() * 8 {
        copy(&folder.path().join("whole"), &dir);
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let file = files(&dir, "log").remove(0);
        std::fs::write(&file, flipped).expect("write");
        match Journal::open(&spec(&dir, 10)) {
            Err(JournalError::Damaged { path, .. }) => {
                assert!(bit / 8 < ends[2], "bit {bit} of the last frame looks torn");
                assert_eq!(path, file);
            }
            Err(other) => panic!("bit {bit}: {other}"),
            Ok(journal) => {
                assert!(bit / 8 >= ends[2], "bit {bit} is not noticed");
                assert_eq!(read(&journal, 0).expect("read"), frames[..2].concat().as_bytes());
            }
        }
    }
}

#[test]
fn lines_that_hold_the_bytes_of_a_frame_are_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let (frames, bytes) = three_frames(&folder.path().join("other"));
    let dir = folder.path().join("own");
    let journal = Journal::open(&spec(&dir, 0)).expect("open");
    append(&journal, lines(&[("first", None)])).expect("appended");
    let hostile: Vec<u8> = bytes[HEADER_BYTES..].iter().copied().filter(|byte| *byte != b'\n').collect();
    let mut last = Lines::default();
    last.push(&hostile, None);
    append(&journal, last).expect("appended");
    drop(journal);
    let file = files(&dir, "log").remove(0);
    let length = std::fs::metadata(&file).expect("length").len();
    OpenOptions::new().write(true).open(&file).expect("open").set_len(length - 1).expect("cut");
    let journal = Journal::open(&spec(&dir, 0)).expect("it is torn, not damaged");
    assert!(journal.cut().is_some() && frames.len() == 3);
    assert_eq!(read(&journal, 0).expect("read"), b"first\n");
}

#[test]
fn a_full_journal_refuses_until_it_is_trimmed_and_then_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(&spec(folder.path(), 0)).expect("open");
    let line = "x".repeat(200);
    let fill = || (0..1000).take_while(|_| append(&journal, lines(&[(&line, None)])).is_ok()).count() as u64;
    let count = fill();
    assert!(count > 20 && count < 41, "{count} lines of 200 bytes in 8 KiB");
    assert_eq!(append(&journal, lines(&[(&line, None)])), Err(Refused::Full));
    assert_eq!(journal.end(), count * 201, "what was refused is not there");
    let half = count / 2 * 201;
    journal.trim(half);
    append(&journal, lines(&[])).expect("an answer comes after the trimming before it");
    assert!(journal.first() > 0 && journal.first() <= half, "whole segments go");
    assert!(matches!(journal.read_from(0), Err(JournalError::NotHeld { .. })));
    let again = fill();
    assert!(again > 8, "{again}");
    let rest = read(&journal, half).expect("read").len() as u64;
    assert_eq!(rest, (count + again) * 201 - half);
}

#[test]
fn lines_that_were_refused_are_new_when_they_come_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(&spec(folder.path(), 1000)).expect("open");
    let line = "x".repeat(200);
    let full = (0..1000u128).find(|id| append(&journal, lines(&[(&line, Some(*id))])).is_err());
    let full = full.expect("it is full at last");
    // A request of which some lines are known, and one is not.
    let request = lines(&[(&line, Some(0)), (&line, Some(full)), (&line, Some(1))]);
    assert_eq!(append(&journal, request.clone()), Err(Refused::Full));
    let known = append(&journal, lines(&[(&line, Some(0))])).expect("it needs no room");
    assert_eq!((known.appended, known.duplicates), (0, 1));
    journal.trim(journal.end());
    let again = append(&journal, request).expect("appended");
    assert_eq!((again.appended, again.duplicates), (1, 2));
}

#[test]
fn ids_outlive_the_lines_that_they_came_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let line = "x".repeat(200);
    let send = |journal: &Journal, id: u128| append(journal, lines(&[(&line, Some(id))])).expect("appended");
    let mut journal = Journal::open(&spec(folder.path(), 30)).expect("open");
    for id in 0..100u128 {
        assert_eq!(send(&journal, id).appended, 1);
        journal.trim(journal.end());
        if id % 17 == 0 {
            drop(journal);
            journal = Journal::open(&spec(folder.path(), 30)).expect("open");
        }
        for known in id.saturating_sub(29)..=id {
            assert_eq!(send(&journal, known).duplicates, 1, "{known} after {id}");
        }
    }
    assert!(journal.first() > 80 * 201, "the lines are gone: {}", journal.first());
    assert_eq!(send(&journal, 69).appended, 1, "the last 30 are known, not more");
    let memories = files(folder.path(), "ids").len();
    assert!((1..15).contains(&memories), "{memories} files for 30 ids");
}

#[test]
fn two_cannot_have_the_same_journal() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(&spec(folder.path(), 0)).expect("open");
    assert!(matches!(Journal::open(&spec(folder.path(), 0)), Err(JournalError::InUse { .. })));
    drop(journal);
    Journal::open(&spec(folder.path(), 0)).expect("it is free");
}

#[test]
fn a_file_that_is_missing_or_of_another_journal_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let fill = |name: &str| {
        let dir = folder.path().join(name);
        let journal = Journal::open(&spec(&dir, 5)).expect("open");
        let line = "x".repeat(200);
        (0..20u128).for_each(|id| {
            append(&journal, lines(&[(&line, Some(id))])).expect("appended");
        });
        dir
    };
    let (one, other) = (fill("one"), fill("other"));
    let logs = files(&one, "log");
    assert!(logs.len() > 3);
    let refused = |dir: &Path| matches!(Journal::open(&spec(dir, 5)), Err(JournalError::Damaged { .. }));
    let damaged = folder.path().join("gap");
    copy(&one, &damaged);
    std::fs::remove_file(&files(&damaged, "log")[1]).expect("remove");
    assert!(refused(&damaged), "a gap");
    let damaged = folder.path().join("mixed");
    copy(&one, &damaged);
    std::fs::copy(&files(&other, "log")[1], &files(&damaged, "log")[1]).expect("copy");
    assert!(refused(&damaged), "a file of another journal");
}

/// What happens to a journal.
#[derive(Debug, Clone)]
enum Deed {
    /// Lines, with ids of a few, as long as that.
    Append(Vec<(u8, usize)>),
    /// Trims up to that share of what it holds.
    Trim(u8),
    Reopen,
    /// Is killed while it writes: that many bytes of a frame are there.
    Tear(usize),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let append = prop::collection::vec((0..24u8, 0..150usize), 0..6).prop_map(Deed::Append);
    let deed = prop_oneof![
        6 => append,
        2 => any::<u8>().prop_map(Deed::Trim),
        1 => Just(Deed::Reopen),
        1 => (1..200usize).prop_map(Deed::Tear),
    ];
    prop::collection::vec(deed, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The model: all lines ever acknowledged, and the last ids.
    #[test]
    fn whatever_happens_it_holds_what_was_acknowledged_and_knows_the_last_ids(deeds in deeds()) {
        const IDS_MAX: usize = 7;
        let folder = tempfile::tempdir().expect("a folder");
        let open = || Journal::open(&spec(folder.path(), IDS_MAX)).expect("open");
        let mut journal = open();
        let (mut all, mut known) = (Vec::new(), Vec::<u128>::new());
        let mut needed = 0;
        for deed in deeds {
            match deed {
                Deed::Append(sent) => {
                    let (mut request, mut fresh) = (Lines::default(), known.clone());
                    let (mut bytes, mut appended) = (Vec::new(), 0);
                    for (id, length) in sent {
                        let line = vec![b'a' + id; length];
                        request.push(&line, Some(u128::from(id)));
                        if !fresh.contains(&u128::from(id)) {
                            fresh.push(u128::from(id));
                            bytes.extend_from_slice(&line);
                            bytes.push(b'\n');
                            appended += 1;
                        }
                    }
                    match append(&journal, request) {
                        Ok(answer) => {
                            prop_assert_eq!(answer.appended, appended);
                            all.extend(bytes);
                            known = fresh.split_off(fresh.len().saturating_sub(IDS_MAX));
                        }
                        Err(refused) => prop_assert_eq!(refused, Refused::Full),
                    }
                }
                Deed::Trim(share) => {
                    let held = all.len() as u64 - needed;
                    needed += held * u64::from(share) / 255;
                    journal.trim(needed);
                    prop_assert!(append(&journal, Lines::default()).is_ok());
                }
                Deed::Reopen => {
                    drop(journal);
                    journal = open();
                }
                Deed::Tear(count) => {
                    drop(journal);
                    let last = files(folder.path(), "log").pop().expect("a segment");
                    let mut bytes = std::fs::read(&last).expect("bytes");
                    bytes.extend(std::iter::repeat_n(b'\xF5', count));
                    std::fs::write(&last, bytes).expect("write");
                    journal = open();
                    prop_assert_eq!(journal.cut().map(|cut| cut.bytes), Some(count as u64));
                }
            }
            prop_assert_eq!(journal.end(), all.len() as u64);
            prop_assert!(journal.first() <= needed);
            let first = journal.first();
            prop_assert_eq!(read(&journal, first).expect("read"), &all[first as usize..]);
        }
    }
}
