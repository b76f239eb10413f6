//! Cuts the bytes of a file into lanes the way the file source promises to: chunks of one MiB dealt round
//! robin, a line belongs to the lane where its first byte lies.
//!
//! Written from that sentence alone: it splits the whole file first and sorts the lines out afterwards.

use std::ops::Range;

/// Lanes of a file unless the job says otherwise.
pub const LANES: usize = 16;
/// Bytes of a chunk.
pub const CHUNK: usize = 1 << 20;

/// A line that is a record: not blank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Position in the file of the first byte of its line (0 for the first, a byte order mark or not).
    pub offset: u64,
    /// Its bytes in the file, without the line end and without a byte order mark.
    pub bytes: Range<usize>,
}

/// The lines of each lane, in the order of the file.
pub fn cut(file: &[u8], lanes: usize, chunk: usize) -> Vec<Vec<Line>> {
    let mut cut = vec![Vec::new(); lanes];
    let mut start = 0;
    while start < file.len() {
        let end = file[start..].iter().position(|&byte| byte == b'\n').map_or(file.len(), |at| start + at);
        let bytes = without_mark_and_return(file, start, end);
        if !file[bytes.clone()].iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
            cut[start / chunk % lanes].push(Line { offset: start as u64, bytes });
        }
        start = end + 1;
    }
    cut
}

fn without_mark_and_return(file: &[u8], start: usize, end: usize) -> Range<usize> {
    let first = if start == 0 && file.starts_with(b"\xEF\xBB\xBF") { 3.min(end) } else { start };
    let last = if end > first && file[end - 1] == b'\r' { end - 1 } else { end };
    first..last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &str, lanes: usize, chunk: usize, expected: &str) {
        let lanes = cut(file.as_bytes(), lanes, chunk);
        let text: Vec<String> = lanes
            .iter()
            .map(|lane| {
                let lines = lane.iter().map(|line| format!("{}:{}", line.offset, &file[line.bytes.clone()]));
                lines.collect::<Vec<_>>().join(",")
            })
            .collect();
        assert_eq!(text.join(" "), expected);
    }

    #[test]
    fn a_line_belongs_to_the_lane_of_its_first_byte() {
        check("abc\nd\nefgh\ni\n", 2, 4, "0:abc,11:i 4:d,6:efgh");
    }

    #[test]
    fn a_mark_a_return_blank_lines_and_a_missing_last_newline_are_no_part_of_a_record() {
        check("\u{feff}a\r\n\n \t\r\nb", 1, 1 << 20, "0:a,11:b");
    }
}
