//! Sessions: at most two of a user are open, and a wheel of seconds says which end.

use crate::input::{self, Event, Users, BOUND};
use crate::row::{write_row, Cell};
use crate::{Done, Out};

/// No session where its end is zero.
#[derive(Clone, Copy, Default)]
struct Session {
    start: i64,
    end: i64,
    cell: Cell,
}

/// The sessions of a user: the newest, and the one before it while an event may still join the two.
#[derive(Clone, Copy, Default)]
struct Pair {
    newest: Session,
    older: Session,
    is_watched: bool,
}

impl Pair {
    fn take(&mut self, event: &Event, gap: i64) {
        if self.newest.end == 0 || event.time > self.newest.end {
            self.older = self.newest;
            self.newest = Session { start: event.time, end: event.time + gap, cell: Cell::default() };
        }
        let newest = &mut self.newest;
        newest.start = newest.start.min(event.time);
        newest.end = newest.end.max(event.time + gap);
        newest.cell.take(event);
        if self.older.end >= newest.start {
            newest.start = self.older.start;
            newest.cell.add(&self.older.cell);
            self.older.end = 0;
        }
    }

    /// When the first of its sessions ends; zero if there is none.
    fn first_end(&self) -> i64 {
        if self.older.end != 0 {
            self.older.end
        } else {
            self.newest.end
        }
    }
}

/// Slots by the second in which a session of theirs ends.
struct Wheel {
    seconds: Vec<Vec<u32>>,
    /// The first second that has not passed.
    next: i64,
}

impl Wheel {
    fn set(&mut self, end: i64, slot: u32) {
        let second = end.div_euclid(1000).max(self.next) as usize % self.seconds.len();
        self.seconds[second].push(slot);
    }
}

pub fn sessions(file: &str, gap: i64, out: &mut Out) -> Done {
    let mut users = Users::new();
    let mut pairs: Vec<Pair> = Vec::new();
    // An event of the future cannot be further away than the gap and what is out of order.
    let mut wheel = Wheel { seconds: vec![Vec::new(); (gap / 1000) as usize + 16], next: i64::MIN };
    let mut latest = i64::MIN;
    input::events::<false>(file, |event| {
        if event.time > latest {
            latest = event.time;
            if wheel.next == i64::MIN {
                wheel.next = (latest - BOUND).div_euclid(1000);
            }
            let passed = latest - BOUND - 1;
            while (wheel.next + 1) * 1000 <= passed {
                end_second(&mut wheel, &users, &mut pairs, out)?;
            }
        }
        let (slot, is_new) = users.slot(event.user);
        if is_new {
            pairs.push(Pair::default());
        }
        let pair = &mut pairs[slot];
        pair.take(&event, gap);
        if !pair.is_watched {
            pair.is_watched = true;
            wheel.set(pair.first_end(), slot as u32);
        }
        Ok(())
    })?;
    while wheel.seconds.iter().any(|slots| !slots.is_empty()) {
        end_second(&mut wheel, &users, &mut pairs, out)?;
    }
    Ok(())
}

/// Puts out what ends in the next second.
fn end_second(wheel: &mut Wheel, users: &Users, pairs: &mut [Pair], out: &mut Out) -> Done {
    let place = wheel.next as usize % wheel.seconds.len();
    let slots = std::mem::take(&mut wheel.seconds[place]);
    wheel.next += 1;
    let passed = wheel.next * 1000;
    for slot in slots {
        let pair = &mut pairs[slot as usize];
        for session in [&mut pair.older, &mut pair.newest] {
            if session.end != 0 && session.end < passed {
                write_row(out, users.users[slot as usize], session.start, session.end, &session.cell)?;
                session.end = 0;
            }
        }
        pair.is_watched = pair.first_end() != 0;
        if pair.is_watched {
            wheel.set(pair.first_end(), slot);
        }
    }
    Ok(())
}
