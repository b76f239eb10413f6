//! What of a store is kept: what a start removes that runs before it have left, and what is removed after
//! each checkpoint.
//!
//! A manifest that cannot be read may need any segment, so beside one none is removed.

use std::collections::{BTreeSet, VecDeque};

use crate::store::{CHECKPOINTS, SEGMENTS, manifest_name, manifest_number, segment_name};
use crate::{Manifest, Store, StoreError};

/// Checkpoints that are kept, fences not counted; more than a sink could need to catch up.
const KEEP: usize = 3;

/// What runs that are dead have left in a store.
#[derive(Debug)]
pub struct Survey {
    /// Fences that repeat the last checkpoint, and which nothing has followed.
    fences: Vec<u32>,
    /// Segments that no checkpoint needs, and drafts.
    leftovers: Vec<String>,
}

/// The checkpoints of a store, and which segments they need, oldest first.
#[derive(Debug, Default)]
pub struct Retained {
    kept: VecDeque<Kept>,
    /// Segments of checkpoints that were removed, which are to be removed as well unless others need them.
    gone: BTreeSet<String>,
}

#[derive(Debug)]
struct Kept {
    number: u32,
    content: Content,
}

/// What a manifest says.
#[derive(Debug)]
enum Content {
    /// A checkpoint with these segments.
    Checkpoint(BTreeSet<String>),
    /// The same of a fence.
    Fence(BTreeSet<String>),
    /// It is damaged, or gone since it was listed.
    Unknown,
}

impl Kept {
    fn of(manifest: &Manifest) -> Self {
        let segments = manifest.segments.iter().map(|segment| segment.name.clone()).collect();
        let content = if manifest.fence { Content::Fence(segments) } else { Content::Checkpoint(segments) };
        Kept { number: manifest.number, content }
    }

    fn may_need(&self, name: &str) -> bool {
        match &self.content {
            Content::Checkpoint(segments) | Content::Fence(segments) => segments.contains(name),
            Content::Unknown => true,
        }
    }

    fn is_fence(&self) -> bool {
        matches!(self.content, Content::Fence(_))
    }

    fn is_checkpoint(&self) -> bool {
        matches!(self.content, Content::Checkpoint(_))
    }
}

impl Retained {
    /// The number of the oldest.
    pub(crate) fn oldest(&self) -> Option<u32> {
        self.kept.front().map(|kept| kept.number)
    }

    fn may_need(&self, name: &str) -> bool {
        self.kept.iter().any(|kept| kept.may_need(name))
    }
}

impl Store {
    /// Looks for what runs that are dead have left. Removes nothing yet.
    ///
    /// For a start, before it fences the store: what is there then and belongs to no checkpoint never will,
    /// since whoever could still commit it finds the number of the fence taken. What comes later may belong
    /// to a run that has fenced the store in turn.
    ///
    /// # Errors
    /// If the store cannot be read. A manifest that is damaged is no error.
    pub fn survey(&self) -> Result<Survey, StoreError> {
        // Listed first: a segment that is named by a manifest that comes in between is not taken for a leftover.
        let (segments, manifests) = (self.list(SEGMENTS)?, self.list(CHECKPOINTS)?);
        let retained = self.retained()?;
        let fences = retained.kept.iter().rev().take_while(|kept| kept.is_fence());
        let segments = segments.iter().filter(|name| !retained.may_need(name));
        let drafts = manifests.iter().filter(|name| manifest_number(name).is_none());
        let leftovers = segments.map(|name| segment_name(name));
        let leftovers = leftovers.chain(drafts.map(|name| format!("{CHECKPOINTS}/{name}")));
        Ok(Survey { fences: fences.map(|kept| kept.number).collect(), leftovers: leftovers.collect() })
    }

    /// Removes what was found. Only for a run that has fenced the store since, and whose sinks hold all that
    /// the checkpoints put out.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn sweep(&self, survey: &Survey) -> Result<(), StoreError> {
        // Their numbers are below that of the new fence, so whoever takes one again is found out.
        survey.fences.iter().try_for_each(|number| self.remove(&manifest_name(*number)))?;
        survey.leftovers.iter().try_for_each(|name| self.remove(name))
    }

    /// The checkpoints that are there, with the segments that they need.
    ///
    /// # Errors
    /// If the store cannot be read. A manifest that is damaged is no error.
    pub fn retained(&self) -> Result<Retained, StoreError> {
        let mut kept = VecDeque::new();
        for number in self.numbers()? {
            let unknown = Kept { number, content: Content::Unknown };
            kept.push_back(self.readable(number)?.map_or(unknown, |manifest| Kept::of(&manifest)));
        }
        Ok(Retained { kept, gone: BTreeSet::new() })
    }

    /// Notes a checkpoint that was committed, and removes those beyond the newest few, with the segments
    /// that none of the others needs. What fails can be tried again.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn retain(&self, retained: &mut Retained, manifest: &Manifest) -> Result<(), StoreError> {
        if retained.kept.back().is_none_or(|newest| newest.number < manifest.number) {
            retained.kept.push_back(Kept::of(manifest));
        }
        while retained.kept.iter().filter(|kept| kept.is_checkpoint()).count() > KEEP {
            let Some(oldest) = retained.kept.front() else { break };
            // First the manifests, and for good, so that none ever names what is gone.
            self.remove(&manifest_name(oldest.number))?;
            if let Some(Content::Checkpoint(segments) | Content::Fence(segments)) =
                retained.kept.pop_front().map(|oldest| oldest.content)
            {
                retained.gone.extend(segments);
            }
        }
        let Retained { kept, gone } = retained;
        // What is left because nobody knows who needs it is a leftover for the next start.
        gone.retain(|name| !kept.iter().any(|kept| kept.may_need(name)));
        if !gone.is_empty() {
            self.settle(CHECKPOINTS)?;
        }
        while let Some(name) = gone.first() {
            self.remove(&segment_name(name))?;
            gone.pop_first();
        }
        Ok(())
    }
}
