//! What windows put out as time goes on: early results at ticks, results, corrections; and how they go.

use event::Span;

use super::open::{NOTHING, Turn, UNSET};
use super::spec::{Assigner, Early};
use super::{Hands, Triggered};

impl Triggered {
    /// Does what is due by `horizon`, earliest first, with about `rows_max` windows; returns whether that was all.
    pub(crate) fn advance(&mut self, hands: &mut Hands<'_, '_>, horizon: i64, rows_max: usize) -> bool {
        let mut fired = std::mem::take(&mut self.fired);
        self.timers.take_due(horizon, &mut fired);
        if !fired.is_empty() {
            self.due.append(&mut fired);
            self.due.sort_unstable_by(|a, b| b.cmp(a));
        }
        self.fired = fired;
        let later = self.due.len().saturating_sub(rows_max);
        for (time, row) in self.due.split_off(later).into_iter().rev() {
            if self.opens[row as usize].timer == time {
                self.turn(hands, row, horizon);
            }
        }
        hands.state.table.recycle();
        self.due.is_empty()
    }

    /// Does what is due of a window by `horizon`.
    pub(crate) fn turn(&mut self, hands: &mut Hands<'_, '_>, row: u32, horizon: i64) {
        self.settle(hands);
        self.opens[row as usize].timer = UNSET;
        while let Some((time, turn)) = self.opens[row as usize].next_turn(&self.spec)
            && time <= horizon
        {
            match turn {
                Turn::Tick => self.tick(hands, row, time),
                Turn::End => {
                    self.opens[row as usize].ended = true;
                    if self.has_records(hands, row) {
                        let span = self.opens[row as usize].result_span(time, false);
                        self.put_out(hands, row, span);
                    }
                }
                Turn::Cleanup => return self.clean_up(hands, row, time),
            }
            hands.state.table.touch(row);
        }
        self.set_timer(row);
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
        let open = &mut self.opens[row as usize];
        open.tick = match self.spec.windows {
            // It ends never, so it would tick for ever.
            Assigner::Global => open.ahead.iter().map(|(edge, _)| edge - 1).min().unwrap_or(i64::MAX),
            _ => tick.saturating_add(every),
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

    /// Sets the timer of a window to what happens to it next.
    pub(crate) fn set_timer(&mut self, row: u32) {
        let open = &mut self.opens[row as usize];
        let time = open.next_turn(&self.spec).map_or(UNSET, |(time, _)| time);
        // A session that grows moves its timer when that fires.
        let moves_later = open.timer != UNSET && open.timer <= time;
        if time != UNSET && !moves_later {
            open.timer = time;
            self.timers.set(time, row);
        }
    }
}
