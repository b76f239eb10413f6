//! The durable form of windows in order: the same chunks of keys as other windows, chunks of the rows that have
//! changed, and all records that wait.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::runs::Run;
use super::state::State;
use super::table::Unsaved;
use super::{Machine, Sequence};
use crate::aggregate::rows_of_chunk;
use crate::aside::{Held, input_types};
use crate::snapshot::{
    ASIDES, CHUNK_ROWS, ChunkHead, PanesHead, RecentHead, RowsHead, StateChunk, WaitingHead, bytes_of,
    externalise, keys_chunk,
};

/// Label of chunks of rows.
const PANES: i64 = 0;

/// A record that waits for its turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WaitingRecord {
    pub(crate) key: Vec<u8>,
    pub(crate) time: i64,
    pub(crate) seen: i64,
    pub(crate) offset: u64,
    pub(crate) gap: Option<i64>,
    pub(crate) raw: Option<Vec<u8>>,
    pub(crate) inputs: Vec<Held>,
}

/// A snapshot that is being taken.
#[derive(Debug)]
pub(crate) struct Saving {
    /// Slots whose keys are still to be written.
    keys: Vec<u32>,
    /// Runs that are, each with the first record that is.
    waiting: VecDeque<(u32, usize)>,
    recent: bool,
    rows: Option<Unsaved>,
}

impl Sequence {
    /// Labels of the chunks of older snapshots that may still be needed, keys aside.
    pub fn labels(&self) -> impl Iterator<Item = i64> {
        [PANES].into_iter()
    }

    /// Begins the snapshot of a cut: of what has changed since the last one, or of everything if `whole`.
    /// Returns the cuts whose chunks of keys are not needed any more, since this snapshot has what is left
    /// of them. Until [`Sequence::next_chunk`] has given `None`, nothing may be taken in or released.
    ///
    /// Records that wait are written each time.
    pub fn begin_snapshot(&mut self, cut: u32, whole: bool) -> Vec<u32> {
        let (keys, again) = self.state.keys.save(cut, whole);
        let waiting = self.runs.waiting().map(|(number, _, next)| (number, next)).collect();
        let recent = matches!(self.machine, Machine::Counts(_));
        self.saving = Some(Saving { keys, waiting, recent, rows: self.state.table.save(whole) });
        again
    }

    /// The next chunk of the snapshot, keys before the rows that name them.
    pub fn next_chunk(&mut self) -> Option<StateChunk> {
        let mut saving = self.saving.take()?;
        let chunk = self.chunk_of(&mut saving);
        if chunk.is_some() {
            self.saving = Some(saving);
        }
        chunk
    }

    fn chunk_of(&self, saving: &mut Saving) -> Option<StateChunk> {
        if !saving.keys.is_empty() {
            let rest = saving.keys.split_off(saving.keys.len().min(CHUNK_ROWS));
            return Some(keys_chunk(&self.state.keys, std::mem::replace(&mut saving.keys, rest)));
        }
        if let Some((number, from)) = saving.waiting.pop_front() {
            let run = self.runs.run(number);
            let to = run.times.len().min(from + CHUNK_ROWS);
            if to < run.times.len() {
                saving.waiting.push_front((number, to));
            }
            return Some(self.waiting_chunk(run, from..to));
        }
        if std::mem::take(&mut saving.recent)
            && let Some(chunk) = self.recent_chunk()
        {
            return Some(chunk);
        }
        let mut unsaved = saving.rows.take()?;
        let rows = unsaved.rows.len().min(CHUNK_ROWS);
        let rows = rows_of_chunk(&self.state.table.spills, unsaved.rows[..rows].iter().copied());
        let later = Unsaved {
            whole: false,
            rows: unsaved.rows.split_off(rows),
            freed: unsaved.freed.split_off(unsaved.freed.len().min(CHUNK_ROWS)),
        };
        saving.rows = (!later.rows.is_empty() || !later.freed.is_empty()).then_some(later);
        Some(self.panes_chunk(unsaved))
    }

    fn waiting_chunk(&self, run: &Run, rows: std::ops::Range<usize>) -> StateChunk {
        let types = input_types(self.state.layout.aggregates());
        let records = rows.map(|row| WaitingRecord {
            key: run.keys.value(row).to_vec(),
            time: run.times[row],
            seen: run.seen[row],
            offset: run.offsets[row],
            gap: run.gaps.as_ref().map(|_| run.gap(row)),
            raw: run.raw.get(row).cloned(),
            inputs: run.inputs.iter().zip(&types).map(|(column, t)| Held::take(column, *t, row)).collect(),
        });
        let records = records.collect();
        let head = WaitingHead { partition: run.partition, series: run.series, records };
        StateChunk { label: ASIDES, supersedes: true, head: ChunkHead::Waiting(head), parts: Vec::new() }
    }

    fn recent_chunk(&self) -> Option<StateChunk> {
        let Machine::Counts(counts) = &self.machine else { return None };
        let recent = counts.recent(&self.state);
        (!recent.is_empty()).then(|| {
            let head = ChunkHead::Recent(RecentHead(recent));
            StateChunk { label: ASIDES, supersedes: true, head, parts: Vec::new() }
        })
    }

    fn panes_chunk(&self, unsaved: Unsaved) -> StateChunk {
        let Unsaved { whole, rows, freed } = unsaved;
        let State { layout, texts, table, .. } = &self.state;
        let slots: Vec<u32> = rows.iter().map(|row| table.slot(*row)).collect();
        let heads: Vec<u64> = match &self.machine {
            Machine::Sessions(sessions, _) => rows.iter().flat_map(|row| sessions.head(*row)).collect(),
            Machine::Counts(counts) => rows.iter().flat_map(|row| counts.head(&self.state, *row)).collect(),
            Machine::Triggered(triggered) => triggered.heads(&rows),
        };
        let stride = layout.stride();
        let mut words: Vec<u64> = Vec::with_capacity(rows.len() * stride);
        rows.iter().for_each(|row| words.extend_from_slice(table.words(*row, stride)));
        let mut head = RowsHead { slice: PANES, rows: rows.len() as u64, ..RowsHead::default() };
        head.widths = layout.widths().0.clone();
        head.take_spills(&table.spills, rows.iter().copied());
        externalise(layout, texts, &mut head, &mut words);
        let head = ChunkHead::Panes(PanesHead { rows: head, freed: freed.len() as u64 });
        let parts = vec![bytes_of(rows), bytes_of(slots), bytes_of(heads), bytes_of(words), bytes_of(freed)];
        StateChunk { label: PANES, supersedes: whole, head, parts }
    }
}
