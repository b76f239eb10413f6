//! The outside oracle of the podcast job: naive, one thread, in batch.
//!
//! One file without dependencies, built by `rustc -O reference.rs`; shares no code with tidewatch. It knows
//! no watermark, and so is valid only where nothing is late, as in what `gen.rs` writes.
//!
//! `reference FILE [--alerts OUT]` prints events, windows that fired, alerts, and a checksum of the alert
//! lines that does not depend on their order.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
fn field<'a>(l: &'a str, k: &str) -> &'a str {
    let i = l.find(k).unwrap() + k.len();
    let r = &l[i..];
    if let Some(s) = r.strip_prefix('"') {
        &s[..s.find('"').unwrap()]
    } else {
        &r[..r.find(|c| c == ',' || c == '}').unwrap()]
    }
}
#[derive(Default, Clone, Copy)]
struct A {
    n: u64,
    l: f64,
    p: u64,
    x: u64,
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let mut out =
        a.iter().position(|x| x == "--alerts").map(|i| BufWriter::new(File::create(&a[i + 1]).unwrap()));
    let mut m: HashMap<(u32, i64), A> = HashMap::new(); // (user, minute pane)
    let (mut lo, mut hi, mut ev) = (i64::MAX, i64::MIN, 0u64);
    for l in BufReader::with_capacity(1 << 20, File::open(&a[1]).unwrap()).lines() {
        let l = l.unwrap();
        let u: u32 = field(&l, "\"user_id\":")[5..].parse().unwrap();
        let ts: i64 = field(&l, "\"ts\":").parse().unwrap();
        let pane = ts.div_euclid(60000);
        lo = lo.min(pane);
        hi = hi.max(pane);
        let s = m.entry((u, pane)).or_default();
        s.n += 1;
        ev += 1;
        match field(&l, "\"event_type\":") {
            "listen" => s.l += field(&l, "\"duration_s\":").parse::<f64>().unwrap(),
            "pause" => s.p += 1,
            "exit" => s.x += 1,
            _ => {}
        }
    }
    let mut users: Vec<u32> = m.keys().map(|k| k.0).collect();
    users.sort();
    users.dedup();
    let (mut fired, mut alerts, mut sum) = (0u64, 0u64, 0u64);
    for &u in &users {
        for e in lo + 1..=hi + 10 {
            // window [e-10, e) minutes
            let mut t = A::default();
            for p in e - 10..e {
                if let Some(s) = m.get(&(u, p)) {
                    t.n += s.n;
                    t.l += s.l;
                    t.p += s.p;
                    t.x += s.x;
                }
            }
            if t.n == 0 {
                continue;
            }
            fired += 1;
            let sc = (t.l + 30.0) / (t.l + 30.0 + 20.0 * t.p as f64 + 60.0 * t.x as f64);
            if sc < 0.3 {
                alerts += 1;
                let line = format!("{{\"user_id\":\"user-{:06}\",\"window_start\":{},\"window_end\":{},\"events\":{},\"listen_s\":{:?},\"pauses\":{},\"exits\":{},\"score\":{:?}}}",
                u, (e - 10) * 60000, e * 60000, t.n, t.l, t.p, t.x, (sc * 1e4).round() / 1e4);
                let mut h = 0xcbf29ce484222325u64;
                for b in line.bytes() {
                    h = (h ^ b as u64).wrapping_mul(0x100000001b3);
                }
                sum = sum.wrapping_add(h);
                if let Some(o) = out.as_mut() {
                    writeln!(o, "{}", line).unwrap();
                }
            }
        }
    }
    println!("events={} users={} windows={} alerts={} checksum={:016x}", ev, users.len(), fired, alerts, sum);
}
