//! What personal baselines cost when a window of many keys closes: ns a key and feature, and bytes a key.
//!
//! `cargo run --release -p detect --example baseline_cost`
//!
//! The limit is written by hand: 10 ns for a million keys with 8 features.

#![allow(clippy::print_stdout)]

use std::time::Instant;

use detect::SlotState;
use detect::baseline::{BaselineColumns, BaselineSpec, Deviations, Dues};

const KEYS: usize = 1_000_000;
const FEATURES: usize = 8;
/// Rows that come at a time, as the engine hands them on.
const ROWS: usize = 8_192;
const LIMIT_NS: f64 = 10.0;

fn random(number: u64) -> u64 {
    let z = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z ^ (z >> 27)
}

fn main() {
    // Keys in order have slots in none.
    let mut slots: Vec<u32> = (0..KEYS as u32).collect();
    for place in (1..KEYS).rev() {
        slots.swap(place, (random(place as u64) % (place as u64 + 1)) as usize);
    }
    let mut baselines = BaselineColumns::new(BaselineSpec::default(), FEATURES).expect("baselines");
    baselines.grow(KEYS);
    let mut out = Deviations::default();
    let mut costs = Vec::new();
    for window in 0..24_u64 {
        let value =
            |row: usize, feature: usize| random((row * FEATURES + feature) as u64 * 31 + window) % 1000;
        let columns: Vec<Vec<f64>> = (0..FEATURES)
            .map(|feature| (0..KEYS).map(|row| 50.0 + value(row, feature) as f64).collect())
            .collect();
        for first in (0..KEYS).step_by(ROWS) {
            let rows = first..KEYS.min(first + ROWS);
            let columns: Vec<&[f64]> = columns.iter().map(|column| &column[rows.clone()]).collect();
            let start = Instant::now();
            baselines.observe(&slots[rows.clone()], Dues::Shared(window as i64), &columns, &mut out);
            // The first windows are warm-up.
            if window >= 12 {
                costs.push(start.elapsed().as_secs_f64() * 1e9 / (rows.len() * FEATURES) as f64);
            }
        }
    }
    // Others share the machine: portions during which they ran say nothing.
    costs.sort_by(f64::total_cmp);
    let (least, quarter) = (costs[0], costs[costs.len() / 4]);
    println!(
        "{KEYS} keys x {FEATURES} features: {quarter:.2} ns a key and feature in the quickest quarter, at least \
         {least:.2} (limit {LIMIT_NS}), {:.1} bytes a key",
        baselines.bytes() as f64 / KEYS as f64
    );
}
