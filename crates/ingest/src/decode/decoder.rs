//! Bytes to batches: where each record begins and ends, and what becomes of it.

use std::sync::Arc;

use arrow_array::{ArrayRef, TimestampMicrosecondArray};
use event::{Batch, Decoded, Reason, Records, Rejected, RejectedRecord, Schema};

use super::caution::{Caution, Treatment};
use super::column::Column;
use super::csv::{self, CsvHeader, CsvReader};
use super::fault::Faults;
use super::misfit::{Failure, Misfit};
use super::piece::{Bounds, Piece};
use super::record::RecordReader;
use super::spec::DecodeSpec;

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
    /// Whether a record may go on over line ends, as within quotes of CSV. Then only its bounds, where they are known,
    /// keep it from what follows, and CR LF is a line end as LF is.
    const SPANS_LINES: bool;

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

    /// Decodes at most `records_max` records, rejected ones included, from the start of the piece. Each message of a
    /// stream is one.
    ///
    /// Returns them and what is left of the piece, if anything is. If there is neither a record nor a rejected
    /// one and something is left, that is the first bytes of a record of CSV: it takes more to decode it. Blank
    /// lines are no records. The bytes of a piece that is decoded wholly at once become those of the records
    /// without a copy.
    pub fn decode(&mut self, piece: Piece, records_max: usize) -> (Decoded, Option<Piece>) {
        let room = self.rows_expected.min(records_max).min(piece.remaining());
        self.format.columns().iter_mut().for_each(|column| column.begin(room));
        let mut lines = Lines {
            bytes: &piece.bytes,
            is_last: piece.is_last,
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
        match &mut self.format {
            Format::Json(reader) => lines.decode(&mut **reader, self.spec.record_bytes_max, records_max),
            Format::Csv(reader) => lines.decode(&mut **reader, self.spec.record_bytes_max, records_max),
        }
        let Lines { at, times, offsets, mut starts, punctuations, mut rejected, .. } = lines;
        self.rows_expected = times.len() + times.len() / 16;
        let batch = self.finish(&times);
        let base = piece.base;
        let (bytes, first, rest) = piece.split(at);
        starts.iter_mut().for_each(|start| *start -= first as u32);
        let places = rejected.iter_mut().map(|record| &mut record.place);
        places.for_each(|place| *place = place.start - first..place.end - first);
        let (base, end) = (base + first as u64, self.record_end());
        let records = Records { batch, times, offsets, punctuations, bytes, base, starts, end };
        (Decoded { records, rejected }, rest)
    }

    /// No records but one that is rejected, of which no more than the first bytes were kept.
    pub fn too_long(&mut self, offset: u64, head: &[u8]) -> Decoded {
        let batch = self.finish(&[]);
        let (times, offsets, punctuations) = (Vec::new(), Vec::new(), Vec::new());
        let (bytes, starts, end) = (head.to_vec(), Vec::new(), self.record_end());
        let rejected = RejectedRecord {
            before: 0,
            offset,
            reason: Reason::TooLong,
            detail: too_long(self.spec.record_bytes_max),
            raw: Rejected::head(head).to_vec(),
            place: 0..head.len(),
        };
        let records = Records { batch, times, offsets, punctuations, bytes, base: offset, starts, end };
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

/// One call's way through a piece.
struct Lines<'a> {
    bytes: &'a [u8],
    is_last: bool,
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
    fn decode<R: ReadRecord>(&mut self, reader: &mut R, record_bytes_max: usize, mut records_max: usize) {
        let bytes = self.bytes;
        while self.at < bytes.len() && self.times.len() + self.rejected.len() < records_max {
            let line = self.at;
            let offset = self.bounds.offset(line);
            if offset >= self.special {
                match self.heed(reader, line, offset) {
                    Heed::Read => {}
                    Heed::ReadAlone => records_max = 1,
                    Heed::Stop => break,
                    Heed::LeftOut => continue,
                }
            }
            self.faults.meet(&bytes[line..]);
            let (within, is_last) = match self.bounds.end() {
                Some(bound) if R::SPANS_LINES => (&bytes[..bound], true),
                _ => (bytes, self.is_last),
            };
            let (end, found) = reader.read(within, line, offset == 0, is_last);
            if let Found::Cut = found {
                roll_back(reader, self.times.len());
                break;
            }
            let (end, found) = match self.bounds.end() {
                Some(bound) if end != bound => (bound, more_than_one(found, end - line)),
                _ => (end, found),
            };
            self.bounds.step();
            self.at = (end + 1).min(bytes.len());
            if end - line > record_bytes_max && without_return(&bytes[line..end]).len() > record_bytes_max {
                let detail = too_long(record_bytes_max);
                self.reject(reader, offset, line, end, Failure { reason: Reason::TooLong, detail });
                continue;
            }
            match found {
                Found::Row(time) => {
                    self.times.push(time);
                    self.offsets.push(offset);
                    if self.bounds.are_messages() {
                        self.starts.push(line as u32);
                    }
                    self.punctuations.extend(reader.punctuation());
                }
                Found::Blank | Found::Cut => {}
                Found::Misfit(failure) => self.reject(reader, offset, line, end, *failure),
            }
        }
    }

    /// What caution asks for before the record of a line is read.
    #[cold]
    fn heed<R: ReadRecord>(&mut self, reader: &mut R, line: usize, offset: u64) -> Heed {
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
                let end = self.bounds.end().or_else(|| reader.end(self.bytes, line, self.is_last));
                let Some(end) = end else { return Heed::Stop };
                self.bounds.step();
                let detail = Rejected::POISON.to_owned();
                self.reject(reader, offset, line, end, Failure { reason: Reason::Poison, detail });
                self.at = (end + 1).min(self.bytes.len());
                Heed::LeftOut
            }
        }
    }

    #[cold]
    fn reject<R: ReadRecord>(
        &mut self,
        reader: &mut R,
        offset: u64,
        line: usize,
        end: usize,
        failure: Failure,
    ) {
        let rows = self.times.len();
        roll_back(reader, rows);
        let raw = without_return(&self.bytes[line..end]);
        let ends_with_both = R::SPANS_LINES && self.bytes.get(end) == Some(&b'\n');
        let place = line..if ends_with_both { line + raw.len() } else { end };
        self.rejected.push(RejectedRecord {
            before: rows,
            offset,
            reason: failure.reason,
            detail: failure.detail,
            raw: Rejected::head(raw).to_vec(),
            place,
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

/// What a message is that goes on behind its record.
#[cold]
fn more_than_one(found: Found, at: usize) -> Found {
    match found {
        Found::Misfit(_) => found,
        _ => Found::Misfit(Failure::of_record(Misfit::Malformed("more than one object"), at)),
    }
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
