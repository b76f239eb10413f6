//! Windows from chunks of snapshots: the way back of [`crate::StateChunk`].
//!
//! The chunks of one worker's chain go through one [`Restoration`]: first all of keys, then the others, each
//! kind in the order in which they were written. Keys that now belong to another worker are left out, so
//! that any number of workers can share out what any other number has written.

use bytes::Bytes;
use event::{Watermark, key_hash};

use keys::Keys;

use crate::Windows;
use crate::aggregate::{Layout, Widths, text_words};
use crate::packed::unpack;
use crate::snapshot::{CHUNK_ROWS, ChunkHead, RowsHead, SnapshotError};
use crate::text::Texts;

/// What is known of a slot of the worker that wrote a chain.
#[derive(Debug, Clone, Copy)]
enum Known {
    /// No chunk has named its key.
    Nothing,
    /// Its key belongs to another worker.
    Foreign,
    /// Its key lies here among the bytes of keys, and no row has named it yet.
    Key { start: usize, len: u32 },
    /// Its slot now.
    Slot(u32),
}

/// Takes in the chunks of one chain.
pub struct Restoration<'a> {
    windows: &'a mut Windows,
    owns: &'a dyn Fn(u64) -> bool,
    keys: KnownKeys,
}

/// The keys of a chain, by the slots that they had there.
#[derive(Debug, Default)]
pub(crate) struct KnownKeys {
    slots: Vec<Known>,
    keys: Vec<u8>,
}

impl Windows {
    /// Sets the watermark by which windows are closed, before chunks are restored.
    pub fn restore_closed(&mut self, closed: Watermark) {
        self.closed = closed;
        // What older slices there are is kept for late records.
        self.floor_at(closed);
    }

    /// Begins to take in the chunks of one chain. `owns` says of a key's hash whether it belongs here.
    pub fn restore<'a>(&'a mut self, owns: &'a dyn Fn(u64) -> bool) -> Restoration<'a> {
        Restoration { windows: self, owns, keys: KnownKeys::default() }
    }
}

impl Restoration<'_> {
    /// Takes in a chunk.
    ///
    /// # Errors
    /// If it was written for other aggregates or refers to what it does not have.
    pub fn take(&mut self, head: ChunkHead, parts: &[Bytes]) -> Result<(), SnapshotError> {
        match head {
            ChunkHead::Keys(count) => {
                self.keys.take(count, parts, self.owns).ok_or(SnapshotError::Inconsistent("keys"))
            }
            ChunkHead::Rows(head) => {
                self.fit_widths(&head)?;
                self.take_rows(&head, parts).ok_or(SnapshotError::Inconsistent("rows"))
            }
            ChunkHead::Asides(asides) => {
                let own = asides.0.into_iter().filter(|(_, aside)| (self.owns)(key_hash(&aside.key)));
                self.windows.asides.extend(own);
                Ok(())
            }
            ChunkHead::Corrections(corrections) => {
                for (window, key, late) in corrections.0 {
                    let hash = key_hash(&key);
                    if (self.owns)(hash) {
                        let slot = self.windows.keys.insert_one(&key, hash);
                        self.windows.corrections.entry(window).or_default().insert(slot, late);
                    }
                }
                Ok(())
            }
            ChunkHead::Panes(_) | ChunkHead::Waiting(_) | ChunkHead::Recent(_) | ChunkHead::Recall(_) => {
                Err(SnapshotError::Inconsistent("windows of another kind"))
            }
        }
    }

    /// Makes cells as wide as those of the chunk.
    fn fit_widths(&mut self, head: &RowsHead) -> Result<(), SnapshotError> {
        let (wanted, found) = (self.windows.layout.aggregates().len(), head.widths.len());
        if found != wanted {
            return Err(SnapshotError::Aggregates { found, wanted });
        }
        for aggregate in 0..wanted {
            if head.widths[aggregate] && !self.windows.layout.widths().0[aggregate] {
                self.windows.widen(aggregate);
            }
        }
        Ok(())
    }

    /// `None` if the chunk is not whole.
    fn take_rows(&mut self, head: &RowsHead, parts: &[Bytes]) -> Option<()> {
        let [slots, words] = parts else { return None };
        let from = Layout::new(self.windows.layout.aggregates().to_vec(), Widths(head.widths.clone()));
        let count = rows(head.rows)?;
        let (slots, words) = (unpack(slots, count, 1)?, unpack(words, count, from.stride())?);
        let (mut own, mut places) = (Vec::with_capacity(slots.len()), Vec::with_capacity(slots.len()));
        for (place, slot) in slots.into_iter().enumerate() {
            if let Some(slot) = self.keys.slot(&mut self.windows.keys, u32::try_from(slot).ok()?)? {
                own.push(slot);
                places.push(place as u32);
            }
        }
        self.write_rows(head, &from, &words, &own, &places)
    }

    /// Writes those rows of a chunk, at `places`, whose keys belong here.
    fn write_rows(
        &mut self,
        head: &RowsHead,
        from: &Layout,
        words: &[u64],
        slots: &[u32],
        places: &[u32],
    ) -> Option<()> {
        if slots.is_empty() {
            return Some(());
        }
        let windows = &mut *self.windows;
        let mut words = windows.layout.convert(from, words);
        internalise(&windows.layout, &mut windows.texts, &head.texts, &mut words)?;
        let stride = windows.layout.stride();
        let slice = windows.slices.entry(head.slice).or_default();
        let mut rows = Vec::with_capacity(slots.len());
        slice.find_or_insert(&windows.layout, &mut windows.keys, slots, &mut rows);
        let held = std::sync::Arc::make_mut(&mut slice.words);
        let mut row_of = vec![None; words.len() / stride];
        for (row, place) in rows.iter().zip(places) {
            let (row, place) = (*row as usize, *place as usize);
            row_of[place] = Some(row as u32);
            held[row * stride..(row + 1) * stride]
                .copy_from_slice(&words[place * stride..(place + 1) * stride]);
        }
        if !slice.spills.is_empty() {
            let replaced: std::collections::BTreeSet<u32> = rows.into_iter().collect();
            slice.spills.retain(|(row, _), _| !replaced.contains(row));
        }
        for ((place, word), spill) in &head.spills {
            let word = windows.layout.moved_word(from, *word)?;
            let spill = spill.in_use(&windows.layout, word)?;
            if let Some(row) = row_of.get(*place as usize)? {
                slice.spills.insert((*row, word), spill);
            }
        }
        Some(())
    }
}

/// How many rows or keys a chunk holds, unless it cannot hold so many.
pub(crate) fn rows(count: u64) -> Option<usize> {
    usize::try_from(count).ok().filter(|count| *count <= CHUNK_ROWS)
}

/// Replaces numbers in a chunk's list of texts by numbers of `Texts`. `None` if it lacks one.
pub(crate) fn internalise(
    layout: &Layout,
    known: &mut Texts,
    texts: &[String],
    words: &mut [u64],
) -> Option<()> {
    let places = text_words(layout);
    if places.is_empty() {
        return Some(());
    }
    let (additive, stride) = (layout.additive(), layout.stride());
    for row in words.chunks_exact_mut(stride) {
        for (has, word) in &places {
            if row[additive + has] == 1 {
                let text = texts.get(usize::try_from(row[additive + word]).ok()?)?;
                row[additive + word] = known.number(text);
            }
        }
    }
    Some(())
}

impl KnownKeys {
    /// Takes in a chunk of keys, those that `owns` says belong here. `None` if the chunk is not whole.
    pub(crate) fn take(&mut self, count: u64, parts: &[Bytes], owns: &dyn Fn(u64) -> bool) -> Option<()> {
        let [slots, lengths, keys] = parts else { return None };
        let count = rows(count)?;
        let mut rest = &keys[..];
        for (slot, length) in unpack(slots, count, 1)?.into_iter().zip(unpack(lengths, count, 1)?) {
            let (key, behind) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            rest = behind;
            let known = match owns(key_hash(key)) {
                true => Known::Key { start: self.keys.len(), len: key.len() as u32 },
                false => Known::Foreign,
            };
            if matches!(known, Known::Key { .. }) {
                self.keys.extend_from_slice(key);
            }
            let slot = u32::try_from(slot).ok()? as usize;
            if self.slots.len() <= slot {
                self.slots.resize(slot + 1, Known::Nothing);
            }
            self.slots[slot] = known;
        }
        rest.is_empty().then_some(())
    }

    /// The slot of a key in `keys`; inner `None` if it belongs to another worker, outer if no chunk has named it.
    pub(crate) fn slot(&mut self, keys: &mut Keys, slot: u32) -> Option<Option<u32>> {
        let known = self.slots.get_mut(slot as usize)?;
        match *known {
            Known::Nothing => None,
            Known::Foreign => Some(None),
            Known::Slot(slot) => Some(Some(slot)),
            Known::Key { start, len } => {
                let key = &self.keys[start..start + len as usize];
                let slot = keys.insert_one(key, key_hash(key));
                *known = Known::Slot(slot);
                Some(Some(slot))
            }
        }
    }

    /// The slots in use now of the keys that were asked for.
    pub(crate) fn asked_for(&self) -> Vec<u32> {
        let slots = self.slots.iter();
        slots.filter_map(|known| if let Known::Slot(slot) = known { Some(*slot) } else { None }).collect()
    }
}
