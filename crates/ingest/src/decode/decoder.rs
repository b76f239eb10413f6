//! Bytes to batches: where each record begins and ends, and what becomes of it.

use std::sync::Arc;

use arrow_array::{ArrayRef, TimestampMicrosecondArray};
use event::{Batch, Decoded, Reason, Records, Rejected, RejectedRecord, Schema};

use super::caution::{Caution, Treatment};
use super::column::Column;
use super::csv::{self, CsvHeader, CsvReader};
use super::fault::Faults;
use super::misfit::Failure;
use super::record::RecordReader;
use super::spec::DecodeSpec;

/// Bytes of a partition, with where they stand in it.
///
/// Of JSON it ends at the end of a line, or of the partition. If its last line has no end and is longer than
/// `record_bytes_max`, it is the head of a line that is too long: one record, rejected. Of CSV it may end
/// anywhere, unless it is said to be the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    bytes: Vec<u8>,
    base: u64,
    start: usize,
    is_last: bool,
}

impl Piece {
    /// Bytes of which the first stands at `base`.
    pub fn new(bytes: Vec<u8>, base: u64) -> Self {
        Piece { bytes, base, start: 0, is_last: false }
    }

    /// The same as the last one of its partition: what has no line end is a whole record too.
    pub fn last(mut self) -> Self {
        self.is_last = true;
        self
    }

    /// The same without the first `count` bytes.
    pub fn without_first(mut self, count: usize) -> Self {
        self.start = (self.start + count).min(self.bytes.len());
        self
    }

    /// Offset of the first line that is not decoded yet.
    pub fn offset(&self) -> u64 {
        self.base + self.start as u64
    }

    /// Offset behind its last byte.
    fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// Number of bytes that are not decoded yet.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// The bytes that are not decoded yet.
    pub fn into_remaining(mut self) -> Vec<u8> {
        self.bytes.drain(..self.start);
        self.bytes
    }
}

/// Decodes newline-delimited JSON, or CSV. Keeps what it learned about the order of names, and dictionaries,
/// from call to call; what comes out does not depend on that.
#[derive(Debug)]
pub struct Decoder {
    spec: DecodeSpec,
    schema: Arc<Schema>,
    format: Format,
    rows_expected: usize,
    caution: Caution,
    faults: Faults,
}

#[derive(Debug)]
enum Format {
    Json(Box<RecordReader>),
    Csv(Box<CsvReader>),
}

impl Format {
    fn columns(&mut self) -> &mut [Column] {
        match self {
            Format::Json(reader) => reader.columns(),
            Format::Csv(reader) => reader.columns(),
        }
    }
}

/// What stands at a place where a record may begin.
pub(super) enum Found {
    /// A blank line: no record.
    Blank,
    /// A record of that event time. A row was added to each column.
    Row(i64),
    /// A record that does not fit. It may have left a part of a row behind.
    Misfit(Box<Failure>),
    /// The first bytes of a record, which ends behind the piece. They may have left a part of a row behind.
    Cut,
}

/// The format that records have.
pub(super) trait ReadRecord {
    /// The columns that it reads into.
    fn columns(&mut self) -> &mut [Column];

    /// What stands at `from`, and where that ends: at its newline or behind the last byte. `is_first`: at the
    /// start of the partition.
    fn read(&mut self, bytes: &[u8], from: usize, is_first: bool, is_last: bool) -> (usize, Found);

    /// Where the record ends that begins at `from`, unread; `None` if that is not among the bytes.
    fn end(&self, bytes: &[u8], from: usize, is_last: bool) -> Option<usize>;

    /// What the record that was read last says of its partition; `None` if that is not asked for.
    fn punctuation(&self) -> Option<i64>;
}

impl Decoder {
    /// A decoder of JSON that has seen nothing yet.
    pub fn new(spec: DecodeSpec) -> Self {
        let reader = RecordReader::new(&spec, columns_of(&spec));
        Self::of(spec, Format::Json(Box::new(reader)))
    }

    /// A decoder of CSV behind that header.
    pub fn csv(spec: DecodeSpec, header: &CsvHeader) -> Self {
        let reader = CsvReader::new(&spec, header, columns_of(&spec));
        Self::of(spec, Format::Csv(Box::new(reader)))
    }

    fn of(spec: DecodeSpec, format: Format) -> Self {
        let schema = Arc::new(spec.schema());
        let (caution, faults) = (Caution::default(), Faults::of_environment());
        Decoder { schema, format, spec, rows_expected: 0, caution, faults }
    }

    /// What it decodes to.
    pub fn spec(&self) -> &DecodeSpec {
        &self.spec
    }

    /// The columns that come out.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Has records left out or read alone from now on.
    pub fn set_caution(&mut self, caution: Caution) {
        self.caution = caution;
    }

    /// What there is to heed.
    pub(crate) fn caution(&self) -> &Caution {
        &self.caution
    }

    /// Decodes at most `records_max` records, rejected ones included, from the start of the piece.
    ///
    /// Returns them and what is left of the piece, if anything is. If there is neither a record nor a rejected
    /// one and something is left, that is the first bytes of a record of CSV: it takes more to decode it. Blank
    /// lines are no records. The bytes of a piece that is decoded wholly at once become those of the records
    /// without a copy.
    pub fn decode(&mut self, piece: Piece, records_max: usize) -> (Decoded, Option<Piece>) {
        let room = self.rows_expected.min(records_max).min(piece.remaining());
        self.format.columns().iter_mut().for_each(|column| column.begin(room));
        let mut lines = Lines {
            piece: &piece,
            at: piece.start,
            times: Vec::with_capacity(room),
            offsets: Vec::with_capacity(room),
            punctuations: Vec::new(),
            rejected: Vec::new(),
            caution: &self.caution,
            special: self.caution.next(piece.offset()),
            faults: &self.faults,
        };
        self.caution.tell(piece.offset(), piece.end());
        match &mut self.format {
            Format::Json(reader) => lines.decode(&mut **reader, self.spec.record_bytes_max, records_max),
            Format::Csv(reader) => lines.decode(&mut **reader, self.spec.record_bytes_max, records_max),
        }
        let Lines { at, times, offsets, punctuations, rejected, .. } = lines;
        self.rows_expected = times.len() + times.len() / 16;
        let batch = self.finish(&times);
        let (bytes, base, rest) = split(piece, at);
        let end = self.record_end();
        (
            Decoded { records: Records { batch, times, offsets, punctuations, bytes, base, end }, rejected },
            rest,
        )
    }

    /// No records but one that is rejected, of which no more than the first bytes were kept.
    pub(crate) fn too_long(&mut self, offset: u64, head: &[u8]) -> Decoded {
        let batch = self.finish(&[]);
        let (times, offsets, punctuations) = (Vec::new(), Vec::new(), Vec::new());
        let (bytes, end) = (Vec::new(), self.record_end());
        let rejected = RejectedRecord {
            before: 0,
            offset,
            reason: Reason::TooLong,
            detail: too_long(self.spec.record_bytes_max),
            raw: Rejected::head(head).to_vec(),
        };
        let records = Records { batch, times, offsets, punctuations, bytes, base: offset, end };
        Decoded { records, rejected: vec![rejected] }
    }

    /// How to find the end of a record that is to be shown.
    fn record_end(&self) -> fn(&[u8]) -> usize {
        match &self.format {
            Format::Json(_) => |bytes| line_end(bytes, 0),
            Format::Csv(_) => csv::record_end,
        }
    }

    /// Takes the rows out of the columns.
    fn finish(&mut self, times: &[i64]) -> Batch {
        let rows = times.len();
        let mut columns: Vec<ArrayRef> =
            self.format.columns().iter_mut().map(|column| column.finish(rows)).collect();
        if self.spec.has_event_time_column() {
            columns.push(Arc::new(TimestampMicrosecondArray::from(times.to_vec()).with_timezone("UTC")));
        }
        Batch::new(Arc::clone(&self.schema), columns, rows)
    }
}

fn columns_of(spec: &DecodeSpec) -> Vec<Column> {
    spec.fields.iter().map(Column::new).collect()
}

fn too_long(record_bytes_max: usize) -> String {
    format!("the line is longer than {record_bytes_max} bytes")
}

/// Parts a piece at `at` into what was decoded and the rest. The shorter one is copied.
fn split(piece: Piece, at: usize) -> (Vec<u8>, u64, Option<Piece>) {
    let Piece { mut bytes, base, start, is_last } = piece;
    let from = base + start as u64;
    if at < bytes.len() {
        if bytes.len() - at > at {
            let decoded = bytes[start..at].to_vec();
            return (decoded, from, Some(Piece { bytes, base, start: at, is_last }));
        }
        let rest = Piece { bytes: bytes.split_off(at), base: base + at as u64, start: 0, is_last };
        return (bytes, base, Some(rest));
    }
    if start > bytes.len() / 2 {
        // Rather copy a little than carry along bytes that were decoded before.
        return (bytes[start..].to_vec(), from, None);
    }
    (bytes, base, None)
}

/// One call's way through a piece.
struct Lines<'a> {
    piece: &'a Piece,
    at: usize,
    times: Vec<i64>,
    offsets: Vec<u64>,
    punctuations: Vec<i64>,
    rejected: Vec<RejectedRecord>,
    caution: &'a Caution,
    /// Offset of the next record that is not like any other.
    special: u64,
    faults: &'a Faults,
}

impl Lines<'_> {
    fn decode<R: ReadRecord>(&mut self, reader: &mut R, record_bytes_max: usize, mut records_max: usize) {
        let bytes = &self.piece.bytes[..];
        let is_last = self.piece.is_last;
        while self.at < bytes.len() && self.times.len() + self.rejected.len() < records_max {
            let line = self.at;
            if self.piece.base + line as u64 >= self.special {
                match self.heed(reader, line) {
                    Heed::Read => {}
                    Heed::ReadAlone => records_max = 1,
                    Heed::Stop => break,
                    Heed::LeftOut => continue,
                }
            }
            self.faults.meet(&bytes[line..]);
            let is_first = self.piece.base + line as u64 == 0;
            let (end, found) = reader.read(bytes, line, is_first, is_last);
            if let Found::Cut = found {
                roll_back(reader, self.times.len());
                break;
            }
            self.at = (end + 1).min(bytes.len());
            if end - line > record_bytes_max && without_return(&bytes[line..end]).len() > record_bytes_max {
                let detail = too_long(record_bytes_max);
                self.reject(reader, line, end, Failure { reason: Reason::TooLong, detail });
                continue;
            }
            match found {
                Found::Row(time) => {
                    self.times.push(time);
                    self.offsets.push(self.piece.base + line as u64);
                    self.punctuations.extend(reader.punctuation());
                }
                Found::Blank | Found::Cut => {}
                Found::Misfit(failure) => self.reject(reader, line, end, *failure),
            }
        }
    }

    /// What caution asks for before the record of a line is read.
    #[cold]
    fn heed<R: ReadRecord>(&mut self, reader: &mut R, line: usize) -> Heed {
        let offset = self.piece.base + line as u64;
        let treatment = self.caution.treatment(offset);
        if treatment == Treatment::ReadAlone && self.times.len() + self.rejected.len() > 0 {
            return Heed::Stop;
        }
        self.special = self.caution.next(offset + 1);
        match treatment {
            Treatment::Read => {
                self.caution.tell(offset, self.piece.end());
                Heed::Read
            }
            Treatment::ReadAlone => {
                self.caution.tell_exactly(offset..offset + 1);
                Heed::ReadAlone
            }
            Treatment::LeaveOut => {
                let Some(end) = reader.end(&self.piece.bytes, line, self.piece.is_last) else {
                    return Heed::Stop;
                };
                let detail = "the record ended the program three times".to_owned();
                self.reject(reader, line, end, Failure { reason: Reason::Poison, detail });
                self.at = (end + 1).min(self.piece.bytes.len());
                Heed::LeftOut
            }
        }
    }

    #[cold]
    fn reject<R: ReadRecord>(&mut self, reader: &mut R, line: usize, end: usize, failure: Failure) {
        let rows = self.times.len();
        roll_back(reader, rows);
        let raw = without_return(&self.piece.bytes[line..end]);
        self.rejected.push(RejectedRecord {
            before: rows,
            offset: self.piece.base + line as u64,
            reason: failure.reason,
            detail: failure.detail,
            raw: Rejected::head(raw).to_vec(),
        });
    }
}

/// Takes away what a record has left in columns that have that many rows.
fn roll_back<R: ReadRecord>(reader: &mut R, rows: usize) {
    reader.columns().iter_mut().for_each(|column| column.roll_back(rows));
}

/// What to do with a record that is not like any other.
enum Heed {
    Read,
    ReadAlone,
    /// Nothing in this call: the next one has it alone.
    Stop,
    LeftOut,
}

/// Where the line ends that goes on at `at`: at its newline or behind the last byte.
pub(super) fn line_end(bytes: &[u8], at: usize) -> usize {
    memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |newline| at + newline)
}

/// Where the partition begins behind the mark at its start that says that it is UTF-8, if there is one.
pub(super) fn without_mark(bytes: &[u8], start: usize) -> usize {
    const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
    start + if bytes[start..].starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 }
}

/// A line without the carriage return before its newline.
fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
