//! The random numbers of learned models: seeded, a part of the state, the same on every machine.
//!
//! Used by [`forest`](crate::forest). A checkpoint holds the state of each generator, so that a restored model
//! draws what the lost one would have drawn.

use serde::{Deserialize, Serialize};

/// A generator with 64 bits of state: SplitMix64.
///
/// Source: Steele, Lea, Flood (2014), Fast splittable pseudorandom number generators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// The generator number `stream` of a family with one seed. Neighbouring streams do not resemble each other.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut family = Random { state: seed };
        let start = family.next();
        let mut own = Random { state: start ^ stream.wrapping_mul(0xD6E8_FEB8_6659_FD93) };
        Random { state: own.next() }
    }

    /// 64 random bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number of [0, 1), with 53 random bits.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// A number of [0, 1), with 24 random bits, the precision of the type.
    pub(crate) fn unit_f32(&mut self) -> f32 {
        (self.next() >> 40) as f32 * (1.0 / (1_u32 << 24) as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bits_are_those_of_the_published_generator() {
        // The reference implementation's first outputs for the state 1234567.
        let mut random = Random { state: 1_234_567 };
        let bits: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(bits, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn streams_of_one_seed_differ_and_are_spread_evenly() {
        let mut streams: Vec<Random> = (0..100).map(|stream| Random::new(7, stream)).collect();
        let draws: Vec<f64> = streams.iter_mut().flat_map(|s| [s.unit(), f64::from(s.unit_f32())]).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        assert!((mean - 0.5).abs() < 0.07, "{mean}");
        assert!(draws.iter().all(|draw| (0.0..1.0).contains(draw)));
        let mut distinct: Vec<u64> = draws.iter().map(|draw| draw.to_bits()).collect();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 200);
    }
}
