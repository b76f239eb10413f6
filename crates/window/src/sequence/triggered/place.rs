//! Which windows of its key hold a record, and which rows they cause with it.

use event::Window;

use super::open::{NOTHING, Open};
use super::spec::{Assigner, Early, Late};
use super::{Arriving, Hands, Triggered};

impl Triggered {
    /// Takes a record in, after what of its key is due by its `seen`. `false` if it is late: all windows that hold it are
    /// gone.
    pub(crate) fn take(&mut self, hands: &mut Hands<'_, '_>, arriving: Arriving) -> bool {
        if arriving.seen >= self.least {
            self.advance(hands, arriving.seen, usize::MAX);
        }
        let row = match self.spec.windows {
            Assigner::Shared(_) => return self.take_shared(hands, arriving),
            Assigner::Session(_) | Assigner::SessionByRecord => self.session_of(hands, arriving),
            Assigner::Global => Some(self.global(hands, arriving)),
        };
        row.inspect(|row| self.hold(hands, *row, arriving)).is_some()
    }

    fn global(&mut self, hands: &mut Hands<'_, '_>, arriving: Arriving) -> u32 {
        let row = match self.list(arriving.slot).first() {
            Some(row) => *row,
            None => self.open(hands.state, arriving.slot, Open::new(NOTHING)),
        };
        let open = &mut self.opens[row as usize];
        open.cover(arriving.time);
        open.last = open.last.max(arriving.time).max(arriving.seen);
        row
    }

    fn take_shared(&mut self, hands: &mut Hands<'_, '_>, arriving: Arriving) -> bool {
        let windows = self.windows_of(arriving);
        for window in &windows {
            let list = self.list(arriving.slot);
            let found = list.binary_search_by(|row| self.opens[*row as usize].window.cmp(window));
            let row = match found.map(|place| list[place]) {
                Ok(row) => row,
                Err(_) => self.open(hands.state, arriving.slot, self.opened(*window, arriving.seen)),
            };
            self.hold(hands, row, arriving);
        }
        !windows.is_empty()
    }

    /// The windows that hold a record, those of its key that start first first.
    fn windows_of(&self, arriving: Arriving) -> Vec<Window> {
        let Some(slicing) = &self.slicing else { return Vec::new() };
        let shift = self.shift(arriving.hash);
        let time = arriving.time.saturating_sub(shift);
        let numbers = slicing.first_window_of(time)..=slicing.last_window_of(time);
        let moved = numbers.filter(|number| !slicing.repeats(*number)).map(|number| {
            let Window { start, end } = slicing.window(number);
            Window { start: start.saturating_add(shift), end: end.saturating_add(shift) }
        });
        moved.filter(|window| self.spec.cleanup(*window) > arriving.seen).collect()
    }

    /// How far the windows of a key start behind those of others.
    fn shift(&self, hash: u64) -> i64 {
        match &self.spec.windows {
            Assigner::Shared(spec) if self.spec.staggered => (hash % spec.slide.unsigned_abs()) as i64,
            _ => 0,
        }
    }

    /// A window that begins with a record that has that `seen`.
    fn opened(&self, window: Window, seen: i64) -> Open {
        let mut open = Open::new(window);
        // A row at a tick holds what has seen less than that.
        let first = seen.saturating_add(1).max(window.start);
        if let Some(edge) = self.spec.edge_behind(window, first) {
            open.tick = edge - 1;
        }
        open.ended = window.due() <= seen;
        open
    }

    /// The session that a record belongs to: those that it touches become one.
    fn session_of(&mut self, hands: &mut Hands<'_, '_>, arriving: Arriving) -> Option<u32> {
        let Arriving { slot, time, gap, seen, .. } = arriving;
        let own = Window { start: time, end: time.saturating_add(gap) };
        // Sessions do not touch, so that they end in the order in which they start.
        let list = self.list(slot);
        let first = list.partition_point(|row| self.opens[*row as usize].window.end < own.start);
        let last = list.partition_point(|row| self.opens[*row as usize].window.start <= own.end);
        let touched = list[first..last.max(first)].to_vec();
        let Some((&kept, others)) = touched.split_first() else {
            return (self.spec.cleanup(own) > seen)
                .then(|| self.open(hands.state, slot, self.opened(own, seen)));
        };
        touched.iter().for_each(|row| self.raise_tick(*row, seen));
        others.iter().for_each(|row| self.merge(hands, kept, *row));
        let open = &mut self.opens[kept as usize];
        open.window.start = open.window.start.min(own.start);
        open.window.end = open.window.end.max(own.end);
        let grown = self.opened(self.opens[kept as usize].window, seen);
        self.lower_tick(hands, kept, grown.tick);
        self.opens[kept as usize].ended = grown.ended;
        Some(kept)
    }

    /// Has a session tick after `seen`, where it would have ticked before if it had not ended.
    fn raise_tick(&mut self, row: u32, seen: i64) {
        let open = &mut self.opens[row as usize];
        if open.tick <= seen
            && let Some(edge) = self.spec.edge_behind(open.window, seen.saturating_add(1))
        {
            open.tick = edge - 1;
        }
    }

    /// Has a session tick earlier than it would have. All that its base holds lies before the one edge behind its start,
    /// or it would tick as early as that already.
    fn lower_tick(&mut self, hands: &mut Hands<'_, '_>, row: u32, tick: i64) {
        let old = self.opens[row as usize].tick;
        if tick >= old {
            return;
        }
        self.settle(hands);
        if hands.state.records(row) > 0 {
            let moved = hands.state.new_row(hands.state.table.slot(row));
            hands.state.absorb(moved, row);
            hands.state.clear_row(row);
            self.add_ahead(hands, row, old.saturating_add(1), moved);
        }
        self.opens[row as usize].tick = tick;
    }

    /// Makes two sessions of a key one.
    fn merge(&mut self, hands: &mut Hands<'_, '_>, into: u32, from: u32) {
        self.settle(hands);
        let tick = self.opens[into as usize].tick.min(self.opens[from as usize].tick);
        self.lower_tick(hands, into, tick);
        self.lower_tick(hands, from, tick);
        let other = self.opens[from as usize].clone();
        for (edge, row) in std::mem::take(&mut self.opens[from as usize].ahead) {
            self.add_ahead(hands, into, edge, row);
        }
        hands.state.absorb(into, from);
        self.opens[into as usize].join(&other);
        self.remove(hands.state, from);
    }

    /// Gives a window a row of what lies ahead of its next tick.
    fn add_ahead(&mut self, hands: &mut Hands<'_, '_>, into: u32, edge: i64, row: u32) {
        let ahead = &mut self.opens[into as usize].ahead;
        match ahead.iter().find(|(known, _)| *known == edge) {
            Some((_, known)) => {
                hands.state.absorb(*known, row);
                hands.state.free_row(row);
            }
            None => {
                ahead.push((edge, row));
                self.set_open(row, Open::ahead_of(into));
                // It is of another window now.
                hands.state.table.touch(row);
            }
        }
    }

    /// Takes a record into a window, and puts out what it causes.
    fn hold(&mut self, hands: &mut Hands<'_, '_>, row: u32, arriving: Arriving) {
        let target = self.target(hands, row, arriving);
        self.pending.records.push(arriving.record);
        self.pending.rows.push(target);
        let open = &mut self.opens[row as usize];
        open.changed = true;
        open.since += 1;
        let enough = matches!(self.spec.early, Some(Early::Count(count)) if open.since >= count);
        // The global window has no end.
        if self.spec.at_end && open.window.due() <= arriving.seen {
            if self.spec.late == Late::Each {
                open.since = 0;
                let span = open.result_span(arriving.seen, true);
                self.put_out(hands, row, span);
            }
        } else if enough {
            open.since = 0;
            let span = open.count_span(&self.spec, arriving.seen);
            self.put_out(hands, row, span);
        }
        hands.state.table.touch(row);
        self.set_timer(row);
    }

    /// The row of accumulators for a record: the base, or that of what lies ahead of the next tick.
    fn target(&mut self, hands: &mut Hands<'_, '_>, row: u32, arriving: Arriving) -> u32 {
        let open = &self.opens[row as usize];
        let Some(edge) = self.spec.edge_behind(open.window, arriving.time) else { return row };
        if matches!(self.spec.windows, Assigner::Global) {
            return self.global_target(hands, row, arriving, edge);
        }
        // Where it had nothing to put out it waited.
        let tick = self.opened(open.window, arriving.seen).tick;
        self.lower_tick(hands, row, tick);
        if edge.saturating_sub(1) <= self.opens[row as usize].tick {
            return row;
        }
        self.ahead_row(hands, row, arriving.slot, edge)
    }

    /// Where the global window ticks: when it has something new.
    fn global_target(&mut self, hands: &mut Hands<'_, '_>, row: u32, arriving: Arriving, edge: i64) -> u32 {
        let next = self.spec.edge_behind(NOTHING, arriving.seen.saturating_add(1)).unwrap_or(edge);
        let open = &mut self.opens[row as usize];
        open.tick = open.tick.min(edge.max(next) - 1);
        if edge <= next { row } else { self.ahead_row(hands, row, arriving.slot, edge) }
    }

    fn ahead_row(&mut self, hands: &mut Hands<'_, '_>, row: u32, slot: u32, edge: i64) -> u32 {
        let known = self.opens[row as usize].ahead.iter().find(|(known, _)| *known == edge);
        if let Some((_, known)) = known {
            return *known;
        }
        let ahead = hands.state.new_row(slot);
        self.opens[row as usize].ahead.push((edge, ahead));
        self.set_open(ahead, Open::ahead_of(row));
        ahead
    }
}
