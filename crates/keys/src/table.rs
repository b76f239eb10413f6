//! The table of keys.
//!
//! Open addressing over buckets of 8 bytes; keys up to 16 bytes are held inline, so that a look-up costs
//! two cache lines. The look-ups of a batch go through in passes, whose loads overlap.

use arrow_array::BinaryArray;
use event::key_hash;

const EMPTY: u64 = 0;

/// A key, and how many refer to it. `len` is as long as the key; up to 16 bytes lie in `head` and
/// `tail` (which overlap below 16), longer ones in the arena at `tail`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    head: u64,
    tail: u64,
    /// By [`event::key_hash`]: for growing and removing.
    hash: u64,
    len: u32,
    references: u32,
}

/// Keys and their slots. A slot is reused once nobody refers to it any more.
#[derive(Debug)]
pub struct Keys {
    /// High 32 bits of the hash, then slot + 1.
    buckets: Vec<u64>,
    entries: Vec<Entry>,
    free: Vec<u32>,
    arena: Vec<u8>,
    /// Bytes of the arena that belong to no key any more.
    arena_garbage: usize,
    /// Differs from process to process, so that nobody can choose keys that share a bucket.
    seed: u64,
    candidates: Vec<u64>,
    /// Behind the slot of the last key that came in order.
    next: u32,
    /// Which snapshot holds each key, from the first snapshot on.
    saves: Option<Saves>,
}

/// Not in any snapshot.
const NEVER: u8 = u8::MAX;
/// Among the keys that the next snapshot must hold.
const NEXT: u8 = u8::MAX - 1;

/// Snapshots that may hold keys; beyond them small ones are written again as one.
const SNAPSHOTS_MAX: usize = 8;

/// Which snapshot holds the key of each slot. A byte a slot, since each key that comes or goes touches its own.
#[derive(Debug, Default)]
struct Saves {
    /// By slot: place among `written`, `NEVER` or `NEXT`.
    at: Vec<u8>,
    /// Slots at `NEXT`.
    next: Vec<u32>,
    /// The snapshots that hold keys which are still there, at places that stay theirs.
    written: [Option<Written>; SNAPSHOTS_MAX + 1],
}

/// Keys that the snapshot of a cut holds.
#[derive(Debug, Clone, Copy)]
struct Written {
    cut: u32,
    keys: usize,
    /// Those of them that are still there.
    live: usize,
}

impl Saves {
    fn note(&mut self, slot: u32) {
        if self.at.len() <= slot as usize {
            self.at.resize(slot as usize + 1, NEVER);
        }
        if self.at[slot as usize] != NEXT {
            self.at[slot as usize] = NEXT;
            self.next.push(slot);
        }
    }

    fn forget(&mut self, slot: u32) {
        let Some(at) = self.at.get_mut(slot as usize) else { return };
        if let Some(Some(written)) = self.written.get_mut(usize::from(*at)) {
            written.live -= 1;
            *at = NEVER;
        }
    }

    /// The places of the snapshots whose keys had better be written again: those most of whose keys are gone
    /// and, where there are many, the small new ones, so that a key is written again the less often the more
    /// there are.
    fn wasteful(&self) -> Vec<u8> {
        let places = (0..).zip(&self.written).filter_map(|(place, written)| Some((place, (*written)?)));
        let (mut taken, mut kept): (Vec<_>, Vec<_>) = places.partition(|(_, of)| of.live * 2 < of.keys);
        if kept.len() >= SNAPSHOTS_MAX {
            kept.sort_unstable_by_key(|(_, written)| std::cmp::Reverse(written.cut));
            let mut merged = 0;
            for (count, (place, written)) in kept.into_iter().enumerate() {
                if count >= 2 && written.live > 2 * merged {
                    break;
                }
                merged += written.live;
                taken.push((place, written));
            }
        }
        taken.into_iter().map(|(place, _)| place).collect()
    }

    /// Takes snapshots out, whose cuts it returns.
    fn take(&mut self, places: &[u8]) -> Vec<u32> {
        let taken = places.iter().filter_map(|place| self.written[usize::from(*place)].take());
        taken.map(|written| written.cut).collect()
    }
}

impl Keys {
    /// An empty table. The seed differs from process to process, so that nobody can choose keys that are slow to look up.
    pub fn new(seed: u64) -> Self {
        Keys {
            buckets: vec![EMPTY; 1 << 10],
            entries: Vec::new(),
            free: Vec::new(),
            arena: Vec::new(),
            arena_garbage: 0,
            seed: seed | 1,
            candidates: Vec::new(),
            next: 0,
            saves: None,
        }
    }

    /// The slots whose keys the snapshot of a cut must hold: new ones, and those of older cuts whose keys had
    /// better be written again; all of them at first, and if `whole`. And those older cuts, whose keys the
    /// snapshots do not need any more.
    pub fn save(&mut self, cut: u32, whole: bool) -> (Vec<u32>, Vec<u32>) {
        let is_whole = whole || self.saves.is_none();
        let saves = self.saves.get_or_insert_default();
        let mut slots = std::mem::take(&mut saves.next);
        let again = if is_whole { (0..saves.written.len() as u8).collect() } else { saves.wasteful() };
        if is_whole {
            saves.at.resize(self.entries.len(), NEVER);
            slots = (0..self.entries.len() as u32).collect();
        } else if !again.is_empty() {
            let slots_again = saves.at.iter().zip(0..).filter(|(at, _)| again.contains(at));
            slots.extend(slots_again.map(|(_, slot)| slot));
        }
        let cuts = saves.take(&again);
        let free = saves.written.iter().position(Option::is_none);
        let place = free.expect("of as many snapshots as there are places some are wasteful");
        slots.retain(|slot| {
            let used = self.entries[*slot as usize].references > 0;
            saves.at[*slot as usize] = if used { place as u8 } else { NEVER };
            used
        });
        if !slots.is_empty() {
            saves.written[place] = Some(Written { cut, keys: slots.len(), live: slots.len() });
        }
        (slots, cuts)
    }

    /// The slot of a key, which is new if need be.
    pub fn insert_one(&mut self, key: &[u8], hash: u64) -> u32 {
        self.reserve(1);
        self.find_or_insert_one(key, hash)
    }

    /// The slot of a key, if it has one.
    pub fn find(&self, key: &[u8], hash: u64) -> Option<u32> {
        let mask = self.buckets.len() - 1;
        let mut bucket = self.bucket_of(hash);
        while self.buckets[bucket] != EMPTY {
            let held = self.buckets[bucket];
            let slot = (held as u32) - 1;
            if held >> 32 == hash >> 32 && self.holds(slot, key) {
                return Some(slot);
            }
            bucket = (bucket + 1) & mask;
        }
        None
    }

    /// One more than the largest slot so far.
    pub fn slots(&self) -> usize {
        self.entries.len()
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.buckets.capacity() * 8
            + self.entries.capacity() * size_of::<Entry>()
            + self.free.capacity() * 4
            + self.arena.capacity()
    }

    #[inline]
    fn bucket_of(&self, hash: u64) -> usize {
        let bits = self.buckets.len().trailing_zeros();
        (hash.wrapping_mul(self.seed) >> (64 - bits)) as usize
    }

    /// Writes the slots of the keys of a batch's rows `[start, start + slots.len())`, making new ones. `hashes` are those of all
    /// rows, by [`event::key_hash`].
    ///
    /// # Panics
    /// If there are fewer rows or hashes.
    pub fn find_or_insert(&mut self, keys: &BinaryArray, hashes: &[u64], start: usize, slots: &mut [u32]) {
        let rows = start..start + slots.len();
        self.reserve(slots.len());
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.clear();
        // Loads that do not wait for one another: the processor overlaps their misses.
        candidates.extend(hashes[rows.clone()].iter().map(|&hash| self.buckets[self.bucket_of(hash)]));
        let (offsets, bytes) = (keys.value_offsets(), keys.value_data());
        for ((slot, row), candidate) in slots.iter_mut().zip(rows).zip(&candidates) {
            let key = &bytes[offsets[row] as usize..offsets[row + 1] as usize];
            let hash = hashes[row];
            let likely = (*candidate as u32).wrapping_sub(1);
            let hit = *candidate >> 32 == hash >> 32 && *candidate != EMPTY && self.holds(likely, key);
            *slot = if hit { likely } else { self.find_or_insert_one(key, hash) };
        }
        self.candidates = candidates;
    }

    /// Writes the slots of the keys of a batch, making new ones: the same as [`Keys::find_or_insert`], for keys that mostly come in the
    /// order in which they were new. Then the slot of a key is the one behind that of the key before it, so that it is looked at
    /// first: no key has to be hashed, and memory is read in its order. Keys that come in another order cost little more than there.
    ///
    /// # Panics
    /// If there are not as many slots as keys.
    pub fn find_or_insert_in_order(&mut self, keys: &BinaryArray, slots: &mut [u32]) {
        let (offsets, bytes) = (keys.value_offsets(), keys.value_data());
        let key_of = |row: usize| &bytes[offsets[row] as usize..offsets[row + 1] as usize];
        assert_eq!(slots.len(), offsets.len() - 1, "a slot for each key");
        let mut astray = 0;
        for row in 0..slots.len() {
            let key = key_of(row);
            if !self.has_at(self.next, key) {
                astray += 1;
                if astray > 16 + row / 16 {
                    let hashes: Vec<u64> = (0..slots.len()).map(|row| key_hash(key_of(row))).collect();
                    self.find_or_insert(keys, &hashes, row, &mut slots[row..]);
                    return;
                }
                self.next = self.insert_one(key, key_hash(key));
            }
            slots[row] = self.next;
            self.next += 1;
        }
    }

    /// Whether that slot is the key's.
    #[inline]
    fn has_at(&self, slot: u32, key: &[u8]) -> bool {
        // One that nobody refers to may be free, and hold what was.
        self.entries.get(slot as usize).is_some_and(|entry| entry.references > 0) && self.holds(slot, key)
    }

    #[inline]
    fn holds(&self, slot: u32, key: &[u8]) -> bool {
        let entry = &self.entries[slot as usize];
        if entry.len as usize != key.len() {
            return false;
        }
        match inline(key) {
            Some((head, tail)) => entry.head == head && entry.tail == tail,
            None => self.arena[entry.tail as usize..][..key.len()] == *key,
        }
    }

    fn find_or_insert_one(&mut self, key: &[u8], hash: u64) -> u32 {
        let mask = self.buckets.len() - 1;
        let mut bucket = self.bucket_of(hash);
        loop {
            let held = self.buckets[bucket];
            if held == EMPTY {
                break;
            }
            let slot = (held as u32) - 1;
            if held >> 32 == hash >> 32 && self.holds(slot, key) {
                return slot;
            }
            bucket = (bucket + 1) & mask;
        }
        let slot = self.new_slot(key, hash);
        self.buckets[bucket] = (hash >> 32) << 32 | u64::from(slot + 1);
        slot
    }

    fn new_slot(&mut self, key: &[u8], hash: u64) -> u32 {
        let (head, tail) = inline(key).unwrap_or_else(|| {
            let place = self.arena.len() as u64;
            self.arena.extend_from_slice(key);
            (0, place)
        });
        let entry = Entry { head, tail, hash, len: key.len() as u32, references: 0 };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.entries[slot as usize] = entry;
                slot
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        };
        if let Some(saves) = &mut self.saves {
            saves.note(slot);
        }
        slot
    }

    /// Makes room for `more` keys at a load of at most 5/8.
    fn reserve(&mut self, more: usize) {
        let wanted = (self.len() + more) * 8 / 5;
        if wanted > self.buckets.len() {
            self.rebuild(wanted.next_power_of_two());
        }
    }

    fn rebuild(&mut self, buckets: usize) {
        let old = std::mem::replace(&mut self.buckets, vec![EMPTY; buckets]);
        for held in old.into_iter().filter(|held| *held != EMPTY) {
            let mut bucket = self.bucket_of(self.hash((held as u32) - 1));
            while self.buckets[bucket] != EMPTY {
                bucket = (bucket + 1) & (buckets - 1);
            }
            self.buckets[bucket] = held;
        }
    }

    /// The hash of a slot's key.
    #[inline]
    pub fn hash(&self, slot: u32) -> u64 {
        self.entries[slot as usize].hash
    }

    /// Appends the bytes of a slot's key.
    #[inline]
    pub fn append_key(&self, slot: u32, out: &mut Vec<u8>) {
        let entry = &self.entries[slot as usize];
        let len = entry.len as usize;
        if len > 16 {
            out.extend_from_slice(&self.arena[entry.tail as usize..][..len]);
            return;
        }
        // Head and tail overlap where the key is shorter than both, and agree there. A word of a fixed length is
        // copied much faster than a string of any.
        let half = if len < 8 { 4 } else { 8 };
        let tail = if len < 4 { 0 } else { (u128::from(entry.tail) << (8 * half)) >> (8 * (2 * half - len)) };
        let end = out.len() + len;
        out.extend_from_slice(&(u128::from(entry.head) | tail).to_le_bytes());
        out.truncate(end);
    }

    /// Notes that one more refers to the slot.
    ///
    /// # Panics
    /// If there is no such slot.
    #[inline]
    pub fn refer(&mut self, slot: u32) {
        self.entries[slot as usize].references += 1;
    }

    /// Notes that one no longer refers to the slot. Returns whether that was the last: the slot is
    /// then free, and what is held for it elsewhere must be empty.
    #[inline]
    pub fn release(&mut self, slot: u32) -> bool {
        let entry = &mut self.entries[slot as usize];
        entry.references -= 1;
        let last = entry.references == 0;
        if last {
            self.remove(slot);
        }
        last
    }

    fn remove(&mut self, slot: u32) {
        let mask = self.buckets.len() - 1;
        let mut hole = self.bucket_of(self.hash(slot));
        while self.buckets[hole] as u32 != slot + 1 {
            hole = (hole + 1) & mask;
        }
        self.close_hole(hole);
        let len = self.entries[slot as usize].len as usize;
        if len > 16 {
            self.arena_garbage += len;
        }
        self.free.push(slot);
        if let Some(saves) = &mut self.saves {
            saves.forget(slot);
        }
        if self.arena_garbage > 4096 && self.arena_garbage * 2 > self.arena.len() {
            self.compact_arena();
        }
    }

    /// Moves later keys of the same run forward, so that no look-up stops early.
    fn close_hole(&mut self, mut hole: usize) {
        let mask = self.buckets.len() - 1;
        let mut next = hole;
        loop {
            next = (next + 1) & mask;
            let held = self.buckets[next];
            if held == EMPTY {
                self.buckets[hole] = EMPTY;
                return;
            }
            let home = self.bucket_of(self.hash((held as u32) - 1));
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(hole) & mask) {
                self.buckets[hole] = held;
                hole = next;
            }
        }
    }

    fn compact_arena(&mut self) {
        let old = std::mem::take(&mut self.arena);
        for bucket in self.buckets.iter().filter(|held| **held != EMPTY) {
            let entry = &mut self.entries[(*bucket as u32 - 1) as usize];
            if entry.len > 16 {
                let key = &old[entry.tail as usize..][..entry.len as usize];
                entry.tail = self.arena.len() as u64;
                self.arena.extend_from_slice(key);
            }
        }
        self.arena_garbage = 0;
    }
}

/// A key of at most 16 bytes as two numbers, which with its length say all of it.
#[inline]
fn inline(key: &[u8]) -> Option<(u64, u64)> {
    let len = key.len();
    if len > 16 {
        return None;
    }
    if let (Some(head), Some(tail)) = (key.first_chunk::<8>(), key.last_chunk::<8>()) {
        return Some((u64::from_le_bytes(*head), u64::from_le_bytes(*tail)));
    }
    if let (Some(head), Some(tail)) = (key.first_chunk::<4>(), key.last_chunk::<4>()) {
        return Some((u64::from(u32::from_le_bytes(*head)), u64::from(u32::from_le_bytes(*tail))));
    }
    let mut head = [0; 8];
    head[..len].copy_from_slice(key);
    Some((u64::from_le_bytes(head), 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::key_hash;
    use std::collections::BTreeMap;

    fn slots_of(table: &mut Keys, keys: &[Vec<u8>]) -> Vec<u32> {
        let array = BinaryArray::from_iter_values(keys);
        let hashes: Vec<u64> = keys.iter().map(|k| key_hash(k)).collect();
        let mut slots = vec![0; keys.len()];
        table.find_or_insert(&array, &hashes, 0, &mut slots);
        slots
    }

    #[test]
    fn keys_of_every_length_come_back_and_differ_from_their_neighbours() {
        let mut table = Keys::new(12345);
        let keys: Vec<Vec<u8>> = (0..40).flat_map(|len| [vec![b'a'; len], vec![b'b'; len]]).skip(1).collect();
        let slots = slots_of(&mut table, &keys);
        assert_eq!(slots, slots_of(&mut table, &keys));
        assert_eq!(table.len(), keys.len());
        for (slot, key) in slots.iter().zip(&keys) {
            let mut out = Vec::new();
            table.append_key(*slot, &mut out);
            assert_eq!(&out, key);
        }
    }

    /// Saves at a cut; returns how many keys were written, and the cuts that are not needed any more.
    fn save(table: &mut Keys, cut: u32) -> (usize, Vec<u32>) {
        let (slots, again) = table.save(cut, false);
        (slots.len(), again)
    }

    fn add(table: &mut Keys, names: std::ops::Range<u32>) -> Vec<u32> {
        let keys: Vec<Vec<u8>> = names.map(|name| name.to_string().into_bytes()).collect();
        let slots = slots_of(table, &keys);
        slots.iter().for_each(|slot| table.refer(*slot));
        slots
    }

    #[test]
    fn a_key_is_written_once_until_most_of_those_beside_it_are_gone() {
        let mut table = Keys::new(7);
        let slots = add(&mut table, 0..10);
        assert_eq!(save(&mut table, 1), (10, vec![]));
        add(&mut table, 10..13);
        assert_eq!(save(&mut table, 2), (3, vec![]));
        assert_eq!(save(&mut table, 3), (0, vec![]));
        slots[..5].iter().for_each(|slot| assert!(table.release(*slot)));
        assert_eq!(save(&mut table, 4), (0, vec![]), "half of them are there");
        table.release(slots[5]);
        // One that is gone and comes again is a new key.
        add(&mut table, 0..1);
        assert_eq!(save(&mut table, 5), (4 + 1, vec![1]));
        assert_eq!(save(&mut table, 6), (0, vec![]));
    }

    #[test]
    fn keys_that_trickle_in_stay_in_few_snapshots_and_are_seldom_written_again() {
        let mut table = Keys::new(7);
        add(&mut table, 0..10_000);
        let (mut written, mut snapshots) = (0, 0_i64);
        for cut in 0..300 {
            let (keys, again) = save(&mut table, cut);
            written += keys;
            snapshots += 1 - again.len() as i64;
            assert!(snapshots <= SNAPSHOTS_MAX as i64);
            add(&mut table, 10_000 + cut * 10..10_010 + cut * 10);
        }
        assert!(written < 10_000 + 3_000 * 8, "{written}");
    }

    #[test]
    fn keys_that_come_and_go_keep_the_table_right_and_small() {
        come_and_go(slots_of);
        come_and_go(slots_in_order);
    }

    #[test]
    fn keys_in_any_order_have_the_slots_that_they_had() {
        let names = |from: u32, to: u32| (from..to).map(|name| format!("user-{name:020}").into_bytes());
        let mut table = Keys::new(5);
        let all: Vec<Vec<u8>> = names(0, 3000).collect();
        let slots = slots_of(&mut table, &all);
        slots.iter().for_each(|slot| table.refer(*slot));
        let orders: [Vec<usize>; 4] = [
            (0..3000).collect(),
            (0..3000).rev().collect(),
            (0..3000).filter(|place| place % 7 != 3).collect(),
            (0..3000).map(|place| place * 1009 % 3000).collect(),
        ];
        for order in orders {
            let keys: Vec<Vec<u8>> = order.iter().map(|place| all[*place].clone()).collect();
            let expected: Vec<u32> = order.iter().map(|place| slots[*place]).collect();
            assert_eq!(slots_in_order(&mut table, &keys), expected);
        }
        let more: Vec<Vec<u8>> = names(2900, 3100).collect();
        let found = slots_in_order(&mut table, &more);
        assert_eq!(found[..100], slots[2900..]);
        assert_eq!((table.len(), slots_of(&mut table, &more)), (3100, found));
    }

    fn slots_in_order(table: &mut Keys, keys: &[Vec<u8>]) -> Vec<u32> {
        let mut slots = vec![0; keys.len()];
        table.find_or_insert_in_order(&BinaryArray::from_iter_values(keys), &mut slots);
        slots
    }

    fn come_and_go(slots_of: impl Fn(&mut Keys, &[Vec<u8>]) -> Vec<u32>) {
        let mut table = Keys::new(99);
        let mut alive: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
        for round in 0u32..200 {
            let keys: Vec<Vec<u8>> = (0..50)
                .map(|i| {
                    format!("key-{}-{}", (round * 7 + i * 13) % 400, "x".repeat((i % 30) as usize)).into()
                })
                .collect();
            let slots = slots_of(&mut table, &keys);
            for (key, slot) in keys.into_iter().zip(slots) {
                match alive.get(&key) {
                    Some(known) => assert_eq!(*known, slot),
                    None => {
                        table.refer(slot);
                        alive.insert(key, slot);
                    }
                }
            }
            if round % 3 == 2 {
                let gone: Vec<Vec<u8>> = alive.keys().step_by(2).cloned().collect();
                for key in gone {
                    let slot = alive.remove(&key).unwrap();
                    assert!(table.release(slot));
                }
            }
            assert_eq!(table.len(), alive.len());
        }
        assert!(table.slots() < 1000, "slots are reused");
        assert!(table.arena.len() < 64 << 10, "the arena is compacted");
    }
}
