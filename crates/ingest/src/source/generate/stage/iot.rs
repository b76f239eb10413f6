//! Sensors: values that drift, jump or stand still, in the wave of the day and under the same weather.

use super::super::IncidentKind::{Drift, Spike, Stuck};
use super::super::random::Random;
use super::super::text::append_number;
use super::character::{grow, wave};
use super::plan::{Happening, Harmless, Trouble, What};
use super::{Moment, Scene, append_id, append_name, append_word};

const TRAITS: u64 = 2;
const DAY_MS: i64 = 86_400_000;
const KINDS: [&str; 4] = ["temperature", "pressure", "humidity", "vibration"];

const INCIDENTS: [Trouble; 3] = [
    Trouble::incident(Drift, (190, 330), 18),
    Trouble::incident(Spike, (38, 90), 12),
    Trouble::incident(Stuck, (75, 180), 30),
];
const HARMLESS: [Trouble; 3] = [
    // More readings, as somebody asked for them.
    Trouble::harmless(Harmless::Busy, (60, 140), 20),
    // A door stands open for a moment.
    Trouble::harmless(Harmless::Burst, (4, 7), 30),
    Trouble::harmless(Harmless::Restart, (8, 15), 50),
];

/// See the module.
pub(in super::super) struct Iot;

impl Scene for Iot {
    fn key_prefix(&self) -> &'static str {
        "sensor-"
    }

    fn cohort_prefix(&self) -> &'static str {
        "site-"
    }

    fn incidents(&self) -> &'static [Trouble] {
        &INCIDENTS
    }

    fn harmless(&self) -> &'static [Trouble] {
        &HARMLESS
    }

    fn pace(&self, happening: &Happening, time: i64) -> f64 {
        match happening.what {
            What::Harmless(Harmless::Busy) => 1.5 + 2.0 * happening.size,
            // Nothing is heard of it while it starts.
            What::Harmless(Harmless::Restart) if happening.progress(time) < 0.7 => 0.03,
            _ => 1.0,
        }
    }

    fn is_regular(&self) -> bool {
        true
    }

    fn write(&self, moment: &Moment, random: &mut Random, out: &mut Vec<u8>) {
        let sensor = Sensor::of(moment);
        let value = sensor.value(moment, random);
        let battery = (9900.0 - 6000.0 * sensor.age) as u64 + random.below(20);
        append_id(out, "sensor_id", "sensor-", moment.key, 6);
        append_id(out, "site", "site-", moment.cohort, 2);
        append_word(out, "measures", sensor.kind);
        append_name(out, "value");
        append_hundredths(out, (value * 100.0) as i64);
        append_name(out, "battery");
        append_hundredths(out, battery as i64);
    }
}

/// What a sensor is like.
struct Sensor {
    kind: &'static str,
    /// What it says on average, in its unit.
    level: f64,
    /// How far its readings scatter, in its unit.
    noise: f64,
    /// How far the day moves it.
    swing: f64,
    phase: i64,
    age: f64,
}

impl Sensor {
    fn of(moment: &Moment) -> Self {
        let mut traits = moment.traits(TRAITS);
        let kind = KINDS[traits.below(KINDS.len() as u64) as usize];
        let noise = 0.7 * grow(0.45 * traits.normal()).clamp(0.5, 2.2);
        Sensor {
            kind,
            level: traits.between(2.0, 26.0),
            noise,
            swing: noise * traits.between(0.0, 0.7),
            phase: traits.below(DAY_MS as u64) as i64,
            age: traits.unit(),
        }
    }

    /// What it should say at a time, but for the noise.
    fn usual(&self, moment: &Moment, time: i64) -> f64 {
        let day = self.swing * wave(time.wrapping_add(self.phase), DAY_MS);
        self.level + day + self.noise * 0.45 * moment.common
    }

    fn value(&self, moment: &Moment, random: &mut Random) -> f64 {
        let noise = self.noise;
        let mut value = self.usual(moment, moment.time) + noise * (random.normal() + 0.17 * moment.mood(1));
        // One reading in a few thousand is garbled, of any sensor.
        if random.below(2600) == 0 {
            value += noise * random.between(6.0, 14.0);
        }
        value += noise * (3.2 + 5.0 * moment.wrong(Drift)) * moment.wrong(Drift) * moment.progress();
        value += noise * 5.0 * moment.harmless(Harmless::Burst);
        let spike = moment.wrong(Spike);
        if spike > 0.0 && random.unit() < 0.04 + 0.22 * spike {
            let far = noise * (2.5 + 8.5 * spike) * random.between(0.7, 1.3);
            value += if random.below(2) == 0 { far } else { -far };
        }
        match moment.happening {
            // Its last value before, which the other readings know, too.
            Some(it) if random.unit() < moment.wrong(Stuck).sqrt() => {
                let mut last = Random::of([moment.seed, 0x57C, moment.key, it.from as u64]);
                self.usual(moment, it.from) + noise * last.normal()
            }
            Some(it) if it.what == What::Harmless(Harmless::Restart) && it.progress(moment.time) > 0.7 => {
                self.level + noise * random.normal()
            }
            _ => value,
        }
    }
}

/// Appends hundredths with two decimals.
fn append_hundredths(out: &mut Vec<u8>, hundredths: i64) {
    if hundredths < 0 {
        out.push(b'-');
    }
    append_number(out, hundredths.unsigned_abs() / 100, 1);
    out.push(b'.');
    append_number(out, hundredths.unsigned_abs() % 100, 2);
}
