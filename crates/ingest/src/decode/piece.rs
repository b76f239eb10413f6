//! Bytes of a partition that are decoded next, with where each record stands.
//!
//! Two kinds: lines, whose offsets count bytes, and messages of a stream, each of which is one record with an offset
//! that the stream gave it.

/// Bytes of a partition, with where they stand in it.
///
/// As lines they end at the end of a line, or of the partition. If the last line has no end and is longer than
/// `record_bytes_max`, it is the head of a line that is too long: one record, rejected. Of CSV they may end anywhere,
/// unless they are said to be the last ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub(super) bytes: Vec<u8>,
    pub(super) base: u64,
    pub(super) start: usize,
    pub(super) is_last: bool,
    /// Those that are not decoded yet, the next one last; empty for lines.
    messages: Vec<Message>,
}

/// Where a message of a stream lies in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Message {
    /// Where it ends; a line end follows.
    end: usize,
    offset: u64,
}

/// Messages of a stream, gathered to be decoded together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Messages {
    bytes: Vec<u8>,
    messages: Vec<Message>,
}

impl Messages {
    /// Adds one record with its offset, which must be above those before it. Line ends within it are those of JSON that
    /// is spread over lines; one without anything but blanks is no record.
    pub fn push(&mut self, message: &[u8], offset: u64) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(message.trim_ascii());
        if memchr::memchr(b'\n', &self.bytes[start..]).is_some() {
            join_lines(&mut self.bytes[start..]);
        }
        self.messages.push(Message { end: self.bytes.len(), offset });
        self.bytes.push(b'\n');
    }

    /// Adds one record as a decoder had it before, byte for byte: blanks at its ends are a part of it, as they are of a
    /// line.
    pub fn push_again(&mut self, record: &[u8], offset: u64) {
        self.bytes.extend_from_slice(record);
        self.messages.push(Message { end: self.bytes.len(), offset });
        self.bytes.push(b'\n');
    }

    /// Bytes that were gathered.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Number of messages that were gathered.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}

/// Makes one line of JSON that is spread over several. A line end within a string stays: there it is a mistake.
fn join_lines(json: &mut [u8]) {
    let (mut in_string, mut escaped) = (false, false);
    for byte in json {
        match *byte {
            b'\n' | b'\r' if !in_string => *byte = b' ',
            b'"' if !escaped => in_string = !in_string,
            _ => {}
        }
        escaped = *byte == b'\\' && !escaped;
    }
}

impl Piece {
    /// Lines of which the first byte stands at `base`.
    pub fn new(bytes: Vec<u8>, base: u64) -> Self {
        Piece { bytes, base, start: 0, is_last: false, messages: Vec::new() }
    }

    /// The same as the last one of its partition: what has no line end is a whole record too.
    pub fn last(mut self) -> Self {
        self.is_last = true;
        self
    }

    /// The same lines without the first `count` bytes.
    pub fn without_first(mut self, count: usize) -> Self {
        self.start = (self.start + count).min(self.bytes.len());
        self
    }

    /// Offset of the first record that is not decoded yet.
    pub fn offset(&self) -> u64 {
        self.messages.last().map_or(self.base + self.start as u64, |message| message.offset)
    }

    /// Offset behind its last record.
    pub(super) fn end(&self) -> u64 {
        self.messages.first().map_or(self.base + self.bytes.len() as u64, |message| message.offset + 1)
    }

    /// Number of bytes that are not decoded yet.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// The bytes that are not decoded yet.
    pub(crate) fn into_remaining(mut self) -> Vec<u8> {
        self.bytes.drain(..self.start);
        self.bytes
    }

    /// Parts it at `at` into what was decoded, with the place of its first byte, and the rest.
    pub(super) fn split(self, at: usize) -> (Vec<u8>, usize, Option<Piece>) {
        let Piece { mut bytes, base, start, is_last, mut messages } = self;
        if at < bytes.len() {
            if messages.is_empty() && bytes.len() - at < at {
                // Rather copy the little that is left.
                let rest = bytes.split_off(at);
                let base = base + at as u64;
                return (bytes, 0, Some(Piece { bytes: rest, base, start: 0, is_last, messages }));
            }
            let decoded = bytes[start..at].to_vec();
            messages
                .truncate(messages.iter().rposition(|message| message.end >= at).map_or(0, |last| last + 1));
            return (decoded, start, Some(Piece { bytes, base, start: at, is_last, messages }));
        }
        if start > bytes.len() / 2 {
            // Rather copy a little than carry along bytes that were decoded before.
            return (bytes[start..].to_vec(), start, None);
        }
        (bytes, 0, None)
    }

    /// Where its records stand.
    pub(super) fn bounds(&self) -> Bounds<'_> {
        Bounds { base: self.base, messages: &self.messages, are_messages: !self.messages.is_empty() }
    }
}

impl From<Messages> for Piece {
    fn from(messages: Messages) -> Self {
        let Messages { bytes, mut messages } = messages;
        messages.reverse();
        Piece { bytes, base: 0, start: 0, is_last: true, messages }
    }
}

/// A way through the records of a piece.
pub(super) struct Bounds<'a> {
    base: u64,
    messages: &'a [Message],
    are_messages: bool,
}

impl Bounds<'_> {
    /// Whether offsets are not places in the bytes.
    pub(super) fn are_messages(&self) -> bool {
        self.are_messages
    }

    /// Offset of the record that begins at that place: the next one.
    #[inline]
    pub(super) fn offset(&self, at: usize) -> u64 {
        match self.are_messages {
            false => self.base + at as u64,
            true => self.messages.last().map_or(u64::MAX, |message| message.offset),
        }
    }

    /// Where the next record ends, if that is known beforehand.
    #[inline]
    pub(super) fn end(&self) -> Option<usize> {
        self.messages.last().map(|message| message.end)
    }

    /// Goes on to the record after the next one.
    #[inline]
    pub(super) fn step(&mut self) {
        if let Some((_, rest)) = self.messages.split_last() {
            self.messages = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use event::{DataType, Reason};

    use super::*;
    use crate::{Caution, DecodeSpec, Decoder, FieldSpec, TimeSpec, TimeUnit};

    fn decoder() -> Decoder {
        let time = TimeSpec::new(&["ts"], TimeUnit::Millis);
        Decoder::new(DecodeSpec::new(vec![FieldSpec::new("name", DataType::Varchar)], time))
    }

    fn messages() -> Messages {
        let mut messages = Messages::default();
        messages.push(b"{\"ts\":1700000000000}", 7);
        messages.push(b"{\n  \"name\": \"a \\\" {\",\r\n  \"ts\": 1700000000001\n}\n\n", 9);
        messages.push(b"", 10);
        messages.push(b"{\"ts\":1700000000002,\"name\":\"line\nend\"}", 11);
        messages.push(b"{\"ts\":1700000000003}\n{\"ts\":1700000000004}", 15);
        messages.push(b" {\"ts\":1700000000005} ", 16);
        messages
    }

    #[test]
    fn each_message_is_one_record_with_the_offset_that_it_has() {
        for records_max in [1, 2, 3, usize::MAX] {
            let (mut decoder, mut piece) = (decoder(), Some(Piece::from(messages())));
            let (mut read, mut rejected) = (Vec::new(), Vec::new());
            while let Some(next) = piece {
                let (decoded, rest) = decoder.decode(next, records_max);
                assert!(decoded.records.times.len() + decoded.rejected.len() <= records_max);
                for (row, offset) in decoded.records.offsets.iter().enumerate() {
                    let raw = String::from_utf8(decoded.records.raw(row).to_vec()).unwrap();
                    read.push((*offset, decoded.records.times[row] / 1000 % 10, raw));
                }
                rejected.extend(decoded.rejected.into_iter().map(|record| (record.offset, record.reason)));
                piece = rest;
            }
            let rows = [
                (7, 0, "{\"ts\":1700000000000}"),
                (9, 1, "{   \"name\": \"a \\\" {\",    \"ts\": 1700000000001 }"),
                (16, 5, "{\"ts\":1700000000005}"),
            ];
            assert_eq!(read, rows.map(|(offset, time, raw)| (offset, time, raw.to_owned())));
            assert_eq!(rejected, [(11, Reason::Malformed), (15, Reason::Malformed)]);
        }
    }

    #[test]
    fn a_message_that_is_poison_is_left_out_by_its_offset() {
        let mut decoder = decoder();
        decoder.set_caution(Caution::new(vec![9], Vec::new(), None));
        let (decoded, rest) = decoder.decode(messages().into(), usize::MAX);
        assert_eq!((decoded.records.offsets, rest), (vec![7, 16], None));
        assert_eq!((decoded.rejected[0].offset, decoded.rejected[0].reason), (9, Reason::Poison));
    }
}
