//! Reads the records of a row again: which stretches of which partitions, and what each record of its key had seen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use checkpoint::{Kind, Manifest, SourceState, Stage, decode};
use event::{Decoded, Watermark};
use ingest::{
    Caution, IngestError, Partition, PartitionInfo, PartitionWatermark, Poll, Position, SourceKind,
    SourceSpec, Start, TimeIndex,
};

use super::{Amount, Asked, Event, Evidence, Fate};
use crate::branch::Shares;
use crate::custody::Poison;
use crate::indexing;
use crate::job::{Job, RunError};
use crate::member::ordinal;
use crate::message::Columns;
use crate::recovery::check_identity;
use crate::route::pick;

/// A partition that gives nothing for so long is not waited for.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How long one is left alone before it is asked again.
const WAIT: Duration = Duration::from_millis(10);

/// Finds the records of a row in the sources of its job: by the index of a checkpoint, or where there is none by reading all that
/// there is. Records that are `poison` are left out, as the job leaves them out. Keeps the first bytes of the last `shown` events alone.
///
/// # Errors
/// If the checkpoint is of another job, or damaged. A source that cannot be read is said in [`Evidence::unread`].
pub fn gather(
    job: &Job,
    manifest: Option<&Manifest>,
    poison: &[Poison],
    asked: &Asked,
    shown: usize,
) -> Result<Evidence, RunError> {
    let (shares, evidence) = (Shares::of(job), Evidence::default());
    let mut search = Search { job, poison, asked, shares, shown, evidence, texts: 0, lifts: Vec::new() };
    match manifest {
        Some(manifest) => {
            check_identity(job, manifest)?;
            search.evidence.known = Some(Amount::default());
            for state in &manifest.sources {
                search.of_checkpoint(state, manifest.watermark)?;
            }
        }
        None => {
            for (place, spec) in job.sources.iter().enumerate() {
                search.of_source(place, spec);
            }
        }
    }
    Ok(search.finish())
}

/// What the watermark of a partition was at a place.
#[derive(Debug, Clone, Copy)]
struct Mark {
    offset: u64,
    /// As the records before it say, unless the partition was lifted somewhere among them,
    before: Watermark,
    /// and for those behind it.
    watermark: Watermark,
}

/// A part of a partition that is to be read.
struct Part {
    from: Position,
    /// The watermark there.
    watermark: Watermark,
    /// What the watermark is at places behind that, ascending.
    marks: Vec<Mark>,
    /// Records from that offset on are not of it.
    end: Option<u64>,
}

/// The parts of a partition that may hold records of the row.
fn parts(index: &TimeIndex, position: &Position, watermark: Watermark, asked: &Asked) -> Vec<Part> {
    let stretches = index.stretches();
    let mark = |place: usize| match stretches.get(place) {
        Some(it) => Mark { offset: it.from.offset, before: it.before, watermark: it.watermark },
        None => Mark { offset: position.offset, before: watermark, watermark },
    };
    let window = asked.window.start..asked.window.end;
    let runs = index.runs(&window, asked.before).into_iter();
    let part = |run: std::ops::Range<usize>| Part {
        from: stretches[run.start].from.clone(),
        watermark: stretches[run.start].watermark,
        marks: (run.start + 1..=run.end).map(mark).collect(),
        end: Some(mark(run.end).offset),
    };
    runs.map(part).collect()
}

/// A partition as it is read again.
struct Reading<'a> {
    spec: &'a SourceSpec,
    info: &'a PartitionInfo,
    ordinal: u32,
}

struct Search<'a> {
    job: &'a Job,
    poison: &'a [Poison],
    asked: &'a Asked,
    shares: Shares,
    shown: usize,
    evidence: Evidence,
    /// How many events have their first bytes.
    texts: usize,
    /// To what the watermark was lifted in each piece of a partition between two marks; the least value where it was not.
    lifts: Vec<i64>,
}

/// How far a part is read.
struct Progress {
    watermark: PartitionWatermark,
    /// The marks that are to come.
    marks: std::vec::IntoIter<Mark>,
    next: Option<Mark>,
    /// The place in `lifts` of what is read now.
    segment: usize,
}

impl Search<'_> {
    /// Reads what a checkpoint says of a partition.
    fn of_checkpoint(&mut self, state: &SourceState, reached: Watermark) -> Result<(), RunError> {
        self.evidence.partitions.1 += 1;
        let (job, asked) = (self.job, self.asked);
        let Some(place) = job.sources.iter().position(|spec| spec.name == state.source) else {
            return Ok(());
        };
        let Some(index) = indexing::decoded(state)? else { return Ok(()) };
        let (records, bytes) = index.totals();
        if let Some(known) = &mut self.evidence.known {
            *known = Amount { records: known.records + records, bytes: known.bytes + bytes };
        }
        let position: Position = decode(Kind::Position, &state.position)
            .map_err(|error| RunError::Snapshot(format!("position of {}: {error}", state.partition)))?;
        let mut parts = parts(&index, &position, state.watermark, asked);
        // What was read behind the checkpoint may be in the row only if it was put out before the watermark was there.
        if reached.0 < asked.before && state.watermark.0 < asked.before && state.stage != Stage::Finished {
            match parts.last_mut().filter(|part| part.end == Some(position.offset)) {
                Some(last) => last.end = None,
                None => {
                    let (from, watermark) = (position.clone(), state.watermark);
                    parts.push(Part { from, watermark, marks: Vec::new(), end: None });
                }
            }
        }
        let (id, number, parents) = (state.partition.clone(), state.number, state.parents.clone());
        let info = PartitionInfo { id, number, series: number, start: position, parents };
        let reading =
            Reading { spec: &job.sources[place], info: &info, ordinal: ordinal(place as u32, number) };
        if !parts.is_empty() {
            self.evidence.partitions.0 += 1;
        }
        parts.into_iter().for_each(|part| self.part(&reading, part));
        Ok(())
    }

    /// Reads all that there is of a source.
    fn of_source(&mut self, place: usize, spec: &SourceSpec) {
        // Where a job began that kept no state nobody knows.
        let start = match spec.kind {
            SourceKind::Kafka { .. } | SourceKind::Kinesis(_) => Start::Earliest,
            _ => spec.start,
        };
        let spec = SourceSpec { start, ..spec.clone() };
        let found = match &spec.kind {
            SourceKind::Stdin => Err(IngestError::NotRepeatable),
            #[cfg(feature = "archive")]
            SourceKind::Archive { address, of } => {
                archive::partitions(address, of.as_deref(), spec.start.time())
            }
            _ => ingest::partitions_now(&spec),
        };
        let infos = match found {
            Ok(infos) => infos,
            Err(error) => return self.evidence.unread.push((spec.name.clone(), error.to_string())),
        };
        for info in &infos {
            self.evidence.partitions.0 += 1;
            self.evidence.partitions.1 += 1;
            let reading = Reading { spec: &spec, info, ordinal: ordinal(place as u32, info.number) };
            let (from, watermark) = (info.start.clone(), Watermark::NONE);
            self.part(&reading, Part { from, watermark, marks: Vec::new(), end: None });
        }
    }

    /// Reads a part of a partition, and says so if it cannot.
    fn part(&mut self, reading: &Reading<'_>, part: Part) {
        let name = || reading.info.id.clone();
        let mut read = self.read_from(reading, &part, &part.from);
        if let Err(IngestError::Lost { oldest: Some(oldest), .. }) = read
            && oldest > part.from.offset
        {
            let why = format!("its source keeps nothing before offset {oldest} any more");
            self.evidence.unread.push((name(), why));
            let is_gone = part.end.is_some_and(|end| end <= oldest);
            read = match part.from.moved_to(oldest).filter(|_| !is_gone) {
                Some(from) => self.read_from(reading, &part, &from),
                None => Ok(()),
            };
        }
        if let Err(error) = read {
            self.evidence.unread.push((name(), error.to_string()));
        }
    }

    /// Reads a part of a partition from a place in it on.
    fn read_from(&mut self, reading: &Reading<'_>, part: &Part, from: &Position) -> Result<(), IngestError> {
        let mut partition = self.open(reading, from)?;
        self.read(reading, part, partition.as_mut())
    }

    fn open(&self, reading: &Reading<'_>, from: &Position) -> Result<Box<dyn Partition>, IngestError> {
        let (spec, decode, info) = (reading.spec, &self.job.decode, reading.info);
        let mut partition = match &spec.kind {
            #[cfg(feature = "archive")]
            SourceKind::Archive { address, of } => archive::open(address, of.as_deref(), decode, info, from)?,
            _ => ingest::open_again(spec, decode, info, from)?,
        };
        let poison = self.poison.iter().filter(|poison| poison.partition == info.id);
        partition.set_caution(Caution::new(poison.map(|poison| poison.offset).collect(), Vec::new(), None));
        Ok(partition)
    }

    /// Reads an open partition to the end of the part, or until nothing is of the row any more.
    fn read(
        &mut self,
        reading: &Reading<'_>,
        part: &Part,
        partition: &mut dyn Partition,
    ) -> Result<(), IngestError> {
        let mut marks = part.marks.clone().into_iter();
        let next = marks.next();
        let watermark = PartitionWatermark::resume(self.job.watermark, part.watermark);
        let mut progress = Progress { watermark, marks, next, segment: self.new_segment() };
        let end = part.end.unwrap_or(u64::MAX);
        // Only such a partition can have been lifted by what no record says; that shows at the next mark.
        let may_be_lifted = self.job.idle_after.is_some() || reading.spec.kind.grows();
        let mut stop = None;
        let mut since = Instant::now();
        while partition.position().offset < end {
            if progress.watermark.watermark().0 >= self.asked.before {
                let next = progress.next.filter(|_| may_be_lifted).map_or(0, |mark| mark.offset);
                if partition.position().offset >= *stop.get_or_insert(next) {
                    break;
                }
            }
            match partition.poll(usize::MAX)? {
                Poll::Decoded(decoded) => {
                    since = Instant::now();
                    if let Some(lifted) = partition.lifted() {
                        progress.watermark.raise(lifted);
                    }
                    self.take(reading, &mut progress, decoded, end);
                }
                Poll::Pending if since.elapsed() < WAIT_MAX => std::thread::sleep(WAIT),
                Poll::Pending => {
                    let why = format!("nothing came of its source for {} s", WAIT_MAX.as_secs());
                    self.evidence.unread.push((reading.info.id.to_string(), why));
                    break;
                }
                Poll::CaughtUp | Poll::Finished | Poll::Closed(_) => break,
            }
        }
        self.pass(&mut progress, partition.position().offset.saturating_add(1));
        Ok(())
    }

    fn new_segment(&mut self) -> usize {
        self.lifts.push(i64::MIN);
        self.lifts.len() - 1
    }

    /// Notes the marks before an offset: where the watermark there is above what the records say, it was lifted in between.
    fn pass(&mut self, progress: &mut Progress, offset: u64) {
        while let Some(mark) = progress.next.filter(|mark| mark.offset < offset) {
            if mark.before > progress.watermark.watermark() {
                self.lifts[progress.segment] = mark.before.0;
            }
            progress.watermark.raise(mark.watermark);
            progress.segment = self.new_segment();
            progress.next = progress.marks.next();
        }
    }

    /// Takes what is of the row out of a block of records, as far as they lie before `end`.
    fn take(&mut self, reading: &Reading<'_>, progress: &mut Progress, decoded: Decoded, end: u64) {
        self.evidence.read.bytes += indexing::bytes_of(&decoded);
        let Decoded { records, rejected } = decoded;
        self.evidence.read.records += (records.times.len() + rejected.len()) as u64;
        let transformed = self.job.transform.apply(&records.batch);
        let mut failed = transformed.failures.iter().map(|failure| failure.row).peekable();
        let mut seen = Vec::with_capacity(records.times.len());
        let mut segments = Vec::with_capacity(records.times.len());
        for row in 0..records.times.len() {
            self.pass(progress, records.offsets[row].saturating_add(1));
            seen.push(progress.watermark.watermark().0);
            segments.push(progress.segment);
            if failed.next_if_eq(&row).is_none() {
                let said = records.punctuations.get(row..=row).unwrap_or_default();
                progress.watermark.mark(&records.times[row..=row], said);
            }
        }
        let kept = transformed.kept.unwrap_or_else(|| (0..records.times.len() as u32).collect());
        let columns = Columns {
            keys: transformed.keys,
            hashes: transformed.hashes,
            times: kept.iter().map(|row| records.times[*row as usize]).collect(),
            offsets: kept.iter().map(|row| records.offsets[*row as usize]).collect(),
            inputs: transformed.inputs,
            seen: kept.iter().map(|row| seen[*row as usize]).collect(),
            raw: None,
        };
        let part = self.shares.part(self.asked.branch, columns);
        let window = self.asked.window.start..self.asked.window.end;
        let is_sought = |row: &u32| {
            let row = *row as usize;
            window.contains(&part.columns.times[row])
                && part.columns.offsets[row] < end
                && part.columns.keys.value(row) == self.asked.key()
        };
        let rows: Vec<u32> = (0..part.columns.times.len() as u32).filter(is_sought).collect();
        if rows.is_empty() {
            return;
        }
        let name: Arc<str> = reading.info.id.as_str().into();
        self.texts += rows.len();
        for (place, row) in (0..).zip(&rows) {
            let of_batch = kept[part.place(*row as usize)] as usize;
            let seen = part.columns.seen[*row as usize];
            self.evidence.events.push(Event {
                partition: Arc::clone(&name),
                offset: part.columns.offsets[*row as usize],
                time: part.columns.times[*row as usize],
                fate: Fate::Held,
                raw: records.raw(of_batch).to_vec(),
                ordinal: reading.ordinal,
                // The place of what lifted the watermark, until that is known.
                seen: (seen, segments[of_batch] as i64),
                place: (self.evidence.pieces.len(), place),
            });
        }
        self.evidence.pieces.push((reading.ordinal, pick(&part.columns, rows)));
        self.forget_texts(self.shown + 4096);
    }

    /// Forgets the first bytes of all but the last events, once there are many of them.
    fn forget_texts(&mut self, kept_max: usize) {
        if self.texts > kept_max {
            self.sort();
            let last = self.evidence.events.len().saturating_sub(self.shown);
            self.evidence.events[..last].iter_mut().for_each(|event| event.raw = Vec::new());
            self.texts = self.shown;
        }
    }

    fn sort(&mut self) {
        self.evidence.events.sort_by_key(|event| (event.time, event.ordinal, event.offset));
    }

    /// Judges what was found.
    fn finish(mut self) -> Evidence {
        self.forget_texts(self.shown);
        self.sort();
        let (lifts, before) = (&self.lifts, self.asked.before);
        for event in &mut self.evidence.events {
            let least = event.seen.0;
            let greatest = usize::try_from(event.seen.1).ok().and_then(|at| lifts.get(at).copied());
            event.seen.1 = greatest.unwrap_or(least).max(least);
            event.fate = match event.seen {
                (least, _) if least >= before => Fate::Late,
                (_, greatest) if greatest >= before => Fate::Undecided,
                _ => Fate::Held,
            };
        }
        self.evidence
    }
}
