//! Models that are too large for every key: one for each key of a short list.
//!
//! Keys that are not on it cost a pointer. What a model is, is the business of its own module.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::DetectError;
use crate::forest::{SeriesForest, SeriesSpec, StreamForest, StreamSpec, Verdict};
use crate::slots::SlotState;

/// A model of one key.
pub(crate) trait Model: Sized + Clone + Serialize + DeserializeOwned {
    /// Its settings.
    type Spec: Clone;

    /// One that has learned nothing.
    fn new(spec: &Self::Spec) -> Result<Self, DetectError>;

    /// Bytes that it takes.
    fn bytes(&self) -> usize;
}

impl Model for StreamForest {
    type Spec = StreamSpec;

    fn new(spec: &StreamSpec) -> Result<Self, DetectError> {
        StreamForest::new(spec.clone())
    }

    fn bytes(&self) -> usize {
        self.forest().bytes()
    }
}

impl Model for SeriesForest {
    type Spec = SeriesSpec;

    fn new(spec: &SeriesSpec) -> Result<Self, DetectError> {
        SeriesForest::new(spec.clone())
    }

    fn bytes(&self) -> usize {
        SeriesForest::bytes(self)
    }
}

/// The models of some keys, by slot.
#[derive(Debug, Clone)]
pub(crate) struct Keyed<M> {
    models: Vec<Option<Box<M>>>,
    /// One that has learned nothing.
    fresh: Arc<M>,
}

impl<M: Model> Keyed<M> {
    pub(super) fn new(spec: &M::Spec) -> Result<Self, DetectError> {
        Ok(Keyed { models: Vec::new(), fresh: Arc::new(M::new(spec)?) })
    }

    /// The same, of no key yet.
    pub(super) fn like(&self) -> Self {
        Keyed { models: Vec::new(), fresh: Arc::clone(&self.fresh) }
    }

    /// Bytes that a model takes.
    pub(super) fn bytes_of_key(&self) -> usize {
        self.fresh.bytes()
    }

    /// The model of a slot, which has learned nothing if there was none.
    pub(super) fn of(&mut self, slot: u32) -> &mut M {
        let Keyed { models, fresh } = self;
        models[slot as usize].get_or_insert_with(|| Box::new(M::clone(fresh)))
    }
}

impl<M: Model> SlotState for Keyed<M> {
    type Saved = Vec<Option<Box<M>>>;

    fn grow(&mut self, slots: usize) {
        if slots > self.models.len() {
            self.models.resize(slots, None);
        }
    }

    fn clear(&mut self, slot: u32) {
        self.models[slot as usize] = None;
    }

    fn save(&self, slots: &[u32]) -> Self::Saved {
        slots.iter().map(|slot| self.models[*slot as usize].clone()).collect()
    }

    fn load(&mut self, slots: &[u32], saved: &Self::Saved) {
        assert_eq!(saved.len(), slots.len(), "saved state of {} slots", slots.len());
        for (slot, saved) in slots.iter().zip(saved) {
            self.models[*slot as usize].clone_from(saved);
        }
    }
}

impl Keyed<StreamForest> {
    /// Judges a row of a slot and learns it; gives the threshold too. `look` sees the forest before it learns, and the verdict.
    pub(super) fn observe(
        &mut self,
        slot: u32,
        row: &[f64],
        look: impl FnOnce(&StreamForest, Verdict),
    ) -> Option<(Verdict, f64)> {
        let forest = self.of(slot);
        let threshold = forest.threshold();
        let verdict = forest.judge(row)?;
        if let Some(verdict) = verdict {
            look(forest, verdict);
        }
        forest.learn(verdict);
        Some((verdict?, threshold))
    }
}
