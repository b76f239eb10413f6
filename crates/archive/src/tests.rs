//! What was archived comes back as it was, whatever the dates, from any position on; places in every state of a crash.

use std::sync::Arc;

use event::{Reason, Watermark};
use ingest::{DecodeSpec, Partition, PartitionInfo, Poll, Position, TimeSpec, TimeUnit};

use super::*;

const DAY: i64 = 86_400_000_000;

fn decode() -> DecodeSpec {
    DecodeSpec::new(Vec::new(), TimeSpec::new(&["ts"], TimeUnit::Micros))
}

fn line_end(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len())
}

/// A block of records, each with its time, what became of it, and its text.
fn block(
    origin: &Arc<Origin>,
    first: u64,
    records: &[(Option<i64>, Outcome, &[u8])],
    lifted: Option<i64>,
) -> Block {
    let (mut bytes, mut lines) = (Vec::new(), Vec::new());
    for (number, (time, outcome, record)) in records.iter().enumerate() {
        let start = bytes.len();
        bytes.extend_from_slice(record);
        bytes.push(b'\n');
        let (seen, end) =
            (Watermark(first as i64), outcome.eq(&Outcome::Accepted).then_some(bytes.len() - 1));
        lines.push(Line { offset: first + number as u64, start, end, seen, time: *time, outcome: *outcome });
    }
    Block {
        origin: Arc::clone(origin),
        bytes,
        lines,
        header: None,
        end: line_end,
        lifted: lifted.map(Watermark),
    }
}

/// What a partition gives: offset, bytes or reason, and what lifts the watermark before.
fn read(partition: &mut dyn Partition, records_max: usize) -> Vec<(u64, String, Option<i64>)> {
    let mut found = Vec::new();
    loop {
        match partition.poll(records_max).unwrap() {
            Poll::Decoded(decoded) => {
                let mut lifted = partition.lifted().map(|watermark| watermark.0);
                let accepted = decoded.records.offsets.iter().enumerate().map(|(row, offset)| {
                    (*offset, String::from_utf8_lossy(decoded.records.raw(row)).into_owned())
                });
                let rejected = decoded.rejected.iter().map(|record| {
                    (record.offset, format!("{} {}", record.reason, String::from_utf8_lossy(&record.raw)))
                });
                let mut all: Vec<(u64, String)> = accepted.chain(rejected).collect();
                all.sort();
                found.extend(all.into_iter().map(|(offset, text)| (offset, text, lifted.take())));
            }
            Poll::Finished => return found,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_partition_comes_back_in_its_order_from_any_position_whatever_the_dates() {
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().display().to_string();
    let origin = |number: u32| {
        let partition = format!("file#{number}");
        Arc::new(Origin { source: "events".to_owned(), number, series: 0, partition })
    };
    let mut stager = Stager::new(Archive::open(&address).unwrap(), 3, 7).unwrap();
    let (own, other) = (origin(1), origin(2));
    // Days go to and fro, so that each file has some of the offsets in between.
    let start = 19_675 * DAY;
    let texts: Vec<String> = (0..60).map(|n| format!("{{\"ts\":{}}}", start + (n * 7 % 5) * DAY)).collect();
    let mut expected = Vec::new();
    for (interval, part) in texts.chunks(20).enumerate() {
        let first = 100 * (interval as u64 + 1);
        let mut records: Vec<(Option<i64>, Outcome, &[u8])> = Vec::new();
        for (n, text) in part.iter().enumerate() {
            let time = start + ((interval * 20 + n) as i64 * 7 % 5) * DAY;
            records.push((Some(time), Outcome::Accepted, text.as_bytes()));
        }
        records.push((None, Outcome::Quarantined(Reason::Poison), b"{\"ts\":1}\r"));
        records.push((None, Outcome::Quarantined(Reason::Malformed), b"\xff no text"));
        let lifted = (interval > 0).then_some(first as i64);
        expected.extend(
            part.iter()
                .enumerate()
                .map(|(n, text)| (first + n as u64, text.clone(), lifted.filter(|_| n == 0))),
        );
        expected.push((first + 20, "poison {\"ts\":1}".to_owned(), None));
        expected.push((first + 21, "malformed \u{fffd} no text".to_owned(), None));
        stager.take(block(&own, first, &records, lifted));
        stager.take(block(&other, first, &records[..3], None));
        stager.stage(interval as u32).unwrap();
        let files = stager.staged();
        assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), 25);
        let archive = Archive::open(&address).unwrap();
        archive.show(interval as u32, &files).unwrap();
        archive.show(interval as u32, &files).unwrap();
    }
    let infos = partitions(&address, None, None).unwrap();
    let [info, _] = infos.as_slice() else { panic!("two partitions") };
    assert_eq!((info.id.as_str(), info.number, info.series), ("file#1", 1, 0));
    let open_at = |position: &Position| open(&address, None, &decode(), info, position).unwrap();
    for records_max in [1, 7, usize::MAX] {
        assert_eq!(read(&mut *open_at(&info.start), records_max), expected);
    }
    let mut partition = open_at(&info.start);
    for from in 0..expected.len() {
        let position = partition.position();
        assert_eq!(position.offset, expected[from].0);
        assert_eq!(read(&mut *open_at(&position), usize::MAX), expected[from..], "from {from}");
        partition.poll(1).unwrap();
    }
    assert_eq!(partition.position().archive_end(), Some(partition.position().offset));
    drop(partition);
    begins(&address, &texts);
    refuses(&address, info);
}

/// Where an archive begins of which only what happened at a time or later is wanted.
fn begins(address: &str, texts: &[String]) {
    let start = 19_675 * DAY;
    let time = |n: usize| start + (n as i64 * 7 % 5) * DAY;
    for since in [0, start - 1, start + 1, start + 3 * DAY, start + 4 * DAY, start + 4 * DAY + 1] {
        let infos = partitions(address, None, Some(since)).unwrap();
        let first = (0..texts.len()).find(|n| time(*n) >= since);
        let offset = first.map(|n| 100 * (n as u64 / 20 + 1) + n as u64 % 20);
        let [own, _] = infos.as_slice() else { panic!("two partitions") };
        assert_eq!(own.start.offset, offset.unwrap_or(322), "{since}");
        assert_eq!(own.start.archive_end(), Some(322));
    }
}

/// What an archive that is not what it was is refused for.
fn refuses(address: &str, info: &PartitionInfo) {
    let words = |of: Option<&str>| partitions(address, of, None).unwrap_err().to_string();
    assert!(words(Some("clicks")).contains("no source `clicks`, but events"));
    let archive = Archive::open(address).unwrap();
    archive.sweep(&[], 1..3).unwrap();
    let gone = open(address, None, &decode(), info, &info.start).err().unwrap();
    assert!(gone.is_refusal() && gone.to_string().contains("file#1"), "{gone}");
    archive.sweep(&[], 0..3).unwrap();
    assert!(archive.is_empty().unwrap() && words(None).contains("no records"));
}

#[test]
fn what_is_staged_and_never_shown_is_swept_and_what_is_lost_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().display().to_string();
    let archive = Archive::open(&address).unwrap();
    let origin = Arc::new(Origin { source: "s".to_owned(), number: 0, series: 0, partition: "p".to_owned() });
    let mut stager = Stager::new(archive.clone(), 0, 1).unwrap();
    stager.take(block(&origin, 0, &[(None, Outcome::Filtered, b"{}")], None));
    stager.stage(5).unwrap();
    let files = stager.staged();
    assert!(archive.is_empty().unwrap());
    assert_eq!(archive.leftovers().unwrap().len(), 1);
    archive.sweep(&archive.leftovers().unwrap(), 0..0).unwrap();
    assert_eq!(archive.leftovers().unwrap().len(), 0);
    let lost = archive.show(5, &files).unwrap_err();
    assert!(lost.is_refusal() && lost.to_string().contains("checkpoint 5"), "{lost}");
    let strange = folder.path().join("events/date=2026-11-28");
    std::fs::create_dir_all(&strange).unwrap();
    std::fs::write(strange.join("0000000001-x.parquet"), b"PAR1 and nothing else").unwrap();
    let words = partitions(&address, None, None).unwrap_err().to_string();
    assert!(words.contains("0000000001-x.parquet"), "{words}");
}

#[test]
fn with_a_time_a_partition_begins_where_its_watermark_comes_to_then_by_whatever() {
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().display().to_string();
    let origin = |number: u32| {
        let partition = format!("p{number}");
        Arc::new(Origin { source: "s".to_owned(), number, series: 0, partition })
    };
    let time = |hour: i64| 19_675 * DAY + hour * 3_600_000_000;
    let records = |count: usize, hour: i64| vec![(Some(time(hour)), Outcome::Accepted, &b"{}"[..]); count];
    let mut stager = Stager::new(Archive::open(&address).unwrap(), 3, 7).unwrap();
    // Of this one nothing is as late.
    stager.take(block(&origin(0), 0, &records(3, 1), None));
    // This one was lifted there.
    stager.take(block(&origin(1), 0, &records(2, 1), None));
    stager.take(block(&origin(1), 5, &records(2, 1), Some(time(9))));
    // A record of this one has said so: what comes behind it has seen that.
    let mut said = block(&origin(2), 0, &records(6, 1), None);
    said.lines.iter_mut().skip(3).for_each(|line| line.seen = Watermark(time(9)));
    stager.take(said);
    // And here the two lie in different files.
    stager.take(block(&origin(3), 0, &records(2, 1), None));
    stager.stage(0).unwrap();
    let archive = Archive::open(&address).unwrap();
    archive.show(0, &stager.staged()).unwrap();
    let mut behind = block(&origin(3), 7, &records(2, 1), None);
    behind.lines.iter_mut().for_each(|line| line.seen = Watermark(time(9)));
    stager.take(behind);
    stager.stage(1).unwrap();
    archive.show(1, &stager.staged()).unwrap();
    let begins = |since| {
        let infos = partitions(&address, None, Some(since)).unwrap();
        infos.iter().map(|info| info.start.offset).collect::<Vec<_>>()
    };
    assert_eq!(begins(time(1)), [0, 0, 0, 0]);
    assert_eq!(begins(time(2)), [3, 5, 2, 1]);
    assert_eq!(begins(time(9)), [3, 5, 2, 1]);
    assert_eq!(begins(time(9) + 1), [3, 7, 6, 9]);
}
