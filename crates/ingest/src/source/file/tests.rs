//! File sources under test: lanes, resumption, files that change.

use std::fs;
use std::io::Write;

use event::{Decoded, Reason};
use proptest::prelude::*;
use tempfile::NamedTempFile;

use super::*;
use crate::{DecodeSpec, TimeSpec, TimeUnit};

const RECORD_BYTES_MAX: usize = 1500;

fn decoder() -> Decoder {
    let spec = DecodeSpec::new(Vec::new(), TimeSpec::new(&["ts"], TimeUnit::Millis));
    Decoder::new(DecodeSpec { record_bytes_max: RECORD_BYTES_MAX, ..spec })
}

fn file_of(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn lane(path: &Path, lanes: u32, lane: u32, chunk_bytes: u64, resume: Option<&Position>) -> Lane {
    Lane::open_cut(path, lanes, lane, chunk_bytes, resume, decoder()).unwrap()
}

/// A record as it is told apart: its offset, and its reason if it was rejected.
type Seen = (u64, Option<Reason>);

/// The records of a poll in the order of the lane.
fn seen(decoded: &Decoded) -> Vec<Seen> {
    let mut all: Vec<Seen> = decoded.records.offsets.iter().map(|&offset| (offset, None)).collect();
    for (inserted, record) in decoded.rejected.iter().enumerate() {
        all.insert(record.before + inserted, (record.offset, Some(record.reason)));
    }
    all
}

/// Everything that a lane gives from here on, with the position before each poll.
fn drain(lane: &mut Lane, records_max: usize) -> Vec<(Position, Vec<Seen>)> {
    let mut polls = Vec::new();
    loop {
        let position = lane.position();
        match lane.poll(records_max).unwrap() {
            Poll::Decoded(decoded) => polls.push((position, seen(&decoded))),
            Poll::Pending | Poll::CaughtUp => panic!("a file is never pending"),
            Poll::Finished | Poll::Closed(_) => return polls,
        }
    }
}

fn records(polls: &[(Position, Vec<Seen>)]) -> Vec<Seen> {
    polls.iter().flat_map(|(_, seen)| seen.clone()).collect()
}

/// What a file holds, found the plain way.
fn expected(bytes: &[u8]) -> Vec<Seen> {
    let mut offset = 0;
    let mut all = Vec::new();
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        if content.len() > RECORD_BYTES_MAX {
            all.push((offset, Some(Reason::TooLong)));
        } else if !content.iter().all(|byte| b" \t\r".contains(byte)) {
            let is_good = content.starts_with(b"{") && content.ends_with(b"}");
            all.push((offset, (!is_good).then_some(Reason::Malformed)));
        }
        offset += line.len() as u64;
    }
    all
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let record = |pad: usize| {
        let pad = "x".repeat(pad);
        format!("{{\"ts\":1700000000000,\"pad\":\"{pad}\"}}").into_bytes()
    };
    prop_oneof![
        6 => (0usize..60).prop_map(record),
        2 => (200usize..1600).prop_map(record),
        1 => (3000usize..9000).prop_map(record),
        1 => Just(b"".to_vec()),
        1 => Just(b"  ".to_vec()),
        1 => Just(b"no record".to_vec()),
    ]
}

fn lines() -> impl Strategy<Value = Vec<u8>> {
    let ended = (line(), prop_oneof![3 => Just(&b"\n"[..]), 1 => Just(&b"\r\n"[..])]);
    (prop::collection::vec(ended, 0..60), prop::option::of(line())).prop_map(|(lines, last)| {
        let mut bytes: Vec<u8> = lines.into_iter().flat_map(|(line, end)| [&line, end].concat()).collect();
        bytes.extend(last.unwrap_or_default());
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_lanes_together_hold_every_line_once(
        bytes in lines(),
        lanes in 1u32..20,
        chunk_bytes in 1u64..700,
        records_max in 1usize..20,
    ) {
        let file = file_of(&bytes);
        let mut all = Vec::new();
        for number in 0..lanes {
            let polls = drain(&mut lane(file.path(), lanes, number, chunk_bytes, None), records_max);
            let found = records(&polls);
            prop_assert!(found.is_sorted(), "in the order of offsets");
            for (position, _) in polls.iter().step_by(3) {
                let at = polls.iter().position(|(other, _)| other == position).unwrap();
                let mut again = lane(file.path(), lanes, number, chunk_bytes, Some(position));
                prop_assert_eq!(&again.position(), position);
                prop_assert_eq!(records(&drain(&mut again, usize::MAX)), records(&polls[at..]));
            }
            all.extend(found);
        }
        all.sort();
        prop_assert_eq!(all, expected(&bytes));
    }
}

#[test]
fn a_file_that_grew_is_read_to_its_first_length() {
    let file = file_of(b"{\"ts\":1700000000000}\n");
    let start = lane(file.path(), 1, 0, 64, None).position();
    fs::write(file.path(), "{\"ts\":1700000000000}\n".repeat(9)).unwrap();
    let polls = drain(&mut lane(file.path(), 1, 0, 64, Some(&start)), usize::MAX);
    assert_eq!(records(&polls), [(0, None)]);
}

#[test]
fn another_file_at_the_same_path_is_refused() {
    let file = file_of(b"{\"ts\":1700000000000}\n");
    let start = lane(file.path(), 2, 0, 64, None).position();
    let again = |lanes| Lane::open(file.path(), lanes, 0, Some(&start), decoder()).err().unwrap();
    assert!(matches!(again(3), IngestError::Setting { setting: "lanes", .. }));
    fs::write(file.path(), b"{\"ts\":1700000000001}\n").unwrap();
    assert!(matches!(again(2), IngestError::Changed { .. }) && again(2).is_refusal());
    fs::write(file.path(), b"{\"ts\":17}\n").unwrap();
    assert!(matches!(again(2), IngestError::TooShort { wanted: 21, found: 10, .. }));
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_an_error() {
    let file = file_of("{\"ts\":1700000000000}\n".repeat(10).as_bytes());
    let mut lane = lane(file.path(), 1, 0, 64, None);
    lane.poll(usize::MAX).unwrap();
    fs::write(file.path(), b"{}\n").unwrap();
    let error = lane.poll(usize::MAX).unwrap_err();
    assert!(matches!(error, IngestError::Shrank { wanted: 210, .. }) && !error.is_refusal(), "{error}");
}

#[test]
fn a_path_without_a_plain_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(partitions(folder.path(), 16), Err(IngestError::NotAFile { .. })));
    let missing = partitions(&folder.path().join("missing.ndjson"), 16).unwrap_err();
    assert!(matches!(missing, IngestError::NotFound { .. }));
    assert!(missing.to_string().contains("missing.ndjson"));
}

#[test]
fn a_file_of_ordinary_chunks_has_a_lane_for_each_id() {
    let line = b"{\"ts\":1700000000000}\n";
    let file = file_of(&line.repeat(3 * (1 << 20) / line.len()));
    let infos = partitions(file.path(), 2).unwrap();
    assert_eq!(infos[1].id, format!("{}#1", file.path().display()));
    let found: usize = infos
        .iter()
        .zip(0..)
        .map(|(info, number)| {
            let mut lane = Lane::open(file.path(), 2, number, Some(&info.start), decoder()).unwrap();
            records(&drain(&mut lane, usize::MAX)).len()
        })
        .sum();
    assert_eq!(found, 3 * (1 << 20) / line.len());
}
