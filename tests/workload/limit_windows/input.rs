//! Events and their users: read as `limit.rs` does, with one hash table.

use std::fs::File;
use std::io::Read;

use crate::Done;

/// How far an event may be behind the latest, in milliseconds.
pub const BOUND: i64 = 5_000;

pub struct Event {
    pub user: u64,
    pub time: i64,
    /// The first two letters of its type, of which no two types have the same.
    pub kind: [u8; 2],
    pub position: f64,
    pub duration: f64,
    /// The first letter of its device, of which no two begin with the same.
    pub device: u8,
}

fn number(b: &[u8], i: &mut usize) -> i64 {
    let mut v = 0;
    while b[*i].is_ascii_digit() {
        v = v * 10 + (b[*i] - b'0') as i64;
        *i += 1;
    }
    v
}

fn decimal(b: &[u8], i: &mut usize) -> f64 {
    let mut v = number(b, i) as f64;
    if b[*i] == b'.' {
        *i += 1;
        let s = *i;
        let fraction = number(b, i);
        v += fraction as f64 / 10f64.powi((*i - s) as i32);
    }
    v
}

fn behind(b: &[u8], i: &mut usize, c: u8) {
    while b[*i] != c {
        *i += 1;
    }
    *i += 1;
}

/// Reads an event and moves behind its line. What a job does not need is left out by the compiler.
#[inline(always)]
fn read<const ALL: bool>(b: &[u8], i: &mut usize) -> Event {
    *i += 15;
    behind(b, i, b',');
    *i += 16; // "user_id":"user-
    let user = number(b, i) as u64;
    *i += 2;
    behind(b, i, b',');
    *i += 14; // "event_type":"
    let kind = [b[*i], b[*i + 1]];
    behind(b, i, b',');
    *i += 5; // "ts":
    let time = number(b, i);
    let mut position = 0.0;
    if ALL {
        *i += 14; // ,"position_s":
        position = decimal(b, i);
        *i += 1;
    } else {
        *i += 1;
        behind(b, i, b',');
    }
    *i += 13; // "duration_s":
    let duration = decimal(b, i);
    let device = if ALL { b[*i + 11] } else { 0 }; // ,"device":"
    behind(b, i, b'\n');
    Event { user, time, kind, position, duration, device }
}

/// Hands each event of a file to `take`.
pub fn events<const ALL: bool>(file: &str, mut take: impl FnMut(Event) -> Done) -> Done {
    let mut file = File::open(file)?;
    let mut buffer = vec![0u8; 1 << 22];
    let mut have = 0;
    loop {
        let more = file.read(&mut buffer[have..])?;
        have += more;
        if more == 0 {
            return Ok(());
        }
        let Some(end) = buffer[..have].iter().rposition(|b| *b == b'\n').map(|at| at + 1) else { continue };
        let mut i = 0;
        while i < end {
            take(read::<ALL>(&buffer[..end], &mut i))?;
        }
        buffer.copy_within(end..have, 0);
        have -= end;
    }
}

/// Numbers the users in the order in which they come.
pub struct Users {
    slots: Vec<u32>,
    /// By number.
    pub users: Vec<u64>,
}

impl Users {
    pub fn new() -> Users {
        Users { slots: vec![u32::MAX; 1 << 16], users: Vec::new() }
    }

    fn place(&self, user: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = (user.wrapping_mul(0x9E3779B97F4A7C15) >> 32) as usize & mask;
        while self.slots[at] != u32::MAX && self.users[self.slots[at] as usize] != user {
            at = (at + 1) & mask;
        }
        at
    }

    /// The number of a user, and whether it is new.
    pub fn slot(&mut self, user: u64) -> (usize, bool) {
        let at = self.place(user);
        if self.slots[at] != u32::MAX {
            return (self.slots[at] as usize, false);
        }
        let slot = self.users.len();
        self.slots[at] = slot as u32;
        self.users.push(user);
        if self.users.len() * 2 > self.slots.len() {
            self.slots = vec![u32::MAX; self.slots.len() * 2];
            for slot in 0..self.users.len() {
                let at = self.place(self.users[slot]);
                self.slots[at] = slot as u32;
            }
        }
        (slot, true)
    }
}
