//! The durable form of windows: chunks of keys and of rows, taken a chunk at a time, changes only.
//!
//! Rows name keys by slot, as in memory; keys are written once, when they are new. A slice that is sealed
//! is shared with whoever writes the chunk instead of being copied. `dataflow::snapshot` keeps track of
//! which chunks of older snapshots are still needed; [`crate::Restoration`] reads them back.
//!
//! Promises: the chunks that are alive after a snapshot say all that the windows hold at the time of
//! [`Windows::begin_snapshot`]; a chunk costs what it holds, and holds at most `CHUNK_ROWS` rows.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use arrow_buffer::ToByteSlice;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use keys::Keys;

use crate::Windows;
use crate::aggregate::{Layout, Spill, Spills, rows_of_chunk, spills_of, text_words};
use crate::aside::Aside;
use crate::packed::pack;
use crate::recall::RecallHead;
use crate::sequence::{Recent, WaitingRecord};
use crate::slice::Slice;
use crate::text::Texts;

/// Label of chunks of keys.
pub const KEYS: i64 = i64::MIN;
/// Label of chunks of records that are set aside.
pub const ASIDES: i64 = i64::MIN + 1;

/// Label of chunks of what is remembered of keys.
pub const RECALL: i64 = i64::MIN + 2;

/// Rows or keys of a chunk: what is copied in one go, some milliseconds at most.
pub(crate) const CHUNK_ROWS: usize = 1 << 16;

/// A snapshot that does not fit the job, or was damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It was written for other aggregates.
    #[error("the snapshot has {found} aggregates, the job has {wanted}")]
    Aggregates {
        /// How many it has.
        found: usize,
        /// How many the job has.
        wanted: usize,
    },
    /// It refers to what it does not have.
    #[error("a chunk of {0} is not whole")]
    Inconsistent(&'static str),
}

/// What a chunk holds beside its parts in bulk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ChunkHead {
    /// Parts: slots, the length of each key, the keys' bytes.
    Keys(u64),
    /// Parts: slots, rows of words. Rows replace those of earlier chunks of the same slice and slot.
    Rows(RowsHead),
    /// All records that are set aside.
    Asides(Asides),
    /// All corrections that are to come.
    Corrections(Corrections),
    /// Of windows in order. Parts: numbers of rows, their slots, what is known of each row, its words; numbers of
    /// rows that are gone. All replace what earlier chunks say of these rows.
    Panes(PanesHead),
    /// Of windows in order: records that wait for their turn, of one run.
    Waiting(WaitingHead),
    /// Of count windows: keys without a row.
    Recent(RecentHead),
    /// What is remembered of keys. Replaces what earlier chunks say of these.
    Recall(RecallHead),
}

/// What rows of windows in order need beside their words.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PanesHead {
    pub(crate) rows: RowsHead,
    pub(crate) freed: u64,
}

/// Records that wait for their turn.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WaitingHead {
    pub(crate) partition: u32,
    pub(crate) series: u32,
    pub(crate) records: Vec<WaitingRecord>,
}

/// Keys of count windows without a row.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecentHead(pub(crate) Vec<Recent>);

/// Closed windows that are to be put out once more: window, key, how many late records it has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Corrections(pub(crate) Vec<(i64, Vec<u8>, u64)>);

/// Records that are set aside, each with its place in their order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Asides(pub(crate) Vec<((i64, u32, u64), Aside)>);

/// What rows of a slice need beside their words.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RowsHead {
    pub(crate) slice: i64,
    pub(crate) rows: u64,
    pub(crate) widths: Vec<bool>,
    /// Texts that words refer to.
    pub(crate) texts: Vec<String>,
    /// What fits no cell, by row of the chunk and word.
    pub(crate) spills: Vec<((u32, u16), Spill)>,
}

impl RowsHead {
    /// Takes the spills of the chunk's rows in.
    pub(crate) fn take_spills(&mut self, spills: &Spills, rows: impl Iterator<Item = u32>) {
        for (place, row) in (0..).zip(rows).take_while(|_| !spills.is_empty()) {
            self.spills.extend(spills_of(spills, row).map(|(word, spill)| ((place, word), spill.saved())));
        }
    }
}

/// A part of a snapshot.
#[derive(Debug, Clone)]
pub struct StateChunk {
    /// A slice's number, [`KEYS`] or [`ASIDES`].
    pub label: i64,
    /// Whether chunks of this label from older snapshots are not needed any more.
    pub supersedes: bool,
    /// What it holds.
    pub head: ChunkHead,
    /// What it holds in bulk: little-endian numbers and bytes, as they lie in memory.
    pub(crate) parts: Vec<Bytes>,
}

impl StateChunk {
    /// What it holds in bulk in the form that is written. Takes its time: not for the worker's thread.
    pub fn packed_parts(&self) -> Vec<Bytes> {
        let packed = |part: &Bytes, stride| Bytes::from(pack(part.as_chunks::<8>().0, stride));
        match (&self.head, self.parts.as_slice()) {
            (ChunkHead::Keys(_), [slots, lengths, keys]) => {
                vec![packed_slots(slots), packed_slots(lengths), keys.clone()]
            }
            (ChunkHead::Rows(head), [slots, words]) => {
                vec![packed_slots(slots), packed(words, words.len() / 8 / (head.rows as usize).max(1))]
            }
            (ChunkHead::Panes(head), [rows, slots, heads, words, freed]) => {
                let count = (head.rows.rows as usize).max(1);
                let of_rows = |part: &Bytes| packed(part, part.len() / 8 / count);
                vec![
                    packed_slots(rows),
                    packed_slots(slots),
                    of_rows(heads),
                    of_rows(words),
                    packed_slots(freed),
                ]
            }
            _ => self.parts.clone(),
        }
    }
}

fn packed_slots(slots: &Bytes) -> Bytes {
    Bytes::from(pack(slots.as_chunks::<4>().0, 1))
}

/// A snapshot that is being taken.
#[derive(Debug)]
pub(crate) struct Saving {
    /// Slots whose keys are still to be written.
    keys: Vec<u32>,
    /// Slices that are still to be written.
    slices: VecDeque<i64>,
    /// The slice that is being written.
    rows: Option<SavingRows>,
    asides: bool,
    corrections: bool,
}

#[derive(Debug)]
struct SavingRows {
    slice: i64,
    /// Which rows; all without.
    chosen: Option<Vec<u32>>,
    next: usize,
}

impl SavingRows {
    /// The rows of the next chunk.
    fn next_rows(&self, slice: &Slice) -> Range<usize> {
        let all = self.chosen.as_ref().map_or(slice.rows(), Vec::len);
        let range = self.next..all.min(self.next + CHUNK_ROWS);
        let row = |place: usize| self.chosen.as_ref().map_or(place as u32, |chosen| chosen[place]);
        range.start..range.start + rows_of_chunk(&slice.spills, range.map(row))
    }
}

/// Numbers that someone else still owns, as bytes.
struct Numbers<T>(Arc<Vec<T>>);

impl<T> AsRef<[u8]> for Numbers<T>
where
    [T]: ToByteSlice,
{
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice().to_byte_slice()
    }
}

#[cfg(target_endian = "big")]
compile_error!("snapshots hold numbers as they lie in memory, which must be little-endian");

pub(crate) fn bytes_of<T: Send + Sync + 'static>(numbers: Vec<T>) -> Bytes
where
    [T]: ToByteSlice,
{
    Bytes::from_owner(Numbers(Arc::new(numbers)))
}

/// A range of numbers that a sealed slice and the chunk share.
fn shared<T: Send + Sync + 'static>(numbers: &Arc<Vec<T>>, range: Range<usize>) -> Bytes
where
    [T]: ToByteSlice,
{
    let width = size_of::<T>();
    Bytes::from_owner(Numbers(Arc::clone(numbers))).slice(range.start * width..range.end * width)
}

impl Windows {
    /// Numbers of the slices that hold records, ascending.
    pub fn slices(&self) -> impl Iterator<Item = i64> {
        self.slices.range(self.first_kept()..).map(|(number, _)| *number)
    }

    /// Begins the snapshot of a cut: of what has changed since the last one, or of everything if `whole`.
    /// Returns the cuts whose chunks of keys are not needed any more, since this snapshot has what is left
    /// of them. Until [`Windows::next_chunk`] has given `None`, nothing may be taken in and no window be closed.
    pub fn begin_snapshot(&mut self, cut: u32, whole: bool) -> Vec<u32> {
        self.expire();
        if whole {
            self.slices.values_mut().for_each(|slice| slice.forget_saved());
        }
        let unsaved = self.slices.iter().filter(|(_, slice)| !slice.is_saved());
        let slices = unsaved.map(|(number, _)| *number).collect();
        let (keys, again) = self.keys.save(cut, whole);
        self.saving = Some(Saving {
            keys,
            slices,
            rows: None,
            asides: !self.asides.is_empty(),
            corrections: !self.corrections.is_empty(),
        });
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

    fn chunk_of(&mut self, saving: &mut Saving) -> Option<StateChunk> {
        if !saving.keys.is_empty() {
            let rest = saving.keys.split_off(saving.keys.len().min(CHUNK_ROWS));
            return Some(keys_chunk(&self.keys, std::mem::replace(&mut saving.keys, rest)));
        }
        if std::mem::take(&mut saving.asides) {
            return Some(self.asides_chunk());
        }
        if std::mem::take(&mut saving.corrections) {
            return Some(self.corrections_chunk());
        }
        if saving.rows.is_none() {
            let slice = saving.slices.pop_front()?;
            saving.rows = Some(SavingRows { slice, chosen: self.slices[&slice].unsaved(), next: 0 });
        }
        let rows = saving.rows.as_mut()?;
        let chunk = self.rows_chunk(rows);
        if rows.next >= rows.chosen.as_ref().map_or(self.slices[&rows.slice].rows(), Vec::len) {
            let more = rows.chosen.as_ref().map(Vec::len);
            self.slices.entry(rows.slice).and_modify(|slice| slice.note_saved(more));
            saving.rows = None;
        }
        Some(chunk)
    }

    fn asides_chunk(&self) -> StateChunk {
        let asides = self.asides.iter().map(|(place, aside)| (*place, aside.clone())).collect();
        let head = ChunkHead::Asides(Asides(asides));
        StateChunk { label: ASIDES, supersedes: true, head, parts: Vec::new() }
    }

    fn corrections_chunk(&self) -> StateChunk {
        let corrections = self.corrections.iter().flat_map(|(window, slots)| {
            slots.iter().map(|(slot, late)| {
                let mut key = Vec::new();
                self.keys.append_key(*slot, &mut key);
                (*window, key, *late)
            })
        });
        let head = ChunkHead::Corrections(Corrections(corrections.collect()));
        StateChunk { label: ASIDES, supersedes: true, head, parts: Vec::new() }
    }

    fn rows_chunk(&self, saving: &mut SavingRows) -> StateChunk {
        let slice = &self.slices[&saving.slice];
        let stride = self.layout.stride();
        let range = saving.next_rows(slice);
        saving.next = range.end;
        let mut head =
            RowsHead { slice: saving.slice, widths: self.layout.widths().0.clone(), ..RowsHead::default() };
        head.rows = range.len() as u64;
        let is_first = range.start == 0;
        let texts = !text_words(&self.layout).is_empty();
        let parts = match &saving.chosen {
            None => {
                head.take_spills(&slice.spills, range.clone().map(|row| row as u32));
                let words = range.start * stride..range.end * stride;
                if slice.is_sealed() && !texts {
                    vec![shared(&slice.slots, range), shared(&slice.words, words)]
                } else {
                    let mut words = slice.words[words].to_vec();
                    externalise(&self.layout, &self.texts, &mut head, &mut words);
                    vec![bytes_of(slice.slots[range].to_vec()), bytes_of(words)]
                }
            }
            Some(chosen) => {
                let chosen = &chosen[range];
                head.take_spills(&slice.spills, chosen.iter().copied());
                let slots = chosen.iter().map(|row| slice.slots[*row as usize]).collect();
                let mut words = Vec::with_capacity(chosen.len() * stride);
                chosen.iter().for_each(|row| words.extend_from_slice(slice.row(*row as usize, stride)));
                externalise(&self.layout, &self.texts, &mut head, &mut words);
                vec![bytes_of::<u32>(slots), bytes_of(words)]
            }
        };
        let supersedes = saving.chosen.is_none() && is_first;
        StateChunk { label: saving.slice, supersedes, head: ChunkHead::Rows(head), parts }
    }
}

/// A chunk of the keys of slots.
pub(crate) fn keys_chunk(keys: &Keys, slots: Vec<u32>) -> StateChunk {
    let mut bytes = Vec::with_capacity(slots.len() * 16);
    let mut lengths: Vec<u32> = Vec::with_capacity(slots.len());
    for slot in &slots {
        let start = bytes.len();
        keys.append_key(*slot, &mut bytes);
        lengths.push((bytes.len() - start) as u32);
    }
    let head = ChunkHead::Keys(slots.len() as u64);
    let parts = vec![bytes_of(slots), bytes_of(lengths), bytes.into()];
    StateChunk { label: KEYS, supersedes: false, head, parts }
}

/// Replaces numbers of `Texts` by numbers in the chunk's own list.
pub(crate) fn externalise(layout: &Layout, texts: &Texts, head: &mut RowsHead, words: &mut [u64]) {
    let places = text_words(layout);
    if places.is_empty() {
        return;
    }
    let mut known = BTreeMap::new();
    let additive = layout.additive();
    for row in words.chunks_exact_mut(layout.stride()) {
        let ordered = &mut row[additive..];
        for (has, word) in &places {
            if ordered[*has] != 1 {
                continue;
            }
            let number = ordered[*word];
            ordered[*word] = *known.entry(number).or_insert_with(|| {
                head.texts.push(texts.text(number).to_owned());
                head.texts.len() as u64 - 1
            });
        }
    }
}
