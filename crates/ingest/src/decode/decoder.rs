//! Lines to batches: where each record begins and ends, and what becomes of it.

use std::sync::Arc;

use arrow_array::{ArrayRef, TimestampMicrosecondArray};
use event::{Batch, Decoded, Reason, Records, Rejected, RejectedRecord, Schema};

use super::caution::{Caution, Treatment};
use super::column::Column;
use super::fault::Faults;
use super::misfit::{Failure, Misfit};
use super::piece::{Bounds, Piece};
use super::record::{RecordReader, blank_end};
use super::spec::DecodeSpec;

/// Decodes newline-delimited JSON. Keeps what it learned about the order of names, and dictionaries, from
/// call to call; what comes out does not depend on that.
#[derive(Debug)]
pub struct Decoder {
    spec: DecodeSpec,
    schema: Arc<Schema>,
    records: RecordReader,
    rows_expected: usize,
    caution: Caution,
    faults: Faults,
}

impl Decoder {
    /// Mark at the start of a file that says that it is UTF-8.
    const BYTE_ORDER_MARK: &'static [u8] = b"\xEF\xBB\xBF";

    /// A decoder that has seen nothing yet.
    pub fn new(spec: DecodeSpec) -> Self {
        let columns = spec.fields.iter().map(Column::new).collect();
        let records = RecordReader::new(&spec, columns);
        let schema = Arc::new(spec.schema());
        let (caution, faults) = (Caution::default(), Faults::of_environment());
        Decoder { schema, records, spec, rows_expected: 0, caution, faults }
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

    /// Decodes at most `records_max` records, rejected ones included, from the start of the piece. Each message of a
    /// stream is one.
    ///
    /// Returns them and what is left of the piece, if anything is. Blank lines are no records. The bytes of
    /// a piece that is decoded wholly at once become those of the records without a copy.
    pub fn decode(&mut self, piece: Piece, records_max: usize) -> (Decoded, Option<Piece>) {
        let room = self.rows_expected.min(records_max).min(piece.remaining());
        for column in &mut self.records.columns {
            column.begin(room);
        }
        let mut lines = Lines {
            bytes: &piece.bytes,
            bounds: piece.bounds(),
            at: piece.start,
            starts: Vec::new(),
            end: piece.end(),
            times: Vec::with_capacity(room),
            offsets: Vec::with_capacity(room),
            punctuations: Vec::new(),
            rejected: Vec::new(),
            caution: &self.caution,
            special: self.caution.next(piece.offset()),
            faults: &self.faults,
        };
        self.caution.tell(piece.offset(), piece.end());
        lines.decode(&mut self.records, self.spec.record_bytes_max, records_max);
        let Lines { at, times, offsets, mut starts, punctuations, rejected, .. } = lines;
        self.rows_expected = times.len() + times.len() / 16;
        let batch = self.finish(&times);
        let base = piece.base;
        let (bytes, first, rest) = piece.split(at);
        starts.iter_mut().for_each(|start| *start -= first as u32);
        let base = base + first as u64;
        let records = Records { batch, times, offsets, punctuations, bytes, base, starts };
        (Decoded { records, rejected }, rest)
    }

    /// Takes the rows out of the columns.
    fn finish(&mut self, times: &[i64]) -> Batch {
        let rows = times.len();
        let mut columns: Vec<ArrayRef> =
            self.records.columns.iter_mut().map(|column| column.finish(rows)).collect();
        if self.spec.has_event_time_column() {
            columns.push(Arc::new(TimestampMicrosecondArray::from(times.to_vec()).with_timezone("UTC")));
        }
        Batch::new(Arc::clone(&self.schema), columns, rows)
    }
}

/// One call's way through a piece.
struct Lines<'a> {
    bytes: &'a [u8],
    bounds: Bounds<'a>,
    at: usize,
    /// Where rows start, if their offsets do not say so.
    starts: Vec<u32>,
    /// Offset behind the last record.
    end: u64,
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
    fn decode(&mut self, records: &mut RecordReader, record_bytes_max: usize, mut records_max: usize) {
        let bytes = self.bytes;
        while self.at < bytes.len() && self.times.len() + self.rejected.len() < records_max {
            let line = self.at;
            let offset = self.bounds.offset(line);
            if offset >= self.special {
                match self.heed(records, line, offset) {
                    Heed::Read => {}
                    Heed::ReadAlone => records_max = 1,
                    Heed::Stop => break,
                    Heed::LeftOut => continue,
                }
            }
            let start = self.first_byte(line);
            self.faults.meet(&bytes[start..]);
            let (end, outcome) = match bytes.get(start) {
                None | Some(b'\n') => (start, Ok(None)),
                _ => match records.read(bytes, line, start) {
                    Ok((end, time)) => (end, Ok(Some(time))),
                    Err(failure) => (line_end(bytes, start), Err(failure)),
                },
            };
            let (end, outcome) = match self.bounds.end() {
                Some(bound) if end != bound => (bound, outcome.and(Err(more_than_one(end - line)))),
                _ => (end, outcome),
            };
            self.bounds.step();
            self.at = (end + 1).min(bytes.len());
            if end - line > record_bytes_max && without_return(&bytes[line..end]).len() > record_bytes_max {
                let detail = format!("the line is longer than {record_bytes_max} bytes");
                self.reject(records, offset, line, end, Failure { reason: Reason::TooLong, detail });
                continue;
            }
            match outcome {
                Ok(Some(time)) => {
                    self.times.push(time);
                    self.offsets.push(offset);
                    if self.bounds.are_messages() {
                        self.starts.push(line as u32);
                    }
                    self.punctuations.extend(records.punctuation());
                }
                Ok(None) => {}
                Err(failure) => self.reject(records, offset, line, end, *failure),
            }
        }
    }

    /// What caution asks for before the record of a line is read.
    #[cold]
    fn heed(&mut self, records: &mut RecordReader, line: usize, offset: u64) -> Heed {
        let treatment = self.caution.treatment(offset);
        if treatment == Treatment::ReadAlone && self.times.len() + self.rejected.len() > 0 {
            return Heed::Stop;
        }
        self.special = self.caution.next(offset + 1);
        match treatment {
            Treatment::Read => {
                self.caution.tell(offset, self.end);
                Heed::Read
            }
            Treatment::ReadAlone => {
                self.caution.tell_exactly(offset..offset + 1);
                Heed::ReadAlone
            }
            Treatment::LeaveOut => {
                let end = self.bounds.end().unwrap_or_else(|| line_end(self.bytes, line));
                self.bounds.step();
                let detail = "the record ended the program three times".to_owned();
                self.reject(records, offset, line, end, Failure { reason: Reason::Poison, detail });
                self.at = (end + 1).min(self.bytes.len());
                Heed::LeftOut
            }
        }
    }

    /// The first byte of a line that is neither blank nor the mark at the start of the file.
    #[inline]
    fn first_byte(&self, line: usize) -> usize {
        let bytes = self.bytes;
        let is_marked = self.bounds.offset(line) == 0 && bytes.starts_with(Decoder::BYTE_ORDER_MARK);
        blank_end(bytes, line + if is_marked { Decoder::BYTE_ORDER_MARK.len() } else { 0 })
    }

    #[cold]
    fn reject(&mut self, records: &mut RecordReader, offset: u64, line: usize, end: usize, failure: Failure) {
        let rows = self.times.len();
        for column in &mut records.columns {
            column.roll_back(rows);
        }
        let raw = without_return(&self.bytes[line..end]);
        self.rejected.push(RejectedRecord {
            before: rows,
            offset,
            reason: failure.reason,
            detail: failure.detail,
            raw: Rejected::head(raw).to_vec(),
        });
    }
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
fn line_end(bytes: &[u8], at: usize) -> usize {
    memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |newline| at + newline)
}

/// What a message is that goes on behind its record.
#[cold]
fn more_than_one(at: usize) -> Box<Failure> {
    Failure::of_record(Misfit::Malformed("more than one object"), at)
}

/// A line without the carriage return before its newline.
fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
