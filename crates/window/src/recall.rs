//! What is remembered of the last row of each key, for features that ask what another was in it.
//!
//! `dataflow` keeps it beside the windows and saves it with them. Promises that what is recalled depends on the rows
//! of the key alone: a row that was due too long before is not recalled, whether or not it is still held.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::{ArrayRef, BinaryArray};
use event::{DataType, Memory, key_hash};
use serde::{Deserialize, Serialize};

use crate::aside::Held;
use crate::snapshot::{CHUNK_ROWS, ChunkHead, RECALL, SnapshotError, StateChunk};

/// Keys below which nobody looks for what may be forgotten.
const FEW: usize = 4096;

/// The last row of each key.
#[derive(Debug)]
pub struct Recall {
    types: Vec<DataType>,
    /// How long before it is due another row is recalled.
    within: i64,
    kept: BTreeMap<Vec<u8>, Last>,
    /// Keys of which no snapshot says what they are now.
    changed: BTreeSet<Vec<u8>>,
    /// Whether there are snapshots.
    saves: bool,
    /// Keys that snapshots hold altogether, since one held all.
    written: usize,
    /// Keys after the last look for what may be forgotten.
    swept: usize,
    latest: i64,
    saving: Option<(bool, Vec<Vec<u8>>)>,
}

/// What is remembered of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Last {
    due: i64,
    values: Vec<Held>,
}

/// Rows that are remembered, by key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecallHead(Vec<(Vec<u8>, Last)>);

impl Recall {
    /// Remembers nothing yet; values are of these types, and rows are recalled by those that are due at most `within`
    /// ticks later. `saves` says whether snapshots will be taken.
    pub fn new(types: Vec<DataType>, within: i64, saves: bool) -> Self {
        Recall {
            types,
            within,
            kept: BTreeMap::new(),
            changed: BTreeSet::new(),
            saves,
            written: 0,
            swept: FEW,
            latest: i64::MIN,
            saving: None,
        }
    }

    /// Number of keys of which a row is remembered.
    pub fn keys(&self) -> usize {
        self.kept.len()
    }

    /// Bytes of memory held, about, texts not counted.
    pub fn bytes(&self) -> usize {
        let key = self.kept.first_key_value().map_or(0, |(key, _)| key.len());
        self.kept.len() * (key + size_of::<(Vec<u8>, Last)>() + self.types.len() * size_of::<Held>())
    }

    fn is_recalled(&self, last: &Last, due: i64) -> bool {
        due.saturating_sub(last.due) <= self.within
    }

    /// Lets rows go that no row to come recalls.
    fn sweep(&mut self) {
        if self.kept.len() > 2 * self.swept {
            let (within, latest) = (self.within, self.latest);
            self.kept.retain(|_, last| latest.saturating_sub(last.due) <= within);
            self.swept = self.kept.len().max(FEW);
        }
    }

    /// Begins the snapshot of a cut: of what has changed since the last one, or of everything if `whole`.
    pub fn begin_snapshot(&mut self, whole: bool) {
        let changed = std::mem::take(&mut self.changed);
        let whole = whole || self.written + changed.len() > 2 * self.kept.len();
        let keys: Vec<Vec<u8>> = if whole {
            self.kept.keys().cloned().collect()
        } else {
            changed.into_iter().filter(|key| self.kept.contains_key(key)).collect()
        };
        self.written = if whole { keys.len() } else { self.written + keys.len() };
        self.saving = Some((whole, keys));
    }

    /// The next chunk of the snapshot.
    pub fn next_chunk(&mut self) -> Option<StateChunk> {
        let (supersedes, mut keys) = self.saving.take()?;
        let rest = keys.split_off(keys.len().min(CHUNK_ROWS));
        if keys.is_empty() && !supersedes {
            return None;
        }
        let rows = keys.into_iter().filter_map(|key| {
            let last = self.kept.get(&key)?.clone();
            Some((key, last))
        });
        let head = ChunkHead::Recall(RecallHead(rows.collect()));
        self.saving = Some((false, rest));
        Some(StateChunk { label: RECALL, supersedes, head, parts: Vec::new() })
    }

    /// Takes in a chunk. `owns` says of a key's hash whether it belongs here.
    ///
    /// # Errors
    /// If it was written for other values.
    pub fn restore(&mut self, head: RecallHead, owns: &dyn Fn(u64) -> bool) -> Result<(), SnapshotError> {
        for (key, last) in head.0.into_iter().filter(|(key, _)| owns(key_hash(key))) {
            if last.values.len() != self.types.len() {
                return Err(SnapshotError::Inconsistent("what is remembered"));
            }
            self.latest = self.latest.max(last.due);
            if self.saves {
                self.changed.insert(key.clone());
            }
            self.kept.insert(key, last);
        }
        Ok(())
    }
}

impl Memory for Recall {
    fn recall(&self, keys: &BinaryArray, dues: &[i64]) -> Vec<ArrayRef> {
        let lasts: Vec<Option<&Last>> = keys
            .iter()
            .zip(dues)
            .map(|(key, due)| self.kept.get(key?).filter(|last| self.is_recalled(last, *due)))
            .collect();
        let column = |(place, data_type): (usize, &DataType)| {
            let values: Vec<&Held> =
                lasts.iter().map(|last| last.map_or(&Held::Null, |last| &last.values[place])).collect();
            Held::column_of(&values, *data_type)
        };
        self.types.iter().enumerate().map(column).collect()
    }

    fn note(&mut self, keys: &BinaryArray, dues: &[i64], values: &[ArrayRef]) {
        for (row, (key, due)) in keys.iter().flatten().zip(dues).enumerate() {
            let held = values.iter().zip(&self.types).map(|(column, t)| Held::take(column, *t, row));
            let last = Last { due: *due, values: held.collect() };
            self.latest = self.latest.max(*due);
            if self.saves && !self.changed.contains(key) {
                self.changed.insert(key.to_vec());
            }
            match self.kept.get_mut(key) {
                Some(known) => *known = last,
                None => {
                    self.kept.insert(key.to_vec(), last);
                }
            }
        }
        self.sweep();
    }
}
