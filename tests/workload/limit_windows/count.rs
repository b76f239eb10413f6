//! Count windows: tumbling, and sliding over panes of which each row adds up ten.

use crate::input::{self, Event, Users};
use crate::row::{write_row, Cell};
use crate::{Done, Out};

#[derive(Clone, Copy)]
struct Pane {
    first: i64,
    last: i64,
    cell: Cell,
}

impl Pane {
    const EMPTY: Pane = Pane {
        first: i64::MAX,
        last: i64::MIN,
        cell: Cell { events: 0, pauses: 0, exits: 0, listened: 0.0 },
    };

    fn take(&mut self, event: &Event) {
        self.first = self.first.min(event.time);
        self.last = self.last.max(event.time);
        self.cell.take(event);
    }

    fn add(&mut self, other: &Pane) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.cell.add(&other.cell);
    }
}

pub fn counts(file: &str, out: &mut Out) -> Done {
    let mut users = Users::new();
    let mut panes: Vec<Pane> = Vec::new();
    input::events::<false>(file, |event| {
        let (slot, is_new) = users.slot(event.user);
        if is_new {
            panes.push(Pane::EMPTY);
        }
        let pane = &mut panes[slot];
        pane.take(&event);
        if pane.cell.events == 100 {
            write_row(out, event.user, pane.first, pane.last, &pane.cell)?;
            *pane = Pane::EMPTY;
        }
        Ok(())
    })
}

/// The last ten panes of a user, of ten events each; the newest may have fewer.
struct Panes {
    panes: [Pane; 10],
    newest: usize,
}

pub fn sliding_counts(file: &str, out: &mut Out) -> Done {
    let mut users = Users::new();
    let mut of_users: Vec<Panes> = Vec::new();
    input::events::<false>(file, |event| {
        let (slot, is_new) = users.slot(event.user);
        if is_new {
            of_users.push(Panes { panes: [Pane::EMPTY; 10], newest: 0 });
        }
        let Panes { panes, newest } = &mut of_users[slot];
        panes[*newest].take(&event);
        if panes[*newest].cell.events == 10 {
            let mut sum = Pane::EMPTY;
            panes.iter().for_each(|pane| sum.add(pane));
            write_row(out, event.user, sum.first, sum.last, &sum.cell)?;
            *newest = (*newest + 1) % panes.len();
            panes[*newest] = Pane::EMPTY;
        }
        Ok(())
    })
}
