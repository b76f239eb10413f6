//! The limit to measure against: the podcast job as one hand-written single-thread loop that knows the exact
//! shape of its input. It has no watermark (it closes a slice six seconds of event time late), no recovery,
//! and no second thread.
//!
//! One file without dependencies, built by `rustc -O -C target-cpu=native limit.rs`.
//!
//! `limit FILE --alerts OUT`

use std::io::{Read, Write};
const SLIDE: i64 = 60_000;
const N: i64 = 10;
const RING: usize = 12;
#[derive(Clone, Copy, Default)]
struct Cell {
    n: u32,
    p: u32,
    x: u32,
    l: f64,
}
fn num(b: &[u8], i: &mut usize) -> i64 {
    let mut v = 0i64;
    while b[*i].is_ascii_digit() {
        v = v * 10 + (b[*i] - b'0') as i64;
        *i += 1;
    }
    v
}
fn to(b: &[u8], i: &mut usize, c: u8) {
    while b[*i] != c {
        *i += 1;
    }
    *i += 1;
}
struct Table {
    slots: Vec<u32>,
    keys: Vec<u64>,
    mask: usize,
}
impl Table {
    fn slot(&mut self, k: u64, state: &mut [Vec<Cell>]) -> usize {
        let mut h = (k.wrapping_mul(0x9E3779B97F4A7C15) >> 32) as usize & self.mask;
        loop {
            let s = self.slots[h];
            if s == u32::MAX {
                break;
            }
            if self.keys[s as usize] == k {
                return s as usize;
            }
            h = (h + 1) & self.mask;
        }
        let s = self.keys.len();
        self.keys.push(k);
        self.slots[h] = s as u32;
        for c in state.iter_mut() {
            c.push(Cell::default());
        }
        if self.keys.len() * 2 > self.slots.len() {
            self.mask = self.slots.len() * 2 - 1;
            self.slots = vec![u32::MAX; self.mask + 1];
            for (i, k) in self.keys.iter().enumerate() {
                let mut h = (k.wrapping_mul(0x9E3779B97F4A7C15) >> 32) as usize & self.mask;
                while self.slots[h] != u32::MAX {
                    h = (h + 1) & self.mask;
                }
                self.slots[h] = i as u32;
            }
        }
        s
    }
}
fn close(end: i64, t: &Table, st: &[Vec<Cell>], out: &mut Vec<u8>, c: &mut (u64, u64)) {
    for s in 0..t.keys.len() {
        let (mut n, mut p, mut x, mut l) = (0u32, 0u32, 0u32, 0f64);
        for q in end - N..end {
            let v = st[q.rem_euclid(RING as i64) as usize][s];
            n += v.n;
            p += v.p;
            x += v.x;
            l += v.l;
        }
        if n == 0 {
            continue;
        }
        c.0 += 1;
        let sc = (l + 30.0) / (l + 30.0 + 20.0 * p as f64 + 60.0 * x as f64);
        if sc < 0.3 {
            c.1 += 1;
            writeln!(out, "{{\"user_id\":\"user-{:06}\",\"window_start\":{},\"window_end\":{},\"events\":{},\"listen_s\":{:?},\"pauses\":{},\"exits\":{},\"score\":{:?}}}",
            t.keys[s], (end - N) * SLIDE, end * SLIDE, n, l, p, x, (sc * 1e4).round() / 1e4).unwrap();
        }
    }
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let mut f = std::fs::File::open(&a[1]).unwrap();
    let mut out = Vec::new();
    let mut t = Table { slots: vec![u32::MAX; 1 << 16], keys: vec![], mask: (1 << 16) - 1 };
    let mut st: Vec<Vec<Cell>> = vec![vec![]; RING];
    let (mut max, mut next, mut c, mut ev) = (i64::MIN, i64::MIN, (0, 0), 0u64);
    let mut buf = vec![0u8; 1 << 22];
    let mut have = 0;
    loop {
        let n = f.read(&mut buf[have..]).unwrap();
        have += n;
        if n == 0 {
            break;
        }
        let end = match buf[..have].iter().rposition(|b| *b == b'\n') {
            Some(e) => e + 1,
            None => continue,
        };
        let b = &buf[..end];
        let mut i = 0;
        while i < end {
            i += 15;
            to(b, &mut i, b',');
            i += 16; // after "user_id":"user-
            let k = num(b, &mut i) as u64;
            i += 2;
            to(b, &mut i, b',');
            i += 14;
            let ty = b[i] as u32 | (b[i + 1] as u32) << 8;
            to(b, &mut i, b',');
            i += 5;
            let ts = num(b, &mut i);
            i += 1;
            to(b, &mut i, b',');
            i += 13;
            let whole = num(b, &mut i);
            let mut d = whole as f64;
            if b[i] == b'.' {
                i += 1;
                let s = i;
                let fr = num(b, &mut i);
                d += fr as f64 / 10f64.powi((i - s) as i32);
            }
            to(b, &mut i, b'\n');
            ev += 1;
            let q = ts.div_euclid(SLIDE);
            if ts > max {
                max = ts;
                if next == i64::MIN {
                    next = q - 5;
                }
                while (next + 1) * SLIDE <= max - 5001 + 1 {
                    next += 1;
                    close(next, &t, &st, &mut out, &mut c);
                    let z = (next - N).rem_euclid(RING as i64) as usize;
                    st[z].iter_mut().for_each(|v| *v = Cell::default());
                }
            }
            let s = t.slot(k, &mut st);
            let v = &mut st[q.rem_euclid(RING as i64) as usize][s];
            v.n += 1;
            match ty {
                0x696c => v.l += d,
                0x6170 => v.p += 1,
                0x7865 => v.x += 1,
                _ => {}
            } // li pa ex
        }
        buf.copy_within(end..have, 0);
        have -= end;
    }
    let last = max.div_euclid(SLIDE) + N;
    while next < last {
        next += 1;
        close(next, &t, &st, &mut out, &mut c);
        let z = (next - N).rem_euclid(RING as i64) as usize;
        st[z].iter_mut().for_each(|v| *v = Cell::default());
    }
    if let Some(i) = a.iter().position(|x| x == "--alerts") {
        std::fs::write(&a[i + 1], &out).unwrap();
    }
    println!("events={} users={} windows={} alerts={}", ev, t.keys.len(), c.0, c.1);
}
