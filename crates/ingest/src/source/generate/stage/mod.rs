//! Events of keys that have a character: levels, hours and moods of their own, for which something goes wrong.
//!
//! A [`Scene`] says what its keys do; the [`Stage`] decides whose turn it is. Event time is cut into slices of some
//! seconds. In each a key has a share of the events, by its level, its time of day, its mood, and what happens to it
//! ([`plan`]); an event belongs to a key with that chance. So an event is a function of the settings and its number,
//! and one after the other costs little, since a slice is worked out once.
//!
//! What happens is an incident, which is in the truth, or something harmless that only looks odd, which is not. No
//! number here is known to a config, and the seed of what happens is not that of what is measured.

mod ads;
mod character;
mod games;
mod iot;
mod payments;
mod plan;
mod podcast;
mod slice;
#[cfg(test)]
mod tests;

pub(super) use ads::Ads;
pub(super) use games::Games;
pub(super) use iot::Iot;
pub(super) use payments::Payments;
pub(super) use plan::truth;
pub(super) use podcast::Podcast;

use super::random::Random;
use super::text::append_number;
use super::{GenerateSpec, IncidentKind};
#[cfg(test)]
use plan::Period;
use plan::{Happening, Harmless, Trouble, What};
use slice::Slice;

/// Keys that there may be: each slice looks at all of them.
pub(super) const KEYS_MAX: u64 = 100_000;
/// Groups of keys, each of which may have an outage: sites, shows, banks.
const COHORTS: u64 = 12;
/// Golden ratio: multiples of it fall into each other's widest gap.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// One use: who its keys are, what they do, and what happens to them.
pub(super) trait Scene: Send + Sync {
    /// What keys begin with, as `user-`.
    fn key_prefix(&self) -> &'static str;

    /// What the names of cohorts begin with, as `show-`.
    fn cohort_prefix(&self) -> &'static str;

    /// What goes wrong for keys. Each is as frequent as the others.
    fn incidents(&self) -> &'static [Trouble];

    /// What looks odd and is not, as frequent as all that goes wrong.
    fn harmless(&self) -> &'static [Trouble];

    /// How much more, or less, is heard of a key while something happens to it; 1 is as much as usual.
    fn pace(&self, happening: &Happening, time: i64) -> f64;

    /// Whether keys come in turn, as those of machines, rather than as it happens.
    fn is_regular(&self) -> bool {
        false
    }

    /// Appends the fields of an event behind those that all have, beginning with a comma.
    fn write(&self, moment: &Moment, random: &mut Random, out: &mut Vec<u8>);
}

/// An event before it is known what happens in it.
pub(super) struct Moment<'a> {
    seed: u64,
    key: u64,
    /// Group of the key.
    cohort: u64,
    /// Event time in milliseconds.
    time: i64,
    happening: Option<&'a Happening>,
    /// How much of something that all keys share goes on, from 0 to 1: a sale, the weather.
    common: f64,
}

impl Moment<'_> {
    /// How much of an incident of that kind there is: 0 if none.
    fn wrong(&self, kind: IncidentKind) -> f64 {
        self.happening.filter(|happening| happening.what == What::Incident(kind)).map_or(0.0, |it| it.size)
    }

    /// How much of something harmless of that kind there is: 0 if none.
    fn harmless(&self, kind: Harmless) -> f64 {
        self.happening.filter(|happening| happening.what == What::Harmless(kind)).map_or(0.0, |it| it.size)
    }

    /// How much of what happens is over, from 0 to 1.
    fn progress(&self) -> f64 {
        self.happening.map_or(0.0, |happening| happening.progress(self.time))
    }

    /// What does not change about the key. Each scene draws from its own.
    fn traits(&self, scene: u64) -> Random {
        Random::of([self.seed, 0x7A17, scene, self.key])
    }

    /// A mood of the key, which changes slowly. Moods are told apart by their number.
    fn mood(&self, number: u64) -> f64 {
        character::mood(self.seed, number, self.key, self.time)
    }
}

/// Makes the events of a scene.
pub(super) struct Stage {
    spec: GenerateSpec,
    scene: &'static dyn Scene,
    slice: Slice,
}

impl Stage {
    pub(super) fn new(spec: GenerateSpec, scene: &'static dyn Scene) -> Self {
        Stage { slice: Slice::first(&spec, scene), spec, scene }
    }

    /// Appends the event of that number, with its newline.
    pub(super) fn append(&mut self, index: u64, out: &mut Vec<u8>) {
        let spec = &self.spec;
        let on_time = spec.time_on_time(index);
        self.slice.turn_to(spec, self.scene, on_time);
        let mut random = Random::of([spec.seed, 0x57A6E, index]);
        let whose = if self.scene.is_regular() { index.wrapping_mul(GOLDEN) } else { random.next() };
        let key = self.slice.whose(whose);
        let happening = self.slice.happening(key);
        let late_ms =
            if random.below(10) < 3 { random.below(spec.out_of_order_ms.saturating_add(1)) } else { 0 };
        let late_ms = i64::try_from(late_ms).unwrap_or(i64::MAX);
        // What an incident does is not seen before it begins.
        let earliest = happening.map_or(spec.start, |happening| happening.from);
        let time = on_time.saturating_sub(late_ms).max(earliest);
        let common = self.slice.common(time);
        let moment = Moment { seed: spec.seed, key, cohort: cohort(spec.seed, key), time, happening, common };

        out.extend_from_slice(b"{\"event_id\":\"e-");
        append_number(out, index, 8);
        out.extend_from_slice(b"\",\"ts\":");
        if time < 0 {
            out.push(b'-');
        }
        append_number(out, time.unsigned_abs(), 1);
        self.scene.write(&moment, &mut random, out);
        out.extend_from_slice(b"}\n");
    }
}

/// The group of a key.
fn cohort(seed: u64, key: u64) -> u64 {
    Random::of([seed, 0xC0_4027, key]).below(COHORTS)
}

/// Name of a key.
fn key_name(scene: &dyn Scene, key: u64) -> String {
    format!("{}{key:06}", scene.key_prefix())
}

/// Name of a cohort.
fn cohort_name(scene: &dyn Scene, cohort: u64) -> String {
    format!("{}{cohort:02}", scene.cohort_prefix())
}

/// Appends `,"name":"` and what follows: the text, a number of `width` digits, and a quote.
fn append_id(out: &mut Vec<u8>, name: &str, prefix: &str, number: u64, width: usize) {
    append_name(out, name);
    out.push(b'"');
    out.extend_from_slice(prefix.as_bytes());
    append_number(out, number, width);
    out.push(b'"');
}

/// Appends `,"name":"word"`.
fn append_word(out: &mut Vec<u8>, name: &str, word: &str) {
    append_name(out, name);
    out.push(b'"');
    out.extend_from_slice(word.as_bytes());
    out.push(b'"');
}

/// Appends `,"name":`.
fn append_name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Which of some weights a draw falls on.
fn choose<const N: usize>(random: &mut Random, weights: [f64; N]) -> usize {
    let mut left = random.unit() * weights.iter().sum::<f64>();
    for (place, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return place;
        }
    }
    N - 1
}
