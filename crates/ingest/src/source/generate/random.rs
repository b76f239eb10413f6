//! Numbers that look random and are a function of what they are drawn for.

/// SplitMix64: a counter, well mixed.
///
/// Source: Steele, Lea & Flood (2014), "Fast splittable pseudorandom number generators".
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// The numbers for a thing that is told apart by `parts`.
    pub(super) fn of<const N: usize>(parts: [u64; N]) -> Self {
        parts.into_iter().fold(Random(0), |state, part| Random(Random(state.0 ^ part).next()))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if that is 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        scale(self.next(), end)
    }

    /// A number from 0 to below 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number from `least` to below `end`.
    pub(super) fn between(&mut self, least: f64, end: f64) -> f64 {
        least + (end - least) * self.unit()
    }

    /// A number of a normal distribution with mean 0 and deviation 1, or nearly so: of twelve uniform ones, which is
    /// the same on every machine. None is beyond 6.
    pub(super) fn normal(&mut self) -> f64 {
        let parts = |draw: u64| (0..4).map(|part| (draw >> (16 * part)) & 0xFFFF).sum::<u64>();
        let sum = parts(self.next()) + parts(self.next()) + parts(self.next());
        (sum as f64 + 6.0) / 65_536.0 - 6.0
    }

    /// A number below `end`, small ones more often: its density falls with the square root.
    pub(super) fn skewed_below(&mut self, end: u64) -> u64 {
        let draw = self.next();
        scale(scale(draw, draw), end)
    }
}

/// `draw / 2^64 * end`, floored.
fn scale(draw: u64, end: u64) -> u64 {
    ((u128::from(draw) * u128::from(end)) >> 64) as u64
}
