//! Files under test that are written to while they are read: they grow, are rotated, are truncated, and a reader that
//! goes on finds its place in each.

use std::fs::OpenOptions;

use super::*;
use crate::{TimeSpec, TimeUnit};

fn spec() -> DecodeSpec {
    DecodeSpec::new(Vec::new(), TimeSpec::new(&["ts"], TimeUnit::Millis))
}

fn json(number: u64) -> String {
    format!("{{\"ts\":{}}}\n", 1_700_000_000_000 + number)
}

struct Log {
    folder: tempfile::TempDir,
}

impl Log {
    fn new() -> Self {
        Log { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("events")
    }

    fn append(&self, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn rotate(&self, name: &str) {
        fs::rename(self.path(), self.folder.path().join(name)).unwrap();
    }

    fn tail(&self, format: Format, position: Option<&Position>) -> Result<Tail, IngestError> {
        let start = partition(&self.path(), 0).unwrap().start;
        Tail::open(self.path(), format, position.unwrap_or(&start), spec())
    }
}

/// What a tail gives until it has caught up: the numbers of its records, `None` for one that is rejected. Offsets rise.
fn take(tail: &mut Tail) -> Vec<Option<u64>> {
    let (mut taken, mut last) = (Vec::new(), None);
    loop {
        match tail.poll(1).unwrap() {
            Poll::Decoded(decoded) => {
                let offsets =
                    decoded.records.offsets.iter().chain(decoded.rejected.iter().map(|r| &r.offset));
                for offset in offsets {
                    assert!(last < Some(*offset), "offsets rise");
                    last = Some(*offset);
                }
                assert!(last.is_none() || Some(tail.position().offset) > last);
                taken.extend(
                    decoded.records.times.iter().map(|time| Some((time / 1000 - 1_700_000_000_000) as u64)),
                );
                taken.extend(decoded.rejected.iter().map(|_| None));
            }
            Poll::CaughtUp => return taken,
            other => panic!("{other:?}"),
        }
    }
}

fn some(numbers: std::ops::Range<u64>) -> Vec<Option<u64>> {
    numbers.map(Some).collect()
}

#[test]
fn a_file_that_grows_gives_each_record_once_it_is_whole() {
    let log = Log::new();
    let mut tail = log.tail(Format::Json, None).unwrap();
    assert_eq!(take(&mut tail), [], "the file is waited for");
    let line = json(1);
    log.append(&(json(0) + &line[..9]));
    assert_eq!(take(&mut tail), some(0..1));
    assert_eq!(tail.lag(), Some(Lag { bytes: Some(9), ..Lag::default() }));
    log.append(&line[9..]);
    assert_eq!(take(&mut tail), some(1..2));
    let mut again = log.tail(Format::Json, Some(&tail.position())).unwrap();
    log.append(&json(2));
    assert_eq!((take(&mut tail), take(&mut again)), (some(2..3), some(2..3)));
}

#[test]
fn a_file_that_is_rotated_is_read_to_its_end_and_then_the_new_one_is() {
    for format in [Format::Json, Format::Csv] {
        let header = if format == Format::Csv { "ts\n" } else { "" };
        let line = |number| match format {
            Format::Csv => format!("{}\n", 1_700_000_000_000 + number),
            _ => json(number),
        };
        let log = Log::new();
        log.append(&(header.to_owned() + &line(0)));
        let mut tail = log.tail(format, None).unwrap();
        assert_eq!(take(&mut tail), some(0..1));
        log.append(&line(1));
        let before = tail.position();
        log.rotate("events.1");
        assert_eq!(take(&mut tail), some(1..2), "the new file is not there yet");
        let old = OpenOptions::new().append(true).open(log.folder.path().join("events.1"));
        old.unwrap().write_all(line(2).trim_end().as_bytes()).unwrap();
        log.append(&(header.to_owned() + &line(3)));
        assert_eq!(take(&mut tail), some(2..4), "the last line has no end");
        // Whoever goes on from before finds the old file under its new name, gives the same, and at the same offsets.
        let mut again = log.tail(format, Some(&before)).unwrap();
        assert_eq!(take(&mut again), some(1..4));
        assert_eq!(again.position(), tail.position());
        let mut later = log.tail(format, Some(&tail.position())).unwrap();
        log.append(&line(4));
        assert_eq!((take(&mut tail), take(&mut later)), (some(4..5), some(4..5)));
    }
}

#[test]
fn a_file_that_is_truncated_is_read_from_its_start_at_offsets_that_go_on() {
    let log = Log::new();
    log.append(&(json(0) + &json(1) + "{\"ts\":17"));
    let mut tail = log.tail(Format::Json, None).unwrap();
    assert_eq!(take(&mut tail), some(0..2));
    let before = tail.position();
    fs::write(log.path(), json(2)).unwrap();
    assert_eq!(take(&mut tail), [None, Some(2)], "what was cut off is no record");
    assert!(tail.position().offset > before.offset);
    // Shorter than before, and longer but with another beginning.
    let mut again = log.tail(Format::Json, Some(&before)).unwrap();
    assert_eq!(take(&mut again), some(2..3));
    let text: String = (3..200).map(json).collect();
    fs::write(log.path(), text).unwrap();
    assert_eq!(take(&mut tail), some(3..200));
}

#[test]
fn a_file_that_is_gone_is_refused_and_one_that_was_copied_is_not() {
    let log = Log::new();
    log.append(&json(0));
    let mut tail = log.tail(Format::Json, None).unwrap();
    assert_eq!(take(&mut tail), some(0..1));
    let position = tail.position();
    fs::copy(log.path(), log.folder.path().join("copy")).unwrap();
    fs::rename(log.folder.path().join("copy"), log.path()).unwrap();
    let mut again = log.tail(Format::Json, Some(&position)).unwrap();
    log.append(&json(1));
    assert_eq!(take(&mut again), some(1..2));
    fs::remove_file(log.path()).unwrap();
    log.append(&json(7));
    let gone = log.tail(Format::Json, Some(&position)).err().unwrap();
    assert!(gone.is_refusal() && gone.to_string().contains("is gone"), "{gone}");
}

#[test]
fn a_new_file_that_begins_like_the_old_one_is_not_taken_for_it() {
    let log = Log::new();
    log.append("ts\n");
    let mut tail = log.tail(Format::Csv, None).unwrap();
    assert_eq!(take(&mut tail), []);
    let position = tail.position();
    log.append("1700000000001\n");
    log.rotate("events.1");
    log.append("ts\n1700000000002\n");
    let mut again = log.tail(Format::Csv, Some(&position)).unwrap();
    assert_eq!(take(&mut again), some(1..3));
}

#[test]
fn who_begins_at_the_end_gives_what_was_not_whole_then_and_what_comes_whatever_the_file_is_called_by_now() {
    for format in [Format::Json, Format::Csv] {
        let header = if format == Format::Csv { "\"a\nnote\",ts\n" } else { "" };
        let line = |number: u64| match format {
            Format::Csv => format!("\"x\n1,2\n\",{}\n", 1_700_000_000_000 + number),
            _ => json(number),
        };
        let at_end = |log: &Log| partition_at_end(&log.path(), 0, format).unwrap().start;
        let log = Log::new();
        let absent = at_end(&log);
        for (whole, part) in [(0, 5), (1, 0), (3, 5)] {
            let log = Log::new();
            let all: String = (0..4).map(line).collect();
            let begin: usize = (0..whole).map(|number| line(number).len()).sum();
            log.append(&(header.to_owned() + &all[..begin + part]));
            let start = at_end(&log);
            assert_eq!(start.offset as usize, header.len() + begin);
            log.append(&all[begin + part..]);
            assert_eq!(take(&mut log.tail(format, Some(&start)).unwrap()), some(whole..4));
            log.rotate("events.1");
            log.append(&(header.to_owned() + &line(4)));
            assert_eq!(take(&mut log.tail(format, Some(&start)).unwrap()), some(whole..5), "rotated");
        }
        log.append(&(header.to_owned() + &line(0)));
        assert_eq!(take(&mut log.tail(format, Some(&absent)).unwrap()), some(0..1), "it was not there");
        let start = at_end(&log);
        fs::write(log.path(), header.to_owned() + &line(7)).unwrap();
        assert_eq!(take(&mut log.tail(format, Some(&start)).unwrap()), [Some(7)], "written anew");
    }
    let folder = tempfile::tempdir().unwrap();
    let error = partition_at_end(folder.path(), 0, Format::Json).unwrap_err();
    assert!(error.to_string().contains("is not a plain file"), "{error}");
}
