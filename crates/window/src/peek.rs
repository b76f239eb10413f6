//! The row that a key would have now: of a window that is still open, with the records that have come so far.
//!
//! For whoever wants to know before the window closes. Looks, and changes nothing.

use event::{Rows, Span, Spans};

use crate::Windows;
use crate::totals::Running;
use crate::windows::binary;

impl Windows {
    /// The row of a key as it is by now, of the oldest open window that holds its newest record: of those the one that
    /// holds most. `None` if no open window holds a record of it.
    ///
    /// Costs a look at each slice of the window, for those that are sealed at each of their keys.
    pub fn peek(&self, key: &[u8], hash: u64) -> Option<Rows> {
        let slot = self.keys.find(key, hash)?;
        let (newest, _) = self.slices.range(self.expired..).rev().find(|(_, slice)| slice.has(slot))?;
        let floor = self.floor.max(self.slicing.first_window_due_after(self.closed.0));
        let number = self.slicing.first_window_of(self.slicing.start_of_slice(*newest)).max(floor);
        let mut totals = Running::new();
        totals.reserve(&self.layout, 1);
        for (_, slice) in self.slices.range(self.slicing.slices_of(number)) {
            let chosen = slice.chosen(&self.layout, &[slot]);
            totals.merge(&self.layout, &self.texts, &chosen);
            totals.merge_own(&chosen);
        }
        if totals.additive[0] == 0 {
            return None;
        }
        let spans = Spans::Own(vec![Span::from(self.slicing.window(number))]);
        let keys = binary(vec![0, key.len() as i32], key.to_vec());
        Some(self.rows_of(&totals, spans, keys, &[0], &mut Vec::new()))
    }
}
