//! Sixteen features of a sliding window: sums are kept up to date, extremes are looked up for the rows that need
//! them.

use std::io::Write;

use crate::input::{self, Event, Users, BOUND};
use crate::row::{rounded, score};
use crate::{Done, Out};

const SLIDE: i64 = 60_000;
const SLICES: i64 = 10;
const RING: i64 = 12;

/// What can be taken away again.
#[derive(Clone, Copy, Default)]
struct Sums {
    events: u32,
    listens: u32,
    pauses: u32,
    resumes: u32,
    seeks: u32,
    skips: u32,
    exits: u32,
    mobile: u32,
    listened: f64,
    in_car: f64,
    positions: f64,
}

impl Sums {
    fn add(&mut self, other: &Sums, sign: i32) {
        let count = |to: &mut u32, more: u32| *to = to.wrapping_add_signed(sign * more as i32);
        count(&mut self.events, other.events);
        count(&mut self.listens, other.listens);
        count(&mut self.pauses, other.pauses);
        count(&mut self.resumes, other.resumes);
        count(&mut self.seeks, other.seeks);
        count(&mut self.skips, other.skips);
        count(&mut self.exits, other.exits);
        count(&mut self.mobile, other.mobile);
        self.listened += sign as f64 * other.listened;
        self.in_car += sign as f64 * other.in_car;
        self.positions += sign as f64 * other.positions;
    }
}

/// What cannot. Multiples of a half that are this small are exact in these.
#[derive(Clone, Copy)]
struct Extremes {
    listen_least: f32,
    listen_most: f32,
    position_least: f32,
    position_most: f32,
}

impl Extremes {
    const NONE: Extremes = Extremes {
        listen_least: f32::INFINITY,
        listen_most: f32::NEG_INFINITY,
        position_least: f32::INFINITY,
        position_most: f32::NEG_INFINITY,
    };

    fn add(&mut self, other: &Extremes) {
        self.listen_least = self.listen_least.min(other.listen_least);
        self.listen_most = self.listen_most.max(other.listen_most);
        self.position_least = self.position_least.min(other.position_least);
        self.position_most = self.position_most.max(other.position_most);
    }
}

/// Slices of all users, and what they add up to.
struct Features {
    users: Users,
    sums: Vec<Vec<Sums>>,
    extremes: Vec<Vec<Extremes>>,
    totals: Vec<Sums>,
}

impl Features {
    fn take(&mut self, event: &Event) {
        let (slot, is_new) = self.users.slot(event.user);
        if is_new {
            self.sums.iter_mut().for_each(|slice| slice.push(Sums::default()));
            self.extremes.iter_mut().for_each(|slice| slice.push(Extremes::NONE));
            self.totals.push(Sums::default());
        }
        let slice = event.time.div_euclid(SLIDE).rem_euclid(RING) as usize;
        let (sums, extremes) = (&mut self.sums[slice][slot], &mut self.extremes[slice][slot]);
        sums.events += 1;
        sums.positions += event.position;
        extremes.position_least = extremes.position_least.min(event.position as f32);
        extremes.position_most = extremes.position_most.max(event.position as f32);
        match &event.kind {
            b"li" => {
                sums.listens += 1;
                sums.listened += event.duration;
                extremes.listen_least = extremes.listen_least.min(event.duration as f32);
                extremes.listen_most = extremes.listen_most.max(event.duration as f32);
            }
            b"pa" => sums.pauses += 1,
            b"re" => sums.resumes += 1,
            b"se" => sums.seeks += 1,
            b"sk" => sums.skips += 1,
            b"ex" => sums.exits += 1,
            _ => {}
        }
        match event.device {
            b'i' | b'a' => sums.mobile += 1,
            b'c' => sums.in_car += event.duration,
            _ => {}
        }
    }

    /// Puts out the window that ends where the slice before `end` does, and lets its oldest slice go.
    fn close(&mut self, end: i64, out: &mut Out) -> Done {
        let place = |slice: i64| slice.rem_euclid(RING) as usize;
        for (total, sums) in self.totals.iter_mut().zip(&self.sums[place(end - 1)]) {
            total.add(sums, 1);
        }
        for (slot, total) in self.totals.iter().enumerate().filter(|(_, total)| total.events > 0) {
            let score = score(total.listened, total.pauses, total.exits);
            if score < 0.3 {
                let mut extremes = Extremes::NONE;
                (end - SLICES..end).for_each(|slice| extremes.add(&self.extremes[place(slice)][slot]));
                write_features(out, self.users.users[slot], end, total, &extremes, score)?;
            }
        }
        let oldest = place(end - SLICES);
        for (total, sums) in self.totals.iter_mut().zip(&mut self.sums[oldest]) {
            total.add(sums, -1);
            *sums = Sums::default();
        }
        self.extremes[oldest].fill(Extremes::NONE);
        Ok(())
    }
}

fn write_features(out: &mut Out, user: u64, end: i64, sums: &Sums, extremes: &Extremes, score: f64) -> Done {
    let Sums { events, listens, pauses, resumes, seeks, skips, exits, mobile, listened, in_car, positions } =
        sums;
    let (start, end) = ((end - SLICES) * SLIDE, end * SLIDE);
    write!(
        out,
        "{{\"user_id\":\"user-{user:06}\",\"window_start\":{start},\"window_end\":{end},\"events\":{events},\
         \"listens\":{listens},\"pauses\":{pauses},\"resumes\":{resumes},\"seeks\":{seeks},\"skips\":{skips},\
         \"exits\":{exits},\"mobile\":{mobile},\"listen_s\":{listened:?},\"car_s\":{in_car:?},"
    )?;
    let average = positions / *events as f64;
    let Extremes { listen_least, listen_most, position_least, position_most } = extremes;
    if *listens == 0 {
        write!(out, "\"listen_avg_s\":null,\"listen_min_s\":null,\"listen_max_s\":null,")?;
    } else {
        let average = listened / *listens as f64;
        write!(out, "\"listen_avg_s\":{average:?},\"listen_min_s\":{listen_least:?},\"listen_max_s\":{listen_most:?},")?;
    }
    writeln!(
        out,
        "\"position_avg_s\":{average:?},\"position_min_s\":{position_least:?},\"position_max_s\":{position_most:?},\
         \"score\":{:?}}}",
        rounded(score)
    )
}

pub fn features(file: &str, out: &mut Out) -> Done {
    let ring = || 0..RING;
    let mut state = Features {
        users: Users::new(),
        sums: ring().map(|_| Vec::new()).collect(),
        extremes: ring().map(|_| Vec::new()).collect(),
        totals: Vec::new(),
    };
    let (mut latest, mut next) = (i64::MIN, i64::MIN);
    input::events::<true>(file, |event| {
        if event.time > latest {
            latest = event.time;
            if next == i64::MIN {
                next = latest.div_euclid(SLIDE) - 5;
            }
            while (next + 1) * SLIDE <= latest - BOUND {
                next += 1;
                state.close(next, out)?;
            }
        }
        state.take(&event);
        Ok(())
    })?;
    for end in next + 1..=latest.div_euclid(SLIDE) + SLICES {
        state.close(end, out)?;
    }
    Ok(())
}
