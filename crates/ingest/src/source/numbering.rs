//! Numbers of files and objects: each has one for the life of a job, by its name.

use std::collections::BTreeSet;

use super::PartitionInfo;

/// Which names are known, and the number of the next one that comes.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbering {
    known: BTreeSet<String>,
    next: u32,
}

impl Numbering {
    /// Knows these, whether they are still there or not.
    pub(super) fn of(known: &[PartitionInfo]) -> Self {
        let next = known.iter().map(|info| info.number + 1).max().unwrap_or_default();
        Numbering { known: known.iter().map(|info| info.id.clone()).collect(), next }
    }

    pub(super) fn knows(&self, name: &str) -> bool {
        self.known.contains(name)
    }

    /// The number that one gets which comes now.
    pub(super) fn next(&self) -> u32 {
        self.next
    }

    /// Knows it, with that number.
    pub(super) fn add(&mut self, name: &str) {
        self.known.insert(name.to_owned());
        self.next += 1;
    }
}
