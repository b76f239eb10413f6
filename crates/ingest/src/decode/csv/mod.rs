//! Records of CSV by RFC 4180, with a header: a quote opens a field only at its start, a quoted field may hold
//! commas, doubled quotes and line ends; a backslash or `#` means nothing; spaces belong to the field.
//!
//! CR LF and LF both end a record, a CR alone does not. Blank lines are no records. An empty field without
//! quotes is NULL. A record with more or fewer fields than the header does not fit, nor does one with text
//! behind a closing quote, or a quote that is never closed: such a one goes on to the end of the partition.
//!
//! As for JSON there is a short way for what is usual, which leaves everything else to a complete one:
//! [`field`] knows where fields end, [`header`] who wants them.

mod field;
mod header;

use event::{Reason, Watermark};

pub(crate) use field::Scan;
pub(super) use field::record_end;
pub use header::{CsvHeader, HeaderFault};

use super::cell::cell_end;
use super::column::Column;
use super::decoder::{Found, ReadRecord};
use super::misfit::{Failure, Misfit};
use super::spec::DecodeSpec;
use super::time::TimeReader;
use field::{Field, NoField, append_text, field, plain_end};
use header::{Action, Layout, Target};

/// What stays from record to record.
#[derive(Debug)]
pub(super) struct CsvReader {
    layout: Layout,
    columns: Vec<Column>,
    time: TimeReader,
    time_name: String,
    punctuations: Option<(TimeReader, String)>,
    event_time: i64,
    punctuation: i64,
    /// The text of a field with doubled quotes.
    scratch: Vec<u8>,
}

/// Why the reading of a record ends in the middle of it.
enum Halt {
    /// The bytes end inside it, it has too many or too few fields, or no field is found.
    Structure,
    /// The field at that place does not fit what it is wanted for.
    Value(usize, Target, Misfit),
}

impl CsvReader {
    pub(super) fn new(spec: &DecodeSpec, header: &CsvHeader, columns: Vec<Column>) -> Self {
        let punctuation = spec.punctuation.as_ref();
        CsvReader {
            layout: Layout::new(spec, header),
            columns,
            time: TimeReader::new(spec.time.clone()),
            time_name: spec.time.path.join("."),
            punctuations: punctuation.map(|spec| (TimeReader::new(spec.clone()), spec.path.join("."))),
            event_time: 0,
            punctuation: Watermark::NONE.0,
            scratch: Vec::new(),
        }
    }

    /// Reads a record into the columns; returns where it ends.
    #[inline]
    fn row(&mut self, bytes: &[u8], from: usize, is_last: bool) -> Result<usize, Halt> {
        self.punctuation = Watermark::NONE.0;
        let mut at = from;
        let last = self.layout.actions.len() - 1;
        for place in 0..=last {
            let end = self.cell(bytes, at, place, is_last)?;
            match bytes.get(end) {
                Some(b',') if place < last => at = end + 1,
                Some(b'\n') if place == last => at = end,
                None if place == last && is_last => at = end,
                _ => return Err(Halt::Structure),
            }
        }
        for absent in 0..self.layout.absent.len() {
            let column = self.layout.absent[absent];
            // One that is required was found missing by the layout.
            self.columns[column].add_missing().map_err(|_| Halt::Structure)?;
        }
        Ok(at)
    }

    /// Reads the field at a place of the record; returns where it ends.
    #[inline(always)]
    fn cell(&mut self, bytes: &[u8], at: usize, place: usize, is_last: bool) -> Result<usize, Halt> {
        let short = match &self.layout.actions[place] {
            Action::Skip if bytes.get(at) != Some(&b'"') => Some(plain_end(bytes, at)),
            Action::One(Target::Column(column)) => self.columns[*column].read_cell(bytes, at),
            Action::One(Target::Time) => self.time.read_short(bytes, at).and_then(|(time, end)| {
                self.event_time = time;
                cell_end(bytes, end)
            }),
            _ => None,
        };
        match short {
            Some(end) => Ok(end),
            None => self.cell_slowly(bytes, at, place, is_last),
        }
    }

    /// The complete way.
    #[inline(never)]
    fn cell_slowly(&mut self, bytes: &[u8], at: usize, place: usize, is_last: bool) -> Result<usize, Halt> {
        let found = field(bytes, at, is_last).map_err(|_| Halt::Structure)?;
        self.scratch.clear();
        let text = if found.has_doubled {
            append_text(&found, &mut self.scratch);
            &self.scratch[..]
        } else {
            found.text
        };
        for target in self.layout.actions[place].targets() {
            let read = match target {
                Target::Column(column) if found.is_null() => self.columns[*column].add_missing(),
                Target::Column(column) => self.columns[*column].add_text(text),
                Target::Time if found.is_null() => Err(Misfit::Missing),
                Target::Time => self.time.read_all(text).map(|time| self.event_time = time),
                Target::Punctuation if found.is_null() => Ok(()),
                Target::Punctuation => match &self.punctuations {
                    Some((reader, _)) => reader.read_all(text).map(|said| self.punctuation = said),
                    None => Ok(()),
                },
            };
            read.map_err(|misfit| Halt::Value(place, *target, misfit))?;
        }
        Ok(found.end)
    }

    /// What becomes of a record that was not read to its end. What is wrong with its structure comes before
    /// what is wrong with a value.
    #[cold]
    fn judge(&self, bytes: &[u8], from: usize, is_last: bool, halt: Halt) -> (usize, Found) {
        let Some(end) = self.end(bytes, from, is_last) else { return (bytes.len(), Found::Cut) };
        let failure = self.failure(&bytes[..bytes.len().min(end + 1)], from, halt);
        (end, Found::Misfit(failure))
    }

    /// What is wrong with the record at the end of the bytes, in words.
    fn failure(&self, bytes: &[u8], from: usize, halt: Halt) -> Box<Failure> {
        let fields = match fields(bytes, from) {
            Ok(fields) => fields,
            Err(failure) => return failure,
        };
        let (expected, found) = (self.layout.actions.len(), fields.len());
        if found != expected {
            let detail = format!("the record has {found} fields, the header {expected}");
            return Box::new(Failure { reason: Reason::Malformed, detail });
        }
        if let Some((misfit, name)) = &self.layout.unfit {
            return Failure::of_cell(*misfit, name, "", b"");
        }
        let Halt::Value(place, target, misfit) = halt else {
            return Failure::of_record(Misfit::Malformed("a record that cannot be read"), 0);
        };
        let mut text = Vec::new();
        append_text(&fields[place], &mut text);
        match (target, &self.punctuations) {
            (Target::Column(column), _) => {
                let column = &self.columns[column];
                Failure::of_cell(misfit, column.name(), &column.data_type().to_string(), &text)
            }
            (Target::Punctuation, Some((reader, name))) => {
                Failure::of_cell(misfit, name, reader.expected(), &text)
            }
            _ => Failure::of_cell(misfit, &self.time_name, self.time.expected(), &text),
        }
    }
}

impl ReadRecord for CsvReader {
    const SPANS_LINES: bool = true;

    fn columns(&mut self) -> &mut [Column] {
        &mut self.columns
    }

    #[inline]
    fn read(&mut self, bytes: &[u8], from: usize, _is_first: bool, is_last: bool) -> (usize, Found) {
        match &bytes[from..] {
            [b'\n', ..] => return (from, Found::Blank),
            [b'\r', b'\n', ..] => return (from + 1, Found::Blank),
            [b'\r'] if !is_last => return (from + 1, Found::Cut),
            _ => {}
        }
        if self.layout.unfit.is_some() {
            return self.judge(bytes, from, is_last, Halt::Structure);
        }
        match self.row(bytes, from, is_last) {
            Ok(end) => (end, Found::Row(self.event_time)),
            Err(halt) => self.judge(bytes, from, is_last, halt),
        }
    }

    fn end(&self, bytes: &[u8], from: usize, is_last: bool) -> Option<usize> {
        let end = Scan::default().end(&bytes[from..]).map(|end| from + end);
        end.or(is_last.then_some(bytes.len()))
    }

    #[inline]
    fn punctuation(&self) -> Option<i64> {
        self.punctuations.as_ref().map(|_| self.punctuation)
    }
}

/// All fields of the record at the end of the bytes.
fn fields(bytes: &[u8], from: usize) -> Result<Vec<Field<'_>>, Box<Failure>> {
    let (mut fields, mut at) = (Vec::new(), from);
    loop {
        let found = field(bytes, at, true).map_err(|fault| match fault {
            NoField::Cut => Failure::of_record(Misfit::Malformed("a quote that is never closed"), at - from),
            NoField::TextBehindQuote(behind) => {
                Failure::of_record(Misfit::Malformed("text behind a closing quote"), behind - from)
            }
        })?;
        let end = found.end;
        fields.push(found);
        if bytes.get(end) != Some(&b',') {
            return Ok(fields);
        }
        at = end + 1;
    }
}
