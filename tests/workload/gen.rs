//! Deterministic generator of podcast listening events, newline-delimited JSON in arrival order.
//!
//! One file without dependencies, built by `rustc -O gen.rs`; shares no code with tidewatch. Every `position_s`
//! and `duration_s` is a multiple of 0.5, so that sums of doubles are exact in any order.
//!
//! `gen --events N --users U --seed S --span-min M --skew Z --ooo-ms D --ooo-frac F --low-frac L --t0 MS
//! --out FILE [--parts P]`

use std::fs::File;
use std::io::{BufWriter, Write};

struct Rng(u64);
impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E3779B97F4A7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58476D1CE4E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D049BB133111EB);
        z ^ (z >> 31)
    }
    fn f(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
    fn below(&mut self, n: u64) -> u64 {
        ((self.next() as u128 * n as u128) >> 64) as u64
    }
}
fn hash(x: u64) -> u64 {
    Rng(x ^ 0xD1B54A32D192ED03).next()
}
fn pad(b: &mut Vec<u8>, mut v: u64, w: usize) {
    let mut t = [b'0'; 20];
    let mut i = 20;
    while v > 0 {
        i -= 1;
        t[i] = b'0' + (v % 10) as u8;
        v /= 10;
    }
    let s = i.min(20 - w);
    b.extend_from_slice(&t[s..]);
}
fn half(b: &mut Vec<u8>, v2: u64) {
    pad(b, v2 / 2, 1);
    b.extend_from_slice(if v2 & 1 == 1 { b".5" } else { b".0" });
}

fn main() {
    let a: Vec<String> = std::env::args().collect();
    let g = |k: &str, d: &str| -> String {
        a.iter().position(|x| x == k).and_then(|i| a.get(i + 1)).cloned().unwrap_or(d.into())
    };
    let n: u64 = g("--events", "1000000").parse().unwrap();
    let users: u64 = g("--users", "10000").parse().unwrap();
    let seed: u64 = g("--seed", "42").parse().unwrap();
    let span_ms: u64 = (g("--span-min", "60").parse::<f64>().unwrap() * 60000.0) as u64;
    let skew: f64 = g("--skew", "0.8").parse().unwrap();
    let ooo: u64 = g("--ooo-ms", "5000").parse().unwrap();
    let ooo_frac: f64 = g("--ooo-frac", "0.3").parse().unwrap();
    let low: f64 = g("--low-frac", "0.02").parse().unwrap();
    let t0: u64 = g("--t0", "1700000000000").parse().unwrap();
    let out = g("--out", "events.ndjson");
    let parts: usize = g("--parts", "1").parse().unwrap();
    let mut cdf = Vec::with_capacity(users as usize);
    let mut acc = 0.0f64;
    for r in 1..=users {
        acc += (r as f64).powf(-skew);
        cdf.push(acc);
    }
    let total = acc;
    // bijection rank -> user number
    let mut mul = 2654435761u64 % users;
    if mul < 2 {
        mul = 1
    }
    let gcd = |mut x: u64, mut y: u64| {
        while y != 0 {
            let t = x % y;
            x = y;
            y = t;
        }
        x
    };
    while gcd(mul, users) != 1 {
        mul += 1;
    }
    let mut fs: Vec<BufWriter<File>> = (0..parts)
        .map(|p| {
            let nme = if parts == 1 { out.clone() } else { format!("{}.part{}", out, p) };
            BufWriter::with_capacity(1 << 20, File::create(nme).unwrap())
        })
        .collect();
    let mut r = Rng(seed);
    let types: [&[u8]; 6] = [b"listen", b"pause", b"resume", b"seek", b"skip", b"exit"];
    let devs: [&[u8]; 5] = [b"ios", b"android", b"web", b"car", b"speaker"];
    let cn = [800u64, 850, 900, 950, 980, 1000];
    let cl = [250u64, 500, 550, 600, 800, 1000];
    let mut b: Vec<u8> = Vec::with_capacity(256);
    for i in 0..n {
        let rank = {
            let x = r.f() * total;
            cdf.partition_point(|c| *c < x).min(users as usize - 1) as u64
        };
        let u = rank * mul % users;
        let h = hash(u ^ seed.rotate_left(17));
        let is_low = ((h >> 11) as f64 / (1u64 << 53) as f64) < low;
        let base = t0 + (i as u128 * span_ms as u128 / n as u128) as u64;
        let late = if r.f() < ooo_frac { r.below(ooo + 1) } else { 0 };
        let ts = base.saturating_sub(late).max(t0);
        let k = r.below(1000);
        let c = if is_low { &cl } else { &cn };
        let ty = c.iter().position(|x| k < *x).unwrap();
        let ep = (h >> 7).wrapping_add(r.below(3)) % 5000;
        let pos2 = r.below(7200);
        let dur2 = if ty == 0 {
            if is_low {
                2 + r.below(20)
            } else {
                10 + r.below(110)
            }
        } else {
            0
        };
        b.clear();
        b.extend_from_slice(b"{\"event_id\":\"e-");
        pad(&mut b, i, 8);
        b.extend_from_slice(b"\",\"user_id\":\"user-");
        pad(&mut b, u, 6);
        b.extend_from_slice(b"\",\"episode_id\":\"ep-");
        pad(&mut b, ep, 4);
        b.extend_from_slice(b"\",\"event_type\":\"");
        b.extend_from_slice(types[ty]);
        b.extend_from_slice(b"\",\"ts\":");
        pad(&mut b, ts, 1);
        b.extend_from_slice(b",\"position_s\":");
        half(&mut b, pos2);
        b.extend_from_slice(b",\"duration_s\":");
        half(&mut b, dur2);
        b.extend_from_slice(b",\"device\":\"");
        b.extend_from_slice(devs[(h % 5) as usize]);
        b.extend_from_slice(b"\"}\n");
        fs[(i % parts as u64) as usize].write_all(&b).unwrap();
    }
    for f in fs.iter_mut() {
        f.flush().unwrap();
    }
}
