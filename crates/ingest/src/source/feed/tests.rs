//! A feed of CSV under test, against a reading that looks at one character after the other.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use event::{DataType, Reason};
use proptest::prelude::*;

use super::*;
use crate::{FieldSpec, TimeSpec, TimeUnit};

const RECORD_BYTES_MAX: usize = 1200;
const HEADER: &str = "text,code,whole,real,ts,other\n";

fn spec() -> DecodeSpec {
    let fields = vec![
        FieldSpec::new("text", DataType::Varchar),
        FieldSpec::new("code", DataType::Varchar).dictionary(),
        FieldSpec::new("whole", DataType::Bigint),
        FieldSpec::new("real", DataType::Double),
    ];
    let spec = DecodeSpec::new(fields, TimeSpec::new(&["ts"], TimeUnit::Millis));
    DecodeSpec { record_bytes_max: RECORD_BYTES_MAX, ..spec }
}

/// The values of a record in words, or why it is none.
type Row = Result<Vec<Option<String>>, Reason>;
/// Records with their offsets.
type Rows = Vec<(u64, Row)>;

/// A field: its text, and whether it was quoted.
type Cell = (Vec<u8>, bool);

/// The records of CSV from `at` on, by the rules alone: offset, length without the line end, and the fields, if
/// there are any.
fn records(bytes: &[u8], mut at: usize) -> Vec<(usize, usize, Option<Vec<Cell>>)> {
    let is_line_end = |at: usize| bytes.get(at) == Some(&b'\n') || bytes[at..].starts_with(b"\r\n");
    let mut records = Vec::new();
    while at < bytes.len() {
        let start = at;
        let (mut cells, mut is_whole) = (Vec::new(), true);
        loop {
            let mut text = Vec::new();
            let is_quoted = bytes.get(at) == Some(&b'"');
            if is_quoted {
                at += 1;
                loop {
                    match (bytes.get(at), bytes.get(at + 1)) {
                        (None, _) => {
                            is_whole = false;
                            break;
                        }
                        (Some(b'"'), Some(b'"')) => {
                            text.push(b'"');
                            at += 2;
                        }
                        (Some(b'"'), _) => {
                            at += 1;
                            break;
                        }
                        (Some(&byte), _) => {
                            text.push(byte);
                            at += 1;
                        }
                    }
                }
                is_whole &= at >= bytes.len() || bytes[at] == b',' || is_line_end(at);
            }
            while at < bytes.len() && bytes[at] != b',' && !is_line_end(at) {
                text.push(bytes[at]);
                at += 1;
            }
            cells.push((text, is_quoted));
            if bytes.get(at) != Some(&b',') {
                break;
            }
            at += 1;
        }
        let end = at;
        at += if bytes.get(at) == Some(&b'\r') { 2 } else { 1 };
        if end > start {
            records.push((start, end - start, is_whole.then_some(cells)));
        }
    }
    records
}

/// Whether a text is a number as JSON has it.
fn is_number(text: &str) -> bool {
    serde_json::from_str::<serde_json::Number>(text).is_ok() && text.trim() == text
}

fn row(cells: &[Cell]) -> Row {
    if cells.len() != HEADER.split(',').count() {
        return Err(Reason::Malformed);
    }
    let mut row = Vec::new();
    for (place, (text, is_quoted)) in cells.iter().take(5).enumerate() {
        if text.is_empty() && !is_quoted {
            match place {
                4 => return Err(Reason::Missing),
                _ => row.push(None),
            }
            continue;
        }
        let text = std::str::from_utf8(text);
        let value = match (place, text) {
            (0 | 1, Ok(text)) => Ok(text.to_owned()),
            (0 | 1, Err(_)) => Err(Reason::Malformed),
            (3, Ok(text)) if is_number(text) => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(format!("{number:?}")),
                _ => Err(Reason::Type),
            },
            (2 | 4, Ok(text)) if is_number(text) => match text.parse::<i64>() {
                Ok(number) if place == 2 => Ok(number.to_string()),
                Ok(number) if (631_152_000_000..4_102_444_800_000).contains(&number) => {
                    Ok(number.to_string())
                }
                Ok(_) => Err(Reason::TimeRange),
                Err(_) => Err(Reason::Type),
            },
            _ => Err(Reason::Type),
        };
        row.push(Some(value?));
    }
    Ok(row)
}

/// What a partition of CSV holds behind its header.
fn expected(bytes: &[u8]) -> Rows {
    let records = records(bytes, HEADER.len());
    let row = |(offset, length, cells): (usize, usize, Option<Vec<Cell>>)| {
        let row = match cells {
            _ if length > RECORD_BYTES_MAX => Err(Reason::TooLong),
            Some(cells) => row(&cells),
            None => Err(Reason::Malformed),
        };
        (offset as u64, row)
    };
    records.into_iter().map(row).collect()
}

fn words(columns: &[ArrayRef], time: i64, row: usize) -> Vec<Option<String>> {
    let valid = |column: usize| columns[column].is_valid(row);
    let codes = columns[1].as_any_dictionary();
    let code = || codes.values().as_string::<i32>().value(codes.normalized_keys()[row]).to_owned();
    vec![
        valid(0).then(|| columns[0].as_string::<i32>().value(row).to_owned()),
        valid(1).then(code),
        valid(2).then(|| columns[2].as_primitive::<Int64Type>().value(row).to_string()),
        valid(3).then(|| format!("{:?}", columns[3].as_primitive::<Float64Type>().value(row))),
        Some((time / 1000).to_string()),
    ]
}

fn take(decoded: &Decoded, rows: &mut Rows, bytes: &[u8]) {
    let records = &decoded.records;
    let first = rows.len();
    for row in 0..records.times.len() {
        let words = words(records.batch.columns(), records.times[row], row);
        rows.push((records.offsets[row], Ok(words)));
        let line = &bytes[records.offsets[row] as usize..];
        let length = self::records(line, 0)[0].1;
        let shown = Rejected::head(&line[..length]);
        // A return at the end of everything is not shown, though it is no line end.
        let shown = if line.len() == length { shown.strip_suffix(b"\r").unwrap_or(shown) } else { shown };
        assert_eq!(records.raw(row), shown);
    }
    for (inserted, record) in decoded.rejected.iter().enumerate() {
        rows.insert(first + record.before + inserted, (record.offset, Err(record.reason)));
    }
}

/// Reads a partition by pushes of some size, and takes some records at a time; before some takes it begins
/// anew where it was. Returns its records and the most bytes that it held.
fn read(bytes: &[u8], push: usize, records_max: usize, anew: usize) -> (Rows, usize) {
    let open = |from| Feed::new("a test".to_owned(), Format::Csv, spec(), 0, from);
    let (mut feed, mut rows, mut most, mut takes, mut begun) = (open(0), Vec::new(), 0, 0, 0);
    while !feed.is_finished() {
        takes += 1;
        // Only where it has come further: a record that takes many pushes would else never end.
        if takes % anew == 0 && feed.offset() > begun {
            begun = feed.offset();
            feed = open(begun);
        }
        match feed.next(records_max).unwrap() {
            Some(decoded) => take(&decoded, &mut rows, bytes),
            None => {
                let at = (feed.wanted() as usize).min(bytes.len());
                feed.push(|buffer| buffer.extend_from_slice(&bytes[at..bytes.len().min(at + push)]));
                if feed.wanted() >= bytes.len() as u64 {
                    feed.end();
                }
            }
        }
        most = most.max(feed.buffer.len());
    }
    (rows, most)
}

fn check(body: &[u8]) {
    let bytes = [HEADER.as_bytes(), body].concat();
    let expected = expected(&bytes);
    for (push, records_max, anew) in [(1, usize::MAX, usize::MAX), (7, 2, 50), (1 << 20, 1, 3)] {
        let (rows, _) = read(&bytes, push, records_max, anew);
        assert_eq!(rows, expected, "by {push} bytes, {records_max} records: {}", body.escape_ascii());
    }
}

/// A field as somebody may write it, hostile or not.
fn cell() -> impl Strategy<Value = Vec<u8>> {
    let any = |alphabet: &'static [u8], most| {
        prop::collection::vec(prop::sample::select(alphabet), 0..most).prop_map(|bytes| bytes)
    };
    let text = |texts: &'static [&'static str]| {
        prop::sample::select(texts).prop_map(|text: &str| text.as_bytes().to_vec())
    };
    prop_oneof![
        3 => text(&["1", "12.5", "-3", "1700000000000", "", "a b", "listen", "0", "123456789012345678", "1e3"]),
        2 => text(&["\"\"", "\"a,b\"", "\"a\"\"b\"", "\"line\r\nend\"", "\"1\"", "\"1700000000000\"", "\" \""]),
        1 => text(&["01", "+1", ".5", "1.", "NaN", "null", "1e999", " 1", "1 ", "\\N", "#", "a\"b", "\"a\"b", "\"a"]),
        1 => text(&["fifteen bytes !", "sixteen bytes !!", "eight by", "se\0en", "a text of more than two words"]),
        1 => any(b"\",\n\r a1\0\xff\xc3\xa9.-", 12),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_are_those_of_a_reading_by_characters(
        rows in prop::collection::vec((prop::collection::vec(cell(), 4..8), any::<bool>(), any::<bool>()), 0..12),
        tail in any::<bool>(),
    ) {
        let mut body = Vec::new();
        for (mut cells, is_sane, returns) in rows {
            if is_sane {
                cells.resize(6, b"x".to_vec());
                cells[2..5].clone_from_slice(&[b"17".to_vec(), b"2.5".to_vec(), b"1700000000000".to_vec()]);
            }
            body.extend(cells.join(&b","[..]));
            body.extend_from_slice(if returns { b"\r\n" } else { b"\n" });
        }
        if tail {
            body.pop();
        }
        check(&body);
    }

    #[test]
    fn any_bytes_are_read_as_by_characters(body in prop::collection::vec(
        prop::sample::select(&b"\"\",,,\n\r1a\xff\0"[..]), 0..60,
    )) {
        check(&body);
    }
}

#[test]
fn hostile_records_are_read_as_by_characters() {
    let time = "1700000000000";
    for line in [
        "".to_owned(),
        "\n\n\r\n\r\n".to_owned(),
        "\r".to_owned(),
        "\r\r\n".to_owned(),
        format!("a,b,1,2,{time},c"),
        format!("a,b,1,2,{time},c\r"),
        format!("a,b,1,2,{time},c\r\r\n"),
        format!("a,b,1,2,{time},c,\n"),
        format!("a,b,1,2,{time}\n"),
        format!(",,,,{time},\n"),
        format!("\"\",\"\",1,2,{time},\"\"\n"),
        format!("\"\",\"\",\"\",2,{time},\"\"\n"),
        format!("a,b,1,2,{time},\"open\na,b,1,2,{time},c\n"),
        format!("a,b,1,2,{time},\"a\"b\na,b,1,2,{time},c\n"),
        format!("a,b,1,2,{time},\"{}\"\na,b,1,2,{time},c\n", "\n".repeat(5000)),
        format!("a,b,1,2,{time},{}\r\na,b,1,2,{time},c\n", "x".repeat(RECORD_BYTES_MAX - 23)),
        format!("a,b,1,2,{time},{}\na,b,1,2,{time},c\n", "x".repeat(RECORD_BYTES_MAX - 22)),
        format!("a,b,1,2,{time},{}\na,b,1,2,{time},c\n", "x".repeat(5000)),
        format!("a,b,1,2,{time},\"{}", "\"\"\n".repeat(5000)),
        format!("{},b,1,2,{time},c\n", "x".repeat(1023)),
    ] {
        check(line.as_bytes());
    }
}

#[test]
fn a_field_without_end_takes_no_memory() {
    for field in ["x", "\n", "\"\"", ","] {
        let body = format!("a,\"{}", field.repeat(3_000_000 / field.len()));
        let bytes = [HEADER, &body].concat();
        let (rows, most) = read(bytes.as_bytes(), 1000, usize::MAX, usize::MAX);
        assert_eq!(rows, [(HEADER.len() as u64, Err(Reason::TooLong))]);
        assert!(most < 4000, "{most} bytes were held");
    }
}

#[test]
fn a_line_that_is_too_long_and_fills_all_behind_a_whole_one_does_not_wait_for_more() {
    let spec = DecodeSpec::new(Vec::new(), TimeSpec::new(&["ts"], TimeUnit::Millis));
    let spec = DecodeSpec { record_bytes_max: 2000, ..spec };
    let mut feed = Feed::new("a test".to_owned(), Format::Json, spec, 0, 0);
    let line = b"{\"ts\":1700000000000}\n";
    feed.push(|buffer| buffer.extend(line.iter().copied().chain(std::iter::repeat_n(b'x', PIECE_BYTES))));
    let whole = feed.next(usize::MAX).unwrap().unwrap();
    assert_eq!((whole.records.offsets, whole.rejected), (vec![0], vec![]));
    assert!(feed.is_full());
    let too_long = feed.next(usize::MAX).unwrap().unwrap();
    let rejected: Vec<(u64, Reason)> = too_long.rejected.iter().map(|r| (r.offset, r.reason)).collect();
    assert_eq!(rejected, [(line.len() as u64, Reason::TooLong)]);
    assert!(!feed.is_full(), "what comes behind it can come");
}

#[test]
fn a_header_that_is_none_is_refused() {
    let fault = |bytes: &[u8]| {
        let mut feed = Feed::new("a test".to_owned(), Format::Csv, spec(), 0, 0);
        feed.push(|buffer| buffer.extend_from_slice(bytes));
        feed.end();
        feed.next(usize::MAX).map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(fault(b"a,\"b"), "the header of a test cannot be read: a quote that is never closed");
    assert!(fault(b"a,\"b\"c\n").ends_with("text behind a closing quote at byte 5 of the line"));
    assert!(fault(&[b'x'; 3000]).ends_with("longer than `limits.record_bytes`, 1200 bytes"));
}

#[test]
fn a_mark_and_blank_lines_before_the_header_are_skipped_and_an_empty_partition_has_no_records() {
    let body = "a,b,1,2.5,1700000000000,x\n";
    let bytes = format!("\u{feff}\r\n\n{HEADER}{body}");
    let (rows, _) = read(bytes.as_bytes(), 1, usize::MAX, usize::MAX);
    let offset = (bytes.len() - body.len()) as u64;
    let values = ["a", "b", "1", "2.5", "1700000000000"].map(|text| Some(text.to_owned()));
    assert_eq!(rows, [(offset, Ok(values.to_vec()))]);
    for empty in ["", "\u{feff}", "\n", "\r\n\r\n", HEADER, HEADER.trim_end()] {
        assert_eq!(read(empty.as_bytes(), 1, usize::MAX, usize::MAX).0, []);
    }
}

#[test]
fn fields_that_the_header_does_not_have_are_null_and_one_that_is_there_twice_fits_nobody() {
    let read = |bytes: &str| read(bytes.as_bytes(), 5, usize::MAX, usize::MAX).0;
    let rows = read("ts,text\n1700000000000,a\n");
    let values = vec![Some("a".to_owned()), None, None, None, Some("1700000000000".to_owned())];
    assert_eq!(rows, [(8, Ok(values))]);
    assert_eq!(read("text\na\n"), [(5, Err(Reason::Missing))]);
    assert_eq!(
        read("text,ts,text\na,1,b\na\n"),
        [(13, Err(Reason::Duplicate)), (19, Err(Reason::Malformed))]
    );
}
