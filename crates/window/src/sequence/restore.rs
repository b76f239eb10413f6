//! Windows in order from chunks of snapshots.

use std::collections::BTreeMap;

use arrow_array::BinaryArray;
use bytes::Bytes;
use event::key_hash;

use super::runs::Run;
use super::saving::WaitingRecord;
use super::triggered::HEAD_WORDS;
use super::{Machine, Sequence};
use crate::aggregate::{Layout, Widths};
use crate::aside::{Held, input_types};
use crate::packed::unpack;
use crate::restore::{KnownKeys, internalise, rows};
use crate::snapshot::{ChunkHead, PanesHead, RecentHead, SnapshotError, WaitingHead};

/// Takes in the chunks of one chain: first all of keys, then the others in the order in which they were written.
pub struct SequenceRestoration<'a> {
    sequence: &'a mut Sequence,
    owns: &'a dyn Fn(u64) -> bool,
    keys: KnownKeys,
    /// Rows of the chain that belong here, and what is known of them. None of a row whose key no chunk names:
    /// it must be gone by a later snapshot.
    rows: BTreeMap<u32, Option<(u32, Vec<u64>)>>,
}

impl Sequence {
    /// Begins to take in the chunks of one chain. `owns` says of a key's hash whether it belongs here.
    pub fn restore<'a>(&'a mut self, owns: &'a dyn Fn(u64) -> bool) -> SequenceRestoration<'a> {
        SequenceRestoration { sequence: self, owns, keys: KnownKeys::default(), rows: BTreeMap::new() }
    }

    fn head_words(&self) -> usize {
        match &self.machine {
            Machine::Sessions(..) => 2,
            Machine::Counts(_) => 6,
            Machine::Triggered(_) => HEAD_WORDS,
        }
    }
}

impl SequenceRestoration<'_> {
    /// Takes in a chunk.
    ///
    /// # Errors
    /// If it was written for other aggregates or other windows, or refers to what it does not have.
    pub fn take(&mut self, head: ChunkHead, parts: &[Bytes]) -> Result<(), SnapshotError> {
        match head {
            ChunkHead::Keys(count) => {
                self.keys.take(count, parts, self.owns).ok_or(SnapshotError::Inconsistent("keys"))
            }
            ChunkHead::Panes(head) => {
                self.fit_widths(&head.rows.widths)?;
                self.take_panes(&head, parts).ok_or(SnapshotError::Inconsistent("rows"))
            }
            ChunkHead::Waiting(head) => {
                self.take_waiting(head).ok_or(SnapshotError::Inconsistent("records that wait"))
            }
            ChunkHead::Recent(recent) => self.take_recent(&recent),
            ChunkHead::Rows(_) | ChunkHead::Asides(_) | ChunkHead::Corrections(_) | ChunkHead::Recall(_) => {
                Err(SnapshotError::Inconsistent("windows of another kind"))
            }
        }
    }

    /// Ends it, after the last chunk of the chain.
    ///
    /// # Errors
    /// If a row is left whose key no chunk has named, or that makes no sense.
    pub fn finish(mut self) -> Result<(), SnapshotError> {
        let rows: Option<Vec<_>> = std::mem::take(&mut self.rows).into_values().collect();
        let mut rows = rows.ok_or(SnapshotError::Inconsistent("keys"))?;
        match self.sequence.machine {
            Machine::Sessions(..) => {}
            // The panes of a key in their order: by the number of their first record.
            Machine::Counts(_) => rows.sort_by_key(|(_, head)| head.get(2).copied()),
            // Windows before what lies ahead in them.
            Machine::Triggered(_) => rows.sort_by_key(|(_, head)| head.first().copied()),
        }
        for (row, head) in rows {
            self.open(row, &head).ok_or(SnapshotError::Inconsistent("rows"))?;
        }
        // Keys that only rows name which are gone.
        let keys = &mut self.sequence.state.keys;
        for slot in self.keys.asked_for() {
            keys.refer(slot);
            keys.release(slot);
        }
        self.sequence.state.table.recycle();
        Ok(())
    }

    fn open(&mut self, row: u32, head: &[u64]) -> Option<()> {
        let Sequence { machine, state, .. } = &mut *self.sequence;
        match machine {
            Machine::Sessions(sessions, _) => sessions.restore(state, row, *head.first_chunk()?)?,
            Machine::Counts(counts) => counts.restore(state, row, *head.first_chunk()?)?,
            Machine::Triggered(triggered) => triggered.restore(state, row, *head.first_chunk()?)?,
        }
        state.keys.refer(state.table.slot(row));
        Some(())
    }

    /// Makes cells as wide as those of the chunk.
    fn fit_widths(&mut self, widths: &[bool]) -> Result<(), SnapshotError> {
        let state = &mut self.sequence.state;
        let (wanted, found) = (state.layout.aggregates().len(), widths.len());
        if found != wanted {
            return Err(SnapshotError::Aggregates { found, wanted });
        }
        for (aggregate, wide) in widths.iter().enumerate() {
            if *wide && !state.layout.widths().0[aggregate] {
                state.widen(aggregate);
            }
        }
        Ok(())
    }

    /// `None` if the chunk is not whole.
    fn take_panes(&mut self, head: &PanesHead, parts: &[Bytes]) -> Option<()> {
        let [numbers, slots, heads, words, freed] = parts else { return None };
        let from =
            Layout::new(self.sequence.state.layout.aggregates().to_vec(), Widths(head.rows.widths.clone()));
        let count = rows(head.rows.rows)?;
        let head_words = self.sequence.head_words();
        let numbers = unpack(numbers, count, 1)?;
        let slots = unpack(slots, count, 1)?;
        let heads = unpack(heads, count, head_words)?;
        let words = unpack(words, count, from.stride())?;
        for number in unpack(freed, rows(head.freed)?, 1)? {
            self.drop_row(u32::try_from(number).ok()?);
        }
        let state = &mut self.sequence.state;
        let mut words = state.layout.convert(&from, &words);
        internalise(&state.layout, &mut state.texts, &head.rows.texts, &mut words)?;
        let stride = state.layout.stride();
        let mut placed = Vec::with_capacity(count);
        for (place, (number, slot)) in numbers.into_iter().zip(slots).enumerate() {
            let (number, slot) = (u32::try_from(number).ok()?, u32::try_from(slot).ok()?);
            let head = &heads[place * head_words..][..head_words];
            placed.push(self.take_row(number, slot, head, &words[place * stride..][..stride]));
        }
        for ((place, word), spill) in &head.rows.spills {
            let state = &mut self.sequence.state;
            let word = state.layout.moved_word(&from, *word)?;
            let spill = spill.in_use(&state.layout, word)?;
            if let Some(row) = placed.get(*place as usize)? {
                state.table.spills.insert((*row, word), spill);
            }
        }
        Some(())
    }

    /// Takes in a row, in place of what is known of it. Returns its number here, if it belongs here.
    fn take_row(&mut self, number: u32, slot: u32, head: &[u64], words: &[u64]) -> Option<u32> {
        self.drop_row(number);
        let state = &mut self.sequence.state;
        match self.keys.slot(&mut state.keys, slot) {
            None => {
                self.rows.insert(number, None);
                None
            }
            Some(None) => None,
            Some(Some(slot)) => {
                let row = state.table.take(slot, words.len());
                state.table.words[row as usize * words.len()..][..words.len()].copy_from_slice(words);
                self.rows.insert(number, Some((row, head.to_vec())));
                Some(row)
            }
        }
    }

    fn drop_row(&mut self, number: u32) {
        if let Some(Some((row, _))) = self.rows.remove(&number) {
            self.sequence.state.table.release(row);
        }
    }

    fn take_recent(&mut self, recent: &RecentHead) -> Result<(), SnapshotError> {
        let Sequence { machine, state, .. } = &mut *self.sequence;
        let Machine::Counts(counts) = machine else {
            return Err(SnapshotError::Inconsistent("windows of another kind"));
        };
        for recent in &recent.0 {
            let hash = key_hash(&recent.key);
            if (self.owns)(hash) {
                let slot = state.keys.insert_one(&recent.key, hash);
                counts.restore_recent(state, slot, recent);
            }
        }
        Ok(())
    }

    /// `None` if a record does not have the inputs of the aggregates.
    fn take_waiting(&mut self, head: WaitingHead) -> Option<()> {
        let types = input_types(self.sequence.state.layout.aggregates());
        let own = head.records.into_iter().filter(|record| (self.owns)(key_hash(&record.key)));
        let mut records: Vec<WaitingRecord> = own.collect();
        if records.iter().any(|record| record.inputs.len() != types.len()) {
            return None;
        }
        let column = |(place, data_type)| {
            let values: Vec<&Held> = records.iter().map(|record| &record.inputs[place]).collect();
            Held::column_of(&values, data_type)
        };
        let inputs = types.into_iter().enumerate().map(column).collect();
        let has_gaps = records.iter().all(|record| record.gap.is_some());
        let has_raw = records.iter().all(|record| record.raw.is_some());
        let run = Run {
            partition: head.partition,
            series: head.series,
            keys: BinaryArray::from_iter_values(records.iter().map(|record| &record.key)),
            hashes: records.iter().map(|record| key_hash(&record.key)).collect(),
            times: records.iter().map(|record| record.time).collect(),
            seen: records.iter().map(|record| record.seen).collect(),
            offsets: records.iter().map(|record| record.offset).collect(),
            gaps: has_gaps.then(|| records.iter().filter_map(|record| record.gap).collect()),
            inputs,
            raw: match has_raw {
                true => records.iter_mut().filter_map(|record| record.raw.take()).collect(),
                false => Vec::new(),
            },
        };
        self.sequence.hold(run);
        Some(())
    }
}
