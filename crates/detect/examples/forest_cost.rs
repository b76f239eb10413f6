//! What a random cut forest costs: score, update and attribution of a point in us, and bytes of a model.
//!
//! `cargo run --release -p detect --example forest_cost`
//!
//! The limit is written by hand: what Amazon's library in Rust takes for the same on the machine of the figures.

#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::Instant;

use detect::forest::{Attribution, ForestSpec, RandomCutForest};

/// Dimensions, trees, points of a tree, and us that score and update of a point may take together.
const SHAPES: [(usize, usize, usize, f64); 3] = [(8, 50, 256, 55.0), (8, 30, 256, 34.0), (8, 10, 64, 7.0)];
/// Points that are learned before the measurement, and in it.
const WARMUP: usize = 5_000;
const MEASURED: usize = 15_000;
/// Points that are measured in one go. The quickest chunk counts: others shared the machine.
const CHUNK: usize = 100;

/// Points of a normal distribution, near enough.
fn points(dimensions: usize) -> Vec<Vec<f64>> {
    let mut state = 1_u64;
    let mut unit = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut normal = || (0..12).map(|_| unit()).sum::<f64>() - 6.0;
    (0..WARMUP + MEASURED).map(|_| (0..dimensions).map(|_| normal()).collect()).collect()
}

/// Mean us that a call takes for the points of a chunk.
fn us(chunk: &[Vec<f64>], call: impl FnMut(&Vec<f64>)) -> f64 {
    let start = Instant::now();
    chunk.iter().for_each(call);
    start.elapsed().as_secs_f64() / chunk.len() as f64 * 1e6
}

fn measure(spec: &ForestSpec, limit: f64) {
    let points = points(spec.dimensions);
    let mut forest = RandomCutForest::new(spec.clone()).expect("a forest");
    points[..WARMUP].iter().for_each(|point| forest.learn(point));
    let (mut score, mut update, mut attribute) = (f64::MAX, f64::MAX, f64::MAX);
    let (mut total, mut attribution) = (0.0, Attribution::default());
    for chunk in points[WARMUP..].chunks(CHUNK) {
        score = us(chunk, |point| total += black_box(forest.score(point))).min(score);
        update = us(chunk, |point| forest.learn(point)).min(update);
        attribute = us(chunk, |point| forest.attribute(point, &mut attribution)).min(attribute);
    }
    println!(
        "{} dimensions, {} x {}, decay {}: score {score:.1} + update {update:.1} = {:.1} us (limit {limit}), \
         attribution {:.1} us, {:.2} MB, mean score {:.4}",
        spec.dimensions,
        spec.trees,
        spec.sample,
        spec.decay,
        score + update,
        attribute,
        forest.bytes() as f64 / 1e6,
        total / MEASURED as f64,
    );
}

fn main() {
    for (dimensions, trees, sample, limit) in SHAPES {
        for decay in [100_000, 10 * sample as u64, sample as u64] {
            measure(&ForestSpec { trees, sample, decay, ..ForestSpec::new(dimensions) }, limit);
        }
    }
}
