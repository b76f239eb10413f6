//! Where the last record of a file ends that is whole.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::decode::Scan;
use crate::source::Format;

/// Bytes that are looked at at a time.
const BLOCK_BYTES: u64 = 1 << 20;

/// How many of the first `length` bytes of a file belong to records that are whole. A line is found from the end back;
/// where a record of CSV ends only the whole file says, since a quote may stand anywhere before.
pub(super) fn whole_bytes(file: &File, length: u64, format: Format) -> io::Result<u64> {
    match format {
        Format::Csv => behind_csv(file, length),
        Format::Json | Format::Parquet => behind_line(file, length),
    }
}

fn behind_line(file: &File, length: u64) -> io::Result<u64> {
    let mut end = length;
    while end > 0 {
        let from = end.saturating_sub(BLOCK_BYTES);
        let block = block(file, from, end)?;
        if let Some(newline) = memchr::memrchr(b'\n', &block) {
            return Ok(from + newline as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}

fn behind_csv(file: &File, length: u64) -> io::Result<u64> {
    // A byte order mark is in no field, so that a quote behind it opens one.
    let mark = block(file, 0, length.min(3))?;
    let mut at = if mark == b"\xEF\xBB\xBF" { 3 } else { 0 };
    let (mut scan, mut whole) = (Scan::default(), 0);
    while at < length {
        let block = block(file, at, length.min(at + BLOCK_BYTES))?;
        let mut seen = 0;
        while let Some(newline) = scan.end(&block[seen..]) {
            seen += newline + 1;
            (scan, whole) = (Scan::default(), at + seen as u64);
        }
        at += block.len() as u64;
    }
    Ok(whole)
}

fn block(file: &File, from: u64, end: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; (end - from) as usize];
    file.read_exact_at(&mut bytes, from)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn whole(text: &str, format: Format) -> u64 {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        whole_bytes(&file, text.len() as u64, format).unwrap()
    }

    #[test]
    fn a_line_ends_at_its_newline_and_a_record_of_csv_at_one_that_is_not_quoted() {
        let long = "x".repeat(3 << 20);
        for (text, line, record) in [
            (String::new(), 0, 0),
            ("a".to_owned(), 0, 0),
            ("a\n".to_owned(), 2, 2),
            ("a\nb".to_owned(), 2, 2),
            ("a,b\n1,\"x\ny".to_owned(), 9, 4),
            ("a,b\n1,\"x\ny\"\n2".to_owned(), 12, 12),
            ("\u{feff}\"a\nb\"\n".to_owned(), 9, 9),
            ("\u{feff}\"a\nb".to_owned(), 6, 0),
            (format!("a\n{long}"), 2, 2),
            (format!("a\n\"{long}\n{long}\"\nb"), 6 + 2 * long.len() as u64, 6 + 2 * long.len() as u64),
        ] {
            let shown = &text[..text.len().min(20)];
            assert_eq!(whole(&text, Format::Json), line, "{shown:?}");
            assert_eq!(whole(&text, Format::Csv), record, "{shown:?}");
        }
    }
}
