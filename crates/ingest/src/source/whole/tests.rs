//! Files that are one partition under test: packed or not, begun anew anywhere, damaged.

use std::io::Write;

use event::Decoded;
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::NamedTempFile;

use super::*;
use crate::{FieldSpec, TimeSpec, TimeUnit};

fn spec() -> DecodeSpec {
    let field = FieldSpec::new("name", event::DataType::Varchar);
    DecodeSpec::new(vec![field], TimeSpec::new(&["ts"], TimeUnit::Millis))
}

/// Lines of JSON, or of CSV with newlines in fields, some MiB of them.
fn lines(format: Format) -> Vec<u8> {
    let mut text = String::new();
    if format == Format::Csv {
        text += "ts,name\n";
    }
    for number in 0..60_000u64 {
        let time = 1_700_000_000_000 + number;
        let name = "x".repeat(number as usize % 50);
        text += &match format {
            Format::Csv => format!("{time},\"{name}\n\"\n"),
            _ => format!("{{\"ts\":{time},\"name\":\"{name}\"}}\n"),
        };
    }
    text.into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The same bytes in two members or frames.
fn packed(bytes: &[u8], packing: Packing) -> Vec<u8> {
    let (first, second) = bytes.split_at(bytes.len() / 3);
    match packing {
        Packing::None => bytes.to_vec(),
        Packing::Gzip => [gzip(first), gzip(second)].concat(),
        Packing::Zstd => [zstd::encode_all(first, 1).unwrap(), zstd::encode_all(second, 1).unwrap()].concat(),
    }
}

fn file_of(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn open(file: &NamedTempFile, packing: Packing, format: Format, position: Option<&Position>) -> Whole {
    let start = partition(file.path(), 0).unwrap().start;
    Whole::open(file.path().to_owned(), packing, format, position.unwrap_or(&start), spec()).unwrap()
}

/// Everything from here on: times, with the position before each poll that gave some.
fn drain(whole: &mut Whole, records_max: usize) -> Result<Vec<(Position, Vec<i64>)>, IngestError> {
    let mut all = Vec::new();
    loop {
        let position = whole.position();
        match whole.poll(records_max)? {
            Poll::Decoded(Decoded { records, rejected }) => {
                assert!(rejected.is_empty());
                if !records.times.is_empty() {
                    all.push((position, records.times));
                }
            }
            Poll::Finished => return Ok(all),
            other => panic!("a file is never {other:?}"),
        }
    }
}

fn times(polls: &[(Position, Vec<i64>)]) -> Vec<i64> {
    polls.iter().flat_map(|(_, times)| times.clone()).collect()
}

#[test]
fn a_packed_file_holds_what_it_unpacks_to_and_goes_on_where_it_was() {
    for format in [Format::Json, Format::Csv] {
        let lines = lines(format);
        let expected: Vec<i64> = (0..60_000).map(|number| 1_700_000_000_000_000 + 1000 * number).collect();
        for packing in [Packing::None, Packing::Gzip, Packing::Zstd] {
            let file = file_of(&packed(&lines, packing));
            let polls = drain(&mut open(&file, packing, format, None), 7_001).unwrap();
            assert_eq!(times(&polls), expected, "{format:?} {packing:?}");
            for (place, (position, _)) in polls.iter().enumerate().step_by(3) {
                let rest = drain(&mut open(&file, packing, format, Some(position)), usize::MAX).unwrap();
                assert_eq!(times(&rest), times(&polls[place..]), "{format:?} {packing:?} from {place}");
            }
        }
    }
}

/// What ends a file that cannot be read to its end. Damage may look like records until a checksum shows it.
fn failure(file: &NamedTempFile, packing: Packing) -> IngestError {
    let mut whole = open(file, packing, Format::Json, None);
    loop {
        match whole.poll(usize::MAX) {
            Ok(Poll::Decoded(_)) => {}
            Ok(other) => panic!("{packing:?}: {other:?}"),
            Err(error) => return error,
        }
    }
}

#[test]
fn a_packed_file_that_is_damaged_is_an_error_that_names_the_place() {
    let lines = lines(Format::Json);
    for packing in [Packing::Gzip, Packing::Zstd] {
        let whole = packed(&lines, packing);
        let cut = whole[..whole.len() - 5].to_vec();
        let mut damaged = whole.clone();
        let middle = whole.len() * 2 / 3;
        damaged[middle..middle + 40].fill(0xAA);
        for bytes in [cut, damaged, [&whole[..], b"no member"].concat()] {
            let file = file_of(&bytes);
            let IngestError::Unpack { path, offset, .. } = failure(&file, packing) else {
                panic!("{packing:?}")
            };
            assert!(path == file.path() && offset > 0 && offset <= lines.len() as u64);
        }
        let file = file_of(&lines);
        let error = failure(&file, packing);
        assert!(error.to_string().starts_with("cannot unpack"), "{error}");
    }
}

#[test]
fn a_packed_file_that_is_other_than_before_is_refused() {
    let file = file_of(&gzip(&lines(Format::Json)));
    let mut whole = open(&file, Packing::Gzip, Format::Json, None);
    whole.poll(10).unwrap();
    let position = whole.position();
    std::fs::write(file.path(), gzip(b"{}\n")).unwrap();
    let again = Whole::open(file.path().to_owned(), Packing::Gzip, Format::Json, &position, spec());
    assert!(again.is_err_and(|error| error.is_refusal()));
}

#[test]
fn what_unpacks_to_very_much_takes_no_memory() {
    // A line of 300 MiB that packs to 300 KiB.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..300 {
        encoder.write_all(&[b'x'; 1 << 20]).unwrap();
    }
    let long = encoder.finish().unwrap();
    for format in [Format::Json, Format::Csv] {
        let header: &[u8] = if format == Format::Csv { b"ts,name\n\"" } else { b"" };
        let file = file_of(&[gzip(header), long.clone()].concat());
        let mut whole = open(&file, Packing::Gzip, format, None);
        let mut rejected = Vec::new();
        loop {
            match whole.poll(usize::MAX).unwrap() {
                Poll::Decoded(decoded) => {
                    rejected.extend(decoded.rejected.iter().map(|record| record.reason));
                }
                _ => break,
            }
            assert!(whole.feed.capacity() < 8 << 20);
        }
        assert_eq!(rejected, [event::Reason::TooLong]);
    }
}
