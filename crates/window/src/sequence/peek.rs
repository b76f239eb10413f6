//! The row that a key would have now, of a window that is still open: see [`crate::peek`]. Looks, and changes nothing.

use event::{Rows, Span};

use super::{Machine, Sequence};

/// What an open window of a key holds: rows of accumulators, and the interval so far.
pub(crate) type OpenWindow = (Vec<u32>, Span);

impl Sequence {
    /// The row of a key as it is by now, with the records that were released so far. `None` if no open window holds one
    /// of it.
    ///
    /// - Of sessions it is the one that starts last.
    /// - Of count windows it is the one that is complete next, of as many records as it has: where they overlap also of
    ///   those that windows before it have in common with it. Where every record is a row none is ever open.
    /// - Of windows with triggers that keys share it is the oldest that holds the newest record, as without triggers;
    ///   where the slide does not divide the size, the oldest that holds all records of the last slide. What was put out
    ///   and is not put out again is not in it.
    ///
    /// Costs a look at each row of the key.
    pub fn peek(&self, key: &[u8], hash: u64) -> Option<Rows> {
        let slot = self.state.keys.find(key, hash)?;
        let (rows, span) = match &self.machine {
            Machine::Sessions(sessions, _) => sessions.newest_of(slot),
            Machine::Counts(counts) => counts.next_of(slot),
            Machine::Triggered(triggered) => triggered.current_of(&self.state, slot),
        }?;
        self.state.peek(&rows, span)
    }
}
