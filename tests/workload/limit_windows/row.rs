//! The features of the reference job, and its row.

use std::io::Write;

use crate::input::Event;
use crate::{Done, Out};

#[derive(Clone, Copy, Default)]
pub struct Cell {
    pub events: u32,
    pub pauses: u32,
    pub exits: u32,
    pub listened: f64,
}

impl Cell {
    pub fn take(&mut self, event: &Event) {
        self.events += 1;
        match &event.kind {
            b"li" => self.listened += event.duration,
            b"pa" => self.pauses += 1,
            b"ex" => self.exits += 1,
            _ => {}
        }
    }

    pub fn add(&mut self, other: &Cell) {
        self.events += other.events;
        self.pauses += other.pauses;
        self.exits += other.exits;
        self.listened += other.listened;
    }

    pub fn score(&self) -> f64 {
        score(self.listened, self.pauses, self.exits)
    }
}

pub fn score(listened: f64, pauses: u32, exits: u32) -> f64 {
    (listened + 30.0) / (listened + 30.0 + 20.0 * pauses as f64 + 60.0 * exits as f64)
}

pub fn rounded(score: f64) -> f64 {
    (score * 1e4).round() / 1e4
}

pub fn write_row(out: &mut Out, user: u64, start: i64, end: i64, cell: &Cell) -> Done {
    writeln!(
        out,
        "{{\"user_id\":\"user-{user:06}\",\"window_start\":{start},\"window_end\":{end},\"events\":{},\
         \"listen_s\":{:?},\"pauses\":{},\"exits\":{},\"score\":{:?}}}",
        cell.events,
        cell.listened,
        cell.pauses,
        cell.exits,
        rounded(cell.score())
    )
}
