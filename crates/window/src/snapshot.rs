//! The durable form of windows: what a slice holds, by shard, independent of slots and of worker.
//!
//! A slice that is sealed rarely changes again, so its snapshot can be kept and named by many checkpoints;
//! only open slices are written each time. [`Windows::live`] says which are which.

use std::collections::BTreeMap;

use event::{Shard, Watermark, key_hash};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::Windows;
use crate::aggregate::{Exact, Layout, Widths, text_words};
use crate::aside::Aside;
use crate::slice::Slice;

/// A snapshot that does not fit the job, or was damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It was written for other aggregates.
    #[error("the snapshot of {shard:?} has {found} aggregates, the job has {wanted}")]
    Aggregates {
        /// Whose state.
        shard: Shard,
        /// How many it has.
        found: usize,
        /// How many the job has.
        wanted: usize,
    },
    /// It refers to what it does not have.
    #[error("the snapshot of {0:?} is not whole")]
    Inconsistent(Shard),
}

/// A slice that holds records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveSlice {
    /// Its number.
    pub number: i64,
    /// Whether it changes only by records behind the watermark.
    pub sealed: bool,
    /// Whether the last snapshot of it still says what it holds.
    pub saved: bool,
}

/// What one slice holds of one shard, or the records of a shard that are set aside.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ShardSnapshot {
    widths: Vec<bool>,
    slice: i64,
    /// The keys of the rows, one after the other, and where each ends.
    keys: ByteBuf,
    key_ends: Vec<u32>,
    /// The rows, one after the other.
    words: Vec<u64>,
    /// Texts that words refer to.
    texts: Vec<String>,
    /// By row and word.
    spills: Vec<((u32, u16), Exact)>,
    asides: Vec<((i64, u32, u64), Aside)>,
}

impl Windows {
    /// The slices that hold records, oldest first.
    pub fn live(&self) -> Vec<LiveSlice> {
        let slices = self.slices.iter();
        slices
            .map(|(number, s)| LiveSlice { number: *number, sealed: s.is_sealed(), saved: s.saved })
            .collect()
    }

    /// What a slice holds, for each of the `shards` shards that it holds anything of, in their order. It
    /// counts as saved from then on, until it changes.
    pub fn snapshot_slice(&mut self, number: i64, shards: u32) -> Vec<(Shard, ShardSnapshot)> {
        let Some(slice) = self.slices.get_mut(&number) else { return Vec::new() };
        slice.saved = true;
        let slice = &self.slices[&number];
        let order = self.rows_by_shard(slice, shards);
        let mut places = vec![0; if slice.spills.is_empty() { 0 } else { slice.slots.len() }];
        let mut snapshots = Vec::new();
        for run in order.chunk_by(|a, b| a.0 == b.0) {
            snapshots.push((Shard(run[0].0), self.snapshot_rows(number, slice, run, &mut places)));
        }
        for ((row, word), exact) in &slice.spills {
            let shard = Shard::of(self.keys.hash(slice.slots[*row as usize]), shards);
            if let Ok(at) = snapshots.binary_search_by_key(&shard, |(shard, _)| *shard) {
                snapshots[at].1.spills.push(((places[*row as usize], *word), exact.clone()));
            }
        }
        snapshots
    }

    /// Shard and number of each row, by shard.
    fn rows_by_shard(&self, slice: &Slice, shards: u32) -> Vec<(u32, u32)> {
        let of = |slot: &u32| Shard::of(self.keys.hash(*slot), shards).0;
        let mut starts = vec![0usize; shards as usize + 1];
        slice.slots.iter().for_each(|slot| starts[of(slot) as usize + 1] += 1);
        for shard in 1..starts.len() {
            starts[shard] += starts[shard - 1];
        }
        let mut order = vec![(0, 0); slice.slots.len()];
        for (row, slot) in slice.slots.iter().enumerate() {
            let shard = of(slot);
            order[starts[shard as usize]] = (shard, row as u32);
            starts[shard as usize] += 1;
        }
        order
    }

    fn snapshot_rows(
        &self,
        number: i64,
        slice: &Slice,
        rows: &[(u32, u32)],
        places: &mut [u32],
    ) -> ShardSnapshot {
        let (stride, additive) = (self.layout.stride(), self.layout.additive());
        let mut keys = Vec::with_capacity(rows.len() * 16);
        let mut key_ends = Vec::with_capacity(rows.len());
        let mut words = Vec::with_capacity(rows.len() * stride);
        let (mut texts, mut known) = (Vec::new(), BTreeMap::new());
        for (place, (_, row)) in rows.iter().enumerate() {
            let row = *row as usize;
            if let Some(to) = places.get_mut(row) {
                *to = place as u32;
            }
            self.keys.append_key(slice.slots[row], &mut keys);
            key_ends.push(keys.len() as u32);
            words.extend_from_slice(slice.row(row, stride));
            if additive < stride {
                let ordered = words.len() - (stride - additive);
                self.externalise(&mut texts, &mut known, &mut words[ordered..]);
            }
        }
        ShardSnapshot {
            widths: self.layout.widths().0.clone(),
            slice: number,
            keys: keys.into(),
            key_ends,
            words,
            texts,
            ..ShardSnapshot::default()
        }
    }

    /// Replaces numbers of `Texts` by numbers in the snapshot's own list.
    fn externalise(&self, list: &mut Vec<String>, known: &mut BTreeMap<u64, u64>, ordered: &mut [u64]) {
        for (has, word) in text_words(&self.layout) {
            if ordered[has] == 1 {
                let number = ordered[word];
                ordered[word] = *known.entry(number).or_insert_with(|| {
                    list.push(self.texts.text(number).to_owned());
                    list.len() as u64 - 1
                });
            }
        }
    }

    /// The records that are set aside, for each shard that has any.
    pub fn snapshot_asides(&self, shards: u32) -> Vec<(Shard, ShardSnapshot)> {
        let mut snapshots: BTreeMap<Shard, ShardSnapshot> = BTreeMap::new();
        for (place, aside) in &self.asides {
            let snapshot = snapshots.entry(Shard::of(key_hash(&aside.key), shards)).or_default();
            snapshot.widths.clone_from(&self.layout.widths().0);
            snapshot.asides.push((*place, aside.clone()));
        }
        snapshots.into_iter().collect()
    }

    /// Sets the watermark by which windows are closed, before shards are restored.
    pub fn restore_closed(&mut self, closed: Watermark) {
        self.closed = closed;
    }

    /// Takes in what a snapshot holds.
    ///
    /// # Errors
    /// If it was written for other aggregates or refers to what it does not have.
    pub fn restore(&mut self, shard: Shard, snapshot: ShardSnapshot) -> Result<(), SnapshotError> {
        let wanted = self.layout.aggregates().len();
        let found = snapshot.widths.len();
        if found != wanted {
            return Err(SnapshotError::Aggregates { shard, found, wanted });
        }
        for aggregate in 0..wanted {
            if snapshot.widths[aggregate] && !self.layout.widths().0[aggregate] {
                self.widen(aggregate);
            }
        }
        let from = Layout::new(self.layout.aggregates().to_vec(), Widths(snapshot.widths.clone()));
        self.restore_rows(&from, &snapshot).ok_or(SnapshotError::Inconsistent(shard))?;
        self.asides.extend(snapshot.asides);
        Ok(())
    }

    /// `None` if the snapshot is not whole.
    fn restore_rows(&mut self, from: &Layout, snapshot: &ShardSnapshot) -> Option<()> {
        if snapshot.key_ends.is_empty() {
            return Some(());
        }
        if snapshot.words.len() != snapshot.key_ends.len() * from.stride() {
            return None;
        }
        let mut words = self.layout.convert(from, &snapshot.words);
        self.internalise(&snapshot.texts, &mut words)?;
        let slots = self.slots_of(&snapshot.keys, &snapshot.key_ends)?;
        let slice = self.slices.entry(snapshot.slice).or_default();
        let mut rows = Vec::with_capacity(slots.len());
        slice.find_or_insert(&self.layout, &mut self.keys, &slots, &mut rows);
        let stride = self.layout.stride();
        for (row, words) in rows.iter().zip(words.chunks_exact(stride)) {
            slice.words[*row as usize * stride..(*row as usize + 1) * stride].copy_from_slice(words);
        }
        for ((row, word), exact) in &snapshot.spills {
            let word = self.layout.moved_word(from, *word)?;
            slice.spills.insert((*rows.get(*row as usize)?, word), exact.clone());
        }
        Some(())
    }

    fn slots_of(&mut self, keys: &[u8], ends: &[u32]) -> Option<Vec<u32>> {
        let starts = [0].into_iter().chain(ends.iter().map(|end| *end as usize));
        let keys: Vec<&[u8]> =
            starts.zip(ends).map(|(start, end)| keys.get(start..*end as usize)).collect::<Option<_>>()?;
        let array = arrow_array::BinaryArray::from_iter_values(&keys);
        let hashes: Vec<u64> = keys.iter().map(|key| key_hash(key)).collect();
        let mut slots = vec![0; keys.len()];
        self.keys.find_or_insert(&array, &hashes, 0, &mut slots);
        Some(slots)
    }

    fn internalise(&mut self, texts: &[String], words: &mut [u64]) -> Option<()> {
        let places = text_words(&self.layout);
        if places.is_empty() {
            return Some(());
        }
        let (additive, stride) = (self.layout.additive(), self.layout.stride());
        for row in words.chunks_exact_mut(stride) {
            for (has, word) in &places {
                if row[additive + has] == 1 {
                    let text = texts.get(row[additive + word] as usize)?;
                    row[additive + word] = self.texts.number(text);
                }
            }
        }
        Some(())
    }
}
