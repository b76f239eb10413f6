//! Epochs: the counter of consistent cuts, which is timely's timestamp.

use serde::{Deserialize, Serialize};

/// Ticks of an interval are counted in the low bits.
const TICK_BITS: u32 = 32;

/// An interval between two checkpoints (high 32 bits) and a tick inside it (low 32 bits).
///
/// Sources go from tick to tick as they read; a checkpoint cuts between the last tick of one interval
/// and the first of the next, at a place that each source chooses for itself. Not the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The first tick of an interval.
    pub fn first_of(interval: u32) -> Epoch {
        Epoch(u64::from(interval) << TICK_BITS)
    }

    /// The interval between two checkpoints that it belongs to.
    pub fn interval(self) -> u32 {
        (self.0 >> TICK_BITS) as u32
    }

    /// The next tick. After 2^32 ticks it runs into the next interval, which is only an early cut.
    pub fn next_tick(self) -> Epoch {
        Epoch(self.0 + 1)
    }

    /// The first tick of the next interval.
    pub fn next_interval(self) -> Epoch {
        Epoch::first_of(self.interval() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tick_of_an_interval_lies_before_the_next_interval() {
        let epoch = Epoch::first_of(7).next_tick().next_tick();
        assert_eq!(epoch.interval(), 7);
        assert!(epoch < epoch.next_interval());
        assert_eq!(epoch.next_interval().interval(), 8);
    }
}
