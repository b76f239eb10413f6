//! What keys are like: how much is heard of them, when, and how they change from hour to hour.
//!
//! Only additions and multiplications, so that events are the same on every machine.

use super::super::random::Random;

const DAY_MS: i64 = 86_400_000;
/// A mood is another one after so long.
const MOOD_MS: i64 = 11 * 60_000 + 7_000;

/// How much is heard of a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level {
    level: f64,
    /// How much the time of day matters, from 0.
    swing: f64,
    /// Where in the day the key is, in milliseconds.
    phase: i64,
    /// How much its mood matters.
    restless: f64,
}

impl Level {
    pub(super) fn of(seed: u64, key: u64) -> Self {
        let mut random = Random::of([seed, 0x1E7E1, key]);
        Level {
            level: grow(0.45 * random.normal()).clamp(0.4, 3.2),
            swing: random.between(0.05, 0.4),
            phase: random.below(DAY_MS as u64) as i64,
            restless: random.between(0.03, 0.14),
        }
    }

    /// Its share of the events at a time, unless something happens to it.
    pub(super) fn at(&self, seed: u64, key: u64, time: i64) -> f64 {
        let day = 1.0 + self.swing * wave(time.wrapping_add(self.phase), DAY_MS);
        let mood = 1.0 + self.restless * mood(seed, 0, key, time);
        self.level * day * mood.max(0.3)
    }
}

/// From -1 to 1 and back in a period, smoothly.
pub(super) fn wave(time: i64, period: i64) -> f64 {
    let at = time.rem_euclid(period) as f64 / period as f64;
    match at < 0.5 {
        true => 16.0 * at * (0.5 - at),
        false => -16.0 * (at - 0.5) * (1.0 - at),
    }
}

/// A number with mean 0 and deviation about 1 that changes slowly.
pub(super) fn mood(seed: u64, number: u64, key: u64, time: i64) -> f64 {
    let knot = time.div_euclid(MOOD_MS);
    let at = time.rem_euclid(MOOD_MS) as f64 / MOOD_MS as f64;
    let of = |knot: i64| Random::of([seed, 0x300D, number, key, knot as u64]).normal();
    let share = at * at * (3.0 - 2.0 * at);
    of(knot) * (1.0 - share) + of(knot + 1) * share
}

/// e to the power of a small number, nearly.
pub(super) fn grow(power: f64) -> f64 {
    let mut grown = (1.0 + power / 64.0).max(0.0);
    for _ in 0..6 {
        grown *= grown;
    }
    grown
}
