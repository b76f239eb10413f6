//! The count window of a key that is complete next.

use event::{Span, Window};

use super::{Counts, Role};
use crate::sequence::peek::OpenWindow;
use crate::sequence::table::NONE;

impl Counts {
    /// What the window of a key holds that is complete next.
    pub(crate) fn next_of(&self, slot: u32) -> Option<OpenWindow> {
        let tally = self.tallies.get(slot as usize)?;
        let first = ((tally.records / self.slide + 1) * self.slide).saturating_sub(self.size);
        let (mut rows, mut next) = (Vec::new(), tally.oldest);
        while let Some(pane) = self.panes.get(next as usize) {
            if pane.first >= first {
                rows.push(next);
                if pane.role == Role::Front {
                    // It holds all of the front behind it, and the total what comes then.
                    rows.push(tally.total);
                    break;
                }
            }
            next = pane.next;
        }
        rows.push(tally.open);
        rows.retain(|row| *row != NONE);
        let panes = || rows.iter().map(|row| &self.panes[*row as usize]);
        let (least, greatest) =
            (panes().map(|pane| pane.least).min()?, panes().map(|pane| pane.greatest).max()?);
        let window = Window { start: least, end: greatest.saturating_add(1) };
        let span = Span { due: greatest.max(tally.due), by_record: true, ..Span::from(window) };
        Some((rows, span))
    }
}
