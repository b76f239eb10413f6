//! The durable form of windows: what they hold, by shard, independent of slots and of worker.

use std::collections::BTreeMap;

use event::{Shard, Watermark, key_hash};
use serde::{Deserialize, Serialize};

use crate::Windows;
use crate::aggregate::{Exact, Layout, Widths, text_words};
use crate::aside::Aside;

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

/// Everything that the windows of one shard hold.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ShardSnapshot {
    widths: Vec<bool>,
    keys: Vec<Vec<u8>>,
    texts: Vec<String>,
    slices: Vec<SliceSnapshot>,
    asides: Vec<((i64, u32, u64), Aside)>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct SliceSnapshot {
    number: i64,
    /// Place of each row's key in `keys`.
    keys: Vec<u32>,
    words: Vec<u64>,
    /// By place of the key and word of the row.
    spills: Vec<((u32, u16), Exact)>,
}

/// Where a slot's key stands in a snapshot.
#[derive(Clone, Copy)]
struct Placed {
    shard: u32,
    key: u32,
}

impl Windows {
    /// What is held for each of the `shards` shards that hold anything, in their order.
    pub fn snapshot(&self, shards: u32) -> Vec<(Shard, ShardSnapshot)> {
        let mut snapshots: BTreeMap<u32, ShardSnapshot> = BTreeMap::new();
        let placed = self.place_keys(shards, &mut snapshots);
        let mut texts = BTreeMap::new();
        for (number, slice) in &self.slices {
            let stride = self.layout.stride();
            let mut rows = vec![0u32; slice.slots.len()];
            for (row, slot) in slice.slots.iter().enumerate() {
                let place = placed[*slot as usize];
                let Some(snapshot) = snapshots.get_mut(&place.shard) else { continue };
                if snapshot.slices.last().is_none_or(|last| last.number != *number) {
                    snapshot.slices.push(SliceSnapshot { number: *number, ..SliceSnapshot::default() });
                }
                if let Some(to) = snapshot.slices.last_mut() {
                    rows[row] = to.keys.len() as u32;
                    to.keys.push(place.key);
                    to.words.extend_from_slice(slice.row(row, stride));
                    if self.layout.ordered() > 0 {
                        let start = to.words.len() - self.layout.ordered();
                        self.externalise(
                            place.shard,
                            &mut snapshot.texts,
                            &mut texts,
                            &mut to.words[start..],
                        );
                    }
                }
            }
            for ((row, word), exact) in &slice.spills {
                let place = placed[slice.slots[*row as usize] as usize];
                let to = snapshots.get_mut(&place.shard).and_then(|snapshot| snapshot.slices.last_mut());
                if let Some(to) = to {
                    to.spills.push(((rows[*row as usize], *word), exact.clone()));
                }
            }
        }
        for (place, aside) in &self.asides {
            let shard = Shard::of(key_hash(&aside.key), shards).0;
            let snapshot = snapshots.entry(shard).or_default();
            snapshot.widths.clone_from(&self.layout.widths().0);
            snapshot.asides.push((*place, aside.clone()));
        }
        snapshots.into_iter().map(|(shard, snapshot)| (Shard(shard), snapshot)).collect()
    }

    /// Gives each key in use its shard and its place there.
    fn place_keys(&self, shards: u32, snapshots: &mut BTreeMap<u32, ShardSnapshot>) -> Vec<Placed> {
        let mut placed = vec![Placed { shard: u32::MAX, key: 0 }; self.keys.slots()];
        for slot in self.slices.values().flat_map(|slice| &slice.slots) {
            if placed[*slot as usize].shard != u32::MAX {
                continue;
            }
            let mut key = Vec::new();
            self.keys.append_key(*slot, &mut key);
            let shard = Shard::of(key_hash(&key), shards).0;
            let snapshot = snapshots.entry(shard).or_default();
            if snapshot.keys.is_empty() {
                snapshot.widths.clone_from(&self.layout.widths().0);
            }
            placed[*slot as usize] = Placed { shard, key: snapshot.keys.len() as u32 };
            snapshot.keys.push(key);
        }
        placed
    }

    /// Replaces numbers of `Texts` by numbers in the shard's own list.
    fn externalise(
        &self,
        shard: u32,
        list: &mut Vec<String>,
        known: &mut BTreeMap<(u32, u64), u64>,
        ordered: &mut [u64],
    ) {
        for (has, word) in text_words(&self.layout) {
            if ordered[has] == 1 {
                let number = ordered[word];
                ordered[word] = *known.entry((shard, number)).or_insert_with(|| {
                    list.push(self.texts.text(number).to_owned());
                    list.len() as u64 - 1
                });
            }
        }
    }

    /// Sets the watermark by which windows are closed, before shards are restored.
    pub fn restore_closed(&mut self, closed: Watermark) {
        self.closed = closed;
    }

    /// Takes in what a snapshot holds for a shard.
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
        let from = Layout::new(self.layout.aggregates().to_vec(), Widths(snapshot.widths));
        let slots = self.slots_of(&snapshot.keys);
        for slice in snapshot.slices {
            self.restore_slice(shard, &from, &slots, &snapshot.texts, slice)?;
        }
        self.asides.extend(snapshot.asides);
        Ok(())
    }

    fn slots_of(&mut self, keys: &[Vec<u8>]) -> Vec<u32> {
        let array = arrow_array::BinaryArray::from_iter_values(keys);
        let hashes: Vec<u64> = keys.iter().map(|key| key_hash(key)).collect();
        let mut slots = vec![0; keys.len()];
        self.keys.find_or_insert(&array, &hashes, 0, &mut slots);
        slots
    }

    fn restore_slice(
        &mut self,
        shard: Shard,
        from: &Layout,
        slots: &[u32],
        texts: &[String],
        snapshot: SliceSnapshot,
    ) -> Result<(), SnapshotError> {
        let broken = SnapshotError::Inconsistent(shard);
        if snapshot.words.len() != snapshot.keys.len() * from.stride() {
            return Err(broken);
        }
        let keys = snapshot.keys.iter().map(|key| slots.get(*key as usize).copied());
        let keys: Vec<u32> = keys.collect::<Option<_>>().ok_or(SnapshotError::Inconsistent(shard))?;
        let mut words = self.layout.convert(from, &snapshot.words);
        self.internalise(texts, &mut words).ok_or(broken)?;
        let slice = self.slices.entry(snapshot.number).or_default();
        let mut rows = Vec::with_capacity(keys.len());
        slice.find_or_insert(&self.layout, &mut self.keys, &keys, &mut rows);
        let stride = self.layout.stride();
        for (row, words) in rows.iter().zip(words.chunks_exact(stride)) {
            slice.words[*row as usize * stride..(*row as usize + 1) * stride].copy_from_slice(words);
        }
        for ((row, word), exact) in snapshot.spills {
            let row = rows.get(row as usize).ok_or(SnapshotError::Inconsistent(shard))?;
            let word = self.layout.moved_word(from, word).ok_or(SnapshotError::Inconsistent(shard))?;
            slice.spills.insert((*row, word), exact);
        }
        Ok(())
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
