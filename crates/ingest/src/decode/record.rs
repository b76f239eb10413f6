//! One record: the members of its object, in whatever order they stand.

use event::Watermark;

use super::column::Column;
use super::decoder::{Found, ReadRecord, line_end, without_mark};
use super::misfit::{Failure, Misfit};
use super::plan::{Action, Node, Plan, StepId, Target};
use super::skip;
use super::spec::DecodeSpec;
use super::text;
use super::time::TimeReader;

/// What stays from record to record.
#[derive(Debug)]
pub(super) struct RecordReader {
    plan: Plan,
    columns: Vec<Column>,
    time: TimeReader,
    punctuations: Option<TimeReader>,
    depth_max: usize,
    /// For each name of the plan that leads to others, the record in which it was seen last.
    seen: Vec<u64>,
    record: u64,
    filled: usize,
    event_time: i64,
    /// The record that gave the event time.
    event_time_record: u64,
    punctuation: i64,
    /// The record that gave the punctuation.
    punctuation_record: u64,
    scratch: Vec<u8>,
}

type Fails<T> = Result<T, Box<Failure>>;

impl RecordReader {
    pub(super) fn new(spec: &DecodeSpec, columns: Vec<Column>) -> Self {
        let plan = Plan::new(spec);
        let seen = vec![0; plan.names.len()];
        RecordReader {
            plan,
            columns,
            time: TimeReader::new(spec.time.clone()),
            punctuations: spec.punctuation.clone().map(TimeReader::new),
            depth_max: spec.depth_max,
            seen,
            record: 0,
            filled: 0,
            event_time: 0,
            event_time_record: 0,
            punctuation: Watermark::NONE.0,
            punctuation_record: 0,
            scratch: Vec::new(),
        }
    }

    /// Reads the record whose line starts at `line` and whose first byte that is not blank is at `start`.
    /// Returns where the line ends and its event time, and has added a row to each column. A failure may
    /// leave a part of a row behind.
    #[inline]
    fn record(&mut self, bytes: &[u8], line: usize, start: usize) -> Fails<(usize, i64)> {
        if bytes[start] != b'{' {
            return Err(Failure::of_record(Misfit::Malformed("not an object"), start - line));
        }
        self.record += 1;
        self.filled = 0;
        let end = self.object(bytes, line, 0, start + 1, 1)?;
        if self.filled < self.plan.targets {
            self.fill_missing()?;
        }
        if bytes.get(end) == Some(&b'\n') {
            return Ok((end, self.event_time));
        }
        let end = blank_end(bytes, end);
        match bytes.get(end) {
            None | Some(b'\n') => Ok((end, self.event_time)),
            _ => Err(Failure::of_record(Misfit::Malformed("more than one object"), end - line)),
        }
    }

    /// Reads the members of an object from behind its bracket; returns where it ends.
    fn object(&mut self, bytes: &[u8], line: usize, node: usize, start: usize, depth: usize) -> Fails<usize> {
        let mut at = start;
        let mut step = Node::START;
        loop {
            let (next, action, value) = match self.plan.nodes[node].follow(bytes, at, step) {
                Some(followed) => followed,
                None => self.member(bytes, line, node, at, step)?,
            };
            step = next;
            at = match action {
                Action::End => return Ok(value),
                Action::Skip => match skip::value(bytes, value, depth, self.depth_max) {
                    Ok(end) => end,
                    Err(misfit) => return Err(Failure::of_record(misfit, value - line)),
                },
                Action::Column(column) => self.column(bytes, value, column as usize)?,
                Action::Time => self.event_time(bytes, value)?,
                Action::Other(name) => self.other(bytes, line, name as usize, value, depth)?,
            };
        }
    }

    /// Parses what stands between two values, or before the end of an object, and learns it.
    #[inline(never)]
    fn member(
        &mut self,
        bytes: &[u8],
        line: usize,
        node: usize,
        from: usize,
        step: StepId,
    ) -> Fails<(StepId, Action, usize)> {
        let malformed = |what, at: usize| Err(Failure::of_record(Misfit::Malformed(what), at - line));
        let mut at = blank_end(bytes, from);
        match bytes.get(at) {
            Some(b'}') => {
                let end = at + 1;
                let next = self.plan.nodes[node].learn(step, &bytes[from..end], Action::End);
                return Ok((next, Action::End, end));
            }
            Some(b',') if step != Node::START => at = blank_end(bytes, at + 1),
            Some(b'"') if step == Node::START => {}
            None | Some(b'\n') => return malformed("an object that does not end", at),
            _ => return malformed("neither a name nor the end of the object", at),
        }
        if bytes.get(at) != Some(&b'"') {
            return malformed("a name is missing", at);
        }
        self.scratch.clear();
        let (end, is_text) = match text::append(bytes, at, &mut self.scratch) {
            Ok(end) => (end, true),
            // No needed name has one.
            Err(Misfit::LoneSurrogate) => match skip::string(bytes, at) {
                Ok(end) => (end, false),
                Err(misfit) => return Err(Failure::of_record(misfit, at - line)),
            },
            Err(misfit) => return Err(Failure::of_record(misfit, at - line)),
        };
        at = blank_end(bytes, end);
        if bytes.get(at) != Some(&b':') {
            return malformed("a colon is missing", at);
        }
        let value = blank_end(bytes, at + 1);
        let action = if is_text { self.plan.action(node, &self.scratch) } else { Action::Skip };
        let next = self.plan.nodes[node].learn(step, &bytes[from..value], action);
        Ok((next, action, value))
    }

    #[inline(always)]
    fn column(&mut self, bytes: &[u8], at: usize, column: usize) -> Fails<usize> {
        self.filled += 1;
        match self.columns[column].read(bytes, at, self.record) {
            Ok(end) => Ok(end),
            Err(misfit) => Err(self.column_failure(column, misfit, bytes, at)),
        }
    }

    #[cold]
    fn column_failure(&self, column: usize, misfit: Misfit, bytes: &[u8], at: usize) -> Box<Failure> {
        let column = &self.columns[column];
        let value = bytes.get(at..).unwrap_or_default();
        Failure::of_field(misfit, column.name(), &column.data_type().to_string(), value)
    }

    #[inline(always)]
    fn event_time(&mut self, bytes: &[u8], at: usize) -> Fails<usize> {
        if self.event_time_record == self.record {
            return Err(self.time_failure(Misfit::Duplicate, bytes, at));
        }
        self.event_time_record = self.record;
        self.filled += 1;
        match self.time.read(bytes, at) {
            Ok((time, end)) => {
                self.event_time = time;
                Ok(end)
            }
            Err(misfit) => Err(self.time_failure(misfit, bytes, at)),
        }
    }

    /// Reads what the record says of its partition. Null says nothing, like a name that is missing.
    fn punctuation_at(&mut self, bytes: &[u8], at: usize) -> Fails<usize> {
        let Some(reader) = &mut self.punctuations else { return Ok(at) };
        let read = match self.punctuation_record == self.record {
            true => Err(Misfit::Duplicate),
            false => reader.read(bytes, at),
        };
        self.punctuation_record = self.record;
        match read {
            Ok((watermark, end)) => {
                self.punctuation = watermark;
                Ok(end)
            }
            Err(Misfit::Missing) => {
                self.punctuation = Watermark::NONE.0;
                Ok(blank_end(bytes, at) + b"null".len())
            }
            Err(misfit) => {
                let name = &self.plan.names[self.plan.punctuation_name].path;
                let value = bytes.get(at..).unwrap_or_default();
                Err(Failure::of_field(misfit, name, reader.expected(), value))
            }
        }
    }

    #[cold]
    fn time_failure(&self, misfit: Misfit, bytes: &[u8], at: usize) -> Box<Failure> {
        let value = bytes.get(at..).unwrap_or_default();
        Failure::of_field(misfit, &self.plan.names[self.plan.time_name].path, self.time.expected(), value)
    }

    /// Reads a value as often as it is wanted, and what is wanted in it.
    fn other(&mut self, bytes: &[u8], line: usize, name: usize, at: usize, depth: usize) -> Fails<usize> {
        let mut end = at;
        for target in 0..self.plan.names[name].targets.len() {
            end = match self.plan.names[name].targets[target] {
                Target::Column(column) => self.column(bytes, at, column)?,
                Target::Time => self.event_time(bytes, at)?,
                Target::Punctuation => self.punctuation_at(bytes, at)?,
            };
        }
        let Some(node) = self.plan.names[name].child else {
            return Ok(end);
        };
        if self.seen[name] == self.record {
            return Err(Failure::of_field(Misfit::Duplicate, &self.plan.names[name].path, "", b""));
        }
        self.seen[name] = self.record;
        self.inner(bytes, line, node, blank_end(bytes, at), depth)
    }

    /// Reads the value of a name that leads to others: they are in it only if it is an object.
    fn inner(&mut self, bytes: &[u8], line: usize, node: usize, at: usize, depth: usize) -> Fails<usize> {
        if bytes.get(at) != Some(&b'{') {
            let end = skip::value(bytes, at, depth, self.depth_max);
            return end.map_err(|misfit| Failure::of_record(misfit, at - line));
        }
        if depth == self.depth_max {
            return Err(Failure::of_record(Misfit::TooDeep, at - line));
        }
        self.object(bytes, line, node, at + 1, depth + 1)
    }

    /// Adds NULL for every field that this record does not have.
    #[cold]
    fn fill_missing(&mut self) -> Fails<()> {
        for column in &mut self.columns {
            if !column.has_value_of(self.record)
                && let Err(misfit) = column.add_missing()
            {
                return Err(Failure::of_field(misfit, column.name(), "", b""));
            }
        }
        match self.event_time_record == self.record {
            true => Ok(()),
            false => Err(self.time_failure(Misfit::Missing, b"", 0)),
        }
    }
}

impl ReadRecord for RecordReader {
    const SPANS_LINES: bool = false;

    fn columns(&mut self) -> &mut [Column] {
        &mut self.columns
    }

    #[inline]
    fn read(&mut self, bytes: &[u8], from: usize, is_first: bool, _is_last: bool) -> (usize, Found) {
        let start = blank_end(bytes, if is_first { without_mark(bytes, from) } else { from });
        match bytes.get(start) {
            None | Some(b'\n') => (start, Found::Blank),
            _ => match self.record(bytes, from, start) {
                Ok((end, time)) => (end, Found::Row(time)),
                Err(failure) => (line_end(bytes, start), Found::Misfit(failure)),
            },
        }
    }

    fn end(&self, bytes: &[u8], from: usize, _is_last: bool) -> Option<usize> {
        Some(line_end(bytes, from))
    }

    #[inline]
    fn punctuation(&self) -> Option<i64> {
        let said = self.punctuation_record == self.record;
        self.punctuations.as_ref().map(|_| if said { self.punctuation } else { Watermark::NONE.0 })
    }
}

/// The first byte from `at` on that is no white space within a line.
#[inline]
pub(super) fn blank_end(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\r')) {
        at += 1;
    }
    at
}
