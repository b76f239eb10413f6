//! What windows put out as time goes on: early results at ticks, results, corrections; and how they go.

use event::Span;

use super::open::{NOTHING, Turn, UNSET};
use super::spec::{Assigner, Early};
use super::{Hands, Triggered};

/// Early rows of a window that a record may cause to be put out before it.
const TICKS: i64 = 64;

impl Triggered {
    /// Does what is due by `horizon`, earliest first, about `rows_max` turns; returns whether that was all.
    pub(crate) fn advance(&mut self, hands: &mut Hands<'_, '_>, horizon: i64, rows_max: usize) -> bool {
        let mut fired = std::mem::take(&mut self.fired);
        self.timers.take_due(horizon, &mut fired);
        if !fired.is_empty() {
            self.due.append(&mut fired);
            self.due.sort_unstable_by(|a, b| b.cmp(a));
        }
        self.fired = fired;
        self.least = self.timers.least();
        let mut rest = rows_max;
        while rest > 0
            && let Some((time, row)) = self.due.pop()
        {
            if self.opens[row as usize].timer == time && !self.turn(hands, row, horizon, &mut rest) {
                self.due.push((time, row));
            }
        }
        hands.state.table.recycle();
        self.due.is_empty()
    }

    /// Does what is due of a window by `horizon`, as long as there is a `rest`; returns whether that was all.
    fn turn(&mut self, hands: &mut Hands<'_, '_>, row: u32, horizon: i64, rest: &mut usize) -> bool {
        self.settle(hands);
        while let Some((time, turn)) = self.opens[row as usize].next_turn(&self.spec)
            && time <= horizon
        {
            if *rest == 0 {
                return false;
            }
            *rest -= 1;
            match turn {
                Turn::Tick => self.tick(hands, row, time),
                Turn::End => {
                    self.opens[row as usize].ended = true;
                    if self.has_records(hands, row) {
                        let span = self.opens[row as usize].result_span(time, false);
                        self.put_out(hands, row, span);
                    }
                }
                Turn::Cleanup => {
                    self.clean_up(hands, row, time);
                    return true;
                }
            }
            hands.state.table.touch(row);
        }
        self.opens[row as usize].timer = UNSET;
        self.set_timer(row);
        true
    }

    /// Corrects a window for the last time, and lets it go.
    fn clean_up(&mut self, hands: &mut Hands<'_, '_>, row: u32, time: i64) {
        if self.spec.at_end && self.opens[row as usize].changed && self.has_records(hands, row) {
            let span = self.opens[row as usize].result_span(time, false);
            self.put_out(hands, row, span);
        }
        self.remove(hands.state, row);
    }

    fn tick(&mut self, hands: &mut Hands<'_, '_>, row: u32, tick: i64) {
        let edge = tick.saturating_add(1);
        let ahead = std::mem::take(&mut self.opens[row as usize].ahead);
        let (reached, ahead): (Vec<_>, Vec<_>) = ahead.into_iter().partition(|(of, _)| *of <= edge);
        self.opens[row as usize].ahead = ahead;
        for (_, of) in reached {
            hands.state.absorb(row, of);
            hands.state.free_row(of);
        }
        if hands.state.records(row) > 0 {
            let span = self.opens[row as usize].tick_span(&self.spec, tick);
            hands.state.put_out(row, span, hands.emit);
            if self.spec.purges {
                hands.state.clear_row(row);
                if matches!(self.spec.windows, Assigner::Global) {
                    self.opens[row as usize].window.start = edge;
                }
            }
        }
        let every = if let Some(Early::Every(every)) = self.spec.early { every } else { i64::MAX };
        // Where nothing is left, or the window never ends, there is nothing to put out before the next record.
        let waits = hands.state.records(row) == 0 || matches!(self.spec.windows, Assigner::Global);
        let open = &mut self.opens[row as usize];
        open.tick = match waits {
            true => open.ahead.iter().map(|(edge, _)| edge - 1).min().unwrap_or(i64::MAX),
            false => tick.saturating_add(every),
        };
    }

    /// Puts out all that a window holds.
    pub(crate) fn put_out(&mut self, hands: &mut Hands<'_, '_>, row: u32, span: Span) {
        self.settle(hands);
        hands.state.put_out(row, span, hands.emit);
        for (_, ahead) in &self.opens[row as usize].ahead {
            hands.state.put_out_more(*ahead);
        }
        if !self.spec.purges {
            return;
        }
        hands.state.clear_row(row);
        let open = &mut self.opens[row as usize];
        std::mem::take(&mut open.ahead).into_iter().for_each(|(_, row)| hands.state.free_row(row));
        if matches!(self.spec.windows, Assigner::Global) {
            open.window = NOTHING;
        }
    }

    fn has_records(&self, hands: &Hands<'_, '_>, row: u32) -> bool {
        let mut rows = self.opens[row as usize].ahead.iter().map(|(_, row)| *row).chain([row]);
        rows.any(|row| hands.state.records(row) > 0)
    }

    /// Before which `seen` records are to be released together, so that not too much is due with one of them.
    pub(crate) fn limit(&self, horizon: i64) -> i64 {
        match self.spec.early {
            Some(Early::Every(every)) => horizon.saturating_add(every.saturating_mul(TICKS)),
            _ => i64::MAX,
        }
    }

    /// Sets the timer of a window to what happens to it next.
    pub(crate) fn set_timer(&mut self, row: u32) {
        let open = &mut self.opens[row as usize];
        let time = open.next_turn(&self.spec).map_or(UNSET, |(time, _)| time);
        // A session that grows moves its timer when that fires.
        let moves_later = open.timer != UNSET && open.timer <= time;
        if time != UNSET && !moves_later {
            open.timer = time;
            self.timers.set(time, row);
            self.least = self.least.min(time);
        }
    }
}
