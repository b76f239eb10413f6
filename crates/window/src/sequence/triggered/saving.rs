//! The durable form of windows with triggers: what is known of each row, as words.

use event::Window;

use super::Triggered;
use super::open::{Open, UNSET};
use crate::sequence::state::State;
use crate::sequence::table::NONE;

/// Words that say what is known of a row.
pub(crate) const HEAD_WORDS: usize = 12;

/// What a row is.
const BASE: u64 = 0;
const AHEAD: u64 = 1;

const ENDED: u64 = 1;
const CHANGED: u64 = 2;
const WAS_PUT_OUT: u64 = 4;

impl Triggered {
    /// What is known of rows, as a snapshot holds it.
    pub(crate) fn heads(&self, rows: &[u32]) -> Vec<u64> {
        rows.iter().flat_map(|row| self.head(*row)).collect()
    }

    fn head(&self, row: u32) -> [u64; HEAD_WORDS] {
        let open = &self.opens[row as usize];
        if open.of == NONE {
            return base_head(open, u64::from(row));
        }
        let known = self.opens[open.of as usize].ahead.iter().find(|(_, ahead)| *ahead == row);
        let edge = known.map_or(0, |(edge, _)| *edge as u64);
        [AHEAD, edge, 0, 0, 0, 0, 0, 0, 0, 0, 0, u64::from(open.of)]
    }

    /// Puts a row that comes from a snapshot in its place; those of what lies ahead come behind all others. `None` if it
    /// makes no sense.
    pub(crate) fn restore(&mut self, state: &State, row: u32, head: [u64; HEAD_WORDS]) -> Option<()> {
        let slot = state.table.slot(row);
        let [kind, start, end, flags, tick, revisions, earlies, first_start, first_end, since, last, base] =
            head;
        match kind {
            BASE => {
                let window = Window { start: start as i64, end: end as i64 };
                let first = Window { start: first_start as i64, end: first_end as i64 };
                let open = Open {
                    tick: tick as i64,
                    revisions,
                    earlies,
                    first: (flags & WAS_PUT_OUT != 0).then_some(first),
                    since,
                    ended: flags & ENDED != 0,
                    changed: flags & CHANGED != 0,
                    timer: UNSET,
                    last: last as i64,
                    was: base,
                    ..Open::new(window)
                };
                self.put(row, slot, open);
                self.set_timer(row);
            }
            AHEAD => {
                let of = self.list(slot).iter().copied().find(|row| self.opens[*row as usize].was == base)?;
                self.opens[of as usize].ahead.push((start as i64, row));
                self.set_open(row, Open::ahead_of(of));
            }
            _ => return None,
        }
        Some(())
    }
}

fn base_head(open: &Open, row: u64) -> [u64; HEAD_WORDS] {
    let first = open.first.unwrap_or(Window { start: 0, end: 0 });
    let flags = [(open.ended, ENDED), (open.changed, CHANGED), (open.first.is_some(), WAS_PUT_OUT)];
    let flags = flags.into_iter().filter(|(is, _)| *is).map(|(_, flag)| flag).sum();
    [
        BASE,
        open.window.start as u64,
        open.window.end as u64,
        flags,
        open.tick as u64,
        open.revisions,
        open.earlies,
        first.start as u64,
        first.end as u64,
        open.since,
        open.last as u64,
        row,
    ]
}
