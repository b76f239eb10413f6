//! The window of a key that is looked at before it is put out.

use event::Span;

use super::open::Open;
use super::{Assigner, Triggered};
use crate::sequence::peek::OpenWindow;
use crate::sequence::state::State;

impl Triggered {
    /// What an open window of a key holds: the session that starts last, or of those that all keys share the oldest that
    /// holds the newest record.
    pub(crate) fn current_of(&self, state: &State, slot: u32) -> Option<OpenWindow> {
        let open = |row: &u32| &self.opens[*row as usize];
        let list: Vec<u32> = self.list(slot).iter().copied().filter(|row| !open(row).ended).collect();
        let newest = *list.last()?;
        let row = match &self.spec.windows {
            Assigner::Shared(spec) => {
                let last = open(&newest).window;
                let records =
                    |row: &u32| self.rows_of(*row).iter().map(|row| state.records(*row)).sum::<u64>();
                let is_meant = |row: &&u32| {
                    let start = open(row).window.start;
                    match spec.grows {
                        // The longest of them has all records.
                        true => start == last.start && records(row) == records(&newest),
                        false => start >= last.start.saturating_sub(spec.size).saturating_add(spec.slide),
                    }
                };
                list.iter().find(is_meant).copied().unwrap_or(newest)
            }
            Assigner::Session(_) | Assigner::SessionByRecord | Assigner::Global => newest,
        };
        Some((self.rows_of(row), Span::from(open(&row).window)))
    }

    /// The rows of accumulators of a window: its base, and what lies ahead of its next tick.
    fn rows_of(&self, row: u32) -> Vec<u32> {
        let Open { ahead, .. } = &self.opens[row as usize];
        [row].into_iter().chain(ahead.iter().map(|(_, row)| *row)).collect()
    }
}
