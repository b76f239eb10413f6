//! A slice of event time: whose event how many are.

use super::super::GenerateSpec;
use super::Scene;
use super::character::Level;
use super::plan::{Happening, Period, SLICE_MS, What, period};

/// What is left of a key in an outage comes from what its devices had kept.
const OUTAGE_LEFT: f64 = 0.02;

/// What the events of a slice have in common.
pub(super) struct Slice {
    number: i64,
    period: i64,
    happenings: Period,
    levels: Vec<Level>,
    /// For each key the sum of its share and those before it.
    shares: Vec<f64>,
    /// Keys to which something happens now.
    now: Vec<(u64, Happening)>,
}

impl Slice {
    /// That at the start of the events.
    pub(super) fn first(spec: &GenerateSpec, scene: &dyn Scene) -> Self {
        let levels: Vec<Level> = (0..spec.users).map(|key| Level::of(spec.seed, key)).collect();
        let mut slice = Slice {
            number: 0,
            period: period(spec, spec.start),
            happenings: Period::default(),
            shares: vec![0.0; levels.len()],
            levels,
            now: Vec::new(),
        };
        slice.fill(spec, scene);
        slice
    }

    /// Goes to the slice of a time.
    pub(super) fn turn_to(&mut self, spec: &GenerateSpec, scene: &dyn Scene, time: i64) {
        let number = time.saturating_sub(spec.start).div_euclid(SLICE_MS);
        if number == self.number {
            return;
        }
        self.number = number;
        let period = period(spec, time);
        if period != self.period {
            self.period = period;
            self.happenings = Period::of(spec, scene, period);
        }
        self.fill(spec, scene);
    }

    fn fill(&mut self, spec: &GenerateSpec, scene: &dyn Scene) {
        let middle = spec.start.saturating_add(self.number.saturating_mul(SLICE_MS) + SLICE_MS / 2);
        self.now.clear();
        for (key, happening) in self.happenings.happenings.iter().filter(|(_, it)| it.holds(middle)) {
            // The first is the outage, and nothing else can be seen then.
            if self.now.last().is_none_or(|(last, _)| last != key) {
                self.now.push((*key, happening.clone()));
            }
        }
        let (mut now, mut sum) = (self.now.iter().peekable(), 0.0);
        for (key, (level, share)) in (0..).zip(self.levels.iter().zip(&mut self.shares)) {
            let pace = now.next_if(|(of, _)| *of == key).map_or(1.0, |(_, it)| pace(scene, it, middle));
            sum += level.at(spec.seed, key, middle) * pace;
            *share = sum;
        }
    }

    /// The key that a number, drawn from all there are, falls on.
    pub(super) fn whose(&self, draw: u64) -> u64 {
        let sum = self.shares.last().copied().unwrap_or_default();
        let at = (draw >> 11) as f64 / (1u64 << 53) as f64 * sum;
        self.shares.partition_point(|share| *share <= at).min(self.shares.len() - 1) as u64
    }

    /// What happens to a key now.
    pub(super) fn happening(&self, key: u64) -> Option<&Happening> {
        let place = self.now.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        Some(&self.now[place].1)
    }

    /// How much of what all keys share goes on at a time.
    pub(super) fn common(&self, time: i64) -> f64 {
        self.happenings.common(time)
    }
}

fn pace(scene: &dyn Scene, happening: &Happening, time: i64) -> f64 {
    match happening.what {
        What::Outage => OUTAGE_LEFT,
        _ => scene.pace(happening, time).max(0.0),
    }
}
