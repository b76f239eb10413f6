//! A shard as it is polled: takes what was fetched, undoes aggregates, decodes, and knows where to go on.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use aws_sdk_kinesis::types::Record;
use event::RejectedRecord;
use tokio::task::AbortHandle;

use super::super::position::{KinesisOrigin, KinesisPlace, Origin, Position};
use super::super::{Lag, Partition, PartitionInfo, Poll, Waker};
use super::again;
use super::aggregate::unpack;
use super::fetch::{Fetch, arrived};
use super::queue::{Batch, Fetched, Queue, Standing};
use super::{KinesisError, KinesisSpec};
use crate::{Caution, Decoder, IngestError, Messages, Piece};

/// Bytes that are decoded at a time at most, unless one record has more.
const PIECE_BYTES: usize = 1 << 20;
/// By when a record that was taken in can be read, in milliseconds.
const VISIBLE_AFTER: i64 = 500;

/// One shard of a stream.
pub(super) struct Shard {
    queue: Arc<Queue>,
    task: Option<AbortHandle>,
    decoder: Decoder,
    /// Records that were taken from the queue and are not in `piece` yet.
    taken: VecDeque<Record>,
    /// What the answer says of the end that brought them, until they are read.
    standing: Option<Standing>,
    /// What is decoded next.
    piece: Option<Piece>,
    /// Where the records stand that are in it, or were.
    runs: Vec<Run>,
    /// The offset of the next record that comes into a piece, and the place of that.
    offset: u64,
    origin: KinesisOrigin,
    behind: Option<i64>,
    /// Whether all was given that there was by the last answer.
    is_caught_up: bool,
    /// Whether it has come to where it ends for this job.
    is_over: bool,
    /// When the end was marked,
    marked: Option<Instant>,
    /// and whether it is passed.
    has_passed_end: bool,
}

/// A record of the stream, as the records of ours that it became.
struct Run {
    /// Offset of the first one that was not read before,
    offset: u64,
    /// and how many are packed in front of it.
    packed: u64,
    /// Whether they came in an aggregate.
    is_aggregate: bool,
    sequence: String,
    arrived: i64,
}

impl Shard {
    /// Opens a shard at its start or at a position that it once had, and begins to fetch.
    pub(super) fn open(
        spec: &KinesisSpec,
        partition: &PartitionInfo,
        resume: Option<&Position>,
        decoder: Decoder,
    ) -> Result<Self, IngestError> {
        let position = resume.unwrap_or(&partition.start);
        let Origin::Kinesis(origin) = &position.origin else {
            return Err(IngestError::Kind { name: spec.stream.clone() });
        };
        if origin.stream != spec.stream {
            return Err(IngestError::Setting {
                setting: "stream",
                name: partition.id.clone(),
                wanted: origin.stream.clone(),
                found: spec.stream.clone(),
            });
        }
        let queue = Arc::new(Queue::default());
        let task = match origin.closed {
            Some(_) => None,
            None => Some(begin(spec, partition, origin, &queue)?),
        };
        Ok(Shard::new(queue, task, position.offset, origin.clone(), decoder))
    }

    fn new(
        queue: Arc<Queue>,
        task: Option<AbortHandle>,
        offset: u64,
        origin: KinesisOrigin,
        decoder: Decoder,
    ) -> Self {
        Shard {
            queue,
            task,
            decoder,
            taken: VecDeque::new(),
            standing: None,
            piece: None,
            runs: Vec::new(),
            offset,
            origin,
            behind: None,
            is_caught_up: false,
            is_over: false,
            marked: None,
            has_passed_end: false,
        }
    }

    /// Takes in what was fetched, until there is something to decode, or nothing more.
    fn fill(&mut self) -> Result<(), IngestError> {
        while self.piece.is_none() && !self.is_over && self.origin.closed.is_none() {
            if !self.taken.is_empty() {
                self.cut_piece();
                continue;
            }
            if let Some(standing) = self.standing.take() {
                self.stand(standing);
                continue;
            }
            match self.queue.take() {
                None => return Ok(()),
                Some(Fetched::Failed(error)) => return Err(error.into()),
                Some(Fetched::Closed(children)) => self.close(children),
                Some(Fetched::Records(Batch { records, standing })) => {
                    self.is_caught_up &= records.is_empty();
                    self.taken = records.into();
                    self.standing = Some(standing);
                }
            }
        }
        Ok(())
    }

    /// Makes a piece of the records that were taken, or of the first of them.
    fn cut_piece(&mut self) {
        let mut messages = Messages::default();
        while messages.bytes() < PIECE_BYTES
            && let Some(record) = self.taken.pop_front()
        {
            if self.origin.end.as_ref().is_some_and(|end| arrived(&record) >= end.before) {
                self.taken.clear();
                self.is_over = true;
                break;
            }
            self.add(record, &mut messages);
        }
        self.piece = (!messages.is_empty()).then(|| messages.into());
    }

    fn add(&mut self, record: Record, messages: &mut Messages) {
        let arrived = arrived(&record);
        let before = match &self.origin.place {
            KinesisPlace::Within { sequence, packed, .. } if *sequence == record.sequence_number => *packed,
            _ => 0,
        };
        let data = record.data.into_inner();
        let unpacked = unpack(&data, self.origin.hash_keys);
        let is_aggregate = unpacked.is_some();
        let packed = unpacked.unwrap_or_else(|| vec![data]);
        let sequence = record.sequence_number;
        let run =
            Run { offset: self.offset, packed: before, is_aggregate, sequence: sequence.clone(), arrived };
        self.runs.push(run);
        for data in packed.iter().skip(usize::try_from(before).unwrap_or(usize::MAX)) {
            messages.push(data, self.offset);
            self.offset += 1;
        }
        // Behind all that is in the piece; while some of it is not read, `position` looks into `runs`.
        self.origin.place = KinesisPlace::After { sequence, arrived };
    }

    /// All records of an answer are read: what it said of the end holds now.
    fn stand(&mut self, standing: Standing) {
        self.behind = standing.behind;
        self.is_caught_up = standing.is_end;
        if !standing.is_end {
            return;
        }
        self.origin.caught_up_at = standing.asked_at.max(self.origin.caught_up_at);
        self.has_passed_end |= self.marked.is_some_and(|marked| standing.asked >= marked);
        let is_behind =
            |before: i64| standing.asked_at.is_some_and(|at| at > before.saturating_add(VISIBLE_AFTER));
        self.is_over |= self.origin.end.as_ref().is_some_and(|end| is_behind(end.before));
    }

    /// The shard is closed and read. For a job with an end only those children hold something that were there when it
    /// was started first.
    fn close(&mut self, children: Vec<u32>) {
        match &self.origin.end {
            Some(_) => self.is_over = true,
            None => self.origin.closed = Some(children),
        }
        self.has_passed_end = true;
    }

    /// The run in which a record stands. An aggregate of nothing has no offset of its own: of those that begin there the
    /// last one has it.
    fn run(&self, offset: u64) -> Option<&Run> {
        self.runs.iter().rfind(|run| run.offset <= offset)
    }

    /// Adds the place in the stream to what is said of a record that does not fit.
    fn say_where(&self, record: &mut RejectedRecord) {
        if let Some(words) = self.words_of(record.offset) {
            record.detail = format!("{} ({words})", record.detail);
        }
    }

    /// The place in the stream of a record that the last poll gave.
    fn words_of(&self, offset: u64) -> Option<String> {
        let run = self.run(offset)?;
        let packed = run.is_aggregate.then_some(run.packed + (offset - run.offset));
        Some(again::words(&run.sequence, packed))
    }

    /// The offsets of the records in that record of the stream, also of those in front that were not read, and behind
    /// them; `None` if the last poll gave none of it.
    pub(super) fn offsets_of(&self, sequence: &str) -> Option<Range<i128>> {
        let at = self.runs.iter().position(|run| run.sequence == sequence)?;
        let end = self.runs.get(at + 1).map_or(self.offset, |next| next.offset);
        Some(i128::from(self.runs[at].offset) - i128::from(self.runs[at].packed)..i128::from(end))
    }

    /// What it says once nothing of it is left.
    fn last_word(&self) -> Option<Poll> {
        if let Some(children) = &self.origin.closed {
            return Some(Poll::Closed(children.clone()));
        }
        let end = self.origin.end.as_ref().filter(|_| self.is_over)?;
        Some(if end.children.is_empty() { Poll::Finished } else { Poll::Closed(end.children.clone()) })
    }
}

/// Begins to fetch.
fn begin(
    spec: &KinesisSpec,
    partition: &PartitionInfo,
    origin: &KinesisOrigin,
    queue: &Arc<Queue>,
) -> Result<AbortHandle, KinesisError> {
    let refused = |trouble: aws::Trouble| KinesisError::Refused {
        what: spec.stream.clone(),
        words: trouble.to_string(),
    };
    let kinesis = aws::kinesis(&spec.access()).map_err(refused)?;
    let shard = (partition.id.as_str(), partition.number);
    let fetch = Fetch::new(kinesis, spec, shard, origin, Arc::clone(queue));
    Ok(aws::runtime().map_err(refused)?.spawn(fetch.run()).abort_handle())
}

impl Partition for Shard {
    fn poll(&mut self, records_max: usize) -> Result<Poll, IngestError> {
        if self.piece.is_none() {
            self.runs.clear();
            self.fill()?;
        }
        if let Some(piece) = self.piece.take() {
            let (mut decoded, rest) = self.decoder.decode(piece, records_max);
            self.piece = rest;
            decoded.rejected.iter_mut().for_each(|record| self.say_where(record));
            return Ok(Poll::Decoded(decoded));
        }
        let waits = if self.is_caught_up { Poll::CaughtUp } else { Poll::Pending };
        Ok(self.last_word().unwrap_or(waits))
    }

    fn position(&self) -> Position {
        let mut origin = self.origin.clone();
        let Some(offset) = self.piece.as_ref().map(Piece::offset) else {
            return Position { offset: self.offset, origin: Origin::Kinesis(origin) };
        };
        if let Some(run) = self.run(offset) {
            let packed = run.packed + (offset - run.offset);
            origin.place =
                KinesisPlace::Within { sequence: run.sequence.clone(), packed, arrived: run.arrived };
        }
        Position { offset, origin: Origin::Kinesis(origin) }
    }

    fn place_of(&self, offset: u64) -> Option<String> {
        self.words_of(offset)
    }

    fn set_waker(&mut self, waker: Waker) {
        self.queue.set_waker(waker);
    }

    fn set_caution(&mut self, caution: Caution) {
        self.decoder.set_caution(caution);
    }

    fn lag(&self) -> Option<Lag> {
        let millis = self.behind.and_then(|behind| u64::try_from(behind).ok())?;
        Some(Lag { millis: Some(millis), ..Lag::default() })
    }

    fn mark_end(&mut self) {
        self.marked = Some(Instant::now());
        self.has_passed_end = self.last_word().is_some();
    }

    fn has_passed_end(&self) -> bool {
        self.has_passed_end
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        self.task.iter().for_each(AbortHandle::abort);
    }
}

#[cfg(test)]
mod tests;
