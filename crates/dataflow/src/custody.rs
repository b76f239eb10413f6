//! Which records are in hand, for whoever outlives this process, and which are not to be touched.
//!
//! A record can end the process: by a panic, a stack that overflows, more memory than there is. Decoding and
//! transforming it are one call, taking it into the windows is another. The process notes before each such
//! call which bytes of which partition are in hand, and takes the note back after it. A note is a write of 32
//! bytes to a file, at a place of the partition's own, or of the windows of a worker: it costs one system call
//! a block, needs no sync (the page cache outlives a process), and whoever has the file reads after a death
//! what was in hand.
//!
//! A block has thousands of records. What was in hand at a death comes back as *suspects*: inside those every
//! record is read by a call of its own ([`ingest::Caution`]), and one partition at a time while there are
//! any, so that the next death leaves one note, of one record. What is put out does not depend on how records
//! are cut into calls, so none of this changes the answer.
//!
//! A panic ends the process in an orderly way, with other workers still going on: the note of the call that
//! fell says so, and the others are not to blame.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ingest::{Caution, Witness};

use crate::job::{Job, RunError};
use crate::member::{Member, members, of_source};
use crate::world::World;

/// What a supervisor has found out about records, and where it looks for what is in hand.
#[derive(Debug, Default)]
pub struct Custody {
    notes: Option<Arc<File>>,
    poison: Vec<Poison>,
    suspects: Vec<Suspect>,
    /// Held while records are in hand as long as there are suspects.
    turn: Mutex<()>,
    /// Places in the file of notes that are taken.
    slots: AtomicUsize,
}

/// A record that ends the program; it goes to quarantine unread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poison {
    /// Its partition, by name: the number may change with the config.
    pub partition: String,
    /// Where it begins.
    pub offset: u64,
}

/// Records of a partition of which one may be poison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// Number of the partition among all of the job's.
    pub partition: u32,
    /// Where the records begin.
    pub offsets: Range<u64>,
}

/// A note of what was in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InHand {
    /// Number of the partition among all of the job's.
    pub partition: u32,
    /// Where the records begin. One offset alone is that of one record.
    pub offsets: Range<u64>,
    /// Whether the call itself panicked.
    pub fell: bool,
}

const NOTE_BYTES: usize = 32;
const HELD: u64 = 1;
const FELL: u64 = 2;

impl Custody {
    /// Leaves `poison` out, reads `suspects` one by one, and notes in `notes`, if there is such a file, what
    /// is in hand.
    pub fn new(notes: Option<File>, poison: Vec<Poison>, suspects: Vec<Suspect>) -> Self {
        Custody { notes: notes.map(Arc::new), poison, suspects, ..Custody::default() }
    }

    /// What a process that has ended had in hand.
    ///
    /// # Errors
    /// If the notes cannot be read.
    pub fn read_notes(notes: &File) -> io::Result<Vec<InHand>> {
        let mut bytes = vec![0; notes.metadata()?.len() as usize];
        notes.read_exact_at(&mut bytes, 0)?;
        let word = |note: &[u8], at: usize| {
            note[8 * at..].first_chunk().map_or(0, |bytes: &[u8; 8]| u64::from_le_bytes(*bytes))
        };
        let notes = bytes.chunks_exact(NOTE_BYTES);
        let held = notes.filter(|note| word(note, 0) != 0).map(|note| InHand {
            partition: word(note, 1) as u32,
            offsets: word(note, 2)..word(note, 3),
            fell: word(note, 0) == FELL,
        });
        Ok(held.collect())
    }

    /// What the reader of a partition has to heed, and where it notes what is in hand.
    pub(crate) fn of_partition(&self, ordinal: u32, name: &str) -> (Caution, Option<Arc<Slot>>) {
        let slot = self.slot();
        let poison = self.poison.iter().filter(|poison| poison.partition == name);
        let suspects = self.suspects.iter().filter(|suspect| suspect.partition == ordinal);
        let witness = slot.clone().map(|slot| Arc::new(OfPartition { slot, ordinal }) as Arc<dyn Witness>);
        let offsets = suspects.map(|suspect| suspect.offsets.clone()).collect();
        (Caution::new(poison.map(|poison| poison.offset).collect(), offsets, witness), slot)
    }

    /// Where the windows of a worker note what is in hand.
    pub(crate) fn of_windows(&self) -> Option<Arc<Slot>> {
        self.slot()
    }

    fn slot(&self) -> Option<Arc<Slot>> {
        let notes = self.notes.clone()?;
        let index = self.slots.fetch_add(1, Ordering::Relaxed);
        Some(Arc::new(Slot { notes, at: (index * NOTE_BYTES) as u64, held: AtomicBool::new(false) }))
    }

    /// Waits until no other partition has records in hand, if that matters.
    pub(crate) fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        (!self.suspects.is_empty()).then(|| self.turn.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Names of all partitions that a job has now, by the number with which notes speak of them. Of those of a watched
/// directory or bucket that no checkpoint knows none is named, unless there is one only: a look gives them numbers in
/// the order of their names, and other names may be there than when the process that has ended looked.
///
/// # Errors
/// If a source cannot be asked, or the state cannot be read.
pub fn partition_names(job: &Job) -> Result<BTreeMap<u32, String>, RunError> {
    let world = World::Real;
    let manifest = match &job.state {
        Some(state) => world.open_store(&state.location)?.newest_readable()?,
        None => None,
    };
    let members = members(job, manifest.as_ref(), &world)?;
    let mut names: BTreeMap<u32, String> =
        members.iter().map(|(ordinal, (member, _))| (*ordinal, member.info.id.clone())).collect();
    // One may have fallen over the first record of a partition that no checkpoint knows yet.
    for (place, source) in job.sources.iter().enumerate() {
        let Some(mut discovery) = ingest::discovery(source, &of_source(&members, place))? else { continue };
        let found = discovery.look()?;
        if source.kind.can_be_watched() && found.len() > 1 {
            continue;
        }
        for info in found {
            let member = Member::new(place, info)?;
            names.entry(member.ordinal()).or_insert(member.info.id);
        }
    }
    Ok(names)
}

/// Where a partition, or the windows of a worker, note what is in hand.
#[derive(Debug)]
pub(crate) struct Slot {
    notes: Arc<File>,
    at: u64,
    held: AtomicBool,
}

impl Slot {
    /// Watches over a call until what it gives is dropped.
    pub(crate) fn watch(&self) -> Watch<'_> {
        Watch(self)
    }

    /// Notes that these records of a partition are in hand.
    pub(crate) fn in_hand(&self, partition: u32, offsets: Range<u64>) {
        self.held.store(true, Ordering::Relaxed);
        self.write(&[HELD, u64::from(partition), offsets.start, offsets.end]);
    }

    /// A note that cannot be written is one that is missing: the record is then not found, the job runs.
    fn write(&self, words: &[u64]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let _ = self.notes.write_all_at(&bytes, self.at);
    }
}

/// A slot and the partition that has it.
struct OfPartition {
    slot: Arc<Slot>,
    ordinal: u32,
}

impl Witness for OfPartition {
    fn in_hand(&self, offsets: Range<u64>) {
        self.slot.in_hand(self.ordinal, offsets);
    }
}

/// Takes the note back when the call has ended, or notes that it fell.
pub(crate) struct Watch<'a>(&'a Slot);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if self.0.held.swap(false, Ordering::Relaxed) {
            self.0.write(&[if std::thread::panicking() { FELL } else { 0 }]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_hand_is_read_back_after_a_death_and_what_ended_well_is_not() {
        let notes = tempfile::tempfile().unwrap();
        let custody = Custody::new(Some(notes.try_clone().unwrap()), vec![], vec![]);
        let slots: Vec<_> = (0..4).map(|ordinal| custody.of_partition(ordinal, "p").1.unwrap()).collect();
        let leave = |watch: Watch<'_>| std::mem::forget(watch);
        let watch = slots[3].watch();
        slots[3].in_hand(3, 7..9);
        leave(watch);
        let watch = slots[1].watch();
        slots[1].in_hand(1, 20..21);
        drop(watch);
        let fallen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _watch = slots[2].watch();
            slots[2].in_hand(2, 5..6);
            std::panic::resume_unwind(Box::new("fell"));
        }));
        assert!(fallen.is_err());
        let windows = custody.of_windows().unwrap();
        let watch = windows.watch();
        windows.in_hand(0, 30..40);
        leave(watch);
        let in_hand = |partition, offsets, fell| InHand { partition, offsets, fell };
        assert_eq!(
            Custody::read_notes(&notes).unwrap(),
            [in_hand(2, 5..6, true), in_hand(3, 7..9, false), in_hand(0, 30..40, false)]
        );
    }

    #[test]
    fn partitions_take_turns_only_while_there_are_suspects() {
        assert!(Custody::new(None, vec![], vec![]).turn().is_none());
        let suspect = Suspect { partition: 0, offsets: 0..1 };
        let custody = Custody::new(None, vec![], vec![suspect]);
        let turn = custody.turn();
        assert!(turn.is_some() && custody.turn.try_lock().is_err());
    }
}
