//! A shard that is fed by hand: what it gives, says and remembers.

use aws_sdk_kinesis::primitives::{Blob, DateTime};
use event::DataType;

use super::super::super::position::KinesisEnd;
use super::*;
use crate::{DecodeSpec, FieldSpec, TimeSpec, TimeUnit};

/// When the first record came.
const CAME: i64 = 1_700_000_000_000;

fn record(number: usize, data: &[u8]) -> Record {
    Record::builder()
        .sequence_number(format!("{number:05}"))
        .approximate_arrival_timestamp(DateTime::from_millis(CAME + number as i64))
        .data(Blob::new(data))
        .partition_key("any")
        .build()
        .unwrap()
}

fn line(number: usize) -> Vec<u8> {
    format!("{{\"name\":\"{number}\",\"ts\":{}}}", CAME + number as i64).into_bytes()
}

fn origin(end: Option<KinesisEnd>) -> KinesisOrigin {
    KinesisOrigin {
        stream: "stream".to_owned(),
        hash_keys: (0, u128::MAX),
        place: KinesisPlace::Horizon,
        end,
        caught_up_at: None,
        closed: None,
    }
}

fn shard(position: &Position) -> Shard {
    let Origin::Kinesis(origin) = &position.origin else { panic!("{position:?}") };
    let spec = DecodeSpec::new(
        vec![FieldSpec::new("name", DataType::Varchar)],
        TimeSpec::new(&["ts"], TimeUnit::Millis),
    );
    Shard::new(Arc::default(), None, position.offset, origin.clone(), Decoder::new(spec))
}

fn at(offset: u64, origin: KinesisOrigin) -> Position {
    Position { offset, origin: Origin::Kinesis(origin) }
}

fn standing(is_end: bool, asked_at: i64) -> Standing {
    Standing { behind: Some(i64::from(!is_end)), is_end, asked: Instant::now(), asked_at: Some(asked_at) }
}

fn push(shard: &Shard, records: Vec<Record>, is_end: bool, asked_at: i64) {
    shard.queue.push(Fetched::Records(Batch { records, standing: standing(is_end, asked_at) }));
}

/// Offsets and raw bytes of what a poll gave.
fn read(poll: Poll) -> Vec<(u64, String)> {
    let Poll::Decoded(decoded) = poll else { return Vec::new() };
    let accepted = (0..decoded.records.offsets.len()).map(|row| {
        let raw = String::from_utf8_lossy(decoded.records.raw(row)).into_owned();
        (decoded.records.offsets[row], raw)
    });
    let rejected = decoded
        .rejected
        .iter()
        .map(|record| (record.offset, String::from_utf8_lossy(&record.raw).into_owned()));
    let mut all: Vec<(u64, String)> = accepted.chain(rejected).collect();
    all.sort();
    all
}

/// What the task would fetch from a place on.
fn fetched(records: &[Record], position: &Position) -> Vec<Record> {
    let Origin::Kinesis(origin) = &position.origin else { panic!("{position:?}") };
    let is_left = |record: &&Record| match &origin.place {
        KinesisPlace::Horizon | KinesisPlace::Time(_) => true,
        KinesisPlace::Within { sequence, .. } => record.sequence_number >= *sequence,
        KinesisPlace::After { sequence, .. } => record.sequence_number > *sequence,
    };
    records.iter().filter(is_left).cloned().collect()
}

fn aggregate(names: &[&str]) -> Vec<u8> {
    super::super::aggregate::packed(
        names.iter().map(|name| format!("{{\"name\":\"{name}\",\"ts\":{CAME}}}").into_bytes()),
    )
}

#[test]
fn every_position_goes_on_with_just_the_records_that_were_not_given() {
    let records = [
        record(0, &line(0)),
        record(1, &aggregate(&["a", "b", "c"])),
        record(2, b"no json"),
        record(3, &aggregate(&[])),
        record(4, &aggregate(&["d"])),
        record(5, b"  "),
        record(6, &line(6)),
    ];
    let whole = {
        let mut shard = shard(&at(0, origin(None)));
        push(&shard, records.to_vec(), true, CAME);
        read(shard.poll(usize::MAX).unwrap())
    };
    let offsets: Vec<u64> = whole.iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, [0, 1, 2, 3, 4, 5, 7], "the blank one is no record");
    for records_max in [1, 2, 3, 100] {
        let (mut given, mut position) = (Vec::new(), at(0, origin(None)));
        for _ in 0..20 {
            // A new start after each poll.
            let mut shard = shard(&position);
            push(&shard, fetched(&records, &position), true, CAME);
            given.extend(read(shard.poll(records_max).unwrap()));
            position = shard.position();
        }
        assert_eq!(given, whole, "{records_max} at a time");
    }
}

#[test]
fn it_is_caught_up_only_when_an_answer_said_so_and_all_of_it_was_given() {
    let mut shard = shard(&at(0, origin(None)));
    assert!(matches!(shard.poll(1).unwrap(), Poll::Pending), "nobody has said anything");
    push(&shard, vec![record(0, &line(0)), record(1, &line(1))], true, CAME);
    for _ in 0..2 {
        assert!(matches!(shard.poll(1).unwrap(), Poll::Decoded(_)));
    }
    assert!(matches!(shard.poll(1).unwrap(), Poll::CaughtUp));
    push(&shard, Vec::new(), false, CAME);
    assert!(matches!(shard.poll(1).unwrap(), Poll::Pending), "an empty answer before the end");
    assert_eq!(shard.lag().and_then(|lag| lag.millis), Some(1));
    push(&shard, Vec::new(), true, CAME);
    assert!(matches!(shard.poll(1).unwrap(), Poll::CaughtUp));
    assert!(!shard.has_passed_end(), "nobody has marked it");
    shard.mark_end();
    assert!(!shard.has_passed_end());
    push(&shard, Vec::new(), true, CAME);
    assert!(matches!(shard.poll(1).unwrap(), Poll::CaughtUp));
    assert!(shard.has_passed_end());
}

#[test]
fn a_closed_shard_says_which_go_on_from_it_also_after_a_restart() {
    let mut closed = shard(&at(0, origin(None)));
    push(&closed, vec![record(0, &line(0))], false, CAME);
    closed.queue.push(Fetched::Closed(vec![3, 4]));
    assert_eq!(read(closed.poll(9).unwrap()).len(), 1);
    assert!(matches!(closed.poll(9).unwrap(), Poll::Closed(children) if children == [3, 4]));
    let mut again = shard(&closed.position());
    assert!(matches!(again.poll(9).unwrap(), Poll::Closed(children) if children == [3, 4]));
    again.mark_end();
    assert!(again.has_passed_end());
}

#[test]
fn a_job_with_an_end_reads_what_came_before_it_and_nothing_else() {
    let end = |children: &[u32]| Some(KinesisEnd { before: CAME + 2, children: children.to_vec() });
    // A record that came later ends it,
    let mut ended = shard(&at(0, origin(end(&[]))));
    push(&ended, (0..5).map(|number| record(number, &line(number))).collect(), false, CAME);
    assert_eq!(read(ended.poll(9).unwrap()).len(), 2);
    assert!(matches!(ended.poll(9).unwrap(), Poll::Finished));
    // an end that was asked for after it does,
    let mut quiet = shard(&at(0, origin(end(&[]))));
    push(&quiet, vec![record(1, &line(1))], true, CAME + 400);
    assert_eq!(read(quiet.poll(9).unwrap()).len(), 1);
    assert!(matches!(quiet.poll(9).unwrap(), Poll::CaughtUp), "more may come that came before");
    push(&quiet, Vec::new(), true, CAME + 503);
    assert!(matches!(quiet.poll(9).unwrap(), Poll::Finished));
    // and of the shards that go on from it those count that were there by then.
    for (then, now) in [(vec![7, 8], vec![7, 8]), (Vec::new(), vec![7, 8])] {
        let mut closed = shard(&at(0, origin(end(&then))));
        closed.queue.push(Fetched::Closed(now));
        match closed.poll(9).unwrap() {
            Poll::Closed(children) => assert_eq!(children, then),
            other => assert!(then.is_empty() && matches!(other, Poll::Finished), "{other:?}"),
        }
    }
}

#[test]
fn a_failure_is_said_after_the_records_that_came_before_it() {
    let mut failing = shard(&at(0, origin(None)));
    push(&failing, vec![record(0, &line(0))], false, CAME);
    let failure = KinesisError::Expired { what: "shard".to_owned(), sequence: "00000".to_owned() };
    failing.queue.push(Fetched::Failed(failure));
    assert_eq!(read(failing.poll(9).unwrap()).len(), 1);
    let error = failing.poll(9).unwrap_err();
    assert!(error.is_refusal() && error.to_string().contains("00000"), "{error}");
}
